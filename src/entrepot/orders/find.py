"""Finding orders by what people know of them: the number, the other channel's number, the id of order, checkout or payment."""

import uuid

from entrepot.base.named import MOST, Named
from entrepot.base.sql import Conn, fetch


async def find_orders(conn: Conn, text: str, key: uuid.UUID | None) -> list[Named]:
    """Return the orders with this number or reference, or with this id as theirs, their checkout's or their payment's.

    Each way of naming an order is asked apart, so that each finds its index; the key of numbers is searched merchant by merchant.
    """
    rows = await fetch(
        conn,
        """
        with named as (
            (select merchant_id, order_id from customer_order where number = upper(%(text)s) limit %(most)s)
            union
            (select merchant_id, order_id from customer_order where reference = %(text)s and reference <> '' limit %(most)s)
            union
            (select merchant_id, order_id from customer_order where order_id = %(key)s)
            union
            (select merchant_id, order_id from customer_order where checkout_id = %(key)s)
            union
            (select o.merchant_id, o.order_id from payment p join customer_order o using (checkout_id) where p.payment_id = %(key)s)
        )
        select o.merchant_id, o.order_id, o.number, o.state, o.person_id from named join customer_order o using (merchant_id, order_id)
        order by o.placed_at desc, o.order_id limit %(most)s
        """,
        {"text": text, "key": key, "most": MOST},
    )
    return [Named("order", row[0], row[1], row[2], row[3], row[1], row[4]) for row in rows]
