"""Money that goes back: recorded once per cause, posted as the exact reverse of the sale, paid out by the provider.

What the merchant was owed is taken from its reserve, or from its balance once the order is settled (which may go below zero and is netted
later). Taxes and duties are taken from the accounts on which they were withheld, so that after all units nothing of the sale is left.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from entrepot.aftersales.model import Amounts, CauseKind, RecordedRefund, Refund, RefundLine, RefundState, RefundStep
from entrepot.aftersales.model import Outcome as Recorded
from entrepot.aftersales.refund_share import ChargedLine, FreightRule, LeviesRule, share_minor, unit_share
from entrepot.aftersales.refunds import mark_refunds, read_refunded, read_refunded_units, read_refunds, record_refunds
from entrepot.base.actor import RUNNER, Actor
from entrepot.base.audit import Fact, write_facts
from entrepot.base.due import Due, add_due, finish_due, postpone_due
from entrepot.base.ids import derived_id_at
from entrepot.base.sql import Conn
from entrepot.base.time import at_ms
from entrepot.books.money.model import LOSS, MERCHANT, PSP, Entry, MoneyPosting, merge_entries
from entrepot.books.money.post import post_entries
from entrepot.flows.invoice import SoldLine, credit_refunds
from entrepot.flows.late_payment import BUYER_REFUND
from entrepot.flows.outside import Outside
from entrepot.flows.reference import Reference
from entrepot.flows.write_checkout import RESERVE_ACCOUNT
from entrepot.operations.model import TaxHandling
from entrepot.orders.advance import add_refunded
from entrepot.orders.model import CheckoutState, Line, LineStanding, LineUnits, Order, OrderState, Payment, PaymentState
from entrepot.orders.pay import PaymentChange, change_payments, read_payments, set_checkout_states
from entrepot.orders.ports import MovementAnswer, PaymentAnswer, RefundRequest
from entrepot.orders.read import read_lines, read_orders, read_standings
from entrepot.settlement.store import LineTax, read_line_taxes

LineKey = tuple[uuid.UUID, uuid.UUID, int]
_Due = tuple[Refund, Payment]
RETRY: Final = "retry_refunds"
RETRY_AFTER: Final = timedelta(hours=1)
NOTHING: Final = Amounts()


class Bearer(StrEnum):
    """Whose money a refund is in the end."""

    MERCHANT = "merchant"
    PLATFORM = "platform"


class PaidBackOutcome(StrEnum):
    """What became of a refund: paid now, waiting for the provider, recorded before, or money that we never held."""

    PAID = "paid"
    WAITING = "waiting"
    EXISTS = "exists"
    EXISTS_WITH_DIFFERENT_VALUES = "exists_with_different_values"
    NOT_OURS = "not_ours"


class PayBack(Struct, frozen=True):
    """A refund for one cause, and who bears it; the id of the refund follows from its cause."""

    merchant_id: uuid.UUID
    order_id: uuid.UUID
    cause_kind: CauseKind
    cause_id: uuid.UUID
    lines: tuple[RefundLine, ...]
    borne_by: Bearer = Bearer.MERCHANT


class PaidBack(Struct, frozen=True):
    """The answer to a refund: its id and total in minor units."""

    outcome: PaidBackOutcome
    refund_id: uuid.UUID | None = None
    total_minor: int = 0


class LineCharge(Struct, frozen=True):
    """What an order line was charged, on which accounts that stands, and what is gone of it: refunded, or cancelled before it was paid."""

    order: Order
    line: Line
    standing: LineStanding
    withheld_minor: int
    import_tax_minor: int
    tax_account: str
    gone: ChargedLine

    def after(self, quantity: int, amounts: Amounts) -> "LineCharge":
        """Return the charge after more of it is gone."""
        gone = replace(self.gone, refunded_quantity=self.gone.refunded_quantity + quantity, refunded=self.gone.refunded + amounts)
        return replace(self, gone=gone)

    def share(self, quantity: int) -> Amounts:
        """Return exactly what was charged for so many more units, carriage included."""
        return unit_share(self.gone, quantity, FreightRule.BY_UNITS, LeviesRule.WITH_THE_GOODS)

    @property
    def sold(self) -> SoldLine:
        """Return what the buyer keeps and was charged for."""
        country = self.tax_account.partition(".")[2] or self.order.to_country_code
        return SoldLine(self.order, self.line.line_no, self.line.sku, self.line.quantity - self.gone.refunded_quantity, self.left, country)

    @property
    def left(self) -> Amounts:
        """Return what is not gone yet."""
        return _minus(self.gone.charged, self.gone.refunded)

    def reverse(self, amounts: Amounts, money_account: str, owed_account: str) -> list[Entry]:
        """Return the entries by which the next `amounts` leave the sale: from the tax accounts and what is owed, to where the money goes."""
        currency, country = self.order.currency, self.order.to_country_code
        before, after = self.gone.refunded, self.gone.refunded + amounts
        withheld = self._of_tax(self.withheld_minor, after) - self._of_tax(self.withheld_minor, before)
        import_tax = self._of_tax(self.import_tax_minor, after) - self._of_tax(self.import_tax_minor, before)
        owed = amounts.total_minor - withheld - import_tax - amounts.duty_minor
        return [
            Entry(money_account, currency, -amounts.total_minor),
            Entry(self.tax_account, currency, withheld),
            Entry(f"import_tax.{country}", currency, import_tax),
            Entry(f"duty.{country}", currency, amounts.duty_minor),
            Entry(owed_account, currency, owed),
        ]

    def _of_tax(self, part_minor: int, gone: Amounts) -> int:
        """Return the part of a tax account that belongs to the tax gone so far."""
        return share_minor(part_minor, gone.tax_minor, self.line.tax_minor) if self.line.tax_minor else 0


def _minus(one: Amounts, other: Amounts) -> Amounts:
    """Return the difference of two sums of money, component by component."""
    return Amounts(
        one.goods_minor - other.goods_minor,
        one.discount_minor - other.discount_minor,
        one.freight_minor - other.freight_minor,
        one.insurance_minor - other.insurance_minor,
        one.tax_minor - other.tax_minor,
        one.tax_on_top_minor - other.tax_on_top_minor,
        one.duty_minor - other.duty_minor,
    )


def charged_of(line: Line) -> Amounts:
    """Return what a line was charged, by component."""
    return Amounts(
        line.goods_minor, line.discount_minor, line.freight_minor, line.insurance_minor, line.tax_minor, line.tax_on_top_minor, line.duty_minor
    )


# -- what was charged ------------------------------------------------------------------------------------------------


async def read_charges(conn: Conn, reference: Reference, keys: Sequence[tuple[uuid.UUID, uuid.UUID]]) -> dict[LineKey, LineCharge]:
    """Read the charges of all lines of orders with what is gone of them, in key order; the lines are locked."""
    return await _read_charges(conn, reference, [key[0] for key in keys], [key[1] for key in keys], None)


async def read_line_charges(conn: Conn, reference: Reference, keys: Sequence[LineKey]) -> dict[LineKey, LineCharge]:
    """Read the charges of single lines as `read_charges` does; a wholesale order has hundreds of them and a return names a few."""
    return await _read_charges(conn, reference, [key[0] for key in keys], [key[1] for key in keys], [key[2] for key in keys])


async def _read_charges(
    conn: Conn, reference: Reference, merchant_ids: Sequence[uuid.UUID], order_ids: Sequence[uuid.UUID], line_nos: Sequence[int] | None
) -> dict[LineKey, LineCharge]:
    """Read and lock the charges of lines, all of orders or of each order only the line beside it."""
    if not order_ids:
        return {}
    standings = {(one.merchant_id, one.order_id, one.line_no): one for one in await read_standings(conn, merchant_ids, order_ids, line_nos)}
    orders = {(one.merchant_id, one.order_id): one for one in await read_orders(conn, merchant_ids, order_ids)}
    taxes = await read_line_taxes(conn, merchant_ids, order_ids, line_nos)
    refunded = await read_refunded(conn, merchant_ids, order_ids)
    cancelled = await read_refunded_units(conn, merchant_ids, order_ids, CauseKind.CANCELLATION)
    charges: dict[LineKey, LineCharge] = {}
    for line in await read_lines(conn, merchant_ids, order_ids, line_nos):
        key = (line.merchant_id, line.order_id, line.line_no)
        charge = _charge(reference, orders[key[:2]], line, standings[key], taxes[key])
        dropped = charge.standing.cancelled - cancelled.get(key, 0)
        if dropped:
            charge = charge.after(dropped, charge.share(dropped))
        gone = refunded.get(key[:2], {}).get(line.line_no)
        charges[key] = charge if gone is None else charge.after(*gone)
    return charges


def _charge(reference: Reference, order: Order, line: Line, standing: LineStanding, tax: LineTax) -> LineCharge:
    """Return the charge of a line of which nothing is gone."""
    is_cbec = reference.registry.plan(line.model_code, line.plan_version).model.tax_handling is TaxHandling.CBEC
    account = f"cbec_tax.{order.to_country_code}" if is_cbec else f"tax.{tax.tax_country}"
    import_tax_minor = 0 if is_cbec else line.tax_minor - tax.tax_minor
    whole = ChargedLine(line.line_no, line.quantity, charged_of(line))
    return LineCharge(order, line, standing, tax.withheld_minor, import_tax_minor, account, whole)


# -- paid back -------------------------------------------------------------------------------------------------------


async def pay_back(conn: Conn, outside: Outside, refunds: Sequence[PayBack], actor: Actor, now: datetime) -> list[PaidBack]:
    """Give money back for causes that are new, in the order given; a cause that was refunded before is answered and pays nothing.

    Money that another channel holds is not ours to return: such refunds are answered `not_ours` and leave no trace.
    """
    if not refunds:
        return []
    charges = await read_line_charges(
        conn, outside.reference, [(one.merchant_id, one.order_id, line.line_no) for one in refunds for line in one.lines]
    )
    orders = {key[:2]: charge.order for key, charge in charges.items()}
    payments = await _read_payments(conn, list(orders.values()))
    payment_of = {key: payments[order.checkout_id] for key, order in orders.items()}
    held = [one for one in refunds if payment_of[one.merchant_id, one.order_id].state == PaymentState.CAPTURED]
    wanted = [_refund(one, orders[one.merchant_id, one.order_id], now) for one in held]
    recorded = await record_refunds(conn, wanted, actor) if wanted else []
    fresh = [(one, refund) for one, refund, answer in zip(held, wanted, recorded, strict=True) if answer.outcome is Recorded.DONE]
    due = [(refund, payment_of[one.merchant_id, one.order_id]) for one, refund in fresh]
    answers = await _ask_provider(outside, due, now)
    postings: list[MoneyPosting] = []
    for one, refund in fresh:
        postings.append(_posting(one, refund, charges, BUYER_REFUND if _is_waiting(answers, refund) else PSP, now))
        for back in one.lines:
            key = (one.merchant_id, one.order_id, back.line_no)
            charges[key] = charges[key].after(back.quantity, back.amounts)
    await post_entries(conn, postings)
    units = [LineUnits(one.merchant_id, one.order_id, back.line_no, back.quantity) for one, _ in fresh for back in one.lines if back.quantity]
    await add_refunded(conn, units)
    await credit_refunds(conn, [(refund, _skus(charges, one)) for one, refund in fresh], now)
    await _settle(conn, due, answers, actor, now)
    told = {
        id(one): PaidBack(_outcome(answer, refund, answers), answer.refund_id, refund.amounts.total_minor)
        for one, refund, answer in zip(held, wanted, recorded, strict=True)
    }
    return [told.get(id(one), PaidBack(PaidBackOutcome.NOT_OURS)) for one in refunds]


def _skus(charges: Mapping[LineKey, LineCharge], one: PayBack) -> dict[int, str]:
    """Return the SKUs of a refund by line number."""
    return {line.line_no: charges[one.merchant_id, one.order_id, line.line_no].line.sku for line in one.lines}


def _outcome(answer: RecordedRefund, refund: Refund, answers: Mapping[uuid.UUID, MovementAnswer]) -> PaidBackOutcome:
    """Return what became of a refund of captured money."""
    if answer.outcome is Recorded.DONE:
        return PaidBackOutcome.WAITING if _is_waiting(answers, refund) else PaidBackOutcome.PAID
    return PaidBackOutcome.EXISTS if answer.outcome is Recorded.EXISTS else PaidBackOutcome.EXISTS_WITH_DIFFERENT_VALUES


def _refund(one: PayBack, order: Order, now: datetime) -> Refund:
    """Return the refund as aftersales keeps it."""
    refund_id = derived_id_at(at_ms(now), "refund", one.merchant_id, one.cause_kind, one.cause_id)
    return Refund(one.merchant_id, refund_id, one.order_id, order.person_id, one.cause_kind, one.cause_id, order.currency, now, one.lines)


async def _read_payments(conn: Conn, orders: Sequence[Order]) -> dict[uuid.UUID, Payment]:
    """Return the payment of each order's checkout."""
    checkouts = {order.checkout_id: order.person_id for order in orders}
    return {one.checkout_id: one for one in await read_payments(conn, list(checkouts.values()), list(checkouts))}


async def _ask_provider(outside: Outside, refunds: Sequence[_Due], now: datetime) -> dict[uuid.UUID, MovementAnswer]:
    """Ask the provider to give the money back and return its answers by refund; what another refund of the batch gives back counts before."""
    requests: list[RefundRequest] = []
    gone: dict[uuid.UUID, int] = {}
    for refund, payment in refunds:
        amount = refund.amounts.total_minor
        if not amount:
            continue
        before = gone.setdefault(payment.payment_id, payment.refunded_minor)
        requests.append(
            RefundRequest(refund.refund_id, payment.payment_id, payment.method_code, amount, payment.captured_minor, before, payment.currency, now)
        )
        gone[payment.payment_id] += amount
    answers = await outside.payments.refund(requests) if requests else []
    return {one.subject_id: one for one in answers}


def _is_waiting(answers: Mapping[uuid.UUID, MovementAnswer], refund: Refund) -> bool:
    """Tell whether the provider has not given the money back; a refund of nothing needs no provider."""
    answer = answers.get(refund.refund_id)
    return answer is not None and answer.answer is not PaymentAnswer.DONE


def _posting(one: PayBack, refund: Refund, charges: Mapping[LineKey, LineCharge], money_account: str, now: datetime) -> MoneyPosting:
    """Return the entries of a refund: what it takes from tax accounts, merchant or platform, and where the money goes."""
    entries: list[Entry] = []
    checkout_id = None
    for back in one.lines:
        charge = charges[one.merchant_id, one.order_id, back.line_no]
        checkout_id = charge.order.checkout_id
        owed = MERCHANT if charge.order.state == OrderState.SETTLED else RESERVE_ACCOUNT
        entries += charge.reverse(back.amounts, money_account, LOSS if one.borne_by is Bearer.PLATFORM else owed)
    return MoneyPosting(
        one.merchant_id,
        derived_id_at(at_ms(now), "refund posting", refund.refund_id),
        now,
        "refund",
        "refund",
        refund.refund_id,
        merge_entries(entries),
        checkout_id=checkout_id,
        order_id=one.order_id,
    )


async def _settle(conn: Conn, refunds: Sequence[_Due], answers: Mapping[uuid.UUID, MovementAnswer], actor: Actor, now: datetime) -> None:
    """Note what the provider paid, on payments and refunds; what it did not pay is tried again later."""
    paid = [(refund, payment) for refund, payment in refunds if not _is_waiting(answers, refund)]
    waiting = [refund for refund, _ in refunds if _is_waiting(answers, refund)]
    await change_payments(conn, [_change(refund, payment, now) for refund, payment in paid if refund.amounts.total_minor])
    await mark_refunds(conn, [_step(refund, answers, now) for refund, _ in paid], RefundState.PAID, actor)
    await mark_refunds(conn, [_step(refund, answers, now) for refund in waiting], RefundState.FAILED, actor)
    await add_due(conn, [Due(one.merchant_id, RETRY, one.refund_id, now + RETRY_AFTER, one.person_id) for one in waiting])
    await write_facts(
        conn,
        [
            Fact(one.merchant_id, one.order_id, "money_returned", now, {"refund": str(one.refund_id), "total_minor": one.amounts.total_minor})
            for one, _ in paid
            if one.amounts.total_minor
        ],
    )
    checkouts = {payment.checkout_id: payment.person_id for _, payment in paid}
    after = await read_payments(conn, list(checkouts.values()), list(checkouts)) if checkouts else []
    empty = [one for one in after if one.captured_minor == one.refunded_minor > 0]
    await set_checkout_states(
        conn, [one.person_id for one in empty], [one.checkout_id for one in empty], [CheckoutState.PAID], CheckoutState.REFUNDED
    )


def _change(refund: Refund, payment: Payment, now: datetime) -> PaymentChange:
    """Return the event by which a payment gives money back."""
    amount = refund.amounts.total_minor
    return PaymentChange(payment.person_id, payment.payment_id, f"refund:{refund.refund_id}", "refund", PaymentState.CAPTURED, 0, amount, now)


def _step(refund: Refund, answers: Mapping[uuid.UUID, MovementAnswer], now: datetime) -> RefundStep:
    """Return the mark of a refund with the provider's reference."""
    answer = answers.get(refund.refund_id)
    return RefundStep(refund.merchant_id, refund.refund_id, now, answer.provider_reference if answer is not None else "")


async def retry_refunds(conn: Conn, outside: Outside, work: Sequence[Due], now: datetime) -> None:
    """Ask the provider again for refunds that it did not pay; the books owe the money to the buyer meanwhile."""
    stored = await read_refunds(conn, [(one.merchant_id, one.subject_id) for one in work])
    failed = [one.refund for one in stored.values() if one.state is RefundState.FAILED]
    orders = {
        (one.merchant_id, one.order_id): one for one in await read_orders(conn, [one.merchant_id for one in failed], [one.order_id for one in failed])
    }
    payments = await _read_payments(conn, list(orders.values()))
    due = [(one, payments[orders[one.merchant_id, one.order_id].checkout_id]) for one in failed]
    answers = await _ask_provider(outside, due, now)
    paid = [(refund, payment) for refund, payment in due if not _is_waiting(answers, refund)]
    await mark_refunds(conn, [_step(refund, answers, now) for refund, _ in paid], RefundState.PENDING, RUNNER)
    await post_entries(conn, [_late_posting(refund, payment, now) for refund, payment in paid])
    await _settle(conn, paid, answers, RUNNER, now)
    done = {refund.refund_id for refund, _ in paid} | ({one.subject_id for one in work} - {refund.refund_id for refund in failed})
    await finish_due(conn, [one for one in work if one.subject_id in done])
    left = [one for one in work if one.subject_id not in done]
    if left:
        await postpone_due(conn, left, now + RETRY_AFTER, "the payment provider did not give the money back")


def _late_posting(refund: Refund, payment: Payment, now: datetime) -> MoneyPosting:
    """Return the entries of money that the books owed to the buyer and that goes now."""
    amount, currency = refund.amounts.total_minor, refund.currency
    return MoneyPosting(
        refund.merchant_id,
        derived_id_at(at_ms(now), "refund paid", refund.refund_id),
        now,
        "refund_paid",
        "refund",
        refund.refund_id,
        [Entry(BUYER_REFUND, currency, amount), Entry(PSP, currency, -amount)],
        checkout_id=payment.checkout_id,
        order_id=refund.order_id,
    )
