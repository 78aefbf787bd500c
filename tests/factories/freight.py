"""Consignments, parcels and carriers' words to begin a test with."""

import uuid
from datetime import UTC, date, datetime, timedelta

from entrepot.base.ids import derived_id
from entrepot.freight.model import (
    CarrierEvent,
    CauseKind,
    ConsignmentKey,
    ConsignmentPlan,
    HandOver,
    LabelSource,
    LegKind,
    LegPlan,
    ParcelDraft,
    ParcelKey,
    ParcelLine,
    ShipmentConfirmation,
    TrackingState,
)

AT = datetime(2026, 5, 4, 9, tzinfo=UTC)
MERCHANT = derived_id("merchant", "freight")
OTHER = derived_id("merchant", "freight-other")


def hours(count: int) -> datetime:
    return AT + timedelta(hours=count)


def consignment_id(name: str) -> uuid.UUID:
    return derived_id("consignment", name)


def parcel_id(name: str) -> uuid.UUID:
    return derived_id("parcel", name)


def order_id(name: str) -> uuid.UUID:
    return derived_id("order", name)


def consignment_key(name: str = "c1", merchant: uuid.UUID = MERCHANT) -> ConsignmentKey:
    return ConsignmentKey(merchant, consignment_id(name))


def parcel_key(name: str = "p1", merchant: uuid.UUID = MERCHANT) -> ParcelKey:
    return ParcelKey(merchant, parcel_id(name))


def plan(name: str = "c1", pieces: int = 5, merchant: uuid.UUID = MERCHANT, ship_by_at: datetime = AT + timedelta(days=1)) -> ConsignmentPlan:
    return ConsignmentPlan(
        merchant,
        consignment_id(name),
        order_id(name),
        "GB-LTN1",
        "GB",
        "SW1",
        "fba",
        1,
        "platform",
        "DEMO-POST",
        "parcel",
        ship_by_at,
        date(2026, 5, 6),
        date(2026, 5, 8),
        pieces,
    )


def draft(
    name: str = "p1",
    consignment: str = "c1",
    quantity: int = 5,
    merchant: uuid.UUID = MERCHANT,
    carrier_code: str = "DEMO-POST",
    tracking_number: str | None = None,
    label_source: LabelSource = LabelSource.BOUGHT_HERE,
    legs: tuple[LegPlan, ...] = (),
) -> ParcelDraft:
    return ParcelDraft(
        merchant,
        parcel_id(name),
        consignment_id(consignment),
        order_id(consignment),
        carrier_code,
        "parcel",
        1200,
        CauseKind.SALE,
        order_id(consignment),
        label_source,
        (ParcelLine(1, 1, quantity),),
        1200,
        385,
        "GBP",
        "demo-post.1",
        tracking_number,
        legs,
    )


def leg(kind: LegKind, begin: int, end: int) -> LegPlan:
    return LegPlan(kind, "GB", "DE", "DEMO-POST", hours(begin), hours(end))


def hand_over(name: str = "p1", at: datetime = AT, merchant: uuid.UUID = MERCHANT, manifest: str = "m1") -> HandOver:
    return HandOver(merchant, parcel_id(name), "GB-LTN1", derived_id("manifest", manifest), at)


def confirmation(name: str = "p1", consignment: str = "c1", quantity: int = 5, tracking_number: str | None = "AB 12-34") -> ShipmentConfirmation:
    return ShipmentConfirmation(
        MERCHANT,
        parcel_id(name),
        consignment_id(consignment),
        order_id(consignment),
        "OWN-VAN",
        "standard",
        tracking_number,
        hours(-2),
        CauseKind.SALE,
        order_id(consignment),
        (ParcelLine(1, 1, quantity),),
        900,
    )


def event(tracking_number: str, code: TrackingState, hour: int, received: int | None = None, carrier_code: str = "DEMO-POST") -> CarrierEvent:
    return CarrierEvent(carrier_code, tracking_number, code, hours(hour), hours(hour if received is None else received), carrier_code, "GB")
