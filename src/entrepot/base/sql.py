"""Set-based SQL through psycopg: one statement, typed arrays in, rows out."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final, cast

import msgspec
from msgspec import Struct
from psycopg import AsyncConnection, AsyncRawCursor, adapters
from psycopg.abc import PQGen
from psycopg.pq import Format
from psycopg.pq.abc import PGconn
from psycopg.rows import TupleRow
from psycopg.waiting import Ready, Wait

from entrepot.base.arrays import ARRAY_OIDS, PackedDumper, pack_array

Conn = AsyncConnection[TupleRow]
"""A connection inside a transaction that the flow opened; stores never commit."""

Row = tuple[Any, ...]

_JSON: Final = msgspec.json.Encoder()

for _packed in ARRAY_OIDS:
    adapters.register_dumper(_packed, PackedDumper)

_PLACEHOLDER: Final = re.compile(r"%\((\w+)\)[sbt](?:::(\w+)\[\])?|%%")


class _Statement(Struct, frozen=True):
    """A statement as the database takes it, with the name of each numbered parameter and the element type of those that are arrays."""

    text: bytes
    parameters: tuple[tuple[str, str], ...]


@lru_cache(maxsize=4096)
def _statement(sql: str) -> _Statement:
    """Number the parameters of a statement; equal names share a number."""
    numbers: dict[str, int] = {}
    kinds: dict[str, str] = {}

    def number(found: re.Match[str]) -> str:
        name, kind = found.group(1), found.group(2)
        if name is None:
            return "%"
        kinds.setdefault(name, kind or "")
        return f"${numbers.setdefault(name, len(numbers) + 1)}" + (f"::{kind}[]" if kind else "")

    text = _PLACEHOLDER.sub(number, sql)
    return _Statement(text.encode(), tuple((name, kinds[name]) for name in numbers))


async def _run(conn: Conn, sql: str, params: Mapping[str, object] | None, result: Format) -> AsyncRawCursor[TupleRow]:
    """Run one statement: arrays are packed by the type that the statement casts them to, everything else is left to the driver."""
    cursor = AsyncRawCursor(conn)
    cursor.format = result
    if params is None:
        return await cursor.execute(sql.encode())
    statement = _statement(sql)
    values = [params[name] if not kind else _packed_or_given(kind, params[name]) for name, kind in statement.parameters]
    return await cursor.execute(statement.text, values)


def _packed_or_given(kind: str, value: object) -> object:
    """Return a list packed, and anything else as it is."""
    return pack_array(kind, cast("list[object]", value)) if isinstance(value, list) else value


async def fetch(conn: Conn, sql: str, params: Mapping[str, object] | None = None) -> list[Row]:
    """Run one statement with named parameters and return all rows."""
    cursor = await _run(conn, sql, params, Format.BINARY)
    return await cursor.fetchall()


async def fetch_one(conn: Conn, sql: str, params: Mapping[str, object] | None = None) -> Row | None:
    """Run one statement and return its first row, or None."""
    cursor = await _run(conn, sql, params, Format.BINARY)
    return await cursor.fetchone()


async def execute(conn: Conn, sql: str, params: Mapping[str, object] | None = None) -> None:
    """Run one statement; where the caller pipelines its statements, the database works on it while the program goes on."""
    await _run(conn, sql, params, Format.TEXT)
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
    cursor = await _run(conn, sql, params, Format.TEXT)
    if conn.pgconn.pipeline_status:
        async with conn.pipeline():  # its end waits for the count
            pass
    return cursor.rowcount


def columns(rows: Iterable[object], *fields: str) -> dict[str, list[Any]]:
    """Turn records into one list per field, named as the fields, ready to bind as arrays."""
    listed = list(rows)
    return {field: list(map(attrgetter(field), listed)) for field in fields}


def json_column(values: Iterable[object]) -> list[bytes]:
    """Return values as JSON for a `jsonb[]` parameter."""
    return [_JSON.encode(value) for value in values]
