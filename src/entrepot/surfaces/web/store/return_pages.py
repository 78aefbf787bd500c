"""Send something back: choose units, say why, see what comes of it with its money and date, then the label and the way of the refund."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect
from msgspec import Struct

from entrepot.aftersales.model import Outcome, Return, ReturnChoice, ReturnState, UnknownReturnError
from entrepot.aftersales.policy import ReturnAnswerCode
from entrepot.aftersales.refunds import list_refunds_of_orders
from entrepot.aftersales.store import read_returns
from entrepot.base.sql import Conn
from entrepot.flows.preview_back import ForeseenReturn, foresee_return
from entrepot.flows.return_goods import ReturnWish, WishAnswer, ask_returns, send_back
from entrepot.orders.model import Order
from entrepot.surfaces.web.access import BUYERS, FormDep, Visitor, VisitorDep, actor_of, open_to
from entrepot.surfaces.web.house import House, HouseDep, business_now
from entrepot.surfaces.web.languages import mark
from entrepot.surfaces.web.order_view import read_buyer_view
from entrepot.surfaces.web.render import page
from entrepot.surfaces.web.square_code import square_code
from entrepot.surfaces.web.store.chosen_units import NOTHING_CHOSEN, read_own_order, read_sent_units
from entrepot.surfaces.web.store.order_pages import own_order

REASONS: Final = (
    ("changed_mind", mark("I no longer want it")),
    ("too_small", mark("Too small")),
    ("too_large", mark("Too large")),
    ("not_as_described", mark("Not as described")),
    ("damaged", mark("Arrived damaged")),
    ("defective", mark("Does not work")),
    ("wrong_item", mark("Not what I ordered")),
    ("other", mark("Another reason")),
)
_CHOICES: Final = (
    (ReturnChoice.RETURN, mark("Send it back"), mark("You print a label or show a code; the money goes out when it has arrived.")),
    (
        ReturnChoice.DESTROY,
        mark("Destroy it where it is"),
        mark("Where sending it back costs more than it is worth: you keep nothing usable, and no parcel travels."),
    ),
)
_FAULTS: Final[Mapping[str, str]] = {
    ReturnAnswerCode.TOO_LATE: mark("The days in which this could be returned are over. Write to the seller instead."),
    ReturnAnswerCode.NOT_DELIVERED: mark("This has not arrived yet."),
    ReturnAnswerCode.NOT_RELEASED: mark("Customs has not released this yet."),
    ReturnAnswerCode.MORE_THAN_DELIVERED: mark("More than arrived, or than is not on its way back already."),
    ReturnAnswerCode.NOT_RETURNABLE: mark("This kind of goods cannot be returned. Write to the seller instead."),
    ReturnAnswerCode.NO_POLICY: mark("No return policy is in force for this. Write to the seller instead."),
    Outcome.UNKNOWN: mark("This is not part of the order."),
}
_ACCEPTED: Final = frozenset({str(ReturnState.REQUESTED), str(Outcome.EXISTS)})
_NO_CHOICE: Final = mark("Choose what is to become of it.")
_REQUESTED, _APPROVED, _SENT = mark("Requested"), mark("Approved"), mark("Sent")
_RECEIVED, _PAID = mark("Received"), mark("Refunded")


class Foreseen(Struct, frozen=True):
    """One of the outcomes that are offered."""

    code: str
    title: str
    hint: str
    outcome: ForeseenReturn


@get("/orders/{merchant_id:uuid}/{order_id:uuid}/return", opt=open_to(BUYERS))
async def show_return_form(house: HouseDep, visitor: VisitorDep, merchant_id: FromPath[uuid.UUID], order_id: FromPath[uuid.UUID]) -> Response[str]:
    """Show what of an order can be sent back."""
    order, empty = await read_own_order(house, visitor, merchant_id, order_id)
    return await _form_page(house, visitor, order, empty.shown)


@post("/orders/{merchant_id:uuid}/{order_id:uuid}/return", status_code=200, opt=open_to(BUYERS))
async def ask_for_return(
    house: HouseDep, visitor: VisitorDep, merchant_id: FromPath[uuid.UUID], order_id: FromPath[uuid.UUID], form: FormDep
) -> Response[str] | Redirect:
    """Show what comes of sending the chosen units back, then ask for it: all of them or none."""
    async with house.database.reading() as conn:
        order = await own_order(conn, visitor, merchant_id, order_id)
    asked = read_sent_units(form, visitor.language, dict(REASONS))
    units, reason, key, sent = asked.units, asked.reason, asked.key, asked.shown
    is_confirmed, choice = form.get("step") == "confirm", form.get("choice", "")
    _ = visitor.language.gettext
    if asked.faults:
        return await _form_page(house, visitor, order, {**sent, "faults": asked.faults}, 422)
    wishes = {str(one): ReturnWish(merchant_id, order_id, tuple(units.items()), reason, key, one) for one, _, _ in _CHOICES}
    offered = await _foresee(house, wishes) if choice != ReturnChoice.RETURN or not is_confirmed else {}
    if offered and not (is_confirmed and choice in wishes and offered[choice].is_allowed):
        allowed = [Foreseen(str(code), _(title), _(hint), offered[code]) for code, title, hint in _CHOICES if offered[code].is_allowed]
        faults = {} if allowed else {"units": _(_FAULTS.get(offered[ReturnChoice.RETURN].code, NOTHING_CHOSEN))}
        faults |= {"choice": _(_NO_CHOICE)} if allowed and is_confirmed else {}
        return await _form_page(
            house, visitor, order, {**sent, "faults": faults, "offered": allowed}, 422 if is_confirmed else 200 if allowed else 409
        )
    answer = await _ask(house, visitor, wishes[choice])
    if answer.code not in _ACCEPTED:
        return await _form_page(house, visitor, order, {**sent, "faults": {"units": _(_FAULTS.get(answer.code, NOTHING_CHOSEN))}}, 409)
    if len(answer.rma_ids) == 1:
        return Redirect(f"/returns/{merchant_id}/{answer.rma_ids[0]}", status_code=303)
    return Redirect(f"/orders/{merchant_id}/{order_id}#returns", status_code=303)


@get("/returns/{merchant_id:uuid}/{rma_id:uuid}", opt=open_to(BUYERS))
async def show_return(house: HouseDep, visitor: VisitorDep, merchant_id: FromPath[uuid.UUID], rma_id: FromPath[uuid.UUID]) -> Response[str]:
    """Show a return's label and how far it is; another's does not exist."""
    async with house.database.reading() as conn:
        found = await _own_return(conn, visitor, merchant_id, rma_id)
        order = await own_order(conn, visitor, merchant_id, found.order_id)
        outside = await house.outside.current(conn, await business_now(conn))
        view = await read_buyer_view(conn, order, house.registry, visitor.language)
        refunds = [one for one in await list_refunds_of_orders(conn, merchant_id, [order.order_id]) if one.refund.cause_id == rma_id]
    place = outside.reference.network.places.get(found.place_code or "")
    values: dict[str, object] = {
        "found": found,
        "order": order,
        "titles": {one.line.line_no: one.title for one in view.lines},
        "reasons": dict(REASONS),
        "place": place,
        "refunds": refunds,
        "paid_back": sum(line.amounts.total_minor for one in refunds for line in one.refund.lines),
        "way": _way(found, [one.settled_at for one in refunds if one.settled_at is not None]),
        "picture": square_code(str(rma_id), visitor.language.gettext("Return label"))
        if found.state is ReturnState.APPROVED and found.choice is ReturnChoice.RETURN
        else None,
        "is_moving": found.state not in {ReturnState.CLOSED, ReturnState.CANCELLED, ReturnState.REFUSED},
    }
    return page("store/return.html", visitor, values)


@post("/returns/{merchant_id:uuid}/{rma_id:uuid}/sent", status_code=200, opt=open_to(BUYERS))
async def note_sent(house: HouseDep, visitor: VisitorDep, merchant_id: FromPath[uuid.UUID], rma_id: FromPath[uuid.UUID], form: FormDep) -> Redirect:
    """Note that the buyer handed the parcel in; told twice it is noted once."""
    _ = form
    async with house.database.reading() as conn:
        await _own_return(conn, visitor, merchant_id, rma_id)

    async def send(conn: Conn) -> None:
        now = await business_now(conn)
        await send_back(conn, await house.outside.current(conn, now), [(merchant_id, rma_id)], actor_of(visitor), now)

    await house.database.writing(send)
    return Redirect(f"/returns/{merchant_id}/{rma_id}", status_code=303)


async def _own_return(conn: Conn, visitor: Visitor, merchant_id: uuid.UUID, rma_id: uuid.UUID) -> Return:
    found = (await read_returns(conn, [(merchant_id, rma_id)])).get((merchant_id, rma_id))
    if found is None or visitor.person_id is None or found.person_id != visitor.person_id:
        raise UnknownReturnError("rma_id", str(rma_id), "Open it from your order.")
    return found


async def _foresee(house: House, wishes: Mapping[str, ReturnWish]) -> dict[str, ForeseenReturn]:
    async def foresee(conn: Conn) -> dict[str, ForeseenReturn]:
        now = await business_now(conn)
        outside = await house.outside.current(conn, now)
        return {code: await foresee_return(conn, outside, wish, now) for code, wish in wishes.items()}

    return await house.database.writing(foresee)


async def _ask(house: House, visitor: Visitor, wish: ReturnWish) -> WishAnswer:
    async def ask(conn: Conn) -> WishAnswer:
        now: datetime = await business_now(conn)
        return (await ask_returns(conn, await house.outside.current(conn, now), [wish], actor_of(visitor), now))[0]

    return await house.database.writing(ask)


async def _form_page(house: House, visitor: Visitor, order: Order, values: Mapping[str, object], status: int = 200) -> Response[str]:
    async with house.database.reading() as conn:
        view = await read_buyer_view(conn, order, house.registry, visitor.language)
    shown: dict[str, object] = {"faults": {}, "offered": [], "order": order, "view": view, "reasons": REASONS, **values}
    return page("store/return_form.html", visitor, shown, status)


def _way(found: Return, paid_at: Sequence[datetime]) -> list[tuple[str, str]]:
    """Return the steps of a return from its wish to its money."""
    if found.state in {ReturnState.REFUSED, ReturnState.CANCELLED}:
        label = mark("Refused") if found.state is ReturnState.REFUSED else mark("Cancelled")
        return [(_REQUESTED, "done"), (label, "stopped")]
    is_sent = found.choice is ReturnChoice.RETURN
    labels = [_REQUESTED, _APPROVED, *([_SENT, _RECEIVED] if is_sent else []), _PAID]
    reached = {
        ReturnState.REQUESTED: _REQUESTED,
        ReturnState.APPROVED: _APPROVED,
        ReturnState.IN_TRANSIT: _SENT,
        ReturnState.RECEIVED: _RECEIVED,
        ReturnState.GRADED: _RECEIVED,
    }.get(found.state, _PAID)
    place = len(labels) if paid_at else labels.index(reached)
    return [(label, "done" if number < place else "now" if number == place else "open") for number, label in enumerate(labels)]
