"""Stow: scan what lies at the dock, go to the bin that is proposed, scan the bin that was really used."""

import uuid
from collections.abc import Sequence
from typing import Final

from litestar import Response, get, post
from litestar.datastructures import MultiDict
from litestar.params import FromQuery
from msgspec import Struct

from entrepot.base.sql import Conn
from entrepot.books.stock.model import UnitsNotThereError
from entrepot.flows.floor_steps import propose_bins
from entrepot.flows.inbound import stow, undo_scan
from entrepot.surfaces.web.access import FLOOR, FormDep, VisitorDep, open_to
from entrepot.surfaces.web.floor.goods import read_goods
from entrepot.surfaces.web.floor.shift import OK, STOP, UNDO_WORD, Said, Shift, at_work, code_of, floor_page, is_word, scan_key, tick, writing
from entrepot.surfaces.web.house import HouseDep
from entrepot.surfaces.web.languages import mark
from entrepot.warehouse.at_place import list_to_stow
from entrepot.warehouse.binning import StowChoice, StowReason
from entrepot.warehouse.inbound import InboundLine
from entrepot.warehouse.model import DAMAGED, NO_LOT, SELLABLE
from entrepot.warehouse.scanning import ScanKind, ScanOutcome
from entrepot.warehouse.stow import StowScan
from entrepot.warehouse.undo import Undo

_MOST: Final = 200
_MOST_UNITS: Final = 99_999
REASONS: Final = {
    StowReason.SAME_LOT: mark("The same lot lies there already."),
    StowReason.EMPTY_BIN: mark("The bin is empty."),
    StowReason.ROOM_LEFT: mark("There is room left, and no other lot of it."),
    StowReason.NO_ROOM: mark("No bin has room. Choose one and tell your manager."),
}
"""Why a bin is proposed, in words."""


class InHand(Struct, frozen=True):
    """Units that the stower carries: a line of a delivery in a condition, and how many."""

    line: InboundLine
    condition_code: str
    quantity: int

    @property
    def key(self) -> str:
        """How forms name it."""
        return f"{self.line.ref.merchant_id}:{self.line.ref.plan_id}:{self.line.line_no}:{self.condition_code}"


class Answer(Struct, frozen=True):
    """What a step led to: what is said, what is in hand now, and the delivery that was stowed last, for an undo."""

    said: Said
    key: str = ""
    quantity: int | None = None
    last: str = ""


@get("/floor/stow", opt=open_to(FLOOR))
async def show_stow(house: HouseDep, visitor: VisitorDep, take: FromQuery[str] = "") -> Response[str]:
    """Show what waits at the dock; `take` is what the stower took in hand."""
    async with house.database.reading() as conn:
        shift = await at_work(conn, house, visitor)
        return await _page(conn, shift, Answer(Said(), take))


@post("/floor/stow", status_code=200, opt=open_to(FLOOR))
async def scan_stow(house: HouseDep, visitor: VisitorDep, form: FormDep) -> Response[str]:
    """Take the scan of an item, then of a bin, or an undo."""

    async def step(conn: Conn, shift: Shift) -> Response[str]:
        code = code_of(form)
        if form.get("do") == "undo" or is_word(code, UNDO_WORD):
            answer = await _undo(conn, shift, form)
        elif form.get("take"):
            answer = await _bin(conn, shift, form, code)
        else:
            answer = await _item(conn, shift, form, code)
        return await _page(conn, shift, answer)

    try:
        return await writing(house, visitor, step)
    except UnitsNotThereError:
        async with house.database.reading() as conn:
            text = visitor.language.gettext("These units are promised or moved already. They stay where they are.")
            return await _page(conn, await at_work(conn, house, visitor), Answer(Said(STOP, text), last=form.get("last", "")))


async def _item(conn: Conn, shift: Shift, form: MultiDict[str], code: str) -> Answer:
    """Take in hand what was scanned at the dock."""
    _ = shift.visitor.language.gettext
    waiting = in_hand(await list_to_stow(conn, shift.place.place_code, _MOST))
    goods = await read_goods(conn, shift.visitor.language, [(one.line.ref.merchant_id, one.line.stock_item_id) for one in waiting])
    fitting = [one for one in waiting if goods[one.line.stock_item_id].is_called(code) or one.line.lot_code.upper() == code.upper()]
    if not fitting:
        return Answer(Said(STOP, _("Nothing called %(code)s waits at the dock.", code=code)), last=form.get("last", ""))
    return Answer(Said(), fitting[0].key, last=form.get("last", ""))


async def _bin(conn: Conn, shift: Shift, form: MultiDict[str], code: str) -> Answer:
    """Put what is in hand into the bin that was scanned."""
    _ = shift.visitor.language.gettext
    taken = form.get("take", "")
    one = next((one for one in in_hand(await list_to_stow(conn, shift.place.place_code, _MOST)) if one.key == taken), None)
    written = form.get("quantity", "").strip()
    quantity = int(written) if written.isascii() and written.isdecimal() and len(written) < 6 else 0
    if one is None:
        return Answer(Said(STOP, _("These units wait here no more. Scan the next item.")))
    if not 0 < quantity <= one.quantity:
        return Answer(Said(STOP, _("Write how many you stow, as a number from 1 to %(most)s.", most=one.quantity)), taken)
    bin_code, ref = code.upper().removeprefix("BIN:"), one.line.ref
    scan = StowScan(scan_key(shift, form), shift.now, ref.merchant_id, ref.plan_id, one.line.line_no, one.condition_code, quantity, bin_code)
    (result,) = await stow(conn, [scan], shift.now)
    last = f"{ref.merchant_id}:{ref.plan_id}"
    if result.outcome in {ScanOutcome.NEW, ScanOutcome.EXISTS}:
        return Answer(Said(OK, _("%(units)s in %(bin)s.", units=quantity, bin=bin_code)), last=last)
    if result.outcome is ScanOutcome.UNKNOWN_BIN:
        return Answer(Said(STOP, _("%(code)s is no bin of this place. Scan the sign at the bin.", code=code)), taken, quantity)
    return Answer(Said(STOP, _("That could not be stowed. Scan the item again.")))


async def _undo(conn: Conn, shift: Shift, form: MultiDict[str]) -> Answer:
    """Take the last stow back to the dock."""
    _ = shift.visitor.language.gettext
    merchant, sign, plan = form.get("last", "").partition(":")
    if form.get("take"):
        return Answer(Said("note", _("Put back to the dock. Scan the next item.")), last=form.get("last", ""))
    try:
        subject = (uuid.UUID(merchant), uuid.UUID(plan))
    except ValueError:
        _ = shift.visitor.language.gettext
        return Answer(Said(STOP, _("You have stowed nothing that could be undone.")))
    _ = shift.visitor.language.gettext
    work = await undo_scan(conn, Undo(tick(shift, form, ScanKind.UNDO, subject, ""), ScanKind.STOW), shift.actor, shift.now)
    if work.outcome is ScanOutcome.NEW:
        return Answer(Said("note", _("Undone. The units are at the dock again.")), last=f"{merchant}{sign}{plan}")
    if work.outcome is ScanOutcome.EXISTS:
        return Answer(Said("note", _("That is undone already.")))
    return Answer(Said(STOP, _("You have stowed nothing that could be undone.")))


def in_hand(lines: Sequence[InboundLine]) -> list[InHand]:
    """Return what waits at the dock by line and condition."""
    return [InHand(line, code, line.to_stow(code)) for line in lines for code in (SELLABLE, DAMAGED) if line.to_stow(code)]


async def _page(conn: Conn, shift: Shift, answer: Answer) -> Response[str]:
    """Show the dock, or the bin to go to with what is in hand."""
    lines = await list_to_stow(conn, shift.place.place_code, _MOST)
    waiting = in_hand(lines)
    one = next((one for one in waiting if one.key == answer.key), None)
    goods = await read_goods(conn, shift.visitor.language, [(line.ref.merchant_id, line.stock_item_id) for line in lines])
    choices: list[StowChoice] = []
    if one is not None:
        proposed = await propose_bins(conn, shift.place.place_code, [one.line])
        choices = [choice for choice in proposed if choice.need.goods.condition_code == one.condition_code]
    values: dict[str, object] = {
        "waiting": waiting,
        "one": one,
        "goods": goods,
        "choices": choices,
        "reasons": REASONS,
        "quantity": answer.quantity or (choices[0].quantity if choices else 0),
        "last": answer.last,
        "no_lot": NO_LOT,
        "damaged": DAMAGED,
    }
    return floor_page("floor/stow.html", shift, answer.said, values, "/floor/stow")
