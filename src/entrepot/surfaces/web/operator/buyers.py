"""A buyer as the house knows one: an id and orders; name and address stay sealed."""

import uuid

from litestar import Response, get
from litestar.params import FromPath

from entrepot.base.errors import UnknownReferenceError
from entrepot.orders.read import list_person_orders
from entrepot.parties.buyers import find_buyers
from entrepot.surfaces.web.access import HOUSE, VisitorDep, open_to
from entrepot.surfaces.web.house import HouseDep
from entrepot.surfaces.web.operator.rows import MOST
from entrepot.surfaces.web.render import page


class UnknownPersonError(UnknownReferenceError):
    """No buyer has this id."""


@get("/operator/buyers/{person_id:uuid}", opt=open_to(HOUSE))
async def show_buyer(house: HouseDep, visitor: VisitorDep, person_id: FromPath[uuid.UUID]) -> Response[str]:
    """Show the orders of one buyer."""
    async with house.database.reading() as conn:
        known = await find_buyers(conn, [person_id])
        if not known:
            raise UnknownPersonError("person_id", str(person_id), "Open the buyer from an order.")
        orders = await list_person_orders(conn, person_id, MOST)
    return page("operator/buyer.html", visitor, {"person_id": person_id, "orders": orders})
