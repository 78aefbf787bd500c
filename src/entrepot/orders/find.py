"""Finding orders by what people know of them: the number, the other channel's number, the id of order, checkout or payment."""

import uuid

from entrepot.base.named import MOST, Named
from entrepot.base.sql import Conn, fetch


async def find_orders(conn: Conn, text: str, key: uuid.UUID | None) -> list[Named]:
    """Return the orders with this number or reference, or with this id as theirs, their checkout's or their payment's."""
    rows = await fetch(
        conn,
        """
        select o.merchant_id, o.order_id, o.number, o.state, o.person_id from customer_order o
        where o.number = upper(%(text)s) or (o.reference <> '' and o.reference = %(text)s) or o.order_id = %(key)s or o.checkout_id = %(key)s
           or o.checkout_id in (select checkout_id from payment where payment_id = %(key)s)
        order by o.placed_at desc, o.order_id limit %(most)s
        """,
        {"text": text, "key": key, "most": MOST},
    )
    return [Named("order", row[0], row[1], row[2], row[3], row[1], row[4]) for row in rows]
