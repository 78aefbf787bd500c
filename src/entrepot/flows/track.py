"""What carriers report: one vocabulary, late, double and out of order; what changed moves units, promises and money."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from entrepot.aftersales.model import CauseKind
from entrepot.base.actor import Actor, ActorKind
from entrepot.base.sql import Conn
from entrepot.customs.read import read_turned_back
from entrepot.flows.forward import with_lines
from entrepot.flows.order_to_cash import FAILED, failed_parcels, record_arrivals
from entrepot.flows.outside import Outside
from entrepot.flows.pay_back import pay_back
from entrepot.flows.refuse_at_border import refunds_of_parcels
from entrepot.freight.model import CarrierEvent, ParcelChange, ParcelState, Recorded
from entrepot.freight.track import record_events

CARRIER: Final = Actor(ActorKind.CARRIER, "carrier", "carrier")


async def record_tracking(conn: Conn, outside: Outside, events: Sequence[CarrierEvent], now: datetime) -> Recorded:
    """Record carrier events and let parcels that reached an end change the books; what will not arrive is paid back in full.

    An event of an unknown parcel is told as such and changes nothing.
    """
    recorded = await record_events(conn, events)
    changes = await _without_turned_back(conn, recorded.parcels)
    failed = await with_lines(conn, failed_parcels(changes))
    others = [one for one in changes if one.state not in FAILED]
    await record_arrivals(conn, outside, [*others, *failed], now)
    if failed:
        await pay_back(conn, outside, await refunds_of_parcels(conn, outside, failed, CauseKind.LOST), CARRIER, now)
    return recorded


_BACK: Final = frozenset({ParcelState.RETURNING, ParcelState.RETURNED, ParcelState.DESTROYED})


async def _without_turned_back(conn: Conn, changes: Sequence[ParcelChange]) -> list[ParcelChange]:
    """Leave out parcels that customs refused: their units have left the carrier and were paid back, whatever the carrier still reports."""
    asked = [one for one in changes if one.previous_state in _BACK]
    told = await read_turned_back(conn, [one.merchant_id for one in asked], [one.parcel_id for one in asked]) if asked else {}
    return [one for one in changes if (one.merchant_id, one.parcel_id) not in told]
