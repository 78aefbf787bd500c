"""Pictures of every page, wide and narrow, some also dark and in every language, into benchmarks/out: `make screenshots`.

Those of the guided tour, which docs/tour.md shows, are taken in a new installation with its living world, into docs/images/tour.
Without `--url` of a running demo house a throw-away one with some days of trade is opened. Complaints in the browser's console are told
and end the program with status 1; pages wider than the window too.
"""

import argparse
import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from playwright.sync_api import Browser, Page
from tests.factories.browser import chromium, opened_browser, sign_in, watch_console
from tests.factories.served import served
from tests.factories.shown_house import fill_database, keep_keyring

from benchmarks.tour import PICTURES, follow, keep_picture, new_house
from entrepot.base.time import monotonic_s
from entrepot.bootstrap.migrate import upgrade
from entrepot.bootstrap.throwaway import throwaway_cluster

OUT = Path(__file__).parent / "out"
SIZES = (("wide", 1440, 900), ("narrow", 390, 844))
LANGUAGES = ("en", "de", "zh-CN")
TOUR = "the tour"
"""What `--only` may hold for the tour's pictures."""

SHOTS: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("sign-in", "", "/sign-in", ()),
    ("tour-start", "", "/tour", ()),
    ("tour-orders", "", "/tour", (".tour-go button",)),
    ("design", "operator", "/design", ()),
    ("design-rtl", "operator", "/design?dir=rtl", ()),
    ("my-account", "operator", "/me", ()),
    ("forgotten", "", "/forgotten", ()),
    ("not-found", "", "/nowhere", ()),
    ("store", "", "/store/GB", ()),
    ("store-search", "", "/store/GB?q=tea", ()),
    ("store-empty", "", "/store/GB?q=zzzz", ()),
    ("store-china", "", "/store/CN_GP", ()),
    ("product", "", "/store/GB?q=aria", (".product a",)),
    ("product-china", "", "/store/CN_GP?category=cosmetics", (".product a",)),
    ("operator-home", "operator", "/operator", ()),
    ("orders", "operator", "/orders", ()),
    ("order-delivered", "operator", "/orders?state=delivered", (".row-link",)),
    ("order-in-work", "operator", "/orders?state=in_work", (".row-link",)),
    ("order-china", "operator", "/orders?state=delivered&model=global_purchase", (".row-link",)),
    ("stock-available", "operator", "/stock?merchant=demo-shenzhen-audio", ()),
    ("stock-balances", "merchant", "/stock?view=balances", ()),
    ("stock-moves", "merchant", "/stock?view=moves", ()),
    ("money-book", "operator", "/postings", ()),
    ("account", "operator", "/postings/psp?currency=GBP", ()),
    ("posting", "operator", "/postings/psp?currency=GBP", ("tbody th a",)),
    ("operations", "operator", "/operations", ()),
    ("merchant-orders", "merchant", "/orders", ()),
    ("merchant-no-orders", "merchant-au", "/orders?state=cancelled", ()),
    ("search-nothing", "operator", "/search?q=E9999", ()),
    ("forbidden", "merchant", "/operator", ()),
    ("buyer-orders", "buyer-gb", "/orders", ()),
    ("buyer-order", "buyer-gb", "/orders", (".order-card:has(.pill-success)",)),
    ("checkout", "buyer-gb", "/store/GB?q=aria", (".product a", ".buy button[type=submit]")),
    ("checkout-china", "buyer-cn", "/store/CN_GP?category=cosmetics", (".product a", ".buy button[type=submit]")),
)
"""Name of the picture, login (empty: nobody), the address, and what is clicked one after the other."""
DARK = frozenset(
    {"tour-start", "tour-orders", "design", "my-account", "operator-home", "order-delivered", "store", "product", "checkout", "sign-in", "operations"}
)


@contextmanager
def shown_house() -> Iterator[str]:
    """Open a throw-away house and serve it; give its address."""
    with throwaway_cluster() as cluster:
        upgrade(cluster.url())
        asyncio.run(fill_database(cluster.url()))
        with served(cluster.url(), keep_keyring(OUT / "data")) as address:
            yield address


def take(browser: Browser, address: str, chosen: str) -> list[str]:
    """Take all pictures and return what is wrong."""
    faults: list[str] = []
    looks = [("light", "en"), ("dark", "en"), *(("light", tag) for tag in LANGUAGES[1:])]
    shots = [(*shot, *size, *look) for shot in SHOTS for size in SIZES for look in looks if look == looks[0] or shot[0] in DARK]
    sessions: dict[str, dict[str, object]] = {}
    for name, login, path, clicks, size, width, height, scheme, tag in shots:
        if chosen not in name:
            continue
        state = sessions.get(login)
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, locale=tag, storage_state=state)  # type: ignore[arg-type]
        page = context.new_page()
        complaints = watch_console(page)
        if login and state is None:
            sign_in(page, address, login)
            sessions[login] = context.storage_state()  # type: ignore[assignment]
        is_error = name in {"not-found", "forbidden"}
        faults += [
            f"{name} {size}: {fault}"
            for fault in look(page, address + path, clicks, OUT / f"{name}-{size}-{scheme}{f'-{tag}' if tag != LANGUAGES[0] else ''}.png")
        ]
        faults += [] if is_error else complaints
        context.close()
    return faults


def look(page: Page, url: str, clicks: tuple[str, ...], picture: Path) -> list[str]:
    """Open a page, follow the clicks, take its picture; return what is wrong with it."""
    page.goto(url)
    for selector in clicks:
        if not page.locator(selector).count():
            return [f"{page.url} has no {selector}"]
        page.locator(selector).first.click()
        page.wait_for_load_state("load")
    page.wait_for_timeout(300)
    if page.locator(".waiting").count():
        page.wait_for_selector(".waiting", state="detached")
    page.screenshot(path=picture, full_page=True)
    width = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return [f"{page.url} is {width} px wider than the window"] if width > 0 else []


def main() -> int:
    """Take the pictures; exit status 1 when something is wrong, 2 without a browser."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="address of a running demo house")
    parser.add_argument("--only", default="", help="take only pictures whose name holds this")
    args = parser.parse_args()
    if chromium() is None:
        sys.stderr.write("No Chromium on the PATH: install it (on Debian or Ubuntu: sudo apt-get install chromium), then run this again.\n")
        return 2
    OUT.mkdir(parents=True, exist_ok=True)
    with nullcontext(args.url.rstrip("/")) if args.url else shown_house() as address, opened_browser() as browser:
        faults = take(browser, address, args.only)
    if args.only in TOUR:
        with nullcontext(args.url.rstrip("/")) if args.url else new_house() as address, opened_browser() as browser:
            faults += follow(browser, address, keep_picture, monotonic_s())[1]
    sys.stdout.write("".join(f"{fault}\n" for fault in faults) + f"pictures are in {OUT} and {PICTURES}\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
