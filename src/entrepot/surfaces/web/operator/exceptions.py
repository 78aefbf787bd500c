"""Everything that does not go its way by itself, with who has to move it on."""

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from entrepot.base.due_rows import list_due
from entrepot.base.sql import Conn
from entrepot.books.money.correction import CorrectionState, list_corrections
from entrepot.customs.lists import list_held
from entrepot.freight.watch import list_late_consignments, list_troubled_parcels
from entrepot.orders.hold import list_open_holds
from entrepot.orders.read import read_orders
from entrepot.orders.risk import list_promise_risk
from entrepot.parties.lists import list_kyc_cases
from entrepot.parties.model import KycState
from entrepot.settlement.lists import list_payouts
from entrepot.settlement.model import PayoutState
from entrepot.surfaces.web.languages import mark

RISK_AHEAD: Final = timedelta(hours=48)
SILENCE: Final = timedelta(days=4)
"""After how long without news of a parcel somebody asks its carrier."""
EACH: Final = 500
"""How many exceptions of one kind are listed at most."""

KINDS: Final[Mapping[str, str]] = {
    "order_held": mark("Order on hold"),
    "promise_at_risk": mark("Promise at risk"),
    "ship_by_missed": mark("Should have left"),
    "customs_held": mark("Held by customs"),
    "parcel_in_trouble": mark("Parcel in trouble"),
    "work_failed": mark("Due work failed"),
    "payout_failed": mark("Payout failed"),
    "correction_waiting": mark("Correction waits"),
    "kyc_waiting": mark("Check waits"),
}
OWNERS: Final[Mapping[str, str]] = {
    "operations": mark("Operations"),
    "compliance": mark("Compliance"),
    "support": mark("Customer service"),
    "finance": mark("Finance"),
    "floor": mark("Warehouse"),
    "merchant": mark("Merchant"),
}


class Exceptional(Struct, frozen=True):
    """A record that somebody has to move on: of what kind, since (or until) when, whose it is to move, where it is shown, and what else is known."""

    kind: str
    owner: str
    at: datetime
    merchant_id: uuid.UUID
    name: str
    href: str
    detail: str = ""


async def read_exceptions(conn: Conn, now: datetime) -> list[Exceptional]:
    """Return all exceptions of the house."""
    return [
        *await _of_orders(conn, now),
        *await _of_parcels(conn, now),
        *await _of_customs(conn),
        *await _of_the_house(conn),
    ]


async def _of_orders(conn: Conn, now: datetime) -> list[Exceptional]:
    holds = await list_open_holds(conn, EACH)
    risks = await list_promise_risk(conn, (now + RISK_AHEAD).date(), EACH)
    found = [
        Exceptional("order_held", "operations", one.held_at, one.merchant_id, number, _order(one.merchant_id, one.order_id), one.reason_code)
        for one, number, _ in holds
    ]
    return found + [
        Exceptional(
            "promise_at_risk",
            "support" if one.state == "shipped" else "operations",
            now.replace(year=one.to_on.year, month=one.to_on.month, day=one.to_on.day, hour=23, minute=59, second=0, microsecond=0),
            one.merchant_id,
            one.number,
            _order(one.merchant_id, one.order_id),
            one.state,
        )
        for one in risks
    ]


async def _of_parcels(conn: Conn, now: datetime) -> list[Exceptional]:
    late = await list_late_consignments(conn, now, EACH)
    troubled = await list_troubled_parcels(conn, now - SILENCE, EACH)
    orders = await read_orders(conn, [one.merchant_id for one in late], [one.order_id for one in late])
    numbers = {one.order_id: one.number for one in orders}
    found = [
        Exceptional(
            "ship_by_missed",
            "merchant" if one.doer == "merchant" else "floor",
            one.ship_by_at,
            one.merchant_id,
            numbers[one.order_id],
            _order(one.merchant_id, one.order_id) + "#parcels",
            one.place_code,
        )
        for one in late
    ]
    return found + [
        Exceptional(
            "parcel_in_trouble",
            "support",
            one.since,
            one.merchant_id,
            one.tracking_number or one.carrier_code,
            _order(one.merchant_id, one.order_id) + "#parcels",
            one.state,
        )
        for one in troubled
    ]


async def _of_customs(conn: Conn) -> list[Exceptional]:
    return [
        Exceptional(
            "customs_held",
            "compliance",
            one.state_at,
            one.merchant_id,
            f"{one.regime_code} {one.ship_from} → {one.ship_to}",
            f"/operator/customs/{one.merchant_id}/{one.declaration_id}",
            one.cause_code,
        )
        for one in await list_held(conn, EACH)
    ]


async def _of_the_house(conn: Conn) -> list[Exceptional]:
    failed = [
        Exceptional("work_failed", "operations", one.due_at, one.merchant_id, one.step_code, "/operator/due?view=failed", one.failure[:120])
        for one in await list_due(conn, None, "yes", EACH, 0)
    ]
    payouts = [
        Exceptional("payout_failed", "finance", one.changed_at, one.merchant_id, one.paid_currency, "/operator/payouts?view=failed", one.failure)
        for one in await list_payouts(conn, PayoutState.FAILED, EACH)
    ]
    corrections = [
        Exceptional(
            "correction_waiting",
            "finance",
            one.proposed_at,
            one.merchant_id,
            one.reason[:60],
            f"/operator/corrections/{one.merchant_id}/{one.correction_id}",
        )
        for one in await list_corrections(conn, EACH)
        if one.state is CorrectionState.PROPOSED
    ]
    checks = [
        Exceptional("kyc_waiting", "compliance", one.changed_at, one.merchant_id, one.gate, f"/operator/merchants/{one.merchant_id}#checks")
        for one in await list_kyc_cases(conn, KycState.SUBMITTED, EACH)
    ]
    return [*failed, *payouts, *corrections, *checks]


def _order(merchant_id: uuid.UUID, order_id: uuid.UUID) -> str:
    return f"/orders/{merchant_id}/{order_id}"
