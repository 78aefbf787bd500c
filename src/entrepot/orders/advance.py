"""How far units have come: quantities grow in one guarded statement, and the order's state follows from them."""

import uuid
from collections.abc import Sequence
from datetime import date, datetime
from typing import LiteralString

from entrepot.base.batching import batch
from entrepot.base.sql import Conn, columns, execute, execute_counted, fetch
from entrepot.orders.model import LineUnits, OrderState

_ADD = """
    update order_line l set {column} = l.{column} + t.quantity
    from (select merchant_id, order_id, line_no, sum(quantity) as quantity
          from unnest(%(merchant_id)s::uuid[], %(order_id)s::uuid[], %(line_no)s::int[], %(quantity)s::bigint[])
               as u(merchant_id, order_id, line_no, quantity)
          group by merchant_id, order_id, line_no) t
    where l.merchant_id = t.merchant_id and l.order_id = t.order_id and l.line_no = t.line_no
"""


async def _add(conn: Conn, column: LiteralString, units: Sequence[LineUnits]) -> None:
    """Add units to one quantity of their lines."""
    if units:
        await execute(conn, _ADD.format(column=column), columns(units, "merchant_id", "order_id", "line_no", "quantity"))


@batch
async def add_cancelled(conn: Conn, units: Sequence[LineUnits]) -> None:
    """Count units as cancelled; more than have not left break the line's check and nothing is written."""
    await _add(conn, "cancelled", units)


@batch
async def add_shipped(conn: Conn, units: Sequence[LineUnits]) -> None:
    """Count units as handed over to a carrier."""
    await _add(conn, "shipped", units)


@batch
async def add_delivered(conn: Conn, units: Sequence[LineUnits]) -> None:
    """Count units as arrived at the buyer."""
    await _add(conn, "delivered", units)


@batch
async def add_lost(conn: Conn, units: Sequence[LineUnits]) -> None:
    """Count units that left and will not arrive: lost, refused by customs, undeliverable."""
    await _add(conn, "lost", units)


@batch
async def add_returned(conn: Conn, units: Sequence[LineUnits]) -> None:
    """Count delivered units as come back."""
    await _add(conn, "returned", units)


@batch
async def add_refunded(conn: Conn, units: Sequence[LineUnits]) -> None:
    """Count units as paid back to the buyer."""
    await _add(conn, "refunded", units)


@batch
async def cancel_allocations(conn: Conn, parts: Sequence[tuple[uuid.UUID, uuid.UUID, int, int, int]]) -> None:
    """Take (merchant, order, line, part, quantity) out of what places are to serve."""
    if not parts:
        return
    await execute(
        conn,
        """
        update allocation a set cancelled = a.cancelled + t.quantity
        from unnest(%(merchants)s::uuid[], %(orders)s::uuid[], %(lines)s::int[], %(parts)s::int[], %(quantities)s::bigint[])
             as t(merchant_id, order_id, line_no, part_no, quantity)
        where a.merchant_id = t.merchant_id and a.order_id = t.order_id and a.line_no = t.line_no and a.part_no = t.part_no
        """,
        dict(zip(("merchants", "orders", "lines", "parts", "quantities"), (list(column) for column in zip(*parts, strict=True)), strict=True)),
    )


@batch
async def refresh_states(conn: Conn, merchant_ids: Sequence[uuid.UUID], order_ids: Sequence[uuid.UUID]) -> list[tuple[uuid.UUID, uuid.UUID, str]]:
    """Let the states of paid orders follow from their quantities; return (merchant, order, state) of those that changed."""
    rows = await fetch(
        conn,
        """
        with asked as (select distinct * from unnest(%(merchants)s::uuid[], %(orders)s::uuid[]) as t(merchant_id, order_id)),
        sums as (
            select l.merchant_id, l.order_id, sum(l.quantity - l.cancelled) as open_units, sum(l.shipped) as shipped,
                   sum(l.delivered + l.lost) as arrived
            from order_line l join asked t on l.merchant_id = t.merchant_id and l.order_id = t.order_id
            group by l.merchant_id, l.order_id
        ), target as (
            select merchant_id, order_id,
                   case when open_units = 0 then 'cancelled' when arrived >= open_units then 'delivered'
                        when shipped >= open_units then 'shipped' end as state
            from sums
        )
        update customer_order o set state = target.state
        from target
        where o.merchant_id = target.merchant_id and o.order_id = target.order_id and target.state is not null
          and o.state <> target.state and o.state not in ('settled', 'awaiting_payment')
        returning o.merchant_id, o.order_id, o.state
        """,
        {"merchants": list(merchant_ids), "orders": list(order_ids)},
    )
    return sorted((row[0], row[1], str(row[2])) for row in rows)


@batch
async def set_order_states(
    conn: Conn, merchant_ids: Sequence[uuid.UUID], order_ids: Sequence[uuid.UUID], sources: Sequence[OrderState], target: OrderState, at: datetime
) -> list[tuple[uuid.UUID, uuid.UUID]]:
    """Move orders from one of the source states to the target; return (merchant, order) of those that moved."""
    rows = await fetch(
        conn,
        """
        update customer_order o set state = %(target)s,
            paid_at = case when %(target)s in ('paid', 'in_work') then coalesce(o.paid_at, %(at)s) else o.paid_at end
        from unnest(%(merchants)s::uuid[], %(orders)s::uuid[]) as t(merchant_id, order_id)
        where o.merchant_id = t.merchant_id and o.order_id = t.order_id and o.state = any(%(sources)s)
        returning o.merchant_id, o.order_id
        """,
        {"merchants": list(merchant_ids), "orders": list(order_ids), "sources": [str(state) for state in sources], "target": str(target), "at": at},
    )
    return sorted((row[0], row[1]) for row in rows)


@batch
async def score_promises(
    conn: Conn, merchant_ids: Sequence[uuid.UUID], promise_ids: Sequence[uuid.UUID], delivered_ons: Sequence[date], ats: Sequence[datetime]
) -> int:
    """Score promises whose parcel arrived on a date; one that was scored keeps its first score unless it was withdrawn."""
    return await execute_counted(
        conn,
        """
        update promise p set outcome = case when t.delivered_on <= p.to_on then 'hit' else 'miss' end, scored_at = t.at
        from unnest(%(merchants)s::uuid[], %(promises)s::uuid[], %(days)s::date[], %(ats)s::timestamptz[])
             as t(merchant_id, promise_id, delivered_on, at)
        where p.merchant_id = t.merchant_id and p.promise_id = t.promise_id and p.outcome is null
        """,
        {"merchants": list(merchant_ids), "promises": list(promise_ids), "days": list(delivered_ons), "ats": list(ats)},
    )


@batch
async def miss_promises(conn: Conn, merchant_ids: Sequence[uuid.UUID], promise_ids: Sequence[uuid.UUID], at: datetime) -> int:
    """Score promises whose parcel will not arrive as missed; one that was scored keeps its score."""
    return await execute_counted(
        conn,
        """
        update promise p set outcome = 'miss', scored_at = %(at)s
        from unnest(%(merchants)s::uuid[], %(promises)s::uuid[]) as t(merchant_id, promise_id)
        where p.merchant_id = t.merchant_id and p.promise_id = t.promise_id and p.outcome is null
        """,
        {"merchants": list(merchant_ids), "promises": list(promise_ids), "at": at},
    )


@batch
async def withdraw_promises(conn: Conn, merchant_ids: Sequence[uuid.UUID], order_ids: Sequence[uuid.UUID], at: datetime) -> int:
    """Withdraw the unscored promises of orders that were cancelled whole."""
    return await execute_counted(
        conn,
        """
        update promise p set outcome = 'withdrawn', scored_at = %(at)s
        from unnest(%(merchants)s::uuid[], %(orders)s::uuid[]) as t(merchant_id, order_id)
        where p.merchant_id = t.merchant_id and p.order_id = t.order_id and p.outcome is null
        """,
        {"merchants": list(merchant_ids), "orders": list(order_ids), "at": at},
    )


@batch
async def withdraw_consignment_promises(conn: Conn, merchant_ids: Sequence[uuid.UUID], promise_ids: Sequence[uuid.UUID], at: datetime) -> int:
    """Withdraw the unscored promises of consignments that will not leave, while the rest of their orders goes on."""
    return await execute_counted(
        conn,
        """
        update promise p set outcome = 'withdrawn', scored_at = %(at)s
        from unnest(%(merchants)s::uuid[], %(promises)s::uuid[]) as t(merchant_id, promise_id)
        where p.merchant_id = t.merchant_id and p.promise_id = t.promise_id and p.outcome is null
        """,
        {"merchants": list(merchant_ids), "promises": list(promise_ids), "at": at},
    )


@batch
async def lower_totals(conn: Conn, merchant_ids: Sequence[uuid.UUID], order_ids: Sequence[uuid.UUID], totals_minor: Sequence[int]) -> None:
    """Set what unpaid orders come to, in minor units, after part of them was cancelled."""
    await execute(
        conn,
        """
        update customer_order o set total_minor = t.total_minor
        from unnest(%(merchants)s::uuid[], %(orders)s::uuid[], %(totals)s::bigint[]) as t(merchant_id, order_id, total_minor)
        where o.merchant_id = t.merchant_id and o.order_id = t.order_id and o.state = 'awaiting_payment'
        """,
        {"merchants": list(merchant_ids), "orders": list(order_ids), "totals": list(totals_minor)},
    )
