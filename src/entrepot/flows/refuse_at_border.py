"""Customs refuses parcels that are on their way: they turn back to the place they left or are destroyed, the buyer is paid back in full.

The year of the buyer gets back the value of what turns back, because customs has accepted its return. What is destroyed after its release keeps
counting: the rule gives value back for goods that leave again in their original state, and none for goods that end at the border.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final

from msgspec import Struct

from entrepot.aftersales.model import CauseKind, RefundLine
from entrepot.base.actor import Actor, ActorKind
from entrepot.base.audit import Act, Fact, write_acts, write_facts
from entrepot.base.due import Due, add_due
from entrepot.base.sql import Conn
from entrepot.base.time import start_of_day
from entrepot.books.stock.model import GONE, RETURN
from entrepot.customs.cbec import returned_value_minor
from entrepot.customs.declare import insert_messages
from entrepot.customs.model import CustomsMessage, DeclarationKind, MessageKind
from entrepot.customs.read import StoredDeclaration, read_declarations_of_orders, turned_back_key
from entrepot.flows.forward import move_on, with_lines
from entrepot.flows.order_to_cash import SETTLE
from entrepot.flows.outside import Outside
from entrepot.flows.pay_back import PayBack, pay_back, read_charges
from entrepot.flows.year_quota import ValueBack, give_value_back
from entrepot.freight.model import ConsignmentKey, ParcelChange, ParcelEvent, ParcelKey, ParcelLine, ParcelState, TrackingState
from entrepot.freight.read import Parcel, read_parcels, read_parcels_of_consignments
from entrepot.freight.track import record_parcel_events
from entrepot.orders.advance import add_lost, refresh_states, withdraw_consignment_promises
from entrepot.orders.model import LineUnits, OrderState
from entrepot.settlement.model import available_on

CUSTOMS: Final = Actor(ActorKind.CUSTOMS, "customs", "authority")
UNDER_WAY: Final = frozenset(
    {
        ParcelState.HANDED_OVER,
        ParcelState.IN_TRANSIT,
        ParcelState.CUSTOMS_HOLD,
        ParcelState.OUT_FOR_DELIVERY,
        ParcelState.EXCEPTION,
    }
)
"""States of a parcel that is on its way to the buyer."""


class AfterRefusal(StrEnum):
    """What becomes of refused goods."""

    RETURN = "return"
    DESTROY = "destroy"


class _Fate(Struct, frozen=True):
    """What a choice means: the tracking event, the verb of the units' way, and the pseudo place they go to."""

    event: TrackingState
    verb: str
    place_code: str


TURNED_BACK: Final = "customs_return"
"""Verb by which units travel back that customs refused."""
_FATES: Final = {
    AfterRefusal.RETURN: _Fate(TrackingState.RETURN_TO_SENDER, TURNED_BACK, RETURN),
    AfterRefusal.DESTROY: _Fate(TrackingState.DESTROYED, "customs_destroy", GONE),
}


async def read_left(conn: Conn, keys: Sequence[ConsignmentKey]) -> dict[ConsignmentKey, list[Parcel]]:
    """Return the parcels of consignments that have left their place, whatever became of them."""
    left: dict[ConsignmentKey, list[Parcel]] = {}
    for parcel in await read_parcels_of_consignments(conn, keys) if keys else []:
        if parcel.state not in {ParcelState.LABELLED, ParcelState.VOIDED}:
            left.setdefault(ConsignmentKey(parcel.merchant_id, parcel.consignment_id), []).append(parcel)
    return left


# -- refused ---------------------------------------------------------------------------------------------------------


async def customs_refuses(conn: Conn, outside: Outside, parcels: Sequence[ParcelKey], choice: AfterRefusal, now: datetime) -> list[ParcelChange]:
    """Let customs refuse parcels under way; return those it refused now: one that is not under way or was refused before is left alone.

    Units leave the carrier, lines count them as lost, money goes back in full, the buyer's year as the module says.
    """
    fate = _FATES[choice]
    found = [one for one in (await read_parcels(conn, parcels) if parcels else []) if one.state in UNDER_WAY]
    declared = await declared_of_parcels(conn, found)
    refused = [one for one in found if one.consignment_id in declared]
    if not refused:
        return []
    recorded = await record_parcel_events(conn, [ParcelEvent(one.merchant_id, one.parcel_id, fate.event, now, now, "customs") for one in refused])
    changes = await with_lines(conn, recorded.parcels)
    await move_on(conn, changes, fate.verb, fate.place_code)
    await insert_messages(conn, [_message(one, declared[one.consignment_id], choice, now) for one in changes])
    await add_lost(conn, [LineUnits(one.merchant_id, one.order_id, line.line_no, line.quantity) for one in changes for line in one.lines])
    await pay_back(conn, outside, await refunds_of_parcels(conn, outside, changes, CauseKind.CUSTOMS_REFUSAL), CUSTOMS, now)
    await give_value_back(conn, [_value_back(one, declared[one.consignment_id], choice) for one in changes], now)
    await _close(conn, changes, choice, now)
    return changes


async def declared_of_parcels(conn: Conn, parcels: Sequence[Parcel]) -> dict[uuid.UUID, StoredDeclaration]:
    """Return the latest import declaration of each parcel's consignment, else that of its export; what was never declared is left out."""
    orders = sorted({(one.merchant_id, one.order_id) for one in parcels})
    stored = await read_declarations_of_orders(conn, [key[0] for key in orders], [key[1] for key in orders])
    latest: dict[uuid.UUID, StoredDeclaration] = {}
    for one in sorted(stored, key=lambda row: (row.declaration.kind is DeclarationKind.IMPORT, row.declaration.version)):
        if one.declaration.consignment_id is not None:
            latest[one.declaration.consignment_id] = one
    return latest


def _message(change: ParcelChange, stored: StoredDeclaration, choice: AfterRefusal, now: datetime) -> CustomsMessage:
    """Return the evidence of a refusal as customs states it."""
    pieces = {str(line.line_no): line.quantity for line in change.lines}
    body = {"choice": str(choice), "parcel": str(change.parcel_id), "pieces": pieces, "source": "customs"}
    return CustomsMessage(change.merchant_id, turned_back_key(change.parcel_id), stored.declaration.declaration_id, MessageKind.RETURN, body, now)


async def refunds_of_parcels(conn: Conn, outside: Outside, changes: Sequence[ParcelChange], cause_kind: CauseKind) -> list[PayBack]:
    """Return what buyers get back: exactly what was charged for the units that will not come."""
    charges = await read_charges(conn, outside.reference, sorted({(one.merchant_id, one.order_id) for one in changes}))
    refunds: list[PayBack] = []
    for one in changes:
        back: list[RefundLine] = []
        for line in one.lines:
            key = (one.merchant_id, one.order_id, line.line_no)
            charge = charges[key]
            quantity = min(line.quantity, charge.gone.quantity - charge.gone.refunded_quantity)
            if quantity:
                amounts = charge.share(quantity)
                charges[key] = charge.after(quantity, amounts)
                back.append(RefundLine(line.line_no, quantity, amounts))
        if back:
            refunds.append(PayBack(one.merchant_id, one.order_id, cause_kind, one.parcel_id, tuple(back)))
    return refunds


def _value_back(change: ParcelChange, stored: StoredDeclaration, choice: AfterRefusal) -> ValueBack:
    """Return what a refused parcel gives back to the year."""
    value_minor = declared_value_minor(change.lines, stored)
    is_accepted = choice is AfterRefusal.RETURN
    return ValueBack(
        change.merchant_id, change.order_id, f"refused:{change.parcel_id}", value_minor, is_accepted, "turned_back", "refused_before_release"
    )


def declared_value_minor(parcel_lines: Sequence[ParcelLine], stored: StoredDeclaration) -> int:
    """Return the declared value of the pieces in a parcel, in minor units."""
    lines = {line.line_no: line for line in stored.declaration.lines}
    pieces = [(lines[line.line_no], line.quantity) for line in parcel_lines if line.line_no in lines]
    return sum(returned_value_minor(line.customs_value_minor, line.quantity, 0, min(quantity, line.quantity)) for line, quantity in pieces)


async def _close(conn: Conn, changes: Sequence[ParcelChange], choice: AfterRefusal, now: datetime) -> None:
    """Withdraw the promises, let orders follow their units, and say who did it."""
    merchant_ids = [one.merchant_id for one in changes]
    await withdraw_consignment_promises(conn, merchant_ids, [one.consignment_id for one in changes], now)
    changed = await refresh_states(conn, merchant_ids, [one.order_id for one in changes])
    done = [(merchant_id, order_id) for merchant_id, order_id, state in changed if state == OrderState.DELIVERED]
    await add_due(conn, [Due(merchant_id, SETTLE, order_id, start_of_day(available_on(now.date()))) for merchant_id, order_id in done])
    await write_acts(conn, [Act(one.merchant_id, one.parcel_id, "refuse_parcel", now, CUSTOMS, str(choice)) for one in changes])
    await write_facts(conn, [Fact(one.merchant_id, one.order_id, f"parcel_customs_{choice}", now, {"parcel": str(one.parcel_id)}) for one in changes])
