"""Holding what a checkout needs, all or nothing: units at their places and the buyer's quota; and letting go of it."""

import uuid
from collections.abc import Sequence

from msgspec.structs import replace

from entrepot.base.errors import EntrepotError
from entrepot.base.sql import Conn
from entrepot.base.time import on_date
from entrepot.books.stock.model import Consumption, ReservationAsk
from entrepot.books.stock.reserve import release_units, reserve_units
from entrepot.customs.cbec import CbecYearOverLimitError
from entrepot.customs.fit import read_attempts
from entrepot.customs.hold import hold_quota, release_quota
from entrepot.customs.quota import CloseAsk, HoldAsk, QuotaOutcome
from entrepot.customs.rules import cbec_limit_on
from entrepot.flows.plan_checkout import CheckoutPlan
from entrepot.flows.reference import Reference
from entrepot.flows.write_checkout import reservation_asks
from entrepot.orders.model import NotEnoughUnitsError


async def hold_checkouts(conn: Conn, reference: Reference, plans: Sequence[CheckoutPlan]) -> dict[uuid.UUID, EntrepotError]:
    """Hold units and quota of every checkout; return the refusals by checkout, of which nothing stays held."""
    asks = [(plan, ask) for plan in plans for ask in reservation_asks(plan)]
    answers = await reserve_units(conn, [ask for _, ask in asks])
    refusals: dict[uuid.UUID, EntrepotError] = {}
    for (plan, ask), answer in zip(asks, answers, strict=True):
        if not answer.is_held:
            refusals[plan.request.checkout_id] = NotEnoughUnitsError(
                f"lines[{_sku(plan, ask)}].quantity", ask.quantity, "%(units)s units are left.", units=answer.free
            )
    refusals |= await _hold_quota(conn, reference, [plan for plan in plans if plan.request.checkout_id not in refusals])
    held = [ask for (plan, ask), answer in zip(asks, answers, strict=True) if answer.is_held and plan.request.checkout_id in refusals]
    await release_units(conn, [Consumption(ask.merchant_id, ask.holder_id, ask.line_no, ask.part_no, ask.quantity) for ask in held])
    return refusals


async def _hold_quota(conn: Conn, reference: Reference, plans: Sequence[CheckoutPlan]) -> dict[uuid.UUID, EntrepotError]:
    """Hold the dutiable value of orders in the buyers' years; a checkout of which one order is refused gives the others' back.

    A checkout that is placed once more at the same instant has the same orders: what they held then was closed, so they hold anew.
    """
    first = [(plan, ask) for plan in plans for ask in quota_asks(reference, plan)]
    if not first:
        return {}
    attempts = await read_attempts(conn, [ask.person_id for _, ask in first], [ask.order_id for _, ask in first])
    asks = [(plan, replace(ask, attempt=attempts.get((ask.person_id, ask.order_id), 0) + 1)) for plan, ask in first]
    answers = await hold_quota(conn, [ask for _, ask in asks])
    refusals: dict[uuid.UUID, EntrepotError] = {
        plan.request.checkout_id: CbecYearOverLimitError(
            "order",
            f"{ask.value_minor / 100:.2f} CNY",
            "At most %(free)s CNY are left this year as far as known here.",
            free=f"{answer.free_minor / 100:.2f}",
        )
        for (plan, ask), answer in zip(asks, answers, strict=True)
        if answer.outcome is QuotaOutcome.REFUSED
    }
    back = [
        CloseAsk(ask.person_id, ask.order_id, ask.attempt, ask.at, "checkout_refused")
        for (plan, ask), answer in zip(asks, answers, strict=True)
        if answer.outcome is QuotaOutcome.DONE and plan.request.checkout_id in refusals
    ]
    if back:
        await release_quota(conn, back)
    return refusals


def quota_asks(reference: Reference, plan: CheckoutPlan) -> list[HoldAsk]:
    """Return what a checkout takes of its buyer's year, order by order, at the first attempt."""
    request = plan.request
    if request.identity_id is None or not plan.quota_value_minor:
        return []
    on = on_date(request.at, reference.marketplaces[request.marketplace_code].time_zone)
    limit = cbec_limit_on(reference.customs, on)
    year_minor = limit.year_minor if limit is not None else 0
    return [
        HoldAsk(request.identity_id, order_id, 1, on.year, year_minor, value_minor, request.at, "order_placed")
        for order_id, value_minor in plan.quota_value_minor.items()
    ]


def _sku(plan: CheckoutPlan, ask: ReservationAsk) -> str:
    """Return the SKU of the line that a hold belongs to."""
    return next(line.offer.sku for line in plan.lines if (line.order_id, line.line_no) == (ask.holder_id, ask.line_no))
