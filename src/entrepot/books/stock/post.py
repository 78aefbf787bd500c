"""The one function that moves units: locations, availability and reservations change together or not at all."""

import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain

from psycopg.errors import CheckViolation

from entrepot.base.batching import batch
from entrepot.base.sql import Conn, execute, fetch
from entrepot.books.stock.model import Consumption, Location, Move, StockKey, StockPosting, UnitsNotThereError, key_of


@dataclass(slots=True)
class _Change:
    """What a batch of postings adds to one location."""

    location: Location
    location_id: uuid.UUID
    delta: int = 0


@dataclass(slots=True)
class _Totals:
    """What a batch of postings changes in sum."""

    changes: dict[int, _Change] = field(default_factory=dict[int, _Change])

    def add(self, move: Move) -> tuple[uuid.UUID, uuid.UUID]:
        """Count a move and return the ids of its two ends."""
        return self._add(move.source, -move.quantity), self._add(move.target, move.quantity)

    def _add(self, location: Location, delta: int) -> uuid.UUID:
        """Add to a location and return its id."""
        location_id = location.location_id
        change = self.changes.get(location_id.int)
        if change is None:
            change = self.changes[location_id.int] = _Change(location, location_id)
        change.delta += delta
        return location_id

    def ordered(self) -> list[_Change]:
        """Return the changes in key order, so that two programs lock them in the same order."""
        return sorted(self.changes.values(), key=lambda change: (change.location.merchant_id.int, change.location_id.int))

    def on_hand(self) -> dict[StockKey, int]:
        """Return what the changes add to the units on hand of each key; a key whose units only change their spot is there with zero."""
        sums: dict[StockKey, int] = defaultdict(int)
        for change in self.changes.values():
            if change.location.is_on_hand:
                sums[key_of(change.location)] += change.delta
        return sums


@batch
async def post_moves(conn: Conn, postings: Sequence[StockPosting]) -> set[uuid.UUID]:
    """Post moves and what they consume of reservations; return the ids of postings that are new.

    A posting that stands already is passed over whole. Units that are not there raise `UnitsNotThereError` and leave nothing behind.
    """
    fresh = await _new_postings(conn, postings)
    if not fresh:
        return set()
    totals = _Totals()
    rows = [
        (
            posting.merchant_id,
            posting.posting_id,
            move_no,
            posting.at,
            *totals.add(move),
            move.quantity,
            posting.cause_kind,
            posting.cause_id,
            posting.reason,
        )
        for posting in fresh
        for move_no, move in enumerate(posting.moves, start=1)
    ]
    consumptions = list(chain.from_iterable(posting.consumptions for posting in fresh))
    try:
        await _change_locations(conn, totals)
        await _change_availability(conn, totals, consumptions)
    except CheckViolation as broken:
        raise UnitsNotThereError("quantity", broken.diag.message_detail, "Count the place, or move no more than the books hold there.") from broken
    await _insert_moves(conn, rows)
    return {posting.posting_id for posting in fresh}


async def _new_postings(conn: Conn, postings: Sequence[StockPosting]) -> list[StockPosting]:
    """Return the postings that do not stand yet, twins inside the batch merged."""
    unique = {(posting.merchant_id, posting.posting_id): posting for posting in reversed(postings) if posting.moves}
    if not unique:
        return []
    standing = await fetch(
        conn,
        """
        select m.merchant_id, m.posting_id from stock_move m
        join unnest(%(merchants)s::uuid[], %(postings)s::uuid[]) as t(merchant_id, posting_id)
          on m.merchant_id = t.merchant_id and m.posting_id = t.posting_id and m.move_no = 1
        """,
        {"merchants": [key[0] for key in unique], "postings": [key[1] for key in unique]},
    )
    for row in standing:
        del unique[row[0], row[1]]
    return [posting for key, posting in reversed(unique.items()) if key in unique]


async def _change_locations(conn: Conn, totals: _Totals) -> None:
    """Open the locations that are new and add the sums to their balances, in key order."""
    ordered = totals.ordered()
    places = [change.location for change in ordered]
    params: dict[str, object] = {
        "merchants": [place.merchant_id for place in places],
        "locations": [change.location_id for change in ordered],
        "owners": [place.owner_id for place in places],
        "items": [place.stock_item_id for place in places],
        "places": [place.place_code for place in places],
        "spots": [place.spot_code for place in places],
        "lots": [place.lot_code for place in places],
        "conditions": [place.condition_code for place in places],
        "statuses": [place.customs_status for place in places],
        "sources": [place.is_source for place in places],
        "on_hands": [place.is_on_hand for place in places],
        "deltas": [change.delta for change in ordered],
    }
    await execute(
        conn,
        """
        insert into stock_location (merchant_id, location_id, owner_id, stock_item_id, place_code, spot_code, lot_code, condition_code,
                                    customs_status, is_source, is_on_hand)
        select * from unnest(%(merchants)s::uuid[], %(locations)s::uuid[], %(owners)s::uuid[], %(items)s::uuid[], %(places)s::text[],
            %(spots)s::text[], %(lots)s::text[], %(conditions)s::text[], %(statuses)s::text[], %(sources)s::boolean[], %(on_hands)s::boolean[])
        on conflict do nothing
        """,
        params,
    )
    await execute(
        conn,
        """
        update stock_location l set balance = l.balance + t.delta
        from unnest(%(merchants)s::uuid[], %(locations)s::uuid[], %(deltas)s::bigint[]) as t(merchant_id, location_id, delta)
        where l.merchant_id = t.merchant_id and l.location_id = t.location_id and t.delta <> 0
        """,
        params,
    )


async def _change_availability(conn: Conn, totals: _Totals, consumptions: Sequence[Consumption]) -> None:
    """Change on hand and reserved of each key in one guarded statement, locked in key order; consumed reservations shrink with it."""
    on_hand = totals.on_hand()
    await open_availability(conn, list(on_hand))
    keys = sorted(
        (key for key, delta in on_hand.items() if delta or consumptions),
        key=lambda key: (key.merchant_id.int, key.stock_item_id.int, key.place_code, key.condition_code),
    )
    await execute(
        conn,
        """
        with eaten as (
            update stock_reservation r
            set open_quantity = r.open_quantity - t.quantity, consumed_quantity = r.consumed_quantity + t.quantity,
                state = case when r.open_quantity = t.quantity then 'consumed' else r.state end
            from (select merchant_id, holder_id, line_no, part_no, sum(quantity)::bigint as quantity
                  from unnest(%(c_merchants)s::uuid[], %(c_holders)s::uuid[], %(c_lines)s::int[], %(c_parts)s::int[], %(c_quantities)s::bigint[])
                       as eaten_part(merchant_id, holder_id, line_no, part_no, quantity)
                  group by 1, 2, 3, 4) as t
            where r.merchant_id = t.merchant_id and r.holder_id = t.holder_id and r.line_no = t.line_no and r.part_no = t.part_no
            returning r.merchant_id, r.stock_item_id, r.place_code, r.owner_id, r.condition_code, r.customs_status, r.pool_code, t.quantity
        ), change as (
            select merchant_id, stock_item_id, place_code, owner_id, condition_code, customs_status, pool_code,
                   sum(delta) as delta, sum(eaten) as eaten
            from (
                select *, 0::bigint as eaten from unnest(%(merchants)s::uuid[], %(items)s::uuid[], %(places)s::text[], %(owners)s::uuid[],
                    %(conditions)s::text[], %(statuses)s::text[], %(pools)s::text[], %(deltas)s::bigint[])
                    as t(merchant_id, stock_item_id, place_code, owner_id, condition_code, customs_status, pool_code, delta)
                union all
                select merchant_id, stock_item_id, place_code, owner_id, condition_code, customs_status, pool_code, 0, quantity from eaten
            ) as both_sides
            group by merchant_id, stock_item_id, place_code, owner_id, condition_code, customs_status, pool_code
        ), locked as materialized (
            select a.merchant_id, a.stock_item_id, a.place_code, a.owner_id, a.condition_code, a.customs_status, a.pool_code,
                   a.on_hand + change.delta as on_hand, a.reserved - change.eaten as reserved
            from stock_availability a join change
              on a.merchant_id = change.merchant_id and a.stock_item_id = change.stock_item_id and a.place_code = change.place_code
             and a.owner_id = change.owner_id and a.condition_code = change.condition_code and a.customs_status = change.customs_status
             and a.pool_code = change.pool_code
            where change.delta <> 0 or change.eaten <> 0
            order by 1, 2, 3, 4, 5, 6, 7 for update of a
        )
        update stock_availability a set on_hand = l.on_hand, reserved = l.reserved
        from locked l
        where a.merchant_id = l.merchant_id and a.stock_item_id = l.stock_item_id and a.place_code = l.place_code and a.owner_id = l.owner_id
          and a.condition_code = l.condition_code and a.customs_status = l.customs_status and a.pool_code = l.pool_code
        """,
        key_columns(keys)
        | {
            "deltas": [on_hand[key] for key in keys],
            "c_merchants": [eaten.merchant_id for eaten in consumptions],
            "c_holders": [eaten.holder_id for eaten in consumptions],
            "c_lines": [eaten.line_no for eaten in consumptions],
            "c_parts": [eaten.part_no for eaten in consumptions],
            "c_quantities": [eaten.quantity for eaten in consumptions],
        },
    )


async def open_availability(conn: Conn, keys: Sequence[StockKey]) -> None:
    """Open availability rows at zero for keys that have none yet."""
    if not keys:
        return
    await execute(
        conn,
        """
        insert into stock_availability (merchant_id, stock_item_id, place_code, owner_id, condition_code, customs_status, pool_code)
        select * from unnest(%(merchants)s::uuid[], %(items)s::uuid[], %(places)s::text[], %(owners)s::uuid[], %(conditions)s::text[],
            %(statuses)s::text[], %(pools)s::text[])
        on conflict do nothing
        """,
        key_columns(keys),
    )


def key_columns(keys: Sequence[StockKey]) -> dict[str, object]:
    """Return availability keys as columns to bind."""
    return {
        "merchants": [key.merchant_id for key in keys],
        "items": [key.stock_item_id for key in keys],
        "places": [key.place_code for key in keys],
        "owners": [key.owner_id for key in keys],
        "conditions": [key.condition_code for key in keys],
        "statuses": [key.customs_status for key in keys],
        "pools": [key.pool_code for key in keys],
    }


async def _insert_moves(conn: Conn, rows: Sequence[tuple[object, ...]]) -> None:
    """Append the moves to the journal."""
    names = ("merchants", "postings", "numbers", "ats", "sources", "targets", "quantities", "kinds", "causes", "reasons")
    await execute(
        conn,
        """
        insert into stock_move (merchant_id, posting_id, move_no, at, from_location_id, to_location_id, quantity, cause_kind, cause_id, reason)
        select * from unnest(%(merchants)s::uuid[], %(postings)s::uuid[], %(numbers)s::int[], %(ats)s::timestamptz[], %(sources)s::uuid[],
            %(targets)s::uuid[], %(quantities)s::bigint[], %(kinds)s::text[], %(causes)s::uuid[], %(reasons)s::text[])
        """,
        {name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)},
    )
