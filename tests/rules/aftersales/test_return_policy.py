"""Until when goods may come back."""

from datetime import UTC, date, datetime, timedelta

import pytest
from msgspec.structs import replace

from entrepot.aftersales.model import GRADE_DISPOSITIONS, RETURN_STATES, GradeCode
from entrepot.aftersales.policy import (
    ReturnAnswerCode,
    ReturnQuestion,
    answer_return,
    is_back_in_time,
    load_return_policies,
    policy_on,
    require_periods_apart,
)
from entrepot.base.errors import BrokenDeclarationError

POLICIES = load_return_policies()
DELIVERED = datetime(2026, 2, 10, 15, 0, tzinfo=UTC)
RELEASED = datetime(2026, 2, 1, 9, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def ask(**changed: object) -> ReturnQuestion:
    question = ReturnQuestion(asked_at=DELIVERED + timedelta(days=3), delivered_at=DELIVERED, released_at=RELEASED, quantity=1, returnable=2)
    return replace(question, **changed)


@pytest.mark.parametrize(
    ("regime", "on", "code"),
    [
        ("standard", date(2026, 3, 1), "standard-30"),
        ("cbec", date(2020, 3, 27), "china-cbec-2016"),
        ("cbec", date(2020, 3, 28), "china-cbec-2020"),
        ("cbec", date(2016, 4, 7), None),
        ("unheard_of", date(2026, 3, 1), None),
    ],
)
def test_policy_by_date(regime, on, code):
    policy = policy_on(POLICIES, regime, on)
    assert (policy.policy_code if policy else None) == code


@pytest.mark.parametrize(
    ("regime", "question", "code"),
    [
        ("standard", ask(), ReturnAnswerCode.ALLOWED),
        ("standard", ask(asked_at=DELIVERED + timedelta(days=30)), ReturnAnswerCode.ALLOWED),
        ("standard", ask(asked_at=DELIVERED + timedelta(days=30) + SECOND), ReturnAnswerCode.TOO_LATE),
        ("standard", ask(delivered_at=None), ReturnAnswerCode.NOT_DELIVERED),
        ("standard", ask(quantity=3), ReturnAnswerCode.MORE_THAN_DELIVERED),
        ("standard", ask(is_category_returnable=False), ReturnAnswerCode.NOT_RETURNABLE),
        ("cbec", ask(asked_at=RELEASED + timedelta(days=30)), ReturnAnswerCode.ALLOWED),
        ("cbec", ask(asked_at=RELEASED + timedelta(days=30) + SECOND), ReturnAnswerCode.TOO_LATE),
        ("cbec", ask(released_at=None), ReturnAnswerCode.NOT_RELEASED),
        ("unheard_of", ask(), ReturnAnswerCode.NO_POLICY),
    ],
)
def test_answer(regime, question, code):
    assert answer_return(policy_on(POLICIES, regime, date(2026, 2, 10)), question).code is code


def test_deadlines_run_from_delivery_or_release():
    standard, china = (answer_return(policy_on(POLICIES, regime, date(2026, 2, 10)), ask()) for regime in ("standard", "cbec"))
    assert (standard.is_allowed, standard.deadline_at) == (True, DELIVERED + timedelta(days=45))
    assert (china.is_allowed, china.deadline_at) == (True, RELEASED + timedelta(days=45))
    assert is_back_in_time(RELEASED + timedelta(days=45), RELEASED + timedelta(days=45))
    assert not is_back_in_time(RELEASED + timedelta(days=45), RELEASED + timedelta(days=45) + SECOND)


def test_overlapping_policies_do_not_load():
    twin = replace(POLICIES[0], policy_code="twin", effective_from=date(2025, 1, 1))
    with pytest.raises(BrokenDeclarationError):
        require_periods_apart([*POLICIES, twin])
    require_periods_apart([*POLICIES, replace(twin, is_active=False)])


def test_every_grade_has_a_disposition_and_returns_end():
    assert set(GRADE_DISPOSITIONS) == set(GradeCode)
    assert RETURN_STATES.terminal == {"refused", "closed", "cancelled"}
