"""Names of the people who work behind the counter, for pages that tell who did something."""

import uuid
from collections.abc import Sequence

from entrepot.base.sql import Conn, fetch


async def read_staff_names(conn: Conn, staff_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, str]:
    """Return what these people are called."""
    rows = await fetch(conn, "select staff_id, display_name from staff where staff_id = any(%(ids)s::uuid[])", {"ids": list(staff_ids)})
    return {row[0]: str(row[1]) for row in rows}
