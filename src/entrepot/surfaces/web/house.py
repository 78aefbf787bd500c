"""What pages need of the running process: its database, the outside of the flows, the registry of models and the operator's secrets."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Final, Protocol, TypeVar, cast

from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import SkipValidation
from msgspec import Struct, field

from entrepot.adapters.mail import LogMailer, Mailer
from entrepot.base.clock_store import read_business_now
from entrepot.base.sql import Conn
from entrepot.base.time import RealClock, monotonic_s
from entrepot.flows.check_laws import LawResult, check_laws
from entrepot.flows.outside import Outside
from entrepot.operations.registry import Registry
from entrepot.parties.sealing import Keyring

Result = TypeVar("Result")

_PROOF_FRESH_S: Final = 10


class Database(Protocol):
    """The database as pages use it."""

    def reading(self) -> AbstractAsyncContextManager[Conn]:
        """Give a connection that cannot write."""
        ...

    async def writing(self, work: Callable[[Conn], Awaitable[Result]]) -> Result:
        """Run work in a transaction and commit it, again after a conflict, so that work must be idempotent by its own keys."""
        ...


class OutsideSource(Protocol):
    """Where the flows' outside comes from, with reference data that is fresh enough."""

    async def current(self, conn: Conn, now: datetime) -> Outside:
        """Return the outside for the business instant `now`."""
        ...


class Proof(Struct, frozen=True):
    """The laws as they were proven, when by the machine's clock, and in how many milliseconds."""

    laws: tuple[LawResult, ...]
    at: datetime
    elapsed_ms: int


class Proofs:
    """The latest proof of the books; however many ask, one proof runs at a time and serves all of them for some seconds."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._latest: Proof | None = None
        self._ended_s = 0.0

    async def latest(self, house: "House") -> Proof:
        """Return the latest proof if it is fresh, else prove again."""
        async with self._lock:
            if self._latest is None or monotonic_s() - self._ended_s > max(_PROOF_FRESH_S, _TALLY_KEPT * self._latest.elapsed_ms / 1000):
                began_s = monotonic_s()
                async with house.database.reading() as conn:
                    outside = await house.outside.current(conn, await business_now(conn))
                    laws = await check_laws(conn, outside.reference)
                self._ended_s = monotonic_s()
                self._latest = Proof(tuple(laws), RealClock().now(), int((self._ended_s - began_s) * 1000))
            return self._latest


_TALLY_QUICK_S: Final = 0.05
"""What takes less is asked anew each time."""
_TALLY_KEPT: Final = 20
"""A tally is kept for so many times as long as it took."""

Tally = tuple[float, float, object]
"""When it was ready, how long it took, and what came out."""


class Tallies:
    """Counts over the whole house: in a small house always fresh, in a big one kept for a while, so that looking costs it a twentieth at most.

    However many ask at once, one question runs, and its answer is everybody's.
    """

    def __init__(self) -> None:
        self._kept: dict[str, Tally] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def read(self, name: str, count: Callable[[], Awaitable[Result]]) -> Result:
        """Return what `count` counts, or what it counted lately under this name."""
        async with self._locks.setdefault(name, asyncio.Lock()):
            ready_s, took_s, result = self._kept.get(name, (0.0, 0.0, None))
            if took_s < _TALLY_QUICK_S or monotonic_s() - ready_s > took_s * _TALLY_KEPT:
                began_s = monotonic_s()
                result = await count()
                self._kept[name] = (monotonic_s(), monotonic_s() - began_s, result)
            return cast("Result", result)


class House(Struct, frozen=True):
    """One process's house; `has_world` tells that the demonstration world lives in it, `asks_factor` that its own roles must have a second factor."""

    database: Database
    outside: OutsideSource
    registry: Registry
    keyring: Keyring
    proofs: Proofs
    mailer: Mailer = field(default_factory=LogMailer)
    public_url: str = ""
    has_world: bool = False
    asks_factor: bool = False
    tallies: Tallies = field(default_factory=Tallies)


HouseDep = NamedDependency[SkipValidation[House]]
"""A handler's parameter named `house`."""


async def business_now(conn: Conn) -> datetime:
    """Return the business instant of the database, or the real one before the clock was ever set."""
    return await read_business_now(conn) or RealClock().now()


async def provide_house(state: State) -> House:
    """Return the house that the application opened."""
    house: House = state.house
    return house
