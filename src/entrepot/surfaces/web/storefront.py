"""The stores: what is for sale, and one product with its price to the door and its arrival dates."""

import uuid
from collections.abc import Sequence
from datetime import date, datetime
from functools import partial
from typing import Annotated, Final

from litestar import Response, get
from litestar.datastructures import Cookie
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Redirect
from msgspec import Struct

from entrepot.aftersales.policy import policy_on
from entrepot.base.errors import EntrepotError
from entrepot.base.sql import Conn
from entrepot.base.time import on_date
from entrepot.catalogue.model import CompetingOffer, Marketplace, OfferFacts, require_marketplace
from entrepot.catalogue.pages import ProductPage, SearchHit, read_product_page, search_store
from entrepot.catalogue.store import find_offers, list_words
from entrepot.flows.import_year import YearLeft, read_year_left
from entrepot.flows.judge_return import CBEC, STANDARD, return_policies
from entrepot.flows.outside import Outside
from entrepot.operations.model import Channel, Step, TaxHandling
from entrepot.operations.registry import Registry
from entrepot.orders.model import OfferNotLiveError
from entrepot.parties.buyers import find_identities
from entrepot.parties.store import read_merchants
from entrepot.surfaces.web.access import EVERYBODY, HouseNotReadyError, Visitor, VisitorDep, WebRequest, choice_cookie, open_to, speaking
from entrepot.surfaces.web.house import HouseDep, business_now
from entrepot.surfaces.web.languages import mark
from entrepot.surfaces.web.quotes import Quote, QuoteAsk, quote_offers
from entrepot.surfaces.web.render import fill, page
from entrepot.surfaces.web.store.facets import SORTS, Narrowing, facets_of, fits, in_order
from entrepot.surfaces.web.store.kept_basket import count_basket
from entrepot.surfaces.web.store.refusals import explain

_MOST_HITS: Final = 120
_MOST_UNITS: Final = 999
STORE_COOKIE: Final = "entrepot_store"

Quantity = Annotated[int, QueryParameter(ge=1, le=_MOST_UNITS)]


class Card(Struct, frozen=True):
    """A product in a list, with what it costs and when it would arrive, or why it cannot be had now."""

    hit: SearchHit
    quote: Quote | None
    sold_by: str
    badge: str

    @property
    def category_code(self) -> str:
        """The product's category."""
        return self.hit.category_code

    @property
    def origin(self) -> str:
        """The country that it leaves from, if it can be had now."""
        return self.quote.place.country_code if self.quote is not None else ""

    @property
    def arrives_on(self) -> date | None:
        """The last day on which it should arrive, if it can be had now."""
        return self.quote.to_on if self.quote is not None else None

    @property
    def door_minor(self) -> int:
        """The price to the door, or the price alone where nothing is quoted."""
        return self.quote.all_in_minor if self.quote is not None else self.hit.featured.price_minor


class ShownOffer(Struct, frozen=True):
    """One merchant's offer on a product page."""

    offer: CompetingOffer
    sold_by: str
    badge: str
    serves: str
    needs_identity: bool
    facts: OfferFacts
    quote: Quote | None
    refusal: EntrepotError | None


@get("/store", opt=open_to(EVERYBODY))
async def choose_store(request: WebRequest, house: HouseDep, visitor: VisitorDep) -> Redirect:
    """Lead to the store that the visitor saw last, else to the first."""
    _ = visitor
    async with house.database.reading() as conn:
        outside = await house.outside.current(conn, await business_now(conn))
    stores = outside.reference.marketplaces
    if not stores:
        raise HouseNotReadyError("marketplaces", 0, "Run `entrepot up` without --no-world, or load marketplaces.")
    last = request.cookies.get(STORE_COOKIE, "")
    code = last if last in stores else next((one for one in ("GB", "US") if one in stores), min(stores))
    return Redirect(f"/store/{code}", status_code=303)


@get("/store/{store:str}", opt=open_to(EVERYBODY))
async def show_store(
    request: WebRequest,
    house: HouseDep,
    visitor: VisitorDep,
    store: FromPath[str],
    q: FromQuery[str] = "",
    country: FromQuery[str] = "",
    category: FromQuery[str] = "",
    by: FromQuery[str] = "",
    origin: FromQuery[str] = "",
    within: FromQuery[str] = "",
    sort: FromQuery[str] = "",
) -> Response[str]:
    """Show what a store sells, or what of it matches the words and wishes; misspelt words find what they resemble."""
    async with house.database.reading() as conn:
        now = await business_now(conn)
        outside = await house.outside.current(conn, now)
        marketplace = require_marketplace(outside.reference.marketplaces, store)
        country = deliverable(marketplace, country)
        visitor = speaking(visitor, marketplace.languages)
        known = partial(house.tallies.read, "words", partial(list_words, conn))
        found = await search_store(conn, store, q[:200], _MOST_HITS, now, visitor.language.subtag, known)
        asks = [QuoteAsk(hit.featured.merchant_id, hit.featured.offer_id, 1, country) for hit in found.hits]
        quotes = await quote_offers(conn, outside, marketplace, asks, now) if asks else []
        merchants = await read_merchants(conn, sorted({hit.featured.merchant_id for hit in found.hits}))
        basket_count = await count_basket(conn, request, visitor, store)
    cards = [
        Card(hit, _found(quote), merchants[hit.featured.merchant_id].name, badge_of(house.registry, hit.featured.model_code))
        for hit, quote in zip(found.hits, quotes, strict=True)
    ]
    today = on_date(now, marketplace.time_zone)
    wanted = Narrowing(store, q, country, category, by, origin, within, sort if sort in SORTS else "")
    kept = [card for card in cards if fits(card, wanted, today)]
    values: dict[str, object] = {
        "cards": [kept[place] for place in in_order(kept, wanted.sort)],
        "facets": facets_of(cards, wanted, today),
        "wanted": wanted,
        "sorts": SORTS,
        "corrected": found.corrected,
        "q": q,
        "basket_count": basket_count,
        **_store_values(outside, marketplace, country),
    }
    return page("store.html", visitor, values, cookies=_remembered(request, visitor, store))


def _remembered(request: WebRequest, visitor: Visitor, store: str) -> list[Cookie]:
    """Return the cookie that leads back to the store."""
    return [] if request.cookies.get(STORE_COOKIE) == store else [choice_cookie(visitor, STORE_COOKIE, store)]


@get("/store/{store:str}/products/{product_id:uuid}", opt=open_to(EVERYBODY))
async def show_product(
    request: WebRequest,
    house: HouseDep,
    visitor: VisitorDep,
    store: FromPath[str],
    product_id: FromPath[uuid.UUID],
    offer: FromQuery[uuid.UUID | None] = None,
    quantity: Quantity = 1,
    country: FromQuery[str] = "",
    postcode: FromQuery[str] = "",
) -> Response[str]:
    """Show a product; with another country, postcode or quantity only its price to the door is sent again."""
    async with house.database.reading() as conn:
        now = await business_now(conn)
        outside = await house.outside.current(conn, now)
        marketplace = require_marketplace(outside.reference.marketplaces, store)
        country = deliverable(marketplace, country)
        visitor = speaking(visitor, marketplace.languages)
        found = await read_product_page(conn, product_id, store, visitor.language.subtag, now)
        offers = await _shown_offers(conn, found, outside, (quantity, country, postcode))
        chosen = choose_offer(offers, found, offer)
        basket_count = await count_basket(conn, request, visitor, store)
        year = await _year(conn, outside, visitor, chosen, now)
    values: dict[str, object] = {
        "found": found,
        "offers": offers,
        "chosen": chosen,
        "quote": chosen.quote if chosen is not None else None,
        "refusal": explain(visitor.language, chosen.refusal) if chosen is not None and chosen.refusal is not None else "",
        "quantity": quantity,
        "basket_count": basket_count,
        "year": year,
        "return_days": _return_days(chosen, outside, on_date(now, marketplace.time_zone)),
        "postcode": postcode[:12],
        **_store_values(outside, marketplace, country),
    }
    if "hx-request" in request.headers:
        return Response(fill("parts/quote.html", visitor.language, visitor=visitor, **values), media_type="text/html")
    return page("product.html", visitor, values, cookies=_remembered(request, visitor, store))


async def _year(conn: Conn, outside: Outside, visitor: Visitor, chosen: ShownOffer | None, now: datetime) -> YearLeft | None:
    """Return what is left of a known buyer's import year, where the offer counts towards it."""
    if chosen is None or not chosen.needs_identity or visitor.person_id is None:
        return None
    known = await find_identities(conn, [visitor.person_id])
    if not known:
        return None
    return await read_year_left(conn, outside.reference, known[-1].quota_person_id, chosen.facts.marketplace_code, now)


def _return_days(chosen: ShownOffer | None, outside: Outside, on: date) -> int | None:
    """Return within how many days an offer may be sent back, by the policy in force."""
    if chosen is None:
        return None
    is_cbec = outside.reference.registry.plan(chosen.offer.model_code).model.tax_handling is TaxHandling.CBEC
    policy = policy_on(return_policies(), CBEC if is_cbec else STANDARD, on)
    return policy.ask_within_days if policy is not None else None


def deliverable(marketplace: Marketplace, country: str) -> str:
    """Return the country asked for if the store delivers there, else the store's own or the first it delivers to."""
    codes = marketplace.destination_codes
    return next(one for one in (country, marketplace.country_code, *codes) if one in codes)


def badge_of(registry: Registry, model_code: str) -> str:
    """Return in a word who ships what is sold by a model: shoppers know people, not models."""
    plan = registry.plan(model_code)
    if plan.uses_quota:
        return mark("Global")
    return mark("Platform") if plan.platform_does(Step.PACK) else mark("Merchant")


def choose_offer(offers: Sequence[ShownOffer], found: ProductPage, offer_id: uuid.UUID | None) -> ShownOffer | None:
    """Return the offer asked for; else the featured one, or the cheapest that can be delivered where the featured one cannot.

    An offer that is not for sale here is refused.
    """
    if offer_id is not None:
        chosen = next((one for one in offers if one.offer.offer_id == offer_id), None)
        if chosen is None:
            raise OfferNotLiveError("offer", str(offer_id), "Choose an offer that the page shows.")
        return chosen
    featured = next((one for one in offers if found.featured is not None and one.offer.offer_id == found.featured.offer_id), None)
    if featured is not None and featured.quote is not None:
        return featured
    return min((one for one in offers if one.quote is not None), key=_price_to_door, default=featured)


def _price_to_door(one: ShownOffer) -> int:
    return one.quote.all_in_minor if one.quote is not None else one.offer.price_minor


async def _shown_offers(conn: Conn, found: ProductPage, outside: Outside, where: tuple[int, str, str]) -> list[ShownOffer]:
    """Say of each offer who sells and ships it, and what so many units cost to that country and postcode."""
    quantity, country, postcode = where
    registry, keys = outside.reference.registry, [(one.merchant_id, one.offer_id) for one in found.offers]
    merchants = await read_merchants(conn, sorted({merchant_id for merchant_id, _ in keys}))
    facts = {one.offer_id: one for one in await find_offers(conn, [key[0] for key in keys], [key[1] for key in keys])}
    asks = [QuoteAsk(merchant_id, offer_id, quantity, country, postcode) for merchant_id, offer_id in keys]
    quotes = await quote_offers(conn, outside, found.marketplace, asks, await business_now(conn)) if asks else []
    return [
        ShownOffer(
            one,
            merchants[one.merchant_id].name,
            badge_of(registry, one.model_code),
            str(registry.plan(one.model_code).doer(Step.ANSWER_CUSTOMER, channel=Channel.STORE)),
            registry.plan(one.model_code).needs_identity,
            facts[one.offer_id],
            _found(quote),
            quote if isinstance(quote, EntrepotError) else None,
        )
        for one, quote in zip(found.offers, quotes, strict=True)
    ]


def _found(quote: Quote | EntrepotError | None) -> Quote | None:
    return quote if isinstance(quote, Quote) else None


def _store_values(outside: Outside, marketplace: Marketplace, country: str) -> dict[str, object]:
    """Return what every page of a store shows around its content."""
    return {"stores": list(outside.reference.marketplaces.values()), "marketplace": marketplace, "country": country}
