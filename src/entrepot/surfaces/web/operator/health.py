"""Health: database, clocks, due work, proof and failures at a glance."""

from datetime import datetime
from typing import Final

from litestar import Response, get
from msgspec import Struct

from entrepot.base.clock_store import read_business_now
from entrepot.base.due import count_due, next_due_at
from entrepot.base.time import RealClock, monotonic_s
from entrepot.surfaces.web.access import HOUSE, VisitorDep, open_to
from entrepot.surfaces.web.house import HouseDep
from entrepot.surfaces.web.languages import mark
from entrepot.surfaces.web.render import page
from entrepot.surfaces.web.words import number, span, when

SLOW_MS: Final = 250
"""From how many milliseconds on an answer of the database is called slow."""
BEHIND_S: Final = 900
"""From how many seconds on due work is called behind."""


class Sign(Struct, frozen=True):
    """One sign of health: what it is, how it stands, how much in numbers, and where its rows are."""

    name: str
    tone: str
    state: str
    told: str
    href: str = ""


@get("/operator/health", opt=open_to(HOUSE))
async def show_health(house: HouseDep, visitor: VisitorDep) -> Response[str]:
    """Show how the house stands."""
    began_s = monotonic_s()
    async with house.database.reading() as conn:
        stored = await read_business_now(conn)
        elapsed_ms = int((monotonic_s() - began_s) * 1000)
        due = await count_due(conn)
        earliest = await next_due_at(conn)
    now = stored or RealClock().now()
    failures = sum(one[2] for one in due)
    _ = visitor.language.gettext
    signs = [
        Sign(
            mark("Database"),
            *_judged(elapsed_ms >= SLOW_MS, mark("Slow"), mark("Answers")),
            _("%(count)s ms", count=number(visitor.language, elapsed_ms)),
        ),
        Sign(mark("Business clock"), *_judged(stored is None, mark("Never set"), mark("Set")), when(visitor.language, stored) if stored else ""),
        Sign(
            mark("Due work"),
            *_judged(_behind_s(earliest, now) > BEHIND_S, mark("Behind"), mark("On time")),
            span(visitor.language, _behind_s(earliest, now) // 60),
            "/operator/due",
        ),
        Sign(
            mark("Failed work"),
            *_judged(failures, mark("To look at"), mark("No failures")),
            number(visitor.language, failures) if failures else "",
            "/operator/due?view=failed",
        ),
    ]
    return page("operator/health.html", visitor, {"signs": signs, "due": due, "now": now, "real_now": RealClock().now()})


def _judged(is_bad: object, bad: str, good: str) -> tuple[str, str]:
    """Return tone and word of a sign."""
    return ("warning", bad) if is_bad else ("success", good)


def _behind_s(earliest: datetime | None, now: datetime) -> int:
    return 0 if earliest is None else max(0, int((now - earliest).total_seconds()))
