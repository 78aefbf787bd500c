"""The statement of a stock item's units: what was there, what came, what went and why, what is there; like a bank's."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from entrepot.base.sql import Conn, fetch, fetch_one


class UnitLine(Struct, frozen=True):
    """Units that came from outside (positive) or went there (negative) for one kind of cause; moves between buildings are none of it."""

    outside_place: str
    cause_kind: str
    quantity: int
    move_count: int


class UnitStatement(Struct, frozen=True):
    """A stock item's units in buildings over a span; `held` is what the book's balances say now, for a span that ends now."""

    opening: int
    lines: Sequence[UnitLine]
    held: int

    @property
    def closing(self) -> int:
        """What is there at the end."""
        return self.opening + sum(line.quantity for line in self.lines)

    @property
    def unexplained(self) -> int:
        """What the balances hold beyond the moves; always nothing."""
        return self.held - self.closing


async def read_unit_statement(conn: Conn, merchant_id: uuid.UUID, stock_item_id: uuid.UUID, since: datetime) -> UnitStatement:
    """Return the statement of a stock item from an instant until now."""
    rows = await fetch(
        conn,
        """
        select case when f.place_code like '@%%' then f.place_code else t.place_code end, m.cause_kind, m.at < %(since)s,
               sum(case when f.place_code like '@%%' then m.quantity else -m.quantity end)::bigint, count(*)
        from stock_move m
        join stock_location f on f.merchant_id = m.merchant_id and f.location_id = m.from_location_id
        join stock_location t on t.merchant_id = m.merchant_id and t.location_id = m.to_location_id
        where m.merchant_id = %(merchant)s and t.stock_item_id = %(item)s and (f.place_code like '@%%') <> (t.place_code like '@%%')
        group by 1, 2, 3 order by 1, 2
        """,
        {"merchant": merchant_id, "item": stock_item_id, "since": since},
    )
    held = await fetch_one(
        conn,
        """
        select coalesce(sum(balance), 0)::bigint from stock_location
        where merchant_id = %(merchant)s and stock_item_id = %(item)s and place_code not like '@%%'
        """,
        {"merchant": merchant_id, "item": stock_item_id},
    )
    return UnitStatement(
        sum(int(row[3]) for row in rows if row[2]),
        [UnitLine(str(row[0]), str(row[1]), int(row[3]), int(row[4])) for row in rows if not row[2]],
        int(held[0]) if held is not None else 0,
    )
