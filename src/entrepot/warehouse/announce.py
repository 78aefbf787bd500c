"""Announce stock.

A merchant says what it means to send to a place: stock items, lots, units, perhaps boxes, and who imports it. The platform answers whether
the stock may be placed there. Nothing enters the books: the units exist for us when a carrier of ours or the dock has scanned them.
Announcing the same plan again changes nothing; announcing other contents under the same plan is told apart and changes nothing either.
"""

import uuid
from collections.abc import Collection, Sequence
from datetime import date

from entrepot.base.sql import Conn
from entrepot.warehouse.binning import LotKey
from entrepot.warehouse.inbound import NewPlan, PlanRef, require_placeable
from entrepot.warehouse.model import NO_LOT, Recorded
from entrepot.warehouse.store_floor import insert_lots
from entrepot.warehouse.store_inbound import insert_boxes, insert_inbound_lines, insert_legs, insert_plans, lock_plans, read_inbound_lines


async def announce_plans(conn: Conn, plans: Sequence[NewPlan], registrations: Collection[tuple[uuid.UUID, str]]) -> list[Recorded]:
    """Store plans of merchants with a tax number (merchant, country) in the country of the place; one answer per plan, in order."""
    for plan in plans:
        require_placeable(plan, registrations)
    firsts = {plan.ref: plan for plan in reversed(plans)}
    ordered = sorted(firsts.values(), key=lambda plan: (plan.merchant_id, plan.plan_id))
    new_refs = await insert_plans(conn, ordered)
    new_plans = [plan for plan in ordered if plan.ref in new_refs]
    if new_plans:
        await insert_inbound_lines(conn, new_plans)
        await insert_legs(conn, new_plans)
        await insert_boxes(conn, new_plans)
        await insert_lots(conn, _lots(new_plans))
    if len(new_plans) == len(plans):
        return [Recorded.NEW] * len(plans)
    return await _compare(conn, plans, new_refs)


def _lots(plans: Sequence[NewPlan]) -> dict[LotKey, date | None]:
    lots: dict[LotKey, date | None] = {}
    for plan in plans:
        for line in plan.lines:
            if line.lot_code != NO_LOT:
                lots.setdefault((plan.merchant_id, line.stock_item_id, line.lot_code), line.expires_on)
    return lots


async def _compare(conn: Conn, plans: Sequence[NewPlan], new_refs: set[PlanRef]) -> list[Recorded]:
    refs = [plan.ref for plan in plans]
    stored = await lock_plans(conn, refs)
    lines = await read_inbound_lines(conn, refs)
    contents: dict[PlanRef, list[tuple[object, ...]]] = {ref: [(plan.place_code, plan.kind)] for ref, plan in stored.items()}
    for line in lines.values():
        contents[line.ref].append((line.line_no, line.stock_item_id, line.lot_code, line.announced))
    answers: list[Recorded] = []
    told: set[PlanRef] = set()
    for plan in plans:
        asked = [(plan.place_code, plan.kind), *sorted((line.line_no, line.stock_item_id, line.lot_code, line.announced) for line in plan.lines)]
        same = asked == contents[plan.ref]
        answers.append(Recorded.NEW if plan.ref in new_refs - told else Recorded.EXISTS if same else Recorded.EXISTS_WITH_DIFFERENT_VALUES)
        told.add(plan.ref)
    return answers
