"""The worker's looks for due work: what one step refuses keeps none of the others back."""

from datetime import UTC, datetime, timedelta

import pytest

from entrepot.base.clock_store import advance_business_now
from entrepot.base.due import Due, add_due, finish_due, take_due
from entrepot.base.errors import ConflictError
from entrepot.base.ids import derived_id
from entrepot.bootstrap.database import in_transaction, open_pool
from entrepot.bootstrap.living import look_for_due
from entrepot.bootstrap.outside import FreshOutside
from entrepot.bootstrap.settings import read_settings
from entrepot.flows import run_due

pytestmark = pytest.mark.anyio

AT = datetime(2026, 9, 7, 8, tzinfo=UTC)


class RefusedError(ConflictError):
    """A rule refuses this step."""


async def test_a_step_that_is_refused_keeps_none_of_the_others_back(cluster, monkeypatch, tmp_path):
    first, second = list(run_due.STEPS)[:2]

    async def refuse(conn, outside, work, now):
        await finish_due(conn, work)
        raise RefusedError("step", "first", "Do something about it.")

    async def do(conn, outside, work, now):
        await finish_due(conn, work)

    monkeypatch.setitem(run_due.STEPS, first, refuse)
    monkeypatch.setitem(run_due.STEPS, second, do)
    name = f"{cluster.prefix}_living"
    url = cluster.clone(name)
    settings = read_settings({"DATABASE_URL": url, "ENTREPOT_DATA": str(tmp_path)})
    work = [Due(derived_id("merchant", 1), step, derived_id("subject", step), AT) for step in (first, second)]

    async def prepare(conn):
        await advance_business_now(conn, AT)
        await add_due(conn, work)

    async def left(conn):
        return [step for step in (first, second) if await take_due(conn, step, AT + timedelta(days=1), 10)]

    async with open_pool(url, 2) as pool:
        await in_transaction(pool, prepare)
        for _ in range(2):
            await look_for_due(pool, FreshOutside(settings), settings)
            assert await in_transaction(pool, left) == [first], "the refused one waits with nothing lost, the other is done"
    cluster.drop(name)
