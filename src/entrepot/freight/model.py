"""Consignments, parcels and what carriers say of them: words, states and rules without a database."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from entrepot.base.errors import ConflictError, RefusedInputError, UnknownReferenceError
from entrepot.base.states import States, declare_states
from entrepot.base.time import at_ms


class UnknownParcelError(UnknownReferenceError):
    """No parcel has this carrier and tracking number; the carrier checks its message."""


class UnknownConsignmentError(UnknownReferenceError):
    """No consignment of this merchant has this id; the caller corrects it."""


class TrackingNumberTakenError(ConflictError):
    """Another parcel already has this tracking number of the carrier; the sender reads the label again."""


class TrackingNumberMissingError(RefusedInputError):
    """We allot no numbers for this carrier, so its label must bring one."""


class PackedTooMuchError(ConflictError):
    """A consignment cannot hold more pieces than were planned for it, nor fewer than are packed."""


class ManifestClosedError(ConflictError):
    """The manifest is closed and signed; further parcels go on the next one."""


class ParcelWithoutLinesError(RefusedInputError):
    """A parcel must hold at least one piece of a line."""


class ParcelState(StrEnum):
    """What a parcel is for us; follows from its tracking events."""

    LABELLED = "labelled"
    HANDED_OVER = "handed_over"
    IN_TRANSIT = "in_transit"
    CUSTOMS_HOLD = "customs_hold"
    OUT_FOR_DELIVERY = "out_for_delivery"
    DELIVERED = "delivered"
    EXCEPTION = "exception"
    RETURNING = "returning"
    RETURNED = "returned"
    LOST = "lost"
    DESTROYED = "destroyed"
    VOIDED = "voided"


_MOVING: Final[frozenset[StrEnum]] = frozenset(
    {ParcelState.IN_TRANSIT, ParcelState.CUSTOMS_HOLD, ParcelState.OUT_FOR_DELIVERY, ParcelState.EXCEPTION}
)
_CLOSING: Final[frozenset[StrEnum]] = frozenset(
    {ParcelState.DELIVERED, ParcelState.RETURNING, ParcelState.LOST, ParcelState.DESTROYED, ParcelState.RETURNED}
)

PARCEL_STATES: Final[States] = declare_states(
    "parcel",
    ParcelState.LABELLED,
    {
        ParcelState.LABELLED: {ParcelState.VOIDED, ParcelState.HANDED_OVER, *_MOVING, *_CLOSING},
        # A voided label that was used all the same: the scan is the truth.
        ParcelState.VOIDED: {ParcelState.HANDED_OVER, *_MOVING, *_CLOSING},
        ParcelState.HANDED_OVER: {*_MOVING, *_CLOSING},
        ParcelState.IN_TRANSIT: {*_MOVING, *_CLOSING} - {ParcelState.IN_TRANSIT},
        ParcelState.CUSTOMS_HOLD: {*_MOVING, *_CLOSING} - {ParcelState.CUSTOMS_HOLD},
        ParcelState.OUT_FOR_DELIVERY: {*_MOVING, *_CLOSING} - {ParcelState.OUT_FOR_DELIVERY},
        ParcelState.EXCEPTION: {*_MOVING, *_CLOSING} - {ParcelState.EXCEPTION},
        ParcelState.DELIVERED: {ParcelState.RETURNING, ParcelState.DESTROYED, ParcelState.RETURNED},
        ParcelState.RETURNING: {ParcelState.DELIVERED, ParcelState.LOST, ParcelState.DESTROYED, ParcelState.RETURNED},
        # A lost parcel turns up when anybody scans it later.
        ParcelState.LOST: {ParcelState.HANDED_OVER, *_MOVING, *_CLOSING} - {ParcelState.LOST},
        ParcelState.DESTROYED: {ParcelState.RETURNED},
        ParcelState.RETURNED: set(),
    },
)
"""Which state a parcel may go to as further events become known."""


class TrackingState(StrEnum):
    """The one tracking vocabulary that every carrier's events are told in."""

    CREATED = "created"
    ACCEPTED = "accepted"
    IN_TRANSIT = "in_transit"
    AT_ORIGIN_HUB = "at_origin_hub"
    EXPORT_CUSTOMS_PRESENTED = "export_customs_presented"
    EXPORT_CUSTOMS_HELD = "export_customs_held"
    DEPARTED_ORIGIN = "departed_origin"
    IN_TRANSIT_COUNTRY = "in_transit_country"
    ARRIVED_DESTINATION = "arrived_destination"
    IMPORT_CUSTOMS_PRESENTED = "import_customs_presented"
    IMPORT_CUSTOMS_HELD = "import_customs_held"
    TAX_DUE = "tax_due"
    CUSTOMS_RELEASED = "customs_released"
    HANDED_TO_LAST_MILE = "handed_to_last_mile"
    AT_DELIVERY_HUB = "at_delivery_hub"
    OUT_FOR_DELIVERY = "out_for_delivery"
    DELIVERY_ATTEMPTED = "delivery_attempted"
    AVAILABLE_FOR_PICKUP = "available_for_pickup"
    DELIVERED = "delivered"
    EXCEPTION = "exception"
    REFUSED = "refused"
    RETURN_TO_SENDER = "return_to_sender"
    RETURNED = "returned"
    LOST = "lost"
    DESTROYED = "destroyed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class Tier(StrEnum):
    """How strongly an event speaks: an event of a stronger tier outweighs every event of a weaker one."""

    ANNOUNCED = "announced"
    WITHDRAWN = "withdrawn"
    POSTED = "posted"
    UNDER_WAY = "under_way"
    SETTLED = "settled"
    GONE = "gone"
    BACK = "back"


class TrackingRule(Struct, frozen=True):
    """What one tracking state means: its tier, the parcel state it gives, and whether somebody had the parcel in hand."""

    tier: Tier
    parcel_state: ParcelState
    is_scan: bool
    meaning: str


TRACKING: Final[Mapping[TrackingState, TrackingRule]] = MappingProxyType(
    {
        TrackingState.CREATED: TrackingRule(Tier.ANNOUNCED, ParcelState.LABELLED, False, "the carrier has the data, not the parcel"),
        TrackingState.CANCELLED: TrackingRule(Tier.WITHDRAWN, ParcelState.VOIDED, False, "label void before pickup"),
        TrackingState.ACCEPTED: TrackingRule(Tier.POSTED, ParcelState.HANDED_OVER, True, "posted or picked up"),
        TrackingState.AT_ORIGIN_HUB: TrackingRule(Tier.UNDER_WAY, ParcelState.IN_TRANSIT, True, "in the sorting centre of origin"),
        TrackingState.EXPORT_CUSTOMS_PRESENTED: TrackingRule(Tier.UNDER_WAY, ParcelState.IN_TRANSIT, True, "shown to export customs"),
        TrackingState.EXPORT_CUSTOMS_HELD: TrackingRule(Tier.UNDER_WAY, ParcelState.CUSTOMS_HOLD, True, "held by export customs"),
        TrackingState.DEPARTED_ORIGIN: TrackingRule(Tier.UNDER_WAY, ParcelState.IN_TRANSIT, True, "left the country of origin"),
        TrackingState.IN_TRANSIT_COUNTRY: TrackingRule(Tier.UNDER_WAY, ParcelState.IN_TRANSIT, True, "in a country on the way"),
        TrackingState.IN_TRANSIT: TrackingRule(Tier.UNDER_WAY, ParcelState.IN_TRANSIT, True, "moving"),
        TrackingState.ARRIVED_DESTINATION: TrackingRule(Tier.UNDER_WAY, ParcelState.IN_TRANSIT, True, "in the country of destination"),
        TrackingState.IMPORT_CUSTOMS_PRESENTED: TrackingRule(Tier.UNDER_WAY, ParcelState.IN_TRANSIT, True, "shown to import customs"),
        TrackingState.IMPORT_CUSTOMS_HELD: TrackingRule(Tier.UNDER_WAY, ParcelState.CUSTOMS_HOLD, True, "held for papers, tax or inspection"),
        TrackingState.TAX_DUE: TrackingRule(Tier.UNDER_WAY, ParcelState.CUSTOMS_HOLD, True, "waits for duty or tax to be paid"),
        TrackingState.CUSTOMS_RELEASED: TrackingRule(Tier.UNDER_WAY, ParcelState.IN_TRANSIT, True, "released by customs"),
        TrackingState.HANDED_TO_LAST_MILE: TrackingRule(Tier.UNDER_WAY, ParcelState.IN_TRANSIT, True, "with the carrier of the last mile"),
        TrackingState.AT_DELIVERY_HUB: TrackingRule(Tier.UNDER_WAY, ParcelState.IN_TRANSIT, True, "in the delivery station"),
        TrackingState.OUT_FOR_DELIVERY: TrackingRule(Tier.UNDER_WAY, ParcelState.OUT_FOR_DELIVERY, True, "in the van"),
        TrackingState.DELIVERY_ATTEMPTED: TrackingRule(Tier.UNDER_WAY, ParcelState.EXCEPTION, True, "nobody took it, another try follows"),
        TrackingState.AVAILABLE_FOR_PICKUP: TrackingRule(Tier.UNDER_WAY, ParcelState.OUT_FOR_DELIVERY, True, "waits in a shop or locker"),
        TrackingState.EXCEPTION: TrackingRule(Tier.UNDER_WAY, ParcelState.EXCEPTION, False, "damage, delay or a wrong address"),
        TrackingState.EXPIRED: TrackingRule(Tier.UNDER_WAY, ParcelState.EXCEPTION, False, "no scan for too long"),
        TrackingState.LOST: TrackingRule(Tier.SETTLED, ParcelState.LOST, False, "declared lost"),
        TrackingState.REFUSED: TrackingRule(Tier.SETTLED, ParcelState.RETURNING, True, "the buyer did not want it"),
        TrackingState.RETURN_TO_SENDER: TrackingRule(Tier.SETTLED, ParcelState.RETURNING, True, "on its way back"),
        TrackingState.DELIVERED: TrackingRule(Tier.SETTLED, ParcelState.DELIVERED, True, "with the buyer"),
        TrackingState.DESTROYED: TrackingRule(Tier.GONE, ParcelState.DESTROYED, False, "seized or destroyed"),
        TrackingState.RETURNED: TrackingRule(Tier.BACK, ParcelState.RETURNED, True, "back with the sender"),
    }
)
"""Every tracking state in the order of a parcel's way; the order decides between two events of one instant."""

_TIERS: Final = tuple(Tier)
_STRENGTH: Final[Mapping[TrackingState, int]] = {state: _TIERS.index(rule.tier) for state, rule in TRACKING.items()}
_RANK: Final[Mapping[TrackingState, int]] = {state: rank for rank, state in enumerate(TRACKING)}


class Sighting(Struct, frozen=True, order=True):
    """One tracking event reduced to what decides: when it happened and what it says."""

    occurred_at: datetime
    code: TrackingState

    @property
    def event_key(self) -> str:
        """The same statement about the same millisecond is the same event, whoever repeats it."""
        return f"{at_ms(self.occurred_at)}:{self.code}"


def deciding_sighting(sightings: Iterable[Sighting]) -> Sighting | None:
    """Return the event that gives the parcel its state, or None without events; depends on the set of events only.

    The strongest tier wins, inside it the latest event. Of a loss nothing is left once somebody delivers the parcel or scans it later.
    """
    known = set(sightings)
    scanned_at = max((one.occurred_at for one in known if TRACKING[one.code].is_scan), default=None)
    is_delivered = any(one.code is TrackingState.DELIVERED for one in known)
    valid = [
        one for one in known if one.code is not TrackingState.LOST or not (is_delivered or (scanned_at is not None and scanned_at > one.occurred_at))
    ]
    return max(valid, key=lambda one: (_STRENGTH[one.code], one.occurred_at, _RANK[one.code]), default=None)


def current_state(sightings: Iterable[Sighting]) -> TrackingState:
    """Return the tracking state that a set of events gives, in whatever order and however often they came."""
    decided = deciding_sighting(sightings)
    return TrackingState.CREATED if decided is None else decided.code


def shipped_at(sightings: Iterable[Sighting]) -> datetime | None:
    """Return when somebody first had the parcel in hand."""
    return min((one.occurred_at for one in sightings if TRACKING[one.code].is_scan), default=None)


def delivered_at(sightings: Iterable[Sighting]) -> datetime | None:
    """Return when the parcel was first delivered."""
    return min((one.occurred_at for one in sightings if one.code is TrackingState.DELIVERED), default=None)


class LegKind(StrEnum):
    """One stretch of a parcel's way."""

    EXPORT = "export"
    LINE_HAUL = "line_haul"
    CLEARANCE = "clearance"
    LAST_MILE = "last_mile"


LEG_ENDS: Final[Mapping[LegKind, tuple[TrackingState, TrackingState]]] = MappingProxyType(
    {
        LegKind.EXPORT: (TrackingState.ACCEPTED, TrackingState.DEPARTED_ORIGIN),
        LegKind.LINE_HAUL: (TrackingState.DEPARTED_ORIGIN, TrackingState.ARRIVED_DESTINATION),
        LegKind.CLEARANCE: (TrackingState.IMPORT_CUSTOMS_PRESENTED, TrackingState.CUSTOMS_RELEASED),
        LegKind.LAST_MILE: (TrackingState.HANDED_TO_LAST_MILE, TrackingState.DELIVERED),
    }
)
"""The events that begin and end each leg."""


def leg_times(sightings: Iterable[Sighting]) -> dict[LegKind, tuple[datetime | None, datetime | None]]:
    """Return when each leg began and ended as far as the events tell, the first mention counts."""
    first: dict[TrackingState, datetime] = {}
    for one in sightings:
        first[one.code] = min(one.occurred_at, first.get(one.code, one.occurred_at))
    return {kind: (first.get(begin), first.get(end)) for kind, (begin, end) in LEG_ENDS.items() if begin in first or end in first}


class ConsignmentState(StrEnum):
    """How far the goods of one order from one place under one plan have come."""

    PLANNED = "planned"
    RELEASED = "released"
    PART_SHIPPED = "part_shipped"
    SHIPPED = "shipped"
    PART_DELIVERED = "part_delivered"
    DELIVERED = "delivered"
    RETURNED = "returned"
    LOST = "lost"
    CANCELLED = "cancelled"


_UNDER_WAY: Final[frozenset[StrEnum]] = frozenset(
    {
        ConsignmentState.PART_SHIPPED,
        ConsignmentState.SHIPPED,
        ConsignmentState.PART_DELIVERED,
        ConsignmentState.DELIVERED,
        ConsignmentState.LOST,
        ConsignmentState.RETURNED,
    }
)

CONSIGNMENT_STATES: Final[States] = declare_states(
    "consignment",
    ConsignmentState.PLANNED,
    {
        ConsignmentState.PLANNED: {ConsignmentState.RELEASED, ConsignmentState.CANCELLED, *_UNDER_WAY},
        ConsignmentState.RELEASED: {ConsignmentState.CANCELLED, *_UNDER_WAY},
        **{state: {*_UNDER_WAY} - {state} for state in _UNDER_WAY - {ConsignmentState.RETURNED}},
        ConsignmentState.RETURNED: set(),
        ConsignmentState.CANCELLED: set(),
    },
)
"""Before hand-over a consignment is commanded, after it the state follows from its parcels."""


def consignment_state(piece_count: int, pieces: Mapping[ParcelState, int]) -> ConsignmentState | None:
    """Return the state that the pieces in parcels of each state give a consignment, or None while nothing has left."""
    here = pieces.get(ParcelState.LABELLED, 0) + pieces.get(ParcelState.VOIDED, 0)
    left = sum(pieces.values()) - here
    delivered = pieces.get(ParcelState.DELIVERED, 0)
    returned = pieces.get(ParcelState.RETURNED, 0)
    gone = pieces.get(ParcelState.LOST, 0) + pieces.get(ParcelState.DESTROYED, 0)
    if left == 0:
        return None
    if left < piece_count:
        return ConsignmentState.PART_SHIPPED
    if delivered:
        return ConsignmentState.DELIVERED if delivered >= piece_count else ConsignmentState.PART_DELIVERED
    if returned >= piece_count:
        return ConsignmentState.RETURNED
    return ConsignmentState.LOST if returned + gone == left else ConsignmentState.SHIPPED


class CauseKind(StrEnum):
    """Why units were shipped at all; there is no parcel without a cause."""

    SALE = "sale"
    OUTBOUND_ORDER = "outbound_order"
    REMOVAL = "removal"
    TRANSFER = "transfer"
    REPLACEMENT = "replacement"
    RETURN = "return"


class LabelSource(StrEnum):
    """Who made the label: bought through us, printed by the platform's own doer, or the merchant's own."""

    BOUGHT_HERE = "bought_here"
    PRINTED_HERE = "printed_here"
    MERCHANT = "merchant"


class Outcome(StrEnum):
    """What became of one item of a batch."""

    NEW = "new"
    EXISTS = "exists"
    EXISTS_WITH_DIFFERENT_VALUES = "exists_with_different_values"
    UNKNOWN = "unknown"
    NOT_ALLOWED = "not_allowed"


class EventOutcome(StrEnum):
    """What became of one tracking event."""

    RECORDED = "recorded"
    EXISTS = "exists"
    UNKNOWN_PARCEL = "unknown_parcel"


class ConsignmentPlan(Struct, frozen=True):
    """Goods of one order from one place under one plan: who packs, who carries, until when it must leave and when it was promised."""

    merchant_id: uuid.UUID
    consignment_id: uuid.UUID
    order_id: uuid.UUID
    place_code: str
    to_country_code: str
    to_postcode_prefix: str
    model_code: str
    plan_version: int
    doer: str
    carrier_code: str
    service_code: str
    ship_by_at: datetime
    promised_from_on: date
    promised_to_on: date
    piece_count: int
    customs_regime_code: str | None = None


class ConsignmentKey(Struct, frozen=True):
    """Names a consignment."""

    merchant_id: uuid.UUID
    consignment_id: uuid.UUID


class ConsignmentSize(Struct, frozen=True):
    """The pieces a consignment shall hold from now on; zero cancels it."""

    merchant_id: uuid.UUID
    consignment_id: uuid.UUID
    piece_count: int


class ParcelKey(Struct, frozen=True):
    """Names a parcel."""

    merchant_id: uuid.UUID
    parcel_id: uuid.UUID


class ParcelLine(Struct, frozen=True):
    """Pieces of one allocated part of an order line."""

    line_no: int
    part_no: int
    quantity: int


class LegPlan(Struct, frozen=True):
    """One planned stretch of a parcel's way, with the registered party that carries it."""

    kind: LegKind
    from_code: str
    to_code: str
    carrier_code: str
    planned_from_at: datetime
    planned_to_at: datetime
    carrier_entity_id: uuid.UUID | None = None


class ParcelDraft(Struct, frozen=True):
    """A parcel to be made; without a tracking number one is allotted from our range of the carrier."""

    merchant_id: uuid.UUID
    parcel_id: uuid.UUID
    consignment_id: uuid.UUID
    order_id: uuid.UUID
    carrier_code: str
    service_code: str
    weight_g: int
    cause_kind: CauseKind
    cause_id: uuid.UUID
    label_source: LabelSource
    lines: tuple[ParcelLine, ...]
    billable_weight_g: int = 0
    label_cost_minor: int = 0
    label_currency: str | None = None
    rate_version: str | None = None
    tracking_number: str | None = None
    legs: tuple[LegPlan, ...] = ()


class ShipmentConfirmation(Struct, frozen=True):
    """A merchant's word that it sent goods with its own carrier; without a number the parcel is untracked, with a rate its label was bought here."""

    merchant_id: uuid.UUID
    parcel_id: uuid.UUID
    consignment_id: uuid.UUID
    order_id: uuid.UUID
    carrier_code: str
    service_code: str
    tracking_number: str | None
    shipped_at: datetime
    cause_kind: CauseKind
    cause_id: uuid.UUID
    lines: tuple[ParcelLine, ...]
    weight_g: int = 0
    label_cost_minor: int = 0
    label_currency: str | None = None
    rate_version: str | None = None
    legs: tuple[LegPlan, ...] = ()


class HandOver(Struct, frozen=True):
    """A parcel that leaves a place on a manifest with its carrier."""

    merchant_id: uuid.UUID
    parcel_id: uuid.UUID
    place_code: str
    manifest_id: uuid.UUID
    at: datetime


class CarrierEvent(Struct, frozen=True):
    """What a carrier reports of one tracking number, already in our vocabulary; `place` is free text."""

    carrier_code: str
    tracking_number: str
    code: TrackingState
    occurred_at: datetime
    received_at: datetime
    source: str
    place: str = ""


class ParcelEvent(Struct, frozen=True):
    """What somebody who knows the parcel's id reports of it: the dock, customs, the lost-parcel sweep, the merchant."""

    merchant_id: uuid.UUID
    parcel_id: uuid.UUID
    code: TrackingState
    occurred_at: datetime
    received_at: datetime
    source: str
    place: str = ""

    @property
    def sighting(self) -> Sighting:
        """What of the event decides."""
        return Sighting(self.occurred_at, self.code)


class ParcelMade(Struct, frozen=True):
    """Answer to one parcel draft."""

    merchant_id: uuid.UUID
    parcel_id: uuid.UUID
    tracking_number: str | None
    outcome: Outcome


class ParcelChange(Struct, frozen=True):
    """A parcel whose state changed; `lines` are filled when goods or money must follow."""

    merchant_id: uuid.UUID
    parcel_id: uuid.UUID
    consignment_id: uuid.UUID
    order_id: uuid.UUID
    cause_kind: CauseKind
    cause_id: uuid.UUID
    previous_state: ParcelState
    state: ParcelState
    at: datetime
    lines: tuple[ParcelLine, ...]


class ConsignmentChange(Struct, frozen=True):
    """A consignment whose state changed."""

    merchant_id: uuid.UUID
    consignment_id: uuid.UUID
    order_id: uuid.UUID
    previous_state: ConsignmentState
    state: ConsignmentState
    is_held: bool = False


class Recorded(Struct, frozen=True):
    """Answers to a batch of events, in its order, and everything that changed by them."""

    outcomes: tuple[EventOutcome, ...]
    parcels: tuple[ParcelChange, ...]
    consignments: tuple[ConsignmentChange, ...]

    def became(self, *states: ParcelState) -> list[ParcelChange]:
        """Return the parcels that are newly in one of these states."""
        return [change for change in self.parcels if change.state in states]


class LabelVoided(Struct, frozen=True):
    """Answer to one void: what the label had cost comes back only if it is new."""

    merchant_id: uuid.UUID
    parcel_id: uuid.UUID
    outcome: Outcome
    label_cost_minor: int
    label_currency: str | None


STATES_WITH_LINES: Final = frozenset(_CLOSING)
"""Parcel states into or out of which goods and money move, so that a change tells the parcel's lines."""


def billable_weight_g(weight_g: int, volume_mm3: int, divisor_mm3_per_g: int | None) -> int:
    """Return the chargeable weight in grams: the greater of scale weight and volumetric weight, rounded up (IATA); no divisor, no volume."""
    if divisor_mm3_per_g is None:
        return weight_g
    return max(weight_g, -(-volume_mm3 // divisor_mm3_per_g))


def require_lines(parcel_id: uuid.UUID, lines: Sequence[ParcelLine]) -> None:
    """Refuse a parcel without pieces or with a line of no pieces."""
    if not lines or any(line.quantity <= 0 for line in lines):
        raise ParcelWithoutLinesError("lines", str(parcel_id), "Give each parcel its lines, each with at least one piece.")
