"""Stock comes in: announced, on its way, scanned at the dock, stowed, closed; custody begins with the scan or the pickup."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from entrepot.base.actor import Actor
from entrepot.base.audit import Act, Fact, write_acts, write_facts
from entrepot.base.sql import Conn
from entrepot.flows.floor_moves import measure_units, post_floor_moves
from entrepot.flows.reference import Reference
from entrepot.operations.model import PlaceKind
from entrepot.parties.model import TAX_REGISTRATION_KINDS
from entrepot.parties.store import read_registrations
from entrepot.warehouse.announce import announce_plans
from entrepot.warehouse.binning import StowNeed
from entrepot.warehouse.close import close_plans
from entrepot.warehouse.depart import depart_plans
from entrepot.warehouse.inbound import NewPlan, PlanRef
from entrepot.warehouse.model import Recorded
from entrepot.warehouse.receive import DockScan, receive_units
from entrepot.warehouse.stow import StowScan, read_stow_needs, stow_units


async def announce(conn: Conn, reference: Reference, plans: Sequence[NewPlan], actor: Actor, now: datetime) -> list[Recorded]:
    """Announce what merchants mean to send; a country in which the merchant has no tax number is refused, the books stay as they are."""
    numbers = {
        (registration.merchant_id, registration.country_code)
        for registration in await read_registrations(conn, sorted({plan.merchant_id for plan in plans}))
        if registration.kind in TAX_REGISTRATION_KINDS and registration.effective_from <= now.date()
    }
    exempt = {(plan.merchant_id, plan.country_code) for plan in plans if _needs_no_number(reference, plan.place_code)}
    recorded = await announce_plans(conn, plans, numbers | exempt)
    await write_acts(conn, [Act(plan.merchant_id, plan.plan_id, "announce_plan", now, actor) for plan in plans])
    return recorded


def _needs_no_number(reference: Reference, place_code: str) -> bool:
    """Tell whether stock may lie at a place without being imported there: its regime names nobody or the zone's operator as importer."""
    kind = PlaceKind(reference.network.place(place_code).kind)
    return any(plan.regime_at(kind) is not None for plan in reference.registry.plans())


async def depart(conn: Conn, refs: Sequence[PlanRef], now: datetime) -> None:
    """Let plans set off; what the platform carries is in its custody from the pickup on."""
    work = await depart_plans(conn, refs, now)
    await post_floor_moves(conn, work.moves)


async def receive(conn: Conn, scans: Sequence[DockScan], actor: Actor, now: datetime) -> None:
    """Book what was scanned at docks, good and damaged."""
    work = await receive_units(conn, scans)
    await post_floor_moves(conn, work.moves)
    seen = sorted({(scan.merchant_id, scan.plan_id) for scan in scans})
    await write_acts(conn, [Act(merchant_id, plan_id, "receive_units", now, actor) for merchant_id, plan_id in seen])


async def stow_needs(conn: Conn, refs: Sequence[PlanRef], merchant_ids: Sequence[uuid.UUID], item_ids: Sequence[uuid.UUID]) -> list[StowNeed]:
    """Return what waits at the docks with the bins it should go to."""
    return await read_stow_needs(conn, refs, await measure_units(conn, merchant_ids, item_ids))


async def stow(conn: Conn, scans: Sequence[StowScan], now: datetime) -> None:
    """Book what was put into bins: from now on it may be promised."""
    work = await stow_units(conn, scans)
    await post_floor_moves(conn, work.moves)
    seen = sorted({(scan.merchant_id, scan.plan_id) for scan in scans})
    await write_facts(conn, [Fact(merchant_id, plan_id, "units_stowed", now) for merchant_id, plan_id in seen])


async def close(conn: Conn, refs: Sequence[PlanRef], actor: Actor, now: datetime) -> None:
    """Close plans to zero: announced = good + damaged + not delivered, over receipts apart."""
    work = await close_plans(conn, refs, now)
    await post_floor_moves(conn, work.moves)
    await write_acts(conn, [Act(ref.merchant_id, ref.plan_id, "close_plan", now, actor) for ref in refs])
