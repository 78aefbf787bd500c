"""Law 8 for the money book: playing the journal from the beginning gives the balances that stand; and the rows that make up its hash."""

import uuid
from datetime import datetime
from typing import Final

from entrepot.base.row_hash import hash_rows
from entrepot.base.sql import Conn, fetch, fetch_one


async def replay_entries(conn: Conn) -> tuple[int, list[str]]:
    """Return how many entries were played, and each account whose balance is not what they give (at most 100)."""
    counted = await fetch_one(conn, "select count(*) from money_entry")
    rows = await fetch(
        conn,
        """
        with played as (
            select e.merchant_id, e.account_code, e.currency,
                   coalesce(sum(e.amount_minor) filter (where p.phase in ('posted', 'post')), 0)::bigint as posted,
                   coalesce(sum(case when p.phase = 'pending' then e.amount_minor else -e.amount_minor end) filter (where p.phase <> 'posted'), 0)::bigint
                   as pending
            from money_entry e join money_posting p on p.merchant_id = e.merchant_id and p.posting_id = e.posting_id
            group by e.merchant_id, e.account_code, e.currency
        )
        select 'account ' || account_code || ' ' || currency || ' of ' || merchant_id || ': stands at ' || coalesce(b.posted_minor, 0) || ' and '
               || coalesce(b.pending_minor, 0) || ' waiting, the journal gives ' || coalesce(p.posted, 0) || ' and ' || coalesce(p.pending, 0)
        from money_balance b full join played p using (merchant_id, account_code, currency)
        where coalesce(b.posted_minor, 0) <> coalesce(p.posted, 0) or coalesce(b.pending_minor, 0) <> coalesce(p.pending, 0)
        order by 1 limit 100
        """,
    )
    return (0 if counted is None else int(counted[0])), [str(row[0]) for row in rows]


async def read_last_entry_at(conn: Conn) -> datetime | None:
    """Return when the latest posting happened, or None."""
    row = await fetch_one(conn, "select max(at) from money_posting")
    return None if row is None else row[0]


async def read_open_orders(conn: Conn, account_code: str) -> list[tuple[uuid.UUID, uuid.UUID, str, int]]:
    """Return (merchant, order, currency, sum) of every order whose posted entries on an account do not sum to zero, in key order."""
    rows = await fetch(
        conn,
        """
        select p.merchant_id, p.order_id, e.currency, sum(e.amount_minor)::bigint
        from money_posting p join money_entry e on e.merchant_id = p.merchant_id and e.posting_id = p.posting_id
        where p.order_id is not null and p.phase in ('posted', 'post') and e.account_code = %(account)s
        group by 1, 2, 3 having sum(e.amount_minor) <> 0 order by 1, 2, 3
        """,
        {"account": account_code},
    )
    return [(row[0], row[1], str(row[2]), int(row[3])) for row in rows]


async def hash_money(conn: Conn) -> dict[str, str]:
    """Return the hash of the entries; a merchant stands by the id that follows from its code."""
    return {"money_entries": await hash_rows(conn, _ENTRIES)}


_ENTRIES: Final = """
    select concat_ws('|', p.merchant_id, e.account_code, e.currency, e.amount_minor, (extract(epoch from p.at) * 1000000)::bigint, p.kind, p.phase,
        p.cause_kind, coalesce(p.rate_id, '')) collate "C" as told
    from money_posting p join money_entry e on e.merchant_id = p.merchant_id and e.posting_id = p.posting_id
    order by told
"""
