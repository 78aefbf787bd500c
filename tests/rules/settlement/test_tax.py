from datetime import date
from decimal import Decimal

import pytest
from msgspec.structs import replace
from tests.factories.settlement import ON, RATES, TAX_BOOK, sale

from entrepot.base.money import Rounding
from entrepot.settlement.exchange import rate_book_of
from entrepot.settlement.model import Confidence
from entrepot.settlement.seed import shipped_rule_book, shipped_tax_rates, shipped_tax_rules
from entrepot.settlement.tax import BuyerKind, TaxParty, TaxRegime, decide_tax, rule_book_of, tax_on_top, tax_within, taxes_per_document

R, P = TaxRegime, TaxParty


@pytest.mark.parametrize(
    ("inputs", "regime", "owes", "collects", "remits", "country", "base", "tax"),
    [
        # scenario 4: merchant in China, stock in Germany; 4b: merchant in Germany; 4c: export to Switzerland
        (sale(), R.DOMESTIC_DEEMED_SUPPLIER, P.PLATFORM, P.PLATFORM, P.PLATFORM, "DE", 8403, 1597),
        (sale(established="DE"), R.DOMESTIC_MERCHANT, P.MERCHANT, P.MERCHANT, P.MERCHANT, "DE", 8403, 1597),
        (sale(to="CH"), R.EXPORT_ZERO_RATED, P.BUYER, P.CARRIER, P.CARRIER, "DE", 10_000, 0),
        # scenario 10: the tax that customs decided is passed on, on top
        (
            sale(48_000, established="KR", ship_from="KR", to="CN", currency="CNY", includes=False, scheme="cbec", customs_tax_minor=4368),
            R.CBEC_WITHHELD, P.BUYER, P.WITHHOLDING_AGENT, P.WITHHOLDING_AGENT, "CN", 48_000, 4368,
        ),
        # scenario 14: the price difference of an exchange
        (sale(400), R.DOMESTIC_DEEMED_SUPPLIER, P.PLATFORM, P.PLATFORM, P.PLATFORM, "DE", 336, 64),
        # scenario 17: the sale ran through the merchant's own shop
        (sale(scheme="other_channel"), R.OTHER_CHANNEL, P.MERCHANT, P.MERCHANT, P.MERCHANT, "DE", 10_000, 0),
        # inside the union
        (sale(to="FR"), R.UNION_DEEMED_SUPPLIER, P.PLATFORM, P.PLATFORM, P.PLATFORM, "FR", 8333, 1667),
        (sale(to="FR", established="DE"), R.UNION_DISTANCE_SALE, P.MERCHANT, P.MERCHANT, P.MERCHANT, "FR", 8333, 1667),
        (sale(to="HU", established="PL", ship_from="CZ"), R.UNION_DISTANCE_SALE, P.MERCHANT, P.MERCHANT, P.MERCHANT, "HU", 7874, 2126),
        (sale(established="US", buyer_kind=BuyerKind.BUSINESS), R.DOMESTIC_MERCHANT, P.MERCHANT, P.MERCHANT, P.MERCHANT, "DE", 8403, 1597),
        # into the union: up to EUR 150 without tax the platform, above the buyer
        (sale(17_850, ship_from="CN"), R.IOSS_IMPORT, P.PLATFORM, P.PLATFORM, P.PLATFORM, "DE", 15_000, 2850),
        (sale(17_852, ship_from="CN"), R.EXPORT_ZERO_RATED, P.BUYER, P.CARRIER, P.CARRIER, "CN", 17_852, 0),
        (sale(15_000, ship_from="CN", includes=False), R.IOSS_IMPORT, P.PLATFORM, P.PLATFORM, P.PLATFORM, "DE", 15_000, 2850),
        (sale(15_001, ship_from="CN", includes=False), R.EXPORT_ZERO_RATED, P.BUYER, P.CARRIER, P.CARRIER, "CN", 15_001, 0),
        (sale(5000, ship_from="CN", goods_kind="excise"), R.EXPORT_ZERO_RATED, P.BUYER, P.CARRIER, P.CARRIER, "CN", 5000, 0),
        (sale(5000, ship_from="CN", established="DE"), R.IOSS_IMPORT, P.PLATFORM, P.PLATFORM, P.PLATFORM, "DE", 4202, 798),
        (sale(12_750, established="GB", ship_from="GB", to="IE", currency="GBP", includes=False), R.IOSS_IMPORT, P.PLATFORM, P.PLATFORM, P.PLATFORM, "IE", 12_750, 2933),
        (sale(12_751, established="GB", ship_from="GB", to="IE", currency="GBP", includes=False), R.EXPORT_ZERO_RATED, P.BUYER, P.CARRIER, P.CARRIER, "GB", 12_751, 0),
        # United Kingdom
        (sale(12_000, established="GB", ship_from="GB", to="GB", currency="GBP"), R.DOMESTIC_MERCHANT, P.MERCHANT, P.MERCHANT, P.MERCHANT, "GB", 10_000, 2000),
        (sale(12_000, ship_from="GB", to="GB", currency="GBP"), R.DOMESTIC_DEEMED_SUPPLIER, P.PLATFORM, P.PLATFORM, P.PLATFORM, "GB", 10_000, 2000),
        (sale(13_500, to="GB", currency="GBP", includes=False), R.LOW_VALUE_IMPORT, P.PLATFORM, P.PLATFORM, P.PLATFORM, "GB", 13_500, 2700),
        (sale(13_501, to="GB", currency="GBP", includes=False), R.EXPORT_ZERO_RATED, P.BUYER, P.CARRIER, P.CARRIER, "DE", 13_501, 0),
        (sale(13_500, to="GB", currency="GBP", buyer_kind=BuyerKind.BUSINESS, includes=False), R.IMPORT_REVERSE_CHARGE, P.BUYER, P.BUYER, P.BUYER, "DE", 13_500, 0),
        # United States: the facilitator collects, also on imports; some states have no sales tax
        (sale(10_000, ship_from="US", to="US", currency="USD", includes=False), R.MARKETPLACE_FACILITATOR, P.PLATFORM, P.PLATFORM, P.PLATFORM, "US", 10_000, 700),
        (sale(10_000, ship_from="CN", to="US", currency="USD", includes=False), R.MARKETPLACE_FACILITATOR, P.PLATFORM, P.PLATFORM, P.PLATFORM, "US", 10_000, 700),
        (
            sale(10_000, ship_from="US", to="US", currency="USD", includes=False, destination_territory="OR"),
            R.MARKETPLACE_FACILITATOR, P.PLATFORM, P.PLATFORM, P.PLATFORM, "US", 10_000, 0,
        ),
        # low value goods elsewhere: by item, with and without the limit itself
        (sale(100_000, to="AU", currency="AUD", includes=False), R.LOW_VALUE_IMPORT, P.PLATFORM, P.PLATFORM, P.PLATFORM, "AU", 100_000, 10_000),
        (sale(100_001, to="AU", currency="AUD", includes=False), R.EXPORT_ZERO_RATED, P.BUYER, P.CARRIER, P.CARRIER, "DE", 100_001, 0),
        (sale(200_000, to="AU", currency="AUD", includes=False, item_minor=100_000), R.LOW_VALUE_IMPORT, P.PLATFORM, P.PLATFORM, P.PLATFORM, "AU", 200_000, 20_000),
        (sale(40_000, to="SG", currency="SGD", includes=False), R.LOW_VALUE_IMPORT, P.PLATFORM, P.PLATFORM, P.PLATFORM, "SG", 40_000, 3600),
        (sale(299_999, to="NO", currency="NOK", includes=False), R.LOW_VALUE_IMPORT, P.PLATFORM, P.PLATFORM, P.PLATFORM, "NO", 299_999, 75_000),
        (sale(300_000, to="NO", currency="NOK", includes=False), R.EXPORT_ZERO_RATED, P.BUYER, P.CARRIER, P.CARRIER, "DE", 300_000, 0),
        (sale(5000, to="NO", currency="NOK", includes=False, goods_kind="food"), R.EXPORT_ZERO_RATED, P.BUYER, P.CARRIER, P.CARRIER, "DE", 5000, 0),
        (sale(11_000, ship_from="JP", to="JP", currency="JPY"), R.DOMESTIC_MERCHANT, P.MERCHANT, P.MERCHANT, P.MERCHANT, "JP", 10_000, 1000),
        (sale(9000, to="JP", currency="JPY"), R.EXPORT_ZERO_RATED, P.BUYER, P.CARRIER, P.CARRIER, "DE", 9000, 0),
        (sale(9000, to="JP", currency="JPY", on=date(2028, 4, 1)), R.LOW_VALUE_IMPORT, P.PLATFORM, P.PLATFORM, P.PLATFORM, "JP", 8182, 818),
        (sale(10_500, ship_from="CA", to="CA", currency="CAD"), R.DOMESTIC_MERCHANT, P.MERCHANT, P.MERCHANT, P.MERCHANT, "CA", 10_000, 500),
        (sale(10_000, to="IL", currency="EUR"), R.EXPORT_ZERO_RATED, P.BUYER, P.CARRIER, P.CARRIER, "DE", 10_000, 0),
    ],
)  # fmt: skip
def test_regimes(inputs, regime, owes, collects, remits, country, base, tax):
    decided = decide_tax(inputs, TAX_BOOK)

    assert (decided.regime, decided.taxable_person, decided.collected_by, decided.remitted_by) == (regime, owes, collects, remits)
    assert (decided.tax_country, decided.base_minor, decided.tax_minor, decided.gross_minor) == (country, base, tax, base + tax)
    assert decided.inputs is inputs
    assert decided.rule_version in {rule.rule_version for rule in TAX_BOOK.rules}


@pytest.mark.parametrize(
    ("inputs", "withheld"),
    [
        (sale(), 1597),
        (sale(established="DE"), 0),
        (sale(to="CH"), 0),
        (sale(48_000, ship_from="KR", to="CN", currency="CNY", includes=False, scheme="cbec", customs_tax_minor=4368), 4368),
    ],
)
def test_the_platform_keeps_only_what_it_remits(inputs, withheld):
    assert decide_tax(inputs, TAX_BOOK).withheld_minor == withheld


@pytest.mark.parametrize(
    ("inputs", "note"),
    [
        (sale(on=date(2015, 12, 31)), "no tax rule in force"),
        (sale(established="IL", ship_from="IL", to="IL"), "no tax rate in force"),
        (sale(established="KR", ship_from="KR", to="KR"), "no tax rate in force"),
        (sale(established="JP", ship_from="JP", to="JP", on=date(2019, 9, 30)), "no tax rate in force"),
        (sale(to="FR", established="DE", buyer_kind=BuyerKind.BUSINESS), "no tax rule in force"),
        (sale(ship_from="CN", tax_class="reduced_7", on=date(2026, 10, 3)), "no tax rate in force"),
        (sale(to="FR", on=date(2021, 6, 30)), "no tax rule in force"),
        (sale(ship_from="CN", currency="THB"), "no exchange rate in force"),
    ],
)
def test_no_rule_is_a_result(inputs, note):
    decided = decide_tax(inputs, TAX_BOOK)

    assert (decided.regime, decided.verdict.note, decided.tax_minor, decided.rule_version) == (R.NO_RULE, note, 0, "")
    assert not decided.is_ruled


@pytest.mark.parametrize(
    ("country", "day", "percent"),
    [
        ("DE", "2020-06-30", "19"),
        ("DE", "2020-07-01", "16"),
        ("DE", "2020-12-31", "16"),
        ("DE", "2021-01-01", "19"),
        ("GR", "2016-05-31", "23"),
        ("GR", "2016-06-01", "24"),
        ("RO", "2016-12-31", "20"),
        ("RO", "2017-01-01", "19"),
        ("RO", "2025-08-01", "21"),
        ("IE", "2020-09-01", "21"),
        ("IE", "2021-03-01", "23"),
        ("LU", "2023-06-01", "16"),
        ("LU", "2024-01-01", "17"),
        ("FI", "2024-08-31", "24"),
        ("FI", "2024-09-01", "25.5"),
        ("EE", "2023-12-31", "20"),
        ("EE", "2024-01-01", "22"),
        ("EE", "2025-07-01", "24"),
        ("SK", "2024-12-31", "20"),
        ("SK", "2025-01-01", "23"),
        ("GB", "2026-01-01", "20"),
        ("CH", "2024-01-01", "8.1"),
    ],
)
def test_rates_change_on_their_day(country, day, percent):
    rate = TAX_BOOK.rate_on(country, "*", "standard", date.fromisoformat(day))

    assert rate is not None
    assert rate.percent == Decimal(percent)


def test_every_member_state_has_a_rate_since_2016():
    members = {rate.country_code for rate in shipped_tax_rates() if rate.area_code == "EU"} - {"GB"}

    assert len(members) == 27
    assert all(TAX_BOOK.rate_on(country, "*", "standard", date(2016, 1, 1)) for country in members)


def test_the_united_kingdom_left_the_tax_area():
    assert [TAX_BOOK.area_of("GB", day) for day in (date(2020, 12, 31), date(2021, 1, 1))] == ["EU", "GB"]


def test_rules_from_memory_are_switched_off_until_confirmed():
    rules = shipped_tax_rules()
    off = [rule.rule_version for rule in rules if not rule.is_active]
    confirmed = rule_book_of([replace(rule, is_active=True) for rule in rules], shipped_tax_rates(), RATES)
    to_zurich = sale(6000, to="CH", currency="CHF", includes=False)

    assert off == ["EU.union.business.1", "CH.platform.2025"]
    assert all(rule.confidence is Confidence.MEMORY for rule in rules if not rule.is_active)
    assert decide_tax(to_zurich, TAX_BOOK).regime is R.EXPORT_ZERO_RATED
    assert decide_tax(to_zurich, confirmed).tax_minor == 486


def test_the_threshold_value_is_kept_in_the_regimes_currency():
    decided = decide_tax(sale(9000, established="GB", ship_from="GB", to="FR", currency="GBP"), TAX_BOOK)

    assert (decided.intrinsic_minor, decided.intrinsic_currency, decided.currency) == (8824, "EUR", "GBP")


def test_a_small_line_of_a_large_consignment_is_an_import():
    decided = decide_tax(sale(1000, ship_from="CN", consignment_minor=40_000), TAX_BOOK)

    assert decided.regime is R.EXPORT_ZERO_RATED


@pytest.mark.parametrize(
    ("registrations", "to", "missing"),
    [((), "DE", "DE"), (("DE",), "DE", ""), (("DE",), "FR", "FR"), (("DE", "EU-OSS"), "FR", ""), (("EU-OSS",), "DE", "DE"), (("FR",), "FR", "")],
)
def test_a_liable_merchant_without_a_number_is_named(registrations, to, missing):
    decided = decide_tax(sale(established="DE", to=to, registrations=frozenset(registrations)), TAX_BOOK)

    assert decided.verdict.missing_registration == missing


@pytest.mark.parametrize(
    ("price", "millionths", "within", "on_top"),
    [(10_000, 190_000, 1597, 1900), (1, 190_000, 0, 0), (3, 200_000, 1, 1), (0, 200_000, 0, 0), (999, 255_000, 203, 255), (100, 81_000, 7, 8), (5, 100_000, 0, 1)],
)  # fmt: skip
def test_tax_within_and_on_top(price, millionths, within, on_top):
    assert (tax_within(price, millionths), tax_on_top(price, millionths)) == (within, on_top)
    assert tax_within(-price, millionths) == -within


@pytest.mark.parametrize(
    ("prices", "tax_of", "rounding", "taxes"),
    [
        ([333, 333, 334], tax_within, Rounding.HALF_UP, [53, 53, 54]),
        ([100, 100, 100], tax_on_top, Rounding.DOWN, [19, 19, 19]),
        ([101, 101, 101], tax_on_top, Rounding.HALF_UP, [20, 19, 19]),
        ([101, 101, 101], tax_on_top, Rounding.DOWN, [19, 19, 19]),
        ([], tax_on_top, Rounding.DOWN, []),
    ],
)
def test_tax_per_document_splits_by_largest_remainder(prices, tax_of, rounding, taxes):
    assert taxes_per_document(prices, 190_000, tax_of, rounding) == taxes


def test_decisions_of_one_kind_share_a_cached_ruling():
    book = shipped_rule_book(rate_book_of([]))

    assert book.rulings(sale(1)) is book.rulings(sale(2))
    assert book.rulings(sale(1, on=date(2026, 11, 3))) is not book.rulings(sale(1, on=ON))
