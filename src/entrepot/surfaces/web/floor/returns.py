"""Returns bench: scan the return, count what came, look at it, grade it, decide, scan the bin it goes to."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Final

from litestar import Response, get, post
from litestar.datastructures import MultiDict
from litestar.params import FromPath
from msgspec import Struct

from entrepot.aftersales.model import Outcome, Return, ReturnLine, ReturnState, ReturnUnits
from entrepot.aftersales.store import find_returns_at, list_returns_at, read_returns
from entrepot.base.errors import EntrepotError
from entrepot.base.named import as_id
from entrepot.base.sql import Conn
from entrepot.flows.floor_steps import propose_bins_for
from entrepot.flows.return_goods import BackReceipt, Graded, grade_back, receive_back
from entrepot.freight.read import read_parcels
from entrepot.freight.track import find_parcels
from entrepot.orders.find import find_orders
from entrepot.orders.model import Order
from entrepot.orders.read import read_lines, read_orders
from entrepot.surfaces.web.access import FLOOR, FormDep, Visitor, VisitorDep, open_to
from entrepot.surfaces.web.floor.goods import Item, read_goods
from entrepot.surfaces.web.floor.shift import OK, STOP, Said, Shift, at_work, code_of, floor_page, writing
from entrepot.surfaces.web.grading_words import DISPOSITIONS, GRADES, grading_fault
from entrepot.surfaces.web.house import House, HouseDep
from entrepot.warehouse.binning import StowChoice
from entrepot.warehouse.grading import Disposition, Grade, condition_of
from entrepot.warehouse.model import Goods, bin_spot
from entrepot.warehouse.store_floor import read_pick_sequences

_MOST: Final = 60
_OPEN: Final = (ReturnState.APPROVED, ReturnState.IN_TRANSIT, ReturnState.RECEIVED)


class BenchUnits(Struct, frozen=True):
    """A part of a return on the bench: its item and units."""

    line: ReturnLine
    item: Item
    owner_id: uuid.UUID

    @property
    def key(self) -> str:
        """How fields of the form name it."""
        return f"{self.line.line_no}.{self.line.part_no}"


class Faults(Struct, frozen=True):
    """What is wrong with a form: by field."""

    texts: Mapping[str, str] = {}


@get("/floor/returns", opt=open_to(FLOOR))
async def show_returns(house: HouseDep, visitor: VisitorDep) -> Response[str]:
    """Show what comes back to the place."""
    async with house.database.reading() as conn:
        return await _list_page(conn, await at_work(conn, house, visitor), Said())


@post("/floor/returns", status_code=200, opt=open_to(FLOOR))
async def scan_return(house: HouseDep, visitor: VisitorDep, form: FormDep) -> Response[str]:
    """Find the return that was scanned: by its own number, the order's, or that of the parcel that went out."""
    async with house.database.reading() as conn:
        shift = await at_work(conn, house, visitor)
        found = await find_returns(conn, shift, code_of(form))
        open_ones = [one for one in found if one.state in _OPEN] or found
        if not open_ones:
            text = visitor.language.gettext("No return to this place has the number %(code)s. Ask at the problem desk.", code=code_of(form))
            return await _list_page(conn, shift, Said(STOP, text))
        return await _return_page(conn, shift, open_ones[0], Said())


@get("/floor/returns/{merchant_id:uuid}/{rma_id:uuid}", opt=open_to(FLOOR))
async def show_return(house: HouseDep, visitor: VisitorDep, merchant_id: FromPath[uuid.UUID], rma_id: FromPath[uuid.UUID]) -> Response[str]:
    """Show a return: what should come, or what is to be graded."""
    async with house.database.reading() as conn:
        shift = await at_work(conn, house, visitor)
        stored = (await read_returns(conn, [(merchant_id, rma_id)])).get((merchant_id, rma_id))
        return await _return_or_list(conn, shift, stored, Said())


@post("/floor/returns/{merchant_id:uuid}/{rma_id:uuid}", status_code=200, opt=open_to(FLOOR))
async def work_return(
    house: HouseDep, visitor: VisitorDep, form: FormDep, merchant_id: FromPath[uuid.UUID], rma_id: FromPath[uuid.UUID]
) -> Response[str]:
    """Count a return in, or grade it."""
    key = (merchant_id, rma_id)

    async def step(conn: Conn, shift: Shift) -> Response[str]:
        stored = (await read_returns(conn, [key])).get(key)
        if stored is None or stored.place_code != shift.place.place_code:
            return await _return_or_list(conn, shift, stored, Said())
        if form.get("do") == "receive":
            return await _receive(conn, shift, stored, form)
        return await _grade(conn, shift, stored, form)

    try:
        return await writing(house, visitor, step)
    except EntrepotError as fault:
        return await _refused(house, visitor, key, form, fault)


async def _refused(house: House, visitor: Visitor, key: tuple[uuid.UUID, uuid.UUID], form: MultiDict[str], fault: EntrepotError) -> Response[str]:
    """Show the return again with what the rules refused; nothing was booked."""
    if fault.status not in {404, 409, 422}:
        raise fault
    async with house.database.reading() as conn:
        shift = await at_work(conn, house, visitor)
        stored = (await read_returns(conn, [key])).get(key)
        return await _return_or_list(conn, shift, stored, Said(STOP, visitor.language.gettext(fault.title)), form)


async def _receive(conn: Conn, shift: Shift, stored: Return, form: MultiDict[str]) -> Response[str]:
    """Count what came; the refund goes out now where the platform decides on it."""
    _ = shift.visitor.language.gettext
    came: list[ReturnUnits] = []
    faults: dict[str, str] = {}
    for line in stored.lines:
        written = form.get(f"came.{line.line_no}.{line.part_no}", "").strip()
        if not (written.isascii() and written.isdecimal() and len(written) < 6 and int(written) <= line.quantity):
            faults[f"{line.line_no}.{line.part_no}"] = _("Write a number from 0 to %(most)s.", most=line.quantity)
        elif int(written):
            came.append(ReturnUnits(line.line_no, line.part_no, int(written)))
    if faults or not came:
        text = _("Something needs correcting") if faults else _("Count at least one unit, or put the parcel on the problem shelf.")
        return await _return_page(conn, shift, stored, Said(STOP, text), form, faults)
    (outcome,) = await receive_back(conn, shift.outside, [BackReceipt(stored.merchant_id, stored.rma_id, tuple(came))], shift.actor, shift.now)
    fresh = (await read_returns(conn, [(stored.merchant_id, stored.rma_id)]))[stored.merchant_id, stored.rma_id]
    units = sum(one.quantity for one in came)
    if outcome is Outcome.DONE:
        return await _return_page(conn, shift, fresh, Said(OK, _("%(units)s units are on the bench. Now look at them.", units=units)))
    return await _return_page(conn, shift, fresh, Said("note", _("This return is counted in already.")))


async def _grade(conn: Conn, shift: Shift, stored: Return, form: MultiDict[str]) -> Response[str]:
    """Take the grades of everything that came, and let the units go where they belong."""
    _ = shift.visitor.language.gettext
    found: list[Graded] = []
    faults: dict[str, str] = {}
    bins = {(shift.place.place_code, bin_spot(_field(form, line, "bin").upper())) for line in stored.lines}
    known = await read_pick_sequences(conn, bins)
    for line in (line for line in stored.lines if line.received):
        one = _graded(stored, line, form)
        key = f"{line.line_no}.{line.part_no}"
        if one is None:
            faults[key] = _("Choose a grade and what becomes of it.")
        elif fault := grading_fault(shift.visitor.language, one.grade, one.disposition, one.evidence or ""):
            faults[key] = fault
        elif one.disposition is not Disposition.DISPOSE and (shift.place.place_code, bin_spot(one.bin_code or "")) not in known:
            faults[key] = _("Scan the bin that it goes to.")
        else:
            found.append(one)
    if faults:
        return await _return_page(conn, shift, stored, Said(STOP, _("Something needs correcting")), form, faults)
    outcomes = await grade_back(conn, shift.outside, found, shift.actor, shift.now)
    if Outcome.DONE in outcomes.values():
        return await _list_page(conn, shift, Said(OK, _("Graded. Put everything where you said.")))
    return await _list_page(conn, shift, Said("note", _("This return is graded already.")))


def _graded(stored: Return, line: ReturnLine, form: MultiDict[str]) -> Graded | None:
    """Return what a form says about a line, if it says enough."""
    grade, disposition = _field(form, line, "grade"), _field(form, line, "disposition")
    if grade not in set(Grade) or disposition not in set(Disposition):
        return None
    what = Disposition(disposition)
    bin_code = _field(form, line, "bin").upper() if what is not Disposition.DISPOSE else None
    return Graded(
        stored.merchant_id, stored.rma_id, line.line_no, line.part_no, line.received, Grade(grade), what, bin_code, _field(form, line, "note") or None
    )


def _field(form: MultiDict[str], line: ReturnLine, name: str) -> str:
    return form.get(f"{name}.{line.line_no}.{line.part_no}", "").strip()[:200]


async def find_returns(conn: Conn, shift: Shift, code: str) -> Sequence[Return]:
    """Return the returns to the shift's place that a code means."""
    orders = [one.subject_id for one in await find_orders(conn, code, as_id(code))]
    if not orders and code:
        parcels = await find_parcels(conn, [(carrier_code, code.upper()) for carrier_code in sorted(shift.outside.carriers)])
        orders = [one.order_id for one in await read_parcels(conn, list(parcels.values()))]
    return await find_returns_at(conn, shift.place.place_code, code, orders)


async def _return_or_list(conn: Conn, shift: Shift, stored: Return | None, said: Said, form: MultiDict[str] | None = None) -> Response[str]:
    if stored is None or stored.place_code != shift.place.place_code:
        return await _list_page(conn, shift, Said(STOP, shift.visitor.language.gettext("This return goes to another place.")))
    return await _return_page(conn, shift, stored, said, form)


async def _list_page(conn: Conn, shift: Shift, said: Said) -> Response[str]:
    found = await list_returns_at(conn, shift.place.place_code, _OPEN, _MOST)
    orders = await read_orders(conn, [one.merchant_id for one in found], [one.order_id for one in found])
    numbers: dict[uuid.UUID, Order] = {one.order_id: one for one in orders}
    return floor_page("floor/returns.html", shift, said, {"returns": found, "numbers": numbers}, "/floor/returns")


async def _return_page(
    conn: Conn, shift: Shift, stored: Return, said: Said, form: MultiDict[str] | None = None, faults: Mapping[str, str] | None = None
) -> Response[str]:
    """Show what should come, or the bench with grades to give; what was filled in stays."""
    lines = {one.line_no: one for one in await read_lines(conn, [stored.merchant_id], [stored.order_id])}
    goods = await read_goods(conn, shift.visitor.language, [(stored.merchant_id, one.stock_item_id) for one in lines.values()])
    units = [BenchUnits(line, goods[lines[line.line_no].stock_item_id], stored.merchant_id) for line in stored.lines]
    orders = await read_orders(conn, [stored.merchant_id], [stored.order_id])
    address = f"/floor/returns/{stored.merchant_id}/{stored.rma_id}"
    values: dict[str, object] = {
        "stored": stored,
        "units": units,
        "number": orders[0].number if orders else "",
        "proposed": await _proposed(conn, shift, stored, units),
        "grades": GRADES,
        "dispositions": DISPOSITIONS,
        "form": form if form is not None else {},
        "faults": faults or {},
        "is_awaited": stored.state in {ReturnState.APPROVED, ReturnState.IN_TRANSIT},
        "is_on_bench": stored.state is ReturnState.RECEIVED,
        "address": address,
    }
    return floor_page("floor/return.html", shift, said, values, address)


async def _proposed(conn: Conn, shift: Shift, stored: Return, units: Sequence[BenchUnits]) -> Mapping[str, Mapping[str, str]]:
    """Return for each part the bin for what is sellable and the bin for what is not."""
    if stored.state is not ReturnState.RECEIVED:
        return {}
    kinds = (condition_of(Grade.SELLABLE), condition_of(Grade.DAMAGED))
    asked = [(one, kind) for one in units if one.line.received for kind in kinds]
    goods = [(Goods(stored.merchant_id, one.owner_id, one.item.stock_item_id, condition_code=kind), one.line.received) for one, kind in asked]
    choices: dict[int, StowChoice] = {}
    for choice in await propose_bins_for(conn, shift.place.place_code, goods):
        choices.setdefault(choice.need.line_no, choice)
    found: dict[str, dict[str, str]] = {}
    for number, (one, kind) in enumerate(asked):
        found.setdefault(one.key, {})[kind] = choices[number].bin_code or "" if number in choices else ""
    return found
