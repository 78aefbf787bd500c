"""What goes back: units that are cancelled before they leave, and units that arrived and are returned, graded and paid back."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from entrepot.base.actor import Actor, ActorKind
from entrepot.base.sql import Conn
from entrepot.flows.cancel import CancelAsk, cancel_units
from entrepot.flows.outside import Outside
from entrepot.world.order_lines import FileLine

BUYER = Actor(ActorKind.BUYER, "order-file", "buyer")
CHANGED_MIND = "changed_mind"


@dataclass(frozen=True, slots=True)
class LineRef:
    """An order line in the books, and its buyer."""

    merchant_id: uuid.UUID
    order_id: uuid.UUID
    line_no: int
    person_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class TakenBack:
    """Units of an order line that go back, by which return and line of the file, and when they were sold."""

    ref: LineRef
    quantity: int
    sold_on: date
    return_number: str
    line: FileLine


async def cancel_sales(conn: Conn, outside: Outside, parts: Sequence[TakenBack], now: datetime) -> None:
    """Cancel units of today's sales, which have not left yet."""
    asks = [
        CancelAsk(one.ref.merchant_id, one.ref.order_id, one.ref.line_no, one.quantity, "buyer", CHANGED_MIND, f"{one.return_number} {one.line.line_no}")
        for one in parts
    ]
    if asks:
        await cancel_units(conn, outside, asks, BUYER, now)


async def return_sales(conn: Conn, outside: Outside, parts: Sequence[TakenBack], now: datetime) -> None:
    """Take back units that arrived."""
    _ = conn, outside, parts, now
