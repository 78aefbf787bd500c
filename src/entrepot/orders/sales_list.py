"""A merchant's orders as lists and charts show them: filtered, sorted and summed by the database, and what was sold by day."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Final

from msgspec import Struct

from entrepot.base.sql import Conn, fetch


class SalesAsk(Struct, frozen=True):
    """Which orders of a merchant: in these states (all, if none is named), of a store, of a model, with this text in their number."""

    merchant_id: uuid.UUID
    states: tuple[str, ...] = ()
    marketplace_code: str = ""
    model_code: str = ""
    text: str = ""
    sort_key: str = "placed_at"
    is_descending: bool = True


class SalesRow(Struct, frozen=True):
    """One order in the list."""

    order_id: uuid.UUID
    number: str
    state: str
    marketplace_code: str
    channel_code: str
    to_country_code: str
    placed_at: datetime
    currency: str
    total_minor: int
    unit_count: int
    model_codes: tuple[str, ...]


class SalesPage(Struct, frozen=True):
    """One page of rows, with the count, the units and the value by currency of all that fit, and the counts by state of all orders."""

    rows: Sequence[SalesRow]
    count: int
    unit_count: int
    totals: Sequence[tuple[str, int]]
    by_state: Mapping[str, int]


class DaySales(Struct, frozen=True):
    """What was sold on a day in the merchant's time zone: orders that are not cancelled, and their value."""

    on: date
    currency: str
    order_count: int
    total_minor: int


_SORTS: Final = {
    "placed_at": "placed_at",
    "number": "number",
    "state": "state",
    "total": "total_minor",
    "units": "unit_count",
    "store": "marketplace_code",
}
_FITTING: Final = """
    select o.order_id, o.number, o.state, o.marketplace_code, o.channel_code, o.to_country_code, o.placed_at, o.currency, o.total_minor,
           coalesce(l.unit_count, 0) as unit_count, l.model_codes
    from customer_order o
    left join lateral (
        select sum(x.quantity - x.cancelled)::bigint as unit_count, array_agg(distinct x.model_code) as model_codes
        from order_line x where x.merchant_id = o.merchant_id and x.order_id = o.order_id) l on true
    where o.merchant_id = %(merchant)s and (cardinality(%(states)s::text[]) = 0 or o.state = any(%(states)s::text[]))
      and (%(store)s = '' or o.marketplace_code = %(store)s) and (%(model)s = '' or %(model)s = any(l.model_codes))
      and (%(text)s = '' or position(upper(%(text)s) in o.number) > 0)
"""


async def find_sales(conn: Conn, ask: SalesAsk, limit: int, offset: int) -> SalesPage:
    """Return one page of a merchant's orders with the sums of all that fit."""
    params = {
        "merchant": ask.merchant_id,
        "states": list(ask.states),
        "store": ask.marketplace_code,
        "model": ask.model_code,
        "text": ask.text,
        "limit": limit,
        "offset": offset,
    }
    order = f"{_SORTS[ask.sort_key]} {'desc' if ask.is_descending else 'asc'}"
    rows = await fetch(conn, f"select * from ({_FITTING}) f order by {order}, order_id limit %(limit)s offset %(offset)s", params)
    sums = await fetch(
        conn,
        f"select currency, count(*), sum(unit_count)::bigint, sum(total_minor)::bigint from ({_FITTING}) f group by currency order by currency",
        params,
    )
    states = await fetch(
        conn, "select state, count(*) from customer_order where merchant_id = %(merchant)s group by state", {"merchant": ask.merchant_id}
    )
    return SalesPage(
        [SalesRow(*row[:10], model_codes=tuple(row[10] or ())) for row in rows],
        sum(int(row[1]) for row in sums),
        sum(int(row[2]) for row in sums),
        [(str(row[0]), int(row[3])) for row in sums],
        {str(row[0]): int(row[1]) for row in states},
    )


async def read_day_sales(conn: Conn, merchant_id: uuid.UUID, since: datetime, time_zone: str) -> list[DaySales]:
    """Return what a merchant sold by day and currency since an instant, the earliest first."""
    rows = await fetch(
        conn,
        """
        select (o.placed_at at time zone %(zone)s)::date, o.currency, count(*), sum(o.total_minor)::bigint
        from customer_order o
        where o.merchant_id = %(merchant)s and o.placed_at >= %(since)s and o.state not in ('cancelled', 'awaiting_payment')
        group by 1, 2 order by 1, 2
        """,
        {"merchant": merchant_id, "since": since, "zone": time_zone},
    )
    return [DaySales(row[0], str(row[1]), int(row[2]), int(row[3])) for row in rows]
