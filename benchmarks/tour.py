"""The guided tour as a newcomer follows it: a new installation with default settings, a browser, and how long it takes; `make screenshots` keeps its pictures.

`python -m benchmarks.tour` prints the seconds alone; with `--url` it follows the tour of a house that is running.
"""

import argparse
import base64
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from playwright.sync_api import Browser, Page
from tests.factories.browser import chromium, opened_browser, watch_console
from tests.factories.served import living

from entrepot.base.time import monotonic_s

PICTURES = Path(__file__).parents[1] / "docs" / "images" / "tour"
SIZE = {"width": 1280, "height": 860}
PATIENCE_S = 600
QUALITY = 78
LOOKS = (("tracking", "Tracking"), ("merchant", "Merchant's page"), ("postings", "Postings"))
"""Pictures of one order through other people's eyes, by the button that leads there."""

Keep = Callable[[Page, str], None]


@contextmanager
def new_house() -> Iterator[str]:
    """Run a new installation; give its address."""
    data = Path(tempfile.mkdtemp(prefix="entrepot-tour-"))
    data.chmod(0o711)
    try:
        with living(data) as address:
            yield address
    finally:
        shutil.rmtree(data)


def keep_picture(page: Page, name: str) -> None:
    """Keep what the window shows as a small picture."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    if page.locator("[data-map]").count():
        page.locator("[data-map][data-drawn]").first.wait_for()
    page.wait_for_timeout(600)
    session = page.context.new_cdp_session(page)
    told = session.send("Page.captureScreenshot", {"format": "webp", "quality": QUALITY})
    (PICTURES / f"{name}.webp").write_bytes(base64.b64decode(told["data"]))


def keep_nothing(page: Page, name: str) -> None:
    """Keep no picture."""


def follow(browser: Browser, address: str, keep: Keep, began_s: float) -> tuple[dict[str, float], list[str]]:
    """Follow the tour until every order has arrived; return the seconds at which things happened and what the console complained about."""
    page = browser.new_context(viewport=SIZE, color_scheme="light", locale="en-GB").new_page()
    page.set_default_timeout(30_000)
    complaints = watch_console(page)
    seconds = {"web answers": monotonic_s() - began_s}
    page.goto(f"{address}/tour")
    keep(page, "start")
    while "/tour/" not in page.url:
        page.locator(".tour-go button").click()
        page.wait_for_load_state("load")
        page.wait_for_timeout(500)
    seconds["orders placed"] = monotonic_s() - began_s
    watch(page, keep, seconds, began_s)
    seconds["all delivered"] = monotonic_s() - began_s
    keep(page, "delivered")
    look_around(page, keep)
    return seconds, [one for one in complaints if "409" not in one]


def watch(page: Page, keep: Keep, seconds: dict[str, float], began_s: float) -> None:
    """Watch until all orders have arrived; what will not arrive is ordered once more."""
    is_kept = False
    while page.locator("#tour-next").count() == 0:
        passed_s = monotonic_s() - began_s
        if passed_s > PATIENCE_S:
            raise TimeoutError(page.locator("#tour").inner_text())
        titles = page.locator(".tour-card:has(.tour-stage-done:last-child)").locator("h2").all_inner_texts()
        seconds.update({f"delivered: {title}": passed_s for title in titles if f"delivered: {title}" not in seconds})
        if not is_kept and page.locator(".tour-stage-done").count() >= page.locator(".tour-card").count() * 3:
            keep(page, "on-the-way")
            is_kept = True
        for waiting in ("[id^=again-]", "#tour-pace.button-primary"):
            if page.locator(waiting).count():
                page.locator(waiting).first.click()
        page.wait_for_timeout(250)


def look_around(page: Page, keep: Keep) -> None:
    """Look at orders through other people's eyes, the last one the operator's, and at the operator's home."""
    home = page.url
    for number, (name, button) in enumerate(LOOKS):
        page.goto(home)
        cards = page.locator(f'.tour-card:has(button:has-text("{button}"))')
        cards.nth(min(number, cards.count() - 1)).get_by_role("button", name=button).click()
        page.wait_for_load_state("load")
        keep(page, name)
    page.locator(".tour-aside form button").click()
    page.wait_for_load_state("load")
    page.goto(f"{home.partition('/tour/')[0]}/operator")
    page.locator("#proof .pill-success").first.wait_for()
    keep(page, "operator-home")


def main() -> int:
    """Print the seconds as one line each; exit status 1 when the console complained, 2 without a browser."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="address of a running demo house")
    parser.add_argument("--keep", action="store_true", help="keep the pictures in docs/images/tour")
    args = parser.parse_args()
    if chromium() is None:
        sys.stderr.write("No Chromium on the PATH: install it (on Debian or Ubuntu: sudo apt-get install chromium), then run this again.\n")
        return 2
    began_s = monotonic_s()
    with nullcontext(args.url.rstrip("/")) if args.url else new_house() as address, opened_browser() as browser:
        seconds, complaints = follow(browser, address, keep_picture if args.keep else keep_nothing, began_s)
    sys.stdout.write("".join(f"{passed_s:6.1f} s  {name}\n" for name, passed_s in seconds.items()) + "".join(f"{one}\n" for one in complaints))
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
