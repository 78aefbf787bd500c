"""One order from the question to the money, through the real books, flows and tables."""

import pytest
from msgspec.structs import replace
from tests.factories.house import AT, BUYER, STAFF, find_offer, later, open_house, order_of, put_stock, request

from entrepot.base.due import take_due
from entrepot.books.money.read import prove_money, read_balances
from entrepot.books.stock.prove import prove_reservations, prove_units
from entrepot.books.stock.read import read_units
from entrepot.flows.fulfil import hand_over, pick_and_pack
from entrepot.flows.order_to_cash import SETTLE, place_orders, settle_orders
from entrepot.flows.track import record_tracking
from entrepot.freight.model import CarrierEvent, TrackingState
from entrepot.freight.read import read_parcels_of_orders
from entrepot.orders.model import LineAsk
from entrepot.orders.read import list_orders, prove_promises, read_promise_rows
from entrepot.warehouse.model import WorkState
from entrepot.warehouse.readers import read_queue

pytestmark = pytest.mark.anyio


async def proofs(conn):
    return [row for prove in (prove_units, prove_reservations, prove_money, prove_promises) for row in (await prove(conn))[1]]


async def work_floor(conn, outside, place, at):
    await pick_and_pack(conn, outside, await read_queue(conn, place, WorkState.QUEUED, 100), at)
    refs = [entry.order for entry in await read_queue(conn, place, WorkState.PACKED, 100)]
    return await hand_over(conn, outside, refs, STAFF, at)


async def deliver(conn, outside, keys, at):
    parcels = await read_parcels_of_orders(conn, [key[0] for key in keys], [key[1] for key in keys])
    events = [CarrierEvent(p.carrier_code, p.tracking_number, TrackingState.DELIVERED, at, at, "carrier") for p in parcels]
    return await record_tracking(conn, outside, events, at)


async def state_of(conn, key):
    return next(row.state for row in await list_orders(conn, key[0], None, 100, 0) if row.order_id == key[1])


async def test_an_order_packed_by_the_platform_reaches_the_merchants_balance(conn):
    _, outside = await open_house(conn)
    await put_stock(conn, "demo-shenzhen-audio", "ARIA-HEADPHONES", "GB-LTN1", 5)
    offer = await find_offer(conn, "demo-shenzhen-audio", "ARIA-HEADPHONES", "GB", "fba")
    answer = (await place_orders(conn, outside, [request([(offer, 2)], "GB", "GB")], BUYER))[0]
    assert (answer.state, answer.total_minor, answer.currency) == ("placed", 9398, "GBP")
    key = order_of(answer)
    assert await state_of(conn, key) == "in_work"
    left = await work_floor(conn, outside, "GB-LTN1", later(hours=3))
    assert len(left) == 1
    assert await state_of(conn, key) == "shipped"
    recorded = await deliver(conn, outside, [key], later(days=2))
    assert len(recorded.parcels) == 1
    assert (await deliver(conn, outside, [key], later(days=2))).parcels == ()
    assert await state_of(conn, key) == "delivered"
    due = await take_due(conn, SETTLE, later(days=20), 10)
    await settle_orders(conn, outside, due, later(days=20))
    assert await state_of(conn, key) == "settled"
    balances = {row.account_code: row.posted_minor for row in await read_balances(conn, key[0])}
    assert balances["psp"] == 9398
    assert balances["tax.GB"] == -1566  # the platform is deemed supplier of an overseas merchant's goods
    assert balances["rsv"] == 0
    assert balances["mer"] == -(9398 - 1566 + sum(minor for account, minor in balances.items() if account.startswith("fee.")))
    assert {account for account in balances if account.startswith("fee.")} >= {"fee.referral", "fee.fulfilment"}
    assert dict(await read_units(conn)) == {"@customer": 2, "@supplier": -5, "GB-LTN1": 3}
    assert await proofs(conn) == []


async def test_a_replay_gets_the_same_answer_and_other_values_are_refused(conn):
    _, outside = await open_house(conn)
    await put_stock(conn, "demo-shenzhen-audio", "ARIA-HEADPHONES", "GB-LTN1", 5)
    offer = await find_offer(conn, "demo-shenzhen-audio", "ARIA-HEADPHONES", "GB", "fba")
    first = request([(offer, 1)], "GB", "GB", key="same")
    again = request([(offer, 1)], "GB", "GB", key="same")
    other = request([(offer, 2)], "GB", "GB", key="same")
    placed = (await place_orders(conn, outside, [first], BUYER))[0]
    answers = await place_orders(conn, outside, [again, other], BUYER)
    assert [answer.state for answer in answers] == ["exists", "refused"]
    assert answers[0].checkout_id == placed.checkout_id
    assert answers[1].refusal.code == "key_used_for_other_request"
    assert len(await list_orders(conn, None, None, 10, 0)) == 1


@pytest.mark.parametrize("quantity", [1, 9])
async def test_twins_in_a_batch_get_the_first_ones_answer_and_other_values_leave_it_as_it_is(conn, quantity):
    _, outside = await open_house(conn)
    await put_stock(conn, "demo-shenzhen-audio", "ARIA-HEADPHONES", "GB-LTN1", 5)
    offer = await find_offer(conn, "demo-shenzhen-audio", "ARIA-HEADPHONES", "GB", "fba")
    first = request([(offer, quantity)], "GB", "GB", key="same")
    twin = replace(first, checkout_id=request([(offer, 1)], "GB", "GB").checkout_id)
    other = replace(first, lines=(LineAsk(offer.merchant_id, offer.offer_id, 2),))
    answers = await place_orders(conn, outside, [first, twin, other, first], BUYER)
    assert {answer.checkout_id for answer in answers} == {first.checkout_id}
    assert answers[2].refusal.code == "key_used_for_other_request"
    if quantity > 5:
        assert [answer.refusal.code for answer in answers[:2]] == ["not_enough_units"] * 2
        assert (await place_orders(conn, outside, [other], BUYER))[0].state == "placed"  # the key is free again
        return
    assert [answer.state for answer in answers] == ["placed", "exists", "refused", "exists"]
    (again,) = await place_orders(conn, outside, [twin], BUYER)
    assert (again.total_minor, again.orders) == (answers[0].total_minor, answers[0].orders)


async def test_a_checkout_is_all_or_nothing_and_names_what_is_left(conn):
    _, outside = await open_house(conn)
    await put_stock(conn, "demo-shenzhen-audio", "ARIA-HEADPHONES", "GB-LTN1", 3)
    offer = await find_offer(conn, "demo-shenzhen-audio", "ARIA-HEADPHONES", "GB", "fba")
    refused, placed = await place_orders(conn, outside, [request([(offer, 2), (offer, 2)], "GB", "GB"), request([(offer, 3)], "GB", "GB")], BUYER)
    assert (refused.state, refused.refusal.code) == ("refused", "not_enough_units")
    assert placed.state == "placed"
    assert await proofs(conn) == []


@pytest.mark.parametrize("wrong", [{"marketplace_code": "XX"}, {"to_country": "ZZ"}])
async def test_unknown_codes_are_refused(conn, wrong):
    _, outside = await open_house(conn)
    await put_stock(conn, "demo-shenzhen-audio", "ARIA-HEADPHONES", "GB-LTN1", 3)
    offer = await find_offer(conn, "demo-shenzhen-audio", "ARIA-HEADPHONES", "GB", "fba")
    answer = (await place_orders(conn, outside, [request([(offer, 1)], wrong.get("marketplace_code", "GB"), wrong.get("to_country", "GB"))], BUYER))[
        0
    ]
    assert answer.state == "refused"
    assert answer.refusal.remedy
    assert await list_orders(conn, None, None, 10, 0) == []
    _ = AT


@pytest.mark.parametrize(("event", "place"), [(TrackingState.LOST, "@lost"), (TrackingState.RETURNED, "@return")])
async def test_what_does_not_arrive_is_paid_back_and_its_promise_missed(conn, event, place):
    _, outside = await open_house(conn)
    await put_stock(conn, "demo-shenzhen-audio", "ARIA-HEADPHONES", "GB-LTN1", 5)
    offer = await find_offer(conn, "demo-shenzhen-audio", "ARIA-HEADPHONES", "GB", "fba")
    key = order_of((await place_orders(conn, outside, [request([(offer, 2)], "GB", "GB")], BUYER))[0])
    await work_floor(conn, outside, "GB-LTN1", later(hours=3))
    parcel = (await read_parcels_of_orders(conn, [key[0]], [key[1]]))[0]
    for code, days in ((event, 9), (event, 9), (TrackingState.DELIVERED, 12)):
        report = CarrierEvent(parcel.carrier_code, parcel.tracking_number, code, later(days=days), later(days=days), "carrier")
        await record_tracking(conn, outside, [report], later(days=days))
    balances = {row.account_code: row.posted_minor for row in await read_balances(conn, key[0])}
    assert (balances["psp"], balances["tax.GB"]) == (0, 0)
    assert dict(await read_units(conn)) == {place: 2, "@supplier": -5, "GB-LTN1": 3}
    assert [row.outcome for row in await read_promise_rows(conn, *key)] == ["miss"]
    assert await proofs(conn) == []
