"""From work to the carrier: the platform's floor picks, packs and hands over; a merchant that packs itself tells us carrier and number."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from entrepot.base.actor import Actor
from entrepot.base.audit import Act, write_acts
from entrepot.base.due import Due, finish_due
from entrepot.base.ids import derived_id, derived_id_at
from entrepot.base.sql import Conn
from entrepot.base.time import at_ms
from entrepot.books.stock.model import CARRIER, SITE, Consumption, Location, Move, StockPosting
from entrepot.books.stock.post import post_moves
from entrepot.books.stock.read import read_locations
from entrepot.flows.charge import Charge, charge_fees
from entrepot.flows.floor_moves import CauseKey, measure_units, post_floor_moves
from entrepot.flows.forward import with_lines
from entrepot.flows.order_to_cash import record_shipments
from entrepot.flows.outside import Outside
from entrepot.flows.parcel_legs import plan_legs
from entrepot.flows.release import SHIP_BY
from entrepot.freight.cards import RateRequest
from entrepot.freight.model import (
    CauseKind,
    ConsignmentKey,
    HandOver,
    LabelSource,
    Outcome,
    ParcelChange,
    ParcelDraft,
    ParcelLine,
    ParcelState,
    ShipmentConfirmation,
)
from entrepot.freight.ports import LabelAnswer, LabelOrder
from entrepot.freight.read import Consignment, read_consignments, read_parcels_of_consignments
from entrepot.freight.ship import create_parcels, hand_over_parcels, merchant_confirms
from entrepot.operations.model import FeeTrigger
from entrepot.orders.model import Allocation, Line
from entrepot.orders.read import read_allocations, read_lines
from entrepot.warehouse.binning import StockInBin
from entrepot.warehouse.cartons import PackedParcel
from entrepot.warehouse.fulfil import pick_pack_and_stage
from entrepot.warehouse.model import OrderRef, OrderStep, StepOutcome, WorkCause
from entrepot.warehouse.pack import PackWork
from entrepot.warehouse.readers import QueueEntry, read_line_records
from entrepot.warehouse.ship import ship_orders

LineKey = tuple[uuid.UUID, uuid.UUID, int]

_CAUSES = {
    WorkCause.SALE: CauseKind.SALE,
    WorkCause.OUTBOUND_ORDER: CauseKind.OUTBOUND_ORDER,
    WorkCause.REMOVAL: CauseKind.REMOVAL,
    WorkCause.REPLACEMENT: CauseKind.REPLACEMENT,
    WorkCause.TRANSFER: CauseKind.TRANSFER,
}


# -- the platform's floor --------------------------------------------------------------------------------------------


async def pick_and_pack(conn: Conn, outside: Outside, queue: Sequence[QueueEntry], now: datetime) -> list[OrderStep]:
    """Pick, pack and label queued work; the steps say what was short, which `cancel.py` closes and pays back."""
    if not queue:
        return []
    entries = {entry.order: entry for entry in queue}
    refs = list(entries)
    records = await read_line_records(conn, refs)
    stock = await _read_stock(conn, [(one.order.merchant_id, one.stock_item_id, entries[one.order].place_code) for one in records])
    measures = await measure_units(conn, [one.order.merchant_id for one in records], [one.stock_item_id for one in records])
    work = await pick_pack_and_stage(conn, refs, stock, measures, now)
    await post_floor_moves(conn, work.moves)
    await _make_parcels(conn, outside, work, entries, now)
    return work.steps


async def _read_stock(conn: Conn, keys: Sequence[tuple[uuid.UUID, uuid.UUID, str]]) -> list[StockInBin]:
    """Return what the book holds in bins of these (merchant, item, place)."""
    held = await read_locations(conn, [key[0] for key in keys], [key[1] for key in keys], [key[2] for key in keys])
    return [
        StockInBin(
            one.location.merchant_id,
            one.location.owner_id,
            one.location.stock_item_id,
            one.location.place_code,
            one.location.spot_code,
            one.quantity,
            one.location.lot_code,
            one.location.condition_code,
            one.location.customs_status,
        )
        for one in held
        if one.location.spot_code.startswith("bin:")
    ]


async def _make_parcels(conn: Conn, outside: Outside, work: PackWork, entries: dict[OrderRef, QueueEntry], now: datetime) -> None:
    """Make one labelled parcel of each packed order; a removal or transfer without a consignment needs none."""
    packed: dict[OrderRef, PackedParcel] = {parcel.order: parcel for parcel in work.parcels}
    steps = [step for step in work.steps if step.outcome is StepOutcome.DONE and step.order in packed and entries[step.order].consignment_id]
    consignments = await _read_consignments(conn, [(step.order.merchant_id, step.order.fulfilment_order_id) for step in steps])
    drafts = [_draft(outside, step, packed[step.order], entries[step.order], consignments[step.order.fulfilment_order_id], now) for step in steps]
    await create_parcels(conn, drafts, now)


async def _read_consignments(conn: Conn, keys: Sequence[tuple[uuid.UUID, uuid.UUID]]) -> dict[uuid.UUID, Consignment]:
    """Return consignments by id."""
    return {one.consignment_id: one for one in await read_consignments(conn, [ConsignmentKey(*key) for key in keys])}


def _draft(outside: Outside, step: OrderStep, packed: PackedParcel, entry: QueueEntry, consignment: Consignment, now: datetime) -> ParcelDraft:
    """Return the parcel of a packed order with its label and legs."""
    return ParcelDraft(
        consignment.merchant_id,
        derived_id_at(at_ms(now), "parcel", consignment.consignment_id),
        consignment.consignment_id,
        consignment.order_id,
        consignment.carrier_code,
        consignment.service_code,
        packed.weight_g,
        _CAUSES[entry.cause_kind],
        consignment.order_id,
        LabelSource.PRINTED_HERE,
        tuple(ParcelLine(line.line_no, line.part_no, line.quantity) for line in step.lines),
        billable_weight_g=packed.weight_g,
        legs=plan_legs(outside.reference, consignment, now),
    )


async def hand_over(conn: Conn, outside: Outside, refs: Sequence[OrderRef], actor: Actor, now: datetime) -> list[ParcelChange]:
    """Give packed work to the carriers: units leave the book's place with their reservations, the order counts them as shipped."""
    if not refs:
        return []
    shipped = await ship_orders(conn, refs, now)
    done = [step for step in shipped.steps if step.outcome is StepOutcome.DONE]
    eaten: dict[CauseKey, list[Consumption]] = {
        (step.order.merchant_id, "ship", step.order.fulfilment_order_id): [
            Consumption(step.order.merchant_id, step.order_id, line.line_no, line.part_no, line.quantity) for line in step.lines if step.order_id
        ]
        for step in done
    }
    await post_floor_moves(conn, shipped.moves, eaten)
    parcels = await _parcels_of(conn, done)
    manifests = {place: derived_id("manifest", place, now) for place in {step.place_code for step in done}}
    places = {(step.order.merchant_id, step.order.fulfilment_order_id): step.place_code for step in done}
    _, recorded = await hand_over_parcels(
        conn, [HandOver(key[0], parcel_id, places[key], manifests[places[key]], now) for key, parcel_id in parcels.items()]
    )
    left = await with_lines(conn, [change for change in recorded.parcels if change.state is ParcelState.HANDED_OVER])
    await record_shipments(conn, outside, left, now)
    await write_acts(conn, [Act(one.merchant_id, one.parcel_id, "hand_over_parcel", now, actor) for one in left])
    return left


async def _parcels_of(conn: Conn, steps: Sequence[OrderStep]) -> dict[tuple[uuid.UUID, uuid.UUID], uuid.UUID]:
    """Return the parcel of each consignment that is about to leave."""
    keys = [ConsignmentKey(step.order.merchant_id, step.order.fulfilment_order_id) for step in steps]
    parcels = await read_parcels_of_consignments(conn, keys)
    return {(one.merchant_id, one.consignment_id): one.parcel_id for one in parcels if one.state is ParcelState.LABELLED}


# -- the merchant's own floor ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MerchantShipment:
    """A merchant says that a consignment left its site; without carrier and number the label is bought here."""

    merchant_id: uuid.UUID
    consignment_id: uuid.UUID
    carrier_code: str | None
    tracking_number: str | None
    shipped_at: datetime


async def confirm_shipments(conn: Conn, outside: Outside, shipments: Sequence[MerchantShipment], actor: Actor, now: datetime) -> list[ParcelChange]:
    """Take merchants' word that consignments left: units leave the site with their reservations, bought labels are charged."""
    consignments = await _read_consignments(conn, [(one.merchant_id, one.consignment_id) for one in shipments])
    known = [one for one in shipments if one.consignment_id in consignments]
    keys = [(one.merchant_id, consignments[one.consignment_id].order_id) for one in known]
    allocations = await read_allocations(conn, [key[0] for key in keys], [key[1] for key in keys])
    items = {
        (line.merchant_id, line.order_id, line.line_no): line for line in await read_lines(conn, [key[0] for key in keys], [key[1] for key in keys])
    }
    confirmations: list[ShipmentConfirmation] = []
    bought: list[tuple[str, LabelOrder]] = []
    for one in known:
        parts = [part for part in allocations if part.consignment_id == one.consignment_id]
        weight_g = sum(items[part.merchant_id, part.order_id, part.line_no].unit_weight_g * part.quantity for part in parts)
        confirmation = _confirmation(
            one, consignments[one.consignment_id], [ParcelLine(part.line_no, part.part_no, part.quantity) for part in parts], weight_g
        )
        confirmations.append(confirmation)
        if one.tracking_number is None:
            consignment = consignments[one.consignment_id]
            bought.append((consignment.carrier_code, _label_order(outside, confirmation, consignment, now)))
    costs = await _buy_labels(outside, bought)
    numbered = [replace(one, tracking_number=one.tracking_number or costs[one.parcel_id][0]) for one in confirmations]
    made, recorded = await merchant_confirms(conn, numbered, now)
    fresh = {answer.parcel_id for answer in made if answer.outcome is Outcome.NEW}
    await post_moves(conn, [_leaves_site(one, allocations, items, now) for one in numbered if one.parcel_id in fresh])
    left = await with_lines(conn, [change for change in recorded.parcels if change.parcel_id in fresh])
    await record_shipments(conn, outside, left, now)
    await charge_fees(
        conn,
        outside.reference,
        FeeTrigger.LABEL_BOUGHT,
        [
            Charge(one.merchant_id, one.order_id, one.lines[0].line_no, 1, one.parcel_id, now, costs[one.parcel_id][1])
            for one in numbered
            if one.parcel_id in costs
        ],
    )
    await finish_due(conn, [Due(one.merchant_id, SHIP_BY, one.consignment_id, now) for one in known], now)
    await write_acts(conn, [Act(one.merchant_id, one.consignment_id, "confirm_shipment", now, actor) for one in known])
    return left


def _confirmation(shipment: MerchantShipment, consignment: Consignment, lines: Sequence[ParcelLine], weight_g: int) -> ShipmentConfirmation:
    """Return the merchant's word as freight takes it."""
    return ShipmentConfirmation(
        shipment.merchant_id,
        derived_id("parcel", shipment.consignment_id),
        shipment.consignment_id,
        consignment.order_id,
        shipment.carrier_code or consignment.carrier_code,
        consignment.service_code,
        shipment.tracking_number,
        shipment.shipped_at,
        CauseKind.SALE,
        consignment.order_id,
        tuple(lines),
        weight_g,
    )


def _label_order(outside: Outside, confirmation: ShipmentConfirmation, consignment: Consignment, now: datetime) -> LabelOrder:
    """Return the order for a label of the consignment's lane."""
    origin = outside.reference.network.place(consignment.place_code).country_code
    request = RateRequest(origin, consignment.to_country_code, confirmation.weight_g, 0, now.date())
    return LabelOrder(confirmation.merchant_id, confirmation.parcel_id, consignment.service_code, request)


async def _buy_labels(outside: Outside, orders: Sequence[tuple[str, LabelOrder]]) -> dict[uuid.UUID, tuple[str, int]]:
    """Buy labels from the carriers of the lanes; return number and cost in minor units by parcel."""
    costs: dict[uuid.UUID, tuple[str, int]] = {}
    for carrier_code in sorted({code for code, _ in orders}):
        mine = [order for code, order in orders if code == carrier_code]
        for answer in await outside.carriers[carrier_code].buy_labels(mine):
            if answer.answer is LabelAnswer.BOUGHT:
                costs[answer.parcel_id] = (answer.tracking_number, answer.cost_minor)
    return costs


def _leaves_site(confirmation: ShipmentConfirmation, allocations: Sequence[Allocation], items: Mapping[LineKey, Line], now: datetime) -> StockPosting:
    """Return the posting by which a merchant's parcel leaves its site with the reservations of its lines."""
    moves: list[Move] = []
    eaten: list[Consumption] = []
    for part in allocations:
        if part.consignment_id != confirmation.consignment_id:
            continue
        line = items[part.merchant_id, part.order_id, part.line_no]
        site = Location(part.merchant_id, part.owner_id, line.stock_item_id, part.place_code, SITE, customs_status=part.customs_status)
        moves.append(Move(site, replace(site, place_code=CARRIER, spot_code="-"), part.quantity))
        eaten.append(Consumption(part.merchant_id, part.order_id, part.line_no, part.part_no, part.quantity))
    posting_id = derived_id("floor", "ship", confirmation.parcel_id)
    return StockPosting(confirmation.merchant_id, posting_id, now, "ship", confirmation.parcel_id, moves, tuple(eaten))
