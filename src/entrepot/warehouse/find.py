"""Finding inbound plans by id."""

import uuid

from entrepot.base.named import Named
from entrepot.base.sql import Conn, fetch


async def find_plans(conn: Conn, key: uuid.UUID) -> list[Named]:
    """Return the inbound plan with this id."""
    rows = await fetch(conn, "select merchant_id, plan_id, place_code, state from inbound_plan where plan_id = %(key)s", {"key": key})
    return [Named("inbound_plan", row[0], row[1], row[2], row[3]) for row in rows]
