"""Merchants who pack themselves: they ship from their queue, mostly in time, now and then late, buy labels here or use their own, decline some."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from entrepot.base.actor import Actor, ActorKind
from entrepot.base.batching import chunks
from entrepot.base.sql import Conn
from entrepot.flows.cancel import CancelAsk, cancel_units
from entrepot.flows.fulfil import MerchantShipment, confirm_shipments
from entrepot.flows.outside import Outside
from entrepot.freight.model import ConsignmentState, ParcelKey
from entrepot.freight.read import Consignment, read_ship_by_queue
from entrepot.operations.model import Role
from entrepot.orders.read import read_allocations
from entrepot.world.draw import Stream

SHIP_HOURS: Final = frozenset({8, 16})
SELLER: Final = Actor(ActorKind.MERCHANT, "demo-merchant", "merchant_owner")
_QUEUE = 5_000
_HORIZON = timedelta(days=60)


@dataclass(slots=True)
class Sellers:
    """All merchants of the world with a floor of their own."""

    seed: int
    merchant_ids: Sequence[uuid.UUID]
    _moods: dict[uuid.UUID, Mapping[str, int]] = field(default_factory=dict[uuid.UUID, Mapping[str, int]])

    def _mood(self, consignment: Consignment) -> Mapping[str, int]:
        """Return how a merchant will treat a consignment; it follows from the consignment and is asked once."""
        known = self._moods.get(consignment.consignment_id)
        if known is None:
            stream = Stream(self.seed, f"seller {consignment.consignment_id}")
            known = {
                "wait_h": 4 + stream.below(30),
                "late": int(stream.happens(40)),
                "decline": int(stream.happens(30)),
                "own": int(stream.happens(500)),
            }
            self._moods[consignment.consignment_id] = known
        return known

    async def ship(self, conn: Conn, outside: Outside, size: int, now: datetime) -> list[ParcelKey]:
        """Let merchants ship or decline what is due to them; return the parcels that left."""
        if now.hour not in SHIP_HOURS:
            return []
        left: list[ParcelKey] = []
        for merchant_id in self.merchant_ids:
            queue = [
                one for one in await read_ship_by_queue(conn, merchant_id, now + _HORIZON, _QUEUE) if self._is_mine(one) and self._is_time(one, now)
            ]
            for part in chunks(queue, size):
                async with conn.transaction():
                    left += await self._treat(conn, outside, part, now)
        return left

    def _is_mine(self, consignment: Consignment) -> bool:
        """Tell whether the merchant packs this consignment and may do so now."""
        return consignment.doer == Role.MERCHANT and consignment.state is ConsignmentState.RELEASED

    def _is_time(self, consignment: Consignment, now: datetime) -> bool:
        """Tell whether the merchant gets round to a consignment."""
        mood = self._mood(consignment)
        wait = timedelta(hours=mood["wait_h"] + (72 if mood["late"] else 0))
        return consignment.state_at + wait <= now

    async def _treat(self, conn: Conn, outside: Outside, queue: Sequence[Consignment], now: datetime) -> list[ParcelKey]:
        """Decline some consignments and ship the others."""
        declined = [one for one in queue if self._mood(one)["decline"]]
        if declined:
            parts = await read_allocations(conn, [one.merchant_id for one in declined], [one.order_id for one in declined])
            gone = {one.consignment_id for one in declined}
            asks = [
                CancelAsk(
                    part.merchant_id,
                    part.order_id,
                    part.line_no,
                    part.quantity,
                    "merchant",
                    "out_of_stock",
                    f"decline-{part.consignment_id}-{part.part_no}",
                )
                for part in parts
                if part.consignment_id in gone
            ]
            await cancel_units(conn, outside, asks, SELLER, now)
        shipped = [one for one in queue if not self._mood(one)["decline"]]
        parcels = await confirm_shipments(conn, outside, [self._shipment(one, now) for one in shipped], SELLER, now) if shipped else []
        return [ParcelKey(one.merchant_id, one.parcel_id) for one in parcels]

    def _shipment(self, consignment: Consignment, now: datetime) -> MerchantShipment:
        """Return the merchant's word; half of them use their own label with the lane's carrier."""
        number = f"M{consignment.consignment_id.int % 10**12:012d}" if self._mood(consignment)["own"] else None
        return MerchantShipment(consignment.merchant_id, consignment.consignment_id, consignment.carrier_code, number, now)
