"""The two clocks and what belongs to them; nobody else in the product reads a clock."""

import time as _time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from entrepot.base.errors import RefusedInputError


class UnknownTimeZoneError(RefusedInputError):
    """The time zone is not one that the IANA database knows; give a name such as Europe/London."""


class Clock(Protocol):
    """Something that tells an instant in UTC."""

    def now(self) -> datetime:
        """Return the instant in UTC."""
        ...


class RealClock:
    """The machine's clock: sessions, tokens, rate limits, retries, logs."""

    def now(self) -> datetime:
        """Return the real instant in UTC."""
        return datetime.now(UTC)


@dataclass(slots=True)
class VirtualClock:
    """A business clock that only moves when told, and never back."""

    at: datetime

    def now(self) -> datetime:
        """Return the virtual instant."""
        return self.at

    def advance_to(self, at: datetime) -> None:
        """Move forward to `at`; an earlier instant leaves the clock where it is."""
        self.at = max(self.at, at)


def monotonic_s() -> float:
    """Return seconds of a clock that never goes back, for measuring elapsed time."""
    return _time.monotonic()


def at_ms(at: datetime) -> int:
    """Return milliseconds since the Unix epoch."""
    return int(at.timestamp() * 1000)


def on_date(at: datetime, time_zone: str) -> date:
    """Return the calendar date of an instant in a place's time zone."""
    return at.astimezone(ZoneInfo(time_zone)).date()


def local_hour(at: datetime, time_zone: str) -> int:
    """Return the hour of the day, 0 to 23, of an instant in a place's time zone."""
    return at.astimezone(ZoneInfo(time_zone)).hour


def start_of_day(day: date, time_zone: str = "UTC") -> datetime:
    """Return the first instant of a date in a time zone, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(time_zone)).astimezone(UTC)


def next_working_day(day: date, holidays_on: frozenset[date] = frozenset()) -> date:
    """Return the first Monday-to-Friday date after `day` that is no holiday."""
    day += timedelta(days=1)
    while day.weekday() >= 5 or day in holidays_on:
        day += timedelta(days=1)
    return day
