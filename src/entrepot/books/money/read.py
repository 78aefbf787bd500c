"""Readers and the proof of the money book."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from entrepot.base.batching import batch
from entrepot.base.sql import Conn, fetch
from entrepot.books.money.model import Balance


class EntryRow(Struct, frozen=True):
    """One journal entry, for people."""

    at: datetime
    posting_id: uuid.UUID
    kind: str
    phase: str
    account_code: str
    currency: str
    amount_minor: int
    cause_kind: str
    cause_id: uuid.UUID
    order_id: uuid.UUID | None


_ENTRY = "p.at, p.posting_id, p.kind, p.phase, e.account_code, e.currency, e.amount_minor, p.cause_kind, p.cause_id, p.order_id"


async def read_balances(conn: Conn, merchant_id: uuid.UUID) -> list[Balance]:
    """Return every account of one merchant's book."""
    rows = await fetch(
        conn,
        """
        select merchant_id, account_code, currency, posted_minor, pending_minor from money_balance
        where merchant_id = %(merchant)s order by account_code, currency
        """,
        {"merchant": merchant_id},
    )
    return [Balance(*row) for row in rows]


async def read_account_balances(conn: Conn, account_code: str) -> list[Balance]:
    """Return one account over all merchants, in order of merchant and currency."""
    rows = await fetch(
        conn,
        """
        select merchant_id, account_code, currency, posted_minor, pending_minor from money_balance
        where account_code = %(account)s order by merchant_id, currency
        """,
        {"account": account_code},
    )
    return [Balance(*row) for row in rows]


async def read_totals(conn: Conn) -> list[tuple[str, str, int, int]]:
    """Return (account, currency, posted, pending) summed over all merchants: the trial balance."""
    rows = await fetch(
        conn,
        """
        select account_code, currency, sum(posted_minor)::bigint, sum(pending_minor)::bigint from money_balance
        group by account_code, currency order by currency, account_code
        """,
    )
    return [(str(row[0]), str(row[1]), int(row[2]), int(row[3])) for row in rows]


async def list_account_entries(
    conn: Conn, merchant_id: uuid.UUID | None, account_code: str, currency: str, limit: int, offset: int
) -> list[tuple[uuid.UUID, EntryRow]]:
    """Return a page of an account's journal with the merchant whose book it stands in, newest first; of one merchant or of all."""
    rows = await fetch(
        conn,
        f"""
        select p.merchant_id, {_ENTRY} from money_entry e
        join money_posting p on p.merchant_id = e.merchant_id and p.posting_id = e.posting_id
        where e.account_code = %(account)s and e.currency = %(currency)s and (%(merchant)s::uuid is null or e.merchant_id = %(merchant)s)
        order by p.at desc, p.posting_id desc, e.entry_no limit %(limit)s offset %(offset)s
        """,
        {"merchant": merchant_id, "account": account_code, "currency": currency, "limit": limit, "offset": offset},
    )
    return [(row[0], EntryRow(*row[1:])) for row in rows]


async def read_posting(conn: Conn, merchant_id: uuid.UUID, posting_id: uuid.UUID) -> list[EntryRow]:
    """Return the entries of one posting of a merchant's book; none if the book has no such posting."""
    rows = await fetch(
        conn,
        f"""
        select {_ENTRY} from money_posting p join money_entry e on e.merchant_id = p.merchant_id and e.posting_id = p.posting_id
        where p.merchant_id = %(merchant)s and p.posting_id = %(posting)s order by e.entry_no
        """,
        {"merchant": merchant_id, "posting": posting_id},
    )
    return [EntryRow(*row) for row in rows]


async def read_order_entries(conn: Conn, merchant_id: uuid.UUID, order_ids: Sequence[uuid.UUID]) -> list[EntryRow]:
    """Return the journal of a merchant's orders, oldest first."""
    rows = await fetch(
        conn,
        f"""
        select {_ENTRY} from money_posting p join money_entry e on e.merchant_id = p.merchant_id and e.posting_id = p.posting_id
        where p.merchant_id = %(merchant)s and p.order_id = any(%(orders)s) order by p.at, p.posting_id, e.entry_no
        """,
        {"merchant": merchant_id, "orders": list(order_ids)},
    )
    return [EntryRow(*row) for row in rows]


@batch
async def read_order_sums(
    conn: Conn, account_code: str, merchant_ids: Sequence[uuid.UUID], order_ids: Sequence[uuid.UUID]
) -> list[tuple[uuid.UUID, uuid.UUID, str, int]]:
    """Return (merchant, order, currency, posted sum) of an account for each of these orders."""
    rows = await fetch(
        conn,
        """
        select p.merchant_id, p.order_id, e.currency, sum(e.amount_minor)::bigint
        from (select distinct * from unnest(%(merchants)s::uuid[], %(orders)s::uuid[])) as t(merchant_id, order_id)
        join money_posting p on p.merchant_id = t.merchant_id and p.order_id = t.order_id and p.phase in ('posted', 'post')
        join money_entry e on e.merchant_id = p.merchant_id and e.posting_id = p.posting_id and e.account_code = %(account)s
        group by 1, 2, 3 order by 1, 2, 3
        """,
        {"account": account_code, "merchants": list(merchant_ids), "orders": list(order_ids)},
    )
    return [(row[0], row[1], str(row[2]), int(row[3])) for row in rows]


async def read_movements(conn: Conn, since: datetime, until: datetime, account_code: str) -> list[tuple[uuid.UUID, str, str, int]]:
    """Return (merchant, currency, kind, sum) of what was posted to an account in a closed period, for statements."""
    rows = await fetch(
        conn,
        """
        select p.merchant_id, e.currency, p.kind, sum(e.amount_minor)::bigint
        from money_posting p join money_entry e on e.merchant_id = p.merchant_id and e.posting_id = p.posting_id
        where p.at >= %(since)s and p.at < %(until)s and p.phase in ('posted', 'post') and e.account_code = %(account)s
        group by 1, 2, 3 order by 1, 2, 3
        """,
        {"since": since, "until": until, "account": account_code},
    )
    return [(row[0], str(row[1]), str(row[2]), int(row[3])) for row in rows]


async def read_checkout_sums(conn: Conn, account_code: str) -> list[tuple[uuid.UUID, str, int]]:
    """Return (checkout, currency, posted sum) of an account, for the proof that each checkout adds up."""
    rows = await fetch(
        conn,
        """
        select p.checkout_id, e.currency, sum(e.amount_minor)::bigint
        from money_posting p join money_entry e on e.merchant_id = p.merchant_id and e.posting_id = p.posting_id
        where p.checkout_id is not null and p.phase in ('posted', 'post') and e.account_code = %(account)s
        group by 1, 2 order by 1, 2
        """,
        {"account": account_code},
    )
    return [(row[0], str(row[1]), int(row[2])) for row in rows]


async def prove_money(conn: Conn) -> tuple[int, list[str]]:
    """Law 3 inside the book: every posting sums to zero per currency, every balance is the sum of its entries, phase by phase."""
    counted = await fetch(conn, "select (select count(*) from money_posting) + (select count(*) from money_balance)")
    rows = await fetch(
        conn,
        """
        select 'posting ' || posting_id || ' sums to ' || sum(amount_minor) || ' ' || currency from money_entry
        group by merchant_id, posting_id, currency having sum(amount_minor) <> 0
        union all
        select 'posting ' || p.posting_id || ' (' || p.kind || ') has no entries' from money_posting p
        where not exists (select 1 from money_entry e where e.merchant_id = p.merchant_id and e.posting_id = p.posting_id)
        union all
        select 'balance ' || coalesce(b.account_code, s.account_code) || ' ' || coalesce(b.currency, s.currency) || ' of '
               || coalesce(b.merchant_id, s.merchant_id) || ': posted ' || coalesce(b.posted_minor, 0) || ' pending ' || coalesce(b.pending_minor, 0)
               || ', entries ' || coalesce(s.posted, 0) || ' and ' || coalesce(s.pending, 0)
        from money_balance b full join (
            select e.merchant_id, e.account_code, e.currency,
                   sum(case when p.phase in ('posted', 'post') then e.amount_minor else 0 end) as posted,
                   sum(case p.phase when 'pending' then e.amount_minor when 'post' then -e.amount_minor when 'void' then -e.amount_minor else 0 end)
                   as pending
            from money_entry e join money_posting p on p.merchant_id = e.merchant_id and p.posting_id = e.posting_id
            group by 1, 2, 3) s
          on s.merchant_id = b.merchant_id and s.account_code = b.account_code and s.currency = b.currency
        where coalesce(b.posted_minor, 0) <> coalesce(s.posted, 0) or coalesce(b.pending_minor, 0) <> coalesce(s.pending, 0)
        order by 1 limit 100
        """,
    )
    return int(counted[0][0]), [str(row[0]) for row in rows]
