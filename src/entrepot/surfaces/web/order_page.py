"""The page of one order, for whom it belongs to; to everybody else it does not exist."""

import uuid
from collections.abc import Mapping
from typing import Final

from litestar import Response, get
from litestar.params import FromPath

from entrepot.orders.hold import read_open_holds
from entrepot.orders.model import Order, OrderState, UnknownOrderError
from entrepot.orders.read import read_orders
from entrepot.surfaces.web.access import BUYERS, HOUSE, MERCHANTS, Visitor, VisitorDep, open_to
from entrepot.surfaces.web.forms import read_form
from entrepot.surfaces.web.house import House, HouseDep
from entrepot.surfaces.web.operator.hold_forms import HoldForm, ReleaseForm
from entrepot.surfaces.web.order_view import HOUSE_NOTES, read_full_view
from entrepot.surfaces.web.order_way import way_of
from entrepot.surfaces.web.render import page
from entrepot.surfaces.web.store.order_pages import buyer_order_page

_HOLDABLE: Final = frozenset({OrderState.AWAITING_PAYMENT, OrderState.PAID, OrderState.IN_WORK})
"""States in which a hold still keeps something."""


@get("/orders/{merchant_id:uuid}/{order_id:uuid}", opt=open_to(BUYERS, MERCHANTS, HOUSE))
async def show_order(house: HouseDep, visitor: VisitorDep, merchant_id: FromPath[uuid.UUID], order_id: FromPath[uuid.UUID]) -> Response[str]:
    """Show an order to its buyer, its merchant or the house."""
    return await answer_order(house, visitor, merchant_id, order_id)


async def answer_order(
    house: House, visitor: Visitor, merchant_id: uuid.UUID, order_id: uuid.UUID, more: Mapping[str, object] | None = None, status: int = 200
) -> Response[str]:
    """Answer the page of an order; `more` are forms that came back with errors."""
    async with house.database.reading() as conn:
        found = await read_orders(conn, [merchant_id], [order_id])
        order = require_own(visitor, found, order_id)
        if visitor.person_id is None:
            view = await read_full_view(conn, order, house.registry, visitor.language, frozenset() if visitor.sees_house else HOUSE_NOTES)
            hold = (await read_open_holds(conn, [merchant_id], [order_id])).get((merchant_id, order_id))
        else:
            view, hold = None, None
    if view is None:
        return await buyer_order_page(house, visitor, order)
    values: dict[str, object] = {
        "view": view,
        "order": order,
        "way": way_of(order.state),
        "hold": hold if order.state in _HOLDABLE else None,
        "hold_form": read_form(HoldForm, None, visitor.language),
        "release_form": read_form(ReleaseForm, None, visitor.language),
    }
    return page("order.html", visitor, values | dict(more or {}), status)


def require_own(visitor: Visitor, found: list[Order], order_id: uuid.UUID) -> Order:
    """Return the order if it is the visitor's to see; another's is told apart in nothing from one that does not exist."""
    for order in found:
        if visitor.sees_house or visitor.merchant_id == order.merchant_id or visitor.person_id == order.person_id:
            return order
    raise UnknownOrderError("order_id", str(order_id), "Open it from your list of orders.")
