"""Who is looking: sessions, roles, what each may see, and forms that only our own pages can send."""

import hmac
import secrets
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

from litestar import Litestar, Request
from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie, MultiDict, State
from litestar.di import NamedDependency
from litestar.handlers import BaseRouteHandler
from litestar.params import SkipValidation
from msgspec import Struct
from msgspec.structs import replace

from entrepot.base.actor import Actor, ActorKind
from entrepot.base.errors import BrokenDeclarationError, ForbiddenError, UnavailableError, UnknownReferenceError
from entrepot.base.time import RealClock
from entrepot.parties.accounts import MERCHANT_ROLES, SESSION_LIFETIME, StaffMember, StaffRole
from entrepot.parties.sign_in import note_session, read_session
from entrepot.surfaces.web.house import House, HouseDep
from entrepot.surfaces.web.languages import CODES, Language, choose_language, language

WebRequest = Request[Any, Any, State]
Connection = ASGIConnection[Any, Any, Any, State]
Audience = frozenset[StaffRole | None]

SESSION_COOKIE: Final = "entrepot_session"
VISIT_COOKIE: Final = "entrepot_visit"
LANGUAGE_COOKIE: Final = "entrepot_language"
THEME_COOKIE: Final = "entrepot_theme"
TOUR_COOKIE: Final = "entrepot_tour"
TOUR_CLOSED: Final = "closed"
"""What the cookie of the tour says when the visitor wants to hear no more of it; else it says the tour that is on."""
THEMES: Final = ("system", "light", "dark")
TOKEN_FIELD: Final = "form_token"  # noqa: S105 -- a name, not a secret

EVERYBODY: Final[Audience] = frozenset({None, *StaffRole})
"""Signed in or not; `None` stands for nobody."""
SIGNED_IN: Final[Audience] = frozenset(StaffRole)
BUYERS: Final[Audience] = frozenset({StaffRole.BUYER})
MERCHANTS: Final[Audience] = frozenset({StaffRole.MERCHANT_OWNER, StaffRole.MERCHANT_STAFF})
HOUSE: Final[Audience] = frozenset({StaffRole.OPERATOR, StaffRole.FINANCE, StaffRole.AGENT})
"""Roles that see all merchants."""
BOOKS: Final[Audience] = frozenset({StaffRole.OPERATOR, StaffRole.FINANCE, *MERCHANTS})
"""Roles that see money books: the whole house's or the merchant's own."""
OPERATORS: Final[Audience] = frozenset({StaffRole.OPERATOR})
AGENTS: Final[Audience] = frozenset({StaffRole.AGENT, StaffRole.OPERATOR})
FLOOR: Final[Audience] = frozenset({StaffRole.WAREHOUSE, StaffRole.OPERATOR})

ACCOUNT: Final = "/me"
"""Where one looks after one's own account."""
_OPEN_TO: Final = "open_to"
_VISITOR: Final = "entrepot_visitor"
_YEAR_S: Final = 31_536_000
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


class NotYoursError(UnknownReferenceError):
    """Nothing with this id belongs to you; open it from your own lists."""


class FormExpiredError(ForbiddenError):
    """The form was not sent from a page of this session; open the page again and repeat."""


class SecondFactorMissingError(ForbiddenError):
    """Your role needs a second factor; set one up in your account, then go on."""


class HouseNotReadyError(UnavailableError):
    """The house has no marketplaces yet; wait until it has been opened."""


class UndeclaredAccessError(BrokenDeclarationError):
    """A route does not say who may ask for it; its developer declares it with `opt=open_to(...)`."""


class Visitor(Struct, frozen=True):
    """Whoever sent the request; `secret` is only known to their browser and to us, and every form carries a token made from it.

    `address` is the path and query that was asked for, `is_fresh` tells that the browser does not hold the secret yet, `tour_id` is the guided tour
    that is on, `may_tour` tells that the demonstration world lives here and the visitor did not close the tour, `must_enrol` that the role
    needs a second factor which the account does not have yet.
    """

    member: StaffMember | None
    secret: str
    origin: str
    request_id: str
    language: Language
    theme: str
    address: str
    is_language_known: bool
    is_fresh: bool
    is_secure: bool
    may_tour: bool = False
    tour_id: uuid.UUID | None = None
    must_enrol: bool = False

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
        return self.role in HOUSE

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
        return self.role in BOOKS


VisitorDep = NamedDependency[SkipValidation[Visitor]]
"""A handler's parameter named `visitor`."""
FormDep = NamedDependency[SkipValidation[MultiDict[str]]]
"""A handler's parameter named `form`: the fields of a form that was sent from our own page; `getall(name, [])` for those that may come often."""


def open_to(*audiences: Iterable[StaffRole | None]) -> dict[str, object]:
    """Return the declaration, for a route's `opt`, of who may ask for it; a route without it does not start."""
    return {_OPEN_TO: frozenset(role for audience in audiences for role in audience)}


def audience_of(handler: BaseRouteHandler) -> Audience:
    """Return who may ask for a route."""
    declared: Audience | None = handler.opt.get(_OPEN_TO)
    if declared is None:
        raise UndeclaredAccessError("route", handler.handler_name, "Declare it with opt=open_to(...).")
    return declared


def require_declared(app: Litestar) -> Litestar:
    """Return an application all of whose routes say who may ask for them."""
    for route in app.routes:
        for handler in getattr(route, "route_handlers", ()):
            if getattr(handler, "http_methods", None) != {"OPTIONS"}:
                audience_of(handler)
    return app


async def check_access(connection: Connection, handler: BaseRouteHandler) -> None:
    """Refuse whoever is not of the route's audience, and a merchant that asks for what is addressed as another merchant's."""
    if _scope(connection).get("method") == "OPTIONS":
        return
    audience = audience_of(handler)
    if audience == EVERYBODY:
        return
    visitor = await _known_visitor(connection)
    if visitor.must_enrol and connection.url.path != ACCOUNT and not connection.url.path.startswith(f"{ACCOUNT}/"):
        raise SecondFactorMissingError("second_factor", "none", "Set it up in your account.")
    if None not in audience:
        require_page(visitor, visitor.role in audience)
    addressed = connection.path_params.get("merchant_id")
    if addressed is not None and visitor.merchant_id is not None and addressed != visitor.merchant_id:
        raise NotYoursError("merchant_id", str(addressed), "Open it from your own lists.")


async def provide_visitor(request: WebRequest, house: HouseDep) -> Visitor:
    """Return the visitor with the member of its session, if that is still open."""
    _ = house
    return await _known_visitor(request)


async def _known_visitor(connection: Connection) -> Visitor:
    """Return the visitor of a request, looked up once."""
    known = _scope(connection).get(_VISITOR)
    if isinstance(known, Visitor):
        return known
    house: House = connection.app.state.house
    token = connection.cookies.get(SESSION_COOKIE, "")
    member, must_enrol = None, False
    if token:
        async with house.database.reading() as conn:
            session = await read_session(conn, token, RealClock().now())
        if session is not None:
            member = session.member
            must_enrol = house.asks_factor and member.role in HOUSE and not session.has_factor
            if session.is_to_be_noted:
                await house.database.writing(lambda conn: note_session(conn, token, RealClock().now()))
    secret = token if member is not None else connection.cookies.get(VISIT_COOKIE, "")
    visitor = replace(_visitor(connection, member, secret), must_enrol=must_enrol)
    _scope(connection)[_VISITOR] = visitor
    return visitor


def _visitor(connection: Connection, member: StaffMember | None, secret: str) -> Visitor:
    wishes = [connection.cookies.get(LANGUAGE_COOKIE, ""), (member.language_code if member is not None else None) or ""]
    code = choose_language(wishes, connection.headers.get("accept-language", ""))
    theme, tour = connection.cookies.get(THEME_COOKIE, ""), connection.cookies.get(TOUR_COOKIE, "")
    return Visitor(
        member,
        secret or new_secret(),
        connection.client.host if connection.client is not None else "",
        secrets.token_hex(8),
        language(code or CODES[0]),
        theme if theme in THEMES else THEMES[0],
        connection.url.path + (f"?{connection.url.query}" if connection.url.query else ""),
        is_language_known=code is not None,
        is_fresh=not secret,
        is_secure=connection.url.scheme == "https",
        may_tour=_has_world(connection) and tour != TOUR_CLOSED,
        tour_id=_uuid_of(tour),
    )


def _has_world(connection: Connection) -> bool:
    """Tell whether the demonstration world lives in this house, as far as the house is open."""
    house = connection.app.state.get("house")
    return isinstance(house, House) and house.has_world


def _uuid_of(text: str) -> uuid.UUID | None:
    """Return the id that a cookie holds, if it holds one."""
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


async def provide_form(request: WebRequest, visitor: VisitorDep) -> MultiDict[str]:
    """Return a form's fields, or refuse it when it does not carry the token of the visitor's own pages."""
    fields = await request.form()
    form = MultiDict([(name, value) for name, value in fields.multi_items() if isinstance(value, str)])
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise FormExpiredError("sec-fetch-site", request.headers["sec-fetch-site"], "Send the form from the page itself.")
    if not hmac.compare_digest(form.get(TOKEN_FIELD, ""), visitor.form_token):
        raise FormExpiredError(TOKEN_FIELD, "another session's", "Open the page again and repeat what you did.")
    return form


def visitor_of(request: WebRequest) -> Visitor:
    """Return the visitor for error pages: as far as the request came, else only what its headers tell."""
    known = _scope(request).get(_VISITOR)
    return known if isinstance(known, Visitor) else _visitor(request, None, request.cookies.get(VISIT_COOKIE, ""))


def speaking(visitor: Visitor, tags: Iterable[str]) -> Visitor:
    """Return the visitor, who reads the first of these languages that we speak (a store's) if nothing else tells which one."""
    code = None if visitor.is_language_known else choose_language(list(tags), "")
    return visitor if code is None else replace(visitor, language=language(code))


def new_secret() -> str:
    """Return a fresh secret for a browser that has none."""
    return secrets.token_urlsafe(24)


def session_cookie(visitor: Visitor, token: str) -> Cookie:
    """Return the cookie of an open session; scripts cannot read it and other sites' forms do not carry it."""
    return _cookie(visitor, SESSION_COOKIE, token, int(SESSION_LIFETIME.total_seconds()))


def visit_cookie(visitor: Visitor) -> Cookie:
    """Return the cookie by which a form is recognised before anybody is signed in."""
    return _cookie(visitor, VISIT_COOKIE, visitor.secret, None)


def ended_session_cookie(visitor: Visitor) -> Cookie:
    """Return the cookie that makes the browser forget its session."""
    return _cookie(visitor, SESSION_COOKIE, "", 0)


def choice_cookie(visitor: Visitor, name: str, value: str) -> Cookie:
    """Return the cookie that keeps a choice, of language or theme, for a year."""
    return _cookie(visitor, name, value, _YEAR_S)


def inside(address: str) -> str:
    """Return an address of this site, whatever was asked for."""
    return address if address.startswith("/") and not address.startswith(("//", "/\\")) and address.isprintable() else "/"


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


def _scope(connection: Connection) -> dict[str, object]:
    """Return what the request carries with it; what one part of us learns about it, another finds there."""
    return cast("dict[str, object]", connection.scope)


def _cookie(visitor: Visitor, name: str, value: str, max_age_s: int | None) -> Cookie:
    return Cookie(name, value=value, path="/", max_age=max_age_s, httponly=True, samesite="lax", secure=visitor.is_secure)
