"""Signing in and out, and the way to one's own first page."""

import uuid
from collections.abc import Mapping
from typing import Annotated, Final
from urllib.parse import quote

import structlog
from litestar import Response, get, post
from litestar.params import QueryParameter
from litestar.response import Redirect
from structlog.typing import FilteringBoundLogger

from entrepot.base.ids import RandomIds, derived_id
from entrepot.base.sql import Conn
from entrepot.base.time import RealClock
from entrepot.parties.accounts import MERCHANT_ROLES, SignIn, SignInOutcome, StaffRole
from entrepot.parties.demo import DemoSignIn, read_seed_parties
from entrepot.parties.sign_in import enter_code, find_active_staff, sign_in, sign_out
from entrepot.surfaces.web.access import (
    EVERYBODY,
    SESSION_COOKIE,
    FormDep,
    Visitor,
    VisitorDep,
    WebRequest,
    ended_session_cookie,
    inside,
    open_to,
    session_cookie,
)
from entrepot.surfaces.web.house import House, HouseDep
from entrepot.surfaces.web.languages import Language
from entrepot.surfaces.web.render import page

_FIRST_PAGES: Final[Mapping[StaffRole | None, str]] = {
    None: "/store",
    StaffRole.BUYER: "/store",
    StaffRole.OPERATOR: "/operator",
    StaffRole.FINANCE: "/operator",
    StaffRole.AGENT: "/orders",
    StaffRole.WAREHOUSE: "/floor",
    StaffRole.STOREFRONT: "/store",
    **dict.fromkeys((StaffRole(role) for role in MERCHANT_ROLES), "/merchant"),
}


@get("/", opt=open_to(EVERYBODY))
async def first_page(visitor: VisitorDep) -> Redirect:
    """Lead everybody to the page they begin with."""
    return Redirect(_FIRST_PAGES[visitor.role], status_code=303)


@get("/sign-in", opt=open_to(EVERYBODY))
async def show_sign_in(house: HouseDep, visitor: VisitorDep, then: Annotated[str, QueryParameter(name="next")] = "/") -> Response[str]:
    """Show the form, and in a demo house the public sign-ins."""
    values = {"next": inside(then), "login": "", "problem": "", "demo": await _known_demo(house)}
    return page("sign_in.html", visitor, values)


@post("/sign-in", status_code=200, opt=open_to(EVERYBODY))
async def do_sign_in(request: WebRequest, house: HouseDep, visitor: VisitorDep, form: FormDep) -> Response[str] | Redirect:
    """Check login and password; a refusal is told on the page and counted."""
    login, then = form.get("login", ""), inside(form.get("next", "/"))

    async def check(conn: Conn) -> SignIn:
        await sign_out(conn, request.cookies.get(SESSION_COOKIE, ""), RealClock().now())
        return await sign_in(conn, RandomIds(), login, form.get("password", ""), visitor.origin, RealClock().now())

    told = await house.database.writing(check)
    _log(visitor, "password", told, login)
    if told.outcome is SignInOutcome.SIGNED_IN and told.token is not None:
        return Redirect(then, status_code=303, cookies=[session_cookie(visitor, told.token)])
    if told.outcome is SignInOutcome.CODE_NEEDED and told.token is not None:
        return Redirect(f"/sign-in/code?next={quote(then, safe='')}", status_code=303, cookies=[session_cookie(visitor, told.token)])
    status, problem = _problem(visitor.language, told, visitor.language.gettext("Login or password is wrong. Check both and try again."))
    values = {"next": then, "login": login, "problem": problem, "demo": await _known_demo(house)}
    return page("sign_in.html", visitor, values, status)


@get("/sign-in/code", opt=open_to(EVERYBODY))
async def show_code(visitor: VisitorDep, then: Annotated[str, QueryParameter(name="next")] = "/") -> Response[str]:
    """Show the form for the second factor's code."""
    return page("code.html", visitor, {"next": inside(then), "problem": ""})


@post("/sign-in/code", status_code=200, opt=open_to(EVERYBODY))
async def do_enter_code(request: WebRequest, house: HouseDep, visitor: VisitorDep, form: FormDep) -> Response[str] | Redirect:
    """Check the code of whoever gave the right password; the session goes on under another token."""
    then, token = inside(form.get("next", "/")), request.cookies.get(SESSION_COOKIE, "")

    async def check(conn: Conn) -> SignIn:
        return await enter_code(conn, RandomIds(), house.keyring, token, form.get("code", ""), visitor.origin, RealClock().now())

    told = await house.database.writing(check)
    _log(visitor, "code", told)
    if told.outcome is SignInOutcome.SIGNED_IN and told.token is not None:
        return Redirect(then, status_code=303, cookies=[session_cookie(visitor, told.token)])
    if told.outcome is SignInOutcome.WRONG_CREDENTIALS:
        return Redirect("/sign-in", status_code=303, cookies=[ended_session_cookie(visitor)])
    status, problem = _problem(visitor.language, told, visitor.language.gettext("That code is not right. Wait for the next one and try again."))
    return page("code.html", visitor, {"next": then, "problem": problem}, status)


@post("/sign-out", status_code=200, opt=open_to(EVERYBODY))
async def do_sign_out(request: WebRequest, house: HouseDep, visitor: VisitorDep, form: FormDep) -> Redirect:
    """End the session."""
    _ = form

    async def end(conn: Conn) -> bool:
        return await sign_out(conn, request.cookies.get(SESSION_COOKIE, ""), RealClock().now())

    if await house.database.writing(end):
        login = visitor.member.login if visitor.member is not None else ""
        structlog.get_logger(__name__).info("signed_out", login=login, origin=visitor.origin, request=visitor.request_id)
    return Redirect("/sign-in", status_code=303, cookies=[ended_session_cookie(visitor)])


def _log(visitor: Visitor, factor: str, told: SignIn, asked: str = "") -> None:
    """Write every decision on who may come in to the log, with who, from where and under which request; what was typed as a password or code never.

    A login that no account has may be a password typed into the wrong field: of such a one only its length is told.
    """
    logger: FilteringBoundLogger = structlog.get_logger(__name__)
    log = logger.info if told.outcome is SignInOutcome.SIGNED_IN else logger.warning
    login = told.member.login if told.member is not None else f"{len(asked)} characters"
    log("sign_in", factor=factor, outcome=str(told.outcome), login=login, origin=visitor.origin, request=visitor.request_id)


def _problem(spoken: Language, told: SignIn, wrong: str) -> tuple[int, str]:
    """Return the status and the words for an attempt that failed."""
    if told.retry_at is None:
        return 401, wrong
    minutes = max(1, -(-int((told.retry_at - RealClock().now()).total_seconds()) // 60))
    text = spoken.ngettext(
        "Too many attempts. Wait %(num)s minute, then try again.", "Too many attempts. Wait %(num)s minutes, then try again.", minutes
    )
    return 429, text


async def _known_demo(house: House) -> list[DemoSignIn]:
    """Return the demo's public sign-ins that exist in this house."""
    async with house.database.reading() as conn:
        return await demo_sign_ins(conn)


async def demo_sign_ins(conn: Conn) -> list[DemoSignIn]:
    """Return the demo's public sign-ins that exist in this database."""
    ids: dict[uuid.UUID, DemoSignIn] = {derived_id("demo_staff", row.login): row for row in read_seed_parties().sign_ins}
    known = await find_active_staff(conn, list(ids))
    return [row for staff_id, row in ids.items() if staff_id in known]
