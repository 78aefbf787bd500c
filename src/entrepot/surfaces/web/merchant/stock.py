"""A merchant's stock: on hand, reserved, free and inbound by SKU and place, the statement of each SKU's units, and the word about own sites."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from litestar import Response, get, post
from litestar.params import FromPath, QueryParameter
from litestar.response import Redirect, Stream
from msgspec.structs import replace
from wtforms import Form, HiddenField, IntegerField
from wtforms.validators import InputRequired, NumberRange

from entrepot.base.sql import Conn
from entrepot.books.stock.model import FREE, SELLABLE, Available, StockKey
from entrepot.books.stock.read import list_availability, list_moves
from entrepot.books.stock.stock_list import StockAsk, StockRow, find_stock, list_stock_places
from entrepot.books.stock.unit_statement import read_unit_statement
from entrepot.books.stock.word import read_words
from entrepot.catalogue.item_list import TITLE, ItemName, find_item_id, name_items, order_items
from entrepot.catalogue.model import UnknownStockItemError
from entrepot.catalogue.store import read_stock_items
from entrepot.flows.declare_stock import StockWord, WordAnswer, WordOutcome, declare_stock
from entrepot.sourcing.model import Place, UnknownPlaceError
from entrepot.surfaces.web.access import MERCHANTS, FormDep, Visitor, VisitorDep, WebRequest, actor_of, open_to
from entrepot.surfaces.web.forms import read_form
from entrepot.surfaces.web.house import House, HouseDep, business_now
from entrepot.surfaces.web.languages import Language, mark
from entrepot.surfaces.web.listing import Ask, Cell, Column, Filter, Found, Kind, Listing, Row, View, answer_listing, list_query
from entrepot.surfaces.web.merchant.own import led_to, merchant_of, told_by
from entrepot.surfaces.web.render import page
from entrepot.surfaces.web.words import named
from entrepot.warehouse.model import PlanState
from entrepot.warehouse.readers import read_plans
from entrepot.warehouse.store_inbound import read_inbound_lines

STOCK: Final = "/merchant/stock"
_SPANS: Final = (30, 90, 365)
_MOST_PLANS: Final = 200
_SHOWN_MOVES: Final = 50
_ANNOUNCED: Final = (SELLABLE, FREE)
"""In which condition and customs status announced units are expected."""
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
    merchant_id = merchant_of(visitor)
    async with house.database.reading() as conn:
        places = (await house.outside.current(conn, await business_now(conn))).reference.network.places
        coming = {(item, place): units for item, at in (await _inbound(conn, merchant_id)).items() for place, units in at.items()}
        codes = sorted({*await list_stock_places(conn, merchant_id), *(place for _, place in coming)})
    listing = replace(LIST, filters=(*LIST.filters, Filter("place", mark("Any place"), tuple((code, code) for code in codes))))

    async def find(ask: Ask, limit: int, offset: int) -> Found:
        chosen = ask.filters
        text, by_items = chosen.get("q", ""), ask.sort_key in {"sku", "item"}
        async with house.database.reading() as conn:
            items = await order_items(conn, merchant_id, text, TITLE if ask.sort_key == "item" else "sku", visitor.language.subtag)
            wish = StockAsk(
                merchant_id,
                items,
                coming,
                text,
                chosen.get("place", ""),
                chosen.get("standing", ""),
                "" if by_items else ask.sort_key,
                ask.is_descending,
            )
            found = await find_stock(conn, wish, limit, offset)
            names = await name_items(conn, merchant_id, sorted({one.stock_item_id for one in found.rows}), visitor.language.subtag)
        sums = {"on_hand": found.on_hand, "reserved": found.reserved, "free": found.free, "inbound": found.coming}
        return Found(
            [_row(visitor.language, one, names[one.stock_item_id], places) for one in found.rows],
            found.count,
            {key: [("", total)] for key, total in sums.items()},
            {"": found.all_count, "some": found.some_count, "out": found.out_count},
        )

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
        item_id = await find_item_id(conn, merchant_id, sku)
        if item_id is None:
            raise UnknownStockItemError("sku", sku, "Choose a SKU from your stock.")
        item = (await read_stock_items(conn, [merchant_id], [item_id]))[item_id]
        title = (await name_items(conn, merchant_id, [item_id], visitor.language.subtag))[item_id].title
        held = await list_availability(conn, merchant_id, item_id)
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
        "held": what_lies(item_id, held, inbound),
        "places": places,
        "statement": statement,
        "moves": moves,
        "days": days,
        "spans": _SPANS,
        "since": now - timedelta(days=days),
        "forms": forms,
        "told": told,
    }
    return page("merchant/item.html", visitor, values, status)


def what_lies(item_id: uuid.UUID, held: Sequence[Available], inbound: Mapping[str, int]) -> list[StockRow]:
    """Return what lies of an item where; what is announced counts once, as sellable, also for a place where nothing lies yet."""
    sums: dict[tuple[str, str, str], tuple[int, int, int]] = {(place, *_ANNOUNCED): (0, 0, units) for place, units in inbound.items() if units}
    for one in held:
        key = (one.key.place_code, one.key.condition_code, one.key.customs_status)
        on_hand, reserved, coming = sums.get(key, (0, 0, 0))
        sums[key] = (on_hand + one.on_hand, reserved + one.reserved, coming)
    return [StockRow(item_id, *key, *units) for key, units in sorted(sums.items())]


def _row(language: Language, one: StockRow, item: ItemName, places: Mapping[str, Place]) -> Row:
    """Return what lies of an item at a place as a row; an item that lies nowhere has one too."""
    cells = {
        "sku": Cell(item.sku, href=f"{STOCK}/{item.sku}"),
        "item": Cell(item.title),
        "place": Cell(one.place_code or None, note=named(language, places[one.place_code].name) if one.place_code in places else ""),
        "condition": Cell(one.condition_code),
        "status": Cell(one.customs_status),
        "on_hand": Cell(one.on_hand),
        "reserved": Cell(one.reserved),
        "free": Cell(one.free),
        "inbound": Cell(one.coming),
    }
    return Row(f"{item.sku}/{one.place_code}/{one.condition_code}/{one.customs_status}", cells)


async def _inbound(conn: Conn, merchant_id: uuid.UUID) -> dict[uuid.UUID, dict[str, int]]:
    """Return the units that are announced and not yet counted, by item and place."""
    plans = {one.ref: one for one in await read_plans(conn, merchant_id, _MOST_PLANS) if one.state in _OPEN}
    coming: dict[uuid.UUID, dict[str, int]] = {}
    for line in (await read_inbound_lines(conn, list(plans)) if plans else {}).values():
        at = coming.setdefault(line.stock_item_id, {})
        place = plans[line.ref].place_code
        at[place] = at.get(place, 0) + max(0, line.missing)
    return coming


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
