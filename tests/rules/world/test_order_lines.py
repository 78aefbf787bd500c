"""Each line of an order file is decided by the first rule that applies."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from entrepot.world.order_drafts import group_days, list_buyers, list_products, sold_units
from entrepot.world.order_lines import (
    FileLine,
    LineForm,
    LineReason,
    RawLine,
    RefusedLine,
    classify_lines,
    known_countries,
    normal_number,
    normal_sku,
    read_local_at,
    read_price_minor,
    read_quantity,
    service_reason,
    shift_lines,
)

UTC_ZONE = ZoneInfo("UTC")
DAY = datetime.fromisoformat("2011-03-01 09:00")


def lines(table: str, country: str = "GB") -> list[FileLine]:
    """Read rows of `number sku quantity price_minor buyer`, a minute apart."""
    read = []
    for index, row in enumerate(filter(None, (text.strip() for text in table.splitlines()))):
        number, sku, quantity, price_minor, buyer = row.split()
        at = DAY + timedelta(minutes=index)
        read.append(
            FileLine(
                index + 2, number, sku.replace("BANK_", "BANK "), f"Text of {sku}", int(quantity), int(price_minor), at, at.date(), buyer, country
            )
        )
    return read


def reasons(table: str, **options: object) -> list[str]:
    """Return what became of each row: a kind or the reason of refusal."""
    read = lines(table)
    found = classify_lines(read, "GBP", **options)  # type: ignore[arg-type]
    outcome = (
        {line.line_no: "sale" for line in found.sales}
        | {line.line_no: "charge" for line in found.charges}
        | {returned.line.line_no: "return" for returned in found.returns}
        | {line.line_no: "adjustment" for line in found.adjustments}
        | {line.line_no: line.reason for line in found.refused}
    )
    assert len(outcome) == len(read)
    return [outcome[line.line_no] for line in read]


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("6", 6), ("6.0", 6), (" 6.00 ", 6), ("-3.0", -3), ("+2", 2), ("0", LineReason.QUANTITY_ZERO), ("-0.0", LineReason.QUANTITY_ZERO),
        ("6.5", LineReason.QUANTITY_NOT_WHOLE), ("six", LineReason.QUANTITY_NOT_READABLE), ("", LineReason.QUANTITY_NOT_READABLE),
        ("1e3", LineReason.QUANTITY_NOT_READABLE), ("1_000", LineReason.QUANTITY_NOT_READABLE), ("²", LineReason.QUANTITY_NOT_READABLE),
    ],
)  # fmt: skip
def test_quantity(text, result):
    assert read_quantity(text) == result


@pytest.mark.parametrize(
    ("text", "currency", "result"),
    [
        ("2.55", "GBP", 255), ("2.550", "GBP", 255), ("0.0", "GBP", 0), ("-11062.06", "GBP", -1106206), ("100", "JPY", 100), ("1.125", "KWD", 1125),
        ("0.001", "GBP", LineReason.TOO_MANY_DECIMALS), ("1.5", "JPY", LineReason.TOO_MANY_DECIMALS), ("2,55", "GBP", LineReason.PRICE_NOT_READABLE),
        ("NaN", "GBP", LineReason.PRICE_NOT_READABLE), ("£2", "GBP", LineReason.PRICE_NOT_READABLE), ("", "GBP", LineReason.PRICE_NOT_READABLE),
    ],
)  # fmt: skip
def test_price(text, currency, result):
    assert read_price_minor(text, currency) == result


@pytest.mark.parametrize(
    ("text", "date_format", "result"),
    [
        ("2010-12-01 08:26:00", "", datetime.fromisoformat("2010-12-01 08:26")),
        ("2010-12-01", "", datetime.fromisoformat("2010-12-01")),
        ("2010-12-01T08:26:00Z", "", datetime.fromisoformat("2010-12-01 08:26")),
        ("12/1/2010 8:26", "%m/%d/%Y %H:%M", datetime.fromisoformat("2010-12-01 08:26")),
        ("12/1/2010 8:26", "", None),
        ("2010-13-01", "", None),
        ("0001-01-01", "", None),
        ("", "", None),
    ],
)
def test_local_time(text, date_format, result):
    assert read_local_at(text, date_format, UTC_ZONE) == result


def test_names_are_made_equal():
    assert [normal_sku(text) for text in (" 15056bl", "15056BL ", "Bank  charges")] == ["15056BL", "15056BL", "BANK CHARGES"]
    assert [normal_number(text) for text in ("17850.0", " C536379", "A.0", "12.5", "")] == ["17850", "C536379", "A.0", "12.5", ""]


def test_countries_by_name_alias_and_code():
    known = known_countries()
    names = ["United Kingdom", "EIRE", "RSA", "USA", "Czech Republic", "Hong Kong", "de", "Channel Islands", "European Community", "Unspecified"]
    assert [known.get(name.lower()) for name in names] == ["GB", "IE", "ZA", "US", "CZ", "HK", "DE", None, None, None]


@pytest.mark.parametrize(
    ("sku", "reason"),
    [
        ("POST", "service_code_post"),
        ("BANK CHARGES", "service_code_bank_charges"),
        ("GIFT_0001_20", "service_code_gift_voucher"),
        ("M", "service_code_m"),
    ],
)
def test_service_codes_are_refused_by_name(sku, reason):
    assert service_reason(sku) == reason


def raw(**changed: str) -> RawLine:
    texts = {
        "order_number": "536365", "sku": "85123A", "description": "Lantern", "quantity": "6.0", "ordered_at": "2010-12-01 08:26:00",
        "unit_price": "2.55", "customer": "17850.0", "country": "United Kingdom",
    }  # fmt: skip
    return RawLine(2, **(texts | changed))


@pytest.mark.parametrize(
    ("field", "text", "reason", "value"),
    [
        ("order_number", " ", "order_number_missing", "15.30"),
        ("ordered_at", "yesterday", "date_not_readable", "15.30"),
        ("quantity", "0", "quantity_zero", "0"),
        ("quantity", "1.5", "quantity_not_whole", "3.825"),
        ("quantity", "some", "quantity_not_readable", "0"),
        ("unit_price", "0.001", "too_many_decimals", "0.006"),
        ("unit_price", "dear", "price_not_readable", "0"),
        ("quantity", "9999999999999", "value_too_large", "25499999999997.45"),
        ("sku", " ", "sku_missing", "15.30"),
    ],
)
def test_form_refuses(field, text, reason, value):
    assert LineForm("GBP", known_countries(), UTC_ZONE).read(raw(**{field: text})) == RefusedLine(2, reason, Decimal(value))


def test_form_reads_a_line_and_makes_buyers():
    form = LineForm("GBP", known_countries(), UTC_ZONE)
    line = form.read(raw())
    assert line == FileLine(
        2, "536365", "85123A", "Lantern", 6, 255, datetime.fromisoformat("2010-12-01 08:26"), date(2010, 12, 1), "customer:17850", "GB"
    )
    anonymous, unknown = form.read(raw(customer="", country="Germany")), form.read(raw(country="Unspecified"))
    assert isinstance(anonymous, FileLine)
    assert isinstance(unknown, FileLine)
    assert (anonymous.buyer_key, anonymous.country_code, unknown.country_code) == ("anonymous:DE", "DE", "")


def test_kinds_of_lines():
    assert reasons("""
        1   LAMP          2  100 a
        1   POST          1  500 a
        2   POST          1  500 a
        C3  POST         -1  500 a
        4   BANK_CHARGES  1  500 a
        5   LAMP          3    0 a
        6   LAMP          3 -100 a
        7   LAMP         -3    0 a
        8   LAMP         -3  100 a
        C9  LAMP          3  100 a
        C10 LAMP         -1    0 a
        C11 LAMP         -2  100 a
        C12 LAMP         -1  100 a
        13  GIFT_0001     1  100 a
    """) == [
        "sale", "charge", "service_code_post", "service_code_post", "service_code_bank_charges", "zero_price", "negative_price", "adjustment",
        "priced_adjustment", "positive_return", "zero_price", "return", "return_without_sale", "service_code_gift_voucher",
    ]  # fmt: skip


def test_carriage_above_the_products_of_its_order_is_a_charge():
    assert reasons("""
        1 DOT  1 500 a
        1 LAMP 1 100 a
        2 C2   1 500 a
        2 LAMP 1   0 a
        1 POST 1 500 b
    """) == ["charge", "sale", "service_code_c2", "zero_price", "service_code_post"]


def test_a_return_takes_the_latest_sales_first_and_may_span_several():
    found = classify_lines(
        lines("""
        1  LAMP  5 100 a
        2  LAMP  3 120 a
        3  LAMP  9 100 b
        C4 LAMP -4 110 a
        C5 LAMP -4 100 a
        C6 LAMP -1 100 a
        """),
        "GBP",
    )
    parts = [[(part.sale.order_number, part.quantity) for part in returned.parts] for returned in found.returns]
    assert parts == [[("2", 3), ("1", 1)], [("1", 4)]]
    assert [(returned.quantity, returned.charged_minor) for returned in found.returns] == [(4, 460), (4, 400)]
    assert [(line.reason, line.value) for line in found.refused] == [("return_without_sale", Decimal("-1.00"))]


def test_too_large_a_return_takes_nothing():
    assert reasons("""
        1  LAMP  2 100 a
        C2 LAMP -3 100 a
        C3 LAMP -2 100 a
    """) == ["sale", "return_without_sale", "return"]


def test_a_return_of_a_later_or_refused_sale_has_no_sale():
    assert reasons("""
        C1 LAMP -1 100 a
        2  LAMP  1 100 a
        3  VASE  1   0 a
        C4 VASE -1 100 a
    """) == ["return_without_sale", "sale", "zero_price", "return_without_sale"]


def test_the_caller_refuses_sales_and_their_returns_fall_with_them():
    def after_nine(line: FileLine) -> str | None:
        return "no_rule_on_date" if line.order_number == "1" else None

    assert reasons(
        """
        1  LAMP  1 100 a
        C2 LAMP -1 100 a
        3  LAMP  1 100 a
        C4 LAMP -1 100 a
        """,
        refuse_sale=after_nine,
    ) == ["no_rule_on_date", "return_without_sale", "sale", "return"]
    assert reasons("1 LAMP 1 100 a", served_countries=frozenset({"DE"})) == ["destination_not_served"]
    assert reasons("1 LAMP 1 100 a", served_countries=frozenset({"GB"})) == ["sale"]


def test_unknown_country_and_contradicting_buyer():
    found = classify_lines(lines("1 LAMP 1 100 a\nC1 LAMP -1 100 a\n2 LAMP -1 0 a", country=""), "GBP")
    assert [line.reason for line in found.refused] == ["unknown_country", "unknown_country"]
    assert len(found.adjustments) == 1
    assert reasons("1 LAMP 1 100 a\n1 LAMP 1 100 b") == ["sale", "order_buyer_differs"]


def test_equal_lines_are_two_lines_and_days_are_grouped():
    read = lines("""
        1  LAMP  2 100 a
        1  LAMP  2 100 a
        1  VASE  1 300 a
        1  POST  1 500 a
        C2 LAMP -3 100 a
        3  LAMP  1 100 anonymous:GB
        4  CUP  -7   0 anonymous:GB
    """)
    found = classify_lines(read, "GBP")
    (day,) = group_days(found)
    assert [(order.order_number, len(order.lines), len(order.charges)) for order in day.orders] == [("1", 3, 1), ("3", 1, 0)]
    assert [(draft.order_number, [line.quantity for line in draft.lines]) for draft in day.returns] == [("C2", [3])]
    assert [(line.sku, line.quantity) for line in day.adjustments] == [("CUP", -7)]
    assert sold_units(day) == {"LAMP": 5, "VASE": 1}
    products = [(product.sku, product.title, product.price_minor, product.sold_quantity) for product in list_products(found)]
    assert products == [("CUP", "CUP", 0, 0), ("LAMP", "Text of LAMP", 100, 5), ("VASE", "Text of VASE", 300, 1)]
    assert [(buyer.buyer_key, buyer.is_anonymous) for buyer in list_buyers(found)] == [("a", False), ("anonymous:GB", True)]


def test_shift_moves_by_days_of_the_shop_and_sorts():
    late, early = lines("1 LAMP 1 100 a\n2 LAMP 1 100 a")
    (first, second) = shift_lines([early, late], 122, ZoneInfo("Europe/London"))
    assert [(line.order_number, line.at.isoformat(), line.on.isoformat()) for line in (first, second)] == [
        ("1", "2011-07-01T08:00:00+00:00", "2011-07-01"),
        ("2", "2011-07-01T08:01:00+00:00", "2011-07-01"),
    ]
