"""Readers of orders: for flows by arrays, for people by page, for the laws whole."""

import uuid
from collections.abc import Sequence
from datetime import date, datetime

from msgspec import Struct

from entrepot.base.batching import batch
from entrepot.base.sql import Conn, fetch
from entrepot.orders.model import Allocation, Line, LineStanding, Order, Promise

_ORDER = (
    *("merchant_id", "order_id", "person_id", "checkout_id", "number", "marketplace_code", "channel_code", "currency", "state"),
    *("to_country_code", "postcode_prefix", "total_minor", "placed_at", "reference", "speed_code"),
)
_LINE = (
    *("merchant_id", "order_id", "line_no", "offer_id", "stock_item_id", "sku", "model_code", "plan_version", "quantity", "unit_price_minor"),
    *("listed_currency", "charged_currency", "settled_currency", "rate_id", "rate_locked_at", "goods_minor", "discount_minor", "freight_minor"),
    *("insurance_minor", "tax_minor", "tax_on_top_minor", "duty_minor", "unit_weight_g", "promise_id"),
)
_STANDING = ("quantity", "cancelled", "shipped", "delivered", "lost", "returned", "refunded")
_ALLOCATION = (
    *("merchant_id", "order_id", "line_no", "part_no", "place_code", "owner_id", "customs_status", "pool_code", "consignment_id"),
    "quantity - a.cancelled",
)
_PROMISE = ("merchant_id", "promise_id", "order_id", "quote_id", "place_code", "service_code", "shown_at", "ship_by_at", "from_on", "to_on")
_ASKED = "(select distinct * from unnest(%(merchants)s::uuid[], %(orders)s::uuid[])) as t(merchant_id, order_id)"
_ORDERS_ASKED = f"{_ASKED} using (merchant_id, order_id)"
_LINES_ASKED = """
    (select distinct * from unnest(%(merchants)s::uuid[], %(orders)s::uuid[], %(lines)s::int[])) as t(merchant_id, order_id, line_no)
    using (merchant_id, order_id, line_no)
"""


class OrderRow(Struct, frozen=True):
    """One order in a list."""

    merchant_id: uuid.UUID
    order_id: uuid.UUID
    number: str
    state: str
    marketplace_code: str
    channel_code: str
    currency: str
    total_minor: int
    to_country_code: str
    placed_at: datetime
    model_codes: tuple[str, ...]
    unit_count: int


class PromiseRow(Struct, frozen=True):
    """A promise and how it ended."""

    promise_id: uuid.UUID
    place_code: str
    service_code: str
    from_on: date
    to_on: date
    outcome: str | None


def _qualified(alias: str, names: Sequence[str]) -> str:
    """Return column names under a table alias."""
    return ", ".join(f"{alias}.{name}" for name in names)


def _asked(merchant_ids: Sequence[uuid.UUID], order_ids: Sequence[uuid.UUID], line_nos: Sequence[int] | None) -> tuple[str, dict[str, object]]:
    """Return the join that finds all lines of orders, or of each order only the line beside it, and what it binds."""
    params: dict[str, object] = {"merchants": list(merchant_ids), "orders": list(order_ids)}
    return (_ORDERS_ASKED, params) if line_nos is None else (_LINES_ASKED, params | {"lines": list(line_nos)})


@batch
async def read_orders(conn: Conn, merchant_ids: Sequence[uuid.UUID], order_ids: Sequence[uuid.UUID]) -> list[Order]:
    """Return orders by (merchant, order), in key order."""
    rows = await fetch(
        conn,
        f"select {_qualified('o', _ORDER)} from customer_order o join {_ASKED} using (merchant_id, order_id) order by 1, 2",
        {"merchants": list(merchant_ids), "orders": list(order_ids)},
    )
    return [Order(*row) for row in rows]


async def read_checkout_orders(conn: Conn, checkout_ids: Sequence[uuid.UUID]) -> list[Order]:
    """Return the orders of checkouts, in order of checkout, merchant and order."""
    rows = await fetch(
        conn,
        f"select {_qualified('o', _ORDER)} from customer_order o where o.checkout_id = any(%(checkouts)s) order by 4, 1, 2",
        {"checkouts": list(checkout_ids)},
    )
    return [Order(*row) for row in rows]


@batch
async def read_lines(
    conn: Conn, merchant_ids: Sequence[uuid.UUID], order_ids: Sequence[uuid.UUID], line_nos: Sequence[int] | None = None
) -> list[Line]:
    """Return the lines of orders, or of each order only the line beside it, in key order."""
    asked, params = _asked(merchant_ids, order_ids, line_nos)
    rows = await fetch(
        conn,
        f"select {_qualified('l', _LINE)} from order_line l join {asked} order by 1, 2, 3",
        params,
    )
    return [Line(*row) for row in rows]


@batch
async def read_order_units(conn: Conn, merchant_ids: Sequence[uuid.UUID], order_ids: Sequence[uuid.UUID]) -> dict[tuple[uuid.UUID, uuid.UUID], int]:
    """Return the units of all lines of orders, as ordered, by (merchant, order)."""
    rows = await fetch(
        conn,
        f"select l.merchant_id, l.order_id, sum(l.quantity)::bigint from order_line l join {_ORDERS_ASKED} group by 1, 2",
        {"merchants": list(merchant_ids), "orders": list(order_ids)},
    )
    return {(row[0], row[1]): row[2] for row in rows}


@batch
async def read_standings(
    conn: Conn, merchant_ids: Sequence[uuid.UUID], order_ids: Sequence[uuid.UUID], line_nos: Sequence[int] | None = None
) -> list[LineStanding]:
    """Return how far lines have come, named as for `read_lines`, locked against another change at the same time, in key order."""
    asked, params = _asked(merchant_ids, order_ids, line_nos)
    rows = await fetch(
        conn,
        f"""
        select l.merchant_id, l.order_id, l.line_no, {_qualified("l", _STANDING)} from order_line l join {asked}
        order by 1, 2, 3 for update of l
        """,
        params,
    )
    return [LineStanding(*row) for row in rows]


@batch
async def read_allocations(
    conn: Conn, merchant_ids: Sequence[uuid.UUID], order_ids: Sequence[uuid.UUID], line_nos: Sequence[int] | None = None
) -> list[Allocation]:
    """Return what places are still to serve of lines, named as for `read_lines` (cancelled units left out), in key order."""
    asked, params = _asked(merchant_ids, order_ids, line_nos)
    rows = await fetch(
        conn,
        f"""
        select {_qualified("a", _ALLOCATION)} from allocation a join {asked}
        where a.quantity > a.cancelled order by 1, 2, 3, 4
        """,
        params,
    )
    return [Allocation(*row) for row in rows]


@batch
async def read_promises(conn: Conn, merchant_ids: Sequence[uuid.UUID], order_ids: Sequence[uuid.UUID]) -> list[Promise]:
    """Return the promises of orders, in key order."""
    rows = await fetch(
        conn,
        f"select {_qualified('p', _PROMISE)} from promise p join {_ASKED} using (merchant_id, order_id) order by 1, 2",
        {"merchants": list(merchant_ids), "orders": list(order_ids)},
    )
    return [Promise(*row) for row in rows]


async def read_promise_rows(conn: Conn, merchant_id: uuid.UUID, order_id: uuid.UUID) -> list[PromiseRow]:
    """Return the promises of one order with their outcome."""
    rows = await fetch(
        conn,
        """
        select promise_id, place_code, service_code, from_on, to_on, outcome from promise
        where merchant_id = %(merchant)s and order_id = %(order)s order by to_on, promise_id
        """,
        {"merchant": merchant_id, "order": order_id},
    )
    return [PromiseRow(*row) for row in rows]


async def count_orders(conn: Conn) -> list[tuple[str, str, int]]:
    """Return (model, state, orders) over the whole house; an order counts once for each model among its lines.

    First lines and the others are counted apart, because nearly all orders have one line: told to find the distinct orders of all lines, the
    planner (PostgreSQL 18) takes a million orders for a tenth as many and sorts into a table that it enlarges for minutes.
    """
    rows = await fetch(
        conn,
        """
        select model_code, state, sum(orders)::bigint
        from (select l.model_code, o.state, count(*) as orders
              from order_line l join customer_order o using (merchant_id, order_id) where l.line_no = 1 group by 1, 2
              union all
              select l.model_code, o.state, count(distinct (l.merchant_id, l.order_id))
              from order_line l join customer_order o using (merchant_id, order_id)
              where l.line_no > 1 and not exists (
                  select from order_line f where f.merchant_id = l.merchant_id and f.order_id = l.order_id and f.line_no = 1
                    and f.model_code = l.model_code)
              group by 1, 2) counted
        group by 1, 2 order by 1, 2
        """,
    )
    return [(str(row[0]), str(row[1]), int(row[2])) for row in rows]


async def count_lines(conn: Conn) -> list[tuple[str, int, int, int, int, int]]:
    """Return (model, orders, orders with delivered, returned, refunded, cancelled units) over the whole house."""
    rows = await fetch(
        conn,
        """
        select model_code, count(*), count(*) filter (where delivered > 0), count(*) filter (where returned > 0),
               count(*) filter (where refunded > 0), count(*) filter (where cancelled > 0)
        from (select l.model_code, l.merchant_id, l.order_id, sum(l.delivered) as delivered, sum(l.returned) as returned,
                     sum(l.refunded) as refunded, sum(l.cancelled) as cancelled
              from order_line l group by 1, 2, 3) per_order
        group by model_code order by model_code
        """,
    )
    return [(str(row[0]), *(int(count) for count in row[1:])) for row in rows]  # type: ignore[misc]


_ORDER_ROW = """
    select o.merchant_id, o.order_id, o.number, o.state, o.marketplace_code, o.channel_code, o.currency, o.total_minor, o.to_country_code,
           o.placed_at, (select array_agg(distinct l.model_code order by l.model_code) from order_line l
                         where l.merchant_id = o.merchant_id and l.order_id = o.order_id),
           (select sum(l.quantity - l.cancelled)::bigint from order_line l where l.merchant_id = o.merchant_id and l.order_id = o.order_id)
    from customer_order o
"""


async def list_orders(
    conn: Conn, merchant_id: uuid.UUID | None, state: str | None, limit: int, offset: int, model_code: str | None = None
) -> list[OrderRow]:
    """Return a page of orders, newest first; of one merchant, or of all for the operator, in one state and of one model or of all."""
    rows = await fetch(
        conn,
        f"""
        {_ORDER_ROW}
        where (%(merchant)s::uuid is null or o.merchant_id = %(merchant)s) and (%(state)s::text is null or o.state = %(state)s)
          and (%(model)s::text is null or exists (select from order_line l
               where l.merchant_id = o.merchant_id and l.order_id = o.order_id and l.model_code = %(model)s))
        order by o.placed_at desc, o.order_id limit %(limit)s offset %(offset)s
        """,
        {"merchant": merchant_id, "state": state, "limit": limit, "offset": offset, "model": model_code},
    )
    return [_order_row(row) for row in rows]


async def count_states(conn: Conn, merchant_id: uuid.UUID | None, model_code: str | None = None) -> dict[str, int]:
    """Return how many orders are in each state; of one merchant or of all, of one model or of all."""
    rows = await fetch(
        conn,
        """
        select o.state, count(*) from customer_order o
        where (%(merchant)s::uuid is null or o.merchant_id = %(merchant)s)
          and (%(model)s::text is null or exists (select from order_line l
               where l.merchant_id = o.merchant_id and l.order_id = o.order_id and l.model_code = %(model)s))
        group by o.state order by o.state
        """,
        {"merchant": merchant_id, "model": model_code},
    )
    return {str(row[0]): int(row[1]) for row in rows}


async def read_progress(conn: Conn, merchant_id: uuid.UUID, order_id: uuid.UUID) -> list[LineStanding]:
    """Return how far the lines of one order have come, for people: nothing is locked."""
    rows = await fetch(
        conn,
        f"""
        select l.merchant_id, l.order_id, l.line_no, {_qualified("l", _STANDING)} from order_line l
        where l.merchant_id = %(merchant)s and l.order_id = %(order)s order by l.line_no
        """,
        {"merchant": merchant_id, "order": order_id},
    )
    return [LineStanding(*row) for row in rows]


async def list_person_orders(conn: Conn, person_id: uuid.UUID, limit: int) -> list[OrderRow]:
    """Return a buyer's orders, newest first."""
    rows = await fetch(
        conn,
        f"{_ORDER_ROW} where o.person_id = %(person)s order by o.placed_at desc, o.order_id limit %(limit)s",
        {"person": person_id, "limit": limit},
    )
    return [_order_row(row) for row in rows]


def _order_row(row: tuple[object, ...]) -> OrderRow:
    """Convert a driver row."""
    *fields, models, units = row
    return OrderRow(*fields, tuple(models or ()), int(units or 0))  # type: ignore[arg-type, call-overload]


async def prove_promises(conn: Conn) -> tuple[int, list[str]]:
    """Law 7: every order line points to a stored window, and the window of a delivered order is scored."""
    counted = await fetch(conn, "select count(*) from promise")
    rows = await fetch(
        conn,
        """
        select 'line ' || l.order_id || '/' || l.line_no || ' points to no promise' from order_line l
        left join promise p on p.merchant_id = l.merchant_id and p.promise_id = l.promise_id where p.promise_id is null
        union all
        select 'promise ' || p.promise_id || ' of a delivered order has no score' from promise p
        join customer_order o on o.merchant_id = p.merchant_id and o.order_id = p.order_id
        where o.state in ('delivered', 'settled') and p.outcome is null
        union all
        select 'promise ' || promise_id || ' ends before it begins' from promise where to_on < from_on
        order by 1 limit 100
        """,
    )
    return int(counted[0][0]), [str(row[0]) for row in rows]


async def read_dead_holders(conn: Conn, merchant_ids: Sequence[uuid.UUID], holder_ids: Sequence[uuid.UUID]) -> list[str]:
    """Name holders that are no live order: unknown, cancelled, delivered or settled."""
    rows = await fetch(
        conn,
        """
        select 'holder ' || t.order_id || ' is ' || coalesce(o.state, 'no order')
        from unnest(%(merchants)s::uuid[], %(orders)s::uuid[]) as t(merchant_id, order_id)
        left join customer_order o on o.merchant_id = t.merchant_id and o.order_id = t.order_id
        where o.order_id is null or o.state in ('cancelled', 'delivered', 'settled')
        order by 1 limit 100
        """,
        {"merchants": list(merchant_ids), "orders": list(holder_ids)},
    )
    return [str(row[0]) for row in rows]
