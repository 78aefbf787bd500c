from datetime import date

import pytest
from tests.factories.settlement import MERCHANT

from entrepot.base.money import Rounding
from entrepot.settlement.model import (
    PAYOUT_STATES,
    STATEMENT_STATES,
    Period,
    available_on,
    divide_rounded,
    is_in_force,
    payout_id_of,
    period_of,
    statement_id_of,
)


@pytest.mark.parametrize(
    ("delivered", "reserve", "available"),
    [("2026-11-02", 7, "2026-11-10"), ("2026-11-02", 14, "2026-11-17"), ("2024-02-27", 7, "2024-03-06"), ("2026-12-30", 7, "2027-01-07")],
)
def test_proceeds_are_free_on_the_day_after_seven_full_days(delivered, reserve, available):
    assert available_on(date.fromisoformat(delivered), reserve) == date.fromisoformat(available)


@pytest.mark.parametrize(
    ("day", "starts", "ends"),
    [
        ("2024-01-01", "2024-01-01", "2024-01-15"),
        ("2024-01-14", "2024-01-01", "2024-01-15"),
        ("2024-01-15", "2024-01-15", "2024-01-29"),
        ("2023-12-31", "2023-12-18", "2024-01-01"),
        ("2026-11-22", "2026-11-16", "2026-11-30"),
    ],
)
def test_periods_are_fortnights_from_a_monday(day, starts, ends):
    assert period_of(date.fromisoformat(day)) == Period(date.fromisoformat(starts), date.fromisoformat(ends))


@pytest.mark.parametrize(
    ("numerator", "half_up", "half_even", "up", "down"),
    [(5, 3, 2, 3, 2), (7, 4, 4, 4, 3), (-5, -3, -2, -2, -2), (-7, -4, -4, -3, -3), (4, 2, 2, 2, 2), (-4, -2, -2, -2, -2), (0, 0, 0, 0, 0)],
)
def test_halves_are_rounded_as_named(numerator, half_up, half_even, up, down):
    assert [divide_rounded(numerator, 2, how) for how in (Rounding.HALF_UP, Rounding.HALF_EVEN, Rounding.UP, Rounding.DOWN)] == [
        half_up,
        half_even,
        up,
        down,
    ]


@pytest.mark.parametrize(("day", "holds"), [("2026-01-14", False), ("2026-01-15", True), ("2026-10-14", True), ("2026-10-15", False)])
def test_the_end_of_a_rule_is_exclusive(day, holds):
    assert is_in_force(date.fromisoformat(day), date(2026, 1, 15), date(2026, 10, 15)) is holds


def test_ids_follow_from_their_meaning():
    first = statement_id_of(MERCHANT, "EUR", date(2026, 11, 9))

    assert first == statement_id_of(MERCHANT, "EUR", date(2026, 11, 9))
    assert (
        len({first, statement_id_of(MERCHANT, "USD", date(2026, 11, 9)), statement_id_of(MERCHANT, "EUR", date(2026, 11, 23)), payout_id_of(first)})
        == 4
    )


def test_terminal_states():
    assert STATEMENT_STATES.terminal == {"carried", "returned"}
    assert PAYOUT_STATES.terminal == {"returned"}
    assert PAYOUT_STATES.sources_of("sent") == ["requested", "retry"]
