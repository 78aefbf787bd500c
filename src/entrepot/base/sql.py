"""Set-based SQL through psycopg: one statement, typed arrays in, rows out."""

import asyncio
import re
from collections.abc import Awaitable, Iterable, Mapping
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final, TypeVar, cast

import msgspec
from msgspec import Struct
from psycopg import AsyncConnection, AsyncRawCursor, adapters
from psycopg.pq import Format
from psycopg.rows import TupleRow

from entrepot.base.arrays import ARRAY_OIDS, PackedDumper, pack_array
from entrepot.base.pipes import open_pipe

Conn = AsyncConnection[TupleRow]
"""A connection inside a transaction that the flow opened; stores never commit."""

Row = tuple[Any, ...]
First = TypeVar("First")
Second = TypeVar("Second")

_JSON: Final = msgspec.json.Encoder()

for _packed in ARRAY_OIDS:
    adapters.register_dumper(_packed, PackedDumper)

_LISTS: Final = re.compile(r"\bunnest\(((?:\s*%\(\w+\)[sbt]::\w+\[\]\s*,)+\s*%\(\w+\)[sbt]::\w+\[\]\s*)\)(?!\s+with\s+ordinality)", re.IGNORECASE)
_PLACEHOLDER: Final = re.compile(r"%\((\w+)\)[sbt](?:::(\w+)\[\])?|%%")


class _Statement(Struct, frozen=True):
    """A statement as the database takes it, with the name of each numbered parameter and the element type of those that are arrays."""

    text: bytes
    parameters: tuple[tuple[str, str], ...]


@lru_cache(maxsize=4096)
def _statement(sql: str) -> _Statement:
    """Number the parameters of a statement; equal names share a number.

    Several lists side by side, `from unnest(a, b)`, are asked for as `(select unnest(a), unnest(b))`, which gives the same rows: the database
    fills a store of its own for each list of the first form, which costs more than most of what is done with the rows.
    """
    numbers: dict[str, int] = {}
    kinds: dict[str, str] = {}

    def number(found: re.Match[str]) -> str:
        name, kind = found.group(1), found.group(2)
        if name is None:
            return "%"
        kinds.setdefault(name, kind or "")
        return f"${numbers.setdefault(name, len(numbers) + 1)}" + (f"::{kind}[]" if kind else "")

    text = _PLACEHOLDER.sub(number, _LISTS.sub(_side_by_side, sql))
    return _Statement(text.encode(), tuple((name, kinds[name]) for name in numbers))


def _side_by_side(found: re.Match[str]) -> str:
    """Return lists as columns of a select list, which the database steps through together."""
    return "(select " + ", ".join(f"unnest({one.strip()})" for one in found.group(1).split(",")) + ")"


def _bound(sql: str, params: Mapping[str, object] | None) -> tuple[bytes, list[object]]:
    """Return a statement with its values in order: arrays are packed by the type that it casts them to, everything else is left to the driver."""
    if params is None:
        return sql.encode(), []
    statement = _statement(sql)
    return statement.text, [params[name] if not kind else _packed_or_given(kind, params[name]) for name, kind in statement.parameters]


def _packed_or_given(kind: str, value: object) -> object:
    """Return a list packed, and anything else as it is."""
    return pack_array(kind, cast("list[object]", value)) if isinstance(value, list) else value


async def _run(conn: Conn, sql: str, params: Mapping[str, object] | None, result: Format) -> AsyncRawCursor[TupleRow]:
    """Run one statement through a cursor of the driver."""
    cursor = AsyncRawCursor(conn)
    cursor.format = result
    text, values = _bound(sql, params)
    return await cursor.execute(text, None if params is None else values)


async def fetch(conn: Conn, sql: str, params: Mapping[str, object] | None = None) -> list[Row]:
    """Run one statement with named parameters and return all rows."""
    pipe = open_pipe(conn)
    if pipe is not None:
        return await pipe.fetch(*_bound(sql, params))
    cursor = await _run(conn, sql, params, Format.BINARY)
    return await cursor.fetchall()


async def fetch_one(conn: Conn, sql: str, params: Mapping[str, object] | None = None) -> Row | None:
    """Run one statement and return its first row, or None."""
    rows = await fetch(conn, sql, params)
    return rows[0] if rows else None


async def execute(conn: Conn, sql: str, params: Mapping[str, object] | None = None) -> None:
    """Run one statement; in a pipe the database works on it while the program goes on."""
    pipe = open_pipe(conn)
    if pipe is not None:
        await pipe.execute(*_bound(sql, params))
        return
    await _run(conn, sql, params, Format.TEXT)


async def execute_counted(conn: Conn, sql: str, params: Mapping[str, object] | None = None) -> int:
    """Run one statement and return the number of rows it touched."""
    pipe = open_pipe(conn)
    if pipe is not None:
        return (await pipe.ask(*_bound(sql, params))).command_tuples or 0
    cursor = await _run(conn, sql, params, Format.TEXT)
    return cursor.rowcount


async def together(conn: Conn, first: Awaitable[First], second: Awaitable[Second]) -> tuple[First, Second]:
    """Await two readings that do not need each other: in a pipe both are asked before either answer is waited for, else one follows the other."""
    if open_pipe(conn) is None:
        return await first, await second
    one, other = await asyncio.gather(first, second, return_exceptions=True)
    for answer in (one, other):
        if isinstance(answer, BaseException):
            raise answer
    return cast("First", one), cast("Second", other)


def columns(rows: Iterable[object], *fields: str) -> dict[str, list[Any]]:
    """Turn records into one list per field, named as the fields, ready to bind as arrays."""
    listed = list(rows)
    return {field: list(map(attrgetter(field), listed)) for field in fields}


def json_column(values: Iterable[object]) -> list[bytes]:
    """Return values as JSON for a `jsonb[]` parameter."""
    return [_JSON.encode(value) for value in values]
