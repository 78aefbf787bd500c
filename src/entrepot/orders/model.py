"""The words of an order: checkout, order, line, allocation, promise, payment; quantities instead of flags."""

import uuid
from collections.abc import Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Final

from msgspec import Struct

from entrepot.base.actor import Actor
from entrepot.base.errors import ConflictError, RefusedInputError, UnknownReferenceError
from entrepot.base.states import declare_states


class UnknownOrderError(UnknownReferenceError):
    """No order of this merchant or buyer has this id."""


class UnknownQuoteError(UnknownReferenceError):
    """No quote of this buyer has this id."""


class QuoteExpiredError(ConflictError):
    """The quote's prices and dates are no longer held; ask for a new one."""


class TooManyLinesError(RefusedInputError):
    """A checkout holds more lines than one order may have."""


class NotCancellableError(ConflictError):
    """These units have left or are cancelled already; ask for a return instead."""


class NotEnoughUnitsError(ConflictError):
    """No place that may serve the line has the units free; order fewer or another offer."""


class OfferNotLiveError(ConflictError):
    """The offer is not for sale in this marketplace at this time; choose another."""


class PaymentDeclinedError(ConflictError):
    """The payment provider declined; pay with another method."""


LINES_PER_CHECKOUT: Final = 1000


class CheckoutState(StrEnum):
    """The life of a checkout."""

    AWAITING_PAYMENT = "awaiting_payment"
    PAID = "paid"
    DECLINED = "declined"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    REFUNDED = "refunded"


class OrderState(StrEnum):
    """The life of an order."""

    AWAITING_PAYMENT = "awaiting_payment"
    PAID = "paid"
    IN_WORK = "in_work"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    SETTLED = "settled"
    CANCELLED = "cancelled"


class PaymentState(StrEnum):
    """The life of a payment."""

    PENDING = "pending"
    CAPTURED = "captured"
    DECLINED = "declined"
    VOIDED = "voided"
    HELD_ELSEWHERE = "held_elsewhere"


class PromiseOutcome(StrEnum):
    """How a promise that was shown ended."""

    HIT = "hit"
    MISS = "miss"
    WITHDRAWN = "withdrawn"


CHECKOUT_STATES: Final = declare_states(
    "checkout",
    CheckoutState.AWAITING_PAYMENT,
    {
        CheckoutState.AWAITING_PAYMENT: {CheckoutState.PAID, CheckoutState.DECLINED, CheckoutState.EXPIRED, CheckoutState.CANCELLED},
        CheckoutState.CANCELLED: set(),
        CheckoutState.PAID: {CheckoutState.REFUNDED},
        CheckoutState.DECLINED: {CheckoutState.PAID, CheckoutState.REFUNDED},
        CheckoutState.EXPIRED: {CheckoutState.PAID, CheckoutState.REFUNDED},
        CheckoutState.REFUNDED: set(),
    },
)

ORDER_STATES: Final = declare_states(
    "customer_order",
    OrderState.AWAITING_PAYMENT,
    {
        OrderState.AWAITING_PAYMENT: {OrderState.PAID, OrderState.CANCELLED},
        OrderState.PAID: {OrderState.IN_WORK, OrderState.CANCELLED},
        OrderState.IN_WORK: {OrderState.SHIPPED, OrderState.CANCELLED},
        OrderState.SHIPPED: {OrderState.DELIVERED, OrderState.CANCELLED},
        OrderState.DELIVERED: {OrderState.SETTLED},
        OrderState.SETTLED: set(),
        OrderState.CANCELLED: {OrderState.PAID},
    },
)

PAYMENT_STATES: Final = declare_states(
    "payment",
    PaymentState.PENDING,
    {
        PaymentState.PENDING: {PaymentState.CAPTURED, PaymentState.DECLINED, PaymentState.VOIDED, PaymentState.HELD_ELSEWHERE},
        PaymentState.CAPTURED: set(),
        PaymentState.DECLINED: {PaymentState.PENDING},
        PaymentState.VOIDED: {PaymentState.CAPTURED},
        PaymentState.HELD_ELSEWHERE: set(),
    },
)


class LineAsk(Struct, frozen=True):
    """What a buyer wants: so many units of one offer."""

    merchant_id: uuid.UUID
    offer_id: uuid.UUID
    quantity: int


class OrderRequest(Struct, frozen=True):
    """One checkout as it is asked for: lines of one or several merchants and models of one marketplace, all or nothing.

    `asked_by` is who asks where a batch holds the requests of several.
    """

    person_id: uuid.UUID
    checkout_id: uuid.UUID
    request_key: str
    marketplace_code: str
    channel_code: str
    to_country_code: str
    postcode_prefix: str
    method_code: str
    lines: tuple[LineAsk, ...]
    at: datetime
    identity_id: uuid.UUID | None = None
    has_accepted_risk: bool = False
    buyer_freight_minor: int | None = None
    quote_id: uuid.UUID | None = None
    reference: str = ""
    declared_unit_values: tuple[int, ...] = ()
    speed_code: str = "standard"
    asked_by: Actor | None = None


class Checkout(Struct, frozen=True):
    """One payment of one person for one or several orders; amounts in minor units of the charged currency."""

    person_id: uuid.UUID
    checkout_id: uuid.UUID
    marketplace_code: str
    channel_code: str
    currency: str
    state: str
    total_minor: int
    to_country_code: str
    postcode_prefix: str
    method_code: str
    placed_at: datetime
    hold_expires_at: datetime
    identity_id: uuid.UUID | None
    quote_id: uuid.UUID | None


class Order(Struct, frozen=True):
    """One merchant's part of a checkout."""

    merchant_id: uuid.UUID
    order_id: uuid.UUID
    person_id: uuid.UUID
    checkout_id: uuid.UUID
    number: str
    marketplace_code: str
    channel_code: str
    currency: str
    state: str
    to_country_code: str
    postcode_prefix: str
    total_minor: int
    placed_at: datetime
    reference: str
    speed_code: str = "standard"


class Line(Struct, frozen=True):
    """Units of one offer in an order. Amounts are for all units of the line, in minor units of the charged currency.

    The buyer pays goods - discount + freight + insurance + tax on top + duty; `tax_minor` also counts tax that the price includes.
    """

    merchant_id: uuid.UUID
    order_id: uuid.UUID
    line_no: int
    offer_id: uuid.UUID
    stock_item_id: uuid.UUID
    sku: str
    model_code: str
    plan_version: int
    quantity: int
    unit_price_minor: int
    listed_currency: str
    charged_currency: str
    settled_currency: str
    rate_id: str | None
    rate_locked_at: datetime
    goods_minor: int
    discount_minor: int
    freight_minor: int
    insurance_minor: int
    tax_minor: int
    tax_on_top_minor: int
    duty_minor: int
    unit_weight_g: int
    promise_id: uuid.UUID

    @property
    def charged_minor(self) -> int:
        """What the buyer pays for the line."""
        return self.goods_minor - self.discount_minor + self.freight_minor + self.insurance_minor + self.tax_on_top_minor + self.duty_minor


class Allocation(Struct, frozen=True):
    """Units of a line that one place serves, travelling in one consignment."""

    merchant_id: uuid.UUID
    order_id: uuid.UUID
    line_no: int
    part_no: int
    place_code: str
    owner_id: uuid.UUID
    customs_status: str
    pool_code: str
    consignment_id: uuid.UUID
    quantity: int


class Promise(Struct, frozen=True):
    """A window that was shown to somebody, to be scored when the parcel arrives."""

    merchant_id: uuid.UUID
    promise_id: uuid.UUID
    order_id: uuid.UUID | None
    quote_id: uuid.UUID | None
    place_code: str
    service_code: str
    shown_at: datetime
    ship_by_at: datetime
    from_on: date
    to_on: date


class LineStanding(Struct, frozen=True):
    """How far the units of a line have come."""

    merchant_id: uuid.UUID
    order_id: uuid.UUID
    line_no: int
    quantity: int
    cancelled: int
    shipped: int
    delivered: int
    lost: int
    returned: int
    refunded: int

    @property
    def cancellable(self) -> int:
        """Units that have neither left nor been cancelled."""
        return self.quantity - self.cancelled - self.shipped

    @property
    def returnable(self) -> int:
        """Units that arrived and have not come back."""
        return self.delivered - self.returned


class LineUnits(Struct, frozen=True):
    """A number of units of one line."""

    merchant_id: uuid.UUID
    order_id: uuid.UUID
    line_no: int
    quantity: int


class Payment(Struct, frozen=True):
    """One payment of one checkout; amounts in minor units."""

    person_id: uuid.UUID
    payment_id: uuid.UUID
    checkout_id: uuid.UUID
    method_code: str
    state: str
    currency: str
    asked_minor: int
    captured_minor: int
    refunded_minor: int
    at: datetime


def outcome_of(promise_to_on: date, delivered_on: date) -> PromiseOutcome:
    """Score a promise: a parcel that arrives on or before the last promised date is a hit."""
    return PromiseOutcome.HIT if delivered_on <= promise_to_on else PromiseOutcome.MISS


def state_after(current: str, standings: Sequence[LineStanding]) -> str:
    """Return the state that the quantities of all lines of a paid order imply."""
    open_units = sum(line.quantity - line.cancelled for line in standings)
    if open_units == 0:
        return OrderState.CANCELLED
    if sum(line.delivered + line.lost for line in standings) >= open_units:
        return OrderState.DELIVERED if current != OrderState.SETTLED else OrderState.SETTLED
    if sum(line.shipped for line in standings) >= open_units:
        return OrderState.SHIPPED
    return current
