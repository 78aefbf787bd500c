"""The basket: put in, change, take out; grouped by delivery, each with its date and cost."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlencode

from litestar import Response, get, post
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect

from entrepot.base.errors import RefusedInputError
from entrepot.base.quantity import parse_whole
from entrepot.catalogue.model import require_marketplace
from entrepot.orders.basket import UNITS_PER_LINE, BasketLine, add_to_basket
from entrepot.orders.model import OfferNotLiveError
from entrepot.surfaces.web.access import EVERYBODY, FormDep, VisitorDep, WebRequest, open_to, speaking
from entrepot.surfaces.web.house import HouseDep, business_now
from entrepot.surfaces.web.render import page
from entrepot.surfaces.web.store.door import known_door
from entrepot.surfaces.web.store.groups import offer_basket
from entrepot.surfaces.web.store.kept_basket import change_basket, current_basket
from entrepot.surfaces.web.store.refusals import explain
from entrepot.surfaces.web.storefront import STORE_COOKIE, deliverable

_OFFERED_QUANTITIES: Final = 10


class TooManyUnitsError(RefusedInputError):
    """A line of a basket holds fewer units than that; larger orders go through a merchant's offer for companies."""


@get("/basket", opt=open_to(EVERYBODY))
async def find_basket(request: WebRequest, visitor: VisitorDep) -> Redirect:
    """Lead to the basket of the store that the visitor saw last."""
    _ = visitor
    store = request.cookies.get(STORE_COOKIE, "")
    return Redirect(f"/store/{store}/basket" if store.replace("_", "").isalnum() else "/store", status_code=303)


@get("/store/{store:str}/basket", opt=open_to(EVERYBODY))
async def show_basket(
    request: WebRequest, house: HouseDep, visitor: VisitorDep, store: FromPath[str], country: FromQuery[str] = "", postcode: FromQuery[str] = ""
) -> Response[str]:
    """Show what is in the basket of a store, by delivery."""
    async with house.database.reading() as conn:
        now = await business_now(conn)
        outside = await house.outside.current(conn, now)
        marketplace = require_marketplace(outside.reference.marketplaces, store)
        lines = await current_basket(conn, request, visitor, store)
        door = await known_door(conn, house, visitor, marketplace, (country, postcode))
        visitor = speaking(visitor, marketplace.languages)
        offered = await offer_basket(conn, outside, marketplace, lines, door, now, visitor.language.subtag)
    values: dict[str, object] = {
        "offered": offered,
        "faults": {item.offer.offer_id: explain(visitor.language, item.refusal) for item in offered.items if item.refusal is not None},
        "fault": explain(visitor.language, offered.refusal) if offered.refusal is not None else "",
        "choices": {item.offer.offer_id: _choices(item.line.quantity) for item in offered.items},
        "quantities": {item.offer.offer_id: item.line.quantity for item in offered.items},
        "country": door[0],
        "postcode": door[1],
        "marketplace": marketplace,
        "stores": list(outside.reference.marketplaces.values()),
        "basket_count": sum(item.line.quantity for item in offered.items),
    }
    return page("store/basket.html", visitor, values)


@post("/store/{store:str}/basket", status_code=200, opt=open_to(EVERYBODY))
async def put_into_basket(request: WebRequest, house: HouseDep, visitor: VisitorDep, store: FromPath[str], form: FormDep) -> Redirect:
    """Put units of an offer into the basket, or go straight to its checkout without touching the basket."""
    async with house.database.reading() as conn:
        outside = await house.outside.current(conn, await business_now(conn))
        marketplace = require_marketplace(outside.reference.marketplaces, store)
    line = read_line(form)
    country = deliverable(marketplace, form.get("country", ""))
    door = {"country": country, "postcode": form.get("postcode", "")[:12]}
    if form.get("then") == "buy":
        wanted = {"store": store, "merchant": str(line.merchant_id), "offer": str(line.offer_id), "quantity": str(line.quantity)}
        return Redirect(f"/checkout?{urlencode({**wanted, **door})}", status_code=303)
    cookies = await change_basket(house, request, visitor, store, lambda lines: add_to_basket(lines, line))
    return Redirect(f"/store/{store}/basket?{urlencode(door)}", status_code=303, cookies=cookies)


@post("/store/{store:str}/basket/lines", status_code=200, opt=open_to(EVERYBODY))
async def change_lines(request: WebRequest, house: HouseDep, visitor: VisitorDep, store: FromPath[str], form: FormDep) -> Redirect:
    """Change how many of each offer the basket holds, or take one out."""
    wanted = {name.removeprefix("quantity-"): _units(value) for name, value in form.multi_items() if name.startswith("quantity-")}
    removed = form.get("remove", "")
    cookies = await change_basket(house, request, visitor, store, lambda lines: _changed(lines, wanted, removed))
    door = {"country": form.get("country", "")[:2], "postcode": form.get("postcode", "")[:12]}
    return Redirect(f"/store/{store}/basket?{urlencode(door)}", status_code=303, cookies=cookies)


def read_line(form: Mapping[str, str]) -> BasketLine:
    """Read which offer is meant and how many of it; what only a changed page can send wrong is refused by field."""
    return BasketLine(read_id(form, "merchant"), read_id(form, "offer"), _units(form.get("quantity", "1")))


def read_id(form: Mapping[str, str], field: str) -> uuid.UUID:
    """Read an id of a form."""
    try:
        return uuid.UUID(form.get(field, ""))
    except ValueError:
        raise OfferNotLiveError(field, form.get(field, ""), "Open the product again and choose an offer.") from None


def _units(text: str) -> int:
    units = parse_whole(text)
    if units > UNITS_PER_LINE:
        raise TooManyUnitsError("quantity", units, "Order at most %(most)s at a time.", most=UNITS_PER_LINE)
    return units


def _changed(lines: Sequence[BasketLine], wanted: Mapping[str, int], removed: str) -> list[BasketLine]:
    """Return a basket with other quantities, without what was taken out."""
    return [BasketLine(one.merchant_id, one.offer_id, wanted.get(str(one.offer_id), one.quantity)) for one in lines if str(one.offer_id) != removed]


def _choices(quantity: int) -> list[int]:
    """Return the quantities to choose from: the usual ones, and what is chosen already."""
    return sorted({*range(1, _OFFERED_QUANTITIES + 1), quantity})
