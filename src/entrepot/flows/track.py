"""What carriers report: one vocabulary, late, double and out of order; what changed moves units, promises and money."""

from collections.abc import Sequence
from datetime import datetime

from entrepot.base.sql import Conn
from entrepot.flows.order_to_cash import record_arrivals
from entrepot.flows.outside import Outside
from entrepot.freight.model import CarrierEvent, Recorded
from entrepot.freight.track import record_events


async def record_tracking(conn: Conn, outside: Outside, events: Sequence[CarrierEvent], now: datetime) -> Recorded:
    """Record carrier events and let parcels that reached an end change the books; an event of an unknown parcel is told as such."""
    recorded = await record_events(conn, events)
    await record_arrivals(conn, outside, recorded.parcels, now)
    return recorded
