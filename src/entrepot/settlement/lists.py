"""Statements, payouts and invoices of all merchants, for the operator."""

import uuid
from datetime import date, datetime

from msgspec import Struct

from entrepot.base.sql import Conn, fetch, fetch_one


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


async def list_statements(conn: Conn, limit: int) -> list[ListedStatement]:
    """Return the statements of all merchants, latest first."""
    rows = await fetch(
        conn,
        """
        select merchant_id, statement_id, currency, period_from, period_to, opening_minor, closing_minor, paid_out_minor, state
        from statement order by period_to desc, merchant_id, currency limit %(limit)s
        """,
        {"limit": limit},
    )
    return [ListedStatement(*row) for row in rows]


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


async def list_payouts(conn: Conn, limit: int) -> list[ListedPayout]:
    """Return the payouts of all merchants, those that changed last first."""
    rows = await fetch(
        conn,
        """
        select merchant_id, payout_id, statement_id, paid_minor, paid_currency, state, bank_reference, failure, attempt_count, changed_at
        from payout order by changed_at desc, payout_id limit %(limit)s
        """,
        {"limit": limit},
    )
    return [ListedPayout(*row) for row in rows]


async def list_invoices(conn: Conn, limit: int) -> list[ListedInvoice]:
    """Return the invoices of all issuers, latest first."""
    rows = await fetch(
        conn,
        """
        select merchant_id, invoice_id, case when number is null then '' else series_code || '-' || number end, kind, state, recipient_id,
               tax_country, net_minor, tax_minor, gross_minor, currency, issued_at
        from invoice order by issued_at desc, invoice_id limit %(limit)s
        """,
        {"limit": limit},
    )
    return [ListedInvoice(*row) for row in rows]
