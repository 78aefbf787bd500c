import pytest
from tests.factories.warehouse import MERCHANT, counted, item, measures, order, ref

from entrepot.warehouse.cartons import Carton, UnitMeasure, choose_carton
from entrepot.warehouse.model import LineCount, UnknownItemMeasureError
from entrepot.warehouse.work import is_same_packing

SMALL = Carton("S", 200, 150, 100, 50, 2_000)
LARGE = Carton("L", 400, 300, 200, 200, 10_000)


@pytest.mark.parametrize(
    ("sides_mm", "weight_g", "quantity", "chosen"),
    [
        ((100, 80, 50), 250, 1, ("S", 1, 300)),
        ((50, 100, 80), 250, 7, ("S", 1, 1_800)),
        ((100, 80, 50), 250, 8, ("L", 1, 2_200)),  # too voluminous
        ((100, 80, 50), 2_001, 1, ("L", 1, 2_201)),  # too heavy
        ((250, 10, 10), 100, 1, ("L", 1, 300)),  # too long
        ((200, 150, 100), 100, 9, ("L", 2, 1_300)),  # two cartons by volume
        ((100, 80, 50), 6_000, 2, ("L", 2, 12_400)),  # two cartons by weight
        ((900, 50, 50), 1_000, 2, ("own", 2, 2_000)),  # no carton takes it
    ],
)
def test_choose_carton(sides_mm, weight_g, quantity, chosen):
    units = {(MERCHANT, item("mug")): UnitMeasure(weight_g, *sides_mm)}
    parcel = choose_carton(ref(order("a")), counted((1, "mug", quantity)), units, [LARGE, SMALL])
    assert (parcel.carton_code, parcel.carton_count, parcel.weight_g) == chosen


def test_weight_sums_lines():
    units = measures("mug", weight_g=300) | measures("pen", weight_g=10)
    assert choose_carton(ref(order("a")), counted((1, "mug", 2), (2, "pen", 3)), units, [SMALL]).weight_g == 680


def test_an_unknown_measure_is_not_guessed():
    with pytest.raises(UnknownItemMeasureError):
        choose_carton(ref(order("a")), counted((1, "mug", 1)), {}, [SMALL])


@pytest.mark.parametrize(
    ("scanned", "is_same"),
    [
        ([(1, "mug", 2), (2, "pen", 1)], True),
        ([(2, "pen", 1), (1, "mug", 1), (1, "mug", 1)], True),
        ([(1, "mug", 2)], False),
        ([(1, "mug", 3), (2, "pen", 1)], False),
        ([(1, "mug", 2), (2, "pen", 1), (3, "cup", 1)], False),
        ([(1, "pen", 2), (2, "mug", 1)], False),
        ([], False),
    ],
)
def test_is_same_packing(scanned, is_same):
    assert is_same_packing(counted((1, "mug", 2), (2, "pen", 1)), counted(*scanned)) is is_same


def test_parts_are_told_apart():
    held = [LineCount(1, 1, item("mug"), 1), LineCount(1, 2, item("mug"), 1)]
    assert not is_same_packing(held, [LineCount(1, 1, item("mug"), 2)])
