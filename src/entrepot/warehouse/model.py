"""The words of the floor: stock moves it proposes, spots, states, steps and their results."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final

from msgspec import Struct

from entrepot.base.errors import RefusedInputError, UnknownReferenceError
from entrepot.base.states import declare_states

NO_LOT: Final = "-"
"""The lot of units whose lots are not kept apart."""
OUTSIDE_SPOT: Final = "-"
"""The spot of every place that is no building."""

RECEIVE_SPOT: Final = "receive"
PACK_SPOT: Final = "pack"
STAGE_SPOT: Final = "stage"
BENCH_SPOT: Final = "bench"
_BIN_PREFIX: Final = "bin:"

SUPPLIER: Final = "@supplier"
OVER_RECEIPT: Final = "@over_receipt"
TRANSIT: Final = "@transit"
CARRIER: Final = "@carrier"
RETURN: Final = "@return"
FOUND: Final = "@found"
LOST: Final = "@lost"
GONE: Final = "@gone"

SELLABLE: Final = "sellable"
DAMAGED: Final = "damaged"
DEFECTIVE: Final = "defective"
EXPIRED: Final = "expired"
QUARANTINE: Final = "quarantine"
FREE: Final = "free"


class TaxNumberMissingError(RefusedInputError):
    """The merchant has no tax number in the country where the stock would be placed; the merchant registers first."""


class ImporterMissingError(RefusedInputError):
    """Stock that crosses a customs border needs a named importer of record; the merchant names one."""


class EmptyDocumentError(RefusedInputError):
    """The document lists no line; the caller gives at least one."""


class DuplicateLineError(RefusedInputError):
    """The document names the same line twice; the caller numbers the lines apart."""


class UnknownItemMeasureError(UnknownReferenceError):
    """The weight and size of the stock item were not given; the merchant completes the product."""


class EvidenceMissingError(RefusedInputError):
    """Disposing of units needs evidence in words or a picture's reference; the grader adds it."""


class NotRestockableError(RefusedInputError):
    """Only a sellable unit goes back among the sellable ones; the grader keeps or disposes of it."""


class BinMissingError(RefusedInputError):
    """Units that stay in the building need a bin; the grader scans one."""


class UnknownReasonError(UnknownReferenceError):
    """The adjustment reason is not in force; staff choose one from the list."""


class ReasonSignError(RefusedInputError):
    """The adjustment reason does not allow a quantity of this sign; staff choose another one."""


class CauseKind(StrEnum):
    """Which verb of the floor moved the units."""

    DEPART = "depart"
    RECEIVE = "receive"
    STOW = "stow"
    CLOSE = "close_plan"
    PICK = "pick"
    PACK = "pack"
    SHIP = "ship"
    CANCEL = "cancel_work"
    PUT_BACK = "put_back"
    RETURN = "receive_return"
    GRADE = "grade_return"
    COUNT = "count"
    ADJUST = "adjust_stock"
    CONDITION = "change_condition"
    UNDO = "undo_scan"


class StockMove(Struct, frozen=True):
    """Units that the floor moved; moves with one (merchant, cause_kind, cause_id) belong to one posting and are proposed once."""

    merchant_id: uuid.UUID
    owner_id: uuid.UUID
    stock_item_id: uuid.UUID
    quantity: int
    from_place_code: str
    from_spot_code: str
    from_lot_code: str
    from_condition_code: str
    from_customs_status: str
    to_place_code: str
    to_spot_code: str
    to_lot_code: str
    to_condition_code: str
    to_customs_status: str
    cause_kind: str
    cause_id: uuid.UUID
    at: datetime
    reason: str | None = None


class Goods(Struct, frozen=True):
    """Which units are meant: owner, stock item, lot, condition and customs status, without where they are."""

    merchant_id: uuid.UUID
    owner_id: uuid.UUID
    stock_item_id: uuid.UUID
    lot_code: str = NO_LOT
    condition_code: str = SELLABLE
    customs_status: str = FREE


class Cause(Struct, frozen=True):
    """Why units move: the verb, its subject, the time and a reason in words."""

    kind: CauseKind
    cause_id: uuid.UUID
    at: datetime
    reason: str | None = None


def move_goods(goods: Goods, quantity: int, source: tuple[str, str], target: tuple[str, str], cause: Cause) -> StockMove:
    """Propose to move units between two (place, spot) without changing what they are."""
    return StockMove(
        goods.merchant_id, goods.owner_id, goods.stock_item_id, quantity,
        source[0], source[1], goods.lot_code, goods.condition_code, goods.customs_status,
        target[0], target[1], goods.lot_code, goods.condition_code, goods.customs_status,
        str(cause.kind), cause.cause_id, cause.at, cause.reason,
    )  # fmt: skip


def regrade_goods(goods: Goods, quantity: int, source: tuple[str, str], target: tuple[str, str], condition_code: str, cause: Cause) -> StockMove:
    """Propose to move units between two (place, spot) and give them another condition on the way."""
    return StockMove(
        goods.merchant_id, goods.owner_id, goods.stock_item_id, quantity,
        source[0], source[1], goods.lot_code, goods.condition_code, goods.customs_status,
        target[0], target[1], goods.lot_code, condition_code, goods.customs_status,
        str(cause.kind), cause.cause_id, cause.at, cause.reason,
    )  # fmt: skip


def bin_spot(bin_code: str) -> str:
    """Return the spot code of a bin."""
    return _BIN_PREFIX + bin_code


def bin_of(spot_code: str) -> str | None:
    """Return the bin of a spot, or None where the spot is no bin."""
    return spot_code.removeprefix(_BIN_PREFIX) if spot_code.startswith(_BIN_PREFIX) else None


class BinZone(StrEnum):
    """What a bin is for."""

    FORWARD = "forward"
    RESERVE = "reserve"
    UNSELLABLE = "unsellable"


class InboundKind(StrEnum):
    """Who carries stock to the place: the merchant's carrier, a carrier the platform partners with, or the platform door to door."""

    OWN_CARRIER = "own_carrier"
    PARTNERED = "partnered"
    UNIFIED = "unified"


class PlanState(StrEnum):
    """The life of an inbound plan."""

    ANNOUNCED = "announced"
    IN_TRANSIT = "in_transit"
    RECEIVING = "receiving"
    CLOSED = "closed"
    CANCELLED = "cancelled"


PLAN_STATES: Final = declare_states(
    "inbound_plan",
    PlanState.ANNOUNCED,
    {
        PlanState.ANNOUNCED: {PlanState.IN_TRANSIT, PlanState.RECEIVING, PlanState.CANCELLED},
        PlanState.IN_TRANSIT: {PlanState.RECEIVING, PlanState.CLOSED},
        PlanState.RECEIVING: {PlanState.CLOSED},
        PlanState.CLOSED: set(),
        PlanState.CANCELLED: set(),
    },
)


class WorkCause(StrEnum):
    """Why units leave the place: every shipped unit has one of these causes."""

    SALE = "sale"
    OUTBOUND_ORDER = "outbound_order"
    REMOVAL = "removal"
    REPLACEMENT = "replacement"
    TRANSFER = "transfer"


class WorkState(StrEnum):
    """The life of a fulfilment order on the floor."""

    QUEUED = "queued"
    PICKING = "picking"
    PICKED = "picked"
    PACKED = "packed"
    HANDED_OVER = "handed_over"
    CANCELLED = "cancelled"
    SHORT = "short"


WORK_STATES: Final = declare_states(
    "fulfilment_order",
    WorkState.QUEUED,
    {
        WorkState.QUEUED: {WorkState.PICKING, WorkState.CANCELLED, WorkState.SHORT},
        WorkState.PICKING: {WorkState.PICKED, WorkState.CANCELLED, WorkState.SHORT},
        WorkState.PICKED: {WorkState.PACKED, WorkState.CANCELLED},
        WorkState.PACKED: {WorkState.HANDED_OVER, WorkState.CANCELLED},
        WorkState.HANDED_OVER: set(),
        WorkState.CANCELLED: set(),
        WorkState.SHORT: set(),
    },
)


class Recorded(StrEnum):
    """What became of a document that was sent in."""

    NEW = "new"
    EXISTS = "exists"
    EXISTS_WITH_DIFFERENT_VALUES = "exists_with_different_values"


class StepOutcome(StrEnum):
    """What became of one step of work: done now, done before, not possible in this state, kept back by a hold, or of an order nobody knows."""

    DONE = "done"
    EXISTS = "exists"
    NOT_ALLOWED = "not_allowed"
    DIFFERS = "differs"
    UNKNOWN = "unknown"
    ON_HOLD = "on_hold"


class OrderRef(Struct, frozen=True):
    """Names a fulfilment order."""

    merchant_id: uuid.UUID
    fulfilment_order_id: uuid.UUID


class LineCount(Struct, frozen=True):
    """Units of one part of an order line."""

    line_no: int
    part_no: int
    stock_item_id: uuid.UUID
    quantity: int


class OrderStep(Struct, frozen=True):
    """The result of one step for one fulfilment order: units done per line, units missing per line, and the state afterwards."""

    order: OrderRef
    outcome: StepOutcome
    state: str = ""
    order_id: uuid.UUID | None = None
    place_code: str = ""
    lines: tuple[LineCount, ...] = ()
    shorts: tuple[LineCount, ...] = ()


class FloorWork(Struct, frozen=True):
    """What a verb did: one step per order asked, in the order asked, and the stock moves for the book."""

    steps: list[OrderStep]
    moves: list[StockMove]


class NewFulfilmentLine(Struct, frozen=True):
    """Units of one part of an order line to be fulfilled from this place."""

    line_no: int
    part_no: int
    stock_item_id: uuid.UUID
    quantity: int
    owner_id: uuid.UUID
    condition_code: str = SELLABLE
    customs_status: str = FREE


class NewFulfilmentOrder(Struct, frozen=True):
    """Work for a place: everything of one consignment, or of one removal or transfer."""

    merchant_id: uuid.UUID
    fulfilment_order_id: uuid.UUID
    order_id: uuid.UUID
    consignment_id: uuid.UUID | None
    place_code: str
    cause_kind: WorkCause
    ship_by_at: datetime
    queued_at: datetime
    lines: tuple[NewFulfilmentLine, ...]


class WorkLine(Struct, frozen=True):
    """One line of a fulfilment order as the floor sees it; `to_pick` is what is neither picked, short nor cancelled."""

    order: OrderRef
    place_code: str
    line_no: int
    part_no: int
    owner_id: uuid.UUID
    stock_item_id: uuid.UUID
    condition_code: str
    customs_status: str
    to_pick: int


class PickTask(Struct, frozen=True):
    """Units of one line to be taken from one spot and lot; what was picked and not put back is held for the order."""

    order: OrderRef
    place_code: str
    line_no: int
    part_no: int
    task_no: int
    owner_id: uuid.UUID
    stock_item_id: uuid.UUID
    spot_code: str
    lot_code: str
    condition_code: str
    customs_status: str
    quantity: int
    picked: int = 0
    put_back: int = 0

    @property
    def held(self) -> int:
        """Units that were picked and are still with the order."""
        return self.picked - self.put_back


def require_lines(line_numbers: Sequence[object], field: str) -> None:
    """Refuse a document without lines or with the same line twice."""
    if not line_numbers:
        raise EmptyDocumentError(field, 0, "Give at least one line.")
    if len(set(line_numbers)) != len(line_numbers):
        raise DuplicateLineError(field, list(line_numbers), "Number every line once.")


def move_task(task: PickTask, quantity: int, source_spot: str, target: tuple[str, str], cause: Cause) -> StockMove:
    """Propose to move units of a pick task from a spot of its place to a (place, spot)."""
    return StockMove(
        task.order.merchant_id, task.owner_id, task.stock_item_id, quantity,
        task.place_code, source_spot, task.lot_code, task.condition_code, task.customs_status,
        target[0], target[1], task.lot_code, task.condition_code, task.customs_status,
        str(cause.kind), cause.cause_id, cause.at, cause.reason,
    )  # fmt: skip
