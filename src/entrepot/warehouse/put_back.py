"""Put units back while the order goes on.

A buyer cancels two of five before the carton is closed. Units that are only directed are struck from the pick list, the last task first; units
on the packing table go back to the bins and lots they came from. When nothing of an order is left, it is cancelled. A closed carton is not
opened for a part: such an order is cancelled as a whole, or returned later.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from entrepot.base.quantity import require_positive
from entrepot.base.sql import Conn
from entrepot.warehouse.binning import take_back
from entrepot.warehouse.model import (
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
    WorkState,
    move_task,
)
from entrepot.warehouse.store_outbound import (
    PartCancellation,
    lock_orders,
    read_lines,
    read_put_backs,
    read_tasks,
    store_part_cancellations,
    update_orders,
    update_tasks,
)
from entrepot.warehouse.work import WorkOrder

_OPEN = frozenset({WorkState.QUEUED, WorkState.PICKING, WorkState.PICKED})
_LineKey = tuple[int, int]
_TaskKey = tuple[int, int, int]


class PutBack(Struct, frozen=True):
    """Units of one part of a line that shall not leave after all; the request's id makes a replay known."""

    request_id: uuid.UUID
    order: OrderRef
    line_no: int
    part_no: int
    quantity: int


@dataclass(slots=True)
class _Job:
    """An order while the batch takes units off it."""

    order: WorkOrder
    to_pick: dict[_LineKey, int]
    items: dict[_LineKey, uuid.UUID]
    tasks: dict[_TaskKey, PickTask]
    changed: set[_TaskKey]

    @property
    def is_picked(self) -> bool:
        """Whether units lie on the packing table."""
        return self.order.state is WorkState.PICKED

    def units(self, key: _LineKey) -> list[tuple[PickTask, int]]:
        """Return the tasks of a line with the units that may go back."""
        tasks = [task for task in self.tasks.values() if (task.line_no, task.part_no) == key]
        return [(task, task.held if self.is_picked else task.quantity) for task in tasks]

    def open_units(self, key: _LineKey) -> int:
        """Return how many units of a line may still be taken off."""
        return sum(units for _, units in self.units(key)) if self.is_picked else self.to_pick.get(key, 0)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left to send."""
        return not any(task.held for task in self.tasks.values()) if self.is_picked else not any(self.to_pick.values())

    def take_off(self, ask: PutBack, at: datetime) -> list[StockMove]:
        """Take units off and propose the moves of those that lie on the packing table."""
        key = (ask.line_no, ask.part_no)
        cause = Cause(CauseKind.PUT_BACK, ask.request_id, at)
        if self.is_picked:
            chosen = take_back(self.units(key), ask.quantity)
            self._change([replace(task, put_back=task.put_back + units) for task, units in chosen])
            return [move_task(task, units, PACK_SPOT, (task.place_code, task.spot_code), cause) for task, units in chosen]
        self.to_pick[key] -= ask.quantity
        directed = self.units(key)
        # Units that no bin holds are struck first: the picker's list only shrinks by what it has too many.
        surplus = sum(units for _, units in directed) - self.to_pick[key]
        self._change([replace(task, quantity=task.quantity - units) for task, units in take_back(directed, surplus)])
        return []

    def _change(self, tasks: Sequence[PickTask]) -> None:
        for task in tasks:
            key = (task.line_no, task.part_no, task.task_no)
            self.tasks[key] = task
            self.changed.add(key)


async def put_back_units(conn: Conn, asks: Sequence[PutBack], at: datetime) -> FloorWork:
    """Take parts off orders that are not packed yet, in the order asked; more units than are open `differs` and changes nothing."""
    for ask in asks:
        require_positive(ask.quantity)
    jobs = await _read_jobs(conn, [ask.order for ask in asks])
    known = await read_put_backs(conn, [ask.order.merchant_id for ask in asks], [ask.request_id for ask in asks])
    steps: list[OrderStep] = []
    moves: list[StockMove] = []
    parts: list[PartCancellation] = []
    emptied: list[OrderRef] = []
    for ask in asks:
        job = jobs.get(ask.order)
        outcome = _judge(ask, job, known)
        if outcome is not StepOutcome.DONE or job is None:
            steps.append(_step(ask, outcome, job))
            continue
        moves.extend(job.take_off(ask, at))
        known[ask.request_id] = _values(ask)
        parts.append(PartCancellation(ask.request_id, ask.order, ask.line_no, ask.part_no, ask.quantity, ask.quantity if job.is_picked else 0, at))
        count = LineCount(ask.line_no, ask.part_no, job.items[ask.line_no, ask.part_no], ask.quantity)
        if job.is_empty:
            emptied.append(ask.order)
            job.order = replace(job.order, state=WorkState.CANCELLED)
        steps.append(replace(_step(ask, outcome, job), lines=(count,)))
    await store_part_cancellations(conn, parts)
    await update_tasks(conn, [job.tasks[key] for job in jobs.values() for key in sorted(job.changed)])
    await update_orders(conn, emptied, WorkState.CANCELLED, at, ["ended_at"])
    return FloorWork(steps, moves)


async def _read_jobs(conn: Conn, refs: Sequence[OrderRef]) -> dict[OrderRef, _Job]:
    orders = await lock_orders(conn, refs)
    lines = await read_lines(conn, refs)
    tasks = await read_tasks(conn, list(orders.values()))
    return {
        ref: _Job(
            order,
            {(line.line_no, line.part_no): line.to_pick for line in lines[ref]},
            {(line.line_no, line.part_no): line.stock_item_id for line in lines[ref]},
            {(task.line_no, task.part_no, task.task_no): task for task in tasks.get(ref, [])},
            set(),
        )
        for ref, order in orders.items()
    }


def _values(ask: PutBack) -> tuple[OrderRef, int, int, int]:
    return (ask.order, ask.line_no, ask.part_no, ask.quantity)


def _judge(ask: PutBack, job: _Job | None, known: dict[uuid.UUID, tuple[OrderRef, int, int, int]]) -> StepOutcome:
    if ask.request_id in known:
        return StepOutcome.EXISTS if known[ask.request_id] == _values(ask) else StepOutcome.DIFFERS
    if job is None or (ask.line_no, ask.part_no) not in job.items:
        return StepOutcome.UNKNOWN
    if job.order.state not in _OPEN:
        return StepOutcome.NOT_ALLOWED
    return StepOutcome.DONE if ask.quantity <= job.open_units((ask.line_no, ask.part_no)) else StepOutcome.DIFFERS


def _step(ask: PutBack, outcome: StepOutcome, job: _Job | None) -> OrderStep:
    if job is None:
        return OrderStep(ask.order, outcome)
    return OrderStep(ask.order, outcome, job.order.state, job.order.order_id, job.order.place_code)
