"""The stretches of a parcel's way: one inside a territory, out, over, in and to the door across a border."""

from datetime import datetime, timedelta

from entrepot.flows.reference import Reference
from entrepot.freight.model import LegKind, LegPlan
from entrepot.freight.read import Consignment
from entrepot.sourcing.model import Lane


def plan_legs(reference: Reference, consignment: Consignment, now: datetime) -> tuple[LegPlan, ...]:
    """Return the planned legs of a consignment's parcel, the lane's longest time split over them."""
    origin = reference.network.place(consignment.place_code).country_code
    ends_at = now + timedelta(days=_lane(reference, consignment).days_max)
    if consignment.customs_regime_code is None:
        return (LegPlan(LegKind.LAST_MILE, origin, consignment.to_country_code, consignment.carrier_code, now, ends_at),)
    quarter = (ends_at - now) / 4
    kinds = (LegKind.EXPORT, LegKind.LINE_HAUL, LegKind.CLEARANCE, LegKind.LAST_MILE)
    ways = ((origin, origin), (origin, consignment.to_country_code), *[(consignment.to_country_code, consignment.to_country_code)] * 2)
    return tuple(
        LegPlan(kind, start, end, consignment.carrier_code, now + quarter * step, now + quarter * (step + 1))
        for step, (kind, (start, end)) in enumerate(zip(kinds, ways, strict=True))
    )


def _lane(reference: Reference, consignment: Consignment) -> Lane:
    """Return the lane that a consignment was promised on."""
    service_code = f"{consignment.carrier_code}:{consignment.service_code}"
    lanes = reference.network.lanes[consignment.place_code, consignment.to_country_code]
    return next(lane for lane in lanes if lane.service_code == service_code)
