"""Customs refuses parcels that are on their way: they turn back to the place they left or are destroyed, the buyer is paid back in full.

The year of the buyer gets back the value of what turns back, because customs has accepted its return. What is destroyed after its release keeps
counting: the rule gives value back for goods that leave again in their original state, and none for goods that end at the border.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from entrepot.aftersales.model import CauseKind, RefundLine
from entrepot.base.actor import Actor, ActorKind
from entrepot.base.audit import Act, Fact, write_acts, write_facts
from entrepot.base.due import Due, add_due
from entrepot.base.sql import Conn
from entrepot.base.time import start_of_day
from entrepot.books.stock.model import GONE, RETURN
from entrepot.books.stock.read import Held, read_sent
from entrepot.customs.cbec import returned_value_minor
from entrepot.customs.declare import insert_messages
from entrepot.customs.fit import OrderQuota, ShrinkAsk, shrink_quota
from entrepot.customs.hold import release_quota, return_quota
from entrepot.customs.model import CustomsMessage, DeclarationKind, MessageKind
from entrepot.customs.quota import CloseAsk, ReturnAsk
from entrepot.customs.read import StoredDeclaration, read_declarations_of_orders, read_turned_back, turned_back_key
from entrepot.flows.floor_moves import post_floor_moves
from entrepot.flows.forward import move_on, with_lines
from entrepot.flows.order_to_cash import SETTLE
from entrepot.flows.outside import Outside
from entrepot.flows.pay_back import PayBack, pay_back, read_charges
from entrepot.flows.year_quota import read_years
from entrepot.freight.model import ConsignmentKey, ParcelChange, ParcelEvent, ParcelKey, ParcelState, TrackingState
from entrepot.freight.read import Parcel, read_consignments, read_parcels, read_parcels_of_consignments
from entrepot.freight.track import record_parcel_events
from entrepot.orders.advance import add_lost, refresh_states, withdraw_consignment_promises
from entrepot.orders.model import LineUnits, OrderState
from entrepot.settlement.model import available_on
from entrepot.warehouse.bench import ReturnReceipt, receive_returns

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


@dataclass(frozen=True, slots=True)
class _Fate:
    """What a choice means: the tracking event, and the pseudo place the units go to."""

    event: TrackingState
    place_code: str


_FATES: Final = {
    AfterRefusal.RETURN: _Fate(TrackingState.RETURN_TO_SENDER, RETURN),
    AfterRefusal.DESTROY: _Fate(TrackingState.DESTROYED, GONE),
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
    declared = await _declared(conn, found)
    refused = [one for one in found if one.consignment_id in declared]
    if not refused:
        return []
    recorded = await record_parcel_events(conn, [ParcelEvent(one.merchant_id, one.parcel_id, fate.event, now, now, "customs") for one in refused])
    changes = await with_lines(conn, recorded.parcels)
    await move_on(conn, changes, f"customs_{choice}", fate.place_code)
    await insert_messages(conn, [_message(one, declared[one.consignment_id], choice, now) for one in changes])
    years = await read_years(conn, sorted({(one.merchant_id, one.order_id) for one in changes}))
    await add_lost(conn, [LineUnits(one.merchant_id, one.order_id, line.line_no, line.quantity) for one in changes for line in one.lines])
    await pay_back(conn, outside, await refunds_of_parcels(conn, outside, changes, CauseKind.CUSTOMS_REFUSAL), CUSTOMS, now)
    await _give_value_back(conn, changes, declared, years, choice, now)
    await _close(conn, changes, choice, now)
    return changes


async def _declared(conn: Conn, parcels: Sequence[Parcel]) -> dict[uuid.UUID, StoredDeclaration]:
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


async def _give_value_back(
    conn: Conn,
    changes: Sequence[ParcelChange],
    declared: Mapping[uuid.UUID, StoredDeclaration],
    years: Mapping[uuid.UUID, OrderQuota],
    choice: AfterRefusal,
    now: datetime,
) -> None:
    """Give the year back what turned back, or what was destroyed before customs had released it."""
    taken = dict(years)
    returned: list[ReturnAsk] = []
    for one in changes:
        quota = taken.get(one.order_id)
        value_minor = _value_minor(one, declared[one.consignment_id])
        if quota is None or not value_minor:
            continue
        if not quota.held_minor:
            returned.append(ReturnAsk(quota.person_id, one.order_id, f"refused:{one.parcel_id}", value_minor, now, "turned_back"))
            continue
        kept = quota.held_minor - value_minor
        if kept > 0:
            await shrink_quota(conn, [ShrinkAsk(quota.person_id, one.order_id, quota.attempt, kept, now, "refused_before_release")])
        else:
            await release_quota(conn, [CloseAsk(quota.person_id, one.order_id, quota.attempt, now, "refused_before_release")])
        taken |= await read_years(conn, [(one.merchant_id, one.order_id)])
    if returned and choice is AfterRefusal.RETURN:
        await return_quota(conn, returned)


def _value_minor(change: ParcelChange, stored: StoredDeclaration) -> int:
    """Return the declared value of the pieces in a parcel, in minor units."""
    lines = {line.line_no: line for line in stored.declaration.lines}
    pieces = [(lines[line.line_no], line.quantity) for line in change.lines if line.line_no in lines]
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


# -- back at the place -----------------------------------------------------------------------------------------------


async def receive_refused(conn: Conn, parcels: Sequence[ParcelKey], actor: Actor, now: datetime) -> list[ParcelKey]:
    """Put what customs sent back on the bench of the place it left, in quarantine until graded; return the parcels that came back now."""
    found = await read_parcels(conn, parcels) if parcels else []
    told = await read_turned_back(conn, [one.merchant_id for one in found], [one.parcel_id for one in found])
    back = [one for one in found if told.get((one.merchant_id, one.parcel_id), {}).get("choice") == AfterRefusal.RETURN]
    consignments = await read_consignments(conn, [ConsignmentKey(one.merchant_id, one.consignment_id) for one in back])
    places = {one.consignment_id: one.place_code for one in consignments}
    causes = [(one.merchant_id, cause_id) for one in back for cause_id in (one.parcel_id, one.consignment_id)]
    sent = await read_sent(conn, [cause[0] for cause in causes], [cause[1] for cause in causes])
    receipts = [receipt for one in back for receipt in _receipts(one, places[one.consignment_id], _units_of(one, sent), now)]
    work = await receive_returns(conn, receipts)
    await post_floor_moves(conn, work.moves)
    recorded = await record_parcel_events(
        conn, [ParcelEvent(one.merchant_id, one.parcel_id, TrackingState.RETURNED, now, now, places[one.consignment_id]) for one in back]
    )
    await write_acts(conn, [Act(one.merchant_id, one.parcel_id, "receive_refused_parcel", now, actor) for one in recorded.parcels])
    return [ParcelKey(one.merchant_id, one.parcel_id) for one in recorded.parcels]


def _units_of(parcel: Parcel, sent: Mapping[tuple[uuid.UUID, uuid.UUID], Sequence[Held]]) -> list[Held]:
    """Return what left with a parcel, lots and owners kept apart."""
    return [held for cause_id in (parcel.parcel_id, parcel.consignment_id) for held in sent.get((parcel.merchant_id, cause_id), ())]


def _receipts(parcel: Parcel, place_code: str, units: Sequence[Held], now: datetime) -> list[ReturnReceipt]:
    """Return what arrives at the bench, one line for each lot."""
    return [
        ReturnReceipt(
            parcel.merchant_id,
            parcel.parcel_id,
            number,
            place_code,
            held.location.owner_id,
            held.location.stock_item_id,
            held.quantity,
            now,
            held.location.lot_code,
            held.location.customs_status,
        )
        for number, held in enumerate(units, start=1)
    ]
