"""A merchant withdraws an announced plan before anything has left; there is nothing to bring back."""

from collections.abc import Sequence
from datetime import datetime

from entrepot.base.sql import Conn
from entrepot.warehouse.inbound import PlanRef, PlanStep, judge_plans
from entrepot.warehouse.model import PlanState, StepOutcome
from entrepot.warehouse.store_inbound import lock_plans, update_plans


async def withdraw_plans(conn: Conn, refs: Sequence[PlanRef], at: datetime) -> list[PlanStep]:
    """Cancel plans that are still announced; one that has left is told `not_allowed`."""
    plans = await lock_plans(conn, refs)
    steps = judge_plans(refs, plans, PlanState.CANCELLED)
    withdrawn = [step.ref for step in steps if step.outcome is StepOutcome.DONE]
    await update_plans(conn, withdrawn, PlanState.CANCELLED, [at] * len(withdrawn), "ended_at")
    return steps
