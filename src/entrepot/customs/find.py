"""Finding declarations by id."""

import uuid

from entrepot.base.named import Named
from entrepot.base.sql import Conn, fetch


async def find_declarations(conn: Conn, key: uuid.UUID) -> list[Named]:
    """Return the declaration with this id."""
    rows = await fetch(
        conn,
        "select merchant_id, declaration_id, regime_code, state, order_id from declaration where declaration_id = %(key)s",
        {"key": key},
    )
    return [Named("declaration", row[0], row[1], row[2], row[3], row[4]) for row in rows]
