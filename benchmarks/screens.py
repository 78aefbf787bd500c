"""Every page of the running program in a browser, in a house with a crowd in it: console, requests, layout, paint, interaction and accessibility.

`make accept` measures it among its figures; `python -m benchmarks.screens --data <directory>` looks at a house that `benchmarks.crowd` left
there, with `--only` at the addresses that hold a text. Addresses come from the application itself, so that no page is left out; ids in them
are taken from the database. Each page is opened by every kind of visitor who sees something else there, at two widths, and once more (the
better of three counts) if a figure misses: other programs share the machine. Whatever a list offers, tabs, orders and the next page, is asked
as well. All that was seen is in `benchmarks/out/screens.json`.
"""

import argparse
import asyncio
import json
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import psycopg
from litestar import Litestar
from playwright.sync_api import Browser, BrowserContext, Page
from psycopg.rows import dict_row
from tests.factories.browser import chromium, opened_browser, sign_in, watch_console

from benchmarks.crowd import FULL, GREATEST, REGULAR, CrowdSize, fill_directory
from benchmarks.figures import Figures
from benchmarks.processes import Running, running
from benchmarks.screen_samples import LINKED, NEEDED, PLACE, SAMPLES
from entrepot.base.time import RealClock
from entrepot.bootstrap.application import create_app
from entrepot.bootstrap.postgres import Durability, open_cluster
from entrepot.bootstrap.processes import LOOPBACK
from entrepot.bootstrap.running import running_cluster
from entrepot.bootstrap.settings import read_settings
from entrepot.parties.account_safety import begin_password_reset
from entrepot.parties.accounts import StaffRole
from entrepot.surfaces.web.access import EVERYBODY, audience_of

OUT: Final = Path(__file__).parent / "out"
AXE: Final = Path(__file__).parents[1] / "node_modules" / "axe-core" / "axe.min.js"
TAGS: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
WIDTHS: Final = ((1440, 900), (390, 844))
LCP_MS, CLS, INTERACTION_MS, LIST_MS = 1500, 0.1, 100, 1500
TRIES: Final = 3
NOBODY: Final = ""
LOGINS: Final[Mapping[StaffRole, str]] = {
    StaffRole.OPERATOR: "operator",
    StaffRole.MERCHANT_OWNER: "merchant",
    StaffRole.BUYER: "buyer-gb",
    StaffRole.WAREHOUSE: "warehouse",
}
"""Who looks: of roles that see the same, one."""
_WATCH: Final = """
    window.seen = { lcp: 0, cls: 0, events: [], what: "" };
    new PerformanceObserver(list => { for (const one of list.getEntries()) {
        window.seen.lcp = one.startTime; window.seen.what = one.element ? one.element.tagName + "." + one.element.className : one.url; } })
        .observe({ type: "largest-contentful-paint", buffered: true });
    new PerformanceObserver(list => { for (const one of list.getEntries()) if (!one.hadRecentInput) window.seen.cls += one.value; })
        .observe({ type: "layout-shift", buffered: true });
    new PerformanceObserver(list => { for (const one of list.getEntries()) if (one.interactionId) window.seen.events.push(one.duration); })
        .observe({ type: "event", durationThreshold: 16, buffered: true });
"""
_TARGETS: Final = (
    "main details:not([open]) > summary",
    "main form.filters select",
    "main form.filters input:not([type=hidden])",
    "main input[type=checkbox]",
    "[aria-haspopup], [popovertarget], [aria-expanded]",
    "details:not([open]) > summary",
    "main input:not([type=hidden])",
)
"""What is pressed to see how soon the page answers, the first that there is."""


@dataclass
class Seen:
    """A page as one visitor saw it at one width."""

    path: str
    address: str
    login: str
    width: int
    status: int = 0
    lcp_ms: float = 0
    lcp_of: str = ""
    cls: float = 0
    interaction_ms: float = 0
    answer_ms: float = 0
    complaints: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    axe: list[str] = field(default_factory=list)

    @property
    def is_slow(self) -> bool:
        """Whether a figure of time misses, which another program may have caused."""
        return self.lcp_ms >= LCP_MS or self.cls > CLS or self.interaction_ms >= INTERACTION_MS

    @property
    def name(self) -> str:
        """The page as the figures name it."""
        return f"{self.path} as {self.login or 'nobody'} at {self.width}"


@dataclass(frozen=True)
class Stop:
    """A page to open: its path in the application, its address, and who opens it."""

    path: str
    address: str
    login: str


# -- where to go -----------------------------------------------------------------------------------------------------


OF_THE_WORLD: Final = "/tour"
"""Pages of the demonstration world, which does not live in a house of this size."""


def stops_of(app: Litestar, url: str, chosen: str) -> tuple[list[Stop], list[str]]:
    """Return every page that answers GET for everybody who sees it differently, and the paths for which the house holds nothing to show."""
    stops: list[Stop] = []
    lacking: list[str] = []
    token = asyncio.run(_reset_token(url))
    with psycopg.connect(url, row_factory=dict_row) as conn:
        for path, audience, is_stream in paths_of(app):
            if is_stream or chosen not in path or path.startswith(OF_THE_WORLD):
                continue
            for login in visitors_of(path, audience):
                address = address_of(conn, path, login)
                if address is None:
                    lacking.append(f"{path} as {login or 'nobody'}")
                else:
                    stops.append(Stop(path, address, login))
    named = [Stop(one.path, one.address.replace("TOKEN", token), one.login) for one in stops]
    return sorted(named, key=lambda one: (one.login, one.path)), lacking


async def _reset_token(url: str) -> str:
    """Return the token of a link for a new password."""
    async with await psycopg.AsyncConnection.connect(url) as conn:
        await conn.execute("update password_reset set used_at = created_at where used_at is null")  # of an earlier look at the same house
        link = await begin_password_reset(conn, "agent", RealClock().now())
    return "none" if link is None else link.token


def paths_of(app: Litestar) -> Iterator[tuple[str, frozenset[StaffRole | None], bool]]:
    """Yield path, audience, and whether it streams, of every route that answers GET."""
    for route in sorted(app.routes, key=lambda one: one.path_format):
        for handler in getattr(route, "route_handlers", ()):
            if "GET" in handler.http_methods:
                yield route.path_format, audience_of(handler), bool(handler.opt.get("streams"))


def visitors_of(path: str, audience: frozenset[StaffRole | None]) -> list[str]:
    """Return who opens a page: nobody where everybody may, else one of each kind; pages of an area only those who work there."""
    if audience == EVERYBODY:
        return [NOBODY]
    kinds = [login for role, login in LOGINS.items() if role in audience]
    return [LOGINS[StaffRole.WAREHOUSE]] if path.startswith("/floor") else kinds


def address_of(conn: psycopg.Connection[dict[str, Any]], path: str, login: str) -> str | None:
    """Return a path with its parameters filled in from the house, or None if there is nothing to fill in."""
    names = re.findall(r"\{(\w+)", path)
    sample = SAMPLES.get((path, login)) or SAMPLES.get((path, "")) or (LINKED[names[-1]] if names else "")
    if not sample:
        return path + NEEDED.get(path, "")
    row = conn.execute(sample, {"merchant": GREATEST, "person": REGULAR}).fetchone()
    if row is None:
        return None
    filled = re.sub(r"\{(\w+)(?::\w+)?\}", lambda found: quote(str(row[found[1]]), safe=""), path)
    return filled + NEEDED.get(path, "").format(**row)


# -- looking ---------------------------------------------------------------------------------------------------------


@dataclass
class Looker:
    """A browser in front of the running program, with a signed-in context for each visitor and width."""

    browser: Browser
    base: str
    contexts: dict[tuple[str, int], BrowserContext] = field(default_factory=dict[tuple[str, int], BrowserContext])
    lists: dict[str, float] = field(default_factory=dict[str, float])
    """Milliseconds of each address that a list offered."""

    def look(self, stop: Stop, width: int, height: int) -> Seen:
        """Open a page, up to three times if it is slow, and return what was seen when it was quickest."""
        best = self._once(stop, width, height)
        for _ in range(TRIES - 1):
            if best.is_slow:
                again = self._once(stop, width, height)
                best = min(best, again, key=lambda one: (one.is_slow, one.lcp_ms))
        return best

    def _once(self, stop: Stop, width: int, height: int) -> Seen:
        seen = Seen(stop.path, stop.address, stop.login, width)
        page = self._context(stop.login, width, height).new_page()
        try:
            seen.complaints = watch_console(page)
            page.on("requestfailed", lambda request: seen.failed.append(f"{request.url} {request.failure}") if _is_failure(request.failure) else None)
            page.on("response", lambda answer: seen.failed.append(f"{answer.url} {answer.status}") if answer.status >= 400 else None)
            began_s = time.perf_counter()
            if _FILES.search(stop.path):
                answer = page.request.get(self.base + stop.address)
                seen.status, seen.answer_ms = answer.status, (time.perf_counter() - began_s) * 1000
                seen.failed += [f"{stop.address} {answer.status}"] if answer.status >= 400 else []
                return seen
            _open(page, self.base + stop.address, seen)
            if width == WIDTHS[0][0]:
                self._ask_lists(page, stop)
        finally:
            page.close()
        return seen

    def _ask_lists(self, page: Page, stop: Stop) -> None:
        """Ask for what a list on the page offers, and note how long each answer takes."""
        hrefs = page.eval_on_selector_all("main a[href*='?']", "all => all.map(one => one.getAttribute('href'))")
        own = sorted({str(one) for one in hrefs if str(one).partition("?")[0] in {stop.address.partition("?")[0], ""}})
        own = [one if one.startswith("/") else stop.address.partition("?")[0] + one for one in own if "format=" not in one and "columns=" not in one]
        if page.locator("main form.filters input[name=q]").count():
            own += [stop.address.partition("?")[0] + "?q=E1"]
        for address in own[:_MOST_LINKS]:
            if f"{stop.login} {address}" not in self.lists:
                began_s = time.perf_counter()
                answer = page.request.get(self.base + address)
                self.lists[f"{stop.login} {address}"] = (time.perf_counter() - began_s) * 1000 if answer.status < 400 else _NO_ANSWER_MS

    def _context(self, login: str, width: int, height: int) -> BrowserContext:
        key = (login, width)
        if key not in self.contexts:
            context = self.browser.new_context(viewport={"width": width, "height": height}, locale="en-GB")
            context.set_default_timeout(_PATIENCE_MS)
            if login:
                page = context.new_page()
                sign_in(page, self.base, login)
                if login == LOGINS[StaffRole.WAREHOUSE]:
                    _sign_on(page, self.base)
                page.close()
            context.add_init_script(_WATCH)
            self.contexts[key] = context
        return self.contexts[key]


_FILES: Final = re.compile(
    r"\.(csv|pdf|zpl|json)$|/pdf$|^/orders/.*/invoices/|^/(health|metrics|me/export|static/\{name\}|design/progress|operator/proof|operator/network/at)$"
)
"""Addresses that answer with something else than a page, or with a part that a page fetches and is judged with."""
_MOST_LINKS: Final = 14
_NO_ANSWER_MS: Final = 60_000.0
_PATIENCE_MS: Final = 60_000


def _is_failure(failure: str | None) -> bool:
    """Tell a request that failed from one that the page's end cut short."""
    return failure is not None and "ERR_ABORTED" not in failure


def _open(page: Page, address: str, seen: Seen) -> None:
    """Open a page, let it come to rest, have it judged, press something, and note what the browser saw."""
    answer = page.goto(address, wait_until="load")
    seen.status = answer.status if answer is not None else 0
    seen.answer_ms = page.evaluate("performance.getEntriesByType('navigation')[0].responseStart")
    page.wait_for_timeout(250)
    told = page.evaluate("window.seen")
    seen.lcp_ms, seen.lcp_of = told["lcp"], told["what"]
    seen.axe = _judge(page)
    for selector in _TARGETS:
        target = page.locator(f":is({selector}):visible").first
        if target.count():
            target.click(no_wait_after=True)
            break
    page.keyboard.press("Tab")
    page.wait_for_timeout(150)
    told = page.evaluate("window.seen")
    seen.cls, seen.interaction_ms = round(told["cls"], 4), max([0, *told["events"]])


def _judge(page: Page) -> list[str]:
    """Return what axe finds serious or critical."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("tags => axe.run(document, { runOnly: tags })", TAGS)
    serious = [one for one in found["violations"] if one["impact"] in {"serious", "critical"}]
    return [f"{one['id']}: {node['html'][:120]}" for one in serious for node in one["nodes"]]


def _sign_on(page: Page, base: str) -> None:
    """Sign on at the place whose work the samples are."""
    page.goto(f"{base}/floor/sign-on")
    page.locator(f"main input[name=place][value={PLACE}]").check(force=True)
    page.locator("main form button[type=submit]").first.click()
    page.wait_for_load_state("load")


# -- told ------------------------------------------------------------------------------------------------------------


def measure_screens(figures: Figures) -> None:
    """Fill a house with a crowd and look at every page of it."""
    if chromium() is None:
        figures.add("pages", "seen in a browser", "no Chromium on the PATH", None)
        return
    with tempfile.TemporaryDirectory(prefix="entrepot-screens-") as directory:
        Path(directory).chmod(0o711)
        look_at(Path(directory), figures, FULL, "")


def look_at(directory: Path, figures: Figures, size: CrowdSize, chosen: str) -> None:
    """Look at the pages of the house in a directory, filled first if it is new, and tell the figures."""
    if not (directory / "postgres").exists():
        fill_directory(directory, size)
    began_s = time.monotonic()
    with house(directory) as program:
        stops, lacking = stops_of(create_app(read_settings({"DATABASE_URL": program.url})), program.url, chosen)
        with opened_browser() as browser:
            looker = Looker(browser, f"http://{LOOPBACK}:{program.port}")
            seen = [_told(looker.look(stop, *size)) for size in WIDTHS for stop in stops]
    OUT.mkdir(exist_ok=True)
    content = {"pages": [asdict(one) for one in seen], "lists": looker.lists, "lacking": lacking, "took_s": round(time.monotonic() - began_s)}
    (OUT / "screens.json").write_text(json.dumps(content, indent=1))
    report(figures, seen, looker.lists, lacking)


@contextmanager
def house(directory: Path) -> Iterator[Running]:
    """Run the program on the database of a directory."""
    with ExitStack() as stack:
        cluster = open_cluster(directory, Durability.THROW_AWAY)
        stack.enter_context(running_cluster(cluster))
        yield stack.enter_context(running(cluster, directory))


def _told(seen: Seen) -> Seen:
    faults = [*seen.complaints, *seen.failed, *seen.axe]
    print(
        f"{seen.answer_ms:7.0f} {seen.lcp_ms:6.0f} {seen.cls:6.3f} {seen.interaction_ms:4.0f}  {seen.name} {seen.address}"
        + "".join(f"\n        {one}" for one in faults[:5]),
        flush=True,
    )
    return seen


def report(figures: Figures, seen: Sequence[Seen], lists: Mapping[str, float], lacking: Sequence[str]) -> None:
    """Add the worst of everything to the figures."""
    count = len({one.path for one in seen})
    pages = [one for one in seen if one.lcp_ms] or list(seen)
    figures.add(
        "pages: opened",
        "every address that answers GET",
        f"{count} addresses, {len(seen)} views{'; lacking ' + lacking[0] if lacking else ''}",
        not lacking if seen else False,
    )
    for what, rows in (
        ("console errors", [f"{one.name}: {fault}" for one in seen for fault in one.complaints]),
        ("failed requests", [f"{one.name}: {fault}" for one in seen for fault in one.failed]),
        ("serious faults that axe-core finds", [f"{one.name}: {fault}" for one in seen for fault in one.axe]),
    ):
        figures.add(f"pages: {what}", "none", f"{len(rows)}{': ' + rows[0][:160] if rows else ''}", not rows)
    worst = max(pages, key=lambda one: one.lcp_ms)
    figures.add("pages: largest contentful paint, ms, worst", f"under {LCP_MS:,}", f"{worst.lcp_ms:,.0f} ({worst.name})", worst.lcp_ms < LCP_MS)
    worst = max(pages, key=lambda one: one.cls)
    figures.add("pages: layout shift, worst", f"at most {CLS}", f"{worst.cls:.3f} ({worst.name})", worst.cls <= CLS)
    worst = max(pages, key=lambda one: one.interaction_ms)
    told = f"{worst.interaction_ms:.0f} ({worst.name})" if worst.interaction_ms else "under 16"
    figures.add("pages: interaction to the next paint, ms, worst", f"under {INTERACTION_MS}", told, worst.interaction_ms < INTERACTION_MS)
    if lists:
        slowest = max(lists, key=lambda one: lists[one])
        told = f"{lists[slowest]:,.0f} of {len(lists):,} ({slowest})"
        figures.add("pages: answer to a list's tab, order or next page, ms, worst", f"under {LIST_MS:,}", told, lists[slowest] < LIST_MS)


def main() -> int:
    """Look at a house; exit status 1 when a figure is missed, 2 without a browser."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="Directory of a house; a new one is filled first and stays.")
    parser.add_argument("--only", default="", help="Look only at addresses that hold this text.")
    args = parser.parse_args()
    if chromium() is None:
        sys.stderr.write("No Chromium on the PATH: install it (on Debian or Ubuntu: sudo apt-get install chromium), then run this again.\n")
        return 2
    figures = Figures()
    look_at(args.data, figures, FULL, args.only)
    return 1 if any(holds is False for *_, holds in figures.rows) else 0


if __name__ == "__main__":
    sys.exit(main())
