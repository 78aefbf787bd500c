"""Finding postings of the stock book by id."""

import uuid

from entrepot.base.named import Named
from entrepot.base.sql import Conn, fetch


async def find_moves(conn: Conn, key: uuid.UUID) -> list[Named]:
    """Return the posting of stock moves with this id; its label is the cause that its moves are listed under."""
    rows = await fetch(conn, "select distinct merchant_id, posting_id, cause_kind from stock_move where posting_id = %(key)s", {"key": key})
    return [Named("stock_posting", row[0], row[1], row[2]) for row in rows]
