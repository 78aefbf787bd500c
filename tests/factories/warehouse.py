"""A place with bins, plans on their way, work to do, and a small stock book that applies the floor's moves."""

import uuid
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

from entrepot.base.ids import derived_id
from entrepot.base.sql import Conn
from entrepot.warehouse.binning import Bin, StockInBin
from entrepot.warehouse.cartons import UnitMeasure
from entrepot.warehouse.inbound import InboundKind, InboundLeg, LegKind, NewInboundLine, NewPlan
from entrepot.warehouse.model import (
    NO_LOT,
    SELLABLE,
    BinZone,
    LineCount,
    NewFulfilmentLine,
    NewFulfilmentOrder,
    OrderRef,
    OrderStep,
    StockMove,
    WorkCause,
)
from entrepot.warehouse.pack import PackScan
from entrepot.warehouse.receive import DockScan
from entrepot.warehouse.scanning import ScanKey
from entrepot.warehouse.seed_rows import seed_warehouse
from entrepot.warehouse.store_floor import insert_bins

AT = datetime(2026, 5, 4, 9, tzinfo=UTC)
PLACE = "US-ONT1"
MERCHANT = derived_id("merchant", "floor")
OTHER = derived_id("merchant", "other floor")
REGISTERED = frozenset({(MERCHANT, "US"), (OTHER, "US")})
SOURCES = {"@supplier", "@over_receipt", "@found"}
BINS = (
    Bin(PLACE, "A-01", BinZone.FORWARD, 50_000_000, 10),
    Bin(PLACE, "A-02", BinZone.FORWARD, 50_000_000, 20),
    Bin(PLACE, "B-01", BinZone.RESERVE, 500_000_000, 30),
    Bin(PLACE, "X-01", BinZone.UNSELLABLE, 50_000_000, 40),
)


def item(name: str) -> uuid.UUID:
    return derived_id("item", name)


def measures(*names: str, weight_g: int = 250, sides_mm: tuple[int, int, int] = (100, 80, 50)) -> dict[tuple[uuid.UUID, uuid.UUID], UnitMeasure]:
    return {(merchant, item(name)): UnitMeasure(weight_g, *sides_mm) for merchant in (MERCHANT, OTHER) for name in names}


async def open_place(conn: Conn) -> None:
    await seed_warehouse(conn)
    await insert_bins(conn, BINS)


def plan(
    name: str,
    *lines: NewInboundLine,
    kind: InboundKind = InboundKind.OWN_CARRIER,
    merchant: uuid.UUID = MERCHANT,
    importer: str | None = None,
    is_cross_border: bool = False,
) -> NewPlan:
    legs = unified_legs() if kind is InboundKind.UNIFIED else ()
    return NewPlan(merchant, derived_id("plan", name), PLACE, "US", kind, is_cross_border, importer, AT, lines or (inbound_line(1, "mug", 10),), legs)


def inbound_line(line_no: int, name: str, announced: int, lot: str = NO_LOT, expires_on: date | None = None) -> NewInboundLine:
    return NewInboundLine(line_no, item(name), announced, lot, expires_on)


def unified_legs() -> tuple[InboundLeg, ...]:
    kinds = (LegKind.PICKUP, LegKind.OCEAN, LegKind.CUSTOMS, LegKind.DELIVERY)
    return tuple(
        InboundLeg(no, kind, f"P{no}", f"P{no + 1}", AT + timedelta(days=no), AT + timedelta(days=no + 1), 10_000 * no, "USD")
        for no, kind in enumerate(kinds, start=1)
    )


def dock_scan(of: NewPlan, sequence_no: int, good: int, damaged: int = 0, line_no: int = 1, box_no: int | None = None) -> DockScan:
    return DockScan(ScanKey(PLACE, "dock-1", sequence_no), AT, of.merchant_id, of.plan_id, line_no, good, damaged, box_no)


def line(line_no: int, name: str, quantity: int, merchant: uuid.UUID = MERCHANT, part_no: int = 1) -> NewFulfilmentLine:
    return NewFulfilmentLine(line_no, part_no, item(name), quantity, merchant)


def order(name: str, *lines: NewFulfilmentLine, merchant: uuid.UUID = MERCHANT, cause: WorkCause = WorkCause.SALE) -> NewFulfilmentOrder:
    return NewFulfilmentOrder(
        merchant,
        derived_id("fulfilment", name),
        derived_id("order", name),
        derived_id("consignment", name),
        PLACE,
        cause,
        AT + timedelta(days=1),
        AT,
        lines or (line(1, "mug", 3, merchant),),
    )


def ref(of: NewFulfilmentOrder) -> OrderRef:
    return OrderRef(of.merchant_id, of.fulfilment_order_id)


def scan_of(step: OrderStep) -> PackScan:
    return PackScan(step.order, step.lines)


def counted(*counts: tuple[int, str, int]) -> tuple[LineCount, ...]:
    return tuple(LineCount(line_no, 1, item(name), quantity) for line_no, name, quantity in counts)


def stock(spot: str, name: str, quantity: int, lot: str = NO_LOT, merchant: uuid.UUID = MERCHANT, condition: str = SELLABLE) -> StockInBin:
    return StockInBin(merchant, merchant, item(name), PLACE, spot, quantity, lot, condition)


class Shelf:
    """Units by merchant, owner, item, place, spot, lot, condition and customs status; refuses to go below zero outside the sources."""

    def __init__(self, *rows: StockInBin) -> None:
        self.units: Counter[tuple[object, ...]] = Counter()
        for row in rows:
            self.units[
                row.merchant_id, row.owner_id, row.stock_item_id, row.place_code, row.spot_code, row.lot_code, row.condition_code, row.customs_status
            ] += row.quantity

    def post(self, moves: Iterable[StockMove]) -> None:
        for move in moves:
            assert move.quantity > 0
            goods = (move.merchant_id, move.owner_id, move.stock_item_id)
            source = (*goods, move.from_place_code, move.from_spot_code, move.from_lot_code, move.from_condition_code, move.from_customs_status)
            target = (*goods, move.to_place_code, move.to_spot_code, move.to_lot_code, move.to_condition_code, move.to_customs_status)
            self.units[source] -= move.quantity
            self.units[target] += move.quantity
            assert self.units[source] >= 0 or move.from_place_code in SOURCES, source
        self.units = Counter({key: units for key, units in self.units.items() if units})

    def at(self, spot: str, name: str = "mug", place: str = PLACE, merchant: uuid.UUID = MERCHANT) -> int:
        return sum(units for key, units in self.units.items() if (key[0], key[2], key[3], key[4]) == (merchant, item(name), place, spot))

    def in_condition(self, condition: str, spot: str) -> int:
        return sum(units for key, units in self.units.items() if (key[4], key[6]) == (spot, condition))

    def in_bins(self) -> list[StockInBin]:
        return [
            StockInBin(key[0], key[1], key[2], key[3], key[4], units, key[5], key[6], key[7])  # type: ignore[arg-type]
            for key, units in sorted(self.units.items(), key=str)
            if str(key[4]).startswith("bin:") or key[4] == "site"
        ]
