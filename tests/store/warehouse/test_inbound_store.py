from datetime import date, timedelta

import pytest
from msgspec.structs import replace
from tests.factories.warehouse import (
    AT,
    MERCHANT,
    OTHER,
    PLACE,
    REGISTERED,
    Shelf,
    dock_scan,
    inbound_line,
    item,
    measures,
    open_place,
    plan,
)

from entrepot.base.ids import derived_id
from entrepot.base.sql import fetch_one
from entrepot.warehouse.announce import announce_plans
from entrepot.warehouse.binning import choose_bins
from entrepot.warehouse.close import close_plans
from entrepot.warehouse.depart import depart_plans
from entrepot.warehouse.inbound import InboundBox, Liability, PlanRef, Receipt
from entrepot.warehouse.legs import LegReport, report_legs
from entrepot.warehouse.model import InboundKind, Recorded, StepOutcome, TaxNumberMissingError
from entrepot.warehouse.readers import check_custody, count_plans_by_state, read_plan_legs, read_plan_lines, read_plans
from entrepot.warehouse.receive import NothingScannedError, receive_units
from entrepot.warehouse.scanning import ScanKey, ScanOutcome
from entrepot.warehouse.store_floor import read_bins, read_expiries
from entrepot.warehouse.stow import StowScan, read_stow_needs, stow_units
from entrepot.warehouse.withdraw import withdraw_plans

pytestmark = pytest.mark.anyio


async def counts_of(conn, *tables):
    return [(await fetch_one(conn, f"select count(*) from {table}"))[0] for table in tables]


async def states(conn):
    return {row.state: row.count for row in await count_plans_by_state(conn, [PLACE])}


def stow_scan(of, sequence_no, quantity, bin_code="A-01", condition="sellable", line_no=1):
    return StowScan(ScanKey(PLACE, "cart-1", sequence_no), AT, of.merchant_id, of.plan_id, line_no, condition, quantity, bin_code)


async def test_announcing_stores_documents_and_nothing_else(conn):
    lines = (inbound_line(1, "mug", 10), inbound_line(2, "tea", 5, "L1", date(2027, 1, 1)))
    asked = replace(plan("p", *lines, kind=InboundKind.UNIFIED), boxes=(InboundBox(1, 4_000, {"1": 10}), InboundBox(2)))
    assert await announce_plans(conn, [asked], REGISTERED) == [Recorded.NEW]
    assert await counts_of(conn, "inbound_plan", "inbound_line", "inbound_leg", "inbound_box", "lot", "scan") == [1, 2, 4, 2, 1, 0]
    assert await read_expiries(conn, [(MERCHANT, item("tea"), "L1")]) == {(MERCHANT, item("tea"), "L1"): date(2027, 1, 1)}
    assert await fetch_one(conn, "select count(*) from inbound_box where contents is null") == (1,)
    assert (await read_plans(conn, MERCHANT, 9))[0].state == "announced"


async def test_announcing_again_is_told_apart(conn):
    first, changed = plan("p"), plan("p", inbound_line(1, "mug", 11))
    assert await announce_plans(conn, [first, first, plan("q")], REGISTERED) == [Recorded.NEW, Recorded.EXISTS, Recorded.NEW]
    answers = await announce_plans(conn, [first, changed, plan("r")], REGISTERED)
    assert answers == [Recorded.EXISTS, Recorded.EXISTS_WITH_DIFFERENT_VALUES, Recorded.NEW]
    assert await counts_of(conn, "inbound_plan", "inbound_line") == [3, 3]
    assert (await read_plan_lines(conn, first.ref))[0].announced == 10


async def test_no_placement_without_a_tax_number(conn):
    with pytest.raises(TaxNumberMissingError) as raised:
        await announce_plans(conn, [plan("p"), replace(plan("q"), country_code="DE")], REGISTERED)
    assert (raised.value.field, raised.value.value) == ("country_code", "DE")
    assert await counts_of(conn, "inbound_plan", "inbound_line") == [0, 0]


async def test_own_carrier_from_dock_to_close(conn):
    asked, shelf = plan("p", inbound_line(1, "mug", 10), inbound_line(2, "pen", 4)), Shelf()
    await announce_plans(conn, [asked], REGISTERED)
    assert (await depart_plans(conn, [asked.ref], AT)).moves == []
    work = await receive_units(conn, [dock_scan(asked, 1, 6, 1), dock_scan(asked, 2, 5)])
    assert [result.receipt for result in work.results] == [Receipt(6, 1, 0, 0), Receipt(3, 0, 2, 0)]
    shelf.post(work.moves)
    assert (shelf.at("receive"), shelf.in_condition("damaged", "receive"), shelf.at("-", place="@over_receipt")) == (12, 1, -2)
    assert shelf.at("-", place="@supplier") == -10
    assert await states(conn) == {"receiving": 1}
    closed = await close_plans(conn, [asked.ref], AT + timedelta(days=2))
    assert closed.moves == []
    assert [(gap.line_no, gap.quantity, gap.liability) for gap in closed.steps[0].undelivered] == [(2, 4, Liability.MERCHANT)]
    lines = await read_plan_lines(conn, asked.ref)
    assert [(row.announced, row.received_good, row.received_damaged, row.not_delivered, row.over) for row in lines] == [
        (10, 9, 1, 0, 2),
        (4, 0, 0, 4, 0),
    ]
    again = await close_plans(conn, [asked.ref], AT + timedelta(days=3))
    assert ([step.outcome for step in again.steps], again.moves) == ([StepOutcome.EXISTS], [])
    assert await check_custody(conn) == (2, [])


async def test_what_our_carrier_loses_is_ours(conn):
    asked, shelf = plan("p", kind=InboundKind.PARTNERED), Shelf()
    await announce_plans(conn, [asked], REGISTERED)
    early = await receive_units(conn, [dock_scan(asked, 1, 1)])
    assert ([result.outcome for result in early.results], early.moves) == ([ScanOutcome.NOT_ALLOWED], [])
    left = await depart_plans(conn, [asked.ref, asked.ref], AT)
    assert [step.outcome for step in left.steps] == [StepOutcome.DONE, StepOutcome.EXISTS]
    shelf.post(left.moves)
    assert (shelf.at("-", place="@supplier"), shelf.at("-", place="@transit")) == (-10, 10)
    shelf.post((await receive_units(conn, [dock_scan(asked, 1, 6, 1)])).moves)
    closed = await close_plans(conn, [asked.ref], AT)
    shelf.post(closed.moves)
    assert closed.steps[0].undelivered[0].liability is Liability.PLATFORM
    assert (shelf.at("-", place="@transit"), shelf.at("-", place="@lost"), shelf.at("receive")) == (0, 3, 7)
    assert (await depart_plans(conn, [asked.ref], AT)).steps[0].outcome is StepOutcome.EXISTS


async def test_scans_count_once(conn):
    asked = plan("p")
    await announce_plans(conn, [asked], REGISTERED)
    scan = dock_scan(asked, 1, 4)
    first = await receive_units(conn, [scan, scan, replace(scan, good=5)])
    assert [result.outcome for result in first.results] == [ScanOutcome.NEW, ScanOutcome.EXISTS, ScanOutcome.EXISTS_WITH_DIFFERENT_VALUES]
    replayed = await receive_units(conn, [replace(scan, at=AT + timedelta(hours=1)), replace(scan, damaged=1)])
    assert [result.outcome for result in replayed.results] == [ScanOutcome.EXISTS, ScanOutcome.EXISTS_WITH_DIFFERENT_VALUES]
    assert (len(first.moves), replayed.moves) == (1, [])
    assert (await read_plan_lines(conn, asked.ref))[0].received_good == 4
    assert await counts_of(conn, "scan") == [1]


async def test_scans_of_unknown_things_change_nothing(conn):
    asked, foreign = plan("p"), plan("p", merchant=OTHER)
    await announce_plans(conn, [asked], REGISTERED)
    elsewhere = replace(dock_scan(asked, 1, 1), key=ScanKey("DE-LEJ1", "dock-1", 1))
    work = await receive_units(conn, [dock_scan(foreign, 2, 1), dock_scan(asked, 3, 1, line_no=9), elsewhere])
    assert [result.outcome for result in work.results] == [ScanOutcome.UNKNOWN_PLAN, ScanOutcome.UNKNOWN_LINE, ScanOutcome.UNKNOWN_PLAN]
    assert work.moves == []
    assert await counts_of(conn, "scan") == [0]
    assert await states(conn) == {"announced": 1}
    with pytest.raises(NothingScannedError):
        await receive_units(conn, [dock_scan(asked, 4, 0)])


async def test_custody_starts_with_the_first_scan(conn):
    asked = replace(plan("p"), boxes=(InboundBox(1), InboundBox(2)))
    await announce_plans(conn, [asked], REGISTERED)
    late, early = replace(dock_scan(asked, 2, 1, box_no=1), at=AT + timedelta(hours=2)), dock_scan(asked, 1, 1, box_no=1)
    await receive_units(conn, [late, early])
    await receive_units(conn, [replace(dock_scan(asked, 3, 1), at=AT + timedelta(hours=3))])
    assert (await read_plans(conn, MERCHANT, 1))[0].custody_at == AT
    assert await fetch_one(conn, "select count(*), min(arrived_at) from inbound_box where arrived_at is not null") == (1, AT)


async def test_stow_moves_from_the_dock_to_bins(conn):
    await open_place(conn)
    asked, shelf = plan("p"), Shelf()
    await announce_plans(conn, [asked], REGISTERED)
    nothing = await stow_units(conn, [stow_scan(asked, 1, 1)])
    assert nothing.results[0].outcome is ScanOutcome.NOT_ALLOWED
    shelf.post((await receive_units(conn, [dock_scan(asked, 1, 8, 3)])).moves)
    needs = await read_stow_needs(conn, [asked.ref], measures("mug"))
    choices = choose_bins(needs, await read_bins(conn, [PLACE]), [])
    assert [(choice.need.goods.condition_code, choice.bin_code, choice.quantity) for choice in choices] == [
        ("sellable", "A-01", 8),
        ("damaged", "X-01", 3),
    ]
    scans = [stow_scan(asked, no, choice.quantity, choice.bin_code, choice.need.goods.condition_code) for no, choice in enumerate(choices, start=2)]
    work = await stow_units(conn, [*scans, scans[0], stow_scan(asked, 9, 1), stow_scan(asked, 10, 1, "Z-9")])
    assert [result.outcome for result in work.results] == [
        ScanOutcome.NEW,
        ScanOutcome.NEW,
        ScanOutcome.EXISTS,
        ScanOutcome.TOO_MANY,
        ScanOutcome.UNKNOWN_BIN,
    ]
    shelf.post(work.moves)
    assert (shelf.at("receive"), shelf.at("bin:A-01"), shelf.at("bin:X-01"), shelf.in_condition("damaged", "bin:X-01")) == (0, 8, 3, 3)
    assert await read_stow_needs(conn, [asked.ref], {}) == []


async def test_withdrawing_before_departure_only(conn):
    staying, leaving = plan("p"), plan("q")
    await announce_plans(conn, [staying, leaving], REGISTERED)
    await depart_plans(conn, [leaving.ref], AT)
    refs = [staying.ref, leaving.ref, PlanRef(OTHER, staying.plan_id), staying.ref]
    outcomes = [StepOutcome.DONE, StepOutcome.NOT_ALLOWED, StepOutcome.UNKNOWN, StepOutcome.EXISTS]
    assert [step.outcome for step in await withdraw_plans(conn, refs, AT)] == outcomes
    assert await states(conn) == {"cancelled": 1, "in_transit": 1}
    assert (await receive_units(conn, [dock_scan(staying, 1, 1)])).results[0].outcome is ScanOutcome.NOT_ALLOWED


async def test_legs_keep_their_first_actual_times(conn):
    asked = plan("p", kind=InboundKind.UNIFIED)
    await announce_plans(conn, [asked], REGISTERED)
    report = LegReport(MERCHANT, asked.plan_id, 2, departed_at=AT)
    assert await report_legs(conn, [report]) == 1
    assert await report_legs(conn, [replace(report, departed_at=AT + timedelta(days=1))]) == 0
    assert await report_legs(conn, [replace(report, arrived_at=AT + timedelta(days=20))]) == 1
    legs = await read_plan_legs(conn, asked.ref)
    assert [(leg.departed_at, leg.arrived_at) for leg in legs if leg.leg_no == 2] == [(AT, AT + timedelta(days=20))]
    assert sum(leg.cost_minor for leg in legs) == 100_000


async def test_a_batch_of_plans_equals_batches_of_one(conn):
    async def play(names, size):
        plans = [plan(name, inbound_line(1, "mug", 10), kind=kind, merchant=who) for name, kind, who in names]
        scans = [dock_scan(one, no, 9, 2) for no, one in enumerate(plans, start=1)]
        moves = []
        for i in range(0, len(plans), size):
            part = plans[i : i + size]
            await announce_plans(conn, part, REGISTERED)
            moves += (await depart_plans(conn, [one.ref for one in part], AT)).moves
            moves += (await receive_units(conn, scans[i : i + size])).moves
            moves += (await close_plans(conn, [one.ref for one in part], AT)).moves
        rows = await (await conn.execute("select * from inbound_line order by merchant_id, plan_id")).fetchall()
        return rows, sorted(moves, key=str)

    names = [(str(i), list(InboundKind)[i % 3], (MERCHANT, OTHER)[i % 2]) for i in range(6)]
    await conn.execute("savepoint before")
    one_by_one = await play(names, 1)
    await conn.execute("rollback to before")
    assert await play(names, 6) == one_by_one
    assert len(one_by_one[0]) == 6


async def test_custody_check_names_a_broken_plan(conn):
    asked = plan("p")
    await announce_plans(conn, [asked], REGISTERED)
    await receive_units(conn, [dock_scan(asked, 1, 4)])
    await close_plans(conn, [asked.ref], AT)
    assert await check_custody(conn) == (1, [])
    await conn.execute("update inbound_line set not_delivered = 5")
    checked, broken = await check_custody(conn)
    assert (checked, len(broken)) == (1, 1)
    assert str(derived_id("plan", "p")) in broken[0]
