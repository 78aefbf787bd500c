"""Orders whose shown window ends soon or has ended without a delivery."""

import uuid
from datetime import date

from msgspec import Struct

from entrepot.base.sql import Conn, fetch


class PromiseRisk(Struct, frozen=True):
    """An order that should arrive by `to_on` and has not."""

    merchant_id: uuid.UUID
    order_id: uuid.UUID
    number: str
    state: str
    place_code: str
    to_on: date


async def list_promise_risk(conn: Conn, until: date, limit: int) -> list[PromiseRisk]:
    """Return open promises that end on `until` or before, the earliest first, of paid orders that have not arrived."""
    rows = await fetch(
        conn,
        """
        select p.merchant_id, p.order_id, o.number, o.state, p.place_code, p.to_on
        from promise p join customer_order o on o.merchant_id = p.merchant_id and o.order_id = p.order_id
        where p.outcome is null and p.to_on <= %(until)s and o.state in ('paid', 'in_work', 'shipped')
        order by p.to_on, o.number limit %(limit)s
        """,
        {"until": until, "limit": limit},
    )
    return [PromiseRisk(*row) for row in rows]
