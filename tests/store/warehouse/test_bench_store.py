import pytest
from msgspec.structs import replace
from tests.factories.warehouse import AT, MERCHANT, PLACE, Shelf, item, stock

from entrepot.base.ids import derived_id
from entrepot.base.sql import fetch, fetch_one
from entrepot.warehouse.bench import GradeReport, ReturnReceipt, grade_returns, receive_returns
from entrepot.warehouse.count import (
    Adjustment,
    BlindCount,
    ConditionChange,
    CountNegativeError,
    ReasonMissingError,
    adjust_stock,
    change_conditions,
    record_counts,
)
from entrepot.warehouse.grading import Disposition, Grade
from entrepot.warehouse.model import EvidenceMissingError, Goods, ReasonSignError, Recorded, StepOutcome, StockMove, UnknownReasonError
from entrepot.warehouse.readers import read_bench_queue
from entrepot.warehouse.seed_rows import seed_warehouse
from entrepot.warehouse.store_floor import read_cartons, read_reason_signs

pytestmark = pytest.mark.anyio
RETURN = derived_id("return", "1")
MUGS = Goods(MERCHANT, MERCHANT, item("mug"))


def receipt(quantity=3, line_no=1):
    return ReturnReceipt(MERCHANT, RETURN, line_no, PLACE, MERCHANT, item("mug"), quantity, AT)


def graded(grade_no, quantity, grade, disposition, bin_code="A-01", evidence=None):
    return GradeReport(MERCHANT, RETURN, 1, grade_no, quantity, grade, disposition, "grader-7", AT, bin_code, evidence)


def coming_back(quantity):
    """A shelf with units on their way back."""
    shelf = Shelf()
    shelf.units[MERCHANT, MERCHANT, item("mug"), "@return", "-", "-", "sellable", "free"] = quantity
    return shelf


async def test_a_return_is_received_once(conn):
    shelf = coming_back(3)
    work = await receive_returns(conn, [receipt(), receipt(), receipt(2)])
    assert work.answers == [Recorded.NEW, Recorded.EXISTS, Recorded.EXISTS_WITH_DIFFERENT_VALUES]
    shelf.post(work.moves)
    assert (shelf.at("bench"), shelf.in_condition("quarantine", "bench"), shelf.at("-", place="@return")) == (3, 3, 0)
    again = await receive_returns(conn, [receipt()])
    assert (again.answers, again.moves) == ([Recorded.EXISTS], [])
    assert [(row.quantity, row.graded) for row in await read_bench_queue(conn, PLACE, 9)] == [(3, 0)]


async def test_units_of_a_line_are_graded_apart(conn):
    shelf = coming_back(4)
    shelf.post((await receive_returns(conn, [receipt(4)])).moves)
    reports = [
        graded(1, 2, Grade.SELLABLE, Disposition.RESTOCK),
        graded(2, 1, Grade.CUSTOMER_DAMAGED, Disposition.KEEP, "X-01"),
        graded(3, 1, Grade.DEFECTIVE, Disposition.DISPOSE, None, "photo 17"),
        graded(4, 1, Grade.SELLABLE, Disposition.RESTOCK),
    ]
    work = await grade_returns(conn, reports)
    shelf.post(work.moves)
    assert work.outcomes == [StepOutcome.DONE, StepOutcome.DONE, StepOutcome.DONE, StepOutcome.DIFFERS]
    assert (shelf.at("bench"), shelf.at("bin:A-01"), shelf.at("bin:X-01"), shelf.at("-", place="@gone")) == (0, 2, 1, 1)
    assert (shelf.in_condition("sellable", "bin:A-01"), shelf.in_condition("damaged", "bin:X-01"), shelf.in_condition("defective", "-")) == (2, 1, 1)
    assert [move.reason for move in work.moves] == [None, None, "photo 17"]
    assert len({move.cause_id for move in work.moves}) == 3
    assert await read_bench_queue(conn, PLACE, 9) == []
    again = await grade_returns(conn, [reports[0], replace(reports[1], grade=Grade.SELLABLE), replace(reports[0], line_no=9)])
    assert (again.outcomes, again.moves) == ([StepOutcome.EXISTS, StepOutcome.DIFFERS, StepOutcome.UNKNOWN], [])
    assert await fetch_one(conn, "select count(*), sum(quantity) from bench_grade") == (3, 4)


async def test_disposal_without_evidence_changes_nothing(conn):
    await receive_returns(conn, [receipt()])
    reports = [graded(1, 1, Grade.SELLABLE, Disposition.RESTOCK), graded(2, 1, Grade.DEFECTIVE, Disposition.DISPOSE)]
    with pytest.raises(EvidenceMissingError):
        await grade_returns(conn, reports)
    assert await fetch_one(conn, "select count(*) from bench_grade") == (0,)
    assert (await read_bench_queue(conn, PLACE, 9))[0].graded == 0


def blind(name, counted, booked):
    return BlindCount(derived_id("count", name), PLACE, "bin:A-01", MUGS, counted, booked, "counter-3", AT)


async def test_counts_adjust_the_difference(conn):
    shelf = Shelf(stock("bin:A-01", "mug", 10))
    gap, surplus, equal = blind("gap", 8, 10), blind("surplus", 11, 8), blind("equal", 11, 11)
    work = await record_counts(conn, [gap, surplus, equal, gap])
    assert work.answers == [Recorded.NEW, Recorded.NEW, Recorded.NEW, Recorded.EXISTS]
    shelf.post(work.moves)
    assert (shelf.at("bin:A-01"), shelf.at("-", place="@lost"), shelf.at("-", place="@found")) == (11, 2, -3)
    assert [move.reason for move in work.moves] == ["count M", "count F"]
    rows = await fetch(conn, "select difference, reason_code, reason from stock_adjustment order by difference")
    assert rows == [(-2, "M", "blind count"), (3, "F", "blind count")]
    again = await record_counts(conn, [gap])
    assert (again.answers, again.moves) == ([Recorded.EXISTS], [])
    with pytest.raises(CountNegativeError):
        await record_counts(conn, [blind("negative", -1, 0)])
    assert await fetch_one(conn, "select count(*) from stock_count") == (3,)


def adjustment(name, difference, code, reason="wet cartons thrown away"):
    return Adjustment(derived_id("adjustment", name), PLACE, "bin:A-01", MUGS, difference, code, reason, "import", AT)


async def test_adjustments_keep_their_words(conn):
    await seed_warehouse(conn)
    shelf = Shelf(stock("bin:A-01", "mug", 10))
    work = await adjust_stock(
        conn, [adjustment("a", -4, "D"), adjustment("b", -1, "5", "?? missing"), adjustment("c", 2, "1"), adjustment("a", -4, "D")]
    )
    shelf.post(work.moves)
    assert work.answers == [Recorded.NEW, Recorded.NEW, Recorded.NEW, Recorded.EXISTS]
    assert [move.reason for move in work.moves] == ["wet cartons thrown away", "?? missing", "wet cartons thrown away"]
    assert (shelf.at("bin:A-01"), shelf.at("-", place="@gone"), shelf.at("-", place="@lost"), shelf.at("-", place="@found")) == (7, 4, 1, -2)
    again = await adjust_stock(conn, [adjustment("a", -4, "D")])
    assert (again.answers, again.moves) == ([Recorded.EXISTS], [])


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (adjustment("x", 1, "?"), UnknownReasonError),
        (adjustment("x", 1, "X"), UnknownReasonError),  # from memory only: ships switched off
        (adjustment("x", 1, "M"), ReasonSignError),
        (adjustment("x", 1, "F", " "), ReasonMissingError),
    ],
)
async def test_refused_adjustments_change_nothing(conn, bad, error):
    await seed_warehouse(conn)
    with pytest.raises(error):
        await adjust_stock(conn, [adjustment("a", -4, "D"), bad])
    assert await fetch_one(conn, "select count(*) from stock_adjustment") == (0,)


async def test_damage_on_the_floor_is_a_pair_of_rows(conn):
    await seed_warehouse(conn)
    shelf = Shelf(stock("bin:A-01", "mug", 10))
    change = ConditionChange(derived_id("change", "1"), PLACE, "bin:A-01", MUGS, "bin:X-01", "damaged", 3, "E", "dropped", "staff-1", AT)
    work = await change_conditions(conn, [change, change])
    shelf.post(work.moves)
    assert work.answers == [Recorded.NEW, Recorded.EXISTS]
    assert (shelf.at("bin:A-01"), shelf.in_condition("damaged", "bin:X-01")) == (7, 3)
    rows = await fetch(conn, "select row_no, condition_code, difference, reason_code from stock_adjustment order by row_no")
    assert rows == [(1, "sellable", -3, "E"), (2, "damaged", 3, "P")]
    assert isinstance(work.moves[0], StockMove)


async def test_seed_rows_are_added_once(conn):
    assert await seed_warehouse(conn) == 26
    assert await seed_warehouse(conn) == 0
    assert [carton.carton_code for carton in await read_cartons(conn, AT.date())] == ["DEMO-S", "DEMO-M", "DEMO-L", "DEMO-XL"]
    signs = await read_reason_signs(conn, AT.date())
    assert (len(signs), signs["M"], signs["F"]) == (19, "-", "+")
