from datetime import date

import pytest
from tests.factories.warehouse import AT, MERCHANT, OTHER, Shelf, item, line, measures, open_place, order, ref, scan_of, stock

from entrepot.base.sql import fetch_one
from entrepot.warehouse.fulfil import pick_pack_and_stage
from entrepot.warehouse.model import OrderRef, StepOutcome
from entrepot.warehouse.pack import pack_orders
from entrepot.warehouse.pick import PickReport, confirm_picks, start_picking
from entrepot.warehouse.put_back import PutBack, put_back_units
from entrepot.warehouse.queue import queue_orders
from entrepot.warehouse.ship import ship_orders
from entrepot.warehouse.store_floor import insert_lots

pytestmark = pytest.mark.anyio
UNITS = measures("mug", "pen", "tea")
ROWS = (
    stock("bin:A-01", "mug", 4),
    stock("bin:B-01", "mug", 2),
    stock("bin:A-02", "pen", 5),
    stock("bin:A-01", "mug", 9, merchant=OTHER),
    stock("bin:A-01", "tea", 3, "L1"),
    stock("bin:A-02", "tea", 3, "L2"),
)
ORDERS = (
    order("a", line(1, "mug", 3), line(2, "pen", 1), line(2, "pen", 1, part_no=2)),
    order("b", line(1, "mug", 2, OTHER), merchant=OTHER),
    order("c", line(1, "mug", 2), line(2, "tea", 4)),
    order("d", line(1, "mug", 5), line(2, "pen", 2)),
    order("e", line(1, "mug", 1)),
    order("f", line(1, "mug", 2, OTHER), line(2, "pen", 1, OTHER), merchant=OTHER),
)
REFS = [ref(one) for one in ORDERS]


async def rows_of(conn):
    tables = ("fulfilment_order", "fulfilment_line", "pick_task")
    return [await (await conn.execute(f"select * from {table} order by {table}")).fetchall() for table in tables]


async def prepare(conn):
    await open_place(conn)
    await insert_lots(conn, {(MERCHANT, item("tea"), "L1"): date(2027, 2, 1), (MERCHANT, item("tea"), "L2"): date(2027, 1, 1)})
    await queue_orders(conn, ORDERS)
    await put_back_units(conn, [PutBack(item("request"), REFS[3], 2, 1, 1)], AT)
    await conn.execute("savepoint queued")


async def one_verb_after_the_other(conn):
    shelf = Shelf(*ROWS)
    started = await start_picking(conn, REFS, shelf.in_bins(), AT)
    going = [step.order for step in started.steps if step.state == "picking"]
    picking = await confirm_picks(conn, [PickReport(one) for one in going], AT)
    packing = await pack_orders(conn, [scan_of(step) for step in picking.steps], UNITS, AT)
    shelf.post([*picking.moves, *packing.moves])
    return await rows_of(conn), [*picking.moves, *packing.moves], packing.parcels, shelf.units


async def test_in_one_go_gives_the_same_rows_moves_and_parcels(conn):
    await prepare(conn)
    expected = await one_verb_after_the_other(conn)
    await conn.execute("rollback to queued")
    shelf = Shelf(*ROWS)
    work = await pick_pack_and_stage(conn, REFS, shelf.in_bins(), UNITS, AT)
    shelf.post(work.moves)
    assert (await rows_of(conn), work.moves, work.parcels, shelf.units) == expected
    assert [step.state for step in work.steps] == ["packed", "packed", "packed", "packed", "short", "packed"]
    assert [[short.quantity for short in step.shorts] for step in work.steps] == [[], [], [], [4], [1], [1]]
    assert await fetch_one(conn, "select sum(picked), sum(short), sum(cancelled), sum(packed) from fulfilment_line") == (17, 6, 1, 17)


async def test_one_by_one_gives_the_same_as_together(conn):
    await prepare(conn)
    shelf = Shelf(*ROWS)
    shelf.post((await pick_pack_and_stage(conn, REFS, shelf.in_bins(), UNITS, AT)).moves)
    together = await rows_of(conn), shelf.units
    await conn.execute("rollback to queued")
    shelf = Shelf(*ROWS)
    for one in REFS:
        shelf.post((await pick_pack_and_stage(conn, [one], shelf.in_bins(), UNITS, AT)).moves)
    assert (await rows_of(conn), shelf.units) == together


async def test_replays_twins_and_strangers_change_nothing(conn):
    await prepare(conn)
    shelf = Shelf(*ROWS)
    first = await pick_pack_and_stage(conn, [REFS[0], REFS[0], OrderRef(OTHER, REFS[0].fulfilment_order_id)], shelf.in_bins(), UNITS, AT)
    assert [(step.outcome, step.state) for step in first.steps] == [
        (StepOutcome.DONE, "packed"),
        (StepOutcome.EXISTS, "packed"),
        (StepOutcome.UNKNOWN, ""),
    ]
    before = await rows_of(conn)
    again = await pick_pack_and_stage(conn, [REFS[0]], shelf.in_bins(), UNITS, AT)
    assert ([step.outcome for step in again.steps], again.moves, again.parcels) == ([StepOutcome.EXISTS], [], [])
    assert await rows_of(conn) == before
    shipped = await ship_orders(conn, REFS, AT)
    assert [step.outcome for step in shipped.steps] == [StepOutcome.DONE] + [StepOutcome.NOT_ALLOWED] * 5
