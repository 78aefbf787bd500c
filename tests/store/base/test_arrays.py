"""Lists as PostgreSQL arrays: what goes in comes out, one element or many, with and without nulls, and what is not plain is left to the driver."""

import uuid
from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from entrepot.base.arrays import pack_array
from entrepot.base.sql import fetch

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 11, 28, 10, 12, 13, 141_592, UTC)
KINDS = {
    "uuid": [uuid.UUID(int=0), uuid.UUID(int=2**128 - 1), uuid.uuid5(uuid.NAMESPACE_DNS, "entrepot")],
    "text": ["", "ß 中文", "a" * 3000],
    "bigint": [0, 2**63 - 1, -(2**63)],
    "int": [0, 2**31 - 1, -(2**31)],
    "integer": [7, -7, 7],
    "smallint": [0, 2**15 - 1, -(2**15)],
    "boolean": [True, False, True],
    "date": [date(2000, 1, 1), date(1582, 10, 15), date(9999, 12, 31)],
    "timestamptz": [NOW, datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC)],
    "bytea": [b"", b"\x00\xff", bytes(range(256))],
    "jsonb": [b'{"a": [1, null, "\xe4\xb8\xad"]}', b"[]", b"3"],
}


async def back(conn, kind, values):
    rows = await fetch(conn, f"select unnest(%(given)s::{kind}[])", {"given": values})
    return [row[0] for row in rows]


@pytest.mark.parametrize("kind", KINDS)
async def test_lists_come_back_as_they_went_in(conn, kind):
    values = KINDS[kind]
    read = [{"a": [1, None, "中"]}, [], 3] if kind == "jsonb" else values
    assert await back(conn, kind, values) == read
    assert [await back(conn, kind, [value]) for value in values] == [[value] for value in read]
    assert await back(conn, kind, [None]) == [None]
    assert await back(conn, kind, [values[0], None]) == [read[0], None]
    assert await back(conn, kind, []) == []


@pytest.mark.parametrize(("kind", "value"), [("int", "7"), ("date", "2026-11-28"), ("uuid", str(uuid.UUID(int=5))), ("boolean", "true")])
async def test_what_must_be_cast_is_left_to_the_driver(conn, kind, value):
    assert pack_array(kind, [value]) == [value]
    assert pack_array(kind, [value, value]) == [value, value]
    alone, twice = await back(conn, kind, [value]), await back(conn, kind, [value, value])
    assert alone * 2 == twice


async def test_an_instant_of_another_zone_is_the_same_instant(conn):
    there = NOW.astimezone(timezone(timedelta(hours=8)))
    assert await back(conn, "timestamptz", [there]) == [NOW]
