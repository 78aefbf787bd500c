"""Lists of any length, each page of them and each count held against the whole of a small house."""

import pytest
from tests.factories.house import AT
from tests.factories.shown_house import fill_house
from tests.store.settlement.test_invoices import MERCHANT, PLATFORM, draft

from entrepot.base.ids import derived_id
from entrepot.base.listed import ListAsk
from entrepot.base.sql import fetch
from entrepot.books.stock.model import SUPPLIER, Location, Move, StockPosting
from entrepot.books.stock.post import post_moves
from entrepot.books.stock.stock_list import StockAsk, find_stock, list_stock_places, read_free_units, sum_availability
from entrepot.catalogue.item_list import TITLE, find_item_id, list_skus, name_items, order_items
from entrepot.catalogue.model import stock_item_id_of
from entrepot.customs.lists import count_declaration_states, find_declarations_listed, list_held
from entrepot.orders.find import find_orders
from entrepot.orders.read import count_orders
from entrepot.orders.sales_list import SalesAsk, find_sales
from entrepot.parties.model import merchant_id_of
from entrepot.parties.store import order_merchants
from entrepot.settlement.invoices import insert_invoices
from entrepot.settlement.lists import find_invoices, find_payouts, find_statements

pytestmark = pytest.mark.anyio
AUDIO = merchant_id_of("demo-shenzhen-audio")
CABLE = stock_item_id_of(AUDIO, "LINK-CABLE")


async def test_stock_is_listed_with_what_is_coming_and_items_that_lie_nowhere(conn):
    await fill_house(conn, rounds=1)
    items = await order_items(conn, AUDIO, "", "sku")
    coming = {(CABLE, "GB-LTN1"): 7, (CABLE, "US-ONT1"): 5}
    whole = await find_stock(conn, StockAsk(AUDIO, items, coming), 1000, 0)
    assert whole.count == whole.all_count == len(whole.rows) == whole.some_count + whole.out_count
    assert [(one.place_code, one.on_hand, one.reserved, one.coming) for one in whole.rows if one.stock_item_id == CABLE] == [
        ("GB-LTN1", 300, 3, 7),
        ("US-ONT1", 0, 0, 5),
    ]
    assert {one.stock_item_id for one in whole.rows} == {item for item, _ in items}
    assert (whole.on_hand, whole.reserved) == await sum_availability(conn, AUDIO, None)
    assert whole.coming == 12
    assert [one.sku for one in (await name_items(conn, AUDIO, [CABLE])).values()] == ["LINK-CABLE"]
    titles = [(await name_items(conn, AUDIO, [CABLE], language))[CABLE].title for language in ("en", "de", "fr")]
    assert titles == ["Demo Link charging cable 2 m", "Demo Link Ladekabel 2 m", "Demo Link charging cable 2 m"]
    assert [item for item, fits in await order_items(conn, AUDIO, "ladekabel", TITLE, "de") if fits] == [CABLE]
    free = await find_stock(conn, StockAsk(AUDIO, items, {}, sort_key="free", is_descending=True), 1, 0)
    assert free.rows[0].on_hand - free.rows[0].reserved == max(one.on_hand - one.reserved for one in whole.rows)
    named = await find_stock(conn, StockAsk(AUDIO, await order_items(conn, AUDIO, "link", TITLE), {}, text="link"), 10, 0)
    assert [one.stock_item_id for one in named.rows] == [CABLE]
    at = await find_stock(conn, StockAsk(AUDIO, items, {}, place_code="GB-LTN1", standing="some"), 1000, 0)
    assert {one.place_code for one in at.rows} == {"GB-LTN1"}
    assert (at.all_count, at.count) == (whole.all_count - 1, len(at.rows))
    assert set(await list_stock_places(conn, AUDIO)) >= {"GB-LTN1", "US-ONT1"}
    assert (await read_free_units(conn, AUDIO, [CABLE]))[CABLE] == 297
    assert (await list_skus(conn, AUDIO, 2), await find_item_id(conn, AUDIO, "LINK-CABLE")) == (sorted(await list_skus(conn, AUDIO, 99))[:2], CABLE)


async def test_units_that_are_not_sellable_are_on_hand_and_not_free(conn):
    await fill_house(conn, rounds=1)
    items, name = await order_items(conn, AUDIO, "", "sku"), derived_id("damaged in the dock")
    broken = Location(AUDIO, AUDIO, CABLE, "US-ONT1", "bin:A-01", condition_code="damaged")
    await post_moves(conn, [StockPosting(AUDIO, name, AT, "receipt", name, [Move(Location(AUDIO, AUDIO, CABLE, SUPPLIER), broken, 4)])])
    found = await find_stock(conn, StockAsk(AUDIO, items, {}), 1000, 0)
    rows = {one.place_code: (one.condition_code, one.on_hand, one.free) for one in found.rows if one.stock_item_id == CABLE}
    assert rows == {"GB-LTN1": ("sellable", 300, 297), "US-ONT1": ("damaged", 4, 0)}
    assert (found.on_hand, found.reserved, found.free) == (found.free + found.reserved + 4, found.reserved, sum(one.free for one in found.rows))
    assert (await read_free_units(conn, AUDIO, [CABLE]))[CABLE] == 297
    out = await find_stock(conn, StockAsk(AUDIO, items, {}, standing="out"), 1000, 0)
    assert ("US-ONT1", CABLE) in {(one.place_code, one.stock_item_id) for one in out.rows}


async def test_orders_are_found_by_each_of_their_names_and_counted_by_model(conn):
    _, placed = await fill_house(conn, rounds=1)
    merchant_id, order_id = placed[0][0]
    ((number, checkout_id),) = await fetch(conn, "select number, checkout_id from customer_order where order_id = %(order)s", {"order": order_id})
    await conn.execute("update customer_order set reference = 'SHOP-1' where order_id = %s", (order_id,))
    for text, key in ((number.lower(), None), ("SHOP-1", None), (str(order_id), order_id), (str(checkout_id), checkout_id)):
        assert [(one.merchant_id, one.subject_id, one.label) for one in await find_orders(conn, text, key)] == [(merchant_id, order_id, number)]
    assert await find_orders(conn, "", None) == []
    listed = await fetch(conn, "select model_code, count(distinct (merchant_id, order_id)) from order_line group by 1 order by 1")
    sums: dict[str, int] = {}
    for model_code, _, count in await count_orders(conn):
        sums[model_code] = sums.get(model_code, 0) + count
    assert sums == dict(listed)


async def test_a_merchants_orders_are_cut_before_their_lines_are_read(conn):
    await fill_house(conn, rounds=2)
    whole = await find_sales(conn, SalesAsk(AUDIO), 100, 0)
    assert whole.count == len(whole.rows)
    assert whole.unit_count == sum(one.unit_count for one in whole.rows)
    for key in ("placed_at", "number", "state", "total", "units", "store"):
        paged = [row for offset in range(whole.count) for row in (await find_sales(conn, SalesAsk(AUDIO, sort_key=key), 1, offset)).rows]
        assert sorted(one.number for one in paged) == sorted(one.number for one in whole.rows)
    some = await find_sales(conn, SalesAsk(AUDIO, model_code="fba"), 100, 0)
    assert some.rows == [one for one in whole.rows if "fba" in one.model_codes]
    assert dict(some.totals)["GBP"] == sum(one.total_minor for one in some.rows if one.currency == "GBP")


async def test_declarations_keep_their_order_over_all_states(conn):
    await fill_house(conn, rounds=2)
    whole = await find_declarations_listed(conn, ListAsk(sort_key="at", is_descending=True, limit=100))
    assert [one.state_at for one in whole.rows] == sorted((one.state_at for one in whole.rows), reverse=True)
    assert whole.count == len(whole.rows) == sum((await count_declaration_states(conn)).values()) > 0
    pages = [
        row
        for offset in range(whole.count)
        for row in (await find_declarations_listed(conn, ListAsk(sort_key="at", is_descending=True, limit=1, offset=offset))).rows
    ]
    assert pages == whole.rows
    merchants = await order_merchants(conn, "lyon")
    mine = await find_declarations_listed(conn, ListAsk(text="lyon", merchants=merchants, sort_key="merchant", limit=100))
    assert {one.merchant_id for one in mine.rows} == {merchant_id_of("demo-lyon-beauty")}
    assert await list_held(conn, 10) == [one for one in whole.rows if one.state == "held"]


async def test_invoices_are_listed_by_number_merchant_and_kind_with_their_sums(conn):
    await insert_invoices(conn, [draft("a", 1), draft("b", 2), draft("c", 3)])
    whole = await find_invoices(conn, ListAsk(sort_key="issued", is_descending=True, limit=10), MERCHANT)
    assert (whole.count, whole.has_more, whole.sums["gross_minor"]) == (3, False, [("EUR", 3570)])
    assert [one.issued_at for one in whole.rows] == sorted((one.issued_at for one in whole.rows), reverse=True)
    assert (await find_invoices(conn, ListAsk({"kind": "sale"}), PLATFORM)).count == 0
    assert (await find_invoices(conn, ListAsk(text="FEE-2026-9"))).rows == []
    assert (await find_payouts(conn, ListAsk(sort_key="paid"))).count == 0
    assert (await find_statements(conn, ListAsk(sort_key="to", is_descending=True))).rows == []
