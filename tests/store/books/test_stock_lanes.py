"""The stock book when two transactions want the same units: they take them in key order, and neither decides on what the other made old."""

import psycopg
import pytest
from tests.factories.books import ITEM, ask, part, posting, receipt, spot
from tests.factories.lanes import waiting_behind

from entrepot.base.sql import execute, fetch
from entrepot.books.stock.model import CARRIER, Move
from entrepot.books.stock.post import post_moves
from entrepot.books.stock.reserve import lock_held, release_units, reserve_units

pytestmark = pytest.mark.anyio

FIRST, *LATER = PLACES = ("P1", "P2", "P3", "P4", "P5", "P6")
"""Places of one item, in key order."""
LOCK = "select 1 from stock_availability where stock_item_id = %(item)s and place_code = any(%(places)s) for update"


@pytest.fixture
async def lanes(database, anyio_backend):
    """Two connections to a database in which later keys lie before earlier ones, five units each of which one is held."""
    async with await psycopg.AsyncConnection.connect(database) as one, await psycopg.AsyncConnection.connect(database) as other:
        await post_moves(one, [receipt(f"four {place}", 4, place) for place in PLACES])
        await reserve_units(one, [ask(f"h{place}", 1, place) for place in PLACES])
        for place in reversed(PLACES):
            await post_moves(one, [receipt(f"fifth {place}", 1, place)])
        await one.commit()
        await other.execute("set enable_nestloop = off")  # the database passes the rows as they lie, as it does where there are few
        await other.execute("set enable_mergejoin = off")
        await other.commit()
        yield one, other


async def lock(conn, places, how=""):
    await execute(conn, LOCK + how, {"item": ITEM, "places": list(places)})


async def reserve(conn):
    return [one.is_held for one in await reserve_units(conn, [ask(f"o{place}", 2, place) for place in reversed(PLACES)])]


async def receive(conn):
    return [True] * len(await post_moves(conn, [receipt(f"r{place}", 1, place) for place in reversed(PLACES)]))


async def give_back(conn):
    orders = [part(f"h{place}", 1) for place in reversed(PLACES)]
    await lock_held(conn, [one.merchant_id for one in orders], [one.holder_id for one in orders])
    return [one.quantity == 1 for one in await release_units(conn, orders)]


@pytest.mark.parametrize("work", [reserve, receive, give_back])
async def test_keys_are_taken_in_order(lanes, work):
    ahead, behind = lanes
    await lock(ahead, [FIRST])
    async with waiting_behind(ahead, work(behind)) as task:
        await lock(ahead, LATER, " nowait")  # whoever waits for the first key has taken no later one
        await ahead.commit()
    assert await task == [True] * len(PLACES)


async def test_units_that_come_free_while_a_lane_waits_are_held(lanes):
    ahead, behind = lanes
    await reserve_units(ahead, [ask("full", 4, FIRST)])
    await ahead.commit()
    await release_units(ahead, [part("full", 3)])
    async with waiting_behind(ahead, reserve_units(behind, [ask("o1", 3, FIRST)])) as task:
        await ahead.commit()
    assert [one.is_held for one in await task] == [True]
    assert await fetch(behind, "select on_hand, reserved from stock_availability where place_code = %(place)s", {"place": FIRST}) == [(5, 5)]


async def test_units_that_come_free_while_a_posting_waits_may_leave(lanes):
    ahead, behind = lanes
    await reserve_units(ahead, [ask("full", 4, FIRST)])
    await ahead.commit()
    await release_units(ahead, [part("full", 3)])
    leave = posting("leaves", Move(spot(FIRST, "bin:A"), spot(CARRIER), 3))
    async with waiting_behind(ahead, post_moves(behind, [leave])) as task:
        await ahead.commit()
    assert len(await task) == 1
    assert await fetch(behind, "select on_hand, reserved from stock_availability where place_code = %(place)s", {"place": FIRST}) == [(2, 2)]


async def test_lanes_that_want_the_last_units_get_them_once(lanes):
    ahead, behind = lanes
    assert [one.is_held for one in await reserve_units(ahead, [ask("o1", 3, FIRST)])] == [True]
    async with waiting_behind(ahead, reserve_units(behind, [ask("o2", 2, FIRST), ask("o3", 1, FIRST), ask("o4", 1, LATER[0])])) as task:
        await ahead.commit()
    assert [(one.is_held, one.free) for one in await task] == [(False, 1), (True, 1), (True, 4)]
