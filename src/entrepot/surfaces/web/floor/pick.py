"""Pick: take the next order, walk from bin to bin, scan the bin, scan the item; what is not there is said with its reason."""

import uuid
from collections.abc import Sequence
from typing import Final

from litestar import Response, get, post
from litestar.datastructures import MultiDict
from litestar.params import FromPath, FromQuery
from msgspec import Struct

from entrepot.base.sql import Conn
from entrepot.flows.floor_steps import finish_picks, start_picks
from entrepot.flows.inbound import undo_scan
from entrepot.surfaces.web.access import FLOOR, FormDep, VisitorDep, open_to
from entrepot.surfaces.web.floor.find import find_work, read_numbers
from entrepot.surfaces.web.floor.goods import read_goods
from entrepot.surfaces.web.floor.shift import OK, STOP, UNDO_WORD, Said, Shift, at_work, code_of, floor_page, is_word, tick, writing
from entrepot.surfaces.web.house import HouseDep
from entrepot.surfaces.web.languages import mark
from entrepot.warehouse.at_place import read_entries
from entrepot.warehouse.model import NO_LOT, OrderRef, PickTask, StepOutcome, WorkState, bin_of
from entrepot.warehouse.pick import MissingUnits, PickReport, read_directions
from entrepot.warehouse.readers import QueueEntry, read_queue
from entrepot.warehouse.scan import record_scans
from entrepot.warehouse.scanning import Scan, ScanKind, ScanOutcome
from entrepot.warehouse.store_floor import read_expiries, read_pick_sequences
from entrepot.warehouse.trail import read_trail, read_trails, values_of
from entrepot.warehouse.undo import Undo

_MOST: Final = 30
_MOST_TRIES: Final = 5
SHORT_REASONS: Final = (
    ("not_there", mark("Not there")),
    ("damaged", mark("Damaged")),
    ("other_item", mark("Another item lies there")),
    ("expired", mark("Out of date")),
)
"""Why a picker takes fewer than directed."""
SHORT_WORD: Final = "SHORT"
NEXT_WORD: Final = "NEXT"


class Stop(Struct, frozen=True):
    """A stop of the walk, and what was taken there if the picker has been."""

    task: PickTask
    picked: int | None

    @property
    def bin_code(self) -> str:
        """The bin, or the spot where it is none."""
        return bin_of(self.task.spot_code) or self.task.spot_code

    @property
    def key(self) -> str:
        """How scans name it."""
        return f"{self.task.line_no}.{self.task.part_no}.{self.task.task_no}"


class Answer(Struct, frozen=True):
    """What a step led to: what is said, the bin that was confirmed, and whether fewer are there."""

    said: Said
    at: str = ""
    is_short: bool = False


@get("/floor/pick", opt=open_to(FLOOR))
async def show_picks(house: HouseDep, visitor: VisitorDep) -> Response[str]:
    """Show what waits to be picked, the most urgent first."""
    async with house.database.reading() as conn:
        return await _list_page(conn, await at_work(conn, house, visitor), Said())


@post("/floor/pick", status_code=200, opt=open_to(FLOOR))
async def begin_pick(house: HouseDep, visitor: VisitorDep, form: FormDep) -> Response[str]:
    """Begin with the next order, or with the one that was scanned."""

    async def begin(conn: Conn, shift: Shift) -> Response[str]:
        _ = visitor.language.gettext
        code, place = code_of(form), shift.place.place_code
        if form.get("do") == "next" or is_word(code, NEXT_WORD):
            waiting = [*await _open_to(conn, shift), *await read_queue(conn, place, WorkState.QUEUED, _MOST_TRIES)]
        else:
            waiting = [one for one in await find_work(conn, shift, code) if one.state in {WorkState.QUEUED, WorkState.PICKING}]
        for entry in waiting:
            if entry.state is WorkState.QUEUED:
                (done,) = await start_picks(conn, shift.outside, [entry.order], shift.actor, shift.now)
                if done.state == WorkState.SHORT:
                    return await _list_page(conn, shift, Said(STOP, _("No bin holds what this order needs. It is closed and the buyer is told.")))
                if done.outcome is not StepOutcome.DONE:
                    continue
            subject = (entry.order.merchant_id, entry.order.fulfilment_order_id)
            await record_scans(conn, [tick(shift, form, ScanKind.START, subject, "")])
            return await _walk_page(conn, shift, entry.order, Answer(Said()))
        text = _("%(code)s is no order that waits to be picked here.", code=code) if code else _("Nothing waits to be picked.")
        return await _list_page(conn, shift, Said(STOP if code else "note", text))

    return await writing(house, visitor, begin)


@get("/floor/pick/{merchant_id:uuid}/{work_id:uuid}", opt=open_to(FLOOR))
async def show_walk(
    house: HouseDep,
    visitor: VisitorDep,
    merchant_id: FromPath[uuid.UUID],
    work_id: FromPath[uuid.UUID],
    short: FromQuery[str] = "",
    at: FromQuery[str] = "",
) -> Response[str]:
    """Show the next stop of an order."""
    async with house.database.reading() as conn:
        shift = await at_work(conn, house, visitor)
        return await _walk_page(conn, shift, OrderRef(merchant_id, work_id), Answer(Said(), at, is_short=bool(short)))


@post("/floor/pick/{merchant_id:uuid}/{work_id:uuid}", status_code=200, opt=open_to(FLOOR))
async def scan_pick(
    house: HouseDep, visitor: VisitorDep, form: FormDep, merchant_id: FromPath[uuid.UUID], work_id: FromPath[uuid.UUID]
) -> Response[str]:
    """Take the scan of a bin, of an item, a short or an undo."""
    ref = OrderRef(merchant_id, work_id)

    async def step(conn: Conn, shift: Shift) -> Response[str]:
        entry = (await read_entries(conn, [ref])).get(ref)
        if entry is None or entry.place_code != shift.place.place_code or entry.state is not WorkState.PICKING:
            return await _list_page(conn, shift, Said("note", visitor.language.gettext("This order is picked already, or was cancelled.")))
        do, code, at = form.get("do", ""), code_of(form), form.get("at", "")
        now = next((one for one in await read_stops(conn, entry) if one.picked is None), None)
        if do == "undo" or is_word(code, UNDO_WORD):
            return await _walk_page(conn, shift, ref, await _undo(conn, shift, entry, form, at))
        if now is None:
            return await _finish(conn, shift, entry)
        if do == "short":
            answer = await _short(conn, shift, now, form)
        elif is_word(code, SHORT_WORD):
            answer = Answer(Said(), at, is_short=True)
        else:
            answer = await _scanned(conn, shift, now, form, code)
        if not answer.said.is_stop and all(one.picked is not None for one in await read_stops(conn, entry)):
            return await _finish(conn, shift, entry)
        return await _walk_page(conn, shift, ref, answer)

    return await writing(house, visitor, step)


async def _open_to(conn: Conn, shift: Shift) -> list[QueueEntry]:
    """Return the orders in picking that the session began itself, or nobody: what another picker walks with is left to that one."""
    picking = await read_queue(conn, shift.place.place_code, WorkState.PICKING, _MOST)
    refs = [one.order for one in picking]
    trails = await read_trails(conn, shift.place.place_code, [one.merchant_id for one in refs], [one.fulfilment_order_id for one in refs])
    own: list[QueueEntry] = []
    for one in picking:
        trail = trails.get((one.order.merchant_id, one.order.fulfilment_order_id), [])
        began = [scan.key.device_code for scan in trail if scan.kind is ScanKind.START]
        own += [one] if not began or began[-1] == shift.device else []
    return own


async def _scanned(conn: Conn, shift: Shift, now: Stop, form: MultiDict[str], code: str) -> Answer:
    """Judge a scan: first the bin, then the item in it."""
    _ = shift.visitor.language.gettext
    at = form.get("at", "")
    if at != now.bin_code:
        if code.upper().removeprefix("BIN:") == now.bin_code.upper():
            return Answer(Said(OK, _("Right bin.")), now.bin_code)
        return Answer(Said(STOP, _("Wrong bin. You are at %(code)s, go to %(bin)s.", code=code, bin=now.bin_code)))
    goods = await read_goods(conn, shift.visitor.language, [(now.task.order.merchant_id, now.task.stock_item_id)])
    if not goods[now.task.stock_item_id].is_called(code):
        return Answer(Said(STOP, _("Wrong item. %(code)s is not what this order needs.", code=code)), at)
    return await _record(conn, shift, now, form, (now.task.quantity, ""))


async def _short(conn: Conn, shift: Shift, now: Stop, form: MultiDict[str]) -> Answer:
    """Record that fewer are there."""
    _ = shift.visitor.language.gettext
    found, reason = form.get("found", "").strip(), form.get("reason", "")
    at = form.get("at", "")
    if not (found.isascii() and found.isdecimal() and len(found) < 6 and int(found) < now.task.quantity):
        return Answer(Said(STOP, _("Write how many you found, as a number from 0 to %(most)s.", most=now.task.quantity - 1)), at, is_short=True)
    if reason not in dict(SHORT_REASONS):
        return Answer(Said(STOP, _("Say why fewer are there.")), at, is_short=True)
    return await _record(conn, shift, now, form, (int(found), reason))


async def _record(conn: Conn, shift: Shift, now: Stop, form: MultiDict[str], found: tuple[int, str]) -> Answer:
    """Keep what was taken at a stop in the trail of the order."""
    _ = shift.visitor.language.gettext
    picked, reason = found
    task = now.task
    scan = tick(
        shift, form, ScanKind.PICK, (task.order.merchant_id, task.order.fulfilment_order_id), f"task={now.key};picked={picked};reason={reason}"
    )
    (outcome,) = await record_scans(conn, [scan])
    if outcome is ScanOutcome.EXISTS_WITH_DIFFERENT_VALUES:
        return Answer(Said("note", _("That was scanned already.")))
    return Answer(Said(OK, _("%(count)s taken.", count=picked)))


async def _undo(conn: Conn, shift: Shift, entry: QueueEntry, form: MultiDict[str], at: str) -> Answer:
    """Go one step back: from the item to the bin, or to the stop before."""
    _ = shift.visitor.language.gettext
    if at:
        return Answer(Said("note", _("Scan the bin again.")))
    ref = entry.order
    work = await undo_scan(
        conn, Undo(tick(shift, form, ScanKind.UNDO, (ref.merchant_id, ref.fulfilment_order_id), ""), ScanKind.PICK), shift.actor, shift.now
    )
    if work.outcome is ScanOutcome.NOT_ALLOWED:
        return Answer(Said(STOP, _("You have taken nothing for this order that could be undone.")))
    return Answer(Said("note", _("Undone. Put the units back and scan again.")))


async def _finish(conn: Conn, shift: Shift, entry: QueueEntry) -> Response[str]:
    """Book the whole order: what was taken lies on the packing table, what was not there is closed."""
    _ = shift.visitor.language.gettext
    missing = tuple(
        MissingUnits(one.task.line_no, one.task.part_no, one.task.task_no, one.task.quantity - (one.picked or 0))
        for one in await read_stops(conn, entry)
        if (one.picked or 0) < one.task.quantity
    )
    (done,) = await finish_picks(conn, shift.outside, [PickReport(entry.order, missing)], shift.actor, shift.now)
    number = (await read_numbers(conn, [entry])).get(entry.order)
    name = number.number if number is not None else entry.order.fulfilment_order_id.hex[-8:].upper()
    short = sum(one.quantity for one in done.shorts)
    if done.outcome is not StepOutcome.DONE:
        said = Said("note", _("This order is picked already, or was cancelled."))
    elif done.state == WorkState.SHORT:
        said = Said(STOP, _("%(number)s: nothing was there. The buyer is told and gets the money back.", number=name))
    elif short:
        said = Said(OK, _("%(number)s picked, %(short)s units short. Bring it to the packing table.", number=name, short=short))
    else:
        said = Said(OK, _("%(number)s picked. Bring it to the packing table.", number=name))
    return await _list_page(conn, shift, said)


async def read_stops(conn: Conn, entry: QueueEntry) -> list[Stop]:
    """Return the stops of an order in the order of the walk, with what was taken so far."""
    ref = entry.order
    tasks = (await read_directions(conn, [ref])).get(ref, [])
    walk = await read_pick_sequences(conn, {(one.place_code, one.spot_code) for one in tasks})
    trail = await read_trail(conn, entry.place_code, ref.merchant_id, ref.fulfilment_order_id)
    taken = picked_by_task(trail)
    stops = [Stop(one, taken.get(f"{one.line_no}.{one.part_no}.{one.task_no}")) for one in tasks if one.quantity]
    return sorted(stops, key=lambda one: (walk.get((one.task.place_code, one.task.spot_code), 2**31), one.task.spot_code, one.key))


def picked_by_task(trail: Sequence[Scan]) -> dict[str, int]:
    """Return what was taken by task; the last scan of a task counts."""
    values = [values_of(scan) for scan in trail if scan.kind is ScanKind.PICK]
    return {one["task"]: int(one["picked"]) for one in values if "task" in one}


async def _list_page(conn: Conn, shift: Shift, said: Said) -> Response[str]:
    place = shift.place.place_code
    waiting = [*await read_queue(conn, place, WorkState.PICKING, _MOST), *await read_queue(conn, place, WorkState.QUEUED, _MOST)]
    values: dict[str, object] = {"waiting": waiting, "numbers": await read_numbers(conn, waiting)}
    return floor_page("floor/picks.html", shift, said, values, "/floor/pick")


async def _walk_page(conn: Conn, shift: Shift, ref: OrderRef, answer: Answer) -> Response[str]:
    """Show the next stop."""
    entry = (await read_entries(conn, [ref])).get(ref)
    stops = await read_stops(conn, entry) if entry is not None else []
    now = next((one for one in stops if one.picked is None), None)
    if entry is None or entry.place_code != shift.place.place_code or entry.state is not WorkState.PICKING or now is None:
        return await _list_page(conn, shift, Said("note", shift.visitor.language.gettext("This order is picked already, or was cancelled.")))
    goods = await read_goods(conn, shift.visitor.language, [(ref.merchant_id, one.task.stock_item_id) for one in stops])
    lots = {(ref.merchant_id, one.task.stock_item_id, one.task.lot_code) for one in stops if one.task.lot_code != NO_LOT}
    address = f"/floor/pick/{ref.merchant_id}/{ref.fulfilment_order_id}"
    values: dict[str, object] = {
        "entry": entry,
        "number": (await read_numbers(conn, [entry])).get(ref),
        "stops": stops,
        "now": now,
        "goods": goods,
        "expires_on": (await read_expiries(conn, lots)).get((ref.merchant_id, now.task.stock_item_id, now.task.lot_code)),
        "at": answer.at if answer.at == now.bin_code else "",
        "is_short": answer.is_short,
        "reasons": SHORT_REASONS,
        "no_lot": NO_LOT,
        "address": address,
        "may_undo": any(one.picked is not None for one in stops),
    }
    return floor_page("floor/pick.html", shift, answer.said, values, address)
