"""When a payment and its hold miss each other: declined and expired checkouts give everything back, a late success is honoured or refunded."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import replace

from entrepot.base.actor import RUNNER
from entrepot.base.audit import Act, Fact, write_acts, write_facts
from entrepot.base.ids import derived_id_at
from entrepot.base.sql import Conn
from entrepot.base.time import at_ms
from entrepot.books.money.model import PSP, Decision, Entry, MoneyPosting
from entrepot.books.money.post import post_entries, post_lapsed, void_pending
from entrepot.books.stock.model import Consumption
from entrepot.books.stock.reserve import read_released, release_units, reserve_units
from entrepot.customs.fit import read_order_quota
from entrepot.customs.hold import release_quota
from entrepot.customs.quota import CloseAsk
from entrepot.flows.outside import Outside
from entrepot.flows.write_checkout import pending_decision
from entrepot.orders.advance import set_order_states, withdraw_promises
from entrepot.orders.model import Allocation, Checkout, CheckoutState, Order, OrderState, Payment, PaymentState
from entrepot.orders.pay import PaymentChange, change_payments, read_checkouts, set_checkout_states
from entrepot.orders.ports import RefundRequest
from entrepot.orders.read import read_allocations, read_checkout_orders

BUYER_REFUND = "buyer_refund"


async def drop_checkouts(conn: Conn, keys: Sequence[tuple[uuid.UUID, uuid.UUID]], target: CheckoutState, now: datetime) -> None:
    """Give back units, quota and waiting entries of unpaid checkouts; one that was paid or dropped meanwhile stays as it is."""
    if not keys:
        return
    persons, checkout_ids = [key[0] for key in keys], [key[1] for key in keys]
    moved = await set_checkout_states(conn, persons, checkout_ids, [CheckoutState.AWAITING_PAYMENT], target)
    checkouts = {one.checkout_id: one for one in await read_checkouts(conn, persons, checkout_ids) if one.checkout_id in moved}
    orders = await read_checkout_orders(conn, sorted(moved))
    merchant_ids, order_ids = [order.merchant_id for order in orders], [order.order_id for order in orders]
    allocations = await read_allocations(conn, merchant_ids, order_ids)
    await release_units(conn, [Consumption(one.merchant_id, one.order_id, one.line_no, one.part_no, one.quantity) for one in allocations])
    await _release_quota(conn, orders, checkouts, now, str(target))
    await void_pending(conn, [pending_decision(order, now) for order in orders])
    await set_order_states(conn, merchant_ids, order_ids, [OrderState.AWAITING_PAYMENT], OrderState.CANCELLED, now)
    await write_acts(conn, [Act(order.merchant_id, order.order_id, "drop_order", now, RUNNER, str(target)) for order in orders])
    await write_facts(conn, [Fact(order.merchant_id, order.order_id, f"order_{target}", now, {"number": order.number}) for order in orders])


async def _release_quota(conn: Conn, orders: Sequence[Order], checkouts: dict[uuid.UUID, Checkout], now: datetime, cause: str) -> None:
    """Give the buyers' quota back, order by order."""
    known = [(identity_id, order.order_id) for order in orders if (identity_id := checkouts[order.checkout_id].identity_id) is not None]
    holds = await read_order_quota(conn, [key[0] for key in known], [key[1] for key in known]) if known else {}
    closes = [CloseAsk(one.person_id, one.order_id, one.attempt, now, cause) for one in holds.values() if one.held_minor]
    if closes:
        await release_quota(conn, closes)


async def hold_again(conn: Conn, checkout_ids: Sequence[uuid.UUID], now: datetime) -> set[uuid.UUID]:
    """Hold once more what dropped checkouts gave back, all or nothing each; return those that hold."""
    if not checkout_ids:
        return set()
    orders, parts = await read_live_orders(conn, checkout_ids)
    wanted = {(one.merchant_id, one.order_id, one.line_no, one.part_no): one.quantity for one in parts}
    checkout_of = {(order.merchant_id, order.order_id): order.checkout_id for order in orders}
    released = await read_released(conn, [order.merchant_id for order in orders], [order.order_id for order in orders], now)
    keyed = [(ask, (ask.merchant_id, ask.holder_id, ask.line_no, ask.part_no)) for ask in released]
    asks = [replace(ask, quantity=wanted[key]) for ask, key in keyed if key in wanted]
    answers = await reserve_units(conn, asks)
    failed = {checkout_of[ask.merchant_id, ask.holder_id] for ask, answer in zip(asks, answers, strict=True) if not answer.is_held}
    await release_units(
        conn,
        [
            Consumption(ask.merchant_id, ask.holder_id, ask.line_no, ask.part_no, ask.quantity)
            for ask, answer in zip(asks, answers, strict=True)
            if answer.is_held and checkout_of[ask.merchant_id, ask.holder_id] in failed
        ],
    )
    held = {order.checkout_id for order in orders} - failed
    await post_lapsed(conn, [_again(order, now) for order in orders if order.checkout_id in held])
    return held


async def read_live_orders(conn: Conn, checkout_ids: Sequence[uuid.UUID]) -> tuple[list[Order], list[Allocation]]:
    """Return the orders of checkouts of which something is still wanted, and their parts with the open units."""
    orders = await read_checkout_orders(conn, checkout_ids)
    parts = await read_allocations(conn, [order.merchant_id for order in orders], [order.order_id for order in orders])
    live = {(one.merchant_id, one.order_id) for one in parts}
    return [order for order in orders if (order.merchant_id, order.order_id) in live], parts


def _again(order: Order, now: datetime) -> Decision:
    """Return the posting of a sale that lapsed and is honoured after all."""
    decided = pending_decision(order, now)
    return Decision(order.merchant_id, decided.pending_id, derived_id_at(at_ms(now), "sale honoured", order.order_id), now)


async def refund_late_payments(conn: Conn, outside: Outside, payments: Sequence[Payment], now: datetime) -> None:
    """Pay back in full what came too late and could not be honoured."""
    if not payments:
        return
    requests = [
        RefundRequest(
            derived_id_at(at_ms(one.at), "late refund", one.payment_id),
            one.payment_id,
            one.method_code,
            one.asked_minor,
            one.asked_minor,
            0,
            one.currency,
            now,
        )
        for one in payments
    ]
    await outside.payments.refund(requests)
    await change_payments(
        conn,
        [PaymentChange(one.person_id, one.payment_id, "late_refund:1", "refund", PaymentState.CAPTURED, 0, one.asked_minor, now) for one in payments],
    )
    await set_checkout_states(
        conn,
        [one.person_id for one in payments],
        [one.checkout_id for one in payments],
        [CheckoutState.EXPIRED, CheckoutState.DECLINED],
        CheckoutState.REFUNDED,
    )
    orders = {order.checkout_id: order for order in reversed(await read_checkout_orders(conn, [one.checkout_id for one in payments]))}
    await post_entries(conn, [posting for one in payments for posting in _in_and_out(one, orders[one.checkout_id], now)])
    await withdraw_promises(conn, [order.merchant_id for order in orders.values()], [order.order_id for order in orders.values()], now)


def _in_and_out(payment: Payment, order: Order, now: datetime) -> list[MoneyPosting]:
    """Return the entries of money that came and went back, in the book of the checkout's first merchant."""
    amount, currency = payment.asked_minor, payment.currency
    return [
        MoneyPosting(
            order.merchant_id,
            derived_id_at(at_ms(now), kind, payment.payment_id),
            now,
            kind,
            "payment",
            payment.payment_id,
            [Entry(PSP, currency, sign * amount), Entry(BUYER_REFUND, currency, -sign * amount)],
            checkout_id=payment.checkout_id,
            order_id=order.order_id,
        )
        for kind, sign in (("late_payment", 1), ("late_refund", -1))
    ]
