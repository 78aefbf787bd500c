"""What buyers send back: returns to decide on, on their way and at the merchant's site, and one of them with what is to be done."""

import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from litestar import Response, get, post
from litestar.datastructures import MultiDict
from litestar.params import FromPath
from litestar.response import Redirect, Stream
from msgspec import Struct

from entrepot.aftersales.model import Outcome, Return, ReturnLine, ReturnState, ReturnUnits
from entrepot.aftersales.store import list_returns, read_returns
from entrepot.base.errors import ConflictError, UnknownReferenceError
from entrepot.base.sql import Conn
from entrepot.flows.return_goods import BackReceipt, Graded, ReturnVerdict, Verdict, decide_returns, grade_back, receive_back
from entrepot.operations.model import Role
from entrepot.orders.read import read_lines, read_orders
from entrepot.surfaces.web.access import MERCHANTS, FormDep, Visitor, VisitorDep, WebRequest, actor_of, open_to
from entrepot.surfaces.web.grading_words import DISPOSITIONS, GRADES, grading_fault
from entrepot.surfaces.web.house import House, HouseDep, business_now
from entrepot.surfaces.web.languages import Language, mark
from entrepot.surfaces.web.listing import Ask, Cell, Column, Filter, Found, Kind, Listing, Row, View, answer_listing, list_query, sift
from entrepot.surfaces.web.merchant.own import led_to, merchant_of, told_by
from entrepot.surfaces.web.render import page
from entrepot.surfaces.web.words import plain_words
from entrepot.warehouse.grading import Disposition, Grade

RETURNS: Final = "/merchant/returns"
_MOST: Final = 1000
_NOTE_LENGTH: Final = 200
LIST: Final = Listing(
    "returns",
    RETURNS,
    (
        Column("order", mark("Order")),
        Column("state", mark("State"), Kind.STATE),
        Column("units", mark("Units"), Kind.NUMBER),
        Column("reason", mark("Reason"), Kind.WORDS),
        Column("asked", mark("Asked"), Kind.TIME, is_sortable=True),
        Column("until", mark("To be sent by"), Kind.TIME),
        Column("taker", mark("Who takes it"), Kind.WORDS),
    ),
    (Filter("state", mark("Any state"), tuple((str(state), plain_words(state)) for state in ReturnState)),),
    (
        View("decide", mark("To decide"), {"state": str(ReturnState.REQUESTED)}),
        View("coming", mark("On the way"), {"state": str(ReturnState.IN_TRANSIT)}),
        View("grade", mark("To grade"), {"state": str(ReturnState.RECEIVED)}),
    ),
    sort="-asked",
)


class ReturnNotYoursError(UnknownReferenceError):
    """No return of yours has this id; open it from your list."""


class ReturnNotToDecideError(ConflictError):
    """Somebody else takes this return, or it stands elsewhere by now; open it again to see what is to be done."""


class Faults(Struct, frozen=True):
    """What is wrong with a form that came back: a text for the whole of it and by part, and what was written."""

    text: str = ""
    by_part: Mapping[str, str] = {}
    sent: Mapping[str, str] = {}


@get(RETURNS, opt=open_to(MERCHANTS))
async def show_own_returns(request: WebRequest, house: HouseDep, visitor: VisitorDep) -> Response[str] | Stream:
    """Show what buyers send back."""
    merchant_id = merchant_of(visitor)
    async with house.database.reading() as conn:
        now = await business_now(conn)
        found = await list_returns(conn, merchant_id, list(ReturnState), now + timedelta(days=1), _MOST)
        orders = {one.order_id: one.number for one in await read_orders(conn, [merchant_id] * len(found), [one.order_id for one in found])}
    rows = [_row(one, orders.get(one.order_id, "")) for one in found]

    async def find(ask: Ask, limit: int, offset: int) -> Found:
        return sift(LIST, ask, rows, limit, offset)

    return await answer_listing("merchant/returns.html", visitor, house, LIST, list_query(request), find, {"told": told_by(request)})


def _row(one: Return, number: str) -> Row:
    return Row(
        str(one.rma_id),
        {
            "order": Cell(number, href=f"{RETURNS}/{one.rma_id}"),
            "state": Cell(str(one.state)),
            "units": Cell(sum(line.quantity for line in one.lines)),
            "reason": Cell(one.reason_code),
            "asked": Cell(one.asked_at),
            "until": Cell(one.deadline_at),
            "taker": Cell(one.taker_role),
        },
    )


@get(f"{RETURNS}/{{rma_id:uuid}}", opt=open_to(MERCHANTS))
async def show_own_return(house: HouseDep, visitor: VisitorDep, rma_id: FromPath[uuid.UUID]) -> Response[str]:
    """Show one return with what is to be done."""
    return await _show(house, visitor, rma_id, Faults())


@post(f"{RETURNS}/{{rma_id:uuid}}/decide", status_code=200, opt=open_to(MERCHANTS))
async def decide_own_return(house: HouseDep, visitor: VisitorDep, form: FormDep, rma_id: FromPath[uuid.UUID]) -> Response[str] | Redirect:
    """Approve a return, or refuse it with a reason that the buyer reads; again it changes nothing."""
    merchant_id, note = merchant_of(visitor), form.get("note", "").strip()[:_NOTE_LENGTH]
    if form.get("verdict") not in set(Verdict):
        return await _show(house, visitor, rma_id, Faults(visitor.language.gettext("Choose whether it may come back."), sent={"note": note}), 422)
    verdict = Verdict(form["verdict"])
    if verdict is Verdict.REFUSE and not note:
        return await _show(house, visitor, rma_id, Faults(visitor.language.gettext("Say why it may not come back; the buyer reads it.")), 422)

    async def decide(conn: Conn) -> Outcome:
        now = await business_now(conn)
        _require_ours(await _read(conn, merchant_id, rma_id))
        outside = await house.outside.current(conn, now)
        return (await decide_returns(conn, outside, [ReturnVerdict(merchant_id, rma_id, verdict, note)], actor_of(visitor), now))[0]

    return _led(rma_id, await house.database.writing(decide), "approved" if verdict is Verdict.APPROVE else "return_refused")


@post(f"{RETURNS}/{{rma_id:uuid}}/receive", status_code=200, opt=open_to(MERCHANTS))
async def receive_own_return(house: HouseDep, visitor: VisitorDep, form: FormDep, rma_id: FromPath[uuid.UUID]) -> Response[str] | Redirect:
    """Count what came to the merchant's own site, grade it and pay the buyer back; again it changes nothing."""
    merchant_id = merchant_of(visitor)

    async def receive(conn: Conn) -> Outcome | Faults:
        now = await business_now(conn)
        stored = await _read(conn, merchant_id, rma_id)
        _require_ours(stored)
        came, found, faults = _counted(visitor.language, stored, form)
        if faults.text:
            return faults
        outside = await house.outside.current(conn, now)
        actor = actor_of(visitor)
        if stored.state is not ReturnState.RECEIVED:
            (outcome,) = await receive_back(conn, outside, [BackReceipt(merchant_id, rma_id, came)], actor, now)
            if outcome is not Outcome.DONE:
                return outcome
        return (await grade_back(conn, outside, found, actor, now))[merchant_id, rma_id]

    outcome = await house.database.writing(receive)
    if isinstance(outcome, Faults):
        return await _show(house, visitor, rma_id, outcome, 422)
    return _led(rma_id, outcome, "graded")


def _led(rma_id: uuid.UUID, outcome: Outcome, done: str) -> Redirect:
    """Lead back to the list, or say that the return stands elsewhere."""
    if outcome not in {Outcome.DONE, Outcome.EXISTS}:
        raise ReturnNotToDecideError("rma_id", str(rma_id), "Open it again from your returns.")
    return led_to(RETURNS, done if outcome is Outcome.DONE else "already")


def _counted(language: Language, stored: Return, form: MultiDict[str]) -> tuple[tuple[ReturnUnits, ...], list[Graded], Faults]:
    """Return what a form says came and how it is, or what is wrong with it."""
    _ = language.gettext
    came: list[ReturnUnits] = []
    found: list[Graded] = []
    faults: dict[str, str] = {}
    for line in stored.lines:
        key, most = part_key(line), line.received if stored.state is ReturnState.RECEIVED else line.quantity
        written = str(most) if stored.state is ReturnState.RECEIVED else form.get(f"came.{key}", "").strip()
        if not (written.isascii() and written.isdecimal() and len(written) < 7 and int(written) <= most):
            faults[key] = _("Write a number from 0 to %(most)s.", most=most)
            continue
        if not int(written):
            continue
        graded, fault = _graded(language, stored, line, int(written), form)
        if graded is None:
            faults[key] = fault
        else:
            came.append(ReturnUnits(line.line_no, line.part_no, graded.quantity))
            found.append(graded)
    text = _("Something needs correcting") if faults else "" if came else _("Count at least one unit; while nothing came, there is nothing to do.")
    return tuple(came), found, Faults(text, faults, {name: form.get(name, "") for name in form})


def _graded(language: Language, stored: Return, line: ReturnLine, units: int, form: MultiDict[str]) -> tuple[Graded | None, str]:
    """Return the grade of one part, or what is wrong with it."""
    _, key = language.gettext, part_key(line)
    grade, disposition, note = (form.get(f"{name}.{key}", "").strip()[:_NOTE_LENGTH] for name in ("grade", "disposition", "note"))
    if grade not in set(Grade) or disposition not in set(Disposition):
        return None, _("Choose a grade and what becomes of it.")
    if fault := grading_fault(language, Grade(grade), Disposition(disposition), note):
        return None, fault
    graded = Graded(
        stored.merchant_id, stored.rma_id, line.line_no, line.part_no, units, Grade(grade), Disposition(disposition), evidence=note or None
    )
    return graded, ""


def part_key(line: ReturnLine) -> str:
    """Return how fields of the form name a part."""
    return f"{line.line_no}.{line.part_no}"


def _require_ours(stored: Return) -> None:
    """Refuse what the platform takes and decides on."""
    if stored.taker_role != Role.MERCHANT:
        raise ReturnNotToDecideError("rma_id", str(stored.rma_id), "The platform takes this return; follow it on the order's page.")


async def _read(conn: Conn, merchant_id: uuid.UUID, rma_id: uuid.UUID) -> Return:
    """Return a return of the merchant; another's does not exist."""
    stored = (await read_returns(conn, [(merchant_id, rma_id)])).get((merchant_id, rma_id))
    if stored is None:
        raise ReturnNotYoursError("rma_id", str(rma_id), "Open it from your list of returns.")
    return stored


async def _show(house: House, visitor: Visitor, rma_id: uuid.UUID, faults: Faults, status: int = 200) -> Response[str]:
    merchant_id = merchant_of(visitor)
    async with house.database.reading() as conn:
        stored = await _read(conn, merchant_id, rma_id)
        skus = {one.line_no: one.sku for one in await read_lines(conn, [merchant_id], [stored.order_id])}
        orders = await read_orders(conn, [merchant_id], [stored.order_id])
    is_ours = stored.taker_role == Role.MERCHANT
    values: dict[str, object] = {
        "stored": stored,
        "number": orders[0].number,
        "units": [(part_key(line), line, skus[line.line_no]) for line in stored.lines],
        "is_ours": is_ours,
        "is_to_decide": is_ours and stored.state is ReturnState.REQUESTED,
        "is_awaited": is_ours and stored.state in {ReturnState.APPROVED, ReturnState.IN_TRANSIT},
        "is_to_grade": is_ours and stored.state is ReturnState.RECEIVED,
        "grades": GRADES,
        "dispositions": DISPOSITIONS,
        "faults": faults,
        "note_length": _NOTE_LENGTH,
    }
    return page("merchant/return.html", visitor, values, status)
