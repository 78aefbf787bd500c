"""Count and adjust.

A counter stands at a bin and says what is there without being told what should be: a blind count. Afterwards the count is compared with what the
book held; a surplus comes from found, a gap goes to lost, each with the reason code of the inventory ledger. Adjustments without a count (an old
system's corrections, disposals) give their reason in words. Units that got damaged on the floor change their condition by a pair of rows:
out of the old condition, into the new one.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from entrepot.base.errors import RefusedInputError
from entrepot.base.quantity import require_positive
from entrepot.base.sql import Conn
from entrepot.warehouse.model import (
    FOUND,
    GONE,
    LOST,
    OUTSIDE_SPOT,
    Cause,
    CauseKind,
    Goods,
    ReasonSignError,
    Recorded,
    StockMove,
    UnknownReasonError,
    move_goods,
    regrade_goods,
)
from entrepot.warehouse.store_bench import AdjustmentRow, CountRow, insert_adjustments, insert_counts
from entrepot.warehouse.store_floor import read_reason_signs

MISPLACED: Final = "M"
TURNED_UP: Final = "F"
DISPOSED: Final = "D"
CONDITION_IN: Final = "P"


class CountNegativeError(RefusedInputError):
    """A count is zero or more units; staff count again."""


class ReasonMissingError(RefusedInputError):
    """An adjustment needs its reason in words; staff add it."""


class BlindCount(Struct, frozen=True):
    """What a counter saw of some goods in one spot, and what the book held there at that time."""

    count_id: uuid.UUID
    place_code: str
    spot_code: str
    goods: Goods
    counted: int
    booked: int
    counted_by: str
    at: datetime

    @property
    def difference(self) -> int:
        """Surplus (positive) or gap (negative)."""
        return self.counted - self.booked

    @property
    def reason_code(self) -> str:
        """Ledger code of a gap or a surplus."""
        return MISPLACED if self.difference < 0 else TURNED_UP


class Adjustment(Struct, frozen=True):
    """Units that a spot has more (positive) or fewer (negative) than the book, with a ledger code and a reason in words."""

    adjustment_id: uuid.UUID
    place_code: str
    spot_code: str
    goods: Goods
    difference: int
    reason_code: str
    reason: str
    adjusted_by: str
    at: datetime


class ConditionChange(Struct, frozen=True):
    """Units in a spot that are in another condition than before, such as damaged on the floor."""

    change_id: uuid.UUID
    place_code: str
    spot_code: str
    goods: Goods
    to_spot_code: str
    to_condition_code: str
    quantity: int
    reason_code: str
    reason: str
    adjusted_by: str
    at: datetime


class AdjustmentWork(Struct, frozen=True):
    """One answer per input, in order, and the stock moves for the book."""

    answers: list[Recorded]
    moves: list[StockMove]


def require_reason(signs: Mapping[str, str], reason_code: str, difference: int) -> None:
    """Refuse a reason that is not in force or does not allow the sign of the difference."""
    if reason_code not in signs:
        raise UnknownReasonError("reason_code", reason_code, "Use one of %(choices)s.", choices=sorted(signs))
    if ("+" if difference > 0 else "-") not in signs[reason_code]:
        raise ReasonSignError(
            "reason_code", reason_code, "This reason allows %(signs)s only, not %(difference)s.", signs=signs[reason_code], difference=difference
        )


def adjustment_move(place_code: str, spot_code: str, goods: Goods, difference: int, reason_code: str, cause: Cause) -> StockMove:
    """Propose to move a surplus from found into the spot, or a gap from the spot to lost (disposed units: to gone)."""
    spot = (place_code, spot_code)
    if difference > 0:
        return move_goods(goods, difference, (FOUND, OUTSIDE_SPOT), spot, cause)
    return move_goods(goods, -difference, spot, (GONE if reason_code == DISPOSED else LOST, OUTSIDE_SPOT), cause)


async def record_counts(conn: Conn, counts: Sequence[BlindCount]) -> AdjustmentWork:
    """Store blind counts and adjust the differences; a count that is known changes nothing."""
    for count in counts:
        if count.counted < 0:
            raise CountNegativeError("counted", count.counted, "Give zero or more units.")
    new_ids = await insert_counts(conn, [_count_row(count) for count in counts])
    answers: list[Recorded] = []
    moves: list[StockMove] = []
    rows: list[AdjustmentRow] = []
    for count in counts:
        answers.append(Recorded.NEW if count.count_id in new_ids else Recorded.EXISTS)
        if count.count_id in new_ids and count.difference:
            cause = Cause(CauseKind.COUNT, count.count_id, count.at, f"count {count.reason_code}")
            moves.append(adjustment_move(count.place_code, count.spot_code, count.goods, count.difference, count.reason_code, cause))
            rows.append(_adjustment_row(_as_adjustment(count), 1))
        new_ids.discard(count.count_id)
    await insert_adjustments(conn, rows)
    return AdjustmentWork(answers, moves)


async def adjust_stock(conn: Conn, adjustments: Sequence[Adjustment]) -> AdjustmentWork:
    """Store adjustments with their reasons and move their units; an adjustment that is known changes nothing."""
    if not adjustments:
        return AdjustmentWork([], [])
    signs = await read_reason_signs(conn, adjustments[0].at.date())
    for adjustment in adjustments:
        require_reason(signs, adjustment.reason_code, adjustment.difference)
        if not adjustment.reason.strip():
            raise ReasonMissingError("reason", adjustment.reason, "Say in words why the stock differs.")
    new_keys = await insert_adjustments(conn, [_adjustment_row(adjustment, 1) for adjustment in adjustments])
    answers: list[Recorded] = []
    moves: list[StockMove] = []
    for adjustment in adjustments:
        key = (adjustment.goods.merchant_id, adjustment.adjustment_id)
        answers.append(Recorded.NEW if key in new_keys else Recorded.EXISTS)
        if key in new_keys:
            cause = Cause(CauseKind.ADJUST, adjustment.adjustment_id, adjustment.at, adjustment.reason)
            place = (adjustment.place_code, adjustment.spot_code)
            moves.append(adjustment_move(*place, adjustment.goods, adjustment.difference, adjustment.reason_code, cause))
        new_keys.discard(key)
    return AdjustmentWork(answers, moves)


async def change_conditions(conn: Conn, changes: Sequence[ConditionChange]) -> AdjustmentWork:
    """Store changes of condition as pairs of rows (old out, new in) and move their units; a change that is known changes nothing."""
    if not changes:
        return AdjustmentWork([], [])
    signs = await read_reason_signs(conn, changes[0].at.date())
    for change in changes:
        require_positive(change.quantity)
        require_reason(signs, change.reason_code, -change.quantity)
    new_keys = await insert_adjustments(conn, [row for change in changes for row in _condition_rows(change)])
    answers: list[Recorded] = []
    moves: list[StockMove] = []
    for change in changes:
        key = (change.goods.merchant_id, change.change_id)
        answers.append(Recorded.NEW if key in new_keys else Recorded.EXISTS)
        if key in new_keys:
            cause = Cause(CauseKind.CONDITION, change.change_id, change.at, change.reason)
            source, target = (change.place_code, change.spot_code), (change.place_code, change.to_spot_code)
            moves.append(regrade_goods(change.goods, change.quantity, source, target, change.to_condition_code, cause))
        new_keys.discard(key)
    return AdjustmentWork(answers, moves)


def _count_row(count: BlindCount) -> CountRow:
    goods = count.goods
    return CountRow(
        count.place_code, count.count_id, count.spot_code, goods.merchant_id, goods.owner_id, goods.stock_item_id, goods.lot_code,
        goods.condition_code, goods.customs_status, count.counted, count.booked, count.reason_code, count.counted_by, count.at,
    )  # fmt: skip


def _as_adjustment(count: BlindCount) -> Adjustment:
    return Adjustment(
        count.count_id, count.place_code, count.spot_code, count.goods, count.difference, count.reason_code, "blind count", count.counted_by, count.at
    )


def _adjustment_row(adjustment: Adjustment, row_no: int) -> AdjustmentRow:
    goods = adjustment.goods
    return AdjustmentRow(
        goods.merchant_id, adjustment.adjustment_id, row_no, adjustment.place_code, adjustment.spot_code, goods.owner_id, goods.stock_item_id,
        goods.lot_code, goods.condition_code, goods.customs_status, adjustment.difference, adjustment.reason_code, adjustment.reason,
        adjustment.adjusted_by, adjustment.at,
    )  # fmt: skip


def _condition_rows(change: ConditionChange) -> list[AdjustmentRow]:
    leaving = Adjustment(
        change.change_id, change.place_code, change.spot_code, change.goods, -change.quantity, change.reason_code, change.reason,
        change.adjusted_by, change.at,
    )  # fmt: skip
    arriving = replace(
        leaving,
        spot_code=change.to_spot_code,
        goods=replace(change.goods, condition_code=change.to_condition_code),
        difference=change.quantity,
        reason_code=CONDITION_IN,
    )
    return [_adjustment_row(leaving, 1), _adjustment_row(arriving, 2)]
