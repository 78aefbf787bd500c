"""Hold and release of an order, from its page."""

import uuid

from litestar import Response, post
from litestar.params import FromPath
from litestar.response import Redirect

from entrepot.base.sql import Conn
from entrepot.flows.order_hold import HoldOrder, hold_order, release_order
from entrepot.orders.hold import HoldReason
from entrepot.surfaces.web.access import OPERATORS, FormDep, VisitorDep, actor_of, open_to
from entrepot.surfaces.web.forms import read_form
from entrepot.surfaces.web.house import HouseDep, business_now
from entrepot.surfaces.web.operator.hold_forms import HoldForm, ReleaseForm
from entrepot.surfaces.web.order_page import answer_order


@post("/operator/orders/{merchant_id:uuid}/{order_id:uuid}/hold", status_code=200, opt=open_to(OPERATORS))
async def hold(
    house: HouseDep, visitor: VisitorDep, form: FormDep, merchant_id: FromPath[uuid.UUID], order_id: FromPath[uuid.UUID]
) -> Response[str] | Redirect:
    """Hold an order for a reason and show it; what is wrong with the form is told on the order's page."""
    sent = read_form(HoldForm, form, visitor.language)
    if not sent.validate():
        return await answer_order(house, visitor, merchant_id, order_id, {"hold_form": sent}, 422)
    ask = HoldOrder(merchant_id, order_id, HoldReason(str(sent.reason.data)), str(sent.note.data or ""))

    async def work(conn: Conn) -> None:
        await hold_order(conn, ask, actor_of(visitor), await business_now(conn))

    await house.database.writing(work)
    return Redirect(f"/orders/{merchant_id}/{order_id}", status_code=303)


@post("/operator/orders/{merchant_id:uuid}/{order_id:uuid}/release", status_code=200, opt=open_to(OPERATORS))
async def release(
    house: HouseDep, visitor: VisitorDep, form: FormDep, merchant_id: FromPath[uuid.UUID], order_id: FromPath[uuid.UUID]
) -> Response[str] | Redirect:
    """Let a held order go on and show it; what is wrong with the form is told on the order's page."""
    sent = read_form(ReleaseForm, form, visitor.language)
    if not sent.validate():
        return await answer_order(house, visitor, merchant_id, order_id, {"release_form": sent}, 422)

    async def work(conn: Conn) -> None:
        await release_order(conn, merchant_id, order_id, str(sent.note.data), actor_of(visitor), await business_now(conn))

    await house.database.writing(work)
    return Redirect(f"/orders/{merchant_id}/{order_id}", status_code=303)
