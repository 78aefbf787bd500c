"""One page from a basket to its orders: where it goes, how it is paid, what customs needs; and the page that confirms it."""

import uuid
from datetime import datetime
from typing import Final

from litestar import Response, get, post
from litestar.datastructures import Cookie
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect
from msgspec.structs import replace

from entrepot.base.due import Due
from entrepot.base.errors import EntrepotError
from entrepot.base.ids import RandomIds
from entrepot.base.sql import Conn
from entrepot.base.time import at_ms
from entrepot.catalogue.model import Marketplace, require_marketplace
from entrepot.customs.resident_id import require_resident_id
from entrepot.flows.import_year import YearLeft, read_year_left
from entrepot.flows.order_to_cash import PAY, PLACED_AGAIN, PlaceAnswer, place_orders, take_payments
from entrepot.flows.outside import Outside
from entrepot.orders.basket import BasketLine, merge_baskets, take_from_basket
from entrepot.orders.model import UnknownOrderError
from entrepot.orders.pay import read_payments
from entrepot.orders.read import read_checkout_orders, read_lines
from entrepot.parties.buyers import add_addresses, find_identities, verify_identities
from entrepot.parties.people import IdentityClaim, IdentityFacts, NewAddress
from entrepot.parties.postal import AddressDraft
from entrepot.surfaces.web.access import BUYERS, FormDep, Visitor, VisitorDep, WebRequest, actor_of, open_to, speaking
from entrepot.surfaces.web.house import House, HouseDep, business_now
from entrepot.surfaces.web.order_view import read_buyer_view
from entrepot.surfaces.web.order_way import buyer_way_of
from entrepot.surfaces.web.quotes import postcode_prefix
from entrepot.surfaces.web.render import page
from entrepot.surfaces.web.store.door import delivery_address_id, door_fields, latest_in, saved_addresses
from entrepot.surfaces.web.store.groups import Offered, offer_basket
from entrepot.surfaces.web.store.kept_basket import change_basket, current_basket, emptied
from entrepot.surfaces.web.store.payments import method_name, methods_for
from entrepot.surfaces.web.store.refusals import explain
from entrepot.surfaces.web.store.wish import (
    NEW_ADDRESS,
    PriceChangedError,
    Wish,
    faults_of_address,
    faults_of_wish,
    read_wish,
    request_of,
    with_saved_address,
)
from entrepot.surfaces.web.storefront import deliverable

_PREVIEW: Final = "preview"
_PLACED: Final = "placed"


@get("/checkout", opt=open_to(BUYERS))
async def show_checkout(
    request: WebRequest,
    house: HouseDep,
    visitor: VisitorDep,
    store: FromQuery[str],
    merchant: FromQuery[uuid.UUID | None] = None,
    offer: FromQuery[uuid.UUID | None] = None,
    quantity: FromQuery[int] = 1,
    country: FromQuery[str] = "",
    postcode: FromQuery[str] = "",
) -> Response[str] | Redirect:
    """Show the checkout of the basket of a store, or of one offer that is bought at once."""
    async with house.database.reading() as conn:
        now = await business_now(conn)
        outside = await house.outside.current(conn, now)
        marketplace = require_marketplace(outside.reference.marketplaces, store)
        visitor = speaking(visitor, marketplace.languages)
        is_basket = merchant is None or offer is None
        lines = [BasketLine(merchant, offer, quantity)] if merchant and offer else await current_basket(conn, request, visitor, store)
        addresses = await saved_addresses(conn, house, visitor.person_id)
        latest = latest_in([one for one in addresses if country in {"", one.facts.country_code}], marketplace)
        code = str(latest.facts.address_id) if latest is not None else NEW_ADDRESS
        draft = AddressDraft(deliverable(marketplace, country), postcode=postcode[:12])
        key = RandomIds().new(at_ms(now)).hex
        wish = Wish(store, tuple(lines), is_basket, code, draft, "", "", "", has_accepted_risk=False, request_key=key, shown_minor=None)
        values = await _values(conn, house, visitor, with_saved_address(wish, marketplace, addresses), outside, now)
    offered = values["offered"]
    if isinstance(offered, Offered) and is_basket and not any(one.refusal is None for one in offered.items):
        return Redirect(f"/store/{store}/basket", status_code=303)
    return page("store/checkout.html", visitor, {**values, "faults": {}, "refusal": ""})


@post("/checkout", status_code=200, opt=open_to(BUYERS))
async def do_checkout(request: WebRequest, house: HouseDep, visitor: VisitorDep, form: FormDep) -> Response[str] | Redirect:
    """Place the order; everything that is wrong is told on the same page with all still filled in. A preview only quotes anew."""
    async with house.database.reading() as conn:
        now = await business_now(conn)
        outside = await house.outside.current(conn, now)
        marketplace = require_marketplace(outside.reference.marketplaces, form.get("store", ""))
        visitor = speaking(visitor, marketplace.languages)
        addresses = await saved_addresses(conn, house, visitor.person_id)
        wish = read_wish(form, marketplace, addresses)
        values = await _values(conn, house, visitor, wish, outside, now)
    if form.get("step") == _PREVIEW:
        return page("store/checkout.html", visitor, {**values, "faults": {}, "refusal": ""})
    offered = values["offered"]
    known = [one for one in (values["known_identity"],) if isinstance(one, IdentityFacts)]
    needs = (offered.needs_identity, offered.needs_risk_notice) if isinstance(offered, Offered) else (False, False)
    faults = {name: visitor.language.gettext(text) for name, text in faults_of_wish(wish, needs, known).items()}
    door_faults = faults_of_address(wish)
    if faults or door_faults:
        values["fields"] = door_fields(visitor.language, wish.draft, door_faults)
        if door_faults:
            values["wish"] = replace(wish, address_code=NEW_ADDRESS)
        return page("store/checkout.html", visitor, {**values, "faults": faults, "refusal": ""}, 422)
    answer = await _place(house, visitor, wish)
    if isinstance(answer, PlaceAnswer):
        await _ask_provider(house, visitor, answer)
        return Redirect(f"/checkouts/{answer.checkout_id}", status_code=303, cookies=_cookies(request, visitor, wish))
    async with house.database.reading() as conn:
        values = await _values(conn, house, visitor, wish, outside, await business_now(conn))
    return page("store/checkout.html", visitor, {**values, "faults": {}, "refusal": explain(visitor.language, answer)}, answer.status)


@get("/checkouts/{checkout_id:uuid}", opt=open_to(BUYERS))
async def show_confirmation(house: HouseDep, visitor: VisitorDep, checkout_id: FromPath[uuid.UUID]) -> Response[str]:
    """Confirm an order to its buyer and show how far it has come; another's does not exist."""
    async with house.database.reading() as conn:
        orders = [one for one in await read_checkout_orders(conn, [checkout_id]) if one.person_id == visitor.person_id]
        if not orders:
            raise UnknownOrderError("checkout_id", str(checkout_id), "Open it from your list of orders.")
        views = [await read_buyer_view(conn, one, house.registry, visitor.language) for one in orders]
        payments = await read_payments(conn, [orders[0].person_id], [checkout_id])
    values: dict[str, object] = {
        "views": views,
        "payment": payments[0],
        "method_name": method_name(visitor.language, payments[0].method_code),
        "checkout_id": checkout_id,
        "store": orders[0].marketplace_code,
        "ways": [buyer_way_of(one.state) for one in orders],
    }
    return page("store/confirmation.html", visitor, values)


@post("/checkouts/{checkout_id:uuid}/again", status_code=200, opt=open_to(BUYERS))
async def order_again(request: WebRequest, house: HouseDep, visitor: VisitorDep, checkout_id: FromPath[uuid.UUID], form: FormDep) -> Redirect:
    """Put what a checkout held back into the basket, as after a declined payment, and go to the checkout."""
    _ = form
    async with house.database.reading() as conn:
        orders = [one for one in await read_checkout_orders(conn, [checkout_id]) if one.person_id == visitor.person_id]
        if not orders:
            raise UnknownOrderError("checkout_id", str(checkout_id), "Open it from your list of orders.")
        lines = await read_lines(conn, [one.merchant_id for one in orders], [one.order_id for one in orders])
    wanted = [BasketLine(one.merchant_id, one.offer_id, one.quantity) for one in lines]
    store = orders[0].marketplace_code
    cookies = await change_basket(house, request, visitor, store, lambda kept: merge_baskets(kept, wanted))
    return Redirect(f"/checkout?store={store}", status_code=303, cookies=cookies)


async def _place(house: House, visitor: Visitor, wish: Wish) -> PlaceAnswer | EntrepotError:
    """Place the order with its address, out of the basket; a total that the page did not show is refused and nothing is kept."""
    person_id = visitor.person_id
    if person_id is None:
        return UnknownOrderError("person_id", None, "Sign in as a buyer.")

    async def place(conn: Conn) -> PlaceAnswer:
        now = await business_now(conn)
        outside = await house.outside.current(conn, now)
        identity_id = await _identity(conn, house, person_id, wish, now)
        (answer,) = await place_orders(conn, outside, [request_of(wish, person_id, identity_id, now)], actor_of(visitor))
        if answer.state != _PLACED:
            return answer
        if answer.total_minor != wish.shown_minor:
            raise PriceChangedError("shown_total", wish.shown_minor, "Look at the new total, then pay.")
        await _keep_address(conn, house, person_id, answer.checkout_id, wish, now)
        if wish.is_basket:
            await take_from_basket(conn, person_id, wish.store, [line.offer_id for line in wish.lines])
        return answer

    try:
        answer = await house.database.writing(place)
        for _ in range(PLACED_AGAIN):
            if answer.is_outrun:
                answer = await house.database.writing(place)
    except EntrepotError as error:
        return error
    return answer if answer.refusal is None else answer.refusal


async def _keep_address(conn: Conn, house: House, person_id: uuid.UUID, checkout_id: uuid.UUID, wish: Wish, now: datetime) -> None:
    """Keep where the checkout goes, sealed."""
    draft = wish.draft
    address = NewAddress(person_id, delivery_address_id(checkout_id), draft.country_code, draft.zone, postcode_prefix(draft.postcode), draft.details)
    await add_addresses(conn, house.keyring, [address], now)


async def _identity(conn: Conn, house: House, person_id: uuid.UUID, wish: Wish, now: datetime) -> uuid.UUID | None:
    """Return the resident behind the identity given on the form, else behind the latest that the buyer gave before."""
    if not wish.identity_number:
        known = await find_identities(conn, [person_id])
        return known[-1].quota_person_id if known else None
    number = require_resident_id(wish.identity_number, "identity_number")
    # No registry is connected that could compare name and number, so nothing is claimed about them.
    claim = IdentityClaim(person_id, number, wish.identity_name, is_name_matched=False)
    return (await verify_identities(conn, house.keyring, [claim], now))[0].quota_person_id


async def _ask_provider(house: House, visitor: Visitor, answer: PlaceAnswer) -> None:
    """Let the payment provider decide at once, so that the buyer need not wait for the worker; what stays open is its work."""
    if answer.state != _PLACED:
        return

    async def pay(conn: Conn) -> None:
        now = await business_now(conn)
        outside = await house.outside.current(conn, now)
        await take_payments(conn, outside, [Due(answer.orders[0][0], PAY, answer.checkout_id, now, visitor.person_id)], now)

    await house.database.writing(pay)


def _cookies(request: WebRequest, visitor: Visitor, wish: Wish) -> list[Cookie]:
    """Return the cookie without what was ordered from it."""
    return emptied(request, visitor, wish.store) if wish.is_basket else []


async def _values(conn: Conn, house: House, visitor: Visitor, wish: Wish, outside: Outside, now: datetime) -> dict[str, object]:
    """Return what the checkout shows: deliveries, total, the address by the country's rules, and what this buyer must still give."""
    marketplace: Marketplace = require_marketplace(outside.reference.marketplaces, wish.store)
    reader = speaking(visitor, marketplace.languages).language
    offered = await offer_basket(conn, outside, marketplace, wish.lines, wish.door, now, reader.subtag)
    identities = await find_identities(conn, [visitor.person_id]) if visitor.person_id is not None else []
    refused = [item for item in offered.items if item.refusal is not None]
    year: YearLeft | None = None
    if identities and offered.needs_identity:
        year = await read_year_left(conn, outside.reference, identities[-1].quota_person_id, marketplace.marketplace_code, now)
    return {
        "wish": wish,
        "offered": offered,
        "lines": [item.line for item in offered.items if item.refusal is None or not wish.is_basket],
        "left_out": [(item.offer.title, explain(visitor.language, item.refusal)) for item in refused if item.refusal is not None],
        "quote_refusal": explain(visitor.language, offered.refusal) if offered.refusal is not None else "",
        "addresses": [
            one for one in await saved_addresses(conn, house, visitor.person_id) if one.facts.country_code in marketplace.destination_codes
        ],
        "fields": door_fields(visitor.language, wish.draft, {}),
        "methods": methods_for(visitor.language, marketplace.currency),
        "known_identity": identities[-1] if identities else None,
        "year": year,
        "marketplace": marketplace,
        "stores": list(outside.reference.marketplaces.values()),
        "country": wish.draft.country_code,
    }
