"""An invoice as PDF in its reader's language, for the merchant's money pages and the buyer's order."""

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from typing import Final

from litestar import Response

from entrepot.adapters.tax_invoice import TaxInvoice, tax_invoice_pdf
from entrepot.base.sql import Conn
from entrepot.base.time import on_date
from entrepot.parties.model import TAX_REGISTRATION_KINDS, Merchant
from entrepot.parties.store import read_merchants, read_registrations
from entrepot.settlement.invoices import Invoice
from entrepot.settlement.model import InvoiceKind
from entrepot.surfaces.web.access import Visitor
from entrepot.surfaces.web.languages import Language, mark
from entrepot.surfaces.web.words import country, day, money, plain_amount, words

_TITLES: Final[Mapping[InvoiceKind, str]] = {
    InvoiceKind.SALE: mark("Invoice"),
    InvoiceKind.CREDIT_NOTE: mark("Credit note"),
    InvoiceKind.FEES: mark("Invoice for fees"),
    InvoiceKind.FEE_CREDIT: mark("Credit for fees"),
}


async def send_invoice(conn: Conn, visitor: Visitor, invoice: Invoice, buyer_lines: Sequence[str], reference: str) -> Response[bytes]:
    """Send an invoice as PDF; `buyer_lines` name who received it where that is no merchant, `reference` is the order's number or nothing."""
    ids = [one for one in (invoice.issuer_id, invoice.recipient_id) if one is not None]
    merchants = await read_merchants(conn, ids)
    numbers: dict[uuid.UUID, list[str]] = {}
    for one in await read_registrations(conn, ids):
        on = on_date(invoice.issued_at, "UTC")
        if one.kind in TAX_REGISTRATION_KINDS and one.effective_from <= on and (one.effective_to is None or on < one.effective_to):
            numbers.setdefault(one.merchant_id, []).append(f"{one.country_code} {one.number}")
    recipient = merchants.get(invoice.recipient_id) if invoice.recipient_id is not None else None
    to_lines = _party(visitor.language, recipient, numbers) if recipient is not None else tuple(buyer_lines)
    paper = _paper(visitor.language, invoice, _party(visitor.language, merchants[invoice.issuer_id], numbers), to_lines, reference)
    content = await asyncio.to_thread(tax_invoice_pdf, paper)
    name = f"{invoice.document_number or invoice.invoice_id.hex[-8:]}.pdf"
    return Response(content, media_type="application/pdf", headers={"content-disposition": f'inline; filename="{name}"'})


def _party(language: Language, merchant: Merchant, numbers: Mapping[uuid.UUID, Sequence[str]]) -> tuple[str, ...]:
    """Return a merchant or legal entity with its tax numbers."""
    return (merchant.name, country(language, merchant.country_code), *numbers.get(merchant.merchant_id, ()))


def _paper(language: Language, invoice: Invoice, from_lines: tuple[str, ...], to_lines: tuple[str, ...], reference: str) -> TaxInvoice:
    """Return what the paper says."""
    _ = language.gettext
    facts = [
        (_("Number"), invoice.document_number or _("Draft: its number follows with the closing of the day")),
        (_("Issued"), day(language, on_date(invoice.issued_at, "UTC"))),
        (_("Country of the tax"), country(language, invoice.tax_country)),
    ]
    if reference:
        facts.append((_("Order"), reference))
    return TaxInvoice(
        _(_TITLES[invoice.kind]),
        tuple(facts),
        _("From"),
        from_lines,
        _("To"),
        to_lines or (_("Buyer of the order"),),
        (_("Item"), _("Quantity"), _("Net"), _("Tax"), _("Gross")),
        tuple(_line(language, line, invoice.currency) for line in invoice.lines),
        (
            (_("Net"), money(language, invoice.net_minor, invoice.currency)),
            (_("Tax"), money(language, invoice.tax_minor, invoice.currency)),
            (_("Gross"), money(language, invoice.gross_minor, invoice.currency)),
        ),
        _("Amounts in %(currency)s.", currency=invoice.currency),
    )


def _line(language: Language, line: Mapping[str, object], currency: str) -> tuple[str, str, str, str, str]:
    """Return a stored line in words: goods by SKU, or a fee by its name."""
    net, tax = int(str(line["net_minor"])), int(str(line.get("tax_minor", 0)))
    name = str(line["sku"]) if "sku" in line else words(language, str(line["fee"]))
    count = str(line.get("quantity", line.get("entry_count", 1)))
    amounts = [plain_amount(language, minor, currency) for minor in (net, tax, net + tax)]
    return name, count, amounts[0], amounts[1], amounts[2]
