"""Set-based SQL of fulfilment orders, their lines and pick tasks."""

import uuid
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct

from entrepot.base.sql import Conn, Row, columns, execute, fetch
from entrepot.warehouse.cartons import PackedParcel
from entrepot.warehouse.model import LineCount, NewFulfilmentOrder, OrderRef, PickTask, WorkLine, WorkState
from entrepot.warehouse.work import WorkOrder

_ASKED: Final = """(select distinct * from unnest(%(merchant_id)b::uuid[], %(fulfilment_order_id)b::uuid[])
                    as a(merchant_id, fulfilment_order_id)) as t"""
_REF: Final = ("merchant_id", "fulfilment_order_id")


class LineSettlement(Struct, frozen=True):
    """Final counts of one line after picking."""

    order: OrderRef
    line_no: int
    part_no: int
    picked: int
    short: int


async def insert_orders(conn: Conn, orders: Sequence[NewFulfilmentOrder]) -> set[OrderRef]:
    """Store orders that are new and return which these are."""
    rows = await fetch(
        conn,
        """insert into fulfilment_order
             (merchant_id, fulfilment_order_id, order_id, consignment_id, place_code, cause_kind, state, ship_by_at, queued_at)
           select t.merchant_id, t.fulfilment_order_id, t.order_id, t.consignment_id, t.place_code, t.cause_kind, %(state)s, t.ship_by_at, t.queued_at
           from unnest(%(merchant_id)b::uuid[], %(fulfilment_order_id)b::uuid[], %(order_id)b::uuid[], %(consignment_id)b::uuid[],
                       %(place_code)b::text[], %(cause_kind)b::text[], %(ship_by_at)b::timestamptz[], %(queued_at)b::timestamptz[])
                as t(merchant_id, fulfilment_order_id, order_id, consignment_id, place_code, cause_kind, ship_by_at, queued_at)
           on conflict do nothing returning merchant_id, fulfilment_order_id""",
        columns(orders, *_REF, "order_id", "consignment_id", "place_code", "cause_kind", "ship_by_at", "queued_at")
        | {"state": str(WorkState.QUEUED)},
    )
    return {OrderRef(merchant_id, order_id) for merchant_id, order_id in rows}


async def insert_lines(conn: Conn, orders: Sequence[NewFulfilmentOrder]) -> None:
    """Store the lines of new orders."""
    lines = [line for order in orders for line in order.lines]
    await execute(
        conn,
        """insert into fulfilment_line
             (merchant_id, fulfilment_order_id, line_no, part_no, stock_item_id, owner_id, condition_code, customs_status, quantity)
           select * from unnest(%(merchant_id)b::uuid[], %(fulfilment_order_id)b::uuid[], %(line_no)b::integer[], %(part_no)b::integer[],
                                %(stock_item_id)b::uuid[], %(owner_id)b::uuid[], %(condition_code)b::text[], %(customs_status)b::text[],
                                %(quantity)b::bigint[])""",
        columns([order for order in orders for _ in order.lines], *_REF)
        | columns(lines, "line_no", "part_no", "stock_item_id", "owner_id", "condition_code", "customs_status", "quantity"),
    )


def _orders_from(rows: Iterable[Row]) -> dict[OrderRef, WorkOrder]:
    orders = [WorkOrder(OrderRef(row[0], row[1]), row[2], row[3], WorkState(row[4]), row[5]) for row in rows]
    return {order.ref: order for order in orders}


async def read_orders(conn: Conn, refs: Sequence[OrderRef]) -> dict[OrderRef, WorkOrder]:
    """Return orders without locking them."""
    rows = await fetch(
        conn,
        f"""select o.merchant_id, o.fulfilment_order_id, o.order_id, o.place_code, o.state, o.is_held
            from {_ASKED} join fulfilment_order o using (merchant_id, fulfilment_order_id) order by o.merchant_id, o.fulfilment_order_id""",
        columns(refs, *_REF),
    )
    return _orders_from(rows)


async def lock_orders(conn: Conn, refs: Sequence[OrderRef]) -> dict[OrderRef, WorkOrder]:
    """Read orders and keep others from changing them, their lines and tasks until the transaction ends."""
    rows = await fetch(
        conn,
        f"""select o.merchant_id, o.fulfilment_order_id, o.order_id, o.place_code, o.state, o.is_held
            from {_ASKED} join fulfilment_order o using (merchant_id, fulfilment_order_id)
            order by o.merchant_id, o.fulfilment_order_id for update of o""",
        columns(refs, *_REF),
    )
    return _orders_from(rows)


async def read_line_values(conn: Conn, refs: Sequence[OrderRef]) -> dict[OrderRef, list[LineCount]]:
    """Return ordered quantities by order, for telling a replay from another order under the same id."""
    rows = await fetch(
        conn,
        f"""select l.merchant_id, l.fulfilment_order_id, l.line_no, l.part_no, l.stock_item_id, l.quantity
            from {_ASKED} join fulfilment_line l using (merchant_id, fulfilment_order_id) order by 1, 2, 3, 4""",
        columns(refs, *_REF),
    )
    values: dict[OrderRef, list[LineCount]] = {}
    for row in rows:
        values.setdefault(OrderRef(row[0], row[1]), []).append(LineCount(*row[2:]))
    return values


async def read_lines(conn: Conn, refs: Sequence[OrderRef]) -> dict[OrderRef, list[WorkLine]]:
    """Return the lines of orders by line and part, with what is still to pick."""
    rows = await fetch(
        conn,
        f"""select l.merchant_id, l.fulfilment_order_id, o.place_code, l.line_no, l.part_no, l.owner_id, l.stock_item_id, l.condition_code,
                   l.customs_status, l.quantity - l.picked - l.short - l.cancelled
            from {_ASKED} join fulfilment_order o using (merchant_id, fulfilment_order_id)
            join fulfilment_line l using (merchant_id, fulfilment_order_id)
            order by l.merchant_id, l.fulfilment_order_id, l.line_no, l.part_no""",
        columns(refs, *_REF),
    )
    lines: dict[OrderRef, list[WorkLine]] = {}
    current, group = None, list[WorkLine]()
    for row in rows:
        if current is None or row[1] != current.fulfilment_order_id or row[0] != current.merchant_id:
            current = OrderRef(row[0], row[1])
            group = lines.setdefault(current, [])
        group.append(WorkLine(current, *row[2:]))
    return lines


async def insert_tasks(conn: Conn, tasks: Sequence[PickTask]) -> None:
    """Store pick tasks of locked orders."""
    if not tasks:
        return
    await execute(
        conn,
        """insert into pick_task
             (place_code, merchant_id, fulfilment_order_id, line_no, part_no, task_no, owner_id, stock_item_id, spot_code, lot_code,
              condition_code, customs_status, quantity, picked)
           select * from unnest(%(place_code)b::text[], %(merchant_id)b::uuid[], %(fulfilment_order_id)b::uuid[], %(line_no)b::integer[],
                                %(part_no)b::integer[], %(task_no)b::integer[], %(owner_id)b::uuid[], %(stock_item_id)b::uuid[],
                                %(spot_code)b::text[], %(lot_code)b::text[], %(condition_code)b::text[], %(customs_status)b::text[],
                                %(quantity)b::bigint[], %(picked)b::bigint[])""",
        columns([task.order for task in tasks], *_REF)
        | columns(
            tasks,
            *("place_code", "line_no", "part_no", "task_no", "owner_id", "stock_item_id", "spot_code", "lot_code"),
            *("condition_code", "customs_status", "quantity", "picked"),
        ),
    )


def tasks_from(rows: Iterable[Row]) -> dict[OrderRef, list[PickTask]]:
    """Group rows of tasks, sorted by order, under their orders."""
    tasks: dict[OrderRef, list[PickTask]] = {}
    current, group = None, list[PickTask]()
    for row in rows:
        if current is None or row[1] != current.fulfilment_order_id or row[0] != current.merchant_id:
            current = OrderRef(row[0], row[1])
            group = tasks.setdefault(current, [])
        group.append(PickTask(current, *row[2:]))
    return tasks


async def read_tasks(conn: Conn, orders: Collection[WorkOrder]) -> dict[OrderRef, list[PickTask]]:
    """Return the pick tasks of orders by line, part and task."""
    if not orders:
        return {}
    rows = await fetch(
        conn,
        """select k.merchant_id, k.fulfilment_order_id, k.place_code, k.line_no, k.part_no, k.task_no, k.owner_id, k.stock_item_id,
                  k.spot_code, k.lot_code, k.condition_code, k.customs_status, k.quantity, k.picked, k.put_back
           from unnest(%(place_code)b::text[], %(merchant_id)b::uuid[], %(fulfilment_order_id)b::uuid[])
                as t(place_code, merchant_id, fulfilment_order_id)
           join pick_task k using (place_code, merchant_id, fulfilment_order_id)
           order by k.merchant_id, k.fulfilment_order_id, k.line_no, k.part_no, k.task_no""",
        columns([order.ref for order in orders], *_REF) | columns(orders, "place_code"),
    )
    return tasks_from(rows)


async def update_tasks_as_directed(conn: Conn, orders: Collection[WorkOrder]) -> None:
    """Every task of these orders was picked in full."""
    if not orders:
        return
    await execute(
        conn,
        """update pick_task k set picked = k.quantity
           from unnest(%(place_code)b::text[], %(merchant_id)b::uuid[], %(fulfilment_order_id)b::uuid[])
                as t(place_code, merchant_id, fulfilment_order_id)
           where k.place_code = t.place_code and k.merchant_id = t.merchant_id and k.fulfilment_order_id = t.fulfilment_order_id""",
        columns([order.ref for order in orders], *_REF) | columns(orders, "place_code"),
    )


async def update_tasks(conn: Conn, tasks: Sequence[PickTask]) -> None:
    """Store the counts of single tasks of locked orders."""
    if not tasks:
        return
    await execute(
        conn,
        """update pick_task k set quantity = t.quantity, picked = t.picked, put_back = t.put_back
           from unnest(%(place_code)b::text[], %(merchant_id)b::uuid[], %(fulfilment_order_id)b::uuid[], %(line_no)b::integer[],
                       %(part_no)b::integer[], %(task_no)b::integer[], %(quantity)b::bigint[], %(picked)b::bigint[], %(put_back)b::bigint[])
                as t(place_code, merchant_id, fulfilment_order_id, line_no, part_no, task_no, quantity, picked, put_back)
           where k.place_code = t.place_code and k.merchant_id = t.merchant_id and k.fulfilment_order_id = t.fulfilment_order_id
             and k.line_no = t.line_no and k.part_no = t.part_no and k.task_no = t.task_no""",
        columns([task.order for task in tasks], *_REF)
        | columns(tasks, "place_code", "line_no", "part_no", "task_no", "quantity", "picked", "put_back"),
    )


async def _update_lines_of(conn: Conn, refs: Sequence[OrderRef], assignment: str) -> None:
    if not refs:
        return
    await execute(
        conn,
        f"""update fulfilment_line l set {assignment}
            from unnest(%(merchant_id)b::uuid[], %(fulfilment_order_id)b::uuid[]) as t(merchant_id, fulfilment_order_id)
            where l.merchant_id = t.merchant_id and l.fulfilment_order_id = t.fulfilment_order_id""",
        columns(refs, *_REF),
    )


async def update_lines_picked(conn: Conn, refs: Sequence[OrderRef]) -> None:
    """Every line of these orders was picked in full."""
    await _update_lines_of(conn, refs, "picked = l.quantity - l.cancelled")


async def update_lines_staged(conn: Conn, refs: Sequence[OrderRef]) -> None:
    """Every line of these orders was picked and packed in full."""
    await _update_lines_of(conn, refs, "picked = l.quantity - l.cancelled, packed = l.quantity - l.cancelled")


async def update_lines_packed(conn: Conn, refs: Sequence[OrderRef]) -> None:
    """What was picked of these orders is packed."""
    await _update_lines_of(conn, refs, "packed = l.picked")


async def update_lines_cancelled(conn: Conn, refs: Sequence[OrderRef]) -> None:
    """Nothing of these orders leaves; units that were short stay short."""
    await _update_lines_of(conn, refs, "cancelled = l.quantity - l.short, picked = 0, packed = 0")


async def settle_lines(conn: Conn, lines: Sequence[LineSettlement]) -> None:
    """Store what was picked and short, line by line, where an order was not picked in full."""
    if not lines:
        return
    await execute(
        conn,
        """update fulfilment_line l set picked = t.picked, short = t.short
           from unnest(%(merchant_id)b::uuid[], %(fulfilment_order_id)b::uuid[], %(line_no)b::integer[], %(part_no)b::integer[],
                       %(picked)b::bigint[], %(short)b::bigint[]) as t(merchant_id, fulfilment_order_id, line_no, part_no, picked, short)
           where l.merchant_id = t.merchant_id and l.fulfilment_order_id = t.fulfilment_order_id
             and l.line_no = t.line_no and l.part_no = t.part_no""",
        columns([line.order for line in lines], *_REF) | columns(lines, "line_no", "part_no", "picked", "short"),
    )


async def update_orders(conn: Conn, refs: Sequence[OrderRef], state: WorkState, at: datetime, fields: Sequence[str]) -> None:
    """Set the state of locked orders and the times of it, out of picking_at, picked_at, packed_at, ended_at."""
    if not refs:
        return
    times = ", ".join(f"{field} = %(at)s" for field in fields)
    await execute(
        conn,
        f"""update fulfilment_order o set state = %(state)s, {times}
            from unnest(%(merchant_id)b::uuid[], %(fulfilment_order_id)b::uuid[]) as t(merchant_id, fulfilment_order_id)
            where o.merchant_id = t.merchant_id and o.fulfilment_order_id = t.fulfilment_order_id""",
        columns(refs, *_REF) | {"state": str(state), "at": at},
    )


async def update_orders_packed(conn: Conn, parcels: Sequence[PackedParcel], at: datetime, fields: Sequence[str]) -> None:
    """Set locked orders to packed with their cartons and weight."""
    if not parcels:
        return
    times = ", ".join(f"{field} = %(at)s" for field in fields)
    await execute(
        conn,
        f"""update fulfilment_order o
            set state = %(state)s, {times}, carton_code = t.carton_code, carton_count = t.carton_count, weight_g = t.weight_g
            from unnest(%(merchant_id)b::uuid[], %(fulfilment_order_id)b::uuid[], %(carton_code)b::text[], %(carton_count)b::integer[],
                        %(weight_g)b::bigint[]) as t(merchant_id, fulfilment_order_id, carton_code, carton_count, weight_g)
            where o.merchant_id = t.merchant_id and o.fulfilment_order_id = t.fulfilment_order_id""",
        columns([parcel.order for parcel in parcels], *_REF)
        | columns(parcels, "carton_code", "carton_count", "weight_g")
        | {"state": str(WorkState.PACKED), "at": at},
    )


class PartCancellation(Struct, frozen=True):
    """Units of a line that shall not leave; `unpicked` of them had been picked."""

    request_id: uuid.UUID
    order: OrderRef
    line_no: int
    part_no: int
    quantity: int
    unpicked: int
    at: datetime


async def read_put_backs(
    conn: Conn, merchant_ids: Sequence[uuid.UUID], request_ids: Sequence[uuid.UUID]
) -> dict[uuid.UUID, tuple[OrderRef, int, int, int]]:
    """Return known put-back requests with their order, line, part and quantity."""
    rows = await fetch(
        conn,
        """select p.request_id, p.merchant_id, p.fulfilment_order_id, p.line_no, p.part_no, p.quantity
           from (select distinct * from unnest(%(merchant_ids)b::uuid[], %(request_ids)b::uuid[]) as a(merchant_id, request_id)) as t
           join put_back p using (merchant_id, request_id)""",
        {"merchant_ids": merchant_ids, "request_ids": request_ids},
    )
    return {row[0]: (OrderRef(row[1], row[2]), row[3], row[4], row[5]) for row in rows}


async def store_part_cancellations(conn: Conn, parts: Sequence[PartCancellation]) -> None:
    """Store put-back requests and take their units off the lines of locked orders."""
    if not parts:
        return
    bound = columns([part.order for part in parts], *_REF) | columns(parts, "request_id", "line_no", "part_no", "quantity", "unpicked", "at")
    await execute(
        conn,
        """insert into put_back (merchant_id, request_id, fulfilment_order_id, line_no, part_no, quantity, at)
           select * from unnest(%(merchant_id)b::uuid[], %(request_id)b::uuid[], %(fulfilment_order_id)b::uuid[], %(line_no)b::integer[],
                                %(part_no)b::integer[], %(quantity)b::bigint[], %(at)b::timestamptz[])""",
        bound,
    )
    await execute(
        conn,
        """update fulfilment_line l set picked = l.picked - t.unpicked, cancelled = l.cancelled + t.quantity
           from (select merchant_id, fulfilment_order_id, line_no, part_no, sum(quantity)::bigint as quantity, sum(unpicked)::bigint as unpicked
                 from unnest(%(merchant_id)b::uuid[], %(fulfilment_order_id)b::uuid[], %(line_no)b::integer[], %(part_no)b::integer[],
                             %(quantity)b::bigint[], %(unpicked)b::bigint[])
                      as a(merchant_id, fulfilment_order_id, line_no, part_no, quantity, unpicked)
                 group by merchant_id, fulfilment_order_id, line_no, part_no) as t
           where l.merchant_id = t.merchant_id and l.fulfilment_order_id = t.fulfilment_order_id
             and l.line_no = t.line_no and l.part_no = t.part_no""",
        bound,
    )
