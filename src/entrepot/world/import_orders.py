"""A merchant's year from an order file: read and checked whole, then played through the flows a business day at a time.

Pass 1 writes nothing. Pass 2 opens the shop in one transaction, then plays each business day in one transaction together with the note that
the day is done. What a killed import had not committed is not there; the next call reads the file the same way and goes on.
"""

import gc
import resource
from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Final, Protocol, TypeVar

from msgspec.structs import replace

from entrepot.adapters.bank import BuiltInBank
from entrepot.adapters.carrier import demo_carriers
from entrepot.adapters.customs_gateway import BuiltInCustomsGateway, GatewayHabits
from entrepot.adapters.payment_provider import BuiltInProvider
from entrepot.base.clock_store import advance_business_now
from entrepot.base.ids import SeededIds
from entrepot.base.money import decimals_of
from entrepot.base.sql import Conn
from entrepot.base.time import monotonic_s, start_of_day
from entrepot.flows.outside import Outside
from entrepot.flows.reference import read_reference
from entrepot.operations.registry import Registry
from entrepot.parties.sealing import Keyring
from entrepot.world.import_calendar import Calendar, plan_calendar
from entrepot.world.import_catalogue import AHEAD, Shop, fill_shop, open_shop, shop_of
from entrepot.world.import_days import Refusals, play_step, run_all_due
from entrepot.world.import_rules import SaleRules, read_sale_rules
from entrepot.world.import_stock import bring_stock
from entrepot.world.import_store import (
    StoredImport,
    advance_import,
    insert_import,
    insert_refusals,
    read_imports,
    read_refusals,
    refresh_statistics,
)
from entrepot.world.import_terms import ImportRunsAlreadyError, ImportTerms, ImportUnfinishedError, import_defaults
from entrepot.world.order_file import CheckedFile, ReadFile, decide_lines, first_date, read_lines, write_refused
from entrepot.world.order_lines import FileLine, ReturnedLine

Result = TypeVar("Result")
Tell = Callable[[int, int], None]
"""Is told how many of how many steps are done."""

_COLLECT_EVERY: Final = 10
_SEED: Final = "order-import"
_STATISTICS_AFTER: Final = frozenset({0, 2, 7, 20, 50, 120, 220})
"""Steps after which the planner's statistics are refreshed; the tables have grown several times over since the last."""


class Transact(Protocol):
    """Runs work in one transaction and commits it."""

    async def __call__(self, work: Callable[[Conn], Awaitable[Result]]) -> Result:
        """Return what the work returned, after the commit."""
        ...


@dataclass(slots=True)
class _Import:
    """An import under way: what was read, where it stands, and what was refused and counted on the way."""

    read: ReadFile
    shop: Shop
    calendar: Calendar
    outside: Outside
    stored: StoredImport
    refusals: Refusals

    @property
    def step_count(self) -> int:
        """All steps: the calendar's, and the end."""
        return len(self.calendar.steps) + 1


async def import_orders(
    transact: Transact, registry: Registry, keyring: Keyring, terms: ImportTerms, now: datetime, folder: Path, tell: Tell
) -> dict[str, object]:
    """Import a file, or go on with it, and return the report; refused lines are written into `folder`."""
    with _rare_collections():
        return await _import(transact, registry, keyring, terms, now, folder, tell)


@contextmanager
def _rare_collections() -> Generator[None]:
    """Keep Python from looking for reference cycles all the time: the file's half million lines have none, and each look goes through all of them."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if was_enabled:
            gc.enable()


async def _import(
    transact: Transact, registry: Registry, keyring: Keyring, terms: ImportTerms, now: datetime, folder: Path, tell: Tell
) -> dict[str, object]:
    """Read, open or find again, play step by step, report."""
    began_s = monotonic_s()
    shop_of(registry, terms, now.date())
    checked = read_lines(terms.path, terms.read_options(now.date()))
    stored = await transact(lambda conn: _find(conn, checked, terms, now))
    under_way = await _open(transact, registry, keyring, terms, checked, stored)
    gc.freeze()
    for step in range(under_way.stored.steps_done, under_way.step_count):
        tell(step, under_way.step_count)
        await _play(transact, under_way, step)
        if step % _COLLECT_EVERY == 0:
            gc.collect()
        if step in _STATISTICS_AFTER:
            await transact(refresh_statistics)
    tell(under_way.step_count, under_way.step_count)
    return report(under_way, folder) | {
        "elapsed_s": round(monotonic_s() - began_s, 1),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


async def _find(conn: Conn, checked: CheckedFile, terms: ImportTerms, now: datetime) -> StoredImport:
    """Return the standing import of this file, or a new one that is not written yet; any other that is unfinished refuses it."""
    for one in await read_imports(conn):
        is_same = one.content_hash == checked.facts.content_hash
        if is_same and (one.merchant_code, one.options) != (terms.merchant_code, terms.document):
            raise ImportUnfinishedError("file", str(terms.path), f"It was begun as {one.file_name} with {one.options}; call it again like that.")
        if is_same:
            return one
        if one.finished_at is None:
            raise ImportUnfinishedError("file", str(terms.path), f"Finish {one.file_name} first, with {one.options}.")
    return StoredImport(checked.facts.content_hash, terms.merchant_code, terms.path.name, terms.document, now.date(), now, -1, None, {})


async def _open(transact: Transact, registry: Registry, keyring: Keyring, terms: ImportTerms, checked: CheckedFile, stored: StoredImport) -> _Import:
    """Open the shop, decide all lines by the rules in force, and bring in what is there before the first day; once."""
    options = terms.read_options(stored.today)
    first_on = first_date(checked, options)
    shop = shop_of(registry, terms, first_on)
    is_new = stored.steps_done < 0

    async def open_and_read(conn: Conn) -> tuple[SaleRules, dict[int, str]]:
        if is_new:
            await open_shop(conn, registry, shop, stored.today)
        rules = await read_sale_rules(conn, await read_reference(conn, registry, first_on), shop, first_on)
        return rules, await read_refusals(conn, stored.content_hash)

    rules, refused = await transact(open_and_read)
    served = rules.reference.marketplaces[shop.marketplace_code].destination_codes
    read = decide_lines(checked, replace(options, served_countries=frozenset(served), refuse_sale=rules.refuse))
    calendar = plan_calendar(read.days, stored.today)
    ids = SeededIds(str(shop.merchant_id), "import")
    outside = Outside(
        rules.reference, ids, BuiltInProvider(), demo_carriers(_SEED), BuiltInCustomsGateway(_SEED, GatewayHabits(0, 0, 0)), BuiltInBank()
    )

    async def fill(conn: Conn) -> StoredImport:
        await fill_shop(conn, shop, keyring, read.products, read.buyers)
        await bring_stock(conn, outside, shop, calendar.opening, shop.opened_at + AHEAD)
        begun = replace(stored, steps_done=0)
        if not await insert_import(conn, begun):
            raise ImportRunsAlreadyError("file", str(terms.path), "Wait until it has finished.")
        return begun

    return _Import(read, shop, calendar, outside, await transact(fill) if is_new else stored, Refusals(refused))


async def _play(transact: Transact, under_way: _Import, step: int) -> None:
    """Play one step and note it as done, in one transaction; the import's own state changes after the commit."""
    stored, calendar = under_way.stored, under_way.calendar
    is_last = step == len(calendar.steps)
    ends_at = start_of_day(stored.today, import_defaults().time_zone)

    async def play(conn: Conn) -> tuple[Refusals, dict[str, int]]:
        refusals, counts = Refusals(dict(under_way.refusals.reasons)), dict(stored.counts)
        if is_last:
            await advance_business_now(conn, ends_at)
            await run_all_due(conn, under_way.outside, ends_at)
        else:
            await play_step(conn, under_way.outside, under_way.shop, calendar, calendar.steps[step], refusals, counts)
        await insert_refusals(conn, stored.content_hash, refusals.since(under_way.refusals))
        if not await advance_import(conn, stored.content_hash, step + 1, counts, ends_at if is_last else None):
            raise ImportRunsAlreadyError("file", stored.file_name, "Wait until it has finished.")
        return refusals, counts

    refusals, counts = await transact(play)
    under_way.refusals = refusals
    under_way.stored = replace(stored, steps_done=step + 1, counts=counts, finished_at=ends_at if is_last else None)


# -- told ------------------------------------------------------------------------------------------------------------


def report(under_way: _Import, folder: Path) -> dict[str, object]:
    """Return what became of the file, with the refused lines written beside; accepted - returned + rejected is the file's value."""
    read, stored = under_way.read, under_way.stored
    sold, returned = _late(under_way)
    late_value = Decimal(sum(line.value_minor for line in (*sold, *returned))).scaleb(-decimals_of(read.currency))
    reasons = {line.line_no: line.reason for line in read.refused} | under_way.refusals.reasons
    return {
        "merchant": stored.merchant_code,
        "lines_read": read.lines_read,
        "lines_imported": read.imported_count - len(sold) - len(returned),
        "lines_rejected": len(reasons),
        "rejected": dict(sorted(Counter(reasons.values()).items())),
        "accepted_minor": read.accepted_minor - sum(line.value_minor for line in sold),
        "returned_minor": read.returned_minor + sum(line.value_minor for line in returned),
        "returned_difference_minor": sum(-one.line.value_minor - one.charged_minor for one in _played_returns(under_way)),
        "rejected_value": format(read.refused_value + late_value, "f"),
        "currency": read.currency,
        "orders": {model_code: stored.counts.get(model_code, 0) for model_code in sorted(under_way.shop.places)},
        "days": len(read.days),
        "rejected_file": _write_rejected(under_way, reasons, folder),
    }


def _late(under_way: _Import) -> tuple[list[FileLine], list[FileLine]]:
    """Return the lines that the flows refused: sales with charges, and returns."""
    reasons, days = under_way.refusals.reasons, under_way.read.days
    if not reasons:
        return [], []
    sold = [line for day in days for order in day.orders for line in (*order.lines, *order.charges) if line.line_no in reasons]
    returned = [one.line for day in days for draft in day.returns for one in draft.lines if one.line.line_no in reasons]
    return sold, returned


def _played_returns(under_way: _Import) -> list[ReturnedLine]:
    """Return the returned lines that were not refused."""
    reasons = under_way.refusals.reasons
    return [one for day in under_way.read.days for draft in day.returns for one in draft.lines if one.line.line_no not in reasons]


def _write_rejected(under_way: _Import, reasons: Mapping[int, str], folder: Path) -> str | None:
    """Copy the refused lines into a file of their own, each with its reason; None if there is none."""
    if not reasons:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{under_way.stored.merchant_code}-{under_way.stored.content_hash[:12]}-rejected.csv"
    write_refused(under_way.shop.terms.path, target, reasons)
    return str(target)
