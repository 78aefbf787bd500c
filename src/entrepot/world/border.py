"""Customs officers at the border: now and then they refuse a parcel on its way, which turns back or is destroyed there."""

import heapq
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from entrepot.base.batching import chunks
from entrepot.base.sql import Conn
from entrepot.flows.outside import Outside
from entrepot.flows.refuse_at_border import AfterRefusal, customs_refuses
from entrepot.freight.model import CarrierEvent, ParcelKey, TrackingState
from entrepot.freight.track import find_parcels
from entrepot.world.draw import Stream

REFUSED_PER_THOUSAND: Final = 20
_DESTROYED_OF_FOUR: Final = 1
_Number = tuple[str, str]


@dataclass(slots=True)
class Border:
    """All officers; what they do with a parcel follows from its carrier and number."""

    seed: int
    _due: list[tuple[datetime, _Number]] = field(default_factory=list[tuple[datetime, _Number]])
    _seen: set[_Number] = field(default_factory=set[_Number])

    def note_reports(self, events: Sequence[CarrierEvent], now: datetime) -> None:
        """Let officers pick parcels that have arrived in another country; they decide within hours."""
        for event in events:
            number = (event.carrier_code, event.tracking_number)
            if event.code is TrackingState.ARRIVED_DESTINATION and number not in self._seen:
                self._seen.add(number)
                stream = self._stream(number)
                if stream.happens(REFUSED_PER_THOUSAND):
                    heapq.heappush(self._due, (now + timedelta(hours=stream.below(6)), number))

    def _stream(self, number: _Number) -> Stream:
        """Return the chance of a parcel."""
        return Stream(self.seed, f"border {number[0]} {number[1]}")

    async def act(self, conn: Conn, outside: Outside, size: int, now: datetime) -> list[_Number]:
        """Let officers refuse what they have decided on; return the carriers and numbers of what goes no further."""
        numbers: list[_Number] = []
        while self._due and self._due[0][0] <= now:
            numbers.append(heapq.heappop(self._due)[1])
        if not numbers:
            return []
        keys = {key: number for number, key in (await find_parcels(conn, numbers)).items()}
        chosen: dict[AfterRefusal, list[ParcelKey]] = {choice: [] for choice in AfterRefusal}
        for key in sorted(keys, key=lambda one: (one.merchant_id, one.parcel_id)):
            chosen[self._choice(key.parcel_id)].append(key)
        stopped: list[_Number] = []
        for choice, parcels in chosen.items():
            for part in chunks(parcels, size):
                async with conn.transaction():
                    refused = await customs_refuses(conn, outside, part, choice, now)
                stopped += [keys[ParcelKey(one.merchant_id, one.parcel_id)] for one in refused]
        return stopped

    def _choice(self, parcel_id: uuid.UUID) -> AfterRefusal:
        """Return what becomes of a refused parcel: most turn back."""
        is_destroyed = Stream(self.seed, f"refused {parcel_id}").below(4) < _DESTROYED_OF_FOUR
        return AfterRefusal.DESTROY if is_destroyed else AfterRefusal.RETURN
