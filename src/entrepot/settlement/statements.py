"""Settlement statements and payouts.

A statement belongs to a merchant, a currency and a fourteen-day period. It opens with what the one before left over, is closed with the
movements that the money book shows for the period, and then is paid out or, when nothing is left to pay, carried into the next one. The
balances come from the flow as values; nothing here reads another book.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from msgspec import Struct

from entrepot.base.sql import Conn, columns, fetch
from entrepot.settlement.exchange import ExchangeQuote
from entrepot.settlement.model import (
    PAYOUT_STATES,
    LineKind,
    PayoutState,
    Period,
    StatementNotClosedError,
    StatementState,
    UnknownStatementError,
    payout_id_of,
    statement_id_of,
)

_Key = tuple[uuid.UUID, uuid.UUID]


class StatementKey(Struct, frozen=True):
    """The statement of a merchant and currency for a period."""

    merchant_id: uuid.UUID
    currency: str
    period: Period

    @property
    def statement_id(self) -> uuid.UUID:
        """The statement's id, which follows from the key."""
        return statement_id_of(self.merchant_id, self.currency, self.period.starts_on)


class Movement(Struct, frozen=True):
    """A sum of postings of one kind in the merchant's favour (positive) or disfavour (negative), in minor units; `code` splits fees and taxes."""

    kind: LineKind
    code: str
    amount_minor: int
    entry_count: int = 1


class StatementClosing(Struct, frozen=True):
    """What the money book shows for a statement's period; a reserve held is negative, one released positive."""

    key: StatementKey
    movements: tuple[Movement, ...]


class Statement(Struct, frozen=True):
    """A statement with its balances in minor units; what it leaves to the next one is closing less paid out."""

    merchant_id: uuid.UUID
    statement_id: uuid.UUID
    currency: str
    period: Period
    opening_minor: int
    closing_minor: int | None
    paid_out_minor: int | None
    state: StatementState
    is_new: bool = False


class PayoutRequest(Struct, frozen=True):
    """A wish to pay a closed statement: its whole closing balance, converted as quoted."""

    merchant_id: uuid.UUID
    statement_id: uuid.UUID
    quote: ExchangeQuote


class PayoutOutcome(StrEnum):
    """What became of a wish to pay."""

    REQUESTED = "requested"
    CARRIED = "carried"
    EXISTS = "exists"


class PayoutAnswer(Struct, frozen=True):
    """What became of one wish to pay; without a payout the balance is carried forward."""

    merchant_id: uuid.UUID
    statement_id: uuid.UUID
    outcome: PayoutOutcome
    payout_id: uuid.UUID | None


class PayoutMark(Struct, frozen=True):
    """What the bank reports, or our decision to retry, about a payout."""

    merchant_id: uuid.UUID
    payout_id: uuid.UUID
    state: PayoutState
    bank_reference: str = ""
    failure: str = ""


class MarkOutcome(StrEnum):
    """Whether a mark changed the payout, had been there before, or does not lead on from its state."""

    CHANGED = "changed"
    EXISTS = "exists"
    REFUSED = "refused"


class Payout(Struct, frozen=True):
    """A payout as the money page shows it."""

    merchant_id: uuid.UUID
    payout_id: uuid.UUID
    statement_id: uuid.UUID
    amount_minor: int
    currency: str
    paid_minor: int
    paid_currency: str
    spread_minor: int
    rate: Decimal
    rate_id: str
    state: PayoutState
    bank_reference: str
    failure: str
    attempt_count: int
    requested_at: datetime
    changed_at: datetime


async def open_statements(conn: Conn, keys: Sequence[StatementKey], at: datetime) -> list[Statement]:
    """Open statements with what the one before left over and return all asked ones; they wait while the one before is neither paid nor carried."""
    params = {**_key_columns(keys), "at": at}
    opened = await fetch(
        conn,
        """insert into statement (merchant_id, statement_id, currency, period_from, period_to, opening_minor, state, opened_at)
           select t.merchant_id, t.statement_id, t.currency, t.period_from, t.period_to, coalesce(b.closing_minor - b.paid_out_minor, 0), 'open',
               %(at)s
           from unnest(%(merchant_ids)s::uuid[], %(statement_ids)s::uuid[], %(currencies)s::text[], %(starts)s::date[], %(ends)s::date[])
               as t(merchant_id, statement_id, currency, period_from, period_to)
           left join lateral (
               select s.state, s.closing_minor, s.paid_out_minor from statement s
               where s.merchant_id = t.merchant_id and s.currency = t.currency and s.period_from < t.period_from
               order by s.period_from desc limit 1) b on true
           where b.state is null or b.state not in ('open', 'closed')
           on conflict do nothing
           returning merchant_id, statement_id""",
        params,
    )
    return await _statements(conn, keys, {(row[0], row[1]) for row in opened})


async def close_statements(conn: Conn, closings: Sequence[StatementClosing], at: datetime) -> list[Statement]:
    """Write the lines of open statements, close them and return all asked ones; a statement closed before stays as it is."""
    keys = [closing.key for closing in closings]
    lines = [(closing.key, movement) for closing in closings for movement in closing.movements]
    closed = await fetch(
        conn,
        """with asked as (
               select s.merchant_id, s.statement_id from statement s
               join unnest(%(merchant_ids)s::uuid[], %(statement_ids)s::uuid[]) as t(merchant_id, statement_id)
                   on s.merchant_id = t.merchant_id and s.statement_id = t.statement_id
               where s.state = 'open' order by s.merchant_id, s.statement_id for update of s),
           moved as (
               select m.merchant_id, m.statement_id, m.kind, m.code, sum(m.amount_minor)::bigint as amount_minor, sum(m.entry_count)::int as entry_count
               from unnest(%(line_merchant_ids)s::uuid[], %(line_statement_ids)s::uuid[], %(kind)s::text[], %(code)s::text[],
                   %(amount_minor)s::bigint[], %(entry_count)s::int[]) as m(merchant_id, statement_id, kind, code, amount_minor, entry_count)
               group by m.merchant_id, m.statement_id, m.kind, m.code),
           written as (
               insert into statement_line (merchant_id, statement_id, kind, code, amount_minor, entry_count)
               select m.merchant_id, m.statement_id, m.kind, m.code, m.amount_minor, m.entry_count
               from moved m join asked a on a.merchant_id = m.merchant_id and a.statement_id = m.statement_id)
           update statement s set state = 'closed', closed_at = %(at)s, closing_minor = s.opening_minor + coalesce(
               (select sum(m.amount_minor) from moved m where m.merchant_id = s.merchant_id and m.statement_id = s.statement_id), 0)
           from asked a where s.merchant_id = a.merchant_id and s.statement_id = a.statement_id
           returning s.merchant_id, s.statement_id""",
        {
            **_key_columns(keys),
            **columns((movement for _, movement in lines), "kind", "code", "amount_minor", "entry_count"),
            "line_merchant_ids": [key.merchant_id for key, _ in lines],
            "line_statement_ids": [key.statement_id for key, _ in lines],
            "at": at,
        },
    )
    found = await _statements(conn, keys, {(row[0], row[1]) for row in closed})
    if len(found) < len(set(keys)):
        known = {statement.statement_id for statement in found}
        missing = next(key for key in keys if key.statement_id not in known)
        raise UnknownStatementError("statement", f"{missing.currency} {missing.period.starts_on}", "Open the statement first.")
    return found


def _key_columns(keys: Sequence[StatementKey]) -> dict[str, list[Any]]:
    return {
        "merchant_ids": [key.merchant_id for key in keys],
        "statement_ids": [key.statement_id for key in keys],
        "currencies": [key.currency for key in keys],
        "starts": [key.period.starts_on for key in keys],
        "ends": [key.period.ends_before for key in keys],
    }


async def _statements(conn: Conn, keys: Sequence[StatementKey], new: set[tuple[uuid.UUID, uuid.UUID]]) -> list[Statement]:
    """Return the statements of these keys that exist, in the order of merchant, currency and period."""
    rows = await fetch(
        conn,
        """select s.merchant_id, s.statement_id, s.currency, s.period_from, s.period_to, s.opening_minor, s.closing_minor, s.paid_out_minor, s.state
           from statement s
           join (select distinct * from unnest(%(merchant_ids)s::uuid[], %(statement_ids)s::uuid[])) as t(merchant_id, statement_id)
               on s.merchant_id = t.merchant_id and s.statement_id = t.statement_id
           order by s.merchant_id, s.currency, s.period_from""",
        _key_columns(keys),
    )
    return [_statement(row, new) for row in rows]


def _statement(row: tuple[Any, ...], new: set[tuple[uuid.UUID, uuid.UUID]]) -> Statement:
    return Statement(row[0], row[1], row[2], Period(row[3], row[4]), row[5], row[6], row[7], StatementState(row[8]), (row[0], row[1]) in new)


async def request_payouts(conn: Conn, requests: Sequence[PayoutRequest], at: datetime) -> list[PayoutAnswer]:
    """Request the payout of closed statements; a balance of zero or less is carried forward instead, and a rerun pays nothing twice.

    Raises StatementNotClosedError, before anything is paid, if a statement is unknown or open, or if the quote is not for its closing balance.
    """
    before = await _refuse_unfit(conn, requests)
    quotes = [request.quote for request in requests]
    rows = await fetch(
        conn,
        """with paid as (
               insert into payout (merchant_id, payout_id, statement_id, amount_minor, currency, paid_minor, paid_currency, spread_minor, rate, rate_id,
                   state, bank_reference, failure, attempt_count, requested_at, changed_at)
               select s.merchant_id, t.payout_id, s.statement_id, s.closing_minor, s.currency, t.paid_minor, t.paid_currency, t.spread_minor, t.rate,
                   t.rate_id, 'requested', '', '', 1, %(at)s, %(at)s
               from unnest(%(merchant_id)s::uuid[], %(statement_id)s::uuid[], %(payout_id)s::uuid[], %(paid_minor)s::bigint[],
                   %(target)s::text[], %(spread_minor)s::bigint[], %(rate)s::numeric[], %(rate_id)s::text[])
                   as t(merchant_id, statement_id, payout_id, paid_minor, paid_currency, spread_minor, rate, rate_id)
               join statement s on s.merchant_id = t.merchant_id and s.statement_id = t.statement_id
               where s.state = 'closed' and s.closing_minor > 0
               on conflict do nothing
               returning merchant_id, statement_id)
           update statement s set state = 'paying', paid_out_minor = s.closing_minor
           from paid p where s.merchant_id = p.merchant_id and s.statement_id = p.statement_id
           returning s.merchant_id, s.statement_id""",
        {
            **columns(requests, "merchant_id", "statement_id"),
            **columns(quotes, "paid_minor", "target", "spread_minor", "rate", "rate_id"),
            "payout_id": [payout_id_of(request.statement_id) for request in requests],
            "at": at,
        },
    )
    paid = {(row[0], row[1]) for row in rows}
    carried = await _carry(conn, [(request.merchant_id, request.statement_id) for request in requests], most_minor=0)
    return [_answer(request, before, paid, carried) for request in requests]


def _answer(request: PayoutRequest, before: dict[_Key, StatementState], paid: set[_Key], carried: set[_Key]) -> PayoutAnswer:
    key = (request.merchant_id, request.statement_id)
    if key in paid:
        return PayoutAnswer(*key, PayoutOutcome.REQUESTED, payout_id_of(request.statement_id))
    if key in carried:
        return PayoutAnswer(*key, PayoutOutcome.CARRIED, None)
    return PayoutAnswer(*key, PayoutOutcome.EXISTS, None if before[key] is StatementState.CARRIED else payout_id_of(request.statement_id))


async def _refuse_unfit(conn: Conn, requests: Sequence[PayoutRequest]) -> dict[_Key, StatementState]:
    """Return the states of the statements, or refuse all requests if one of them cannot be paid as it stands."""
    rows = await fetch(
        conn,
        """select s.merchant_id, s.statement_id, s.state, s.closing_minor, s.currency from statement s
           join unnest(%(merchant_id)s::uuid[], %(statement_id)s::uuid[]) as t(merchant_id, statement_id)
               on s.merchant_id = t.merchant_id and s.statement_id = t.statement_id
           order by s.merchant_id, s.statement_id for update of s""",
        columns(requests, "merchant_id", "statement_id"),
    )
    found = {(row[0], row[1]): row for row in rows}
    for request in requests:
        row = found.get((request.merchant_id, request.statement_id))
        if row is None or row[2] == StatementState.OPEN:
            raise StatementNotClosedError("statement_id", request.statement_id, "Close the statement before it is paid out.")
        if row[2] == StatementState.CLOSED and (row[3], row[4]) != (request.quote.minor, request.quote.source):
            raise StatementNotClosedError(
                "quote.minor", request.quote.minor, "Quote the closing balance, %(minor)s minor units of %(currency)s.", minor=row[3], currency=row[4]
            )
    return {key: StatementState(row[2]) for key, row in found.items()}


async def carry_statements(conn: Conn, statements: Sequence[tuple[uuid.UUID, uuid.UUID]]) -> set[tuple[uuid.UUID, uuid.UUID]]:
    """Carry closed statements (merchant, statement) forward unpaid, for merchants who may not be paid now, and return those that changed."""
    return await _carry(conn, statements, most_minor=None)


async def _carry(conn: Conn, statements: Sequence[_Key], most_minor: int | None) -> set[_Key]:
    rows = await fetch(
        conn,
        """update statement s set state = 'carried', paid_out_minor = 0
           from (select distinct * from unnest(%(merchant_ids)s::uuid[], %(statement_ids)s::uuid[])) as t(merchant_id, statement_id)
           where s.merchant_id = t.merchant_id and s.statement_id = t.statement_id and s.state = 'closed'
               and (%(most)s::bigint is null or s.closing_minor <= %(most)s)
           returning s.merchant_id, s.statement_id""",
        {"merchant_ids": [key[0] for key in statements], "statement_ids": [key[1] for key in statements], "most": most_minor},
    )
    return {(row[0], row[1]) for row in rows}


async def mark_payouts(conn: Conn, marks: Sequence[PayoutMark], at: datetime) -> list[MarkOutcome]:
    """Move payouts on as the bank reports and answer per mark; the statement of a sent payout is paid, that of a returned one returned."""
    allowed = [(source, target) for target in PayoutState for source in PAYOUT_STATES.sources_of(target)]
    rows = await fetch(
        conn,
        """with marked as (
               select p.merchant_id, p.payout_id, p.state as was, t.state as target, a.source is not null as is_allowed, t.bank_reference, t.failure
               from unnest(%(merchant_id)s::uuid[], %(payout_id)s::uuid[], %(state)s::text[], %(bank_reference)s::text[], %(failure)s::text[])
                   as t(merchant_id, payout_id, state, bank_reference, failure)
               join payout p on p.merchant_id = t.merchant_id and p.payout_id = t.payout_id
               left join unnest(%(sources)s::text[], %(targets)s::text[]) as a(source, target) on a.source = p.state and a.target = t.state
               order by p.merchant_id, p.payout_id for update of p),
           changed as (
               update payout p set state = m.target, bank_reference = coalesce(nullif(m.bank_reference, ''), p.bank_reference), failure = m.failure,
                   attempt_count = p.attempt_count + (m.target = 'retry')::int, changed_at = %(at)s
               from marked m where p.merchant_id = m.merchant_id and p.payout_id = m.payout_id and m.is_allowed
               returning p.merchant_id, p.statement_id, p.state),
           followed as (
               update statement s set state = case c.state when 'sent' then 'paid' else 'returned' end
               from changed c where s.merchant_id = c.merchant_id and s.statement_id = c.statement_id and c.state in ('sent', 'returned'))
           select merchant_id, payout_id, was, target, is_allowed from marked""",
        {
            **columns(marks, "merchant_id", "payout_id", "state", "bank_reference", "failure"),
            "sources": [source for source, _ in allowed],
            "targets": [target for _, target in allowed],
            "at": at,
        },
    )
    found = {(row[0], row[1]): row for row in rows}
    return [_outcome(found.get((mark.merchant_id, mark.payout_id))) for mark in marks]


def _outcome(row: tuple[Any, ...] | None) -> MarkOutcome:
    if row is None:
        return MarkOutcome.REFUSED
    if row[4]:
        return MarkOutcome.CHANGED
    return MarkOutcome.EXISTS if row[2] == row[3] else MarkOutcome.REFUSED


async def read_statements(conn: Conn, merchant_id: uuid.UUID, limit: int = 50) -> list[Statement]:
    """Return a merchant's statements, latest first."""
    rows = await fetch(
        conn,
        """select merchant_id, statement_id, currency, period_from, period_to, opening_minor, closing_minor, paid_out_minor, state
           from statement where merchant_id = %(merchant)s order by period_from desc, currency limit %(limit)s""",
        {"merchant": merchant_id, "limit": limit},
    )
    return [_statement(row, set()) for row in rows]


async def read_statement_lines(conn: Conn, merchant_id: uuid.UUID, statement_id: uuid.UUID) -> list[Movement]:
    """Return the lines of a statement in the order of their kinds."""
    rows = await fetch(
        conn,
        """select kind, code, amount_minor, entry_count from statement_line
           where merchant_id = %(merchant)s and statement_id = %(statement)s order by code""",
        {"merchant": merchant_id, "statement": statement_id},
    )
    order = list(LineKind)
    return sorted((Movement(LineKind(row[0]), row[1], row[2], row[3]) for row in rows), key=lambda line: order.index(line.kind))


async def read_payouts(conn: Conn, merchant_id: uuid.UUID, limit: int = 50) -> list[Payout]:
    """Return a merchant's payouts, latest first."""
    rows = await fetch(
        conn,
        """select merchant_id, payout_id, statement_id, amount_minor, currency, paid_minor, paid_currency, spread_minor, rate, rate_id, state,
               bank_reference, failure, attempt_count, requested_at, changed_at
           from payout where merchant_id = %(merchant)s order by requested_at desc, payout_id limit %(limit)s""",
        {"merchant": merchant_id, "limit": limit},
    )
    return [_payout(row) for row in rows]


def _payout(row: tuple[Any, ...]) -> Payout:
    given: dict[str, Any] = dict(zip(Payout.__struct_fields__, row, strict=True))
    given["state"] = PayoutState(given["state"])
    return Payout(**given)


async def check_statements(conn: Conn) -> tuple[int, list[str]]:
    """Return how many statements there are and those whose balances do not follow from their lines or from the statement before."""
    rows = await fetch(
        conn,
        """with checked as (
               select s.merchant_id, s.statement_id, s.state, s.opening_minor, s.closing_minor,
                   lag(s.closing_minor - s.paid_out_minor, 1, 0::bigint) over (partition by s.merchant_id, s.currency order by s.period_from) as left_over,
                   (select coalesce(sum(l.amount_minor), 0) from statement_line l
                       where l.merchant_id = s.merchant_id and l.statement_id = s.statement_id) as moved
               from statement s)
           select count(*), array_agg('statement ' || merchant_id || ' ' || statement_id order by merchant_id, statement_id)
               filter (where opening_minor is distinct from left_over or (state <> 'open' and closing_minor <> opening_minor + moved))
           from checked""",
    )
    return rows[0][0], rows[0][1] or []
