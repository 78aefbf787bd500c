"""One page from an offer to an order: what is bought, where it goes, how it is paid; and the page that confirms it."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from litestar import Response, get, post
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect
from msgspec import Struct

from entrepot.adapters.payment_provider import METHODS, PaymentMethod, payment_method
from entrepot.base.due import Due
from entrepot.base.errors import EntrepotError, RefusedInputError
from entrepot.base.ids import RandomIds, derived_id
from entrepot.base.quantity import parse_whole
from entrepot.base.sql import Conn
from entrepot.base.time import at_ms
from entrepot.catalogue.model import Marketplace, OfferFacts, require_marketplace
from entrepot.catalogue.store import find_offers
from entrepot.customs.resident_id import require_resident_id
from entrepot.flows.order_to_cash import PAY, PLACED_AGAIN, PlaceAnswer, place_orders, take_payments
from entrepot.flows.outside import Outside
from entrepot.operations.model import Channel
from entrepot.orders.model import LineAsk, OfferNotLiveError, OrderRequest, UnknownOrderError
from entrepot.orders.pay import read_payments
from entrepot.orders.ports import PaymentAnswer
from entrepot.orders.read import read_checkout_orders
from entrepot.parties.buyers import find_identities, verify_identities
from entrepot.parties.people import IdentityClaim
from entrepot.parties.store import read_merchants
from entrepot.surfaces.web.access import BUYERS, FormDep, Visitor, VisitorDep, actor_of, open_to
from entrepot.surfaces.web.house import House, HouseDep, business_now
from entrepot.surfaces.web.languages import Language, mark
from entrepot.surfaces.web.order_page import buyer_way_of
from entrepot.surfaces.web.order_view import read_buyer_view
from entrepot.surfaces.web.quotes import QuoteAsk, postcode_prefix, quote_offers
from entrepot.surfaces.web.render import page
from entrepot.surfaces.web.storefront import deliverable
from entrepot.surfaces.web.words import words

_CHINESE_WALLET: Final = "cn_wallet"
_METHOD_NAMES: Final[Mapping[str, str]] = {
    "card_ok": mark("Card"),
    "card_declined": mark("Card without cover"),
    "card_slow": mark("Card with a slow bank"),
    "card_timeout": mark("Card whose bank is down"),
    "card_late": mark("Card whose bank answers very late"),
    "invoice": mark("Invoice"),
    "test_wallet": mark("Test wallet"),
    "cn_wallet": mark("Chinese wallet"),
}
_ANSWERS: Final[Mapping[PaymentAnswer, str]] = {
    PaymentAnswer.APPROVED: mark(mark("Approved at once")),
    PaymentAnswer.DECLINED: mark("Declined at once"),
    PaymentAnswer.PENDING: mark("Slow to answer"),
    PaymentAnswer.TIMEOUT: mark("Does not answer at first"),
}


class IdentityNameMissingError(RefusedInputError):
    """The identity number needs the name of its holder beside it."""


class Wish(Struct, frozen=True):
    """What the form says: an offer of a store, how many, where to and how paid."""

    store: str
    merchant_id: uuid.UUID
    offer_id: uuid.UUID
    quantity: int
    country: str
    postcode: str
    method_code: str
    identity_name: str
    identity_number: str
    has_accepted_risk: bool
    request_key: str


@get("/checkout", opt=open_to(BUYERS))
async def show_checkout(
    house: HouseDep,
    visitor: VisitorDep,
    store: FromQuery[str],
    merchant: FromQuery[uuid.UUID],
    offer: FromQuery[uuid.UUID],
    quantity: FromQuery[int] = 1,
    country: FromQuery[str] = "",
    postcode: FromQuery[str] = "",
) -> Response[str]:
    """Show the checkout of one offer with its price to the door."""
    async with house.database.reading() as conn:
        now = await business_now(conn)
        key = RandomIds().new(at_ms(now)).hex
        wish = Wish(store, merchant, offer, quantity, country, postcode[:12], "", "", "", has_accepted_risk=False, request_key=key)
        values = await _values(conn, house, visitor, wish, now)
    return page("checkout.html", visitor, {**values, "refusal": None})


@post("/checkout", status_code=200, opt=open_to(BUYERS))
async def do_checkout(house: HouseDep, visitor: VisitorDep, form: FormDep) -> Response[str] | Redirect:
    """Place the order; a refusal is told on the same page with everything still filled in."""
    wish = read_wish(form)

    async def place(conn: Conn) -> PlaceAnswer:
        now = await business_now(conn)
        outside = await house.outside.current(conn, now)
        return (await place_orders(conn, outside, [await _request(conn, house, visitor, wish, now)], actor_of(visitor)))[0]

    refusal: EntrepotError | None
    try:
        payment_method(wish.method_code)
        answer = await house.database.writing(place)
        for _ in range(PLACED_AGAIN):
            if answer.is_outrun:
                answer = await house.database.writing(place)
        refusal = answer.refusal
    except RefusedInputError as error:
        refusal = error
    else:
        if refusal is None:
            await _ask_provider(house, visitor, answer)
            return Redirect(f"/checkouts/{answer.checkout_id}", status_code=303)
    async with house.database.reading() as conn:
        values = await _values(conn, house, visitor, wish, await business_now(conn))
    return page("checkout.html", visitor, {**values, "refusal": refusal}, refusal.status)


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
        "ways": [buyer_way_of(one.state) for one in orders],
    }
    return page("confirmation.html", visitor, values)


def read_wish(form: Mapping[str, str]) -> Wish:
    """Read the checkout's form; what only a changed page can send wrong is refused by field."""
    return Wish(
        form.get("store", ""),
        _uuid(form, "merchant"),
        _uuid(form, "offer"),
        parse_whole(form.get("quantity", "")),
        form.get("country", ""),
        form.get("postcode", "").strip()[:12],
        form.get("method", ""),
        form.get("identity_name", "").strip()[:100],
        form.get("identity_number", "").strip()[:40],
        form.get("risk") == "accepted",
        form.get("request_key", "")[:64],
    )


def methods_for(language: Language, currency: str) -> list[tuple[str, str, str]]:
    """Return the provider's methods for a currency with name and behaviour, the ones that succeed at once first."""
    offered = [code for code in METHODS if (code == _CHINESE_WALLET) == (currency == "CNY")]
    offered.sort(key=lambda code: METHODS[code].first_answer is not PaymentAnswer.APPROVED)
    return [(code, method_name(language, code), _behaviour(language, METHODS[code])) for code in offered]


def method_name(language: Language, code: str) -> str:
    """Return the name of a payment method."""
    return language.gettext(_METHOD_NAMES[code]) if code in _METHOD_NAMES else words(language, code)


def _behaviour(language: Language, method: PaymentMethod) -> str:
    """Return in words what the built-in provider answers."""
    minutes = int(method.decides_after.total_seconds()) // 60
    told = language.gettext(_ANSWERS[method.first_answer])
    if not minutes:
        return told
    if method.reason:
        return language.gettext("%(first)s, declined after %(count)s minutes", first=told, count=minutes)
    return language.gettext("%(first)s, approved after %(count)s minutes", first=told, count=minutes)


def _uuid(form: Mapping[str, str], field: str) -> uuid.UUID:
    try:
        return uuid.UUID(form.get(field, ""))
    except ValueError:
        raise OfferNotLiveError(field, form.get(field, ""), "Open the product again and choose an offer.") from None


async def _request(conn: Conn, house: House, visitor: Visitor, wish: Wish, now: datetime) -> OrderRequest:
    """Return the order that the wish asks for; a new identity number is checked and kept sealed first."""
    person_id = visitor.person_id
    if person_id is None:
        raise UnknownOrderError("person_id", None, "Sign in as a buyer.")
    return OrderRequest(
        person_id,
        derived_id("checkout", person_id, wish.request_key),
        wish.request_key,
        wish.store,
        str(Channel.STORE),
        wish.country,
        postcode_prefix(wish.postcode),
        wish.method_code,
        (LineAsk(wish.merchant_id, wish.offer_id, wish.quantity),),
        now,
        identity_id=await _identity(conn, house, person_id, wish, now),
        has_accepted_risk=wish.has_accepted_risk,
    )


async def _identity(conn: Conn, house: House, person_id: uuid.UUID, wish: Wish, now: datetime) -> uuid.UUID | None:
    """Return the resident behind the identity given on the form, else behind the latest that the buyer gave before."""
    if not wish.identity_number:
        known = await find_identities(conn, [person_id])
        return known[-1].quota_person_id if known else None
    number = require_resident_id(wish.identity_number, "identity_number")
    if not wish.identity_name:
        raise IdentityNameMissingError("identity_name", "", "Write the name as it stands on the card.")
    # No registry is connected that could compare name and number, so nothing is claimed about them.
    claim = IdentityClaim(person_id, number, wish.identity_name, is_name_matched=False)
    return (await verify_identities(conn, house.keyring, [claim], now))[0].quota_person_id


async def _ask_provider(house: House, visitor: Visitor, answer: PlaceAnswer) -> None:
    """Let the payment provider decide at once, so that the buyer need not wait for the worker; what stays open is its work."""
    if answer.state != "placed":
        return

    async def pay(conn: Conn) -> None:
        now = await business_now(conn)
        outside = await house.outside.current(conn, now)
        await take_payments(conn, outside, [Due(answer.orders[0][0], PAY, answer.checkout_id, now, visitor.person_id)], now)

    await house.database.writing(pay)


async def _values(conn: Conn, house: House, visitor: Visitor, wish: Wish, now: datetime) -> dict[str, object]:
    """Return what the checkout shows: the offer, its price to the door, and what this buyer must still give."""
    outside: Outside = await house.outside.current(conn, now)
    marketplace: Marketplace = require_marketplace(outside.reference.marketplaces, wish.store)
    offers = await find_offers(conn, [wish.merchant_id], [wish.offer_id])
    if not offers:
        raise OfferNotLiveError("offer", str(wish.offer_id), "Open the product again and choose an offer.")
    offer: OfferFacts = offers[0]
    country = deliverable(marketplace, wish.country)
    ask = QuoteAsk(wish.merchant_id, wish.offer_id, wish.quantity, country, wish.postcode)
    quote = (await quote_offers(conn, outside, marketplace, [ask], now))[0]
    plan = house.registry.plan(offer.model_code)
    merchants = await read_merchants(conn, [wish.merchant_id])
    identities = await find_identities(conn, [visitor.person_id]) if visitor.person_id is not None else []
    return {
        "wish": wish,
        "offer": offer,
        "sold_by": merchants[wish.merchant_id].name,
        "quote": None if isinstance(quote, EntrepotError) else quote,
        "quote_refusal": quote if isinstance(quote, EntrepotError) else None,
        "methods": methods_for(visitor.language, marketplace.currency),
        "needs_identity": plan.needs_identity,
        "needs_risk_notice": plan.needs_risk_notice,
        "known_identity": identities[-1] if identities else None,
        "marketplace": marketplace,
        "stores": list(outside.reference.marketplaces.values()),
        "country": country,
    }
