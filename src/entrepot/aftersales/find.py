"""Finding returns and refunds by id."""

import uuid

from entrepot.base.named import Named
from entrepot.base.sql import Conn, fetch


async def find_cases(conn: Conn, key: uuid.UUID) -> list[Named]:
    """Return the return or refund with this id."""
    rows = await fetch(
        conn,
        """
        select 'return', merchant_id, rma_id, reason_code, state, order_id from return_request where rma_id = %(key)s
        union all
        select 'refund', merchant_id, refund_id, cause_kind, state, order_id from refund where refund_id = %(key)s
        """,
        {"key": key},
    )
    return [Named(*row) for row in rows]
