"""Finding merchants by code, name or id, and buyers by id alone: nothing personal can be searched for."""

import uuid

from entrepot.base.named import MOST, Named
from entrepot.base.sql import Conn, fetch


async def find_merchants(conn: Conn, text: str, key: uuid.UUID | None) -> list[Named]:
    """Return the merchants and legal entities with this code, name or id."""
    rows = await fetch(
        conn,
        """
        select merchant_id, name, status from merchant
        where lower(code) = lower(%(text)s) or lower(name) = lower(%(text)s) or merchant_id = %(key)s order by name limit %(most)s
        """,
        {"text": text, "key": key, "most": MOST},
    )
    return [Named("merchant", row[0], row[0], row[1], row[2]) for row in rows]
