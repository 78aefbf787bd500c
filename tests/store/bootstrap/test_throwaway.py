from pathlib import Path

import psycopg
import pytest

from entrepot.bootstrap.tables import all_tables
from entrepot.bootstrap.throwaway import throwaway_database

pytestmark = pytest.mark.anyio


async def test_has_every_table_and_vanishes() -> None:
    async with throwaway_database() as url:
        async with await psycopg.AsyncConnection.connect(url) as conn:
            cursor = await conn.execute("select table_name from information_schema.tables where table_schema = 'public'")
            names = {row[0] for row in await cursor.fetchall()}
            setting = await (await conn.execute("select current_setting('data_directory')")).fetchone()
        assert names - {"alembic_version"} == set(all_tables().tables)
        assert setting is not None
        directory = Path(setting[0]).parent
        assert directory.exists()
    assert not directory.exists()
