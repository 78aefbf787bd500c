"""Statements, payouts and invoices of all merchants, for the operator."""

import uuid
from datetime import date, datetime
from typing import Final

from msgspec import Struct

from entrepot.base.listed import NAMES, ListAsk, Listed, ordered, params_of, total_listed
from entrepot.base.named import as_id
from entrepot.base.sql import Conn, fetch, fetch_one
from entrepot.settlement.invoices import NUMBER


class ListedStatement(Struct, frozen=True):
    """A statement in the operator's list; amounts in minor units."""

    merchant_id: uuid.UUID
    statement_id: uuid.UUID
    currency: str
    period_from: date
    period_to: date
    opening_minor: int
    closing_minor: int | None
    paid_out_minor: int | None
    state: str


class ListedPayout(Struct, frozen=True):
    """A payout in the operator's list; amounts in minor units of the currency that is paid."""

    merchant_id: uuid.UUID
    payout_id: uuid.UUID
    statement_id: uuid.UUID
    paid_minor: int
    paid_currency: str
    state: str
    bank_reference: str
    failure: str
    attempt_count: int
    changed_at: datetime


class ListedInvoice(Struct, frozen=True):
    """An invoice in the operator's list; amounts in minor units."""

    issuer_id: uuid.UUID
    invoice_id: uuid.UUID
    number: str
    kind: str
    state: str
    recipient_id: uuid.UUID | None
    tax_country: str
    net_minor: int
    tax_minor: int
    gross_minor: int
    currency: str
    issued_at: datetime


_STATEMENT: Final = """s.merchant_id, s.statement_id, s.currency, s.period_from, s.period_to, s.opening_minor, s.closing_minor, s.paid_out_minor,
    s.state"""
_STATEMENT_SORTS: Final = {
    "merchant": "n.name_no",
    "state": "s.state",
    "from": "s.period_from",
    "to": "s.period_to",
    "opening": "s.opening_minor",
    "closing": "s.closing_minor",
    "paid": "s.paid_out_minor",
}


async def find_statements(conn: Conn, ask: ListAsk) -> Listed[ListedStatement]:
    """Return one page of the statements of all merchants, with count and sums."""
    params = {"state": "", **params_of(ask)}
    fits = """where (%(state)s = '' or s.state = %(state)s)
        and (%(text)s = '' or s.merchant_id = any(%(named)s::uuid[]) or position(lower(%(text)s) in lower(s.currency)) > 0)"""
    source = f"from statement s {NAMES} s.merchant_id {fits}"
    rows = await fetch(
        conn, f"select {_STATEMENT} {source} {ordered(_STATEMENT_SORTS, ask, 's.merchant_id', 's.currency', 's.statement_id')}", params
    )
    columns = ("opening_minor", "closing_minor", "paid_out_minor")
    count, has_more, sums = await total_listed(conn, f"from statement s {fits}", "s.currency", columns, params)
    return Listed([ListedStatement(*row) for row in rows], count, has_more, sums)


async def read_statement(conn: Conn, merchant_id: uuid.UUID, statement_id: uuid.UUID) -> ListedStatement | None:
    """Return one statement of a merchant, or None."""
    row = await fetch_one(
        conn,
        """
        select merchant_id, statement_id, currency, period_from, period_to, opening_minor, closing_minor, paid_out_minor, state
        from statement where merchant_id = %(merchant)s and statement_id = %(statement)s
        """,
        {"merchant": merchant_id, "statement": statement_id},
    )
    return None if row is None else ListedStatement(*row)


_PAYOUT: Final = """p.merchant_id, p.payout_id, p.statement_id, p.paid_minor, p.paid_currency, p.state, p.bank_reference, p.failure, p.attempt_count,
    p.changed_at"""
_PAYOUT_SORTS: Final = {
    "merchant": "n.name_no",
    "state": "p.state",
    "changed": "p.changed_at",
    "attempts": "p.attempt_count",
    "paid": "p.paid_minor",
}


async def find_payouts(conn: Conn, ask: ListAsk) -> Listed[ListedPayout]:
    """Return one page of the payouts of all merchants, with count and sums."""
    params = {"state": "", **params_of(ask), "key": as_id(ask.text)}
    fits = """where (%(state)s = '' or p.state = %(state)s) and (%(text)s = '' or p.merchant_id = any(%(named)s::uuid[])
        or position(lower(%(text)s) in lower(p.bank_reference)) > 0 or p.payout_id = %(key)s)"""
    source = f"from payout p {NAMES} p.merchant_id {fits}"
    rows = await fetch(conn, f"select {_PAYOUT} {source} {ordered(_PAYOUT_SORTS, ask, 'p.payout_id')}", params)
    count, has_more, sums = await total_listed(conn, f"from payout p {fits}", "p.paid_currency", ["paid_minor"], params)
    return Listed([ListedPayout(*row) for row in rows], count, has_more, sums)


async def list_payouts(conn: Conn, state: str, limit: int) -> list[ListedPayout]:
    """Return the payouts of all merchants in a state, those that changed last first."""
    rows = await fetch(
        conn,
        f"select {_PAYOUT} from payout p where p.state = %(state)s order by p.changed_at desc, p.payout_id limit %(limit)s",
        {"state": state, "limit": limit},
    )
    return [ListedPayout(*row) for row in rows]


async def count_payout_states(conn: Conn) -> dict[str, int]:
    """Return how many payouts are in each state."""
    return {str(row[0]): int(row[1]) for row in await fetch(conn, "select state, count(*) from payout group by state")}


_INVOICE: Final = f"""i.merchant_id, i.invoice_id, {NUMBER}, i.kind, i.state, i.recipient_id,
    i.tax_country, i.net_minor, i.tax_minor, i.gross_minor, i.currency, i.issued_at"""
_INVOICE_SORTS: Final = {
    "number": "i.series_code, i.number",
    "kind": "i.kind",
    "state": "i.state",
    "issuer": "n.name_no",
    "recipient": "n.name_no",
    "issued": "i.issued_at",
    "tax": "i.tax_minor",
    "gross": "i.gross_minor",
}


async def find_invoices(conn: Conn, ask: ListAsk, merchant_id: uuid.UUID | None = None) -> Listed[ListedInvoice]:
    """Return one page of invoices, of all issuers or of those that a merchant issued or received, with count and, where all are counted, sums."""
    series, _, number = ask.text.upper().rpartition("-")
    params = {
        "kind": "",
        **params_of(ask),
        "merchant": merchant_id,
        "series": series,
        "number": int(number) if number.isdecimal() and len(number) < _LONGEST_NUMBER else None,
        "key": as_id(ask.text),
    }
    whose = "" if merchant_id is None else "and (i.merchant_id = %(merchant)s or i.recipient_id = %(merchant)s)"
    fits = f"""where (%(kind)s = '' or i.kind = %(kind)s) {whose} and (%(text)s = '' or (i.series_code = %(series)s and i.number = %(number)s)
        or i.number = %(number)s or i.invoice_id = %(key)s or i.merchant_id = any(%(named)s::uuid[]) or i.recipient_id = any(%(named)s::uuid[]))"""
    names = {"issuer": f"{NAMES} i.merchant_id", "recipient": f"{NAMES} i.recipient_id"}.get(ask.sort_key, "")
    rows = await fetch(conn, f"select {_INVOICE} from invoice i {names} {fits} {ordered(_INVOICE_SORTS, ask, 'i.invoice_id')}", params)
    columns = ("net_minor", "tax_minor", "gross_minor")
    count, has_more, sums = await total_listed(conn, f"from invoice i {fits}", "i.currency", columns, params)
    return Listed([ListedInvoice(*row) for row in rows], count, has_more, sums)


_LONGEST_NUMBER: Final = 12
