"""All documents of a merchant, whole, as its pages list and open them."""

from entrepot.base.listed import ListAsk
from entrepot.settlement.invoices import read_invoice
from entrepot.settlement.lists import find_invoices


async def documents_of(conn, merchant_id):
    """Return the invoices that a merchant issued or received, latest first."""
    listed = await find_invoices(conn, ListAsk(sort_key="issued", is_descending=True), merchant_id)
    return [await read_invoice(conn, merchant_id, one.invoice_id) for one in listed.rows]
