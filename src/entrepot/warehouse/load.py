"""How much work lay at places at an instant, for the map of the operator."""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from entrepot.base.sql import Conn, fetch


class PlaceLoad(Struct, frozen=True):
    """Fulfilment orders that waited or were worked on at a place at an instant, and how many of them were on hold."""

    at: datetime
    place_code: str
    count: int
    held: int


async def count_load(conn: Conn, ats: Sequence[datetime]) -> list[PlaceLoad]:
    """Return for each instant the work of each place that had come and not ended; what is on hold is told as it stands now."""
    rows = await fetch(
        conn,
        """
        select t.at, o.place_code, count(*)::int, (count(*) filter (where o.is_held))::int
        from unnest(%(ats)s::timestamptz[]) as t(at)
        join fulfilment_order o on o.queued_at <= t.at and (o.ended_at is null or o.ended_at > t.at)
        where (o.ended_at is null or o.ended_at > %(first)s) group by 1, 2 order by 1, 2
        """,
        {"ats": list(ats), "first": min(ats)},
    )
    return [PlaceLoad(*row) for row in rows]
