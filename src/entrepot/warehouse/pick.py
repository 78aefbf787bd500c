"""Pick.

The place starts picking: for each order the system says from which bin and lot to take each line, the lot that expires first, then along the
walk through the bins; what no bin holds is short. The picker walks, takes, and reports only what was not there. Picked units go to the packing
table with their lots. An order of which nothing could be taken ends as short; of any other the rest goes on, and the step says what is missing,
so that the reservations of the missing units can be closed and the buyer told.
"""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from entrepot.base.sql import Conn
from entrepot.warehouse.binning import Allocation, BinOrder, StockInBin, allocate_bins
from entrepot.warehouse.model import (
    NO_LOT,
    PACK_SPOT,
    Cause,
    CauseKind,
    FloorWork,
    LineCount,
    OrderRef,
    OrderStep,
    PickTask,
    StepOutcome,
    StockMove,
    WorkLine,
    WorkState,
    move_task,
)
from entrepot.warehouse.store_floor import read_expiries, read_pick_sequences
from entrepot.warehouse.store_outbound import (
    LineSettlement,
    insert_tasks,
    lock_orders,
    read_lines,
    read_orders,
    read_tasks,
    settle_lines,
    update_lines_picked,
    update_orders,
    update_tasks,
    update_tasks_as_directed,
)
from entrepot.warehouse.work import WorkOrder, held_by_line, judge_orders, ready, with_twins

LATER_THAN_PICKING = (WorkState.PICKED, WorkState.PACKED, WorkState.HANDED_OVER, WorkState.SHORT)
LATER_THAN_PICKED = (WorkState.PACKED, WorkState.HANDED_OVER, WorkState.SHORT)


class MissingUnits(Struct, frozen=True):
    """Units of one task that the picker did not find."""

    line_no: int
    part_no: int
    task_no: int
    quantity: int


class PickReport(Struct, frozen=True):
    """A picker is done with an order; everything was taken as directed but the missing units."""

    order: OrderRef
    missing: tuple[MissingUnits, ...] = ()


async def allocate(conn: Conn, lines: Sequence[WorkLine], stock: Sequence[StockInBin], at: datetime) -> Allocation:
    """Read the walk and the expiries of the stock and allocate lines to spots; lots expired by the UTC date of `at` stay."""
    sequences = await read_pick_sequences(conn, {(row.place_code, row.spot_code) for row in stock})
    expiries = await read_expiries(conn, {(row.merchant_id, row.stock_item_id, row.lot_code) for row in stock if row.lot_code != NO_LOT})
    return allocate_bins(lines, stock, BinOrder(sequences, expiries, at.date()))


async def start_picking(conn: Conn, refs: Sequence[OrderRef], stock: Sequence[StockInBin], at: datetime) -> FloorWork:
    """Direct queued orders to the spots in `stock` (what the book holds there now); earlier orders are served first. Moves nothing."""
    orders = await lock_orders(conn, refs)
    verdicts = judge_orders(refs, orders, WorkState.PICKING, LATER_THAN_PICKING)
    starting = ready(verdicts)
    lines = await read_lines(conn, [order.ref for order in starting])
    allocation = await allocate(conn, [line for order in starting for line in lines[order.ref]], stock, at)
    await insert_tasks(conn, [task for order in starting for task in allocation.tasks.get(order.ref, ())])
    picking = [order.ref for order in starting if order.ref in allocation.tasks]
    empty = [order.ref for order in starting if order.ref not in allocation.tasks]
    await update_orders(conn, picking, WorkState.PICKING, at, ["picking_at"])
    await settle_lines(conn, [LineSettlement(ref, line.line_no, line.part_no, 0, line.to_pick) for ref in empty for line in lines[ref]])
    await update_orders(conn, empty, WorkState.SHORT, at, ["picking_at", "ended_at"])
    steps: list[OrderStep] = []
    for verdict in verdicts:
        if verdict.outcome is not StepOutcome.DONE:
            steps.append(verdict.step())
        elif verdict.ref in allocation.tasks:
            steps.append(verdict.step(WorkState.PICKING))
        else:
            steps.append(verdict.step(WorkState.SHORT, shorts=allocation.shorts.get(verdict.ref, ())))
    return FloorWork(with_twins(steps), [])


async def read_directions(conn: Conn, refs: Sequence[OrderRef]) -> dict[OrderRef, list[PickTask]]:
    """Return the pick tasks of orders, for the picker's list."""
    orders = await read_orders(conn, refs)
    return await read_tasks(conn, list(orders.values()))


async def confirm_picks(conn: Conn, reports: Sequence[PickReport], at: datetime) -> FloorWork:
    """Book what pickers took to the packing table; a report of more missing units than directed `differs` and changes nothing."""
    refs = [report.order for report in reports]
    orders = await lock_orders(conn, refs)
    verdicts = judge_orders(refs, orders, WorkState.PICKED, LATER_THAN_PICKED)
    confirming = ready(verdicts)
    directed = await read_tasks(conn, confirming)
    lines = await read_lines(conn, [order.ref for order in confirming])
    picks: dict[OrderRef, Picked] = {}
    steps: list[OrderStep] = []
    moves: list[StockMove] = []
    for verdict, report in zip(verdicts, reports, strict=True):
        if verdict.outcome is not StepOutcome.DONE or verdict.order is None:
            steps.append(verdict.step())
            continue
        tasks = _taken(directed.get(report.order, []), report.missing)
        if tasks is None:
            steps.append(OrderStep(report.order, StepOutcome.DIFFERS, verdict.order.state, verdict.order.order_id, verdict.order.place_code))
            continue
        picked = picks[report.order] = settle(verdict.order, lines[report.order], tasks)
        steps.append(verdict.step(picked.state, picked.held, picked.shorts))
        moves.extend(pick_moves(tasks, Cause(CauseKind.PICK, report.order.fulfilment_order_id, at)))
    await _store(conn, list(picks.values()), at)
    return FloorWork(with_twins(steps), moves)


class Picked(Struct, frozen=True):
    """What an order has after picking: its tasks, what is held and short by line, and the state that follows."""

    order: WorkOrder
    tasks: list[PickTask]
    held: tuple[LineCount, ...]
    shorts: tuple[LineCount, ...]

    @property
    def state(self) -> WorkState:
        """An order of which nothing was taken is short."""
        return WorkState.PICKED if self.held else WorkState.SHORT

    @property
    def settlements(self) -> list[LineSettlement]:
        """Counts line by line."""
        picked = {(count.line_no, count.part_no): count.quantity for count in self.held}
        short = {(count.line_no, count.part_no): count.quantity for count in self.shorts}
        return [LineSettlement(self.order.ref, *key, picked.get(key, 0), short.get(key, 0)) for key in sorted(picked.keys() | short.keys())]


def settle(order: WorkOrder, lines: Sequence[WorkLine], tasks: list[PickTask]) -> Picked:
    """Compare what was to pick with what was taken, line by line."""
    held = held_by_line(tasks)
    found = {(count.line_no, count.part_no): count.quantity for count in held}
    shorts = tuple(
        LineCount(line.line_no, line.part_no, line.stock_item_id, line.to_pick - found.get((line.line_no, line.part_no), 0))
        for line in lines
        if line.to_pick > found.get((line.line_no, line.part_no), 0)
    )
    return Picked(order, tasks, held, shorts)


def taken(task: PickTask, picked: int) -> PickTask:
    """Return the task with the units that the picker took."""
    return PickTask(
        task.order, task.place_code, task.line_no, task.part_no, task.task_no, task.owner_id, task.stock_item_id, task.spot_code, task.lot_code,
        task.condition_code, task.customs_status, task.quantity, picked,
    )  # fmt: skip


def pick_moves(tasks: Sequence[PickTask], cause: Cause) -> list[StockMove]:
    """Propose to move what was taken from its spots to the packing table."""
    return [move_task(task, task.held, task.spot_code, (task.place_code, PACK_SPOT), cause) for task in tasks if task.held]


def _taken(tasks: Sequence[PickTask], missing: Sequence[MissingUnits]) -> list[PickTask] | None:
    lacking = {(gap.line_no, gap.part_no, gap.task_no): gap.quantity for gap in missing}
    confirmed: list[PickTask] = []
    for task in tasks:
        gap = lacking.pop((task.line_no, task.part_no, task.task_no), 0)
        if not 0 <= gap <= task.quantity:
            return None
        confirmed.append(taken(task, task.quantity - gap))
    return None if lacking else confirmed


async def _store(conn: Conn, picks: Sequence[Picked], at: datetime) -> None:
    as_directed = [pick.order for pick in picks if all(task.picked == task.quantity for task in pick.tasks)]
    followed = {order.ref for order in as_directed}
    await update_tasks_as_directed(conn, as_directed)
    await update_tasks(conn, [task for pick in picks if pick.order.ref not in followed for task in pick.tasks])
    await update_lines_picked(conn, [pick.order.ref for pick in picks if not pick.shorts])
    await settle_lines(conn, [line for pick in picks if pick.shorts for line in pick.settlements])
    await update_orders(conn, [pick.order.ref for pick in picks if pick.held], WorkState.PICKED, at, ["picked_at"])
    await update_orders(conn, [pick.order.ref for pick in picks if not pick.held], WorkState.SHORT, at, ["ended_at"])
