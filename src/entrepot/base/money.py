"""Money in integer minor units of an ISO 4217 currency; rates are Decimal, results are rounded once."""

from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal, InvalidOperation
from enum import StrEnum
from typing import Final

from msgspec import Struct

from entrepot.base.errors import RefusedInputError


class UnknownCurrencyError(RefusedInputError):
    """The currency is not one that Entrepot keeps books in."""


class TooManyDecimalsError(RefusedInputError):
    """The amount has more decimals than its currency."""


class NotANumberError(RefusedInputError):
    """The value is not a decimal number."""


CURRENCY_DECIMALS: Final[dict[str, int]] = {
    "AED": 2, "AUD": 2, "BHD": 3, "BRL": 2, "CAD": 2, "CHF": 2, "CNY": 2, "CZK": 2, "DKK": 2, "EUR": 2, "GBP": 2, "HKD": 2, "HUF": 2,
    "IDR": 2, "ILS": 2, "INR": 2, "ISK": 0, "JPY": 0, "KRW": 0, "KWD": 3, "MXN": 2, "MYR": 2, "NOK": 2, "NZD": 2, "PHP": 2, "PLN": 2,
    "RON": 2, "SAR": 2, "SEK": 2, "SGD": 2, "THB": 2, "TRY": 2, "TWD": 2, "USD": 2, "VND": 0, "ZAR": 2,
}  # fmt: skip
"""Decimals per currency (ISO 4217)."""


class Rounding(StrEnum):
    """How a rule turns an exact amount into minor units."""

    HALF_UP = "half_up"
    HALF_EVEN = "half_even"
    UP = "up"
    DOWN = "down"


_MODES: Final[dict[Rounding, str]] = {
    Rounding.HALF_UP: ROUND_HALF_UP,
    Rounding.HALF_EVEN: ROUND_HALF_EVEN,
    Rounding.UP: ROUND_CEILING,
    Rounding.DOWN: ROUND_DOWN,
}


class Money(Struct, frozen=True):
    """An amount in minor units of one currency."""

    minor: int
    currency: str


def decimals_of(currency: str) -> int:
    """Return the number of decimals of a currency, or refuse an unknown one."""
    try:
        return CURRENCY_DECIMALS[currency]
    except KeyError:
        raise UnknownCurrencyError("currency", currency, "Use one of %(choices)s.", choices=sorted(CURRENCY_DECIMALS)) from None


def round_minor(exact: Decimal, rounding: Rounding = Rounding.HALF_UP) -> int:
    """Round an exact amount that is already in minor units to a whole number of them."""
    return int(exact.quantize(Decimal(1), rounding=_MODES[rounding]))


def parse_minor(text: str, currency: str, field: str = "amount") -> int:
    """Read a decimal text in major units as minor units; more decimals than the currency has are refused."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise NotANumberError(field, text, "Write a decimal number such as 12.50.") from None
    if not value.is_finite():
        raise NotANumberError(field, text, "Write a decimal number such as 12.50.")
    decimals = decimals_of(currency)
    scaled = value.scaleb(decimals)
    if scaled != scaled.to_integral_value():
        raise TooManyDecimalsError(
            field, text, "%(currency)s has %(decimals)s decimals; round the amount first.", currency=currency, decimals=decimals
        )
    return int(scaled)


def major(minor: int, currency: str) -> Decimal:
    """Return minor units as an exact decimal in major units."""
    return Decimal(minor).scaleb(-decimals_of(currency))


def convert_minor(minor: int, rate: Decimal, source: str, target: str, rounding: Rounding = Rounding.HALF_EVEN) -> int:
    """Convert minor units at `rate` (target major units for one source major unit) and round once."""
    return round_minor((Decimal(minor).scaleb(-decimals_of(source)) * rate).scaleb(decimals_of(target)), rounding)


def split_by_weight(total_minor: int, weights: Sequence[int]) -> list[int]:
    """Split a total over weights so that the parts sum to it (largest remainder; ties go to the earlier part)."""
    whole = sum(weights)
    if whole == 0:
        if not weights:
            return []
        weights, whole = [1] * len(weights), len(weights)
    parts = [total_minor * weight // whole for weight in weights]
    rest = total_minor - sum(parts)
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(total_minor * weights[i] % whole), i))
    for i in by_remainder[:rest]:
        parts[i] += 1
    return parts
