"""The outside that orders need: payment providers, whether built in or real."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from msgspec import Struct


class PaymentAnswer(StrEnum):
    """What a provider answers."""

    APPROVED = "approved"
    DECLINED = "declined"
    PENDING = "pending"
    TIMEOUT = "timeout"
    DONE = "done"
    REFUSED = "refused"


class AuthoriseRequest(Struct, frozen=True):
    """An amount in minor units to be promised by the buyer's bank."""

    payment_id: uuid.UUID
    amount_minor: int
    currency: str
    method_code: str
    at: datetime


class AuthoriseAnswer(Struct, frozen=True):
    """The provider's answer to one authorisation: approved until `expires_at`, declined for a reason, pending, or no answer in time.

    `answered_at` is when the provider decided or, while pending, when it will be asked again.
    """

    payment_id: uuid.UUID
    answer: PaymentAnswer
    answered_at: datetime
    amount_minor: int
    currency: str
    provider_reference: str
    expires_at: datetime | None = None
    reason: str | None = None


class CaptureRequest(Struct, frozen=True):
    """An amount to be taken from an authorisation, of which `captured_minor` was taken before."""

    capture_id: uuid.UUID
    payment_id: uuid.UUID
    method_code: str
    amount_minor: int
    authorised_minor: int
    captured_minor: int
    currency: str
    expires_at: datetime | None
    at: datetime


class VoidRequest(Struct, frozen=True):
    """An authorisation to be given up; nothing of it may have been captured."""

    payment_id: uuid.UUID
    method_code: str
    captured_minor: int
    at: datetime


class RefundRequest(Struct, frozen=True):
    """An amount to be given back of what was captured, of which `refunded_minor` went back before."""

    refund_id: uuid.UUID
    payment_id: uuid.UUID
    method_code: str
    amount_minor: int
    captured_minor: int
    refunded_minor: int
    currency: str
    at: datetime


class MovementAnswer(Struct, frozen=True):
    """The provider's answer to a capture, void or refund: done for exactly the amount asked, or refused for a reason with amount zero."""

    subject_id: uuid.UUID
    answer: PaymentAnswer
    amount_minor: int
    currency: str
    answered_at: datetime
    provider_reference: str
    reason: str | None = None


class PaymentProvider(Protocol):
    """What every payment provider can do; all calls take many and are safe to repeat with the same ids."""

    async def authorise(self, requests: Sequence[AuthoriseRequest]) -> list[AuthoriseAnswer]:
        """Ask for authorisations and return the answers in order."""
        ...

    async def settle_pending(self, requests: Sequence[AuthoriseRequest], now: datetime) -> list[AuthoriseAnswer]:
        """Return the answers, decided by `now`, to requests that were pending or timed out before; the undecided are left out."""
        ...

    async def capture(self, requests: Sequence[CaptureRequest]) -> list[MovementAnswer]:
        """Take money from authorisations."""
        ...

    async def void(self, requests: Sequence[VoidRequest]) -> list[MovementAnswer]:
        """Give authorisations up."""
        ...

    async def refund(self, requests: Sequence[RefundRequest]) -> list[MovementAnswer]:
        """Give money back, in the currency and never more than was charged."""
        ...
