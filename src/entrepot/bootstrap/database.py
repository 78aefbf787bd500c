"""The way to the database: a pool of connections, transactions that are tried again, and clear words when it cannot be reached."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from entrepot.base.errors import UnavailableError
from entrepot.base.pipes import PipedConnection, piped
from entrepot.base.sql import Conn

Pool = AsyncConnectionPool[PipedConnection]
Result = TypeVar("Result")

OLDEST_VERSION: Final = 16
ATTEMPTS: Final = 6
_CONTENDED: Final = frozenset({"40P01", "40001"})
_LOST: Final = frozenset({"57P01", "57P02", "57P03"})
_FIRST_PAUSE_S: Final = 0.01
_PAUSE_FACTOR: Final = 4


class DatabaseUnreachableError(UnavailableError):
    """The database does not answer; the operator starts it or corrects DATABASE_URL."""


class DatabaseTooOldError(UnavailableError):
    """The database is older than Entrepot can use; the operator upgrades it."""


class DatabaseContendedError(UnavailableError):
    """Others kept changing the same rows until we gave up; the caller tries again later."""


def check_database(url: str) -> None:
    """Connect once; raise `DatabaseUnreachableError` or `DatabaseTooOldError` with what to do."""
    try:
        with psycopg.connect(url, connect_timeout=10) as conn:
            version = conn.info.server_version // 10_000
    except (psycopg.OperationalError, psycopg.ProgrammingError) as error:
        raise DatabaseUnreachableError(
            "DATABASE_URL",
            shown_url(url),
            "Start it, create the database, or correct DATABASE_URL; without DATABASE_URL Entrepot brings its own. (%(fault)s)",
            fault=" ".join(str(error).split()),
        ) from None
    if version < OLDEST_VERSION:
        raise DatabaseTooOldError(
            "DATABASE_URL", f"PostgreSQL {version}", "Use PostgreSQL %(oldest)s or newer, or unset DATABASE_URL.", oldest=OLDEST_VERSION
        )


def shown_url(url: str) -> str:
    """Return the parts of a connection URL that may be shown: never the password."""
    try:
        parts = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        return url.partition(":")[0]
    shown = {name: str(parts[name]) for name in ("host", "port", "dbname", "user") if parts.get(name)}
    return " ".join(f"{name}={value}" for name, value in shown.items())


def open_pool(url: str, most: int) -> Pool:
    """Return a pool that opens with `async with`; its connections are transactions, committed by `in_transaction`."""
    return _pool(url, most, _plan_once)


def open_reading_pool(url: str, most: int) -> Pool:
    """Return a pool for those who only read: each statement sees what is committed, none can write, and no round trip goes to begin and commit."""
    return _pool(url, most, _read_only)


def _pool(url: str, most: int, prepare: Callable[[Conn], Awaitable[None]]) -> Pool:
    """Return a pool each of whose connections is prepared once."""
    return AsyncConnectionPool(
        url, min_size=1, max_size=most, open=False, timeout=30, reconnect_timeout=300, connection_class=PipedConnection, configure=prepare
    )


async def _plan_once(conn: Conn) -> None:
    """Let each statement be planned once: their lists are looked up by key, however long they are, so that planning anew finds the same."""
    await conn.execute("set plan_cache_mode = force_generic_plan")
    await conn.commit()


async def _read_only(conn: Conn) -> None:
    await conn.set_autocommit(True)
    await conn.execute("set default_transaction_read_only = on")


async def in_transaction(pool: Pool, work: Callable[[Conn], Awaitable[Result]]) -> Result:
    """Run `work` in one transaction and commit; after a deadlock, a serialisation failure or a lost connection run all of it again.

    A connection may be lost while the commit is on its way, so `work` must be idempotent by its own keys.
    """
    attempt = 0
    while True:
        try:
            async with pool.connection() as conn, piped(conn):
                return await work(conn)
        except PoolTimeout:
            raise DatabaseUnreachableError("database", "no connection within 30 seconds", "Start the database; retry when it answers.") from None
        except psycopg.Error as error:
            attempt += 1
            if not is_worth_retrying(error):
                raise
            if attempt == ATTEMPTS:
                raise _given_up(error) from error
        await asyncio.sleep(_FIRST_PAUSE_S * _PAUSE_FACTOR ** (attempt - 1))


def _given_up(error: psycopg.Error) -> UnavailableError:
    if error.sqlstate in _CONTENDED:
        return DatabaseContendedError("transaction", error.sqlstate, "Retry in a moment.")
    return DatabaseUnreachableError("database", error.sqlstate or "connection lost", "Start the database; retry when it answers.")


def is_worth_retrying(error: psycopg.Error) -> bool:
    """Tell whether the same transaction may succeed when run again: 40P01, 40001, or the connection is gone."""
    if error.sqlstate is None:
        return isinstance(error, psycopg.OperationalError)
    return error.sqlstate in _CONTENDED or error.sqlstate in _LOST or error.sqlstate.startswith("08")
