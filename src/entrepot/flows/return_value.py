"""What a return is worth: the refund, the tax and import year that customs gives back, and the fees for it, referral returned."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from entrepot.aftersales.model import CauseKind, Return
from entrepot.aftersales.refund_share import ChargedLine, FreightRule, LeviesRule, refund_units, unit_share
from entrepot.base.actor import Actor
from entrepot.base.sql import Conn
from entrepot.base.time import on_date
from entrepot.books.money.post import post_entries
from entrepot.customs.cbec import is_return_accepted
from entrepot.customs.declare import insert_messages
from entrepot.customs.hold import return_quota
from entrepot.customs.model import CustomsMessage, MessageKind
from entrepot.customs.quota import ReturnAsk
from entrepot.customs.rules import cbec_limit_on
from entrepot.flows.charge import Charge, charge_fees, fee_postings
from entrepot.flows.judge_return import ReturnGround
from entrepot.flows.outside import Outside
from entrepot.flows.pay_back import LineCharge, PaidBackOutcome, PayBack, pay_back
from entrepot.flows.year_quota import read_years
from entrepot.operations.model import FeeCode, FeeTrigger
from entrepot.settlement.fees import FeeLine, give_back, share_minor
from entrepot.settlement.store import FeeEntry, fee_entries, insert_fee_lines, read_line_fees

GIVEN_BACK = "given_back"
"""Event of a fee line by which a fee goes back to the merchant with a refund."""


class BackUnits(Struct, frozen=True):
    """Units of a return that count now, by line, and whether an office gives its levies back for them."""

    stored: Return
    units: dict[int, int]
    levies: LeviesRule


def received_units(stored: Return) -> dict[int, int]:
    """Return the received units of a return by line."""
    units: dict[int, int] = {}
    for line in stored.lines:
        if line.received:
            units[line.line_no] = units.get(line.line_no, 0) + line.received
    return units


# -- customs ---------------------------------------------------------------------------------------------------------


def levies_rule(ground: ReturnGround, stored: Return, back_at: datetime) -> LeviesRule:
    """Return whether customs accepts a return: in time, counted from the release. Elsewhere tax goes back with the goods."""
    line = stored.lines[0]
    part = ground.find((stored.merchant_id, stored.order_id, line.line_no), line.part_no)
    if not part.plan.uses_quota:
        return LeviesRule.WITH_THE_GOODS
    order = ground.charges[stored.merchant_id, stored.order_id, line.line_no].order
    zone = ground.reference.marketplaces[order.marketplace_code].time_zone
    if part.released_at is None:
        return LeviesRule.KEPT_BY_THE_OFFICE
    released_on = on_date(part.released_at, zone)
    limit = cbec_limit_on(ground.reference.customs, released_on)
    is_accepted = limit is not None and is_return_accepted(limit, released_on, on_date(stored.asked_at, zone), on_date(back_at, zone))
    return LeviesRule.WITH_THE_GOODS if is_accepted else LeviesRule.KEPT_BY_THE_OFFICE


async def return_years(conn: Conn, ground: ReturnGround, backs: Sequence[BackUnits], now: datetime) -> None:
    """Give buyers' years back exactly the dutiable value of what customs accepted, and keep customs' word; call it before units are counted."""
    accepted = [one for one in backs if one.levies is LeviesRule.WITH_THE_GOODS and _declaration_of(ground, one) is not None]
    years = await read_years(conn, sorted({(one.stored.merchant_id, one.stored.order_id) for one in accepted})) if accepted else {}
    asks: list[ReturnAsk] = []
    messages: list[CustomsMessage] = []
    before: dict[tuple[uuid.UUID, int], int] = {}
    for one in accepted:
        stored, declaration_id = one.stored, _declaration_of(ground, one)
        quota = years.get(stored.order_id)
        if quota is None or declaration_id is None:
            continue
        value = 0
        for line_no, units in one.units.items():
            charge = ground.charges[stored.merchant_id, stored.order_id, line_no]
            gone = before.setdefault((stored.order_id, line_no), charge.standing.cancelled + charge.standing.returned)
            value += _dutiable_minor(charge, gone, units)
            before[stored.order_id, line_no] += units
        if value:
            asks.append(ReturnAsk(quota.person_id, stored.order_id, f"rma:{stored.rma_id}", value, now, "return_accepted"))
        body = {"rma": str(stored.rma_id), "pieces": {str(line_no): units for line_no, units in one.units.items()}, "value_minor": value}
        messages.append(CustomsMessage(stored.merchant_id, f"return:rma:{stored.rma_id}", declaration_id, MessageKind.RETURN, body, now))
    if asks:
        await return_quota(conn, asks)
    if messages:
        await insert_messages(conn, messages)


def _declaration_of(ground: ReturnGround, one: BackUnits) -> uuid.UUID | None:
    """Return the declaration under which retail imports of a return came in; None where no year is kept."""
    line = one.stored.lines[0]
    part = ground.find((one.stored.merchant_id, one.stored.order_id, line.line_no), line.part_no)
    return part.declaration_id if part.plan.uses_quota else None


def _dutiable_minor(charge: LineCharge, before: int, units: int) -> int:
    """Return what units of a line, after others are gone, counted to the buyer's year."""
    whole = ChargedLine(charge.line.line_no, charge.line.quantity, charge.gone.charged)
    if before:
        gone = unit_share(whole, before, FreightRule.BY_UNITS, LeviesRule.WITH_THE_GOODS)
        whole = ChargedLine(charge.line.line_no, charge.line.quantity, charge.gone.charged, before, gone)
    share = unit_share(whole, units, FreightRule.BY_UNITS, LeviesRule.WITH_THE_GOODS)
    return share.goods_minor - share.discount_minor + share.freight_minor + share.insurance_minor


# -- money -----------------------------------------------------------------------------------------------------------


async def refund_returns(conn: Conn, outside: Outside, ground: ReturnGround, backs: Sequence[BackUnits], actor: Actor, now: datetime) -> None:
    """Pay returns back, give the merchant its referral back and charge what a refund costs; a return that was paid back is passed over."""
    charges: dict[tuple[uuid.UUID, uuid.UUID], dict[int, LineCharge]] = {}
    for (merchant_id, order_id, line_no), charge in ground.charges.items():
        charges.setdefault((merchant_id, order_id), {})[line_no] = charge
    refunds: list[PayBack] = []
    for one in backs:
        stored = one.stored
        mine = charges[stored.merchant_id, stored.order_id]
        units = {line_no: min(count, mine[line_no].line.quantity - mine[line_no].gone.refunded_quantity) for line_no, count in one.units.items()}
        due = {line_no: count for line_no, count in units.items() if count}
        if not due:
            continue
        lines = refund_units([charge.gone for charge in mine.values()], due, levies_rule=one.levies)
        refunds.append(PayBack(stored.merchant_id, stored.order_id, CauseKind.RETURN, stored.rma_id, lines))
        for line in lines:
            mine[line.line_no] = mine[line.line_no].after(line.quantity, line.amounts)
    answers = await pay_back(conn, outside, refunds, actor, now)
    paid = [one for one, answer in zip(refunds, answers, strict=True) if answer.outcome in {PaidBackOutcome.PAID, PaidBackOutcome.WAITING}]
    await _fees_of_refunds(conn, outside, ground, paid, now)


async def _fees_of_refunds(conn: Conn, outside: Outside, ground: ReturnGround, refunds: Sequence[PayBack], now: datetime) -> None:
    """Give the referral of refunded units back, exactly as it was charged for them, and charge the administration of the refund."""
    keys = sorted({(one.merchant_id, one.order_id, line.line_no) for one in refunds for line in one.lines})
    if not keys:
        return
    charged: dict[tuple[uuid.UUID | None, int], list[FeeLine]] = {}
    given: dict[tuple[uuid.UUID | None, int], int] = {}
    for fee in await read_line_fees(conn, [key[0] for key in keys], [key[1] for key in keys], [key[2] for key in keys], FeeCode.REFERRAL):
        place = (fee.order_id, fee.line_no)
        if fee.line.event == GIVEN_BACK:
            given[place] = given.get(place, 0) + fee.line.units
        else:
            charged.setdefault(place, []).append(fee.line)
    entries: list[FeeEntry] = []
    charges: list[Charge] = []
    for one in refunds:
        for line in one.lines:
            fees = charged.get((one.order_id, line.line_no), [])
            before = given.get((one.order_id, line.line_no), 0)
            back = _referral_back(fees, before, line.quantity)
            given[one.order_id, line.line_no] = before + line.quantity
            if back is not None:
                entries += fee_entries(one.merchant_id, "refund", one.cause_id, line.line_no, [back], now, one.order_id)
            amount = -back.amount_minor if back is not None else 0
            if line.quantity:
                charges.append(Charge(one.merchant_id, one.order_id, line.line_no, line.quantity, one.cause_id, now, refunded_referral_minor=amount))
    orders = {key[:2]: charge.order for key, charge in ground.charges.items()}
    await post_entries(conn, fee_postings(await insert_fee_lines(conn, entries), orders, GIVEN_BACK))
    await charge_fees(conn, outside.reference, FeeTrigger.REFUND, charges)


def _referral_back(fees: Sequence[FeeLine], before: int, units: int) -> FeeLine | None:
    """Return the line that gives the fee of the next units back; all units together give exactly what was charged."""
    whole = sum(fee.units for fee in fees)
    total = sum(fee.amount_minor for fee in fees)
    after = min(before + units, whole)
    amount = share_minor(total, after, whole) - share_minor(total, min(before, whole), whole)
    if not amount:
        return None
    first = fees[0]
    line = FeeLine(first.fee_code, first.event, total, first.currency, first.rule_version, units, first.inputs)
    return give_back(line, GIVEN_BACK, amount, units, whole)
