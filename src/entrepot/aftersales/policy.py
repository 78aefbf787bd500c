"""When a return may be asked for and must be back: dated policies, and the answer to one request."""

import tomllib
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from enum import StrEnum
from importlib.resources import files

from msgspec import Struct

from entrepot.base.errors import BrokenDeclarationError


class DaysFrom(StrEnum):
    """The event from which a policy's days run."""

    DELIVERED = "delivered"
    RELEASED = "released"


class ReturnPolicy(Struct, frozen=True):
    """One dated rule: days to ask, days to be back, and from when they run; `effective_to` is exclusive, None means open."""

    policy_code: str
    regime_code: str
    effective_from: date
    effective_to: date | None
    days_from: DaysFrom
    ask_within_days: int
    back_within_days: int
    source: str
    confidence: str
    is_active: bool


class ReturnAnswerCode(StrEnum):
    """The answer to a request for a return, with its reason."""

    ALLOWED = "allowed"
    NO_POLICY = "no_policy"
    NOT_DELIVERED = "not_delivered"
    NOT_RELEASED = "not_released"
    TOO_LATE = "too_late"
    MORE_THAN_DELIVERED = "more_than_delivered"
    NOT_RETURNABLE = "not_returnable"


class ReturnQuestion(Struct, frozen=True):
    """What a request is judged by; `returnable` is what was delivered and neither came back nor is asked back already."""

    asked_at: datetime
    delivered_at: datetime | None
    released_at: datetime | None
    quantity: int
    returnable: int
    is_category_returnable: bool = True


class ReturnAnswer(Struct, frozen=True):
    """Whether the policy allows a return, and until when the goods must be back."""

    code: ReturnAnswerCode
    policy_code: str = ""
    deadline_at: datetime | None = None

    @property
    def is_allowed(self) -> bool:
        """Whether the return may go ahead without anybody's favour."""
        return self.code is ReturnAnswerCode.ALLOWED


def load_return_policies() -> tuple[ReturnPolicy, ...]:
    """Read the policies that ship with the product."""
    rows = tomllib.loads(files("entrepot.aftersales").joinpath("seed", "return_policies.toml").read_text(encoding="utf-8"))["policy"]
    policies = tuple(
        ReturnPolicy(
            policy_code=row["policy_code"],
            regime_code=row["regime_code"],
            effective_from=row["effective_from"],
            effective_to=row.get("effective_to"),
            days_from=DaysFrom(row["days_from"]),
            ask_within_days=row["ask_within_days"],
            back_within_days=row["back_within_days"],
            source=row["source"],
            confidence=row["confidence"],
            is_active=row["is_active"],
        )
        for row in rows
    )
    require_periods_apart(policies)
    return policies


def require_periods_apart(policies: Iterable[ReturnPolicy]) -> None:
    """Refuse two active policies of one regime that hold on the same day."""
    last: dict[str, ReturnPolicy] = {}
    active = [policy for policy in policies if policy.is_active]
    for policy in sorted(active, key=lambda policy: (policy.regime_code, policy.effective_from)):
        before = last.get(policy.regime_code)
        if before is not None and (before.effective_to is None or before.effective_to > policy.effective_from):
            raise BrokenDeclarationError("return_policy", policy.policy_code, f"End {before.policy_code} before this policy begins.")
        last[policy.regime_code] = policy


def policy_on(policies: Iterable[ReturnPolicy], regime_code: str, on: date) -> ReturnPolicy | None:
    """Return the active policy of a regime on a date, or None."""
    return next(
        (
            policy
            for policy in policies
            if policy.is_active
            and policy.regime_code == regime_code
            and policy.effective_from <= on
            and (policy.effective_to is None or on < policy.effective_to)
        ),
        None,
    )


def answer_return(policy: ReturnPolicy | None, question: ReturnQuestion) -> ReturnAnswer:
    """Judge one request: windows count whole days from delivery or customs release, to the instant.

    The policy of the date of that event applies. Who decides beyond it (a merchant may always be kinder) is the plan's matter.
    """
    if policy is None:
        return ReturnAnswer(ReturnAnswerCode.NO_POLICY)
    start = question.released_at if policy.days_from is DaysFrom.RELEASED else question.delivered_at
    if question.delivered_at is None or start is None:
        code = ReturnAnswerCode.NOT_DELIVERED if question.delivered_at is None else ReturnAnswerCode.NOT_RELEASED
        return ReturnAnswer(code, policy.policy_code)
    if not question.is_category_returnable:
        return ReturnAnswer(ReturnAnswerCode.NOT_RETURNABLE, policy.policy_code)
    if question.quantity > question.returnable:
        return ReturnAnswer(ReturnAnswerCode.MORE_THAN_DELIVERED, policy.policy_code)
    if question.asked_at > start + timedelta(days=policy.ask_within_days):
        return ReturnAnswer(ReturnAnswerCode.TOO_LATE, policy.policy_code)
    return ReturnAnswer(ReturnAnswerCode.ALLOWED, policy.policy_code, start + timedelta(days=policy.back_within_days))


def is_back_in_time(deadline_at: datetime, received_at: datetime) -> bool:
    """Tell whether returned goods arrived within the window, which for a customs regime decides whether tax and quota come back."""
    return received_at <= deadline_at
