"""A plan closes to zero.

Announced units are good, damaged or not delivered; what came beyond the announcement stands apart. A unit that no dock scan has counted is
not delivered: if the merchant's own carrier drove, the merchant bears it and the books never saw it; if a carrier of the platform picked it
up, it is lost on the platform's account, from transit to lost.
"""

from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import replace

from entrepot.base.sql import Conn
from entrepot.warehouse.inbound import (
    InboundLine,
    Plan,
    PlanRef,
    PlanWork,
    UndeliveredLine,
    goods_of,
    is_carried_by_platform,
    judge_plans,
    liability_of,
)
from entrepot.warehouse.model import LOST, OUTSIDE_SPOT, TRANSIT, Cause, CauseKind, PlanState, StepOutcome, StockMove, move_goods
from entrepot.warehouse.store_inbound import lock_plans, read_inbound_lines, update_inbound_lines, update_plans


async def close_plans(conn: Conn, refs: Sequence[PlanRef], at: datetime) -> PlanWork:
    """Close plans in transit or receiving and say what never arrived and who bears it; a replay changes nothing."""
    plans = await lock_plans(conn, refs)
    steps = judge_plans(refs, plans, PlanState.CLOSED)
    closing = [step.ref for step in steps if step.outcome is StepOutcome.DONE]
    if not closing:
        return PlanWork(steps, [])
    lines = await read_inbound_lines(conn, closing)
    missing = [replace(line, not_delivered=line.missing) for line in lines.values() if line.missing]
    await update_inbound_lines(conn, missing)
    await update_plans(conn, closing, PlanState.CLOSED, [at] * len(closing), "ended_at")
    undelivered: dict[PlanRef, list[UndeliveredLine]] = {}
    for line in missing:
        liability = liability_of(plans[line.ref].kind)
        undelivered.setdefault(line.ref, []).append(UndeliveredLine(line.line_no, line.stock_item_id, line.not_delivered, liability))
    told = [replace(step, undelivered=tuple(undelivered.get(step.ref, ()))) if step.outcome is StepOutcome.DONE else step for step in steps]
    return PlanWork(told, [_loss(plans[line.ref], line, at) for line in missing if is_carried_by_platform(plans[line.ref].kind)])


def _loss(plan: Plan, line: InboundLine, at: datetime) -> StockMove:
    cause = Cause(CauseKind.CLOSE, plan.ref.plan_id, at, "not delivered by the platform's carrier")
    return move_goods(goods_of(plan, line), line.not_delivered, (TRANSIT, OUTSIDE_SPOT), (LOST, OUTSIDE_SPOT), cause)
