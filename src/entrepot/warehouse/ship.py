"""Hand over to the carrier.

The driver takes staged parcels. From here on the carrier holds the units; the reservations of the lines are consumed in the same posting. What
has been handed over cannot be cancelled any more, only returned.
"""

from collections.abc import Sequence
from datetime import datetime

from entrepot.base.sql import Conn
from entrepot.warehouse.model import (
    CARRIER,
    OUTSIDE_SPOT,
    STAGE_SPOT,
    Cause,
    CauseKind,
    FloorWork,
    OrderRef,
    OrderStep,
    StepOutcome,
    StockMove,
    WorkState,
    move_task,
)
from entrepot.warehouse.store_outbound import lock_orders, read_tasks, update_orders
from entrepot.warehouse.work import held_by_line, judge_orders, ready, with_twins


async def ship_orders(conn: Conn, refs: Sequence[OrderRef], at: datetime) -> FloorWork:
    """Hand packed orders over to their carriers; the steps name the units that left, line by line."""
    orders = await lock_orders(conn, refs)
    verdicts = judge_orders(refs, orders, WorkState.HANDED_OVER)
    leaving = ready(verdicts)
    tasks = await read_tasks(conn, leaving)
    steps: list[OrderStep] = []
    moves: list[StockMove] = []
    for verdict in verdicts:
        if verdict.outcome is not StepOutcome.DONE:
            steps.append(verdict.step())
            continue
        held = tasks.get(verdict.ref, [])
        cause = Cause(CauseKind.SHIP, verdict.ref.fulfilment_order_id, at)
        steps.append(verdict.step(WorkState.HANDED_OVER, held_by_line(held)))
        moves.extend(move_task(task, task.held, STAGE_SPOT, (CARRIER, OUTSIDE_SPOT), cause) for task in held if task.held)
    await update_orders(conn, [order.ref for order in leaving], WorkState.HANDED_OVER, at, ["ended_at"])
    return FloorWork(with_twins(steps), moves)
