"""The search above every page behind the counter: any number, code or id leads to its record, and several to a list with what each of them is."""

import uuid
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

from litestar import Response, get
from litestar.params import FromQuery
from litestar.response import Redirect
from msgspec import Struct

from entrepot.base.named import Named
from entrepot.flows.find_anything import BUYER, find_anything
from entrepot.parties.store import read_merchants
from entrepot.surfaces.web.access import HOUSE, MERCHANTS, Visitor, VisitorDep, open_to
from entrepot.surfaces.web.house import HouseDep
from entrepot.surfaces.web.languages import mark
from entrepot.surfaces.web.render import page

KINDS: Final[Mapping[str, str]] = {
    "order": mark("Order"),
    "parcel": mark("Parcel"),
    "consignment": mark("Consignment"),
    "declaration": mark("Declaration"),
    "posting": mark("Posting"),
    "stock_posting": mark("Stock moves"),
    "sku": mark("SKU"),
    "merchant": mark("Merchant"),
    "invoice": mark("Invoice"),
    "statement": mark("Statement"),
    "payout": mark("Payout"),
    "return": mark("Return"),
    "refund": mark("Refund"),
    "inbound_plan": mark("Inbound plan"),
    BUYER: mark("Buyer"),
}
"""What a record is called on its badge."""
_LONGEST: Final = 100


class Hit(Struct, frozen=True):
    """A record that was found, with the badge that says what it is and where it is shown."""

    badge: str
    named: Named
    merchant: str
    href: str


@get("/search", opt=open_to(MERCHANTS, HOUSE))
async def search(house: HouseDep, visitor: VisitorDep, q: FromQuery[str] = "") -> Response[str] | Redirect:
    """Lead to the one record with this number, code or id, or list those that have it; what the visitor may not see is not found."""
    text = q.strip()[:_LONGEST]
    async with house.database.reading() as conn:
        found = [one for one in await find_anything(conn, text) if may_find(visitor, one)]
        merchants = await read_merchants(conn, sorted({one.merchant_id for one in found}))
    codes = {key: one.code for key, one in merchants.items()}
    hits = [
        Hit(KINDS[one.kind], one, merchants[one.merchant_id].name if one.merchant_id in merchants else "", address_of(visitor, one, codes))
        for one in found
    ]
    if len(hits) == 1 and hits[0].href:
        return Redirect(hits[0].href, status_code=303)
    return page("operator/search.html", visitor, {"text": text, "hits": hits})


def may_find(visitor: Visitor, one: Named) -> bool:
    """Tell whether a visitor may know of a record: the house of all, a merchant of its own, and buyers only the house."""
    return visitor.sees_house or (one.kind != BUYER and one.merchant_id == visitor.merchant_id)


def address_of(visitor: Visitor, one: Named, codes: Mapping[uuid.UUID, str]) -> str:
    """Return where a record is shown to a visitor, or nothing where it has no page of its own."""
    whose = {"merchant": codes.get(one.merchant_id, "")} if visitor.sees_house else {}
    order = f"/orders/{one.merchant_id}/{one.order_id}" if one.order_id is not None else ""
    at_order = {"order": "", "parcel": "#parcels", "consignment": "#parcels", "return": "#timeline", "refund": "#postings"}
    if one.kind in at_order:
        return order + at_order[one.kind] if order else ""
    if one.kind == "posting":
        return f"/posting/{one.merchant_id}/{one.subject_id}" if visitor.sees_books else order
    if one.kind == "declaration":
        return f"/operator/customs/{one.merchant_id}/{one.subject_id}" if visitor.sees_house else f"{order}#customs" if order else ""
    if one.kind == "sku":
        return "/stock?" + urlencode({**whose, "item": one.label})
    if one.kind == "stock_posting":
        return "/stock?" + urlencode({**whose, "view": "moves"})
    return _house_address(one) if visitor.sees_house else ""


def _house_address(one: Named) -> str:
    """Return where a record is shown that only the house has a page for."""
    pages = {
        "merchant": f"/operator/merchants/{one.merchant_id}",
        "statement": f"/operator/statements/{one.merchant_id}/{one.subject_id}",
        "payout": f"/operator/payouts?q={one.subject_id}",
        "invoice": f"/operator/invoices?q={one.label}",
        BUYER: f"/operator/buyers/{one.subject_id}",
    }
    return pages.get(one.kind, "")
