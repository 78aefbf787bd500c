"""Money: integers, one rounding, parts that sum to the whole."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.base.money import (
    NotANumberError,
    Rounding,
    TooManyDecimalsError,
    UnknownCurrencyError,
    convert_minor,
    major,
    parse_minor,
    round_minor,
    split_by_weight,
)


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("12.50", "EUR", 1250),
        ("12.5", "EUR", 1250),
        ("0", "EUR", 0),
        ("-3.10", "GBP", -310),
        ("980", "JPY", 980),
        ("1.234", "KWD", 1234),
        ("2.550", "GBP", 255),
    ],
)
def test_read(text, currency, minor):
    assert parse_minor(text, currency) == minor
    assert major(minor, currency) == Decimal(text)


@pytest.mark.parametrize(
    ("text", "currency", "error"),
    [
        ("0.001", "GBP", TooManyDecimalsError),
        ("1.5", "JPY", TooManyDecimalsError),
        ("ten", "EUR", NotANumberError),
        ("NaN", "EUR", NotANumberError),
        ("Infinity", "EUR", NotANumberError),
        ("1", "XYZ", UnknownCurrencyError),
    ],
)
def test_refuse(text, currency, error):
    with pytest.raises(error) as caught:
        parse_minor(text, currency, "price")
    assert caught.value.remedy
    assert caught.value.field in {"price", "currency"}


@pytest.mark.parametrize(
    ("exact", "rounding", "minor"),
    [
        ("2.5", Rounding.HALF_UP, 3),
        ("2.5", Rounding.HALF_EVEN, 2),
        ("-2.5", Rounding.HALF_UP, -3),
        ("2.1", Rounding.UP, 3),
        ("2.9", Rounding.DOWN, 2),
    ],
)
def test_round(exact, rounding, minor):
    assert round_minor(Decimal(exact), rounding) == minor


@pytest.mark.parametrize(
    ("minor", "rate", "source", "target", "converted"),
    [
        (10000, "1.25", "GBP", "USD", 12500),
        (10000, "160.5", "USD", "JPY", 16050),
        (16050, "0.00623", "JPY", "USD", 9999),
        (1, "0.5", "EUR", "GBP", 0),
    ],
)
def test_convert(minor, rate, source, target, converted):
    assert convert_minor(minor, Decimal(rate), source, target) == converted


@given(total=st.integers(-(10**9), 10**9), weights=st.lists(st.integers(0, 10**6), min_size=1, max_size=20))
def test_parts_sum_to_the_whole(total, weights):
    parts = split_by_weight(total, weights)
    assert sum(parts) == total
    whole = sum(weights) or len(weights)
    for part, weight in zip(parts, weights if sum(weights) else [1] * len(weights), strict=True):
        assert abs(part - total * weight / whole) <= 1


def test_nothing_is_split_over_nobody():
    assert split_by_weight(5, []) == []
