"""A plan leaves.

The merchant's own carrier drives off: the plan is in transit and nothing else happens, because the units are still the merchant's affair.
A carrier of the platform picks up: its receipt brings the announced units into the books, from the supplier to transit, and from now on the
platform answers for them.
"""

from collections.abc import Sequence
from datetime import datetime

from entrepot.base.sql import Conn
from entrepot.warehouse.inbound import PlanRef, PlanWork, goods_of, is_carried_by_platform, judge_plans
from entrepot.warehouse.model import OUTSIDE_SPOT, SUPPLIER, TRANSIT, Cause, CauseKind, PlanState, StepOutcome, move_goods
from entrepot.warehouse.store_inbound import lock_plans, read_inbound_lines, update_plans


async def depart_plans(conn: Conn, refs: Sequence[PlanRef], at: datetime) -> PlanWork:
    """Put announced plans in transit; a replay changes nothing."""
    plans = await lock_plans(conn, refs)
    steps = judge_plans(refs, plans, PlanState.IN_TRANSIT, later=(PlanState.RECEIVING, PlanState.CLOSED))
    leaving = [step.ref for step in steps if step.outcome is StepOutcome.DONE]
    await update_plans(conn, leaving, PlanState.IN_TRANSIT, [at] * len(leaving), "departed_at")
    ours = [ref for ref in leaving if is_carried_by_platform(plans[ref].kind)]
    lines = await read_inbound_lines(conn, ours) if ours else {}
    moves = [
        move_goods(
            goods_of(plans[line.ref], line),
            line.announced,
            (SUPPLIER, OUTSIDE_SPOT),
            (TRANSIT, OUTSIDE_SPOT),
            Cause(CauseKind.DEPART, line.ref.plan_id, at),
        )
        for line in lines.values()
    ]
    return PlanWork(steps, moves)
