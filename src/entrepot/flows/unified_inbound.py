"""One booking brings stock from the supplier's door to our dock: pickup, freight by sea, air, rail or road, customs, delivery.

The merchant names what to fetch where, and who imports it. The booking quotes every leg with planned times and cost. When the driver signs at
the pickup, the units come into our books and our custody: from supplier to transit. Carriers report when legs begin and end; a leg that ended
is billed for what it cost and owed to its carrier or broker. At the dock the floor takes over (`inbound.py`), and closing the plan leaves
nothing open: good, damaged, or lost at our expense.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from entrepot.base.actor import Actor
from entrepot.base.audit import Act, Fact, write_acts, write_facts
from entrepot.base.errors import ConflictError, EntrepotError, RefusedInputError
from entrepot.base.money import Money
from entrepot.base.sql import Conn
from entrepot.catalogue.model import ItemMeasure, UnknownStockItemError, stock_item_id_of
from entrepot.catalogue.store import read_item_measures
from entrepot.flows.bill_services import CarriedLeg, bill_transport
from entrepot.flows.inbound import announce, depart, read_placeable
from entrepot.flows.outside import Outside
from entrepot.flows.reference import Reference
from entrepot.freight.cards import RateQuote, RateRequest
from entrepot.parties.model import RegistrationKind
from entrepot.parties.store import read_registrations
from entrepot.settlement.fees import FeeLine
from entrepot.settlement.model import is_in_force
from entrepot.settlement.store import read_order_fees
from entrepot.warehouse.inbound import (
    InboundBox,
    InboundKind,
    InboundLeg,
    LegKind,
    NewInboundLine,
    NewPlan,
    PlanRef,
    require_placeable,
)
from entrepot.warehouse.legs import LegReport, report_legs
from entrepot.warehouse.model import Recorded
from entrepot.warehouse.readers import read_plan_legs
from entrepot.warehouse.store_inbound import read_inbound_lines, read_legs_of, read_plans_of

MAIN_MODES: Final[Mapping[LegKind, str]] = {LegKind.OCEAN: "freight", LegKind.AIR: "air", LegKind.RAIL: "freight", LegKind.ROAD: "freight"}
"""The main leg's kinds with the mode of the carriers' services that run it."""
CLEARANCE_DAYS: Final = 3
"""Calendar days that a customs leg is planned for."""
BROKER_ACCOUNT: Final = "broker"


class NoFreightServiceError(ConflictError):
    """No carrier runs this leg between these countries; the merchant chooses another mode."""


class NotAMainLegError(RefusedInputError):
    """Freight goes by ocean, air, rail or road."""


class BookingOutcome(StrEnum):
    """What became of a booking."""

    NEW = "new"
    EXISTS = "exists"
    EXISTS_WITH_DIFFERENT_VALUES = "exists_with_different_values"
    REFUSED = "refused"


class BookedLine(Struct, frozen=True):
    """Units of a SKU and lot to fetch."""

    sku: str
    quantity: int
    lot_code: str = "-"


class Booking(Struct, frozen=True):
    """A merchant's wish to have stock fetched; `broker_fee` is what the broker asks for the customs entry.

    Without a named importer the merchant's own importer number in the country of the place is taken.
    """

    merchant_id: uuid.UUID
    plan_id: uuid.UUID
    pickup_code: str
    pickup_country_code: str
    place_code: str
    mode: LegKind
    pickup_at: datetime
    lines: tuple[BookedLine, ...]
    broker_fee: Money
    boxes: tuple[InboundBox, ...] = ()
    importer_of_record: str | None = None


class Booked(Struct, frozen=True):
    """The answer to a booking: its legs with planned times and costs, or why it is refused."""

    booking: Booking
    outcome: BookingOutcome
    legs: tuple[InboundLeg, ...] = ()
    importer_of_record: str | None = None
    refusal: EntrepotError | None = None


# -- booked ----------------------------------------------------------------------------------------------------------


async def book_pickups(conn: Conn, outside: Outside, bookings: Sequence[Booking], actor: Actor, now: datetime) -> list[Booked]:
    """Book unified inbound services, each decided on its own; nothing enters the books before the pickup."""
    keys = [(one.merchant_id, stock_item_id_of(one.merchant_id, line.sku)) for one in bookings for line in one.lines]
    measures = await read_item_measures(conn, [key[0] for key in keys], [key[1] for key in keys])
    importers = await _read_importers(conn, [one.merchant_id for one in bookings], now)
    plans: dict[int, NewPlan] = {}
    refusals: dict[int, EntrepotError] = {}
    for index, one in enumerate(bookings):
        try:
            plans[index] = await _plan(outside, one, measures, importers, now)
        except EntrepotError as refusal:
            refusals[index] = refusal
    registered = await read_placeable(conn, outside.reference, list(plans.values()), now)
    for index, plan in list(plans.items()):
        try:
            require_placeable(plan, registered)
        except EntrepotError as refusal:
            refusals[index] = refusal
            del plans[index]
    recorded = dict(zip(plans, await announce(conn, outside.reference, list(plans.values()), actor, now), strict=True)) if plans else {}
    return [_booked(one, plans.get(index), recorded.get(index), refusals.get(index)) for index, one in enumerate(bookings)]


async def _read_importers(conn: Conn, merchant_ids: Sequence[uuid.UUID], now: datetime) -> dict[tuple[uuid.UUID, str], str]:
    """Return the importer numbers that merchants have in force, by merchant and country."""
    return {
        (one.merchant_id, one.country_code): one.number
        for one in await read_registrations(conn, sorted(set(merchant_ids)))
        if one.kind == RegistrationKind.IMPORTER and is_in_force(now.date(), one.effective_from, one.effective_to)
    }


async def _plan(
    outside: Outside,
    booking: Booking,
    measures: Mapping[tuple[uuid.UUID, uuid.UUID], ItemMeasure],
    importers: Mapping[tuple[uuid.UUID, str], str],
    now: datetime,
) -> NewPlan:
    """Return the plan of a booking with its legs, or refuse it."""
    reference = outside.reference
    place = reference.network.place(booking.place_code)
    weight_g = sum(_measure(booking, line, measures).weight_g * line.quantity for line in booking.lines)
    volume_mm3 = sum(_volume_mm3(_measure(booking, line, measures)) * line.quantity for line in booking.lines)
    crosses = _crosses(reference, booking.pickup_country_code, place.country_code)
    importer = booking.importer_of_record or importers.get((booking.merchant_id, place.country_code))
    return NewPlan(
        booking.merchant_id,
        booking.plan_id,
        booking.place_code,
        place.country_code,
        InboundKind.UNIFIED,
        crosses,
        importer if crosses else None,
        now,
        tuple(
            NewInboundLine(line_no, stock_item_id_of(booking.merchant_id, line.sku), line.quantity, line.lot_code)
            for line_no, line in enumerate(booking.lines, start=1)
        ),
        await plan_freight(outside, booking, place.country_code, weight_g, volume_mm3),
        booking.boxes,
    )


def _measure(booking: Booking, line: BookedLine, measures: Mapping[tuple[uuid.UUID, uuid.UUID], ItemMeasure]) -> ItemMeasure:
    """Return weight and sides of a SKU's unit, or refuse a SKU that the merchant does not have."""
    found = measures.get((booking.merchant_id, stock_item_id_of(booking.merchant_id, line.sku)))
    if found is None:
        raise UnknownStockItemError("sku", line.sku, "Add the SKU to the merchant's catalogue first.")
    return found


def _volume_mm3(measure: ItemMeasure) -> int:
    """Return the volume of one unit."""
    return measure.length_mm * measure.width_mm * measure.height_mm


def _crosses(reference: Reference, from_country_code: str, to_country_code: str) -> bool:
    """Tell whether a customs-territory border lies between two countries."""
    territories = reference.network.territories
    return territories.get(from_country_code, from_country_code) != territories.get(to_country_code, to_country_code)


async def plan_freight(outside: Outside, booking: Booking, to_country_code: str, weight_g: int, volume_mm3: int) -> tuple[InboundLeg, ...]:
    """Return the legs of a booking, each beginning when the one before is planned to end, at the cheapest carrier's card."""
    if booking.mode not in MAIN_MODES:
        raise NotAMainLegError("mode", booking.mode, "Use one of %(choices)s.", choices=tuple(map(str, MAIN_MODES)))
    on = booking.pickup_at.date()
    origin = booking.pickup_country_code
    ways = [(LegKind.PICKUP, booking.pickup_code, origin, origin, origin, "freight")]
    main = booking.mode if origin != to_country_code else LegKind.ROAD
    ways.append((main, origin, to_country_code, origin, to_country_code, MAIN_MODES[main]))
    if _crosses(outside.reference, origin, to_country_code):
        ways.append((LegKind.CUSTOMS, to_country_code, to_country_code, to_country_code, to_country_code, ""))
    ways.append((LegKind.DELIVERY, to_country_code, booking.place_code, to_country_code, to_country_code, "freight"))
    legs: list[InboundLeg] = []
    departs_at = booking.pickup_at
    for leg_no, (kind, from_code, to_code, from_country, to_country, mode) in enumerate(ways, start=1):
        if kind is LegKind.CUSTOMS:
            arrives_at = departs_at + timedelta(days=CLEARANCE_DAYS)
            fee = booking.broker_fee
            legs.append(InboundLeg(leg_no, kind, from_code, to_code, departs_at, arrives_at, fee.minor, fee.currency))
        else:
            quote = await _cheapest(outside, RateRequest(from_country, to_country, weight_g, volume_mm3, on), mode, kind)
            arrives_at = departs_at + timedelta(days=quote.days_max)
            legs.append(InboundLeg(leg_no, kind, from_code, to_code, departs_at, arrives_at, quote.cost_minor, quote.currency, quote.carrier_code))
        departs_at = arrives_at
    return tuple(legs)


async def _cheapest(outside: Outside, request: RateRequest, mode: str, kind: LegKind) -> RateQuote:
    """Return the cheapest quote of a mode, comparing in the currency of the first one; air freight goes in consignments a service takes."""
    quotes: list[RateQuote] = []
    for code in sorted(outside.carriers):
        for part_count in (1, *_PARTS):
            part = replace(request, weight_g=-(-request.weight_g // part_count), volume_mm3=-(-request.volume_mm3 // part_count))
            found = [one for one in (await outside.carriers[code].quote_rates([part]))[0] if one.mode == mode]
            quotes += [replace(one, cost_minor=one.cost_minor * part_count) for one in found]
            if found:
                break
    if not quotes:
        raise NoFreightServiceError(
            "mode",
            kind,
            "No carrier takes %(weight)s g from %(start)s to %(country)s this way; choose another mode.",
            weight=request.weight_g,
            start=request.from_country_code,
            country=request.to_country_code,
        )
    currency = quotes[0].currency
    return min(
        quotes, key=lambda one: (outside.reference.convert(one.cost_minor, one.currency, currency, request.on), one.days_max, one.carrier_code)
    )


_PARTS: Final = tuple(2**power for power in range(1, 9))
"""Into how many equal consignments freight is cut where a service has a greatest weight."""


def _booked(booking: Booking, plan: NewPlan | None, recorded: Recorded | None, refusal: EntrepotError | None) -> Booked:
    """Return the answer to one booking."""
    if plan is None or recorded is None:
        return Booked(booking, BookingOutcome.REFUSED, refusal=refusal)
    return Booked(booking, BookingOutcome(recorded.value), plan.legs, plan.importer_of_record)


# -- under way -------------------------------------------------------------------------------------------------------


async def record_milestones(conn: Conn, outside: Outside, reports: Sequence[LegReport], actor: Actor, now: datetime) -> int:
    """Take carriers' reports of legs that began or ended and return how many legs changed.

    The pickup's beginning brings the units into our custody; a leg that ended is billed once, at its quoted cost.
    """
    if not reports:
        return 0
    changed = await report_legs(conn, reports)
    refs = list(dict.fromkeys(PlanRef(one.merchant_id, one.plan_id) for one in reports))
    plans, legs = await read_plans_of(conn, refs), await read_legs_of(conn, refs)
    asked = [(ref, leg) for one in reports if (leg := legs.get((ref := PlanRef(one.merchant_id, one.plan_id), one.leg_no))) is not None]
    collected = [ref for ref, leg in asked if leg.kind is LegKind.PICKUP and leg.departed_at is not None]
    await depart(conn, list(dict.fromkeys(collected)), now)
    first_items: dict[PlanRef, uuid.UUID] = {}
    for line in (await read_inbound_lines(conn, refs)).values():
        first_items.setdefault(line.ref, line.stock_item_id)
    done = {(ref, leg.leg_no): leg for ref, leg in asked if leg.arrived_at is not None}
    await bill_transport(
        conn,
        outside,
        [
            CarriedLeg(ref, leg_no, plans[ref].place_code, first_items[ref], Money(leg.cost_minor, leg.currency), _supplier(leg))
            for (ref, leg_no), leg in done.items()
        ],
        now,
    )
    await write_acts(conn, [Act(ref.merchant_id, ref.plan_id, "record_milestones", now, actor) for ref in refs])
    await write_facts(conn, [fact for ref, leg in asked for fact in _facts(ref, leg)])
    return changed


def _supplier(leg: InboundLeg) -> str:
    """Return the account of whoever ran a leg."""
    return BROKER_ACCOUNT if leg.carrier_code is None else f"carrier.{leg.carrier_code}"


def _facts(ref: PlanRef, leg: InboundLeg) -> list[Fact]:
    """Return the news of a leg, each at the instant it happened."""
    content = {"leg": leg.leg_no, "kind": str(leg.kind)}
    told = (("leg_departed", leg.departed_at), ("leg_arrived", leg.arrived_at))
    return [Fact(ref.merchant_id, ref.plan_id, f"{code}_{leg.leg_no}", at, content) for code, at in told if at is not None]


# -- looked at -------------------------------------------------------------------------------------------------------


class Milestone(Struct, frozen=True):
    """A leg planned and real: how many whole days it ended after its plan (negative: before), and what was charged for it so far."""

    leg: InboundLeg
    days_late: int | None
    charged: FeeLine | None


async def read_milestones(conn: Conn, ref: PlanRef) -> list[Milestone]:
    """Return the legs of a booking with plan and reality side by side, cost against plan included."""
    charged = {fee.line_no: fee.line for fee in await read_order_fees(conn, ref.merchant_id, ref.plan_id) if fee.cause_kind == "transport"}
    return [
        Milestone(leg, None if leg.arrived_at is None else (leg.arrived_at - leg.planned_arrives_at).days, charged.get(leg.leg_no))
        for leg in await read_plan_legs(conn, ref)
    ]
