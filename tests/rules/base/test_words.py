"""Ids, quantities, states, errors and time."""

from datetime import UTC, date, datetime
from enum import StrEnum

import pytest

from entrepot.base.errors import BrokenDeclarationError, error_code
from entrepot.base.ids import RandomIds, SeededIds, derived_id, derived_id_at
from entrepot.base.quantity import NotAWholeNumberError, QuantityNotPositiveError, parse_whole, require_positive
from entrepot.base.states import TransitionNotAllowedError, declare_states
from entrepot.base.time import VirtualClock, local_hour, next_working_day, on_date, start_of_day


class Door(StrEnum):
    OPEN = "open"
    SHUT = "shut"
    GONE = "gone"


def test_seeded_ids_repeat_and_sort_by_time():
    one, two = SeededIds("7", "buyer"), SeededIds("7", "buyer")
    assert [one.new(5), one.new(6)] == [two.new(5), two.new(6)]
    assert SeededIds("8", "buyer").new(5) != SeededIds("7", "buyer").new(5)
    assert one.new(1) < one.new(2) < RandomIds().new(3)
    assert {RandomIds().new(1).version, derived_id_at(1, "a").version} == {7}


def test_derived_ids_follow_from_their_parts():
    assert derived_id("order", 1) == derived_id("order", 1)
    assert derived_id("a", "bc") != derived_id("ab", "c")
    assert derived_id("order", 1).version == 8


@pytest.mark.parametrize(("text", "number"), [("6", 6), ("6.0", 6), (" 12.00 ", 12), ("-3", -3), ("+4", 4)])
def test_whole_numbers(text, number):
    assert parse_whole(text) == number


@pytest.mark.parametrize("text", ["6.5", "six", "", "1e3", "."])
def test_no_whole_number(text):
    with pytest.raises(NotAWholeNumberError):
        parse_whole(text)


@pytest.mark.parametrize("quantity", [0, -1])
def test_quantities_are_positive(quantity):
    with pytest.raises(QuantityNotPositiveError) as caught:
        require_positive(quantity, "lines[0].quantity")
    assert (caught.value.field, caught.value.value) == ("lines[0].quantity", quantity)


def test_states_are_checked_when_declared():
    states = declare_states("door", Door.OPEN, {Door.OPEN: {Door.SHUT}, Door.SHUT: {Door.OPEN, Door.GONE}, Door.GONE: set()})
    assert states.terminal == {"gone"}
    assert states.sources_of("open") == ["shut"]
    with pytest.raises(TransitionNotAllowedError):
        states.require("open", "gone")


@pytest.mark.parametrize(
    "table",
    [
        {Door.OPEN: {Door.SHUT}, Door.SHUT: set()},
        {Door.OPEN: {Door.SHUT}, Door.SHUT: set(), Door.GONE: set()},
        {Door.OPEN: {Door.SHUT}, Door.SHUT: {Door.GONE}, Door.GONE: {Door.OPEN}},
    ],
)
def test_broken_states_do_not_load(table):
    with pytest.raises(BrokenDeclarationError):
        declare_states("door", Door.OPEN, table)


def test_error_codes_are_stable():
    assert error_code(QuantityNotPositiveError) == "quantity_not_positive"


def test_places_have_their_own_day_and_hour():
    at = datetime(2026, 3, 1, 1, tzinfo=UTC)
    assert on_date(at, "America/Los_Angeles") == date(2026, 2, 28)
    assert local_hour(at, "Asia/Shanghai") == 9
    assert start_of_day(date(2026, 3, 1), "Asia/Shanghai") == datetime(2026, 2, 28, 16, tzinfo=UTC)
    assert next_working_day(date(2026, 2, 27)) == date(2026, 3, 2)
    assert next_working_day(date(2026, 2, 27), frozenset({date(2026, 3, 2)})) == date(2026, 3, 3)


def test_a_virtual_clock_never_goes_back():
    clock = VirtualClock(datetime(2026, 3, 1, tzinfo=UTC))
    clock.advance_to(datetime(2026, 2, 1, tzinfo=UTC))
    assert clock.now() == datetime(2026, 3, 1, tzinfo=UTC)
