"""Proofs of the stock book: laws 1 and 2, each naming the rows that break it."""

import uuid

from entrepot.base.sql import Conn, fetch


async def prove_units(conn: Conn) -> tuple[int, list[str]]:
    """Law 1: every balance is the sum of its moves, only sources are negative, each item sums to zero, bins add up to their place."""
    counted = await fetch(conn, "select (select count(*) from stock_location) + (select count(*) from stock_move)")
    rows = await fetch(
        conn,
        """
        with flow as (
            select merchant_id, location_id, sum(delta) as delta from (
                select merchant_id, to_location_id as location_id, quantity as delta from stock_move
                union all select merchant_id, from_location_id, -quantity from stock_move) moves
            group by merchant_id, location_id
        )
        select 'location ' || coalesce(l.location_id, f.location_id) || ' at ' || coalesce(l.place_code || '/' || l.spot_code, 'nowhere')
               || ': balance ' || coalesce(l.balance, 0) || ', moves ' || coalesce(f.delta, 0)
        from stock_location l full join flow f on f.merchant_id = l.merchant_id and f.location_id = l.location_id
        where coalesce(l.balance, 0) <> coalesce(f.delta, 0) or l.location_id is null
        union all
        select 'location ' || location_id || ' at ' || place_code || ' is negative: ' || balance from stock_location
        where balance < 0 and not is_source
        union all
        select 'stock item ' || stock_item_id || ' sums to ' || sum(balance) from stock_location
        group by merchant_id, stock_item_id having sum(balance) <> 0
        union all
        select 'availability of ' || coalesce(a.stock_item_id, b.stock_item_id) || ' at ' || coalesce(a.place_code, b.place_code) || ': on hand '
               || coalesce(a.on_hand, 0) || ', bins ' || coalesce(b.balance, 0)
        from (select merchant_id, stock_item_id, place_code, owner_id, condition_code, customs_status, sum(on_hand) as on_hand
              from stock_availability group by 1, 2, 3, 4, 5, 6) a
        full join (select merchant_id, stock_item_id, place_code, owner_id, condition_code, customs_status, sum(balance) as balance
                   from stock_location where is_on_hand group by 1, 2, 3, 4, 5, 6) b
          using (merchant_id, stock_item_id, place_code, owner_id, condition_code, customs_status)
        where coalesce(a.on_hand, 0) <> coalesce(b.balance, 0)
        order by 1 limit 100
        """,
    )
    return int(counted[0][0]), [str(row[0]) for row in rows]


async def prove_reservations(conn: Conn) -> tuple[int, list[str]]:
    """Law 2: reserved equals the open reservations and never exceeds on hand; a reservation without open units is closed."""
    counted = await fetch(conn, "select (select count(*) from stock_reservation) + (select count(*) from stock_availability)")
    rows = await fetch(
        conn,
        """
        with held as (
            select merchant_id, stock_item_id, place_code, owner_id, condition_code, customs_status, pool_code, sum(open_quantity) as open_quantity
            from stock_reservation group by 1, 2, 3, 4, 5, 6, 7
        )
        select 'availability of ' || a.stock_item_id || ' at ' || a.place_code || ': reserved ' || a.reserved || ', on hand ' || a.on_hand
               || ', open reservations ' || coalesce(h.open_quantity, 0)
        from stock_availability a left join held h using (merchant_id, stock_item_id, place_code, owner_id, condition_code, customs_status, pool_code)
        where a.reserved <> coalesce(h.open_quantity, 0) or a.reserved > a.on_hand
        union all
        select 'reservation ' || r.holder_id || '/' || r.line_no || '/' || r.part_no || ' is ' || r.state || ' with ' || r.open_quantity || ' open'
        from stock_reservation r
        where (r.open_quantity > 0) <> (r.state = 'held') and not (r.state = 'short' and r.open_quantity > 0)
        union all
        select 'reservation ' || r.holder_id || '/' || r.line_no || '/' || r.part_no || ' holds units of no availability'
        from stock_reservation r left join stock_availability a
          using (merchant_id, stock_item_id, place_code, owner_id, condition_code, customs_status, pool_code)
        where r.open_quantity > 0 and a.stock_item_id is null
        order by 1 limit 100
        """,
    )
    return int(counted[0][0]), [str(row[0]) for row in rows]


async def read_open_holders(conn: Conn) -> list[tuple[uuid.UUID, uuid.UUID]]:
    """Return (merchant, holder) of every open reservation, so that its owner can be shown to be alive."""
    rows = await fetch(conn, "select distinct merchant_id, holder_id from stock_reservation where open_quantity > 0 order by 1, 2")
    return [(row[0], row[1]) for row in rows]
