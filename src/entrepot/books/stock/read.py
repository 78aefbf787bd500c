"""Readers of the stock book: availability for sourcing, bins for the floor, statements for merchants, proofs for the laws."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from entrepot.base.batching import batch
from entrepot.base.sql import Conn, fetch
from entrepot.books.stock.model import Available, Location, StockKey


@dataclass(frozen=True, slots=True)
class Held:
    """Units of one stock item at one location."""

    location: Location
    quantity: int


@dataclass(frozen=True, slots=True)
class MoveRow:
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
    """Return the sellable stock of these items with something free, by place."""
    rows = await fetch(
        conn,
        """
        select a.merchant_id, a.owner_id, a.stock_item_id, a.place_code, a.condition_code, a.customs_status, a.pool_code, a.on_hand, a.reserved
        from stock_availability a join (select distinct * from unnest(%(merchants)s::uuid[], %(items)s::uuid[])) as t(merchant_id, stock_item_id)
          on a.merchant_id = t.merchant_id and a.stock_item_id = t.stock_item_id
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
