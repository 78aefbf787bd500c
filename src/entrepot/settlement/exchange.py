"""Exchange: dated rates against the euro, cross rates with full precision, quotes with the spread apart."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from entrepot.base.money import convert_minor, round_minor

BASE_CURRENCY: Final = "EUR"


class RateType(StrEnum):
    """Who publishes an exchange rate; customs uses its own."""

    ECB = "ecb"
    CUSTOMS = "customs"
    OPERATOR = "operator"


class ExchangeRate(Struct, frozen=True):
    """Units of a currency for one euro, as published for a day."""

    rate_type: RateType
    currency: str
    day: date
    rate: Decimal


class CrossRate(Struct, frozen=True):
    """Target units for one source unit with full precision; `day` is the older of the published days it rests on."""

    rate: Decimal
    rate_id: str
    day: date


class NoExchangeRate(Struct, frozen=True):
    """There is no rate of this type for one of the currencies on or before the day; the operator enters one."""

    source: str
    target: str
    day: date
    rate_type: RateType


class ExchangeQuote(Struct, frozen=True):
    """A conversion: the amount at the published rate, the spread taken from it, and what is left to pay."""

    minor: int
    source: str
    converted_minor: int
    spread_minor: int
    target: str
    rate: Decimal
    rate_id: str

    @property
    def paid_minor(self) -> int:
        """The converted amount less the spread, in minor units of the target currency."""
        return self.converted_minor - self.spread_minor


@dataclass(frozen=True, slots=True)
class RateBook:
    """All exchange rates in memory, by type and currency, in the order of their days."""

    days: Mapping[tuple[str, str], tuple[date, ...]]
    rates: Mapping[tuple[str, str], tuple[Decimal, ...]]
    _crossed: dict[tuple[str, str, date, str], CrossRate | NoExchangeRate] = field(
        default_factory=dict[tuple[str, str, date, str], CrossRate | NoExchangeRate], compare=False, repr=False
    )

    def published(self, rate_type: RateType, currency: str, day: date) -> tuple[date, Decimal] | None:
        """Return the last rate on or before a day with its day; the euro is always one."""
        if currency == BASE_CURRENCY:
            return day, Decimal(1)
        days = self.days.get((rate_type, currency), ())
        index = bisect_right(days, day)
        return (days[index - 1], self.rates[rate_type, currency][index - 1]) if index else None

    def cross(self, source: str, target: str, day: date, rate_type: RateType = RateType.ECB) -> CrossRate | NoExchangeRate:
        """Return target units per source unit through the euro; a day without a rate uses the last published one."""
        key = (source, target, day, rate_type)
        known = self._crossed.get(key)
        if known is None:
            known = self._crossed[key] = self._cross(source, target, day, rate_type)
        return known

    def _cross(self, source: str, target: str, day: date, rate_type: RateType) -> CrossRate | NoExchangeRate:
        if source == target:
            return CrossRate(Decimal(1), f"same:{source}", day)
        sold, bought = self.published(rate_type, source, day), self.published(rate_type, target, day)
        if sold is None or bought is None:
            return NoExchangeRate(source, target, day, rate_type)
        published_on = min(sold[0], bought[0])
        return CrossRate(bought[1] / sold[1], f"{rate_type}:{source}/{target}:{published_on.isoformat()}", published_on)


def rate_book_of(rates: Iterable[ExchangeRate]) -> RateBook:
    """Index exchange rates by type, currency and day."""
    by_key: dict[tuple[str, str], dict[date, Decimal]] = {}
    for rate in rates:
        by_key.setdefault((rate.rate_type, rate.currency), {})[rate.day] = rate.rate
    ordered = {key: sorted(by_day.items()) for key, by_day in by_key.items()}
    return RateBook(
        MappingProxyType({key: tuple(day for day, _ in pairs) for key, pairs in ordered.items()}),
        MappingProxyType({key: tuple(rate for _, rate in pairs) for key, pairs in ordered.items()}),
    )


def quote_exchange(
    minor: int, source: str, target: str, rate_book: RateBook, day: date, spread: Decimal, rate_type: RateType = RateType.ECB
) -> ExchangeQuote | NoExchangeRate:
    """Convert minor units at the day's published rate (half-even) and name the spread, a share of the result, apart (half-up)."""
    crossed = rate_book.cross(source, target, day, rate_type)
    if isinstance(crossed, NoExchangeRate):
        return crossed
    converted = convert_minor(minor, crossed.rate, source, target)
    spread_minor = 0 if source == target else round_minor(Decimal(converted) * spread)
    return ExchangeQuote(minor, source, converted, spread_minor, target, crossed.rate, crossed.rate_id)
