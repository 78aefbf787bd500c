"""Goods, asks and declarations to begin a customs test with."""

import uuid
from datetime import UTC, date, datetime
from decimal import Decimal

from msgspec.structs import replace

from entrepot.base.ids import derived_id
from entrepot.customs.cbec import BONDED, DIRECT, CbecAsk, assess_cbec
from entrepot.customs.goods import GoodsLine
from entrepot.customs.landed_cost import ConsignmentAsk
from entrepot.customs.model import (
    Declaration,
    DeclarationKind,
    LineDetail,
    LogisticsMessage,
    OrderMessage,
    Party,
    PaymentMessage,
    Submission,
    declaration_lines,
    submission_of,
)
from entrepot.customs.quota import CloseAsk, ElsewhereAsk, HoldAsk, ReturnAsk, quota_person_id
from entrepot.customs.rules import RuleBook, RuleRows, build_rule_book
from entrepot.customs.seed import seed_rows

AT = datetime(2026, 10, 5, 9, tzinfo=UTC)
ON = date(2026, 10, 5)
MERCHANT = derived_id("merchant", "customs")
PERSON = quota_person_id("hash-one")
OTHER_PERSON = quota_person_id("hash-two")
LIMIT = 2_600_000
YEAR = 2026
ROWS = seed_rows()
BOOK = build_rule_book(ROWS)


def book_with(*codes: str) -> RuleBook:
    """Return the shipped book with these rows switched on."""
    return build_rule_book(
        RuleRows(
            tuple(replace(row, is_active=True) if row.rate_code in codes else row for row in ROWS.duty_rates),
            tuple(replace(row, is_active=True) if row.rule_code in codes else row for row in ROWS.import_rules),
            tuple(replace(row, is_active=True) if row.tax_code in codes else row for row in ROWS.import_taxes),
            ROWS.cbec_rates,
            ROWS.cbec_limits,
            ROWS.screening_rules,
        )
    )


def goods(
    minor: int,
    line_no: int = 1,
    hs_code: str = "950300",
    origin: str = "CN",
    quantity: int = 1,
    discount: int = 0,
    freight: int = 0,
    insurance: int = 0,
) -> GoodsLine:
    return GoodsLine(line_no, hs_code, origin, quantity, minor, discount, freight, insurance)


def ask(ship_to: str, currency: str, *lines: GoodsLine, ship_from: str = "CN", on: date = ON) -> ConsignmentAsk:
    return ConsignmentAsk(ship_from, ship_to, on, currency, lines)


def cbec_ask(*lines: GoodsLine, taken: int = 0, regime: str = DIRECT, on: date = ON) -> CbecAsk:
    return CbecAsk(regime, on, lines, taken)


def order_id(name: str) -> uuid.UUID:
    return derived_id("order", name)


def hold(name: str, value: int, person: uuid.UUID = PERSON, attempt: int = 1, year: int = YEAR) -> HoldAsk:
    return HoldAsk(person, order_id(name), attempt, year, LIMIT, value, AT, "order placed")


def close(name: str, person: uuid.UUID = PERSON, attempt: int = 1) -> CloseAsk:
    return CloseAsk(person, order_id(name), attempt, AT, "test")


def giving_back(name: str, value: int, key: str = "r1", person: uuid.UUID = PERSON) -> ReturnAsk:
    return ReturnAsk(person, order_id(name), key, value, AT, "return accepted")


def full_year(key: str, person: uuid.UUID = PERSON) -> ElsewhereAsk:
    return ElsewhereAsk(person, YEAR, LIMIT, key, None, AT, "customs reported the limit")


def cbec_declaration(name: str = "one", minor: int = 48_000, quantity: int = 1, merchant: uuid.UUID = MERCHANT, version: int = 1) -> Declaration:
    """Return a drafted retail import of one line within the limits."""
    assessed = assess_cbec(BOOK, cbec_ask(goods(minor, hs_code="210690", quantity=quantity), regime=BONDED))
    details = {1: LineDetail(order_id(name), 400 * quantity)}
    return Declaration(
        merchant,
        derived_id("declaration", name, version),
        order_id(name),
        derived_id("consignment", name),
        None,
        BONDED,
        DeclarationKind.IMPORT,
        version,
        Party("broker"),
        Party("merchant", merchant),
        Party("agent"),
        Party("buyer", PERSON),
        "KR",
        "CN",
        ON,
        "CNY",
        Decimal(1),
        AT,
        declaration_lines(assessed.lines, details, "CNY", Decimal(1), "CNY"),
    )


def documents(declaration: Declaration, attempt: int = 1) -> Submission:
    """Return a submission whose three documents match the declaration."""
    lines = declaration.lines
    tax = sum(line.duty_minor + line.tax_minor for line in lines)
    value = sum(line.customs_value_minor for line in lines)
    number = str(declaration.order_id)
    return submission_of(
        declaration,
        attempt,
        OrderMessage(number, PERSON, value, 0, 0, 0, tax, "CNY", tuple((line.line_no, line.quantity) for line in lines)),
        PaymentMessage("pay-1", number, PERSON, value + tax, "CNY"),
        LogisticsMessage("way-1", number, sum(line.quantity for line in lines), sum(line.net_weight_g for line in lines) + 50),
    )
