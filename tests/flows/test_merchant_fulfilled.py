"""Merchants that pack themselves: their word about stock, their queue, confirming, declining, being late."""

from datetime import timedelta

import pytest
from msgspec.structs import replace
from tests.factories.house import AT, BUYER, find_offer, later, open_house, order_of, put_stock, request

from entrepot.aftersales.model import PerformanceKind
from entrepot.aftersales.record_performance import count_performance
from entrepot.base.actor import Actor, ActorKind
from entrepot.base.audit import read_latest_facts
from entrepot.base.clock_store import advance_business_now
from entrepot.base.due import take_due
from entrepot.base.sql import fetch
from entrepot.books.money.read import read_balances
from entrepot.books.stock.read import read_availability, read_units
from entrepot.catalogue.model import stock_item_id_of
from entrepot.flows.check_laws import check_laws
from entrepot.flows.choose_units import CancelOutcome
from entrepot.flows.clear_customs import declare_consignments
from entrepot.flows.declare_stock import StockWord, declare_stock
from entrepot.flows.fulfil import ConfirmOutcome, MerchantShipment, answer_shipments, confirm_shipments
from entrepot.flows.order_to_cash import SETTLE, place_orders, settle_orders
from entrepot.flows.release import DECLARE, SHIP_BY
from entrepot.flows.ship_by import Decline, decline_consignments, read_to_ship, warn_ship_by
from entrepot.flows.track import record_tracking
from entrepot.freight.model import CarrierEvent, LabelSource, ParcelKey, TrackingState
from entrepot.freight.read import read_labels, read_parcels_of_orders
from entrepot.orders.read import read_orders, read_standings
from entrepot.parties.model import merchant_id_of

pytestmark = pytest.mark.anyio

LEEDS = merchant_id_of("demo-leeds-kitchen")
SITE = "SITE-LDS-KITCHEN"
SKU = "MOOR-GLASSES"
SELLER = Actor(ActorKind.MERCHANT, "leeds", "merchant_owner")


def word(sequence_no, quantity, as_of=AT, sku=SKU, place_code=SITE, merchant_id=LEEDS):
    return StockWord(merchant_id, place_code, sku, sequence_no, as_of, quantity)


async def say(conn, outside, *words, at=AT):
    return await declare_stock(conn, outside, words, SELLER, at)


async def free(conn, sku=SKU):
    return {one.key.place_code: one.free for one in await read_availability(conn, [LEEDS], [stock_item_id_of(LEEDS, sku)])}


async def broken(conn, outside, at):
    await advance_business_now(conn, at)
    return [row for law in await check_laws(conn, outside.reference) for row in law.rows]


async def balances(conn, merchant_id=LEEDS):
    return {(row.account_code, row.currency): row.posted_minor for row in await read_balances(conn, merchant_id) if row.posted_minor}


async def place(conn, outside, quantity, at=AT, sku=SKU):
    offer = await find_offer(conn, "demo-leeds-kitchen", sku, "GB", "fbm")
    return (await place_orders(conn, outside, [request([(offer, quantity)], "GB", "GB", at=at)], BUYER))[0]


async def deliver_and_settle(conn, outside, key, days):
    parcels = await read_parcels_of_orders(conn, [key[0]], [key[1]])
    at = later(days=days)
    await record_tracking(
        conn, outside, [CarrierEvent(p.carrier_code, p.tracking_number, TrackingState.DELIVERED, at, at, "carrier") for p in parcels], at
    )
    due = await take_due(conn, SETTLE, later(days=days + 9), 10)
    await settle_orders(conn, outside, due, later(days=days + 9))


async def state_of(conn, key):
    return (await read_orders(conn, [key[0]], [key[1]]))[0].state


def shipment(consignment, carrier_code=None, number=None, at=None):
    return MerchantShipment(consignment.merchant_id, consignment.consignment_id, carrier_code, number, at or later(hours=5))


# -- the merchant's word ---------------------------------------------------------------------------------------------


async def test_a_late_retry_cannot_bring_back_what_was_sold_elsewhere(conn):
    _, outside = await open_house(conn)
    assert [answer.outcome for answer in await say(conn, outside, word(10, 5))] == ["taken"]
    # three were sold in the merchant's own shop
    assert [answer.outcome for answer in await say(conn, outside, word(11, 2, later(minutes=10)), at=later(minutes=10))] == ["taken"]
    (stale,) = await say(conn, outside, word(10, 5), at=later(minutes=20))
    assert stale.outcome == "stale"
    assert "sequence 10 is not newer than 11" in stale.text
    assert await free(conn) == {SITE: 2}
    refused = await place(conn, outside, 4, later(minutes=30))
    assert (refused.state, refused.refusal.code) == ("refused", "not_enough_units")
    assert (await place(conn, outside, 2, later(minutes=40))).state == "placed"
    assert await free(conn) == {}
    assert await broken(conn, outside, later(hours=1)) == []


async def test_the_same_word_again_is_a_replay(conn):
    _, outside = await open_house(conn)
    await say(conn, outside, word(10, 5))
    units = await read_units(conn)
    (again,) = await say(conn, outside, word(10, 5), at=later(hours=1))
    assert again.outcome == "exists"
    (other,) = await say(conn, outside, word(10, 7), at=later(hours=1))
    assert other.outcome == "stale"
    (backwards,) = await say(conn, outside, word(11, 7, AT - timedelta(hours=1)), at=later(hours=1))
    assert backwards.outcome == "stale"
    assert await read_units(conn) == units


@pytest.mark.parametrize(
    ("wrong", "code", "field"),
    [
        ({"sku": "NO-SUCH-SKU"}, "unknown_stock_item", "sku"),
        ({"place_code": "SITE-MUC-OUTDOOR"}, "foreign_place", "place_code"),
        ({"place_code": "GB-LTN1"}, "foreign_place", "place_code"),
        ({"place_code": "NOWHERE"}, "unknown_place", "place_code"),
        ({"quantity": -1}, "negative_word", "quantity"),
        ({"as_of": AT + timedelta(minutes=1)}, "future_word", "as_of"),
    ],
)
async def test_what_is_not_the_merchants_to_say_is_refused_by_name_and_leaves_the_others_alone(conn, wrong, code, field):
    _, outside = await open_house(conn)
    refused, taken = await say(conn, outside, replace(word(1, 5), **wrong), word(1, 3, sku="DALE-BLENDER"))
    assert (refused.outcome, refused.refusal.code, refused.refusal.field) == ("refused", code, field)
    assert refused.text
    assert taken.outcome == "taken"
    assert dict(await read_units(conn)) == {SITE: 3, "@word": -3}


async def test_several_words_about_one_item_in_one_batch_count_in_order(conn):
    _, outside = await open_house(conn)
    answers = await say(conn, outside, word(1, 9), word(3, 4), word(2, 8), word(4, 6), word(1, 2, sku="DALE-BLENDER"))
    assert [answer.outcome for answer in answers] == ["taken", "taken", "stale", "taken", "taken"]
    assert await free(conn) == {SITE: 6}
    assert len(await fetch(conn, "select 1 from stock_move")) == 4


async def test_orders_after_the_count_stay_deducted(conn):
    _, outside = await open_house(conn)
    await say(conn, outside, word(1, 5))
    await place(conn, outside, 2, later(hours=2))
    # counted before that order came in, told after it
    await say(conn, outside, word(2, 5, later(hours=1)), at=later(hours=3))
    assert await free(conn) == {SITE: 3}
    # counted after it: the word no longer holds the two that stand aside for it
    await say(conn, outside, word(3, 3, later(hours=4)), at=later(hours=4))
    assert await free(conn) == {SITE: 3}
    assert await broken(conn, outside, later(hours=5)) == []


async def test_what_the_word_cannot_cover_is_cancelled_on_the_merchants_account(conn):
    _, outside = await open_house(conn)
    await say(conn, outside, word(1, 5))
    first, second = order_of(await place(conn, outside, 2, later(hours=2))), order_of(await place(conn, outside, 3, later(hours=3)))
    (answer,) = await say(conn, outside, word(2, 3, later(hours=1)), at=later(hours=4))
    assert answer.outcome == "taken"
    assert str(second[1]) in answer.text
    assert [(one.ask.order_id, one.outcome, one.cancelled, one.refund_minor) for one in answer.cancelled] == [(second[1], "done", 2, 4598)]
    assert [(one.quantity, one.cancelled) for one in await read_standings(conn, [LEEDS, LEEDS], [first[1], second[1]])] in (
        [(2, 0), (3, 2)],
        [(3, 2), (2, 0)],
    )
    assert await fetch(conn, "select quantity, open_quantity, short_quantity, state from stock_reservation order by at") == [
        (2, 2, 0, "held"),
        (3, 1, 0, "held"),
    ]
    counts = await count_performance(conn, [LEEDS], AT, later(days=1))
    assert counts[LEEDS] == {PerformanceKind.CANCELLED_BY_MERCHANT: 1}
    assert await broken(conn, outside, later(hours=5)) == []
    # one of the three is left to send
    queue = await read_to_ship(conn, LEEDS, later(days=30))
    assert sorted(one.piece_count for one in queue) == [1, 2]
    left = await confirm_shipments(conn, outside, [shipment(one, "DHL", f"N{one.piece_count}") for one in queue], SELLER, later(hours=6))
    assert len(left) == 2
    assert dict(await read_units(conn)) == {"@carrier": 3, "@word": -3}
    assert await broken(conn, outside, later(hours=7)) == []


# -- confirmed -------------------------------------------------------------------------------------------------------


async def test_an_order_sent_by_the_merchants_own_carrier_reaches_its_balance(conn):
    _, outside = await open_house(conn)
    await say(conn, outside, word(1, 5))
    answer = await place(conn, outside, 2)
    assert (answer.state, answer.total_minor, answer.currency) == ("placed", 4598, "GBP")
    key = order_of(answer)
    (waiting,) = await read_to_ship(conn, LEEDS, later(days=30))
    (told,) = await answer_shipments(conn, outside, [shipment(waiting, "ROYAL-MAIL", "AB 123 456 789 GB")], SELLER, later(hours=6))
    assert (told.outcome, told.tracking_number, told.label) == (ConfirmOutcome.NEW, "AB123456789GB", None)
    assert await state_of(conn, key) == "shipped"
    assert dict(await read_units(conn)) == {"@carrier": 2, "@word": -5, SITE: 3}
    assert await read_to_ship(conn, LEEDS, later(days=30)) == []
    await deliver_and_settle(conn, outside, key, 3)
    assert await state_of(conn, key) == "settled"
    # 15 % of 45.98; the merchant of this country owes its own tax
    assert await balances(conn) == {("psp", "GBP"): 4598, ("fee.referral", "GBP"): -690, ("mer", "GBP"): -3908}
    counts = await count_performance(conn, [LEEDS], AT, later(days=30))
    assert counts[LEEDS] == {PerformanceKind.ORDER_TAKEN: 1, PerformanceKind.SHIP_DUE: 1}
    assert await broken(conn, outside, later(days=20)) == []


async def test_a_label_bought_here_is_owed_to_the_carrier_and_charged_with_our_margin(conn):
    _, outside = await open_house(conn)
    await say(conn, outside, word(1, 5))
    key = order_of(await place(conn, outside, 2))
    (waiting,) = await read_to_ship(conn, LEEDS, later(days=30))
    (told,) = await answer_shipments(conn, outside, [shipment(waiting)], SELLER, later(hours=6))
    assert (told.outcome, told.label.cost_minor, told.label.currency) == (ConfirmOutcome.NEW, 405, "GBP")
    (parcel,) = await read_parcels_of_orders(conn, [key[0]], [key[1]])
    assert (parcel.label_source, parcel.label_cost_minor, parcel.label_currency) == (LabelSource.BOUGHT_HERE, 405, "GBP")
    assert parcel.tracking_number == told.tracking_number
    assert len(await read_labels(conn, [ParcelKey(LEEDS, parcel.parcel_id)])) == 1
    await deliver_and_settle(conn, outside, key, 3)
    assert await balances(conn) == {
        ("psp", "GBP"): 4598,
        ("fee.referral", "GBP"): -690,
        ("carrier.ENTREPOT-LINE", "GBP"): -405,
        ("fee.label_margin", "GBP"): -12,  # 3 % of 4.05
        ("mer", "GBP"): -3491,
    }
    counts = await count_performance(conn, [LEEDS], AT, later(days=30))
    assert counts[LEEDS] == {
        PerformanceKind.ORDER_TAKEN: 1,
        PerformanceKind.SHIP_DUE: 1,
        PerformanceKind.TRACKING_DUE: 1,
        PerformanceKind.TRACKING_VALID: 1,
    }
    assert await broken(conn, outside, later(days=20)) == []


async def test_a_label_in_another_currency_goes_over_the_exchange_account(conn):
    _, outside = await open_house(conn)
    merchant_id = merchant_id_of("demo-shenzhen-audio")
    await put_stock(conn, "demo-shenzhen-audio", "ORBIT-ROUTER", "SITE-SZX-AUDIO", 5)
    offer = await find_offer(conn, "demo-shenzhen-audio", "ORBIT-ROUTER", "US", "fbm")
    answer = (await place_orders(conn, outside, [request([(offer, 1)], "US", "US")], BUYER))[0]
    assert answer.state == "placed", answer.refusal
    await declare_consignments(conn, outside, await take_due(conn, DECLARE, AT, 10), AT)
    (waiting,) = await read_to_ship(conn, merchant_id, later(days=30))
    before = await balances(conn, merchant_id)
    (told,) = await answer_shipments(conn, outside, [shipment(waiting)], SELLER, later(hours=6))
    assert told.label.currency == "CNY"
    after = await balances(conn, merchant_id)
    passed_on = -after["fxclr", "USD"]
    assert passed_on == outside.reference.convert(told.label.cost_minor, "CNY", "USD", later(hours=6).date()) > 0
    assert after["fxclr", "CNY"] == told.label.cost_minor
    assert after[f"carrier.{waiting.carrier_code}", "CNY"] == -told.label.cost_minor
    assert after["rsv", "USD"] - before["rsv", "USD"] == passed_on - after["fee.label_margin", "USD"] - after["fee.referral", "USD"]
    rates = await fetch(conn, "select rate_id from money_posting where kind = 'purchase'")
    assert [row[0].startswith("ecb:CNY/USD:") for row in rates] == [True]
    assert await broken(conn, outside, later(days=1)) == []


async def test_confirming_again_changes_nothing_and_wrong_shipments_are_told_apart(conn):
    _, outside = await open_house(conn)
    await say(conn, outside, word(1, 5))
    await put_stock(conn, "demo-leeds-kitchen", "DALE-KNIFE", "GB-LTN1", 5)
    ours = await find_offer(conn, "demo-leeds-kitchen", "DALE-KNIFE", "GB", "logistics_service")
    await place(conn, outside, 2)
    key = order_of((await place_orders(conn, outside, [request([(ours, 1)], "GB", "GB")], BUYER))[0])
    rows = await fetch(conn, "select consignment_id from consignment where merchant_id = %(m)s and order_id = %(o)s", {"m": key[0], "o": key[1]})
    (waiting,) = await read_to_ship(conn, LEEDS, later(days=30))
    mine = shipment(waiting, "DHL", "N1")
    foreign = replace(mine, merchant_id=merchant_id_of("demo-bavaria-outdoor"))
    platforms = replace(mine, consignment_id=rows[0][0])
    told = await answer_shipments(conn, outside, [mine, mine, foreign, platforms], SELLER, later(hours=6))
    assert [one.outcome for one in told] == ["new", "exists", "unknown", "not_the_packer"]
    before = await balances(conn)
    again = await answer_shipments(conn, outside, [mine, replace(mine, tracking_number=None)], SELLER, later(hours=7))
    assert [one.outcome for one in again] == ["exists", "exists"]
    assert await balances(conn) == before
    assert len(await read_parcels_of_orders(conn, [LEEDS], [waiting.order_id])) == 1
    assert await broken(conn, outside, later(hours=8)) == []


# -- declined and late -----------------------------------------------------------------------------------------------


async def test_a_declined_order_gives_the_buyer_everything_back(conn):
    _, outside = await open_house(conn)
    await say(conn, outside, word(1, 5))
    key = order_of(await place(conn, outside, 2))
    (waiting,) = await read_to_ship(conn, LEEDS, later(days=30))
    decline = Decline(LEEDS, waiting.consignment_id, "damaged")
    unknown = Decline(merchant_id_of("demo-bavaria-outdoor"), waiting.consignment_id, "damaged")
    done, other = await decline_consignments(conn, outside, [decline, unknown], SELLER, later(hours=1))
    assert (done.outcome, done.cancelled, [line.refund_minor for line in done.lines]) == (CancelOutcome.DONE, 2, [4598])
    assert (other.outcome, other.cancelled) == (CancelOutcome.UNKNOWN, 0)
    assert await state_of(conn, key) == "cancelled"
    assert await free(conn) == {SITE: 5}
    assert await take_due(conn, SHIP_BY, later(days=30), 10) == []
    (again,) = await decline_consignments(conn, outside, [decline], SELLER, later(hours=2))
    assert (again.outcome, again.cancelled) == (CancelOutcome.EXISTS, 0)
    told = await answer_shipments(conn, outside, [shipment(waiting, "DHL", "N1")], SELLER, later(hours=3))
    assert [one.outcome for one in told] == [ConfirmOutcome.NOT_RELEASED]
    counts = await count_performance(conn, [LEEDS], AT, later(days=30))
    assert counts[LEEDS] == {PerformanceKind.ORDER_TAKEN: 1, PerformanceKind.CANCELLED_BY_MERCHANT: 1}
    assert {code: minor for (code, _), minor in (await balances(conn)).items() if code in {"rsv", "mer"}} == {}
    assert await broken(conn, outside, later(days=1)) == []


async def test_what_has_left_cannot_be_declined(conn):
    _, outside = await open_house(conn)
    await say(conn, outside, word(1, 5))
    await place(conn, outside, 2)
    (waiting,) = await read_to_ship(conn, LEEDS, later(days=30))
    await confirm_shipments(conn, outside, [shipment(waiting, "DHL", "N1")], SELLER, later(hours=1))
    before = await balances(conn)
    (answer,) = await decline_consignments(conn, outside, [Decline(LEEDS, waiting.consignment_id, "no")], SELLER, later(hours=2))
    assert (answer.outcome, answer.cancelled) == (CancelOutcome.HANDED_OVER, 0)
    assert await balances(conn) == before


async def test_a_late_merchant_is_warned_once_and_counted_once(conn):
    _, outside = await open_house(conn)
    await say(conn, outside, word(1, 5))
    key = order_of(await place(conn, outside, 2))
    (waiting,) = await read_to_ship(conn, LEEDS, later(days=30))
    assert waiting.ship_by_at == AT.replace(day=9, hour=23, minute=59)
    assert await take_due(conn, SHIP_BY, waiting.ship_by_at - timedelta(minutes=1), 10) == []
    due = await take_due(conn, SHIP_BY, waiting.ship_by_at, 10)
    assert [one.subject_id for one in due] == [waiting.consignment_id]
    for hours in (0, 1):
        await warn_ship_by(conn, outside, due, waiting.ship_by_at + timedelta(hours=hours))
    assert await take_due(conn, SHIP_BY, later(days=30), 10) == []
    late = {PerformanceKind.ORDER_TAKEN: 1, PerformanceKind.SHIP_DUE: 1, PerformanceKind.LATE_SHIPMENT: 1}
    assert (await count_performance(conn, [LEEDS], AT, later(days=30)))[LEEDS] == late
    missed = [fact for fact in await read_latest_facts(conn, 50) if fact.fact_code == "ship_by_missed"]
    assert [(fact.subject_id, fact.at) for fact in missed] == [(waiting.consignment_id, waiting.ship_by_at)]
    # it ships the next day all the same
    await confirm_shipments(conn, outside, [shipment(waiting, "DHL", "N1", later(days=3))], SELLER, later(days=3))
    assert await state_of(conn, key) == "shipped"
    assert (await count_performance(conn, [LEEDS], AT, later(days=30)))[LEEDS] == late
    assert await broken(conn, outside, later(days=4)) == []


async def test_a_late_confirmation_counts_although_nobody_ran_the_warning(conn):
    _, outside = await open_house(conn)
    await say(conn, outside, word(1, 5))
    await place(conn, outside, 2)
    (waiting,) = await read_to_ship(conn, LEEDS, later(days=30))
    await confirm_shipments(conn, outside, [shipment(waiting, "DHL", "N1", later(hours=5))], SELLER, later(days=4))
    counts = (await count_performance(conn, [LEEDS], AT, later(days=30)))[LEEDS]
    assert counts[PerformanceKind.LATE_SHIPMENT] == counts[PerformanceKind.SHIP_DUE] == 1
    await warn_ship_by(conn, outside, await take_due(conn, SHIP_BY, later(days=5), 10), later(days=5))
    assert (await count_performance(conn, [LEEDS], AT, later(days=30)))[LEEDS] == counts


@pytest.mark.parametrize("size", [1, 128])
async def test_batches_give_the_same_rows_as_one_by_one(conn, size):
    _, outside = await open_house(conn)
    words = [word(1, 9), word(1, 9, sku="DALE-BLENDER"), word(2, 7)]
    for start in range(0, len(words), size):
        await say(conn, outside, *words[start : start + size])
    for quantity in (1, 2):
        offer = await find_offer(conn, "demo-leeds-kitchen", SKU, "GB", "fbm")
        one = replace(request([(offer, quantity)], "GB", "GB", key=f"k{quantity}"), checkout_id=stock_item_id_of(LEEDS, f"checkout {quantity}"))
        assert (await place_orders(conn, outside, [one], BUYER))[0].state == "placed"
    queue = await read_to_ship(conn, LEEDS, later(days=30))
    shipments = [shipment(one) for one in queue]
    for start in range(0, len(shipments), size):
        await confirm_shipments(conn, outside, shipments[start : start + size], SELLER, later(hours=6))
    rows = [
        await fetch(conn, f"select * from {table} order by 1, 2, 3")
        for table in ("stock_move", "stock_reservation", "money_posting", "money_entry", "parcel", "fee_line", "performance_event")
    ]
    _SEEN.setdefault("rows", rows)
    assert rows == _SEEN["rows"]


_SEEN = {}
