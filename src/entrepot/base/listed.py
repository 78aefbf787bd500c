"""Lists of any length: what is asked of one, one page of it, and counts that say when they stop counting."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Final, Generic, TypeVar

from msgspec import Struct

from entrepot.base.sql import Conn, Row, fetch

COUNTED: Final = 10_000
"""So many rows are counted and summed at most; of more it is said that there are more."""

Item = TypeVar("Item")


class ListAsk(Struct, frozen=True):
    """Which rows, in which order, from where on.

    `merchants` are all in the order of their names, each with whether its name holds the text; lists that neither search nor sort by them need none.
    """

    filters: Mapping[str, str] = {}
    text: str = ""
    merchants: Sequence[tuple[uuid.UUID, bool]] = ()
    sort_key: str = ""
    is_descending: bool = False
    limit: int = 50
    offset: int = 0


class Listed(Struct, Generic[Item], frozen=True):
    """One page of rows with the count of all that fit, or that there are more than are counted; sums are of all, and missing where not all are counted."""

    rows: Sequence[Item]
    count: int
    has_more: bool = False
    sums: Mapping[str, Sequence[tuple[str, int]]] = {}


def params_of(ask: ListAsk) -> dict[str, object]:
    """Return what every list binds: its filters by name, the text, the page, merchants by name, and those whose name holds the text."""
    return {
        **ask.filters,
        "text": ask.text,
        "limit": ask.limit,
        "offset": ask.offset,
        "by_name": [one for one, _ in ask.merchants],
        "named": [one for one, fits in ask.merchants if fits],
    }


NAMES: Final = "left join unnest(%(by_name)s::uuid[]) with ordinality as n(merchant_id, name_no) on n.merchant_id = "
"""Joins the place of a merchant's name in the order of all, to sort by it as `n.name_no`; a column follows."""


async def count_listed(conn: Conn, source: str, params: Mapping[str, object]) -> tuple[int, bool]:
    """Return how many rows a `from … where …` has, and whether it has more than are counted."""
    rows = await fetch(conn, f"select count(*) from (select {source} limit {COUNTED + 1}) counted", params)
    count = int(rows[0][0])
    return min(count, COUNTED), count > COUNTED


async def total_listed(
    conn: Conn, source: str, currency: str, columns: Sequence[str], params: Mapping[str, object]
) -> tuple[int, bool, Mapping[str, Sequence[tuple[str, int]]]]:
    """Return count, whether there are more, and, where all are counted, the sums of columns by currency, of a `from … where …`."""
    count, has_more = await count_listed(conn, source, params)
    if has_more:
        return count, has_more, {}
    sums = ", ".join(f"coalesce(sum({one}), 0)::bigint" for one in columns)
    rows: Sequence[Row] = await fetch(conn, f"select {currency}, {sums} {source} group by 1 order by 1", params)
    return count, has_more, {one: [(str(row[0]), int(row[number])) for row in rows] for number, one in enumerate(columns, start=1)}


def ordered(sorts: Mapping[str, str], ask: ListAsk, *last: str) -> str:
    """Return the order of a list: by the chosen expression, then by what tells rows apart."""
    first = f"{sorts[ask.sort_key]} {'desc' if ask.is_descending else 'asc'} nulls last, " if ask.sort_key else ""
    return f"order by {first}{', '.join(last)} limit %(limit)s offset %(offset)s"
