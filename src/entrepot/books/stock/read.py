"""Readers of the stock book: availability for sourcing, bins for the floor, statements for merchants, proofs for the laws."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from entrepot.base.batching import batch
from entrepot.base.sql import Conn, Row, fetch
from entrepot.books.stock.model import Available, Location, StockKey


class Held(Struct, frozen=True):
    """Units of one stock item at one location."""

    location: Location
    quantity: int


class MoveRow(Struct, frozen=True):
    """One journal row, for people."""

    at: datetime
    quantity: int
    from_place: str
    from_spot: str
    to_place: str
    to_spot: str
    stock_item_id: uuid.UUID
    cause_kind: str
    cause_id: uuid.UUID
    reason: str | None


@batch
async def read_availability(conn: Conn, merchant_ids: Sequence[uuid.UUID], stock_item_ids: Sequence[uuid.UUID]) -> list[Available]:
    """Return the sellable stock of these items with something free, by place.

    The condition is asked outside the search: with it inside, the planner (PostgreSQL 18) weighs a skip scan of the index, finds it dear, and
    reads the whole table for every batch.
    """
    rows = await fetch(
        conn,
        """
        select a.merchant_id, a.owner_id, a.stock_item_id, a.place_code, a.condition_code, a.customs_status, a.pool_code, a.on_hand, a.reserved
        from (select distinct * from unnest(%(merchants)s::uuid[], %(items)s::uuid[])) as t(merchant_id, stock_item_id)
        cross join lateral (select * from stock_availability x where x.merchant_id = t.merchant_id and x.stock_item_id = t.stock_item_id offset 0) a
        where a.condition_code = 'sellable' and a.on_hand > a.reserved
        order by a.merchant_id, a.stock_item_id, a.place_code, a.customs_status, a.pool_code
        """,
        {"merchants": list(merchant_ids), "items": list(stock_item_ids)},
    )
    return [Available(StockKey(*row[:7]), int(row[7]), int(row[8])) for row in rows]


_LOCATION = "l.merchant_id, l.owner_id, l.stock_item_id, l.place_code, l.spot_code, l.lot_code, l.condition_code, l.customs_status"


@batch
async def read_locations(
    conn: Conn, merchant_ids: Sequence[uuid.UUID], stock_item_ids: Sequence[uuid.UUID], place_codes: Sequence[str]
) -> list[Held]:
    """Return what lies where of these (merchant, item, place), for directed picking and putting back."""
    rows = await fetch(
        conn,
        f"""
        select {_LOCATION}, l.balance from stock_location l
        join (select distinct * from unnest(%(merchants)s::uuid[], %(items)s::uuid[], %(places)s::text[])) as t(merchant_id, stock_item_id, place_code)
          on l.merchant_id = t.merchant_id and l.stock_item_id = t.stock_item_id and l.place_code = t.place_code
        where l.balance <> 0
        order by l.merchant_id, l.stock_item_id, l.place_code, l.lot_code, l.spot_code, l.condition_code
        """,
        {"merchants": list(merchant_ids), "items": list(stock_item_ids), "places": list(place_codes)},
    )
    return [Held(Location(*row[:8]), int(row[8])) for row in rows]


async def read_moves(conn: Conn, merchant_id: uuid.UUID, cause_ids: Sequence[uuid.UUID]) -> list[MoveRow]:
    """Return the journal of one merchant's causes (an order, a plan, a return), oldest first."""
    rows = await fetch(
        conn,
        """
        select m.at, m.quantity, f.place_code, f.spot_code, t.place_code, t.spot_code, t.stock_item_id, m.cause_kind, m.cause_id, m.reason
        from stock_move m
        join stock_location f on f.merchant_id = m.merchant_id and f.location_id = m.from_location_id
        join stock_location t on t.merchant_id = m.merchant_id and t.location_id = m.to_location_id
        where m.merchant_id = %(merchant)s and m.cause_id = any(%(causes)s)
        order by m.at, m.posting_id, m.move_no
        """,
        {"merchant": merchant_id, "causes": list(cause_ids)},
    )
    return [MoveRow(*row) for row in rows]


class UnitTime(Struct, frozen=True):
    """How long units of a stock item lay in a place: unit-seconds over a span, all spots and conditions together."""

    merchant_id: uuid.UUID
    owner_id: uuid.UUID
    stock_item_id: uuid.UUID
    place_code: str
    unit_seconds: int


async def read_unit_days(conn: Conn, from_at: datetime, to_at: datetime) -> list[UnitTime]:
    """Return the exact time integral of what lay in real places from `from_at` up to `to_at`, worked out back from today's balances."""
    rows = await fetch(
        conn,
        """
        with span as (
            select %(from)s::timestamptz as from_at, extract(epoch from %(to)s::timestamptz - %(from)s::timestamptz) as seconds
        ), lying as (
            select merchant_id, location_id, balance * (select seconds from span) as unit_seconds
            from stock_location where place_code not like '@%%'
            union all
            select m.merchant_id, e.location_id,
                   e.sign * m.quantity * extract(epoch from least(m.at, %(to)s::timestamptz) - (select from_at from span))
            from stock_move m cross join lateral (values (m.to_location_id, -1), (m.from_location_id, 1)) as e(location_id, sign)
            where m.at >= %(from)s
        )
        select l.merchant_id, l.owner_id, l.stock_item_id, l.place_code, round(sum(i.unit_seconds))::bigint
        from lying i join stock_location l on l.merchant_id = i.merchant_id and l.location_id = i.location_id
        where l.place_code not like '@%%'
        group by 1, 2, 3, 4 having round(sum(i.unit_seconds)) <> 0 order by 1, 4, 3, 2
        """,
        {"from": from_at, "to": to_at},
    )
    return [UnitTime(row[0], row[1], row[2], str(row[3]), int(row[4])) for row in rows]


async def read_units(conn: Conn) -> list[tuple[str, int]]:
    """Return the units per place of the whole house, pseudo places included, for totals."""
    rows = await fetch(
        conn, "select place_code, sum(balance)::bigint from stock_location group by place_code having sum(balance) <> 0 order by place_code"
    )
    return [(str(row[0]), int(row[1])) for row in rows]


@batch
async def read_sent(conn: Conn, merchant_ids: Sequence[uuid.UUID], cause_ids: Sequence[uuid.UUID]) -> dict[tuple[uuid.UUID, uuid.UUID], list[Held]]:
    """Return what each cause handed to a carrier, with lots and owners, so that it can travel on as it left."""
    rows = await fetch(
        conn,
        f"""
        select m.cause_id, {_LOCATION}, sum(m.quantity)::bigint
        from (select distinct * from unnest(%(merchants)s::uuid[], %(causes)s::uuid[])) as t(merchant_id, cause_id)
        join stock_move m on m.merchant_id = t.merchant_id and m.cause_id = t.cause_id and m.cause_kind = 'ship'
        join stock_location l on l.merchant_id = m.merchant_id and l.location_id = m.to_location_id
        where l.place_code = '@carrier'
        group by m.cause_id, {_LOCATION}
        order by m.cause_id, {_LOCATION}
        """,
        {"merchants": list(merchant_ids), "causes": list(cause_ids)},
    )
    sent: dict[tuple[uuid.UUID, uuid.UUID], list[Held]] = {}
    for row in rows:
        sent.setdefault((row[1], row[0]), []).append(Held(Location(*row[1:9]), int(row[9])))
    return sent


async def list_locations(conn: Conn, merchant_id: uuid.UUID, stock_item_id: uuid.UUID | None, limit: int, offset: int = 0) -> list[Held]:
    """Return what a merchant has where, sources and pseudo places included, of one stock item or of all, for the merchant's stock page."""
    rows = await fetch(
        conn,
        f"""
        select {_LOCATION}, l.balance from stock_location l
        where l.merchant_id = %(merchant)s and l.balance <> 0 and (%(item)s::uuid is null or l.stock_item_id = %(item)s)
        order by l.stock_item_id, l.place_code, l.spot_code, l.lot_code, l.condition_code, l.customs_status, l.owner_id limit %(limit)s offset %(offset)s
        """,
        {"merchant": merchant_id, "item": stock_item_id, "limit": limit, "offset": offset},
    )
    return [Held(Location(*row[:8]), int(row[8])) for row in rows]


async def list_bin_contents(conn: Conn, place_code: str, spot_code: str | None = None) -> list[Held]:
    """Return what lies in the bins of a place, or in one spot of it, whoever owns it."""
    rows = await fetch(
        conn,
        f"""
        select {_LOCATION}, l.balance from stock_location l
        where l.place_code = %(place)s and l.balance > 0 and l.spot_code like 'bin:%%' and (%(spot)s::text is null or l.spot_code = %(spot)s)
        order by l.spot_code, l.merchant_id, l.stock_item_id, l.lot_code, l.condition_code
        """,
        {"place": place_code, "spot": spot_code},
    )
    return [Held(Location(*row[:8]), int(row[8])) for row in rows]


async def list_availability(
    conn: Conn, merchant_id: uuid.UUID, stock_item_id: uuid.UUID | None = None, limit: int | None = None, offset: int = 0
) -> list[Available]:
    """Return what places hold and have promised of a merchant's stock items, or of one, empty ones left out; all rows or a page of them."""
    rows = await fetch(
        conn,
        """
        select merchant_id, owner_id, stock_item_id, place_code, condition_code, customs_status, pool_code, on_hand, reserved
        from stock_availability
        where merchant_id = %(merchant)s and (%(item)s::uuid is null or stock_item_id = %(item)s) and (on_hand <> 0 or reserved <> 0)
        order by stock_item_id, place_code, condition_code, customs_status, pool_code, owner_id limit %(limit)s offset %(offset)s
        """,
        {"merchant": merchant_id, "item": stock_item_id, "limit": limit, "offset": offset},
    )
    return [Available(StockKey(*row[:7]), int(row[7]), int(row[8])) for row in rows]


async def list_moves(conn: Conn, merchant_id: uuid.UUID, stock_item_id: uuid.UUID | None, limit: int, offset: int) -> list[MoveRow]:
    """Return a page of a merchant's journal, of one stock item or of all, newest first."""
    rows = await fetch(
        conn,
        """
        select m.at, m.quantity, f.place_code, f.spot_code, t.place_code, t.spot_code, t.stock_item_id, m.cause_kind, m.cause_id, m.reason
        from stock_move m
        join stock_location f on f.merchant_id = m.merchant_id and f.location_id = m.from_location_id
        join stock_location t on t.merchant_id = m.merchant_id and t.location_id = m.to_location_id
        where m.merchant_id = %(merchant)s and (%(item)s::uuid is null or t.stock_item_id = %(item)s)
        order by m.at desc, m.posting_id desc, m.move_no desc limit %(limit)s offset %(offset)s
        """,
        {"merchant": merchant_id, "item": stock_item_id, "limit": limit, "offset": offset},
    )
    return [MoveRow(*row) for row in rows]


_NET = f"""
    with moved as (
        select m.merchant_id, m.{{key}} as key_id, m.to_location_id as location_id, m.quantity
        from (select distinct * from unnest(%(merchants)s::uuid[], %(keys)s::uuid[])) as t(merchant_id, key_id)
        join stock_move m on m.merchant_id = t.merchant_id and m.{{key}} = t.key_id
        union all
        select m.merchant_id, m.{{key}}, m.from_location_id, -m.quantity
        from (select distinct * from unnest(%(merchants)s::uuid[], %(keys)s::uuid[])) as t(merchant_id, key_id)
        join stock_move m on m.merchant_id = t.merchant_id and m.{{key}} = t.key_id
    )
    select v.key_id, {_LOCATION}, sum(v.quantity)::bigint
    from moved v join stock_location l on l.merchant_id = v.merchant_id and l.location_id = v.location_id
    where l.place_code = %(place)s
    group by v.key_id, {_LOCATION} having sum(v.quantity) <> 0
    order by v.key_id, {_LOCATION}
"""


@batch
async def read_caused(
    conn: Conn, merchant_ids: Sequence[uuid.UUID], cause_ids: Sequence[uuid.UUID], place_code: str
) -> dict[tuple[uuid.UUID, uuid.UUID], list[Held]]:
    """Return what each cause brought to a pseudo place less what it took from there, with lots and owners; zeros are left out."""
    params = {"merchants": list(merchant_ids), "keys": list(cause_ids), "place": place_code}
    return _by_key(await fetch(conn, _NET.format(key="cause_id"), params))


@batch
async def read_posted(
    conn: Conn, merchant_ids: Sequence[uuid.UUID], posting_ids: Sequence[uuid.UUID], place_code: str
) -> dict[tuple[uuid.UUID, uuid.UUID], list[Held]]:
    """Return what each posting brought to a pseudo place less what it took from there, with lots and owners; zeros are left out."""
    params = {"merchants": list(merchant_ids), "keys": list(posting_ids), "place": place_code}
    return _by_key(await fetch(conn, _NET.format(key="posting_id"), params))


@batch
async def read_brought(
    conn: Conn, merchant_ids: Sequence[uuid.UUID], posting_ids: Sequence[uuid.UUID]
) -> dict[tuple[uuid.UUID, uuid.UUID], list[Held]]:
    """Return what each posting brought where, with lots, owners and conditions; postings that do not stand are left out."""
    rows = await fetch(
        conn,
        f"""
        select m.posting_id, {_LOCATION}, sum(m.quantity)::bigint
        from (select distinct * from unnest(%(merchants)s::uuid[], %(keys)s::uuid[])) as t(merchant_id, posting_id)
        join stock_move m on m.merchant_id = t.merchant_id and m.posting_id = t.posting_id
        join stock_location l on l.merchant_id = m.merchant_id and l.location_id = m.to_location_id
        group by m.posting_id, {_LOCATION} order by m.posting_id, {_LOCATION}
        """,
        {"merchants": list(merchant_ids), "keys": list(posting_ids)},
    )
    return _by_key(rows)


def _by_key(rows: Sequence[Row]) -> dict[tuple[uuid.UUID, uuid.UUID], list[Held]]:
    """Group rows under merchant and key."""
    found: dict[tuple[uuid.UUID, uuid.UUID], list[Held]] = {}
    for row in rows:
        found.setdefault((row[1], row[0]), []).append(Held(Location(*row[1:9]), int(row[9])))
    return found
