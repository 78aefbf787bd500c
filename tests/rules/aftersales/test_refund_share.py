"""Refunds in any number of parts give back exactly what was charged, never more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.aftersales.model import Amounts, RefundExceedsChargeError, RefundLine
from entrepot.aftersales.refund_share import ChargedLine, FreightRule, LeviesRule, refund_amount, refund_units, share_minor
from entrepot.base.quantity import QuantityNotPositiveError

CHARGED = Amounts(goods_minor=1000, discount_minor=100, freight_minor=400, insurance_minor=7, tax_minor=150, tax_on_top_minor=72, duty_minor=31)


def after(line: ChargedLine, brought: RefundLine) -> ChargedLine:
    return ChargedLine(line.line_no, line.quantity, line.charged, line.refunded_quantity + brought.quantity, line.refunded + brought.amounts)


@pytest.mark.parametrize(
    ("charged", "units", "quantity", "share"),
    [(100, 0, 3, 0), (100, 1, 3, 33), (100, 2, 3, 67), (100, 3, 3, 100), (1, 1, 2, 1), (0, 1, 2, 0), (5, 1, 2, 3)],
)
def test_share(charged, units, quantity, share):
    assert share_minor(charged, units, quantity) == share


def test_a_part_then_the_rest():
    line = ChargedLine(1, 3, CHARGED)
    (first,) = refund_units([line], {1: 1})
    assert first == RefundLine(1, 1, Amounts(goods_minor=333, discount_minor=33, tax_minor=50, tax_on_top_minor=24, duty_minor=10))
    (rest,) = refund_units([after(line, first)], {1: 2})
    assert rest.amounts.freight_minor == 400
    assert first.amounts + rest.amounts == CHARGED


def test_carriage_waits_for_the_last_unit_of_the_order_or_goes_by_units_or_never():
    first, second = ChargedLine(1, 1, CHARGED), ChargedLine(2, 2, CHARGED)
    (one,) = refund_units([first, second], {1: 1})
    assert one.amounts.freight_minor == 0
    rest = refund_units([after(first, one), second], {2: 2})
    assert [(line.line_no, line.quantity, line.amounts.freight_minor, line.amounts.insurance_minor) for line in rest] == [
        (1, 0, 400, 7),
        (2, 2, 400, 7),
    ]
    (by_units,) = refund_units([second], {2: 1}, FreightRule.BY_UNITS)
    assert (by_units.amounts.freight_minor, by_units.amounts.insurance_minor) == (200, 4)
    (never,) = refund_units([first], {1: 1}, FreightRule.NEVER)
    assert (never.amounts.freight_minor, never.amounts.insurance_minor) == (0, 0)


def test_levies_may_stay_with_the_office():
    (kept,) = refund_units([ChargedLine(1, 1, CHARGED)], {1: 1}, FreightRule.NEVER, LeviesRule.KEPT_BY_THE_OFFICE)
    assert kept.amounts == Amounts(goods_minor=1000, discount_minor=100)
    assert kept.amounts.total_minor == 900


def test_goodwill_counts_against_what_is_left():
    line = ChargedLine(1, 2, Amounts(goods_minor=1000, discount_minor=500))
    goodwill = refund_amount(line, 500)
    line = after(line, goodwill)
    (one,) = refund_units([line], {1: 1})
    (two,) = refund_units([after(line, one)], {1: 1})
    assert (one.amounts.total_minor, two.amounts.total_minor) == (0, 0)
    assert goodwill.amounts + one.amounts + two.amounts == line.charged


@pytest.mark.parametrize(
    ("error", "call"),
    [
        (RefundExceedsChargeError, lambda line: refund_units([line], {1: 4})),
        (RefundExceedsChargeError, lambda line: refund_units([line], {2: 1})),
        (QuantityNotPositiveError, lambda line: refund_units([line], {1: 0})),
        (QuantityNotPositiveError, lambda line: refund_units([line], {1: -1})),
        (RefundExceedsChargeError, lambda line: refund_amount(line, 0)),
        (RefundExceedsChargeError, lambda line: refund_amount(line, 901)),
    ],
)
def test_more_than_was_charged_is_refused(error, call):
    with pytest.raises(error):
        call(ChargedLine(1, 3, CHARGED))


@st.composite
def charges(draw):
    goods, tax = draw(st.integers(0, 10**7)), draw(st.integers(0, 10**6))
    return Amounts(
        goods_minor=goods,
        discount_minor=draw(st.integers(0, goods)),
        freight_minor=draw(st.integers(0, 10**5)),
        insurance_minor=draw(st.integers(0, 99)),
        tax_minor=tax,
        tax_on_top_minor=draw(st.integers(0, tax)),
        duty_minor=draw(st.integers(0, 10**5)),
    )


@given(
    charges(), st.lists(st.integers(1, 7), min_size=1, max_size=9), st.sampled_from([FreightRule.BY_UNITS, FreightRule.WITH_THE_LAST_UNIT]), st.data()
)
def test_any_parts_sum_to_the_charge(charged, parts, freight_rule, data):
    line = start = ChargedLine(1, sum(parts), charged)
    for units in parts:
        net_left = line.charged.goods_minor - line.charged.discount_minor - line.refunded.goods_minor + line.refunded.discount_minor
        if net_left and data.draw(st.booleans()):
            line = after(line, refund_amount(line, data.draw(st.integers(1, net_left))))
        (brought,) = refund_units([line], {1: units}, freight_rule)
        amounts = brought.amounts
        assert min(amounts.goods_minor, amounts.discount_minor, amounts.freight_minor, amounts.tax_on_top_minor, amounts.duty_minor) >= 0
        assert amounts.tax_minor >= amounts.tax_on_top_minor
        assert amounts.total_minor >= 0
        line = after(line, brought)
        assert line.refunded.total_minor <= start.charged.total_minor
    assert line.refunded == charged
