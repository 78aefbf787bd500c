"""What pages, queues and checks read of the floor."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct

from entrepot.base.batching import batch
from entrepot.base.sql import Conn, Row, columns, fetch
from entrepot.warehouse.inbound import InboundLeg, InboundLine, LegKind, Plan, PlanRef
from entrepot.warehouse.model import OrderRef, PickTask, WorkCause, WorkState
from entrepot.warehouse.store_bench import BenchLine
from entrepot.warehouse.store_inbound import LINE_COLUMNS, PLAN_COLUMNS, inbound_line_from, plan_from
from entrepot.warehouse.store_outbound import tasks_from


class StateCount(Struct, frozen=True):
    """How many documents of a place are in a state."""

    place_code: str
    state: str
    count: int


class QueueEntry(Struct, frozen=True):
    """A fulfilment order as a queue or a page shows it."""

    order: OrderRef
    order_id: uuid.UUID
    consignment_id: uuid.UUID | None
    place_code: str
    cause_kind: WorkCause
    state: WorkState
    ship_by_at: datetime
    queued_at: datetime
    picked_at: datetime | None
    packed_at: datetime | None
    ended_at: datetime | None
    carton_code: str | None
    carton_count: int | None
    weight_g: int | None


class LineRecord(Struct, frozen=True):
    """A line of a fulfilment order with all its counts."""

    order: OrderRef
    line_no: int
    part_no: int
    stock_item_id: uuid.UUID
    quantity: int
    picked: int
    short: int
    cancelled: int
    packed: int


class PackedQuantity(Struct, frozen=True):
    """Units of an order line packed in one consignment."""

    merchant_id: uuid.UUID
    order_id: uuid.UUID
    consignment_id: uuid.UUID | None
    line_no: int
    part_no: int
    stock_item_id: uuid.UUID
    quantity: int


QUEUE_COLUMNS: Final = """o.merchant_id, o.fulfilment_order_id, o.order_id, o.consignment_id, o.place_code, o.cause_kind, o.state, o.ship_by_at,
                    o.queued_at, o.picked_at, o.packed_at, o.ended_at, o.carton_code, o.carton_count, o.weight_g"""


def queue_entry_from(row: Row) -> QueueEntry:
    """Read a row of QUEUE_COLUMNS."""
    return QueueEntry(
        OrderRef(row[0], row[1]), row[2], row[3], row[4], WorkCause(row[5]), WorkState(row[6]), row[7], row[8], row[9], row[10], row[11], row[12],
        row[13], row[14],
    )  # fmt: skip


async def count_work_by_state(conn: Conn, place_codes: Sequence[str]) -> list[StateCount]:
    """Return how many fulfilment orders of places are in each state."""
    rows = await fetch(
        conn,
        """select place_code, state, count(*) from fulfilment_order where place_code = any(%(places)b::text[])
           group by place_code, state order by place_code, state""",
        {"places": list(place_codes)},
    )
    return [StateCount(*row) for row in rows]


async def count_plans_by_state(conn: Conn, place_codes: Sequence[str]) -> list[StateCount]:
    """Return how many inbound plans of places are in each state."""
    rows = await fetch(
        conn,
        """select place_code, state, count(*) from inbound_plan where place_code = any(%(places)b::text[])
           group by place_code, state order by place_code, state""",
        {"places": list(place_codes)},
    )
    return [StateCount(*row) for row in rows]


async def read_queue(conn: Conn, place_code: str, state: WorkState, limit: int) -> list[QueueEntry]:
    """Return the fulfilment orders of a place in a state, the earliest ship-by time first; those on hold are nobody's work."""
    rows = await fetch(
        conn,
        f"""select {QUEUE_COLUMNS} from fulfilment_order o where place_code = %(place)s and state = %(state)s and not is_held
            order by ship_by_at, fulfilment_order_id limit %(limit)s""",
        {"place": place_code, "state": str(state), "limit": limit},
    )
    return [queue_entry_from(row) for row in rows]


async def read_work_of_order(conn: Conn, merchant_id: uuid.UUID, order_id: uuid.UUID) -> list[QueueEntry]:
    """Return the fulfilment orders of one order, oldest first."""
    rows = await fetch(
        conn,
        f"""select {QUEUE_COLUMNS} from fulfilment_order o where merchant_id = %(merchant_id)s and order_id = %(order_id)s
            order by queued_at, fulfilment_order_id""",
        {"merchant_id": merchant_id, "order_id": order_id},
    )
    return [queue_entry_from(row) for row in rows]


@batch
async def read_work_of_orders(conn: Conn, merchant_ids: Sequence[uuid.UUID], order_ids: Sequence[uuid.UUID]) -> list[QueueEntry]:
    """Return the fulfilment orders of orders, oldest first."""
    rows = await fetch(
        conn,
        f"""
        select {QUEUE_COLUMNS} from fulfilment_order o
        join (select distinct * from unnest(%(merchants)s::uuid[], %(orders)s::uuid[])) as t(merchant_id, order_id) using (merchant_id, order_id)
        order by o.queued_at, o.fulfilment_order_id
        """,
        {"merchants": list(merchant_ids), "orders": list(order_ids)},
    )
    return [queue_entry_from(row) for row in rows]


async def read_line_records(conn: Conn, refs: Sequence[OrderRef]) -> list[LineRecord]:
    """Return the lines of fulfilment orders with all their counts."""
    rows = await fetch(
        conn,
        """select l.merchant_id, l.fulfilment_order_id, l.line_no, l.part_no, l.stock_item_id, l.quantity, l.picked, l.short, l.cancelled, l.packed
           from unnest(%(merchant_id)b::uuid[], %(fulfilment_order_id)b::uuid[]) as t(merchant_id, fulfilment_order_id)
           join fulfilment_line l using (merchant_id, fulfilment_order_id) order by 1, 2, 3, 4""",
        columns(refs, "merchant_id", "fulfilment_order_id"),
    )
    return [LineRecord(OrderRef(row[0], row[1]), *row[2:]) for row in rows]


async def read_open_tasks(conn: Conn, place_code: str, limit: int) -> list[PickTask]:
    """Return a place's pick tasks of orders in picking, order by order, for the pickers' lists."""
    rows = await fetch(
        conn,
        """with open as (select merchant_id, fulfilment_order_id from fulfilment_order
                         where place_code = %(place)s and state = 'picking' order by ship_by_at, fulfilment_order_id limit %(limit)s)
           select k.merchant_id, k.fulfilment_order_id, k.place_code, k.line_no, k.part_no, k.task_no, k.owner_id, k.stock_item_id,
                  k.spot_code, k.lot_code, k.condition_code, k.customs_status, k.quantity, k.picked, k.put_back
           from open join pick_task k using (merchant_id, fulfilment_order_id) where k.place_code = %(place)s
           order by k.merchant_id, k.fulfilment_order_id, k.line_no, k.part_no, k.task_no""",
        {"place": place_code, "limit": limit},
    )
    return [task for tasks in tasks_from(rows).values() for task in tasks]


async def read_plans(conn: Conn, merchant_id: uuid.UUID, limit: int) -> list[Plan]:
    """Return a merchant's inbound plans, newest first."""
    rows = await fetch(
        conn,
        f"select {PLAN_COLUMNS} from inbound_plan p where merchant_id = %(merchant_id)s order by announced_at desc, plan_id limit %(limit)s",
        {"merchant_id": merchant_id, "limit": limit},
    )
    return [plan_from(row) for row in rows]


async def read_plan_lines(conn: Conn, ref: PlanRef) -> list[InboundLine]:
    """Return the lines of one plan."""
    rows = await fetch(
        conn,
        f"select {LINE_COLUMNS} from inbound_line l where merchant_id = %(merchant_id)s and plan_id = %(plan_id)s order by line_no",
        {"merchant_id": ref.merchant_id, "plan_id": ref.plan_id},
    )
    return [inbound_line_from(row) for row in rows]


async def read_plan_legs(conn: Conn, ref: PlanRef) -> list[InboundLeg]:
    """Return the legs of one plan with planned and actual times."""
    rows = await fetch(
        conn,
        """select leg_no, kind, from_code, to_code, planned_departs_at, planned_arrives_at, cost_minor, currency, carrier_code, departed_at, arrived_at
           from inbound_leg where merchant_id = %(merchant_id)s and plan_id = %(plan_id)s order by leg_no""",
        {"merchant_id": ref.merchant_id, "plan_id": ref.plan_id},
    )
    return [InboundLeg(row[0], LegKind(row[1]), *row[2:]) for row in rows]


async def read_bench_queue(conn: Conn, place_code: str, limit: int) -> list[BenchLine]:
    """Return the return lines of a place with ungraded units, oldest first."""
    rows = await fetch(
        conn,
        """select merchant_id, return_id, line_no, place_code, owner_id, stock_item_id, lot_code, customs_status, quantity, graded, received_at
           from bench_return where place_code = %(place)s and graded < quantity order by received_at, return_id, line_no limit %(limit)s""",
        {"place": place_code, "limit": limit},
    )
    return [BenchLine(*row) for row in rows]


async def read_packed_quantities(conn: Conn) -> list[PackedQuantity]:
    """Return every packed quantity of orders that are packed or handed over, for the declarations law."""
    rows = await fetch(
        conn,
        """select o.merchant_id, o.order_id, o.consignment_id, l.line_no, l.part_no, l.stock_item_id, l.packed
           from fulfilment_order o join fulfilment_line l using (merchant_id, fulfilment_order_id)
           where o.state in ('packed', 'handed_over') and l.packed > 0
           order by o.merchant_id, o.order_id, o.consignment_id, l.line_no, l.part_no""",
    )
    return [PackedQuantity(*row) for row in rows]


async def read_packed_of_consignments(conn: Conn, merchant_ids: Sequence[uuid.UUID], consignment_ids: Sequence[uuid.UUID]) -> list[PackedQuantity]:
    """Return the packed quantities of some consignments."""
    rows = await fetch(
        conn,
        """select o.merchant_id, o.order_id, o.consignment_id, l.line_no, l.part_no, l.stock_item_id, l.packed
           from (select distinct * from unnest(%(merchant_ids)b::uuid[], %(consignment_ids)b::uuid[]) as a(merchant_id, consignment_id)) as t
           join fulfilment_order o using (merchant_id, consignment_id)
           join fulfilment_line l using (merchant_id, fulfilment_order_id)
           where o.state in ('packed', 'handed_over') and l.packed > 0
           order by o.merchant_id, o.order_id, o.consignment_id, l.line_no, l.part_no""",
        {"merchant_ids": list(merchant_ids), "consignment_ids": list(consignment_ids)},
    )
    return [PackedQuantity(*row) for row in rows]


async def check_custody(conn: Conn) -> tuple[int, list[str]]:
    """Check that closed plans sum to zero, nothing is packed beyond its order and what was handed over is packed; names broken rows."""
    verdicts = (
        ("inbound line of a closed plan: announced is not good + damaged + not delivered", await fetch(conn, _CLOSED_LINES)),
        ("fulfilment line: more packed than picked, or than ordered", await fetch(conn, _PACKED_LINES)),
        ("fulfilment order handed over: not packed as picked, or units not accounted for", await fetch(conn, _HANDED_OVER)),
    )
    checked = sum(int(count) for _, rows in verdicts for count, row_name in rows if row_name is None)
    broken = [f"{what}: {row_name}" for what, rows in verdicts for _, row_name in rows if row_name is not None]
    return checked, broken


_CLOSED_LINES = """
    with seen as (select l.merchant_id, l.plan_id, l.line_no, l.announced = l.received_good + l.received_damaged + l.not_delivered as is_right
                  from inbound_plan p join inbound_line l using (merchant_id, plan_id) where p.state = 'closed')
    select count(*), null::text from seen
    union all
    select 1, format('merchant %s plan %s line %s', merchant_id, plan_id, line_no) from seen where not is_right order by 2 nulls first"""
_PACKED_LINES = """
    select count(*), null::text from fulfilment_line
    union all
    select 1, format('merchant %s fulfilment order %s line %s part %s', merchant_id, fulfilment_order_id, line_no, part_no)
    from fulfilment_line where packed > picked or packed > quantity order by 2 nulls first"""
_HANDED_OVER = """
    with seen as (select o.merchant_id, o.fulfilment_order_id,
                         coalesce(o.packed_at is not null and sum(l.packed) > 0 and bool_and(l.packed = l.picked)
                                  and bool_and(l.picked + l.short + l.cancelled = l.quantity), false) as is_right
                  from fulfilment_order o left join fulfilment_line l using (merchant_id, fulfilment_order_id)
                  where o.state = 'handed_over' group by o.merchant_id, o.fulfilment_order_id, o.packed_at)
    select count(*), null::text from seen
    union all
    select 1, format('merchant %s fulfilment order %s', merchant_id, fulfilment_order_id) from seen where not is_right order by 2 nulls first"""
