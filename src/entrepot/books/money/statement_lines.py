"""What a merchant's balance consists of in a period: a release is told as the sales, taxes and fees that it releases."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct

from entrepot.base.batching import batch
from entrepot.base.sql import Conn, fetch, fetch_one
from entrepot.books.money.model import MERCHANT

RELEASE: Final = "release"
"""Kind of the posting that turns what is held for an order into balance."""

RESERVED: Final = "rsv"
"""Account of what is owed to a merchant and not yet released."""

PAYOUT: Final = "payout"
"""Kind of the posting that pays a closed statement; it belongs to that statement and to no later one."""


class BalancePart(Struct, frozen=True):
    """A sum of entries against the merchant's balance: positive in the merchant's favour, in minor units."""

    merchant_id: uuid.UUID
    currency: str
    posting_kind: str
    account_code: str
    amount_minor: int
    entry_count: int


class BalanceEntry(Struct, frozen=True):
    """One entry behind a sum of a statement: the posting that holds it, when, of which order, and the part that it is."""

    posting_id: uuid.UUID
    at: datetime
    order_id: uuid.UUID | None
    part: BalancePart


_PARTS: Final = """
    with touched as (
        select p.merchant_id, p.posting_id, p.kind, p.at, p.order_id, m.currency
        from money_posting p
        join (select distinct merchant_id, posting_id, currency from money_entry where account_code = %(merchant)s) m
          on m.merchant_id = p.merchant_id and m.posting_id = p.posting_id
        where p.at >= %(since)s and p.at < %(until)s and p.phase in ('posted', 'post') and p.kind <> %(payout)s
          and (%(only)s::uuid is null or p.merchant_id = %(only)s) and (%(currency)s::text is null or m.currency = %(currency)s)
    ), released as (
        select t.merchant_id, t.order_id, t.currency, t.at, (
            select max(q.at) from money_posting q
            where q.merchant_id = t.merchant_id and q.order_id = t.order_id and q.kind = %(release)s and q.at < t.at) as last_at
        from touched t where t.kind = %(release)s
    ), parts as (
        select t.merchant_id, t.currency, t.kind, e.account_code, e.amount_minor, t.posting_id, t.at, t.order_id
        from touched t join money_entry e on e.merchant_id = t.merchant_id and e.posting_id = t.posting_id and e.currency = t.currency
        where e.account_code <> %(merchant)s and not (t.kind = %(release)s and e.account_code = %(reserved)s)
        union all
        select r.merchant_id, r.currency, p.kind, e.account_code, e.amount_minor, p.posting_id, p.at, p.order_id
        from released r
        join money_posting p on p.merchant_id = r.merchant_id and p.order_id = r.order_id and p.kind <> %(release)s
         and p.phase in ('posted', 'post') and p.at <= r.at and (r.last_at is null or p.at > r.last_at)
        join money_entry e on e.merchant_id = p.merchant_id and e.posting_id = p.posting_id and e.currency = r.currency
        where e.account_code <> %(reserved)s
          and exists (select from money_entry h where h.merchant_id = p.merchant_id and h.posting_id = p.posting_id
                      and h.account_code = %(reserved)s and h.currency = r.currency)
          and not exists (select from money_entry m where m.merchant_id = p.merchant_id and m.posting_id = p.posting_id
                          and m.account_code = %(merchant)s)
    )
"""


def _bound(since: datetime, until: datetime, only: uuid.UUID | None, currency: str | None) -> dict[str, object]:
    """Return what the parts are asked with: of one merchant and currency, or of all."""
    names = {"merchant": MERCHANT, "reserved": RESERVED, "release": RELEASE, "payout": PAYOUT}
    return {"since": since, "until": until, "only": only, "currency": currency, **names}


async def read_balance_entries(conn: Conn, merchant_id: uuid.UUID, currency: str, since: datetime, until: datetime) -> list[BalanceEntry]:
    """Return every entry that changed one balance in a closed period, as `read_balance_parts` sums them, earliest first."""
    rows = await fetch(
        conn,
        f"""
        {_PARTS}
        select merchant_id, currency, kind, account_code, amount_minor, posting_id, at, order_id from parts order by at, posting_id, account_code
        """,
        _bound(since, until, merchant_id, currency),
    )
    return [BalanceEntry(row[5], row[6], row[7], BalancePart(row[0], str(row[1]), str(row[2]), str(row[3]), int(row[4]), 1)) for row in rows]


async def read_balance_parts(conn: Conn, since: datetime, until: datetime) -> list[BalancePart]:
    """Return by kind and account what changed merchants' balances in a closed period, payouts left out; debits and credits stay apart.

    A release is followed to the postings of its order since the release before, so that the statement tells sales from fees.
    """
    rows = await fetch(
        conn,
        f"""
        {_PARTS}
        select merchant_id, currency, kind, account_code, sum(amount_minor)::bigint, count(*)::int
        from parts group by merchant_id, currency, kind, account_code, amount_minor > 0
        order by merchant_id, currency, kind, account_code, 5 desc
        """,
        _bound(since, until, None, None),
    )
    return [BalancePart(row[0], str(row[1]), str(row[2]), str(row[3]), int(row[4]), int(row[5])) for row in rows]


@batch
async def read_earned(
    conn: Conn, merchant_ids: Sequence[uuid.UUID], currencies: Sequence[str], untils: Sequence[datetime]
) -> list[tuple[uuid.UUID, str, int]]:
    """Return (merchant, currency, sum) of all that was posted to each asked balance before an instant, payouts left out, in the merchant's favour."""
    rows = await fetch(
        conn,
        """
        select t.merchant_id, t.currency, -coalesce(sum(e.amount_minor), 0)::bigint
        from unnest(%(merchants)s::uuid[], %(currencies)s::text[], %(untils)s::timestamptz[]) as t(merchant_id, currency, until)
        left join (money_entry e join money_posting p on p.merchant_id = e.merchant_id and p.posting_id = e.posting_id)
          on e.merchant_id = t.merchant_id and e.currency = t.currency and e.account_code = %(merchant)s
         and p.at < t.until and p.phase in ('posted', 'post') and p.kind <> %(payout)s
        group by 1, 2 order by 1, 2
        """,
        {"merchants": list(merchant_ids), "currencies": list(currencies), "untils": list(untils), "merchant": MERCHANT, "payout": PAYOUT},
    )
    return [(row[0], str(row[1]), int(row[2])) for row in rows]


async def read_paid_out(conn: Conn) -> list[tuple[uuid.UUID, str, int]]:
    """Return (merchant, currency, sum) of all payouts that were posted, in minor units."""
    rows = await fetch(
        conn,
        """
        select p.merchant_id, e.currency, sum(e.amount_minor)::bigint
        from money_posting p join money_entry e on e.merchant_id = p.merchant_id and e.posting_id = p.posting_id
        where p.kind = %(payout)s and p.phase in ('posted', 'post') and e.account_code = %(merchant)s
        group by 1, 2 order by 1, 2
        """,
        {"merchant": MERCHANT, "payout": PAYOUT},
    )
    return [(row[0], str(row[1]), int(row[2])) for row in rows]


async def read_first_at(conn: Conn, account_code: str) -> datetime | None:
    """Return when something was first posted to an account, or None."""
    row = await fetch_one(
        conn,
        """
        select min(p.at) from money_entry e join money_posting p on p.merchant_id = e.merchant_id and p.posting_id = e.posting_id
        where e.account_code = %(account)s and p.phase in ('posted', 'post')
        """,
        {"account": account_code},
    )
    return None if row is None else row[0]
