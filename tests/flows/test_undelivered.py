"""Parcels that come back undelivered: received, graded and on sale again by exactly the units that came, whoever sent them back."""

from itertools import count

import pytest
from msgspec.structs import replace
from tests.factories.china import BONDED, DIRECT, LIMIT, TASMAN, VITAMIN, balances, declare, offer_at, place, send, stock, year
from tests.factories.house import BUYER, STAFF, find_offer, later, open_house, order_of, put_stock, request
from tests.flows.test_cancel import broken, snapshot, standing, sums

from entrepot.base.audit import read_acts
from entrepot.base.sql import fetch
from entrepot.books.stock.read import read_units
from entrepot.catalogue.model import stock_item_id_of
from entrepot.flows.fulfil import MerchantShipment, confirm_shipments, hand_over, pick_and_pack
from entrepot.flows.order_to_cash import place_orders
from entrepot.flows.refuse_at_border import AfterRefusal, customs_refuses
from entrepot.flows.track import record_tracking
from entrepot.flows.undelivered import GradedParcel, GradeOutcome, grade_undelivered, read_undelivered, receive_undelivered
from entrepot.freight.model import CarrierEvent, ParcelKey, ParcelState, TrackingState
from entrepot.freight.read import read_coming_back, read_consignments_of_orders, read_parcels, read_parcels_of_orders
from entrepot.warehouse.grading import Disposition, Grade
from entrepot.warehouse.model import BinMissingError, EvidenceMissingError, NotRestockableError, WorkState
from entrepot.warehouse.readers import read_queue

pytestmark = pytest.mark.anyio

AUDIO, OUTDOOR = "demo-shenzhen-audio", "demo-bavaria-outdoor"
MERCHANT = replace(BUYER, code="merchant")
_NUMBERS = count(1)


async def parcel_of(conn, key):
    (parcel,) = await read_parcels_of_orders(conn, [key[0]], [key[1]])
    return ParcelKey(key[0], parcel.parcel_id)


async def report(conn, outside, parcel, code, at):
    (one,) = await read_parcels(conn, [parcel])
    return await record_tracking(conn, outside, [CarrierEvent(one.carrier_code, one.tracking_number, code, at, at, "carrier")], at)


async def work_floor(conn, outside, code, at):
    await pick_and_pack(conn, outside, await read_queue(conn, code, WorkState.QUEUED, 100), at)
    await hand_over(conn, outside, [entry.order for entry in await read_queue(conn, code, WorkState.PACKED, 100)], STAFF, at)


async def sent(conn, outside, quantity=3):
    """Headphones that left Luton: two lots of them where three are ordered."""
    await put_stock(conn, AUDIO, "ARIA-HEADPHONES", "GB-LTN1", 2, lot="L1")
    await put_stock(conn, AUDIO, "ARIA-HEADPHONES", "GB-LTN1", 3, lot="L2")
    offer = await find_offer(conn, AUDIO, "ARIA-HEADPHONES", "GB", "fba")
    key = order_of((await place_orders(conn, outside, [request([(offer, quantity)], "GB", "GB")], BUYER))[0])
    await work_floor(conn, outside, "GB-LTN1", later(hours=3))
    return key, await parcel_of(conn, key)


async def returned(conn, outside, quantity=3):
    key, parcel = await sent(conn, outside, quantity)
    await report(conn, outside, parcel, TrackingState.REFUSED, later(days=3))
    await report(conn, outside, parcel, TrackingState.RETURNED, later(days=9))
    return key, parcel


async def returned_to_merchant(conn, outside):
    """Two rackets that a merchant sent from Munich and that came back."""
    await put_stock(conn, OUTDOOR, "COURT-RACKET", "SITE-MUC-OUTDOOR", 5)
    offer = await find_offer(conn, OUTDOOR, "COURT-RACKET", "DE", "fbm")
    key = order_of((await place_orders(conn, outside, [request([(offer, 2)], "DE", "DE")], BUYER))[0])
    (consignment,) = await read_consignments_of_orders(conn, [key[0]], [key[1]])
    shipment = MerchantShipment(key[0], consignment.consignment_id, consignment.carrier_code, f"M{next(_NUMBERS):05d}", later(hours=2))
    await confirm_shipments(conn, outside, [shipment], MERCHANT, later(hours=2))
    parcel = await parcel_of(conn, key)
    await report(conn, outside, parcel, TrackingState.RETURNED, later(days=9))
    return key, parcel


def graded(parcel, quantity, sku="ARIA-HEADPHONES", grade=Grade.SELLABLE, disposition=Disposition.RESTOCK, **more):
    if disposition is not Disposition.DISPOSE:
        more.setdefault("bin_code", "B-01")
    return GradedParcel(parcel.merchant_id, parcel.parcel_id, stock_item_id_of(parcel.merchant_id, sku), quantity, grade, disposition, **more)


async def grade(conn, outside, *found, at=None, actor=STAFF):
    return list((await grade_undelivered(conn, outside, found, actor, at or later(days=11))).values())


async def receive(conn, outside, *parcels, at=None):
    return await receive_undelivered(conn, outside, parcels, STAFF, at or later(days=10))


async def on_hand(conn, condition="sellable"):
    rows = await fetch(conn, "select sum(on_hand)::bigint from stock_availability where condition_code = %(condition)s", {"condition": condition})
    return rows[0][0] or 0


async def lying(conn, spot):
    return await fetch(
        conn,
        """select lot_code, condition_code, customs_status, balance from stock_location
           where spot_code = %(spot)s and place_code not like '@%%' and balance <> 0 order by 1, 2""",
        {"spot": spot},
    )


# -- at a place of the platform --------------------------------------------------------------------------------------


async def test_a_parcel_that_a_carrier_brings_back_is_on_sale_again_by_exactly_its_units(conn):
    _, outside = await open_house(conn)
    key, parcel = await returned(conn, outside)
    money, line = await sums(conn, key), await standing(conn, key)
    assert dict(await read_units(conn)) == {"@return": 3, "@supplier": -5, "GB-LTN1": 2}
    assert await read_coming_back(conn, later(days=9)) == [parcel]
    assert await read_coming_back(conn, later(days=9, seconds=1)) == []
    assert await grade(conn, outside, graded(parcel, 3)) == [GradeOutcome.NOT_RECEIVED]
    assert await receive(conn, outside, parcel, parcel) == [parcel]
    assert await lying(conn, "bench") == [("L1", "quarantine", "free", 2), ("L2", "quarantine", "free", 1)]
    assert (await on_hand(conn), await on_hand(conn, "quarantine")) == (2, 0)
    assert await broken(conn, outside, later(days=10)) == []
    assert await receive(conn, outside, parcel, at=later(days=11)) == []
    assert await grade(conn, outside, graded(parcel, 3)) == [GradeOutcome.GRADED]
    assert await lying(conn, "bin:B-01") == [("L1", "sellable", "free", 2), ("L2", "sellable", "free", 1)]
    assert dict(await read_units(conn)) == {"@supplier": -5, "GB-LTN1": 5}
    assert await on_hand(conn) == 5
    assert (await sums(conn, key), await standing(conn, key)) == (money, line)
    assert (line.shipped, line.lost, line.refunded, line.returned) == (3, 3, 3, 0)
    assert [act[1] for act in await read_acts(conn, key[0], [parcel.parcel_id])][-2:] == ["receive_undelivered", "grade_undelivered"]
    assert await broken(conn, outside, later(days=11)) == []


async def test_what_came_back_can_be_sold_once_more(conn):
    _, outside = await open_house(conn)
    _, parcel = await returned(conn, outside)
    offer = await find_offer(conn, AUDIO, "ARIA-HEADPHONES", "GB", "fba")
    (answer,) = await place_orders(conn, outside, [request([(offer, 5)], "GB", "GB", at=later(days=9))], BUYER)
    assert (answer.state, answer.refusal.code) == ("refused", "not_enough_units")
    await receive(conn, outside, parcel)
    await grade(conn, outside, graded(parcel, 3))
    (answer,) = await place_orders(conn, outside, [request([(offer, 5)], "GB", "GB", at=later(days=11))], BUYER)
    assert answer.state == "placed"
    await work_floor(conn, outside, "GB-LTN1", later(days=11, hours=1))
    assert dict(await read_units(conn)) == {"@carrier": 5, "@supplier": -5}
    assert await broken(conn, outside, later(days=12)) == []


async def test_units_of_a_parcel_are_graded_apart(conn):
    _, outside = await open_house(conn)
    _, parcel = await returned(conn, outside)
    await receive(conn, outside, parcel)
    found = [
        graded(parcel, 1),
        graded(parcel, 1, grade=Grade.DAMAGED, disposition=Disposition.KEEP, bin_code="F-01", lot_code="L2"),
        graded(parcel, 1, grade=Grade.DEFECTIVE, disposition=Disposition.DISPOSE, evidence="crushed, photo 1"),
    ]
    assert await grade(conn, outside, *found) == [GradeOutcome.GRADED]
    assert dict(await read_units(conn)) == {"@gone": 1, "@supplier": -5, "GB-LTN1": 4}
    assert await lying(conn, "bin:B-01") == [("L1", "sellable", "free", 1)]
    assert await lying(conn, "bin:F-01") == [("L2", "damaged", "free", 1)]
    assert await lying(conn, "bench") == []
    assert (await on_hand(conn), await on_hand(conn, "damaged")) == (3, 1)
    assert await broken(conn, outside, later(days=11)) == []
    before = await snapshot(conn)
    assert await grade(conn, outside, *found, at=later(days=12)) == [GradeOutcome.EXISTS]
    assert await grade(conn, outside, graded(parcel, 3), at=later(days=12)) == [GradeOutcome.EXISTS_WITH_DIFFERENT_VALUES]
    assert await snapshot(conn) == before
    assert await broken(conn, outside, later(days=12)) == []


async def test_grades_that_do_not_name_exactly_what_came_change_nothing(conn):
    _, outside = await open_house(conn)
    _, parcel = await returned(conn, outside)
    await receive(conn, outside, parcel)
    before = await snapshot(conn)
    wrong = [
        [graded(parcel, 4)],
        [graded(parcel, 2)],
        [graded(parcel, 2), graded(parcel, 2)],
        [graded(parcel, 3, lot_code="L1")],
        [graded(parcel, 3), graded(parcel, 1, sku="NOVA-SPEAKER")],
    ]
    for found in wrong:
        assert await grade(conn, outside, *found) == [GradeOutcome.UNITS_DIFFER]
    unknown = ParcelKey(parcel.merchant_id, parcel.merchant_id)
    assert await grade(conn, outside, graded(unknown, 1)) == [GradeOutcome.UNKNOWN]
    assert await receive(conn, outside, unknown) == []
    for error, found in (
        (EvidenceMissingError, graded(parcel, 3, disposition=Disposition.DISPOSE)),
        (NotRestockableError, graded(parcel, 3, grade=Grade.DAMAGED)),
        (BinMissingError, graded(parcel, 3, bin_code=None)),
    ):
        with pytest.raises(error):
            await grade(conn, outside, found)
    assert await snapshot(conn) == before
    assert await broken(conn, outside, later(days=11)) == []


@pytest.mark.parametrize("code", [TrackingState.IN_TRANSIT, TrackingState.REFUSED, TrackingState.LOST, TrackingState.DELIVERED])
async def test_what_did_not_come_back_is_not_received(conn, code):
    _, outside = await open_house(conn)
    _, parcel = await sent(conn, outside)
    await report(conn, outside, parcel, code, later(days=3))
    before = await snapshot(conn)
    assert await receive(conn, outside, parcel) == []
    assert await grade(conn, outside, graded(parcel, 3)) == [GradeOutcome.NOT_BACK]
    assert await snapshot(conn) == before


@pytest.mark.parametrize(("code", "booked"), [(TrackingState.LOST, "@lost"), (TrackingState.DELIVERED, "@customer")])
async def test_a_parcel_that_ended_before_a_carrier_calls_it_returned_stays_where_it_was_booked(conn, code, booked):
    _, outside = await open_house(conn)
    _, parcel = await sent(conn, outside)
    await report(conn, outside, parcel, code, later(days=3))
    await report(conn, outside, parcel, TrackingState.RETURNED, later(days=9))
    assert await receive(conn, outside, parcel) == []
    assert dict(await read_units(conn)) == {booked: 3, "@supplier": -5, "GB-LTN1": 2}


async def test_a_later_report_of_the_same_return_changes_nothing(conn):
    _, outside = await open_house(conn)
    _, parcel = await returned(conn, outside)
    await report(conn, outside, parcel, TrackingState.RETURNED, later(days=9, hours=5))
    assert await receive(conn, outside, parcel) == [parcel]
    await report(conn, outside, parcel, TrackingState.RETURNED, later(days=10, hours=5))
    assert await receive(conn, outside, parcel, at=later(days=11)) == []
    assert await grade(conn, outside, graded(parcel, 3)) == [GradeOutcome.GRADED]
    assert await on_hand(conn) == 5


# -- at a merchant's site --------------------------------------------------------------------------------------------


async def test_a_merchant_receives_and_grades_in_one_step(conn):
    _, outside = await open_house(conn)
    key, parcel = await returned_to_merchant(conn, outside)
    money = await sums(conn, key)
    assert dict(await read_units(conn)) == {"@return": 2, "@supplier": -5, "SITE-MUC-OUTDOOR": 3}
    assert await receive(conn, outside, parcel) == []
    found = graded(parcel, 2, "COURT-RACKET", bin_code=None)
    assert await grade(conn, outside, graded(parcel, 3, "COURT-RACKET"), actor=MERCHANT) == [GradeOutcome.UNITS_DIFFER]
    assert await grade(conn, outside, found, actor=MERCHANT) == [GradeOutcome.GRADED]
    assert dict(await read_units(conn)) == {"@supplier": -5, "SITE-MUC-OUTDOOR": 5}
    assert await on_hand(conn) == 5
    before = await snapshot(conn)
    assert await grade(conn, outside, found, at=later(days=12), actor=MERCHANT) == [GradeOutcome.EXISTS]
    other = graded(parcel, 2, "COURT-RACKET", grade=Grade.DAMAGED, disposition=Disposition.KEEP)
    assert await grade(conn, outside, other, at=later(days=12), actor=MERCHANT) == [GradeOutcome.EXISTS_WITH_DIFFERENT_VALUES]
    assert await snapshot(conn) == before
    assert await sums(conn, key) == money
    assert await broken(conn, outside, later(days=12)) == []


async def test_a_merchant_disposes_with_evidence_and_keeps_what_is_damaged_apart(conn):
    _, outside = await open_house(conn)
    _, parcel = await returned_to_merchant(conn, outside)
    found = [
        graded(parcel, 1, "COURT-RACKET", grade=Grade.CUSTOMER_DAMAGED, disposition=Disposition.KEEP),
        graded(parcel, 1, "COURT-RACKET", grade=Grade.DEFECTIVE, disposition=Disposition.DISPOSE, evidence="frame broken, photo 7"),
    ]
    with pytest.raises(EvidenceMissingError):
        await grade(conn, outside, found[0], replace(found[1], evidence=" "), actor=MERCHANT)
    assert await grade(conn, outside, *found, actor=MERCHANT) == [GradeOutcome.GRADED]
    assert dict(await read_units(conn)) == {"@gone": 1, "@supplier": -5, "SITE-MUC-OUTDOOR": 4}
    assert (await on_hand(conn), await on_hand(conn, "damaged")) == (3, 1)
    reasons = await fetch(conn, "select distinct reason from stock_move where cause_kind = 'grade_undelivered'")
    assert reasons == [("frame broken, photo 7",)]
    assert await broken(conn, outside, later(days=11)) == []


async def test_one_by_one_and_together_give_the_same_books(conn):
    _, outside = await open_house(conn)
    _, first = await returned(conn, outside)
    _, second = await returned_to_merchant(conn, outside)
    found = [graded(first, 3), graded(second, 2, "COURT-RACKET")]
    books = []
    for batches in ([found], [found[1:], found[:1]]):
        await conn.execute("savepoint fresh")
        for batch in batches:
            await receive(conn, outside, *dict.fromkeys(one.key for one in batch))
            await grade(conn, outside, *batch)
        books.append(await snapshot(conn))
        assert await broken(conn, outside, later(days=11)) == []
        await conn.execute("rollback to savepoint fresh")
    assert books[0] == books[1]


# -- retail imports --------------------------------------------------------------------------------------------------


async def import_sent(conn, outside, place_code):
    """One pot of vitamins on its way to a buyer in China, out of bond or from abroad."""
    offer = await offer_at(conn, TASMAN, VITAMIN, "480.00")
    await stock(conn, TASMAN, VITAMIN, place_code, 3)
    before = await snapshot(conn)
    _, key = await place(conn, outside, [(offer, 1)])
    await declare(conn, outside, later())
    await send(conn, outside, place_code, later(hours=2))
    return key, await parcel_of(conn, key), before


@pytest.mark.parametrize(("place_code", "status"), [(BONDED, "bonded"), (DIRECT, "free")])
async def test_a_parcel_that_customs_turned_round_is_received_graded_and_on_sale_again(conn, place_code, status):
    _, outside = await open_house(conn)
    key, parcel, before = await import_sent(conn, outside, place_code)
    await customs_refuses(conn, outside, [parcel], AfterRefusal.RETURN, later(days=2))
    assert await receive(conn, outside, parcel) == [parcel]
    assert (await read_parcels(conn, [parcel]))[0].state is ParcelState.RETURNED
    assert await lying(conn, "bench") == [("L2409", "quarantine", status, 1)]
    assert await year(conn) == (0, 0, 0, LIMIT)
    assert await receive(conn, outside, parcel, at=later(days=11)) == []
    found = graded(parcel, 1, VITAMIN, bin_code="A-01")
    assert await grade(conn, outside, found) == [GradeOutcome.GRADED]
    assert await grade(conn, outside, found, at=later(days=12)) == [GradeOutcome.EXISTS]
    after = await snapshot(conn)
    assert (after["availability"], after["quota"]) == (before["availability"], before["quota"])
    assert after["units"] == before["units"]
    assert await fetch(conn, "select count(*) from quota_entry where kind = 'return'") == [(1,)]
    assert await broken(conn, outside, later(days=12)) == []
    assert (await standing(conn, key)).lost == 1


async def test_what_customs_destroys_never_comes_back(conn):
    _, outside = await open_house(conn)
    _, parcel, _ = await import_sent(conn, outside, BONDED)
    await customs_refuses(conn, outside, [parcel], AfterRefusal.DESTROY, later(days=2))
    assert await receive(conn, outside, parcel) == []
    assert [one.lots for one in await read_undelivered(conn, outside, [parcel])] == [()]
    assert await grade(conn, outside, graded(parcel, 1, VITAMIN)) == [GradeOutcome.NOT_BACK]


async def test_a_retail_import_that_its_buyer_did_not_take_gives_the_year_back_once(conn):
    _, outside = await open_house(conn)
    key, parcel, before = await import_sent(conn, outside, BONDED)
    await report(conn, outside, parcel, TrackingState.REFUSED, later(days=2))
    await report(conn, outside, parcel, TrackingState.RETURNED, later(days=8))
    assert (await balances(conn, key[0])).get("cbec_tax.CN", 0) == 0
    assert await year(conn) == (48_000, 0, 0, LIMIT - 48_000)
    assert await receive(conn, outside, parcel) == [parcel]
    assert await year(conn) == (0, 0, 0, LIMIT)
    assert await receive(conn, outside, parcel, at=later(days=11)) == []
    assert await grade(conn, outside, graded(parcel, 1, VITAMIN, bin_code="A-01")) == [GradeOutcome.GRADED]
    assert (await snapshot(conn))["units"] == before["units"]
    assert await year(conn) == (0, 0, 0, LIMIT)
    assert await broken(conn, outside, later(days=11)) == []


async def test_a_retail_import_that_comes_back_too_late_keeps_counting(conn):
    _, outside = await open_house(conn)
    _, parcel, _ = await import_sent(conn, outside, BONDED)
    await report(conn, outside, parcel, TrackingState.RETURNED, later(days=44))
    assert await receive(conn, outside, parcel, at=later(days=60)) == [parcel]
    assert await year(conn) == (48_000, 0, 0, LIMIT - 48_000)
    assert await broken(conn, outside, later(days=60)) == []
