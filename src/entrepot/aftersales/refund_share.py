"""How much goes back: an exact share of what was charged, so that any number of partial refunds sums to the charge and never above it.

Each component is shared by units: after k of n units the buyer has got back round_half_up(charged * k / n), and a refund is the
difference of two such sums. The last unit therefore brings exactly the rest. What was given back without units (goodwill, price) counts against
what is left, so later units bring less and never more than was charged.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final

from msgspec import Struct

from entrepot.aftersales.model import Amounts, RefundExceedsChargeError, RefundLine
from entrepot.base.quantity import QuantityNotPositiveError

NOTHING: Final = Amounts()


class FreightRule(StrEnum):
    """When carriage and its insurance go back."""

    NEVER = "never"
    WITH_THE_LAST_UNIT = "with_the_last_unit"
    BY_UNITS = "by_units"


class LeviesRule(StrEnum):
    """Whether tax and duty go back with the goods: not where an office keeps what it got."""

    WITH_THE_GOODS = "with_the_goods"
    KEPT_BY_THE_OFFICE = "kept_by_the_office"


class ChargedLine(Struct, frozen=True):
    """What was charged for a line, and what has gone back so far."""

    line_no: int
    quantity: int
    charged: Amounts
    refunded_quantity: int = 0
    refunded: Amounts = NOTHING


def share_minor(charged_minor: int, units: int, quantity: int) -> int:
    """Return the share of `units` out of `quantity` in a charge, rounded half up, exact for none and for all."""
    return (2 * charged_minor * units + quantity) // (2 * quantity)


def step_minor(charged_minor: int, refunded_minor: int, before: int, after: int, quantity: int) -> int:
    """Return what the units between `before` and `after` bring, at most what is left of the charge."""
    step = share_minor(charged_minor, after, quantity) - share_minor(charged_minor, before, quantity)
    return min(step, charged_minor - refunded_minor)


def unit_share(line: ChargedLine, units: int, freight_rule: FreightRule, levies_rule: LeviesRule) -> Amounts:
    """Return what `units` more units of a line bring by component; carriage only if it goes by units."""
    after = line.refunded_quantity + units
    if units <= 0:
        raise QuantityNotPositiveError(f"refund.line.{line.line_no}", units, "Give a whole number of at least 1.")
    if after > line.quantity:
        raise RefundExceedsChargeError(
            f"refund.line.{line.line_no}", units, "%(units)s units are left to refund.", units=line.quantity - line.refunded_quantity
        )

    def step(charged_minor: int, refunded_minor: int) -> int:
        return step_minor(charged_minor, refunded_minor, line.refunded_quantity, after, line.quantity)

    charged, refunded = line.charged, line.refunded
    carries, levies = freight_rule is FreightRule.BY_UNITS, levies_rule is LeviesRule.WITH_THE_GOODS
    # Net and discount are shared and goods is their sum: sharing goods and discount apart could round a step below zero. So with tax.
    net_minor = step(charged.goods_minor - charged.discount_minor, refunded.goods_minor - refunded.discount_minor)
    discount_minor = step(charged.discount_minor, refunded.discount_minor)
    inside_minor = step(charged.tax_minor - charged.tax_on_top_minor, refunded.tax_minor - refunded.tax_on_top_minor)
    on_top_minor = step(charged.tax_on_top_minor, refunded.tax_on_top_minor)
    return Amounts(
        goods_minor=net_minor + discount_minor,
        discount_minor=discount_minor,
        freight_minor=step(charged.freight_minor, refunded.freight_minor) if carries else 0,
        insurance_minor=step(charged.insurance_minor, refunded.insurance_minor) if carries else 0,
        tax_minor=inside_minor + on_top_minor if levies else 0,
        tax_on_top_minor=on_top_minor if levies else 0,
        duty_minor=step(charged.duty_minor, refunded.duty_minor) if levies else 0,
    )


def refund_units(
    lines: Sequence[ChargedLine],
    units: Mapping[int, int],
    freight_rule: FreightRule = FreightRule.WITH_THE_LAST_UNIT,
    levies_rule: LeviesRule = LeviesRule.WITH_THE_GOODS,
) -> tuple[RefundLine, ...]:
    """Return the refund of so many units by line number; `lines` are all lines of the order, since carriage may wait for the last unit.

    With the last unit of the order, carriage of every line goes back, also of lines that were refunded before (as lines without units).
    """
    unknown = units.keys() - {line.line_no for line in lines}
    if unknown:
        raise RefundExceedsChargeError("refund.line_no", sorted(unknown), "Name lines of this order.")
    brought = {line.line_no: unit_share(line, units[line.line_no], freight_rule, levies_rule) for line in lines if line.line_no in units}
    is_whole = all(line.refunded_quantity + units.get(line.line_no, 0) == line.quantity for line in lines)
    if is_whole and freight_rule is FreightRule.WITH_THE_LAST_UNIT:
        for line in lines:
            brought[line.line_no] = brought.get(line.line_no, NOTHING) + _carriage_left(line)
    return tuple(
        RefundLine(line_no, units.get(line_no, 0), amounts) for line_no, amounts in sorted(brought.items()) if line_no in units or amounts != NOTHING
    )


def refund_amount(line: ChargedLine, goods_minor: int) -> RefundLine:
    """Return a refund of money without units (goodwill or a price difference), taken from the goods; more than is left is refused."""
    left = line.charged.goods_minor - line.charged.discount_minor - line.refunded.goods_minor + line.refunded.discount_minor
    if goods_minor <= 0 or goods_minor > left:
        raise RefundExceedsChargeError(f"refund.line.{line.line_no}", goods_minor, "Give 1 to %(most)s minor units back.", most=left)
    return RefundLine(line.line_no, 0, Amounts(goods_minor=goods_minor))


def _carriage_left(line: ChargedLine) -> Amounts:
    return Amounts(
        freight_minor=line.charged.freight_minor - line.refunded.freight_minor,
        insurance_minor=line.charged.insurance_minor - line.refunded.insurance_minor,
    )
