"""A merchant's stock items as lists need them: all of them in an order, and those whose name holds a text."""

import uuid
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from entrepot.base.sql import Conn, fetch


class ItemName(Struct, frozen=True):
    """A stock item as people know it."""

    stock_item_id: uuid.UUID
    sku: str
    title: str


TITLE: Final = "title"
_WRITTEN: Final = "en"
_TITLE: Final = """
    left join lateral (
        select x.title from product_text x where x.product_id = i.product_id order by x.language <> %(language)s, x.language <> 'en', x.language limit 1) t on true
"""


async def order_items(conn: Conn, merchant_id: uuid.UUID, text: str, sort_key: str) -> list[tuple[uuid.UUID, bool]]:
    """Return the ids of all stock items of a merchant by SKU, or with the key `title` by title, each with whether SKU or title holds a text (all do hold nothing)."""
    by_title = sort_key == TITLE
    needs_title = by_title or text
    rows = await fetch(
        conn,
        f"""
        select i.stock_item_id, %(text)s = '' or position(upper(%(text)s) in upper(i.sku{" || ' ' || coalesce(t.title, '')" if needs_title else ""})) > 0
        from stock_item i {_TITLE if needs_title else ""} where i.merchant_id = %(merchant)s
        order by {"lower(coalesce(t.title, i.sku)), " if by_title else ""}i.sku
        """,
        {"merchant": merchant_id, "text": text, "language": _WRITTEN},
    )
    return [(row[0], bool(row[1])) for row in rows]


async def name_items(conn: Conn, merchant_id: uuid.UUID, stock_item_ids: Sequence[uuid.UUID], language: str = _WRITTEN) -> dict[uuid.UUID, ItemName]:
    """Return SKU and title of these stock items: in a language, else in English, else the first there is, or the SKU."""
    rows = await fetch(
        conn,
        f"""
        select i.stock_item_id, i.sku, coalesce(t.title, i.sku) from stock_item i {_TITLE}
        where i.merchant_id = %(merchant)s and i.stock_item_id = any(%(items)s::uuid[])
        """,
        {"merchant": merchant_id, "items": list(stock_item_ids), "language": language},
    )
    return {row[0]: ItemName(*row) for row in rows}


async def list_skus(conn: Conn, merchant_id: uuid.UUID, limit: int) -> list[str]:
    """Return a merchant's first SKUs, for a field that offers them."""
    rows = await fetch(
        conn, "select sku from stock_item where merchant_id = %(merchant)s order by sku limit %(limit)s", {"merchant": merchant_id, "limit": limit}
    )
    return [str(row[0]) for row in rows]


async def find_item_id(conn: Conn, merchant_id: uuid.UUID, sku: str) -> uuid.UUID | None:
    """Return the id of a merchant's stock item with this SKU, or None."""
    rows = await fetch(
        conn, "select stock_item_id from stock_item where merchant_id = %(merchant)s and sku = %(sku)s", {"merchant": merchant_id, "sku": sku}
    )
    return rows[0][0] if rows else None
