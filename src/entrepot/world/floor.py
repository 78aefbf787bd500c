"""Warehouse staff: they pick and pack what waits, and hand parcels over when the carriers' drivers come."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from entrepot.base.actor import Actor, ActorKind
from entrepot.base.batching import chunks
from entrepot.base.sql import Conn
from entrepot.flows.cancel import close_shorts
from entrepot.flows.fulfil import hand_over, pick_and_pack
from entrepot.flows.outside import Outside
from entrepot.freight.model import ParcelKey
from entrepot.warehouse.model import WorkState
from entrepot.warehouse.readers import QueueEntry, read_queue

STAFF: Final = Actor(ActorKind.STAFF, "demo-floor", "warehouse")
PICK_HOURS: Final = frozenset({8, 16})
DRIVER_HOURS: Final = frozenset({12, 20})
_SHIFT = 10_000


async def work_floors(conn: Conn, outside: Outside, place_codes: Sequence[str], size: int, now: datetime) -> list[ParcelKey]:
    """Let every floor do what the hour asks; return the parcels that left."""
    if now.hour in PICK_HOURS:
        for queue in await _queues(conn, place_codes, WorkState.QUEUED, size):
            async with conn.transaction():
                steps = await pick_and_pack(conn, outside, queue, now)
                await close_shorts(conn, outside, steps, STAFF, now)
    left: list[ParcelKey] = []
    if now.hour in DRIVER_HOURS:
        for queue in await _queues(conn, place_codes, WorkState.PACKED, size):
            async with conn.transaction():
                parcels = await hand_over(conn, outside, [entry.order for entry in queue], STAFF, now)
            left += [ParcelKey(one.merchant_id, one.parcel_id) for one in parcels]
    return left


async def _queues(conn: Conn, place_codes: Sequence[str], state: WorkState, size: int) -> list[Sequence[QueueEntry]]:
    """Return the work of all places in a state, place by place, cut into batches."""
    return [queue for place_code in place_codes for queue in chunks(await read_queue(conn, place_code, state, _SHIFT), size)]
