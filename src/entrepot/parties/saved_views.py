"""Views of lists that people keep for themselves: a name and the filters behind it."""

import uuid
from datetime import datetime
from typing import Final

from msgspec import Struct

from entrepot.base.errors import ConflictError, RefusedInputError
from entrepot.base.sql import Conn, execute, execute_counted, fetch
from entrepot.parties.model import require_text

MOST_VIEWS: Final = 20
LONGEST_NAME: Final = 40
LONGEST_QUERY: Final = 1000


class ViewTooLongError(RefusedInputError):
    """The name or the filters of a view are too long; shorten them."""


class TooManyViewsError(ConflictError):
    """The list has as many views of its own as it may; remove one first."""


class SavedView(Struct, frozen=True):
    """A view of a list: what people call it, and the query of the list's address."""

    name: str
    query: str


async def list_saved_views(conn: Conn, staff_id: uuid.UUID, list_code: str) -> list[SavedView]:
    """Return somebody's views of a list by name."""
    rows = await fetch(
        conn,
        "select name, query from saved_view where staff_id = %(staff)s and list_code = %(list)s order by name",
        {"staff": staff_id, "list": list_code},
    )
    return [SavedView(*row) for row in rows]


async def save_view(conn: Conn, staff_id: uuid.UUID, list_code: str, view: SavedView, at: datetime) -> None:
    """Keep a view; one of the same name is replaced."""
    name = require_text(view.name.strip(), "name")
    if len(name) > LONGEST_NAME or len(view.query) > LONGEST_QUERY or len(list_code) > LONGEST_NAME:
        raise ViewTooLongError("name", name[:LONGEST_NAME], "Use at most %(most)s characters for the name.", most=LONGEST_NAME)
    known = await list_saved_views(conn, staff_id, list_code)
    if len(known) >= MOST_VIEWS and name not in {one.name for one in known}:
        raise TooManyViewsError("name", name, "Remove one of the %(most)s views first.", most=MOST_VIEWS)
    await execute(
        conn,
        """
        insert into saved_view (staff_id, list_code, name, query, created_at) values (%(staff)s, %(list)s, %(name)s, %(query)s, %(at)s)
        on conflict (staff_id, list_code, name) do update set query = excluded.query
        """,
        {"staff": staff_id, "list": list_code, "name": name, "query": view.query, "at": at},
    )


async def drop_view(conn: Conn, staff_id: uuid.UUID, list_code: str, name: str) -> bool:
    """Remove a view, and tell whether there was one."""
    gone = await execute_counted(
        conn,
        "delete from saved_view where staff_id = %(staff)s and list_code = %(list)s and name = %(name)s",
        {"staff": staff_id, "list": list_code, "name": name},
    )
    return gone == 1
