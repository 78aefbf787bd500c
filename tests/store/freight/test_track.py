"""Tracking on PostgreSQL: late, double and out-of-order events, one by one or together, give the same rows."""

import random

import pytest
from tests.factories.freight import AT, MERCHANT, OTHER, consignment_key, draft, event, hand_over, hours, leg, parcel_id, parcel_key, plan

from entrepot.adapters.carrier import demo_carriers
from entrepot.base.sql import execute, fetch
from entrepot.freight.check import check_parcels
from entrepot.freight.consign import plan_consignments
from entrepot.freight.model import (
    ConsignmentState,
    EventOutcome,
    LegKind,
    ParcelEvent,
    ParcelLine,
    ParcelState,
    TrackingState,
    UnknownParcelError,
)
from entrepot.freight.ports import Clearance, Shipment
from entrepot.freight.read import read_consignments, read_parcel_timeline
from entrepot.freight.ship import create_parcels, hand_over_parcels, void_labels
from entrepot.freight.track import read_parcel_lines, record_events, record_parcel_events, require_known

pytestmark = pytest.mark.anyio


async def shipped(conn, *names, pieces=5):
    """Plan, make and hand over one parcel per name, each in its own consignment, and return their numbers."""
    await plan_consignments(conn, [plan(f"c-{name}", pieces) for name in names], AT)
    made = await create_parcels(conn, [draft(name, f"c-{name}", pieces) for name in names], AT)
    await hand_over_parcels(conn, [hand_over(name) for name in names])
    return [one.tracking_number for one in made]


async def test_a_parcel_is_delivered_once(conn):
    (number,) = await shipped(conn, "p1")
    recorded = await record_events(
        conn,
        [
            event(number, TrackingState.DELIVERED, 30),
            event("LX000000000ZZ", TrackingState.DELIVERED, 30),
            event(number.lower(), TrackingState.IN_TRANSIT, 10, 31),
            event(number, TrackingState.DELIVERED, 30, 40),
            event(number, TrackingState.DELIVERED, 30, carrier_code="DEMO-EXPRESS"),
        ],
    )
    assert recorded.outcomes == (
        EventOutcome.RECORDED,
        EventOutcome.UNKNOWN_PARCEL,
        EventOutcome.RECORDED,
        EventOutcome.EXISTS,
        EventOutcome.UNKNOWN_PARCEL,
    )
    delivered = recorded.became(ParcelState.DELIVERED)
    assert [(one.parcel_id, one.previous_state, one.at, one.lines) for one in delivered] == [
        (parcel_id("p1"), ParcelState.HANDED_OVER, hours(30), (ParcelLine(1, 1, 5),))
    ]
    assert [(one.previous_state, one.state) for one in recorded.consignments] == [(ConsignmentState.SHIPPED, ConsignmentState.DELIVERED)]
    again = await record_events(conn, [event(number, TrackingState.DELIVERED, 30, 90)])
    assert (again.outcomes, again.parcels, again.consignments) == ((EventOutcome.EXISTS,), (), ())
    late = await record_events(conn, [event(number, TrackingState.OUT_FOR_DELIVERY, 29, 95), event(number, TrackingState.IN_TRANSIT, 33, 95)])
    assert (late.outcomes, late.parcels) == ((EventOutcome.RECORDED, EventOutcome.RECORDED), ())
    timeline = await read_parcel_timeline(conn, MERCHANT, parcel_id("p1"))
    assert [one.code for one in timeline.events] == ["accepted", "in_transit", "out_for_delivery", "delivered", "in_transit"]
    assert (timeline.parcel.state, timeline.parcel.delivered_at, timeline.parcel.last_event_at) == (ParcelState.DELIVERED, hours(30), hours(33))


async def test_an_unknown_parcel_writes_nothing_and_can_be_refused(conn):
    events = [event("NOBODY", TrackingState.DELIVERED, 1)]
    recorded = await record_events(conn, events)
    assert recorded.outcomes == (EventOutcome.UNKNOWN_PARCEL,)
    assert (await fetch(conn, "select count(*) from tracking_event"))[0][0] == 0
    with pytest.raises(UnknownParcelError) as refused:
        require_known(events, recorded)
    assert (refused.value.code, refused.value.field, refused.value.value) == ("unknown_parcel", "tracking_number", "NOBODY")
    stranger = [ParcelEvent(OTHER, parcel_id("p1"), TrackingState.LOST, AT, AT, "sweep")]
    assert (await record_parcel_events(conn, stranger)).outcomes == (EventOutcome.UNKNOWN_PARCEL,)
    assert (await record_events(conn, [])).outcomes == ()


async def test_lost_and_found(conn):
    (number,) = await shipped(conn, "p1")
    lost = await record_parcel_events(conn, [ParcelEvent(MERCHANT, parcel_id("p1"), TrackingState.LOST, hours(200), hours(200), "sweep")])
    assert [(one.state, one.lines) for one in lost.became(ParcelState.LOST)] == [(ParcelState.LOST, (ParcelLine(1, 1, 5),))]
    assert [one.state for one in lost.consignments] == [ConsignmentState.LOST]
    found = await record_events(conn, [event(number, TrackingState.AT_DELIVERY_HUB, 300)])
    assert [(one.previous_state, one.state, one.lines) for one in found.parcels] == [
        (ParcelState.LOST, ParcelState.IN_TRANSIT, (ParcelLine(1, 1, 5),))
    ]
    delivered = await record_events(conn, [event(number, TrackingState.DELIVERED, 301)])
    assert [one.state for one in delivered.consignments] == [ConsignmentState.DELIVERED]
    assert await check_parcels(conn) == (1, [])


async def test_refused_and_back(conn):
    (number,) = await shipped(conn, "p1")
    recorded = await record_events(conn, [event(number, TrackingState.REFUSED, 30), event(number, TrackingState.IN_TRANSIT, 35)])
    assert [(one.state, one.lines) for one in recorded.parcels] == [(ParcelState.RETURNING, (ParcelLine(1, 1, 5),))]
    recorded = await record_events(conn, [event(number, TrackingState.RETURNED, 90)])
    assert [(one.previous_state, one.state) for one in recorded.parcels] == [(ParcelState.RETURNING, ParcelState.RETURNED)]
    assert [one.state for one in recorded.consignments] == [ConsignmentState.RETURNED]
    recorded = await record_events(conn, [event(number, TrackingState.DELIVERED, 95)])
    assert (recorded.outcomes, recorded.parcels) == ((EventOutcome.RECORDED,), ())


async def test_a_voided_label_that_was_used_all_the_same(conn):
    await plan_consignments(conn, [plan()], AT)
    made = await create_parcels(conn, [draft()], AT)
    await void_labels(conn, [parcel_key()], hours(1))
    recorded = await record_events(conn, [event(made[0].tracking_number, TrackingState.AT_ORIGIN_HUB, 5)])
    assert [(one.previous_state, one.state) for one in recorded.parcels] == [(ParcelState.VOIDED, ParcelState.IN_TRANSIT)]
    assert await check_parcels(conn) == (1, [])


async def test_parts_of_a_consignment(conn):
    await plan_consignments(conn, [plan("c1", 5)], AT)
    made = await create_parcels(conn, [draft("p1", quantity=2), draft("p2", quantity=3)], AT)
    first, second = (one.tracking_number for one in made)
    states = []
    for events in (
        [event(first, TrackingState.ACCEPTED, 1)],
        [event(second, TrackingState.ACCEPTED, 2)],
        [event(first, TrackingState.DELIVERED, 30)],
        [event(second, TrackingState.DELIVERED, 40)],
        [event(second, TrackingState.RETURN_TO_SENDER, 41)],
    ):
        states += [one.state for one in (await record_events(conn, events)).consignments]
    assert states == ["part_shipped", "shipped", "part_delivered", "delivered", "part_delivered"]
    lines = await read_parcel_lines(conn, [parcel_key("p2"), parcel_key("p1")])
    assert lines == {parcel_key("p1"): (ParcelLine(1, 1, 2),), parcel_key("p2"): (ParcelLine(1, 1, 3),)}


async def test_legs_learn_their_times(conn):
    await plan_consignments(conn, [plan()], AT)
    legs = (leg(LegKind.EXPORT, 0, 10), leg(LegKind.LINE_HAUL, 10, 50))
    number = (await create_parcels(conn, [draft(legs=legs)], AT))[0].tracking_number
    await record_events(conn, [event(number, TrackingState.ARRIVED_DESTINATION, 44), event(number, TrackingState.DEPARTED_ORIGIN, 12)])
    found = (await read_parcel_timeline(conn, MERCHANT, parcel_id("p1"))).legs
    assert [(one.kind, one.actual_from_at, one.actual_to_at) for one in found] == [
        (LegKind.EXPORT, None, hours(12)),
        (LegKind.LINE_HAUL, hours(12), hours(44)),
    ]


async def rows(conn):
    """Return every row that tracking writes."""
    parcels = await fetch(conn, "select parcel_id, state, state_at, shipped_at, delivered_at, last_event_at from parcel order by 1")
    consignments = await fetch(conn, "select consignment_id, state, state_at from consignment order by 1")
    events = await fetch(conn, "select parcel_id, event_key, code, occurred_at from tracking_event order by 1, 2")
    return parcels, consignments, events


async def test_order_batches_and_repetition_give_the_same_rows(conn):
    names = [f"p{number}" for number in range(40)]
    numbers = await shipped(conn, *names)
    carrier = demo_carriers("store")["DEMO-POST"]
    shipments = [Shipment("DEMO-POST", "parcel", number, "GB", "DE", AT, Clearance.BY_CARRIER) for number in numbers]
    events = [report.event for one in shipments for report in carrier.script(one)]
    chance = random.Random(5)  # noqa: S311
    await execute(conn, "savepoint start")
    results = []
    for size in (1, 7, 128, len(events)):
        await execute(conn, "rollback to savepoint start")
        chance.shuffle(events)
        for start in range(0, len(events), size):
            await record_events(conn, events[start : start + size])
        results.append(await rows(conn))
        assert await check_parcels(conn) == (40, [])
        before = results[-1]
        repeated = await record_events(conn, events)
        assert set(repeated.outcomes) == {EventOutcome.EXISTS}
        assert await rows(conn) == before
    assert results[0] == results[1] == results[2] == results[3]
    unique = {(one.tracking_number, one.code, one.occurred_at) for one in events}
    assert len(results[0][2]) == len(unique) + 40


async def test_mixed_merchants_give_the_same_as_one_merchant_per_call(conn):
    plans = [plan(f"c-{name}-{merchant}", 1, merchant) for name in ("a", "b") for merchant in (MERCHANT, OTHER)]
    await plan_consignments(conn, plans, AT)
    drafts = [draft(f"p-{name}-{merchant}", f"c-{name}-{merchant}", 1, merchant) for name in ("a", "b") for merchant in (MERCHANT, OTHER)]
    made = await create_parcels(conn, drafts, AT)
    events = [event(one.tracking_number, TrackingState.DELIVERED, 20) for one in made]
    await execute(conn, "savepoint start")
    await record_events(conn, events)
    together = await rows(conn)
    await execute(conn, "rollback to savepoint start")
    for merchant in (OTHER, MERCHANT):
        await record_events(conn, [word for word, one in zip(events, made, strict=True) if one.merchant_id == merchant])
    assert await rows(conn) == together
    assert {one.state for one in await read_consignments(conn, [consignment_key(f"c-a-{MERCHANT}")])} == {ConsignmentState.DELIVERED}
