"""One order, from the question to the money: quoted, placed, paid, released, shipped, delivered, settled.

Read from top to bottom. Each step takes a batch; one order is a batch of one. What happens on the floor between `release_orders` and
`record_shipments` stands in `fulfil.py`, what customs does in `clear_customs.py`, what goes back in `cancel.py`, `return_goods.py` and
`undelivered.py`.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from entrepot.base.actor import RUNNER, Actor
from entrepot.base.audit import Act, Fact, write_acts, write_facts
from entrepot.base.due import Due, add_due, finish_due, postpone_due
from entrepot.base.errors import EntrepotError
from entrepot.base.idempotency import (
    Claim,
    Claimed,
    ClaimState,
    KeyUsedForOtherRequestError,
    find_claimed,
    hash_request,
    keep_answers,
    withdraw_answers,
)
from entrepot.base.ids import derived_id_at
from entrepot.base.sql import Conn, together
from entrepot.base.time import at_ms, on_date, start_of_day
from entrepot.books.money.model import MERCHANT, Entry, MoneyPosting
from entrepot.books.money.post import post_entries, post_new_entries, post_pending
from entrepot.books.money.read import read_order_sums
from entrepot.flows.charge import Charge, charge_facts, charge_fees
from entrepot.flows.forward import move_on
from entrepot.flows.ground import read_ground, read_room
from entrepot.flows.hold import hold_checkouts
from entrepot.flows.invoice import invoice_sales
from entrepot.flows.late_payment import drop_checkouts, hold_again, read_live_orders, refund_late_payments
from entrepot.flows.lock_holds import lock_checkouts
from entrepot.flows.order_hold import keep_held
from entrepot.flows.outside import Outside
from entrepot.flows.pay_back import LineCharge, read_charges
from entrepot.flows.plan_checkout import CheckoutPlan, Ground, plan_checkout
from entrepot.flows.reference import Reference
from entrepot.flows.release import OrderWork, complete_work, release_work, work_of
from entrepot.flows.write_checkout import RESERVE_ACCOUNT, CheckoutRows, add_rows, payment_id_of, pending_decision
from entrepot.freight.model import ParcelChange, ParcelState
from entrepot.operations.model import Channel, FeeTrigger
from entrepot.orders.advance import add_delivered, add_lost, add_shipped, miss_promises, refresh_states, score_promises, set_order_states
from entrepot.orders.model import CheckoutState, LineUnits, NotEnoughUnitsError, Order, OrderRequest, OrderState, Payment, PaymentState
from entrepot.orders.pay import PaymentChange, change_payments, lock_payments, read_payments, set_checkout_states
from entrepot.orders.place import insert_allocations, insert_checkouts, insert_lines, insert_orders
from entrepot.orders.ports import AuthoriseRequest, CaptureRequest, PaymentAnswer
from entrepot.orders.read import read_orders
from entrepot.settlement.model import available_on
from entrepot.settlement.store import TaxEntry, insert_tax_decisions
from entrepot.sourcing.store import keep_decisions

_AT_ONCE: Final = timedelta()
PAY = "take_payments"
EXPIRE = "expire_holds"
SETTLE = "settle_orders"
PLACED_AGAIN = 3
"""How often a checkout that was outrun is placed again, each time in a transaction of its own, before it is refused."""
RETRY_S = 300
"""Seconds after which an undecided payment is asked about again."""
INSTANT_METHODS = frozenset({"invoice", "test_wallet"})
"""Payment methods that are decided with the order."""


_GIVEN_BACK: Final = frozenset({CheckoutState.EXPIRED, CheckoutState.DECLINED})
"""States of checkouts that hold nothing any more."""
FAILED: Final = {ParcelState.LOST: "@lost", ParcelState.DESTROYED: "@gone", ParcelState.RETURNED: "@return"}
"""Where units go that a carrier does not deliver: lost, destroyed, or on their way back to who sent them."""
ENDED: Final = frozenset({ParcelState.DELIVERED, *FAILED})
"""States in which a parcel's units have left the carrier; a report that contradicts them is kept, and moves nothing a second time."""


class PlaceAnswer(Struct, frozen=True):
    """What became of a checkout: placed now, placed before under the same key, or refused with the reason.

    One that `is_outrun` was refused because somebody faster took the units it was planned with.

    `payment_state` is the payment's at the first answer; what waits for it holds its units until `hold_expires_at`.
    """

    checkout_id: uuid.UUID
    state: str
    total_minor: int = 0
    currency: str = ""
    orders: tuple[tuple[uuid.UUID, uuid.UUID], ...] = ()
    refusal: EntrepotError | None = None
    payment_state: str = ""
    hold_expires_at: datetime | None = None
    is_outrun: bool = False


# -- quoted ----------------------------------------------------------------------------------------------------------


async def quote_checkouts(conn: Conn, outside: Outside, requests: Sequence[OrderRequest]) -> list[CheckoutPlan | EntrepotError]:
    """Tell what checkouts would cost and promise, without holding anything."""
    ground = await read_ground(conn, outside.reference, requests)
    return [plan_checkout(request, Ground(ground.reference, ground.offers, ground.merchants, dict(ground.shelf))) for request in requests]


# -- placed ----------------------------------------------------------------------------------------------------------


async def place_orders(conn: Conn, outside: Outside, requests: Sequence[OrderRequest], actor: Actor) -> list[PlaceAnswer]:
    """Place checkouts: claim keys, choose places, hold units and quota, write orders, promises, taxes and entries, all in one transaction.

    Each checkout is decided on its own, in the order given: what one refusal leaves is free for the next. Where somebody faster emptied the
    chosen place meanwhile, the answer `is_outrun`: another place may serve it, so it is worth placing again in a transaction of its own.
    """
    if not requests:
        return []
    claims = [Claim(one.person_id, one.request_key, _hash(one), one.at) for one in requests]
    claimed, ground = await together(conn, find_claimed(conn, claims), read_ground(conn, outside.reference, requests))
    fresh = [(one, claim) for one, claim, state in zip(requests, claims, claimed, strict=True) if state.state is ClaimState.NEW]
    decided = _Decided()
    if fresh:
        await _decide(conn, outside, fresh, ground, decided, actor)
    stored = await find_claimed(conn, claims) if decided.may_be_overtaken else claimed
    firsts = {_key(one): one for one, _ in fresh}
    answers = [_answer(one, claim, firsts, decided) for one, claim in zip(requests, stored, strict=True)]
    twins = [answer.state == "placed" and claim.state is not ClaimState.NEW for answer, claim in zip(answers, claimed, strict=True)]
    return [replace(answer, state="exists") if is_twin else answer for answer, is_twin in zip(answers, twins, strict=True)]


class _Decided(Struct):
    """What became of a batch: answers and refusals by checkout, those that somebody faster outran, and whether another transaction may have a key.

    Whoever asks twice at once must not be refused because the first time took the last unit: before a refusal is told, the keys are looked up again.
    """

    answers: dict[uuid.UUID, PlaceAnswer] = {}
    refusals: dict[uuid.UUID, EntrepotError] = {}
    outrun: frozenset[uuid.UUID] = frozenset()
    may_be_overtaken: bool = False


async def _decide(conn: Conn, outside: Outside, fresh: Sequence[tuple[OrderRequest, Claim]], read: Ground, decided: _Decided, actor: Actor) -> None:
    """Plan, claim, hold and write checkouts whose keys are free."""
    ground = replace(read, room=await read_room(conn, outside.reference, [one for one, _ in fresh]))
    planned: list[tuple[CheckoutPlan, Claim, PlaceAnswer]] = []
    for one, claim in fresh:
        plan = plan_checkout(one, ground)
        if isinstance(plan, EntrepotError):
            decided.refusals[one.checkout_id] = plan
        else:
            planned.append((plan, claim, _placed(plan, outside.hold_s)))
    decided.may_be_overtaken = bool(decided.refusals)
    if not planned:
        return
    kept = await keep_answers(conn, [claim for _, claim, _ in planned], [_stored(answer) for _, _, answer in planned])
    held = [one for one in planned if _key(one[0].request) in kept]
    refused = await hold_checkouts(conn, outside.reference, [plan for plan, _, _ in held])
    await withdraw_answers(conn, [claim for plan, claim, _ in held if plan.request.checkout_id in refused])
    accepted = [(plan, answer) for plan, _, answer in held if plan.request.checkout_id not in refused]
    await _write(conn, outside, [plan for plan, _ in accepted], ground, actor)
    decided.answers = {plan.request.checkout_id: answer for plan, answer in accepted}
    decided.refusals |= refused
    decided.outrun = frozenset(checkout_id for checkout_id, refusal in refused.items() if isinstance(refusal, NotEnoughUnitsError))
    decided.may_be_overtaken |= len(held) < len(planned)


def _key(request: OrderRequest) -> tuple[uuid.UUID, str]:
    """Return whose key a request comes under."""
    return request.person_id, request.request_key


def _hash(request: OrderRequest) -> bytes:
    """Hash what a buyer asked for, leaving out what differs between two attempts at the same."""
    return hash_request(
        request.marketplace_code,
        request.channel_code,
        request.to_country_code,
        request.postcode_prefix,
        request.method_code,
        request.lines,
        request.speed_code,
        request.identity_id,
        request.has_accepted_risk,
        request.declared_unit_values,
        request.quote_id,
    )


def _answer(request: OrderRequest, claim: Claimed, firsts: Mapping[tuple[uuid.UUID, str], OrderRequest], decided: _Decided) -> PlaceAnswer:
    """Return the answer to one request; a twin inside the batch gets that of the first with its key."""
    if claim.state is ClaimState.EXISTS_WITH_DIFFERENT_VALUES:
        refusal = KeyUsedForOtherRequestError("request_key", request.request_key, "Use a new key for a new request.")
        return PlaceAnswer(request.checkout_id, "refused", refusal=refusal)
    first = firsts.get(_key(request))
    if claim.answer is not None and (first is None or first.checkout_id not in decided.answers):
        return stored_answer(claim.answer)
    checkout_id = firsts[_key(request)].checkout_id
    if checkout_id in decided.refusals:
        return PlaceAnswer(checkout_id, "refused", refusal=decided.refusals[checkout_id], is_outrun=checkout_id in decided.outrun)
    return decided.answers[checkout_id]


def _placed(plan: CheckoutPlan, hold_s: int) -> PlaceAnswer:
    """Return the answer to a checkout that is carried out as planned."""
    orders = tuple(dict.fromkeys((line.ask.merchant_id, line.order_id) for line in plan.lines))
    state = payment_state_of(plan)
    expires_at = plan.request.at + timedelta(seconds=hold_s) if state is PaymentState.PENDING else None
    return PlaceAnswer(
        plan.request.checkout_id, "placed", plan.total_minor, plan.currency, orders, payment_state=str(state), hold_expires_at=expires_at
    )


def _stored(answer: PlaceAnswer) -> dict[str, object]:
    """Return an answer as it is kept for replays."""
    return {
        "checkout_id": str(answer.checkout_id),
        "total_minor": answer.total_minor,
        "currency": answer.currency,
        "orders": " ".join(f"{merchant_id}/{order_id}" for merchant_id, order_id in answer.orders),
        "payment_state": answer.payment_state,
        "hold_expires_at": answer.hold_expires_at.isoformat() if answer.hold_expires_at is not None else None,
    }


def stored_answer(stored: Mapping[str, object]) -> PlaceAnswer:
    """Return the answer that was given before."""
    pairs = [text.split("/") for text in str(stored["orders"]).split()]
    orders = tuple((uuid.UUID(merchant_id), uuid.UUID(order_id)) for merchant_id, order_id in pairs)
    expires_at = stored["hold_expires_at"]
    return PlaceAnswer(
        uuid.UUID(str(stored["checkout_id"])),
        "exists",
        int(str(stored["total_minor"])),
        str(stored["currency"]),
        orders,
        payment_state=str(stored["payment_state"]),
        hold_expires_at=datetime.fromisoformat(str(expires_at)) if expires_at is not None else None,
    )


async def _write(conn: Conn, outside: Outside, plans: Sequence[CheckoutPlan], ground: Ground, actor: Actor) -> None:
    """Write checkouts that hold everything they need; what is decided with the order is released to work at once."""
    if not plans:
        return
    rows = CheckoutRows()
    for plan in plans:
        add_rows(rows, plan, ground.merchants, payment_state_of(plan), outside.hold_s)
    at = max(plan.request.at for plan in plans)
    await insert_checkouts(conn, rows.checkouts, rows.payments)
    await insert_orders(conn, rows.orders, rows.promises)
    await insert_lines(conn, rows.lines)
    await insert_allocations(conn, rows.allocations)
    await insert_tax_decisions(conn, [TaxEntry(line.merchant_id, line.order_id, line.line_no, tax) for line, tax in rows.taxes], at)
    await keep_decisions(conn, rows.decisions)
    await write_acts(conn, _acts(rows.orders, plans, actor))
    paid = [plan for plan in plans if payment_state_of(plan) is PaymentState.CAPTURED]
    paid_ids = {plan.request.checkout_id for plan in paid}
    told = [_fact(order, "order_placed", order.placed_at) for order in rows.orders]
    await write_facts(conn, told + [_fact(order, "order_paid", order.placed_at) for order in rows.orders if order.checkout_id in paid_ids])
    waiting = [order for order in rows.orders if order.state == OrderState.AWAITING_PAYMENT]
    later = timedelta(seconds=outside.hold_s)
    await add_due(
        conn, [_due(one, step, one.placed_at + wait) for one in _first_orders(waiting) for step, wait in ((PAY, _AT_ONCE), (EXPIRE, later))]
    )
    if paid:
        await change_payments(conn, [_captured(payment_id_of(plan), plan.request.person_id, plan.total_minor, plan.request.at) for plan in paid])
    decided = [order for order in rows.orders if order.state == OrderState.PAID]
    keys = {(order.merchant_id, order.order_id) for order in decided}
    lines = [line for line in rows.lines if (line.merchant_id, line.order_id) in keys]
    parts = [part for part in rows.allocations if (part.merchant_id, part.order_id) in keys]
    work = work_of(outside.reference, decided, lines, rows.promises, parts)
    await _set_paid(conn, decided, work, at)
    await release_work(conn, outside, work, at)
    await post_new_entries(conn, rows.postings)  # last: the balances of a merchant are locked from here to the commit


def _acts(orders: Sequence[Order], plans: Sequence[CheckoutPlan], actor: Actor) -> list[Act]:
    """Return who placed each order: whoever asked for its checkout, else whoever handed in the batch."""
    asked_by = {plan.request.checkout_id: plan.request.asked_by or actor for plan in plans}
    return [Act(order.merchant_id, order.order_id, "place_order", order.placed_at, asked_by[order.checkout_id]) for order in orders]


def payment_state_of(plan: CheckoutPlan) -> PaymentState:
    """Return whether the buyer's payment waits, is decided with the order, or is another channel's affair."""
    if not plan.lines[0].plan.money_passes_through_us(Channel(plan.request.channel_code)):
        return PaymentState.HELD_ELSEWHERE
    return PaymentState.CAPTURED if plan.request.method_code in INSTANT_METHODS else PaymentState.PENDING


def _first_orders(orders: Sequence[Order]) -> list[Order]:
    """Return one order for each checkout: what is due for a checkout is kept with the first of them."""
    return list({order.checkout_id: order for order in reversed(orders)}.values())


def _due(order: Order, step_code: str, due_at: datetime) -> Due:
    """Return the later step of a checkout."""
    return Due(order.merchant_id, step_code, order.checkout_id, due_at, order.person_id)


def _fact(order: Order, fact_code: str, at: datetime) -> Fact:
    """Return a fact about an order, without personal data."""
    content = {"number": order.number, "currency": order.currency, "total_minor": order.total_minor, "to": order.to_country_code}
    return Fact(order.merchant_id, order.order_id, fact_code, at, content)


def _captured(payment_id: uuid.UUID, person_id: uuid.UUID, amount_minor: int, at: datetime) -> PaymentChange:
    """Return the event of a payment that was taken in full."""
    return PaymentChange(person_id, payment_id, "capture:1", "capture", PaymentState.CAPTURED, amount_minor, 0, at)


# -- paid ------------------------------------------------------------------------------------------------------------


async def take_payments(conn: Conn, outside: Outside, work: Sequence[Due], now: datetime) -> None:
    """Ask the provider to decide waiting payments: an approved one is captured, a declined one gives everything back, the rest is asked again.

    An approval that comes after the hold expired is honoured if the units can be held once more, and otherwise refunded.
    """
    persons, checkouts = [one.person_id for one in work if one.person_id], [one.subject_id for one in work]
    payments = await read_payments(conn, persons, checkouts)
    asks = [AuthoriseRequest(one.payment_id, one.asked_minor, one.currency, one.method_code, one.at) for one in payments]
    first = {one.payment_id for one in payments if one.state == PaymentState.PENDING}
    answers = {one.payment_id: one for one in await outside.payments.authorise([ask for ask in asks if ask.payment_id in first])}
    answers |= {one.payment_id: one for one in await outside.payments.settle_pending(asks, now)}
    approved = [one for one in payments if one.payment_id in answers and answers[one.payment_id].answer is PaymentAnswer.APPROVED]
    declined = [one for one in payments if one.payment_id in answers and answers[one.payment_id].answer is PaymentAnswer.DECLINED]
    locked = {one.payment_id: (one, state, who) for one, state, who in await lock_payments(conn, *_keys([*approved, *declined]))}
    overdue = [one for one in approved if locked[one.payment_id][1] in _GIVEN_BACK]
    await lock_checkouts(conn, [(one.person_id, one.checkout_id) for one in [*declined, *overdue]])
    decided = {one.checkout_id for one in [*approved, *declined]}
    undecided = [one for one in work if one.subject_id not in decided]
    if undecided:
        await postpone_due(conn, undecided, now + timedelta(seconds=RETRY_S), "the payment provider has not decided yet")
    await change_payments(
        conn, [PaymentChange(one.person_id, one.payment_id, "decline:1", "decline", PaymentState.DECLINED, 0, 0, now) for one in declined]
    )
    await drop_checkouts(conn, [(one.person_id, one.checkout_id) for one in declined], CheckoutState.DECLINED, now)
    paid = await honour_payments(conn, outside, [locked[one.payment_id] for one in approved], now)
    await finish_due(conn, [*(one for one in work if one.subject_id in decided), *(_due(order, EXPIRE, now) for order in paid)])


async def honour_payments(
    conn: Conn, outside: Outside, locked: Sequence[tuple[Payment, CheckoutState, uuid.UUID | None]], now: datetime
) -> list[Order]:
    """Capture approved payments and release their orders; where the hold has gone, hold again or refund. Return the orders that are paid now.

    The payments are as they stand under the lock: less may be asked than when the provider was, because part of a checkout was cancelled.
    """
    if not locked:
        return []
    waiting = [one for one, state, _ in locked if state is CheckoutState.AWAITING_PAYMENT]
    late = [(one, identity_id) for one, state, identity_id in locked if state in _GIVEN_BACK]
    held_again = await hold_again(conn, [one.checkout_id for one, identity_id in late if identity_id is None], now)  # quota is not held again
    taken = [*waiting, *(one for one, _ in late if one.checkout_id in held_again)]
    lost = [one for one, _ in late if one.checkout_id not in held_again]
    await outside.payments.capture([_capture(one, now) for one in [*taken, *lost]])
    await change_payments(conn, [_captured(one.payment_id, one.person_id, one.asked_minor, now) for one in [*taken, *lost]])
    sources = [CheckoutState.AWAITING_PAYMENT, CheckoutState.EXPIRED, CheckoutState.DECLINED]
    await set_checkout_states(conn, *_keys(taken), sources, CheckoutState.PAID)
    orders, parts = await read_live_orders(conn, [one.checkout_id for one in taken])
    work = await complete_work(conn, outside.reference, orders, parts)
    await _set_paid(conn, orders, work, now)
    await write_acts(conn, [Act(order.merchant_id, order.order_id, "take_payment", now, RUNNER) for order in orders])
    await write_facts(conn, [_fact(order, "order_paid", now) for order in orders])
    await release_work(conn, outside, work, now)
    await keep_held(conn, [(order.merchant_id, order.order_id) for order in orders])
    await post_pending(conn, [pending_decision(order, now) for order in orders])  # last, as where orders are placed
    await refund_late_payments(conn, outside, lost, now)
    return orders


async def _set_paid(conn: Conn, orders: Sequence[Order], work: Sequence[OrderWork], now: datetime) -> None:
    """Move paid orders on: into work where some of it starts at once, else to paid, until customs has released the first of it."""
    started = {(one.order.merchant_id, one.order.order_id) for one in work if one.starts_at_once}
    keys = [(order.merchant_id, order.order_id) for order in orders]
    for target, moved in (
        (OrderState.IN_WORK, [key for key in keys if key in started]),
        (OrderState.PAID, [key for key in keys if key not in started]),
    ):
        if moved:
            sources = [OrderState.AWAITING_PAYMENT, OrderState.CANCELLED, OrderState.PAID]
            await set_order_states(conn, [key[0] for key in moved], [key[1] for key in moved], sources, target, now)


def _keys(payments: Sequence[Payment]) -> tuple[list[uuid.UUID], list[uuid.UUID]]:
    """Return the persons and checkouts of payments as columns."""
    return [one.person_id for one in payments], [one.checkout_id for one in payments]


def _capture(payment: Payment, now: datetime) -> CaptureRequest:
    """Return the request to take a payment in full."""
    capture_id = derived_id_at(at_ms(payment.at), "capture", payment.payment_id)
    amount = payment.asked_minor
    return CaptureRequest(capture_id, payment.payment_id, payment.method_code, amount, amount, 0, payment.currency, None, now)


async def expire_holds(conn: Conn, outside: Outside, work: Sequence[Due], now: datetime) -> None:
    """Give back what unpaid checkouts held when their time is over; a payment that succeeds later is honoured or refunded."""
    _ = outside
    keys = [(one.person_id, one.subject_id) for one in work if one.person_id]
    await lock_checkouts(conn, keys)
    await drop_checkouts(conn, keys, CheckoutState.EXPIRED, now)
    await finish_due(conn, work)


# -- released: see release.py; worked: see fulfil.py -----------------------------------------------------------------
# -- shipped ---------------------------------------------------------------------------------------------------------


async def record_shipments(conn: Conn, outside: Outside, parcels: Sequence[ParcelChange], now: datetime) -> None:
    """Count what left with a carrier and charge the fees of sale and shipment; the units themselves left with the hand-over."""
    await add_shipped(conn, _units(parcels))
    await refresh_states(conn, [one.merchant_id for one in parcels], [one.order_id for one in parcels])
    charges = [Charge(one.merchant_id, one.order_id, line.line_no, line.quantity, one.parcel_id, now) for one in parcels for line in one.lines]
    await charge_facts(conn, outside.reference, [FeeTrigger.SALE, FeeTrigger.SHIPMENT], charges)
    await write_facts(conn, [Fact(one.merchant_id, one.order_id, "parcel_shipped", now, {"parcel": str(one.parcel_id)}) for one in parcels])


def _units(parcels: Sequence[ParcelChange]) -> list[LineUnits]:
    """Return the order lines' units in parcels."""
    return [LineUnits(one.merchant_id, one.order_id, line.line_no, line.quantity) for one in parcels for line in one.lines]


# -- delivered -------------------------------------------------------------------------------------------------------


async def record_arrivals(conn: Conn, outside: Outside, changes: Sequence[ParcelChange], now: datetime) -> None:
    """Let parcels that arrived or got lost change books, lines, promises and fees; what was counted before is not counted again."""
    fresh = [one for one in changes if one.previous_state not in ENDED]
    delivered = [one for one in fresh if one.state is ParcelState.DELIVERED]
    lost = failed_parcels(changes)
    await move_on(conn, delivered, "deliver", "@customer")
    for state, place_code in FAILED.items():
        await move_on(conn, [one for one in lost if one.state is state], str(state), place_code)
    await add_delivered(conn, _units(delivered))
    await add_lost(conn, _units(lost))
    if delivered:
        zones = outside.reference.marketplaces
        orders = {(one.merchant_id, one.order_id): one for one in await read_orders(conn, *_order_keys(delivered))}
        days = [on_date(one.at, zones[orders[one.merchant_id, one.order_id].marketplace_code].time_zone) for one in delivered]
        await score_promises(conn, [one.merchant_id for one in delivered], [one.consignment_id for one in delivered], days, [now] * len(delivered))
        charges = [Charge(one.merchant_id, one.order_id, line.line_no, line.quantity, one.parcel_id, now) for one in delivered for line in one.lines]
        await charge_fees(conn, outside.reference, FeeTrigger.DELIVERY, charges)
    await miss_promises(conn, [one.merchant_id for one in lost], [one.consignment_id for one in lost], now)
    changed = await refresh_states(conn, *_order_keys([*delivered, *lost]))
    done = [(merchant_id, order_id) for merchant_id, order_id, state in changed if state == OrderState.DELIVERED]
    release_at = start_of_day(available_on(now.date()))
    await add_due(conn, [Due(merchant_id, SETTLE, order_id, release_at) for merchant_id, order_id in done])
    await _invoice(conn, outside, done, now)
    await write_facts(
        conn, [Fact(one.merchant_id, one.order_id, f"parcel_{one.state}", now, {"parcel": str(one.parcel_id)}) for one in [*delivered, *lost]]
    )


async def _invoice(conn: Conn, outside: Outside, keys: Sequence[tuple[uuid.UUID, uuid.UUID]], now: datetime) -> None:
    """Draft the buyers' invoices of orders that have arrived; where another channel holds the money, it bills the buyer too."""
    if not keys:
        return
    sold = [charge.sold for charge in (await read_charges(conn, outside.reference, keys)).values() if _is_billed(outside.reference, charge)]
    await invoice_sales(conn, sold, now)


def _is_billed(reference: Reference, charge: LineCharge) -> bool:
    """Tell whether the buyer pays for a line through us."""
    plan = reference.registry.plan(charge.line.model_code, charge.line.plan_version)
    return plan.money_passes_through_us(Channel(charge.order.channel_code))


def failed_parcels(changes: Sequence[ParcelChange]) -> list[ParcelChange]:
    """Return the parcels that ended now without reaching the buyer."""
    return [one for one in changes if one.state in FAILED and one.previous_state not in ENDED]


def _order_keys(changes: Sequence[ParcelChange]) -> tuple[list[uuid.UUID], list[uuid.UUID]]:
    """Return the merchants and orders of parcels as columns."""
    return [one.merchant_id for one in changes], [one.order_id for one in changes]


# -- settled ---------------------------------------------------------------------------------------------------------


async def settle_orders(conn: Conn, outside: Outside, work: Sequence[Due], now: datetime) -> None:
    """Release what orders earned from the reserve to the merchant's balance once the days of waiting are over."""
    _ = outside
    merchant_ids, order_ids = [one.merchant_id for one in work], [one.subject_id for one in work]
    sums = await read_order_sums(conn, RESERVE_ACCOUNT, merchant_ids, order_ids)
    await post_entries(
        conn,
        [
            MoneyPosting(
                merchant_id,
                derived_id_at(at_ms(now), "settle", order_id),
                now,
                "release",
                "order",
                order_id,
                [Entry(RESERVE_ACCOUNT, currency, -minor), Entry(MERCHANT, currency, minor)],
                order_id=order_id,
            )
            for merchant_id, order_id, currency, minor in sums
            if minor
        ],
    )
    settled = await set_order_states(conn, merchant_ids, order_ids, [OrderState.DELIVERED], OrderState.SETTLED, now)
    await finish_due(conn, work)
    await write_acts(conn, [Act(merchant_id, order_id, "settle_order", now, RUNNER) for merchant_id, order_id in settled])
