"""The returns bench.

A parcel comes back. The bench receives its units, ungraded and in quarantine. The grader looks at each: sellable ones go back to a bin and may be
sold at once; damaged, defective and customer-damaged ones are kept in their condition or disposed of with evidence. Units of one return line may
be graded differently; none is graded twice.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from entrepot.base.ids import derived_id
from entrepot.base.quantity import require_positive
from entrepot.base.sql import Conn
from entrepot.warehouse.grading import Disposition, Grade, condition_of, target_of
from entrepot.warehouse.model import (
    BENCH_SPOT,
    FREE,
    NO_LOT,
    OUTSIDE_SPOT,
    QUARANTINE,
    RETURN,
    SELLABLE,
    Cause,
    CauseKind,
    Goods,
    Recorded,
    StepOutcome,
    StockMove,
    regrade_goods,
)
from entrepot.warehouse.store_bench import (
    BenchLine,
    GradeRow,
    insert_bench_lines,
    insert_grades,
    lock_bench_lines,
    read_grades,
    update_bench_lines,
)


class ReturnReceipt(Struct, frozen=True):
    """Units of one return line that arrived at a place; the lot is known where the shipped lot was."""

    merchant_id: uuid.UUID
    return_id: uuid.UUID
    line_no: int
    place_code: str
    owner_id: uuid.UUID
    stock_item_id: uuid.UUID
    quantity: int
    received_at: datetime
    lot_code: str = NO_LOT
    customs_status: str = FREE


class GradeReport(Struct, frozen=True):
    """What a grader found about some units of a return line, and what happens to them."""

    merchant_id: uuid.UUID
    return_id: uuid.UUID
    line_no: int
    grade_no: int
    quantity: int
    grade: Grade
    disposition: Disposition
    graded_by: str
    at: datetime
    bin_code: str | None = None
    evidence: str | None = None


class ReceiptWork(Struct, frozen=True):
    """One answer per receipt, in order, and the stock moves for the book."""

    answers: list[Recorded]
    moves: list[StockMove]


class GradeWork(Struct, frozen=True):
    """One outcome per report, in order (`differs`: more units than wait), and the stock moves for the book."""

    outcomes: list[StepOutcome]
    moves: list[StockMove]


async def receive_returns(conn: Conn, receipts: Sequence[ReturnReceipt]) -> ReceiptWork:
    """Put returned units on the bench, ungraded; a line that lies there already is a replay and moves nothing."""
    for receipt in receipts:
        require_positive(receipt.quantity)
    firsts = {_key(receipt): receipt for receipt in reversed(receipts)}
    new_keys = await insert_bench_lines(conn, [_bench_line(firsts[key]) for key in sorted(firsts)])
    stored = await lock_bench_lines(conn, list(firsts)) if len(new_keys) < len(receipts) else {}
    answers: list[Recorded] = []
    moves: list[StockMove] = []
    told: set[tuple[uuid.UUID, uuid.UUID, int]] = set()
    for receipt in receipts:
        key = _key(receipt)
        if key in new_keys and key not in told:
            told.add(key)
            answers.append(Recorded.NEW)
            moves.append(_arrival(receipt))
        else:
            answers.append(_compare(_bench_line(receipt), stored[key]))
    return ReceiptWork(answers, moves)


def _key(subject: ReturnReceipt | GradeReport) -> tuple[uuid.UUID, uuid.UUID, int]:
    return (subject.merchant_id, subject.return_id, subject.line_no)


def _bench_line(receipt: ReturnReceipt) -> BenchLine:
    return BenchLine(
        receipt.merchant_id, receipt.return_id, receipt.line_no, receipt.place_code, receipt.owner_id, receipt.stock_item_id, receipt.lot_code,
        receipt.customs_status, receipt.quantity, 0, receipt.received_at,
    )  # fmt: skip


def _compare(asked: BenchLine, stored: BenchLine) -> Recorded:
    same = replace(stored, graded=0, received_at=asked.received_at) == asked
    return Recorded.EXISTS if same else Recorded.EXISTS_WITH_DIFFERENT_VALUES


def _arrival(receipt: ReturnReceipt) -> StockMove:
    goods = Goods(receipt.merchant_id, receipt.owner_id, receipt.stock_item_id, receipt.lot_code, SELLABLE, receipt.customs_status)
    cause = Cause(CauseKind.RETURN, derived_id("bench", receipt.return_id, receipt.line_no), receipt.received_at)
    return regrade_goods(goods, receipt.quantity, (RETURN, OUTSIDE_SPOT), (receipt.place_code, BENCH_SPOT), QUARANTINE, cause)


async def grade_returns(conn: Conn, reports: Sequence[GradeReport]) -> GradeWork:
    """Grade units on the bench in the order reported; each (return, line, grade number) counts once."""
    for report in reports:
        require_positive(report.quantity)
        target_of(report.grade, report.disposition, "", report.bin_code, report.evidence)
    keys = [_key(report) for report in reports]
    lines = await lock_bench_lines(conn, keys)
    known = await read_grades(conn, keys)
    outcomes: list[StepOutcome] = []
    moves: list[StockMove] = []
    new_rows: list[GradeRow] = []
    for report in reports:
        row, line = _grade_row(report), lines.get(_key(report))
        outcome = _judge(row, line, known)
        outcomes.append(outcome)
        if outcome is StepOutcome.DONE and line is not None:
            known[row.key] = row
            new_rows.append(row)
            lines[_key(report)] = replace(line, graded=line.graded + report.quantity)
            moves.append(_departure(report, line))
    await insert_grades(conn, new_rows)
    await update_bench_lines(conn, [lines[key] for key in sorted({row.key[:3] for row in new_rows})])
    return GradeWork(outcomes, moves)


def _grade_row(report: GradeReport) -> GradeRow:
    return GradeRow(
        report.merchant_id, report.return_id, report.line_no, report.grade_no, report.quantity, str(report.grade), str(report.disposition),
        condition_of(report.grade), report.bin_code, report.evidence, report.graded_by, report.at,
    )  # fmt: skip


def _judge(row: GradeRow, line: BenchLine | None, known: Mapping[tuple[uuid.UUID, uuid.UUID, int, int], GradeRow]) -> StepOutcome:
    earlier = known.get(row.key)
    if earlier is not None:
        return StepOutcome.EXISTS if replace(earlier, at=row.at) == row else StepOutcome.DIFFERS
    if line is None:
        return StepOutcome.UNKNOWN
    return StepOutcome.DONE if row.quantity <= line.quantity - line.graded else StepOutcome.DIFFERS


def _departure(report: GradeReport, line: BenchLine) -> StockMove:
    goods = Goods(line.merchant_id, line.owner_id, line.stock_item_id, line.lot_code, QUARANTINE, line.customs_status)
    cause_id = derived_id("grade", report.return_id, report.line_no, report.grade_no)
    cause = Cause(CauseKind.GRADE, cause_id, report.at, report.evidence)
    target = target_of(report.grade, report.disposition, line.place_code, report.bin_code, report.evidence)
    return regrade_goods(goods, report.quantity, (line.place_code, BENCH_SPOT), target, condition_of(report.grade), cause)
