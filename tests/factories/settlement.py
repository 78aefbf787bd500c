"""Sales to tax, units to charge, books of shipped rules, statements to close."""

import uuid
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from msgspec.structs import replace

from entrepot.base.ids import derived_id
from entrepot.settlement.exchange import ExchangeQuote, ExchangeRate, RateBook, RateType, rate_book_of
from entrepot.settlement.fees import FeeInputs
from entrepot.settlement.model import LineKind, Period, period_of
from entrepot.settlement.seed import shipped_fee_book, shipped_rule_book
from entrepot.settlement.statements import Movement, StatementClosing, StatementKey
from entrepot.settlement.tax import TaxInputs

AT = datetime(2026, 11, 2, 9, tzinfo=UTC)
ON = date(2026, 11, 2)
OFF_PEAK = date(2026, 9, 1)
MERCHANT = derived_id("merchant", "settlement")
OTHER = derived_id("merchant", "settlement-other")
PLATFORM = derived_id("merchant", "platform-de")

RATES: RateBook = rate_book_of(
    ExchangeRate(RateType.ECB, currency, date(2024, 1, 1), Decimal(rate))
    for currency, rate in (
        ("USD", "1.10"),
        ("GBP", "0.85"),
        ("CNY", "8.00"),
        ("JPY", "165"),
        ("AUD", "1.65"),
        ("NOK", "11.5"),
        ("SGD", "1.45"),
        ("CHF", "0.95"),
    )
)
"""Round rates of one day, so that tests can be computed by hand."""

TAX_BOOK = shipped_rule_book(RATES)
FEE_BOOK = shipped_fee_book()


def sale(
    price_minor: int = 10_000,
    *,
    established: str = "CN",
    ship_from: str = "DE",
    to: str = "DE",
    currency: str = "EUR",
    includes: bool = True,
    **values: object,
) -> TaxInputs:
    """Return a sale of one piece for this price, the consignment's only one."""
    inputs = TaxInputs(established, ship_from, to, price_minor, currency, includes, price_minor, price_minor, ON)
    return replace(inputs, **values)


def unit(marketplace_code: str = "US", currency: str = "USD", on: date = OFF_PEAK, model_code: str = "fba", **values: object) -> FeeInputs:
    return FeeInputs(marketplace_code, model_code, on, currency, **values)


def order_id(name: str) -> uuid.UUID:
    return derived_id("order", name)


def period(number: int) -> Period:
    """Return the numbered settlement period of autumn 2026."""
    return period_of(date(2026, 8, 24) + timedelta(days=14 * number))


def statement(number: int, merchant_id: uuid.UUID = MERCHANT, currency: str = "EUR") -> StatementKey:
    return StatementKey(merchant_id, currency, period(number))


def closing(key: StatementKey, *moved: tuple[LineKind, str, int]) -> StatementClosing:
    return StatementClosing(key, tuple(Movement(kind, code, amount) for kind, code, amount in moved))


def same_currency(minor: int, currency: str = "EUR") -> ExchangeQuote:
    return ExchangeQuote(minor, currency, minor, 0, currency, Decimal(1), f"same:{currency}")
