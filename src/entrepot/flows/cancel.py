"""Cancellation before hand-over: by buyer, merchant, platform or customs; each gives back exactly what it took.

Units go back to the bins they came from and their reservations end, labels are voided, consignments shrink, declarations and quota follow, and
money goes back as it was charged. What was not paid yet is asked for no more. Nothing here is done twice.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct

from entrepot.aftersales.model import Amounts, CauseKind, PerformanceEvent, PerformanceKind, RefundLine
from entrepot.aftersales.record_performance import record_performance
from entrepot.base.actor import Actor
from entrepot.base.audit import Act, Fact, write_acts, write_facts
from entrepot.base.due import Due, add_due, finish_due
from entrepot.base.idempotency import Claim, Claimed, ClaimState, find_claimed, hash_request, keep_answers
from entrepot.base.ids import derived_id
from entrepot.base.quantity import require_positive
from entrepot.base.sql import Conn
from entrepot.base.time import start_of_day
from entrepot.books.money.read import read_order_sums
from entrepot.books.stock.model import Consumption
from entrepot.books.stock.reserve import release_units
from entrepot.flows.cancel_unpaid import ask_for_less, end_unpaid_checkouts
from entrepot.flows.choose_units import (
    CancelAsk,
    CancelGround,
    CancelOutcome,
    Choice,
    OrderKey,
    Piece,
    Stage,
    choose_units,
    read_cancel_ground,
)
from entrepot.flows.floor_moves import post_floor_moves
from entrepot.flows.order_to_cash import SETTLE
from entrepot.flows.outside import Outside
from entrepot.flows.pay_back import PaidBack, PayBack, pay_back
from entrepot.flows.redeclare import redeclare
from entrepot.flows.release import SHIP_BY
from entrepot.flows.write_checkout import RESERVE_ACCOUNT
from entrepot.freight.consign import resize_consignments
from entrepot.freight.model import ConsignmentKey, ConsignmentSize, ParcelKey, ParcelState
from entrepot.freight.read import read_parcels_of_consignments
from entrepot.freight.ship import void_labels
from entrepot.orders.advance import add_cancelled, cancel_allocations, refresh_states, withdraw_consignment_promises
from entrepot.orders.model import CheckoutState, LineUnits, Order, OrderState
from entrepot.orders.pay import set_checkout_states
from entrepot.orders.read import read_checkout_orders
from entrepot.settlement.model import available_on
from entrepot.warehouse.cancel import cancel_orders
from entrepot.warehouse.model import OrderRef, OrderStep
from entrepot.warehouse.put_back import PutBack, put_back_units

BY_MERCHANT: Final = "merchant"


class CancelAnswer(Struct, frozen=True):
    """What became of an ask: the units cancelled now, and the refund if money goes back, in minor units of the charged currency."""

    ask: CancelAsk
    outcome: CancelOutcome
    cancelled: int = 0
    refund_id: uuid.UUID | None = None
    refund_minor: int = 0


async def cancel_units(conn: Conn, outside: Outside, asks: Sequence[CancelAsk], actor: Actor, now: datetime) -> list[CancelAnswer]:
    """Cancel units that have not been handed over, and return for each ask what became of it.

    A key is taken with its answer: the orders are locked before keys are looked up, so nobody else can ask the same of them meanwhile.
    """
    for ask in asks:
        require_positive(ask.quantity)
    if not asks:
        return []
    ground = await read_cancel_ground(conn, outside.reference, [ask.order_key for ask in asks])
    claims = {place: _claim(ground.orders[ask.order_key], ask, now) for place, ask in enumerate(asks) if ask.key and ask.order_key in ground.orders}
    claimed = dict(zip(claims, await find_claimed(conn, list(claims.values())), strict=True)) if claims else {}
    fresh = [place for place in range(len(asks)) if place not in claimed or claimed[place].state is ClaimState.NEW]
    choices = choose_units(ground, [asks[place] for place in fresh])
    done = dict(zip(fresh, await _answer(conn, outside, ground, choices, actor, now), strict=True))
    kept = [place for place in claims if place in done and done[place].outcome is CancelOutcome.DONE]
    if kept:
        await keep_answers(conn, [claims[place] for place in kept], [_stored(done[place]) for place in kept])
    return [done[place] if place in done else _known(ask, claimed[place]) for place, ask in enumerate(asks)]


async def close_shorts(conn: Conn, outside: Outside, steps: Sequence[OrderStep], actor: Actor, now: datetime) -> list[CancelAnswer]:
    """Cancel on the platform's account what a floor did not find, and pay it back; nothing is left to put back."""
    shorts = [(step, count) for step in steps if step.order_id is not None for count in step.shorts]
    if not shorts:
        return []
    ground = await read_cancel_ground(conn, outside.reference, [(step.order.merchant_id, step.order_id) for step, _ in shorts if step.order_id])
    choices: list[Choice] = []
    for step, count in shorts:
        if step.order_id is None:
            continue
        key = (step.order.merchant_id, step.order_id, count.line_no)
        part = next((one for one in ground.parts.get(key, ()) if one.part_no == count.part_no), None)
        if part is not None:
            quantity = min(count.quantity, part.quantity)
            ask = CancelAsk(*key, quantity, "platform", "short pick", part_no=count.part_no)
            choices.append(Choice(ask, CancelOutcome.DONE, (Piece(part, quantity, 0),)))
    return await _answer(conn, outside, ground, choices, actor, now)


def _claim(order: Order, ask: CancelAsk, now: datetime) -> Claim:
    """Return the claim on an ask's key, which belongs to its line."""
    name = f"cancel:{ask.order_id}:{ask.line_no}:{ask.key}"
    return Claim(order.person_id, name, hash_request(ask.merchant_id, ask.order_id, ask.line_no, ask.quantity, ask.part_no), now)


def _stored(answer: CancelAnswer) -> dict[str, object]:
    """Return an answer as it is kept for replays."""
    return {"cancelled": answer.cancelled, "refund_id": str(answer.refund_id or ""), "refund_minor": answer.refund_minor}


def _known(ask: CancelAsk, claimed: Claimed) -> CancelAnswer:
    """Return the answer that was given before; nothing is cancelled now."""
    if claimed.answer is None:
        outcome = CancelOutcome.DIFFERS if claimed.state is ClaimState.EXISTS_WITH_DIFFERENT_VALUES else CancelOutcome.EXISTS
        return CancelAnswer(ask, outcome)
    refund_id = str(claimed.answer["refund_id"])
    return CancelAnswer(ask, CancelOutcome.EXISTS, 0, uuid.UUID(refund_id) if refund_id else None, int(str(claimed.answer["refund_minor"])))


# -- carried out -----------------------------------------------------------------------------------------------------


async def _answer(conn: Conn, outside: Outside, ground: CancelGround, choices: Sequence[Choice], actor: Actor, now: datetime) -> list[CancelAnswer]:
    """Do what the choices took and answer all of them."""
    taken = [choice for choice in choices if choice.outcome is CancelOutcome.DONE]
    paid = await _carry_out(conn, outside, ground, taken, actor, now) if taken else []
    paid_back = iter(paid)
    answers: list[CancelAnswer] = []
    for choice in choices:
        if choice.outcome is not CancelOutcome.DONE:
            answers.append(CancelAnswer(choice.ask, choice.outcome))
            continue
        back = next(paid_back)
        answers.append(
            CancelAnswer(choice.ask, CancelOutcome.DONE, choice.ask.quantity, back.refund_id if back else None, back.total_minor if back else 0)
        )
    return answers


async def _carry_out(
    conn: Conn, outside: Outside, ground: CancelGround, taken: Sequence[Choice], actor: Actor, now: datetime
) -> list[PaidBack | None]:
    """Give everything back that the chosen units hold; return each choice's refund, or None where nothing was paid yet."""
    causes = _causes(ground, taken)
    unpaid = {choice.ask.order_key for choice in taken if ground.orders[choice.ask.order_key].state == OrderState.AWAITING_PAYMENT}
    refunds = await _pay_back(conn, outside, ground, [(choice, cause) for choice, cause in causes if choice.ask.order_key not in unpaid], actor, now)
    await ask_for_less(conn, ground, [choice for choice in taken if choice.ask.order_key in unpaid], now)
    pieces = [piece for choice in taken for piece in choice.pieces]
    await _clear_floor(conn, ground, causes, now)
    sums = _sums(pieces)
    await release_units(conn, [Consumption(*part) for part in sums])
    await cancel_allocations(conn, sums)
    await add_cancelled(conn, [LineUnits(*choice.ask.line_key, choice.ask.quantity) for choice in taken])
    await _shrink_consignments(conn, ground, pieces, now)
    await end_unpaid_checkouts(conn, outside, [ground.orders[key] for key in sorted(unpaid)], now)
    await _end_orders(conn, [ground.orders[key] for key in sorted({choice.ask.order_key for choice in taken} - unpaid)], now)
    await redeclare(conn, outside, [ConsignmentKey(*key) for key in _consignments(ground, pieces)], now)
    await _tell(conn, causes, actor, now)
    return [refunds.get(cause) for _, cause in causes]


def _causes(ground: CancelGround, taken: Sequence[Choice]) -> list[tuple[Choice, uuid.UUID]]:
    """Name each cancellation by what was cancelled of its line before, so that the same history gives the same ids."""
    before: dict[tuple[uuid.UUID, uuid.UUID, int], int] = {}
    named: list[tuple[Choice, uuid.UUID]] = []
    for choice in taken:
        ask = choice.ask
        gone = before.setdefault(ask.line_key, ground.charges[ask.line_key].standing.cancelled)
        named.append((choice, derived_id("cancellation", *ask.line_key, gone, ask.quantity)))
        before[ask.line_key] += ask.quantity
    return named


async def _pay_back(
    conn: Conn, outside: Outside, ground: CancelGround, causes: Sequence[tuple[Choice, uuid.UUID]], actor: Actor, now: datetime
) -> dict[uuid.UUID, PaidBack]:
    """Pay back exactly what was charged for the units, before they are counted as cancelled."""
    charges = dict(ground.charges)
    backs: list[PayBack] = []
    for choice, cause in causes:
        ask = choice.ask
        charge = charges[ask.line_key]
        amounts: Amounts = charge.share(ask.quantity)
        charges[ask.line_key] = charge.after(ask.quantity, amounts)
        backs.append(PayBack(ask.merchant_id, ask.order_id, CauseKind.CANCELLATION, cause, (RefundLine(ask.line_no, ask.quantity, amounts),)))
    paid = await pay_back(conn, outside, backs, actor, now)
    return {back.cause_id: answer for back, answer in zip(backs, paid, strict=True)}


def _sums(pieces: Sequence[Piece]) -> list[tuple[uuid.UUID, uuid.UUID, int, int, int]]:
    """Return the units taken of each part, each part once."""
    sums: dict[tuple[uuid.UUID, uuid.UUID, int, int], int] = {}
    for piece in pieces:
        part = piece.part
        key = (part.merchant_id, part.order_id, part.line_no, part.part_no)
        sums[key] = sums.get(key, 0) + piece.quantity
    return [(*key, quantity) for key, quantity in sorted(sums.items())]


# -- the floor -------------------------------------------------------------------------------------------------------


async def _clear_floor(conn: Conn, ground: CancelGround, causes: Sequence[tuple[Choice, uuid.UUID]], now: datetime) -> None:
    """Strike what waits, put back what was picked and void the labels of cartons that stay."""
    pieces = [(piece, cause) for choice, cause in causes for piece in choice.pieces if piece.on_floor]
    units: dict[OrderRef, int] = {}
    for piece, _ in pieces:
        units[piece.consignment] = units.get(piece.consignment, 0) + piece.on_floor
    whole = [ref for ref, count in units.items() if count == _floor_units(ground, ref)]
    parts = [
        PutBack(derived_id("put back", cause, piece.part.part_no), piece.consignment, piece.part.line_no, piece.part.part_no, piece.on_floor)
        for piece, cause in pieces
        if piece.consignment not in whole
    ]
    packed = [ref for ref in whole if ground.stages[ref.fulfilment_order_id] is Stage.PACKED]
    if packed:
        parcels = await read_parcels_of_consignments(conn, [ConsignmentKey(ref.merchant_id, ref.fulfilment_order_id) for ref in packed])
        await void_labels(conn, [ParcelKey(one.merchant_id, one.parcel_id) for one in parcels if one.state is ParcelState.LABELLED], now)
    if whole:
        await post_floor_moves(conn, (await cancel_orders(conn, whole, now)).moves)
    if parts:
        await post_floor_moves(conn, (await put_back_units(conn, parts, now)).moves)


def _floor_units(ground: CancelGround, ref: OrderRef) -> int:
    """Return what a floor means to send in a consignment."""
    return sum(units for key, units in ground.floor_units.items() if key[:2] == (ref.merchant_id, ref.fulfilment_order_id))


def _consignments(ground: CancelGround, pieces: Sequence[Piece]) -> list[OrderKey]:
    """Return the consignments, planned already, that lose units, in key order."""
    keys = {(piece.part.merchant_id, piece.part.consignment_id) for piece in pieces}
    return sorted(key for key in keys if key[1] in ground.consignments)


async def _shrink_consignments(conn: Conn, ground: CancelGround, pieces: Sequence[Piece], now: datetime) -> None:
    """Let consignments hold fewer pieces; one that holds none any more is over, with its promise and what was due for it."""
    keys = sorted({(piece.part.merchant_id, piece.part.consignment_id) for piece in pieces})
    lost: dict[uuid.UUID, int] = {}
    for piece in pieces:
        lost[piece.part.consignment_id] = lost.get(piece.part.consignment_id, 0) + piece.quantity
    left = {key[1]: ground.open_units(key[1]) - lost[key[1]] for key in keys}
    await resize_consignments(conn, [ConsignmentSize(*key, left[key[1]]) for key in _consignments(ground, pieces)], now)
    empty = [key for key in keys if not left[key[1]]]
    await withdraw_consignment_promises(conn, [key[0] for key in empty], [key[1] for key in empty], now)
    await finish_due(conn, [Due(key[0], SHIP_BY, key[1], now) for key in empty])


# -- the order -------------------------------------------------------------------------------------------------------


async def _end_orders(conn: Conn, orders: Sequence[Order], now: datetime) -> None:
    """Let the states of paid orders and checkouts follow; what a cancelled order leaves in the reserve is released, a delivered one settles in time."""
    if not orders:
        return
    changed = await refresh_states(conn, [order.merchant_id for order in orders], [order.order_id for order in orders])
    delivered = [key[:2] for key in changed if key[2] == OrderState.DELIVERED]
    cancelled = [key[:2] for key in changed if key[2] == OrderState.CANCELLED]
    await add_due(conn, [Due(merchant_id, SETTLE, order_id, start_of_day(available_on(now.date()))) for merchant_id, order_id in delivered])
    left = await read_order_sums(conn, RESERVE_ACCOUNT, [key[0] for key in cancelled], [key[1] for key in cancelled]) if cancelled else []
    await add_due(conn, [Due(merchant_id, SETTLE, order_id, now) for merchant_id, order_id, _, minor in left if minor])
    checkouts = {order.checkout_id: order.person_id for order in orders if (order.merchant_id, order.order_id) in cancelled}
    of_checkouts = await read_checkout_orders(conn, sorted(checkouts)) if checkouts else []
    living = {order.checkout_id for order in of_checkouts if order.state != OrderState.CANCELLED}
    ended = sorted(checkouts.keys() - living)
    await set_checkout_states(conn, [checkouts[one] for one in ended], ended, [CheckoutState.PAID], CheckoutState.REFUNDED)
    await write_facts(conn, [Fact(merchant_id, order_id, "order_cancelled", now) for merchant_id, order_id in cancelled])


async def _tell(conn: Conn, causes: Sequence[tuple[Choice, uuid.UUID]], actor: Actor, now: datetime) -> None:
    """Write who cancelled what and why, and count what merchants cancelled in their figures."""
    asks = [(choice.ask, cause) for choice, cause in causes]
    await write_acts(
        conn,
        [
            Act(ask.merchant_id, subject, "cancel_units", now, actor, f"line {ask.line_no}: {ask.quantity} by {ask.by}, {ask.reason}")
            for ask, cause in asks
            for subject in (ask.order_id, cause)
        ],
    )
    await write_facts(
        conn,
        [
            Fact(
                ask.merchant_id,
                cause,
                "units_cancelled",
                now,
                {"order": str(ask.order_id), "line": ask.line_no, "quantity": ask.quantity, "by": ask.by},
            )
            for ask, cause in asks
        ],
    )
    declined = [ask for ask, _ in asks if ask.by == BY_MERCHANT]
    events = [PerformanceEvent(ask.merchant_id, ask.order_id, PerformanceKind.CANCELLED_BY_MERCHANT, now) for ask in declined]
    if events:
        await record_performance(conn, events)
