"""A merchant's orders as lists and charts show them: filtered, sorted and summed by the database, and what was sold by day."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Final

from msgspec import Struct

from entrepot.base.listed import COUNTED
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
    """One page of rows, with the count and the value by currency of all that fit, and their units, or None where that would mean too many lines."""

    rows: Sequence[SalesRow]
    count: int
    unit_count: int | None
    totals: Sequence[tuple[str, int]]


class DaySales(Struct, frozen=True):
    """What was sold on a day in the merchant's time zone: orders that are not cancelled, and their value."""

    on: date
    currency: str
    order_count: int
    total_minor: int


_SORTS: Final = {
    "placed_at": "o.placed_at",
    "number": "o.number",
    "state": "o.state",
    "total": "o.total_minor",
    "store": "o.marketplace_code",
}
"""Columns of the order itself: the page is cut before lines are read. Units are summed over lines, so to sort by them all lines are read."""
_UNITS: Final = "units"
_FITTING: Final = """
    from customer_order o
    where o.merchant_id = %(merchant)s and (cardinality(%(states)s::text[]) = 0 or o.state = any(%(states)s::text[]))
      and (%(store)s = '' or o.marketplace_code = %(store)s) and (%(text)s = '' or position(upper(%(text)s) in o.number) > 0)
      and (%(model)s = '' or exists (select from order_line m
           where m.merchant_id = o.merchant_id and m.order_id = o.order_id and m.model_code = %(model)s))
"""
_OF_LINES: Final = """
    left join lateral (
        select sum(x.quantity - x.cancelled)::bigint as unit_count, array_agg(distinct x.model_code order by x.model_code) as model_codes
        from order_line x where x.merchant_id = o.merchant_id and x.order_id = o.order_id) l on true
"""
_ROW: Final = """o.order_id, o.number, o.state, o.marketplace_code, o.channel_code, o.to_country_code, o.placed_at, o.currency, o.total_minor,
    coalesce(l.unit_count, 0) as unit_count, l.model_codes"""


async def find_sales(conn: Conn, ask: SalesAsk, limit: int, offset: int) -> SalesPage:
    """Return one page of a merchant's orders with count and value of all that fit, and their units where they are not too many to add up."""
    params = {
        "merchant": ask.merchant_id,
        "states": list(ask.states),
        "store": ask.marketplace_code,
        "model": ask.model_code,
        "text": ask.text,
        "limit": limit,
        "offset": offset,
    }
    turn = "desc" if ask.is_descending else "asc"
    cut = "limit %(limit)s offset %(offset)s"
    if ask.sort_key == _UNITS:
        rows = await fetch(
            conn, f"select {_ROW} from (select o.* {_FITTING}) o {_OF_LINES} order by l.unit_count {turn} nulls last, o.order_id {cut}", params
        )
    else:
        order = f"{_SORTS[ask.sort_key]} {turn}, o.order_id"
        rows = await fetch(conn, f"select {_ROW} from (select o.* {_FITTING} order by {order} {cut}) o {_OF_LINES} order by {order}", params)
    sums = await fetch(conn, f"select o.currency, count(*), sum(o.total_minor)::bigint {_FITTING} group by o.currency order by o.currency", params)
    count = sum(int(row[1]) for row in sums)
    return SalesPage(
        [SalesRow(*row[:10], model_codes=tuple(row[10] or ())) for row in rows],
        count,
        await _sum_units(conn, params) if count <= COUNTED else None,
        [(str(row[0]), int(row[2])) for row in sums],
    )


async def _sum_units(conn: Conn, params: Mapping[str, object]) -> int:
    """Return the units of all orders that fit."""
    rows = await fetch(
        conn,
        f"""
        select coalesce(sum(x.quantity - x.cancelled), 0)::bigint from (select o.merchant_id, o.order_id {_FITTING}) o
        join order_line x on x.merchant_id = o.merchant_id and x.order_id = o.order_id
        """,
        params,
    )
    return int(rows[0][0])


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
