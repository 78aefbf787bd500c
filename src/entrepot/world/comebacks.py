"""Whoever takes undelivered parcels back: they are received hours after they came and graded within the next day."""

import heapq
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from entrepot.base.actor import Actor, ActorKind
from entrepot.base.batching import chunks
from entrepot.base.sql import Conn
from entrepot.flows.outside import Outside
from entrepot.flows.undelivered import GradedParcel, Undelivered, grade_undelivered, read_undelivered, receive_undelivered
from entrepot.freight.model import ParcelKey
from entrepot.freight.read import read_coming_back
from entrepot.warehouse.grading import Disposition, Grade
from entrepot.world.draw import Stream

SELLER: Final = Actor(ActorKind.MERCHANT, "demo-merchant", "merchant_owner")
BENCH: Final = Actor(ActorKind.STAFF, "demo-bench", "warehouse")
LOOK_HOUR: Final = 8
LOOK_BACK: Final = timedelta(days=10)
"""How far back is looked for parcels that came back: longer than carriers report late, so that a world that starts again misses none."""
_RESTOCK_BIN: Final = "A-01"
_BLOCKED_BIN: Final = "F-01"
_Due = tuple[datetime, str, uuid.UUID, uuid.UUID]


@dataclass(slots=True)
class Comebacks:
    """All benches and merchants that take parcels back; what they do with one follows from its id."""

    seed: int
    _due: list[_Due] = field(default_factory=list[_Due])
    _seen: set[ParcelKey] = field(default_factory=set[ParcelKey])

    async def act(self, conn: Conn, outside: Outside, size: int, now: datetime) -> int:
        """Look once a day for what came back, and receive and grade what is due; return how many parcels were graded."""
        if now.hour == LOOK_HOUR:
            await self._look(conn, outside, now)
        due: dict[str, list[ParcelKey]] = {"receive": [], "grade": []}
        while self._due and self._due[0][0] <= now:
            _, step, parcel_id, merchant_id = heapq.heappop(self._due)
            due[step].append(ParcelKey(merchant_id, parcel_id))
        for part in chunks(due["receive"], size):
            async with conn.transaction():
                await receive_undelivered(conn, outside, part, BENCH, now)
            self._later("grade", part, 2, 20, now)
        for part in chunks(due["grade"], size):
            async with conn.transaction():
                await self._grade(conn, outside, part, now)
        return len(due["grade"])

    async def _look(self, conn: Conn, outside: Outside, now: datetime) -> None:
        """Note parcels whose units have come back since somebody looked."""
        keys = [key for key in await read_coming_back(conn, now - LOOK_BACK) if key not in self._seen]
        back = [one.key for one in await read_undelivered(conn, outside, keys) if one.lots]
        self._seen.update(back)
        self._later("receive", back, 4, 40, now)

    def _later(self, step: str, keys: Sequence[ParcelKey], least_h: int, most_h: int, now: datetime) -> None:
        """Put the next step of parcels off by some hours."""
        for key in keys:
            hours = Stream(self.seed, f"{step} {key.parcel_id}").between(least_h, most_h)
            heapq.heappush(self._due, (now + timedelta(hours=hours), step, key.parcel_id, key.merchant_id))

    async def _grade(self, conn: Conn, outside: Outside, keys: Sequence[ParcelKey], now: datetime) -> None:
        """Grade parcels where they are: nearly all units go back on sale, they were never used."""
        backs = await read_undelivered(conn, outside, keys)
        for actor, part in ((BENCH, [one for one in backs if one.has_bench]), (SELLER, [one for one in backs if not one.has_bench])):
            await grade_undelivered(conn, outside, [graded for one in part for graded in self._found(one)], actor, now)

    def _found(self, back: Undelivered) -> list[GradedParcel]:
        """Return what the grader finds in a parcel: one box, one fate."""
        luck = Stream(self.seed, f"undelivered {back.key.parcel_id}").below(20)
        kept = (Grade.DAMAGED, Disposition.KEEP, _BLOCKED_BIN, None)
        fates = {0: (Grade.DEFECTIVE, Disposition.DISPOSE, None, "demo: crushed on the way, photo 1"), 1: kept, 2: kept}
        fate = fates.get(luck, (Grade.SELLABLE, Disposition.RESTOCK, _RESTOCK_BIN, None))
        units: dict[tuple[uuid.UUID, str], int] = {}
        for lot in back.lots:
            key = (lot.location.stock_item_id, lot.location.lot_code)
            units[key] = units.get(key, 0) + lot.quantity
        return [GradedParcel(*_names(back), item, quantity, *fate, lot_code) for (item, lot_code), quantity in units.items()]


def _names(back: Undelivered) -> tuple[uuid.UUID, uuid.UUID]:
    """Return merchant and parcel."""
    return back.key.merchant_id, back.key.parcel_id
