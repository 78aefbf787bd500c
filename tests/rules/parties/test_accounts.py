"""When trying to sign in is stopped, and which accounts need somebody to act for."""

from datetime import timedelta

import pytest
from tests.factories.parties import AT

from entrepot.base.ids import derived_id
from entrepot.parties.accounts import NewStaff, RoleNeedsSubjectError, StaffRole, normal_login, require_subject, retry_at


@pytest.mark.parametrize(
    ("minutes_ago", "retry_in_minutes"),
    [
        ([], None),
        ([1, 2], None),
        ([1, 2, 3], 12),
        ([0, 0, 0], 15),
        ([1, 2, 14.9], 0.1),
        ([1, 2, 15], None),
        ([1, 2, 3, 4, 5], 12),
    ],
)
def test_three_failures_within_the_window_stop_further_attempts(minutes_ago, retry_in_minutes):
    expected = None if retry_in_minutes is None else AT + timedelta(minutes=retry_in_minutes)
    assert retry_at([AT - timedelta(minutes=ago) for ago in minutes_ago], 3, AT) == expected


@pytest.mark.parametrize(
    ("role", "merchant", "person", "field"),
    [
        (StaffRole.MERCHANT_OWNER, None, None, "merchant_id"),
        (StaffRole.MERCHANT_STAFF, None, "ann", "merchant_id"),
        (StaffRole.BUYER, "leeds", None, "person_id"),
        (StaffRole.MERCHANT_OWNER, "leeds", None, None),
        (StaffRole.BUYER, None, "ann", None),
        (StaffRole.WAREHOUSE, None, None, None),
        (StaffRole.OPERATOR, None, None, None),
    ],
)
def test_who_an_account_acts_for(role, merchant, person, field):
    ids = [None if name is None else derived_id(name) for name in (merchant, person)]
    account = NewStaff(derived_id("x"), "x", "", "X", role, *ids)
    if field is None:
        require_subject(account)
        return
    with pytest.raises(RoleNeedsSubjectError) as caught:
        require_subject(account)
    assert caught.value.field == field


def test_logins_compare_without_case_and_blanks():
    assert normal_login("  Operator ") == "operator"
