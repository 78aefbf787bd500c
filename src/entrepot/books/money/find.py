"""Finding postings of the money book by id."""

import uuid

from entrepot.base.named import Named
from entrepot.base.sql import Conn, fetch


async def find_postings(conn: Conn, key: uuid.UUID) -> list[Named]:
    """Return the posting with this id."""
    rows = await fetch(conn, "select merchant_id, posting_id, kind, phase, order_id from money_posting where posting_id = %(key)s", {"key": key})
    return [Named("posting", row[0], row[1], row[2], row[3], row[4]) for row in rows]
