from datetime import date
from decimal import Decimal

import pytest
from msgspec.structs import replace
from tests.factories.customs import BOOK, ON, ask, book_with, goods

from entrepot.customs.goods import HsCodeMissingError, HsCodeNotDigitsError, NoRuleCause, NoRuleOnDateError, OriginMissingError
from entrepot.customs.landed_cost import (
    NO_BORDER,
    Outcome,
    SaleCollector,
    Terms,
    ask_of,
    assess_consignment,
    assess_consignments,
    inputs_of,
    landed_cost_minor,
    require_assessed,
    with_classification,
)
from entrepot.customs.rules import BuyerKind, Confidence
from entrepot.customs.valuation import Components, Method, customs_value_minor, declared_value_minor

D = Decimal


@pytest.mark.parametrize(
    ("method", "value"),
    [(Method.CIF, 10_700), (Method.FOB, 9_500), (Method.CBEC, 10_700)],
)
def test_customs_value(method, value):
    assert customs_value_minor(method, Components(10_000, 500, 1_000, 200)) == value


@pytest.mark.parametrize(
    ("source", "rate", "target", "value"),
    [("GBP", "1", "GBP", 10_700), ("GBP", "1.15", "EUR", 12_305), ("GBP", "190", "JPY", 20_330), ("JPY", "0.0052", "GBP", 5_564)],
)
def test_declared_value(source, rate, target, value):
    assert declared_value_minor(Method.CIF, Components(10_000, 500, 1_000, 200), source, D(rate), target) == value


@pytest.mark.parametrize(
    ("source", "target", "on"),
    [("GB", "GB", ON), ("DE", "FR", ON), ("GB", "DE", date(2010, 12, 1)), ("GB", "JE", ON)],
)
def test_no_border_short_circuits(source, target, on):
    assert assess_consignment(BOOK, ask(target, "EUR", goods(1, hs_code="", origin=""), ship_from=source, on=on)) is NO_BORDER


# duty and tax in minor units of the ask's currency; goods are toys (HS 950300) unless named
@pytest.mark.parametrize(
    ("to", "currency", "line", "on", "regime", "duty", "tax"),
    [
        # Union: IOSS without duty until 2026-06-30, 3 EUR per tariff line afterwards, tariff above 150
        ("DE", "EUR", goods(15_000), date(2026, 6, 30), "EU.low.2021", 0, 2_850),
        ("DE", "EUR", goods(15_000, freight=1_000), date(2026, 6, 30), "EU.low.2021", 0, 3_040),
        ("DE", "EUR", goods(15_001), date(2026, 6, 30), "EU.standard.2021", 705, 2_984),
        ("DE", "EUR", goods(15_000), date(2026, 7, 1), "EU.low.2026", 300, 2_850),
        ("DE", "EUR", goods(15_000, quantity=10), date(2026, 7, 1), "EU.low.2026", 300, 2_850),
        ("DE", "EUR", goods(16_000, discount=1_000), date(2026, 7, 1), "EU.low.2026", 300, 2_850),
        ("DE", "EUR", goods(15_001), date(2026, 7, 1), "EU.standard.2021", 705, 2_984),
        ("FI", "EUR", goods(10_000), ON, "EU.low.2026", 300, 2_550),
        ("EE", "EUR", goods(10_000), date(2025, 6, 30), "EU.low.2021", 0, 2_200),
        ("EE", "EUR", goods(10_000), date(2025, 7, 1), "EU.low.2021", 0, 2_400),
        # United Kingdom: 135 included
        ("GB", "GBP", goods(13_500), ON, "GB.low.2021", 0, 2_700),
        ("GB", "GBP", goods(13_501, hs_code="610910"), ON, "GB.standard.2021", 1_620, 3_024),
        ("GB", "GBP", goods(20_000, hs_code="900410"), ON, "GB.standard.2021", 400, 4_080),
        # United States: no de minimis, no import tax, FOB
        ("US", "USD", goods(100, hs_code="610910", freight=900), ON, "US.entry.2025", 17, 0),
        ("US", "USD", goods(100_000, hs_code="610910", freight=900), ON, "US.entry.2025", 16_500, 0),
        # Australia: per item, 1,000 included; goods and services tax on duty, freight and insurance above
        ("AU", "AUD", goods(100_000), ON, "AU.low.2018", 0, 10_000),
        ("AU", "AUD", goods(200_000, quantity=2, freight=3_000), ON, "AU.low.2018", 0, 20_300),
        ("AU", "AUD", goods(100_001, hs_code="940360", freight=3_000, insurance=500), ON, "AU.standard.2018", 5_000, 10_850),
        # New Zealand: per item
        ("NZ", "NZD", goods(100_000), ON, "NZ.low.2019", 0, 15_000),
        # Norway: below 3,000 per item
        ("NO", "NOK", goods(299_999), ON, "NO.voec.2024", 0, 75_000),
        ("NO", "NOK", goods(599_998, quantity=2), ON, "NO.voec.2024", 0, 150_000),
        # Switzerland: tax up to 5 francs is not levied
        ("CH", "CHF", goods(6_178), ON, "CH.import.2024", 0, 0),
        ("CH", "CHF", goods(6_179), ON, "CH.import.2024", 0, 0),
        ("CH", "CHF", goods(6_180), ON, "CH.import.2024", 0, 501),
        ("CH", "CHF", replace(goods(19_249), tax_class="reduced"), ON, "CH.import.2024", 0, 0),
        ("CH", "CHF", replace(goods(19_251), tax_class="reduced"), ON, "CH.import.2024", 0, 501),
        # Japan: CIF up to 10,000 is free, knitwear and footwear are not
        ("JP", "JPY", goods(9_000, freight=1_000), ON, "JP.exempt.2025", 0, 0),
        ("JP", "JPY", goods(9_000, freight=1_001), ON, "JP.standard.2025", 0, 1_000),
        ("JP", "JPY", goods(9_000, hs_code="610910"), ON, "JP.standard.2025", 981, 998),
        ("JP", "JPY", replace(goods(20_000, hs_code="090121"), tax_class="food"), ON, "JP.standard.2025", 2_400, 1_792),
        # Canada: 20 from everywhere
        ("CA", "CAD", goods(2_000), ON, "CA.remission20.2020", 0, 0),
        ("CA", "CAD", goods(2_001, freight=900), ON, "CA.standard.2020", 120, 106),
        # Gulf: tax always, duty above 1,000 CIF
        ("AE", "AED", goods(90_000, freight=10_000), ON, "AE.low.2023", 0, 5_000),
        ("AE", "AED", goods(90_000, freight=10_001), ON, "AE.standard.2023", 5_000, 5_250),
        ("SA", "SAR", goods(100_000), ON, "SA.low.2020", 0, 15_000),
        # Brazil: 20 % up to 50, then 60 % less 20; state tax inside its base
        ("BR", "USD", goods(5_000), ON, "BR.conforme50.2024", 1_000, 1_229),
        ("BR", "USD", goods(5_001), ON, "BR.conforme3000.2024", 1_001, 1_229),
        ("BR", "USD", goods(10_000), ON, "BR.conforme3000.2024", 4_000, 2_867),
        # Mexico and India: one composite rate
        ("MX", "USD", goods(10_000), ON, "MX.global2500.2025", 3_350, 0),
        ("IN", "INR", goods(100_000), ON, "IN.personal.2025", 30_980, 0),
    ],
)
def test_one_line(to, currency, line, on, regime, duty, tax):
    result = assess_consignment(BOOK, ask(to, currency, line, on=on))
    assert result.outcome is Outcome.ASSESSED, result.no_rule
    assert (result.lines[0].rule_version.split("+")[0], result.duty_minor, result.tax_minor) == (regime, duty, tax)


@pytest.mark.parametrize(
    ("source", "minor", "regime", "duty", "tax"),
    [
        ("US", 4_000, "CA.cusma40.2020", 0, 0),
        ("US", 4_001, "CA.cusma150.2020", 0, 200),
        ("MX", 15_000, "CA.cusma150.2020", 0, 750),
        ("US", 15_001, "CA.standard.2020", 900, 795),
        ("DE", 4_000, "CA.standard.2020", 240, 212),
    ],
)
def test_place_of_shipment_decides_in_canada(source, minor, regime, duty, tax):
    result = assess_consignment(BOOK, ask("CA", "CAD", goods(minor), ship_from=source))
    assert (result.lines[0].rule_version.split("+")[0], result.duty_minor, result.tax_minor) == (regime, duty, tax)


@pytest.mark.parametrize(
    ("to", "currency", "line", "on", "cause"),
    [
        ("HK", "HKD", goods(100), ON, NoRuleCause.IMPORT_RULE),
        ("IS", "EUR", goods(100), ON, NoRuleCause.IMPORT_RULE),
        ("DE", "EUR", goods(100), date(2021, 6, 30), NoRuleCause.IMPORT_RULE),
        ("AU", "AUD", goods(100), date(2011, 3, 1), NoRuleCause.IMPORT_RULE),
        ("US", "USD", goods(100), date(2025, 8, 28), NoRuleCause.IMPORT_RULE),
        ("DE", "EUR", goods(100, hs_code="220421"), ON, NoRuleCause.IMPORT_RULE),
        ("DE", "EUR", goods(15_001, hs_code="010101"), ON, NoRuleCause.DUTY_RATE),
        ("DE", "EUR", goods(15_001, hs_code="220299"), ON, NoRuleCause.DUTY_RATE),
        ("NZ", "NZD", goods(100_001), ON, NoRuleCause.DUTY_RATE),
        ("NO", "NOK", goods(300_000), ON, NoRuleCause.DUTY_RATE),
        ("NO", "NOK", goods(1_000, hs_code="180632"), ON, NoRuleCause.DUTY_RATE),
        ("SG", "SGD", goods(40_000), ON, NoRuleCause.TAX_RATE),
        ("KR", "USD", goods(100), ON, NoRuleCause.IMPORT_RULE),
        ("DE", "GBP", goods(100), ON, NoRuleCause.CUSTOMS_RATE),
    ],
)
def test_no_rule_is_never_filled_from_elsewhere(to, currency, line, on, cause):
    result = assess_consignment(BOOK, ask(to, currency, line, on=on))
    assert result.outcome is Outcome.NO_RULE
    assert result.no_rule is not None
    assert (result.no_rule.cause, result.lines, result.duty_minor, result.tax_minor) == (cause, (), 0, 0)
    with pytest.raises(NoRuleOnDateError):
        require_assessed(result)


def test_mainland_china_takes_parcels_only_as_retail_imports():
    result = assess_consignment(BOOK, ask("CN", "CNY", goods(100), ship_from="KR"))
    assert result.no_rule is not None
    assert result.no_rule.cause is NoRuleCause.IMPORT_RULE


def test_rows_an_operator_confirmed_apply():
    book = book_with("SG.standard.2024-01-01")
    assert assess_consignment(book, ask("SG", "SGD", goods(40_000))).tax_minor == 3_600
    assert assess_consignment(book, ask("SG", "SGD", goods(80_000, quantity=2, freight=1_000))).tax_minor == 7_290
    over = assess_consignment(book, ask("SG", "SGD", goods(40_001)))
    assert over.no_rule is not None


def test_flat_duty_is_per_tariff_line_and_split_over_its_lines():
    lines = (goods(1_000, 1, "95030041"), goods(2_000, 2, "95030049"), goods(500, 3, "491199"))
    result = assess_consignment(BOOK, ask("DE", "EUR", *lines))
    assert [line.duty_minor for line in result.lines] == [100, 200, 300]
    assert result.duty_minor == 600
    assert [line.tax_collector for line in result.lines] == ["marketplace"] * 3
    assert [line.duty_collector for line in result.lines] == ["carrier"] * 3


def test_thresholds_use_the_customs_rate_without_rounding():
    rate = {"EUR": D("1.2")}
    low = assess_consignment(BOOK, replace(ask("DE", "GBP", goods(12_500), ship_from="GB"), rates=rate))
    high = assess_consignment(BOOK, replace(ask("DE", "GBP", goods(12_501), ship_from="GB"), rates=rate))
    assert (low.lines[0].declaration_code, low.duty_minor, low.tax_minor) == ("H7", 250, 2_375)
    assert high.lines[0].declaration_code == "H1"


def test_consignment_scope_counts_all_lines_and_item_scope_each():
    low = assess_consignment(BOOK, ask("GB", "GBP", goods(6_750, 1), goods(6_750, 2)))
    high = assess_consignment(BOOK, ask("GB", "GBP", goods(6_750, 1), goods(6_751, 2)))
    assert ({line.declaration_code for line in low.lines}, {line.declaration_code for line in high.lines}) == ({"H7"}, {"H1"})
    mixed = assess_consignment(BOOK, ask("AU", "AUD", goods(100_001, 1, "940360"), goods(5_000, 2)))
    assert [line.declaration_code for line in mixed.lines] == ["FID", "SAC"]
    assert [(line.duty_minor, line.tax_minor) for line in mixed.lines] == [(5_000, 10_500), (0, 500)]


@pytest.mark.parametrize(
    ("change", "tax_collector", "duty_prepaid", "tax_prepaid"),
    [
        ({}, "marketplace", True, True),
        ({"terms": Terms.DAP}, "marketplace", False, True),
        ({"sale_collector": SaleCollector.SELLER, "terms": Terms.DAP}, "seller", False, True),
        ({"sale_collector": SaleCollector.NOBODY}, "carrier", True, True),
        ({"sale_collector": SaleCollector.NOBODY, "terms": Terms.DAP}, "carrier", False, False),
    ],
)
def test_who_collects(change, tax_collector, duty_prepaid, tax_prepaid):
    line = assess_consignment(BOOK, replace(ask("DE", "EUR", goods(10_000)), **change)).lines[0]
    assert (line.tax_collector, line.is_duty_prepaid, line.is_tax_prepaid) == (tax_collector, duty_prepaid, tax_prepaid)


def test_tax_at_import_counts_the_flat_duty():
    result = assess_consignment(BOOK, replace(ask("DE", "EUR", goods(10_000)), sale_collector=SaleCollector.NOBODY))
    assert result.tax_minor == 1_957


def test_businesses_have_no_consumer_regime():
    result = assess_consignment(BOOK, replace(ask("GB", "GBP", goods(10_000, hs_code="610910")), buyer_kind=BuyerKind.BUSINESS))
    assert (result.lines[0].declaration_code, result.duty_minor, result.tax_minor) == ("H1", 1_200, 2_240)


def test_extra_layers_stack_when_an_operator_switches_them_on():
    line = goods(500_000, hs_code="610910")
    before = assess_consignment(book_with("US.s122.2026"), ask("US", "USD", line, on=date(2026, 7, 23)))
    after = assess_consignment(book_with("US.s122.2026"), ask("US", "USD", line, on=date(2026, 7, 24)))
    assert (before.duty_minor, after.duty_minor) == (132_500, 82_500)
    assert before.confidence is Confidence.MEMORY


@pytest.mark.parametrize(("minor", "fee"), [(500_000, 3_271), (1_000_000, 3_464), (50_000_000, 63_462)])
def test_fees_keep_their_least_and_greatest_sum(minor, fee):
    on = date(2025, 9, 30)
    lines = (goods(minor // 2, 1, "090121"), goods(minor // 2, 2, "090121"))
    assert assess_consignment(book_with("US.mpf.2025"), ask("US", "USD", *lines, on=on)).duty_minor == fee


def test_quote_and_assessment_after_reclassifying():
    quote = ask("GB", "GBP", goods(20_000, hs_code="090121"))
    quoted = assess_consignment(BOOK, quote)
    assessed = assess_consignment(BOOK, with_classification(quote, 1, "610910"))
    assert (quoted.duty_minor, quoted.tax_minor, assessed.duty_minor, assessed.tax_minor) == (1_200, 4_240, 2_400, 4_480)
    assert landed_cost_minor(quote, quoted) == 25_440


def test_stored_inputs_recompute_the_result():
    asks = [
        replace(ask("DE", "GBP", goods(9_999, discount=99, freight=450), ship_from="GB"), rates={"EUR": D("1.1500")}),
        ask("AU", "AUD", goods(100_001, 1, "940360"), goods(5_000, 2)),
    ]
    results = assess_consignments(BOOK, asks)
    assert [assess_consignment(BOOK, ask_of(inputs_of(one))) for one in asks] == results


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (goods(1, hs_code=""), HsCodeMissingError),
        (goods(1, hs_code="9503.00"), HsCodeNotDigitsError),
        (goods(1, hs_code="95030"), HsCodeNotDigitsError),
        (goods(1, origin=""), OriginMissingError),
    ],
)
def test_goods_across_a_border_are_classified(line, error):
    with pytest.raises(error):
        assess_consignment(BOOK, ask("DE", "EUR", line))
