"""The manager's board: what must leave by when, how fast it moves, what has waited longest, and who is on task."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from litestar import Response, get
from msgspec import Struct

from entrepot.base.time import RealClock
from entrepot.parties.workplaces import list_people_on_task
from entrepot.surfaces.web.access import FLOOR, VisitorDep, open_to
from entrepot.surfaces.web.floor.hand_over import cut_off_at
from entrepot.surfaces.web.floor.shift import Said, at_work, floor_page
from entrepot.surfaces.web.house import HouseDep
from entrepot.surfaces.web.languages import Language, mark
from entrepot.surfaces.web.words import number
from entrepot.warehouse.at_place import CutOff, StageHour, list_deliveries, list_to_stow, read_cut_offs, read_throughput
from entrepot.warehouse.model import WorkState

_MOST: Final = 400
_HOURS: Final = 12
_LATE_BACKLOG: Final = 24
STAGES: Final = (
    (WorkState.QUEUED, mark("To pick")),
    (WorkState.PICKING, mark("In picking")),
    (WorkState.PICKED, mark("To pack")),
    (WorkState.PACKED, mark("To hand over")),
)
"""The stages of an order on the floor, as columns of the backlog."""
PASSED: Final = (("queued", mark("Came in")), ("picked", mark("Picked")), ("packed", mark("Packed")), ("handed_over", mark("Handed over")))
"""What orders passed in an hour, as series of the throughput."""


class Backlog(Struct, frozen=True):
    """Orders that must leave by one cut-off, by stage."""

    ship_by_at: datetime
    counts: dict[str, int]
    oldest_at: datetime
    is_late: bool

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.counts.values())


@get("/floor/board", opt=open_to(FLOOR))
async def show_board(house: HouseDep, visitor: VisitorDep) -> Response[str]:
    """Show the place at a glance."""
    async with house.database.reading() as conn:
        shift = await at_work(conn, house, visitor)
        place = shift.place.place_code
        cut_offs = await read_cut_offs(conn, place, _MOST)
        since = (shift.now - timedelta(hours=_HOURS - 1)).replace(minute=0, second=0, microsecond=0)
        hours = await read_throughput(conn, place, since)
        people = await list_people_on_task(conn, place, RealClock().now())
        deliveries = await list_deliveries(conn, place, _MOST)
        to_stow = await list_to_stow(conn, place, _MOST)
    backlog = gather(cut_offs, shift.now)
    values: dict[str, object] = {
        "backlog": backlog[:_LATE_BACKLOG],
        "stages": STAGES,
        "totals": {str(state): sum(one.counts.get(str(state), 0) for one in backlog) for state, _ in STAGES},
        "oldest_at": min((one.oldest_at for one in backlog), default=None),
        "late": sum(one.total for one in backlog if one.is_late),
        "shown_labels": [visitor.language.gettext(label) for _, label in PASSED],
        "rows": throughput(visitor.language, hours, since, _HOURS),
        "people": people,
        "cut_off": cut_off_at(shift.place, shift.now),
        "docked": len(deliveries),
        "to_stow": sum(line.to_stow("sellable") + line.to_stow("damaged") for line in to_stow),
    }
    return floor_page("floor/board.html", shift, Said(), values)


def gather(cut_offs: Sequence[CutOff], now: datetime) -> list[Backlog]:
    """Gather what must leave by cut-off, the earliest first."""
    found: dict[datetime, dict[str, int]] = {}
    oldest: dict[datetime, datetime] = {}
    for one in cut_offs:
        found.setdefault(one.ship_by_at, {})[str(one.state)] = one.count
        oldest[one.ship_by_at] = min(one.oldest_at, oldest.get(one.ship_by_at, one.oldest_at))
    return [Backlog(at, counts, oldest[at], at <= now) for at, counts in sorted(found.items())]


def throughput(language: Language, hours: Sequence[StageHour], since: datetime, count: int) -> list[tuple[str, list[tuple[int, str]]]]:
    """Return for each hour how many orders passed each stage, as the chart wants it; hours without work are there with zero."""
    known = {(one.stage, one.hour_at): one.count for one in hours}
    rows: list[tuple[str, list[tuple[int, str]]]] = []
    for step in range(count):
        at = since + timedelta(hours=step)
        cells = [known.get((stage, at), 0) for stage, _ in PASSED]
        rows.append((f"{at:%H}:00", [(cell, number(language, cell)) for cell in cells]))
    return rows
