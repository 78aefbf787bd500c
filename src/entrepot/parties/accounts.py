"""Sign-in accounts: who may sign in with which role, and when trying is stopped."""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from msgspec import Struct

from entrepot.base.errors import RefusedInputError


class RoleNeedsSubjectError(RefusedInputError):
    """The role acts for somebody who is not named; the operator names the merchant, buyer or place."""


class StaffRole(StrEnum):
    """What a signed-in person may do."""

    BUYER = "buyer"
    MERCHANT_OWNER = "merchant_owner"
    MERCHANT_STAFF = "merchant_staff"
    WAREHOUSE = "warehouse"
    AGENT = "agent"
    OPERATOR = "operator"
    FINANCE = "finance"
    STOREFRONT = "storefront"


class StaffStatus(StrEnum):
    """Whether an account may sign in."""

    ACTIVE = "active"
    CLOSED = "closed"


class SignInOutcome(StrEnum):
    """How an attempt to sign in ended; a refusal is an answer, so that the attempt stays counted. With a second factor a code is still needed."""

    SIGNED_IN = "signed_in"
    CODE_NEEDED = "code_needed"
    WRONG_CREDENTIALS = "wrong_credentials"
    THROTTLED = "throttled"


MERCHANT_ROLES: Final[frozenset[str]] = frozenset({StaffRole.MERCHANT_OWNER, StaffRole.MERCHANT_STAFF})
SESSION_LIFETIME: Final = timedelta(hours=12)
IDLE_LIFETIME: Final = timedelta(minutes=30)
"""How long a session lives that nobody uses."""
NOTED_EVERY: Final = timedelta(minutes=2)
"""How often it is noted that a session is in use."""
CODE_PATIENCE: Final = timedelta(minutes=10)
THROTTLE_WINDOW: Final = timedelta(minutes=15)
FAILURES_PER_LOGIN: Final = 5
FAILURES_PER_ORIGIN: Final = 50


class NewStaff(Struct, frozen=True):
    """An account to create, with an already hashed password."""

    staff_id: uuid.UUID
    login: str
    password_hash: str
    display_name: str
    role: StaffRole
    merchant_id: uuid.UUID | None = None
    person_id: uuid.UUID | None = None
    place_code: str | None = None


class StaffMember(Struct, frozen=True):
    """Somebody who is signed in: role, and the merchant, buyer or place it acts for."""

    staff_id: uuid.UUID
    login: str
    display_name: str
    role: StaffRole
    merchant_id: uuid.UUID | None
    person_id: uuid.UUID | None
    place_code: str | None
    language_code: str | None = None


class Session(Struct, frozen=True):
    """A session that lives: whose it is, whether a second factor protects the account, and whether it is time to note that the session is in use."""

    member: StaffMember
    has_factor: bool
    is_to_be_noted: bool


class SignIn(Struct, frozen=True):
    """The answer to an attempt: the session token only if it succeeded, the time to try again only if throttled."""

    outcome: SignInOutcome
    member: StaffMember | None = None
    token: str | None = None
    expires_at: datetime | None = None
    retry_at: datetime | None = None


def require_subject(member: NewStaff) -> None:
    """Refuse a merchant's account without merchant and a buyer's account without buyer."""
    if member.role in MERCHANT_ROLES and member.merchant_id is None:
        raise RoleNeedsSubjectError("merchant_id", None, "Name the merchant that %(login)s acts for.", login=member.login)
    if member.role is StaffRole.BUYER and member.person_id is None:
        raise RoleNeedsSubjectError("person_id", None, "Name the buyer that %(login)s is.", login=member.login)


def retry_at(failures_at: Sequence[datetime], allowed_count: int, at: datetime) -> datetime | None:
    """Return when the next attempt is heard, or None if now: not while `allowed_count` failures lie within the window."""
    recent = sorted(failed_at for failed_at in failures_at if failed_at > at - THROTTLE_WINDOW)
    return recent[-allowed_count] + THROTTLE_WINDOW if len(recent) >= allowed_count else None


def normal_login(login: str) -> str:
    """Return a login as it is stored and compared: without blanks around it, in lower case."""
    return login.strip().lower()
