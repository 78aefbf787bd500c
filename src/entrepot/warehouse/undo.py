"""Undo the last scan.

A hand slipped: the receiver counted six instead of five, the stower scanned the wrong bin. The device takes back its last scan of the document.
What the scan had moved moves back by a posting of its own: units from the dock to where they came from, over-receipts first, or from the bin
to the dock. Scans that only ticked something off are struck from the trail. Nothing is erased: the undo is a scan too, and counts once.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from entrepot.base.sql import Conn
from entrepot.warehouse.inbound import InboundLine, Plan, PlanRef, Receipt, add_stowed, goods_of, places_of
from entrepot.warehouse.model import (
    DAMAGED,
    OUTSIDE_SPOT,
    RECEIVE_SPOT,
    SELLABLE,
    Cause,
    CauseKind,
    PlanState,
    StockMove,
    bin_spot,
    move_goods,
    regrade_goods,
)
from entrepot.warehouse.scanning import Scan, ScanKind, ScanOutcome
from entrepot.warehouse.store_floor import insert_scans, read_scans
from entrepot.warehouse.store_inbound import lock_plans, read_inbound_lines, update_inbound_lines
from entrepot.warehouse.trail import last_of_device, read_trail, undo_content, values_of

_MOVED: Final = frozenset({ScanKind.DOCK, ScanKind.STOW})


class Undo(Struct, frozen=True):
    """A device takes its last scan of one kind about a plan, order or lane back; `scan` is the undo as a scan of its own, without content."""

    scan: Scan
    kind: ScanKind


class UndoWork(Struct, frozen=True):
    """What became of an undo: the scan that was taken back, and the stock moves for the book."""

    outcome: ScanOutcome
    undone: Scan | None
    moves: list[StockMove]


async def undo_last(conn: Conn, ask: Undo) -> UndoWork:
    """Take the device's last scan of a kind back; without one, or when its units went on meanwhile, nothing changes."""
    ref = PlanRef(ask.scan.merchant_id, ask.scan.subject_id)
    plans = await lock_plans(conn, [ref]) if ask.kind in _MOVED else {}
    key = ask.scan.key
    known = await read_scans(conn, [key])
    if key in known:
        standing = ScanOutcome.EXISTS if known[key][0] == ScanKind.UNDO else ScanOutcome.EXISTS_WITH_DIFFERENT_VALUES
        return UndoWork(standing, None, [])
    trail = await read_trail(conn, key.place_code, ask.scan.merchant_id, ask.scan.subject_id)
    last = last_of_device(trail, key.device_code, ask.kind)
    if last is None:
        return UndoWork(ScanOutcome.NOT_ALLOWED, None, [])
    moves: list[StockMove] = []
    if ask.kind in _MOVED:
        lines = {line.line_no: line for line in (await read_inbound_lines(conn, [ref])).values()}
        taken = _take_back(plans[ref], lines, last, Cause(CauseKind.UNDO, key.scan_id, ask.scan.at)) if ref in plans else None
        if taken is None:
            return UndoWork(ScanOutcome.NOT_ALLOWED, last, [])
        line, moves = taken
        await update_inbound_lines(conn, [line])
    await insert_scans(conn, [replace(ask.scan, kind=ScanKind.UNDO, content=undo_content(last.key))])
    return UndoWork(ScanOutcome.NEW, last, moves)


def _take_back(plan: Plan, lines: Mapping[int, InboundLine], scan: Scan, cause: Cause) -> tuple[InboundLine, list[StockMove]] | None:
    """Return the line without the scan, and the moves that lead back; nothing where the units are no longer where the scan put them."""
    values = values_of(scan)
    line = lines.get(int(values["line"]))
    if line is None or plan.state not in {PlanState.RECEIVING, PlanState.CLOSED}:
        return None
    if scan.kind is ScanKind.STOW:
        return _take_from_bin(plan, line, values, cause)
    return _take_from_dock(plan, line, int(values["good"]), int(values["damaged"]), cause) if plan.state is PlanState.RECEIVING else None


def _take_from_dock(plan: Plan, line: InboundLine, good: int, damaged: int, cause: Cause) -> tuple[InboundLine, list[StockMove]] | None:
    if good > line.to_stow(SELLABLE) or damaged > line.to_stow(DAMAGED):
        return None
    receipt = receipt_to_undo(line, good, damaged)
    goods = goods_of(plan, line)
    moves = [
        regrade_goods(
            replace(goods, condition_code=DAMAGED if is_damaged else SELLABLE),
            quantity,
            (plan.place_code, RECEIVE_SPOT),
            (source, OUTSIDE_SPOT),
            SELLABLE,
            cause,
        )
        for source, is_damaged, quantity in places_of(plan, receipt)
    ]
    changed = replace(
        line,
        received_good=line.received_good - receipt.good,
        received_damaged=line.received_damaged - receipt.damaged,
        over_good=line.over_good - receipt.over_good,
        over_damaged=line.over_damaged - receipt.over_damaged,
    )
    return changed, moves


def receipt_to_undo(line: InboundLine, good: int, damaged: int) -> Receipt:
    """Divide units of the last scan of a line as they were counted in: what came beyond the announcement goes first."""
    over_good, over_damaged = min(good, line.over_good), min(damaged, line.over_damaged)
    return Receipt(good - over_good, damaged - over_damaged, over_good, over_damaged)


def _take_from_bin(plan: Plan, line: InboundLine, values: Mapping[str, str], cause: Cause) -> tuple[InboundLine, list[StockMove]]:
    condition, quantity = values["condition"], int(values["quantity"])
    move = move_goods(goods_of(plan, line, condition), quantity, (plan.place_code, bin_spot(values["bin"])), (plan.place_code, RECEIVE_SPOT), cause)
    return add_stowed(line, condition, -quantity), [move]
