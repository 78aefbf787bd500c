"""Returns: asked for within the policy, taken by whoever the plan names, refunded apart from the shelf, with tax and year as customs decides."""

import pytest
from msgspec.structs import replace
from tests.factories.house import BUYER, STAFF, find_offer, later, open_house, order_of, put_stock, request
from tests.flows.test_cancel import ask, broken, cancel, quota, snapshot, standing, state_of, sums, told

from entrepot.aftersales.model import Outcome, ReturnChoice, ReturnState, ReturnUnits
from entrepot.aftersales.store import list_returns_of_orders
from entrepot.base.due import take_due
from entrepot.base.sql import fetch
from entrepot.books.money.read import read_order_sums
from entrepot.books.stock.read import read_units
from entrepot.flows.clear_customs import declare_consignments
from entrepot.flows.fulfil import MerchantShipment, confirm_shipments, hand_over, pick_and_pack
from entrepot.flows.order_to_cash import SETTLE, place_orders, settle_orders
from entrepot.flows.release import DECLARE
from entrepot.flows.return_goods import (
    BackReceipt,
    Graded,
    ReturnVerdict,
    ReturnWish,
    Verdict,
    ask_returns,
    decide_returns,
    grade_back,
    receive_back,
    send_back,
)
from entrepot.flows.track import record_tracking
from entrepot.freight.model import CarrierEvent, TrackingState
from entrepot.freight.read import read_consignments_of_orders, read_parcels_of_orders
from entrepot.warehouse.grading import Disposition, Grade
from entrepot.warehouse.model import WorkState
from entrepot.warehouse.readers import read_queue

pytestmark = pytest.mark.anyio

AUDIO, OUTDOOR, LYON = "demo-shenzhen-audio", "demo-bavaria-outdoor", "demo-lyon-beauty"
MERCHANT = replace(BUYER, code="merchant")


async def work_floor(conn, outside, place, at):
    await pick_and_pack(conn, outside, await read_queue(conn, place, WorkState.QUEUED, 100), at)
    await hand_over(conn, outside, [entry.order for entry in await read_queue(conn, place, WorkState.PACKED, 100)], STAFF, at)


async def deliver(conn, outside, key, at):
    parcels = await read_parcels_of_orders(conn, [key[0]], [key[1]])
    events = [CarrierEvent(p.carrier_code, p.tracking_number, TrackingState.DELIVERED, at, at, "carrier") for p in parcels]
    await record_tracking(conn, outside, events, at)


async def delivered(conn, outside, quantity=3):
    """Headphones in Britain at 46.99, packed and delivered by the platform after two days."""
    await put_stock(conn, AUDIO, "ARIA-HEADPHONES", "GB-LTN1", 10)
    offer = await find_offer(conn, AUDIO, "ARIA-HEADPHONES", "GB", "fba")
    (answer,) = await place_orders(conn, outside, [request([(offer, quantity)], "GB", "GB")], BUYER)
    await work_floor(conn, outside, "GB-LTN1", later(hours=3))
    await deliver(conn, outside, order_of(answer), later(days=2))
    return order_of(answer)


def wish(key, quantity, name="one", **more):
    return ReturnWish(*key, ((1, quantity),), more.pop("reason", "changed_mind"), name, **more)


async def ask_back(conn, outside, *wishes, at=None):
    return await ask_returns(conn, outside, wishes, BUYER, at or later(days=5))


async def one_return(conn, key):
    return (await list_returns_of_orders(conn, key[0], [key[1]]))[-1]


def graded(key, rma, quantity, grade=Grade.SELLABLE, disposition=Disposition.RESTOCK, line=1, **more):
    if disposition is not Disposition.DISPOSE:
        more.setdefault("bin_code", "B-01")
    return Graded(key[0], rma, line, 1, quantity, grade, disposition, **more)


async def fees(conn, code):
    return [row[0] for row in await fetch(conn, "select amount_minor from fee_line where fee_code = %(code)s order by amount_minor", {"code": code})]


# -- taken by the platform -------------------------------------------------------------------------------------------


async def test_a_return_to_the_platform_is_refunded_on_the_scan_and_restocked(conn):
    _, outside = await open_house(conn)
    key = await delivered(conn, outside)
    before = await sums(conn, key)
    referral = sum(await fees(conn, "referral"))
    assert before["psp"] == 14097
    (answer,) = await ask_back(conn, outside, wish(key, 1))
    assert (answer.code, answer.deadline_at) == ("requested", later(days=47))
    (rma,) = answer.rma_ids
    assert (await one_return(conn, key)).state is ReturnState.APPROVED
    assert (await one_return(conn, key)).place_code == "GB-LTN1"
    assert await send_back(conn, outside, [(key[0], rma)], BUYER, later(days=6)) == [Outcome.DONE]
    assert dict(await read_units(conn)) == {"@customer": 2, "@return": 1, "@supplier": -10, "GB-LTN1": 7}
    assert (await standing(conn, key)).returned == 0
    assert await receive_back(conn, outside, [BackReceipt(key[0], rma)], STAFF, later(days=9)) == [Outcome.DONE]
    after = await sums(conn, key)
    line = await standing(conn, key)
    assert (line.returned, line.refunded) == (1, 1)
    assert after["psp"] == 9398
    assert (before["tax.GB"], after["tax.GB"]) == (-2350, -1567)
    assert await fees(conn, "referral") == [-(referral // 3), referral]
    assert await fees(conn, "refund_administration") != []
    assert await fetch(conn, "select on_hand from stock_availability where condition_code = 'sellable' and place_code = 'GB-LTN1'") == [(7,)]
    assert await broken(conn, outside, later(days=9)) == []
    assert await grade_back(conn, outside, [graded(key, rma, 1)], STAFF, later(days=10)) == {(key[0], rma): Outcome.DONE}
    assert await fetch(conn, "select on_hand from stock_availability where condition_code = 'sellable' and place_code = 'GB-LTN1'") == [(8,)]
    assert (await one_return(conn, key)).state is ReturnState.CLOSED
    assert await sums(conn, key) == after
    assert await broken(conn, outside, later(days=10)) == []


async def test_each_step_of_a_return_counts_once(conn):
    _, outside = await open_house(conn)
    key = await delivered(conn, outside)
    (answer,) = await ask_back(conn, outside, wish(key, 2))
    (rma,) = answer.rma_ids
    assert [(one.code, one.rma_ids) for one in await ask_back(conn, outside, wish(key, 2), wish(key, 2, "two"))] == [
        ("exists", (rma,)),
        ("more_than_delivered", ()),
    ]
    for at in (6, 7):
        outcomes = await send_back(conn, outside, [(key[0], rma)], BUYER, later(days=at))
    assert outcomes == [Outcome.EXISTS]
    for at in (8, 9):
        received = await receive_back(conn, outside, [BackReceipt(key[0], rma)], STAFF, later(days=at))
    assert received == [Outcome.EXISTS]
    once = await snapshot(conn)
    found = [graded(key, rma, 1), graded(key, rma, 1, Grade.CUSTOMER_DAMAGED, Disposition.KEEP)]
    for at in (10, 11):
        outcome = await grade_back(conn, outside, found, STAFF, later(days=at))
    assert outcome == {(key[0], rma): Outcome.EXISTS}
    assert (await snapshot(conn))["money"] == once["money"]
    assert dict(await read_units(conn)) == {"@customer": 1, "@supplier": -10, "GB-LTN1": 9}
    held = await fetch(conn, "select condition_code, on_hand from stock_availability where on_hand > 0 order by 1")
    assert held == [("damaged", 1), ("sellable", 8)]
    assert await broken(conn, outside, later(days=11)) == []


async def test_all_units_returned_after_settlement_leave_only_the_platforms_fees(conn):
    _, outside = await open_house(conn)
    key = await delivered(conn, outside)
    await settle_orders(conn, outside, await take_due(conn, SETTLE, later(days=20), 10), later(days=20))
    settled = await sums(conn, key)
    assert settled["mer"] < 0
    for number, (units, at) in enumerate(((1, 21), (2, 25)), start=1):
        (answer,) = await ask_back(conn, outside, wish(key, units, f"rma-{number}"), at=later(days=at))
        await receive_back(conn, outside, [BackReceipt(key[0], answer.rma_ids[0])], STAFF, later(days=at + 3))
    after = await sums(conn, key)
    charged = sum(await fees(conn, "fulfilment")) + sum(await fees(conn, "refund_administration")) + sum(await fees(conn, "returns_processing"))
    assert {account: minor for account, minor in after.items() if not account.startswith("fee.")} == {"mer": after["mer"]}
    assert after["mer"] == -sum(minor for account, minor in after.items() if account.startswith("fee."))
    assert after["mer"] >= charged > 0
    assert sum(await fees(conn, "referral")) == 0
    assert await read_order_sums(conn, "rsv", [key[0]], [key[1]]) == [(*key, "GBP", 0)]
    (checkout,) = await fetch(conn, "select state from checkout")
    assert checkout[0] == "refunded"
    assert await state_of(conn, key) == "settled"
    assert await broken(conn, outside, later(days=28)) == []


async def test_what_did_not_come_stays_with_the_buyer_and_may_come_later(conn):
    _, outside = await open_house(conn)
    key = await delivered(conn, outside)
    (answer,) = await ask_back(conn, outside, wish(key, 3))
    (rma,) = answer.rma_ids
    await send_back(conn, outside, [(key[0], rma)], BUYER, later(days=6))
    receipt = BackReceipt(key[0], rma, (ReturnUnits(1, 1, 2),))
    assert await receive_back(conn, outside, [replace(receipt, received=(ReturnUnits(1, 1, 4),))], STAFF, later(days=8)) == [Outcome.QUANTITY_DIFFERS]
    assert await receive_back(conn, outside, [receipt], STAFF, later(days=8)) == [Outcome.DONE]
    assert dict(await read_units(conn)) == {"@customer": 1, "@supplier": -10, "GB-LTN1": 9}
    assert (await sums(conn, key))["psp"] == 4699
    bad = graded(key, rma, 1, Grade.DAMAGED, Disposition.DISPOSE, evidence="crushed, picture 7")
    assert await grade_back(conn, outside, [graded(key, rma, 2), bad], STAFF, later(days=9)) == {(key[0], rma): Outcome.QUANTITY_DIFFERS}
    assert await grade_back(conn, outside, [graded(key, rma, 1), bad], STAFF, later(days=9)) == {(key[0], rma): Outcome.DONE}
    assert dict(await read_units(conn)) == {"@customer": 1, "@gone": 1, "@supplier": -10, "GB-LTN1": 8}
    (again,) = await ask_back(conn, outside, wish(key, 1, "rest"), at=later(days=20))
    assert again.code == "requested"
    await receive_back(conn, outside, [BackReceipt(key[0], again.rma_ids[0])], STAFF, later(days=22))
    assert "psp" not in await sums(conn, key)
    assert await broken(conn, outside, later(days=22)) == []


async def test_too_late_and_not_there(conn):
    _, outside = await open_house(conn)
    key = await delivered(conn, outside)
    before = await snapshot(conn)
    late = await ask_back(conn, outside, wish(key, 1), at=later(days=33))
    odd = await ask_back(conn, outside, ReturnWish(*key, ((2, 1),), "defective", "odd"), wish(key, 4, "much"))
    assert [one.code for one in (*late, *odd)] == ["too_late", "unknown", "more_than_delivered"]
    assert await snapshot(conn) == before
    assert await list_returns_of_orders(conn, key[0], [key[1]]) == []


async def test_part_cancelled_part_returned_part_kept(conn):
    _, outside = await open_house(conn)
    await put_stock(conn, AUDIO, "ARIA-HEADPHONES", "GB-LTN1", 10)
    offer = await find_offer(conn, AUDIO, "ARIA-HEADPHONES", "GB", "fba")
    (answer,) = await place_orders(conn, outside, [request([(offer, 3)], "GB", "GB")], BUYER)
    key = order_of(answer)
    assert told(await cancel(conn, outside, ask(key, 1))) == [("done", 1, 4699)]
    await work_floor(conn, outside, "GB-LTN1", later(hours=3))
    await deliver(conn, outside, key, later(days=2))
    (asked,) = await ask_back(conn, outside, wish(key, 2))
    await receive_back(conn, outside, [BackReceipt(key[0], asked.rma_ids[0], (ReturnUnits(1, 1, 1),))], STAFF, later(days=8))
    line = await standing(conn, key)
    assert (line.quantity, line.cancelled, line.shipped, line.delivered, line.returned, line.refunded) == (3, 1, 2, 2, 1, 2)
    totals = await sums(conn, key)
    assert (totals["psp"], totals["tax.GB"]) == (4699, -783)
    assert await broken(conn, outside, later(days=8)) == []


async def test_destroyed_where_it_is(conn):
    _, outside = await open_house(conn)
    key = await delivered(conn, outside)
    (answer,) = await ask_back(conn, outside, wish(key, 1, reason="defective", choice=ReturnChoice.DESTROY))
    assert answer.code == "requested"
    assert (await one_return(conn, key)).state is ReturnState.CLOSED
    assert dict(await read_units(conn)) == {"@customer": 2, "@gone": 1, "@supplier": -10, "GB-LTN1": 7}
    assert (await sums(conn, key))["psp"] == 9398
    assert (await standing(conn, key)).returned == 1
    assert [one.code for one in await ask_back(conn, outside, wish(key, 3, "more"))] == ["more_than_delivered"]
    assert await broken(conn, outside, later(days=5)) == []


# -- taken by the merchant -------------------------------------------------------------------------------------------


async def test_a_merchant_decides_receives_grades_and_only_then_pays_back(conn):
    _, outside = await open_house(conn)
    await put_stock(conn, OUTDOOR, "COURT-RACKET", "SITE-MUC-OUTDOOR", 5)
    offer = await find_offer(conn, OUTDOOR, "COURT-RACKET", "DE", "fbm")
    (answer,) = await place_orders(conn, outside, [request([(offer, 2)], "DE", "DE")], BUYER)
    key = order_of(answer)
    (consignment,) = await read_consignments_of_orders(conn, [key[0]], [key[1]])
    shipment = MerchantShipment(key[0], consignment.consignment_id, consignment.carrier_code, "M12345", later(hours=2))
    await confirm_shipments(conn, outside, [shipment], MERCHANT, later(hours=2))
    await deliver(conn, outside, key, later(days=2))
    first, second = await ask_back(conn, outside, wish(key, 1), wish(key, 1, "two"))
    rma = first.rma_ids[0]
    stored = {one.rma_id: one for one in await list_returns_of_orders(conn, key[0], [key[1]])}
    assert {one.state for one in stored.values()} == {ReturnState.REQUESTED}
    verdicts = [
        ReturnVerdict(key[0], rma, Verdict.APPROVE),
        ReturnVerdict(key[0], second.rma_ids[0], Verdict.REFUSE, "worn"),
    ]
    assert await decide_returns(conn, outside, verdicts, MERCHANT, later(days=6)) == [Outcome.DONE, Outcome.DONE]
    assert await decide_returns(conn, outside, verdicts, MERCHANT, later(days=6)) == [Outcome.EXISTS, Outcome.EXISTS]
    await send_back(conn, outside, [(key[0], rma)], BUYER, later(days=7))
    await receive_back(conn, outside, [BackReceipt(key[0], rma)], MERCHANT, later(days=9))
    assert (await sums(conn, key))["psp"] == 16398
    assert dict(await read_units(conn)) == {"@customer": 1, "@return": 1, "@supplier": -5, "SITE-MUC-OUTDOOR": 3}
    await grade_back(conn, outside, [graded(key, rma, 1)], MERCHANT, later(days=9))
    assert (await sums(conn, key))["psp"] == 8199
    assert dict(await read_units(conn)) == {"@customer": 1, "@supplier": -5, "SITE-MUC-OUTDOOR": 4}
    assert await fetch(conn, "select on_hand from stock_availability where condition_code = 'sellable'") == [(4,)]
    assert await broken(conn, outside, later(days=9)) == []


# -- China -----------------------------------------------------------------------------------------------------------


async def china_delivered(conn, house, outside, quantity=2):
    """Creams out of bond for a buyer in China: 180.00 each, half from each of two lots."""
    await put_stock(conn, LYON, "ROSE-CREAM", "CN-NGB1", 1, lot="L1", status="bonded")
    await put_stock(conn, LYON, "ROSE-CREAM", "CN-NGB1", 5, lot="L2", status="bonded")
    offer = await find_offer(conn, LYON, "ROSE-CREAM", "CN_GP", "global_purchase")
    identity = house.parties.identity_ids["demo-buyer-cn"]
    asked = request([(offer, quantity)], "CN_GP", "CN", person="demo-buyer-cn", identity_id=identity, has_accepted_risk=True)
    (answer,) = await place_orders(conn, outside, [asked], BUYER)
    await declare_consignments(conn, outside, await take_due(conn, DECLARE, later(minutes=5), 10), later(minutes=5))
    await work_floor(conn, outside, "CN-NGB1", later(hours=3))
    await deliver(conn, outside, order_of(answer), later(days=3))
    assert await quota(conn) == [(18000 * quantity, 0)]
    return order_of(answer)


async def test_a_china_return_in_time_gives_tax_and_year_back(conn):
    house, outside = await open_house(conn)
    key = await china_delivered(conn, house, outside)
    before = await sums(conn, key)
    (answer,) = await ask_back(conn, outside, wish(key, 1))
    (rma,) = answer.rma_ids
    await send_back(conn, outside, [(key[0], rma)], BUYER, later(days=6))
    await receive_back(conn, outside, [BackReceipt(key[0], rma)], STAFF, later(days=20))
    after = await sums(conn, key)
    assert after["psp"] * 2 == before["psp"]
    assert after["cbec_tax.CN"] * 2 == before["cbec_tax.CN"]
    assert await quota(conn) == [(18000, 0)]
    await grade_back(conn, outside, [graded(key, rma, 1)], STAFF, later(days=21))
    lots = await fetch(conn, "select lot_code, customs_status, balance from stock_location where spot_code = 'bin:B-01' and balance > 0")
    assert lots == [("L1", "bonded", 1)]
    assert await broken(conn, outside, later(days=21)) == []
    await receive_back(conn, outside, [BackReceipt(key[0], rma)], STAFF, later(days=22))
    assert await quota(conn) == [(18000, 0)]


async def test_a_china_return_that_comes_too_late_keeps_tax_and_year(conn):
    house, outside = await open_house(conn)
    key = await china_delivered(conn, house, outside)
    before = await sums(conn, key)
    (answer,) = await ask_back(conn, outside, wish(key, 2), at=later(days=29))
    (rma,) = answer.rma_ids
    await send_back(conn, outside, [(key[0], rma)], BUYER, later(days=30))
    await receive_back(conn, outside, [BackReceipt(key[0], rma)], STAFF, later(days=50))
    after = await sums(conn, key)
    assert before["psp"] - after["psp"] == 36000
    assert after["cbec_tax.CN"] == before["cbec_tax.CN"]
    assert after["psp"] == -before["cbec_tax.CN"]
    assert await quota(conn) == [(36000, 0)]
    await grade_back(conn, outside, [graded(key, rma, 2)], STAFF, later(days=51))
    lots = await fetch(conn, "select lot_code, customs_status, balance from stock_location where spot_code = 'bin:B-01' and balance > 0 order by 1")
    assert lots == [("L1", "free", 1), ("L2", "free", 1)]
    assert await broken(conn, outside, later(days=51)) == []
