"""Returns, refunds and messages for tests, with ids that follow from words."""

import uuid
from datetime import UTC, datetime, timedelta

from entrepot.aftersales.model import (
    Amounts,
    AuthorRole,
    CauseKind,
    Message,
    Refund,
    RefundLine,
    ReturnChoice,
    ReturnRequest,
    ReturnStep,
    ReturnUnits,
)
from entrepot.base.actor import Actor, ActorKind
from entrepot.base.ids import derived_id

AT = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
BENCH = Actor(ActorKind.STAFF, "bench-1", "returns_bench")
BUYER = Actor(ActorKind.BUYER, "buyer-1", "buyer")


def named(*words: object) -> uuid.UUID:
    """Return the id that these words stand for in every test."""
    return derived_id("test", *words)


MERCHANT, OTHER_MERCHANT, PERSON = named("merchant"), named("other merchant"), named("person")


def later(days: int = 0, minutes: int = 0) -> datetime:
    return AT + timedelta(days=days, minutes=minutes)


def a_request(rma: str = "rma", *units: tuple[int, int, int], order: str = "order", merchant_id: uuid.UUID = MERCHANT) -> ReturnRequest:
    """Return a request for units of (line, part, quantity), two of the first line if none is named."""
    return ReturnRequest(
        merchant_id=merchant_id,
        rma_id=named(rma),
        order_id=named(order),
        person_id=PERSON,
        reason_code="too_small",
        choice=ReturnChoice.RETURN,
        asked_at=AT,
        taker_role="platform",
        decider_role="platform",
        policy_code="standard-30",
        lines=tuple(ReturnUnits(*one) for one in units or ((1, 1, 2),)),
    )


def a_step(rma: str = "rma", days: int = 1, note: str = "", merchant_id: uuid.UUID = MERCHANT) -> ReturnStep:
    return ReturnStep(merchant_id, named(rma), later(days), note)


def a_refund(
    refund: str = "refund",
    cause: str = "rma",
    goods_minor: int = 1000,
    order: str = "order",
    kind: CauseKind = CauseKind.RETURN,
    merchant_id: uuid.UUID = MERCHANT,
) -> Refund:
    """Return a refund of two lines: one unit of line 1 with tax on top, and money only on line 2."""
    return Refund(
        merchant_id=merchant_id,
        refund_id=named(refund),
        order_id=named(order),
        person_id=PERSON,
        cause_kind=kind,
        cause_id=named(cause),
        currency="USD",
        asked_at=later(2),
        lines=(
            RefundLine(1, 1, Amounts(goods_minor=goods_minor, discount_minor=100, tax_minor=80, tax_on_top_minor=80)),
            RefundLine(2, 0, Amounts(freight_minor=500)),
        ),
    )


def a_message(
    thread_id: uuid.UUID, message: str, role: AuthorRole = AuthorRole.BUYER, minutes: int = 0, merchant_id: uuid.UUID = MERCHANT
) -> Message:
    return Message(merchant_id, thread_id, named(message), role, f"About {message}", later(minutes=minutes))
