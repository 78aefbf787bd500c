"""Each law holds in a small house with a few orders, and each is shown to fail, with the row named, when the books are broken on purpose."""

import asyncio
import json
from argparse import Namespace
from contextlib import nullcontext

import psycopg
import pytest
from tests.factories.house import AT, BUYER, STAFF, find_offer, later, open_house, order_of, put_stock, request

from entrepot.adapters.bank import BuiltInBank
from entrepot.base.clock_store import advance_business_now
from entrepot.base.due import take_due
from entrepot.base.sql import execute, fetch_one
from entrepot.cli import check
from entrepot.flows.check_laws import PARTS, check_laws
from entrepot.flows.clear_customs import declare_consignments
from entrepot.flows.fulfil import MerchantShipment, confirm_shipments, hand_over, pick_and_pack
from entrepot.flows.order_to_cash import SETTLE, place_orders, settle_orders
from entrepot.flows.release import DECLARE
from entrepot.flows.settle_period import close_periods, collect_from_processor, send_payouts
from entrepot.flows.track import record_tracking
from entrepot.freight.model import CarrierEvent, TrackingState
from entrepot.freight.read import read_consignments_of_orders, read_parcels_of_orders
from entrepot.warehouse.model import WorkState
from entrepot.warehouse.readers import read_queue

pytestmark = pytest.mark.anyio

TITLES = ["Units", "Reservations", "Money", "Declarations", "Quota", "Evidence", "Promises", "Replay"]
END = later(days=21)
PLAIN = Namespace(json=False, hash=False)


async def live_in_a_house(conn):
    """Sell and settle at home, sell across a border, sell into China through customs, leave one order open; pay the merchants."""
    house, outside = await open_house(conn)
    await put_stock(conn, "demo-shenzhen-audio", "ARIA-HEADPHONES", "GB-LTN1", 9)
    await put_stock(conn, "demo-bavaria-outdoor", "PEAK-HAT", "SITE-MUC-OUTDOOR", 9)
    await put_stock(conn, "demo-tasman-health", "TASMAN-VITAMIN-C", "HK-HKG1", 9)
    headphones = await find_offer(conn, "demo-shenzhen-audio", "ARIA-HEADPHONES", "GB", "fba")
    hat = await find_offer(conn, "demo-bavaria-outdoor", "PEAK-HAT", "GB", "fbm")
    vitamins = await find_offer(conn, "demo-tasman-health", "TASMAN-VITAMIN-C", "CN_GP", "global_purchase")
    identity = {"identity_id": house.parties.identity_ids["demo-buyer-cn"], "has_accepted_risk": True}
    placed = await place_orders(
        conn,
        outside,
        [
            request([(headphones, 2)], "GB", "GB", person="demo-buyer-gb", method="test_wallet"),
            request([(hat, 3)], "GB", "GB", person="demo-buyer-gb", method="test_wallet"),
            request([(vitamins, 2)], "CN_GP", "CN", person="demo-buyer-cn", method="test_wallet", **identity),
        ],
        BUYER,
    )
    assert [answer.state for answer in placed] == ["placed"] * 3, placed
    keys = [order_of(answer) for answer in placed]
    await declare_consignments(conn, outside, await take_due(conn, DECLARE, AT, 10), AT)
    for place in ("GB-LTN1", "HK-HKG1"):
        await pick_and_pack(conn, outside, await read_queue(conn, place, WorkState.QUEUED, 100), later(hours=2))
        packed = [entry.order for entry in await read_queue(conn, place, WorkState.PACKED, 100)]
        await hand_over(conn, outside, packed, STAFF, later(hours=3))
    (hats,) = await read_consignments_of_orders(conn, [keys[1][0]], [keys[1][1]])
    sent = MerchantShipment(hats.merchant_id, hats.consignment_id, None, None, later(hours=4))
    await confirm_shipments(conn, outside, [sent], BUYER, later(hours=4))
    parcels = await read_parcels_of_orders(conn, [keys[0][0]], [keys[0][1]])
    arrived = later(days=2)
    events = [CarrierEvent(one.carrier_code, one.tracking_number, TrackingState.DELIVERED, arrived, arrived, "carrier") for one in parcels]
    await record_tracking(conn, outside, events, arrived)
    await settle_orders(conn, outside, await take_due(conn, SETTLE, later(days=12), 10), later(days=12))
    await close_periods(conn, outside, END)
    await send_payouts(conn, BuiltInBank(), END)
    await collect_from_processor(conn, END)
    late = request([(headphones, 1)], "GB", "GB", at=END, person="demo-buyer-gb", method="test_wallet")
    assert (await place_orders(conn, outside, [late], BUYER))[0].state == "placed"
    await advance_business_now(conn, END)
    return outside


async def fill(url):
    async with await psycopg.AsyncConnection.connect(url) as conn:
        return (await live_in_a_house(conn)).reference


@pytest.fixture(scope="module")
def lived_in(cluster):
    """A house in which all this has happened, and its reference; tests change it in transactions that are rolled back."""
    name = f"{cluster.prefix}_laws"
    url = cluster.clone(name)
    yield url, asyncio.run(fill(url))
    cluster.drop(name)


@pytest.fixture
async def house(lived_in, anyio_backend):
    """A connection to the house, and its reference."""
    url, reference = lived_in
    async with await psycopg.AsyncConnection.connect(url) as conn:
        yield conn, reference
        await conn.rollback()


async def test_all_laws_hold_and_each_is_held_against_rows(house):
    results = await check_laws(*house)
    assert [(result.law, result.title) for result in results] == list(enumerate(TITLES, start=1))
    assert [row for result in results for row in result.rows] == []
    assert [result.law for result in results if result.checked == 0 or result.broken] == []


FAULTS = [
    (1, "update stock_location set balance = balance + 1 where place_code = 'GB-LTN1' and spot_code like 'bin:%%' returning location_id", "location"),
    (1, "update stock_availability set on_hand = on_hand + 1 where place_code = 'GB-LTN1' returning stock_item_id", "availability of"),
    (1, "update fulfilment_line set packed = packed - 1 where packed > 1 returning fulfilment_order_id", "fulfilment order"),
    (2, "update stock_availability set reserved = reserved - 1 where reserved > 0 returning stock_item_id", "availability of"),
    (2, "update stock_reservation set state = 'consumed' where open_quantity > 0 returning holder_id", "reservation"),
    (
        2,
        """update customer_order set state = 'cancelled' where order_id in (select holder_id from stock_reservation where open_quantity > 0)
           returning order_id""",
        "holder",
    ),
    (3, "update money_entry set amount_minor = amount_minor + 1 where account_code = 'tax.GB' returning posting_id", "posting"),
    (3, "update payment set captured_minor = captured_minor - 1 where captured_minor > 0 returning checkout_id", "checkout"),
    (3, "update money_balance set posted_minor = posted_minor + 1 where account_code = 'psp' returning merchant_id", "balance psp"),
    (3, "update customer_order set state = 'settled' where state = 'shipped' returning order_id", "order"),
    (3, "update statement set closing_minor = closing_minor + 1, paid_out_minor = paid_out_minor + 1 returning merchant_id", "statement of"),
    (3, "update statement_line set amount_minor = amount_minor - 1 where kind = 'sales' returning statement_id", "statement"),
    (3, "update money_posting set kind = 'other' where kind = 'payout' returning merchant_id", "statement of"),
    (4, "update declaration_line set quantity = quantity + 1 returning declaration_id", "declaration"),
    (4, "update declaration_line set customs_value_minor = customs_value_minor + 1 returning declaration_id", "declaration_line"),
    (4, "update declaration_line set legal_unit_code = 'kg' returning declaration_id", "declaration"),
    (5, "update quota_year set used_minor = used_minor - 1, free_minor = free_minor + 1 where used_minor > 0 returning person_id", "quota_year"),
    (5, "update quota_entry set value_minor = value_minor + 1 where kind = 'hold' returning entry_key", "quota_entry"),
    (6, "delete from parcel_line returning parcel_id", "parcel"),
    (6, "update fee_line set inputs = '{}' returning cause_id", "fee_line"),
    (6, "update fee_line set rule_version = 'nobody' returning cause_id", "fee_line"),
    (6, "update declaration set state = 'cancelled' returning consignment_id", "parcel"),
    (6, "delete from audit_entry where command_code = 'place_order' returning subject_id", "order"),
    (7, "update promise set outcome = null where outcome is not null returning promise_id", "promise"),
    (7, "update order_line set promise_id = order_id returning order_id", "line"),
    (8, "update money_balance set posted_minor = posted_minor + 1 where account_code = 'psp' returning merchant_id", "account psp"),
    (8, "update stock_location set balance = balance + 1 where place_code = '@customer' returning location_id", "stock"),
    (8, "update business_clock set business_at = business_at - interval '30 days' returning only_row", "business clock"),
]


@pytest.mark.parametrize(("law", "fault", "name"), FAULTS)
async def test_a_broken_book_breaks_its_law_and_is_named(house, law, fault, name):
    conn, reference = house
    assert await fetch_one(conn, fault) is not None, "the fault touched nothing"
    result = (await check_laws(conn, reference))[law - 1]
    assert result.broken > 0
    assert any(row.startswith(name) for row in result.rows), result.rows


@pytest.mark.parametrize("part", PARTS, ids=lambda table: table.name)
async def test_a_row_without_the_row_it_is_part_of_is_named(house, part):
    conn, reference = house
    whole = part.info["part_of"]
    await execute(conn, "set local session_replication_role = 'replica'")  # the foreign keys of other tables stay out of it
    assert await fetch_one(conn, f"delete from {whole} w returning 1") is not None, "there was nothing to delete"
    result = (await check_laws(conn, reference))[5]
    assert any(row.startswith(f"{part.name} ") and row.endswith(f"its {whole} is missing") for row in result.rows), result.rows


async def test_a_refund_without_its_cause_is_named(house):
    conn, reference = house
    order = await fetch_one(conn, "select merchant_id, order_id, person_id from customer_order where state = 'settled'")
    params = {"m": order[0], "o": order[1], "p": order[2], "at": END}
    await execute(
        conn,
        """insert into refund (merchant_id, refund_id, order_id, person_id, cause_kind, cause_id, currency, state, total_minor, asked_at, goods_minor,
               discount_minor, freight_minor, insurance_minor, tax_minor, tax_on_top_minor, duty_minor)
           values (%(m)s, %(o)s, %(o)s, %(p)s, 'cancellation', %(o)s, 'GBP', 'paid', 0, %(at)s, 0, 0, 0, 0, 0, 0, 0)""",
        params,
    )
    await execute(
        conn,
        """insert into refund_line (merchant_id, refund_id, line_no, order_id, quantity, goods_minor, discount_minor, freight_minor, insurance_minor,
               tax_minor, tax_on_top_minor, duty_minor)
           values (%(m)s, %(o)s, 1, %(o)s, 0, 0, 0, 0, 0, 0, 0, 0)""",
        params,
    )
    result = (await check_laws(conn, reference))[5]
    assert result.rows == [f"refund of order {order[1]}: no cancellation happened there"]


def test_the_command_names_every_law_and_exits_one_if_any_is_broken(lived_in, monkeypatch, capsys):
    url, _ = lived_in
    monkeypatch.setattr(check, "current_database", lambda _settings: nullcontext(url))
    assert check.run(PLAIN) == 0
    told = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in told] == [["holds", str(law), title] for law, title in enumerate(TITLES, start=1)]
    with psycopg.connect(url, autocommit=True) as conn:
        promise_id, outcome = conn.execute("select promise_id, outcome from promise where outcome is not null").fetchone()
        conn.execute("update promise set outcome = null where promise_id = %s", [promise_id])
        assert check.run(Namespace(json=True, hash=False)) == 1
        laws = json.loads(capsys.readouterr().out)["laws"]
        assert check.run(PLAIN) == 1
        conn.execute("update promise set outcome = %s where promise_id = %s", [outcome, promise_id])
    assert [law["law"] for law in laws if law["broken"]] == [7]
    assert laws[6]["rows"] == [f"promise {promise_id} of a delivered order has no score"]
    assert "broken  7 Promises" in capsys.readouterr().out
