"""Stow from the dock.

The stower takes units from the dock to a bin. The system directs: a bin that holds the same lot first, then an empty one, then one without
this item, never a bin with another lot of it, as far as the volume goes; damaged units go to bins of the unsellable zone. The stower scans
the bin it really used, and that is what counts. Merchants' goods never mix in title: every unit in a bin is known by merchant, owner and lot.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from msgspec import Struct

from entrepot.base.quantity import require_positive
from entrepot.base.sql import Conn
from entrepot.warehouse.binning import StowNeed
from entrepot.warehouse.cartons import MeasureKey, UnitMeasure, measure_of
from entrepot.warehouse.inbound import InboundLine, Plan, PlanRef, add_stowed, goods_of
from entrepot.warehouse.model import (
    DAMAGED,
    RECEIVE_SPOT,
    SELLABLE,
    Cause,
    CauseKind,
    PlanState,
    StockMove,
    bin_spot,
    move_goods,
)
from entrepot.warehouse.scanning import Fingerprint, Scan, ScanKey, ScanKind, ScanOutcome, fingerprint, repetition
from entrepot.warehouse.store_floor import insert_scans, read_pick_sequences, read_scans
from entrepot.warehouse.store_inbound import InboundLineKey, lock_plans, read_inbound_lines, read_plans_of, update_inbound_lines


class StowScan(Struct, frozen=True):
    """One reading at a bin: units of an inbound line in a condition that now lie there."""

    key: ScanKey
    at: datetime
    merchant_id: uuid.UUID
    plan_id: uuid.UUID
    line_no: int
    condition_code: str
    quantity: int
    bin_code: str

    @property
    def ref(self) -> PlanRef:
        """Name the plan."""
        return PlanRef(self.merchant_id, self.plan_id)

    @property
    def scan(self) -> Scan:
        """The scan as every device's scans are stored."""
        content = f"line={self.line_no};condition={self.condition_code};quantity={self.quantity};bin={self.bin_code}"
        return Scan(self.key, ScanKind.STOW, self.at, self.merchant_id, self.plan_id, content)


class StowResult(Struct, frozen=True):
    """What became of a stow scan."""

    scan: StowScan
    outcome: ScanOutcome


class StowWork(Struct, frozen=True):
    """One result per scan, in order, and the stock moves for the book."""

    results: list[StowResult]
    moves: list[StockMove]


@dataclass(slots=True)
class _Aisle:
    """What the batch has stowed so far."""

    plans: dict[PlanRef, Plan]
    lines: dict[InboundLineKey, InboundLine]
    known: dict[ScanKey, Fingerprint]
    bins: Mapping[tuple[str, str], int]
    stowed: list[StowScan]

    def outcome(self, scan: StowScan) -> ScanOutcome:
        """Judge one scan against what is stored and what the batch brought before it."""
        repeated = repetition(scan.scan, self.known)
        if repeated is not None:
            return repeated
        plan, line = self.plans.get(scan.ref), self.lines.get((scan.ref, scan.line_no))
        if plan is None or plan.place_code != scan.key.place_code:
            return ScanOutcome.UNKNOWN_PLAN
        if line is None:
            return ScanOutcome.UNKNOWN_LINE
        if plan.state not in {PlanState.RECEIVING, PlanState.CLOSED}:
            return ScanOutcome.NOT_ALLOWED
        if (plan.place_code, bin_spot(scan.bin_code)) not in self.bins:
            return ScanOutcome.UNKNOWN_BIN
        return ScanOutcome.NEW if scan.quantity <= line.to_stow(scan.condition_code) else ScanOutcome.TOO_MANY

    def stow(self, scan: StowScan) -> StockMove:
        """Count a new scan and propose its move."""
        plan, line = self.plans[scan.ref], self.lines[scan.ref, scan.line_no]
        self.lines[scan.ref, scan.line_no] = add_stowed(line, scan.condition_code, scan.quantity)
        self.known[scan.key] = fingerprint(scan.scan)
        self.stowed.append(scan)
        return move_goods(
            goods_of(plan, line, scan.condition_code),
            scan.quantity,
            (plan.place_code, RECEIVE_SPOT),
            (plan.place_code, bin_spot(scan.bin_code)),
            Cause(CauseKind.STOW, scan.key.scan_id, scan.at),
        )


async def read_stow_needs(conn: Conn, refs: Sequence[PlanRef], measures: Mapping[MeasureKey, UnitMeasure]) -> list[StowNeed]:
    """Return what waits at the dock for a bin, by plan, line and condition, with the volume of a unit."""
    plans = await read_plans_of(conn, refs)
    needs: list[StowNeed] = []
    for line in (await read_inbound_lines(conn, refs)).values():
        plan = plans[line.ref]
        for condition_code in (SELLABLE, DAMAGED):
            quantity = line.to_stow(condition_code)
            if quantity:
                measure = measure_of(measures, line.ref.merchant_id, line.stock_item_id)
                goods = goods_of(plan, line, condition_code)
                needs.append(StowNeed(line.ref.plan_id, line.line_no, plan.place_code, goods, quantity, measure.volume_mm3))
    return needs


async def stow_units(conn: Conn, scans: Sequence[StowScan]) -> StowWork:
    """Put units from the dock into bins, in the order scanned; each (place, device, sequence) counts once."""
    for scan in scans:
        require_positive(scan.quantity)
    refs = [scan.ref for scan in scans]
    aisle = _Aisle(
        await lock_plans(conn, refs),
        await read_inbound_lines(conn, refs),
        await read_scans(conn, [scan.key for scan in scans]),
        await read_pick_sequences(conn, [(scan.key.place_code, bin_spot(scan.bin_code)) for scan in scans]),
        [],
    )
    results: list[StowResult] = []
    moves: list[StockMove] = []
    for scan in scans:
        outcome = aisle.outcome(scan)
        results.append(StowResult(scan, outcome))
        if outcome is ScanOutcome.NEW:
            moves.append(aisle.stow(scan))
    if aisle.stowed:
        await insert_scans(conn, [scan.scan for scan in aisle.stowed])
        touched = sorted({(scan.merchant_id, scan.plan_id, scan.line_no) for scan in aisle.stowed})
        await update_inbound_lines(conn, [aisle.lines[PlanRef(merchant_id, plan_id), line_no] for merchant_id, plan_id, line_no in touched])
    return StowWork(results, moves)
