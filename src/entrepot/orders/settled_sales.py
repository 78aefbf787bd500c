"""Which plans a merchant's settled sales came from, for fees that are charged on what is paid out of them."""

import uuid
from collections.abc import Sequence

from msgspec import Struct

from entrepot.base.batching import batch
from entrepot.base.sql import Conn, fetch


class SettledSales(Struct, frozen=True):
    """The goods and freight of a merchant's settled lines in one currency under one plan, in minor units."""

    merchant_id: uuid.UUID
    currency: str
    marketplace_code: str
    channel_code: str
    model_code: str
    plan_version: int
    sold_minor: int


@batch
async def read_settled_sales(conn: Conn, merchant_ids: Sequence[uuid.UUID], currencies: Sequence[str]) -> list[SettledSales]:
    """Return what merchants sold in currencies by marketplace, channel and plan, of orders that are settled, in key order."""
    rows = await fetch(
        conn,
        """
        select o.merchant_id, o.currency, o.marketplace_code, o.channel_code, l.model_code, l.plan_version,
               sum(l.goods_minor - l.discount_minor + l.freight_minor)::bigint
        from (select distinct * from unnest(%(merchants)s::uuid[], %(currencies)s::text[])) as t(merchant_id, currency)
        join customer_order o on o.merchant_id = t.merchant_id and o.currency = t.currency and o.state = 'settled'
        join order_line l on l.merchant_id = o.merchant_id and l.order_id = o.order_id
        group by 1, 2, 3, 4, 5, 6 order by 1, 2, 3, 4, 5, 6
        """,
        {"merchants": list(merchant_ids), "currencies": list(currencies)},
    )
    return [SettledSales(*row) for row in rows]
