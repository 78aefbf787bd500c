"""Two transactions of which one waits for a lock that the other holds."""

import asyncio
from contextlib import asynccontextmanager

from entrepot.base.sql import fetch

PATIENCE_S = 20


@asynccontextmanager
async def waiting_behind(ahead, work):
    """Give work as a task once it waits for a lock in this database; after the block, which lets go of the lock, it ends."""
    task = asyncio.create_task(work)
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not await _somebody_waits(ahead):
                assert not task.done(), f"did not wait: {task}"
                await asyncio.sleep(0.01)
        yield task
        await asyncio.wait_for(asyncio.shield(asyncio.wait([task])), PATIENCE_S)
    finally:
        if not task.done():
            task.cancel()


async def _somebody_waits(conn):
    await fetch(conn, "select pg_stat_clear_snapshot()")  # else a connection that opened since this transaction's first look is never seen
    rows = await fetch(conn, "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'")
    return rows != []
