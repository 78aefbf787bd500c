"""Pages in a real browser: a person buys, the operator watches, and the console stays silent."""

import re

import pytest
from tests.factories.browser import chromium, sign_in, watch_console
from tests.factories.opened import filled_and_served
from tests.factories.shown_house import fill_database

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(chromium() is None, reason="no Chromium on the PATH; install it (Debian, Ubuntu: apt-get install chromium)"),
]
NARROW = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def address(cluster, tmp_path_factory):
    """Address of a house with some days of trade, served by a process of its own."""
    with filled_and_served(cluster, "browser", fill_database, tmp_path_factory.mktemp("data")) as address:
        yield address


@pytest.fixture
def page(browser):
    """A page of a fresh visitor, whose console must stay silent."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.set_default_timeout(20_000)
    complaints = watch_console(page)
    yield page
    context.close()
    assert complaints == []


def test_a_person_buys_and_the_operator_opens_timeline_and_postings(address, browser, page):
    operator = browser.new_context().new_page()
    complaints = watch_console(operator)
    sign_in(operator, address, "operator")
    operator.goto(f"{address}/operator")
    operator.locator(".live-on").wait_for()
    operator.locator("#proof .pill-success").nth(7).wait_for()

    sign_in(page, address, "buyer-gb")
    page.goto(f"{address}/store/GB")
    page.get_by_role("searchbox").fill("aria headphones")
    page.get_by_role("searchbox").press("Enter")
    page.get_by_role("link", name="Demo Aria wireless headphones").click()
    page.get_by_label("Quantity").fill("2")
    page.locator("#quote .sums-total", has_text="£93.98").wait_for()
    page.get_by_role("button", name="Buy now").click()
    page.get_by_role("button", name="Pay £93.98").click()
    page.get_by_role("heading", name="Thank you").wait_for()
    number = re.search(r"E\d{4}-\d{4}-\d{4}-\d{4}", page.content())[0]

    operator.locator(".feed-new", has_text="Order placed").first.wait_for()
    operator.get_by_role("searchbox").fill(number)
    operator.get_by_role("searchbox").press("Enter")
    operator.get_by_role("heading", name=number).wait_for()
    assert operator.locator(".moment", has_text="Take payment").count() == 1
    operator.locator(".posting a", has_text="Sale").first.click()
    operator.get_by_role("heading", name="Sale").wait_for()
    assert operator.locator("tbody tr").count() == 3
    operator.context.close()
    assert complaints == []


def test_a_purchase_works_without_scripts(address, browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    sign_in(page, address, "buyer-gb")
    page.goto(f"{address}/store/GB?q=earbuds")
    page.locator(".product a").first.click()
    page.get_by_role("button", name="Buy now").click()
    page.get_by_role("button", name="Pay").click()
    assert "Thank you" in page.content()
    context.close()


def test_pages_fit_a_telephone(address, browser):
    context = browser.new_context(viewport=NARROW)
    page = context.new_page()
    sign_in(page, address, "operator")
    wide = {}
    for path in ("/operator", "/orders", "/stock", "/stock?view=balances", "/postings", "/operations", "/store/GB", "/store/CN_GP", "/sign-in"):
        page.goto(address + path)
        page.wait_for_load_state("load")
        wide[path] = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    order = page.goto(f"{address}/orders") and page.locator(".row-link").first
    order.click()
    page.get_by_role("heading", name="Timeline").wait_for()
    wide["order"] = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    context.close()
    assert wide == dict.fromkeys(wide, 0)


def test_times_are_shown_in_the_viewers_zone_and_utc_on_hover(address, browser):
    context = browser.new_context(timezone_id="Asia/Tokyo")
    page = context.new_page()
    sign_in(page, address, "operator")
    page.goto(f"{address}/orders?state=delivered")
    first = page.locator("tbody time").first
    shown, title = first.inner_text(), first.get_attribute("title")
    context.close()
    assert (shown[-5:], title[-9:]) == ("18:00", "09:00 UTC")


def test_keyboard_reaches_the_content_first(address, page):
    page.goto(f"{address}/operations")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#main"
