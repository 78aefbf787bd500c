"""Words of settlement: how sure a rule is, what a statement holds, and the states of statement, payout and invoice."""

import uuid
from datetime import date, timedelta
from enum import StrEnum
from typing import Final

from msgspec import Struct

from entrepot.base.errors import ConflictError, RefusedInputError, UnknownReferenceError
from entrepot.base.ids import derived_id
from entrepot.base.money import Rounding
from entrepot.base.states import States, declare_states

ANY: Final = "*"
"""Stands for every model, marketplace or country in a rule."""

MILLION: Final = 1_000_000


class Confidence(StrEnum):
    """Where a rule's number comes from; rules from memory stay switched off until an operator confirms them."""

    SEEN = "seen"
    DERIVED = "derived"
    MEMORY = "memory"
    DEMO = "demo"


class UnknownStatementError(UnknownReferenceError):
    """There is no such statement; open the period first."""


class StatementNotClosedError(ConflictError):
    """The statement is not closed, so nothing can be paid or carried from it."""


class UnruledDecisionError(RefusedInputError):
    """A tax decision without a rule cannot be stored; enter a rule for the destination and date first."""


class UnbalancedInvoiceError(RefusedInputError):
    """Net and tax of an invoice must add up to its gross amount."""


def is_shipped_active(confidence: Confidence) -> bool:
    """Tell whether a seed rule of this confidence is switched on when it ships."""
    return confidence is not Confidence.MEMORY


def is_in_force(day: date, effective_from: date, effective_to: date | None) -> bool:
    """Tell whether a dated rule holds on a day; the end date is exclusive, None is open."""
    return effective_from <= day and (effective_to is None or day < effective_to)


def divide_rounded(numerator: int, denominator: int, rounding: Rounding = Rounding.HALF_UP) -> int:
    """Divide integers and round once; half-up means away from zero, as money does; `denominator` is positive."""
    quotient, remainder = divmod(numerator, denominator)
    if remainder == 0 or rounding is Rounding.DOWN:
        return quotient if numerator >= 0 or remainder == 0 else quotient + 1
    if rounding is Rounding.UP:
        return quotient + 1
    twice = 2 * remainder
    if twice != denominator:
        return quotient + (twice > denominator)
    return quotient + (quotient % 2 if rounding is Rounding.HALF_EVEN else numerator >= 0)


# Release and periods ------------------------------------------------------------------------------------------------

RESERVE_DAYS: Final = 7
"""Full days for which proceeds are held after the day of delivery (the published DD+7 rule)."""

CAUTIOUS_RESERVE_DAYS: Final = 14
"""The same for accounts under a risk hold (DD+14)."""

PERIOD_DAYS: Final = 14
_FIRST_PERIOD: Final = date(2024, 1, 1)


class Period(Struct, frozen=True, order=True):
    """A settlement period: from a day, up to and without another."""

    starts_on: date
    ends_before: date


def available_on(delivered_on: date, reserve_days: int = RESERVE_DAYS) -> date:
    """Return the first day on which proceeds may be paid out: after `reserve_days` full days following the delivery date."""
    return delivered_on + timedelta(days=reserve_days + 1)


def period_of(day: date) -> Period:
    """Return the fourteen-day settlement period that holds a day; periods begin on Mondays."""
    starts_on = day - timedelta(days=(day - _FIRST_PERIOD).days % PERIOD_DAYS)
    return Period(starts_on, starts_on + timedelta(days=PERIOD_DAYS))


# Statements ---------------------------------------------------------------------------------------------------------


class LineKind(StrEnum):
    """What a statement line sums up; the order is the order on the statement."""

    SALES = "sales"
    REFUNDS = "refunds"
    FEES = "fees"
    FEE_TAXES = "fee_taxes"
    TAXES_WITHHELD = "taxes_withheld"
    RESERVE = "reserve"
    ADJUSTMENTS = "adjustments"
    PAYOUT = "payout"


class StatementState(StrEnum):
    """Life of a settlement statement."""

    OPEN = "open"
    CLOSED = "closed"
    PAYING = "paying"
    PAID = "paid"
    CARRIED = "carried"
    RETURNED = "returned"


class PayoutState(StrEnum):
    """Life of a payout to a merchant's bank account."""

    REQUESTED = "requested"
    SENT = "sent"
    FAILED = "failed"
    RETRY = "retry"
    RETURNED = "returned"


class InvoiceKind(StrEnum):
    """What an invoice document is."""

    SALE = "sale"
    CREDIT_NOTE = "credit_note"
    FEES = "fees"
    FEE_CREDIT = "fee_credit"


class InvoiceState(StrEnum):
    """Life of an invoice: it has a number only once the closing step gave it one."""

    DRAFT = "draft"
    NUMBERED = "numbered"


STATEMENT_STATES: Final[States] = declare_states(
    "statement",
    StatementState.OPEN,
    {
        StatementState.OPEN: {StatementState.CLOSED},
        StatementState.CLOSED: {StatementState.PAYING, StatementState.CARRIED},
        StatementState.PAYING: {StatementState.PAID, StatementState.RETURNED},
        StatementState.PAID: {StatementState.RETURNED},
        StatementState.CARRIED: set(),
        StatementState.RETURNED: set(),
    },
)
"""A negative or blocked balance is carried; a payout that the bank gives back returns the statement's money to the book."""

PAYOUT_STATES: Final[States] = declare_states(
    "payout",
    PayoutState.REQUESTED,
    {
        PayoutState.REQUESTED: {PayoutState.SENT, PayoutState.FAILED},
        PayoutState.SENT: {PayoutState.RETURNED},
        PayoutState.FAILED: {PayoutState.RETRY, PayoutState.RETURNED},
        PayoutState.RETRY: {PayoutState.SENT, PayoutState.FAILED},
        PayoutState.RETURNED: set(),
    },
)
"""A failed payout is retried under the same id, so that the bank never sees it twice, or its money goes back."""

INVOICE_STATES: Final[States] = declare_states(
    "invoice", InvoiceState.DRAFT, {InvoiceState.DRAFT: {InvoiceState.NUMBERED}, InvoiceState.NUMBERED: set()}
)


def statement_id_of(merchant_id: uuid.UUID, currency: str, starts_on: date) -> uuid.UUID:
    """Return the id of the one statement of a merchant, currency and period."""
    return derived_id("statement", merchant_id, currency, starts_on)


def payout_id_of(statement_id: uuid.UUID) -> uuid.UUID:
    """Return the id of the one payout of a statement."""
    return derived_id("payout", statement_id)


def invoice_id_of(issuer_id: uuid.UUID, kind: InvoiceKind, cause_id: uuid.UUID) -> uuid.UUID:
    """Return the id of the one invoice of its kind that an issuer writes for a cause."""
    return derived_id("invoice", issuer_id, kind, cause_id)
