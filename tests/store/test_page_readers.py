"""What pages read: lists and pages of the books and of orders, each held against what a small house did."""

import pytest
from tests.factories.house import AT
from tests.factories.shown_house import SALES, fill_house

from entrepot.base.audit import read_facts
from entrepot.base.ids import derived_id
from entrepot.books.money.read import list_account_entries, read_balances, read_posting
from entrepot.books.stock.read import list_availability, list_locations, list_moves
from entrepot.catalogue.model import stock_item_id_of
from entrepot.orders.read import count_states, list_orders, read_progress
from entrepot.parties.model import merchant_id_of
from entrepot.parties.sign_in import close_staff, find_active_staff

pytestmark = pytest.mark.anyio
AUDIO = merchant_id_of("demo-shenzhen-audio")
LEEDS = merchant_id_of("demo-leeds-kitchen")
CABLE = stock_item_id_of(AUDIO, "LINK-CABLE")


async def test_orders_are_counted_and_paged_by_merchant_state_and_model(conn):
    _, placed = await fill_house(conn, rounds=2)
    assert await count_states(conn, None) == {"in_work": 9 + 3, "shipped": 6}
    assert await count_states(conn, AUDIO, "fba") == {"in_work": 3, "shipped": 3}
    assert await count_states(conn, LEEDS, "fba") == {}
    listed = await list_orders(conn, None, None, 100, 0, "fbm")
    assert len(listed) == 2 * sum(sale[3] == "fbm" for sale in SALES)
    assert {row.model_codes for row in listed} == {("fbm",)}
    assert await list_orders(conn, AUDIO, "shipped", 2, 1, "fba") == (await list_orders(conn, AUDIO, "shipped", 100, 0))[1:3]
    merchant_id, order_id = placed[0][0]
    progress = await read_progress(conn, merchant_id, order_id)
    assert [(one.quantity, one.shipped, one.delivered) for one in progress] == [(2, 2, 0)]
    assert await read_progress(conn, LEEDS, order_id) == []
    assert {one.fact_code for one in await read_facts(conn, merchant_id, [order_id])} >= {"order_placed", "parcel_shipped"}
    assert await read_facts(conn, LEEDS, [order_id]) == []


async def test_stock_lists_show_one_merchants_units(conn):
    await fill_house(conn, rounds=2)
    cable = {one.location.place_code: one.quantity for one in await list_locations(conn, AUDIO, CABLE, 100)}
    assert cable == {"@supplier": -300, "@carrier": 3, "GB-LTN1": 297}
    assert sum(one.quantity for one in await list_locations(conn, AUDIO, None, 1000)) == 0
    assert len(await list_locations(conn, AUDIO, None, 3)) == 3
    assert await list_locations(conn, LEEDS, CABLE, 100) == []
    available = {one.key.place_code: (one.on_hand, one.reserved) for one in await list_availability(conn, AUDIO) if one.key.stock_item_id == CABLE}
    assert available == {"GB-LTN1": (297, 3)}
    moves = await list_moves(conn, AUDIO, CABLE, 100, 0)
    assert sorted(one.cause_kind for one in moves) == ["pack", "pick", "receipt", "ship"]
    assert moves[-1].at == AT
    assert await list_moves(conn, AUDIO, CABLE, 2, 1) == moves[1:3]
    assert await list_moves(conn, LEEDS, CABLE, 100, 0) == []


async def test_an_accounts_entries_add_up_to_its_balance(conn):
    await fill_house(conn, rounds=2)
    mine = await list_account_entries(conn, AUDIO, "psp", "GBP", 1000, 0)
    balance = next(one for one in await read_balances(conn, AUDIO) if (one.account_code, one.currency) == ("psp", "GBP"))
    assert sum(entry.amount_minor for _, entry in mine) == balance.posted_minor
    assert {merchant_id for merchant_id, _ in mine} == {AUDIO}
    everybody = await list_account_entries(conn, None, "psp", "GBP", 1000, 0)
    assert {merchant_id for merchant_id, _ in everybody} == {AUDIO, LEEDS}
    assert await list_account_entries(conn, None, "psp", "GBP", 2, 1) == everybody[1:3]
    assert await list_account_entries(conn, None, "psp", "JPY", 10, 0) == []
    entries = await read_posting(conn, AUDIO, mine[0][1].posting_id)
    assert sum(entry.amount_minor for entry in entries) == 0
    assert len(entries) >= 2
    assert await read_posting(conn, LEEDS, mine[0][1].posting_id) == []


async def test_closed_accounts_are_not_offered(conn):
    await fill_house(conn, rounds=1)
    ids = [derived_id("demo_staff", login) for login in ("operator", "finance", "nobody")]
    assert await find_active_staff(conn, ids) == set(ids[:2])
    await close_staff(conn, ids[:1], AT)
    assert await find_active_staff(conn, ids) == {ids[1]}
