"""Who is looking: sessions, roles, what each may see, and forms that only our own pages can send."""

import hmac
import secrets
import uuid
from collections.abc import Mapping
from typing import Any, Final

from litestar import Request
from litestar.datastructures import Cookie, State
from litestar.di import NamedDependency
from litestar.params import SkipValidation
from msgspec import Struct

from entrepot.base.actor import Actor, ActorKind
from entrepot.base.errors import ForbiddenError, UnavailableError
from entrepot.base.time import RealClock
from entrepot.parties.accounts import MERCHANT_ROLES, SESSION_LIFETIME, StaffMember, StaffRole
from entrepot.parties.sign_in import read_session
from entrepot.surfaces.web.house import HouseDep

WebRequest = Request[Any, Any, State]

SESSION_COOKIE: Final = "entrepot_session"
VISIT_COOKIE: Final = "entrepot_visit"
TOKEN_FIELD: Final = "form_token"  # noqa: S105 -- a name, not a secret

HOUSE_ROLES: Final = frozenset({StaffRole.OPERATOR, StaffRole.FINANCE, StaffRole.AGENT})
"""Roles that see all merchants."""
BOOK_ROLES: Final = frozenset({StaffRole.OPERATOR, StaffRole.FINANCE, *MERCHANT_ROLES})
"""Roles that see money books: the whole house's or the merchant's own."""
_ACTOR_KINDS: Final[Mapping[StaffRole, ActorKind]] = {
    StaffRole.BUYER: ActorKind.BUYER,
    StaffRole.MERCHANT_OWNER: ActorKind.MERCHANT,
    StaffRole.MERCHANT_STAFF: ActorKind.MERCHANT,
}


class SignInRequiredError(ForbiddenError):
    """This page is for people who are signed in."""

    status = 401


class PageForbiddenError(ForbiddenError):
    """The signed-in role may not see this page; an administrator grants another role."""


class FormExpiredError(ForbiddenError):
    """The form was not sent from a page of this session; open the page again and repeat."""


class HouseNotReadyError(UnavailableError):
    """The house has no marketplaces yet; wait until it has been opened."""


class Visitor(Struct, frozen=True):
    """Whoever sent the request; `secret` is only known to their browser and to us, and every form carries a token made from it."""

    member: StaffMember | None
    secret: str
    origin: str
    request_id: str

    @property
    def form_token(self) -> str:
        """The token that this visitor's forms must carry."""
        return hmac.new(self.secret.encode(), b"form", "sha256").hexdigest()

    @property
    def role(self) -> StaffRole | None:
        """The role, if signed in."""
        return None if self.member is None else self.member.role

    @property
    def sees_house(self) -> bool:
        """Whether the visitor sees all merchants."""
        return self.role in HOUSE_ROLES

    @property
    def merchant_id(self) -> uuid.UUID | None:
        """The merchant that the visitor acts for."""
        return self.member.merchant_id if self.member is not None and self.member.role in MERCHANT_ROLES else None

    @property
    def person_id(self) -> uuid.UUID | None:
        """The buyer that the visitor is."""
        return self.member.person_id if self.member is not None and self.member.role is StaffRole.BUYER else None

    @property
    def is_house_or_merchant(self) -> bool:
        """Whether the visitor works behind the counter."""
        return self.sees_house or self.merchant_id is not None

    @property
    def sees_books(self) -> bool:
        """Whether the visitor sees money books."""
        return self.role in BOOK_ROLES


VisitorDep = NamedDependency[SkipValidation[Visitor]]
"""A handler's parameter named `visitor`."""
FormDep = NamedDependency[SkipValidation[Mapping[str, str]]]
"""A handler's parameter named `form`: the fields of a form that was sent from our own page."""


async def provide_visitor(request: WebRequest, house: HouseDep) -> Visitor:
    """Return the visitor with the member of its session, if that is still open."""
    token = request.cookies.get(SESSION_COOKIE, "")
    member: StaffMember | None = None
    if token:
        async with house.database.reading() as conn:
            member = await read_session(conn, token, RealClock().now())
    secret = token if member is not None else request.cookies.get(VISIT_COOKIE, "")
    origin = request.client.host if request.client is not None else ""
    visitor = Visitor(member, secret or new_secret(), origin, secrets.token_hex(8))
    request.scope["entrepot_visitor"] = visitor  # type: ignore[typeddict-unknown-key]
    return visitor


async def provide_form(request: WebRequest, visitor: VisitorDep) -> Mapping[str, str]:
    """Return a form's fields, or refuse it when it does not carry the token of the visitor's own pages."""
    fields = await request.form()
    form = {name: value for name, value in fields.items() if isinstance(value, str)}
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise FormExpiredError("sec-fetch-site", request.headers["sec-fetch-site"], "Send the form from the page itself.")
    if not hmac.compare_digest(form.get(TOKEN_FIELD, ""), visitor.form_token):
        raise FormExpiredError(TOKEN_FIELD, "another session's", "Open the page again and repeat what you did.")
    return form


def visitor_of(request: WebRequest) -> Visitor | None:
    """Return the visitor if the request came far enough to know, for error pages."""
    return request.scope.get("entrepot_visitor")  # type: ignore[return-value]


def new_secret() -> str:
    """Return a fresh secret for a browser that has none."""
    return secrets.token_urlsafe(24)


def session_cookie(request: WebRequest, token: str) -> Cookie:
    """Return the cookie of an open session; scripts cannot read it and other sites' forms do not carry it."""
    return _cookie(request, SESSION_COOKIE, token, int(SESSION_LIFETIME.total_seconds()))


def visit_cookie(request: WebRequest, visitor: Visitor) -> Cookie:
    """Return the cookie by which a form is recognised before anybody is signed in."""
    return _cookie(request, VISIT_COOKIE, visitor.secret, None)


def ended_session_cookie(request: WebRequest) -> Cookie:
    """Return the cookie that makes the browser forget its session."""
    return _cookie(request, SESSION_COOKIE, "", 0)


def require_member(visitor: Visitor) -> StaffMember:
    """Return who is signed in, or ask for it."""
    if visitor.member is None:
        raise SignInRequiredError("session", "none", "Sign in, then open the page again.")
    return visitor.member


def require_page(visitor: Visitor, may_see: object) -> StaffMember:
    """Return who is signed in, or refuse a role that may not see the page."""
    member = require_member(visitor)
    if not may_see:
        raise PageForbiddenError("role", str(member.role), "Sign in with a role that works with this page.")
    return member


def actor_of(visitor: Visitor) -> Actor:
    """Return the visitor as the actor of a command."""
    member = require_member(visitor)
    kind = _ACTOR_KINDS.get(member.role, ActorKind.STAFF)
    return Actor(kind, member.login, str(member.role), member.merchant_id or member.person_id, visitor.request_id)


def _cookie(request: WebRequest, name: str, value: str, max_age_s: int | None) -> Cookie:
    return Cookie(name, value=value, path="/", max_age=max_age_s, httponly=True, samesite="lax", secure=request.url.scheme == "https")
