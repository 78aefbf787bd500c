"""What is asked of the server: requests as bytes, or as values for the flow itself, all made before any clock starts."""

import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from benchmarks.ground import COUNTRY, STORE, BenchWorld
from entrepot.base.ids import derived_id
from entrepot.orders.model import LineAsk, OrderRequest

UNIFORM, ONE_MERCHANT, FLASH = "uniform", "one_merchant", "flash"
WORKLOADS = (UNIFORM, ONE_MERCHANT, FLASH)
ORDERS, QUOTES, PRODUCT, SEARCH, MISSPELT = "orders", "quotes", "product", "search", "misspelt"
HOT_SKUS, HOT_PERCENT = 5, 90
METHOD, POSTCODE = "card_ok", "LS1"


@dataclass(frozen=True)
class Load:
    """Requests of one kind from so many clients for so many seconds; the number of the run draws other SKUs, buyers and keys each time."""

    kind: str
    workload: str
    clients: int
    seconds: float
    run: int
    most: int
    """How many requests are prepared; who has sent all of them stops early."""
    method: str = METHOD
    """How the buyers pay; the built-in bank says when it decides."""


def draw(load: Load, world: BenchWorld) -> Iterator[tuple[int, int]]:
    """Draw buyer and offer of one order after the other, by their places in the world."""
    dice = random.Random(f"{load.workload} {load.run}")  # noqa: S311 -- repeatable on purpose
    offers = range(len(world.offers))
    if load.workload == ONE_MERCHANT:
        first = load.run % world.size.merchants * world.size.skus
        offers = range(first, first + world.size.skus)
    hot = dice.sample(range(len(world.offers)), HOT_SKUS)
    for _ in range(load.most):
        is_hot = load.workload == FLASH and dice.random() * 100 < HOT_PERCENT
        yield dice.randrange(len(world.persons)), dice.choice(hot) if is_hot else dice.choice(offers)


def order_values(load: Load, world: BenchWorld, at: datetime) -> list[OrderRequest]:
    """Return orders as the flow takes them, placed at one business instant."""
    return [
        OrderRequest(
            world.persons[person],
            derived_id("bench_checkout", load.workload, load.run, number),
            f"inside-{load.workload}-{load.run}-{number}",
            STORE,
            "store",
            COUNTRY,
            POSTCODE,
            load.method,
            (LineAsk(*world.offers[offer], 1),),
            at,
        )
        for number, (person, offer) in enumerate(draw(load, world))
    ]


def request_bytes(load: Load, world: BenchWorld, token: str) -> list[bytes]:
    """Return whole HTTP requests."""
    if load.kind in {ORDERS, QUOTES}:
        return _posts(load, world, token)
    return [_get(path) for path in _paths(load, world)]


def _posts(load: Load, world: BenchWorld, token: str) -> list[bytes]:
    lines = [f'"lines":[{{"merchant_id":"{merchant_id}","offer_id":"{offer_id}","quantity":1}}]' for merchant_id, offer_id in world.offers]
    method = f'"payment_method":"{load.method}",' if load.kind == ORDERS else ""
    start = f'{{"marketplace":"{STORE}","country":"{COUNTRY}","postcode":"{POSTCODE}",{method}'
    head = f"POST /{load.kind} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\ncontent-length: "
    requests: list[bytes] = []
    for number, (person, offer) in enumerate(draw(load, world)):
        body = f'{start}{lines[offer]},"buyer_id":"{world.persons[person]}"}}'
        key = f"\r\nidempotency-key: {load.workload}-{load.run}-{number}" if load.kind == ORDERS else ""
        requests.append(f"{head}{len(body)}{key}\r\n\r\n{body}".encode())
    return requests


def _paths(load: Load, world: BenchWorld) -> Iterator[str]:
    dice = random.Random(f"{load.kind} {load.run}")  # noqa: S311 -- repeatable on purpose
    for _ in range(load.most):
        number = dice.randrange(len(world.products))
        words = world.titles[number].replace(",", "").split()
        if load.kind == PRODUCT:
            yield f"/store/{STORE}/products/{world.products[number]}"
        elif load.kind == SEARCH:
            yield f"/store/{STORE}?q={quote(' '.join(words[:3]))}"
        else:
            yield f"/store/{STORE}?q={quote(f'{words[0]} {_misspelt(words[2], dice)}')}"


def _misspelt(word: str, dice: random.Random) -> str:
    """Leave out a letter inside a word."""
    at = dice.randrange(1, len(word) - 1)
    return word[:at] + word[at + 1 :]


def _get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".encode()


def one_order(world: BenchWorld, token: str, key: uuid.UUID) -> bytes:
    """Return one order of its own, for what is watched from the order to the money."""
    load = Load(ORDERS, f"watched-{key}", 1, 0, 0, 1)
    return _posts(load, world, token)[0]
