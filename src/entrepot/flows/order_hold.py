"""An order is stopped and goes on again: while it is held nobody picks, packs or hands over its units, and no time runs against who packs them.

Payment and customs decide meanwhile as they would; what they release waits. A cancellation still ends a held order.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from entrepot.base.actor import Actor
from entrepot.base.audit import Act, Fact, write_acts, write_facts
from entrepot.base.ids import derived_id_at
from entrepot.base.sql import Conn
from entrepot.base.time import at_ms
from entrepot.freight.hold import free_consignments, hold_consignments
from entrepot.orders.hold import (
    HoldNoteMissingError,
    HoldReason,
    NewHold,
    NothingToHoldError,
    count_holds,
    end_holds,
    place_holds,
    read_open_holds,
    require_length,
    require_note,
)
from entrepot.orders.model import Order, OrderState, UnknownOrderError
from entrepot.orders.read import read_orders
from entrepot.warehouse.hold import free_work, hold_work


class HoldOutcome(StrEnum):
    """What became of the wish to hold or release an order: done now, or so already."""

    DONE = "done"
    EXISTS = "exists"


class HoldOrder(Struct, frozen=True):
    """An order to hold, and why."""

    merchant_id: uuid.UUID
    order_id: uuid.UUID
    reason_code: HoldReason
    note: str = ""


async def hold_order(conn: Conn, ask: HoldOrder, actor: Actor, now: datetime) -> HoldOutcome:
    """Hold an order that has not left; one that is held already stays held for the first reason, one that left or ended is refused."""
    require_note(ask.reason_code, ask.note)
    order = await _require_order(conn, ask.merchant_id, ask.order_id)
    hold_id = derived_id_at(at_ms(now), "order hold", ask.order_id, await count_holds(conn, ask.merchant_id, ask.order_id))
    placed = await place_holds(conn, [NewHold(ask.merchant_id, hold_id, ask.order_id, ask.reason_code, ask.note.strip(), actor.code, now)])
    key = ([ask.merchant_id], [ask.order_id])
    if not placed:
        if await read_open_holds(conn, *key):
            return HoldOutcome.EXISTS
        raise NothingToHoldError("order", order.number, "It is %(state)s.", state=order.state)
    kept = await hold_consignments(conn, *key)
    kept += await hold_work(conn, *key)
    if order.state == OrderState.IN_WORK and not kept:
        raise NothingToHoldError("order", order.number, "Every parcel of it has left.")
    await _tell(conn, order, "hold_order", "order_held", actor, f"{ask.reason_code}: {ask.note.strip()}".rstrip(": "), now)
    return HoldOutcome.DONE


async def release_order(conn: Conn, merchant_id: uuid.UUID, order_id: uuid.UUID, note: str, actor: Actor, now: datetime) -> HoldOutcome:
    """Let a held order go on; whoever packs it gets the time back that it was held."""
    if not note.strip():
        raise HoldNoteMissingError("note", note, "Write why the order goes on.")
    require_length(note)
    order = await _require_order(conn, merchant_id, order_id)
    ended = await end_holds(conn, [merchant_id], [order_id], actor.code, note.strip(), now)
    if not ended:
        return HoldOutcome.EXISTS
    held_s = [max(0, int((now - one.held_at).total_seconds())) for one in ended]
    await free_consignments(conn, [merchant_id], [order_id], held_s)
    await free_work(conn, [merchant_id], [order_id], held_s)
    await _tell(conn, order, "release_order", "order_hold_released", actor, note.strip(), now)
    return HoldOutcome.DONE


async def keep_held(conn: Conn, keys: Sequence[tuple[uuid.UUID, uuid.UUID]]) -> None:
    """Keep what was planned just now for orders that are held: their payment arrived or customs released them meanwhile."""
    held = sorted(await read_open_holds(conn, [key[0] for key in keys], [key[1] for key in keys])) if keys else []
    if held:
        columns = [key[0] for key in held], [key[1] for key in held]
        await hold_consignments(conn, *columns)
        await hold_work(conn, *columns)


async def _require_order(conn: Conn, merchant_id: uuid.UUID, order_id: uuid.UUID) -> Order:
    """Return the order, or refuse an id that names none."""
    found = await read_orders(conn, [merchant_id], [order_id])
    if not found:
        raise UnknownOrderError("order_id", str(order_id), "Open it from the list of orders.")
    return found[0]


async def _tell(conn: Conn, order: Order, command: str, fact: str, actor: Actor, note: str, now: datetime) -> None:
    """Write who did it and why, and the fact for the feeds, which never tells the reason."""
    await write_acts(conn, [Act(order.merchant_id, order.order_id, command, now, actor, note)])
    await write_facts(conn, [Fact(order.merchant_id, order.order_id, fact, now, {"number": order.number})])
