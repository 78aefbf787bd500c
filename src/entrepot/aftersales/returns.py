"""The way of a return: asked for, approved or refused by whoever decides, sent, counted on arrival, graded, closed.

Every step takes a batch, locks its returns in key order, decides each alone and answers each: `done`, or why nothing changed.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, TypeVar

from entrepot.aftersales.model import (
    RETURN_STATES,
    Outcome,
    PartKey,
    Return,
    ReturnApproval,
    ReturnGrading,
    ReturnHoldsNothingError,
    ReturnKey,
    ReturnReceipt,
    ReturnRequest,
    ReturnState,
    ReturnStep,
)
from entrepot.aftersales.store import (
    insert_grades,
    insert_returns,
    lock_returns,
    read_returns,
    update_approvals,
    update_received,
    update_return_states,
)
from entrepot.base.actor import Actor
from entrepot.base.audit import Act, write_acts
from entrepot.base.sql import Conn

PASSED: Final[Mapping[ReturnState, frozenset[ReturnState]]] = MappingProxyType(
    {
        ReturnState.APPROVED: frozenset({ReturnState.IN_TRANSIT, ReturnState.RECEIVED, ReturnState.GRADED, ReturnState.CLOSED}),
        ReturnState.IN_TRANSIT: frozenset({ReturnState.RECEIVED, ReturnState.GRADED}),
        ReturnState.RECEIVED: frozenset({ReturnState.GRADED}),
    }
)
"""Later states that prove that a step was taken before, so that its replay is `exists`."""

Asked = TypeVar("Asked")


async def request_returns(conn: Conn, requests: Sequence[ReturnRequest], actor: Actor) -> list[Outcome]:
    """Record what buyers ask back; the same RMA again is `exists`, with other units or another order `exists_with_different_values`."""
    for request in requests:
        _require_units(request)
    fresh = await insert_returns(conn, requests)
    stored = await read_returns(conn, [(request.merchant_id, request.rma_id) for request in requests])
    outcomes: list[Outcome] = []
    for request in requests:
        key = (request.merchant_id, request.rma_id)
        if not _is_same(request, stored[key]):
            outcomes.append(Outcome.EXISTS_WITH_DIFFERENT_VALUES)
        else:
            outcomes.append(Outcome.DONE if key in fresh else Outcome.EXISTS)
            fresh.discard(key)
    steps = [ReturnStep(request.merchant_id, request.rma_id, request.asked_at, request.reason_code) for request in requests]
    await _write(conn, "request_return", steps, outcomes, actor)
    return outcomes


async def approve_returns(conn: Conn, approvals: Sequence[ReturnApproval], actor: Actor) -> list[Outcome]:
    """Allow returns: where the goods go and until when they must be there."""
    steps = [approval.step for approval in approvals]
    outcomes = await _decide(conn, steps, ReturnState.APPROVED)
    await update_approvals(conn, _done(approvals, outcomes))
    await _write(conn, "approve_return", steps, outcomes, actor)
    return outcomes


async def refuse_returns(conn: Conn, steps: Sequence[ReturnStep], actor: Actor) -> list[Outcome]:
    """Refuse returns; the note says why."""
    return await _move(conn, "refuse_return", steps, ReturnState.REFUSED, actor)


async def cancel_returns(conn: Conn, steps: Sequence[ReturnStep], actor: Actor) -> list[Outcome]:
    """Let returns fall that were not sent: the buyer keeps the goods, or the deadline passed."""
    return await _move(conn, "cancel_return", steps, ReturnState.CANCELLED, actor)


async def send_returns(conn: Conn, steps: Sequence[ReturnStep], actor: Actor) -> list[Outcome]:
    """Note that returned goods are with a carrier."""
    return await _move(conn, "send_return", steps, ReturnState.IN_TRANSIT, actor)


async def close_returns(conn: Conn, steps: Sequence[ReturnStep], actor: Actor) -> list[Outcome]:
    """End returns: graded, destroyed where they were, left with the buyer, or lost on the way."""
    return await _move(conn, "close_return", steps, ReturnState.CLOSED, actor)


async def receive_returns(conn: Conn, receipts: Sequence[ReturnReceipt], actor: Actor) -> list[Outcome]:
    """Count what arrived; nothing at all, a part that was not asked back or more of it than asked is `quantity_differs` and changes nothing."""
    steps = [receipt.step for receipt in receipts]
    locked = await lock_returns(conn, [step.key for step in steps])
    stored = await read_returns(conn, list(locked))
    outcomes = [
        _outcome_of(locked, receipt.step.key, ReturnState.RECEIVED, _receipt_fault(stored.get(receipt.step.key), receipt)) for receipt in receipts
    ]
    done = _done(receipts, outcomes)
    await update_received(conn, done)
    await update_return_states(conn, [receipt.step.key for receipt in done], ReturnState.RECEIVED)
    await _write(conn, "receive_return", steps, outcomes, actor)
    return outcomes


async def grade_returns(conn: Conn, gradings: Sequence[ReturnGrading], actor: Actor) -> list[Outcome]:
    """Grade all received units of returns; grades that do not add up to what was received are `quantity_differs` and change nothing."""
    steps = [grading.step for grading in gradings]
    locked = await lock_returns(conn, [step.key for step in steps])
    stored = await read_returns(conn, list(locked))
    outcomes = [
        _outcome_of(locked, grading.step.key, ReturnState.GRADED, _grading_fault(stored.get(grading.step.key), grading)) for grading in gradings
    ]
    done = _done(gradings, outcomes)
    await insert_grades(conn, done)
    await update_return_states(conn, [grading.step.key for grading in done], ReturnState.GRADED)
    await _write(conn, "grade_return", steps, outcomes, actor)
    return outcomes


def _require_units(request: ReturnRequest) -> None:
    parts = [(line.line_no, line.part_no) for line in request.lines]
    if not parts or len(set(parts)) < len(parts) or any(line.quantity <= 0 for line in request.lines):
        raise ReturnHoldsNothingError("return.lines", request.lines, "Name each line and part once, with at least 1 unit.")


def _is_same(request: ReturnRequest, stored: Return) -> bool:
    asked = {(line.line_no, line.part_no): line.quantity for line in request.lines}
    return request.order_id == stored.order_id and asked == {(line.line_no, line.part_no): line.quantity for line in stored.lines}


def _receipt_fault(stored: Return | None, receipt: ReturnReceipt) -> Outcome | None:
    """Return why a receipt does not fit its return, or None; what was received before it was closed is a replay."""
    if stored is None:
        return Outcome.UNKNOWN
    if stored.state is ReturnState.CLOSED and any(line.received for line in stored.lines):
        return Outcome.EXISTS
    asked = {(line.line_no, line.part_no): line.quantity for line in stored.lines}
    parts = [(units.line_no, units.part_no) for units in receipt.received]
    is_within = all(0 < units.quantity <= asked.get((units.line_no, units.part_no), 0) for units in receipt.received)
    return None if parts and len(set(parts)) == len(parts) and is_within else Outcome.QUANTITY_DIFFERS


def _grading_fault(stored: Return | None, grading: ReturnGrading) -> Outcome | None:
    if stored is None:
        return Outcome.UNKNOWN
    if stored.state is ReturnState.CLOSED and any(line.grades for line in stored.lines):
        return Outcome.EXISTS
    graded: dict[PartKey, int] = {}
    for units in grading.grades:
        graded[units.line_no, units.part_no] = graded.get((units.line_no, units.part_no), 0) + units.quantity
    kinds = {(units.line_no, units.part_no, units.grade_code, units.disposition_code) for units in grading.grades}
    is_clear = len(kinds) == len(grading.grades) and all(units.quantity > 0 for units in grading.grades)
    is_whole = graded == {(line.line_no, line.part_no): line.received for line in stored.lines if line.received}
    return None if is_clear and is_whole else Outcome.QUANTITY_DIFFERS


def _outcome_of(states: dict[ReturnKey, ReturnState], key: ReturnKey, target: ReturnState, fault: Outcome | None) -> Outcome:
    """Decide one step and move its state on, so that a twin later in the batch meets the new state."""
    current = states.get(key)
    if current is None:
        return Outcome.UNKNOWN
    if current is target or current in PASSED.get(target, frozenset()):
        return Outcome.EXISTS
    if not RETURN_STATES.allows(current, target):
        return Outcome.EXISTS if fault is Outcome.EXISTS else Outcome.NOT_ALLOWED
    if fault is not None:
        return fault
    states[key] = target
    return Outcome.DONE


async def _decide(conn: Conn, steps: Sequence[ReturnStep], target: ReturnState) -> list[Outcome]:
    states = await lock_returns(conn, [step.key for step in steps])
    return [_outcome_of(states, step.key, target, None) for step in steps]


async def _move(conn: Conn, command_code: str, steps: Sequence[ReturnStep], target: ReturnState, actor: Actor) -> list[Outcome]:
    outcomes = await _decide(conn, steps, target)
    await update_return_states(conn, [step.key for step in _done(steps, outcomes)], target)
    await _write(conn, command_code, steps, outcomes, actor)
    return outcomes


def _done(asked: Sequence[Asked], outcomes: Sequence[Outcome]) -> list[Asked]:
    return [one for one, outcome in zip(asked, outcomes, strict=True) if outcome is Outcome.DONE]


async def _write(conn: Conn, command_code: str, steps: Sequence[ReturnStep], outcomes: Sequence[Outcome], actor: Actor) -> None:
    await write_acts(conn, [Act(step.merchant_id, step.rma_id, command_code, step.at, actor, step.note) for step in _done(steps, outcomes)])
