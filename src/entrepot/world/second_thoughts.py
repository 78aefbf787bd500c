"""Second thoughts: some orders are cancelled, whole or in part, before they leave; some of what arrived is sent back."""

import heapq
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from entrepot.base.actor import Actor, ActorKind
from entrepot.base.batching import chunks
from entrepot.base.sql import Conn
from entrepot.flows.cancel import CancelAsk, cancel_units
from entrepot.flows.outside import Outside
from entrepot.orders.read import read_standings
from entrepot.world.draw import Stream

BUYER: Final = Actor(ActorKind.BUYER, "demo-buyer", "buyer")
CANCELLED_PER_THOUSAND: Final = 60
_OrderKey = tuple[uuid.UUID, uuid.UUID]


@dataclass(slots=True)
class SecondThoughts:
    """Buyers who change their minds; what an order's buyer will do follows from the order's id."""

    seed: int
    _cancels: list[tuple[datetime, uuid.UUID, uuid.UUID]] = field(default_factory=list[tuple[datetime, uuid.UUID, uuid.UUID]])

    def note_placed(self, orders: Sequence[_OrderKey], now: datetime) -> None:
        """Let some buyers decide to cancel within a day."""
        for merchant_id, order_id in orders:
            stream = Stream(self.seed, f"cancel {order_id}")
            if stream.happens(CANCELLED_PER_THOUSAND):
                heapq.heappush(self._cancels, (now + timedelta(hours=1 + stream.below(20)), order_id, merchant_id))

    async def act(self, conn: Conn, outside: Outside, size: int, now: datetime) -> int:
        """Let everybody act whose hour has come; return how many asked for something."""
        due: list[_OrderKey] = []
        while self._cancels and self._cancels[0][0] <= now:
            _, order_id, merchant_id = heapq.heappop(self._cancels)
            due.append((merchant_id, order_id))
        for orders in chunks(due, size):
            async with conn.transaction():
                await self._cancel(conn, outside, orders, now)
        return len(due)

    async def _cancel(self, conn: Conn, outside: Outside, orders: Sequence[_OrderKey], now: datetime) -> None:
        """Cancel what can still be cancelled of these orders; every third buyer cancels one line only."""
        standings = await read_standings(conn, [key[0] for key in orders], [key[1] for key in orders])
        asks: list[CancelAsk] = []
        for merchant_id, order_id in orders:
            lines = [one for one in standings if (one.merchant_id, one.order_id) == (merchant_id, order_id) and one.cancellable > 0]
            if Stream(self.seed, f"part {order_id}").below(3) == 0:
                lines = lines[:1]
            asks += [
                CancelAsk(merchant_id, order_id, line.line_no, line.cancellable, "buyer", "changed_mind", f"buyer-{order_id}-{line.line_no}")
                for line in lines
            ]
        await cancel_units(conn, outside, asks, BUYER, now)
