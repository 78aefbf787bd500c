"""Size tiers: which tier a packed unit falls into, and the weight it is charged for, in exact integers.

Published cards speak of inches and pounds or centimetres and kilograms; merchants give millimetres and grams. Limits are turned into whole
millimetres (rounded down, which changes no comparison) and weights into units of 1/1,600,000 g, in which pound, ounce and gram are whole.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from math import ceil, floor
from typing import Any, Final

from msgspec import Struct

from entrepot.base.errors import BrokenDeclarationError

GRAM: Final = 1_600_000
_LENGTH_MM: Final[Mapping[str, Fraction]] = {"in": Fraction("25.4"), "cm": Fraction(10)}
_WEIGHT: Final[Mapping[str, Fraction]] = {
    "g": Fraction(GRAM),
    "kg": Fraction(1000 * GRAM),
    "lb": Fraction("453.59237") * GRAM,
    "oz": Fraction("453.59237") * GRAM / 16,
}


class SizeClass(StrEnum):
    """The two classes that storage and removal cards know."""

    STANDARD = "standard"
    OVERSIZE = "oversize"


class WeightBasis(StrEnum):
    """Which weight a tier is charged by."""

    UNIT = "unit"
    GREATER = "greater"


class Tier(Struct, frozen=True):
    """One tier with its limits; None: no limit. Sides run from longest to shortest."""

    code: str
    size_class: SizeClass
    basis: WeightBasis
    sides_mm: tuple[int, ...] | None
    sum_of_sides_mm: int | None
    length_plus_girth_mm: int | None
    max_weight: int | None
    max_unit: int | None
    max_dimensional: int | None
    over_unit: int | None
    least_side_mm: Fraction


class Sized(Struct, frozen=True):
    """The tier of a unit and the weight it is charged for, in 1/1,600,000 g."""

    tier_code: str
    size_class: SizeClass
    charged_weight: int


@dataclass(frozen=True, slots=True)
class TierSet:
    """A dated set of tiers in the order in which they are tried; the first one whose every limit holds wins."""

    version: str
    tiers: tuple[Tier, ...]
    dimensional_factor: Fraction
    _sized: dict[tuple[int, int, int, int], Sized | None] = field(
        default_factory=dict[tuple[int, int, int, int], Sized | None], compare=False, repr=False
    )

    def size(self, length_mm: int, width_mm: int, height_mm: int, weight_g: int) -> Sized | None:
        """Return tier and charged weight of a packed unit, or None if no tier takes it."""
        key = (length_mm, width_mm, height_mm, weight_g)
        if key not in self._sized:
            self._sized[key] = self._size((length_mm, width_mm, height_mm), weight_g * GRAM)
        return self._sized[key]

    def _size(self, sides_mm: tuple[int, int, int], unit_weight: int) -> Sized | None:
        longest, median, shortest = sorted(sides_mm, reverse=True)
        for tier in self.tiers:
            sides = (longest, max(median, tier.least_side_mm), max(shortest, tier.least_side_mm))
            dimensional = ceil(sides[0] * sides[1] * sides[2] * self.dimensional_factor)
            charged = unit_weight if tier.basis is WeightBasis.UNIT else max(unit_weight, dimensional)
            if _fits(tier, (longest, median, shortest), unit_weight, dimensional, charged):
                return Sized(tier.code, tier.size_class, charged)
        return None


def _fits(tier: Tier, sides_mm: tuple[int, int, int], unit_weight: int, dimensional: int, charged: int) -> bool:
    limits = (
        (tier.max_weight, charged),
        (tier.max_unit, unit_weight),
        (tier.max_dimensional, dimensional),
        (tier.sum_of_sides_mm, sum(sides_mm)),
        (tier.length_plus_girth_mm, length_plus_girth_mm(*sides_mm)),
    )
    if any(limit is not None and value > limit for limit, value in limits):
        return False
    if tier.over_unit is not None and unit_weight <= tier.over_unit:
        return False
    return tier.sides_mm is None or all(side <= limit for side, limit in zip(sides_mm, tier.sides_mm, strict=False))


def length_plus_girth_mm(longest_mm: int, median_mm: int, shortest_mm: int) -> int:
    """Return the longest side plus twice the other two, in millimetres."""
    return longest_mm + 2 * (median_mm + shortest_mm)


def weight_of(text: str, unit: str) -> int:
    """Return a card's weight limit in 1/1,600,000 g, rounded down, which changes no comparison with whole grams."""
    return floor(Fraction(text) * _WEIGHT[unit])


def length_of_mm(text: str, unit: str) -> int:
    """Return a card's length limit in whole millimetres, rounded down, which changes no comparison with whole millimetres."""
    return floor(Fraction(text) * _LENGTH_MM[unit])


def tier_set_of(version: str, definition: Mapping[str, Any]) -> TierSet:
    """Compile the tiers of a card, or raise BrokenDeclarationError if it names an unknown unit."""
    length_unit, weight_unit = definition["length_unit"], definition["weight_unit"]
    if length_unit not in _LENGTH_MM or weight_unit not in _WEIGHT:
        raise BrokenDeclarationError(f"{version}.units", f"{length_unit}, {weight_unit}", "Use in or cm, and lb, oz, kg or g.")
    cube_mm3 = _LENGTH_MM[length_unit] ** 3
    factor = _WEIGHT[weight_unit] / (cube_mm3 * Fraction(definition["divisor"]))

    def length(row: Mapping[str, Any], name: str) -> int | None:
        return length_of_mm(row[name], length_unit) if name in row else None

    def weight(row: Mapping[str, Any], name: str) -> int | None:
        return weight_of(row[name], weight_unit) if name in row else None

    tiers = tuple(
        Tier(
            row["code"],
            SizeClass(row["size_class"]),
            WeightBasis(row["weight"]),
            tuple(length_of_mm(side, length_unit) for side in row["sides"]) if "sides" in row else _longest_only(row, length_unit),
            length(row, "sum_of_sides"),
            length(row, "length_plus_girth"),
            weight(row, "max_weight"),
            weight(row, "max_unit"),
            weight(row, "max_dimensional"),
            weight(row, "over_unit"),
            Fraction(row.get("least_side", "0")) * _LENGTH_MM[length_unit],
        )
        for row in definition["tiers"]
    )
    return TierSet(version, tiers, factor)


def _longest_only(row: Mapping[str, Any], length_unit: str) -> tuple[int, ...] | None:
    return (length_of_mm(row["longest"], length_unit),) if "longest" in row else None
