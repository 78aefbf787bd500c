"""Which carton: the smallest that takes what was packed, and what the parcel weighs."""

import uuid
from collections.abc import Mapping, Sequence

from msgspec import Struct

from entrepot.base.quantity import volume_mm3
from entrepot.warehouse.model import LineCount, OrderRef, UnknownItemMeasureError


class UnitMeasure(Struct, frozen=True):
    """Weight and outer sides of one unit."""

    weight_g: int
    length_mm: int
    width_mm: int
    height_mm: int

    @property
    def volume_mm3(self) -> int:
        """Outer volume of one unit."""
        return volume_mm3(self.length_mm, self.width_mm, self.height_mm)


class Carton(Struct, frozen=True):
    """A carton with its inner sides, its own weight and the weight it bears."""

    carton_code: str
    length_mm: int
    width_mm: int
    height_mm: int
    tare_g: int
    max_weight_g: int

    @property
    def sides_mm(self) -> list[int]:
        """Inner sides, longest first."""
        return sorted((self.length_mm, self.width_mm, self.height_mm), reverse=True)

    @property
    def capacity_mm3(self) -> int:
        """Inner volume."""
        return volume_mm3(self.length_mm, self.width_mm, self.height_mm)


class PackedParcel(Struct, frozen=True):
    """What was packed for an order: number and kind of cartons, and the weight of everything with the cartons."""

    order: OrderRef
    carton_code: str
    carton_count: int
    weight_g: int
    length_mm: int
    width_mm: int
    height_mm: int


MeasureKey = tuple[uuid.UUID, uuid.UUID]
"""Merchant and stock item."""

OWN_CARTON = "own"
"""Units larger than every carton travel in the packaging they came in."""


def measure_of(measures: Mapping[MeasureKey, UnitMeasure], merchant_id: uuid.UUID, stock_item_id: uuid.UUID) -> UnitMeasure:
    """Return the measure of one unit, or refuse to guess it."""
    found = measures.get((merchant_id, stock_item_id))
    if found is None:
        raise UnknownItemMeasureError("stock_item_id", stock_item_id, "Give weight and sides of the unit.")
    return found


def _fits(carton: Carton, sides_mm: Sequence[int], total_mm3: int, weight_g: int) -> bool:
    within = all(inner >= side for inner, side in zip(carton.sides_mm, sides_mm, strict=True))
    return within and carton.capacity_mm3 >= total_mm3 and carton.max_weight_g >= weight_g


def choose_carton(order: OrderRef, lines: Sequence[LineCount], measures: Mapping[MeasureKey, UnitMeasure], cartons: Sequence[Carton]) -> PackedParcel:
    """Choose the smallest carton by volume, longest sides and weight, or several of the largest; weight = units + carton tare, grams."""
    longest = middle = shortest = weight_g = total_mm3 = 0
    for line in lines:
        unit = measure_of(measures, order.merchant_id, line.stock_item_id)
        sides = sorted((unit.length_mm, unit.width_mm, unit.height_mm), reverse=True)
        longest, middle, shortest = max(longest, sides[0]), max(middle, sides[1]), max(shortest, sides[2])
        weight_g += unit.weight_g * line.quantity
        total_mm3 += sides[0] * sides[1] * sides[2] * line.quantity
    sides_mm = (longest, middle, shortest)
    by_size = sorted(cartons, key=lambda carton: (carton.capacity_mm3, carton.carton_code))
    for carton in by_size:
        if _fits(carton, sides_mm, total_mm3, weight_g):
            return _parcel(order, carton, 1, weight_g)
    takers = [carton for carton in by_size if _fits(carton, sides_mm, 0, 0)]
    if not takers:
        return PackedParcel(order, OWN_CARTON, sum(line.quantity for line in lines), weight_g, longest, middle, shortest)
    largest = takers[-1]
    count = max(-(-total_mm3 // largest.capacity_mm3), -(-weight_g // largest.max_weight_g))
    return _parcel(order, largest, count, weight_g)


def _parcel(order: OrderRef, carton: Carton, count: int, weight_g: int) -> PackedParcel:
    return PackedParcel(order, carton.carton_code, count, weight_g + carton.tare_g * count, carton.length_mm, carton.width_mm, carton.height_mm)
