"""Rules of work on the floor: which step an order may take, what counts as picked, packed and held."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from entrepot.warehouse.model import WORK_STATES, LineCount, OrderRef, OrderStep, PickTask, StepOutcome, WorkLine, WorkState

KEPT_BACK: Final = frozenset({WorkState.PICKING, WorkState.PACKED, WorkState.HANDED_OVER})
"""Steps that an order on hold does not take; what a picker has in hand is still put down and counted, and a cancellation still ends it."""


class WorkOrder(Struct, frozen=True):
    """A fulfilment order as far as a step needs it."""

    ref: OrderRef
    order_id: uuid.UUID
    place_code: str
    state: WorkState
    is_held: bool = False


class Verdict(Struct, frozen=True):
    """Whether an order may take a step now, and the order if it is known."""

    ref: OrderRef
    outcome: StepOutcome
    order: WorkOrder | None

    def step(self, state: WorkState | None = None, lines: Sequence[LineCount] = (), shorts: Sequence[LineCount] = ()) -> OrderStep:
        """Return the step's result; without a new state the order stays as it is."""
        if self.order is None:
            return OrderStep(self.ref, self.outcome)
        return OrderStep(self.ref, self.outcome, state or self.order.state, self.order.order_id, self.order.place_code, tuple(lines), tuple(shorts))


def judge_orders(
    refs: Sequence[OrderRef], orders: Mapping[OrderRef, WorkOrder], target: WorkState, later: Collection[WorkState] = ()
) -> list[Verdict]:
    """Tell for each order whether it may become `target` now; one that is there already, or in a later state, is a replay."""
    verdicts: list[Verdict] = []
    taken: set[OrderRef] = set()
    for ref in refs:
        order = orders.get(ref)
        if order is None:
            outcome = StepOutcome.UNKNOWN
        elif order.state is target or order.state in later or ref in taken:
            outcome = StepOutcome.EXISTS
        elif order.is_held and target in KEPT_BACK:
            outcome = StepOutcome.ON_HOLD
        elif WORK_STATES.allows(order.state, target):
            outcome = StepOutcome.DONE
            taken.add(ref)
        else:
            outcome = StepOutcome.NOT_ALLOWED
        verdicts.append(Verdict(ref, outcome, order))
    return verdicts


def ready(verdicts: Sequence[Verdict]) -> list[WorkOrder]:
    """Return the orders that take the step, in the order asked."""
    return [verdict.order for verdict in verdicts if verdict.outcome is StepOutcome.DONE and verdict.order is not None]


def with_twins(steps: Sequence[OrderStep]) -> list[OrderStep]:
    """Let an order that was asked twice in one batch answer the second time as it would in the next batch."""
    firsts: dict[OrderRef, OrderStep] = {}
    for step in steps:
        firsts.setdefault(step.order, step)
    if len(firsts) == len(steps):
        return list(steps)
    return [step if firsts[step.order] is step else _repeated(firsts[step.order], step) for step in steps]


def _repeated(first: OrderStep, second: OrderStep) -> OrderStep:
    if first.outcome is StepOutcome.DONE:
        return replace(second, state=first.state)
    return first


def held_by_line(tasks: Sequence[PickTask]) -> tuple[LineCount, ...]:
    """Return what is with an order, by line and part; tasks come sorted."""
    counts: list[LineCount] = []
    line_no = part_no = -1
    for task in tasks:
        if not task.held:
            continue
        if task.line_no == line_no and task.part_no == part_no:
            counts[-1] = LineCount(line_no, part_no, task.stock_item_id, counts[-1].quantity + task.held)
        else:
            line_no, part_no = task.line_no, task.part_no
            counts.append(LineCount(line_no, part_no, task.stock_item_id, task.held))
    return tuple(counts)


def is_same_packing(held: Sequence[LineCount], scanned: Sequence[LineCount]) -> bool:
    """Whether the packer scanned exactly what was picked, whatever the order and grouping of the scans."""
    if tuple(held) == tuple(scanned):
        return True
    totals: dict[tuple[int, int, uuid.UUID], int] = {}
    for count in held:
        totals[count.line_no, count.part_no, count.stock_item_id] = count.quantity
    for count in scanned:
        key = (count.line_no, count.part_no, count.stock_item_id)
        totals[key] = totals.get(key, 0) - count.quantity
    return not any(totals.values())


def open_units(lines: Sequence[WorkLine], tasks: Sequence[PickTask]) -> tuple[LineCount, ...]:
    """Return what an order still means to send by line and part: held or still to pick, without what is short or cancelled."""
    held = {(count.line_no, count.part_no): count.quantity for count in held_by_line(tasks)}
    counts = ((line, line.to_pick + held.get((line.line_no, line.part_no), 0)) for line in lines)
    return tuple(LineCount(line.line_no, line.part_no, line.stock_item_id, quantity) for line, quantity in counts if quantity)
