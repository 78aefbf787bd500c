from datetime import timedelta

import pytest
from msgspec.structs import replace
from tests.factories.warehouse import AT, MERCHANT, OTHER, PLACE, Shelf, counted, item, line, measures, open_place, order, ref, scan_of, stock

from entrepot.base.ids import derived_id
from entrepot.base.sql import fetch_one
from entrepot.warehouse.cancel import cancel_orders
from entrepot.warehouse.model import LineCount, OrderRef, Recorded, StepOutcome, WorkState
from entrepot.warehouse.pack import PackScan, pack_orders
from entrepot.warehouse.pick import MissingUnits, PickReport, confirm_picks, read_directions, start_picking
from entrepot.warehouse.put_back import PutBack, put_back_units
from entrepot.warehouse.queue import queue_orders
from entrepot.warehouse.readers import (
    check_custody,
    count_work_by_state,
    read_line_records,
    read_open_tasks,
    read_packed_of_consignments,
    read_packed_quantities,
    read_queue,
    read_work_of_order,
)
from entrepot.warehouse.ship import ship_orders
from entrepot.warehouse.store_outbound import read_lines

pytestmark = pytest.mark.anyio
UNITS = measures("mug", "pen")


async def states(conn):
    return {row.state: row.count for row in await count_work_by_state(conn, [PLACE])}


async def records(conn, *orders):
    rows = await read_line_records(conn, [ref(one) for one in orders])
    return [(row.line_no, row.picked, row.short, row.cancelled, row.packed) for row in rows]


async def picked(conn, shelf, *orders):
    refs = [ref(one) for one in orders]
    await start_picking(conn, refs, shelf.in_bins(), AT)
    work = await confirm_picks(conn, [PickReport(one) for one in refs], AT)
    shelf.post(work.moves)
    return work


async def packed(conn, shelf, *orders):
    work = await pack_orders(conn, [scan_of(step) for step in (await picked(conn, shelf, *orders)).steps], UNITS, AT)
    shelf.post(work.moves)
    return work


async def reached(conn, shelf, state, one):
    """Bring a new order to a state."""
    await queue_orders(conn, [one])
    if state is WorkState.PICKING:
        await start_picking(conn, [ref(one)], shelf.in_bins(), AT)
    elif state is WorkState.PICKED:
        await picked(conn, shelf, one)
    elif state in {WorkState.PACKED, WorkState.HANDED_OVER}:
        await packed(conn, shelf, one)
    if state is WorkState.HANDED_OVER:
        shelf.post((await ship_orders(conn, [ref(one)], AT)).moves)


async def test_queue_stores_new_work_once(conn):
    first, second = order("a"), order("b", line(1, "mug", 1), line(2, "pen", 2), line(2, "pen", 1, part_no=2))
    assert await queue_orders(conn, [first, second, first]) == [Recorded.NEW, Recorded.NEW, Recorded.EXISTS]
    changed = order("a", line(1, "mug", 4))
    assert await queue_orders(conn, [changed, second]) == [Recorded.EXISTS_WITH_DIFFERENT_VALUES, Recorded.EXISTS]
    assert await fetch_one(conn, "select count(*), sum(quantity) from fulfilment_line") == (4, 7)
    assert await states(conn) == {"queued": 2}
    assert [entry.order for entry in await read_queue(conn, PLACE, WorkState.QUEUED, 1)] == sorted([ref(first), ref(second)], key=str)[:1]
    assert len(await read_work_of_order(conn, MERCHANT, first.order_id)) == 1
    assert await read_work_of_order(conn, OTHER, first.order_id) == []


async def test_an_order_from_queue_to_carrier(conn):
    await open_place(conn)
    shelf, one = (
        Shelf(stock("bin:A-02", "mug", 5), stock("bin:A-01", "mug", 2), stock("bin:B-01", "pen", 9)),
        order("a", line(1, "mug", 4), line(2, "pen", 1)),
    )
    await queue_orders(conn, [one])
    started = await start_picking(conn, [ref(one)], shelf.in_bins(), AT)
    assert ([step.outcome for step in started.steps], started.moves) == ([StepOutcome.DONE], [])
    tasks = await read_open_tasks(conn, PLACE, 10)
    assert [(task.line_no, task.task_no, task.spot_code, task.quantity) for task in tasks] == [
        (1, 1, "bin:A-01", 2),
        (1, 2, "bin:A-02", 2),
        (2, 1, "bin:B-01", 1),
    ]
    assert (await read_directions(conn, [ref(one)]))[ref(one)] == tasks
    work = await confirm_picks(conn, [PickReport(ref(one))], AT)
    shelf.post(work.moves)
    assert work.steps[0].lines == counted((1, "mug", 4), (2, "pen", 1))
    assert (work.steps[0].shorts, work.steps[0].order_id, work.steps[0].state) == ((), one.order_id, "picked")
    assert (shelf.at("pack"), shelf.at("pack", "pen"), shelf.at("bin:A-01"), shelf.at("bin:A-02")) == (4, 1, 0, 3)
    packing = await pack_orders(conn, [scan_of(work.steps[0])], UNITS, AT)
    shelf.post(packing.moves)
    assert [(parcel.carton_code, parcel.carton_count, parcel.weight_g) for parcel in packing.parcels] == [("DEMO-S", 1, 1_310)]
    assert (shelf.at("stage"), shelf.at("pack")) == (4, 0)
    shipped = await ship_orders(conn, [ref(one)], AT + timedelta(hours=1))
    shelf.post(shipped.moves)
    assert shipped.steps[0].lines == counted((1, "mug", 4), (2, "pen", 1))
    assert (shelf.at("stage"), shelf.at("-", place="@carrier"), shelf.at("-", "pen", "@carrier")) == (0, 4, 1)
    assert await records(conn, one) == [(1, 4, 0, 0, 4), (2, 1, 0, 0, 1)]
    assert [(row.line_no, row.quantity) for row in await read_packed_quantities(conn)] == [(1, 4), (2, 1)]
    assert await read_packed_of_consignments(conn, [MERCHANT], [one.consignment_id]) == await read_packed_quantities(conn)
    assert await read_packed_of_consignments(conn, [OTHER], [one.consignment_id]) == []
    assert await check_custody(conn) == (3, [])


async def test_replays_change_nothing(conn):
    await open_place(conn)
    shelf, one = Shelf(stock("bin:A-01", "mug", 9)), order("a")
    await reached(conn, shelf, WorkState.HANDED_OVER, one)
    before = await fetch_one(conn, "select * from fulfilment_order")
    replays = [
        await start_picking(conn, [ref(one)], shelf.in_bins(), AT),
        await confirm_picks(conn, [PickReport(ref(one))], AT),
        await pack_orders(conn, [PackScan(ref(one), ())], UNITS, AT),
        await ship_orders(conn, [ref(one), ref(one)], AT),
    ]
    assert {step.outcome for work in replays for step in work.steps} == {StepOutcome.EXISTS}
    assert {step.state for work in replays for step in work.steps} == {"handed_over"}
    assert [work.moves for work in replays] == [[], [], [], []]
    assert await fetch_one(conn, "select * from fulfilment_order") == before
    assert await fetch_one(conn, "select count(*) from pick_task") == (1,)


async def test_twins_in_a_batch_answer_as_replays(conn):
    await open_place(conn)
    shelf, one = Shelf(stock("bin:A-01", "mug", 9)), order("a")
    await queue_orders(conn, [one])
    work = await start_picking(conn, [ref(one), ref(one)], shelf.in_bins(), AT)
    assert [(step.outcome, step.state) for step in work.steps] == [(StepOutcome.DONE, "picking"), (StepOutcome.EXISTS, "picking")]
    assert await fetch_one(conn, "select count(*), sum(quantity) from pick_task") == (1, 3)


async def test_unknown_orders_and_another_merchants(conn):
    await queue_orders(conn, [order("a")])
    stranger = OrderRef(OTHER, ref(order("a")).fulfilment_order_id)
    works = [
        await start_picking(conn, [stranger], [], AT),
        await confirm_picks(conn, [PickReport(stranger)], AT),
        await pack_orders(conn, [PackScan(stranger, ())], UNITS, AT),
        await ship_orders(conn, [stranger], AT),
        await cancel_orders(conn, [stranger], AT),
        await put_back_units(conn, [PutBack(derived_id("r"), stranger, 1, 1, 1)], AT),
    ]
    assert [work.steps[0].outcome for work in works] == [StepOutcome.UNKNOWN] * 6
    assert await states(conn) == {"queued": 1}


async def test_steps_out_of_order_are_not_allowed(conn):
    one = order("a")
    await queue_orders(conn, [one])
    works = [
        await confirm_picks(conn, [PickReport(ref(one))], AT),
        await pack_orders(conn, [PackScan(ref(one), counted((1, "mug", 3)))], UNITS, AT),
        await ship_orders(conn, [ref(one)], AT),
    ]
    assert [(work.steps[0].outcome, work.steps[0].state, work.moves) for work in works] == [(StepOutcome.NOT_ALLOWED, "queued", [])] * 3
    assert await records(conn, one) == [(1, 0, 0, 0, 0)]


async def test_the_first_order_gets_the_last_units(conn):
    shelf, first, second, third = Shelf(stock("bin:A-01", "mug", 4)), order("a"), order("b"), order("c")
    await queue_orders(conn, [first, second, third])
    work = await start_picking(conn, [ref(second), ref(first), ref(third)], shelf.in_bins(), AT)
    assert [step.state for step in work.steps] == ["picking", "picking", "short"]
    assert work.steps[2].shorts == counted((1, "mug", 3))
    done = await confirm_picks(conn, [PickReport(ref(first)), PickReport(ref(second)), PickReport(ref(third))], AT)
    assert [(step.outcome, step.state) for step in done.steps] == [
        (StepOutcome.DONE, "picked"),
        (StepOutcome.DONE, "picked"),
        (StepOutcome.EXISTS, "short"),
    ]
    assert (done.steps[0].lines, done.steps[0].shorts) == (counted((1, "mug", 1)), counted((1, "mug", 2)))
    assert [await records(conn, one) for one in (second, first, third)] == [[(1, 3, 0, 0, 0)], [(1, 1, 2, 0, 0)], [(1, 0, 3, 0, 0)]]


async def test_a_short_pick_is_reported_and_the_rest_goes_on(conn):
    await open_place(conn)
    shelf = Shelf(stock("bin:A-01", "mug", 5), stock("bin:A-02", "pen", 5))
    one, empty = order("a", line(1, "mug", 3), line(2, "pen", 1)), order("b", line(1, "mug", 2))
    await queue_orders(conn, [one, empty])
    await start_picking(conn, [ref(one), ref(empty)], shelf.in_bins(), AT)
    too_many = await confirm_picks(conn, [PickReport(ref(one), (MissingUnits(1, 1, 1, 4),))], AT)
    assert (too_many.steps[0].outcome, too_many.moves, await states(conn)) == (StepOutcome.DIFFERS, [], {"picking": 2})
    reports = [PickReport(ref(one), (MissingUnits(1, 1, 1, 2),)), PickReport(ref(empty), (MissingUnits(1, 1, 1, 2),))]
    work = await confirm_picks(conn, reports, AT)
    shelf.post(work.moves)
    assert (work.steps[0].lines, work.steps[0].shorts) == (counted((1, "mug", 1), (2, "pen", 1)), counted((1, "mug", 2)))
    assert (work.steps[1].state, work.steps[1].lines, work.steps[1].shorts) == ("short", (), counted((1, "mug", 2)))
    assert (shelf.at("pack"), shelf.at("bin:A-01")) == (1, 4)
    packing = await pack_orders(conn, [scan_of(work.steps[0])], UNITS, AT)
    shelf.post(packing.moves)
    shelf.post((await ship_orders(conn, [ref(one)], AT)).moves)
    assert await records(conn, one) == [(1, 1, 2, 0, 1), (2, 1, 0, 0, 1)]
    assert await check_custody(conn) == (4, [])


async def test_a_wrong_pack_scan_stops_the_order(conn):
    await open_place(conn)
    shelf, one = Shelf(stock("bin:A-01", "mug", 9)), order("a")
    await queue_orders(conn, [one])
    await picked(conn, shelf, one)
    for scanned in ((), counted((1, "mug", 2)), counted((1, "mug", 4)), counted((1, "pen", 3))):
        work = await pack_orders(conn, [PackScan(ref(one), scanned)], UNITS, AT)
        assert (work.steps[0].outcome, work.steps[0].lines, work.moves, work.parcels) == (StepOutcome.DIFFERS, counted((1, "mug", 3)), [], [])
    assert await states(conn) == {"picked": 1}
    assert await records(conn, one) == [(1, 3, 0, 0, 0)]


@pytest.mark.parametrize("state", [WorkState.QUEUED, WorkState.PICKING, WorkState.PICKED, WorkState.PACKED])
async def test_cancel_at_each_stage_restores_exactly(conn, state):
    await open_place(conn)
    shelf = Shelf(stock("bin:A-01", "mug", 2), stock("bin:A-02", "mug", 7), stock("bin:B-01", "pen", 1))
    one = order("a", line(1, "mug", 3), line(2, "pen", 1))
    before = dict(shelf.units)
    await reached(conn, shelf, state, one)
    work = await cancel_orders(conn, [ref(one)], AT)
    shelf.post(work.moves)
    assert dict(shelf.units) == before
    assert (work.steps[0].outcome, work.steps[0].state) == (StepOutcome.DONE, "cancelled")
    assert work.steps[0].lines == counted((1, "mug", 3), (2, "pen", 1))
    assert await records(conn, one) == [(1, 0, 0, 3, 0), (2, 0, 0, 1, 0)]
    again = await cancel_orders(conn, [ref(one)], AT)
    assert (again.steps[0].outcome, again.moves) == (StepOutcome.EXISTS, [])
    assert (await start_picking(conn, [ref(one)], shelf.in_bins(), AT)).steps[0].outcome is StepOutcome.NOT_ALLOWED
    assert await read_packed_quantities(conn) == []


async def test_cancel_gives_back_only_what_was_not_short(conn):
    shelf, one = Shelf(stock("bin:A-01", "mug", 2)), order("a")
    await queue_orders(conn, [one])
    await picked(conn, shelf, one)
    work = await cancel_orders(conn, [ref(one)], AT)
    shelf.post(work.moves)
    assert (work.steps[0].lines, shelf.at("bin:A-01"), shelf.at("pack")) == (counted((1, "mug", 2)), 2, 0)
    assert await records(conn, one) == [(1, 0, 1, 2, 0)]


async def test_what_left_cannot_be_cancelled(conn):
    await open_place(conn)
    shelf, one = Shelf(stock("bin:A-01", "mug", 9)), order("a")
    await reached(conn, shelf, WorkState.HANDED_OVER, one)
    work = await cancel_orders(conn, [ref(one)], AT)
    assert (work.steps[0].outcome, work.steps[0].state, work.moves) == (StepOutcome.NOT_ALLOWED, "handed_over", [])
    assert await records(conn, one) == [(1, 3, 0, 0, 3)]


def ask(of, number, quantity, line_no=1):
    return PutBack(derived_id("request", of.fulfilment_order_id, number), ref(of), line_no, 1, quantity)


@pytest.mark.parametrize("state", [WorkState.QUEUED, WorkState.PICKING, WorkState.PICKED])
async def test_part_of_an_order_is_put_back(conn, state):
    await open_place(conn)
    shelf = Shelf(stock("bin:A-01", "mug", 2), stock("bin:A-02", "mug", 7), stock("bin:B-01", "pen", 1))
    one = order("a", line(1, "mug", 5), line(2, "pen", 1))
    await reached(conn, shelf, state, one)
    work = await put_back_units(conn, [ask(one, 1, 2), ask(one, 1, 2), ask(one, 2, 4), ask(one, 1, 1)], AT)
    shelf.post(work.moves)
    assert [step.outcome for step in work.steps] == [StepOutcome.DONE, StepOutcome.EXISTS, StepOutcome.DIFFERS, StepOutcome.DIFFERS]
    assert (work.steps[0].lines, work.steps[0].state) == (counted((1, "mug", 2)), str(state))
    if state is WorkState.QUEUED:
        await start_picking(conn, [ref(one)], shelf.in_bins(), AT)
    if state is not WorkState.PICKED:
        done = await confirm_picks(conn, [PickReport(ref(one))], AT)
        shelf.post(done.moves)
        assert (done.steps[0].lines, done.steps[0].shorts) == (counted((1, "mug", 3), (2, "pen", 1)), ())
    assert (shelf.at("pack"), shelf.at("bin:A-01"), shelf.at("bin:A-02")) == (3, 0, 6)
    packing = await pack_orders(conn, [PackScan(ref(one), counted((1, "mug", 3), (2, "pen", 1)))], UNITS, AT)
    shelf.post(packing.moves)
    assert packing.steps[0].outcome is StepOutcome.DONE
    assert (await put_back_units(conn, [ask(one, 3, 1)], AT)).steps[0].outcome is StepOutcome.NOT_ALLOWED
    shelf.post((await ship_orders(conn, [ref(one)], AT)).moves)
    assert await records(conn, one) == [(1, 3, 0, 2, 3), (2, 1, 0, 0, 1)]
    assert (await check_custody(conn))[1] == []


@pytest.mark.parametrize("state", [WorkState.QUEUED, WorkState.PICKING, WorkState.PICKED])
async def test_an_order_with_nothing_left_is_cancelled(conn, state):
    shelf, one = Shelf(stock("bin:A-01", "mug", 9)), order("a")
    before = dict(shelf.units)
    await reached(conn, shelf, state, one)
    work = await put_back_units(conn, [ask(one, 1, 1), ask(one, 2, 2)], AT)
    shelf.post(work.moves)
    assert [(step.outcome, step.state) for step in work.steps] == [(StepOutcome.DONE, str(state)), (StepOutcome.DONE, "cancelled")]
    assert dict(shelf.units) == before
    assert await states(conn) == {"cancelled": 1}
    assert await records(conn, one) == [(1, 0, 0, 3, 0)]


async def test_units_that_no_bin_holds_are_struck_first(conn):
    shelf, one = Shelf(stock("bin:A-01", "mug", 4)), order("a", line(1, "mug", 5))
    await reached(conn, shelf, WorkState.PICKING, one)
    await put_back_units(conn, [ask(one, 1, 2)], AT)
    work = await confirm_picks(conn, [PickReport(ref(one))], AT)
    assert (work.steps[0].lines, work.steps[0].shorts) == (counted((1, "mug", 3)), ())


async def test_a_merchants_site_has_one_spot(conn):
    shelf, one = Shelf(stock("site", "mug", 9)), order("a")
    await queue_orders(conn, [one])
    await picked(conn, shelf, one)
    assert (shelf.at("site"), shelf.at("pack")) == (6, 3)


async def test_read_lines_says_what_is_to_pick(conn):
    one = order("a", line(1, "mug", 5))
    await queue_orders(conn, [one])
    await put_back_units(conn, [ask(one, 1, 2)], AT)
    assert [row.to_pick for row in (await read_lines(conn, [ref(one)]))[ref(one)]] == [3]


@pytest.mark.parametrize(
    "breakage", ["update fulfilment_line set picked = 2", "update fulfilment_line set packed = 2", "update fulfilment_order set packed_at = null"]
)
async def test_custody_check_names_a_broken_order(conn, breakage):
    await open_place(conn)
    shelf, one = Shelf(stock("bin:A-01", "mug", 9)), order("a")
    await reached(conn, shelf, WorkState.HANDED_OVER, one)
    assert await check_custody(conn) == (2, [])
    await conn.execute(breakage)
    _, broken = await check_custody(conn)
    assert broken
    assert all(str(ref(one).fulfilment_order_id) in row for row in broken)


async def table_rows(conn):
    return {
        table: await (await conn.execute(f"select * from {table} order by {table}")).fetchall()
        for table in ("fulfilment_order", "fulfilment_line", "pick_task", "put_back")
    }


async def play(conn, size):
    """Lead orders of two merchants through every step, `size` orders at a time, and return rows, moves and stock."""
    shelf = Shelf(stock("bin:A-01", "mug", 11), stock("bin:A-02", "mug", 5, merchant=OTHER), stock("bin:B-01", "pen", 4))
    orders = [order(str(i), line(1, "mug", 3), line(2, "pen", 1)) for i in range(5)]
    orders[3:3] = [order(f"o{i}", line(1, "mug", 2, OTHER), merchant=OTHER) for i in range(3)]
    parts = [orders[i : i + size] for i in range(0, len(orders), size)]
    moves = []
    for part in parts:
        await queue_orders(conn, part)
    for part in parts:
        moves += (await picked(conn, shelf, *part)).moves
    for part in parts:
        moves += (await put_back_units(conn, [ask(one, 1, 1) for one in part if one in orders[::2]], AT)).moves
    for part in parts:
        lines = await read_line_records(conn, [ref(one) for one in part])
        scans = [
            PackScan(
                ref(one),
                tuple(LineCount(row.line_no, row.part_no, row.stock_item_id, row.picked) for row in lines if row.order == ref(one) and row.picked),
            )
            for one in part
        ]
        moves += (await pack_orders(conn, scans, UNITS, AT)).moves
    for part in parts:
        moves += (await cancel_orders(conn, [ref(one) for one in part if one in orders[::3]], AT)).moves
    for part in parts:
        moves += (await ship_orders(conn, [ref(one) for one in part], AT)).moves
    return await table_rows(conn), sorted(moves, key=str)


async def test_a_batch_of_orders_equals_batches_of_one(conn):
    await open_place(conn)
    await conn.execute("savepoint before")
    one_by_one = await play(conn, 1)
    await conn.execute("rollback to before")
    assert await play(conn, 8) == one_by_one
    assert [len(rows) for rows in one_by_one[0].values()] == [8, 13, 11, 4]
    assert await states(conn) == {"cancelled": 3, "handed_over": 4, "short": 1}
    assert (await check_custody(conn))[1] == []


async def test_later_orders_do_not_see_earlier_refusals(conn):
    await open_place(conn)
    shelf, good, wrong = Shelf(stock("bin:A-01", "mug", 9)), order("a"), order("b")
    await queue_orders(conn, [good, wrong])
    steps = (await picked(conn, shelf, good, wrong)).steps
    work = await pack_orders(conn, [replace(scan_of(steps[1]), lines=()), scan_of(steps[0])], UNITS, AT)
    assert [step.outcome for step in work.steps] == [StepOutcome.DIFFERS, StepOutcome.DONE]
    assert [parcel.order for parcel in work.parcels] == [ref(good)]
    assert await states(conn) == {"picked": 1, "packed": 1}
    assert item("mug") == work.moves[0].stock_item_id
