"""Cancel an order or a part of it: choose units, see the money that comes back, confirm."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect

from entrepot.base.errors import ConflictError
from entrepot.base.sql import Conn
from entrepot.flows.cancel import CancelAnswer, cancel_units
from entrepot.flows.choose_units import CancelAsk, CancelOutcome
from entrepot.flows.preview_back import ForeseenCancel, foresee_cancel
from entrepot.orders.model import Order
from entrepot.surfaces.web.access import BUYERS, FormDep, Visitor, VisitorDep, actor_of, open_to
from entrepot.surfaces.web.house import House, HouseDep, business_now
from entrepot.surfaces.web.languages import mark
from entrepot.surfaces.web.order_view import read_buyer_view
from entrepot.surfaces.web.render import page
from entrepot.surfaces.web.store.chosen_units import read_own_order, read_sent_units
from entrepot.surfaces.web.store.order_pages import own_order

REASONS: Final = (
    ("changed_mind", mark("I no longer want it")),
    ("by_mistake", mark("Ordered by mistake")),
    ("too_late", mark("It arrives too late")),
    ("cheaper", mark("Found it cheaper")),
    ("other", mark("Another reason")),
)
_BY_BUYER: Final = "buyer"
_DONE: Final = frozenset({CancelOutcome.DONE, CancelOutcome.EXISTS})
_FAULTS: Final[Mapping[CancelOutcome, str]] = {
    CancelOutcome.HANDED_OVER: mark("This has left already. Send it back when it has arrived."),
    CancelOutcome.PACKED: mark("This is packed with other items. Cancel all of that parcel, or send it back later."),
    CancelOutcome.TOO_MANY: mark("Fewer than that can still be cancelled."),
    CancelOutcome.UNKNOWN: mark("This is not part of the order."),
    CancelOutcome.DIFFERS: mark("This page was used before with other values. Open it again."),
}


class CancellationRefusedError(ConflictError):
    """Some of the units cannot be cancelled any more; nothing was changed."""

    def __init__(self, answers: list[CancelAnswer]) -> None:
        super().__init__("quantity", len(answers), "Look at what can still be cancelled.")
        self.answers = answers


@get("/orders/{merchant_id:uuid}/{order_id:uuid}/cancel", opt=open_to(BUYERS))
async def show_cancel(house: HouseDep, visitor: VisitorDep, merchant_id: FromPath[uuid.UUID], order_id: FromPath[uuid.UUID]) -> Response[str]:
    """Show what of an order can still be cancelled."""
    order, empty = await read_own_order(house, visitor, merchant_id, order_id)
    return await _page(house, visitor, order, empty.shown)


@post("/orders/{merchant_id:uuid}/{order_id:uuid}/cancel", status_code=200, opt=open_to(BUYERS))
async def do_cancel(
    house: HouseDep, visitor: VisitorDep, merchant_id: FromPath[uuid.UUID], order_id: FromPath[uuid.UUID], form: FormDep
) -> Response[str] | Redirect:
    """Show what cancelling the chosen units brings, then do it: all of them or none."""
    async with house.database.reading() as conn:
        order = await own_order(conn, visitor, merchant_id, order_id)
    asked = read_sent_units(form, visitor.language, dict(REASONS))
    units, reason, key, sent = asked.units, asked.reason, asked.key, asked.shown
    _ = visitor.language.gettext
    if asked.faults:
        return await _page(house, visitor, order, {**sent, "faults": asked.faults}, 422)
    asks = [CancelAsk(merchant_id, order_id, line_no, quantity, _BY_BUYER, reason, f"{key}:{line_no}") for line_no, quantity in units.items()]
    if form.get("step") != "confirm":
        foreseen = await _foresee(house, asks)
        wrong = {one.ask.line_no: _(_FAULTS[one.outcome]) for one in foreseen if one.outcome in _FAULTS}
        return await _page(house, visitor, order, {**sent, "line_faults": wrong, "foreseen": [] if wrong else foreseen}, 409 if wrong else 200)
    try:
        await _cancel(house, visitor, asks)
    except CancellationRefusedError as refused:
        wrong = {one.ask.line_no: _(_FAULTS[one.outcome]) for one in refused.answers if one.outcome in _FAULTS}
        return await _page(house, visitor, order, {**sent, "line_faults": wrong}, refused.status)
    return Redirect(f"/orders/{merchant_id}/{order_id}", status_code=303)


async def _foresee(house: House, asks: list[CancelAsk]) -> list[ForeseenCancel]:
    async def foresee(conn: Conn) -> list[ForeseenCancel]:
        return await foresee_cancel(conn, await house.outside.current(conn, await business_now(conn)), asks)

    return await house.database.writing(foresee)


async def _cancel(house: House, visitor: Visitor, asks: list[CancelAsk]) -> None:
    async def cancel(conn: Conn) -> None:
        now: datetime = await business_now(conn)
        answers = await cancel_units(conn, await house.outside.current(conn, now), asks, actor_of(visitor), now)
        if any(one.outcome not in _DONE for one in answers):
            raise CancellationRefusedError(answers)

    await house.database.writing(cancel)


async def _page(house: House, visitor: Visitor, order: Order, values: Mapping[str, object], status: int = 200) -> Response[str]:
    async with house.database.reading() as conn:
        view = await read_buyer_view(conn, order, house.registry, visitor.language)
    shown: dict[str, object] = {"faults": {}, "line_faults": {}, "foreseen": [], "order": order, "view": view, "reasons": REASONS, **values}
    return page("store/cancel.html", visitor, shown, status)
