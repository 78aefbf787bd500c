"""Stock comes in: announced, on its way, scanned at the dock, stowed, closed; custody begins with the scan or the pickup.

What the platform's carriers picked up and never brought is the platform's loss: closing pays the merchant what the units cost it.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime

from entrepot.base.actor import Actor
from entrepot.base.audit import Act, Fact, write_acts, write_facts
from entrepot.base.due import Due, add_due
from entrepot.base.ids import derived_id
from entrepot.base.sql import Conn
from entrepot.books.money.model import LOSS, MERCHANT, Entry, MoneyPosting
from entrepot.books.money.post import post_entries
from entrepot.catalogue.store import read_stock_items
from entrepot.flows.floor_moves import measure_units, post_floor_moves
from entrepot.flows.reference import Reference
from entrepot.operations.model import PlaceKind
from entrepot.parties.model import TAX_REGISTRATION_KINDS
from entrepot.parties.store import read_registrations
from entrepot.settlement.model import is_in_force
from entrepot.warehouse.announce import announce_plans
from entrepot.warehouse.binning import StowNeed
from entrepot.warehouse.close import close_plans
from entrepot.warehouse.depart import depart_plans
from entrepot.warehouse.inbound import Liability, NewPlan, PlanRef, PlanStep
from entrepot.warehouse.model import Recorded, StepOutcome
from entrepot.warehouse.receive import DockResult, DockScan, receive_units
from entrepot.warehouse.scanning import ScanOutcome
from entrepot.warehouse.stow import StowResult, StowScan, read_stow_needs, stow_units
from entrepot.warehouse.undo import Undo, UndoWork, undo_last

BILL_RECEIPTS = "bill_receipts"


async def announce(conn: Conn, reference: Reference, plans: Sequence[NewPlan], actor: Actor, now: datetime) -> list[Recorded]:
    """Announce what merchants mean to send; a country in which the merchant has no tax number is refused, the books stay as they are."""
    registered = await read_placeable(conn, reference, plans, now)
    recorded = await announce_plans(conn, plans, registered)
    await write_acts(conn, [Act(plan.merchant_id, plan.plan_id, "announce_plan", now, actor) for plan in plans])
    return recorded


async def read_placeable(conn: Conn, reference: Reference, plans: Sequence[NewPlan], now: datetime) -> set[tuple[uuid.UUID, str]]:
    """Return (merchant, country) where the plans' merchants may place stock: a tax number in force, or a place that needs none."""
    numbers = {
        (one.merchant_id, one.country_code)
        for one in await read_registrations(conn, sorted({plan.merchant_id for plan in plans}))
        if one.kind in TAX_REGISTRATION_KINDS and is_in_force(now.date(), one.effective_from, one.effective_to)
    }
    return numbers | {(plan.merchant_id, plan.country_code) for plan in plans if _needs_no_number(reference, plan.place_code)}


def _needs_no_number(reference: Reference, place_code: str) -> bool:
    """Tell whether stock may lie at a place without being imported there: its regime names nobody or the zone's operator as importer."""
    kind = PlaceKind(reference.network.place(place_code).kind)
    return any(plan.regime_at(kind) is not None for plan in reference.registry.plans())


async def depart(conn: Conn, refs: Sequence[PlanRef], now: datetime) -> None:
    """Let plans set off; what the platform carries is in its custody from the pickup on."""
    work = await depart_plans(conn, refs, now)
    await post_floor_moves(conn, work.moves)


async def receive(conn: Conn, scans: Sequence[DockScan], actor: Actor, now: datetime) -> list[DockResult]:
    """Book what was scanned at docks, good and damaged, and tell what became of each scan."""
    work = await receive_units(conn, scans)
    await post_floor_moves(conn, work.moves)
    notes: dict[tuple[uuid.UUID, uuid.UUID], list[str]] = {}
    for scan in scans:
        notes.setdefault((scan.merchant_id, scan.plan_id), []).extend([f"{scan.damaged} damaged: {scan.reason}"] if scan.reason else [])
    await write_acts(conn, [Act(*key, "receive_units", now, actor, "; ".join(told)) for key, told in sorted(notes.items())])
    return work.results


async def stow_needs(conn: Conn, refs: Sequence[PlanRef], merchant_ids: Sequence[uuid.UUID], item_ids: Sequence[uuid.UUID]) -> list[StowNeed]:
    """Return what waits at the docks with the bins it should go to."""
    return await read_stow_needs(conn, refs, await measure_units(conn, merchant_ids, item_ids))


async def stow(conn: Conn, scans: Sequence[StowScan], now: datetime) -> list[StowResult]:
    """Book what was put into bins: from now on it may be promised; tell what became of each scan."""
    work = await stow_units(conn, scans)
    await post_floor_moves(conn, work.moves)
    seen = sorted({(scan.merchant_id, scan.plan_id) for scan in scans})
    await write_facts(conn, [Fact(merchant_id, plan_id, "units_stowed", now) for merchant_id, plan_id in seen])
    return work.results


async def undo_scan(conn: Conn, ask: Undo, actor: Actor, now: datetime) -> UndoWork:
    """Take a device's last scan back with a reverse posting; units that went on meanwhile stay where they are."""
    work = await undo_last(conn, ask)
    await post_floor_moves(conn, work.moves)
    if work.undone is not None and work.outcome is ScanOutcome.NEW:
        await write_acts(
            conn, [Act(ask.scan.merchant_id, ask.scan.subject_id, "undo_scan", now, actor, f"{work.undone.kind}: {work.undone.content}")]
        )
    return work


async def close(conn: Conn, refs: Sequence[PlanRef], actor: Actor, now: datetime) -> list[PlanStep]:
    """Close plans to zero: announced = good + damaged + not delivered, over receipts apart; what we lost is made good, what we received is billed."""
    work = await close_plans(conn, refs, now)
    await post_floor_moves(conn, work.moves)
    closed = [step for step in work.steps if step.outcome is StepOutcome.DONE]
    await _make_good(conn, closed, now)
    await add_due(conn, [Due(step.ref.merchant_id, BILL_RECEIPTS, step.ref.plan_id, now) for step in closed])
    await write_acts(conn, [Act(step.ref.merchant_id, step.ref.plan_id, "close_plan", now, actor) for step in closed])
    return work.steps


async def _make_good(conn: Conn, closed: Sequence[PlanStep], now: datetime) -> None:
    """Pay merchants what the units cost them that the platform's carriers lost, in the currency of that cost."""
    lost = [(step.ref, line) for step in closed for line in step.undelivered if line.liability is Liability.PLATFORM]
    items = await read_stock_items(conn, [ref.merchant_id for ref, _ in lost], [line.stock_item_id for _, line in lost])
    await post_entries(
        conn,
        [
            MoneyPosting(
                ref.merchant_id,
                derived_id("lost inbound", ref.plan_id, line.line_no),
                now,
                "reimbursement",
                "inbound_plan",
                ref.plan_id,
                [Entry(LOSS, item.cost_currency, owed_minor), Entry(MERCHANT, item.cost_currency, -owed_minor)],
            )
            for ref, line in lost
            for item in (items[line.stock_item_id],)
            if (owed_minor := item.sourcing_cost_minor * line.quantity)
        ],
    )
    await write_facts(
        conn, [Fact(ref.merchant_id, ref.plan_id, "units_lost_inbound", now, _loss_of(closed, ref)) for ref in dict.fromkeys(one for one, _ in lost)]
    )


def _loss_of(closed: Sequence[PlanStep], ref: PlanRef) -> dict[str, object]:
    """Return how many units of a plan the platform lost."""
    return {"units": sum(line.quantity for step in closed if step.ref == ref for line in step.undelivered if line.liability is Liability.PLATFORM)}
