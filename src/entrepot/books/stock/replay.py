"""Law 8 for the stock book: playing the journal from the beginning gives the balances that stand; and the rows that make up its hash."""

from datetime import datetime
from typing import Final

from entrepot.base.row_hash import hash_rows
from entrepot.base.sql import Conn, fetch, fetch_one


async def replay_moves(conn: Conn) -> tuple[int, list[str]]:
    """Return how many moves were played, and each place of a stock item whose balance is not what they give (at most 100)."""
    counted = await fetch_one(conn, "select count(*) from stock_move")
    rows = await fetch(
        conn,
        """
        with played as (
            select merchant_id, location_id, sum(quantity)::bigint as balance from (
                select merchant_id, to_location_id as location_id, quantity from stock_move
                union all select merchant_id, from_location_id, -quantity from stock_move) as moves
            group by merchant_id, location_id
        )
        select 'stock ' || location_id || ' at ' || coalesce(l.place_code, 'no place') || ': stands at ' || coalesce(l.balance, 0)
               || ', the journal gives ' || coalesce(p.balance, 0)
        from stock_location l full join played p using (merchant_id, location_id)
        where coalesce(l.balance, 0) <> coalesce(p.balance, 0)
        order by 1 limit 100
        """,
    )
    return (0 if counted is None else int(counted[0])), [str(row[0]) for row in rows]


async def read_last_move_at(conn: Conn) -> datetime | None:
    """Return when the latest move happened, or None."""
    row = await fetch_one(conn, "select max(at) from stock_move")
    return None if row is None else row[0]


async def hash_stock(conn: Conn) -> dict[str, str]:
    """Return the hashes of moves and balances; merchant and stock item stand by the ids that follow from code and SKU."""
    return {"stock_moves": await hash_rows(conn, _MOVES), "stock_balances": await hash_rows(conn, _BALANCES)}


_MOVES: Final = """
    select concat_ws('|', m.merchant_id, f.stock_item_id, f.owner_id, f.place_code, f.spot_code, f.lot_code, f.condition_code, f.customs_status,
        t.owner_id, t.place_code, t.spot_code, t.lot_code, t.condition_code, t.customs_status, m.quantity,
        (extract(epoch from m.at) * 1000000)::bigint, m.cause_kind, coalesce(m.reason, '')) collate "C" as told
    from stock_move m
    join stock_location f on f.merchant_id = m.merchant_id and f.location_id = m.from_location_id
    join stock_location t on t.merchant_id = m.merchant_id and t.location_id = m.to_location_id
    order by told
"""
_BALANCES: Final = """
    select concat_ws('|', merchant_id, stock_item_id, owner_id, place_code, spot_code, lot_code, condition_code, customs_status, balance)
        collate "C" as told
    from stock_location where balance <> 0
    union all
    select concat_ws('|', merchant_id, stock_item_id, owner_id, place_code, condition_code, customs_status, pool_code, on_hand, reserved)
    from stock_availability where on_hand <> 0 or reserved <> 0
    order by told
"""
