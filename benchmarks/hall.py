"""The hall of a sale: a house with the demo's goods and, beside them, SKUs of which many buyers want the same few; web and worker run on it.

The database is as durable as an installation's. The business clock is moved on by hand, so that slow banks, holds that end and payments
that come late all happen within minutes, while orders come in.
"""

import asyncio
import json
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psycopg

from benchmarks.clients import Answer, ask
from benchmarks.ground import COUNTRY, STORE, BenchWorld, Size, fill_world, open_storefront
from benchmarks.loads import POSTCODE
from benchmarks.measure import Apart, driver
from benchmarks.processes import Running, running
from entrepot.base.clock_store import advance_business_now, read_business_now
from entrepot.base.time import RealClock
from entrepot.bootstrap.migrate import upgrade
from entrepot.bootstrap.outside import read_keyring
from entrepot.bootstrap.postgres import Cluster, Durability
from entrepot.bootstrap.settings import read_settings
from entrepot.bootstrap.throwaway import throwaway_cluster
from entrepot.flows.open_house import open_demo_house
from entrepot.operations.registry import REGISTRY
from entrepot.parties.sealing import Keyring

PLACED = frozenset({200, 201})
PASSING_ROUNDS = 20
"""How often a buyer who is told to come back in a moment does so."""
_CLOCK_STEP_S = 0.05


@dataclass(frozen=True)
class Scale:
    """How much of everything there is, how many buyers speak at a time, how many business seconds pass in a real one, and after how many waves of
    buyers who try again all pay by a card that works.
    """

    size: Size
    hot_skus: int
    clients: int
    speed: int
    mixed_waves: int
    patience_s: float


FULL = Scale(Size(20, 50, 20_000), 5, 256, 240, 3, 400)
SMALL = Scale(Size(4, 5, 120, (6, 5, 1), (4, 4)), 3, 32, 1_800, 1, 60)


@dataclass(frozen=True)
class Hall:
    """The open house: who runs it, what is for sale in it, and a process of its own for the buyers."""

    scale: Scale
    cluster: Cluster
    data: Path
    program: Running
    world: BenchWorld
    token: str
    apart: Apart
    keyring: Keyring


@dataclass(frozen=True)
class Wish:
    """What a buyer orders: lines as (merchant, offer, quantity), a method of payment, and what a store needs beside."""

    person_id: uuid.UUID
    key: str
    lines: tuple[tuple[uuid.UUID, uuid.UUID, int], ...]
    method: str
    store: str = STORE
    country: str = COUNTRY
    postcode: str = POSTCODE
    identity_id: uuid.UUID | None = None


@contextmanager
def opened(scale: Scale) -> Iterator[Hall]:
    """Open a hall in a fresh database, with everything that runs on it, until the end of the block."""
    with throwaway_cluster(Durability.KEEP) as cluster, tempfile.TemporaryDirectory(prefix="entrepot-flash-") as directory:
        data = Path(directory)
        keyring = read_keyring(read_settings({}, {"data": directory}))
        upgrade(cluster.url())
        world, token = asyncio.run(_fill(cluster.url(), keyring, scale.size))
        with running(cluster, data) as program, driver() as apart:
            yield Hall(scale, cluster, data, program, world, token, apart, keyring)


async def _fill(url: str, keyring: Keyring, size: Size) -> tuple[BenchWorld, str]:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as conn:
        async with conn.transaction():
            await open_demo_house(conn, REGISTRY, keyring, RealClock().now().replace(microsecond=0) - timedelta(days=2))
        world = await fill_world(conn, keyring, size)
        async with conn.transaction():
            await advance_business_now(conn, RealClock().now())  # the worker does so too, but may not have begun when the first buyer comes
            return world, await open_storefront(conn)


def hot_offers(hall: Hall) -> list[int]:
    """Return the places in the world of the SKUs on sale, each of another merchant."""
    return [number * hall.world.size.skus for number in range(hall.scale.hot_skus)]


# -- buyers ----------------------------------------------------------------------------------------------------------


def request_of(wish: Wish, token: str) -> bytes:
    """Return a wish as a whole HTTP request."""
    order = {
        "marketplace": wish.store,
        "country": wish.country,
        "postcode": wish.postcode,
        "payment_method": wish.method,
        "buyer_id": str(wish.person_id),
        "lines": [{"merchant_id": str(merchant), "offer_id": str(offer), "quantity": count} for merchant, offer, count in wish.lines],
    }
    if wish.identity_id is not None:
        order |= {"identity_id": str(wish.identity_id), "accepts_risk": True}
    body = json.dumps(order)
    return (
        f"POST /orders HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n"
        f"idempotency-key: {wish.key}\r\ncontent-length: {len(body)}\r\n\r\n{body}"
    ).encode()


def order_all(hall: Hall, wishes: Sequence[Wish], clients: int) -> tuple[list[Answer], int]:
    """Send orders, so many at a time; who is told to come back does so under the same key. Return the last answers, and how many were passing ones."""
    requests = [request_of(wish, hall.token) for wish in wishes]
    answers: list[Answer] = hall.apart(ask, hall.program.port, requests, clients)
    passing = 0
    for _ in range(PASSING_ROUNDS):
        later = [number for number, one in enumerate(answers) if one.status == 503 and one.retry_after_s is not None]
        if not later:
            break
        passing += len(later)
        time.sleep(max(answers[number].retry_after_s or 0 for number in later))
        for number, one in zip(later, hall.apart(ask, hall.program.port, [requests[number] for number in later], clients), strict=True):
            answers[number] = one
    return answers, passing


# -- the clock -------------------------------------------------------------------------------------------------------


@contextmanager
def moving_clock(hall: Hall) -> Iterator[None]:
    """Move the business clock on at the scale's speed during the block."""
    is_over = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        hand = threads.submit(lambda: asyncio.run(_turn(hall.program.url, hall.scale.speed, is_over)))
        try:
            yield
        finally:
            is_over.set()
    hand.result()


async def _turn(url: str, speed: int, is_over: threading.Event) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as conn:
        began_at, began_s = await read_business_now(conn) or RealClock().now(), time.monotonic()
        while not is_over.is_set():
            await asyncio.sleep(_CLOCK_STEP_S)
            await advance_business_now(conn, began_at + timedelta(seconds=speed * (time.monotonic() - began_s)))


# -- what is due -----------------------------------------------------------------------------------------------------


def count_undecided(conn: psycopg.Connection) -> int:
    """Return how many payments are still to be decided, those of which the hold has ended included, and orders that customs has not heard of."""
    row = conn.execute(_UNDECIDED).fetchone()
    assert row is not None
    return int(row[0])


_UNDECIDED = """
    select count(*) from due_work where step_code = 'take_payments' or (step_code = 'declare_consignments' and attempt_count = 0)
"""
