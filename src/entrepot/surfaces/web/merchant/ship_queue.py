"""What a merchant itself must send, the most urgent first: many at once by labels bought here, or one by one on its own page."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from litestar import Response, get, post
from litestar.response import Redirect, Stream
from msgspec import Struct

from entrepot.base.sql import Conn
from entrepot.catalogue.item_list import name_items
from entrepot.flows.fulfil import ConfirmAnswer, ConfirmOutcome, MerchantShipment, answer_shipments
from entrepot.flows.ship_by import read_to_ship
from entrepot.freight.read import Consignment
from entrepot.orders.model import Line, Order
from entrepot.orders.read import read_allocations, read_lines, read_orders
from entrepot.surfaces.web.access import MERCHANTS, FormDep, Visitor, VisitorDep, WebRequest, actor_of, open_to
from entrepot.surfaces.web.house import HouseDep, business_now
from entrepot.surfaces.web.languages import Language, mark
from entrepot.surfaces.web.listing import Action, Ask, Cell, Column, Filter, Found, Kind, Listing, Row, View, answer_listing, list_query, sift
from entrepot.surfaces.web.merchant.own import clock_tone, clock_words, led_to, merchant_of, told_by
from entrepot.surfaces.web.render import page

QUEUE: Final = "/merchant/ship"
_MOST: Final = 500
_MOST_AT_ONCE: Final = 100
_FAR: Final = timedelta(days=365)
_URGENT: Final = timedelta(hours=24)
LIST: Final = Listing(
    "ship_queue",
    QUEUE,
    (
        Column("number", mark("Order")),
        Column("left", mark("Time left"), Kind.STATE),
        Column("ship_by", mark("Ship by"), Kind.TIME, is_sortable=True),
        Column("items", mark("Items")),
        Column("units", mark("Units"), Kind.NUMBER, is_sortable=True),
        Column("country", mark("To"), Kind.COUNTRY, is_sortable=True),
        Column("place", mark("From"), Kind.CODE, is_optional=True),
        Column("carrier", mark("Carrier of the lane"), Kind.WORDS, is_optional=True),
        Column("goods", mark("Goods"), Kind.MONEY, is_sortable=True),
    ),
    (
        Filter("q", mark("Number, SKU or item")),
        Filter("urgency", mark("Any time left"), (("late", mark("Late")), ("today", mark("Within a day")), ("later", mark("Later")))),
    ),
    (View("late", mark("Late"), {"urgency": "late"}), View("today", mark("Within a day"), {"urgency": "today"})),
    (Action(mark("Print pick list"), "/merchant/ship/pick-list", "get"), Action(mark("Buy labels"), "/merchant/ship/labels")),
    sort="ship_by",
)


class Waiting(Struct, frozen=True):
    """A consignment that waits for the merchant, with its order and what is to go into the parcel: line, title and units."""

    consignment: Consignment
    order: Order
    parts: tuple[tuple[Line, str, int], ...]

    @property
    def unit_count(self) -> int:
        """Units to send."""
        return sum(quantity for _, _, quantity in self.parts)

    @property
    def goods_minor(self) -> int:
        """What the buyer pays for these units, without freight and tax on top."""
        return sum((line.goods_minor - line.discount_minor) * quantity // line.quantity for line, _, quantity in self.parts)


async def read_waiting(conn: Conn, merchant_id: uuid.UUID, now: datetime, language: Language, limit: int = _MOST) -> list[Waiting]:
    """Return what the merchant must send, the most urgent first."""
    return await describe(conn, merchant_id, await read_to_ship(conn, merchant_id, now + _FAR, limit), language)


async def describe(conn: Conn, merchant_id: uuid.UUID, consignments: Sequence[Consignment], language: Language) -> list[Waiting]:
    """Return a merchant's consignments with their orders and contents, the items by their titles in the reader's language."""
    keys = sorted({(one.merchant_id, one.order_id) for one in consignments})
    merchant_ids, order_ids = [key[0] for key in keys], [key[1] for key in keys]
    orders = {(one.merchant_id, one.order_id): one for one in await read_orders(conn, merchant_ids, order_ids)}
    lines = {(one.merchant_id, one.order_id, one.line_no): one for one in await read_lines(conn, merchant_ids, order_ids)}
    names = await name_items(conn, merchant_id, sorted({one.stock_item_id for one in lines.values()}), language.subtag)
    parts: dict[uuid.UUID, list[tuple[Line, str, int]]] = {}
    for part in await read_allocations(conn, merchant_ids, order_ids):
        line = lines[part.merchant_id, part.order_id, part.line_no]
        parts.setdefault(part.consignment_id, []).append((line, names[line.stock_item_id].title, part.quantity))
    return [Waiting(one, orders[one.merchant_id, one.order_id], tuple(parts.get(one.consignment_id, ()))) for one in consignments]


@get(QUEUE, opt=open_to(MERCHANTS))
async def show_queue(request: WebRequest, house: HouseDep, visitor: VisitorDep) -> Response[str] | Stream:
    """Show what must leave, by deadline."""
    async with house.database.reading() as conn:
        now = await business_now(conn)
        waiting = await read_waiting(conn, merchant_of(visitor), now, visitor.language)

    async def find(ask: Ask, limit: int, offset: int) -> Found:
        return sift(LIST, ask, [_row(visitor, one, now) for one in waiting], limit, offset)

    return await answer_listing("merchant/ship_queue.html", visitor, house, LIST, list_query(request), find, {"told": told_by(request), "now": now})


@get("/merchant/ship/pick-list", opt=open_to(MERCHANTS))
async def show_pick_list(request: WebRequest, house: HouseDep, visitor: VisitorDep) -> Response[str]:
    """Show what to take from the shelves for the selected orders, or for all, as a page to print."""
    wanted = set(request.query_params.getall("row", []))
    async with house.database.reading() as conn:
        now = await business_now(conn)
        found = await read_waiting(conn, merchant_of(visitor), now, visitor.language)
    waiting = [one for one in found if not wanted or str(one.consignment.consignment_id) in wanted]
    shelf: dict[tuple[str, str], int] = {}
    for one in waiting:
        for line, title, quantity in one.parts:
            shelf[line.sku, title] = shelf.get((line.sku, title), 0) + quantity
    return page("merchant/pick_list.html", visitor, {"waiting": waiting, "shelf": sorted(shelf.items()), "now": now})


@post("/merchant/ship/labels", status_code=200, opt=open_to(MERCHANTS))
async def buy_labels(house: HouseDep, visitor: VisitorDep, form: FormDep) -> Redirect:
    """Buy the labels of the selected consignments; those of others are not there, and what left before stays as it is."""
    merchant_id = merchant_of(visitor)
    wanted = [uuid.UUID(row) for row in form.getall("row", [])[:_MOST_AT_ONCE] if _is_uuid(row)]
    if not wanted:
        return Redirect(QUEUE, status_code=303)

    async def buy(conn: Conn) -> list[ConfirmAnswer]:
        now = await business_now(conn)
        outside = await house.outside.current(conn, now)
        return await answer_shipments(conn, outside, [MerchantShipment(merchant_id, one, None, None, now) for one in wanted], actor_of(visitor), now)

    answers = await house.database.writing(buy)
    is_all = all(one.outcome in {ConfirmOutcome.NEW, ConfirmOutcome.EXISTS} for one in answers)
    return led_to(QUEUE, "labels" if is_all else "some_labels")


def urgency(now: datetime, due_at: datetime) -> str:
    """Return whether a deadline is past, within a day, or later."""
    return "late" if due_at < now else "today" if due_at < now + _URGENT else "later"


def _row(visitor: Visitor, one: Waiting, now: datetime) -> Row:
    """Return a row of the queue."""
    due_at = one.consignment.ship_by_at
    cells: Mapping[str, Cell] = {
        "number": Cell(one.order.number, href=f"{QUEUE}/{one.consignment.consignment_id}"),
        "left": Cell(clock_words(visitor.language, now, due_at), tone=clock_tone(now, due_at)),
        "ship_by": Cell(due_at),
        "items": Cell("; ".join(title for _, title, _ in one.parts), note=", ".join(line.sku for line, _, _ in one.parts)),
        "units": Cell(one.unit_count),
        "country": Cell(one.consignment.to_country_code, note=one.consignment.to_postcode_prefix and f"{one.consignment.to_postcode_prefix}…"),
        "place": Cell(one.consignment.place_code),
        "carrier": Cell(one.consignment.carrier_code),
        "goods": Cell(one.goods_minor, currency=one.order.currency),
        "urgency": Cell(urgency(now, due_at)),
    }
    return Row(str(one.consignment.consignment_id), cells)


def _is_uuid(text: str) -> bool:
    """Tell whether a text is an id."""
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
