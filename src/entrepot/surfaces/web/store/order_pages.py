"""An order as its buyer sees it: its parcels on their way, what can still be done, and the talk about it."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect

from entrepot.aftersales.model import MESSAGE_LENGTH, AuthorRole, StoredRefund
from entrepot.aftersales.refunds import list_refunds_of_orders
from entrepot.aftersales.store import list_returns_of_orders
from entrepot.aftersales.threads import list_threads_of_orders
from entrepot.base.errors import UnknownReferenceError
from entrepot.base.ids import RandomIds
from entrepot.base.sql import Conn
from entrepot.base.time import at_ms
from entrepot.flows.talk import Said, Say, TalkOutcome, say
from entrepot.orders.model import Order, UnknownOrderError
from entrepot.orders.read import read_orders
from entrepot.parties.buyers import open_addresses
from entrepot.settlement.invoices import Invoice, read_cause_invoices
from entrepot.surfaces.web.access import BUYERS, FormDep, Visitor, VisitorDep, actor_of, open_to
from entrepot.surfaces.web.house import House, HouseDep, business_now
from entrepot.surfaces.web.invoice_paper import send_invoice
from entrepot.surfaces.web.languages import mark
from entrepot.surfaces.web.order_view import read_buyer_view
from entrepot.surfaces.web.order_way import buyer_way_of
from entrepot.surfaces.web.render import page
from entrepot.surfaces.web.store.door import delivery_address_id
from entrepot.surfaces.web.store.parcel_view import view_parcels

TOPIC: Final = "order"
_EMPTY: Final = mark("Write what it is about.")
_TOO_LONG: Final = mark("Write at most 4,000 characters.")


class UnknownInvoiceError(UnknownReferenceError):
    """This order has no such document; open it from the order's page."""


async def buyer_order_page(house: House, visitor: Visitor, order: Order, told: tuple[str, str] = ("", "")) -> Response[str]:
    """Show an order to its buyer; `told` is a message that was not sent, with what is wrong with it."""
    text, fault = told
    async with house.database.reading() as conn:
        now = await business_now(conn)
        values = await _values(conn, house, visitor, order, now)
    key = RandomIds().new(at_ms(now)).hex
    status = 422 if fault else 200
    return page("store/order.html", visitor, {**values, "way": buyer_way_of(order.state), "message_key": key, "text": text, "fault": fault}, status)


async def _values(conn: Conn, house: House, visitor: Visitor, order: Order, now: datetime) -> dict[str, object]:
    outside = await house.outside.current(conn, now)
    view = await read_buyer_view(conn, order, house.registry, visitor.language)
    address_id = delivery_address_id(order.checkout_id)
    addresses = await open_addresses(conn, house.keyring, [order.person_id], [address_id])
    opened = addresses.get((order.person_id, address_id))
    standings = [one.progress for one in view.lines if one.progress is not None]
    refunds = await list_refunds_of_orders(conn, order.merchant_id, [order.order_id])
    return {
        "view": view,
        "order": order,
        "parcels": view_parcels(visitor.language, outside.reference, view.consignments, view.parcels, view.declarations, now),
        "address": opened if opened is not None and opened.details is not None else None,
        "refunds": refunds,
        "invoices": await _documents(conn, order, refunds),
        "returns": await list_returns_of_orders(conn, order.merchant_id, [order.order_id]),
        "threads": await list_threads_of_orders(conn, order.merchant_id, [order.order_id]),
        "may_cancel": order.state not in {"cancelled", "delivered", "settled"} and any(one.cancellable for one in standings),
        "may_return": any(one.returnable > 0 for one in standings),
        "message_length": MESSAGE_LENGTH,
        "is_moving": order.state in {"awaiting_payment", "paid", "in_work", "shipped"},
    }


async def _documents(conn: Conn, order: Order, refunds: Sequence[StoredRefund]) -> list[Invoice]:
    """Return an order's invoice and credit notes."""
    return await read_cause_invoices(conn, order.merchant_id, order.order_id, *(one.refund.refund_id for one in refunds))


async def own_order(conn: Conn, visitor: Visitor, merchant_id: uuid.UUID, order_id: uuid.UUID) -> Order:
    """Return the buyer's own order; another's is told apart in nothing from one that does not exist."""
    for order in await read_orders(conn, [merchant_id], [order_id]):
        if visitor.person_id is not None and order.person_id == visitor.person_id:
            return order
    raise UnknownOrderError("order_id", str(order_id), "Open it from your list of orders.")


@get("/orders/{merchant_id:uuid}/{order_id:uuid}/invoices/{invoice_id:uuid}", opt=open_to(BUYERS))
async def print_my_invoice(
    house: HouseDep, visitor: VisitorDep, merchant_id: FromPath[uuid.UUID], order_id: FromPath[uuid.UUID], invoice_id: FromPath[uuid.UUID]
) -> Response[bytes]:
    """Send the invoice or a credit note of a buyer's own order as PDF."""
    async with house.database.reading() as conn:
        order = await own_order(conn, visitor, merchant_id, order_id)
        refunds = await list_refunds_of_orders(conn, order.merchant_id, [order.order_id])
        for invoice in await _documents(conn, order, refunds):
            if invoice.invoice_id == invoice_id:
                address_id = delivery_address_id(order.checkout_id)
                opened = (await open_addresses(conn, house.keyring, [order.person_id], [address_id])).get((order.person_id, address_id))
                to = opened.details if opened is not None else None
                lines = (to.recipient, *to.lines, f"{to.postcode} {to.city}") if to is not None else ()
                return await send_invoice(conn, visitor, invoice, lines, order.number)
    raise UnknownInvoiceError("invoice_id", str(invoice_id), "Open it from the page of your order.")


@post("/orders/{merchant_id:uuid}/{order_id:uuid}/messages", status_code=200, opt=open_to(BUYERS))
async def write_message(
    house: HouseDep, visitor: VisitorDep, merchant_id: FromPath[uuid.UUID], order_id: FromPath[uuid.UUID], form: FormDep
) -> Response[str] | Redirect:
    """Post a buyer's message about an order; the same key again posts nothing."""
    async with house.database.reading() as conn:
        order = await own_order(conn, visitor, merchant_id, order_id)
    text, key = form.get("text", "").strip(), form.get("request_key", "")[:64]
    fault = _EMPTY if not text else _TOO_LONG if len(text) > MESSAGE_LENGTH else ""
    if fault:
        return await buyer_order_page(house, visitor, order, (text[:MESSAGE_LENGTH], visitor.language.gettext(fault)))

    async def post_it(conn: Conn) -> Said:
        now = await business_now(conn)
        outside = await house.outside.current(conn, now)
        asked = Say(merchant_id, order_id, TOPIC, AuthorRole.BUYER, text, key)
        return (await say(conn, outside, [asked], actor_of(visitor), now))[0]

    said = await house.database.writing(post_it)
    if said.outcome not in {TalkOutcome.DONE, TalkOutcome.EXISTS}:
        raise UnknownOrderError("order_id", str(order_id), "Open it from your list of orders.")
    return Redirect(f"/orders/{merchant_id}/{order_id}#messages", status_code=303)
