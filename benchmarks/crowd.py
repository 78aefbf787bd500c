"""A house with a crowd in it: 100,000 products and a million orders with everything that pages list of them, for measuring pages.

Thirty days of the living world are lived through the product's own flows, and goods are brought in by its own functions. Then set-based
statements copy the rows of those orders under ids and numbers of their own, at other times, to other buyers: this is a fixture for looking at
pages, so it passes by the flows. What constraints ask for holds in every row, foreign keys too; the books' laws do not, because units and
balances are not copied along. What no list reads whole (entries, moves, acts, facts, scans of the way) is copied for the latest orders only.

The world's finished orders spread over two years, its open ones over the last days. The greatest merchant has a fifth of all orders and 5,000
SKUs, one buyer has some hundred orders.
"""

import argparse
import asyncio
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from psycopg import AsyncConnection

from benchmarks import ground
from benchmarks.crowd_rows import ADDED, ADDED_AFTER, COPIES, DEEP, GOODS, LISTED, PERSONS, STATEMENTS, SUBJECTS, copy_rows
from benchmarks.ground import Size, fill_world
from entrepot.base.batching import BATCH_LIMIT
from entrepot.base.clock_store import advance_business_now
from entrepot.base.sql import Conn, fetch
from entrepot.base.time import RealClock
from entrepot.bootstrap.migrate import upgrade
from entrepot.bootstrap.outside import read_keyring
from entrepot.bootstrap.postgres import Durability, open_cluster
from entrepot.bootstrap.running import running_cluster
from entrepot.bootstrap.settings import read_settings
from entrepot.bootstrap.tables import all_tables
from entrepot.operations.registry import REGISTRY
from entrepot.parties.demo import demo_person_id
from entrepot.parties.model import merchant_id_of
from entrepot.parties.sealing import Keyring
from entrepot.world.live import live_world

GREATEST: Final = merchant_id_of("demo-shenzhen-audio")
"""The merchant with most orders and SKUs, whose owner signs in as `merchant`."""
REGULAR: Final = demo_person_id("demo-buyer-gb")
"""The buyer with some hundred orders, who signs in as `buyer-gb`."""
SEED: Final = 7
HISTORY: Final = timedelta(days=730)
OPEN_APART: Final = timedelta(minutes=17)
_LANES: Final = 2


@dataclass(frozen=True)
class CrowdSize:
    """How much of everything: orders in all, days of the world they are copied from, the goods, and the shares of copies that are open or deep."""

    orders: int
    days: int
    goods: Size
    open_share: float = 0.08
    deep_share: float = 0.1
    periods: int = 60
    shared_merchants: int = 10
    """Merchants whose goods the greatest merchant offers as well."""
    regular_shares: int = 6
    """Of all buyers' places, those that are one and the same buyer."""


FULL: Final = CrowdSize(1_000_000, 30, ground.FULL)
SMALL: Final = CrowdSize(1_000, 4, Size(3, 20, 100), shared_merchants=1, regular_shares=2)


async def fill_crowd(url: str, keyring: Keyring, size: CrowdSize) -> None:
    """Fill a migrated, empty database."""
    began_s = time.monotonic()
    report = await live_world(url, REGISTRY, keyring, SEED, size.days, BATCH_LIMIT)
    until = datetime.fromisoformat(str(report["until"]))
    _say(began_s, f"{size.days} days of the world")
    async with await AsyncConnection.connect(url, autocommit=True) as conn:
        world = await fill_world(conn, keyring, size.goods)
        _say(began_s, f"{len(world.products):,} products")
        now = RealClock().now()
        await _prepare(conn, size, world.persons, now, until)
        indexes = await _take_indexes(conn)
    await _in_lanes(url, [copy_rows(all_tables().tables[name]) for name in (*LISTED, *DEEP)])
    await _in_lanes(url, ADDED)
    await _in_lanes(url, ADDED_AFTER)
    _say(began_s, f"{size.orders:,} orders")
    await _in_lanes(url, indexes)
    _say(began_s, "indexes")
    async with await AsyncConnection.connect(url, autocommit=True) as conn:
        await conn.execute(_AFTERWARDS)
        await advance_business_now(conn, now)
        await conn.execute("vacuum analyze")
        await conn.execute("checkpoint")
    _say(began_s, "analysed")


async def _prepare(conn: Conn, size: CrowdSize, persons: Sequence[uuid.UUID], now: datetime, until: datetime) -> None:
    """Write down what is copied how often, to whom and to when, and add goods and settlements."""
    await conn.execute(SUBJECTS)
    row = await fetch(conn, "select count(*) filter (where is_final), count(*) filter (where not is_final) from crowd_order")
    final, unfinished = int(row[0][0]), int(row[0][1])
    still_open = max(1, int(size.orders * size.open_share) // max(1, unfinished))
    copies = max(1, (size.orders - still_open * unfinished) // max(1, final))
    asked = {"copies": copies, "deep": max(1, int(copies * size.deep_share)), "open": still_open}
    await conn.execute(COPIES, {**asked, "now": now, "until": until, "history": HISTORY, "apart": OPEN_APART})
    await conn.execute(PERSONS, ([*[REGULAR] * size.regular_shares, *persons],))
    await conn.execute("analyze crowd_copy, crowd_person")
    shared = [merchant_id_of(f"bench-{number:03d}") for number in range(size.shared_merchants)]
    for statement in GOODS:
        await conn.execute(statement, {"greatest": GREATEST, "shared": shared})
    for statement in STATEMENTS:
        await conn.execute(statement, {"until": until, "periods": size.periods})


async def _take_indexes(conn: Conn) -> list[str]:
    """Drop the indexes of what is copied that no constraint needs; return the statements that make them again, which is faster than keeping them."""
    rows = await fetch(
        conn,
        """
        select indexrelid::regclass::text, pg_get_indexdef(indexrelid) from pg_index i
        where indrelid::regclass::text = any(%(tables)s) and not exists (select from pg_constraint c where c.conindid = i.indexrelid)
        """,
        {"tables": [*LISTED, *DEEP]},
    )
    for name, _ in rows:
        await conn.execute(f"drop index {name}")
    return [str(row[1]) for row in rows]


async def _in_lanes(url: str, statements: Sequence[str]) -> None:
    """Run statements that do not depend on one another, as many at a time as there are lanes; rows copied whole need no trigger to check them."""
    queue = iter(statements)

    async def lane() -> None:
        async with await AsyncConnection.connect(url, autocommit=True) as conn:
            await conn.execute("set session_replication_role = replica; set maintenance_work_mem = '512MB'; set work_mem = '128MB'")
            for statement in queue:
                await conn.execute(statement)

    await asyncio.gather(*(lane() for _ in range(_LANES)))


_AFTERWARDS: Final = """
    drop table crowd_order, crowd_subject, crowd_copy, crowd_person;
    update due_work set due_at = due_at + interval '1 year' where due_at < current_date;
    update invoice_series s set last_number = greatest(last_number, n.number)
    from (select merchant_id, series_code, max(number) as number from invoice group by 1, 2) n
    where n.merchant_id = s.merchant_id and n.series_code = s.series_code;
"""
"""The world's own due work waits too; series go on after the copies' numbers."""


def _say(began_s: float, what: str) -> None:
    print(f"{time.monotonic() - began_s:6.0f} s  {what}", flush=True)


def main() -> None:
    """Fill a directory that stays, for looking at pages by hand or for `python -m benchmarks.screens --data`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path, help="A new directory; its database is left there.")
    parser.add_argument("--small", action="store_true", help="Some thousand orders, to try it out.")
    args = parser.parse_args()
    fill_directory(args.directory, SMALL if args.small else FULL)


def fill_directory(directory: Path, size: CrowdSize) -> None:
    """Fill a new database in a directory, with the keyring that opens what is sealed in it, and stop the database."""
    cluster = open_cluster(directory, Durability.THROW_AWAY)
    keyring = read_keyring(read_settings({}, {"data": str(directory)}))
    with running_cluster(cluster):
        upgrade(cluster.url())
        asyncio.run(fill_crowd(cluster.url(), keyring, size))


if __name__ == "__main__":
    main()
