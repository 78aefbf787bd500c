"""Cancelling what was not paid yet: the waiting sale shrinks, the buyer is asked for less, and a checkout without units ends unpaid."""

from collections.abc import Sequence
from datetime import datetime

from entrepot.base.due import Due, finish_due
from entrepot.base.sql import Conn
from entrepot.books.money.model import PSP, Entry, MoneyPosting, Phase, merge_entries
from entrepot.books.money.post import post_entries, void_pending
from entrepot.customs.fit import ShrinkAsk, read_order_quota, shrink_quota
from entrepot.customs.hold import release_quota
from entrepot.customs.quota import CloseAsk
from entrepot.flows.choose_units import CancelGround, Choice, OrderKey
from entrepot.flows.order_to_cash import EXPIRE, PAY
from entrepot.flows.outside import Outside
from entrepot.flows.pay_back import LineCharge, LineKey
from entrepot.flows.write_checkout import RESERVE_ACCOUNT, pending_decision, sale_id_of
from entrepot.orders.advance import lower_totals, set_order_states
from entrepot.orders.model import CheckoutState, Order, OrderState, PaymentState
from entrepot.orders.pay import PaymentChange, change_payments, lower_asked, read_checkouts, read_payments, set_checkout_states
from entrepot.orders.ports import VoidRequest
from entrepot.orders.read import read_allocations, read_checkout_orders


async def ask_for_less(conn: Conn, ground: CancelGround, taken: Sequence[Choice], now: datetime) -> None:
    """Post the waiting sales of unpaid orders again without the units taken, lower what is asked and fit the buyers' years."""
    if not taken:
        return
    charges = dict(ground.charges)
    dropped: dict[OrderKey, int] = {}
    for choice in taken:
        key = choice.ask.line_key
        amounts = charges[key].share(choice.ask.quantity)
        charges[key] = charges[key].after(choice.ask.quantity, amounts)
        dropped[key[:2]] = dropped.get(key[:2], 0) + amounts.total_minor
    orders = [ground.orders[key] for key in sorted(dropped) if dropped[key]]
    totals = [order.total_minor - dropped[order.merchant_id, order.order_id] for order in orders]
    await void_pending(conn, [pending_decision(order, now) for order in orders])
    await post_entries(conn, [_sale(order, total, charges, now) for order, total in zip(orders, totals, strict=True)])
    await lower_totals(conn, [order.merchant_id for order in orders], [order.order_id for order in orders], totals)
    checkouts: dict[tuple[object, object], int] = {}
    for order, total in zip(orders, totals, strict=True):
        place = (order.person_id, order.checkout_id)
        checkouts[place] = checkouts.get(place, 0) + order.total_minor - total
    rows = [(order, checkouts[order.person_id, order.checkout_id]) for order in {order.checkout_id: order for order in orders}.values()]
    await lower_asked(conn, [order.person_id for order, _ in rows], [order.checkout_id for order, _ in rows], [minor for _, minor in rows])
    await _fit_years(conn, [ground.orders[key] for key in sorted(dropped)], charges, now)


def _sale(order: Order, total_minor: int, charges: dict[LineKey, LineCharge], now: datetime) -> MoneyPosting:
    """Return the waiting sale of what is left of an order: the reverse of giving all of it back."""
    mine = [charge for key, charge in charges.items() if key[:2] == (order.merchant_id, order.order_id)]
    back = [entry for charge in mine for entry in charge.reverse(charge.left, PSP, RESERVE_ACCOUNT)]
    return MoneyPosting(
        order.merchant_id,
        sale_id_of(order.order_id, order.placed_at, total_minor),
        now,
        "sale",
        "order",
        order.order_id,
        merge_entries([Entry(entry.account_code, entry.currency, -entry.amount_minor) for entry in back]),
        Phase.PENDING,
        order.checkout_id,
        order.order_id,
    )


async def _fit_years(conn: Conn, orders: Sequence[Order], charges: dict[LineKey, LineCharge], now: datetime) -> None:
    """Let the holds in buyers' years keep only the value of what is left."""
    checkouts = await read_checkouts(conn, [order.person_id for order in orders], [order.checkout_id for order in orders])
    identities = {one.checkout_id: one.identity_id for one in checkouts}
    asked = [(identity_id, order.order_id) for order in orders if (identity_id := identities[order.checkout_id]) is not None]
    if not asked:
        return
    left: dict[object, int] = {}
    for key, charge in charges.items():
        amounts = charge.left
        value = amounts.goods_minor - amounts.discount_minor + amounts.freight_minor + amounts.insurance_minor
        left[key[1]] = left.get(key[1], 0) + value
    holds = await read_order_quota(conn, [key[0] for key in asked], [key[1] for key in asked])
    over = [one for one in holds.values() if one.held_minor > left[one.order_id]]
    ended = [CloseAsk(one.person_id, one.order_id, one.attempt, now, "order_cancelled") for one in over if not left[one.order_id]]
    shrunk = [
        ShrinkAsk(one.person_id, one.order_id, one.attempt, left[one.order_id], now, "order_part_cancelled") for one in over if left[one.order_id]
    ]
    if ended:
        await release_quota(conn, ended)
    if shrunk:
        await shrink_quota(conn, shrunk)


async def end_unpaid_checkouts(conn: Conn, outside: Outside, orders: Sequence[Order], now: datetime) -> None:
    """Cancel unpaid orders of which nothing is left; where that is so for a whole checkout, its payment is given up."""
    if not orders:
        return
    merchant_ids, order_ids = [order.merchant_id for order in orders], [order.order_id for order in orders]
    living = {(part.merchant_id, part.order_id) for part in await read_allocations(conn, merchant_ids, order_ids)}
    gone = [order for order in orders if (order.merchant_id, order.order_id) not in living]
    if not gone:
        return
    await set_order_states(
        conn,
        [order.merchant_id for order in gone],
        [order.order_id for order in gone],
        [OrderState.AWAITING_PAYMENT],
        OrderState.CANCELLED,
        now,
    )
    checkouts = {order.checkout_id: order.person_id for order in gone}
    members = await read_checkout_orders(conn, sorted(checkouts))
    waiting = {order.checkout_id for order in members if order.state != OrderState.CANCELLED}
    ended = sorted(checkouts.keys() - waiting)
    persons = [checkouts[checkout_id] for checkout_id in ended]
    payments = [one for one in await read_payments(conn, persons, ended) if one.state == PaymentState.PENDING]
    await outside.payments.void([VoidRequest(one.payment_id, one.method_code, one.captured_minor, now) for one in payments])
    await change_payments(conn, [PaymentChange(one.person_id, one.payment_id, "void:1", "void", PaymentState.VOIDED, 0, 0, now) for one in payments])
    await set_checkout_states(conn, persons, ended, [CheckoutState.AWAITING_PAYMENT], CheckoutState.CANCELLED)
    over = [order for order in members if order.checkout_id in ended]
    await finish_due(conn, [Due(order.merchant_id, step, order.checkout_id, now) for order in over for step in (PAY, EXPIRE)])
