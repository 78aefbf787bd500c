"""A merchant's stock: on hand, reserved, free and inbound by SKU and place, the statement of each SKU's units, and the word about own sites."""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from litestar import Response, get, post
from litestar.params import FromPath, QueryParameter
from litestar.response import Redirect, Stream
from msgspec.structs import replace
from wtforms import Form, HiddenField, IntegerField
from wtforms.validators import InputRequired, NumberRange

from entrepot.base.sql import Conn
from entrepot.books.stock.model import StockKey
from entrepot.books.stock.read import list_availability, list_moves
from entrepot.books.stock.unit_statement import read_unit_statement
from entrepot.books.stock.word import read_words
from entrepot.catalogue.model import NewStockItem, UnknownStockItemError
from entrepot.catalogue.store import list_stock_items, read_texts
from entrepot.flows.declare_stock import StockWord, WordAnswer, WordOutcome, declare_stock
from entrepot.sourcing.model import Place, UnknownPlaceError
from entrepot.surfaces.web.access import MERCHANTS, FormDep, Visitor, VisitorDep, WebRequest, actor_of, open_to
from entrepot.surfaces.web.forms import read_form
from entrepot.surfaces.web.house import House, HouseDep, business_now
from entrepot.surfaces.web.languages import Language, mark
from entrepot.surfaces.web.listing import Ask, Cell, Column, Filter, Found, Kind, Listing, Row, View, answer_listing, sift
from entrepot.surfaces.web.merchant.own import led_to, list_query, merchant_of, told_by
from entrepot.surfaces.web.render import page
from entrepot.surfaces.web.words import named
from entrepot.warehouse.model import PlanState
from entrepot.warehouse.readers import read_plans
from entrepot.warehouse.store_inbound import read_inbound_lines

STOCK: Final = "/merchant/stock"
_SPANS: Final = (30, 90, 365)
_MOST_PLANS: Final = 200
_SHOWN_MOVES: Final = 50
_OPEN: Final = frozenset({PlanState.ANNOUNCED, PlanState.IN_TRANSIT, PlanState.RECEIVING})
LIST: Final = Listing(
    "merchant_stock",
    STOCK,
    (
        Column("sku", mark("SKU"), is_sortable=True),
        Column("item", mark("Item"), is_sortable=True),
        Column("place", mark("Place"), is_sortable=True),
        Column("condition", mark("Condition"), Kind.WORDS),
        Column("status", mark("Customs"), Kind.WORDS, is_optional=True),
        Column("on_hand", mark("On hand"), Kind.NUMBER, is_sortable=True),
        Column("reserved", mark("Reserved"), Kind.NUMBER, is_sortable=True),
        Column("free", mark("Free units"), Kind.NUMBER, is_sortable=True),
        Column("inbound", mark("Inbound"), Kind.NUMBER, is_sortable=True),
    ),
    (Filter("q", mark("SKU, item or place")), Filter("standing", mark("Any standing"), (("out", mark("Nothing free")), ("some", mark("In stock"))))),
    (View("out", mark("Nothing free"), {"standing": "out"}), View("some", mark("In stock"), {"standing": "some"})),
    sort="sku",
)


class WordForm(Form):
    """How many units lie at a site, counted now."""

    quantity = IntegerField(mark("Units that may be sold"), [InputRequired(), NumberRange(0, 10_000_000)])
    sequence = HiddenField()
    as_of = HiddenField()


@get(STOCK, opt=open_to(MERCHANTS))
async def show_own_stock(request: WebRequest, house: HouseDep, visitor: VisitorDep) -> Response[str] | Stream:
    """Show what lies where, what of it is promised, and what is announced."""
    async with house.database.reading() as conn:
        outside = await house.outside.current(conn, await business_now(conn))
        rows = await _rows(conn, merchant_of(visitor), outside.reference.network.places, visitor.language)
    places = Filter(
        "place",
        mark("Any place"),
        tuple((code, code) for code in sorted({str(row.cells["place"].value) for row in rows if row.cells["place"].value})),
    )
    listing = replace(LIST, filters=(*LIST.filters, places))

    async def find(ask: Ask, limit: int, offset: int) -> Found:
        return sift(listing, ask, rows, limit, offset)

    return await answer_listing("merchant/stock.html", visitor, house, listing, list_query(request), find, {"told": told_by(request)})


@get("/merchant/stock/{sku:str}", opt=open_to(MERCHANTS))
async def show_item(
    request: WebRequest,
    house: HouseDep,
    visitor: VisitorDep,
    sku: FromPath[str],
    days: Annotated[int, QueryParameter(name="days", ge=1, le=3650)] = _SPANS[0],
) -> Response[str]:
    """Show one SKU: where it lies, its statement of units, its latest moves, and what the merchant says of its own sites."""
    return await _show_item(house, visitor, sku, days, {}, told_by(request))


@post("/merchant/stock/{sku:str}/{place:str}", status_code=200, opt=open_to(MERCHANTS))
async def tell_stock(house: HouseDep, visitor: VisitorDep, form: FormDep, sku: FromPath[str], place: FromPath[str]) -> Response[str] | Redirect:
    """Take the merchant's word about a site of its own; the same form again changes nothing."""
    sent = read_form(WordForm, form, visitor.language)
    if not sent.validate():
        return await _show_item(house, visitor, sku, _SPANS[0], {place: sent}, None, 422)
    merchant_id = merchant_of(visitor)

    async def tell(conn: Conn) -> WordAnswer:
        now = await business_now(conn)
        outside = await house.outside.current(conn, now)
        word = StockWord(
            merchant_id, place, sku, _sequence(str(sent.sequence.data)), min(_instant(str(sent.as_of.data), now), now), int(sent.quantity.data or 0)
        )
        return (await declare_stock(conn, outside, [word], actor_of(visitor), now))[0]

    answer = await house.database.writing(tell)
    if answer.refusal is not None:
        if isinstance(answer.refusal, UnknownPlaceError | UnknownStockItemError):
            raise answer.refusal
        sent.quantity.errors = [answer.refusal.title]
        return await _show_item(house, visitor, sku, _SPANS[0], {place: sent}, None, answer.refusal.status)
    done = {WordOutcome.TAKEN: "counted", WordOutcome.EXISTS: "already"}.get(answer.outcome, "stale")
    return led_to(f"{STOCK}/{sku}", done)


async def _show_item(
    house: House, visitor: Visitor, sku: str, days: int, sent: Mapping[str, WordForm], told: tuple[str, str] | None, status: int = 200
) -> Response[str]:
    """Return an SKU's page, with forms as they were sent."""
    merchant_id = merchant_of(visitor)
    async with house.database.reading() as conn:
        now = await business_now(conn)
        places = (await house.outside.current(conn, now)).reference.network.places
        item = next((one for one in await list_stock_items(conn, merchant_id) if one.sku == sku), None)
        if item is None:
            raise UnknownStockItemError("sku", sku, "Choose a SKU from your stock.")
        title = (await _titles(conn, [item]))[item.stock_item_id]
        held = [one for one in await list_availability(conn, merchant_id) if one.key.stock_item_id == item.stock_item_id]
        statement = await read_unit_statement(conn, merchant_id, item.stock_item_id, now - timedelta(days=days))
        moves = await list_moves(conn, merchant_id, item.stock_item_id, _SHOWN_MOVES, 0)
        own = sorted((one for one in places.values() if one.merchant_id == merchant_id), key=_code_of)
        keys = {one.place_code: StockKey(merchant_id, merchant_id, item.stock_item_id, one.place_code) for one in own}
        words = await read_words(conn, list(keys.values()))
        inbound = (await _inbound(conn, merchant_id)).get(item.stock_item_id, {})
    forms = [
        (
            one,
            words.get(keys[one.place_code]),
            sent.get(one.place_code)
            or read_form(
                WordForm,
                None,
                visitor.language,
                {
                    "quantity": next((have.on_hand for have in held if have.key.place_code == one.place_code), 0),
                    "sequence": str((words[keys[one.place_code]].sequence_no if keys[one.place_code] in words else 0) + 1),
                    "as_of": now.isoformat(),
                },
            ),
        )
        for one in own
    ]
    values: dict[str, object] = {
        "item": item,
        "title": title,
        "held": held,
        "places": places,
        "statement": statement,
        "moves": moves,
        "days": days,
        "spans": _SPANS,
        "since": now - timedelta(days=days),
        "forms": forms,
        "inbound": inbound,
        "told": told,
    }
    return page("merchant/item.html", visitor, values, status)


async def _rows(conn: Conn, merchant_id: uuid.UUID, places: Mapping[str, Place], language: Language) -> list[Row]:
    """Return what lies where of every SKU; one that lies nowhere has a row too."""
    items = await list_stock_items(conn, merchant_id)
    titles = await _titles(conn, items)
    inbound = await _inbound(conn, merchant_id)
    held = {
        (one.key.stock_item_id, one.key.place_code, one.key.condition_code, one.key.customs_status): one
        for one in await list_availability(conn, merchant_id)
    }
    rows: list[Row] = []
    for item in items:
        coming = dict(inbound.get(item.stock_item_id, {}))
        mine = [(key, one) for key, one in held.items() if key[0] == item.stock_item_id]
        spots = [(key[1], key[2], key[3], one.on_hand, one.reserved, coming.pop(key[1], 0)) for key, one in mine]
        spots += [(place, "sellable", "free", 0, 0, units) for place, units in sorted(coming.items())]
        for place, condition, customs, on_hand, reserved, units in spots or [("", "sellable", "free", 0, 0, 0)]:
            cells = {
                "sku": Cell(item.sku, href=f"{STOCK}/{item.sku}"),
                "item": Cell(titles[item.stock_item_id]),
                "place": Cell(place or None, note=named(language, places[place].name) if place in places else ""),
                "condition": Cell(condition),
                "status": Cell(customs),
                "on_hand": Cell(on_hand),
                "reserved": Cell(reserved),
                "free": Cell(on_hand - reserved),
                "inbound": Cell(units),
                "standing": Cell("some" if on_hand > reserved else "out"),
            }
            rows.append(Row(f"{item.sku}/{place}/{condition}/{customs}", cells))
    return rows


async def _inbound(conn: Conn, merchant_id: uuid.UUID) -> dict[uuid.UUID, dict[str, int]]:
    """Return the units that are announced and not yet counted, by item and place."""
    plans = {one.ref: one for one in await read_plans(conn, merchant_id, _MOST_PLANS) if one.state in _OPEN}
    coming: dict[uuid.UUID, dict[str, int]] = {}
    for line in (await read_inbound_lines(conn, list(plans)) if plans else {}).values():
        at = coming.setdefault(line.stock_item_id, {})
        place = plans[line.ref].place_code
        at[place] = at.get(place, 0) + max(0, line.missing)
    return coming


async def _titles(conn: Conn, items: list[NewStockItem]) -> dict[uuid.UUID, str]:
    """Return the items' English titles, or the first that there is."""
    texts = await read_texts(conn, sorted({one.product_id for one in items}))
    told: dict[uuid.UUID, str] = {}
    for one in items:
        known = texts.get(one.product_id, {})
        text = known.get("en") or next(iter(known.values()), None)
        told[one.stock_item_id] = text.title if text is not None else one.sku
    return told


def _code_of(place: Place) -> str:
    return place.place_code


def _sequence(text: str) -> int:
    """Return the number of a word; what is no number is older than every word."""
    return int(text) if text.isdecimal() and len(text) < 16 else 0


def _instant(text: str, otherwise: datetime) -> datetime:
    """Return when a figure was counted, as the form carries it."""
    try:
        told = datetime.fromisoformat(text)
    except ValueError:
        return otherwise
    return told if told.tzinfo is not None else told.replace(tzinfo=UTC)
