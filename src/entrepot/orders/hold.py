"""Holds: an order that somebody stopped waits, whatever else happens to it, until somebody lets it go on."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final

from msgspec import Struct

from entrepot.base.batching import batch
from entrepot.base.errors import ConflictError, RefusedInputError
from entrepot.base.sql import Conn, columns, fetch

LONGEST_NOTE: Final = 500


class NothingToHoldError(ConflictError):
    """The order has left or ended, so there is nothing to hold; stop its parcels with the carrier or ask for a return."""


class HoldNoteMissingError(RefusedInputError):
    """A hold for another reason, and every release, says in a note why; write one."""


class HoldReason(StrEnum):
    """Why an order is stopped."""

    PAYMENT_REVIEW = "payment_review"
    ADDRESS_CHECK = "address_check"
    BUYER_ASKED = "buyer_asked"
    STOCK_CHECK = "stock_check"
    COMPLIANCE_CHECK = "compliance_check"
    OTHER_REASON = "other_reason"


class NewHold(Struct, frozen=True):
    """An order to stop, with the reason and who stops it."""

    merchant_id: uuid.UUID
    hold_id: uuid.UUID
    order_id: uuid.UUID
    reason_code: HoldReason
    note: str
    held_by: str
    held_at: datetime


class Hold(Struct, frozen=True):
    """A hold as it stands; without `released_at` it keeps the order."""

    merchant_id: uuid.UUID
    hold_id: uuid.UUID
    order_id: uuid.UUID
    reason_code: str
    note: str
    held_by: str
    held_at: datetime
    released_by: str | None
    released_at: datetime | None
    release_note: str


_HOLD: Final = "h.merchant_id, h.hold_id, h.order_id, h.reason_code, h.note, h.held_by, h.held_at, h.released_by, h.released_at, h.release_note"


def require_note(reason_code: HoldReason, note: str) -> None:
    """Refuse a hold for another reason that does not say which, and a note that is too long."""
    if reason_code is HoldReason.OTHER_REASON and not note.strip():
        raise HoldNoteMissingError("note", note, "Write why the order is held.")
    require_length(note)


def require_length(note: str) -> None:
    """Refuse a note that nobody would read."""
    if len(note) > LONGEST_NOTE:
        raise HoldNoteMissingError("note", f"{len(note)} characters", "Write at most %(most)s characters.", most=LONGEST_NOTE)


@batch
async def place_holds(conn: Conn, holds: Sequence[NewHold]) -> list[tuple[uuid.UUID, uuid.UUID]]:
    """Stop orders that have neither left nor ended and are not stopped already; return (merchant, order) of those stopped now."""
    rows = await fetch(
        conn,
        """
        insert into order_hold (merchant_id, hold_id, order_id, reason_code, note, held_by, held_at)
        select t.* from unnest(%(merchant_id)s::uuid[], %(hold_id)s::uuid[], %(order_id)s::uuid[], %(reason_code)s::text[], %(note)s::text[],
                               %(held_by)s::text[], %(held_at)s::timestamptz[])
                       as t(merchant_id, hold_id, order_id, reason_code, note, held_by, held_at)
        join customer_order o on o.merchant_id = t.merchant_id and o.order_id = t.order_id and o.state in ('awaiting_payment', 'paid', 'in_work')
        on conflict do nothing returning merchant_id, order_id
        """,
        columns(holds, "merchant_id", "hold_id", "order_id", "reason_code", "note", "held_by", "held_at"),
    )
    return sorted((row[0], row[1]) for row in rows)


@batch
async def end_holds(conn: Conn, merchant_ids: Sequence[uuid.UUID], order_ids: Sequence[uuid.UUID], by: str, note: str, at: datetime) -> list[Hold]:
    """End the open holds of orders and return them as they ended, in key order."""
    rows = await fetch(
        conn,
        f"""
        update order_hold h set released_by = %(by)s, released_at = %(at)s, release_note = %(note)s
        from unnest(%(merchants)s::uuid[], %(orders)s::uuid[]) as t(merchant_id, order_id)
        where h.merchant_id = t.merchant_id and h.order_id = t.order_id and h.released_at is null
        returning {_HOLD}
        """,
        {"merchants": list(merchant_ids), "orders": list(order_ids), "by": by, "note": note, "at": at},
    )
    return sorted((Hold(*row) for row in rows), key=lambda one: (one.merchant_id, one.order_id))


@batch
async def read_open_holds(conn: Conn, merchant_ids: Sequence[uuid.UUID], order_ids: Sequence[uuid.UUID]) -> dict[tuple[uuid.UUID, uuid.UUID], Hold]:
    """Return the holds that keep these orders now, by (merchant, order)."""
    rows = await fetch(
        conn,
        f"""
        select {_HOLD} from (select distinct * from unnest(%(merchants)s::uuid[], %(orders)s::uuid[])) as t(merchant_id, order_id)
        join order_hold h on h.merchant_id = t.merchant_id and h.order_id = t.order_id and h.released_at is null
        """,
        {"merchants": list(merchant_ids), "orders": list(order_ids)},
    )
    return {(row[0], row[2]): Hold(*row) for row in rows}


async def count_holds(conn: Conn, merchant_id: uuid.UUID, order_id: uuid.UUID) -> int:
    """Return how often an order was held so far."""
    rows = await fetch(
        conn,
        "select count(*) from order_hold where merchant_id = %(merchant)s and order_id = %(order)s",
        {"merchant": merchant_id, "order": order_id},
    )
    return int(rows[0][0])


async def list_open_holds(conn: Conn, limit: int) -> list[tuple[Hold, str, str]]:
    """Return the holds of the whole house that still keep an order, the oldest first, with the number and state of the order."""
    rows = await fetch(
        conn,
        f"""
        select {_HOLD}, o.number, o.state from order_hold h join customer_order o on o.merchant_id = h.merchant_id and o.order_id = h.order_id
        where h.released_at is null and o.state in ('awaiting_payment', 'paid', 'in_work') order by h.held_at, h.hold_id limit %(limit)s
        """,
        {"limit": limit},
    )
    return [(Hold(*row[:10]), str(row[10]), str(row[11])) for row in rows]
