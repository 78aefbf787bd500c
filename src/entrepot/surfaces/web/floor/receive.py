"""Receive: scan the delivery or a box of it, scan an item, say how many; the page shows what was expected and what came."""

import uuid
from collections.abc import Sequence
from typing import Final

from litestar import Response, get, post
from litestar.datastructures import MultiDict
from litestar.params import FromPath, FromQuery
from msgspec import Struct

from entrepot.base.sql import Conn
from entrepot.flows.inbound import close, receive, undo_scan
from entrepot.parties.store import read_merchants
from entrepot.surfaces.web.access import FLOOR, FormDep, VisitorDep, open_to
from entrepot.surfaces.web.floor.goods import Goods, read_goods
from entrepot.surfaces.web.floor.shift import OK, STOP, UNDO_WORD, Said, Shift, at_work, code_of, floor_page, is_word, scan_key, tick, writing
from entrepot.surfaces.web.house import HouseDep
from entrepot.surfaces.web.languages import mark
from entrepot.warehouse.at_place import PlanProgress, find_deliveries, list_deliveries, read_deliveries
from entrepot.warehouse.inbound import InboundLine, PlanRef, may_be_scanned
from entrepot.warehouse.model import NO_LOT, PlanState, StepOutcome
from entrepot.warehouse.readers import read_plan_lines
from entrepot.warehouse.receive import DockScan
from entrepot.warehouse.scanning import ScanKind, ScanOutcome
from entrepot.warehouse.trail import last_of_device, read_trail, values_of
from entrepot.warehouse.undo import Undo

_MOST_PLANS: Final = 100
_MOST_UNITS: Final = 99_999
DAMAGE_REASONS: Final = (
    ("crushed", mark("Crushed")),
    ("wet", mark("Wet")),
    ("broken", mark("Broken")),
    ("opened", mark("Opened")),
    ("expired", mark("Out of date")),
)
"""Why units are taken as damaged."""


class Answer(Struct, frozen=True):
    """What a step led to: what is said, and the line and box that are now in hand."""

    said: Said
    line_no: int | None = None
    box_no: int | None = None
    asks_close: bool = False


@get("/floor/receive", opt=open_to(FLOOR))
async def show_deliveries(house: HouseDep, visitor: VisitorDep) -> Response[str]:
    """Show what the place expects."""
    async with house.database.reading() as conn:
        shift = await at_work(conn, house, visitor)
        return await _list_page(conn, shift, Said())


@post("/floor/receive", status_code=200, opt=open_to(FLOOR))
async def scan_delivery(house: HouseDep, visitor: VisitorDep, form: FormDep) -> Response[str]:
    """Find the delivery, or the box of one, that was scanned."""
    async with house.database.reading() as conn:
        shift = await at_work(conn, house, visitor)
        code, box_no = _box_of(code_of(form))
        found = await find_deliveries(conn, shift.place.place_code, code)
        if len(found) != 1:
            _ = visitor.language.gettext
            text = _("No delivery to this place has the number %(code)s. Put it aside and ask at the problem desk.", code=code_of(form))
            return await _list_page(conn, shift, Said(STOP, text))
        return await _plan_page(conn, shift, found[0], Answer(Said(), None, box_no))


@get("/floor/receive/{merchant_id:uuid}/{plan_id:uuid}", opt=open_to(FLOOR))
async def show_delivery(
    house: HouseDep,
    visitor: VisitorDep,
    merchant_id: FromPath[uuid.UUID],
    plan_id: FromPath[uuid.UUID],
    line: FromQuery[int | None] = None,
    box: FromQuery[int | None] = None,
) -> Response[str]:
    """Show a delivery, ready for the next item."""
    async with house.database.reading() as conn:
        shift = await at_work(conn, house, visitor)
        return await _plan_page(conn, shift, PlanRef(merchant_id, plan_id), Answer(Said(), line, box))


@post("/floor/receive/{merchant_id:uuid}/{plan_id:uuid}", status_code=200, opt=open_to(FLOOR))
async def scan_into_delivery(
    house: HouseDep, visitor: VisitorDep, form: FormDep, merchant_id: FromPath[uuid.UUID], plan_id: FromPath[uuid.UUID]
) -> Response[str]:
    """Take an item's scan, its count, an undo or the end of the delivery."""
    ref = PlanRef(merchant_id, plan_id)

    async def step(conn: Conn, shift: Shift) -> Response[str]:
        if not await read_deliveries(conn, shift.place.place_code, [ref]):
            return await _list_page(conn, shift, Said(STOP, visitor.language.gettext("This delivery goes to another place.")))
        do, code = form.get("do", ""), code_of(form)
        if do == "undo" or is_word(code, UNDO_WORD):
            answer = await _undo(conn, shift, ref, form)
        elif do == "count":
            answer = await _count(conn, shift, ref, form)
        elif do == "close":
            return await _close(conn, shift, ref)
        else:
            answer = await _item(conn, shift, ref, form, code)
        return await _plan_page(conn, shift, ref, answer)

    return await writing(house, visitor, step)


async def _item(conn: Conn, shift: Shift, ref: PlanRef, form: MultiDict[str], code: str) -> Answer:
    """Find the line of the item that was scanned; one lot after the other where there are several."""
    _ = shift.visitor.language.gettext
    box_no = _number(form.get("box", ""))
    lines = await read_plan_lines(conn, ref)
    named, other_box = _box_of(code)
    if other_box is not None and str(ref.plan_id).endswith(named.lower()):
        return Answer(Said(OK, _("Box %(number)s. Scan what is in it.", number=other_box)), None, other_box)
    goods = await read_goods(conn, shift.visitor.language, [(ref.merchant_id, line.stock_item_id) for line in lines])
    fitting = [line for line in lines if goods[line.stock_item_id].is_called(code) or line.lot_code.upper() == code.upper()]
    if not fitting:
        return Answer(Said(STOP, _("%(code)s is not in this delivery. Put it on the problem shelf.", code=code)), None, box_no)
    waiting = [line for line in fitting if line.missing] or fitting
    return Answer(Said(), waiting[0].line_no, box_no)


async def _count(conn: Conn, shift: Shift, ref: PlanRef, form: MultiDict[str]) -> Answer:
    """Book how many came, good and damaged."""
    _ = shift.visitor.language.gettext
    line_no, box_no = _number(form.get("line", "")), _number(form.get("box", ""))
    good, damaged = _number(form.get("good", "") or "0"), _number(form.get("damaged", "") or "0")
    if good is None or damaged is None or good + damaged == 0:
        return Answer(Said(STOP, _("Write how many there are, as a number from 1 to %(most)s.", most=_MOST_UNITS)), line_no, box_no)
    reason = form.get("reason", "")
    if damaged and reason not in dict(DAMAGE_REASONS):
        return Answer(Said(STOP, _("Say what is wrong with the damaged ones.")), line_no, box_no)
    scan = DockScan(scan_key(shift, form), shift.now, ref.merchant_id, ref.plan_id, line_no or 0, good, damaged, box_no, reason if damaged else "")
    (result,) = await receive(conn, [scan], shift.actor, shift.now)
    if result.outcome is ScanOutcome.NEW and result.receipt is not None:
        over = result.receipt.over_good + result.receipt.over_damaged
        text = _("%(good)s good, %(damaged)s damaged.", good=good, damaged=damaged) if damaged else _("%(good)s good.", good=good)
        return Answer(Said(OK, text + (" " + _("%(over)s more than announced.", over=over) if over else "")), None, box_no)
    if result.outcome is ScanOutcome.EXISTS:
        return Answer(Said(OK, _("This count is booked already.")), None, box_no)
    return Answer(Said(STOP, _("This delivery cannot be counted now. Nothing was booked.")), None, box_no)


async def _undo(conn: Conn, shift: Shift, ref: PlanRef, form: MultiDict[str]) -> Answer:
    """Take the last count back."""
    _ = shift.visitor.language.gettext
    scan = tick(shift, form, ScanKind.UNDO, (ref.merchant_id, ref.plan_id), "")
    work = await undo_scan(conn, Undo(scan, ScanKind.DOCK), shift.actor, shift.now)
    if work.undone is not None and work.outcome is ScanOutcome.NEW:
        values = values_of(work.undone)
        units = int(values["good"]) + int(values["damaged"])
        return Answer(Said("note", _("Undone: %(units)s units. Count them again.", units=units)), int(values["line"]))
    if work.outcome is ScanOutcome.EXISTS:
        return Answer(Said("note", _("That is undone already.")))
    if work.undone is not None:
        return Answer(Said(STOP, _("These units went on to a bin. Take the stow back first.")))
    return Answer(Said(STOP, _("You have counted nothing here that could be undone.")))


async def _close(conn: Conn, shift: Shift, ref: PlanRef) -> Response[str]:
    """End the delivery: what did not come is booked as not delivered."""
    _ = shift.visitor.language.gettext
    (done,) = await close(conn, [ref], shift.actor, shift.now)
    missing = sum(line.quantity for line in done.undelivered)
    if done.outcome is StepOutcome.DONE:
        said = Said(OK, _("Delivery closed. %(missing)s units did not come.", missing=missing) if missing else _("Delivery closed. Everything came."))
    elif done.outcome is StepOutcome.EXISTS:
        said = Said(OK, _("This delivery is closed already."))
    else:
        said = Said(STOP, _("This delivery cannot be closed now."))
    return await _list_page(conn, shift, said)


async def _list_page(conn: Conn, shift: Shift, said: Said) -> Response[str]:
    found = await list_deliveries(conn, shift.place.place_code, _MOST_PLANS)
    merchants = await read_merchants(conn, sorted({one.plan.ref.merchant_id for one in found}))
    names = {merchant_id: one.name for merchant_id, one in merchants.items()}
    return floor_page("floor/deliveries.html", shift, said, {"deliveries": found, "names": names}, "/floor/receive")


async def _plan_page(conn: Conn, shift: Shift, ref: PlanRef, answer: Answer) -> Response[str]:
    """Show a delivery: the next scan, or the count of the item in hand."""
    delivery = next(iter(await read_deliveries(conn, shift.place.place_code, [ref])), None)
    if delivery is None:
        return await _list_page(conn, shift, Said(STOP, shift.visitor.language.gettext("This delivery goes to another place.")))
    lines = await read_plan_lines(conn, ref)
    goods = await read_goods(conn, shift.visitor.language, [(ref.merchant_id, line.stock_item_id) for line in lines])
    trail = await read_trail(conn, shift.place.place_code, ref.merchant_id, ref.plan_id)
    merchants = await read_merchants(conn, [ref.merchant_id])
    address = f"/floor/receive/{ref.merchant_id}/{ref.plan_id}"
    values: dict[str, object] = {
        "delivery": delivery,
        "lines": lines,
        "goods": goods,
        "line": next((line for line in lines if line.line_no == answer.line_no), None) if _may_count(delivery) else None,
        "box_no": answer.box_no,
        "may_count": _may_count(delivery),
        "may_undo": delivery.plan.state is PlanState.RECEIVING and last_of_device(trail, shift.device, ScanKind.DOCK) is not None,
        "merchant_name": merchants[ref.merchant_id].name,
        "reasons": DAMAGE_REASONS,
        "no_lot": NO_LOT,
        "address": address,
        "ordered": _ordered(lines, goods),
    }
    return floor_page("floor/receive.html", shift, answer.said, values, address)


def _may_count(delivery: PlanProgress) -> bool:
    return may_be_scanned(delivery.plan)


def _ordered(lines: Sequence[InboundLine], goods: Goods) -> list[InboundLine]:
    """Return lines with what is missing first, then by SKU."""
    return sorted(lines, key=lambda line: (not line.missing, goods[line.stock_item_id].sku, line.lot_code))


def _box_of(code: str) -> tuple[str, int | None]:
    """Return a delivery's code and the box number behind a slash or a full stop, if one was scanned."""
    head, sign, number = code.replace("/", ".").rpartition(".")
    return (head, int(number)) if sign and number.isdecimal() and len(number) < 6 else (code, None)


def _number(text: str) -> int | None:
    """Return a count that somebody wrote, if it is one."""
    cleaned = text.strip()
    return int(cleaned) if cleaned.isascii() and cleaned.isdecimal() and int(cleaned[:6]) <= _MOST_UNITS and len(cleaned) < 6 else None
