"""Time hurries while somebody waits for orders in front of a screen: the world asks here before it rests between two strides."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from entrepot.base.awaited import Subject, await_subjects, read_awaited, stop_waiting
from entrepot.base.sql import Conn
from entrepot.orders.model import OrderState
from entrepot.orders.read import read_orders

HURRY_SPEED: Final = Decimal(7200)
"""Business seconds per real second while time hurries: two hours a second."""
HURRY_FOR: Final = timedelta(minutes=5)
"""How long by the machine's clock one wish to hurry counts."""
ARRIVED: Final = frozenset({OrderState.DELIVERED, OrderState.SETTLED})
_OVER: Final = ARRIVED | {OrderState.CANCELLED}


async def hurry_for(conn: Conn, orders: Sequence[Subject], real_at: datetime) -> None:
    """Let time hurry until these orders have arrived, but no longer than a wish counts."""
    await await_subjects(conn, orders, real_at + HURRY_FOR)


async def slow_down(conn: Conn, orders: Sequence[Subject]) -> None:
    """Let time take its usual pace again, as far as these orders are concerned."""
    await stop_waiting(conn, orders)


async def is_hurrying(conn: Conn, real_at: datetime) -> bool:
    """Tell whether anything is waited for."""
    return bool(await read_awaited(conn, real_at))


async def keep_hurrying(conn: Conn, real_at: datetime) -> bool:
    """Tell whether orders are waited for that have not arrived; those that have are waited for no longer."""
    awaited = await read_awaited(conn, real_at)
    if not awaited:
        return False
    orders = await read_orders(conn, [one[0] for one in awaited], [one[1] for one in awaited])
    under_way = {(one.merchant_id, one.order_id) for one in orders if one.state not in _OVER}
    over = [one for one in awaited if one not in under_way]
    if over:
        await stop_waiting(conn, over)
    return bool(under_way)
