"""The events that a merchant's figures count, and the orders behind each figure."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from entrepot.aftersales.model import PerformanceEvent, PerformanceKind
from entrepot.base.sql import Conn, columns, fetch


async def record_performance(conn: Conn, events: Sequence[PerformanceEvent]) -> list[PerformanceEvent]:
    """Record events, each kind once per order, and return those that are new; they follow from commands that name their actor."""
    rows = await fetch(
        conn,
        """
        insert into performance_event (merchant_id, order_id, kind, at)
        select * from unnest(%(merchant_id)s::uuid[], %(order_id)s::uuid[], %(kind)s::text[], %(at)s::timestamptz[])
        on conflict do nothing returning merchant_id, order_id, kind, at
        """,
        columns(events, "merchant_id", "order_id", "at") | {"kind": [str(event.kind) for event in events]},
    )
    return [PerformanceEvent(row[0], row[1], PerformanceKind(row[2]), row[3]) for row in rows]


async def count_performance(
    conn: Conn, merchant_ids: Sequence[uuid.UUID], since: datetime, until: datetime
) -> dict[uuid.UUID, dict[PerformanceKind, int]]:
    """Return for each merchant the orders by kind of event in a window, `until` exclusive."""
    rows = await fetch(
        conn,
        """
        select e.merchant_id, e.kind, count(*) from performance_event e
        join unnest(%(merchant_ids)s::uuid[]) as t(merchant_id) on e.merchant_id = t.merchant_id
        where e.at >= %(since)s and e.at < %(until)s
        group by e.merchant_id, e.kind order by e.merchant_id, e.kind
        """,
        {"merchant_ids": sorted(set(merchant_ids)), "since": since, "until": until},
    )
    counts: dict[uuid.UUID, dict[PerformanceKind, int]] = {merchant_id: {} for merchant_id in merchant_ids}
    for row in rows:
        counts[row[0]][PerformanceKind(row[1])] = row[2]
    return counts


async def list_performance_orders(
    conn: Conn, merchant_id: uuid.UUID, kind: PerformanceKind, since: datetime, until: datetime, limit: int
) -> list[PerformanceEvent]:
    """Return the orders behind a figure in a window, newest first."""
    rows = await fetch(
        conn,
        """
        select merchant_id, order_id, kind, at from performance_event
        where merchant_id = %(merchant)s and kind = %(kind)s and at >= %(since)s and at < %(until)s
        order by at desc, order_id limit %(limit)s
        """,
        {"merchant": merchant_id, "kind": str(kind), "since": since, "until": until, "limit": limit},
    )
    return [PerformanceEvent(row[0], row[1], PerformanceKind(row[2]), row[3]) for row in rows]
