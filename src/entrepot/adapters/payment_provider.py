"""The built-in payment provider: its answer follows from the method of payment, so that every outcome can be had on purpose.

Nothing is remembered: a request with the same payment id and values gets the same answer, also after a restart. The books of orders
keep what was captured and refunded and say so with each request.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from entrepot.base.errors import UnknownReferenceError
from entrepot.base.ids import derived_id
from entrepot.orders.ports import (
    AuthoriseAnswer,
    AuthoriseRequest,
    CaptureRequest,
    MovementAnswer,
    PaymentAnswer,
    RefundRequest,
    VoidRequest,
)


class UnknownPaymentMethodError(UnknownReferenceError):
    """The payment provider does not offer this method; the buyer chooses another."""


class PaymentMethod(Struct, frozen=True):
    """How a method behaves: its first answer, and when the provider decides after a first answer that decided nothing."""

    first_answer: PaymentAnswer
    decides_after: timedelta
    authorised_for: timedelta
    reason: str | None = None


_WEEK: Final = timedelta(days=7)
_AT_ONCE: Final = timedelta(0)
METHODS: Final[Mapping[str, PaymentMethod]] = MappingProxyType(
    {
        "card_ok": PaymentMethod(PaymentAnswer.APPROVED, _AT_ONCE, _WEEK),
        "card_declined": PaymentMethod(PaymentAnswer.DECLINED, _AT_ONCE, _WEEK, "insufficient_funds"),
        "card_slow": PaymentMethod(PaymentAnswer.PENDING, timedelta(minutes=4), _WEEK),
        # A timeout that never succeeds: the provider has no trace of it when asked again.
        "card_timeout": PaymentMethod(PaymentAnswer.TIMEOUT, timedelta(minutes=15), _WEEK, "not_received"),
        # A timeout after which the success comes when the hold is long gone.
        "card_late": PaymentMethod(PaymentAnswer.TIMEOUT, timedelta(minutes=90), _WEEK),
        "invoice": PaymentMethod(PaymentAnswer.APPROVED, _AT_ONCE, timedelta(days=30)),
        "test_wallet": PaymentMethod(PaymentAnswer.APPROVED, _AT_ONCE, timedelta(days=3)),
        "cn_wallet": PaymentMethod(PaymentAnswer.APPROVED, _AT_ONCE, timedelta(days=3)),
    }
)
"""The methods of the built-in provider by code."""


class BuiltInProvider:
    """A payment provider for demonstration, tests and load; no money moves."""

    async def authorise(self, requests: Sequence[AuthoriseRequest]) -> list[AuthoriseAnswer]:
        """Answer each request with the first answer of its method."""
        return [_first_answer(request) for request in requests]

    async def settle_pending(self, requests: Sequence[AuthoriseRequest], now: datetime) -> list[AuthoriseAnswer]:
        """Return the final answers that are decided by `now`, in order of decision; the undecided are left out."""
        decided = [
            _final_answer(request, method)
            for request in requests
            if (method := payment_method(request.method_code)).decides_after > _AT_ONCE and request.at + method.decides_after <= now
        ]
        return sorted(decided, key=lambda answer: (answer.answered_at, answer.payment_id))

    async def capture(self, requests: Sequence[CaptureRequest]) -> list[MovementAnswer]:
        """Take money that is authorised and not expired."""
        return [_capture(request) for request in requests]

    async def void(self, requests: Sequence[VoidRequest]) -> list[MovementAnswer]:
        """Give authorisations up that were not captured."""
        answers: list[MovementAnswer] = []
        for request in requests:
            payment_method(request.method_code)
            reason = "already_captured" if request.captured_minor else None
            answers.append(_movement("void", request.payment_id, 0, "", request.at, reason))
        return answers

    async def refund(self, requests: Sequence[RefundRequest]) -> list[MovementAnswer]:
        """Give back exactly what is asked, and never more than was charged."""
        answers: list[MovementAnswer] = []
        for request in requests:
            payment_method(request.method_code)
            is_covered = 0 < request.amount_minor <= request.captured_minor - request.refunded_minor
            reason = None if is_covered else "more_than_charged"
            answers.append(_movement("refund", request.refund_id, request.amount_minor, request.currency, request.at, reason))
        return answers


def payment_method(method_code: str) -> PaymentMethod:
    """Return a method's behaviour or refuse an unknown code."""
    method = METHODS.get(method_code)
    if method is None:
        raise UnknownPaymentMethodError("method_code", method_code, "Use one of %(choices)s.", choices=sorted(METHODS))
    return method


def _first_answer(request: AuthoriseRequest) -> AuthoriseAnswer:
    """Return what a provider says at once."""
    method = payment_method(request.method_code)
    if method.decides_after == _AT_ONCE:
        return _final_answer(request, method)
    return AuthoriseAnswer(
        request.payment_id,
        method.first_answer,
        request.at + method.decides_after,
        request.amount_minor,
        request.currency,
        _reference("authorise", request.payment_id),
    )


def _final_answer(request: AuthoriseRequest, method: PaymentMethod) -> AuthoriseAnswer:
    """Return what a provider says in the end: declined where the method has a reason, else approved."""
    decided_at = request.at + method.decides_after
    is_approved = method.reason is None
    return AuthoriseAnswer(
        request.payment_id,
        PaymentAnswer.APPROVED if is_approved else PaymentAnswer.DECLINED,
        decided_at,
        request.amount_minor,
        request.currency,
        _reference("authorise", request.payment_id),
        decided_at + method.authorised_for if is_approved else None,
        method.reason,
    )


def _capture(request: CaptureRequest) -> MovementAnswer:
    """Take what is authorised, or say why not."""
    payment_method(request.method_code)
    reason = None
    if not 0 < request.amount_minor <= request.authorised_minor - request.captured_minor:
        reason = "more_than_authorised"
    elif request.expires_at is None or request.at >= request.expires_at:
        reason = "authorisation_expired"
    return _movement("capture", request.capture_id, request.amount_minor, request.currency, request.at, reason)


def _movement(kind: str, subject_id: uuid.UUID, amount_minor: int, currency: str, at: datetime, reason: str | None) -> MovementAnswer:
    """Build the answer to a movement: done for the whole amount, or refused for nothing."""
    answer = PaymentAnswer.DONE if reason is None else PaymentAnswer.REFUSED
    return MovementAnswer(subject_id, answer, amount_minor if reason is None else 0, currency, at, _reference(kind, subject_id), reason)


def _reference(kind: str, subject_id: uuid.UUID) -> str:
    """Return the provider's own reference, which follows from ours."""
    return f"{kind[:3]}_{derived_id('payment_provider', kind, subject_id).hex}"
