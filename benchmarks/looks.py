"""Every page looked at, wide and narrow, light and dark, in every language: `make looks`.

Opens a house that lived for two weeks, or takes the running one that `--url` and `--database` name, and goes through all pages of
`look_pages.py`. Pictures and contact sheets go to benchmarks/out/looks. What a program can see is checked on each rendering and told by page: wider than the
window, text that is cut, raw keys, English left in another language, figures that are not aligned, contrast and other faults that axe knows. Exit
status 1 when something was found.
"""

import argparse
import asyncio
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from playwright.sync_api import Browser, BrowserContext, Page
from psycopg.rows import dict_row
from tests.factories.browser import chromium, opened_browser, sign_in, watch_console
from tests.factories.lived_house import fill_lived
from tests.factories.served import served
from tests.factories.shown_house import keep_keyring

from benchmarks.look_pages import LOOKS, NO_PAGES, Look
from entrepot.bootstrap.migrate import upgrade
from entrepot.bootstrap.throwaway import throwaway_cluster
from entrepot.surfaces.web.languages import CODES, language

OUT = Path(__file__).parent / "out" / "looks"
AXE = Path(__file__).parents[1] / "node_modules/axe-core/axe.min.js"
SIZES = ((1440, 900), (390, 844))
SCHEMES = ("light", "dark")
PER_SHEET = {1440: (3, 2), 390: (8, 1)}
PLACE = "GB-LTN1"
ASKED_AXE = {(1440, "light"), (390, "dark")}
QUICK = frozenset({("en", 1440, "light"), ("de", 390, "dark"), ("zh_Hans", 390, "light"), ("zh_Hans", 1440, "dark")})
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
MEASURE = (Path(__file__).parent / "look_measure.js").read_text()
SAME = frozenset({"Isle of Man", "Filter"})
"""Words of the German pages that are the same in English."""
RAW = re.compile(r"\b[a-z]+_[a-z0-9_]+\b|\{[^}]*\}|%\(\w+\)s|\b(?:None|nan|undefined|null)\b|\b[A-Z]{3,}_[A-Z_]+\b")
ADDRESS = re.compile(r"\S+@\S+")
GERMAN_ZERO = re.compile(r"\bnull\b")
LATIN = re.compile(r"[A-Za-z]{3,}[ ,.]+(?:[a-z]{2,}[ ,.]+)*[a-z]{2,}")


@contextmanager
def lived_house() -> Iterator[tuple[str, str]]:
    """Open a throw-away house in which two weeks went by and serve it; give its address and its database."""
    with throwaway_cluster() as cluster:
        upgrade(cluster.url())
        asyncio.run(fill_lived(cluster.url()))
        with served(cluster.url(), keep_keyring(OUT / "data")) as address:
            yield address, cluster.url()


# -- where ---------------------------------------------------------------------------------------------------------------


def missing(routes: Iterable[str]) -> list[str]:
    """Return the addresses of the application that nobody looks at."""
    seen = {one.route for one in LOOKS} | NO_PAGES
    return sorted(set(routes) - seen)


def paths(url: str) -> dict[str, str]:
    """Return the address of each look, with the values of real records; a look without its record is left out."""
    found: dict[str, str] = {}
    with psycopg.connect(url, row_factory=dict_row) as conn:
        for one in LOOKS:
            values = {name: str(value) for name, value in one.given.items()}
            if one.values:
                row = conn.execute(one.values.encode()).fetchone()
                if row is None:
                    continue
                values |= {name: str(value) for name, value in row.items()}
            address = one.route + (f"?{one.query}" if one.query else "")
            found[one.name] = re.sub(r"\{(\w+)\}", lambda name, values=values: values[name[1]], address)
    return found


def own_words(url: str) -> frozenset[str]:
    """Return what the records themselves say, in whatever language: names, titles, texts of people."""
    queries = (
        "select title from product_text",
        "select description from product_text",
        "select name from merchant",
        "select name from place",
        "select display_name from staff",
        "select text from message",
        "select reason from money_correction",
        "select note from order_hold",
        "select electronic_label from offer where electronic_label is not null",
        "select note from order_hold",
        "select reason from money_correction",
    )
    with psycopg.connect(url) as conn:
        return frozenset(str(row[0]).strip() for query in queries for row in conn.execute(query.encode()) if row[0])


# -- how ------------------------------------------------------------------------------------------------------------------


def go(page: Page, address: str, one: Look, path: str) -> int:
    """Open a look and return how it was answered; a form is sent from the page that shows it."""
    answer = page.goto(address + path)
    status = answer.status if answer is not None else 0
    if one.sent is not None:
        target, fields = one.sent
        with page.expect_navigation() as led:
            page.evaluate(
                """([target, fields]) => {
                    const action = (target || location.pathname).replace("{here}", location.pathname);
                    const form = Object.assign(document.createElement("form"), { method: "post", action });
                    const token = document.querySelector("input[name=form_token]");
                    const kept = document.querySelectorAll(`form[action="${action}"] input[type=hidden][name=line]`);
                    for (const [name, value] of [...[...kept].map((one) => [one.name, one.value]), ...Object.entries({ form_token: token?.value ?? "", ...fields })]) {
                        form.append(Object.assign(document.createElement("input"), { type: "hidden", name, value }));
                    }
                    document.body.append(form);
                    form.submit();
                }""",
                [target, dict(fields)],
            )
        status = led.value.status if led.value is not None else 0
    page.wait_for_timeout(150)
    if page.locator(".waiting").count():
        page.wait_for_selector(".waiting", state="detached")
    return status


def faults_of_text(code: str, texts: Iterable[str], english: frozenset[str], own: frozenset[str]) -> list[str]:
    """Return raw keys, and what is still English in another language."""
    told: list[str] = []
    said = language(code)
    names = sorted((one for one in own if " " in one), key=len, reverse=True)
    for whole in texts:
        text = next((whole.replace(one, "…") for one in names if one in whole), whole)
        if whole in own or (code == "de" and whole in SAME):
            continue
        told += [f"raw: {text[:80]}"] if RAW.search(GERMAN_ZERO.sub("0", text) if code == "de" else text) else []
        if code == CODES[0]:
            continue
        is_known = said.gettext(text) != text
        is_latin = LATIN.search(ADDRESS.sub("", text)) is not None
        if is_known or (is_latin and (text in english or code.startswith("zh"))):
            told.append(f"English: {text[:90]}")
    return told


def measure(page: Page) -> Mapping[str, list[str]]:
    """Return what a rendering shows and what is wrong with its boxes."""
    return page.evaluate(MEASURE)


def contrast(page: Page) -> list[str]:
    """Return what axe finds serious or critical."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("tags => axe.run(document, { runOnly: tags })", TAGS)
    serious = [one for one in found["violations"] if one["impact"] in {"serious", "critical"}]
    return [f"axe {one['id']}: {node['html'][:110]}" for one in serious for node in one["nodes"][:3]]


class Report:
    """What was found, by page."""

    def __init__(self) -> None:
        self.lines: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))

    def add(self, name: str, look: str, faults: Iterable[str]) -> None:
        """Note faults of a page in one look."""
        for fault in faults:
            self.lines[name][fault].append(look)

    def told(self) -> str:
        """Return the report, each fault once with the looks that show it."""
        return "".join(
            f"{name}\n" + "".join(f"    {fault}  [{', '.join(dict.fromkeys(looks))}]\n" for fault, looks in faults.items())
            for name, faults in sorted(self.lines.items())
        )


def look_around(
    browser: Browser, address: str, url: str, chosen: str, codes: tuple[str, ...], report: Report, pictured: frozenset[tuple[str, int, str]]
) -> list[tuple[str, Path]]:
    """Take all pictures; return them by group."""
    own, found = own_words(url), paths(url)
    pictures: list[tuple[str, Path]] = []
    english: dict[str, frozenset[str]] = {}
    looks = [one for one in LOOKS if re.search(chosen, one.name)]
    for one in looks:
        if one.name not in found:
            report.add(one.name, "-", ["no record to look at"])
    for code in codes:
        contexts: dict[str, BrowserContext] = {}
        for one in (one for one in looks if one.name in found):
            if one.login not in contexts:
                contexts[one.login] = enter(browser, address, one.login, code)
            page = contexts[one.login].new_page()
            complaints = watch_console(page)
            try:
                status = go(page, address, one, found[one.name])
                report.add(one.name, code, [f"answered {status}, not {one.status}"] if status != one.status else [])
                pictures += shoot(page, one.name, code, english, own, report, pictured)
            except Exception as error:  # noqa: BLE001 - the other pages are looked at all the same
                report.add(one.name, code, [f"could not be looked at: {str(error).splitlines()[0][:150]}"])
            report.add(one.name, code, complaints if one.status == 200 else [])
            page.close()
        for context in contexts.values():
            context.close()
    return pictures


def enter(browser: Browser, address: str, login: str, code: str) -> BrowserContext:
    """Return a context of somebody who reads a language, on the floor also at work, in the store with something in the basket."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, locale="en", timezone_id="Europe/London")
    context.set_default_timeout(20_000)
    page = context.new_page()
    if login:
        sign_in(page, address, login)
    if login == "warehouse":
        page.goto(f"{address}/floor/sign-on?next=/floor")
        page.locator(f"[name=place][value={PLACE}]").check() if page.locator(f"[name=place][value={PLACE}]").count() else page.select_option(
            "[name=place]", PLACE
        )
        page.locator("form:has([name=place]) button[type=submit]").first.click()
        page.wait_for_load_state("load")
    if login in {"buyer-gb", "buyer-cn"}:
        page.goto(address + ("/store/GB?q=aria" if login == "buyer-gb" else "/store/CN_GP?category=cosmetics"))
        page.locator(".product a").first.click()
        page.locator("form[action$=basket] button, button[formaction$=basket]").first.click()
        page.wait_for_load_state("load")
    page.close()
    host = urlsplit(address).hostname or ""
    context.add_cookies([{"name": "entrepot_language", "value": code, "domain": host, "path": "/"}])
    return context


def shoot(
    page: Page, name: str, code: str, english: dict[str, frozenset[str]], own: frozenset[str], report: Report, chosen: frozenset[tuple[str, int, str]]
) -> list[tuple[str, Path]]:
    """Take the pictures of an open page, all or the chosen ones, and check it at each size."""
    taken: list[tuple[str, Path]] = []
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            if not chosen or (code, width, scheme) in chosen:
                page.wait_for_timeout(60)
                picture = OUT / f"{name}-{code}-{width}-{scheme}.png"
                page.screenshot(path=picture, full_page=True)
                taken.append((f"{code}-{width}-{scheme}", picture))
            look = f"{code} {width} {scheme}"
            if scheme == SCHEMES[0]:
                seen = measure(page)
                if code == CODES[0]:
                    english[name] = english.get(name, frozenset()) | frozenset(seen["texts"])
                report.add(name, f"{code} {width}", [*seen["boxes"], *faults_of_text(code, seen["texts"], english.get(name, frozenset()), own)])
            if code == CODES[0] and (width, scheme) in ASKED_AXE:
                report.add(name, look, contrast(page))
    return taken


def lay_out(browser: Browser, pictures: list[tuple[str, Path]]) -> None:
    """Put the pictures on contact sheets, one group after the other."""
    groups: dict[str, list[Path]] = defaultdict(list)
    for group, picture in pictures:
        groups[group].append(picture)
    page = browser.new_page(viewport={"width": 1800, "height": 1000})
    for group, files in groups.items():
        columns, rows = PER_SHEET[int(group.split("-")[-2])]
        each = columns * rows
        for number in range(0, len(files), each):
            cells = "".join(
                f'<figure><figcaption>{one.stem}</figcaption><img src="{one.as_uri()}"></figure>' for one in files[number : number + each]
            )
            style = (
                f"body{{margin:0;display:grid;grid-template-columns:repeat({columns},1fr);gap:6px;font:12px sans-serif;background:#888}}"
                f"figure{{margin:0;height:{1000 // rows - 8}px;overflow:hidden}}img{{width:100%}}figcaption{{background:#ff0}}"
            )
            sheet = OUT / f"sheet-{group}-{number // each:02}.html"
            sheet.write_text(f"<style>{style}</style>{cells}")
            page.goto(sheet.as_uri())
            page.wait_for_load_state("load")
            page.screenshot(path=sheet.with_suffix(".png"))
            sheet.unlink()


def main() -> int:
    """Look at the pages; exit status 1 when something was found, 2 without a browser."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="address of a running demo house")
    parser.add_argument("--database", help="its database")
    parser.add_argument("--only", default="", help="look only at pages whose name fits this expression")
    parser.add_argument("--languages", default=",".join(CODES), help="which languages, the first one always")
    parser.add_argument("--quick", action="store_true", help="one picture of each page and kind of look, not all twelve")
    args = parser.parse_args()
    if chromium() is None:
        sys.stderr.write("No Chromium on the PATH: install it (on Debian or Ubuntu: sudo apt-get install chromium), then run this again.\n")
        return 2
    OUT.mkdir(parents=True, exist_ok=True)
    report = Report()
    with nullcontext((args.url.rstrip("/"), args.database)) if args.url else lived_house() as (address, url), opened_browser() as browser:
        pictures = look_around(browser, address, url, args.only, tuple(args.languages.split(",")), report, QUICK if args.quick else frozenset())
        lay_out(browser, pictures)
    told = report.told()
    (OUT / "report.txt").write_text(told)
    sys.stdout.write(f"{told}{len(pictures)} pictures, contact sheets and the report are in {OUT}\n")
    return 1 if told else 0


if __name__ == "__main__":
    sys.exit(main())
