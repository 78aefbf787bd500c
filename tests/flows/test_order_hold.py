"""An order on hold: nobody picks, packs, hands over or is late with it, and it goes on when it is released."""

from datetime import timedelta

import pytest
from tests.factories.house import AT, BUYER, STAFF, find_offer, later, open_house, order_of, put_stock, request

from entrepot.base.audit import read_acts, read_facts
from entrepot.base.due import Due
from entrepot.base.due_rows import list_due
from entrepot.books.stock.prove import prove_reservations, prove_units
from entrepot.flows.cancel import cancel_units
from entrepot.flows.choose_units import CancelAsk
from entrepot.flows.fulfil import ConfirmOutcome, MerchantShipment, answer_shipments, hand_over, pick_and_pack
from entrepot.flows.order_hold import HoldOrder, HoldOutcome, hold_order, release_order
from entrepot.flows.order_to_cash import PAY, place_orders
from entrepot.flows.release import SHIP_BY
from entrepot.flows.run_due import run_due
from entrepot.flows.ship_by import read_to_ship, warn_ship_by
from entrepot.freight.model import ConsignmentKey
from entrepot.freight.read import read_consignments, read_consignments_of_orders
from entrepot.orders.hold import HoldNoteMissingError, HoldReason, NothingToHoldError, list_open_holds, read_open_holds
from entrepot.orders.model import UnknownOrderError
from entrepot.orders.read import read_orders
from entrepot.warehouse.model import OrderRef, StepOutcome, WorkState
from entrepot.warehouse.pick import start_picking
from entrepot.warehouse.readers import read_queue, read_work_of_order
from entrepot.warehouse.ship import ship_orders

pytestmark = pytest.mark.anyio
PLACE = "GB-LTN1"


async def place_one(conn, model="fba", method="invoice"):
    _, outside = await open_house(conn)
    merchant, sku, place = (
        ("demo-shenzhen-audio", "ARIA-HEADPHONES", PLACE) if model == "fba" else ("demo-leeds-kitchen", "MOOR-TEAPOT", "SITE-LDS-KITCHEN")
    )
    await put_stock(conn, merchant, sku, place, 5)
    offer = await find_offer(conn, merchant, sku, "GB", model)
    answer = (await place_orders(conn, outside, [request([(offer, 1)], "GB", "GB", method=method)], BUYER))[0]
    assert answer.refusal is None
    return outside, order_of(answer)


async def hold(conn, key, at=None, reason=HoldReason.ADDRESS_CHECK, note=""):
    return await hold_order(conn, HoldOrder(*key, reason, note), STAFF, at or later(minutes=5))


async def queued(conn, state=WorkState.QUEUED):
    return await read_queue(conn, PLACE, state, 10)


async def consignment_of(conn, key):
    (found,) = await read_consignments_of_orders(conn, [key[0]], [key[1]])
    return found


async def test_a_held_order_is_nobodys_work_until_it_is_released(conn):
    outside, key = await place_one(conn)
    (entry,) = await queued(conn)
    ship_by_at = (await consignment_of(conn, key)).ship_by_at
    assert await hold(conn, key, note="Street number missing") is HoldOutcome.DONE
    assert await queued(conn) == []
    steps = await pick_and_pack(conn, outside, [entry], later(hours=1))
    assert [step.outcome for step in steps] == [StepOutcome.ON_HOLD]
    assert (await start_picking(conn, [entry.order], [], later(hours=1))).steps[0].outcome is StepOutcome.ON_HOLD
    assert await release_order(conn, *key, "Buyer called", STAFF, later(minutes=5, hours=2)) is HoldOutcome.DONE
    (again,) = await queued(conn)
    assert (again.order, again.ship_by_at, (await consignment_of(conn, key)).ship_by_at) == (entry.order, *[ship_by_at + timedelta(hours=2)] * 2)
    assert [step.outcome for step in await pick_and_pack(conn, outside, [again], later(hours=3))] == [StepOutcome.DONE]
    acts = [(command, note) for _, command, _, _, note in await read_acts(conn, key[0], [key[1]])]
    assert acts[1:] == [("hold_order", "address_check: Street number missing"), ("release_order", "Buyer called")]
    facts = await read_facts(conn, key[0], [key[1]])
    assert [fact.fact_code for fact in facts][-2:] == ["order_held", "order_hold_released"]
    assert "Street" not in str([fact.content for fact in facts])


async def test_what_is_packed_stays_at_the_dock(conn):
    outside, key = await place_one(conn)
    await pick_and_pack(conn, outside, await queued(conn), later(hours=1))
    (packed,) = await queued(conn, WorkState.PACKED)
    await hold(conn, key, later(hours=2))
    assert await hand_over(conn, outside, [packed.order], STAFF, later(hours=3)) == []
    assert (await ship_orders(conn, [packed.order], later(hours=3))).steps[0].outcome is StepOutcome.ON_HOLD
    assert [one.state for one in await read_work_of_order(conn, *key)] == [WorkState.PACKED]
    await release_order(conn, *key, "Checked", STAFF, later(hours=4))
    assert len(await hand_over(conn, outside, [packed.order], STAFF, later(hours=5))) == 1


async def test_holding_twice_and_releasing_twice_change_nothing(conn):
    _, key = await place_one(conn)
    assert [await hold(conn, key), await hold(conn, key, later(minutes=9), HoldReason.STOCK_CHECK)] == [HoldOutcome.DONE, HoldOutcome.EXISTS]
    (first,) = (await read_open_holds(conn, [key[0]], [key[1]])).values()
    assert (first.reason_code, first.held_by, first.held_at) == ("address_check", STAFF.code, later(minutes=5))
    assert [number for _, number, _ in await list_open_holds(conn, 10)] == [(await read_orders(conn, [key[0]], [key[1]]))[0].number]
    assert await release_order(conn, *key, "a", STAFF, later(hours=1)) is HoldOutcome.DONE
    assert await release_order(conn, *key, "b", STAFF, later(hours=2)) is HoldOutcome.EXISTS
    assert await list_open_holds(conn, 10) == []
    again = later(minutes=5)
    assert await hold(conn, key, again) is HoldOutcome.DONE
    assert await release_order(conn, *key, "c", STAFF, again) is HoldOutcome.DONE


async def test_what_has_left_cannot_be_held(conn):
    outside, key = await place_one(conn)
    await pick_and_pack(conn, outside, await queued(conn), later(hours=1))
    await hand_over(conn, outside, [entry.order for entry in await queued(conn, WorkState.PACKED)], STAFF, later(hours=2))
    with pytest.raises(NothingToHoldError):
        await hold(conn, key, later(hours=3))
    assert await read_open_holds(conn, [key[0]], [key[1]]) == {}


@pytest.mark.parametrize(("reason", "note"), [(HoldReason.OTHER_REASON, "  "), (HoldReason.ADDRESS_CHECK, "x" * 501)])
async def test_a_hold_says_why(conn, reason, note):
    _, key = await place_one(conn)
    with pytest.raises(HoldNoteMissingError):
        await hold(conn, key, reason=reason, note=note)
    with pytest.raises(HoldNoteMissingError):
        await release_order(conn, *key, note or " ", STAFF, later(hours=1))
    with pytest.raises(UnknownOrderError):
        await hold(conn, (key[0], key[0]))
    assert len(await queued(conn)) == 1


async def test_a_payment_that_arrives_meanwhile_does_not_start_the_work(conn):
    outside, key = await place_one(conn, method="card_ok")
    assert await hold(conn, key) is HoldOutcome.DONE
    await run_due(conn, outside, PAY, later(minutes=10), 10)
    assert [one.state for one in await read_work_of_order(conn, *key)] == [WorkState.QUEUED]
    assert await queued(conn) == []
    assert (await consignment_of(conn, key)).is_held
    await release_order(conn, *key, "Paid", STAFF, later(hours=1))
    assert len(await queued(conn)) == 1


async def test_a_merchant_cannot_send_what_is_held_and_is_not_late_with_it(conn):
    outside, key = await place_one(conn, "fbm")
    sent = await consignment_of(conn, key)
    await hold(conn, key)
    word = MerchantShipment(key[0], sent.consignment_id, "royal_mail", "RM123456785GB", later(hours=1))
    (refused,) = await answer_shipments(conn, outside, [word], STAFF, later(hours=1))
    assert refused.outcome is ConfirmOutcome.ON_HOLD
    assert await read_to_ship(conn, key[0], later(days=30)) == []
    late = sent.ship_by_at + timedelta(minutes=1)
    work = [Due(key[0], SHIP_BY, sent.consignment_id, sent.ship_by_at)]
    await warn_ship_by(conn, outside, work, late)
    assert [(row.due_at, row.attempt_count) for row in await list_due(conn, SHIP_BY, "", 10, 0)] == [(late + timedelta(hours=1), 0)]
    held_s = late - later(minutes=5)
    await release_order(conn, *key, "Checked", STAFF, late)
    (freed,) = await read_consignments(conn, [ConsignmentKey(key[0], sent.consignment_id)])
    assert (freed.is_held, freed.ship_by_at) == (False, sent.ship_by_at + held_s)
    await warn_ship_by(conn, outside, work, late + timedelta(hours=1))
    assert [row.due_at for row in await list_due(conn, SHIP_BY, "", 10, 0)] == [freed.ship_by_at]
    assert "ship_by_missed" not in [fact.fact_code for fact in await read_facts(conn, key[0], [sent.consignment_id])]
    await warn_ship_by(conn, outside, work, freed.ship_by_at)
    assert "ship_by_missed" in [fact.fact_code for fact in await read_facts(conn, key[0], [sent.consignment_id])]
    (answer,) = await answer_shipments(conn, outside, [word], STAFF, freed.ship_by_at)
    assert answer.outcome is ConfirmOutcome.NEW


async def test_a_held_order_can_still_be_cancelled(conn):
    outside, key = await place_one(conn)
    (entry,) = await queued(conn)
    await hold(conn, key)
    (answer,) = await cancel_units(conn, outside, [CancelAsk(*key, 1, 1, "platform", "fraud", "k1")], STAFF, later(hours=1))
    assert answer.cancelled == 1
    assert await list_open_holds(conn, 10) == []
    assert (await start_picking(conn, [OrderRef(key[0], entry.order.fulfilment_order_id)], [], later(hours=2))).steps[
        0
    ].outcome is not StepOutcome.DONE
    assert [row for prove in (prove_units, prove_reservations) for row in (await prove(conn))[1]] == []
    assert later(hours=1) > AT
