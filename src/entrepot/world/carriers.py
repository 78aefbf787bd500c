"""Carriers: each parcel handed over gets its way from the carrier's script; reports reach us when the carrier tells of them."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from entrepot.adapters.carrier import DemoCarrier
from entrepot.base.sql import Conn
from entrepot.flows.reference import Reference
from entrepot.freight.model import CarrierEvent, ConsignmentKey, ParcelKey
from entrepot.freight.ports import Clearance, Shipment
from entrepot.freight.read import Consignment, Parcel, read_consignments, read_parcels

_Coming = tuple[datetime, str, datetime, str, int, CarrierEvent]


@dataclass(slots=True)
class CarrierDesk:
    """What all carriers will report, in the order in which they report it."""

    reference: Reference
    carriers: dict[str, DemoCarrier]
    _reports: list[_Coming] = field(default_factory=list[_Coming])
    _count: int = 0
    _stopped: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])

    async def take(self, conn: Conn, keys: Sequence[ParcelKey], since: datetime) -> None:
        """Take parcels over: what is reported of them after `since` is still to come."""
        parcels = await read_parcels(conn, keys)
        consignments = {
            one.consignment_id: one for one in await read_consignments(conn, [ConsignmentKey(one.merchant_id, one.consignment_id) for one in parcels])
        }
        for parcel in parcels:
            shipment = self._shipment(parcel, consignments[parcel.consignment_id])
            if shipment is None or parcel.carrier_code not in self.carriers:
                continue
            for report in self.carriers[parcel.carrier_code].script(shipment):
                if report.reported_at > since:
                    event = report.event
                    self._count += 1
                    heapq.heappush(self._reports, (report.reported_at, event.tracking_number, event.occurred_at, str(event.code), self._count, event))

    def _shipment(self, parcel: Parcel, consignment: Consignment) -> Shipment | None:
        """Return a parcel as its carrier sees it; without a number nobody can follow it."""
        if parcel.tracking_number is None or parcel.shipped_at is None:
            return None
        regime = consignment.customs_regime_code
        clearance = Clearance.NONE if regime is None else Clearance.BY_CARRIER if regime == "standard" else Clearance.BY_GATEWAY
        origin = self.reference.network.place(consignment.place_code).country_code
        return Shipment(
            parcel.carrier_code, parcel.service_code, parcel.tracking_number, origin, consignment.to_country_code, parcel.shipped_at, clearance
        )

    def stop(self, numbers: Sequence[tuple[str, str]]) -> None:
        """Let carriers be silent about parcels that do not go on, given by carrier and number."""
        self._stopped.update(numbers)

    def reports_until(self, now: datetime) -> list[CarrierEvent]:
        """Return what is reported up to `now`, in order; the time of receipt is `now`."""
        found: list[CarrierEvent] = []
        while self._reports and self._reports[0][0] <= now:
            event = heapq.heappop(self._reports)[-1]
            if (event.carrier_code, event.tracking_number) in self._stopped:
                continue
            found.append(CarrierEvent(event.carrier_code, event.tracking_number, event.code, event.occurred_at, now, event.source, event.place))
        return found
