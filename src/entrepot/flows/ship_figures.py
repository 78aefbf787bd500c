"""What counts in the figures of merchants that send parcels themselves: orders taken, due, late and tracked, each once."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from entrepot.aftersales.model import PerformanceEvent, PerformanceKind
from entrepot.aftersales.record_performance import record_performance
from entrepot.base.audit import Fact, write_facts
from entrepot.base.sql import Conn
from entrepot.freight.model import ConsignmentState
from entrepot.freight.read import Consignment
from entrepot.orders.read import read_orders

WAITING: Final = frozenset({ConsignmentState.RELEASED, ConsignmentState.PART_SHIPPED})
"""States in which a consignment waits for the merchant."""


async def record_ship_due(conn: Conn, consignments: Sequence[Consignment], now: datetime) -> None:
    """Count consignments as due and, where their time has passed at `now`, as late; both bear the instant by which they had to leave."""
    ordered = sorted(consignments, key=lambda one: (one.ship_by_at, one.consignment_id))
    late = [one for one in ordered if one.ship_by_at <= now]
    events = [
        *await taken_events(conn, ordered),
        *(PerformanceEvent(one.merchant_id, one.order_id, PerformanceKind.SHIP_DUE, one.ship_by_at) for one in ordered),
        *(PerformanceEvent(one.merchant_id, one.order_id, PerformanceKind.LATE_SHIPMENT, one.ship_by_at) for one in late),
    ]
    if events:
        await record_performance(conn, events)
    await write_facts(
        conn, [Fact(one.merchant_id, one.consignment_id, "ship_by_missed", one.ship_by_at, {"order": str(one.order_id)}) for one in late]
    )


async def record_bought_tracking(conn: Conn, consignments: Sequence[Consignment], now: datetime) -> None:
    """Count consignments whose label was bought here as tracked: their number is valid by construction."""
    kinds = (PerformanceKind.TRACKING_DUE, PerformanceKind.TRACKING_VALID)
    events = [PerformanceEvent(one.merchant_id, one.order_id, kind, now) for one in consignments for kind in kinds]
    if events:
        await record_performance(conn, events)


async def taken_events(conn: Conn, consignments: Sequence[Consignment]) -> list[PerformanceEvent]:
    """Return that the orders of consignments were taken, at the instant they were placed."""
    orders = await read_orders(conn, [one.merchant_id for one in consignments], [one.order_id for one in consignments])
    return [PerformanceEvent(one.merchant_id, one.order_id, PerformanceKind.ORDER_TAKEN, one.placed_at) for one in orders]
