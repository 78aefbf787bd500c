"""How pages say things: codes as words, states as tones, money, numbers, dates and countries as people write them."""

import uuid
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Final, cast

from babel import Locale
from babel.dates import format_date
from babel.numbers import format_currency, format_decimal, format_percent
from markupsafe import Markup

from entrepot.base.money import decimals_of, major
from entrepot.orders.model import OrderState

LOCALE: Final = Locale.parse("en")
"""Language of the pages; amounts show currencies that share a sign apart (US$ is $, CA$, A$, CN¥)."""

_MINUS: Final = "\u2212"
_NOTHING: Final = "\u2013"

_TONES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("awaiting_payment", "customs_hold", "held", "exception", "returning", "limit_reached", "part_shipped", "pending"), "warning"),
    **dict.fromkeys(("paid", "in_work", "released_to_work", "labelled", "submitted", "drafted", "planned"), "info"),
    **dict.fromkeys(("shipped", "handed_over", "in_transit", "out_for_delivery", "part_delivered"), "progress"),
    **dict.fromkeys(("delivered", "settled", "released", "captured", "hit", "posted", "post", "chosen"), "success"),
    **dict.fromkeys(("lost", "destroyed", "refused", "declined", "miss", "void", "broken", "expired"), "danger"),
}

_STATE_WORDS: Final[Mapping[str, str]] = {"hit": "Kept", "miss": "Missed"}

ORDER_WAY: Final = (
    (OrderState.AWAITING_PAYMENT, "Placed"),
    (OrderState.PAID, "Paid"),
    (OrderState.IN_WORK, "In work"),
    (OrderState.SHIPPED, "Shipped"),
    (OrderState.DELIVERED, "Delivered"),
    (OrderState.SETTLED, "Settled"),
)
"""The way of an order as its stepper shows it."""

_ACCOUNTS: Final[Mapping[str, str]] = {
    "psp": "Payment provider",
    "bank": "Bank",
    "mer": "Payable to merchants",
    "rsv": "Reserve of merchants",
    "broker": "Customs broker",
    "fxclr": "Exchange clearing",
    "buyer_refund": "Refunds to buyers",
    "loss": "Losses borne",
    "rounding": "Rounding",
    "variance": "Quoted against assessed",
    "channel": "Other channels",
}
_ACCOUNT_FAMILIES: Final[Mapping[str, str]] = {
    "fee": "Fee",
    "fee_tax": "Tax on fees",
    "tax": "Sales tax",
    "duty": "Duty",
    "import_tax": "Import tax",
    "cbec_tax": "Retail import tax",
    "carrier": "Carrier",
}
_PLACES: Final[Mapping[str, str]] = {
    "@supplier": "Supplier",
    "@word": "Merchant's word",
    "@over_receipt": "Over receipt",
    "@found": "Found",
    "@transit": "In transit to us",
    "@carrier": "With a carrier",
    "@customer": "Customer",
    "@return": "On its way back",
    "@customs": "Customs",
    "@lost": "Lost",
    "@gone": "Gone",
}


def words(code: object) -> str:
    """Return a code as words: `order_placed` is "Order placed"."""
    text = str(code).replace("_", " ").strip()
    return text[:1].upper() + text[1:]


def state_words(state: object) -> str:
    """Return how a state is called on its pill."""
    return _STATE_WORDS.get(str(state), words(state))


def short_title(title: str) -> str:
    """Return a model's title without what stands in brackets behind it, for tables."""
    return title.partition(" (")[0]


def tone(state: object) -> str:
    """Return the tone in which a state is shown."""
    return _TONES.get(str(state), "neutral")


def money(minor: int, currency: str) -> str:
    """Return an amount as people write it, with its currency and a true minus sign."""
    return format_currency(major(minor, currency), currency, locale=LOCALE, decimal_quantization=False, currency_digits=True).replace("-", _MINUS)


def plain_amount(minor: int, currency: str) -> str:
    """Return an amount without its currency, for columns that name it once."""
    decimals = decimals_of(currency)
    pattern = "#,##0" + ("." + "0" * decimals if decimals else "")
    return format_decimal(major(minor, currency), format=pattern, locale=LOCALE).replace("-", _MINUS)


def number(count: int) -> str:
    """Return a whole number with its thousands apart."""
    return format_decimal(count, locale=LOCALE).replace("-", _MINUS)


def percent(rate: Decimal | None) -> str:
    """Return a rate as per cent, or a dash."""
    return _NOTHING if rate is None else format_percent(rate, format="#,##0.##%", locale=LOCALE)


def day(on: date | None) -> str:
    """Return a date such as "Tue 8 Sept 2026"."""
    return _NOTHING if on is None else format_date(on, "EEE d MMM y", locale=LOCALE)


def short_day(on: date) -> str:
    """Return a date without its year."""
    return format_date(on, "EEE d MMM", locale=LOCALE)


def window(from_on: date, to_on: date) -> str:
    """Return an arrival window in as few words as it takes."""
    if from_on == to_on:
        return short_day(from_on)
    return f"{short_day(from_on)} to {short_day(to_on)}"


def when(at: datetime | None) -> Markup:
    """Return an instant as a time element: UTC until the browser shows the viewer's own zone."""
    if at is None:
        return Markup("&ndash;")
    utc = at.astimezone(UTC)
    shown = format_date(utc.date(), "d MMM y", locale=LOCALE) + f", {utc:%H:%M}"
    return Markup('<time datetime="{}" title="{} UTC" data-local>{}</time>').format(utc.isoformat(timespec="seconds"), shown, shown)


def when_brief(at: datetime) -> Markup:
    """Return an instant without its year, for feeds."""
    utc = at.astimezone(UTC)
    return Markup('<time datetime="{}" title="{} UTC" data-local="brief">{}</time>').format(
        utc.isoformat(timespec="seconds"), f"{utc:%Y-%m-%d %H:%M:%S}", format_date(utc.date(), "d MMM", locale=LOCALE) + f", {utc:%H:%M}"
    )


def country(code: str) -> str:
    """Return a country's name, or the code where it is no country."""
    return cast("Mapping[str, str]", LOCALE.territories).get(code, code)


def account(code: str) -> str:
    """Return an account's name."""
    family, _, rest = code.partition(".")
    if not rest:
        return _ACCOUNTS.get(code, words(code))
    name = _ACCOUNT_FAMILIES.get(family, words(family))
    return f"{name}: {country(rest) if len(rest) == 2 else words(rest)}"


def place(code: str) -> str:
    """Return a place's name: pseudo places in words, buildings by code."""
    return _PLACES.get(code, code)


def short_id(value: uuid.UUID) -> str:
    """Return the last digits of an id, enough to tell rows apart."""
    return value.hex[-8:]
