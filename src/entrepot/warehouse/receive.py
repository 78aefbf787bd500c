"""Receive at the dock.

A truck stands at the dock. For each box the receiver scans the item and says how many are good and how many are damaged. The first scan of a
plan starts the platform's custody. Units up to the announced quantity come from where they travelled (transit for our carriers, the supplier
for the merchant's own), units beyond it from over-receipt; all of them lie at the dock afterwards, damaged ones in that condition. The device
may send a scan twice, or an hour late: it counts once.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from msgspec import Struct

from entrepot.base.errors import RefusedInputError
from entrepot.base.sql import Conn
from entrepot.warehouse.inbound import (
    InboundLine,
    Plan,
    PlanRef,
    Receipt,
    add_receipt,
    goods_of,
    may_be_scanned,
    places_of,
    split_receipt,
)
from entrepot.warehouse.model import (
    DAMAGED,
    OUTSIDE_SPOT,
    RECEIVE_SPOT,
    SELLABLE,
    Cause,
    CauseKind,
    PlanState,
    StockMove,
    regrade_goods,
)
from entrepot.warehouse.scanning import Fingerprint, Scan, ScanKey, ScanKind, ScanOutcome, fingerprint, repetition
from entrepot.warehouse.store_floor import insert_scans, read_scans
from entrepot.warehouse.store_inbound import (
    InboundLineKey,
    lock_plans,
    read_inbound_lines,
    update_boxes_arrived,
    update_inbound_lines,
    update_plans,
)


class NothingScannedError(RefusedInputError):
    """A dock scan counts at least one unit, and never fewer than none; the receiver counts again."""


class DockScan(Struct, frozen=True):
    """One reading at the dock: units of a line, good and damaged with the reason in words, perhaps out of a numbered box."""

    key: ScanKey
    at: datetime
    merchant_id: uuid.UUID
    plan_id: uuid.UUID
    line_no: int
    good: int
    damaged: int
    box_no: int | None = None
    reason: str = ""

    @property
    def ref(self) -> PlanRef:
        """Name the plan."""
        return PlanRef(self.merchant_id, self.plan_id)

    @property
    def scan(self) -> Scan:
        """The scan as every device's scans are stored."""
        content = f"line={self.line_no};good={self.good};damaged={self.damaged};box={self.box_no}"
        return Scan(self.key, ScanKind.DOCK, self.at, self.merchant_id, self.plan_id, content)


class DockResult(Struct, frozen=True):
    """What a dock scan counted: within the announcement and beyond it."""

    scan: DockScan
    outcome: ScanOutcome
    receipt: Receipt | None = None


class DockWork(Struct, frozen=True):
    """One result per scan, in order, and the stock moves for the book."""

    results: list[DockResult]
    moves: list[StockMove]


@dataclass(slots=True)
class _Dock:
    """What the batch has counted so far."""

    plans: dict[PlanRef, Plan]
    lines: dict[InboundLineKey, InboundLine]
    known: dict[ScanKey, Fingerprint]
    counted: list[DockScan]

    def outcome(self, scan: DockScan) -> ScanOutcome:
        """Judge one scan against what is stored and what the batch brought before it."""
        repeated = repetition(scan.scan, self.known)
        if repeated is not None:
            return repeated
        plan = self.plans.get(scan.ref)
        if plan is None or plan.place_code != scan.key.place_code:
            return ScanOutcome.UNKNOWN_PLAN
        if not may_be_scanned(plan):
            return ScanOutcome.NOT_ALLOWED
        return ScanOutcome.NEW if (scan.ref, scan.line_no) in self.lines else ScanOutcome.UNKNOWN_LINE

    def count(self, scan: DockScan) -> Receipt:
        """Count a new scan in."""
        line = self.lines[scan.ref, scan.line_no]
        receipt = split_receipt(line.missing, scan.good, scan.damaged)
        self.lines[scan.ref, scan.line_no] = add_receipt(line, receipt)
        self.known[scan.key] = fingerprint(scan.scan)
        self.counted.append(scan)
        return receipt


async def receive_units(conn: Conn, scans: Sequence[DockScan]) -> DockWork:
    """Count dock scans in the order given; each (place, device, sequence) counts once."""
    for scan in scans:
        if scan.good < 0 or scan.damaged < 0 or scan.good + scan.damaged == 0:
            raise NothingScannedError("good, damaged", (scan.good, scan.damaged), "Count at least one unit.")
    refs = [scan.ref for scan in scans]
    dock = _Dock(
        await lock_plans(conn, refs),
        await read_inbound_lines(conn, refs),
        await read_scans(conn, [scan.key for scan in scans]),
        [],
    )
    results: list[DockResult] = []
    moves: list[StockMove] = []
    for scan in scans:
        outcome = dock.outcome(scan)
        receipt = dock.count(scan) if outcome is ScanOutcome.NEW else None
        results.append(DockResult(scan, outcome, receipt))
        if receipt is not None:
            moves.extend(_moves(scan, dock.plans[scan.ref], dock.lines[scan.ref, scan.line_no], receipt))
    await _store(conn, dock)
    return DockWork(results, moves)


def _moves(scan: DockScan, plan: Plan, line: InboundLine, receipt: Receipt) -> list[StockMove]:
    cause = Cause(CauseKind.RECEIVE, scan.key.scan_id, scan.at)
    dock_spot = (plan.place_code, RECEIVE_SPOT)
    goods = goods_of(plan, line)
    return [
        regrade_goods(goods, quantity, (source, OUTSIDE_SPOT), dock_spot, DAMAGED if is_damaged else SELLABLE, cause)
        for source, is_damaged, quantity in places_of(plan, receipt)
    ]


async def _store(conn: Conn, dock: _Dock) -> None:
    counted = dock.counted
    if not counted:
        return
    firsts: dict[PlanRef, datetime] = {}
    for scan in counted:
        firsts[scan.ref] = min(scan.at, firsts.get(scan.ref, scan.at))
    await insert_scans(conn, [scan.scan for scan in counted])
    touched = sorted({(scan.merchant_id, scan.plan_id, scan.line_no) for scan in counted})
    await update_inbound_lines(conn, [dock.lines[PlanRef(merchant_id, plan_id), line_no] for merchant_id, plan_id, line_no in touched])
    await update_plans(conn, list(firsts), PlanState.RECEIVING, list(firsts.values()), "custody_at")
    await update_boxes_arrived(conn, [(scan.ref, scan.box_no, scan.at) for scan in counted if scan.box_no is not None])
