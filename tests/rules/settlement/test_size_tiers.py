from datetime import date

import pytest
from tests.factories.settlement import FEE_BOOK, OFF_PEAK

from entrepot.base.errors import BrokenDeclarationError
from entrepot.settlement.size_tiers import GRAM, tier_set_of

US = FEE_BOOK.tier_set_for("US", OFF_PEAK)
US_2025 = FEE_BOOK.tier_set_for("US", date(2025, 6, 1))
DE = FEE_BOOK.tier_set_for("DE", OFF_PEAK)
JP = FEE_BOOK.tier_set_for("JP", OFF_PEAK)


@pytest.mark.parametrize(
    ("tiers", "sides", "weight_g", "code"),
    [
        # limits hold: 16 oz = 453.59 g, 0.75 in = 19.05 mm, 15 in = 381 mm
        (US, (381, 304, 19), 453, "small_standard"),
        (US, (381, 304, 19), 454, "large_standard"),
        (US, (381, 304, 20), 453, "large_standard"),
        (US, (382, 304, 19), 453, "large_standard"),
        (US, (19, 381, 304), 453, "small_standard"),
        (US, (457, 355, 203), 9071, "large_standard"),
        (US, (457, 355, 203), 9072, "small_bulky"),
        (US_2025, (457, 355, 203), 9072, "large_bulky"),
        (US, (458, 355, 203), 5000, "small_bulky"),
        (US, (939, 400, 200), 20_000, "small_bulky"),
        (US, (940, 400, 200), 20_000, "large_bulky"),
        # length + girth 130 in = 3302 mm
        (US, (1498, 838, 64), 15_000, "large_bulky"),
        (US, (1498, 838, 65), 15_000, "extra_large_0_50"),
        (US, (1400, 700, 251), 20_000, "extra_large_70_150"),
        (US, (1498, 500, 402), 20_000, "extra_large_70_150"),
        (US, (1498, 500, 100), 20_000, "large_bulky"),
        (US, (1499, 500, 100), 20_000, "extra_large_0_50"),
        (US, (500, 400, 300), 31_000, "extra_large_50_70"),
        (US, (500, 400, 300), 60_000, "extra_large_70_150"),
        (US, (500, 400, 300), 70_000, "extra_large_150_plus"),
        # Europe counts in kilograms and centimetres
        (DE, (330, 230, 25), 100, "light_envelope"),
        (DE, (330, 230, 25), 101, "standard_envelope"),
        (DE, (330, 230, 26), 100, "large_envelope"),
        (DE, (330, 230, 41), 100, "extra_large_envelope"),
        (DE, (330, 230, 61), 100, "small_parcel"),
        (DE, (350, 250, 120), 3900, "small_parcel"),
        (DE, (350, 250, 120), 3901, "standard_parcel"),
        (DE, (450, 340, 260), 11_900, "standard_parcel"),
        (DE, (450, 340, 260), 11_901, "standard_oversize_light"),
        (DE, (451, 340, 260), 1760, "small_oversize"),
        (DE, (1010, 600, 600), 15_000, "standard_oversize_light"),
        (DE, (1010, 600, 600), 15_001, "standard_oversize_heavy"),
        (DE, (1200, 600, 600), 23_000, "standard_oversize_large"),
        (DE, (1201, 600, 599), 23_000, "bulky_oversize"),
        (DE, (1201, 600, 599), 23_001, "heavy_oversize"),
        (DE, (1201, 600, 599), 31_501, "special_oversize"),
        (DE, (1201, 600, 600), 20_000, "special_oversize"),
        (DE, (1751, 300, 300), 5000, "special_oversize"),
        # Japan: boxes and sums of sides
        (JP, (250, 180, 20), 250, "small"),
        (JP, (250, 180, 20), 251, "standard_1"),
        (JP, (200, 200, 200), 1900, "standard_6"),
        (JP, (400, 300, 300), 9000, "standard_8"),
        (JP, (400, 300, 300), 9001, "oversize_3"),
        (JP, (1000, 800, 800), 45_000, "extra_large_4"),
    ],
)
def test_tiers(tiers, sides, weight_g, code):
    sized = tiers.size(*sides, weight_g)

    assert sized is not None
    assert sized.tier_code == code


def test_nothing_takes_what_is_too_large():
    assert JP.size(1000, 1000, 1000, 1000) is None


@pytest.mark.parametrize(
    ("sides", "weight_g", "grams"),
    [
        # small standard: the unit's weight; large standard: 254 x 254 x 203 mm = 799.2 in3 / 139 = 5.75 lb
        ((254, 254, 19), 300, 300),
        ((254, 254, 203), 300, 2609),
        # bulky: the shortest sides count as 2 in
        ((800, 10, 10), 300, 412),
        ((500, 400, 300), 70_000, 70_000),
    ],
)
def test_charged_weight_is_the_greater_one(sides, weight_g, grams):
    assert -(-US.size(*sides, weight_g).charged_weight // GRAM) == grams


def test_an_unknown_unit_is_refused():
    with pytest.raises(BrokenDeclarationError) as refused:
        tier_set_of("x", {"length_unit": "ft", "weight_unit": "lb", "divisor": "1", "tiers": []})

    assert refused.value.field == "x.units"
