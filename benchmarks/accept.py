"""The full figures of the issues, measured by the commands a user has: `make accept` writes docs/acceptance.md and exits 1 if one is missed.

Each figure is taken from a program of its own on a fresh database, or, for a sale, over HTTP from the program that runs on one; the real
trade file is read from `../shared` and its part is told as not measured where the file is not there.
"""

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
from tests.factories.second_count import FILE, WITHOUT_RULE, count_again

from benchmarks.figures import VERDICT, Figures, add_laws
from benchmarks.flash import measure_flash, measure_pages
from benchmarks.quota import measure_quota
from benchmarks.screens import measure_screens
from entrepot.bootstrap.postgres import is_answering, socket_directory, socket_url
from entrepot.bootstrap.running import current_database
from entrepot.bootstrap.settings import read_settings

ENTREPOT = Path(sys.executable).with_name("entrepot")
PAGE = Path(__file__).parents[1] / "docs" / "acceptance.md"
MODELS = ("fba", "fbm", "global_purchase", "logistics_service")
FILE_VALUE = Decimal("9747747.934")
GIB = 1024**3
KILLED_AT = (0.3, 0.65)
"""Shares of the steps after which the second import is killed."""


def main() -> int:
    """Measure everything, write the page, and tell whether all holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=[name for name, _ in PARTS], help="Measure one part and write no page.")
    only = parser.parse_args().only
    figures = Figures()
    began_s = time.monotonic()
    for name, measure in PARTS:
        if only in {None, name}:
            measure(figures)
    if only is None:
        PAGE.write_text(page(figures, time.monotonic() - began_s))
    return 1 if any(holds is False for *_, holds in figures.rows) else 0


# -- the living world ------------------------------------------------------------------------------------------------


def measure_world(figures: Figures) -> None:
    """Thirty days of the seeded world, twice the same, and once with batches of one."""
    first, again, single = world(), world(), world("--batch-size", "1")
    figures.add("world, 30 days, seed 7: seconds", "under 120", first["elapsed_s"], first["elapsed_s"] < 120)
    for model in MODELS:
        counts = first["models"][model]
        holds = counts["delivered"] >= 300 and counts["returned"] > 0 and counts["cancelled"] > 0
        told = f"{counts['delivered']} delivered, {counts['returned']} returned, {counts['cancelled']} cancelled"
        figures.add(f"world: {model}", "300 delivered, some returned and cancelled", told, holds)
    add_laws(figures, "world", first["laws"])
    figures.add("world: books after a second life", "the same", short(again), again["books_hash"] == first["books_hash"])
    figures.add("world: books with batches of one instead of 128", "the same", short(single), single["books_hash"] == first["books_hash"])


def world(*options: str) -> dict[str, Any]:
    """Live the world and return its report."""
    return entrepot("world", "--seed", "7", "--days", "30", "--json", *options)


# -- the real file ---------------------------------------------------------------------------------------------------


def measure_import(figures: Figures) -> None:
    """The whole real file, uninterrupted, and again with the program killed on the way."""
    if not FILE.exists():
        figures.add("the real trade file", "imported whole", "the file is not beside the project", None)
        return
    with data_directory() as data:
        report, peak_bytes = import_watched(data)
        add_import(figures, report)
        figures.add("import: memory of program and database, MB", "under 2,048", peak_bytes // 1024**2, peak_bytes < 2 * GIB)
        checked = entrepot("check", "--hash", "--json", "--data", str(data))
        size = database_bytes(data)
        figures.add("import: database, MB", "under 4,096", size // 1024**2, size < 4 * GIB)
        add_laws(figures, "import", checked["laws"], untouched=frozenset({_QUOTA}))
    with data_directory() as data:
        kills = kill_on_the_way(data)
        resumed = entrepot("import", "orders", str(FILE), "--json", "--data", str(data))
        again = entrepot("check", "--hash", "--json", "--data", str(data))
        same = {key: value for key, value in resumed.items() if key not in PASSING} == {
            key: value for key, value in report.items() if key not in PASSING
        }
        figures.add("import: totals after kill -9", f"the same, killed {len(KILLED_AT)} times", f"killed at steps {kills}", same and kills != [])
        figures.add("import: books after kill -9", "the same", short(again), again["books_hash"] == checked["books_hash"])


_QUOTA = 5
"""The law about import years: the file's merchant sells none."""
PASSING = {"elapsed_s", "peak_mb", "rejected_file"}
"""What two imports of one file may differ in."""


def add_import(figures: Figures, report: Mapping[str, Any]) -> None:
    """Hold a report against what is asked and against a second count of the file."""
    second = count_again(FILE, WITHOUT_RULE)
    accounted = report["lines_imported"] + report["lines_rejected"]
    figures.add("import: lines", "every line imported or rejected", f"{accounted:,} of {report['lines_read']:,}", accounted == report["lines_read"])
    figures.add("import: lines imported", "520,000", f"{report['lines_imported']:,}", report["lines_imported"] >= 520_000)
    value = Decimal(report["accepted_minor"] - report["returned_minor"]).scaleb(-2) + Decimal(report["rejected_value"])
    figures.add("import: accepted - returned + rejected, GBP", f"{FILE_VALUE:,}", f"{value:,}", value == FILE_VALUE)
    told = ", ".join(f"{reason} {count:,}" for reason, count in report["rejected"].items())
    figures.add("import: rejected", "as a second count finds", told, report["rejected"] == dict(sorted(second.refused.items())))
    figures.add("import: seconds", "720 or less, aim 480", report["elapsed_s"], report["elapsed_s"] <= 720)


def import_watched(data: Path) -> tuple[dict[str, Any], int]:
    """Import the file; return the report and the most memory that program and database had together, shared pages counted once."""
    with subprocess.Popen([ENTREPOT, "import", "orders", FILE, "--json", "--data", data], stdout=subprocess.PIPE, text=True) as program:
        peak_bytes = 0
        while program.poll() is None:
            peak_bytes = max(peak_bytes, sum(map(proportional_bytes, family(program.pid))))
            time.sleep(5)  # reading what is shared costs the database time
        assert program.stdout is not None
        told = program.stdout.read()
    if program.returncode:
        raise SystemExit(f"The import ended with {program.returncode}.")
    return json.loads(told), peak_bytes


def kill_on_the_way(data: Path) -> list[int]:
    """Begin an import and kill the program when it is so far on, as often as asked; return the steps it had done."""
    kills: list[int] = []
    for share in KILLED_AT:
        program = subprocess.Popen([ENTREPOT, "import", "orders", FILE, "--json", "--data", data], stdout=subprocess.DEVNULL)
        while program.poll() is None and (steps_done(data) or 0) < share * STEPS:
            time.sleep(0.25)
        if program.poll() is None:
            program.send_signal(signal.SIGKILL)
        program.wait()
        time.sleep(3)  # the database notices that its program has gone
        kills.append(steps_done_at_rest(data))
    return kills


STEPS = 306
"""Business days of the real file, and the end."""


def steps_done(data: Path) -> int | None:
    """Ask the running database how far the import is; None while there is no answer."""
    url = socket_url(socket_directory(data))
    if not is_answering(url):
        return None
    try:
        with psycopg.connect(url) as conn:
            row = conn.execute("select steps_done from order_import").fetchone()
    except psycopg.Error:  # not migrated yet, or just ending
        return None
    return None if row is None else int(row[0])


def steps_done_at_rest(data: Path) -> int:
    """Start the database of a directory whose program has gone, and ask."""
    with running(data):
        return steps_done(data) or 0


def database_bytes(data: Path) -> int:
    """Return the size of the database of a directory."""
    with running(data), psycopg.connect(socket_url(socket_directory(data))) as conn:
        row = conn.execute("select pg_database_size(current_database())").fetchone()
    assert row is not None
    return int(row[0])


@contextmanager
def running(data: Path) -> Iterator[None]:
    """Run the database of a directory during the block."""
    with current_database(read_settings({}, {"data": str(data)})):
        yield


# -- programs --------------------------------------------------------------------------------------------------------


def entrepot(*arguments: str) -> dict[str, Any]:
    """Run a command of the product to its end and return the JSON it printed."""
    done = subprocess.run([ENTREPOT, *arguments], stdout=subprocess.PIPE, text=True, check=False)
    if not done.stdout:
        raise SystemExit(f"entrepot {' '.join(arguments)} ended with {done.returncode} and printed nothing.")
    return json.loads(done.stdout)


@contextmanager
def data_directory() -> Iterator[Path]:
    """Give a data directory that is removed afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="entrepot-accept-"))
    try:
        directory.chmod(0o711)
        yield directory / "data"
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def family(pid: int) -> list[int]:
    """Return a process and everything that descends from it."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            parents.setdefault(parent, []).append(int(entry.name))
    found = [pid]
    for one in found:
        found += parents.get(one, [])
    return found


def proportional_bytes(pid: int) -> int:
    """Return the memory of a process, shared pages divided among those who share them; 0 if it has just ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


# -- told ------------------------------------------------------------------------------------------------------------


def short(report: Mapping[str, Any]) -> str:
    """Return the beginning of a fingerprint."""
    return str(report["books_hash"])[:16]


def page(figures: Figures, took_s: float) -> str:
    """Return the page of the figures."""
    rows = [f"| {what} | {asked} | {measured} | {VERDICT[holds]} |" for what, asked, measured, holds in figures.rows]
    day = time.strftime("%Y-%m-%d", time.gmtime())
    return "\n".join(
        [
            "# Acceptance",
            "",
            "Written by `make accept`: each figure comes from the commands a user has, or over HTTP from the running program, on a fresh database.",
            "",
            f"Measured on {day} with Python {platform.python_version()} on {os.cpu_count()} cores, in {took_s / 60:.0f} minutes.",
            "",
            "| Figure | Asked | Measured | |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


PARTS: tuple[tuple[str, Callable[[Figures], None]], ...] = (
    ("world", measure_world),
    ("import", measure_import),
    ("flash", measure_flash),
    ("quota", measure_quota),
    ("pages", measure_pages),
    ("screens", measure_screens),
)


if __name__ == "__main__":
    sys.exit(main())
