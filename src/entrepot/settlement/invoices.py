"""Invoices: drafts that follow from a cause, and the one closing step that gives them numbers without gaps."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from entrepot.base.sql import Conn, columns, execute, execute_counted, fetch, fetch_one
from entrepot.settlement.model import InvoiceKind, UnbalancedInvoiceError, invoice_id_of


class InvoiceDraft(Struct, frozen=True):
    """What an issuer (the merchant, or a legal entity of the platform in its own book) bills for one cause; amounts in minor units.

    `recipient_id` is the merchant billed for fees, or nothing for a buyer. `lines` are JSON rows of the document.
    """

    issuer_id: uuid.UUID
    series_code: str
    kind: InvoiceKind
    cause_id: uuid.UUID
    recipient_id: uuid.UUID | None
    tax_country: str
    net_minor: int
    tax_minor: int
    gross_minor: int
    currency: str
    lines: tuple[Mapping[str, object], ...]
    issued_at: datetime
    corrects_id: uuid.UUID | None = None

    @property
    def invoice_id(self) -> uuid.UUID:
        """The id, which follows from issuer, kind and cause."""
        return invoice_id_of(self.issuer_id, self.kind, self.cause_id)


class Invoice(Struct, frozen=True):
    """An invoice as stored; without a number it still waits for the closing step."""

    issuer_id: uuid.UUID
    invoice_id: uuid.UUID
    series_code: str
    number: int | None
    kind: InvoiceKind
    cause_id: uuid.UUID
    recipient_id: uuid.UUID | None
    tax_country: str
    net_minor: int
    tax_minor: int
    gross_minor: int
    currency: str
    lines: tuple[Mapping[str, object], ...]
    issued_at: datetime

    @property
    def document_number(self) -> str:
        """Series and number as printed, or nothing."""
        return "" if self.number is None else f"{self.series_code}-{self.number:06d}"


class SaleInvoice(Struct, frozen=True):
    """A buyer's invoice that a credit note corrects."""

    invoice_id: uuid.UUID
    tax_country: str


class UnbilledFee(Struct, frozen=True):
    """A merchant's fees of one code and currency that no bill holds yet, in minor units; negative where more was given back than charged."""

    merchant_id: uuid.UUID
    currency: str
    fee_code: str
    amount_minor: int
    line_count: int


async def insert_invoices(conn: Conn, drafts: Sequence[InvoiceDraft]) -> list[uuid.UUID]:
    """Store drafts without numbers and return the ids of those that were new; one that does not add up is refused before anything is written."""
    for draft in drafts:
        if draft.net_minor + draft.tax_minor != draft.gross_minor:
            raise UnbalancedInvoiceError("gross_minor", draft.gross_minor, "Net and tax are %(sum)s.", sum=draft.net_minor + draft.tax_minor)
    rows = await fetch(
        conn,
        """insert into invoice (merchant_id, invoice_id, series_code, state, kind, cause_id, recipient_id, corrects_id, tax_country, net_minor,
               tax_minor, gross_minor, currency, lines, issued_at)
           select t.merchant_id, t.invoice_id, t.series_code, 'draft', t.kind, t.cause_id, t.recipient_id, t.corrects_id, t.tax_country, t.net_minor,
               t.tax_minor, t.gross_minor, t.currency, t.lines::jsonb, t.issued_at
           from unnest(%(issuer_id)s::uuid[], %(invoice_id)s::uuid[], %(series_code)s::text[], %(kind)s::text[], %(cause_id)s::uuid[],
               %(recipient_id)s::uuid[], %(corrects_id)s::uuid[], %(tax_country)s::text[], %(net_minor)s::bigint[], %(tax_minor)s::bigint[],
               %(gross_minor)s::bigint[], %(currency)s::text[], %(lines)s::text[], %(issued_at)s::timestamptz[])
               as t(merchant_id, invoice_id, series_code, kind, cause_id, recipient_id, corrects_id, tax_country, net_minor, tax_minor, gross_minor,
               currency, lines, issued_at)
           on conflict do nothing
           returning invoice_id""",
        {
            **columns(
                drafts, "issuer_id", "invoice_id", "series_code", "kind", "cause_id", "recipient_id", "corrects_id", "tax_country", "net_minor",
                "tax_minor", "gross_minor", "currency", "issued_at",
            ),
            "lines": [msgspec.json.encode(draft.lines).decode() for draft in drafts],
        },
    )  # fmt: skip
    return [row[0] for row in rows]


async def number_invoices(conn: Conn, at: datetime) -> int:
    """Give every draft the next number of its issuer's series, in the order of issue, and return how many; the only place that numbers.

    The series are locked by a statement of their own, so that a second closing step sees the numbers which the first one gave.
    """
    await execute(
        conn,
        """insert into invoice_series (merchant_id, series_code, last_number)
           select distinct merchant_id, series_code, 0 from invoice where number is null
           on conflict do nothing""",
    )
    await execute(conn, "select 1 from invoice_series order by merchant_id, series_code for update")
    return await execute_counted(
        conn,
        """with counted as (
               select i.merchant_id, i.invoice_id, i.series_code, s.last_number
                   + row_number() over (partition by i.merchant_id, i.series_code order by i.issued_at, i.invoice_id) as number
               from invoice i join invoice_series s on s.merchant_id = i.merchant_id and s.series_code = i.series_code
               where i.number is null),
           moved as (
               update invoice_series s set last_number = c.last_number
               from (select merchant_id, series_code, max(number) as last_number from counted group by merchant_id, series_code) c
               where s.merchant_id = c.merchant_id and s.series_code = c.series_code)
           update invoice i set number = c.number, state = 'numbered', numbered_at = %(at)s
           from counted c where i.merchant_id = c.merchant_id and i.invoice_id = c.invoice_id""",
        {"at": at},
    )


_FIELDS: Final = """merchant_id, invoice_id, series_code, number, kind, cause_id, recipient_id, tax_country, net_minor, tax_minor, gross_minor, currency,
    lines, issued_at"""
NUMBER: Final = "case when number is null then '' else series_code || '-' || lpad(number::text, 6, '0') end"
"""The number of a document as `Invoice.document_number` writes it, of a row of `invoice`."""


async def read_invoice(conn: Conn, merchant_id: uuid.UUID, invoice_id: uuid.UUID) -> Invoice | None:
    """Return an invoice that the merchant issued or received, or None."""
    row = await fetch_one(
        conn,
        f"select {_FIELDS} from invoice where invoice_id = %(invoice)s and (merchant_id = %(merchant)s or recipient_id = %(merchant)s)",
        {"merchant": merchant_id, "invoice": invoice_id},
    )
    return None if row is None else _invoice(row)


async def read_cause_invoices(conn: Conn, issuer_id: uuid.UUID, *cause_ids: uuid.UUID) -> list[Invoice]:
    """Return the documents of one issuer for orders, refunds or periods, oldest first."""
    rows = await fetch(
        conn,
        f"select {_FIELDS} from invoice where merchant_id = %(issuer)s and cause_id = any(%(causes)s) order by issued_at, invoice_id",
        {"issuer": issuer_id, "causes": list(cause_ids)},
    )
    return [_invoice(row) for row in rows]


async def read_sale_invoices(
    conn: Conn, issuer_ids: Sequence[uuid.UUID], order_ids: Sequence[uuid.UUID]
) -> dict[tuple[uuid.UUID, uuid.UUID], SaleInvoice]:
    """Return the buyers' invoices of orders by (merchant, order); an order without one is left out."""
    rows = await fetch(
        conn,
        """select i.merchant_id, i.cause_id, i.invoice_id, i.tax_country from invoice i
           join (select distinct * from unnest(%(issuers)s::uuid[], %(orders)s::uuid[])) as t(merchant_id, order_id)
             on i.merchant_id = t.merchant_id and i.cause_id = t.order_id
           where i.kind = %(kind)s""",
        {"issuers": list(issuer_ids), "orders": list(order_ids), "kind": str(InvoiceKind.SALE)},
    )
    return {(row[0], row[1]): SaleInvoice(row[2], row[3]) for row in rows}


async def read_unbilled_fees(conn: Conn, until: datetime) -> list[UnbilledFee]:
    """Return all fees charged before an instant less those on bills, in key order; what is billed whole is left out."""
    rows = await fetch(
        conn,
        """with charged as (
               select merchant_id, currency, fee_code, sum(amount_minor)::bigint as minor, count(*) as lines
               from fee_line where charged_at < %(until)s group by 1, 2, 3),
           billed as (
               select i.recipient_id, i.currency, l.value->>'fee' as fee_code, sum((l.value->>'net_minor')::bigint)::bigint as minor,
                      sum((l.value->>'entry_count')::bigint)::bigint as lines
               from invoice i cross join lateral jsonb_array_elements(i.lines) l where i.recipient_id is not null group by 1, 2, 3)
           select c.merchant_id, c.currency, c.fee_code, c.minor - coalesce(b.minor, 0), c.lines - coalesce(b.lines, 0)
           from charged c left join billed b on b.recipient_id = c.merchant_id and b.currency = c.currency and b.fee_code = c.fee_code
           where c.minor <> coalesce(b.minor, 0) order by 1, 2, 3""",
        {"until": until},
    )
    return [UnbilledFee(*row) for row in rows]


def _invoice(row: tuple[Any, ...]) -> Invoice:
    return Invoice(
        row[0], row[1], row[2], row[3], InvoiceKind(row[4]), row[5], row[6], row[7], row[8], row[9], row[10], row[11], tuple(row[12]), row[13]
    )


async def check_invoice_numbers(conn: Conn) -> tuple[int, list[str]]:
    """Return how many series there are and those whose numbers do not run from 1 to the last one without a gap."""
    rows = await fetch(
        conn,
        """select count(*), array_agg('invoice_series ' || merchant_id || ' ' || series_code order by merchant_id, series_code)
               filter (where last_number <> given or last_number <> highest)
           from (
               select s.merchant_id, s.series_code, s.last_number, count(i.number) as given, coalesce(max(i.number), 0) as highest
               from invoice_series s left join invoice i on i.merchant_id = s.merchant_id and i.series_code = s.series_code
               group by s.merchant_id, s.series_code, s.last_number) as counted""",
    )
    return rows[0][0], rows[0][1] or []
