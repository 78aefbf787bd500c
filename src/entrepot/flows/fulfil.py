"""From work to the carrier: the platform's floor picks, packs and hands over; a merchant that packs itself tells us carrier and number."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from entrepot.base.actor import Actor
from entrepot.base.audit import Act, write_acts
from entrepot.base.due import Due, finish_due
from entrepot.base.ids import derived_id, derived_id_at
from entrepot.base.money import Money
from entrepot.base.sql import Conn
from entrepot.base.time import at_ms
from entrepot.books.money.post import post_entries
from entrepot.books.stock.model import CARRIER, SITE, Consumption, Location, Move, StockPosting
from entrepot.books.stock.post import post_moves
from entrepot.books.stock.read import read_locations
from entrepot.flows.charge import Charge, charge_fees
from entrepot.flows.floor_moves import CauseKey, measure_units, post_floor_moves
from entrepot.flows.forward import with_lines
from entrepot.flows.order_to_cash import record_shipments
from entrepot.flows.outside import Outside
from entrepot.flows.parcel_legs import plan_legs
from entrepot.flows.purchase import Purchase, purchase_posting
from entrepot.flows.release import SHIP_BY
from entrepot.flows.ship_figures import record_bought_tracking, record_ship_due
from entrepot.freight.cards import RateRequest
from entrepot.freight.model import (
    CauseKind,
    ConsignmentKey,
    ConsignmentState,
    HandOver,
    LabelSource,
    Outcome,
    ParcelChange,
    ParcelDraft,
    ParcelLine,
    ParcelState,
    ShipmentConfirmation,
)
from entrepot.freight.ports import LabelAnswer, LabelBought, LabelOrder
from entrepot.freight.read import Consignment, Parcel, read_consignments, read_parcels_of_consignments
from entrepot.freight.ship import create_parcels, hand_over_parcels, merchant_confirms
from entrepot.operations.model import FeeCode, FeeTrigger, Role
from entrepot.orders.model import Allocation, Line
from entrepot.orders.read import read_allocations, read_lines
from entrepot.warehouse.binning import StockInBin
from entrepot.warehouse.cartons import PackedParcel
from entrepot.warehouse.fulfil import pick_pack_and_stage
from entrepot.warehouse.model import OrderRef, OrderStep, StepOutcome, WorkCause
from entrepot.warehouse.pack import PackWork
from entrepot.warehouse.readers import QueueEntry, read_line_records
from entrepot.warehouse.ship import ship_orders

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
    stock = await read_bin_stock(conn, [(one.order.merchant_id, one.stock_item_id, entries[one.order].place_code) for one in records])
    measures = await measure_units(conn, [one.order.merchant_id for one in records], [one.stock_item_id for one in records])
    work = await pick_pack_and_stage(conn, refs, stock, measures, now)
    await post_floor_moves(conn, work.moves)
    await make_parcels(conn, outside, work, entries, now)
    return work.steps


async def read_bin_stock(conn: Conn, keys: Sequence[tuple[uuid.UUID, uuid.UUID, str]]) -> list[StockInBin]:
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


async def make_parcels(conn: Conn, outside: Outside, work: PackWork, entries: dict[OrderRef, QueueEntry], now: datetime) -> None:
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
    places = {(step.order.merchant_id, step.order.fulfilment_order_id): step.place_code for step in done}
    parcels = [(parcel, places[parcel.merchant_id, parcel.consignment_id]) for parcel in await _parcels_of(conn, done)]
    _, recorded = await hand_over_parcels(
        conn, [HandOver(one.merchant_id, one.parcel_id, place, manifest_id_of(place, one.carrier_code, now), now) for one, place in parcels]
    )
    left = await with_lines(conn, [change for change in recorded.parcels if change.state is ParcelState.HANDED_OVER])
    await record_shipments(conn, outside, left, now)
    await write_acts(conn, [Act(one.merchant_id, one.parcel_id, "hand_over_parcel", now, actor) for one in left])
    return left


def manifest_id_of(place_code: str, carrier_code: str, at: datetime) -> uuid.UUID:
    """Return the id of the manifest of what a carrier takes from a place at an instant."""
    return derived_id("manifest", place_code, carrier_code, at)


async def _parcels_of(conn: Conn, steps: Sequence[OrderStep]) -> list[Parcel]:
    """Return the parcels of consignments that are about to leave."""
    keys = [ConsignmentKey(step.order.merchant_id, step.order.fulfilment_order_id) for step in steps]
    return [one for one in await read_parcels_of_consignments(conn, keys) if one.state is ParcelState.LABELLED]


# -- the merchant's own floor ----------------------------------------------------------------------------------------


class MerchantShipment(Struct, frozen=True):
    """A merchant says that a consignment left its site; without a number the label of the consignment's lane is bought here."""

    merchant_id: uuid.UUID
    consignment_id: uuid.UUID
    carrier_code: str | None
    tracking_number: str | None
    shipped_at: datetime


class ConfirmOutcome(StrEnum):
    """What became of a merchant's word that a consignment left."""

    NEW = "new"
    EXISTS = "exists"
    UNKNOWN = "unknown"
    NOT_THE_PACKER = "not_the_packer"
    NOT_RELEASED = "not_released"
    ON_HOLD = "on_hold"
    LABEL_NOT_SOLD = "label_not_sold"
    LABEL_NOT_SERVED = "label_not_served"


class ConfirmAnswer(Struct, frozen=True):
    """The answer to one shipment: for a new one the parcel, its number, and the label's cost if it was bought here, in minor units."""

    shipment: MerchantShipment
    outcome: ConfirmOutcome
    parcel: ParcelChange | None = None
    tracking_number: str | None = None
    label: LabelBought | None = None


class _Leaving(Struct, frozen=True):
    """A consignment that may leave, with its open parts."""

    shipment: MerchantShipment
    consignment: Consignment
    parts: tuple[tuple[Allocation, Line], ...]

    @property
    def parcel_id(self) -> uuid.UUID:
        """The one parcel of a consignment that a merchant sends."""
        return derived_id("parcel", self.consignment.consignment_id)

    @property
    def weight_g(self) -> int:
        """What the units weigh, in grams."""
        return sum(line.unit_weight_g * part.quantity for part, line in self.parts)


async def confirm_shipments(conn: Conn, outside: Outside, shipments: Sequence[MerchantShipment], actor: Actor, now: datetime) -> list[ParcelChange]:
    """Take merchants' word that consignments left and return the parcels that did so now."""
    answers = await answer_shipments(conn, outside, shipments, actor, now)
    return [answer.parcel for answer in answers if answer.parcel is not None]


async def answer_shipments(conn: Conn, outside: Outside, shipments: Sequence[MerchantShipment], actor: Actor, now: datetime) -> list[ConfirmAnswer]:
    """Take merchants' word that consignments left and answer each: units leave the site with their reservations, bought labels are charged."""
    consignments = await _read_consignments(conn, [(one.merchant_id, one.consignment_id) for one in shipments])
    outcomes = _judge(outside, shipments, consignments)
    ready = [one for one, outcome in zip(shipments, outcomes, strict=True) if outcome is ConfirmOutcome.NEW]
    leaving = await _read_leaving(conn, ready, consignments)
    labels = await _buy_labels(outside, [one for one in leaving if one.shipment.tracking_number is None], now)
    leaving = [one for one in leaving if one.shipment.tracking_number is not None or one.parcel_id in labels]
    numbers, parcels = await _record_leaving(conn, outside, leaving, labels, now)
    await write_acts(conn, [Act(one.merchant_id, one.consignment_id, "confirm_shipment", now, actor) for one in parcels.values()])
    return [
        _answer(one, outcome, numbers, parcels, labels.get(derived_id("parcel", one.consignment_id)))
        for one, outcome in zip(shipments, outcomes, strict=True)
    ]


def _judge(outside: Outside, shipments: Sequence[MerchantShipment], consignments: Mapping[uuid.UUID, Consignment]) -> list[ConfirmOutcome]:
    """Tell for each shipment whether it may leave now; the second one of a consignment in a batch is a replay."""
    outcomes: list[ConfirmOutcome] = []
    seen: set[uuid.UUID] = set()
    for one in shipments:
        consignment = consignments.get(one.consignment_id)
        is_theirs = consignment is not None and consignment.merchant_id == one.merchant_id
        outcome = _judge_one(outside, one, consignment) if consignment is not None and is_theirs else ConfirmOutcome.UNKNOWN
        outcomes.append(ConfirmOutcome.EXISTS if one.consignment_id in seen and outcome is ConfirmOutcome.NEW else outcome)
        if outcome is ConfirmOutcome.NEW:
            seen.add(one.consignment_id)
    return outcomes


def _judge_one(outside: Outside, shipment: MerchantShipment, consignment: Consignment) -> ConfirmOutcome:
    """Tell whether a consignment may leave on its merchant's word."""
    if consignment.doer != Role.MERCHANT:
        return ConfirmOutcome.NOT_THE_PACKER
    if consignment.state in {ConsignmentState.PLANNED, ConsignmentState.CANCELLED}:
        return ConfirmOutcome.NOT_RELEASED
    if consignment.state is not ConsignmentState.RELEASED:
        return ConfirmOutcome.EXISTS
    if consignment.is_held:
        return ConfirmOutcome.ON_HOLD
    plan = outside.reference.registry.plan(consignment.model_code, consignment.plan_version)
    if shipment.tracking_number is None and not plan.label_may_be_bought_here:
        return ConfirmOutcome.LABEL_NOT_SOLD
    return ConfirmOutcome.NEW


async def _read_leaving(conn: Conn, shipments: Sequence[MerchantShipment], consignments: Mapping[uuid.UUID, Consignment]) -> list[_Leaving]:
    """Read the open parts of consignments that may leave."""
    merchant_ids, order_ids = [one.merchant_id for one in shipments], [consignments[one.consignment_id].order_id for one in shipments]
    allocations = await read_allocations(conn, merchant_ids, order_ids)
    lines = {(line.merchant_id, line.order_id, line.line_no): line for line in await read_lines(conn, merchant_ids, order_ids)}
    parts: dict[uuid.UUID, list[tuple[Allocation, Line]]] = {}
    for part in allocations:
        parts.setdefault(part.consignment_id, []).append((part, lines[part.merchant_id, part.order_id, part.line_no]))
    return [_Leaving(one, consignments[one.consignment_id], tuple(parts[one.consignment_id])) for one in shipments]


async def _record_leaving(
    conn: Conn, outside: Outside, leaving: Sequence[_Leaving], labels: Mapping[uuid.UUID, LabelBought], now: datetime
) -> tuple[dict[uuid.UUID, str | None], dict[uuid.UUID, ParcelChange]]:
    """Make the parcels, let the units leave, and charge and count what follows; return numbers and parcels that are new, by parcel."""
    confirmations = [_confirmation(outside, one, labels.get(one.parcel_id), now) for one in leaving]
    made, recorded = await merchant_confirms(conn, confirmations, now)
    numbers = {answer.parcel_id: answer.tracking_number for answer in made if answer.outcome is Outcome.NEW}
    new = [one for one in leaving if one.parcel_id in numbers]
    await post_moves(conn, [_leaves_site(one, now) for one in new])
    left = await with_lines(conn, [change for change in recorded.parcels if change.parcel_id in numbers])
    await record_shipments(conn, outside, left, now)
    bought = [one for one in new if one.parcel_id in labels]
    await _charge_labels(conn, outside, bought, labels, now)
    await record_ship_due(conn, [one.consignment for one in new], now)
    await record_bought_tracking(conn, [one.consignment for one in bought], now)
    await finish_due(conn, [Due(one.shipment.merchant_id, SHIP_BY, one.consignment.consignment_id, now) for one in new])
    return numbers, {one.parcel_id: one for one in left}


def _answer(
    shipment: MerchantShipment,
    outcome: ConfirmOutcome,
    numbers: Mapping[uuid.UUID, str | None],
    parcels: Mapping[uuid.UUID, ParcelChange],
    label: LabelBought | None,
) -> ConfirmAnswer:
    """Return the answer to one shipment."""
    parcel_id = derived_id("parcel", shipment.consignment_id)
    if outcome is not ConfirmOutcome.NEW:
        return ConfirmAnswer(shipment, outcome)
    if parcel_id not in numbers:
        return ConfirmAnswer(shipment, ConfirmOutcome.LABEL_NOT_SERVED if shipment.tracking_number is None else ConfirmOutcome.EXISTS)
    return ConfirmAnswer(shipment, outcome, parcels.get(parcel_id), numbers[parcel_id], label)


def _confirmation(outside: Outside, leaving: _Leaving, label: LabelBought | None, now: datetime) -> ShipmentConfirmation:
    """Return the merchant's word as freight takes it."""
    shipment, consignment = leaving.shipment, leaving.consignment
    return ShipmentConfirmation(
        shipment.merchant_id,
        leaving.parcel_id,
        consignment.consignment_id,
        consignment.order_id,
        consignment.carrier_code if label is not None else shipment.carrier_code or consignment.carrier_code,
        consignment.service_code,
        label.tracking_number if label is not None else shipment.tracking_number,
        shipment.shipped_at,
        CauseKind.SALE,
        consignment.order_id,
        tuple(ParcelLine(part.line_no, part.part_no, part.quantity) for part, _ in leaving.parts),
        leaving.weight_g,
        label.cost_minor if label is not None else 0,
        label.currency if label is not None else None,
        label.rate_version if label is not None else None,
        plan_legs(outside.reference, consignment, now) if label is not None else (),
    )


async def _buy_labels(outside: Outside, leaving: Sequence[_Leaving], now: datetime) -> dict[uuid.UUID, LabelBought]:
    """Buy labels from the carriers of the lanes; return those that were sold, by parcel."""
    bought: dict[uuid.UUID, LabelBought] = {}
    for carrier_code in sorted({one.consignment.carrier_code for one in leaving}):
        orders = [_label_order(outside, one, now) for one in leaving if one.consignment.carrier_code == carrier_code]
        answers = await outside.carriers[carrier_code].buy_labels(orders)
        bought |= {answer.parcel_id: answer for answer in answers if answer.answer is LabelAnswer.BOUGHT}
    return bought


def _label_order(outside: Outside, leaving: _Leaving, now: datetime) -> LabelOrder:
    """Return the order for a label of the consignment's lane."""
    consignment = leaving.consignment
    origin = outside.reference.network.place(consignment.place_code).country_code
    request = RateRequest(origin, consignment.to_country_code, leaving.weight_g, 0, now.date())
    return LabelOrder(consignment.merchant_id, leaving.parcel_id, consignment.service_code, request)


async def _charge_labels(conn: Conn, outside: Outside, leaving: Sequence[_Leaving], labels: Mapping[uuid.UUID, LabelBought], now: datetime) -> None:
    """Charge merchants what their labels cost and our margin, and owe the carriers what they ask."""
    charges: list[Charge] = []
    purchases: list[Purchase] = []
    for one in leaving:
        label, (part, line) = labels[one.parcel_id], one.parts[0]
        cost_minor = outside.reference.convert(label.cost_minor, label.currency, line.charged_currency, now.date())
        charges.append(Charge(part.merchant_id, part.order_id, part.line_no, 1, one.parcel_id, now, cost_minor))
        supplier = f"carrier.{one.consignment.carrier_code}"
        owed = Money(label.cost_minor, label.currency)
        passed_on = Money(cost_minor, line.charged_currency)
        purchases.append(Purchase(part.merchant_id, one.parcel_id, "label", FeeCode.LABEL, supplier, owed, passed_on, now, part.order_id))
    await charge_fees(conn, outside.reference, FeeTrigger.LABEL_BOUGHT, charges)
    await post_entries(conn, [purchase_posting(outside.reference, one) for one in purchases])


def _leaves_site(leaving: _Leaving, now: datetime) -> StockPosting:
    """Return the posting by which a merchant's parcel leaves its site with the reservations of its lines."""
    moves: list[Move] = []
    eaten: list[Consumption] = []
    for part, line in leaving.parts:
        site = Location(part.merchant_id, part.owner_id, line.stock_item_id, part.place_code, SITE, customs_status=part.customs_status)
        moves.append(Move(site, replace(site, place_code=CARRIER, spot_code="-"), part.quantity))
        eaten.append(Consumption(part.merchant_id, part.order_id, part.line_no, part.part_no, part.quantity))
    return StockPosting(
        leaving.shipment.merchant_id, derived_id("floor", "ship", leaving.parcel_id), now, "ship", leaving.parcel_id, moves, tuple(eaten)
    )
