"""A buyer in a real browser: four items of three merchants under different models, watched to the door, one of them sent back; and a Chinese buyer."""

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import psycopg
import pytest
from tests.factories.browser import chromium, sign_in, watch_console
from tests.factories.house import STAFF, Outside
from tests.factories.served import served
from tests.factories.shown_house import deliver, fill_house, keep_keyring, run_steps, work

from entrepot.base.clock_store import advance_business_now, read_business_now
from entrepot.flows.fulfil import MerchantShipment, confirm_shipments
from entrepot.freight.read import read_consignments_of_orders
from entrepot.orders.read import list_person_orders
from entrepot.parties.demo import demo_person_id

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(chromium() is None, reason="no Chromium on the PATH; install it (Debian, Ubuntu: apt-get install chromium)"),
]
ITEMS = (("headphones", "Demo Aria"), ("hat", "Demo Peak"), ("knife", "Demo Dale"), ("glasses", "Demo Moor"))
REFUSED = "status of 422 (Unprocessable Entity)"
"""What Chromium itself writes about a form that was refused, as one of these walks wants it."""
SITES = ("SITE-MUC-OUTDOOR", "SITE-LDS-KITCHEN")


class World:
    """The house behind the pages: its database and the outside with which its staff and carriers work."""

    def __init__(self, url, outside: Outside):
        self.url, self.outside = url, outside

    def carry(self, person, step):
        """Let the floors and carriers do what they do next for a buyer's latest orders; the browser's driver keeps this thread's loop."""
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(asyncio.run, self._carry(person, step)).result()

    async def _carry(self, person, step):
        async with await psycopg.AsyncConnection.connect(self.url) as conn:
            now = await read_business_now(conn) + timedelta(hours=6)
            orders = await list_person_orders(conn, demo_person_id(person), 3)
            keys = [(one.merchant_id, one.order_id) for one in orders]
            await run_steps(conn, self.outside, now)
            await step(conn, self.outside, keys, now)
            await advance_business_now(conn, now)


async def send(conn, outside, keys, now):
    """Pack what the platform packs, and let merchants confirm what they sent themselves."""
    await work(conn, outside, ("GB-LTN1", "GB-MAN2"), now)
    own = [one for one in await read_consignments_of_orders(conn, [key[0] for key in keys], [key[1] for key in keys]) if one.place_code in SITES]
    shipments = [MerchantShipment(one.merchant_id, one.consignment_id, one.carrier_code, f"W{one.consignment_id.hex[-8:]}", now) for one in own]
    await confirm_shipments(conn, outside, shipments, STAFF, now)


async def arrive(conn, outside, keys, now):
    """Let carriers bring everything to the door."""
    await deliver(conn, keys, outside, now)


@pytest.fixture(scope="module")
def world(cluster):
    name = f"{cluster.prefix}_walk"
    url = cluster.clone(name)

    async def fill():
        async with await psycopg.AsyncConnection.connect(url) as conn:
            return (await fill_house(conn, rounds=1))[0]

    yield World(url, asyncio.run(fill()))
    cluster.drop(name)


@pytest.fixture(scope="module")
def address(world, tmp_path_factory):
    with served(world.url, keep_keyring(tmp_path_factory.mktemp("data"))) as address:
        yield address


@pytest.fixture
def page(browser):
    """A page of a fresh visitor, whose console must stay silent."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-GB")
    page = context.new_page()
    page.set_default_timeout(20_000)
    complaints = watch_console(page)
    yield page
    context.close()
    assert [one for one in complaints if not one.endswith(REFUSED)] == []


def test_a_buyer_orders_of_three_merchants_watches_the_deliveries_and_returns_one(world, address, page):
    for words, title in ITEMS:
        page.goto(f"{address}/store/GB?q={words}")
        page.locator(".product a", has_text=title).first.click()
        page.get_by_role("button", name="Add to basket").click()
        page.wait_for_url("**/basket?*")
    assert page.locator(".basket-count").inner_text() == "4"
    assert page.locator(".delivery-head").count() == 4
    sign_in(page, address, "buyer-gb")
    page.goto(f"{address}/store/GB/basket")
    assert page.locator(".basket-line").count() == 4
    page.get_by_role("link", name="Go to checkout").click()
    page.get_by_role("heading", name="Delivery 4 of 4").wait_for()
    badges = page.locator(".delivery-head .badge").all_inner_texts()
    assert sorted(badges) == ["Merchant", "Merchant", "Platform", "Platform"]
    shown = page.locator(".summary .sums-total dd").inner_text()
    page.get_by_role("button", name=f"Pay {shown}").click()
    page.get_by_role("heading", name="Thank you").wait_for()
    orders = [link.get_attribute("href") for link in page.locator("h2 a[href^='/orders/']").all()]
    assert len(orders) == 3

    world.carry("demo-buyer-gb", send)
    for order in orders:
        page.goto(address + order)
        assert page.locator("#watched .pill", has_text="Shipped").count() == 1
        assert page.get_by_text("Expected now").count() >= 1
    world.carry("demo-buyer-gb", arrive)
    for order in orders:
        page.goto(address + order)
        assert page.locator("#watched .way-card .pill", has_text="Delivered").count() == 1

    page.get_by_role("link", name="Return items").click()
    page.locator("select[name^=units]").first.select_option("1")
    page.get_by_label("Reason").select_option("defective")
    page.get_by_role("button", name="Continue").click()
    back = re.search(r"Send it back: (\S+) back", page.locator("label", has_text="Send it back").inner_text())[1]
    page.get_by_role("button", name="Ask for the return").click()
    page.get_by_role("heading", name="Your return").wait_for()
    assert back.startswith("£")
    assert page.locator(".step-now").inner_text() in {"Requested", "Approved"}


def test_a_chinese_buyer_passes_identity_risk_notice_and_quota(address, page):
    sign_in(page, address, "buyer-cn")
    page.goto(f"{address}/store/CN_GP")
    page.locator(".product a").first.click()
    assert page.locator(".label dl div").count() > 2
    page.get_by_role("group", name="Import limit of the year").wait_for()
    page.get_by_role("button", name="Add to basket").click()
    page.get_by_role("link", name="Go to checkout").click()
    before = page.locator(".meter-head").inner_text()
    page.get_by_role("button", name="Pay").click()
    page.locator("#risk-fault").wait_for()
    page.get_by_label("Name on the card").fill("明 示例")
    page.get_by_label("Resident identity number").fill("11010519491231002X")
    page.get_by_label("I have read the notice and accept it.").check()
    page.get_by_role("button", name="Pay").click()
    page.get_by_role("heading", name="Thank you").wait_for()
    page.goto(f"{address}/store/CN_GP")
    page.locator(".product a").first.click()
    assert page.locator(".meter-head").inner_text() != before
