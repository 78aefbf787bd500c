"""Finding stock items by SKU or id, and offers by id."""

import uuid

from entrepot.base.named import MOST, Named
from entrepot.base.sql import Conn, fetch


async def find_items(conn: Conn, text: str, key: uuid.UUID | None) -> list[Named]:
    """Return the stock items of all merchants with this SKU or id, and the item of the offer with this id."""
    rows = await fetch(
        conn,
        """
        select i.merchant_id, i.stock_item_id, i.sku from stock_item i
        where upper(i.sku) = upper(%(text)s) or i.stock_item_id = %(key)s
           or (i.merchant_id, i.stock_item_id) in (select merchant_id, stock_item_id from offer where offer_id = %(key)s)
        order by i.sku, i.merchant_id limit %(most)s
        """,
        {"text": text, "key": key, "most": MOST},
    )
    return [Named("sku", row[0], row[1], row[2]) for row in rows]
