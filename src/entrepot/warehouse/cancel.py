"""Cancel work that has not been handed over.

Waiting work is simply struck out. Units on the packing table or in staging go back to the very bins and lots they came from. The step says
exactly how many units of each line will not leave, so that the caller gives back exactly their reservations and money.
"""

from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import replace

from entrepot.base.sql import Conn
from entrepot.warehouse.model import (
    PACK_SPOT,
    STAGE_SPOT,
    Cause,
    CauseKind,
    FloorWork,
    OrderRef,
    OrderStep,
    PickTask,
    StepOutcome,
    StockMove,
    WorkState,
    move_task,
)
from entrepot.warehouse.store_outbound import lock_orders, read_lines, read_tasks, update_lines_cancelled, update_orders, update_tasks
from entrepot.warehouse.work import judge_orders, open_units, ready, with_twins


async def cancel_orders(conn: Conn, refs: Sequence[OrderRef], at: datetime) -> FloorWork:
    """Cancel orders up to packed; one that was handed over or ended short is told `not_allowed`."""
    orders = await lock_orders(conn, refs)
    verdicts = judge_orders(refs, orders, WorkState.CANCELLED)
    cancelling = ready(verdicts)
    lines = await read_lines(conn, [order.ref for order in cancelling])
    tasks = await read_tasks(conn, cancelling)
    steps: list[OrderStep] = []
    moves: list[StockMove] = []
    returned: list[PickTask] = []
    for verdict in verdicts:
        if verdict.outcome is not StepOutcome.DONE or verdict.order is None:
            steps.append(verdict.step())
            continue
        held = [task for task in tasks.get(verdict.ref, []) if task.held]
        spot = STAGE_SPOT if verdict.order.state is WorkState.PACKED else PACK_SPOT
        cause = Cause(CauseKind.CANCEL, verdict.ref.fulfilment_order_id, at)
        moves.extend(move_task(task, task.held, spot, (task.place_code, task.spot_code), cause) for task in held)
        returned.extend(replace(task, put_back=task.picked) for task in held)
        steps.append(verdict.step(WorkState.CANCELLED, open_units(lines[verdict.ref], held)))
    await update_tasks(conn, returned)
    await update_lines_cancelled(conn, [order.ref for order in cancelling])
    await update_orders(conn, [order.ref for order in cancelling], WorkState.CANCELLED, at, ["ended_at"])
    return FloorWork(with_twins(steps), moves)
