"""Declarations as lists: filtered, in pages, and how many are held where."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct

from entrepot.base.listed import NAMES, ListAsk, Listed, count_listed, ordered, params_of
from entrepot.base.sql import Conn, fetch
from entrepot.customs.model import DeclarationState


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


_COLUMNS: Final = """d.merchant_id, d.declaration_id, d.order_id, d.regime_code, d.kind, d.version, d.state, d.state_at, d.cause_code, d.ship_from,
    d.ship_to, d.currency"""
_SORTS: Final = {
    "kind": "d.kind",
    "state": "d.state",
    "at": "d.state_at",
    "regime": "d.regime_code",
    "from": "d.ship_from",
    "to": "d.ship_to",
    "merchant": "n.name_no",
}
_FITS: Final = """(%(kind)s = '' or d.kind = %(kind)s) and (%(text)s = '' or d.merchant_id = any(%(named)s::uuid[])
    or position(lower(%(text)s) in lower(d.regime_code || ' ' || replace(d.cause_code, '_', ' ') || ' ' || d.cause_code)) > 0)"""


async def find_declarations_listed(conn: Conn, ask: ListAsk) -> Listed[ListedDeclaration]:
    """Return one page of declarations and how many fit; each state keeps its own order by time, and the page is merged from their beginnings."""
    state = ask.filters.get("state", "")
    states = [state] if state else [str(one) for one in DeclarationState]
    params = {"kind": "", **params_of(ask), "states": states, "most": ask.limit + ask.offset}
    fits = f"d.state = any(%(states)s::text[]) and {_FITS}"
    source = f"declaration d where {fits}"
    if ask.sort_key == "at":
        turn = "desc" if ask.is_descending else "asc"
        source = f"""unnest(%(states)s::text[]) as s(code) cross join lateral (
            select * from declaration d where d.state = s.code and {_FITS} order by d.state_at {turn}, d.declaration_id limit %(most)s) d"""
    elif ask.sort_key == "merchant":
        source = f"declaration d {NAMES} d.merchant_id where {fits}"
    rows = await fetch(conn, f"select {_COLUMNS} from {source} {ordered(_SORTS, ask, 'd.declaration_id')}", params)
    count, has_more = await count_listed(conn, f"from declaration d where {fits}", params)
    return Listed([ListedDeclaration(*row) for row in rows], count, has_more)


async def count_declaration_states(conn: Conn) -> dict[str, int]:
    """Return how many declarations are in each state."""
    return {str(row[0]): int(row[1]) for row in await fetch(conn, "select state, count(*) from declaration group by state")}


async def list_held(conn: Conn, limit: int) -> list[ListedDeclaration]:
    """Return what customs holds, the latest first."""
    rows = await fetch(
        conn,
        f"select {_COLUMNS} from declaration d where d.state = 'held' order by d.state_at desc, d.declaration_id limit %(limit)s",
        {"limit": limit},
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
