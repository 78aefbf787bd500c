from datetime import date
from decimal import Decimal

import pytest
from msgspec.structs import replace
from tests.factories.customs import BOOK, ON, cbec_ask, goods

from entrepot.customs.cbec import (
    BONDED,
    BONDED_A,
    CbecOrderOverLimitError,
    CbecOutcome,
    CbecYearOverLimitError,
    ContentUnknownError,
    NotOnCbecListError,
    assess_cbec,
    full_tax,
    is_return_accepted,
    require_cbec_allowed,
    returned_value_minor,
    within_tax,
)
from entrepot.customs.goods import NoRuleOnDateError
from entrepot.customs.rules import Confidence, cbec_limit_on

D = Decimal


@pytest.mark.parametrize(
    ("price", "vat", "ct", "tax"),
    [
        ("48000", "0.13", "0", "4368"),
        ("20000", "0.13", "0", "1820"),
        ("30000", "0.09", "0", "1890"),
        ("90000", "0.13", "0.10", "16100"),
        ("10000", "0.17", "0", "1190"),
    ],
)
def test_formula_within_limits(price, vat, ct, tax):
    assert within_tax(D(price), D(vat), D(ct), D("0.70")) == D(tax)


def test_formula_over_the_order_limit():
    assert full_tax(D(800_000), D("0.13"), D(0), D("0.06")) == D(158_240)


@pytest.mark.parametrize(
    ("hs", "goods_minor", "discount", "freight", "insurance", "value", "tax"),
    [
        ("210690", 48_000, 0, 0, 0, 48_000, 4_368),
        ("150920", 28_000, 0, 2_000, 0, 30_000, 1_890),
        ("220421", 90_000, 0, 0, 0, 90_000, 16_100),
        ("210690", 50_000, 5_000, 2_500, 500, 48_000, 4_368),
        ("210690", 1, 0, 0, 0, 1, 0),
        ("210690", 5, 0, 0, 0, 5, 0),
        ("210690", 6, 0, 0, 0, 6, 1),
        ("210690", 500_000, 0, 0, 0, 500_000, 45_500),
    ],
)
def test_within_limits(hs, goods_minor, discount, freight, insurance, value, tax):
    line = goods(goods_minor, hs_code=hs, discount=discount, freight=freight, insurance=insurance)
    result = assess_cbec(BOOK, cbec_ask(line))
    assert (result.outcome, result.value_minor, result.tax_minor) == (CbecOutcome.WITHIN, value, tax)
    assert result.lines[0].duty_minor == 0
    assert result.confidence is Confidence.DEMO


def test_rates_per_line_and_rounding_per_line():
    result = assess_cbec(BOOK, cbec_ask(goods(1_005, 1, "210690"), goods(1_005, 2, "150920"), goods(3_333, 3, "220421")))
    assert [line.tax_minor for line in result.lines] == [91, 63, 596]
    assert [line.consumption_tax_minor for line in result.lines] == [0, 0, 259]
    assert result.tax_minor == 750
    assert result.lines[2].rule_version == "CN.cbec.2019+CN.220421.demo"


@pytest.mark.parametrize(
    ("minor", "content", "unit", "quantity", "consumption_rate_applies"),
    [
        (49_999, "50", "ml", 1, False),
        (50_000, "50", "ml", 1, True),
        (20_000, "50", "ml", 1, False),
        (100_000, "50", "ml", 2, True),
        (99_999, "50", "ml", 2, False),
        (7_499, "5", "piece", 1, False),
        (7_500, "5", "piece", 1, True),
    ],
)
def test_high_end_cosmetics(minor, content, unit, quantity, consumption_rate_applies):
    line = replace(goods(minor, hs_code="330499", quantity=quantity), content=D(content), content_unit=unit)
    result = assess_cbec(BOOK, cbec_ask(line))
    expected = D(minor) * (D("0.28") / D("0.85") if consumption_rate_applies else D("0.13")) * D("0.7")
    assert result.tax_minor == int(expected.quantize(D(1), "ROUND_HALF_UP"))
    assert (result.lines[0].consumption_tax_minor > 0) is consumption_rate_applies


@pytest.mark.parametrize(
    ("lines", "taken", "outcome"),
    [
        ((goods(500_000, hs_code="420222"),), 0, CbecOutcome.WITHIN),
        ((goods(500_001, hs_code="420222"),), 0, CbecOutcome.FULL_TAX),
        ((goods(500_000, hs_code="420222", freight=1),), 0, CbecOutcome.FULL_TAX),
        ((goods(500_001, hs_code="420222", discount=1),), 0, CbecOutcome.WITHIN),
        ((goods(500_001, hs_code="420222", quantity=2),), 0, CbecOutcome.SPLIT),
        ((goods(500_000, hs_code="420222", quantity=2),), 0, CbecOutcome.WITHIN),
        ((goods(260_000, 1, "420222"), goods(260_000, 2, "420222")), 0, CbecOutcome.SPLIT),
        ((goods(250_000, 1, "420222"), goods(250_000, 2, "420222")), 0, CbecOutcome.WITHIN),
        ((goods(48_000, hs_code="210690"),), 2_552_000, CbecOutcome.WITHIN),
        ((goods(48_000, hs_code="210690"),), 2_552_001, CbecOutcome.YEAR_OVER),
        ((goods(48_000, hs_code="210690"),), 2_700_000, CbecOutcome.YEAR_OVER),
        ((goods(2_600_000, hs_code="420222"),), 0, CbecOutcome.FULL_TAX),
        ((goods(2_600_001, hs_code="420222"),), 0, CbecOutcome.YEAR_OVER),
        ((goods(48_000, hs_code="300490"),), 0, CbecOutcome.NOT_LISTED),
        ((goods(48_000, 1, "210690"), goods(1, 2, "999999")), 0, CbecOutcome.NOT_LISTED),
        ((goods(48_000, hs_code="330499"),), 0, CbecOutcome.CONTENT_UNKNOWN),
    ],
)
def test_limits(lines, taken, outcome):
    result = assess_cbec(BOOK, cbec_ask(*lines, taken=taken))
    assert result.outcome is outcome
    assert result.is_allowed is (outcome in {CbecOutcome.WITHIN, CbecOutcome.FULL_TAX})
    if not result.is_allowed:
        assert (result.lines, result.tax_minor) == ((), 0)


def test_one_item_over_the_order_limit_bears_full_taxes_with_duty_apart():
    result = assess_cbec(BOOK, cbec_ask(goods(800_000, hs_code="420222"), taken=300_000))
    line = result.lines[0]
    assert (result.tax_minor, line.duty_minor, line.tax_minor, line.duty_rate) == (158_240, 48_000, 110_240, D("0.06"))
    assert result.year_free_minor == 2_300_000


def test_one_fen_over_the_order_limit():
    result = assess_cbec(BOOK, cbec_ask(goods(500_001, hs_code="420222")))
    assert (result.outcome, result.tax_minor) == (CbecOutcome.FULL_TAX, 98_900)


@pytest.mark.parametrize(
    ("hs", "regime", "outcome"),
    [("040221", "9610", CbecOutcome.NOT_LISTED), ("040221", BONDED, CbecOutcome.WITHIN), ("210690", BONDED_A, CbecOutcome.NOT_LISTED)],
)
def test_list_rows_name_the_ways_of_import(hs, regime, outcome):
    assert assess_cbec(BOOK, cbec_ask(goods(1_000, hs_code=hs), regime=regime)).outcome is outcome


@pytest.mark.parametrize(
    ("lines", "taken", "on", "error", "remedy"),
    [
        ((goods(520_000, hs_code="420222", quantity=2),), 0, ON, CbecOrderOverLimitError, "Split"),
        ((goods(48_000, hs_code="210690"),), 2_590_000, ON, CbecYearOverLimitError, "100.00 CNY are left"),
        ((goods(48_000, hs_code="999999"),), 0, ON, NotOnCbecListError, "Remove"),
        ((goods(48_000, hs_code="330300"),), 0, ON, ContentUnknownError, "content"),
        ((goods(48_000, hs_code="210690"),), 0, date(2016, 4, 7), NoRuleOnDateError, "limits"),
    ],
)
def test_refusals_name_the_remedy(lines, taken, on, error, remedy):
    with pytest.raises(error, match=remedy):
        require_cbec_allowed(assess_cbec(BOOK, cbec_ask(*lines, taken=taken, on=on)))


def test_no_row_of_another_date_is_borrowed():
    assert assess_cbec(BOOK, cbec_ask(goods(1_000, hs_code="210690"), on=date(2016, 4, 7))).outcome is CbecOutcome.NO_RULE
    assert assess_cbec(BOOK, cbec_ask(goods(1_000, hs_code="210690"), on=date(2019, 3, 31))).outcome is CbecOutcome.NOT_LISTED


@pytest.mark.parametrize(
    ("value", "quantity", "parts"), [(48_000, 1, [48_000]), (100, 3, [33, 33, 34]), (10, 4, [2, 3, 2, 3]), (48_001, 2, [24_000, 24_001])]
)
def test_returned_pieces_add_up_to_the_line(value, quantity, parts):
    assert [returned_value_minor(value, quantity, before, 1) for before in range(quantity)] == parts
    assert sum(parts) == value


@pytest.mark.parametrize(
    ("asked", "back", "accepted"),
    [
        (date(2026, 3, 31), date(2026, 4, 15), True),
        (date(2026, 4, 1), date(2026, 4, 15), False),
        (date(2026, 3, 31), date(2026, 4, 16), False),
        (date(2026, 3, 1), date(2026, 3, 1), True),
    ],
)
def test_return_in_time(asked, back, accepted):
    limit = cbec_limit_on(BOOK, date(2026, 3, 1))
    assert limit is not None
    assert is_return_accepted(limit, date(2026, 3, 1), asked, back) is accepted
