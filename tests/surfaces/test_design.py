"""The design system in a real browser: no serious fault for people with disabilities, in either theme, on either size, in every language and turned round."""

import re
from pathlib import Path

import pytest
import zxingcpp
from tests.factories.browser import chromium, sign_in, watch_console
from tests.factories.opened import filled_and_served
from tests.factories.pictures import pixels
from tests.factories.shown_house import fill_database

ROOT = Path(__file__).parents[2]
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
TOKENS = ROOT / "src/entrepot/surfaces/web/static/src/parts/tokens.css"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
NARROW, WIDE = {"width": 390, "height": 844}, {"width": 1440, "height": 900}
TEXT, MARK = 4.5, 3.0
"""Least contrast of text and of what one must see to use a page (WCAG 2.2, 1.4.3 and 1.4.11)."""
PAIRS = [
    *((ink, ground, TEXT) for ink in ("ink", "ink-soft", "link", "brand") for ground in ("ground", "paper", "sunken", "hover")),
    *((tone, f"{tone}-soft", TEXT) for tone in ("neutral", "info", "progress", "success", "warning", "danger")),
    *((tone, "paper", TEXT) for tone in ("success", "danger", "warning")),
    *((("on-brand"), brand, TEXT) for brand in ("brand", "brand-strong")),
    *(("on-strong", ground, TEXT) for ground in ("strong-success", "strong-danger")),
    *((mark, "paper", MARK) for mark in ("line-field", "focus", *(f"series-{number}" for number in range(1, 7)))),
]

needs_browser = pytest.mark.skipif(chromium() is None, reason="no Chromium on the PATH; install it (Debian, Ubuntu: apt-get install chromium)")


def colours(scheme):
    """Return the tokens of a scheme: 0 light, 1 dark."""
    found = re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)|--([\w-]+): (#\w{6});", TOKENS.read_text())
    return {name or single: (light, dark)[scheme] if name else both for name, light, dark, single, both in found}


def luminance(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first, second):
    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.browser
@needs_browser
@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_tokens_have_enough_contrast(scheme):
    named = colours(scheme)
    assert [f"{a} on {b}: {contrast(named[a], named[b]):.2f}" for a, b, least in PAIRS if contrast(named[a], named[b]) < least] == []


def test_contrast_is_counted_as_the_guideline_says():
    assert round(contrast("#000000", "#ffffff"), 2) == 21
    assert round(contrast("#777777", "#ffffff"), 2) == 4.48


@pytest.fixture(scope="module")
def address(cluster, tmp_path_factory):
    with filled_and_served(cluster, "design", fill_database, tmp_path_factory.mktemp("data")) as address:
        yield address


@pytest.fixture
def visit(browser, address):
    """Open pages as somebody; their consoles must stay silent."""
    contexts, complaints = [], []

    def open_page(path, login="", **context):
        contexts.append(browser.new_context(**{"viewport": WIDE, **context}))
        page = contexts[-1].new_page()
        page.set_default_timeout(20_000)
        complaints.append(watch_console(page))
        if login:
            sign_in(page, address, login)
        page.goto(address + path)
        page.wait_for_load_state("load")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [told for one in complaints for told in one] == []


def faults(page):
    """Return what axe finds serious or critical, with the elements."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("tags => axe.run(document, { runOnly: tags })", TAGS)
    serious = [one for one in found["violations"] if one["impact"] in {"serious", "critical"}]
    return [f"{one['id']}: {node['html'][:120]} {node['failureSummary'][:200]}" for one in serious for node in one["nodes"]]


def overflow(page):
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("locale", "size"), [("en-GB", WIDE), ("de-DE", NARROW), ("zh-CN", WIDE)])
def test_the_design_page_has_no_serious_fault(visit, scheme, locale, size):
    page = visit("/design", color_scheme=scheme, locale=locale, viewport=size)
    page.locator("[data-drawn]").nth(4).wait_for()
    assert page.locator("html").get_attribute("lang") == {"en-GB": "en", "de-DE": "de", "zh-CN": "zh-Hans"}[locale]
    assert faults(page) == []
    assert overflow(page) == 0


@pytest.mark.browser
@needs_browser
@pytest.mark.parametrize(("scheme", "size"), [("light", WIDE), ("dark", NARROW)])
def test_a_camera_can_read_the_secret_of_a_second_factor(visit, scheme, size):
    page = visit("/me", "operator", color_scheme=scheme, viewport=size)
    if page.locator("svg.square-code").count() == 0:
        page.locator("#factor button").click()
    drawn = page.locator("svg.square-code")
    drawn.scroll_into_view_if_needed()
    read = zxingcpp.read_barcode(pixels(drawn.screenshot()))
    assert read is not None
    assert page.locator(".secret").inner_text() in read.text


@pytest.mark.browser
@needs_browser
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_the_page_can_be_turned_round(visit, size):
    page = visit("/design?dir=rtl", viewport=size)
    assert page.locator("html").get_attribute("dir") == "rtl"
    assert overflow(page) == 0
    if size is WIDE:
        assert page.locator(".side").bounding_box()["x"] > page.locator(".desk-main").bounding_box()["x"]


@pytest.mark.browser
@needs_browser
@pytest.mark.parametrize(
    ("login", "path"),
    [
        *(("operator", path) for path in ("/operator", "/orders", "/stock", "/postings", "/operations", "/me", "/search?q=zzz")),
        *(("", path) for path in ("/store/GB", "/sign-in", "/forgotten", "/nowhere", "/tour")),
        ("buyer-gb", "/orders"),
        ("warehouse", "/floor/sign-on"),
    ],
)
def test_other_pages_have_no_serious_fault(visit, login, path):
    if path == "/nowhere":
        page = visit("/store", login)
        page.set_content(page.context.request.get(page.url.split("/store")[0] + path, headers={"accept": "text/html"}).text())
    else:
        page = visit(path, login)
    assert faults(page) == []


@pytest.mark.browser
@needs_browser
@pytest.mark.parametrize(("scheme", "locale", "size"), [("light", "en-GB", WIDE), ("dark", "de-DE", NARROW)], ids=["wide", "narrow"])
def test_the_tour_is_followed_by_keyboard_without_a_serious_fault(visit, scheme, locale, size):
    page = visit("/tour", color_scheme=scheme, locale=locale, viewport=size)
    page.locator(".tour-go button").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/tour/*-*")
    assert page.locator(".tour-card .tour-stage-now").count() == 4
    assert faults(page) == []
    assert overflow(page) == 0
    page.locator("#tour-pace").focus()
    page.evaluate("htmx.ajax('GET', location.pathname + '?seen=other', { target: '#tour', swap: 'outerHTML' })")
    page.wait_for_function("document.querySelector('#tour-said').textContent !== ''")
    assert page.evaluate("document.activeElement.id") == "tour-pace"
    page.keyboard.press("Enter")
    page.locator("#tour-pace.button-primary").wait_for()
    page.locator(".tour-look").first.click()
    page.locator(".tour-aside a").click()
    page.wait_for_url("**/tour/*-*")


@pytest.mark.browser
@needs_browser
def test_rows_are_chosen_counted_and_summed_by_currency(visit):
    page = visit("/design")
    page.get_by_label("Select E4821-0099-5512-7006").check()
    page.get_by_label("Select E4821-0097-3304-0108").check()
    page.get_by_label("Select E4821-0099-5512-7018").check()
    assert page.locator("[data-selection]").inner_text().split("\n")[:2] == ["3 selected", "JP¥18,600 + €446.80"]
    page.get_by_label("Select all on this page").check()
    assert page.locator("[data-selection-count]").inner_text() == "6 selected"
    page.get_by_role("button", name="Clear selection").click()
    assert page.locator("[data-selection]").is_hidden()


@pytest.mark.browser
@needs_browser
def test_views_filters_columns_and_order_are_in_the_address(visit):
    page = visit("/design", "operator")
    page.get_by_role("link", name="On their way").click()
    assert page.locator(".table-list tbody tr").count() == 2
    page.get_by_role("link", name="Total").click()
    assert page.locator(".table-list th[aria-sort=descending]").inner_text().startswith("Total")
    page.locator("summary", has_text="Save view").click()
    page.get_by_label("Name of the view").fill("My own")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("link", name="My own").wait_for()
    page.goto(page.url.split("?")[0])
    page.get_by_role("link", name="My own").click()
    assert page.locator(".tabs a[aria-current]").inner_text() == "My own"
    with page.expect_download() as started:
        page.get_by_role("link", name="CSV").click()
    lines = Path(started.value.path()).read_text(encoding="utf-8-sig").splitlines()
    assert lines[0] == "Order,Placed,State,Merchant,To,Units,Total,Total (Currency)"
    assert lines[2].endswith(",Bavaria Outdoor,DE,1,289.00,EUR")


@pytest.mark.browser
@needs_browser
def test_tabs_dialog_and_scan_field_work_by_keyboard(visit):
    page = visit("/design")
    page.get_by_role("tab", name="About").focus()
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("tab", name="Balance").get_attribute("aria-selected") == "true"
    assert page.get_by_role("tabpanel", name="Balance").is_visible()
    button = page.get_by_role("button", name="Open a dialog")
    button.focus()
    page.keyboard.press("Enter")
    page.get_by_role("dialog").wait_for()
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.textContent") == "Open a dialog"
    page.get_by_label("Scan an item").fill("x-1")
    page.keyboard.press("Enter")
    page.locator("form.scan-stop").wait_for()
    assert "does not belong here" in page.locator("form.scan-stop [role=status]").inner_text()
    page.get_by_label("Scan an item").fill("ARIA-1")
    page.keyboard.press("Enter")
    page.locator("form.scan-ok").wait_for()
    assert page.locator("form.scan-ok [data-scan-sequence]").input_value() != "0"


@pytest.mark.browser
@needs_browser
def test_a_form_tells_all_its_faults_at_once_and_keeps_what_was_typed(visit):
    page = visit("/sign-in")
    token = page.locator("input[name=form_token]").first.input_value()
    answer = page.context.request.post(page.url.replace("/sign-in", "/design"), form={"form_token": token, "name": "", "mail": "a@", "units": "x"})
    assert answer.status == 422
    text = answer.text()
    assert text.count('class="field-fault"') == text.count('<li><a href="#') == 7
    assert 'value="a@"' in text
    assert 'aria-invalid="true"' in text


@pytest.mark.browser
@needs_browser
def test_pages_without_charts_do_not_load_them(visit):
    loaded = []
    page = visit("/sign-in")
    page.on("request", lambda request: loaded.append(request.url))
    page.goto(page.url)
    page.wait_for_load_state("networkidle")
    scripts = [url for url in loaded if ".js" in url]
    assert len(scripts) <= 4
    assert (
        page.evaluate(
            "performance.getEntriesByType('resource').filter(one => one.name.includes('.js')).reduce((sum, one) => sum + one.decodedBodySize, 0)"
        )
        < 80_000
    )
