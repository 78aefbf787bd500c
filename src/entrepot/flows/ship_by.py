"""What a merchant that packs itself has to send and until when: the queue, declining, and what happens when the time has passed.

Confirming stands in `fulfil.py`. Every consignment that became due, in time or not, counts once in the merchant's figures.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from entrepot.aftersales.record_performance import record_performance
from entrepot.base.actor import RUNNER, Actor
from entrepot.base.audit import Act, write_acts
from entrepot.base.due import Due, finish_due
from entrepot.base.due_rows import move_due
from entrepot.base.sql import Conn
from entrepot.flows.cancel import CancelAnswer, cancel_units
from entrepot.flows.choose_units import CancelAsk, CancelOutcome
from entrepot.flows.outside import Outside
from entrepot.flows.ship_figures import WAITING, record_ship_due, taken_events
from entrepot.freight.model import ConsignmentKey, ConsignmentState
from entrepot.freight.read import Consignment, read_consignments, read_ship_by_queue
from entrepot.operations.model import Role
from entrepot.orders.read import read_allocations

HELD_AGAIN: Final = timedelta(hours=1)
"""How long after finding a consignment on hold one looks at it again."""


async def read_to_ship(conn: Conn, merchant_id: uuid.UUID, until: datetime, limit: int = 100) -> list[Consignment]:
    """Return what a merchant itself must send before `until`, the most urgent first; at most `limit` of its consignments are looked at."""
    queue = await read_ship_by_queue(conn, merchant_id, until, limit)
    return [one for one in queue if one.doer == Role.MERCHANT and one.state in WAITING]


# -- declined --------------------------------------------------------------------------------------------------------


class Decline(Struct, frozen=True):
    """A merchant will not send a consignment, for a reason such as `out_of_stock` or `undeliverable_address`."""

    merchant_id: uuid.UUID
    consignment_id: uuid.UUID
    reason: str

    @property
    def key(self) -> ConsignmentKey:
        """Name the consignment."""
        return ConsignmentKey(self.merchant_id, self.consignment_id)


class DeclineAnswer(Struct, frozen=True):
    """What became of a decline: the units cancelled and, line by line, what went back to the buyer; nothing where it had left or was not there."""

    decline: Decline
    outcome: CancelOutcome
    cancelled: int
    lines: tuple[CancelAnswer, ...]


async def decline_consignments(conn: Conn, outside: Outside, declines: Sequence[Decline], actor: Actor, now: datetime) -> list[DeclineAnswer]:
    """Cancel on the merchants' account what they decline to send; what has left stays as it is."""
    consignments = {
        ConsignmentKey(one.merchant_id, one.consignment_id): one for one in await read_consignments(conn, list({one.key: one for one in declines}))
    }
    standing = {one.key: one for one in declines if _may_decline(consignments.get(one.key))}
    orders = [(key.merchant_id, consignments[key].order_id) for key in standing]
    parts = [
        part
        for part in await read_allocations(conn, [order[0] for order in orders], [order[1] for order in orders])
        if ConsignmentKey(part.merchant_id, part.consignment_id) in standing
    ]
    asks = [
        CancelAsk(
            part.merchant_id,
            part.order_id,
            part.line_no,
            part.quantity,
            "merchant",
            standing[ConsignmentKey(part.merchant_id, part.consignment_id)].reason,
            f"decline-{part.consignment_id}-{part.part_no}",
            part.part_no,
        )
        for part in parts
    ]
    answers = await cancel_units(conn, outside, asks, actor, now) if asks else []
    told: dict[ConsignmentKey, list[CancelAnswer]] = {}
    for part, answer in zip(parts, answers, strict=True):
        told.setdefault(ConsignmentKey(part.merchant_id, part.consignment_id), []).append(answer)
    gone = [key for key in standing if sum(line.cancelled for line in told.get(key, ()))]
    await record_performance(conn, await taken_events(conn, [consignments[key] for key in gone]))
    await write_acts(conn, [Act(key.merchant_id, key.consignment_id, "decline_consignment", now, actor, standing[key].reason) for key in gone])
    return [_decline_answer(one, consignments.get(one.key), tuple(told.pop(one.key, ()))) for one in declines]


def _may_decline(consignment: Consignment | None) -> bool:
    """Tell whether a merchant may still refuse to send a consignment."""
    return consignment is not None and consignment.doer == Role.MERCHANT and consignment.state in {*WAITING, ConsignmentState.PLANNED}


def _decline_answer(decline: Decline, consignment: Consignment | None, lines: tuple[CancelAnswer, ...]) -> DeclineAnswer:
    """Return what became of one decline."""
    cancelled = sum(line.cancelled for line in lines)
    if consignment is None or consignment.doer != Role.MERCHANT:
        return DeclineAnswer(decline, CancelOutcome.UNKNOWN, 0, lines)
    if cancelled:
        return DeclineAnswer(decline, CancelOutcome.DONE, cancelled, lines)
    has_left = consignment.state not in {*WAITING, ConsignmentState.PLANNED, ConsignmentState.CANCELLED}
    return DeclineAnswer(decline, CancelOutcome.HANDED_OVER if has_left else CancelOutcome.EXISTS, 0, lines)


# -- due and missed --------------------------------------------------------------------------------------------------


async def warn_ship_by(conn: Conn, outside: Outside, work: Sequence[Due], now: datetime) -> None:
    """Tell of consignments that should have left by now and count them as late; those that left or were cancelled meanwhile are passed over."""
    _ = outside
    consignments = await read_consignments(conn, [ConsignmentKey(one.merchant_id, one.subject_id) for one in work])
    standing = {(one.merchant_id, one.consignment_id): one for one in consignments if one.state in WAITING}
    later = [replace(one, due_at=until) for one in work if (until := _due_again_at(standing.get((one.merchant_id, one.subject_id)), now)) is not None]
    missed = [one for one in standing.values() if not one.is_held and one.ship_by_at <= now]
    await record_ship_due(conn, missed, now)
    moved = {(one.merchant_id, one.subject_id) for one in later}
    await finish_due(conn, [one for one in work if (one.merchant_id, one.subject_id) not in moved])
    await move_due(conn, later)
    await write_acts(conn, [Act(one.merchant_id, one.consignment_id, "warn_ship_by", now, RUNNER) for one in missed])


def _due_again_at(consignment: Consignment | None, now: datetime) -> datetime | None:
    """Return when to look again at a consignment that is held, or that got more time while it was; None if now is the time or nothing waits."""
    if consignment is None or (not consignment.is_held and consignment.ship_by_at <= now):
        return None
    return max(consignment.ship_by_at, now + HELD_AGAIN) if consignment.is_held else consignment.ship_by_at
