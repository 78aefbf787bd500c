"""Documents that follow from what happened: a buyer's invoice when an order has arrived, a credit note for money that goes back after it, and
a merchant's fees when a period closes.

The seller on a buyer's invoice is the merchant, in every model; fees are billed by the legal entity that is the platform in the merchant's store.
Amounts of credit notes are negative, so that an issuer's documents of a month add up. Numbers come later, in the closing of the day.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct

from entrepot.aftersales.model import Amounts, Refund
from entrepot.base.actor import RUNNER
from entrepot.base.audit import Act, write_acts
from entrepot.base.sql import Conn
from entrepot.base.time import start_of_day
from entrepot.catalogue.model import Marketplace
from entrepot.flows.reference import Reference
from entrepot.operations.model import Role
from entrepot.orders.model import Order
from entrepot.parties.model import RoleHolder, find_holder, holder_of
from entrepot.parties.store import read_opened_models, read_role_holders
from entrepot.settlement.invoices import InvoiceDraft, SaleInvoice, UnbilledFee, insert_invoices, read_sale_invoices, read_unbilled_fees
from entrepot.settlement.model import InvoiceKind, Period, statement_id_of

SALES: Final = "SALE"
CREDITS: Final = "CREDIT"
FEES: Final = "FEES"
FEE_CREDITS: Final = "FEES-CREDIT"


class SoldLine(Struct, frozen=True):
    """What the buyer keeps of an order line, with what was charged for it in minor units of the order's currency."""

    order: Order
    line_no: int
    sku: str
    quantity: int
    amounts: Amounts
    tax_country: str


async def invoice_sales(conn: Conn, lines: Sequence[SoldLine], now: datetime) -> list[uuid.UUID]:
    """Draft the invoice of each order that these lines are all of; an order of which nothing is left to pay gets none, one that has its invoice keeps it."""
    by_order: dict[tuple[uuid.UUID, uuid.UUID], list[SoldLine]] = {}
    for line in lines:
        if line.amounts.total_minor:
            by_order.setdefault((line.order.merchant_id, line.order.order_id), []).append(line)
    drafts = [_sale(sold, now) for _, sold in sorted(by_order.items())]
    return await insert_invoices(conn, drafts) if drafts else []


def _sale(lines: Sequence[SoldLine], now: datetime) -> InvoiceDraft:
    """Return the invoice of one order."""
    order = lines[0].order
    gross, tax = sum(line.amounts.total_minor for line in lines), sum(line.amounts.tax_minor for line in lines)
    rows = tuple(_row(line.sku, line.quantity, line.amounts, 1) for line in lines)
    return InvoiceDraft(
        order.merchant_id, SALES, InvoiceKind.SALE, order.order_id, None, lines[0].tax_country, gross - tax, tax, gross, order.currency, rows, now
    )


def _row(sku: str, quantity: int, amounts: Amounts, sign: int) -> Mapping[str, object]:
    """Return a line of a document as it is kept."""
    gross, tax = sign * amounts.total_minor, sign * amounts.tax_minor
    return {"sku": sku, "quantity": quantity, "net_minor": gross - tax, "tax_minor": tax, "gross_minor": gross}


async def credit_refunds(conn: Conn, refunds: Sequence[tuple[Refund, Mapping[int, str]]], now: datetime) -> list[uuid.UUID]:
    """Draft a credit note for each refund, given with the SKUs by line number, of an order whose invoice stands.

    Before the invoice nothing is credited: it will bill what is left.
    """
    paid = [(refund, skus) for refund, skus in refunds if refund.amounts.total_minor]
    if not paid:
        return []
    sales = await read_sale_invoices(conn, [one.merchant_id for one, _ in paid], [one.order_id for one, _ in paid])
    drafts = [_credit(refund, skus, sale, now) for refund, skus in paid if (sale := sales.get((refund.merchant_id, refund.order_id))) is not None]
    return await insert_invoices(conn, drafts) if drafts else []


def _credit(refund: Refund, skus: Mapping[int, str], sale: SaleInvoice, now: datetime) -> InvoiceDraft:
    """Return the credit note of one refund."""
    gross, tax = -refund.amounts.total_minor, -refund.amounts.tax_minor
    rows = tuple(_row(skus[line.line_no], line.quantity, line.amounts, -1) for line in refund.lines)
    return InvoiceDraft(
        refund.merchant_id,
        CREDITS,
        InvoiceKind.CREDIT_NOTE,
        refund.refund_id,
        None,
        sale.tax_country,
        gross - tax,
        tax,
        gross,
        refund.currency,
        rows,
        now,
        sale.invoice_id,
    )


async def invoice_fees(conn: Conn, reference: Reference, period: Period, now: datetime) -> list[uuid.UUID]:
    """Draft the bill of each merchant and currency for fees charged until a period's end and not billed yet; more given back than charged is a credit.

    Whatever reaches the fees late, for a period billed before, stands on the next bill; so do fees that nobody can bill yet, because no legal entity
    is the store's platform on that day.
    """
    unbilled: dict[tuple[uuid.UUID, str], list[UnbilledFee]] = {}
    for fee in await read_unbilled_fees(conn, start_of_day(period.ends_before)):
        unbilled.setdefault((fee.merchant_id, fee.currency), []).append(fee)
    if not unbilled:
        return []
    holders = await read_role_holders(conn, sorted(reference.marketplaces))
    opened = await read_opened_models(conn, sorted({merchant_id for merchant_id, _ in unbilled}))
    stores = {key: _store_of(reference, key, opened) for key in unbilled}
    able = [key for key in unbilled if find_holder(holders, stores[key].marketplace_code, str(Role.PLATFORM), now.date()) is not None]
    drafts = [_bill(unbilled[key], period, stores[key], holders, now) for key in able]
    await write_acts(
        conn,
        [
            Act(key[0], statement_id_of(*key, period.starts_on), "leave_fees_unbilled", now, RUNNER, f"no platform in {stores[key].marketplace_code}")
            for key in unbilled
            if key not in able
        ],
    )
    return await insert_invoices(conn, drafts) if drafts else []


def _store_of(reference: Reference, key: tuple[uuid.UUID, str], opened: frozenset[tuple[uuid.UUID, str, str]]) -> Marketplace:
    """Return the store whose platform bills a merchant in a currency: the merchant's first one that sells in it, else the first such store of all."""
    stores = sorted(code for code, one in reference.marketplaces.items() if one.currency == key[1]) or sorted(reference.marketplaces)
    own = {marketplace_code for merchant_id, marketplace_code, _ in opened if merchant_id == key[0]}
    return reference.marketplaces[next((code for code in stores if code in own), stores[0])]


def _bill(fees: Sequence[UnbilledFee], period: Period, store: Marketplace, holders: Sequence[RoleHolder], now: datetime) -> InvoiceDraft:
    """Return the bill for fees of one merchant and currency."""
    merchant_id, currency = fees[0].merchant_id, fees[0].currency
    net = sum(one.amount_minor for one in fees)
    is_credit = net < 0
    rows = tuple({"fee": one.fee_code, "entry_count": one.line_count, "net_minor": one.amount_minor} for one in fees)
    return InvoiceDraft(
        holder_of(holders, store.marketplace_code, str(Role.PLATFORM), now.date()),
        FEE_CREDITS if is_credit else FEES,
        InvoiceKind.FEE_CREDIT if is_credit else InvoiceKind.FEES,
        statement_id_of(merchant_id, currency, period.starts_on),
        merchant_id,
        store.country_code,
        net,
        0,
        net,
        currency,
        rows,
        now,
    )
