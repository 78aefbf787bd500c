"""Floor staff receive, stow, pick, pack and hand over by keyboard only, on a telephone's screen, and the console stays silent."""

import pytest
from tests.factories.browser import chromium, opened_browser, watch_console
from tests.factories.floor_house import PLAN, fill_database
from tests.factories.opened import filled_and_served

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(chromium() is None, reason="no Chromium on the PATH; install it (Debian, Ubuntu: apt-get install chromium)"),
]
TELEPHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def address(cluster, tmp_path_factory):
    with filled_and_served(cluster, "floor_walk", fill_database, tmp_path_factory.mktemp("data")) as address:
        yield address


@pytest.fixture
def page(address):
    """A page of somebody with a keyboard and no mouse: pointers do nothing here."""
    with opened_browser() as browser:
        page = browser.new_context(viewport=TELEPHONE).new_page()
        page.set_default_timeout(20_000)
        complaints = watch_console(page)
        page.goto(f"{address}/sign-in")
        press(page, "Tab", until="input[name=login]:focus")
        type_in(page, "warehouse", "Tab", "demo", "Enter")
        page.wait_for_url(lambda url: "/floor/sign-on" in url)
        yield page
        assert complaints == []


def press(page, key, until, most=40):
    """Press a key until a selector fits, as somebody does who looks where the focus is."""
    for _ in range(most):
        if page.locator(until).count():
            return
        page.keyboard.press(key)
    raise AssertionError(f"{until} was not reached with {key} on {page.url}")


def type_in(page, *parts):
    for part in parts:
        if part in {"Tab", "Enter", "Space"}:
            page.keyboard.press(part)
        else:
            page.keyboard.type(part)


def scan(page, code):
    """Scan like a hand scanner: type fast into whatever has the focus, which must be the scan field, and end with Enter."""
    page.locator("#scan:focus").wait_for()
    number = page.locator("#task input[name=sequence]").first.input_value()
    type_in(page, code, "Enter")
    page.locator(f'#task:not(:has(input[name=sequence][value="{number}"]))').wait_for()
    return said(page)


def said(page):
    """Return the state and words of the big sign, which must be told to screen readers too."""
    sign = page.locator("#task [data-said]")
    if not sign.count():
        return "", ""
    text = sign.inner_text().strip()
    page.locator("[data-say]", has_text=text).wait_for(state="attached")
    return sign.get_attribute("data-said"), text


def follow(page, href):
    """Reach a link by Tab and press Enter."""
    press(page, "Tab", until=f'a[href="{href}"]:focus')
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{href}")


def to_tasks(page, href):
    """Go back to the task list by the menu, then on to a task."""
    press(page, "Tab", until=".floor-top summary:focus")
    page.keyboard.press("Enter")
    follow(page, "/floor")
    follow(page, href)


def sign_on(page, address):
    press(page, "ArrowDown", until='input[value="GB-LTN1"]:checked')
    type_in(page, "Tab", "dock-2", "Enter")
    page.wait_for_url(f"{address}/floor")


def receive(page):
    """Count a delivery in: a wrong number and a foreign item stop, a wrong count is undone."""
    follow(page, "/floor/receive")
    assert scan(page, "NOBODY.1")[0] == "stop"
    scan(page, f"{str(PLAN)[-8:]}.1")
    assert scan(page, "LINK-CABLE")[0] == "stop"
    scan(page, "ARIA-HEADPHONES")
    page.locator("input[name=good]:focus").wait_for()
    type_in(page, "11", "Tab", "1", "Tab")
    press(page, "ArrowDown", until="select[name=reason] option[value=wet]:checked")
    press(page, "Tab", until=".counts button:focus")
    page.keyboard.press("Enter")
    page.locator(".told-ok").wait_for()
    assert said(page) == ("ok", "11 good, 1 damaged.")
    assert scan(page, "UNDO")[0] == "note"
    page.locator("input[name=good]:focus").wait_for()
    type_in(page, "12", "Enter")
    page.locator(".told-ok").wait_for()
    assert said(page) == ("ok", "12 good.")


def stow(page):
    """Bring it to the bin that is proposed."""
    to_tasks(page, "/floor/stow")
    scan(page, "ARIA-HEADPHONES")
    target = page.locator("#now-bin").inner_text()
    assert scan(page, "Z-99")[0] == "stop"
    assert scan(page, target) == ("ok", f"12 in {target}.")


def pick(page):
    """Pick the next order; return its number."""
    to_tasks(page, "/floor/pick")
    page.locator("button:focus", has_text="Next order").wait_for()
    page.keyboard.press("Enter")
    page.locator("#now-bin").wait_for()
    assert scan(page, "Z-99")[0] == "stop"
    while page.locator("#now-bin").count():
        here, sku = page.locator("#now-bin").inner_text(), page.locator(".now code").inner_text()
        assert scan(page, here)[0] == "ok"
        assert scan(page, sku)[0] == "ok"
    return said(page)[1].split(" ", 1)[0]


def pack(page, number):
    """Pack the order: a foreign item and a wrong carton stop; return the parcel's number."""
    to_tasks(page, "/floor/pack")
    scan(page, number)
    assert scan(page, "MOOR-TEAPOT")[0] == "stop"
    wanted = [(one.locator("code").inner_text(), one.locator(".goods-end").inner_text()) for one in page.locator(".goods").all()]
    for sku, quantity in wanted:
        for _ in range(int(quantity.split("/")[1])):
            assert scan(page, sku)[0] == "ok"
    carton = page.locator("#now-carton").inner_text()
    assert scan(page, "WRONG-BOX")[0] == "stop"
    assert scan(page, carton)[0] == "ok"
    return page.locator("#now-title code").inner_text()


def hand_over(page, parcel):
    """Give the parcel to the driver."""
    to_tasks(page, "/floor/hand-over")
    assert scan(page, parcel)[0] == "ok"
    press(page, "Tab", until="button.button-huge:focus")
    page.keyboard.press("Enter")
    page.locator(".told-ok", has_text="1 parcel handed over.").wait_for()


def test_floor_staff_receive_stow_pick_pack_and_hand_over_by_keyboard_only(address, page):
    sign_on(page, address)
    receive(page)
    stow(page)
    number = pick(page)
    parcel = pack(page, number)
    hand_over(page, parcel)
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
