"""Services are metered and billed: receiving, transport, storage and contacts, each by the plan under which the stock lies and its dated card.

Stock carries no model's name. The plan that bills it is that of the offer which sells the item from such a place: live before paused, in the
store of the place's country before others, then by the merchant's own priority. Outbound services of orders are charged in `charge.py`.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from entrepot.base.due import Due, finish_due
from entrepot.base.errors import RefusedInputError
from entrepot.base.ids import derived_id
from entrepot.base.money import Money, split_by_weight
from entrepot.base.quantity import volume_mm3
from entrepot.base.sql import Conn
from entrepot.base.time import on_date, start_of_day
from entrepot.books.money.post import post_entries
from entrepot.books.stock.read import UnitTime, read_unit_days
from entrepot.catalogue.model import OfferFacts, OfferState
from entrepot.catalogue.store import find_item_offers, find_offers
from entrepot.flows.charge import fee_postings
from entrepot.flows.outside import Outside
from entrepot.flows.purchase import Purchase, purchase_posting
from entrepot.flows.reference import Reference
from entrepot.operations.model import Channel, FeeCode, FeeTrigger, PlaceKind, Step
from entrepot.operations.plan import Plan as OperationPlan
from entrepot.orders.model import Order
from entrepot.orders.read import read_lines, read_orders
from entrepot.settlement.fees import FeeInputs, fee_lines_for
from entrepot.settlement.model import divide_rounded
from entrepot.settlement.store import FeeEntry, fee_entries, insert_fee_lines
from entrepot.sourcing.model import Place
from entrepot.warehouse.inbound import InboundKind, InboundLine, Plan, PlanRef
from entrepot.warehouse.store_inbound import count_boxes, read_inbound_lines, read_plans_of

ItemKey = tuple[uuid.UUID, uuid.UUID]
"""Merchant and stock item."""
OrderKey = tuple[uuid.UUID, uuid.UUID]
"""Merchant and order."""


class MonthNotOverError(RefusedInputError):
    """Storage is billed once the month is over; the operator waits for its last day."""


class Service(Struct, frozen=True):
    """Something that was done for a merchant's item, with the cause and line under which it is charged once."""

    merchant_id: uuid.UUID
    cause_id: uuid.UUID
    line_no: int
    offer: OfferFacts
    inputs: FeeInputs
    at: datetime
    channel: Channel | None = None
    order_id: uuid.UUID | None = None


# -- the plan under which stock lies ---------------------------------------------------------------------------------


async def read_item_offers(conn: Conn, keys: Sequence[ItemKey]) -> dict[ItemKey, list[OfferFacts]]:
    """Return the offers of stock items, in stable order."""
    ordered = sorted(set(keys))
    offers: dict[ItemKey, list[OfferFacts]] = {}
    for offer in await find_item_offers(conn, [key[0] for key in ordered], [key[1] for key in ordered]):
        offers.setdefault((offer.merchant_id, offer.stock_item_id), []).append(offer)
    return offers


def stock_offer(
    reference: Reference, offers: Sequence[OfferFacts], place: Place, suits: Callable[[OperationPlan], bool] = lambda _: True
) -> OfferFacts | None:
    """Return the offer under whose plan an item lies at a place of the platform, or None where no plan of the item stores there."""
    fits = [
        offer for offer in offers if _stores(reference.registry.plan(offer.model_code), place) and suits(reference.registry.plan(offer.model_code))
    ]
    return min(fits, key=lambda offer: _preference(reference, offer, place), default=None)


def _stores(plan: OperationPlan, place: Place) -> bool:
    """Tell whether the platform stores stock of a plan in such a place."""
    return place.merchant_id is None and plan.stores_in(PlaceKind(place.kind)) and plan.platform_does(Step.STORE, channel=min(plan.model.channels))


def _preference(reference: Reference, offer: OfferFacts, place: Place) -> tuple[bool, bool, int, str, str, uuid.UUID]:
    """Return by what offers of one item compete for billing its stock; the least wins."""
    is_abroad = reference.marketplaces[offer.marketplace_code].country_code != place.country_code
    return offer.state != OfferState.LIVE, is_abroad, offer.priority, offer.marketplace_code, offer.model_code, offer.offer_id


def service_inputs(reference: Reference, offer: OfferFacts, on: date) -> FeeInputs:
    """Return what the cards need to know of an item, without what was done for it."""
    return FeeInputs(
        marketplace_code=offer.marketplace_code,
        model_code=offer.model_code,
        on=on,
        currency=reference.marketplaces[offer.marketplace_code].currency,
        category_code=offer.category_code,
        product_class="dangerous_goods" if offer.hazard_code else "general",
        length_mm=offer.length_mm,
        width_mm=offer.width_mm,
        height_mm=offer.height_mm,
        unit_weight_g=offer.weight_g,
    )


async def charge_services(
    conn: Conn,
    reference: Reference,
    trigger: FeeTrigger,
    services: Sequence[Service],
    only: FeeCode | None = None,
    orders: Mapping[OrderKey, Order] | None = None,
) -> list[FeeEntry]:
    """Charge what a fact makes due for each service, once per cause and line, and return the lines that are new."""
    entries: list[FeeEntry] = []
    for one in services:
        plan = reference.registry.plan(one.offer.model_code)
        codes = plan.fee_codes(trigger, min(plan.model.channels) if one.channel is None else one.channel)
        wanted = tuple(code for code in codes if only is None or code is only)
        quote = fee_lines_for(trigger, wanted, one.inputs, reference.fees)
        entries += fee_entries(one.merchant_id, str(trigger), one.cause_id, one.line_no, quote.lines, one.at, one.order_id)
    if not entries:
        return []
    fresh = await insert_fee_lines(conn, entries)
    groups: dict[tuple[uuid.UUID, int], list[FeeEntry]] = {}
    for entry in fresh:
        groups.setdefault((entry.cause_id, entry.line_no), []).append(entry)
    await post_entries(conn, [posting for group in groups.values() for posting in fee_postings(group, dict(orders or {}), str(trigger))])
    return fresh


# -- receiving -------------------------------------------------------------------------------------------------------


async def bill_receipts(conn: Conn, outside: Outside, work: Sequence[Due], now: datetime) -> None:
    """Bill what docks received of closed plans: by units and, where a card counts cartons, by those that arrived.

    A plan that announced no boxes counts one carton for each line that came; boxes fall to the lines by units, and where the dock noted no box all
    that were announced count.
    """
    refs = [PlanRef(one.merchant_id, one.subject_id) for one in work]
    plans, lines, boxes = await read_plans_of(conn, refs), await read_inbound_lines(conn, refs), await count_boxes(conn, refs)
    received: dict[PlanRef, list[InboundLine]] = {}
    for line in lines.values():
        if _received(line):
            received.setdefault(line.ref, []).append(line)
    offers = await read_item_offers(conn, [(line.ref.merchant_id, line.stock_item_id) for line in lines.values()])
    services = [
        service
        for ref, listed in received.items()
        for service in _receipt_services(outside.reference, plans[ref], listed, _cartons(listed, boxes.get(ref)), offers, now)
    ]
    await charge_services(conn, outside.reference, FeeTrigger.RECEIPT, services)
    await finish_due(conn, work)


def _received(line: InboundLine) -> int:
    """Return the units of a line that the dock counted, good, damaged and beyond the announcement."""
    return line.received_good + line.received_damaged + line.over


def _cartons(lines: Sequence[InboundLine], boxes: tuple[int, int] | None) -> list[int]:
    """Return how many cartons fall to each line of a plan with so many boxes announced and seen."""
    if boxes is None:
        return [1] * len(lines)
    announced, seen = boxes
    return split_by_weight(seen or announced, [_received(line) for line in lines])


def _receipt_services(
    reference: Reference,
    plan: Plan,
    lines: Sequence[InboundLine],
    carton_counts: Sequence[int],
    offers: Mapping[ItemKey, Sequence[OfferFacts]],
    now: datetime,
) -> list[Service]:
    """Return what receiving the lines of one plan is worth."""
    place = reference.network.place(plan.place_code)
    on = on_date(plan.ended_at or now, place.time_zone)
    services: list[Service] = []
    for line, cartons in zip(lines, carton_counts, strict=True):
        offer = stock_offer(reference, offers.get((line.ref.merchant_id, line.stock_item_id), ()), place, suits_kind(plan.kind))
        if offer is not None:
            inputs = replace(service_inputs(reference, offer, on), units=_received(line), carton_count=cartons)
            services.append(Service(line.ref.merchant_id, line.ref.plan_id, line.line_no, offer, inputs, now))
    return services


def suits_kind(kind: InboundKind) -> Callable[[OperationPlan], bool]:
    """Return which plans stock of an inbound kind comes in under: with the unified service, those whose first leg the platform runs."""
    return lambda plan: kind is not InboundKind.UNIFIED or plan.platform_does(Step.FIRST_LEG, channel=min(plan.model.channels))


# -- transport -------------------------------------------------------------------------------------------------------


class CarriedLeg(Struct, frozen=True):
    """A leg of a unified inbound service that is done, what it cost us, and whom we owe."""

    ref: PlanRef
    leg_no: int
    place_code: str
    stock_item_id: uuid.UUID
    cost: Money
    supplier_account: str


async def bill_transport(conn: Conn, outside: Outside, legs: Sequence[CarriedLeg], now: datetime) -> list[FeeEntry]:
    """Hand on what legs cost, by the plan of the first item carried, and owe it to those who carried; return the fee lines that are new."""
    reference = outside.reference
    offers = await read_item_offers(conn, [(leg.ref.merchant_id, leg.stock_item_id) for leg in legs])
    services: list[Service] = []
    purchases: dict[tuple[uuid.UUID, int], Purchase] = {}
    for leg in legs:
        place = reference.network.place(leg.place_code)
        offer = stock_offer(reference, offers.get((leg.ref.merchant_id, leg.stock_item_id), ()), place, suits_kind(InboundKind.UNIFIED))
        if offer is None:
            continue
        on = on_date(now, place.time_zone)
        plain = service_inputs(reference, offer, on)
        passed_on = Money(reference.convert(leg.cost.minor, leg.cost.currency, plain.currency, on), plain.currency)
        services.append(Service(leg.ref.merchant_id, leg.ref.plan_id, leg.leg_no, offer, replace(plain, cost_minor=passed_on.minor), now))
        purchases[leg.ref.plan_id, leg.leg_no] = Purchase(
            leg.ref.merchant_id,
            leg.ref.plan_id,
            "inbound_leg",
            FeeCode.INBOUND_TRANSPORT,
            leg.supplier_account,
            leg.cost,
            passed_on,
            now,
            None,
            leg.leg_no,
        )
    fresh = await charge_services(conn, reference, FeeTrigger.TRANSPORT, services)
    new = dict.fromkeys((entry.cause_id, entry.line_no) for entry in fresh)
    await post_entries(conn, [purchase_posting(reference, purchases[key]) for key in new])
    return fresh


# -- storage ---------------------------------------------------------------------------------------------------------


async def bill_storage(conn: Conn, outside: Outside, month: date, now: datetime) -> list[FeeEntry]:
    """Bill the month that holds a day: the average volume of each merchant's item at each place; a second call bills only what was missing.

    The average is the exact time integral of what lay there, in whatever spot and condition, over the length of the month in UTC.
    """
    first = month.replace(day=1)
    until = (first + timedelta(days=32)).replace(day=1)
    from_at, to_at = start_of_day(first), start_of_day(until)
    if now < to_at:
        raise MonthNotOverError("month", first.isoformat()[:7], "Bill it from %(at)s on.", at=to_at)
    reference = outside.reference
    lay = [
        one for one in await read_unit_days(conn, from_at, to_at) if one.owner_id == one.merchant_id and one.place_code in reference.network.places
    ]
    offers = await read_item_offers(conn, [(one.merchant_id, one.stock_item_id) for one in lay])
    seconds = int((to_at - from_at).total_seconds())
    services = [service for one in lay if (service := _storage(reference, one, offers, until - timedelta(days=1), seconds, now)) is not None]
    return await charge_services(conn, reference, FeeTrigger.MONTH_END, services, FeeCode.STORAGE)


def _storage(
    reference: Reference, lay: UnitTime, offers: Mapping[ItemKey, Sequence[OfferFacts]], on: date, seconds: int, now: datetime
) -> Service | None:
    """Return the storage of one item at one place over a month, or None where no plan stores it there."""
    offer = stock_offer(reference, offers.get((lay.merchant_id, lay.stock_item_id), ()), reference.network.place(lay.place_code))
    if offer is None:
        return None
    volume = divide_rounded(lay.unit_seconds * volume_mm3(offer.length_mm, offer.width_mm, offer.height_mm), seconds)
    inputs = replace(service_inputs(reference, offer, on), units=-(-lay.unit_seconds // seconds), volume_mm3=volume)
    cause_id = derived_id("storage", lay.merchant_id, lay.place_code, lay.stock_item_id, on.isoformat()[:7])
    return Service(lay.merchant_id, cause_id, 1, offer, inputs, now)


# -- contacts --------------------------------------------------------------------------------------------------------


class ServiceContact(Struct, frozen=True):
    """A customer of a merchant was answered by the platform about an order; the contact is charged once."""

    merchant_id: uuid.UUID
    contact_id: uuid.UUID
    order_id: uuid.UUID
    at: datetime


async def bill_contacts(conn: Conn, outside: Outside, contacts: Sequence[ServiceContact]) -> list[FeeEntry]:
    """Charge answered contacts by the plan of the order's first line; a plan without such a fee charges nothing."""
    if not contacts:
        return []
    reference = outside.reference
    merchant_ids, order_ids = [one.merchant_id for one in contacts], [one.order_id for one in contacts]
    orders = {(one.merchant_id, one.order_id): one for one in await read_orders(conn, merchant_ids, order_ids)}
    firsts = {(line.merchant_id, line.order_id): line for line in reversed(await read_lines(conn, merchant_ids, order_ids))}
    pairs = sorted({(line.merchant_id, line.offer_id) for line in firsts.values()})
    offers = {offer.offer_id: offer for offer in await find_offers(conn, [pair[0] for pair in pairs], [pair[1] for pair in pairs])}
    services: list[Service] = []
    for one in contacts:
        order, line = orders.get((one.merchant_id, one.order_id)), firsts.get((one.merchant_id, one.order_id))
        if order is None or line is None:
            continue
        offer = offers[line.offer_id]
        on = on_date(one.at, reference.marketplaces[order.marketplace_code].time_zone)
        inputs = replace(service_inputs(reference, offer, on), contact_count=1)
        services.append(Service(one.merchant_id, one.contact_id, 1, offer, inputs, one.at, Channel(order.channel_code), one.order_id))
    return await charge_services(conn, reference, FeeTrigger.CONTACT, services, None, orders)
