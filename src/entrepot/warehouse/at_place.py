"""What a place asks about its own work: deliveries to receive and stow, orders to find by a code, and how far everything is."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct

from entrepot.base.sql import Conn, columns, fetch
from entrepot.warehouse.inbound import InboundLine, Plan, PlanRef
from entrepot.warehouse.model import OrderRef, PlanState, WorkState
from entrepot.warehouse.readers import QUEUE_COLUMNS, QueueEntry, queue_entry_from
from entrepot.warehouse.store_inbound import LINE_COLUMNS, PLAN_COLUMNS, inbound_line_from, plan_from

SHORT_CODE: Final = 8
"""Digits of an id that people read and type; enough to tell apart what a place has to do."""
_OPEN: Final = (PlanState.ANNOUNCED, PlanState.IN_TRANSIT, PlanState.RECEIVING)


class PlanProgress(Struct, frozen=True):
    """How far a delivery is, in units and boxes."""

    plan: Plan
    announced: int
    received: int
    damaged: int
    over: int
    stowed: int
    boxes: int
    boxes_arrived: int

    @property
    def to_stow(self) -> int:
        """Units that wait at the dock."""
        return self.received + self.over - self.stowed


class StageHour(Struct, frozen=True):
    """How many orders of a place passed a stage in one hour."""

    stage: str
    hour_at: datetime
    count: int


class CutOff(Struct, frozen=True):
    """Orders of a place that must leave by one time, by state, and since when the oldest waits."""

    ship_by_at: datetime
    state: WorkState
    count: int
    oldest_at: datetime


_PROGRESS: Final = f"""
    select {PLAN_COLUMNS}, coalesce(l.announced, 0), coalesce(l.received, 0), coalesce(l.damaged, 0), coalesce(l.over, 0), coalesce(l.stowed, 0),
           coalesce(b.boxes, 0), coalesce(b.arrived, 0)
    from inbound_plan p
    left join lateral (
        select sum(announced)::bigint as announced, sum(received_good + received_damaged)::bigint as received,
               sum(received_damaged + over_damaged)::bigint as damaged, sum(over_good + over_damaged)::bigint as over,
               sum(stowed_good + stowed_damaged)::bigint as stowed
        from inbound_line where merchant_id = p.merchant_id and plan_id = p.plan_id) l on true
    left join lateral (
        select count(*) as boxes, count(arrived_at) as arrived from inbound_box where merchant_id = p.merchant_id and plan_id = p.plan_id) b on true"""


def _progress(rows: Sequence[tuple[object, ...]]) -> list[PlanProgress]:
    return [PlanProgress(plan_from(row[:12]), *row[12:]) for row in rows]  # pyright: ignore[reportArgumentType]


async def list_deliveries(conn: Conn, place_code: str, limit: int) -> list[PlanProgress]:
    """Return the deliveries that a place expects or receives, those at the dock first, then the longest announced."""
    rows = await fetch(
        conn,
        f"""{_PROGRESS} where p.place_code = %(place)s and p.state = any(%(states)s::text[])
            order by p.state <> 'receiving', p.state <> 'in_transit', p.announced_at, p.plan_id limit %(limit)s""",
        {"place": place_code, "states": [str(state) for state in _OPEN], "limit": limit},
    )
    return _progress(rows)


async def read_deliveries(conn: Conn, place_code: str, refs: Sequence[PlanRef]) -> list[PlanProgress]:
    """Return these deliveries as far as they are a place's, in whatever state."""
    rows = await fetch(
        conn,
        f"""{_PROGRESS} join unnest(%(merchant_id)s::uuid[], %(plan_id)s::uuid[]) as t(merchant_id, plan_id) using (merchant_id, plan_id)
            where p.place_code = %(place)s order by p.announced_at, p.plan_id""",
        columns(refs, "merchant_id", "plan_id") | {"place": place_code},
    )
    return _progress(rows)


async def find_deliveries(conn: Conn, place_code: str, code: str) -> list[PlanRef]:
    """Return the deliveries of a place with this id, or with these last digits of it."""
    rows = await fetch(
        conn,
        f"""select merchant_id, plan_id from inbound_plan
            where place_code = %(place)s and (plan_id::text = %(code)s or right(plan_id::text, {SHORT_CODE}) = %(code)s)
            order by announced_at desc, plan_id limit 5""",
        {"place": place_code, "code": code.strip().lower()},
    )
    return [PlanRef(*row) for row in rows]


async def list_to_stow(conn: Conn, place_code: str, limit: int) -> list[InboundLine]:
    """Return the lines of a place's deliveries with units that wait at the dock for a bin, the longest there first."""
    rows = await fetch(
        conn,
        f"""select {LINE_COLUMNS} from inbound_plan p join inbound_line l using (merchant_id, plan_id)
            where p.place_code = %(place)s and p.state in ('receiving', 'closed')
              and l.received_good + l.over_good + l.received_damaged + l.over_damaged > l.stowed_good + l.stowed_damaged
            order by p.custody_at, p.plan_id, l.line_no limit %(limit)s""",
        {"place": place_code, "limit": limit},
    )
    return [inbound_line_from(row) for row in rows]


async def read_entries(conn: Conn, refs: Sequence[OrderRef]) -> dict[OrderRef, QueueEntry]:
    """Return fulfilment orders by id."""
    rows = await fetch(
        conn,
        f"""select {QUEUE_COLUMNS} from (select distinct * from unnest(%(merchant_id)s::uuid[], %(fulfilment_order_id)s::uuid[])
                as a(merchant_id, fulfilment_order_id)) as t
            join fulfilment_order o using (merchant_id, fulfilment_order_id) order by o.ship_by_at, o.fulfilment_order_id""",
        columns(refs, "merchant_id", "fulfilment_order_id"),
    )
    return {entry.order: entry for entry in map(queue_entry_from, rows)}


async def find_entries(conn: Conn, place_code: str, code: str, order_ids: Sequence[uuid.UUID]) -> list[QueueEntry]:
    """Return a place's fulfilment orders with this id or these last digits of it, or of these orders; the latest first."""
    rows = await fetch(
        conn,
        f"""select {QUEUE_COLUMNS} from fulfilment_order o
            where o.place_code = %(place)s and (o.order_id = any(%(orders)s::uuid[]) or o.fulfilment_order_id::text = %(code)s
                or (right(o.fulfilment_order_id::text, {SHORT_CODE}) = %(code)s and o.state = any(%(open)s::text[])))
            order by o.queued_at desc, o.fulfilment_order_id limit 10""",
        {
            "place": place_code,
            "orders": list(order_ids),
            "code": code.strip().lower(),
            "open": [str(one) for one in (WorkState.QUEUED, WorkState.PICKING, WorkState.PICKED, WorkState.PACKED)],
        },
    )
    return [queue_entry_from(row) for row in rows]


async def read_cut_offs(conn: Conn, place_code: str, limit: int) -> list[CutOff]:
    """Return what must leave a place by when, by state, the earliest time first."""
    rows = await fetch(
        conn,
        """select ship_by_at, state, count(*), min(queued_at) from fulfilment_order
           where place_code = %(place)s and state in ('queued', 'picking', 'picked', 'packed')
           group by ship_by_at, state order by ship_by_at, state limit %(limit)s""",
        {"place": place_code, "limit": limit},
    )
    return [CutOff(row[0], WorkState(row[1]), row[2], row[3]) for row in rows]


async def read_throughput(conn: Conn, place_code: str, since: datetime) -> list[StageHour]:
    """Return how many orders of a place were queued, picked, packed and handed over in each hour since an instant."""
    rows = await fetch(
        conn,
        """select s.stage, date_trunc('hour', s.at, 'UTC'), count(*)
           from fulfilment_order o
           cross join lateral (values ('queued', o.queued_at), ('picked', o.picked_at), ('packed', o.packed_at),
                                      ('handed_over', case when o.state = 'handed_over' then o.ended_at end)) as s(stage, at)
           where o.place_code = %(place)s and s.at >= %(since)s
             and (o.state in ('queued', 'picking', 'picked', 'packed') or o.ended_at >= %(since)s)
           group by 1, 2 order by 2, 1""",
        {"place": place_code, "since": since},
    )
    return [StageHour(*row) for row in rows]
