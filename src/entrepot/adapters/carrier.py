"""The built-in carriers of the Demo operator: fictional prices, and a way of every parcel that follows from seed and tracking number.

Nothing is remembered: every answer is worked out from what is asked, so a repeated call gets the same answer, also after a restart.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Final

import msgspec
from msgspec import Struct

from entrepot.freight.cards import CarrierCard, RateQuote, RateRequest, carrier_card, quote_services, read_carriers
from entrepot.freight.identifiers import candidate_number
from entrepot.freight.model import CarrierEvent, TrackingState
from entrepot.freight.ports import Clearance, LabelAnswer, LabelBought, LabelOrder, Shipment

_WHOLE: Final = 10_000
_DOMESTIC: Final = (
    TrackingState.ACCEPTED,
    TrackingState.AT_ORIGIN_HUB,
    TrackingState.IN_TRANSIT,
    TrackingState.AT_DELIVERY_HUB,
    TrackingState.OUT_FOR_DELIVERY,
    TrackingState.DELIVERED,
)
_CLEARED_ELSEWHERE: Final = (
    TrackingState.ACCEPTED,
    TrackingState.AT_ORIGIN_HUB,
    TrackingState.DEPARTED_ORIGIN,
    TrackingState.ARRIVED_DESTINATION,
    TrackingState.HANDED_TO_LAST_MILE,
    TrackingState.AT_DELIVERY_HUB,
    TrackingState.OUT_FOR_DELIVERY,
    TrackingState.DELIVERED,
)
_CLEARED_BY_CARRIER: Final = (
    TrackingState.ACCEPTED,
    TrackingState.AT_ORIGIN_HUB,
    TrackingState.EXPORT_CUSTOMS_PRESENTED,
    TrackingState.DEPARTED_ORIGIN,
    TrackingState.ARRIVED_DESTINATION,
    TrackingState.IMPORT_CUSTOMS_PRESENTED,
    TrackingState.CUSTOMS_RELEASED,
    TrackingState.HANDED_TO_LAST_MILE,
    TrackingState.AT_DELIVERY_HUB,
    TrackingState.OUT_FOR_DELIVERY,
    TrackingState.DELIVERED,
)
_HELD: Final = (TrackingState.IMPORT_CUSTOMS_PRESENTED, TrackingState.IMPORT_CUSTOMS_HELD)
_RETURN: Final = (TrackingState.RETURN_TO_SENDER, TrackingState.RETURNED)


class Report(Struct, frozen=True):
    """One event of a script and when the carrier tells of it."""

    reported_at: datetime
    event: CarrierEvent


class _Fates(Struct, frozen=True):
    source: str
    confidence: str
    per_ten_thousand: dict[str, int]


@cache
def read_fates() -> Mapping[str, int]:
    """Return how many of ten thousand parcels or reports meet each fate on the Demo operator's carriers."""
    raw = msgspec.json.decode(resources.files("entrepot.freight").joinpath("seed", "demo_fates.json").read_bytes(), type=_Fates)
    return MappingProxyType(raw.per_ten_thousand)


class DemoCarrier(Struct, frozen=True):
    """A fictional carrier with a rate card of the Demo operator; `seed` decides what happens to its parcels."""

    card: CarrierCard
    seed: str
    fates: Mapping[str, int]

    @property
    def carrier_code(self) -> str:
        """The carrier's code."""
        return self.card.carrier_code

    async def quote_rates(self, requests: Sequence[RateRequest]) -> list[list[RateQuote]]:
        """Return for each request what each service asks; an empty list where none goes there."""
        return [quote_services(self.card, request) for request in requests]

    async def buy_labels(self, orders: Sequence[LabelOrder]) -> list[LabelBought]:
        """Sell labels at the card's price; the same parcel again gets the same answer."""
        return [self._label(order) for order in orders]

    async def void_labels(self, tracking_numbers: Sequence[str]) -> list[LabelAnswer]:
        """Take labels back; whether a parcel was collected is known here by the scans of the place that calls."""
        return [LabelAnswer.VOIDED for _ in tracking_numbers]

    async def events_since(self, shipments: Sequence[Shipment], since: datetime, until: datetime) -> list[CarrierEvent]:
        """Return what was reported of shipments after `since` up to and including `until`, in the order of reporting."""
        reports = [report for shipment in shipments for report in self.script(shipment) if since < report.reported_at <= until]
        reports.sort(key=lambda report: (report.reported_at, report.event.tracking_number, report.event.occurred_at, report.event.code))
        return [report.event for report in reports]

    def script(self, shipment: Shipment) -> list[Report]:
        """Return everything that will ever be reported of a shipment, in the order of reporting."""
        draw = Draw(self.seed, shipment.tracking_number)
        codes = _way(shipment, draw, self.fates)
        occurred = _times(shipment, codes, self._days(shipment), draw)
        reports: list[Report] = []
        for number, (code, at) in enumerate(zip(codes, occurred, strict=True)):
            place = shipment.from_country_code if number < len(codes) // 2 else shipment.to_country_code
            reported_at = at + timedelta(minutes=draw.below(f"report{number}", 20))
            if draw.meets(f"late{number}", self.fates["reported_late"]):
                reported_at += timedelta(hours=6 + draw.below(f"delay{number}", 40))
            reports.append(_report(shipment, code, at, reported_at, place))
            if draw.meets(f"twice{number}", self.fates["reported_twice"]):
                reports.append(_report(shipment, code, at, reported_at + timedelta(hours=1 + draw.below(f"again{number}", 12)), place))
        reports.sort(key=lambda report: (report.reported_at, report.event.occurred_at, report.event.code))
        return reports

    def _label(self, order: LabelOrder) -> LabelBought:
        """Price one label and number it, with the number of our range if the order brings none."""
        for quote in quote_services(self.card, order.request):
            if quote.service_code == order.service_code:
                ranges = self.card.numbering
                number = order.tracking_number or candidate_number(ranges.scheme, ranges.prefix, ranges.suffix, order.parcel_id, 0)
                return LabelBought(order.parcel_id, LabelAnswer.BOUGHT, number, quote.cost_minor, quote.currency, quote.rate_version)
        return LabelBought(order.parcel_id, LabelAnswer.NOT_SERVED, "", 0, "", "")

    def _days(self, shipment: Shipment) -> tuple[int, int]:
        """Return the least and greatest transit days of the service on this lane; a lane without a row takes a week to two."""
        request = RateRequest(shipment.from_country_code, shipment.to_country_code, 1, 0, shipment.handed_over_at.date())
        for quote in quote_services(self.card, request):
            if quote.service_code == shipment.service_code:
                return quote.days_min, quote.days_max
        return 7, 14


class Draw:
    """Chance that repeats: every draw follows from seed, parcel and the name of what is drawn."""

    __slots__ = ("_prefix",)

    def __init__(self, seed: str, tracking_number: str) -> None:
        self._prefix = hashlib.blake2b(f"{seed}\x00{tracking_number}\x00".encode(), digest_size=8)

    def below(self, name: str, limit: int) -> int:
        """Return a number from 0 up to `limit` - 1."""
        digest = self._prefix.copy()
        digest.update(name.encode())
        return int.from_bytes(digest.digest(), "big") % limit

    def meets(self, name: str, per_ten_thousand: int) -> bool:
        """Tell whether a fate of this frequency is met."""
        return self.below(name, _WHOLE) < per_ten_thousand


def demo_carriers(seed: str) -> dict[str, DemoCarrier]:
    """Return the built-in carriers by carrier code."""
    fates = read_fates()
    return {code: DemoCarrier(carrier_card(code), seed, fates) for code in sorted(read_carriers())}


def _report(shipment: Shipment, code: TrackingState, at: datetime, reported_at: datetime, place: str) -> Report:
    """Build one report."""
    return Report(reported_at, CarrierEvent(shipment.carrier_code, shipment.tracking_number, code, at, reported_at, shipment.carrier_code, place))


def _way(shipment: Shipment, draw: Draw, fates: Mapping[str, int]) -> tuple[TrackingState, ...]:
    """Choose the parcel's fate and return the states it passes, in order."""
    way = _ideal_way(shipment)
    if draw.meets("lost", fates["lost"]):
        kept = 1 + draw.below("lost_after", len(way) - 3)
        return (*way[:kept], TrackingState.LOST)
    if shipment.clearance is Clearance.BY_CARRIER and draw.meets("held", fates["held_by_customs"]):
        place = way.index(_HELD[0])
        way = (*way[:place], *_HELD, *way[place + 1 :])
    if draw.meets("damaged", fates["damaged"]):
        way = (*way[:-3], TrackingState.EXCEPTION, *way[-3:])
    if draw.meets("refused", fates["refused"]):
        return (*way[:-1], TrackingState.REFUSED, *_RETURN)
    if draw.meets("undeliverable", fates["undeliverable"]):
        return (*way[:-1], TrackingState.DELIVERY_ATTEMPTED, *_RETURN)
    if draw.meets("attempted", fates["attempted"]):
        return (*way[:-1], TrackingState.DELIVERY_ATTEMPTED, TrackingState.OUT_FOR_DELIVERY, way[-1])
    return way


def _ideal_way(shipment: Shipment) -> tuple[TrackingState, ...]:
    """Return the states of a parcel to which nothing happens."""
    if shipment.from_country_code == shipment.to_country_code:
        return _DOMESTIC
    return _CLEARED_BY_CARRIER if shipment.clearance is Clearance.BY_CARRIER else _CLEARED_ELSEWHERE


_EXTRA_DAYS: Final[Mapping[TrackingState, int]] = MappingProxyType(
    {
        TrackingState.IMPORT_CUSTOMS_HELD: 2,
        TrackingState.DELIVERY_ATTEMPTED: 1,
        TrackingState.EXCEPTION: 1,
        TrackingState.LOST: 10,
        TrackingState.RETURNED: 6,
    }
)
"""Days that each misfortune adds to the transit time."""


def _times(shipment: Shipment, codes: Sequence[TrackingState], days: tuple[int, int], draw: Draw) -> list[datetime]:
    """Spread the states evenly over the transit days drawn for the parcel, each misfortune taking its own days."""
    transit = timedelta(days=days[0] + draw.below("days", days[1] - days[0] + 1), minutes=draw.below("minute", 240))
    regular = sum(1 for code in codes if code not in _EXTRA_DAYS)
    step = transit / max(regular, 1)
    step = timedelta(seconds=int(step.total_seconds()))
    at = shipment.handed_over_at + timedelta(minutes=30 + draw.below("collected", 90))
    times: list[datetime] = []
    for number, code in enumerate(codes):
        if number:
            at += timedelta(days=_EXTRA_DAYS[code]) if code in _EXTRA_DAYS else step
        times.append(at)
    return times
