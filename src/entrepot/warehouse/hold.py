"""Hold and free: work of an order that somebody stopped is passed over by every step until it is freed."""

import uuid
from collections.abc import Sequence

from entrepot.base.batching import batch
from entrepot.base.sql import Conn, execute, fetch


@batch
async def hold_work(conn: Conn, merchant_ids: Sequence[uuid.UUID], order_ids: Sequence[uuid.UUID]) -> list[tuple[uuid.UUID, uuid.UUID]]:
    """Keep the work of orders that has not left; return (merchant, order) of what was kept now."""
    rows = await fetch(
        conn,
        """
        update fulfilment_order o set is_held = true
        from unnest(%(merchants)s::uuid[], %(orders)s::uuid[]) as t(merchant_id, order_id)
        where o.merchant_id = t.merchant_id and o.order_id = t.order_id and not o.is_held and o.state in ('queued', 'picking', 'picked', 'packed')
        returning o.merchant_id, o.order_id
        """,
        {"merchants": list(merchant_ids), "orders": list(order_ids)},
    )
    return sorted({(row[0], row[1]) for row in rows})


@batch
async def free_work(conn: Conn, merchant_ids: Sequence[uuid.UUID], order_ids: Sequence[uuid.UUID], held_s: Sequence[int]) -> None:
    """Let the work of orders go on; it has as many seconds longer to leave as it was held."""
    await execute(
        conn,
        """
        update fulfilment_order o set is_held = false, ship_by_at = o.ship_by_at + t.held_s * interval '1 second'
        from unnest(%(merchants)s::uuid[], %(orders)s::uuid[], %(held_s)s::bigint[]) as t(merchant_id, order_id, held_s)
        where o.merchant_id = t.merchant_id and o.order_id = t.order_id and o.is_held
        """,
        {"merchants": list(merchant_ids), "orders": list(order_ids), "held_s": list(held_s)},
    )
