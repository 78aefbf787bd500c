"""Cancellation at every stage gives back exactly what it took: units, reservations, quota, money, tax and floor work."""

import pytest
from msgspec.structs import replace
from tests.factories.house import BUYER, STAFF, find_offer, later, open_house, order_of, put_stock, request

from entrepot.adapters.payment_provider import BuiltInProvider
from entrepot.base.clock_store import advance_business_now
from entrepot.base.due import take_due
from entrepot.base.ids import derived_id
from entrepot.base.sql import fetch
from entrepot.books.money.read import read_balances, read_order_sums
from entrepot.flows.cancel import CancelAsk, cancel_units, close_shorts
from entrepot.flows.check_laws import check_laws
from entrepot.flows.clear_customs import declare_consignments
from entrepot.flows.floor_moves import post_floor_moves
from entrepot.flows.fulfil import MerchantShipment, confirm_shipments, hand_over, pick_and_pack, read_bin_stock
from entrepot.flows.order_to_cash import EXPIRE, PAY, expire_holds, place_orders, take_payments
from entrepot.flows.pay_back import RETRY, retry_refunds
from entrepot.flows.release import DECLARE, SHIP_BY
from entrepot.freight.read import read_consignments_of_orders, read_parcels_of_orders
from entrepot.orders.pay import read_payments
from entrepot.orders.ports import MovementAnswer, PaymentAnswer
from entrepot.orders.read import list_orders, read_allocations, read_orders, read_standings
from entrepot.warehouse.model import StepOutcome, WorkState
from entrepot.warehouse.pick import MissingUnits, PickReport, confirm_picks, start_picking
from entrepot.warehouse.readers import read_queue

pytestmark = pytest.mark.anyio

AUDIO, OUTDOOR, LYON = "demo-shenzhen-audio", "demo-bavaria-outdoor", "demo-lyon-beauty"


async def snapshot(conn):
    """Everything that a cancellation has to give back, without rows that say nothing."""
    return {
        name: await fetch(conn, f"select * from ({sql}) t order by 1, 2, 3, 4")
        for name, sql in {
            "money": "select merchant_id::text, account_code, currency, posted_minor, pending_minor from money_balance "
            "where posted_minor <> 0 or pending_minor <> 0",
            "units": "select location_id::text, place_code, spot_code, balance from stock_location where balance <> 0",
            "availability": "select stock_item_id::text, place_code, customs_status, on_hand, reserved from stock_availability where on_hand <> 0",
            "quota": "select person_id::text, year_no, used_minor, held_minor, elsewhere_minor, free_minor from quota_year "
            "where used_minor + held_minor + elsewhere_minor <> 0",
        }.items()
    }


async def broken(conn, outside, at):
    await advance_business_now(conn, at)
    return [row for law in await check_laws(conn, outside.reference) for row in law.rows]


async def state_of(conn, key):
    return (await read_orders(conn, [key[0]], [key[1]]))[0].state


async def payment_of(conn, key):
    order = (await read_orders(conn, [key[0]], [key[1]]))[0]
    (payment,) = await read_payments(conn, [order.person_id], [order.checkout_id])
    return payment


async def standing(conn, key, line_no=1):
    return next(row for row in await read_standings(conn, [key[0]], [key[1]]) if row.line_no == line_no)


async def sums(conn, key):
    return {row.account_code: row.posted_minor for row in await read_balances(conn, key[0]) if row.posted_minor}


def ask(key, quantity, by="buyer", line_no=1, name="", reason="changed_mind"):
    return CancelAsk(*key, line_no, quantity, by, reason, name)


async def cancel(conn, outside, *asks, at=None):
    return await cancel_units(conn, outside, asks, BUYER, at or later(hours=1))


def told(answers):
    return [(str(one.outcome), one.cancelled, one.refund_minor) for one in answers]


async def platform_order(conn, outside, quantity=3, method="invoice", stock=10):
    """Headphones in Britain, 46.99 each, VAT 20 % inside: 7.83 of one, 23.50 of three."""
    await put_stock(conn, AUDIO, "ARIA-HEADPHONES", "GB-LTN1", stock)
    before = await snapshot(conn)
    offer = await find_offer(conn, AUDIO, "ARIA-HEADPHONES", "GB", "fba")
    (answer,) = await place_orders(conn, outside, [request([(offer, quantity)], "GB", "GB", method=method)], BUYER)
    return order_of(answer), before


async def pick(conn, stock, missing=0):
    """Direct and pick what waits, leaving `missing` units of the first task unfound."""
    refs = [entry.order for entry in await read_queue(conn, "GB-LTN1", WorkState.QUEUED, 100)]
    await start_picking(conn, refs, stock, later(minutes=10))
    work = await confirm_picks(conn, [PickReport(ref, (MissingUnits(1, 1, 1, missing),) if missing else ()) for ref in refs], later(minutes=20))
    await post_floor_moves(conn, work.moves)
    return work.steps


async def bring_to(conn, outside, stage):
    queue = await read_queue(conn, "GB-LTN1", WorkState.QUEUED, 100)
    if stage == "packed":
        await pick_and_pack(conn, outside, queue, later(minutes=10))
    if stage in {"picking", "picked"}:
        items = await fetch(conn, "select distinct merchant_id, stock_item_id, place_code from stock_availability")
        stock = await read_bin_stock(conn, items)
        if stage == "picked":
            await pick(conn, stock)
        else:
            await start_picking(conn, [entry.order for entry in queue], stock, later(minutes=10))


# -- the platform's floor --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["queued", "picking", "picked", "packed"])
async def test_a_whole_cancellation_leaves_everything_as_before_the_order(conn, stage):
    _, outside = await open_house(conn)
    key, before = await platform_order(conn, outside)
    assert await snapshot(conn) != before
    await bring_to(conn, outside, stage)
    answers = await cancel(conn, outside, ask(key, 3))
    assert told(answers) == [("done", 3, 14097)]
    assert await snapshot(conn) == before
    assert await state_of(conn, key) == "cancelled"
    payment = await payment_of(conn, key)
    assert (payment.captured_minor, payment.refunded_minor) == (14097, 14097)
    (consignment,) = await read_consignments_of_orders(conn, [key[0]], [key[1]])
    assert (consignment.state, consignment.piece_count, consignment.packed_count) == ("cancelled", 0, 0)
    parcels = await read_parcels_of_orders(conn, [key[0]], [key[1]])
    assert [parcel.state for parcel in parcels] == (["voided"] if stage == "packed" else [])
    assert await read_queue(conn, "GB-LTN1", WorkState.CANCELLED, 10) != []
    (promise,) = await fetch(conn, "select outcome from promise where order_id = %(order)s", {"order": key[1]})
    assert promise[0] == "withdrawn"
    (checkout,) = await fetch(conn, "select state from checkout")
    assert checkout[0] == "refunded"
    assert await read_order_sums(conn, "rsv", [key[0]], [key[1]]) == [(*key, "GBP", 0)]
    assert await broken(conn, outside, later(hours=1)) == []
    after = await snapshot(conn)
    assert told(await cancel(conn, outside, ask(key, 3), at=later(hours=2))) == [("exists", 0, 0)]
    assert await snapshot(conn) == after


@pytest.mark.parametrize("stage", ["queued", "picking", "picked"])
async def test_a_part_goes_back_and_the_rest_is_delivered_to_the_reserve(conn, stage):
    _, outside = await open_house(conn)
    key, _ = await platform_order(conn, outside)
    await bring_to(conn, outside, stage)
    assert told(await cancel(conn, outside, ask(key, 1))) == [("done", 1, 4699)]
    assert await sums(conn, key) == {"psp": 9398, "tax.GB": -1567, "rsv": -7831}
    assert (await standing(conn, key)).refunded == 1
    assert await read_allocations(conn, [key[0]], [key[1]]) != []
    held = await fetch(conn, "select sum(reserved), sum(on_hand) from stock_availability where place_code = 'GB-LTN1'")
    assert held == [(2, 10)]
    assert await broken(conn, outside, later(hours=1)) == []
    if stage == "queued":
        await pick_and_pack(conn, outside, await read_queue(conn, "GB-LTN1", WorkState.QUEUED, 10), later(hours=2))
        left = await hand_over(conn, outside, [e.order for e in await read_queue(conn, "GB-LTN1", WorkState.PACKED, 10)], STAFF, later(hours=3))
        assert [line.quantity for change in left for line in change.lines] == [2]
        assert await state_of(conn, key) == "shipped"
        assert told(await cancel(conn, outside, ask(key, 1), at=later(hours=4))) == [("handed_over", 0, 0)]
        assert await broken(conn, outside, later(hours=4)) == []


async def test_parts_one_by_one_sum_to_the_charge(conn):
    _, outside = await open_house(conn)
    key, before = await platform_order(conn, outside)
    answers = [(await cancel(conn, outside, ask(key, 1), at=later(hours=hour)))[0] for hour in (1, 2, 3)]
    assert told(answers) == [("done", 1, 4699)] * 3
    assert await snapshot(conn) == before
    assert await broken(conn, outside, later(hours=3)) == []


async def test_a_closed_carton_is_not_opened_for_a_part(conn):
    _, outside = await open_house(conn)
    key, _ = await platform_order(conn, outside)
    await bring_to(conn, outside, "packed")
    before = await snapshot(conn)
    assert told(await cancel(conn, outside, ask(key, 2))) == [("packed", 0, 0)]
    assert await snapshot(conn) == before
    assert told(await cancel(conn, outside, ask(key, 2), ask(key, 1))) == [("done", 2, 9398), ("done", 1, 4699)]
    assert await broken(conn, outside, later(hours=1)) == []


async def test_what_cannot_be_cancelled_is_told_and_changes_nothing(conn):
    _, outside = await open_house(conn)
    key, _ = await platform_order(conn, outside)
    before = await snapshot(conn)
    unknown = (key[0], derived_id("nobody"))
    asks = [ask(key, 4), ask(key, 1, line_no=2), ask(unknown, 1, name="k")]
    assert told(await cancel(conn, outside, *asks)) == [("too_many", 0, 0), ("unknown", 0, 0), ("unknown", 0, 0)]
    assert await snapshot(conn) == before


async def test_a_key_counts_once(conn):
    _, outside = await open_house(conn)
    key, _ = await platform_order(conn, outside)
    first = await cancel(conn, outside, ask(key, 1, name="a"), ask(key, 1, name="a"))
    assert told(first) == [("done", 1, 4699), ("exists", 0, 0)]
    after = await snapshot(conn)
    again = await cancel(conn, outside, ask(key, 1, name="a"), ask(key, 2, name="a"), at=later(hours=5))
    assert told(again) == [("exists", 0, 4699), ("differs", 0, 0)]
    assert again[0].refund_id == first[0].refund_id
    assert await snapshot(conn) == after
    assert told(await cancel(conn, outside, ask(key, 3, name="b"))) == [("too_many", 0, 0)]
    assert told(await cancel(conn, outside, ask(key, 2, name="b"))) == [("done", 2, 9398)]


async def test_one_by_one_and_together_give_the_same_books(conn):
    _, outside = await open_house(conn)
    keys = [(await platform_order(conn, outside, stock=10))[0] for _ in range(3)]
    asks = [ask(key, 1 + place) for place, key in enumerate(keys)]

    async def books(run):
        async with conn.transaction(force_rollback=True):
            await run()
            rows = await fetch(conn, "select posting_id::text, account_code, amount_minor from money_entry order by 1, 2, 3")
            return rows, await snapshot(conn), await fetch(conn, "select refund_id::text, cause_id::text, total_minor from refund order by 1")

    async def singly():
        for one in asks:
            await cancel(conn, outside, one)

    assert await books(lambda: cancel(conn, outside, *asks)) == await books(singly)


async def test_what_the_picker_did_not_find_is_paid_back(conn):
    _, outside = await open_house(conn)
    key, _ = await platform_order(conn, outside)
    stock = await read_bin_stock(conn, await fetch(conn, "select distinct merchant_id, stock_item_id, place_code from stock_availability"))
    steps = await pick(conn, stock, missing=1)
    assert [(step.outcome, [count.quantity for count in step.shorts]) for step in steps] == [(StepOutcome.DONE, [1])]
    answers = await close_shorts(conn, outside, steps, STAFF, later(hours=1))
    assert told(answers) == [("done", 1, 4699)]
    assert answers[0].ask.by == "platform"
    (consignment,) = await read_consignments_of_orders(conn, [key[0]], [key[1]])
    assert consignment.piece_count == 2
    assert await broken(conn, outside, later(hours=1)) == []
    assert told(await cancel(conn, outside, ask(key, 2))) == [("done", 2, 9398)]
    assert await close_shorts(conn, outside, steps, STAFF, later(hours=2)) == []
    assert await broken(conn, outside, later(hours=2)) == []


class MoodyProvider(BuiltInProvider):
    """A provider that gives no money back until it is told to."""

    is_open = False

    async def refund(self, requests):
        if self.is_open:
            return await super().refund(requests)
        return [MovementAnswer(one.refund_id, PaymentAnswer.REFUSED, 0, one.currency, one.at, "", "out_of_order") for one in requests]


async def test_what_the_provider_does_not_pay_is_owed_to_the_buyer_and_tried_again(conn):
    _, outside = await open_house(conn)
    provider = MoodyProvider()
    moody = replace(outside, payments=provider)
    key, before = await platform_order(conn, outside)
    assert told(await cancel(conn, moody, ask(key, 3))) == [("done", 3, 14097)]
    assert await sums(conn, key) == {"psp": 14097, "buyer_refund": -14097}
    assert (await payment_of(conn, key)).refunded_minor == 0
    assert await fetch(conn, "select state from refund") == [("failed",)]
    assert await broken(conn, outside, later(hours=1)) == []
    await retry_refunds(conn, moody, await take_due(conn, RETRY, later(hours=2), 10), later(hours=2))
    assert await take_due(conn, RETRY, later(hours=2), 10) == []
    provider.is_open = True
    for hour in (3, 4):
        await retry_refunds(conn, moody, await take_due(conn, RETRY, later(hours=hour), 10), later(hours=hour))
    assert await snapshot(conn) == before
    assert (await payment_of(conn, key)).refunded_minor == 14097
    assert await fetch(conn, "select state from refund") == [("paid",)]
    assert await broken(conn, outside, later(hours=4)) == []


# -- before payment --------------------------------------------------------------------------------------------------


async def test_an_unpaid_checkout_is_dropped_whole(conn):
    _, outside = await open_house(conn)
    key, before = await platform_order(conn, outside, method="card_slow")
    assert told(await cancel(conn, outside, ask(key, 3), at=later(minutes=1))) == [("done", 3, 0)]
    assert await snapshot(conn) == before
    assert await state_of(conn, key) == "cancelled"
    payment = await payment_of(conn, key)
    assert (payment.state, payment.asked_minor, payment.captured_minor) == ("voided", 0, 0)
    assert await take_due(conn, PAY, later(days=1), 10) == []
    assert await take_due(conn, EXPIRE, later(days=1), 10) == []
    assert await broken(conn, outside, later(minutes=1)) == []


async def test_a_part_of_an_unpaid_order_is_asked_for_no_more_and_the_rest_is_paid(conn):
    _, outside = await open_house(conn)
    key, before = await platform_order(conn, outside, method="card_slow")
    assert told(await cancel(conn, outside, ask(key, 1), at=later(minutes=1))) == [("done", 1, 0)]
    pending = {row.account_code: row.pending_minor for row in await read_balances(conn, key[0])}
    assert pending == {"psp": 9398, "tax.GB": -1567, "rsv": -7831}
    assert (await payment_of(conn, key)).asked_minor == 9398
    await take_payments(conn, outside, await take_due(conn, PAY, later(minutes=10), 10), later(minutes=10))
    assert await state_of(conn, key) == "in_work"
    assert await sums(conn, key) == {"psp": 9398, "tax.GB": -1567, "rsv": -7831}
    assert [one.quantity for one in await read_allocations(conn, [key[0]], [key[1]])] == [2]
    assert await broken(conn, outside, later(minutes=10)) == []
    assert told(await cancel(conn, outside, ask(key, 2))) == [("done", 2, 9398)]
    assert await snapshot(conn) == before
    assert await broken(conn, outside, later(hours=1)) == []


async def test_a_late_payment_is_honoured_for_what_is_still_wanted(conn):
    _, outside = await open_house(conn)
    key, _ = await platform_order(conn, outside, method="card_late")
    await cancel(conn, outside, ask(key, 1), at=later(minutes=1))
    await expire_holds(conn, outside, await take_due(conn, EXPIRE, later(minutes=31), 10), later(minutes=31))
    assert await state_of(conn, key) == "cancelled"
    await take_payments(conn, outside, await take_due(conn, PAY, later(hours=2), 10), later(hours=2))
    assert await state_of(conn, key) == "in_work"
    assert await sums(conn, key) == {"psp": 9398, "tax.GB": -1567, "rsv": -7831}
    assert await fetch(conn, "select sum(reserved) from stock_availability") == [(2,)]
    assert await broken(conn, outside, later(hours=2)) == []


async def test_of_two_unpaid_orders_one_is_cancelled_and_stays_so(conn):
    _, outside = await open_house(conn)
    await put_stock(conn, AUDIO, "ARIA-HEADPHONES", "FR-ORY1", 5)
    await put_stock(conn, "demo-hangzhou-home", "BREEZE-DRYER", "DE-LEJ1", 5)
    await put_stock(conn, OUTDOOR, "PEAK-SOCKS", "DE-LEJ1", 5)
    dryer = await find_offer(conn, "demo-hangzhou-home", "BREEZE-DRYER", "DE", "fba")
    socks = await find_offer(conn, OUTDOOR, "PEAK-SOCKS", "DE", "fba")
    (answer,) = await place_orders(conn, outside, [request([(dryer, 1), (socks, 2)], "DE", "DE", method="card_slow")], BUYER)
    first, second = answer.orders
    assert told(await cancel(conn, outside, ask(second, 2), at=later(minutes=1))) == [("done", 2, 0)]
    assert (await payment_of(conn, first)).asked_minor == 3599
    await take_payments(conn, outside, await take_due(conn, PAY, later(minutes=10), 10), later(minutes=10))
    assert (await state_of(conn, first), await state_of(conn, second)) == ("in_work", "cancelled")
    assert await broken(conn, outside, later(minutes=10)) == []


# -- packed by the merchant ------------------------------------------------------------------------------------------


async def merchant_order(conn, outside, quantity=2):
    await put_stock(conn, OUTDOOR, "COURT-RACKET", "SITE-MUC-OUTDOOR", 5)
    before = await snapshot(conn)
    offer = await find_offer(conn, OUTDOOR, "COURT-RACKET", "DE", "fbm")
    (answer,) = await place_orders(conn, outside, [request([(offer, quantity)], "DE", "DE")], BUYER)
    return order_of(answer), before


async def test_a_merchant_declines(conn):
    _, outside = await open_house(conn)
    key, before = await merchant_order(conn, outside)
    assert told(await cancel(conn, outside, ask(key, 2, by="merchant", reason="out_of_stock"))) == [("done", 2, 16398)]
    assert await snapshot(conn) == before
    assert await take_due(conn, SHIP_BY, later(days=9), 10) == []
    assert await fetch(conn, "select kind from performance_event") == [("cancelled_by_merchant",)]
    acts = await fetch(conn, "select actor_kind, note from audit_entry where command_code = 'cancel_units' and subject_id = %(id)s", {"id": key[1]})
    assert acts == [("buyer", "line 1: 2 by merchant, out_of_stock")]
    assert await broken(conn, outside, later(hours=1)) == []


async def test_a_part_of_what_a_merchant_packs(conn):
    _, outside = await open_house(conn)
    key, _ = await merchant_order(conn, outside)
    assert told(await cancel(conn, outside, ask(key, 1))) == [("done", 1, 8199)]
    (consignment,) = await read_consignments_of_orders(conn, [key[0]], [key[1]])
    shipment = MerchantShipment(key[0], consignment.consignment_id, consignment.carrier_code, "M1", later(hours=2))
    (left,) = await confirm_shipments(conn, outside, [shipment], BUYER, later(hours=2))
    assert [line.quantity for line in left.lines] == [1]
    assert await state_of(conn, key) == "shipped"
    assert told(await cancel(conn, outside, ask(key, 1), at=later(hours=3))) == [("handed_over", 0, 0)]
    assert await broken(conn, outside, later(hours=3)) == []


# -- money elsewhere -------------------------------------------------------------------------------------------------


async def test_an_order_of_another_channel_gives_back_units_and_no_money(conn):
    _, outside = await open_house(conn)
    await put_stock(conn, AUDIO, "FOCUS-CAMERA", "DE-LEJ1", 5)
    before = await snapshot(conn)
    offer = await find_offer(conn, AUDIO, "FOCUS-CAMERA", "DE", "logistics_service")
    wish = request([(offer, 2)], "DE", "DE", channel_code="external", declared_unit_values=(9000,))
    (answer,) = await place_orders(conn, outside, [wish], BUYER)
    key = order_of(answer)
    assert told(await cancel(conn, outside, ask(key, 2))) == [("done", 2, 0)]
    assert await snapshot(conn) == before
    assert await fetch(conn, "select count(*) from refund") == [(0,)]
    assert await state_of(conn, key) == "cancelled"
    assert await broken(conn, outside, later(hours=1)) == []


# -- China -----------------------------------------------------------------------------------------------------------


async def china_order(conn, house, outside, quantity=2, **more):
    await put_stock(conn, LYON, "ROSE-CREAM", "CN-NGB1", 6, status="bonded")
    before = await snapshot(conn)
    offer = await find_offer(conn, LYON, "ROSE-CREAM", "CN_GP", "global_purchase")
    identity = house.parties.identity_ids["demo-buyer-cn"]
    wish = request([(offer, quantity)], "CN_GP", "CN", person="demo-buyer-cn", identity_id=identity, has_accepted_risk=True, **more)
    (answer,) = await place_orders(conn, outside, [wish], BUYER)
    assert answer.state == "placed", answer.refusal
    return order_of(answer), before


async def declare(conn, outside, at):
    await declare_consignments(conn, outside, await take_due(conn, DECLARE, at, 10), at)


async def quota(conn):
    return await fetch(conn, "select used_minor, held_minor from quota_year")


async def test_a_china_order_cancelled_before_customs_saw_it_gives_the_whole_year_back(conn):
    house, outside = await open_house(conn)
    key, before = await china_order(conn, house, outside)
    assert await quota(conn) == [(0, 36000)]
    charged = (await payment_of(conn, key)).captured_minor
    assert told(await cancel(conn, outside, ask(key, 1))) == [("done", 1, charged // 2)]
    assert await quota(conn) == [(0, 18000)]
    assert await broken(conn, outside, later(hours=1)) == []
    assert told(await cancel(conn, outside, ask(key, 1), at=later(hours=2))) == [("done", 1, charged - charged // 2)]
    assert await snapshot(conn) == before
    await declare(conn, outside, later(hours=3))
    assert await fetch(conn, "select count(*) from declaration") == [(0,)]
    assert await broken(conn, outside, later(hours=3)) == []


@pytest.mark.parametrize("quantity", [1, 2])
async def test_a_china_order_cancelled_after_release_withdraws_the_declaration(conn, quantity):
    house, outside = await open_house(conn)
    key, before = await china_order(conn, house, outside)
    await declare(conn, outside, later(minutes=5))
    assert await quota(conn) == [(36000, 0)]
    charged = (await payment_of(conn, key)).captured_minor
    assert told(await cancel(conn, outside, ask(key, quantity))) == [("done", quantity, charged * quantity // 2)]
    await declare(conn, outside, later(hours=2))
    states = await fetch(conn, "select state, version from declaration order by version")
    assert await quota(conn) == [(36000 - quantity * 18000, 0)]
    if quantity == 2:
        assert states == [("withdrawn", 1)]
        after = await snapshot(conn)
        assert {name: after[name] for name in ("units", "availability", "quota")} == {
            name: before[name] for name in ("units", "availability", "quota")
        }
    else:
        assert states == [("withdrawn", 1), ("released", 2)]
    assert await broken(conn, outside, later(hours=2)) == []


async def test_an_unpaid_china_order_shrinks_with_its_hold(conn):
    house, outside = await open_house(conn)
    key, before = await china_order(conn, house, outside, method="card_slow")
    assert told(await cancel(conn, outside, ask(key, 1), at=later(minutes=1))) == [("done", 1, 0)]
    assert await quota(conn) == [(0, 18000)]
    assert told(await cancel(conn, outside, ask(key, 1), at=later(minutes=2))) == [("done", 1, 0)]
    assert await snapshot(conn) == before
    assert await broken(conn, outside, later(minutes=2)) == []
    assert await list_orders(conn, None, "awaiting_payment", 10, 0) == []
