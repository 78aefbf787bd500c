"""A merchant that sends parcels itself, in a real browser: it ships one order, answers a message and declines another, and the console stays silent."""

import pytest
from tests.factories.browser import chromium, sign_in, watch_console
from tests.factories.merchant_house import QUESTION, fill_merchant_database
from tests.factories.opened import filled_and_served

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(chromium() is None, reason="no Chromium on the PATH; install it (Debian, Ubuntu: apt-get install chromium)"),
]
PATHS = (
    *("/merchant", "/merchant/ship", "/merchant/ship/pick-list", "/merchant/orders", "/merchant/messages", "/merchant/money", "/merchant/fees"),
    *("/merchant/money/statements", "/merchant/money/payouts", "/merchant/listings", "/merchant/listings/bulk", "/merchant/stock"),
    *("/merchant/stock/MOOR-TEAPOT", "/merchant/start", "/merchant/settings"),
)


@pytest.fixture(scope="module")
def address(cluster, tmp_path_factory):
    with filled_and_served(cluster, "merchant_walk", fill_merchant_database, tmp_path_factory.mktemp("data")) as address:
        yield address


def test_a_merchant_ships_answers_and_declines(address, browser):
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    page.set_default_timeout(20_000)
    complaints = watch_console(page)
    sign_in(page, address, "merchant-gb")
    page.locator(".tile", has_text="To do").locator(".tile-figure", has_text="6").wait_for()

    page.get_by_role("link", name="9 days late").click()
    page.get_by_label("Tracking number").fill("JD0146 0000 4821")
    page.get_by_role("button", name="Confirm shipment").click()
    page.locator(".toast", has_text="The parcel is on its way").wait_for()
    assert page.locator("tbody tr").count() == 1

    page.get_by_role("link", name="Messages").first.click()
    page.locator("tbody tr", has_text=QUESTION).get_by_role("link").click()
    page.get_by_label("Your answer").fill("Yes: it leaves today and arrives on Thursday.")
    page.get_by_role("button", name="Send answer").click()
    page.locator(".said-merchant", has_text="arrives on Thursday").wait_for()

    page.get_by_role("link", name="To ship").first.click()
    page.locator(".c-first a").click()
    page.get_by_role("button", name="Decline to send").click()
    assert page.locator("select[name=reason]").evaluate("field => field.validity.valueMissing")
    page.get_by_label("Reason").select_option("out_of_stock")
    page.get_by_role("button", name="Decline to send").click()
    page.get_by_role("heading", name="Nothing to ship").wait_for()

    page.goto(f"{address}/merchant")
    page.locator(".tile", has_text="To do").locator(".tile-figure", has_text="3").wait_for()
    page.goto(f"{address}/merchant/orders?view=cancelled")
    page.locator(".c-first a").click()
    page.get_by_text("Decline consignment").wait_for()
    page.context.close()
    assert complaints == []


def test_the_merchants_pages_fit_a_telephone(address, browser):
    page = browser.new_context(viewport={"width": 390, "height": 844}).new_page()
    complaints = watch_console(page)
    sign_in(page, address, "merchant-gb")
    wide = {}
    for path in PATHS:
        page.goto(address + path)
        wide[path] = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    page.context.close()
    assert wide == dict.fromkeys(PATHS, 0)
    assert complaints == []
