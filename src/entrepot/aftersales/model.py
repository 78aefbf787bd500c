"""The words of what comes after a sale: returns, their grades, refunds, threads and performance events."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from entrepot.base.errors import ConflictError, RefusedInputError, UnknownReferenceError
from entrepot.base.states import declare_states


class UnknownReturnError(UnknownReferenceError):
    """No return of this merchant has this id."""


class UnknownThreadError(UnknownReferenceError):
    """No thread of this merchant has this id."""


class ReturnHoldsNothingError(RefusedInputError):
    """A return names no units, or a line of it none."""


class RefundExceedsChargeError(RefusedInputError):
    """More is to be given back than is left of what was charged."""


class RefundIdUsedError(ConflictError):
    """The refund id stands for another cause; use a new one."""


class MessageEmptyError(RefusedInputError):
    """A message has no text, or more of it than a message may have."""


class ReturnState(StrEnum):
    """The life of a return."""

    REQUESTED = "requested"
    APPROVED = "approved"
    REFUSED = "refused"
    IN_TRANSIT = "in_transit"
    RECEIVED = "received"
    GRADED = "graded"
    CLOSED = "closed"
    CANCELLED = "cancelled"


class RefundState(StrEnum):
    """The life of a refund; what failed at the payment provider may be tried again."""

    PENDING = "pending"
    PAID = "paid"
    FAILED = "failed"


RETURN_STATES: Final = declare_states(
    "return_request",
    ReturnState.REQUESTED,
    {
        ReturnState.REQUESTED: {ReturnState.APPROVED, ReturnState.REFUSED, ReturnState.CANCELLED},
        ReturnState.APPROVED: {ReturnState.IN_TRANSIT, ReturnState.RECEIVED, ReturnState.CLOSED, ReturnState.CANCELLED},
        ReturnState.REFUSED: set(),
        ReturnState.IN_TRANSIT: {ReturnState.RECEIVED, ReturnState.CLOSED},
        ReturnState.RECEIVED: {ReturnState.GRADED},
        ReturnState.GRADED: {ReturnState.CLOSED},
        ReturnState.CLOSED: set(),
        ReturnState.CANCELLED: set(),
    },
)
"""Approved or in transit may close without goods: destroyed where they are, kept by the buyer, or lost on the way back."""

REFUND_STATES: Final = declare_states(
    "refund",
    RefundState.PENDING,
    {RefundState.PENDING: {RefundState.PAID, RefundState.FAILED}, RefundState.PAID: set(), RefundState.FAILED: {RefundState.PENDING}},
)


class ReturnChoice(StrEnum):
    """What becomes of goods that the buyer gives up: sent back, or destroyed where they are."""

    RETURN = "return"
    DESTROY = "destroy"


class GradeCode(StrEnum):
    """The condition in which a returned unit was found; the words of the stock book."""

    SELLABLE = "sellable"
    DAMAGED = "damaged"
    DEFECTIVE = "defective"
    EXPIRED = "expired"
    QUARANTINE = "quarantine"


class DispositionCode(StrEnum):
    """Where a returned unit goes."""

    RESTOCK = "restock"
    HOLD = "hold"
    DESTROY = "destroy"
    SEND_TO_MERCHANT = "send_to_merchant"


class CauseKind(StrEnum):
    """Why money goes back."""

    CANCELLATION = "cancellation"
    RETURN = "return"
    CUSTOMS_REFUSAL = "customs_refusal"
    GOODWILL = "goodwill"
    PRICE = "price"
    LOST = "lost"


class AuthorRole(StrEnum):
    """Who writes in a thread."""

    BUYER = "buyer"
    MERCHANT = "merchant"
    PLATFORM = "platform"


class PerformanceKind(StrEnum):
    """What counts in a merchant's figures, once per order; what is due and what became of it bear the same instant, so that both fall in one window."""

    SHIP_DUE = "ship_due"
    LATE_SHIPMENT = "late_shipment"
    TRACKING_DUE = "tracking_due"
    TRACKING_VALID = "tracking_valid"
    ORDER_TAKEN = "order_taken"
    CANCELLED_BY_MERCHANT = "cancelled_by_merchant"
    DEFECT = "defect"


class Outcome(StrEnum):
    """What became of one step of a batch; only `done` changed something."""

    DONE = "done"
    EXISTS = "exists"
    EXISTS_WITH_DIFFERENT_VALUES = "exists_with_different_values"
    NOT_ALLOWED = "not_allowed"
    QUANTITY_DIFFERS = "quantity_differs"
    UNKNOWN = "unknown"


ReturnKey = tuple[uuid.UUID, uuid.UUID]
"""Merchant and RMA."""

PartKey = tuple[int, int]
"""Line and allocated part of an order."""


class ReturnUnits(Struct, frozen=True):
    """Units of one allocated part of an order line."""

    line_no: int
    part_no: int
    quantity: int


class ReturnRequest(Struct, frozen=True):
    """What a buyer wants to give back, who takes it and who decides (roles from the plan), under which dated policy."""

    merchant_id: uuid.UUID
    rma_id: uuid.UUID
    order_id: uuid.UUID
    person_id: uuid.UUID
    reason_code: str
    choice: ReturnChoice
    asked_at: datetime
    taker_role: str
    decider_role: str
    policy_code: str
    lines: tuple[ReturnUnits, ...]


class ReturnStep(Struct, frozen=True):
    """One return taking one step at `at`; `note` says why where somebody decided."""

    merchant_id: uuid.UUID
    rma_id: uuid.UUID
    at: datetime
    note: str = ""

    @property
    def key(self) -> ReturnKey:
        """Merchant and RMA."""
        return (self.merchant_id, self.rma_id)


class ReturnApproval(Struct, frozen=True):
    """A return that is allowed: where the goods go (nowhere if destroyed) and until when, and the customs declaration under which."""

    step: ReturnStep
    deadline_at: datetime
    place_code: str | None = None
    customs_return_declaration: str | None = None


class ReturnReceipt(Struct, frozen=True):
    """What arrived of a return, counted per part; a part that is not named did not come."""

    step: ReturnStep
    received: tuple[ReturnUnits, ...]


class GradedUnits(Struct, frozen=True):
    """Received units of one part found in one condition, and where they go."""

    line_no: int
    part_no: int
    grade_code: GradeCode
    disposition_code: DispositionCode
    quantity: int


class ReturnGrading(Struct, frozen=True):
    """The grades of all received units of a return."""

    step: ReturnStep
    grades: tuple[GradedUnits, ...]


class ReturnLine(Struct, frozen=True):
    """A part of a return as it stands."""

    line_no: int
    part_no: int
    quantity: int
    received: int
    grades: tuple[GradedUnits, ...] = ()


class Return(Struct, frozen=True):
    """A return as it stands."""

    merchant_id: uuid.UUID
    rma_id: uuid.UUID
    order_id: uuid.UUID
    person_id: uuid.UUID
    state: ReturnState
    reason_code: str
    choice: ReturnChoice
    asked_at: datetime
    deadline_at: datetime | None
    taker_role: str
    decider_role: str
    policy_code: str
    place_code: str | None
    customs_return_declaration: str | None
    lines: tuple[ReturnLine, ...]


class Amounts(Struct, frozen=True):
    """Money on a line by component, in minor units of the charged currency; discount counts down.

    `tax_minor` is all tax on the line, `tax_on_top_minor` the part of it that the price did not include.
    """

    goods_minor: int = 0
    discount_minor: int = 0
    freight_minor: int = 0
    insurance_minor: int = 0
    tax_minor: int = 0
    tax_on_top_minor: int = 0
    duty_minor: int = 0

    @property
    def total_minor(self) -> int:
        """What the buyer pays or gets."""
        return self.goods_minor - self.discount_minor + self.freight_minor + self.insurance_minor + self.tax_on_top_minor + self.duty_minor

    def __add__(self, other: "Amounts") -> "Amounts":
        return Amounts(
            self.goods_minor + other.goods_minor,
            self.discount_minor + other.discount_minor,
            self.freight_minor + other.freight_minor,
            self.insurance_minor + other.insurance_minor,
            self.tax_minor + other.tax_minor,
            self.tax_on_top_minor + other.tax_on_top_minor,
            self.duty_minor + other.duty_minor,
        )


class RefundLine(Struct, frozen=True):
    """What goes back for units of one order line; no units where only money goes back."""

    line_no: int
    quantity: int
    amounts: Amounts


class Refund(Struct, frozen=True):
    """Money that goes back to a buyer for one cause, in the currency that was charged."""

    merchant_id: uuid.UUID
    refund_id: uuid.UUID
    order_id: uuid.UUID
    person_id: uuid.UUID
    cause_kind: CauseKind
    cause_id: uuid.UUID
    currency: str
    asked_at: datetime
    lines: tuple[RefundLine, ...]

    @property
    def amounts(self) -> Amounts:
        """The sum of all lines."""
        return sum((line.amounts for line in self.lines), Amounts())


class RecordedRefund(Struct, frozen=True):
    """The answer to a recorded refund: new, or the id under which its cause was refunded before."""

    outcome: Outcome
    refund_id: uuid.UUID


class RefundStep(Struct, frozen=True):
    """One refund taking one step; `reference` is the payment provider's."""

    merchant_id: uuid.UUID
    refund_id: uuid.UUID
    at: datetime
    reference: str = ""


class StoredRefund(Struct, frozen=True):
    """A refund as it stands."""

    refund: Refund
    state: RefundState
    settled_at: datetime | None
    reference: str


class ThreadKey(Struct, frozen=True):
    """The conversation about one order and topic."""

    merchant_id: uuid.UUID
    order_id: uuid.UUID
    topic_code: str


class Message(Struct, frozen=True):
    """What one party writes; `needs_answer` starts the response clock."""

    merchant_id: uuid.UUID
    thread_id: uuid.UUID
    message_id: uuid.UUID
    author_role: AuthorRole
    text: str
    at: datetime
    needs_answer: bool = True


class Thread(Struct, frozen=True):
    """A conversation with its messages, oldest first."""

    merchant_id: uuid.UUID
    thread_id: uuid.UUID
    order_id: uuid.UUID
    topic_code: str
    opened_at: datetime
    messages: tuple[Message, ...] = ()


class PerformanceEvent(Struct, frozen=True):
    """Something about an order that counts in the merchant's figures."""

    merchant_id: uuid.UUID
    order_id: uuid.UUID
    kind: PerformanceKind
    at: datetime


MESSAGE_LENGTH: Final = 4000

GRADE_DISPOSITIONS: Final[Mapping[GradeCode, DispositionCode]] = MappingProxyType(
    {
        GradeCode.SELLABLE: DispositionCode.RESTOCK,
        GradeCode.DAMAGED: DispositionCode.HOLD,
        GradeCode.DEFECTIVE: DispositionCode.HOLD,
        GradeCode.EXPIRED: DispositionCode.DESTROY,
        GradeCode.QUARANTINE: DispositionCode.HOLD,
    }
)
"""Where a unit goes unless its merchant or the law of the place decides otherwise."""
