"""The worker's look for due work: it moves the clock, and a database that is away does not end it."""

import pytest
from psycopg_pool import AsyncConnectionPool
from structlog.testing import capture_logs

from entrepot.base.clock_store import read_business_now
from entrepot.bootstrap.database import open_pool
from entrepot.bootstrap.living import look_for_due
from entrepot.bootstrap.outside import FreshOutside
from entrepot.bootstrap.settings import read_settings

pytestmark = pytest.mark.anyio


async def test_without_a_world_the_clock_follows_the_machine(database, anyio_backend):
    settings = read_settings({"DATABASE_URL": database, "ENTREPOT_WORLD": "off"})
    async with open_pool(database, 1) as pool:
        await look_for_due(pool, FreshOutside(settings), settings)
        async with pool.connection() as conn:
            assert await read_business_now(conn) is not None


async def test_a_database_that_is_away_is_waited_for(tmp_path, anyio_backend):
    url = f"postgresql://entrepot@/entrepot?host={tmp_path}"
    settings = read_settings({"DATABASE_URL": url})
    async with AsyncConnectionPool(url, min_size=1, open=False, timeout=0.1) as pool:
        with capture_logs() as logs:
            await look_for_due(pool, FreshOutside(settings), settings)
    assert [(one["event"], one["log_level"], one["code"]) for one in logs] == [("due_work_waits", "warning", "database_unreachable")]
