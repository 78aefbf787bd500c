"""Buyers who send things back: asked some days after delivery, sent, received and graded in the days after."""

import heapq
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from entrepot.aftersales.store import read_returns
from entrepot.base.actor import Actor, ActorKind
from entrepot.base.batching import chunks
from entrepot.base.sql import Conn
from entrepot.flows.outside import Outside
from entrepot.flows.return_goods import (
    BackReceipt,
    Graded,
    ReturnVerdict,
    ReturnWish,
    Verdict,
    ask_returns,
    decide_returns,
    grade_back,
    receive_back,
    send_back,
)
from entrepot.operations.model import PLATFORM_ROLES
from entrepot.orders.read import read_standings
from entrepot.warehouse.grading import Disposition, Grade
from entrepot.world.draw import Stream

BUYER: Final = Actor(ActorKind.BUYER, "demo-buyer", "buyer")
SELLER: Final = Actor(ActorKind.MERCHANT, "demo-merchant", "merchant_owner")
BENCH: Final = Actor(ActorKind.STAFF, "demo-bench", "warehouse")
RETURNED_PER_THOUSAND: Final = 90
_RESTOCK_BIN: Final = "A-01"
_BLOCKED_BIN: Final = "F-01"
_Key = tuple[uuid.UUID, uuid.UUID]
_Due = tuple[datetime, str, uuid.UUID, uuid.UUID]


@dataclass(slots=True)
class Returners:
    """All buyers who return something; what an order's buyer does follows from the order's id."""

    seed: int
    _due: list[_Due] = field(default_factory=list[_Due])

    def note_delivered(self, orders: Sequence[_Key], now: datetime) -> None:
        """Let some buyers decide to return what they got, within two days."""
        for merchant_id, order_id in orders:
            stream = Stream(self.seed, f"return {order_id}")
            if stream.happens(RETURNED_PER_THOUSAND):
                heapq.heappush(self._due, (now + timedelta(hours=4 + stream.below(44)), "ask", order_id, merchant_id))

    async def act(self, conn: Conn, outside: Outside, size: int, now: datetime) -> int:
        """Let everybody act whose hour has come, step by step; return how many did."""
        due: dict[str, list[_Key]] = {"ask": [], "send": [], "receive": [], "grade": []}
        while self._due and self._due[0][0] <= now:
            _, step, subject_id, merchant_id = heapq.heappop(self._due)
            due[step].append((merchant_id, subject_id))
        steps = {"ask": self._ask, "send": self._send, "receive": self._receive, "grade": self._grade}
        for step, keys in due.items():
            for part in chunks(keys, size):
                async with conn.transaction():
                    await steps[step](conn, outside, part, now)
        return sum(len(keys) for keys in due.values())

    def _later(self, step: str, keys: Sequence[_Key], least_h: int, most_h: int, now: datetime) -> None:
        """Put the next step of returns off by some hours."""
        for merchant_id, rma_id in keys:
            hours = Stream(self.seed, f"{step} {rma_id}").between(least_h, most_h)
            heapq.heappush(self._due, (now + timedelta(hours=hours), step, rma_id, merchant_id))

    async def _ask(self, conn: Conn, outside: Outside, orders: Sequence[_Key], now: datetime) -> None:
        """Ask to return one unit of the first line that arrived; merchants who decide themselves agree."""
        standings = await read_standings(conn, [key[0] for key in orders], [key[1] for key in orders])
        wishes: list[ReturnWish] = []
        for merchant_id, order_id in orders:
            lines = [one for one in standings if (one.merchant_id, one.order_id) == (merchant_id, order_id) and one.returnable > 0]
            if lines:
                wishes.append(ReturnWish(merchant_id, order_id, ((lines[0].line_no, 1),), "changed_mind", f"world-{order_id}"))
        answers = await ask_returns(conn, outside, wishes, BUYER, now)
        keys = [(answer.wish.merchant_id, rma_id) for answer in answers for rma_id in answer.rma_ids]
        stored = await read_returns(conn, keys) if keys else {}
        theirs = [key for key in keys if stored[key].taker_role not in PLATFORM_ROLES]
        await decide_returns(conn, outside, [ReturnVerdict(*key, Verdict.APPROVE) for key in theirs], SELLER, now)
        self._later("send", keys, 6, 30, now)

    async def _send(self, conn: Conn, outside: Outside, keys: Sequence[_Key], now: datetime) -> None:
        """Bring the goods to the post."""
        await send_back(conn, outside, keys, BUYER, now)
        self._later("receive", keys, 30, 80, now)

    async def _receive(self, conn: Conn, outside: Outside, keys: Sequence[_Key], now: datetime) -> None:
        """Receive the goods where they go to."""
        await receive_back(conn, outside, [BackReceipt(*key) for key in keys], BENCH, now)
        self._later("grade", keys, 2, 20, now)

    async def _grade(self, conn: Conn, outside: Outside, keys: Sequence[_Key], now: datetime) -> None:
        """Grade the goods: most go back on sale, some are kept apart or disposed of."""
        stored = await read_returns(conn, keys)
        found = [
            self._found(key, line.line_no, line.part_no, line.received)
            for key in keys
            for line in (stored[key].lines if key in stored else ())
            if line.received
        ]
        await grade_back(conn, outside, found, BENCH, now)

    def _found(self, key: _Key, line_no: int, part_no: int, received: int) -> Graded:
        """Return what the grader finds about the units of one part."""
        luck = Stream(self.seed, f"grade {key[1]} {line_no} {part_no}").below(10)
        if luck == 0:
            return Graded(*key, line_no, part_no, received, Grade.DEFECTIVE, Disposition.DISPOSE, evidence="demo: broken, photo 1")
        if luck == 1:
            return Graded(*key, line_no, part_no, received, Grade.DAMAGED, Disposition.KEEP, _BLOCKED_BIN)
        return Graded(*key, line_no, part_no, received, Grade.SELLABLE, Disposition.RESTOCK, _RESTOCK_BIN)
