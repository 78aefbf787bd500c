"""Transactions that are tried again, and a database that is not there."""

import asyncio
import socket
from collections.abc import AsyncIterator

import psycopg
import pytest

from entrepot.base.sql import Conn, execute, execute_counted, fetch_one
from entrepot.bootstrap import database as subject
from entrepot.bootstrap.database import (
    ATTEMPTS,
    DatabaseContendedError,
    DatabaseTooOldError,
    DatabaseUnreachableError,
    Pool,
    check_database,
    in_transaction,
    open_pool,
    open_reading_pool,
    shown_url,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
async def pool(database: str, anyio_backend: str) -> AsyncIterator[Pool]:
    async with open_pool(database, 4) as opened:
        async with opened.connection() as conn:
            await conn.execute("create table counter (name text primary key, value int not null)")
            await conn.execute("insert into counter values ('a', 0), ('b', 0)")
        yield opened


async def values(pool: Pool) -> list[tuple[str, int]]:
    async with pool.connection() as conn:
        cursor = await conn.execute("select name, value from counter order by name")
        return [(row[0], row[1]) for row in await cursor.fetchall()]


async def test_commits_and_returns(pool: Pool) -> None:
    assert await in_transaction(pool, lambda conn: execute_counted(conn, "update counter set value = 1 where name = 'a'")) == 1
    assert await values(pool) == [("a", 1), ("b", 0)]


async def test_error_of_the_work_changes_nothing(pool: Pool) -> None:
    async def work(conn: Conn) -> None:
        await execute(conn, "update counter set value = 1")
        await execute(conn, "insert into counter values ('a', 1)")

    with pytest.raises(psycopg.errors.UniqueViolation):
        await in_transaction(pool, work)
    assert await values(pool) == [("a", 0), ("b", 0)]


async def test_who_reads_sees_what_is_committed_and_cannot_write(pool: Pool, database: str) -> None:
    async with open_reading_pool(database, 1) as readers, readers.connection() as conn:
        assert await fetch_one(conn, "select sum(value)::int from counter") == (0,)
        await in_transaction(pool, lambda writer: execute(writer, "update counter set value = 2"))
        assert await fetch_one(conn, "select sum(value)::int from counter") == (4,)
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            await execute(conn, "update counter set value = 3")


async def test_deadlock_is_tried_again(pool: Pool) -> None:
    meeting = asyncio.Barrier(2)
    tries = {"ab": 0, "ba": 0}

    async def work(conn: Conn, order: str) -> None:
        tries[order] += 1
        await execute_counted(conn, "update counter set value = value + 1 where name = %(name)s", {"name": order[0]})
        if tries[order] == 1:
            await meeting.wait()
        await execute(conn, "update counter set value = value + 1 where name = %(name)s", {"name": order[1]})

    await asyncio.gather(*(in_transaction(pool, lambda conn, order=order: work(conn, order)) for order in tries))
    assert await values(pool) == [("a", 2), ("b", 2)]
    assert min(tries.values()) == 1 < max(tries.values())


async def test_lost_connection_is_tried_again(pool: Pool) -> None:
    tries = 0

    async def work(conn: Conn) -> None:
        nonlocal tries
        tries += 1
        await execute(conn, "update counter set value = value + 1 where name = 'a'")
        if tries == 1:
            await execute(conn, "select pg_terminate_backend(pg_backend_pid())")

    await in_transaction(pool, work)
    assert tries == 2
    assert await values(pool) == [("a", 1), ("b", 0)]


async def test_gives_up_in_words(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "_FIRST_PAUSE_S", 0)
    tries = 0

    async def work(conn: Conn) -> None:
        nonlocal tries
        tries += 1
        await execute(conn, "do $$ begin raise exception 'again' using errcode = '40001'; end $$")

    with pytest.raises(DatabaseContendedError):
        await in_transaction(pool, work)
    assert tries == ATTEMPTS


async def test_pool_answers(pool: Pool) -> None:
    async with pool.connection() as conn:
        assert await fetch_one(conn, "select 1") == (1,)


def test_check_passes(database: str) -> None:
    check_database(database)


def test_unknown_database(database: str) -> None:
    before, question, after = database.partition("?")
    with pytest.raises(DatabaseUnreachableError, match="does not exist"):
        check_database(f"{before}_no{question}{after}")


def test_nobody_listens() -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        with pytest.raises(DatabaseUnreachableError) as refusal:
            check_database(f"postgresql://me:secret@127.0.0.1:{unheard.getsockname()[1]}/shop")
    assert "secret" not in str(refusal.value)


def test_not_a_url() -> None:
    with pytest.raises(DatabaseUnreachableError):
        check_database("postgresql://[broken")


def test_too_old(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "OLDEST_VERSION", 99)
    with pytest.raises(DatabaseTooOldError, match="99"):
        check_database(database)


def test_password_is_never_shown() -> None:
    assert shown_url("postgresql://me:secret@host:5433/shop") == "host=host port=5433 dbname=shop user=me"
