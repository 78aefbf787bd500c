"""Parcels on PostgreSQL: made, handed over, voided, confirmed by merchants; exact counts, replays, refusals that change nothing."""

import pytest
from tests.factories.freight import (
    AT,
    MERCHANT,
    OTHER,
    confirmation,
    consignment_key,
    draft,
    hand_over,
    hours,
    leg,
    order_id,
    parcel_id,
    parcel_key,
    plan,
)

from entrepot.base.sql import execute, execute_counted, fetch
from entrepot.freight.check import check_parcels
from entrepot.freight.consign import plan_consignments, release_consignments, resize_consignments
from entrepot.freight.identifiers import ATTEMPTS, Numbering, candidate_number, is_s10
from entrepot.freight.model import (
    ConsignmentSize,
    ConsignmentState,
    LabelSource,
    LegKind,
    ManifestClosedError,
    Outcome,
    PackedTooMuchError,
    ParcelState,
    ParcelWithoutLinesError,
    TrackingNumberMissingError,
    TrackingNumberTakenError,
    UnknownConsignmentError,
    UnknownParcelError,
)
from entrepot.freight.read import (
    count_by_state,
    count_parcels,
    read_carrier_queue,
    read_consignments,
    read_consignments_of_orders,
    read_labels,
    read_parcel_timeline,
    read_parcels_of_consignments,
    read_parcels_of_orders,
    read_ship_by_queue,
    read_silent_parcels,
)
from entrepot.freight.ship import close_manifests, create_parcels, hand_over_parcels, merchant_confirms, void_labels
from entrepot.freight.track import find_parcels

pytestmark = pytest.mark.anyio
TABLES = ("consignment", "parcel", "parcel_line", "parcel_leg", "tracking_event", "label", "tracking_index", "manifest", "manifest_parcel")


async def counts(conn):
    rows = await fetch(conn, " union all ".join(f"select '{table}', count(*) from {table}" for table in TABLES))
    return {row[0]: row[1] for row in rows if row[1]}


async def everything(conn):
    """Return all rows of freight as text, to prove that nothing changed."""
    return [await fetch(conn, f"select t::text from {table} t order by 1") for table in TABLES]


async def refused(conn, error, call, *args):
    """Assert that a call is refused and, once the flow has rolled back, has changed nothing."""
    before = await everything(conn)
    await execute(conn, "savepoint refusal")
    with pytest.raises(error) as caught:
        await call(conn, *args)
    await execute(conn, "rollback to savepoint refusal")
    assert await everything(conn) == before
    return caught.value


async def consignment(conn, name="c1"):
    return (await read_consignments(conn, [consignment_key(name)]))[0]


async def test_plan_release_and_queue(conn):
    plans = [plan("c1"), plan("c2", ship_by_at=hours(2)), plan("c1"), plan("c3", merchant=OTHER)]
    assert await plan_consignments(conn, plans, AT) == [Outcome.NEW, Outcome.NEW, Outcome.EXISTS, Outcome.NEW]
    assert await plan_consignments(conn, [plan("c1", pieces=9)], AT) == [Outcome.EXISTS]
    assert (await consignment(conn)).piece_count == 5
    released = await release_consignments(conn, [consignment_key("c1"), consignment_key("c2")], hours(1))
    assert {(one.previous_state, one.state) for one in released} == {(ConsignmentState.PLANNED, ConsignmentState.RELEASED)}
    assert await release_consignments(conn, [consignment_key("c1")], hours(1)) == []
    queue = await read_ship_by_queue(conn, MERCHANT, hours(48))
    assert [one.consignment_id for one in queue] == [consignment_key("c2").consignment_id, consignment_key("c1").consignment_id]
    assert len(await read_ship_by_queue(conn, MERCHANT, hours(3))) == 1
    assert await count_by_state(conn) == {"fba": {"planned": 1, "released": 2}}
    assert len(await read_consignments_of_orders(conn, [MERCHANT, OTHER], [order_id("c1"), order_id("c3")])) == 2
    assert await read_consignments_of_orders(conn, [OTHER], [order_id("c1")]) == []


async def test_a_parcel_is_made_once_with_lines_label_legs_and_number(conn):
    await plan_consignments(conn, [plan()], AT)
    legs = (leg(LegKind.EXPORT, 0, 5), leg(LegKind.LAST_MILE, 5, 9))
    made = await create_parcels(conn, [draft("p1", quantity=2, legs=legs), draft("p2", quantity=3), draft("p1", quantity=2)], AT)
    assert [one.outcome for one in made] == [Outcome.NEW, Outcome.NEW, Outcome.EXISTS]
    assert is_s10(made[0].tracking_number)
    assert made[0].tracking_number == made[2].tracking_number != made[1].tracking_number
    assert await counts(conn) == {"consignment": 1, "parcel": 2, "parcel_line": 2, "parcel_leg": 2, "label": 2, "tracking_index": 2}
    again = await create_parcels(conn, [draft("p2", quantity=3), draft("p1", tracking_number="OTHER1")], hours(1))
    assert [(one.outcome, one.tracking_number) for one in again] == [
        (Outcome.EXISTS, made[1].tracking_number),
        (Outcome.EXISTS_WITH_DIFFERENT_VALUES, made[0].tracking_number),
    ]
    assert (await consignment(conn)).packed_count == 5
    label = (await read_labels(conn, [parcel_key("p1")]))[0]
    assert (label.payload["tracking_number"], label.payload["to_country_code"], label.formats) == (made[0].tracking_number, "GB", ("pdf", "zpl"))
    timeline = await read_parcel_timeline(conn, MERCHANT, parcel_id("p1"))
    assert (timeline.parcel.state, timeline.parcel.label_cost_minor, len(timeline.lines), len(timeline.legs), timeline.events) == (
        ParcelState.LABELLED,
        385,
        1,
        2,
        (),
    )
    assert len(await read_carrier_queue(conn, "DEMO-POST")) == 2
    assert await check_parcels(conn) == (2, [])


async def test_numbers_of_the_range_that_are_taken_are_passed_over(conn):
    await plan_consignments(conn, [plan("c1", 2)], AT)
    numbers = [candidate_number(Numbering.S10, "L", "ZZ", parcel_id("p2"), attempt) for attempt in range(ATTEMPTS)]
    await create_parcels(conn, [draft("p1", quantity=1, tracking_number=numbers[0])], AT)
    made = await create_parcels(conn, [draft("p2", quantity=1)], AT)
    assert made[0].tracking_number == numbers[1]


async def test_refusals_change_nothing(conn):
    await plan_consignments(conn, [plan("c1", 5), plan("c2", 5)], AT)
    await create_parcels(conn, [draft("p1", quantity=4, tracking_number="TAKEN 1")], AT)
    error = await refused(conn, PackedTooMuchError, create_parcels, [draft("p3", "c2", 1), draft("p2", quantity=2)], AT)
    assert (error.field, error.code) == ("consignment_id", "packed_too_much")
    await refused(conn, PackedTooMuchError, create_parcels, [draft("p2", "nowhere", 1)], AT)
    await refused(conn, PackedTooMuchError, create_parcels, [draft("p2", "c2", 1, merchant=OTHER)], AT)
    await refused(conn, TrackingNumberTakenError, create_parcels, [draft("p2", quantity=1, tracking_number="taken1")], AT)
    twins = [draft("p2", "c2", 1, tracking_number="NEW1"), draft("p3", "c2", 1, tracking_number="new 1")]
    await refused(conn, TrackingNumberTakenError, create_parcels, twins, AT)
    await refused(conn, TrackingNumberMissingError, create_parcels, [draft("p2", quantity=1, tracking_number=" - ")], AT)
    await refused(conn, ParcelWithoutLinesError, create_parcels, [draft("p2", quantity=0)], AT)
    await refused(conn, PackedTooMuchError, resize_consignments, [ConsignmentSize(MERCHANT, consignment_key("c1").consignment_id, 3)], AT)
    await refused(conn, UnknownConsignmentError, resize_consignments, [ConsignmentSize(OTHER, consignment_key("c1").consignment_id, 9)], AT)
    await refused(conn, UnknownParcelError, read_parcel_timeline, OTHER, parcel_id("p1"))


async def test_hand_over_on_a_manifest(conn):
    await plan_consignments(conn, [plan()], AT)
    await create_parcels(conn, [draft("p1", quantity=2), draft("p2", quantity=3)], AT)
    outcomes, recorded = await hand_over_parcels(conn, [hand_over("p1"), hand_over("p1"), hand_over("p9")])
    assert outcomes == [Outcome.NEW, Outcome.EXISTS, Outcome.UNKNOWN]
    assert [(one.previous_state, one.state, one.lines) for one in recorded.parcels] == [(ParcelState.LABELLED, ParcelState.HANDED_OVER, ())]
    assert [one.state for one in recorded.consignments] == [ConsignmentState.PART_SHIPPED]
    outcomes, recorded = await hand_over_parcels(conn, [hand_over("p1", hours(1)), hand_over("p2", hours(1))])
    assert outcomes == [Outcome.EXISTS, Outcome.NEW]
    assert [one.state for one in recorded.consignments] == [ConsignmentState.SHIPPED]
    assert await counts(conn) == {
        "consignment": 1,
        "parcel": 2,
        "parcel_line": 2,
        "tracking_event": 2,
        "label": 2,
        "tracking_index": 2,
        "manifest": 1,
        "manifest_parcel": 2,
    }
    parcels = await read_parcels_of_consignments(conn, [consignment_key()])
    assert {one.parcel_id: one.shipped_at for one in parcels} == {parcel_id("p1"): AT, parcel_id("p2"): hours(1)}
    assert await count_parcels(conn) == [("DEMO-POST", "handed_over", 2)]
    assert [one.parcel_id for one in await read_silent_parcels(conn, hours(1))] == [parcel_id("p1")]
    assert await check_parcels(conn) == (2, [])


async def test_a_closed_manifest_takes_no_more(conn):
    await plan_consignments(conn, [plan()], AT)
    await create_parcels(conn, [draft("p1", quantity=2), draft("p2", quantity=3)], AT)
    first = hand_over("p1")
    await hand_over_parcels(conn, [first])
    assert await close_manifests(conn, [(first.place_code, first.manifest_id)], hours(1)) == 1
    assert await close_manifests(conn, [(first.place_code, first.manifest_id)], hours(2)) == 0
    await refused(conn, ManifestClosedError, hand_over_parcels, [hand_over("p2", hours(2))])
    outcomes, _ = await hand_over_parcels(conn, [hand_over("p2", hours(2), manifest="m2")])
    assert outcomes == [Outcome.NEW]


async def test_void_gives_the_pieces_back_to_be_packed_anew(conn):
    await plan_consignments(conn, [plan()], AT)
    await create_parcels(conn, [draft("p1"), draft("p2", "c1", 5)][:1], AT)
    voided, recorded = await void_labels(conn, [parcel_key("p1"), parcel_key("p1"), parcel_key("p9")], hours(1))
    assert [(one.outcome, one.label_cost_minor, one.label_currency) for one in voided] == [
        (Outcome.NEW, 385, "GBP"),
        (Outcome.EXISTS, 0, None),
        (Outcome.UNKNOWN, 0, None),
    ]
    assert [one.state for one in recorded.parcels] == [ParcelState.VOIDED]
    assert ((await consignment(conn)).packed_count, (await consignment(conn)).state) == (0, ConsignmentState.PLANNED)
    outcomes, _ = await hand_over_parcels(conn, [hand_over("p1", hours(2))])
    assert outcomes == [Outcome.NOT_ALLOWED]
    await create_parcels(conn, [draft("p2")], hours(2))
    await hand_over_parcels(conn, [hand_over("p2", hours(3))])
    assert (await consignment(conn)).state is ConsignmentState.SHIPPED
    before = await everything(conn)
    voided, recorded = await void_labels(conn, [parcel_key("p2"), parcel_key("p1")], hours(4))
    assert [one.outcome for one in voided] == [Outcome.NOT_ALLOWED, Outcome.EXISTS]
    assert await everything(conn) == before
    assert await check_parcels(conn) == (2, [])


async def test_resize_cancels_and_completes(conn):
    await plan_consignments(conn, [plan("c1", 5), plan("c2", 3)], AT)
    cancel = [ConsignmentSize(MERCHANT, consignment_key("c2").consignment_id, 0)]
    assert [(one.previous_state, one.state) for one in await resize_consignments(conn, cancel, hours(1))] == [
        (ConsignmentState.PLANNED, ConsignmentState.CANCELLED)
    ]
    assert await resize_consignments(conn, cancel, hours(2)) == []
    await create_parcels(conn, [draft("p1", quantity=4)], AT)
    await hand_over_parcels(conn, [hand_over("p1")])
    assert (await consignment(conn)).state is ConsignmentState.PART_SHIPPED
    changes = await resize_consignments(conn, [ConsignmentSize(MERCHANT, consignment_key("c1").consignment_id, 4)], hours(2))
    assert [one.state for one in changes] == [ConsignmentState.SHIPPED]
    await refused(conn, PackedTooMuchError, create_parcels, [draft("p2", "c2", 1)], AT)


async def test_a_merchant_confirms_with_its_own_carrier(conn):
    await plan_consignments(conn, [plan("c1", 5), plan("c2", 2)], AT)
    made, recorded = await merchant_confirms(conn, [confirmation("p1"), confirmation("p2", "c2", 2, None)], AT)
    assert [(one.outcome, one.tracking_number) for one in made] == [(Outcome.NEW, "AB1234"), (Outcome.NEW, None)]
    assert {one.state for one in recorded.parcels} == {ParcelState.HANDED_OVER}
    assert {one.state for one in recorded.consignments} == {ConsignmentState.SHIPPED}
    assert await counts(conn) == {"consignment": 2, "parcel": 2, "parcel_line": 2, "tracking_event": 2, "tracking_index": 1}
    before = await everything(conn)
    made, recorded = await merchant_confirms(conn, [confirmation("p1", tracking_number="ab-1234"), confirmation("p2", "c2", 2, "LATER1")], hours(9))
    assert [one.outcome for one in made] == [Outcome.EXISTS, Outcome.EXISTS_WITH_DIFFERENT_VALUES]
    assert recorded.parcels == ()
    assert await everything(conn) == before
    assert await find_parcels(conn, [("OWN-VAN", "AB 1234"), ("DEMO-POST", "AB1234")]) == {("OWN-VAN", "AB1234"): parcel_key("p1")}
    parcels = await read_parcels_of_orders(conn, [MERCHANT], [order_id("c1")])
    assert [(one.shipped_at, one.label_source) for one in parcels] == [(hours(-2), LabelSource.MERCHANT)]
    assert await check_parcels(conn) == (2, [])


BREAKS = """
    # statement                                                        | what the check says
      update parcel set cause_kind = 'because'                         | no_cause
      delete from parcel_line                                          | no_lines
      update parcel_line set merchant_id = order_id                    | no_lines
      delete from label                                                | no_label
      update label set payload = payload || '{"tracking_number": "X"}' | label_names_another_number
      delete from tracking_index                                       | not_in_tracking_index
      update parcel set state = 'delivered'                            | is delivered, its events say handed_over
      update consignment set packed_count = 4                          | packed_count 4, its parcels hold 5
"""


@pytest.mark.parametrize(
    ("statement", "said"),
    [tuple(part.strip() for part in line.split("|", 1)) for line in BREAKS.replace("payload ||", "payload ##").splitlines()[2:] if "|" in line],
)
async def test_every_broken_law_names_its_row(conn, statement, said):
    await plan_consignments(conn, [plan()], AT)
    await create_parcels(conn, [draft()], AT)
    await hand_over_parcels(conn, [hand_over()])
    assert await check_parcels(conn) == (1, [])
    assert await execute_counted(conn, statement.replace("##", "||")) == 1
    checked, broken = await check_parcels(conn)
    assert checked == 1
    named = str(parcel_id("p1")) if "packed" not in said else str(consignment_key().consignment_id)
    assert any(named in line and line.endswith(said) for line in broken), broken


async def test_lines_without_their_parcel_are_named(conn):
    await plan_consignments(conn, [plan()], AT)
    await create_parcels(conn, [draft()], AT)
    await execute(conn, "update parcel_line set parcel_id = order_id")
    assert f"parcel {MERCHANT}/{order_id('c1')}: lines_without_parcel" in (await check_parcels(conn))[1]
