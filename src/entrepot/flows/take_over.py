"""Somebody else has paid: with the payer's consent the payer stands as the orderer, and the year of that person bears the order."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from entrepot.base.actor import Actor
from entrepot.base.audit import Act, Fact, write_acts, write_facts
from entrepot.base.due import Due, add_due
from entrepot.base.sql import Conn
from entrepot.customs.fit import OrderQuota
from entrepot.customs.hold import hold_quota, release_quota
from entrepot.customs.quota import CloseAsk, HoldAsk, QuotaAnswer, QuotaOutcome
from entrepot.customs.rules import cbec_limit_on
from entrepot.flows.clear_customs import PAYER_DIFFERS
from entrepot.flows.customs_papers import UNDECIDED, Case, read_cases
from entrepot.flows.declare_lines import evaluated_on
from entrepot.flows.outside import Outside
from entrepot.flows.redeclare import take_back
from entrepot.flows.release import DECLARE
from entrepot.flows.year_quota import read_years
from entrepot.orders.model import Order
from entrepot.orders.pay import set_orderers
from entrepot.orders.read import read_checkout_orders, read_orders


class TakeOverOutcome(StrEnum):
    """What became of a wish to take an order over; only `done` changed something."""

    DONE = "done"
    NOT_HELD = "not_held"
    YEAR_OVER = "year_over"


class TakeOver(Struct, frozen=True):
    """The payer of an order's checkout agrees to stand as its orderer; `consent` says how and where that was given."""

    merchant_id: uuid.UUID
    order_id: uuid.UUID
    consent: str


class TakeOverAnswer(Struct, frozen=True):
    """The answer to a wish: its outcome, and what is free in the payer's year in fen where that is too little."""

    outcome: TakeOverOutcome
    free_minor: int = 0


async def take_over_as_payer(conn: Conn, outside: Outside, asks: Sequence[TakeOver], actor: Actor, now: datetime) -> list[TakeOverAnswer]:
    """Let payers take over what customs holds because they are not the orderers; all orders of the checkout follow, and are declared again at once."""
    return [await _take_over(conn, outside, ask, actor, now) for ask in asks]  # each changes the year that the next one meets


async def _take_over(conn: Conn, outside: Outside, ask: TakeOver, actor: Actor, now: datetime) -> TakeOverAnswer:
    """Move the holds from one identity to the other, all or none, and replace the held declarations."""
    orders = await _orders_of_checkout(conn, ask)
    cases = await read_cases(conn, outside.reference, [(order.merchant_id, order.order_id) for order in orders])
    held = [case for case in cases if any(one.cause_code == PAYER_DIFFERS for one in case.latest)]
    payer_id = held[0].papers.payer_id if held else None
    if payer_id is None:
        return TakeOverAnswer(TakeOverOutcome.NOT_HELD)
    years = await read_years(conn, [(order.merchant_id, order.order_id) for order in orders])
    moved = [quota for _, quota in sorted(years.items()) if quota.held_minor]
    refusal = await _move_holds(conn, outside, held[0], moved, payer_id, now)
    if refusal is not None:
        return TakeOverAnswer(TakeOverOutcome.YEAR_OVER, refusal.free_minor)
    await set_orderers(conn, [orders[0].person_id], [orders[0].checkout_id], [payer_id])
    await take_back(conn, [one for case in cases for one in case.latest if one.state in UNDECIDED], "payer_took_over", now)
    await add_due(conn, [Due(case.key.merchant_id, DECLARE, case.key.consignment_id, now, case.work.order.person_id) for case in cases])
    await write_acts(conn, [Act(order.merchant_id, order.order_id, "take_over_as_payer", now, actor, ask.consent) for order in orders])
    await write_facts(conn, [Fact(order.merchant_id, order.order_id, "payer_took_over", now, {"number": order.number}) for order in orders])
    return TakeOverAnswer(TakeOverOutcome.DONE)


async def _orders_of_checkout(conn: Conn, ask: TakeOver) -> list[Order]:
    """Return all orders that were paid together with this one."""
    asked = await read_orders(conn, [ask.merchant_id], [ask.order_id])
    return await read_checkout_orders(conn, [one.checkout_id for one in asked]) if asked else []


async def _move_holds(
    conn: Conn, outside: Outside, case: Case, moved: Sequence[OrderQuota], payer_id: uuid.UUID, now: datetime
) -> QuotaAnswer | None:
    """Hold in the payer's year what the orderer's year holds, then release that; return the first refusal, after which nothing is moved."""
    on = evaluated_on(outside.reference, case.papers)
    limit = cbec_limit_on(outside.reference.customs, on)
    year_minor = limit.year_minor if limit is not None else 0
    asks = [
        HoldAsk(payer_id, one.order_id, one.attempt + 1, one.year_no, year_minor, one.held_minor, now, "payer_took_over")
        for one in moved
        if one.person_id != payer_id
    ]
    answers = await hold_quota(conn, asks) if asks else []
    refused = [answer for answer in answers if answer.outcome is QuotaOutcome.REFUSED]
    if refused:
        done = [ask for ask, answer in zip(asks, answers, strict=True) if answer.outcome is QuotaOutcome.DONE]
        if done:
            await release_quota(conn, [CloseAsk(ask.person_id, ask.order_id, ask.attempt, now, "take_over_refused") for ask in done])
        return refused[0]
    if asks:
        await release_quota(
            conn, [CloseAsk(one.person_id, one.order_id, one.attempt, now, "payer_took_over") for one in moved if one.person_id != payer_id]
        )
    return None
