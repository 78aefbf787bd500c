"""Set-based SQL of the returns bench, counts and adjustments."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct

from entrepot.base.sql import Conn, columns, execute, fetch

ReturnLineKey = tuple[uuid.UUID, uuid.UUID, int]
"""Merchant, return and line."""


class BenchLine(Struct, frozen=True):
    """Units of a return line on the bench; `graded` of them have been graded."""

    merchant_id: uuid.UUID
    return_id: uuid.UUID
    line_no: int
    place_code: str
    owner_id: uuid.UUID
    stock_item_id: uuid.UUID
    lot_code: str
    customs_status: str
    quantity: int
    graded: int
    received_at: datetime


class GradeRow(Struct, frozen=True):
    """A grade as stored."""

    merchant_id: uuid.UUID
    return_id: uuid.UUID
    line_no: int
    grade_no: int
    quantity: int
    grade_code: str
    disposition_code: str
    condition_code: str
    bin_code: str | None
    evidence: str | None
    graded_by: str
    at: datetime

    @property
    def key(self) -> tuple[uuid.UUID, uuid.UUID, int, int]:
        """Name the grade."""
        return (self.merchant_id, self.return_id, self.line_no, self.grade_no)


class CountRow(Struct, frozen=True):
    """A blind count of one spot as stored, with what the book held then."""

    place_code: str
    count_id: uuid.UUID
    spot_code: str
    merchant_id: uuid.UUID
    owner_id: uuid.UUID
    stock_item_id: uuid.UUID
    lot_code: str
    condition_code: str
    customs_status: str
    counted: int
    booked: int
    reason_code: str
    counted_by: str
    at: datetime


class AdjustmentRow(Struct, frozen=True):
    """One signed difference of an adjustment as stored."""

    merchant_id: uuid.UUID
    adjustment_id: uuid.UUID
    row_no: int
    place_code: str
    spot_code: str
    owner_id: uuid.UUID
    stock_item_id: uuid.UUID
    lot_code: str
    condition_code: str
    customs_status: str
    difference: int
    reason_code: str
    reason: str
    adjusted_by: str
    at: datetime


async def insert_bench_lines(conn: Conn, lines: Sequence[BenchLine]) -> set[ReturnLineKey]:
    """Store return lines that are new and return which these are."""
    rows = await fetch(
        conn,
        """insert into bench_return
             (merchant_id, return_id, line_no, place_code, owner_id, stock_item_id, lot_code, customs_status, quantity, received_at)
           select * from unnest(%(merchant_id)b::uuid[], %(return_id)b::uuid[], %(line_no)b::integer[], %(place_code)b::text[],
                                %(owner_id)b::uuid[], %(stock_item_id)b::uuid[], %(lot_code)b::text[], %(customs_status)b::text[],
                                %(quantity)b::bigint[], %(received_at)b::timestamptz[])
           on conflict do nothing returning merchant_id, return_id, line_no""",
        columns(
            lines,
            *("merchant_id", "return_id", "line_no", "place_code", "owner_id", "stock_item_id", "lot_code", "customs_status", "quantity"),
            "received_at",
        ),
    )
    return {(merchant_id, return_id, line_no) for merchant_id, return_id, line_no in rows}


def _keys(keys: Sequence[ReturnLineKey]) -> dict[str, object]:
    return {"merchant_ids": [key[0] for key in keys], "return_ids": [key[1] for key in keys], "line_nos": [key[2] for key in keys]}


async def lock_bench_lines(conn: Conn, keys: Sequence[ReturnLineKey]) -> dict[ReturnLineKey, BenchLine]:
    """Read return lines and keep others from grading them until the transaction ends."""
    rows = await fetch(
        conn,
        """select b.merchant_id, b.return_id, b.line_no, b.place_code, b.owner_id, b.stock_item_id, b.lot_code, b.customs_status, b.quantity,
                  b.graded, b.received_at
           from (select distinct * from unnest(%(merchant_ids)b::uuid[], %(return_ids)b::uuid[], %(line_nos)b::integer[])
                 as a(merchant_id, return_id, line_no)) as t
           join bench_return b using (merchant_id, return_id, line_no)
           order by b.merchant_id, b.return_id, b.line_no for update of b""",
        _keys(keys),
    )
    return {(row[0], row[1], row[2]): BenchLine(*row) for row in rows}


async def read_grades(conn: Conn, keys: Sequence[ReturnLineKey]) -> dict[tuple[uuid.UUID, uuid.UUID, int, int], GradeRow]:
    """Return the grades that return lines have already."""
    rows = await fetch(
        conn,
        """select g.merchant_id, g.return_id, g.line_no, g.grade_no, g.quantity, g.grade_code, g.disposition_code, g.condition_code, g.bin_code,
                  g.evidence, g.graded_by, g.at
           from (select distinct * from unnest(%(merchant_ids)b::uuid[], %(return_ids)b::uuid[], %(line_nos)b::integer[])
                 as a(merchant_id, return_id, line_no)) as t
           join bench_grade g using (merchant_id, return_id, line_no)""",
        _keys(keys),
    )
    return {grade.key: grade for grade in (GradeRow(*row) for row in rows)}


async def insert_grades(conn: Conn, grades: Sequence[GradeRow]) -> None:
    """Store grades of locked return lines."""
    if not grades:
        return
    await execute(
        conn,
        """insert into bench_grade
             (merchant_id, return_id, line_no, grade_no, quantity, grade_code, disposition_code, condition_code, bin_code, evidence, graded_by, at)
           select * from unnest(%(merchant_id)b::uuid[], %(return_id)b::uuid[], %(line_no)b::integer[], %(grade_no)b::integer[],
                                %(quantity)b::bigint[], %(grade_code)b::text[], %(disposition_code)b::text[], %(condition_code)b::text[],
                                %(bin_code)b::text[], %(evidence)b::text[], %(graded_by)b::text[], %(at)b::timestamptz[])""",
        columns(
            grades,
            *("merchant_id", "return_id", "line_no", "grade_no", "quantity", "grade_code", "disposition_code", "condition_code"),
            *("bin_code", "evidence", "graded_by", "at"),
        ),
    )


async def update_bench_lines(conn: Conn, lines: Sequence[BenchLine]) -> None:
    """Store how many units of locked return lines are graded."""
    if not lines:
        return
    await execute(
        conn,
        """update bench_return b set graded = t.graded
           from unnest(%(merchant_id)b::uuid[], %(return_id)b::uuid[], %(line_no)b::integer[], %(graded)b::bigint[])
                as t(merchant_id, return_id, line_no, graded)
           where b.merchant_id = t.merchant_id and b.return_id = t.return_id and b.line_no = t.line_no""",
        columns(lines, "merchant_id", "return_id", "line_no", "graded"),
    )


_COUNT_COLUMNS: Final = (
    *("place_code", "count_id", "spot_code", "merchant_id", "owner_id", "stock_item_id", "lot_code", "condition_code", "customs_status"),
    *("counted", "booked", "reason_code", "counted_by", "at"),
)
_ADJUSTMENT_COLUMNS: Final = (
    *("merchant_id", "adjustment_id", "row_no", "place_code", "spot_code", "owner_id", "stock_item_id", "lot_code", "condition_code"),
    *("customs_status", "difference", "reason_code", "reason", "adjusted_by", "at"),
)


async def insert_counts(conn: Conn, counts: Sequence[CountRow]) -> set[uuid.UUID]:
    """Store counts that are new and return their ids."""
    rows = await fetch(
        conn,
        f"""insert into stock_count ({", ".join(_COUNT_COLUMNS)})
            select * from unnest(%(place_code)b::text[], %(count_id)b::uuid[], %(spot_code)b::text[], %(merchant_id)b::uuid[], %(owner_id)b::uuid[],
                                 %(stock_item_id)b::uuid[], %(lot_code)b::text[], %(condition_code)b::text[], %(customs_status)b::text[],
                                 %(counted)b::bigint[], %(booked)b::bigint[], %(reason_code)b::text[], %(counted_by)b::text[], %(at)b::timestamptz[])
            on conflict do nothing returning count_id""",
        columns(counts, *_COUNT_COLUMNS),
    )
    return {count_id for (count_id,) in rows}


async def insert_adjustments(conn: Conn, adjustments: Sequence[AdjustmentRow]) -> set[tuple[uuid.UUID, uuid.UUID]]:
    """Store adjustments that are new and return their (merchant, adjustment)."""
    if not adjustments:
        return set()
    rows = await fetch(
        conn,
        f"""insert into stock_adjustment ({", ".join(_ADJUSTMENT_COLUMNS)})
            select * from unnest(%(merchant_id)b::uuid[], %(adjustment_id)b::uuid[], %(row_no)b::integer[], %(place_code)b::text[],
                                 %(spot_code)b::text[], %(owner_id)b::uuid[], %(stock_item_id)b::uuid[], %(lot_code)b::text[],
                                 %(condition_code)b::text[], %(customs_status)b::text[], %(difference)b::bigint[], %(reason_code)b::text[],
                                 %(reason)b::text[], %(adjusted_by)b::text[], %(at)b::timestamptz[])
            on conflict do nothing returning merchant_id, adjustment_id""",
        columns(adjustments, *_ADJUSTMENT_COLUMNS),
    )
    return {(merchant_id, adjustment_id) for merchant_id, adjustment_id in rows}
