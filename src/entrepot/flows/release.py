"""Paid orders become work for whoever the plan names: a place's floor, the merchant, or first of all customs."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from entrepot.base.actor import RUNNER
from entrepot.base.audit import Act, Fact, write_acts, write_facts
from entrepot.base.due import Due, add_due
from entrepot.base.sql import Conn
from entrepot.flows.order_hold import keep_held
from entrepot.flows.outside import Outside
from entrepot.flows.reference import Reference
from entrepot.freight.consign import plan_consignments, release_consignments
from entrepot.freight.model import ConsignmentKey, ConsignmentPlan
from entrepot.operations.model import Channel, PlaceKind, Step
from entrepot.operations.plan import Plan
from entrepot.orders.advance import set_order_states
from entrepot.orders.model import Allocation, Line, Order, OrderState, Promise
from entrepot.orders.read import read_allocations, read_lines, read_orders, read_promises
from entrepot.warehouse.model import NewFulfilmentLine, NewFulfilmentOrder, WorkCause
from entrepot.warehouse.queue import queue_orders

DECLARE = "declare_consignments"
SHIP_BY = "warn_ship_by"
STANDARD = "standard"
"""Customs regime of a parcel that crosses a border under ordinary rules; the rule in force names the declaration."""


class OrderWork(Struct, frozen=True):
    """One consignment of an order with everything that whoever packs it has to know."""

    order: Order
    plan: Plan
    promise: Promise
    parts: tuple[tuple[Allocation, Line], ...]
    regime_code: str | None

    @property
    def consignment_id(self) -> uuid.UUID:
        """The consignment of this work."""
        return self.promise.promise_id

    @property
    def is_packed_by_platform(self) -> bool:
        """Whether a floor of the platform packs it."""
        return self.plan.platform_does(Step.PACK, channel=Channel(self.order.channel_code))


async def release_orders(conn: Conn, outside: Outside, keys: Sequence[tuple[uuid.UUID, uuid.UUID]], now: datetime) -> None:
    """Plan the consignments of paid orders; those that customs must see first are declared, the others start at once."""
    if keys:
        await release_work(conn, outside, await read_work(conn, outside.reference, keys), now)
        await keep_held(conn, keys)


async def release_work(conn: Conn, outside: Outside, work: Sequence[OrderWork], now: datetime) -> None:
    """Plan consignments; those that customs must see first are declared, the others start at once."""
    if not work:
        return
    await plan_consignments(conn, [_consignment(outside.reference, one) for one in work], now)
    await start_work(conn, [one for one in work if not one.plan.needs_declaration_before_release], now)
    bordered = [one for one in work if one.regime_code is not None]
    await add_due(conn, [Due(one.order.merchant_id, DECLARE, one.consignment_id, now, one.order.person_id) for one in bordered])


async def read_work(conn: Conn, reference: Reference, keys: Sequence[tuple[uuid.UUID, uuid.UUID]]) -> list[OrderWork]:
    """Read the consignments of orders with their open parts, in order of order and consignment."""
    merchant_ids, order_ids = [key[0] for key in keys], [key[1] for key in keys]
    orders = await read_orders(conn, merchant_ids, order_ids)
    lines, promises = await read_lines(conn, merchant_ids, order_ids), await read_promises(conn, merchant_ids, order_ids)
    return work_of(reference, orders, lines, promises, await read_allocations(conn, merchant_ids, order_ids))


def work_of(
    reference: Reference, orders: Sequence[Order], lines: Sequence[Line], promises: Sequence[Promise], allocations: Sequence[Allocation]
) -> list[OrderWork]:
    """Return the consignments of orders with their open parts, in order of order and consignment."""
    by_id = {(one.merchant_id, one.order_id): one for one in orders}
    line_of = {(one.merchant_id, one.order_id, one.line_no): one for one in lines}
    promised = {one.promise_id: one for one in promises}
    parts: dict[uuid.UUID, list[tuple[Allocation, Line]]] = {}
    for one in sorted(allocations, key=lambda part: (part.merchant_id.int, part.order_id.int, part.line_no, part.part_no)):
        parts.setdefault(one.consignment_id, []).append((one, line_of[one.merchant_id, one.order_id, one.line_no]))
    work: list[OrderWork] = []
    for consignment_id, served in parts.items():
        allocation, line = served[0]
        order = by_id[allocation.merchant_id, allocation.order_id]
        plan = reference.registry.plan(line.model_code, line.plan_version)
        regime = _regime_code(reference, plan, allocation.place_code, order.to_country_code)
        work.append(OrderWork(order, plan, promised[consignment_id], tuple(served), regime))
    return work


def _regime_code(reference: Reference, plan: Plan, place_code: str, to_country_code: str) -> str | None:
    """Return the customs regime a consignment travels under, or None inside one customs territory."""
    place = reference.network.place(place_code)
    regime = plan.regime_at(PlaceKind(place.kind))
    if regime is not None:
        return regime.code
    return STANDARD if reference.network.crosses_border(place_code, to_country_code) else None


def _consignment(reference: Reference, work: OrderWork) -> ConsignmentPlan:
    """Return the consignment as freight keeps it."""
    order, promise = work.order, work.promise
    lanes = reference.network.lanes[promise.place_code, order.to_country_code]
    lane = next(lane for lane in lanes if lane.service_code == promise.service_code)
    return ConsignmentPlan(
        order.merchant_id,
        work.consignment_id,
        order.order_id,
        promise.place_code,
        order.to_country_code,
        order.postcode_prefix,
        work.plan.model_code,
        work.plan.version,
        work.plan.doer(Step.PACK, channel=Channel(order.channel_code)),
        lane.carrier_code,
        lane.service_code.partition(":")[2],
        promise.ship_by_at,
        promise.from_on,
        promise.to_on,
        sum(allocation.quantity for allocation, _ in work.parts),
        work.regime_code,
    )


async def start_work(conn: Conn, work: Sequence[OrderWork], now: datetime) -> None:
    """Give consignments to whoever packs them: a fulfilment order for a floor, a ship-by date for a merchant."""
    if not work:
        return
    released = await release_consignments(conn, [ConsignmentKey(one.order.merchant_id, one.consignment_id) for one in work], now)
    await queue_orders(conn, [_fulfilment_order(one, now) for one in work if one.is_packed_by_platform])
    await keep_held(conn, [(one.merchant_id, one.order_id) for one in released if one.is_held])
    by_merchant = [one for one in work if not one.is_packed_by_platform]
    await add_due(conn, [Due(one.order.merchant_id, SHIP_BY, one.consignment_id, one.promise.ship_by_at) for one in by_merchant])
    merchant_ids, order_ids = [one.order.merchant_id for one in work], [one.order.order_id for one in work]
    await set_order_states(conn, merchant_ids, order_ids, [OrderState.PAID], OrderState.IN_WORK, now)
    await write_acts(conn, [Act(one.order.merchant_id, one.consignment_id, "release_consignment", now, RUNNER) for one in work])
    await write_facts(
        conn, [Fact(one.order.merchant_id, one.consignment_id, "consignment_released", now, {"place": one.promise.place_code}) for one in work]
    )


def _fulfilment_order(work: OrderWork, now: datetime) -> NewFulfilmentOrder:
    """Return the floor's document for a consignment; it carries the consignment's id."""
    is_sale = work.order.channel_code == Channel.STORE
    return NewFulfilmentOrder(
        work.order.merchant_id,
        work.consignment_id,
        work.order.order_id,
        work.consignment_id,
        work.promise.place_code,
        WorkCause.SALE if is_sale else WorkCause.OUTBOUND_ORDER,
        work.promise.ship_by_at,
        now,
        tuple(
            NewFulfilmentLine(
                allocation.line_no,
                allocation.part_no,
                line.stock_item_id,
                allocation.quantity,
                allocation.owner_id,
                customs_status=allocation.customs_status,
            )
            for allocation, line in work.parts
        ),
    )
