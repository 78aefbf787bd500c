"""How a card's definition becomes a rule: one small function per basis, compiled once, all in integers.

Every rule rounds half-up to minor units, once per line, after units are multiplied in.
"""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Final

from msgspec import Struct

from entrepot.base.errors import BrokenDeclarationError
from entrepot.settlement.fees import (
    NOTHING,
    Charged,
    ChargeRule,
    FeeCard,
    FeeInputs,
    ReadyCard,
    UnknownFeeBasisError,
    not_covered,
)
from entrepot.settlement.model import MILLION, divide_rounded
from entrepot.settlement.size_tiers import GRAM, Sized, length_of_mm, length_plus_girth_mm, weight_of

_VOLUME_MM3: Final[Mapping[str, Fraction]] = {
    "cubic_foot": Fraction("28316846.592"),
    "cubic_metre": Fraction(1_000_000_000),
    "litre": Fraction(1_000_000),
}


def ready_card(card: FeeCard) -> ReadyCard:
    """Compile a card, or raise UnknownFeeBasisError or BrokenDeclarationError naming it."""
    compiler = _COMPILERS.get(card.basis)
    if compiler is None:
        raise UnknownFeeBasisError(
            "basis", card.basis, "Use one of %(choices)s in card %(card)s.", choices=sorted(_COMPILERS), card=card.rule_version
        )
    try:
        return ReadyCard(card, compiler(card.definition))
    except (KeyError, ValueError) as fault:
        raise BrokenDeclarationError(f"{card.rule_version}.definition", str(fault), "Give the card every field of its basis.") from fault


def _millionths(percent: str) -> int:
    """Return a percentage in millionths; a card with more than four decimals is refused."""
    exact = Fraction(percent) * 10_000
    if exact.denominator != 1:
        raise ValueError(percent)
    return exact.numerator


def _price(definition: Mapping[str, Any]) -> Callable[[FeeInputs], int]:
    """Return the reader of the price a card looks at: with tax (gross) or without (net)."""
    readers: dict[str, Callable[[FeeInputs], int]] = {"gross": attrgetter("price_minor"), "net": attrgetter("price_net_minor")}
    return readers[definition["price"]]


# Referral -----------------------------------------------------------------------------------------------------------


class _Category(Struct, frozen=True):
    """Rates of one category: by portion of the price, or one rate for the whole price; limits in minor units per piece."""

    by_portion: bool
    steps: tuple[tuple[int | None, int], ...]
    minimum_minor: int
    portion_over_minor: int | None
    portion_millionths: int

    def charge_millionths(self, price_minor: int, units: int) -> int:
        """Return the exact fee of a line in millionths of a minor unit."""
        over = self.portion_over_minor
        if over is not None and price_minor > over * units:
            return over * units * self.portion_millionths + (price_minor - over * units) * self.steps[-1][1]
        fee = below = 0
        for limit, rate in self.steps:
            top = price_minor if limit is None else min(price_minor, limit * units)
            if self.by_portion:
                fee += (top - below) * rate
                below = top
            elif top == price_minor:
                return price_minor * rate
        return fee


def _category(row: Mapping[str, Any], minimum_minor: int) -> _Category:
    steps = tuple((limit, _millionths(percent)) for limit, percent in row["tiers"])
    apart: Mapping[str, Any] = row.get("above_by_portion", {})
    return _Category(
        {"portion": True, "whole_price": False}[row["mode"]],
        steps,
        row.get("minimum", minimum_minor),
        apart.get("over"),
        _millionths(apart.get("percent", "0")),
    )


def _percent(definition: Mapping[str, Any]) -> ChargeRule:
    """Percentage of the price by category, at least the minimum per piece; a category that is not listed takes the card's `otherwise`."""
    price_of = _price(definition)
    categories = {code: _category(row, definition["minimum"]) for code, row in definition["categories"].items()}
    otherwise = definition["otherwise"]
    other = categories[otherwise]

    def charge(inputs: FeeInputs, _base_minor: int, _sized: Sized | None) -> Charged:
        price, units, code = price_of(inputs), inputs.units, inputs.category_code
        category = categories.get(code)
        if category is None:
            category, code = other, otherwise
        exact = category.charge_millionths(price, units)
        fee = max(divide_rounded(exact, MILLION), category.minimum_minor * units)
        return Charged(fee, {"price_minor": price, "units": units, "category": code})

    return charge


def _percent_of_price(definition: Mapping[str, Any]) -> ChargeRule:
    price_of, rate = _price(definition), _millionths(definition["percent"])

    def charge(inputs: FeeInputs, _base_minor: int, _sized: Sized | None) -> Charged:
        price = price_of(inputs)
        return Charged(divide_rounded(price * rate, MILLION), {"price_minor": price})

    return charge


# Size and weight ----------------------------------------------------------------------------------------------------


class _WeightTable(Struct, frozen=True):
    """Prices by weight: bands up to a weight, then a base with steps; or one flat row. Columns are price bands or choices."""

    bands: tuple[tuple[int, tuple[int, ...]], ...]
    over: int
    up_to: int | None
    step: int
    per_step_minor: int
    base: tuple[int, ...] | None

    def unit_fee_minor(self, weight: int, column: int) -> int | None:
        """Return the fee of one unit, or None where the table ends."""
        for limit, prices in self.bands:
            if weight <= limit:
                return prices[column]
        if self.base is None or (self.up_to is not None and weight > self.up_to):
            return None
        steps = -(-max(0, weight - self.over) // self.step)
        return self.base[column] + steps * self.per_step_minor


def _weight_table(row: Mapping[str, Any], unit: str) -> _WeightTable:
    if "flat" in row:
        return _WeightTable((), 0, None, GRAM, 0, tuple(row["flat"]))
    bands = tuple((weight_of(limit, unit), tuple(prices)) for limit, prices in row.get("bands", ()))
    above: Mapping[str, Any] | None = row.get("above")
    if above is None:
        return _WeightTable(bands, 0, None, GRAM, 0, None)
    up_to = weight_of(above["up_to"], unit) if "up_to" in above else None
    return _WeightTable(bands, weight_of(above["over"], unit), up_to, weight_of(above["step"], unit), above["per_step"], tuple(above["base"]))


Column = Callable[[FeeInputs], tuple[int, str] | None]
"""Finds the column of a table and its name; None: the choice is free of charge."""


def _price_band(definition: Mapping[str, Any]) -> Column:
    """Return the finder of the price band: the first whose bound holds for the price of one piece."""
    price_of = _price(definition)
    bands: Sequence[Mapping[str, Any]] = definition["price_bands"]
    bounds = [(band["code"], *_bound(band), _exception(band)) for band in bands]

    def column(inputs: FeeInputs) -> tuple[int, str] | None:
        price, units = price_of(inputs), inputs.units
        for index, (code, limit, inclusive, exception) in enumerate(bounds):
            top = exception.get(inputs.category_code, limit)
            if top is None or price < top * units or (inclusive and price == top * units):
                return index, code
        return len(bounds) - 1, bounds[-1][0]

    return column


def _bound(band: Mapping[str, Any]) -> tuple[int | None, bool]:
    return (band["below"], False) if "below" in band else (band.get("up_to"), True)


def _exception(band: Mapping[str, Any]) -> dict[str, int]:
    exception: Mapping[str, Any] = band.get("except", {"categories": ()})
    return {code: int(exception["up_to"]) for code in exception["categories"]}


def _choice(definition: Mapping[str, Any]) -> Column:
    choices: Sequence[str] = definition["choices"]
    free = frozenset(definition.get("free_choices", ()))

    def column(inputs: FeeInputs) -> tuple[int, str] | None:
        chosen = inputs.placement_option
        return None if chosen in free else (choices.index(chosen) if chosen in choices else 0, chosen)

    return column


def _only_column(_inputs: FeeInputs) -> tuple[int, str] | None:
    return 0, "any"


def _size_tier(definition: Mapping[str, Any]) -> ChargeRule:
    """Fee per unit by size tier (or size class), charged weight, and price band or placement choice."""
    unit = definition["weight_unit"]
    tables = {tier: _weight_table(row, unit) for tier, row in definition["tiers"].items()}
    by_class = definition.get("by") == "size_class"
    free_tiers = frozenset(definition.get("free_tiers", ()))
    column_of: Column = _price_band(definition) if "price_bands" in definition else _choice(definition) if "choices" in definition else _only_column
    known: dict[tuple[str, int, int], int | None] = {}

    def charge(inputs: FeeInputs, _base_minor: int, sized: Sized | None) -> Charged:
        column = column_of(inputs)
        if column is None or (sized is not None and sized.tier_code in free_tiers):
            return NOTHING
        if sized is None:
            return not_covered("size tier")
        tier = sized.size_class if by_class else sized.tier_code
        key = (tier, sized.charged_weight, column[0])
        if key not in known:
            known[key] = tables[tier].unit_fee_minor(sized.charged_weight, column[0]) if tier in tables else None
        unit_fee = known[key]
        if unit_fee is None:
            return not_covered(f"{tier} at {-(-sized.charged_weight // GRAM)} g")
        inputs_used: dict[str, object] = {
            "tier": tier, "weight_g": -(-sized.charged_weight // GRAM), "band": column[1], "unit_minor": unit_fee, "units": inputs.units,
        }  # fmt: skip
        return Charged(unit_fee * inputs.units, inputs_used)

    return charge


def _outbound(definition: Mapping[str, Any]) -> ChargeRule:
    """Fee per unit that falls with the number of units in the order and rises with speed and weight."""
    unit = definition["weight_unit"]
    counts: Sequence[int] = definition["units"]
    per_unit: Sequence[int] = definition["per_unit"]
    speeds = {code: int(percent) for code, percent in definition["speeds"].items()}
    over, step, per_step = weight_of(definition["over"], unit), weight_of(definition["step"], unit), definition["per_step"]

    def charge(inputs: FeeInputs, _base_minor: int, sized: Sized | None) -> Charged:
        speed = speeds.get(inputs.speed_code)
        if speed is None or sized is None:
            return not_covered(f"speed {inputs.speed_code}" if sized else "size tier")
        column = sum(1 for count in counts if count <= max(1, inputs.order_units)) - 1
        steps = -(-max(0, sized.charged_weight - over) // step)
        unit_fee = divide_rounded((per_unit[column] + steps * per_step) * speed, 100)
        inputs_used: dict[str, object] = {
            "weight_g": -(-sized.charged_weight // GRAM), "speed": inputs.speed_code, "order_units": inputs.order_units, "unit_minor": unit_fee,
            "units": inputs.units,
        }  # fmt: skip
        return Charged(unit_fee * inputs.units, inputs_used)

    return charge


def _weight_step(definition: Mapping[str, Any]) -> ChargeRule:
    """Fee per parcel by its weight: a first step, then a price for each further one begun; charged on the first line of the order."""
    unit = definition["weight_unit"]
    first, step = weight_of(definition["first"], unit), weight_of(definition["step"], unit)

    def charge(inputs: FeeInputs, _base_minor: int, _sized: Sized | None) -> Charged:
        if not inputs.is_first_of_order:
            return NOTHING
        weight_g = inputs.parcel_weight_g or inputs.unit_weight_g * inputs.units
        steps = -(-max(0, weight_g * GRAM - first) // step)
        return Charged(definition["first_minor"] + steps * definition["per_step"], {"parcel_weight_g": weight_g})

    return charge


# Add-ons ------------------------------------------------------------------------------------------------------------


def _share_of_fee(definition: Mapping[str, Any]) -> ChargeRule:
    rate = _millionths(definition["percent"])

    def charge(_inputs: FeeInputs, base_minor: int, _sized: Sized | None) -> Charged:
        return Charged(divide_rounded(base_minor * rate, MILLION), {"fee_minor": base_minor})

    return charge


def _overmax(definition: Mapping[str, Any]) -> ChargeRule:
    unit = definition["length_unit"]
    longest_mm, girth_mm = length_of_mm(definition["longest_over"], unit), length_of_mm(definition["length_plus_girth_over"], unit)
    per_tier: Mapping[str, int] = definition["tiers"]

    def charge(inputs: FeeInputs, _base_minor: int, sized: Sized | None) -> Charged:
        sides = sorted((inputs.length_mm, inputs.width_mm, inputs.height_mm), reverse=True)
        if sized is None or sized.tier_code not in per_tier or (sides[0] <= longest_mm and length_plus_girth_mm(*sides) <= girth_mm):
            return NOTHING
        return Charged(per_tier[sized.tier_code] * inputs.units, {"tier": sized.tier_code, "sides_mm": sides, "units": inputs.units})

    return charge


def _lithium(definition: Mapping[str, Any]) -> ChargeRule:
    def charge(inputs: FeeInputs, _base_minor: int, _sized: Sized | None) -> Charged:
        return Charged(definition["per_unit"] * inputs.units, {"units": inputs.units}) if inputs.has_lithium_battery else NOTHING

    return charge


# Stock --------------------------------------------------------------------------------------------------------------


def _storage(definition: Mapping[str, Any]) -> ChargeRule:
    """Fee per volume and month on the daily average volume; late months have their own column."""
    cube = _VOLUME_MM3[definition["volume_unit"]]
    late = frozenset(definition["late_months"])
    common = {size: tuple(Fraction(rate) for rate in rates) for size, rates in definition["rates"].items()}
    apart: Mapping[str, Any] = definition.get("categories", {"names": (), "rates": {}})
    special = {size: tuple(Fraction(rate) for rate in rates) for size, rates in apart["rates"].items()}
    names = frozenset(apart["names"])

    def charge(inputs: FeeInputs, _base_minor: int, sized: Sized | None) -> Charged:
        if inputs.volume_mm3 == 0:
            return NOTHING
        if sized is None:
            return not_covered("size tier")
        rates = (special if inputs.category_code in names else common)[sized.size_class]
        rate = rates[-1] if inputs.on.month in late else rates[0]
        exact = inputs.volume_mm3 * rate / cube
        fee = divide_rounded(exact.numerator, exact.denominator)
        return Charged(fee, {"volume_mm3": inputs.volume_mm3, "size_class": sized.size_class, "month": inputs.on.isoformat()[:7]})

    return charge


def _aged(definition: Mapping[str, Any]) -> ChargeRule:
    """Surcharge by age band on the volume, or per unit where that is greater."""
    cube = _VOLUME_MM3[definition["volume_unit"]]
    bands = [(first, last, Fraction(volume), Fraction(unit or 0)) for first, last, volume, unit in definition["bands"]]
    exempt: Mapping[str, Any] = definition.get("exempt_categories", {"up_to_days": 0, "categories": ()})

    def charge(inputs: FeeInputs, _base_minor: int, _sized: Sized | None) -> Charged:
        age = inputs.age_days
        if age <= exempt["up_to_days"] and inputs.category_code in exempt["categories"]:
            return NOTHING
        for first, last, per_volume, per_unit in bands:
            if first <= age and (last is None or age <= last):
                exact = max(inputs.volume_mm3 * per_volume / cube, inputs.units * per_unit)
                fee = divide_rounded(exact.numerator, exact.denominator)
                return Charged(fee, {"volume_mm3": inputs.volume_mm3, "age_days": age, "units": inputs.units})
        return NOTHING

    return charge


def _cover_band(definition: Mapping[str, Any], cover_days: int | None) -> int | None:
    """Return the band of days of supply (lower bound inclusive), or None if supply is unknown or enough."""
    if cover_days is None or cover_days >= definition["below_days"]:
        return None
    return next(index for index, bound in enumerate(definition["bands"]) if cover_days < bound)


def _low_inventory(definition: Mapping[str, Any]) -> ChargeRule:
    unit = definition["weight_unit"]
    tiers = {code: [(weight_of(limit, unit), tuple(prices)) for limit, prices in rows] for code, rows in definition["tiers"].items()}

    def charge(inputs: FeeInputs, _base_minor: int, sized: Sized | None) -> Charged:
        band = _cover_band(definition, inputs.cover_days)
        if band is None:
            return NOTHING
        rows = tiers.get(sized.tier_code, []) if sized else []
        prices = next((prices for limit, prices in rows if sized and sized.charged_weight <= limit), None)
        if sized is None or prices is None:
            return not_covered(sized.tier_code if sized else "size tier")
        return Charged(prices[band] * inputs.units, {"tier": sized.tier_code, "cover_days": inputs.cover_days, "units": inputs.units})

    return charge


def _low_inventory_flat(definition: Mapping[str, Any]) -> ChargeRule:
    def charge(inputs: FeeInputs, _base_minor: int, _sized: Sized | None) -> Charged:
        band = _cover_band(definition, inputs.cover_days)
        if band is None:
            return NOTHING
        return Charged(definition["per_unit"][band] * inputs.units, {"cover_days": inputs.cover_days, "units": inputs.units})

    return charge


# Simple counts and amounts ------------------------------------------------------------------------------------------


def _per_item(definition: Mapping[str, Any]) -> ChargeRule:
    """Fixed fee per piece, for the card's categories if it names any, unless the placement choice is free."""
    categories = frozenset(definition.get("categories", ()))
    free = frozenset(definition.get("free_choices", ()))

    def charge(inputs: FeeInputs, _base_minor: int, _sized: Sized | None) -> Charged:
        if (categories and inputs.category_code not in categories) or inputs.placement_option in free:
            return NOTHING
        used: dict[str, object] = {"units": inputs.units}
        return Charged(definition["per_unit"] * inputs.units, {**used, "category": inputs.category_code} if categories else used)

    return charge


def _per_order(definition: Mapping[str, Any]) -> ChargeRule:
    def charge(inputs: FeeInputs, _base_minor: int, _sized: Sized | None) -> Charged:
        return Charged(definition["per_order"], {"orders": 1}) if inputs.is_first_of_order else NOTHING

    return charge


def _per_carton(definition: Mapping[str, Any]) -> ChargeRule:
    def charge(inputs: FeeInputs, _base_minor: int, _sized: Sized | None) -> Charged:
        return Charged(definition["per_carton"] * inputs.carton_count, {"cartons": inputs.carton_count}) if inputs.carton_count else NOTHING

    return charge


def _per_contact(definition: Mapping[str, Any]) -> ChargeRule:
    def charge(inputs: FeeInputs, _base_minor: int, _sized: Sized | None) -> Charged:
        return Charged(definition["per_contact"] * inputs.contact_count, {"contacts": inputs.contact_count}) if inputs.contact_count else NOTHING

    return charge


def _pass_through(definition: Mapping[str, Any]) -> ChargeRule:
    """What somebody else charges us, handed on with the card's margin (0 where the margin is a line of its own)."""
    rate = _millionths(definition["percent"])

    def charge(inputs: FeeInputs, _base_minor: int, _sized: Sized | None) -> Charged:
        cost = inputs.cost_minor
        return Charged(cost + divide_rounded(cost * rate, MILLION), {"cost_minor": cost}) if cost else NOTHING

    return charge


def _exchange_spread(definition: Mapping[str, Any]) -> ChargeRule:
    rate = _millionths(definition["percent"])

    def charge(inputs: FeeInputs, _base_minor: int, _sized: Sized | None) -> Charged:
        converted = inputs.converted_minor
        return Charged(divide_rounded(converted * rate, MILLION), {"converted_minor": converted}) if converted else NOTHING

    return charge


def _refund_share(definition: Mapping[str, Any]) -> ChargeRule:
    """Share of the referral fee that is given back, at most the card's amount."""
    rate, most = _millionths(definition["percent"]), definition["most"]

    def charge(inputs: FeeInputs, _base_minor: int, _sized: Sized | None) -> Charged:
        refunded = inputs.refunded_referral_minor
        if refunded == 0:
            return NOTHING
        return Charged(min(most, divide_rounded(refunded * rate, MILLION)), {"refunded_referral_minor": refunded})

    return charge


def _plan(definition: Mapping[str, Any]) -> ChargeRule:
    """Selling plan at the end of a month: a fixed price, or a price per item sold in it (`units`)."""

    def charge(inputs: FeeInputs, _base_minor: int, _sized: Sized | None) -> Charged:
        if inputs.plan_code == "professional":
            return Charged(definition["professional_month"], {"plan": "professional", "month": inputs.on.isoformat()[:7]})
        return Charged(definition["individual_item"] * inputs.units, {"plan": inputs.plan_code, "units": inputs.units})

    return charge


_COMPILERS: Final[Mapping[str, Callable[[Mapping[str, Any]], ChargeRule]]] = MappingProxyType(
    {
        "percent": _percent,
        "percent_of_price": _percent_of_price,
        "size_tier": _size_tier,
        "outbound": _outbound,
        "weight_step": _weight_step,
        "share_of_fee": _share_of_fee,
        "overmax": _overmax,
        "lithium": _lithium,
        "volume_month": _storage,
        "aged": _aged,
        "low_inventory": _low_inventory,
        "low_inventory_flat": _low_inventory_flat,
        "per_item": _per_item,
        "per_order": _per_order,
        "per_carton": _per_carton,
        "per_contact": _per_contact,
        "pass_through": _pass_through,
        "exchange_spread": _exchange_spread,
        "refund_share": _refund_share,
        "plan": _plan,
    }
)
