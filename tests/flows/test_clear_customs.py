"""What customs may do with an order: hold, refuse, know of a full year, meet another payer, turn parcels back; and what is cancelled after release."""

import pytest
from tests.factories.china import (
    BONDED,
    DIRECT,
    FULL,
    HELD,
    LIMIT,
    ORDERER,
    PAYER,
    REFUSED,
    TASMAN,
    VITAMIN,
    balances,
    declare,
    declared,
    deliver,
    offer_at,
    order,
    pack,
    place,
    proofs,
    send,
    snapshot,
    state_of,
    stock,
    with_customs,
    year,
)
from tests.factories.house import AT, BUYER, STAFF, find_offer, later, open_house, order_of, put_stock, request

from entrepot.base.audit import read_acts
from entrepot.base.due import take_due
from entrepot.books.stock.read import read_locations, read_units
from entrepot.catalogue.model import stock_item_id_of
from entrepot.customs.fit import read_order_quota
from entrepot.customs.hold import report_elsewhere
from entrepot.customs.model import AnswerKind
from entrepot.customs.quota import ElsewhereAsk
from entrepot.customs.read import read_turned_back
from entrepot.flows.cancel import cancel_units
from entrepot.flows.choose_units import CancelAsk
from entrepot.flows.clear_customs import DECLARE, GIVE_UP, RETRY_AFTER, give_up_held
from entrepot.flows.fulfil import MerchantShipment, confirm_shipments
from entrepot.flows.order_to_cash import EXPIRE, SETTLE, expire_holds, place_orders, settle_orders
from entrepot.flows.redeclare import redeclare
from entrepot.flows.refuse_at_border import AfterRefusal, customs_refuses
from entrepot.flows.take_over import TakeOver, TakeOverOutcome, take_over_as_payer
from entrepot.flows.undelivered import GradedParcel, GradeOutcome, grade_undelivered, receive_undelivered
from entrepot.freight.model import ConsignmentKey, ParcelKey
from entrepot.freight.read import read_consignments_of_orders, read_parcels_of_orders
from entrepot.orders.model import CheckoutState
from entrepot.orders.pay import read_checkouts, read_payments, set_payers
from entrepot.orders.read import read_orders, read_standings
from entrepot.parties.model import merchant_id_of
from entrepot.warehouse.grading import Disposition, Grade

pytestmark = pytest.mark.anyio


async def one_order(conn, outside, place_code=BONDED, quantity=1, price="480.00", units=3):
    offer = await offer_at(conn, TASMAN, VITAMIN, price)
    await stock(conn, TASMAN, VITAMIN, place_code, units)
    empty = await snapshot(conn)
    _, key = await place(conn, outside, [(offer, quantity)])
    return key, empty


async def parcel_keys(conn, key):
    return [ParcelKey(one.merchant_id, one.parcel_id) for one in await read_parcels_of_orders(conn, [key[0]], [key[1]])]


async def money_of(conn, key):
    order_row = (await read_orders(conn, [key[0]], [key[1]]))[0]
    (payment,) = await read_payments(conn, [order_row.person_id], [order_row.checkout_id])
    (checkout,) = await read_checkouts(conn, [order_row.person_id], [order_row.checkout_id])
    return payment.captured_minor, payment.refunded_minor, checkout.state


async def cancel(conn, outside, key, quantity, at, line_no=1):
    return await cancel_units(conn, outside, [CancelAsk(key[0], key[1], line_no, quantity, "buyer", "changed mind")], BUYER, at)


async def give_up(conn, outside, at):
    work = await take_due(conn, GIVE_UP, at, 10)
    if work:
        await give_up_held(conn, outside, work, at)
    return len(work)


# -- held, refused, full ---------------------------------------------------------------------------------------------


async def test_a_held_declaration_is_submitted_again_and_released(conn):
    _, outside = await open_house(conn)
    outside = with_customs(outside, HELD)
    key, _ = await one_order(conn, outside)
    await declare(conn, outside, AT)
    assert await declared(conn, key) == [(1, "import", "1210", "held", "inspection")]
    assert (await state_of(conn, key), await year(conn)) == ("paid", (0, 48_000, 0, LIMIT - 48_000))
    assert await declare(conn, outside, later(hours=5)) == 0
    assert await declare(conn, outside, AT + RETRY_AFTER) == 1
    assert await declared(conn, key) == [(1, "import", "1210", "released", "")]
    assert (await state_of(conn, key), await year(conn)) == ("in_work", (48_000, 0, 0, LIMIT - 48_000))
    assert [one.attempt for one in outside.customs.sent] == [1, 2]
    assert await give_up(conn, outside, later(days=30)) == 0
    assert await proofs(conn, outside, later(days=1)) == []


@pytest.mark.parametrize("place_code", [BONDED, DIRECT])
async def test_a_refusal_restores_everything_and_pays_back(conn, place_code):
    _, outside = await open_house(conn)
    outside = with_customs(outside, REFUSED)
    key, empty = await one_order(conn, outside, place_code, quantity=2)
    await declare(conn, outside, AT)
    rows = await declared(conn, key)
    assert (1, "import", {BONDED: "1210", DIRECT: "9610"}[place_code], "refused", "inspection_failed") in rows
    assert {row[3] for row in rows} <= {"refused", "withdrawn"}
    assert await snapshot(conn) == empty
    assert await money_of(conn, key) == (104_736, 104_736, CheckoutState.REFUNDED)
    assert await state_of(conn, key) == "cancelled"
    assert await declare(conn, outside, later(days=1)) == 0
    assert await proofs(conn, outside, AT) == []


async def test_a_refused_export_stops_the_import(conn):
    _, outside = await open_house(conn)
    outside = with_customs(outside, ("export", AnswerKind.REFUSED, "inspection_failed"))
    key, empty = await one_order(conn, outside, DIRECT)
    await declare(conn, outside, AT)
    assert [row[1:4] for row in await declared(conn, key)] == [("export", "EXPORT", "refused"), ("import", "9610", "withdrawn")]
    assert await snapshot(conn) == empty
    assert await proofs(conn, outside, AT) == []


async def test_a_year_that_is_full_elsewhere_ends_the_order_and_stays_full(conn):
    _, outside = await open_house(conn)
    outside = with_customs(outside, FULL)
    key, empty = await one_order(conn, outside)
    await declare(conn, outside, AT)
    assert await declared(conn, key) == [(1, "import", "1210", "refused", "year_limit_reached")]
    assert await year(conn) == (0, 0, LIMIT, 0)
    after = await snapshot(conn)
    assert {name: after[name] for name in ("money", "units", "availability")} == {name: empty[name] for name in ("money", "units", "availability")}
    assert await money_of(conn, key) == (52_368, 52_368, CheckoutState.REFUNDED)
    offer = await find_offer(conn, TASMAN, VITAMIN, "CN_GP", "global_purchase")
    (answer,) = await place_orders(conn, outside, [order([(offer, 1)])], BUYER)
    assert answer.refusal.code == "cbec_year_over_limit"
    assert await proofs(conn, outside, AT) == []


async def test_what_stays_held_is_given_up_and_paid_back(conn):
    _, outside = await open_house(conn)
    outside = with_customs(outside, *[HELD] * 99)
    key, empty = await one_order(conn, outside)
    for number in range(5):
        assert await declare(conn, outside, later(hours=6 * number)) == 1
    assert await give_up(conn, outside, later(days=14)) == 0
    assert await give_up(conn, outside, later(days=15)) == 1
    assert await declared(conn, key) == [(1, "import", "1210", "cancelled", "held_too_long")]
    assert await snapshot(conn) == empty
    assert await money_of(conn, key) == (52_368, 52_368, CheckoutState.REFUNDED)
    assert await take_due(conn, DECLARE, later(days=99), 10) == []
    assert await proofs(conn, outside, later(days=15)) == []


async def test_one_refused_consignment_leaves_the_other_its_share_of_the_year(conn):
    _, outside = await open_house(conn)
    outside = with_customs(outside, ("export", AnswerKind.REFUSED, "inspection_failed"))
    vitamin, oil = await offer_at(conn, TASMAN, VITAMIN, "100.00"), await offer_at(conn, TASMAN, "TASMAN-FISH-OIL", "200.00")
    await stock(conn, TASMAN, VITAMIN, BONDED, 3)
    await stock(conn, TASMAN, "TASMAN-FISH-OIL", DIRECT, 3)
    _, key = await place(conn, outside, [(vitamin, 1), (oil, 1)])
    await declare(conn, outside, AT)
    assert await year(conn) == (10_000, 0, 0, LIMIT - 10_000)
    assert (await money_of(conn, key))[1] == 20_000 + 1_820
    assert await state_of(conn, key) == "in_work"
    await send(conn, outside, BONDED, later(hours=1))
    assert await state_of(conn, key) == "shipped"
    assert await proofs(conn, outside, later(hours=1)) == []


# -- fewer goods than declared ---------------------------------------------------------------------------------------


async def test_a_part_cancelled_before_customs_saw_it_is_not_declared(conn):
    _, outside = await open_house(conn)
    key, _ = await one_order(conn, outside, quantity=3)
    await cancel(conn, outside, key, 1, AT)
    assert await year(conn) == (0, 96_000, 0, LIMIT - 96_000)
    await declare(conn, outside, AT)
    assert await declared(conn, key) == [(1, "import", "1210", "released", "")]
    assert await year(conn) == (96_000, 0, 0, LIMIT - 96_000)
    await send(conn, outside, BONDED, later(hours=1))
    assert await proofs(conn, outside, later(hours=1)) == []


@pytest.mark.parametrize("is_packing", [False, True])
async def test_a_part_cancelled_after_release_is_declared_again(conn, is_packing):
    _, outside = await open_house(conn)
    key, _ = await one_order(conn, outside, DIRECT, quantity=3, price="33.33")
    await declare(conn, outside, AT)
    (consignment,) = await read_consignments_of_orders(conn, [key[0]], [key[1]])
    if is_packing:
        await redeclare(conn, outside, [ConsignmentKey(key[0], consignment.consignment_id)], later(minutes=5))  # nothing changed, nothing happens
    await cancel(conn, outside, key, 1, later(minutes=10))
    assert await year(conn) == (6_666, 0, 0, LIMIT - 6_666)
    assert await declare(conn, outside, later(minutes=10)) == 1
    states = [(row[0], row[1], row[3]) for row in await declared(conn, key)]
    assert states == [(1, "export", "withdrawn"), (1, "import", "withdrawn"), (2, "export", "released"), (2, "import", "released")]
    assert await year(conn) == (6_666, 0, 0, LIMIT - 6_666)
    assert (await balances(conn, key[0]))["fee.customs_service"] == -600
    await send(conn, outside, DIRECT, later(hours=1))
    await deliver(conn, outside, key, later(days=5))
    assert await state_of(conn, key) == "delivered"
    assert await proofs(conn, outside, later(days=5)) == []


async def test_all_cancelled_after_release_gives_the_year_back(conn):
    _, outside = await open_house(conn)
    key, empty = await one_order(conn, outside)
    await declare(conn, outside, AT)
    await pack(conn, outside, BONDED, later(minutes=5))
    (answer,) = await cancel(conn, outside, key, 1, later(minutes=10))
    assert answer.refund_minor == 52_368
    assert await declared(conn, key) == [(1, "import", "1210", "withdrawn", "goods_changed")]
    assert await year(conn) == (0, 0, 0, LIMIT)
    assert {name: rows for name, rows in (await snapshot(conn)).items() if name in ("units", "availability", "quota")} == {
        name: rows for name, rows in empty.items() if name in ("units", "availability", "quota")
    }
    assert await balances(conn, key[0]) == {"fee.customs_service": -600, "rsv": 600}  # customs did its work, the merchant owes it
    assert await proofs(conn, outside, later(minutes=10)) == []


async def test_a_part_cancelled_in_a_full_year_counts_as_used_elsewhere(conn):
    _, outside = await open_house(conn)
    key, _ = await one_order(conn, outside, quantity=3, price="100.00")
    await report_elsewhere(conn, [ElsewhereAsk(ORDERER, 2026, LIMIT, "report", None, AT, "customs_reported_full")])
    assert await year(conn) == (0, 30_000, LIMIT - 30_000, 0)
    await cancel(conn, outside, key, 1, AT)
    assert await year(conn) == (0, 20_000, LIMIT - 20_000, 0)
    await declare(conn, outside, AT)
    assert await year(conn) == (20_000, 0, LIMIT - 20_000, 0)
    assert await proofs(conn, outside, AT) == []


async def test_an_unpaid_order_of_which_a_part_was_cancelled_gives_its_whole_hold_back_when_it_expires(conn):
    _, outside = await open_house(conn)
    offer = await offer_at(conn, TASMAN, VITAMIN, "100.00")
    await stock(conn, TASMAN, VITAMIN, BONDED, 3)
    _, key = await place(conn, outside, [(offer, 3)], method="card_slow")
    await cancel(conn, outside, key, 1, later(minutes=1))
    assert await year(conn) == (0, 20_000, 0, LIMIT - 20_000)
    await expire_holds(conn, outside, await take_due(conn, EXPIRE, later(hours=1), 10), later(hours=1))
    assert await state_of(conn, key) == "cancelled"
    assert await year(conn) == (0, 0, 0, LIMIT)
    assert await proofs(conn, outside, later(hours=1)) == []


# -- another payer ---------------------------------------------------------------------------------------------------


async def paid_by_another(conn, outside):
    key, empty = await one_order(conn, outside)
    order_row = (await read_orders(conn, [key[0]], [key[1]]))[0]
    await set_payers(conn, [order_row.person_id], [order_row.checkout_id], [PAYER])
    await declare(conn, outside, AT)
    return key, empty


async def test_the_payer_takes_the_order_over(conn):
    _, outside = await open_house(conn)
    key, _ = await paid_by_another(conn, outside)
    assert await declared(conn, key) == [(1, "import", "1210", "held", "payer_differs")]
    assert await declare(conn, outside, later(days=2)) == 0  # waiting removes nothing
    ask = TakeOver(key[0], key[1], "consent given by the payer in the store, 8 September 2026")
    (answer,) = await take_over_as_payer(conn, outside, [ask], BUYER, later(days=2))
    assert answer.outcome is TakeOverOutcome.DONE
    assert (await year(conn), await year(conn, PAYER)) == ((0, 0, 0, LIMIT), (0, 48_000, 0, LIMIT - 48_000))
    assert await declare(conn, outside, later(days=2)) == 1
    assert await declared(conn, key) == [(1, "import", "1210", "cancelled", "payer_took_over"), (2, "import", "1210", "released", "")]
    assert await year(conn, PAYER) == (48_000, 0, 0, LIMIT - 48_000)
    assert ask.consent in [row[4] for row in await read_acts(conn, key[0], [key[1]])]
    (again,) = await take_over_as_payer(conn, outside, [ask], BUYER, later(days=3))
    assert again.outcome is TakeOverOutcome.NOT_HELD
    await send(conn, outside, BONDED, later(days=3))
    assert await proofs(conn, outside, later(days=3)) == []


async def test_a_payer_without_room_in_the_year_cannot_take_over(conn):
    _, outside = await open_house(conn)
    key, _ = await paid_by_another(conn, outside)
    await report_elsewhere(conn, [ElsewhereAsk(PAYER, 2026, LIMIT, "report", None, AT, "customs_reported_full")])
    before = await snapshot(conn)
    (answer,) = await take_over_as_payer(conn, outside, [TakeOver(key[0], key[1], "yes")], BUYER, later(days=1))
    assert (answer.outcome, answer.free_minor) == (TakeOverOutcome.YEAR_OVER, 0)
    assert await snapshot(conn) == before
    assert await declared(conn, key) == [(1, "import", "1210", "held", "payer_differs")]


async def test_without_consent_the_order_is_given_up(conn):
    _, outside = await open_house(conn)
    key, empty = await paid_by_another(conn, outside)
    assert await give_up(conn, outside, later(days=15)) == 1
    assert await snapshot(conn) == empty
    assert await money_of(conn, key) == (52_368, 52_368, CheckoutState.REFUNDED)
    assert await proofs(conn, outside, later(days=15)) == []


# -- refused on the way ----------------------------------------------------------------------------------------------


async def under_way(conn, outside, place_code=DIRECT):
    key, empty = await one_order(conn, outside, place_code)
    await declare(conn, outside, AT)
    await send(conn, outside, place_code, later(hours=2))
    return key, empty


async def test_a_parcel_that_customs_turns_back_comes_home_and_is_paid_back(conn):
    _, outside = await open_house(conn)
    key, _ = await under_way(conn, outside)
    parcels = await parcel_keys(conn, key)
    assert len(await customs_refuses(conn, outside, parcels, AfterRefusal.RETURN, later(days=2))) == 1
    assert dict(await read_units(conn)) == {"@return": 1, "@supplier": -3, DIRECT: 2}
    assert await money_of(conn, key) == (52_368, 52_368, CheckoutState.REFUNDED)
    assert await year(conn) == (0, 0, 0, LIMIT)
    (standing,) = await read_standings(conn, [key[0]], [key[1]])
    assert (standing.shipped, standing.lost, standing.refunded, standing.delivered) == (1, 1, 1, 0)
    assert (await balances(conn, key[0])).get("cbec_tax.CN", 0) == 0
    before = await snapshot(conn)
    assert await customs_refuses(conn, outside, parcels, AfterRefusal.RETURN, later(days=2)) == []
    assert await customs_refuses(conn, outside, parcels, AfterRefusal.DESTROY, later(days=3)) == []
    await deliver(conn, outside, key, later(days=5))  # a carrier's late word moves nothing any more
    assert await snapshot(conn) == before
    assert await receive_undelivered(conn, outside, parcels, STAFF, later(days=6)) == parcels
    assert await receive_undelivered(conn, outside, parcels, STAFF, later(days=7)) == []
    item = stock_item_id_of(key[0], VITAMIN)
    bench = [one for one in await read_locations(conn, [key[0]], [item], [DIRECT]) if one.location.spot_code == "bench"]
    assert [(one.quantity, one.location.condition_code, one.location.lot_code) for one in bench] == [(1, "quarantine", "L2409")]
    found = GradedParcel(key[0], parcels[0].parcel_id, item, 1, Grade.SELLABLE, Disposition.RESTOCK, "A-01")
    assert await grade_undelivered(conn, outside, [found], STAFF, later(days=7)) == {parcels[0]: GradeOutcome.GRADED}
    assert dict(await read_units(conn)) == {"@supplier": -3, DIRECT: 3}
    await settle_orders(conn, outside, await take_due(conn, SETTLE, later(days=40), 10), later(days=40))
    assert await state_of(conn, key) == "settled"
    assert await proofs(conn, outside, later(days=40)) == []


async def test_a_parcel_destroyed_after_release_keeps_counting_to_the_year(conn):
    _, outside = await open_house(conn)
    key, _ = await under_way(conn, outside, BONDED)
    parcels = await parcel_keys(conn, key)
    assert len(await customs_refuses(conn, outside, parcels, AfterRefusal.DESTROY, later(days=2))) == 1
    assert dict(await read_units(conn)) == {"@gone": 1, "@supplier": -3, BONDED: 2}
    assert await money_of(conn, key) == (52_368, 52_368, CheckoutState.REFUNDED)
    assert await year(conn) == (48_000, 0, 0, LIMIT - 48_000)
    told = await read_turned_back(conn, [key[0]], [parcels[0].parcel_id])
    assert told[key[0], parcels[0].parcel_id]["choice"] == "destroy"
    assert await receive_undelivered(conn, outside, parcels, STAFF, later(days=6)) == []
    assert await proofs(conn, outside, later(days=6)) == []


async def test_a_delivered_parcel_is_not_refused_any_more(conn):
    _, outside = await open_house(conn)
    key, _ = await under_way(conn, outside)
    await deliver(conn, outside, key, later(days=5))
    before = await snapshot(conn)
    assert await customs_refuses(conn, outside, await parcel_keys(conn, key), AfterRefusal.RETURN, later(days=6)) == []
    assert await snapshot(conn) == before


# -- ordinary borders ------------------------------------------------------------------------------------------------


async def ordinary(conn, outside, quantity=2):
    """An order of the ordinary kind that leaves Munich for Britain."""
    await put_stock(conn, "demo-bavaria-outdoor", "TRAIL-BACKPACK", "SITE-MUC-OUTDOOR", 5)
    offer = await find_offer(conn, "demo-bavaria-outdoor", "TRAIL-BACKPACK", "GB", "fbm")
    (answer,) = await place_orders(conn, outside, [request([(offer, quantity)], "GB", "GB", person="demo-buyer-gb")], BUYER)
    assert answer.state == "placed", answer.refusal
    return order_of(answer)


async def test_an_ordinary_parcel_is_declared_while_it_is_packed(conn):
    _, outside = await open_house(conn)
    key = await ordinary(conn, outside)
    assert await state_of(conn, key) == "in_work"  # nobody waits for customs
    await declare(conn, outside, AT)
    rows = await declared(conn, key)
    assert [row[1] for row in rows] == ["export", "import"]
    assert {row[3] for row in rows} == {"released"}
    assert await proofs(conn, outside, AT) == []
    await cancel(conn, outside, key, 1, later(hours=1))
    assert await declare(conn, outside, later(hours=1)) == 1
    assert [(row[0], row[1], row[3]) for row in await declared(conn, key)] == [
        (1, "export", "withdrawn"),
        (1, "import", "withdrawn"),
        (2, "export", "released"),
        (2, "import", "released"),
    ]
    assert await proofs(conn, outside, later(hours=1)) == []


async def test_an_ordinary_parcel_that_customs_refuses_is_cancelled(conn):
    _, outside = await open_house(conn)
    outside = with_customs(outside, REFUSED)
    key = await ordinary(conn, outside)
    await declare(conn, outside, AT)
    assert await state_of(conn, key) == "cancelled"
    captured, refunded, _ = await money_of(conn, key)
    assert captured == refunded > 0
    assert await proofs(conn, outside, AT) == []


async def test_an_ordinary_parcel_that_left_before_customs_refused_it_turns_back(conn):
    _, outside = await open_house(conn)
    outside = with_customs(outside, REFUSED)
    key = await ordinary(conn, outside)
    (consignment,) = await read_consignments_of_orders(conn, [key[0]], [key[1]])
    shipment = MerchantShipment(key[0], consignment.consignment_id, None, None, later(hours=1))
    await confirm_shipments(conn, outside, [shipment], STAFF, later(hours=1))
    await declare(conn, outside, later(hours=2))
    assert {(row[1], row[3]) for row in await declared(conn, key)} == {("export", "released"), ("import", "refused")}
    assert dict(await read_units(conn)) == {"@return": 2, "@supplier": -5, "SITE-MUC-OUTDOOR": 3}
    captured, refunded, _ = await money_of(conn, key)
    assert captured == refunded > 0
    assert await take_due(conn, DECLARE, later(days=99), 10) == []
    assert await proofs(conn, outside, later(hours=2)) == []


async def test_a_second_version_that_is_refused_after_hand_over_turns_the_parcel_back(conn):
    _, outside = await open_house(conn)
    key, _ = await one_order(conn, outside, BONDED, quantity=2, price="100.00")
    await declare(conn, outside, AT)
    await cancel(conn, outside, key, 1, later(minutes=5))
    await send(conn, outside, BONDED, later(minutes=10))
    await declare(conn, with_customs(outside, REFUSED), later(minutes=15))
    assert [(row[0], row[3]) for row in await declared(conn, key)] == [(1, "withdrawn"), (2, "refused")]
    assert dict(await read_units(conn)) == {"@return": 1, "@supplier": -3, BONDED: 2}
    assert await year(conn) == (0, 0, 0, LIMIT)
    captured, refunded, _ = await money_of(conn, key)
    assert captured == refunded == 21_820
    assert await proofs(conn, outside, later(minutes=15)) == []


async def test_the_years_of_orders_can_be_read(conn):
    _, outside = await open_house(conn)
    key, _ = await one_order(conn, outside)
    found = await read_order_quota(conn, [ORDERER, PAYER], [key[1], key[1]])
    assert [(one.attempt, one.held_minor, one.used_minor) for one in found.values()] == [(1, 48_000, 0)]
    assert merchant_id_of(TASMAN) == key[0]
