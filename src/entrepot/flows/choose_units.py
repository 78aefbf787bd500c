"""Which units a cancellation takes: those that have come least far, and of a closed carton all or none."""

import uuid
from collections.abc import Mapping, Sequence
from enum import IntEnum, StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from entrepot.base.sql import Conn
from entrepot.flows.lock_holds import lock_holds
from entrepot.flows.pay_back import LineCharge, LineKey, read_charges
from entrepot.flows.reference import Reference
from entrepot.freight.model import ConsignmentState
from entrepot.freight.read import Consignment, read_consignments_of_orders
from entrepot.orders.model import Allocation, Order, OrderState
from entrepot.orders.pay import read_checkouts
from entrepot.orders.read import read_allocations, read_orders
from entrepot.warehouse.model import OrderRef, WorkState
from entrepot.warehouse.readers import read_line_records
from entrepot.warehouse.store_outbound import lock_orders

OrderKey = tuple[uuid.UUID, uuid.UUID]
PartKey = tuple[uuid.UUID, uuid.UUID, int, int]


class CancelOutcome(StrEnum):
    """What became of one wish to cancel; only `done` changed something.

    `packed`: a closed carton is not opened for a part, cancel all of it or return later. `differs`: the key was used for another ask.
    """

    DONE = "done"
    EXISTS = "exists"
    HANDED_OVER = "handed_over"
    PACKED = "packed"
    TOO_MANY = "too_many"
    DIFFERS = "differs"
    UNKNOWN = "unknown"


class CancelAsk(Struct, frozen=True):
    """Units of an order line that somebody (`buyer`, `merchant`, `platform`, `customs`) no longer wants; the same key again changes nothing.

    Without a key each ask is a new one, until nothing of the line is left to cancel. Asks for one order in one call are taken together.
    `part_no` names the part of the line that is meant; 0 means whichever has come least far.
    """

    merchant_id: uuid.UUID
    order_id: uuid.UUID
    line_no: int
    quantity: int
    by: str
    reason: str
    key: str = ""
    part_no: int = 0

    @property
    def order_key(self) -> OrderKey:
        """Merchant and order."""
        return self.merchant_id, self.order_id

    @property
    def line_key(self) -> LineKey:
        """Merchant, order and line."""
        return self.merchant_id, self.order_id, self.line_no


class Piece(Struct, frozen=True):
    """Units of one allocated part; `on_floor` of them are still meant to be sent by a floor."""

    part: Allocation
    quantity: int
    on_floor: int

    @property
    def consignment(self) -> OrderRef:
        """The consignment, which is also the floor's document."""
        return OrderRef(self.part.merchant_id, self.part.consignment_id)


class Choice(Struct, frozen=True):
    """The answer to one ask before anything is done: the units it takes, or why none."""

    ask: CancelAsk
    outcome: CancelOutcome
    pieces: tuple[Piece, ...] = ()


class Stage(IntEnum):
    """How far a consignment has come, in order."""

    WAITING = 0
    PLANNED = 1
    AT_MERCHANT = 2
    QUEUED = 3
    PICKING = 4
    PICKED = 5
    PACKED = 6
    LEFT = 7


_FLOOR_STAGES: Final = {
    WorkState.QUEUED: Stage.QUEUED,
    WorkState.PICKING: Stage.PICKING,
    WorkState.PICKED: Stage.PICKED,
    WorkState.PACKED: Stage.PACKED,
    WorkState.HANDED_OVER: Stage.LEFT,
}
"""An order that ended short or was cancelled means to send nothing: what is still open of it needs no work."""


class CancelGround(Struct, frozen=True):
    """What asks are decided on: orders, charges, open parts, how far each consignment is and what floors mean to send."""

    orders: Mapping[OrderKey, Order]
    charges: Mapping[LineKey, LineCharge]
    parts: Mapping[LineKey, Sequence[Allocation]]
    consignments: Mapping[uuid.UUID, Consignment]
    stages: Mapping[uuid.UUID, Stage]
    floor_units: Mapping[PartKey, int]

    def stage(self, part: Allocation) -> Stage:
        """Return how far a part is."""
        return self.stages.get(part.consignment_id, Stage.WAITING)

    def open_units(self, consignment_id: uuid.UUID) -> int:
        """Return the units that a consignment is to hold."""
        return sum(part.quantity for parts in self.parts.values() for part in parts if part.consignment_id == consignment_id)

    def piece(self, part: Allocation, quantity: int) -> Piece:
        """Return units of a part with what a floor still means to send of them."""
        on_floor = self.floor_units.get((part.merchant_id, part.consignment_id, part.line_no, part.part_no), 0)
        return Piece(part, quantity, min(quantity, on_floor))


async def read_cancel_ground(conn: Conn, reference: Reference, keys: Sequence[OrderKey]) -> CancelGround:
    """Read and lock what cancellations of orders are decided on; the checkouts first, so that none is paid, declined or expired meanwhile."""
    keys = sorted(set(keys))
    merchant_ids, order_ids = [key[0] for key in keys], [key[1] for key in keys]
    named = await read_orders(conn, merchant_ids, order_ids)
    checkouts = await read_checkouts(conn, [order.person_id for order in named], [order.checkout_id for order in named])
    charges = await read_charges(conn, reference, keys)
    parts: dict[LineKey, list[Allocation]] = {}
    for part in await read_allocations(conn, merchant_ids, order_ids):
        parts.setdefault((part.merchant_id, part.order_id, part.line_no), []).append(part)
    consignments = {one.consignment_id: one for one in await read_consignments_of_orders(conn, merchant_ids, order_ids)}
    refs = [OrderRef(one.merchant_id, one.consignment_id) for one in consignments.values()]
    floors = {ref.fulfilment_order_id: work.state for ref, work in (await lock_orders(conn, refs)).items()}
    await lock_holds(conn, checkouts, keys)
    records = [one for one in await read_line_records(conn, refs) if _FLOOR_STAGES.get(floors[one.order.fulfilment_order_id])]
    return CancelGround(
        {key[:2]: charge.order for key, charge in charges.items()},
        charges,
        parts,
        consignments,
        {key: _stage_of(one, floors.get(key)) for key, one in consignments.items()},
        {
            (one.order.merchant_id, one.order.fulfilment_order_id, one.line_no, one.part_no): one.quantity - one.short - one.cancelled
            for one in records
        },
    )


def _stage_of(consignment: Consignment, floor: WorkState | None) -> Stage:
    """Return how far a consignment is, as its own state and the floor's say."""
    if consignment.state is ConsignmentState.PLANNED:
        return Stage.PLANNED
    if consignment.state is not ConsignmentState.RELEASED:
        return Stage.LEFT
    return Stage.AT_MERCHANT if floor is None else _FLOOR_STAGES.get(floor, Stage.AT_MERCHANT)


def choose_units(ground: CancelGround, asks: Sequence[CancelAsk]) -> list[Choice]:
    """Decide asks in the order given; an ask that would open a closed carton for a part is refused, and so is each that counted on it."""
    taken: dict[PartKey, int] = {}
    choices = [_choose(ground, ask, taken) for ask in asks]
    while opened := _opened_cartons(ground, choices):
        choices = [_refuse(choice) if opened & {piece.part.consignment_id for piece in choice.pieces} else choice for choice in choices]
    return choices


def _choose(ground: CancelGround, ask: CancelAsk, taken: dict[PartKey, int]) -> Choice:
    """Take an ask's units from the parts that have come least far."""
    charge = ground.charges.get(ask.line_key)
    if charge is None:
        return Choice(ask, CancelOutcome.UNKNOWN)
    if charge.order.state == OrderState.CANCELLED:
        return Choice(ask, CancelOutcome.EXISTS)
    parts = [part for part in ground.parts.get(ask.line_key, ()) if ground.stage(part) < Stage.LEFT and ask.part_no in {0, part.part_no}]
    left = {part.part_no: part.quantity - taken.get(_key(part), 0) for part in parts}
    if sum(left.values()) < ask.quantity:
        return Choice(ask, _too_many(charge, sum(left.values())))
    pieces: list[Piece] = []
    wanted = ask.quantity
    for part in sorted(parts, key=lambda part: (ground.stage(part), part.part_no)):
        quantity = min(wanted, left[part.part_no])
        if quantity:
            pieces.append(ground.piece(part, quantity))
            taken[_key(part)] = taken.get(_key(part), 0) + quantity
            wanted -= quantity
    return Choice(ask, CancelOutcome.DONE, tuple(pieces))


def _key(part: Allocation) -> PartKey:
    """Return the key of a part."""
    return part.merchant_id, part.order_id, part.line_no, part.part_no


def _too_many(charge: LineCharge, left: int) -> CancelOutcome:
    """Say why a line has fewer units to cancel than asked."""
    if left:
        return CancelOutcome.TOO_MANY
    return CancelOutcome.HANDED_OVER if charge.standing.shipped else CancelOutcome.EXISTS


def _opened_cartons(ground: CancelGround, choices: Sequence[Choice]) -> set[uuid.UUID]:
    """Return the packed consignments of which some units are taken, but not all."""
    taken: dict[uuid.UUID, int] = {}
    for choice in choices:
        for piece in choice.pieces:
            taken[piece.part.consignment_id] = taken.get(piece.part.consignment_id, 0) + piece.quantity
    return {key for key, units in taken.items() if ground.stages.get(key) is Stage.PACKED and units < ground.open_units(key)}


def _refuse(choice: Choice) -> Choice:
    """Return a choice that takes nothing because the carton is closed."""
    return replace(choice, outcome=CancelOutcome.PACKED, pieces=())
