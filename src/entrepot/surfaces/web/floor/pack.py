"""Pack: scan the order, scan its items one by one, scan the carton that is proposed; then the label and the papers are there."""

import uuid
from collections.abc import Sequence
from typing import Final

from litestar import Response, get, post
from litestar.datastructures import MultiDict
from litestar.params import FromPath
from msgspec import Struct

from entrepot.base.sql import Conn
from entrepot.flows.floor_steps import close_cartons, propose_carton
from entrepot.flows.inbound import undo_scan
from entrepot.freight.model import ConsignmentKey
from entrepot.freight.read import read_parcels_of_consignments
from entrepot.surfaces.web.access import FLOOR, FormDep, VisitorDep, open_to
from entrepot.surfaces.web.floor.cartons import draw_carton
from entrepot.surfaces.web.floor.find import find_work, read_lanes, read_numbers
from entrepot.surfaces.web.floor.goods import read_goods
from entrepot.surfaces.web.floor.shift import OK, STOP, UNDO_WORD, Said, Shift, at_work, code_of, floor_page, is_word, tick, writing
from entrepot.surfaces.web.house import HouseDep
from entrepot.warehouse.at_place import read_entries
from entrepot.warehouse.model import LineCount, OrderRef, StepOutcome, WorkState
from entrepot.warehouse.pack import PackScan
from entrepot.warehouse.readers import LineRecord, QueueEntry, read_line_records, read_queue
from entrepot.warehouse.scan import record_scans
from entrepot.warehouse.scanning import Scan, ScanKind, ScanOutcome
from entrepot.warehouse.trail import read_trail, values_of
from entrepot.warehouse.undo import Undo

_MOST: Final = 30
CLOSE_WORD: Final = "CLOSE"


class PackLine(Struct, frozen=True):
    """A line on the packing table: how many must go in, and how many were scanned."""

    record: LineRecord
    scanned: int

    @property
    def key(self) -> str:
        """How scans name it."""
        return f"{self.record.line_no}.{self.record.part_no}"

    @property
    def is_full(self) -> bool:
        """Whether nothing of the line is missing."""
        return self.scanned >= self.record.picked


@get("/floor/pack", opt=open_to(FLOOR))
async def show_table(house: HouseDep, visitor: VisitorDep) -> Response[str]:
    """Show what lies on the packing table."""
    async with house.database.reading() as conn:
        return await _list_page(conn, await at_work(conn, house, visitor), Said())


@post("/floor/pack", status_code=200, opt=open_to(FLOOR))
async def choose_order(house: HouseDep, visitor: VisitorDep, form: FormDep) -> Response[str]:
    """Take the order that was scanned."""
    async with house.database.reading() as conn:
        shift = await at_work(conn, house, visitor)
        _, code = visitor.language.gettext, code_of(form)
        found = await find_work(conn, shift, code)
        entry = next((one for one in found if one.state is WorkState.PICKED), next(iter(found), None))
        if entry is None:
            return await _list_page(conn, shift, Said(STOP, _("%(code)s is no order of this place.", code=code)))
        if entry.state in {WorkState.PICKED, WorkState.PACKED}:
            return await _order_page(conn, shift, entry.order, Said())
        return await _list_page(conn, shift, Said(STOP, _("%(code)s is not on the packing table. Ask at the problem desk.", code=code)))


@get("/floor/pack/{merchant_id:uuid}/{work_id:uuid}", opt=open_to(FLOOR))
async def show_packing(house: HouseDep, visitor: VisitorDep, merchant_id: FromPath[uuid.UUID], work_id: FromPath[uuid.UUID]) -> Response[str]:
    """Show an order that is being packed, or its label and papers when it is."""
    async with house.database.reading() as conn:
        return await _order_page(conn, await at_work(conn, house, visitor), OrderRef(merchant_id, work_id), Said())


@post("/floor/pack/{merchant_id:uuid}/{work_id:uuid}", status_code=200, opt=open_to(FLOOR))
async def scan_pack(
    house: HouseDep, visitor: VisitorDep, form: FormDep, merchant_id: FromPath[uuid.UUID], work_id: FromPath[uuid.UUID]
) -> Response[str]:
    """Take the scan of an item, of the carton, or an undo."""
    ref = OrderRef(merchant_id, work_id)

    async def step(conn: Conn, shift: Shift) -> Response[str]:
        _, code = visitor.language.gettext, code_of(form)
        entry = (await read_entries(conn, [ref])).get(ref)
        if entry is None or entry.place_code != shift.place.place_code or entry.state is not WorkState.PICKED:
            return await _order_page(conn, shift, ref, Said("note", _("Nothing is left to pack here.")))
        lines = await read_pack_lines(conn, entry)
        if form.get("do") == "undo" or is_word(code, UNDO_WORD):
            said = await _undo(conn, shift, ref, form)
        elif all(one.is_full for one in lines):
            said = await _carton(conn, shift, ref, lines, "" if form.get("do") == "close" else code)
        else:
            said = await _item(conn, shift, ref, form, lines)
        return await _order_page(conn, shift, ref, said)

    return await writing(house, visitor, step)


async def _item(conn: Conn, shift: Shift, ref: OrderRef, form: MultiDict[str], lines: Sequence[PackLine]) -> Said:
    """Tick one unit, or as many as stand before a star, off the order."""
    _ = shift.visitor.language.gettext
    count, code = _times(code_of(form))
    goods = await read_goods(conn, shift.visitor.language, [(ref.merchant_id, one.record.stock_item_id) for one in lines])
    fitting = [one for one in lines if goods[one.record.stock_item_id].is_called(code)]
    if not fitting:
        return Said(STOP, _("Stop. %(code)s does not belong to this order.", code=code))
    open_lines = [one for one in fitting if not one.is_full]
    if not open_lines or count > open_lines[0].record.picked - open_lines[0].scanned:
        return Said(STOP, _("Stop. That is more of %(code)s than was ordered.", code=code))
    one = open_lines[0]
    scan = tick(shift, form, ScanKind.PACK, (ref.merchant_id, ref.fulfilment_order_id), f"line={one.key};quantity={count}")
    (outcome,) = await record_scans(conn, [scan])
    if outcome is ScanOutcome.EXISTS_WITH_DIFFERENT_VALUES:
        return Said("note", _("That was scanned already."))
    left = sum(line.record.picked - line.scanned for line in lines) - count
    return Said(OK, _("In. %(left)s to go.", left=left) if left else _("Everything is in. Take the carton."))


async def _carton(conn: Conn, shift: Shift, ref: OrderRef, lines: Sequence[PackLine], code: str) -> Said:
    """Close the parcel in the carton that was scanned; another carton stops."""
    _ = shift.visitor.language.gettext
    proposed = await propose_carton(conn, ref, shift.now)
    wanted = proposed[0].carton_code if proposed is not None else ""
    if code and not is_word(code, CLOSE_WORD) and code.upper() != wanted.upper():
        return Said(STOP, _("Stop. %(code)s is not the carton. Take %(carton)s.", code=code, carton=wanted.upper()))
    counts = tuple(LineCount(one.record.line_no, one.record.part_no, one.record.stock_item_id, one.scanned) for one in lines)
    (done,) = await close_cartons(conn, shift.outside, [PackScan(ref, counts)], shift.actor, shift.now)
    if done.outcome is StepOutcome.DONE:
        return Said(OK, _("Packed. Stick the label on and put the parcel on its lane."))
    if done.outcome is StepOutcome.EXISTS:
        return Said("note", _("This order is packed already."))
    return Said(STOP, _("Stop. What was scanned is not what was picked. Undo and scan again."))


async def _undo(conn: Conn, shift: Shift, ref: OrderRef, form: MultiDict[str]) -> Said:
    _ = shift.visitor.language.gettext
    scan = tick(shift, form, ScanKind.UNDO, (ref.merchant_id, ref.fulfilment_order_id), "")
    work = await undo_scan(conn, Undo(scan, ScanKind.PACK), shift.actor, shift.now)
    if work.outcome is ScanOutcome.NOT_ALLOWED:
        return Said(STOP, _("You have scanned nothing here that could be undone."))
    return Said("note", _("Undone. Take it out of the carton."))


async def read_pack_lines(conn: Conn, entry: QueueEntry) -> list[PackLine]:
    """Return the picked lines of an order with what was scanned at the packing table."""
    ref = entry.order
    trail = await read_trail(conn, entry.place_code, ref.merchant_id, ref.fulfilment_order_id)
    scanned = packed_by_line(trail)
    records = [one for one in await read_line_records(conn, [ref]) if one.picked]
    return [PackLine(one, scanned.get(f"{one.line_no}.{one.part_no}", 0)) for one in records]


def packed_by_line(trail: Sequence[Scan]) -> dict[str, int]:
    """Return the units that were scanned into the carton by line."""
    counts: dict[str, int] = {}
    for scan in trail:
        if scan.kind is ScanKind.PACK:
            values = values_of(scan)
            counts[values["line"]] = counts.get(values["line"], 0) + int(values["quantity"])
    return counts


def _times(code: str) -> tuple[int, str]:
    """Return how many of what are meant: `3*SKU` is three."""
    head, sign, rest = code.partition("*")
    return (int(head), rest.strip()) if sign and head.isascii() and head.isdecimal() and int(head[:5]) > 0 and len(head) < 5 else (1, code)


async def _list_page(conn: Conn, shift: Shift, said: Said) -> Response[str]:
    waiting = await read_queue(conn, shift.place.place_code, WorkState.PICKED, _MOST)
    values: dict[str, object] = {"waiting": waiting, "numbers": await read_numbers(conn, waiting)}
    return floor_page("floor/table.html", shift, said, values, "/floor/pack")


async def _order_page(conn: Conn, shift: Shift, ref: OrderRef, said: Said) -> Response[str]:
    """Show what must go in, then the carton, then label and papers."""
    entry = (await read_entries(conn, [ref])).get(ref)
    if entry is None or entry.place_code != shift.place.place_code or entry.state not in {WorkState.PICKED, WorkState.PACKED, WorkState.HANDED_OVER}:
        return await _list_page(conn, shift, Said(STOP, shift.visitor.language.gettext("This order is not on the packing table.")))
    lines = await read_pack_lines(conn, entry)
    parcels = await read_parcels_of_consignments(conn, [ConsignmentKey(ref.merchant_id, entry.consignment_id)]) if entry.consignment_id else []
    proposed = await propose_carton(conn, ref, shift.now) if entry.state is WorkState.PICKED else None
    address = f"/floor/pack/{ref.merchant_id}/{ref.fulfilment_order_id}"
    values: dict[str, object] = {
        "entry": entry,
        "number": (await read_numbers(conn, [entry])).get(ref),
        "lane": (await read_lanes(conn, [entry])).get(ref),
        "lines": lines,
        "goods": await read_goods(conn, shift.visitor.language, [(ref.merchant_id, one.record.stock_item_id) for one in lines]),
        "is_full": bool(lines) and all(one.is_full for one in lines),
        "may_undo": entry.state is WorkState.PICKED and any(one.scanned for one in lines),
        "parcel": parcels[-1] if parcels else None,
        "proposed": proposed[0] if proposed is not None else None,
        "drawing": draw_carton(proposed[1]) if proposed is not None and proposed[1] is not None else None,
        "address": address,
    }
    return floor_page("floor/pack.html", shift, said, values, address)
