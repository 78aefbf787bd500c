"""The operator in a real browser: finds an order by its number, opens its postings, holds and releases it, and corrects a posting with a second person."""

import re

import pytest
from tests.factories.browser import chromium, sign_in, watch_console
from tests.factories.opened import filled_and_served
from tests.factories.shown_house import fill_database

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(chromium() is None, reason="no Chromium on the PATH; install it (Debian, Ubuntu: apt-get install chromium)"),
]


@pytest.fixture(scope="module")
def address(cluster, tmp_path_factory):
    with filled_and_served(cluster, "operator_walk", fill_database, tmp_path_factory.mktemp("data")) as address:
        yield address


def member(browser, address, login):
    """Return a page of somebody who is signed in, and what its console complains about."""
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    page.set_default_timeout(20_000)
    complaints = watch_console(page)
    sign_in(page, address, login)
    return page, complaints


def test_the_operator_finds_holds_releases_and_corrects_with_a_second_approval(address, browser):
    operator, complaints = member(browser, address, "operator")
    operator.goto(f"{address}/orders?state=in_work&model=fba")
    number = operator.locator(".row-link").first.inner_text()
    operator.goto(f"{address}/operator/tower")
    operator.get_by_role("searchbox").first.fill(number)
    operator.get_by_role("searchbox").first.press("Enter")
    operator.get_by_role("heading", name=number).wait_for()
    order = operator.url

    operator.get_by_text("Hold this order").click()
    operator.get_by_label("Reason").select_option("address_check")
    operator.get_by_label("Note").fill("Street number is missing")
    operator.get_by_role("button", name="Hold the order").click()
    operator.get_by_role("heading", name="On hold").wait_for()
    operator.get_by_label("Why it goes on").fill("The buyer called")
    operator.get_by_role("button", name="Release the order").click()
    operator.get_by_text("Hold this order").wait_for()
    assert operator.locator(".moment", has_text="Release order").count() == 1

    operator.locator(".posting a", has_text="Sale").first.click()
    operator.get_by_role("heading", name="Sale").wait_for()
    operator.get_by_role("link", name="Correct this posting").click()
    operator.get_by_label("Account").nth(0).fill("loss")
    operator.get_by_label("Debit").nth(0).fill("2.50")
    operator.get_by_label("Account").nth(1).fill("mer")
    operator.get_by_label("Credit").nth(1).fill("2.40")
    operator.get_by_label("Reason").fill("Goodwill was forgotten")
    operator.get_by_role("button", name="Propose the correction").click()
    operator.get_by_text("differ by").wait_for()
    operator.get_by_label("Credit").nth(1).fill("2.50")
    operator.get_by_role("button", name="Propose the correction").click()
    operator.get_by_text("You proposed this correction").wait_for()
    assert operator.get_by_role("button", name="Approve and post").count() == 0

    finance, others = member(browser, address, "finance")
    finance.goto(f"{address}/operator/corrections?view=waiting")
    finance.locator("tbody a").first.click()
    finance.get_by_role("button", name="Approve and post").click()
    finance.get_by_role("link", name="Open the posting").click()
    finance.get_by_role("link", name="Corrects another posting").wait_for()
    operator.goto(order)
    operator.locator(".posting a", has_text="Correction").first.wait_for()
    refused = [line for line in complaints if "422" in line]
    assert (len(refused), [line for line in complaints + others if line not in refused]) == (1, [])
    operator.context.close()
    finance.context.close()


def test_the_map_is_drawn_follows_and_goes_back_in_time(address, browser):
    operator, complaints = member(browser, address, "operator")
    operator.goto(f"{address}/operator/network")
    operator.locator("[data-map][data-drawn] canvas").first.wait_for()
    operator.locator("[data-network-live].live-on").wait_for()
    now = operator.locator(".tile-when time").get_attribute("datetime")
    operator.get_by_label("Last day").focus()
    operator.keyboard.press("Home")
    operator.wait_for_function("now => document.querySelector('.tile-when time').getAttribute('datetime') !== now", arg=now)
    assert "24 hours ago" in operator.locator("[data-network-hour]").inner_text()
    assert re.search(r"\d", operator.locator(".network-tiles .tile-figure").first.inner_text())
    operator.context.close()
    assert complaints == []


def test_pages_fit_a_telephone(address, browser):
    page = browser.new_context(viewport={"width": 390, "height": 844}).new_page()
    sign_in(page, address, "operator")
    wide = {}
    for name in ("tower", "network", "finance", "customs", "due", "audit", "merchants", "entities", "rules", "health", "corrections"):
        page.goto(f"{address}/operator/{name}")
        page.wait_for_load_state("load")
        wide[name] = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    page.context.close()
    assert wide == dict.fromkeys(wide, 0)
