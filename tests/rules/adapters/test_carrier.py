"""The built-in carriers: the same question has the same answer, and every parcel's story ends."""

from collections import Counter
from datetime import date, timedelta

import pytest
from tests.factories.freight import AT, MERCHANT, parcel_id

from entrepot.adapters.carrier import demo_carriers
from entrepot.freight.cards import RateRequest
from entrepot.freight.identifiers import is_s10
from entrepot.freight.model import Sighting, TrackingState, current_state
from entrepot.freight.ports import Carrier, Clearance, LabelAnswer, LabelOrder, Shipment

pytestmark = pytest.mark.anyio
CARRIERS = demo_carriers("seed-7")


def shipment(number, destination="GB", clearance=Clearance.NONE, service="parcel", carrier_code="DEMO-POST"):
    return Shipment(carrier_code, service, f"T{number}", "GB", destination, AT, clearance)


def story(carrier, one):
    return [Sighting(report.event.occurred_at, report.event.code) for report in carrier.script(one)]


def test_there_are_three():
    carriers: dict[str, Carrier] = dict(CARRIERS)
    assert list(carriers) == ["DEMO-EXPRESS", "DEMO-POST", "ENTREPOT-LINE"]


async def test_labels_cost_what_was_quoted_and_are_bought_once():
    request = RateRequest("GB", "GB", 1500, 0, date(2026, 5, 4))
    order = LabelOrder(MERCHANT, parcel_id("p1"), "parcel", request)
    quoted = (await CARRIERS["DEMO-POST"].quote_rates([request]))[0]
    bought, again, given, not_served = await CARRIERS["DEMO-POST"].buy_labels(
        [order, order, LabelOrder(MERCHANT, parcel_id("p1"), "parcel", request, "LA1"), LabelOrder(MERCHANT, parcel_id("p1"), "rocket", request)]
    )
    assert bought == again
    assert (bought.answer, bought.cost_minor, bought.currency) == (LabelAnswer.BOUGHT, 385, "GBP")
    assert bought.cost_minor in {one.cost_minor for one in quoted}
    assert is_s10(bought.tracking_number)
    assert given.tracking_number == "LA1"
    assert (not_served.answer, not_served.cost_minor, not_served.tracking_number) == (LabelAnswer.NOT_SERVED, 0, "")


def test_every_story_ends_and_happens_in_order():
    carrier = CARRIERS["DEMO-POST"]
    lanes = [("GB", Clearance.NONE), ("DE", Clearance.BY_CARRIER), ("CN", Clearance.BY_GATEWAY)]
    ends = Counter()
    odd = Counter()
    for number in range(3000):
        destination, clearance = lanes[number % 3]
        one = shipment(number, destination, clearance)
        reports = carrier.script(one)
        occurred = [report.event.occurred_at for report in reports]
        sightings = story(carrier, one)
        assert min(occurred) > AT
        assert max(occurred) < AT + timedelta(days=45)
        assert all(report.reported_at >= report.event.occurred_at for report in reports)
        assert [report.reported_at for report in reports] == sorted(report.reported_at for report in reports)
        ends[current_state(sightings)] += 1
        odd["doubled"] += len(sightings) != len(set(sightings))
        odd["out_of_order"] += occurred != sorted(occurred)
        if clearance is Clearance.BY_GATEWAY:
            assert TrackingState.IMPORT_CUSTOMS_PRESENTED not in {event.code for event in sightings}
    assert set(ends) == {TrackingState.DELIVERED, TrackingState.LOST, TrackingState.RETURNED}
    assert ends[TrackingState.DELIVERED] > 2900
    assert ends[TrackingState.LOST] > 0
    assert ends[TrackingState.RETURNED] > 0
    assert odd["doubled"] > 300
    assert odd["out_of_order"] > 300


async def test_windows_cover_the_script_without_gap_or_overlap():
    carrier = CARRIERS["DEMO-POST"]
    shipments = [shipment(number) for number in range(50)]
    until = AT + timedelta(days=60)
    whole = await carrier.events_since(shipments, AT, until)
    parts = []
    for day in range(60):
        parts += await carrier.events_since(shipments, AT + timedelta(days=day), AT + timedelta(days=day + 1))
    assert parts == whole
    assert len(whole) == sum(len(carrier.script(one)) for one in shipments)
    assert await demo_carriers("seed-7")["DEMO-POST"].events_since(shipments, AT, until) == whole
    assert await demo_carriers("seed-8")["DEMO-POST"].events_since(shipments, AT, until) != whole


async def test_labels_are_voided():
    assert await CARRIERS["DEMO-POST"].void_labels(["LA1"]) == [LabelAnswer.VOIDED]


def test_an_ordinary_parcel_arrives_within_the_days_of_its_card():
    carrier = CARRIERS["ENTREPOT-LINE"]
    one = next(
        one
        for one in (shipment(number, "GB", service="standard", carrier_code="ENTREPOT-LINE") for number in range(100))
        if [event.code for event in sorted(set(story(carrier, one)))]
        == ["accepted", "at_origin_hub", "in_transit", "at_delivery_hub", "out_for_delivery", "delivered"]
    )
    assert AT + timedelta(hours=18) < max(event.occurred_at for event in story(carrier, one)) < AT + timedelta(days=4)
