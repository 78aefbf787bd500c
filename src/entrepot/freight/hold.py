"""Hold and free: a consignment of an order that somebody stopped does not leave until it is freed."""

import uuid
from collections.abc import Sequence

from entrepot.base.batching import batch
from entrepot.base.sql import Conn, execute, fetch


@batch
async def hold_consignments(conn: Conn, merchant_ids: Sequence[uuid.UUID], order_ids: Sequence[uuid.UUID]) -> list[tuple[uuid.UUID, uuid.UUID]]:
    """Keep the consignments of orders that have not left; return (merchant, order) of what was kept now."""
    rows = await fetch(
        conn,
        """
        update consignment c set is_held = true
        from unnest(%(merchants)s::uuid[], %(orders)s::uuid[]) as t(merchant_id, order_id)
        where c.merchant_id = t.merchant_id and c.order_id = t.order_id and not c.is_held and c.state in ('planned', 'released', 'part_shipped')
        returning c.merchant_id, c.order_id
        """,
        {"merchants": list(merchant_ids), "orders": list(order_ids)},
    )
    return sorted({(row[0], row[1]) for row in rows})


@batch
async def free_consignments(conn: Conn, merchant_ids: Sequence[uuid.UUID], order_ids: Sequence[uuid.UUID], held_s: Sequence[int]) -> None:
    """Let the consignments of orders leave; they have as many seconds longer for it as they were held."""
    await execute(
        conn,
        """
        update consignment c set is_held = false, ship_by_at = c.ship_by_at + t.held_s * interval '1 second'
        from unnest(%(merchants)s::uuid[], %(orders)s::uuid[], %(held_s)s::bigint[]) as t(merchant_id, order_id, held_s)
        where c.merchant_id = t.merchant_id and c.order_id = t.order_id and c.is_held
        """,
        {"merchants": list(merchant_ids), "orders": list(order_ids), "held_s": list(held_s)},
    )
