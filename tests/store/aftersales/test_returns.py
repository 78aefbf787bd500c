"""The way of a return in the database, step by step and twice."""

import pytest
from tests.factories.aftersales import BENCH, BUYER, MERCHANT, OTHER_MERCHANT, a_request, a_step, later, named

from entrepot.aftersales import returns, store
from entrepot.aftersales.check import check_returned_units
from entrepot.aftersales.model import (
    DispositionCode,
    GradeCode,
    GradedUnits,
    Outcome,
    ReturnApproval,
    ReturnGrading,
    ReturnHoldsNothingError,
    ReturnReceipt,
    ReturnState,
    ReturnUnits,
)
from entrepot.base.audit import read_acts
from entrepot.base.sql import execute

pytestmark = pytest.mark.anyio

SELLABLE, DAMAGED = GradeCode.SELLABLE, GradeCode.DAMAGED
RESTOCK, HOLD = DispositionCode.RESTOCK, DispositionCode.HOLD


def approval(rma: str = "rma", **changed: object) -> ReturnApproval:
    return ReturnApproval(a_step(rma), later(30), **({"place_code": "US-ONT1"} | changed))


def receipt(rma: str = "rma", *units: tuple[int, int, int]) -> ReturnReceipt:
    return ReturnReceipt(a_step(rma, 5), tuple(ReturnUnits(*one) for one in units or ((1, 1, 2),)))


def grading(rma: str, *grades: tuple[int, int, GradeCode, DispositionCode, int]) -> ReturnGrading:
    return ReturnGrading(a_step(rma, 6), tuple(GradedUnits(*one) for one in grades))


async def state_of(conn, rma: str = "rma") -> ReturnState:
    key = (MERCHANT, named(rma))
    return (await store.read_returns(conn, [key]))[key].state


async def test_the_whole_way_with_two_grades_and_a_short_line(conn):
    assert await returns.request_returns(conn, [a_request("rma", (1, 1, 3), (2, 1, 1))], BUYER) == [Outcome.DONE]
    assert await returns.approve_returns(conn, [approval(customs_return_declaration="R-1")], BENCH) == [Outcome.DONE]
    assert await returns.send_returns(conn, [a_step(days=3)], BENCH) == [Outcome.DONE]
    assert await returns.receive_returns(conn, [receipt("rma", (1, 1, 3))], BENCH) == [Outcome.DONE]
    graded = grading("rma", (1, 1, SELLABLE, RESTOCK, 2), (1, 1, DAMAGED, HOLD, 1))
    assert await returns.grade_returns(conn, [graded], BENCH) == [Outcome.DONE]
    assert await returns.close_returns(conn, [a_step(days=7)], BENCH) == [Outcome.DONE]
    (stored,) = await store.list_returns_of_orders(conn, MERCHANT, [named("order")])
    assert (stored.state, stored.place_code, stored.customs_return_declaration, stored.deadline_at) == ("closed", "US-ONT1", "R-1", later(30))
    assert [(line.line_no, line.quantity, line.received) for line in stored.lines] == [(1, 3, 3), (2, 1, 0)]
    assert [(units.grade_code, units.quantity) for units in stored.lines[0].grades] == [("damaged", 1), ("sellable", 2)]
    acts = [act[1] for act in await read_acts(conn, MERCHANT, [named("rma")])]
    assert acts == ["request_return", "approve_return", "send_return", "receive_return", "grade_return", "close_return"]
    assert await check_returned_units(conn) == (1, [])


async def test_a_replay_of_every_step_exists_and_changes_nothing(conn):
    request, graded = a_request(), grading("rma", (1, 1, SELLABLE, RESTOCK, 2))
    for outcome in (Outcome.DONE, Outcome.EXISTS):
        assert await returns.request_returns(conn, [request], BUYER) == [outcome]
    steps = [
        (returns.approve_returns, approval()),
        (returns.send_returns, a_step()),
        (returns.receive_returns, receipt()),
        (returns.grade_returns, graded),
        (returns.close_returns, a_step()),
    ]
    for verb, step in steps:
        assert await verb(conn, [step], BENCH) == [Outcome.DONE]
        assert await verb(conn, [step], BENCH) == [Outcome.EXISTS]
    for verb, step in (steps[0], steps[2], steps[3]):
        assert await verb(conn, [step], BENCH) == [Outcome.EXISTS]
    assert await state_of(conn) == "closed"
    assert len(await read_acts(conn, MERCHANT, [named("rma")])) == 6


async def test_a_batch_decides_each_alone_and_meets_its_twins(conn):
    outcomes = await returns.request_returns(conn, [a_request("a"), a_request("b"), a_request("a"), a_request("a", (1, 1, 1))], BUYER)
    assert outcomes == [Outcome.DONE, Outcome.DONE, Outcome.EXISTS, Outcome.EXISTS_WITH_DIFFERENT_VALUES]
    assert await returns.refuse_returns(conn, [a_step("b", note="used")], BENCH) == [Outcome.DONE]
    outcomes = await returns.approve_returns(conn, [approval("a"), approval("a"), approval("b"), approval("nothing")], BENCH)
    assert outcomes == [Outcome.DONE, Outcome.EXISTS, Outcome.NOT_ALLOWED, Outcome.UNKNOWN]
    assert [await state_of(conn, rma) for rma in ("a", "b")] == ["approved", "refused"]


async def test_wrong_quantities_change_nothing(conn):
    await returns.request_returns(conn, [a_request()], BUYER)
    await returns.approve_returns(conn, [approval()], BENCH)
    wrong = [receipt("rma", (1, 1, 3)), receipt("rma", (2, 1, 1)), receipt("rma", (1, 1, 1), (1, 1, 1)), ReturnReceipt(a_step(), ())]
    assert await returns.receive_returns(conn, wrong, BENCH) == [Outcome.QUANTITY_DIFFERS] * 4
    assert await state_of(conn) == "approved"
    await returns.receive_returns(conn, [receipt()], BENCH)
    short, long = grading("rma", (1, 1, SELLABLE, RESTOCK, 1)), grading("rma", (1, 1, SELLABLE, RESTOCK, 3))
    assert await returns.grade_returns(conn, [short, long, grading("rma")], BENCH) == [Outcome.QUANTITY_DIFFERS] * 3
    (stored,) = await store.list_returns(conn, MERCHANT, [ReturnState.RECEIVED], later(1), 10)
    assert (stored.lines[0].received, stored.lines[0].grades) == (2, ())


async def test_goods_that_arrive_after_a_return_was_closed_without_them_are_not_swallowed(conn):
    await returns.request_returns(conn, [a_request()], BUYER)
    await returns.approve_returns(conn, [approval(place_code=None)], BENCH)
    await returns.close_returns(conn, [a_step(note="destroyed where they are")], BENCH)
    assert await returns.receive_returns(conn, [receipt()], BENCH) == [Outcome.NOT_ALLOWED]
    assert await check_returned_units(conn) == (1, [])


@pytest.mark.parametrize("units", [((1, 1, 0),), ((1, 1, -1),), ((1, 1, 1), (1, 1, 1))])
async def test_a_request_without_units_is_refused(conn, units):
    with pytest.raises(ReturnHoldsNothingError):
        await returns.request_returns(conn, [a_request("good"), a_request("bad", *units)], BUYER)
    assert await store.list_returns_of_orders(conn, MERCHANT, [named("order")]) == []


async def test_open_quantities_and_counts_by_merchant(conn):
    requests = [a_request("a"), a_request("b", (1, 1, 1)), a_request("c", (1, 1, 9)), a_request("d", merchant_id=OTHER_MERCHANT)]
    await returns.request_returns(conn, requests, BUYER)
    await returns.cancel_returns(conn, [a_step("c")], BENCH)
    order = named("order")
    opened = await store.read_open_quantities(conn, [MERCHANT, MERCHANT, OTHER_MERCHANT], [order, order, order])
    assert opened == {(MERCHANT, order): {(1, 1): 3}, (OTHER_MERCHANT, order): {(1, 1): 2}}
    assert await store.count_returns(conn, [MERCHANT, OTHER_MERCHANT]) == {
        MERCHANT: {"cancelled": 1, "requested": 2},
        OTHER_MERCHANT: {"requested": 1},
    }
    assert await returns.approve_returns(conn, [ReturnApproval(a_step("d"), later(30))], BENCH) == [Outcome.UNKNOWN]


async def test_the_law_names_a_return_whose_grades_do_not_add_up(conn):
    await returns.request_returns(conn, [a_request()], BUYER)
    await returns.approve_returns(conn, [approval()], BENCH)
    await returns.receive_returns(conn, [receipt()], BENCH)
    await returns.grade_returns(conn, [grading("rma", (1, 1, SELLABLE, RESTOCK, 2))], BENCH)
    await execute(conn, "update return_grade set quantity = 1")
    assert await check_returned_units(conn) == (1, [f"return {MERCHANT}/{named('rma')}: graded with 2 received and 1 graded"])
