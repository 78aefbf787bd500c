"""Reservations: checking and holding units is one guarded statement; letting go gives back exactly what was held."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from psycopg.errors import CardinalityViolation, CheckViolation

from entrepot.base.batching import batch
from entrepot.base.quantity import require_positive
from entrepot.base.sql import Conn, Row, execute, execute_counted, fetch
from entrepot.books.stock.model import AlreadyHeldError, Consumption, ReservationAsk, Reserved, Shortage, StockKey
from entrepot.books.stock.post import key_columns

_ASKS = """unnest(%(merchants)s::uuid[], %(holders)s::uuid[], %(lines)s::int[], %(parts)s::int[], %(items)s::uuid[], %(places)s::text[],
    %(owners)s::uuid[], %(conditions)s::text[], %(statuses)s::text[], %(pools)s::text[], %(quantities)s::bigint[], %(ats)s::timestamptz[],
    %(expiries)s::timestamptz[]) as t(merchant_id, holder_id, line_no, part_no, stock_item_id, place_code, owner_id, condition_code,
    customs_status, pool_code, quantity, at, expires_at)"""


@batch
async def reserve_units(conn: Conn, asks: Sequence[ReservationAsk]) -> list[Reserved]:
    """Hold units for every ask, first come first served, in the order given.

    Holding what is held already, or what has left, raises `AlreadyHeldError`; what the batch held until then goes with the caller's transaction.
    The common path is one guarded update over all keys, locked in key order: all of them or none. Only where a key is short is the batch decided
    ask by ask.
    """
    if not asks:
        return []
    for ask in asks:
        require_positive(ask.quantity)
    held = await fetch(conn, _HOLD_ALL, _ask_columns(asks))
    if held:
        await _insert_reservations(conn, asks)
        return [Reserved(is_held=True, free=ask.quantity) for ask in asks]
    return await _decide_under_locks(conn, asks)


_HOLD_ALL = f"""
    with need as (
        select merchant_id, stock_item_id, place_code, owner_id, condition_code, customs_status, pool_code, sum(quantity) as quantity
        from {_ASKS} group by 1, 2, 3, 4, 5, 6, 7
    ), locked as materialized (
        select a.merchant_id, a.stock_item_id, a.place_code, a.owner_id, a.condition_code, a.customs_status, a.pool_code, a.on_hand, a.reserved,
               n.quantity
        from stock_availability a join need n
          on a.merchant_id = n.merchant_id and a.stock_item_id = n.stock_item_id and a.place_code = n.place_code and a.owner_id = n.owner_id
         and a.condition_code = n.condition_code and a.customs_status = n.customs_status and a.pool_code = n.pool_code
        order by 1, 2, 3, 4, 5, 6, 7 for update of a
    )
    update stock_availability a set on_hand = l.on_hand, reserved = l.reserved + l.quantity
    from locked l
    where a.merchant_id = l.merchant_id and a.stock_item_id = l.stock_item_id and a.place_code = l.place_code and a.owner_id = l.owner_id
      and a.condition_code = l.condition_code and a.customs_status = l.customs_status and a.pool_code = l.pool_code
      and (select count(*) from locked where on_hand - reserved >= quantity) = (select count(*) from need)
    returning 1
"""
# New values come from the locked rows: what the statement first saw may be older, and its sums might break a check that the real ones keep.


async def _decide_under_locks(conn: Conn, asks: Sequence[ReservationAsk]) -> list[Reserved]:
    """Lock all keys in order, decide ask by ask, and hold what was granted."""
    keys = sorted(
        {ask.key for ask in asks},
        key=lambda key: (key.merchant_id, key.stock_item_id, key.place_code, key.owner_id, key.condition_code, key.customs_status, key.pool_code),
    )
    rows = await fetch(
        conn,
        """
        select a.merchant_id, a.owner_id, a.stock_item_id, a.place_code, a.condition_code, a.customs_status, a.pool_code, a.on_hand - a.reserved
        from stock_availability a join unnest(%(merchants)s::uuid[], %(items)s::uuid[], %(places)s::text[], %(owners)s::uuid[],
            %(conditions)s::text[], %(statuses)s::text[], %(pools)s::text[])
            as t(merchant_id, stock_item_id, place_code, owner_id, condition_code, customs_status, pool_code)
          on a.merchant_id = t.merchant_id and a.stock_item_id = t.stock_item_id and a.place_code = t.place_code and a.owner_id = t.owner_id
         and a.condition_code = t.condition_code and a.customs_status = t.customs_status and a.pool_code = t.pool_code
        order by a.merchant_id, a.stock_item_id, a.place_code, a.owner_id, a.condition_code, a.customs_status, a.pool_code
        for update of a
        """,
        key_columns(keys),
    )
    free = {StockKey(*row[:7]): int(row[7]) for row in rows}
    answers: list[Reserved] = []
    granted: list[ReservationAsk] = []
    for ask in asks:
        left = free.get(ask.key, 0)
        answers.append(Reserved(left >= ask.quantity, left))
        if left >= ask.quantity:
            free[ask.key] = left - ask.quantity
            granted.append(ask)
    if granted:
        await fetch(conn, _HOLD_ALL, _ask_columns(granted))
        await _insert_reservations(conn, granted)
    return answers


def _ask_columns(asks: Sequence[ReservationAsk]) -> dict[str, object]:
    """Return asks as columns to bind."""
    return key_columns([ask.key for ask in asks]) | {
        "holders": [ask.holder_id for ask in asks],
        "lines": [ask.line_no for ask in asks],
        "parts": [ask.part_no for ask in asks],
        "quantities": [ask.quantity for ask in asks],
        "ats": [ask.at for ask in asks],
        "expiries": [ask.expires_at for ask in asks],
    }


async def _insert_reservations(conn: Conn, asks: Sequence[ReservationAsk]) -> None:
    """Write the reservations that were held; one that was released whole before is held again, wherever it is now, and one that is not breaks a check."""
    try:
        await execute_counted(conn, _INSERT, _ask_columns(asks))  # waits: what breaks a check is told here
    except (CheckViolation, CardinalityViolation) as broken:
        raise AlreadyHeldError(
            "holder_id", broken.diag.message_detail, "Hold the units of a line once; release them before they are held again."
        ) from broken


_INSERT = f"""
    insert into stock_reservation (merchant_id, holder_id, line_no, part_no, stock_item_id, place_code, owner_id, condition_code,
                                   customs_status, pool_code, quantity, open_quantity, state, at, expires_at)
    select merchant_id, holder_id, line_no, part_no, stock_item_id, place_code, owner_id, condition_code, customs_status, pool_code,
           quantity, quantity, 'held', at, expires_at
    from {_ASKS}
    on conflict (merchant_id, holder_id, line_no, part_no) do update
    set stock_item_id = excluded.stock_item_id, place_code = excluded.place_code, owner_id = excluded.owner_id,
        condition_code = excluded.condition_code, customs_status = excluded.customs_status, pool_code = excluded.pool_code,
        quantity = excluded.quantity,
        open_quantity = case when stock_reservation.open_quantity + stock_reservation.consumed_quantity + stock_reservation.short_quantity = 0
                             then excluded.open_quantity else -1 end,
        state = 'held', at = excluded.at, expires_at = excluded.expires_at
"""


@batch
async def lock_held(conn: Conn, merchant_ids: Sequence[uuid.UUID], holder_ids: Sequence[uuid.UUID]) -> None:
    """Lock, in key order, the availability of all that these holders hold or held.

    Whoever holds or gives back in more than one statement, or moves money first, calls this before: orders being placed lock units before
    balances, and who did it the other way round would wait for them while they wait for him.
    """
    await execute(
        conn,
        """
        select 1 from stock_availability a
        where exists (
            select 1 from stock_reservation r join unnest(%(merchants)s::uuid[], %(holders)s::uuid[]) as t(merchant_id, holder_id)
              on r.merchant_id = t.merchant_id and r.holder_id = t.holder_id
            where a.merchant_id = r.merchant_id and a.stock_item_id = r.stock_item_id and a.place_code = r.place_code and a.owner_id = r.owner_id
              and a.condition_code = r.condition_code and a.customs_status = r.customs_status and a.pool_code = r.pool_code)
        order by a.merchant_id, a.stock_item_id, a.place_code, a.owner_id, a.condition_code, a.customs_status, a.pool_code
        for update of a
        """,
        {"merchants": list(merchant_ids), "holders": list(holder_ids)},
    )


_LET_GO = """
    with old as (
        select r.merchant_id, r.holder_id, r.line_no, r.part_no, least(t.quantity, r.short_quantity) as short,
               least(t.quantity - least(t.quantity, r.short_quantity), r.open_quantity) as quantity
        from stock_reservation r
        join (select merchant_id, holder_id, line_no, part_no, sum(quantity)::bigint as quantity
              from unnest(%(merchants)s::uuid[], %(holders)s::uuid[], %(lines)s::int[], %(parts)s::int[], %(quantities)s::bigint[])
                   as given(merchant_id, holder_id, line_no, part_no, quantity)
              group by 1, 2, 3, 4) as t
          on r.merchant_id = t.merchant_id and r.holder_id = t.holder_id and r.line_no = t.line_no and r.part_no = t.part_no
        where r.open_quantity > 0 or r.short_quantity > 0
        order by r.merchant_id, r.holder_id, r.line_no, r.part_no for update of r
    ), gone as (
        update stock_reservation r
        set open_quantity = r.open_quantity - old.quantity, short_quantity = r.short_quantity - old.short,
            state = case when r.short_quantity > old.short then 'short' when r.open_quantity = old.quantity then 'released' else 'held' end
        from old
        where r.merchant_id = old.merchant_id and r.holder_id = old.holder_id and r.line_no = old.line_no and r.part_no = old.part_no
        returning r.merchant_id, r.stock_item_id, r.place_code, r.owner_id, r.condition_code, r.customs_status, r.pool_code,
                  old.quantity, r.holder_id, r.line_no, r.part_no
    ), back as (
        update stock_availability a set reserved = a.reserved - b.quantity
        from (select merchant_id, stock_item_id, place_code, owner_id, condition_code, customs_status, pool_code, sum(quantity) as quantity
              from gone group by 1, 2, 3, 4, 5, 6, 7) b
        where a.merchant_id = b.merchant_id and a.stock_item_id = b.stock_item_id and a.place_code = b.place_code and a.owner_id = b.owner_id
          and a.condition_code = b.condition_code and a.customs_status = b.customs_status and a.pool_code = b.pool_code
        returning 1
    )
    select merchant_id, holder_id, line_no, part_no, quantity from gone where quantity > 0 order by merchant_id, holder_id, line_no, part_no
"""


@batch
async def release_units(conn: Conn, parts: Sequence[Consumption]) -> list[Consumption]:
    """Give held units back to availability; return what each reservation really gave back, so that a replay gives nothing.

    Units that a reservation is short of go first: they were given back when the shortage arose, and are now settled.
    """
    if not parts:
        return []
    rows = await fetch(conn, _LET_GO, part_columns(parts))
    return [Consumption(*row) for row in rows]


def part_columns(parts: Sequence[Consumption]) -> dict[str, object]:
    """Return reservation parts as columns to bind."""
    return {
        "merchants": [part.merchant_id for part in parts],
        "holders": [part.holder_id for part in parts],
        "lines": [part.line_no for part in parts],
        "parts": [part.part_no for part in parts],
        "quantities": [part.quantity for part in parts],
    }


@batch
async def read_released(conn: Conn, merchant_ids: Sequence[uuid.UUID], holder_ids: Sequence[uuid.UUID], at: datetime) -> list[ReservationAsk]:
    """Return what it takes to hold again what these holders gave back."""
    rows = await fetch(
        conn,
        """
        select r.merchant_id, r.holder_id, r.line_no, r.part_no, r.owner_id, r.stock_item_id, r.place_code, r.condition_code, r.customs_status,
               r.pool_code, r.quantity
        from stock_reservation r join unnest(%(merchants)s::uuid[], %(holders)s::uuid[]) as t(merchant_id, holder_id)
          on r.merchant_id = t.merchant_id and r.holder_id = t.holder_id
        where r.state = 'released' and r.open_quantity = 0 and r.consumed_quantity = 0
        order by 1, 2, 3, 4
        """,
        {"merchants": list(merchant_ids), "holders": list(holder_ids)},
    )
    return [ReservationAsk(row[0], row[1], row[2], row[3], StockKey(row[0], *row[4:10]), row[10], at, None) for row in rows]


@batch
async def shorten_reservations(conn: Conn, keys: Sequence[StockKey], losses: Sequence[int]) -> list[Shortage]:
    """Close the youngest reservations of keys that are about to lose units, so far as the rest cannot cover them, and name their holders."""
    rows: list[Row] = await fetch(
        conn,
        """
        with loss as (
            select * from unnest(%(merchants)s::uuid[], %(items)s::uuid[], %(places)s::text[], %(owners)s::uuid[], %(conditions)s::text[],
                %(statuses)s::text[], %(pools)s::text[], %(losses)s::bigint[])
                as t(merchant_id, stock_item_id, place_code, owner_id, condition_code, customs_status, pool_code, loss)
        ), missing as (
            select a.merchant_id, a.stock_item_id, a.place_code, a.owner_id, a.condition_code, a.customs_status, a.pool_code,
                   a.reserved - (a.on_hand - l.loss) as missing
            from stock_availability a join loss l
              on a.merchant_id = l.merchant_id and a.stock_item_id = l.stock_item_id and a.place_code = l.place_code and a.owner_id = l.owner_id
             and a.condition_code = l.condition_code and a.customs_status = l.customs_status and a.pool_code = l.pool_code
            where a.reserved > a.on_hand - l.loss
            for update of a
        ), open_parts as (
            select r.*, m.missing from stock_reservation r join missing m
              on r.merchant_id = m.merchant_id and r.stock_item_id = m.stock_item_id and r.place_code = m.place_code and r.owner_id = m.owner_id
             and r.condition_code = m.condition_code and r.customs_status = m.customs_status and r.pool_code = m.pool_code
            where r.open_quantity > 0
            for update of r
        ), young as (
            select merchant_id, holder_id, line_no, part_no, open_quantity, missing,
                   sum(open_quantity) over (partition by merchant_id, stock_item_id, place_code, owner_id, condition_code, customs_status, pool_code
                       order by at desc, holder_id desc, line_no desc, part_no desc) - open_quantity as before
            from open_parts
        ), shortened as (
            update stock_reservation r
            set open_quantity = r.open_quantity - least(y.open_quantity, y.missing - y.before),
                short_quantity = r.short_quantity + least(y.open_quantity, y.missing - y.before), state = 'short'
            from young y
            where r.merchant_id = y.merchant_id and r.holder_id = y.holder_id and r.line_no = y.line_no and r.part_no = y.part_no
              and y.before < y.missing
            returning r.merchant_id, r.holder_id, r.line_no, r.part_no, least(y.open_quantity, y.missing - y.before)::bigint as quantity
        ), relieved as (
            update stock_availability a set reserved = a.reserved - m.missing from missing m
            where a.merchant_id = m.merchant_id and a.stock_item_id = m.stock_item_id and a.place_code = m.place_code and a.owner_id = m.owner_id
              and a.condition_code = m.condition_code and a.customs_status = m.customs_status and a.pool_code = m.pool_code
            returning 1
        )
        select merchant_id, holder_id, line_no, part_no, quantity from shortened order by merchant_id, holder_id, line_no, part_no
        """,
        key_columns(keys) | {"losses": list(losses)},
    )
    return [Shortage(*row) for row in rows]
