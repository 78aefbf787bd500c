"""Declarations as lists: filtered, in pages, and how many are held where."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from entrepot.base.sql import Conn, fetch


class ListedDeclaration(Struct, frozen=True):
    """A declaration in the operator's list."""

    merchant_id: uuid.UUID
    declaration_id: uuid.UUID
    order_id: uuid.UUID | None
    regime_code: str
    kind: str
    version: int
    state: str
    state_at: datetime
    cause_code: str
    ship_from: str
    ship_to: str
    currency: str


async def list_declarations(conn: Conn, states: Sequence[str], limit: int) -> list[ListedDeclaration]:
    """Return declarations in any of these states (none given: in any), those that changed last first."""
    rows = await fetch(
        conn,
        """
        select merchant_id, declaration_id, order_id, regime_code, kind, version, state, state_at, cause_code, ship_from, ship_to, currency
        from declaration where cardinality(%(states)s::text[]) = 0 or state = any(%(states)s) order by state_at desc, declaration_id limit %(limit)s
        """,
        {"states": list(states), "limit": limit},
    )
    return [ListedDeclaration(*row) for row in rows]


async def count_held(conn: Conn, ats: Sequence[datetime]) -> list[tuple[datetime, str, int]]:
    """Return (instant, country, declarations) of what customs holds now and held already at each instant, by the country that decides."""
    rows = await fetch(
        conn,
        """
        select t.at, case when d.kind = 'export' then d.ship_from else d.ship_to end, count(*)::int
        from unnest(%(ats)s::timestamptz[]) as t(at) join declaration d on d.state = 'held' and d.state_at <= t.at group by 1, 2 order by 1, 2
        """,
        {"ats": list(ats)},
    )
    return [(row[0], str(row[1]), int(row[2])) for row in rows]
