"""Pack.

The packer scans what lies on the table for an order. Only exactly what was picked may go into the carton: a unit too few or too many stops the
order and changes nothing. The smallest carton that takes the units is chosen; the parcel weighs its units and the cartons. Packed orders wait
staged for the carrier.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from entrepot.base.sql import Conn
from entrepot.warehouse.cartons import Carton, MeasureKey, PackedParcel, UnitMeasure, choose_carton
from entrepot.warehouse.model import (
    PACK_SPOT,
    STAGE_SPOT,
    Cause,
    CauseKind,
    LineCount,
    OrderRef,
    OrderStep,
    PickTask,
    StepOutcome,
    StockMove,
    WorkState,
    move_task,
)
from entrepot.warehouse.store_floor import read_cartons
from entrepot.warehouse.store_outbound import lock_orders, read_orders, read_tasks, update_lines_packed, update_orders_packed
from entrepot.warehouse.work import held_by_line, is_same_packing, judge_orders, ready, with_twins


class PackScan(Struct, frozen=True):
    """What the packer scanned for an order, by line and part."""

    order: OrderRef
    lines: tuple[LineCount, ...]


class PackWork(Struct, frozen=True):
    """One step per order asked, in the order asked, the stock moves for the book, and the parcels that were packed."""

    steps: list[OrderStep]
    moves: list[StockMove]
    parcels: list[PackedParcel]


async def pack_orders(conn: Conn, scans: Sequence[PackScan], measures: Mapping[MeasureKey, UnitMeasure], at: datetime) -> PackWork:
    """Pack picked orders whose scan is exactly what was picked (one scan per order and batch); another scan `differs`."""
    refs = [scan.order for scan in scans]
    orders = await lock_orders(conn, refs)
    verdicts = judge_orders(refs, orders, WorkState.PACKED, (WorkState.HANDED_OVER,))
    tasks = await read_tasks(conn, ready(verdicts))
    cartons = await read_cartons(conn, at.date())
    steps: list[OrderStep] = []
    moves: list[StockMove] = []
    parcels: list[PackedParcel] = []
    for verdict, scan in zip(verdicts, scans, strict=True):
        if verdict.outcome is not StepOutcome.DONE or verdict.order is None:
            steps.append(verdict.step())
            continue
        held = held_by_line(tasks.get(scan.order, []))
        if not is_same_packing(held, scan.lines):
            steps.append(OrderStep(scan.order, StepOutcome.DIFFERS, verdict.order.state, verdict.order.order_id, verdict.order.place_code, held))
            continue
        steps.append(verdict.step(WorkState.PACKED, held))
        parcels.append(choose_carton(scan.order, held, measures, cartons))
        moves.extend(pack_moves(tasks[scan.order], Cause(CauseKind.PACK, scan.order.fulfilment_order_id, at)))
    await update_lines_packed(conn, [parcel.order for parcel in parcels])
    await update_orders_packed(conn, parcels, at, ["packed_at"])
    return PackWork(with_twins(steps), moves, parcels)


async def suggest_carton(
    conn: Conn, ref: OrderRef, measures: Mapping[MeasureKey, UnitMeasure], at: datetime
) -> tuple[PackedParcel, Carton | None] | None:
    """Return how a picked order will be packed and the carton for it (none: units in the packaging they came in); nothing for one without units."""
    orders = await read_orders(conn, [ref])
    tasks = await read_tasks(conn, list(orders.values()))
    held = held_by_line(tasks.get(ref, []))
    if not held:
        return None
    cartons = await read_cartons(conn, at.date())
    parcel = choose_carton(ref, held, measures, cartons)
    return parcel, next((one for one in cartons if one.carton_code == parcel.carton_code), None)


def pack_moves(tasks: Sequence[PickTask], cause: Cause) -> list[StockMove]:
    """Propose to move what is held for an order from the packing table to staging."""
    return [move_task(task, task.held, PACK_SPOT, (task.place_code, STAGE_SPOT), cause) for task in tasks if task.held]
