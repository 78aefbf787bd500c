"""What carriers report: one vocabulary, late, double and out of order; what changed moves units, promises and money."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from entrepot.base.sql import Conn
from entrepot.customs.read import read_turned_back
from entrepot.flows.order_to_cash import record_arrivals
from entrepot.flows.outside import Outside
from entrepot.freight.model import CarrierEvent, ParcelChange, ParcelState, Recorded
from entrepot.freight.track import record_events


async def record_tracking(conn: Conn, outside: Outside, events: Sequence[CarrierEvent], now: datetime) -> Recorded:
    """Record carrier events and let parcels that reached an end change the books; an event of an unknown parcel is told as such."""
    recorded = await record_events(conn, events)
    await record_arrivals(conn, outside, await _without_turned_back(conn, recorded.parcels), now)
    return recorded


_BACK: Final = frozenset({ParcelState.RETURNING, ParcelState.RETURNED, ParcelState.DESTROYED})


async def _without_turned_back(conn: Conn, changes: Sequence[ParcelChange]) -> list[ParcelChange]:
    """Leave out parcels that customs refused: their units have left the carrier and were paid back, whatever the carrier still reports."""
    asked = [one for one in changes if one.previous_state in _BACK]
    told = await read_turned_back(conn, [one.merchant_id for one in asked], [one.parcel_id for one in asked]) if asked else {}
    return [one for one in changes if (one.merchant_id, one.parcel_id) not in told]
