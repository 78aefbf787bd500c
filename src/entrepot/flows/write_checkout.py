"""The rows that a decided checkout becomes: order, lines, allocations, promises, tax decisions, entries; pure, so that a batch is one pass."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from entrepot.base.ids import derived_id_at
from entrepot.base.time import at_ms
from entrepot.books.money.model import PSP, Decision, Entry, MoneyPosting, Phase, merge_entries
from entrepot.books.stock.model import ReservationAsk, StockKey
from entrepot.flows.plan_checkout import CheckoutPlan, MerchantTerms, PlannedLine
from entrepot.operations.model import TaxHandling
from entrepot.orders.model import (
    Allocation,
    Checkout,
    CheckoutState,
    Line,
    Order,
    OrderState,
    Payment,
    PaymentState,
    Promise,
)
from entrepot.settlement.tax import TaxDecision
from entrepot.sourcing.store import LineDecision

RESERVE_ACCOUNT = "rsv"
"""What is owed to a merchant and not yet released."""


@dataclass(slots=True)
class CheckoutRows:
    """Rows of a batch of checkouts, by table."""

    checkouts: list[Checkout] = field(default_factory=list[Checkout])
    payments: list[Payment] = field(default_factory=list[Payment])
    orders: list[Order] = field(default_factory=list[Order])
    lines: list[Line] = field(default_factory=list[Line])
    allocations: list[Allocation] = field(default_factory=list[Allocation])
    promises: list[Promise] = field(default_factory=list[Promise])
    decisions: list[LineDecision] = field(default_factory=list[LineDecision])
    taxes: list[tuple[Line, TaxDecision]] = field(default_factory=list[tuple[Line, TaxDecision]])
    postings: list[MoneyPosting] = field(default_factory=list[MoneyPosting])


def reservation_asks(plan: CheckoutPlan) -> list[ReservationAsk]:
    """Return the holds of a checkout, line by line and part by part; the due step, not the hold itself, ends them."""
    return [
        ReservationAsk(
            line.ask.merchant_id,
            line.order_id,
            line.line_no,
            part_no,
            StockKey(
                line.ask.merchant_id,
                part.stock.owner_id,
                line.offer.stock_item_id,
                part.place.place_code,
                customs_status=part.stock.customs_status,
                pool_code=part.stock.pool_code,
            ),
            part.quantity,
            plan.request.at,
            None,
        )
        for line in plan.lines
        for part_no, part in enumerate(line.parts, start=1)
    ]


def order_number(order_id: uuid.UUID) -> str:
    """Return the number people use for an order: sixteen digits in groups, derived from its id."""
    digits = f"{order_id.int % 10**16:016d}"
    return f"E{digits[:4]}-{digits[4:8]}-{digits[8:12]}-{digits[12:]}"


def payment_id_of(plan: CheckoutPlan) -> uuid.UUID:
    """Return the id of a checkout's payment."""
    return derived_id_at(at_ms(plan.request.at), "payment", plan.request.checkout_id)


def add_rows(rows: CheckoutRows, plan: CheckoutPlan, merchants: Mapping[uuid.UUID, MerchantTerms], state: PaymentState, hold_s: int) -> None:
    """Add the rows of one decided checkout; `state` says whether its payment is decided already, waits, or is held elsewhere."""
    request = plan.request
    is_decided = state is not PaymentState.PENDING
    held_elsewhere = state is PaymentState.HELD_ELSEWHERE
    checkout_state = CheckoutState.PAID if is_decided else CheckoutState.AWAITING_PAYMENT
    total = 0 if held_elsewhere else plan.total_minor
    rows.checkouts.append(
        Checkout(
            request.person_id,
            request.checkout_id,
            request.marketplace_code,
            request.channel_code,
            plan.currency,
            checkout_state,
            total,
            request.to_country_code,
            request.postcode_prefix,
            request.method_code,
            request.at,
            request.at + timedelta(seconds=hold_s),
            request.identity_id,
            request.quote_id,
        )
    )
    rows.payments.append(
        Payment(
            request.person_id, payment_id_of(plan), request.checkout_id, request.method_code,
            PaymentState.PENDING if state is PaymentState.CAPTURED else state, plan.currency, total, 0, 0, request.at,
        )
    )  # fmt: skip
    by_order: dict[uuid.UUID, list[PlannedLine]] = {}
    for line in plan.lines:
        by_order.setdefault(line.order_id, []).append(line)
    for lines in by_order.values():
        _add_order(rows, plan, lines, merchants[lines[0].ask.merchant_id], is_decided)
        if not held_elsewhere:
            rows.postings.append(sale_posting(plan, lines, Phase.POSTED if is_decided else Phase.PENDING))
    rows.promises.extend(
        Promise(
            one.merchant_id,
            one.consignment_id,
            one.order_id,
            request.quote_id,
            one.place.place_code,
            one.lane.service_code,
            request.at,
            one.window.ship_by_at,
            one.window.from_on,
            one.window.to_on,
        )
        for one in plan.consignments
    )


def _add_order(rows: CheckoutRows, plan: CheckoutPlan, lines: Sequence[PlannedLine], terms: MerchantTerms, is_decided: object) -> None:
    """Add one merchant's order with its lines."""
    request = plan.request
    merchant_id, order_id = lines[0].ask.merchant_id, lines[0].order_id
    rows.orders.append(
        Order(
            merchant_id,
            order_id,
            request.person_id,
            request.checkout_id,
            order_number(order_id),
            request.marketplace_code,
            request.channel_code,
            plan.currency,
            OrderState.PAID if is_decided else OrderState.AWAITING_PAYMENT,
            request.to_country_code,
            request.postcode_prefix,
            sum(line.charged_minor for line in lines),
            request.at,
            request.reference,
            request.speed_code,
        )
    )
    for line in lines:
        row = _line(plan, line, terms)
        rows.lines.append(row)
        rows.taxes.append((row, line.tax))
        rows.decisions.append(LineDecision(merchant_id, order_id, line.line_no, 1, request.at, line.candidates))
        rows.allocations.extend(
            Allocation(
                merchant_id,
                order_id,
                line.line_no,
                part_no,
                part.place.place_code,
                part.stock.owner_id,
                part.stock.customs_status,
                part.stock.pool_code,
                line.consignment_ids[part_no - 1],
                part.quantity,
            )
            for part_no, part in enumerate(line.parts, start=1)
        )


def _line(plan: CheckoutPlan, line: PlannedLine, terms: MerchantTerms) -> Line:
    """Return the stored row of a planned line."""
    return Line(
        line.ask.merchant_id,
        line.order_id,
        line.line_no,
        line.ask.offer_id,
        line.offer.stock_item_id,
        line.offer.sku,
        line.plan.model_code,
        line.plan.version,
        line.ask.quantity,
        line.unit_price_minor,
        line.offer.currency,
        plan.currency,
        terms.merchant.payout_currency,
        None,
        plan.request.at,
        line.goods_minor,
        0,
        line.freight_minor,
        0,
        line.tax.tax_minor + (line.import_tax_minor if line.plan.model.tax_handling is not TaxHandling.CBEC else 0),
        line.tax_on_top_minor,
        line.duty_minor,
        line.offer.weight_g,
        line.consignment_ids[0],
    )


def tax_account(line: PlannedLine, destination: str) -> str:
    """Return the account that holds the tax withheld on a line."""
    return f"cbec_tax.{destination}" if line.plan.model.tax_handling is TaxHandling.CBEC else f"tax.{line.tax.verdict.tax_country}"


def sale_posting(plan: CheckoutPlan, lines: Sequence[PlannedLine], phase: Phase) -> MoneyPosting:
    """Return the entries of one order: what the buyer pays against tax, duty and what is owed to the merchant."""
    request, currency = plan.request, plan.currency
    merchant_id, order_id = lines[0].ask.merchant_id, lines[0].order_id
    entries: list[Entry] = []
    for line in lines:
        withheld = line.tax.withheld_minor
        is_cbec = line.plan.model.tax_handling is TaxHandling.CBEC
        import_tax = 0 if is_cbec else line.import_tax_minor
        entries += [
            Entry(PSP, currency, line.charged_minor),
            Entry(tax_account(line, request.to_country_code), currency, -withheld),
            Entry(f"import_tax.{request.to_country_code}", currency, -import_tax),
            Entry(f"duty.{request.to_country_code}", currency, -line.duty_minor),
            Entry(RESERVE_ACCOUNT, currency, -(line.charged_minor - withheld - import_tax - line.duty_minor)),
        ]
    return MoneyPosting(
        merchant_id,
        sale_id_of(order_id, request.at, sum(line.charged_minor for line in lines)),
        request.at,
        "sale",
        "order",
        order_id,
        merge_entries(entries),
        phase,
        request.checkout_id,
        order_id,
    )


def sale_id_of(order_id: uuid.UUID, placed_at: datetime, total_minor: int) -> uuid.UUID:
    """Return the id of an order's sale; one that waits and shrinks is posted again under the id of its smaller total."""
    return derived_id_at(at_ms(placed_at), "sale", order_id, total_minor)


def pending_decision(order: Order, at: datetime) -> Decision:
    """Return the decision on an order's waiting sale."""
    sale_id = sale_id_of(order.order_id, order.placed_at, order.total_minor)
    return Decision(order.merchant_id, sale_id, derived_id_at(at_ms(order.placed_at), "sale decided", sale_id), at)
