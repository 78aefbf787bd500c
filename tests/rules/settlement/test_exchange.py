from datetime import date
from decimal import Decimal

import pytest
from tests.factories.settlement import ON, RATES

from entrepot.settlement.exchange import CrossRate, ExchangeRate, NoExchangeRate, RateType, quote_exchange, rate_book_of
from entrepot.settlement.seed import shipped_exchange_rates

D = Decimal


@pytest.mark.parametrize(
    ("minor", "source", "target", "spread", "converted", "fee", "paid", "rate"),
    [
        (10_000, "EUR", "USD", "0.01", 11_000, 110, 10_890, "1.10"),
        (11_000, "USD", "EUR", "0", 10_000, 0, 10_000, "0.9090909090909090909090909091"),
        (48_000, "CNY", "EUR", "0.015", 6000, 90, 5910, "0.125"),
        (10_000, "USD", "JPY", "0.02", 15_000, 300, 14_700, "150"),
        (15_000, "JPY", "USD", "0.005", 10_000, 50, 9950, "0.006666666666666666666666666667"),
        (10_000, "GBP", "CNY", "0.01", 94_118, 941, 93_177, "9.411764705882352941176470588"),
        (-5700, "EUR", "USD", "0.01", -6270, -63, -6207, "1.10"),
        (1, "JPY", "EUR", "0", 1, 0, 1, "0.006060606060606060606060606061"),
        (10_000, "EUR", "EUR", "0.01", 10_000, 0, 10_000, "1"),
    ],
)
def test_quotes(minor, source, target, spread, converted, fee, paid, rate):
    quote = quote_exchange(minor, source, target, RATES, ON, D(spread))

    assert (quote.converted_minor, quote.spread_minor, quote.paid_minor, quote.rate) == (converted, fee, paid, D(rate))
    assert (quote.minor, quote.source, quote.target) == (minor, source, target)


def test_the_rate_id_names_type_pair_and_published_day():
    assert RATES.cross("USD", "JPY", ON) == CrossRate(D(150), "ecb:USD/JPY:2024-01-01", date(2024, 1, 1))
    assert RATES.cross("EUR", "EUR", ON).rate_id == "same:EUR"


def test_a_day_without_rates_uses_the_last_published_one():
    book = rate_book_of(
        [
            ExchangeRate(RateType.ECB, "USD", date(2026, 10, 30), D("1.2")),
            ExchangeRate(RateType.ECB, "USD", date(2026, 10, 29), D("1.1")),
            ExchangeRate(RateType.CUSTOMS, "USD", date(2026, 10, 1), D("1.3")),
        ]
    )

    assert [book.cross("EUR", "USD", day).rate for day in (date(2026, 10, 29), date(2026, 10, 30), date(2026, 11, 1))] == [
        D("1.1"),
        D("1.2"),
        D("1.2"),
    ]
    assert book.cross("EUR", "USD", date(2026, 11, 1), RateType.CUSTOMS).rate == D("1.3")
    assert book.cross("EUR", "USD", date(2026, 10, 28)) == NoExchangeRate("EUR", "USD", date(2026, 10, 28), RateType.ECB)


@pytest.mark.parametrize("currency", ["AED", "THB"])
def test_an_unknown_currency_has_no_rate(currency):
    assert quote_exchange(100, currency, "EUR", RATES, ON, D(0)) == NoExchangeRate(currency, "EUR", ON, RateType.ECB)


def test_shipped_rates_are_the_banks():
    rates = shipped_exchange_rates(date(2026, 10, 1))

    assert {rate.rate for rate in rates if (rate.currency, rate.day) == ("USD", date(2026, 10, 30))} == {D("1.1172")}
    assert min(rate.day for rate in rates) == date(2026, 10, 1)
    assert {"USD", "GBP", "JPY", "CNY", "AUD", "CAD", "CHF"} <= {rate.currency for rate in rates}
    assert {rate.rate_type for rate in rates} == {RateType.ECB}
