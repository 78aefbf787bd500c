"""A merchant's stock as a list: what lies where of each item, filtered, sorted, summed and cut by the database."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from entrepot.base.sql import Conn, fetch
from entrepot.books.stock.model import SELLABLE


class StockAsk(Struct, frozen=True):
    """Which stock of a merchant.

    `items` are all stock items in the order of the list, and of each whether its own name holds what is searched for; `text` is looked for in
    places; `coming` are units announced and not counted yet, by item and place. `standing` is `some` where units are free, `out` where none are.
    """

    merchant_id: uuid.UUID
    items: Sequence[tuple[uuid.UUID, bool]]
    coming: Mapping[tuple[uuid.UUID, str], int]
    text: str = ""
    place_code: str = ""
    standing: str = ""
    sort_key: str = ""
    is_descending: bool = False


class StockRow(Struct, frozen=True):
    """What lies of an item at a place in one condition; the place is empty for an item that lies nowhere."""

    stock_item_id: uuid.UUID
    place_code: str
    condition_code: str
    customs_status: str
    on_hand: int
    reserved: int
    coming: int

    @property
    def free(self) -> int:
        """Units that may be sold: of what is not sellable, none."""
        return self.on_hand - self.reserved if self.condition_code == SELLABLE else 0


class StockPage(Struct, frozen=True):
    """One page of rows, with count and sums of all that fit, and how many rows have something free, nothing free, and are there at all."""

    rows: Sequence[StockRow]
    count: int
    on_hand: int
    reserved: int
    free: int
    coming: int
    some_count: int
    out_count: int
    all_count: int


_SORTS: Final = {
    "": "position",
    "place": "place_code",
    "on_hand": "on_hand",
    "reserved": "reserved",
    "free": "free",
    "inbound": "coming",
}
_ROWS: Final = """
    with item as (
        select * from unnest(%(items)s::uuid[], %(fits)s::bool[]) with ordinality as t(stock_item_id, fits, position)
    ), held as (
        select stock_item_id, place_code, condition_code, customs_status, sum(on_hand)::bigint as on_hand, sum(reserved)::bigint as reserved
        from stock_availability where merchant_id = %(merchant)s and (on_hand <> 0 or reserved <> 0) group by 1, 2, 3, 4
    ), announced as (
        select t.stock_item_id, t.place_code, 'sellable' as condition_code, 'free' as customs_status, t.units
        from unnest(%(coming_items)s::uuid[], %(coming_places)s::text[], %(coming_units)s::bigint[]) as t(stock_item_id, place_code, units)
    ), lying as (
        select stock_item_id, place_code, condition_code, customs_status, coalesce(on_hand, 0) as on_hand, coalesce(reserved, 0) as reserved,
               coalesce(units, 0) as coming
        from held full join announced using (stock_item_id, place_code, condition_code, customs_status)
    ), listed as (
        select stock_item_id, fits, position, coalesce(place_code, '') as place_code, coalesce(condition_code, 'sellable') as condition_code,
               coalesce(customs_status, 'free') as customs_status, coalesce(on_hand, 0) as on_hand, coalesce(reserved, 0) as reserved,
               coalesce(coming, 0) as coming
        from item full join lying using (stock_item_id)  -- every item is listed; a full join is never a loop over all pairs
    ), freed as (
        select l.*, case condition_code when 'sellable' then on_hand - reserved else 0 end as free from listed l
    ), judged as (
        select l.*, (fits or position(upper(%(text)s) in place_code) > 0) and (%(place)s = '' or place_code = %(place)s)
               and (%(standing)s = '' or (%(standing)s = 'some') = (free > 0)) as is_fitting
        from freed l
    )
"""


async def find_stock(conn: Conn, ask: StockAsk, limit: int, offset: int) -> StockPage:
    """Return one page of a merchant's stock with the sums of all that fit."""
    params = {
        "merchant": ask.merchant_id,
        "items": [one for one, _ in ask.items],
        "fits": [fits for _, fits in ask.items],
        "coming_items": [item for item, _ in ask.coming],
        "coming_places": [place for _, place in ask.coming],
        "coming_units": list(ask.coming.values()),
        "text": ask.text,
        "place": ask.place_code,
        "standing": ask.standing,
        "limit": limit,
        "offset": offset,
    }
    order = f"{_SORTS[ask.sort_key]} {'desc' if ask.is_descending else 'asc'}"
    rows = await fetch(
        conn,
        f"""
        {_ROWS} select stock_item_id, place_code, condition_code, customs_status, on_hand, reserved, coming from judged where is_fitting
        order by {order}, position, place_code, condition_code, customs_status limit %(limit)s offset %(offset)s
        """,
        params,
    )
    sums = await fetch(
        conn,
        f"""
        {_ROWS}
        select count(*) filter (where is_fitting), coalesce(sum(on_hand) filter (where is_fitting), 0)::bigint,
               coalesce(sum(reserved) filter (where is_fitting), 0)::bigint, coalesce(sum(free) filter (where is_fitting), 0)::bigint,
               coalesce(sum(coming) filter (where is_fitting), 0)::bigint, count(*) filter (where free > 0), count(*) filter (where free <= 0), count(*)
        from judged
        """,
        params,
    )
    return StockPage([StockRow(*row) for row in rows], *(int(one) for one in sums[0]))


async def sum_availability(conn: Conn, merchant_id: uuid.UUID, stock_item_id: uuid.UUID | None) -> tuple[int, int]:
    """Return the units on hand and reserved of a merchant's stock, of one item or of all."""
    rows = await fetch(
        conn,
        """
        select coalesce(sum(on_hand), 0)::bigint, coalesce(sum(reserved), 0)::bigint from stock_availability
        where merchant_id = %(merchant)s and (%(item)s::uuid is null or stock_item_id = %(item)s)
        """,
        {"merchant": merchant_id, "item": stock_item_id},
    )
    return int(rows[0][0]), int(rows[0][1])


async def list_stock_places(conn: Conn, merchant_id: uuid.UUID) -> list[str]:
    """Return the codes of the places where a merchant's units lie or have lain."""
    rows = await fetch(
        conn, "select distinct place_code from stock_availability where merchant_id = %(merchant)s order by 1", {"merchant": merchant_id}
    )
    return [str(row[0]) for row in rows]


async def read_free_units(conn: Conn, merchant_id: uuid.UUID, stock_item_ids: Sequence[uuid.UUID] | None = None) -> dict[uuid.UUID, int]:
    """Return the units that may be sold of a merchant's stock items over all places: of these, or of all that have any units."""
    rows = await fetch(
        conn,
        """
        select stock_item_id, coalesce(sum(on_hand - reserved) filter (where condition_code = 'sellable'), 0)::bigint from stock_availability
        where merchant_id = %(merchant)s and (%(items)s::uuid[] is null or stock_item_id = any(%(items)s::uuid[])) group by 1
        """,
        {"merchant": merchant_id, "items": None if stock_item_ids is None else list(stock_item_ids)},
    )
    return {row[0]: int(row[1]) for row in rows}
