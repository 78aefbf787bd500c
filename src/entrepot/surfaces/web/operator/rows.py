"""Lists of some hundred rows on a page of their own: the page says what they are and what to do when there are none."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from litestar import Response
from litestar.response import Stream
from msgspec import Struct

from entrepot.base.listed import ListAsk
from entrepot.base.sql import Conn
from entrepot.parties.store import order_merchants
from entrepot.surfaces.web.access import Visitor, WebRequest
from entrepot.surfaces.web.house import House
from entrepot.surfaces.web.listing import Ask, Found, Listing, Row, answer_listing, list_query, sift

MOST: Final = 2000
"""How many rows of one record's page are read at most; what is beyond is found in its list."""


class Texts(Struct, frozen=True):
    """What a list's page says, marked: title, what stands below it, and what is said and offered when there are no rows."""

    here: str
    title: str
    about: str
    nothing: str
    hint: str


async def answer_rows(
    request: WebRequest,
    house: House,
    visitor: Visitor,
    listing: Listing,
    texts: Texts,
    rows: Sequence[Row],
    values: Mapping[str, object] | None = None,
    template: str = "operator/list.html",
) -> Response[str] | Stream:
    """Answer a list of rows that are in memory."""

    async def find(ask: Ask, limit: int, offset: int) -> Found:
        return sift(listing, ask, rows, limit, offset)

    return await answer_listing(template, visitor, house, listing, list_query(request), find, {"texts": texts, "done": "", **(values or {})})


async def ask_of(conn: Conn, ask: Ask, limit: int, offset: int, by_merchant: frozenset[str] = frozenset({"merchant"})) -> ListAsk:
    """Return what a list asks of a context: with merchants by name where it searches for a text or sorts by them."""
    filters = {name: value for name, value in ask.filters.items() if name != "q"}
    text = ask.filters.get("q", "")
    merchants = await order_merchants(conn, text) if text or ask.sort_key in by_merchant else []
    return ListAsk(filters, text, merchants, ask.sort_key, ask.is_descending, limit, offset)


def hours_before(now: datetime, count: int) -> list[datetime]:
    """Return the instants `count` hours back to now, an hour apart, oldest first."""
    return [now - timedelta(hours=count - number) for number in range(count + 1)]
