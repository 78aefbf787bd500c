"""A buyer's import year follows the order: what is cancelled comes back, what customs released counts as used, what turned back is returned."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from entrepot.base.sql import Conn
from entrepot.customs.fit import WITHDRAWN, OrderQuota, ShrinkAsk, read_order_quota, shrink_quota
from entrepot.customs.hold import release_quota, return_quota, use_quota
from entrepot.customs.quota import CloseAsk, ReturnAsk
from entrepot.flows.customs_papers import Case, OrderKey, read_cases
from entrepot.flows.reference import Reference
from entrepot.orders.pay import read_checkouts
from entrepot.orders.read import read_orders

YearKey = tuple[uuid.UUID, uuid.UUID]
"""Person and order."""


async def read_years(conn: Conn, order_keys: Sequence[OrderKey]) -> dict[uuid.UUID, OrderQuota]:
    """Return what orders take of their orderers' years, by order; orders that take nothing are left out."""
    orders = await read_orders(conn, [key[0] for key in order_keys], [key[1] for key in order_keys])
    checkouts = await read_checkouts(conn, [one.person_id for one in orders], [one.checkout_id for one in orders])
    identities = {one.checkout_id: one.identity_id for one in checkouts}
    asked = [(identity_id, one.order_id) for one in orders if (identity_id := identities[one.checkout_id]) is not None]
    taken = await read_order_quota(conn, [key[0] for key in asked], [key[1] for key in asked]) if asked else {}
    return {order_id: quota for (_, order_id), quota in taken.items()}


async def fit_years(conn: Conn, reference: Reference, order_keys: Sequence[OrderKey], now: datetime) -> None:
    """Give back what orders no longer need after a cancellation; called again it finds nothing to give."""
    years = await read_years(conn, order_keys)
    if not years:
        return
    wanted: dict[uuid.UUID, int] = dict.fromkeys(years, 0)
    for case in await read_cases(conn, reference, order_keys):
        order_id = case.work.order.order_id
        if case.work.plan.uses_quota and order_id in wanted:
            wanted[order_id] += case.papers.value_minor
    await _give_back(conn, [(quota, wanted[order_id]) for order_id, quota in sorted(years.items())], now)


async def _give_back(conn: Conn, fits: Sequence[tuple[OrderQuota, int]], now: datetime) -> None:
    """Release, shrink or return, depending on whether customs has released the goods."""
    surplus = [(quota, target) for quota, target in fits if quota.taken_minor > target]
    held = [(quota, target - quota.used_minor) for quota, target in surplus if quota.held_minor]
    ended = [CloseAsk(one.person_id, one.order_id, one.attempt, now, "order_cancelled") for one, kept in held if kept <= 0]
    shrunk = [ShrinkAsk(one.person_id, one.order_id, one.attempt, kept, now, "order_part_cancelled") for one, kept in held if kept > 0]
    back = [
        ReturnAsk(one.person_id, one.order_id, f"{WITHDRAWN}{target}", one.used_minor - target, now, "declaration_withdrawn")
        for one, target in surplus
        if not one.held_minor
    ]
    if ended:
        await release_quota(conn, ended)
    if shrunk:
        await shrink_quota(conn, shrunk)
    if back:
        await return_quota(conn, back)


class ValueBack(Struct, frozen=True):
    """Declared value in minor units that a parcel that never arrived gives back to its buyer's year; the key counts once.

    What was used comes back only where customs accepts the return; what was still held comes back in any case.
    """

    merchant_id: uuid.UUID
    order_id: uuid.UUID
    return_key: str
    value_minor: int
    is_accepted: bool
    used_cause: str
    held_cause: str


async def give_value_back(conn: Conn, backs: Sequence[ValueBack], now: datetime) -> None:
    """Give years the value of parcels back, in the order given; orders that take nothing of a year are passed over."""
    taken = await read_years(conn, sorted({(one.merchant_id, one.order_id) for one in backs})) if backs else {}
    returned: list[ReturnAsk] = []
    for one in backs:
        quota = taken.get(one.order_id)
        if quota is None or not one.value_minor:
            continue
        if not quota.held_minor:
            if one.is_accepted:
                returned.append(ReturnAsk(quota.person_id, one.order_id, one.return_key, one.value_minor, now, one.used_cause))
            continue
        kept = quota.held_minor - one.value_minor
        if kept > 0:
            await shrink_quota(conn, [ShrinkAsk(quota.person_id, one.order_id, quota.attempt, kept, now, one.held_cause)])
        else:
            await release_quota(conn, [CloseAsk(quota.person_id, one.order_id, quota.attempt, now, one.held_cause)])
        taken |= await read_years(conn, [(one.merchant_id, one.order_id)])
    if returned:
        await return_quota(conn, returned)


async def use_years(conn: Conn, reference: Reference, order_keys: Sequence[OrderKey], now: datetime) -> None:
    """Count holds as used where customs has released everything that is left of an order; a hold ends once and whole."""
    years = await read_years(conn, order_keys)
    cases: dict[uuid.UUID, list[Case]] = {}
    for case in await read_cases(conn, reference, order_keys) if years else []:
        if case.work.plan.uses_quota:
            cases.setdefault(case.work.order.order_id, []).append(case)
    used = [
        CloseAsk(quota.person_id, order_id, quota.attempt, now, "customs_released")
        for order_id, quota in sorted(years.items())
        if quota.held_minor and order_id in cases and all(case.is_released for case in cases[order_id])
    ]
    if used:
        await use_quota(conn, used)
