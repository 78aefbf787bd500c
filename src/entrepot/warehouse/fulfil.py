"""Pick, pack and stage in one go.

Where nobody walks (the import of a year, a fast world) the three steps follow at the same instant. The same rules decide and the same tables are
written as by start_picking, confirm_picks and pack_orders one after the other, with the same moves; only the rows are written once.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from entrepot.base.sql import Conn
from entrepot.warehouse.binning import StockInBin
from entrepot.warehouse.cartons import MeasureKey, PackedParcel, UnitMeasure, choose_carton
from entrepot.warehouse.model import Cause, CauseKind, OrderRef, OrderStep, StepOutcome, StockMove, WorkState
from entrepot.warehouse.pack import PackWork, pack_moves
from entrepot.warehouse.pick import LATER_THAN_PICKING, Picked, allocate, pick_moves, settle, taken
from entrepot.warehouse.store_floor import read_cartons
from entrepot.warehouse.store_outbound import (
    LineSettlement,
    insert_tasks,
    lock_orders,
    read_lines,
    settle_lines,
    update_lines_packed,
    update_lines_staged,
    update_orders,
    update_orders_packed,
)
from entrepot.warehouse.work import judge_orders, ready, with_twins


async def pick_pack_and_stage(
    conn: Conn, refs: Sequence[OrderRef], stock: Sequence[StockInBin], measures: Mapping[MeasureKey, UnitMeasure], at: datetime
) -> PackWork:
    """Bring queued orders to staging out of `stock` (what the book holds there now); earlier orders are served first."""
    orders = await lock_orders(conn, refs)
    verdicts = judge_orders(refs, orders, WorkState.PICKING, LATER_THAN_PICKING)
    starting = ready(verdicts)
    lines = await read_lines(conn, [order.ref for order in starting])
    allocation = await allocate(conn, [line for order in starting for line in lines[order.ref]], stock, at)
    picks: dict[OrderRef, Picked] = {}
    for order in starting:
        tasks = [taken(task, task.quantity) for task in allocation.tasks.get(order.ref, ())]
        picks[order.ref] = settle(order, lines[order.ref], tasks)
    cartons = await read_cartons(conn, at.date())
    parcels = [choose_carton(ref, pick.held, measures, cartons) for ref, pick in picks.items() if pick.held]
    steps: list[OrderStep] = []
    for verdict in verdicts:
        if verdict.outcome is not StepOutcome.DONE:
            steps.append(verdict.step())
            continue
        pick = picks[verdict.ref]
        steps.append(verdict.step(WorkState.PACKED if pick.held else WorkState.SHORT, pick.held, pick.shorts))
    await _store(conn, list(picks.values()), parcels, at)
    return PackWork(with_twins(steps), _moves(picks, at), parcels)


def _moves(picks: Mapping[OrderRef, Picked], at: datetime) -> list[StockMove]:
    moves: list[StockMove] = []
    for ref, pick in picks.items():
        moves.extend(pick_moves(pick.tasks, Cause(CauseKind.PICK, ref.fulfilment_order_id, at)))
    for ref, pick in picks.items():
        moves.extend(pack_moves(pick.tasks, Cause(CauseKind.PACK, ref.fulfilment_order_id, at)))
    return moves


async def _store(conn: Conn, picks: Sequence[Picked], parcels: Sequence[PackedParcel], at: datetime) -> None:
    await insert_tasks(conn, [task for pick in picks for task in pick.tasks])
    await update_lines_staged(conn, [pick.order.ref for pick in picks if not pick.shorts])
    settled: list[LineSettlement] = [line for pick in picks if pick.shorts for line in pick.settlements]
    await settle_lines(conn, settled)
    await update_lines_packed(conn, [pick.order.ref for pick in picks if pick.shorts])
    await update_orders_packed(conn, parcels, at, ["picking_at", "picked_at", "packed_at"])
    await update_orders(conn, [pick.order.ref for pick in picks if not pick.held], WorkState.SHORT, at, ["picking_at", "ended_at"])
