"""The one function that moves money: entries are appended and balances kept in the same transaction."""

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence

from entrepot.base.batching import batch
from entrepot.base.sql import Conn, columns, execute, fetch
from entrepot.books.money.model import Decision, MoneyPosting, Phase, require_balance

_Account = tuple[uuid.UUID, str, str]


@batch
async def post_entries(conn: Conn, postings: Sequence[MoneyPosting]) -> set[uuid.UUID]:
    """Append postings, posted or pending, and return the ids of those that are new; one that stands is passed over whole."""
    for posting in postings:
        require_balance(posting)
    unique = {(posting.merchant_id, posting.posting_id): posting for posting in reversed(postings) if posting.entries}
    if not unique:
        return set()
    listed = list(reversed(unique.values()))
    rows = await fetch(conn, f"{_INSERT_POSTINGS} on conflict do nothing returning merchant_id, posting_id", columns(listed, *_POSTING))
    fresh = {(row[0], row[1]) for row in rows}
    await _append(conn, [posting for posting in listed if (posting.merchant_id, posting.posting_id) in fresh])
    return {posting_id for _, posting_id in fresh}


@batch
async def post_new_entries(conn: Conn, postings: Sequence[MoneyPosting]) -> None:
    """Append postings, posted or pending, of which none can stand yet because this transaction makes what they are of; one that stands fails it."""
    for posting in postings:
        require_balance(posting)
    new = [posting for posting in postings if posting.entries]
    if new:
        await execute(conn, _INSERT_POSTINGS, columns(new, *_POSTING))
        await _append(conn, new)


_POSTING = ("merchant_id", "posting_id", "at", "kind", "phase", "cause_kind", "cause_id", "checkout_id", "order_id", "rate_id")
_INSERT_POSTINGS = """
    insert into money_posting (merchant_id, posting_id, at, kind, phase, cause_kind, cause_id, checkout_id, order_id, rate_id)
    select * from unnest(%(merchant_id)s::uuid[], %(posting_id)s::uuid[], %(at)s::timestamptz[], %(kind)s::text[], %(phase)s::text[],
        %(cause_kind)s::text[], %(cause_id)s::uuid[], %(checkout_id)s::uuid[], %(order_id)s::uuid[], %(rate_id)s::text[])
"""


async def _append(conn: Conn, new: Sequence[MoneyPosting]) -> None:
    """Append the entries of new postings and add them to the balances."""
    posted: dict[_Account, int] = defaultdict(int)
    pending: dict[_Account, int] = defaultdict(int)
    for posting in new:
        sums = pending if posting.phase is Phase.PENDING else posted
        for entry in posting.entries:
            sums[posting.merchant_id, entry.account_code, entry.currency] += entry.amount_minor
    await _insert_entries(conn, new)
    await _add_to_balances(conn, posted, pending)


async def _insert_entries(conn: Conn, postings: Sequence[MoneyPosting]) -> None:
    """Append the entries of new postings."""
    entries = [(posting, entry_no, entry) for posting in postings for entry_no, entry in enumerate(posting.entries, start=1)]
    if not entries:
        return
    await execute(
        conn,
        """
        insert into money_entry (merchant_id, posting_id, entry_no, account_code, currency, amount_minor)
        select * from unnest(%(merchants)s::uuid[], %(postings)s::uuid[], %(numbers)s::int[], %(accounts)s::text[], %(currencies)s::text[],
            %(amounts)s::bigint[])
        """,
        {
            "merchants": [posting.merchant_id for posting, _, _ in entries],
            "postings": [posting.posting_id for posting, _, _ in entries],
            "numbers": [entry_no for _, entry_no, _ in entries],
            "accounts": [entry.account_code for _, _, entry in entries],
            "currencies": [entry.currency for _, _, entry in entries],
            "amounts": [entry.amount_minor for _, _, entry in entries],
        },
    )


async def _add_to_balances(conn: Conn, posted: Mapping[_Account, int], pending: Mapping[_Account, int]) -> None:
    """Add sums to the balances of their accounts, opening those that are new, in key order."""
    accounts = sorted({*posted, *pending})
    if not accounts:
        return
    await execute(
        conn,
        """
        insert into money_balance as b (merchant_id, account_code, currency, posted_minor, pending_minor)
        select * from unnest(%(merchants)s::uuid[], %(accounts)s::text[], %(currencies)s::text[], %(posted)s::bigint[], %(pending)s::bigint[])
        on conflict (merchant_id, account_code, currency) do update
        set posted_minor = b.posted_minor + excluded.posted_minor, pending_minor = b.pending_minor + excluded.pending_minor
        """,
        {
            "merchants": [account[0] for account in accounts],
            "accounts": [account[1] for account in accounts],
            "currencies": [account[2] for account in accounts],
            "posted": [posted.get(account, 0) for account in accounts],
            "pending": [pending.get(account, 0) for account in accounts],
        },
    )


@batch
async def post_pending(conn: Conn, decisions: Sequence[Decision]) -> set[uuid.UUID]:
    """Let waiting postings count; return the ids of those decided now. One that was decided before stays as it was."""
    return await _decide(conn, decisions, Phase.POST)


@batch
async def void_pending(conn: Conn, decisions: Sequence[Decision]) -> set[uuid.UUID]:
    """Let waiting postings lapse; return the ids of those decided now. One that was decided before stays as it was."""
    return await _decide(conn, decisions, Phase.VOID)


@batch
async def post_lapsed(conn: Conn, decisions: Sequence[Decision]) -> set[uuid.UUID]:
    """Let postings count that lapsed before, as new ones with the same entries; return the ids of those posted now."""
    rows = await fetch(
        conn,
        """
        with again as (
            insert into money_posting (merchant_id, posting_id, at, kind, phase, cause_kind, cause_id, checkout_id, order_id, rate_id)
            select p.merchant_id, t.posting_id, t.at, p.kind, 'posted', p.cause_kind, p.cause_id, p.checkout_id, p.order_id, p.rate_id
            from money_posting p
            join unnest(%(merchant_id)s::uuid[], %(pending_id)s::uuid[], %(posting_id)s::uuid[], %(at)s::timestamptz[])
                 as t(merchant_id, pending_id, posting_id, at)
              on p.merchant_id = t.merchant_id and p.posting_id = t.pending_id and p.phase = 'pending'
            join money_posting v on v.merchant_id = p.merchant_id and v.pending_id = p.posting_id and v.phase = 'void'
            on conflict do nothing returning merchant_id, posting_id
        )
        insert into money_entry (merchant_id, posting_id, entry_no, account_code, currency, amount_minor)
        select a.merchant_id, a.posting_id, e.entry_no, e.account_code, e.currency, e.amount_minor
        from again a
        join (select distinct * from unnest(%(merchant_id)s::uuid[], %(pending_id)s::uuid[], %(posting_id)s::uuid[])) as t(merchant_id, pending_id, posting_id)
          on t.merchant_id = a.merchant_id and t.posting_id = a.posting_id
        join money_entry e on e.merchant_id = t.merchant_id and e.posting_id = t.pending_id
        returning merchant_id, posting_id, account_code, currency, amount_minor
        """,
        columns(decisions, "merchant_id", "pending_id", "posting_id", "at"),
    )
    posted: dict[_Account, int] = defaultdict(int)
    for merchant_id, _, account_code, currency, amount_minor in rows:
        posted[merchant_id, account_code, currency] += amount_minor
    await _add_to_balances(conn, posted, {})
    return {row[1] for row in rows}


async def _decide(conn: Conn, decisions: Sequence[Decision], phase: Phase) -> set[uuid.UUID]:
    """Append a posting that decides each waiting one, with its entries again, and move the sums out of pending."""
    if not decisions:
        return set()
    rows = await fetch(
        conn,
        """
        with decided as (
            insert into money_posting (merchant_id, posting_id, at, kind, phase, pending_id, cause_kind, cause_id, checkout_id, order_id, rate_id)
            select p.merchant_id, t.posting_id, t.at, p.kind, %(phase)s, p.posting_id, p.cause_kind, p.cause_id, p.checkout_id, p.order_id, p.rate_id
            from money_posting p
            join unnest(%(merchant_id)s::uuid[], %(pending_id)s::uuid[], %(posting_id)s::uuid[], %(at)s::timestamptz[])
                 as t(merchant_id, pending_id, posting_id, at)
              on p.merchant_id = t.merchant_id and p.posting_id = t.pending_id and p.phase = 'pending'
            on conflict do nothing returning merchant_id, posting_id, pending_id
        )
        insert into money_entry (merchant_id, posting_id, entry_no, account_code, currency, amount_minor)
        select d.merchant_id, d.posting_id, e.entry_no, e.account_code, e.currency, e.amount_minor
        from decided d join money_entry e on e.merchant_id = d.merchant_id and e.posting_id = d.pending_id
        returning merchant_id, posting_id, account_code, currency, amount_minor
        """,
        columns(decisions, "merchant_id", "pending_id", "posting_id", "at") | {"phase": str(phase)},
    )
    posted: dict[_Account, int] = defaultdict(int)
    pending: dict[_Account, int] = defaultdict(int)
    for merchant_id, _, account_code, currency, amount_minor in rows:
        pending[merchant_id, account_code, currency] -= amount_minor
        if phase is Phase.POST:
            posted[merchant_id, account_code, currency] += amount_minor
    await _add_to_balances(conn, posted, pending)
    return {row[1] for row in rows}
