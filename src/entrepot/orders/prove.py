"""What the laws ask of orders beside the promises: which are settled, which there are, whether a refund's cause happened; and their hash."""

import uuid
from collections.abc import Sequence
from typing import Final

from entrepot.base.batching import batch
from entrepot.base.row_hash import hash_rows
from entrepot.base.sql import Conn, fetch


@batch
async def pick_settled(conn: Conn, merchant_ids: Sequence[uuid.UUID], order_ids: Sequence[uuid.UUID]) -> set[tuple[uuid.UUID, uuid.UUID]]:
    """Return those of these (merchant, order) that are settled."""
    rows = await fetch(
        conn,
        """
        select o.merchant_id, o.order_id from unnest(%(merchants)s::uuid[], %(orders)s::uuid[]) as t(merchant_id, order_id)
        join customer_order o on o.merchant_id = t.merchant_id and o.order_id = t.order_id
        where o.state = 'settled'
        """,
        {"merchants": list(merchant_ids), "orders": list(order_ids)},
    )
    return {(row[0], row[1]) for row in rows}


async def read_order_keys(conn: Conn) -> list[tuple[uuid.UUID, uuid.UUID]]:
    """Return (merchant, order) of all orders, in key order."""
    rows = await fetch(conn, "select merchant_id, order_id from customer_order order by 1, 2")
    return [(row[0], row[1]) for row in rows]


@batch
async def read_causeless(
    conn: Conn, cause_kinds: Sequence[str], merchant_ids: Sequence[uuid.UUID], order_ids: Sequence[uuid.UUID]
) -> list[tuple[str, uuid.UUID, uuid.UUID]]:
    """Return those of these (cause kind, merchant, order) that did not happen: no such order, nothing cancelled or nothing lost, in key order."""
    rows = await fetch(
        conn,
        """
        select distinct t.cause_kind, t.merchant_id, t.order_id
        from unnest(%(kinds)s::text[], %(merchants)s::uuid[], %(orders)s::uuid[]) as t(cause_kind, merchant_id, order_id)
        left join lateral (
            select count(*) as line_count, coalesce(sum(l.cancelled), 0) as cancelled, coalesce(sum(l.lost), 0) as lost
            from order_line l where l.merchant_id = t.merchant_id and l.order_id = t.order_id) l on true
        where l.line_count = 0 or (t.cause_kind = 'cancellation' and l.cancelled = 0) or (t.cause_kind = 'lost' and l.lost = 0)
           or (t.cause_kind = 'customs_refusal' and l.cancelled + l.lost = 0)
        order by 1, 2, 3
        """,
        {"kinds": list(cause_kinds), "merchants": list(merchant_ids), "orders": list(order_ids)},
    )
    return [(str(row[0]), row[1], row[2]) for row in rows]


async def hash_orders(conn: Conn) -> dict[str, str]:
    """Return the hashes of orders with their lines, of allocations, of payments and of promises with their outcome."""
    return {
        "order_lines": await hash_rows(conn, _LINES),
        "allocations": await hash_rows(conn, _ALLOCATIONS),
        "payments": await hash_rows(conn, _PAYMENTS),
        "promises": await hash_rows(conn, _PROMISES),
    }


_LINES: Final = """
    select concat_ws('|', o.merchant_id, (extract(epoch from o.placed_at) * 1000000)::bigint, o.number, o.marketplace_code, o.channel_code, o.currency,
        o.state, o.to_country_code, o.postcode_prefix, o.total_minor, l.line_no, l.sku, l.model_code, l.plan_version, l.quantity, l.cancelled,
        l.shipped, l.delivered, l.lost, l.returned, l.refunded, l.unit_price_minor, l.listed_currency, l.charged_currency, l.settled_currency,
        l.goods_minor, l.discount_minor, l.freight_minor, l.insurance_minor, l.tax_minor, l.tax_on_top_minor, l.duty_minor) collate "C" as told
    from customer_order o join order_line l on l.merchant_id = o.merchant_id and l.order_id = o.order_id
    order by told
"""
_ALLOCATIONS: Final = """
    select concat_ws('|', o.merchant_id, o.number, a.line_no, a.part_no, a.place_code, a.owner_id, a.customs_status, a.pool_code, a.quantity,
        a.cancelled) collate "C" as told
    from allocation a join customer_order o on o.merchant_id = a.merchant_id and o.order_id = a.order_id
    order by told
"""
_PAYMENTS: Final = """
    select concat_ws('|', (extract(epoch from at) * 1000000)::bigint, method_code, state, currency, asked_minor, captured_minor, refunded_minor)
        collate "C" as told
    from payment order by told
"""
_PROMISES: Final = """
    select concat_ws('|', merchant_id, place_code, service_code, (extract(epoch from shown_at) * 1000000)::bigint,
        (extract(epoch from ship_by_at) * 1000000)::bigint, to_char(from_on, 'YYYY-MM-DD'), to_char(to_on, 'YYYY-MM-DD'), coalesce(outcome, ''))
        collate "C" as told
    from promise order by told
"""
