import psycopg
import pytest

from entrepot.base.sql import Conn, fetch_one
from entrepot.bootstrap.tables import all_tables

pytestmark = pytest.mark.anyio


async def test_connection_sees_every_table(conn: Conn) -> None:
    row = await fetch_one(conn, "select count(*) from information_schema.tables where table_schema = 'public'")
    assert row == (len(all_tables().tables) + 1,)  # and the schema's version


@pytest.mark.parametrize("attempt", [1, 2])
async def test_connection_is_rolled_back(conn: Conn, attempt: int) -> None:
    await conn.execute("create table leftover (attempt int)")
    assert await fetch_one(conn, "select count(*) from leftover") == (0,)


@pytest.mark.parametrize("attempt", [1, 2])
async def test_database_is_fresh(database: str, attempt: int) -> None:
    async with await psycopg.AsyncConnection.connect(database) as conn:
        await conn.execute("create table leftover (attempt int)")
