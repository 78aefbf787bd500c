"""One measurement: a load on the running program over HTTP or inside this process, between two readings of what everybody has used."""

import asyncio
import re
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from typing import Final
from urllib.request import urlopen

import psycopg

from benchmarks.clients import drive
from benchmarks.ground import BenchWorld
from benchmarks.loads import ORDERS, Load, order_values, request_bytes
from benchmarks.processes import Running, Used, used
from entrepot.base.actor import Actor, ActorKind
from entrepot.base.batching import BATCH_LIMIT, chunks
from entrepot.base.clock_store import read_business_now
from entrepot.base.sql import Conn
from entrepot.base.time import RealClock
from entrepot.bootstrap.database import in_transaction, open_pool
from entrepot.bootstrap.outside import build_outside
from entrepot.bootstrap.processes import LOOPBACK
from entrepot.bootstrap.settings import read_settings
from entrepot.flows.order_to_cash import place_orders
from entrepot.flows.outside import Outside
from entrepot.flows.reference import read_reference
from entrepot.operations.registry import REGISTRY
from entrepot.orders.model import OrderRequest

HTTP, INSIDE = "http", "in_process"
LANES: Final = 2
_CALLER = Actor(ActorKind.PROGRAM, "bench", "storefront")
_METRIC = re.compile(r"^entrepot_intake_batch_size_(sum|count)(?:\{[^}]*\})? (\S+)$", re.MULTILINE)

Apart = Callable[..., "Measured"]
"""Runs a measurement in the driver's process: the function, then its arguments."""


@dataclass(frozen=True)
class Measured:
    """What a load did and what it cost; processor seconds between the first request and the last answer."""

    sent: int
    statuses: Counter[int]
    elapsed_s: float
    latencies_s: "array[float]"
    used: Used
    driver_s: float
    wal_bytes: int
    batch_mean: float | None
    odd: tuple[str, ...] = ()

    @property
    def accepted(self) -> int:
        """How many orders were placed."""
        return self.statuses[201]

    @property
    def refused(self) -> int:
        """How many orders got a clear no; a 503 is no answer."""
        return self.statuses[409]

    @property
    def others_cores(self) -> float:
        """How many cores' worth of time went to programs that are not part of this: the machine's noise."""
        ours = self.used.server + self.used.worker + self.used.database + self.driver_s
        return (self.used.machine - ours) / self.elapsed_s

    def latency_ms(self, share: float) -> float:
        """Return the latency that so large a share of the answers did not exceed."""
        return percentile(self.latencies_s, share) * 1000


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)] if ordered else 0.0


@contextmanager
def driver() -> Iterator[Apart]:
    """Give a process of its own, in which functions of this package run one after the other, so that nobody else's memory and time are in them."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        yield lambda work, *arguments: pool.submit(work, *arguments).result()


def measure_http(program: Running, load: Load, world: BenchWorld, token: str) -> Measured:
    """Drive the server from prepared bytes."""
    requests = request_bytes(load, world, token)
    with psycopg.connect(program.url, autocommit=True) as conn:
        if load.kind != ORDERS:
            drive(program.port, requests[-load.clients :], load.clients, 0)  # a program just started reads its rules first
        batches = _read_batches(program.port)
        wal, before = _read_wal(conn), used(program)
        done = drive(program.port, requests, load.clients, load.seconds)
        after, wal_bytes = used(program), _read_wal(conn) - wal
    count, total = (after_ - before_ for after_, before_ in zip(_read_batches(program.port), batches, strict=True))
    mean = total / count if count else None
    return Measured(done.sent, done.statuses, done.elapsed_s, done.latencies_s, after.since(before), done.cpu_s, wal_bytes, mean, done.odd)


def measure_inside(program: Running, load: Load, world: BenchWorld) -> Measured:
    """Call the flow itself with batches of 128 on two connections; this process is the server, and there is no driver."""
    return asyncio.run(_measure_inside(program, load, world))


async def _measure_inside(program: Running, load: Load, world: BenchWorld) -> Measured:
    async with open_pool(program.url, LANES) as pool, await psycopg.AsyncConnection.connect(program.url, autocommit=True) as conn:
        now = await read_business_now(conn) or RealClock().now()
        outside = build_outside(read_settings({}, {}), await read_reference(conn, REGISTRY, now.date()))
        queue = iter(chunks(order_values(load, world, now), BATCH_LIMIT))
        latencies, statuses, sizes = array("d"), Counter[int](), list[int]()
        wal = _lsn(await (await conn.execute(_WAL)).fetchone())
        before, cpu_s, began_s = used(program), time.process_time(), time.perf_counter()

        async def lane() -> None:
            for part in queue:
                asked_s = time.perf_counter()
                statuses.update(await in_transaction(pool, lambda conn, part=part: place_batch(conn, outside, part)))
                now_s = time.perf_counter()
                latencies.extend([now_s - asked_s] * len(part))
                sizes.append(len(part))
                if now_s - began_s > load.seconds:
                    return

        await asyncio.gather(*(lane() for _ in range(LANES)))
        elapsed_s, own_s, after = time.perf_counter() - began_s, time.process_time() - cpu_s, used(program)
        wal_bytes = _lsn(await (await conn.execute(_WAL)).fetchone()) - wal
    spent = replace(after.since(before), server=own_s)
    return Measured(sum(sizes), statuses, elapsed_s, latencies, spent, 0.0, wal_bytes, sum(sizes) / len(sizes))


async def place_batch(conn: Conn, outside: Outside, requests: Sequence[OrderRequest]) -> list[int]:
    """Place a batch as the server does and tell each answer as it would."""
    answers = await place_orders(conn, outside, requests, _CALLER)
    return [201 if one.refusal is None else 409 for one in answers]


_WAL: Final = "select pg_current_wal_lsn() - '0/0'::pg_lsn"


def _read_wal(conn: psycopg.Connection) -> int:
    return _lsn(conn.execute(_WAL).fetchone())


def _lsn(row: tuple[object, ...] | None) -> int:
    assert row is not None
    return int(str(row[0]))


def _read_batches(port: int) -> tuple[float, float]:
    """Return how many batches the server has placed and how many orders were in them, zeros while it does not say."""
    with urlopen(f"http://{LOOPBACK}:{port}/metrics", timeout=10) as answer:
        found = dict(_METRIC.findall(answer.read().decode()))
    return float(found.get("count", 0)), float(found.get("sum", 0))
