"""A merchant's orders: the list with its sums, and one order with what the merchant can do about it now."""

import uuid
from typing import Final

from litestar import Response, get
from litestar.params import FromPath
from litestar.response import Stream
from msgspec.structs import replace

from entrepot.flows.ship_figures import WAITING
from entrepot.operations.model import Role
from entrepot.operations.registry import Registry
from entrepot.orders.hold import read_open_holds
from entrepot.orders.model import OrderState, UnknownOrderError
from entrepot.orders.read import count_states, read_orders
from entrepot.orders.sales_list import SalesAsk, SalesRow, find_sales
from entrepot.surfaces.web.access import MERCHANTS, VisitorDep, WebRequest, open_to
from entrepot.surfaces.web.house import HouseDep, business_now
from entrepot.surfaces.web.languages import mark
from entrepot.surfaces.web.listing import Ask, Cell, Column, Filter, Found, Kind, Listing, Row, View, answer_listing, list_query
from entrepot.surfaces.web.merchant.own import clock_tone, clock_words, merchant_of, told_by
from entrepot.surfaces.web.order_page import way_of
from entrepot.surfaces.web.order_view import HOUSE_NOTES, read_full_view
from entrepot.surfaces.web.render import page
from entrepot.surfaces.web.words import named, plain_words, short_title

ORDERS: Final = "/merchant/orders"
_VIEWS: Final = (
    ("open", mark("In work"), (OrderState.PAID, OrderState.IN_WORK)),
    ("shipped", mark("Shipped"), (OrderState.SHIPPED,)),
    ("delivered", mark("Delivered"), (OrderState.DELIVERED, OrderState.SETTLED)),
    ("cancelled", mark("Cancelled"), (OrderState.CANCELLED,)),
)
_STATES: Final = {code: tuple(str(state) for state in states) for code, _, states in _VIEWS}
LIST: Final = Listing(
    "merchant_orders",
    ORDERS,
    (
        Column("number", mark("Order"), is_sortable=True),
        Column("placed_at", mark("Placed at"), Kind.TIME, is_sortable=True),
        Column("state", mark("State"), Kind.STATE, is_sortable=True),
        Column("store", mark("Store"), is_sortable=True),
        Column("country", mark("To"), Kind.COUNTRY),
        Column("model", mark("Model")),
        Column("units", mark("Units"), Kind.NUMBER, is_sortable=True),
        Column("total", mark("Total"), Kind.MONEY, is_sortable=True),
    ),
    (Filter("q", mark("Order number")), Filter("state", mark("Any state"), tuple((str(state), plain_words(state)) for state in OrderState))),
    tuple(View(code, title) for code, title, _ in _VIEWS),
    sort="-placed_at",
)


def listing_for(registry: Registry, stores: list[tuple[str, str]]) -> Listing:
    """Return the list with the stores and models of this house as filters."""
    models = tuple((plan.model_code, short_title(plan.model.title)) for plan in registry.plans())
    return replace(LIST, filters=(*LIST.filters, Filter("store", mark("Any store"), tuple(stores)), Filter("model", mark("Any model"), models)))


@get(ORDERS, opt=open_to(MERCHANTS))
async def show_sales(request: WebRequest, house: HouseDep, visitor: VisitorDep) -> Response[str] | Stream:
    """Show the merchant's orders."""
    merchant_id = merchant_of(visitor)
    titles = {plan.model_code: visitor.language.gettext(short_title(plan.model.title)) for plan in house.registry.plans()}
    async with house.database.reading() as conn:
        outside = await house.outside.current(conn, await business_now(conn))
    listing = listing_for(
        house.registry, [(one.marketplace_code, named(visitor.language, one.name)) for one in outside.reference.marketplaces.values()]
    )

    async def find(ask: Ask, limit: int, offset: int) -> Found:
        chosen = ask.filters
        states = (chosen["state"],) if chosen.get("state") else _STATES.get(ask.view, ())
        wish = SalesAsk(
            merchant_id,
            states,
            chosen.get("store", ""),
            chosen.get("model", ""),
            chosen.get("q", ""),
            ask.sort_key,
            ask.is_descending,
        )
        async with house.database.reading() as conn:
            found = await find_sales(conn, wish, limit, offset)
            by_state = await house.tallies.read(f"states {merchant_id} ", lambda: count_states(conn, merchant_id))
        counts = {code: sum(by_state.get(state, 0) for state in group) for code, group in _STATES.items()}
        units = {"units": [("", found.unit_count)]} if found.unit_count is not None else {}
        sums = {**units, "total": found.totals} if found.count else {}
        return Found([_row(one, titles) for one in found.rows], found.count, sums, counts | {"": sum(by_state.values())})

    return await answer_listing("merchant/orders.html", visitor, house, listing, list_query(request), find)


@get("/merchant/orders/{order_id:uuid}", opt=open_to(MERCHANTS))
async def show_sale(request: WebRequest, house: HouseDep, visitor: VisitorDep, order_id: FromPath[uuid.UUID]) -> Response[str]:
    """Show one order with what waits for the merchant in it; another merchant's does not exist."""
    merchant_id = merchant_of(visitor)
    async with house.database.reading() as conn:
        now = await business_now(conn)
        found = await read_orders(conn, [merchant_id], [order_id])
        if not found:
            raise UnknownOrderError("order_id", str(order_id), "Open it from your list of orders.")
        view = await read_full_view(conn, found[0], house.registry, visitor.language, HOUSE_NOTES)
        hold = (await read_open_holds(conn, [merchant_id], [order_id])).get((merchant_id, order_id))
    waiting = [
        (one, clock_words(visitor.language, now, one.ship_by_at), clock_tone(now, one.ship_by_at))
        for one in view.consignments
        if one.doer == Role.MERCHANT and one.state in WAITING
    ]
    values = {"view": view, "order": found[0], "way": way_of(found[0].state), "hold": hold, "waiting": waiting, "told": told_by(request)}
    return page("merchant/order.html", visitor, values)


def _row(one: SalesRow, titles: dict[str, str]) -> Row:
    """Return an order as a row."""
    cells = {
        "number": Cell(one.number, href=f"{ORDERS}/{one.order_id}"),
        "placed_at": Cell(one.placed_at),
        "state": Cell(one.state),
        "store": Cell(one.marketplace_code),
        "country": Cell(one.to_country_code),
        "model": Cell(", ".join(titles.get(code, code) for code in one.model_codes)),
        "units": Cell(one.unit_count),
        "total": Cell(one.total_minor, currency=one.currency),
    }
    return Row(str(one.order_id), cells)
