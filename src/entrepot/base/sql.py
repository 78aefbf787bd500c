"""Set-based SQL through psycopg: one statement, typed arrays in, rows out."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from psycopg import AsyncConnection, adapters
from psycopg.abc import PQGen
from psycopg.pq.abc import PGconn
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb
from psycopg.waiting import Ready, Wait

from entrepot.base.arrays import PackedListDumper

Conn = AsyncConnection[TupleRow]
"""A connection inside a transaction that the flow opened; stores never commit."""

Row = tuple[Any, ...]

adapters.register_dumper(list, PackedListDumper)
# Arrays are the product's way to bind a batch: sent in binary, an element costs a fraction of its text form.


async def fetch(conn: Conn, sql: str, params: Mapping[str, object] | None = None) -> list[Row]:
    """Run one statement with named parameters and return all rows."""
    cursor = await conn.execute(sql.encode(), params, binary=True)
    return await cursor.fetchall()


async def fetch_one(conn: Conn, sql: str, params: Mapping[str, object] | None = None) -> Row | None:
    """Run one statement and return its first row, or None."""
    cursor = await conn.execute(sql.encode(), params, binary=True)
    return await cursor.fetchone()


async def execute(conn: Conn, sql: str, params: Mapping[str, object] | None = None) -> None:
    """Run one statement; where the caller pipelines its statements, the database works on it while the program goes on."""
    await conn.execute(sql.encode(), params)
    if conn.pgconn.pipeline_status:
        await conn.wait(_send_whole(conn.pgconn))


def _send_whole(pgconn: PGconn) -> PQGen[None]:
    """Wait until everything was sent: the database begins with a statement only when it has all of it, and a batch outgrows the socket's buffer."""
    while pgconn.flush():
        ready = yield Wait.RW
        if ready & Ready.R:
            pgconn.consume_input()


async def execute_counted(conn: Conn, sql: str, params: Mapping[str, object] | None = None) -> int:
    """Run one statement and return the number of rows it touched."""
    cursor = await conn.execute(sql.encode(), params)
    if conn.pgconn.pipeline_status:
        async with conn.pipeline():  # its end waits for the count
            pass
    return cursor.rowcount


def columns(rows: Iterable[object], *fields: str) -> dict[str, list[Any]]:
    """Turn records into one list per field, named as the fields, ready to bind as arrays."""
    listed = list(rows)
    return {field: list(map(attrgetter(field), listed)) for field in fields}


def json_column(values: Iterable[object]) -> list[Jsonb]:
    """Wrap values for a `jsonb[]` parameter."""
    return [Jsonb(value) for value in values]


def as_uuids(values: Sequence[object]) -> list[uuid.UUID]:
    """Return a driver column of ids with its static type."""
    return [value for value in values if isinstance(value, uuid.UUID)]
