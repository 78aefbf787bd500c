"""Transactions through a pipe: rows in order, faults told to whoever waits, and nothing left half done on the connection."""

import asyncio
import gc
import os
import socket
from collections.abc import AsyncIterator
from typing import cast

import psycopg
import pytest
from tests.factories.books import ask, receipt

from entrepot.base import pipes
from entrepot.base.pipes import PipedConnection, open_pipe, piped
from entrepot.base.sql import Conn, execute, execute_counted, fetch, fetch_one, together
from entrepot.books.stock.model import AlreadyHeldError
from entrepot.books.stock.post import post_moves
from entrepot.books.stock.reserve import reserve_units
from entrepot.bootstrap.database import Pool, in_transaction, open_pool
from entrepot.world.import_store import refresh_statistics

pytestmark = pytest.mark.anyio
INSERT = "insert into shelf select * from unnest(%(item)s::int[], %(name)s::text[])"


@pytest.fixture
async def pool(database: str, anyio_backend: str) -> AsyncIterator[Pool]:
    async with open_pool(database, 1) as opened:
        async with opened.connection() as conn:
            await conn.execute("create table shelf (item int primary key, name text)")
        yield opened


async def names(pool: Pool) -> list[tuple[object, ...]]:
    return await in_transaction(pool, lambda conn: fetch(conn, "select item, name from shelf order by item"))


async def test_answers_come_in_the_order_of_the_statements(pool: Pool):
    async def work(conn: Conn) -> object:
        await execute(conn, INSERT, {"item": [1, 2], "name": ["a", "b"]})
        first = await fetch(conn, "select name from shelf where item = %(item)s", {"item": 1})
        touched = await execute_counted(conn, "update shelf set name = name || 'z'")
        several = await asyncio.gather(*(fetch_one(conn, "select %(number)s::int", {"number": number}) for number in range(5)))
        return first, touched, several, await fetch_one(conn, "select 1 where false"), await fetch(conn, "select name from shelf where item > 9")

    assert await in_transaction(pool, work) == ([("a",)], 2, [(0,), (1,), (2,), (3,), (4,)], None, [])
    assert await names(pool) == [(1, "az"), (2, "bz")]


async def test_two_readings_are_asked_together_and_the_fault_of_either_is_told(pool: Pool):
    async def told(conn: Conn, second: str) -> tuple[object, object]:
        return await together(conn, fetch(conn, "select 1"), fetch(conn, second))

    async def asked(conn: Conn) -> int:
        pipe = open_pipe(conn)
        assert pipe is not None
        reading = asyncio.create_task(told(conn, "select 2"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waiting = sum(answer is not None for answer in pipe._expected)  # pyright: ignore[reportPrivateUsage]
        await reading
        return waiting

    assert await in_transaction(pool, lambda conn: told(conn, "select 2")) == ([(1,)], [(2,)])
    assert await in_transaction(pool, asked) == 2
    for second in ("select 1 / 0", "select 1 / (select 0)"):
        with pytest.raises(psycopg.errors.DivisionByZero):
            await in_transaction(pool, lambda conn, second=second: told(conn, second))
    async with pool.connection() as conn:  # no pipe: one after the other
        assert await told(conn, "select 2") == ([(1,)], [(2,)])
    assert await names(pool) == []


@pytest.mark.parametrize("waits", [True, False])
async def test_a_statement_that_fails_undoes_the_whole_and_tells_why(pool: Pool, waits):
    async def work(conn: Conn) -> None:
        await execute(conn, INSERT, {"item": [1], "name": ["a"]})
        await execute(conn, INSERT, {"item": [1], "name": ["twin"]})
        if waits:
            await fetch(conn, "select 1")
        await execute(conn, INSERT, {"item": [2], "name": ["b"]})

    for _ in range(2):  # what was prepared behind the fault is prepared again
        with pytest.raises(psycopg.errors.UniqueViolation, match="shelf_pkey"):
            await in_transaction(pool, work)
        assert await names(pool) == []


@pytest.mark.parametrize("seen_first", ["while sending", "while waiting"])
async def test_a_socket_is_no_longer_watched_when_its_connection_is_lost(pool: Pool, seen_first):
    sockets: list[int] = []

    async def work(conn: Conn) -> None:
        sockets.append(conn.pgconn.socket)
        await execute(conn, "select 1")
        with socket.socket(fileno=os.dup(conn.pgconn.socket)) as same:
            same.shutdown(socket.SHUT_RDWR)
        if seen_first == "while waiting":
            await asyncio.sleep(0.05)
        await execute(conn, INSERT, {"item": [1], "name": ["a" * 100_000]})
        await fetch(conn, "select 1")

    async with pool.connection() as conn:
        with pytest.raises(psycopg.OperationalError):
            async with piped(cast("PipedConnection", conn)):
                await work(conn)
        assert conn.closed
    assert not asyncio.get_running_loop().remove_reader(sockets[0])
    assert await names(pool) == []


async def test_a_constraint_that_is_looked_at_in_the_end_fails_the_commit(pool: Pool):
    async def work(conn: Conn) -> None:
        await execute(conn, "alter table shelf add column box int references shelf deferrable initially deferred")
        await execute(conn, "insert into shelf values (1, 'a', 7)")

    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        await in_transaction(pool, work)
    assert await names(pool) == []


async def test_a_refusal_leaves_a_connection_that_serves_the_next(pool: Pool):
    async def work(conn: Conn) -> None:
        await execute(conn, INSERT, {"item": [1], "name": ["a"]})
        raise ValueError("refused")

    with pytest.raises(ValueError, match="refused"):
        await in_transaction(pool, work)
    assert await names(pool) == []


async def test_a_connection_that_is_lost_in_the_middle_is_replaced_and_the_work_done_again(pool: Pool):
    tries: list[int] = []

    async def work(conn: Conn) -> object:
        tries.append(1)
        await execute(conn, INSERT, {"item": [1], "name": ["a"]})
        if len(tries) == 1:
            await execute(conn, "select pg_terminate_backend(pg_backend_pid())")
            await fetch(conn, "select pg_sleep(30)")
        return await fetch(conn, "select name from shelf")

    assert await in_transaction(pool, work) == [("a",)]
    assert len(tries) == 2


async def test_a_fault_whose_statement_nobody_waits_for_any_more_is_raised_once(pool: Pool):
    """The connection is lost while a statement is being sent: the sender hears of it, and nothing is left for the loop to complain about."""
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))

    async def work(conn: Conn) -> None:
        pipe = open_pipe(conn)
        assert pipe is not None
        lost = psycopg.OperationalError("lost")

        async def send() -> None:
            pipe._lose(lost)
            raise lost

        pipe._send = send
        await fetch(conn, "select 1")

    async with pool.connection() as conn:
        with pytest.raises(psycopg.OperationalError, match="lost"):
            async with piped(conn):
                await work(conn)
    gc.collect()
    await asyncio.sleep(0)
    assert complaints == []


async def test_whoever_is_called_off_in_the_middle_leaves_nothing(pool: Pool):
    async def work(conn: Conn) -> None:
        await execute(conn, INSERT, {"item": [1], "name": ["a"]})
        await fetch(conn, "select pg_sleep(30)")

    task = asyncio.create_task(in_transaction(pool, work))
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await names(pool) == []


async def test_more_than_the_socket_holds_goes_both_ways(pool: Pool):
    long = ["x" * 1000] * 5000

    async def work(conn: Conn) -> int:
        for first in range(0, 20_000, 5000):
            await execute(conn, INSERT, {"item": list(range(first, first + 5000)), "name": long})
        return len(await fetch(conn, "select name from shelf"))

    assert await in_transaction(pool, work) == 20_000


async def test_further_statements_are_not_kept_when_many_are(pool: Pool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pipes, "MOST_PREPARED", 4)

    async def work(conn: Conn) -> list[object]:
        return [await fetch_one(conn, f"select {number} + %(more)s::int", {"more": 1}) for number in range(8)]

    for _ in range(2):
        assert await in_transaction(pool, work) == [(number + 1,) for number in range(8)]
    async with pool.connection() as conn:
        cursor = await conn.execute("select count(*) from pg_prepared_statements where name like 'pipe_%'")
        assert await cursor.fetchone() == (4,)


async def test_statistics_are_refreshed_inside_a_transaction_as_the_import_does(pool: Pool):
    await in_transaction(pool, refresh_statistics)
    async with pool.connection() as conn:
        cursor = await conn.execute("select count(*) from pg_stat_user_tables where relname = 'shelf' and last_analyze is not null")
        assert await cursor.fetchone() == (1,)


async def test_what_is_held_twice_is_told_where_it_is_held(pool: Pool):
    async def hold(conn: Conn) -> None:
        await post_moves(conn, [receipt("r1", 9)])
        await reserve_units(conn, [ask("o1", 2)])

    await in_transaction(pool, hold)
    with pytest.raises(AlreadyHeldError):
        await in_transaction(pool, hold)


async def test_values_of_every_kind_come_back_as_they_went(pool: Pool):
    async def both(conn: Conn) -> object:
        sql = "select %(a)s::jsonb, %(b)s::numeric, %(c)s::text, %(d)s::boolean, %(e)s::int[], %(f)s::text, %(a)s::jsonb -> 'x'"
        values = {"a": '{"x": [1]}', "b": "12.50", "c": None, "d": True, "e": [3, None], "f": "ä\n"}
        return await fetch(conn, sql, values)

    through_a_pipe = await in_transaction(pool, both)
    async with pool.connection() as conn:
        assert await both(conn) == through_a_pipe


async def test_lists_side_by_side_are_one_row_each(pool: Pool):
    async with pool.connection() as conn, piped(conn):
        rows = await fetch(
            conn,
            """select * from unnest(%(a)s::int[], %(b)s::text[]) as t(a, b) join unnest( %(c)s::int[] , %(d)s::bigint[] ) as s(c, d) on s.c = t.a
               order by a""",
            {"a": [1, 2, 3], "b": ["x", "y", None], "c": [3, 1], "d": [30, 10]},
        )
    assert rows == [(1, "x", 1, 10), (3, None, 3, 30)]
