"""A merchant's offers as a grid: the model per SKU and store, its price and state, and whether customs has what it needs."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Final

from litestar import Response, get, post
from litestar.response import Redirect, Stream
from msgspec.structs import replace

from entrepot.base.sql import Conn
from entrepot.books.stock.stock_list import read_free_units
from entrepot.catalogue.commands import set_offer_state
from entrepot.catalogue.item_list import name_items
from entrepot.catalogue.model import OfferFacts, OfferState
from entrepot.catalogue.store import list_offers
from entrepot.surfaces.web.access import MERCHANTS, FormDep, Visitor, VisitorDep, WebRequest, actor_of, open_to
from entrepot.surfaces.web.house import House, HouseDep, business_now
from entrepot.surfaces.web.languages import mark
from entrepot.surfaces.web.listing import Action, Ask, Cell, Column, Filter, Found, Kind, Listing, Row, View, answer_listing, list_query, sift
from entrepot.surfaces.web.merchant.own import led_to, merchant_of, told_by
from entrepot.surfaces.web.words import named, plain_words, short_title

LISTINGS: Final = "/merchant/listings"
_MOST: Final = 500
LIST: Final = Listing(
    "listings",
    LISTINGS,
    (
        Column("sku", mark("SKU"), is_sortable=True),
        Column("item", mark("Item"), is_sortable=True),
        Column("store", mark("Store"), is_sortable=True),
        Column("model", mark("Model"), Kind.WORDS, is_sortable=True),
        Column("price", mark("Price"), Kind.MONEY, is_sortable=True),
        Column("state", mark("State"), Kind.STATE, is_sortable=True),
        Column("customs", mark("Customs"), Kind.STATE),
        Column("hs", mark("HS code"), Kind.CODE, is_optional=True),
        Column("origin", mark("Origin"), Kind.COUNTRY, is_optional=True),
        Column("free", mark("Free units"), Kind.NUMBER, is_sortable=True),
        Column("handling", mark("Handling days"), Kind.NUMBER, is_optional=True),
    ),
    (
        Filter("q", mark("SKU or item")),
        Filter("state", mark("Any state"), tuple((str(state), plain_words(state)) for state in OfferState)),
        Filter("need", mark("Any completeness"), (("complete", mark("Complete")), ("missing", mark("HS code or origin missing")))),
    ),
    (
        View("live", mark("Live"), {"state": "live"}),
        View("paused", mark("Paused"), {"state": "paused"}),
        View("missing", mark("Customs data missing"), {"need": "missing"}),
    ),
    (
        Action(mark("Edit as CSV"), f"{LISTINGS}/bulk", "get"),
        Action(mark("Pause"), f"{LISTINGS}/pause"),
        Action(mark("Resume"), f"{LISTINGS}/resume"),
    ),
    sort="sku",
)


@get(LISTINGS, opt=open_to(MERCHANTS))
async def show_listings(request: WebRequest, house: HouseDep, visitor: VisitorDep) -> Response[str] | Stream:
    """Show the merchant's offers."""
    merchant_id = merchant_of(visitor)
    titles = {plan.model_code: short_title(plan.model.title) for plan in house.registry.plans()}
    async with house.database.reading() as conn:
        outside = await house.outside.current(conn, await business_now(conn))
        offers = await list_offers(conn, merchant_id)
        free = await read_free_units(conn, merchant_id)
        items = await name_items(conn, merchant_id, sorted({one.stock_item_id for one in offers}), visitor.language.subtag)
    names = {code: named(visitor.language, store.name) for code, store in outside.reference.marketplaces.items()}
    used = sorted({one.marketplace_code for one in offers})
    stores = Filter("store", mark("Any store"), tuple((code, code) for code in used))
    models = Filter("model", mark("Any model"), tuple((title, title) for title in sorted({titles[one.model_code] for one in offers})))
    listing = replace(LIST, filters=(*LIST.filters, stores, models))

    async def find(ask: Ask, limit: int, offset: int) -> Found:
        found = sift(listing, ask, [_row(visitor, one, items[one.stock_item_id].title, titles, names, free) for one in offers], limit, offset)
        return replace(found, sums={})

    return await answer_listing("merchant/listings.html", visitor, house, listing, list_query(request), find, {"told": told_by(request)})


@post(f"{LISTINGS}/pause", status_code=200, opt=open_to(MERCHANTS))
async def pause_offers(house: HouseDep, visitor: VisitorDep, form: FormDep) -> Redirect:
    """Take the selected offers off sale."""
    return await _set_states(house, visitor, form.getall("row", []), OfferState.PAUSED)


@post(f"{LISTINGS}/resume", status_code=200, opt=open_to(MERCHANTS))
async def resume_offers(house: HouseDep, visitor: VisitorDep, form: FormDep) -> Redirect:
    """Put the selected offers on sale again."""
    return await _set_states(house, visitor, form.getall("row", []), OfferState.LIVE)


async def _set_states(house: House, visitor: Visitor, rows: Sequence[str], state: OfferState) -> Redirect:
    """Move the merchant's own offers among these; what is closed stays closed, and an offer of another merchant is not there."""
    merchant_id, wanted = merchant_of(visitor), set(rows[:_MOST])

    async def move(conn: Conn) -> int:
        now = await business_now(conn)
        mine = [one for one in await list_offers(conn, merchant_id) if str(one.offer_id) in wanted and one.state != OfferState.CLOSED]
        return await set_offer_state(conn, [merchant_id] * len(mine), [one.offer_id for one in mine], state, actor_of(visitor), now)

    moved = await house.database.writing(move)
    return led_to(LISTINGS, "offers" if moved else "already")


def _row(visitor: Visitor, one: OfferFacts, title: str, titles: Mapping[str, str], names: Mapping[str, str], free: Mapping[uuid.UUID, int]) -> Row:
    """Return an offer as a row."""
    _ = visitor.language.gettext
    missing = [name for name, value in ((_("HS code"), one.hs_code), (_("origin"), one.origin_country_code)) if not value]
    cells = {
        "sku": Cell(one.sku, href=f"/merchant/stock/{one.sku}"),
        "item": Cell(title),
        "store": Cell(one.marketplace_code, note=names.get(one.marketplace_code, "")),
        "model": Cell(titles[one.model_code]),
        "price": Cell(one.price_minor, currency=one.currency),
        "state": Cell(one.state),
        "customs": Cell(_("missing: %(names)s", names=", ".join(missing)), tone="warning") if missing else Cell(_("complete"), tone="success"),
        "hs": Cell(one.hs_code),
        "origin": Cell(one.origin_country_code),
        "free": Cell(free.get(one.stock_item_id, 0)),
        "handling": Cell(one.handling_days),
        "need": Cell("missing" if missing else "complete"),
    }
    return Row(str(one.offer_id), cells)
