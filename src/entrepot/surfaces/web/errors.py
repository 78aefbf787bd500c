"""Errors as people and programs meet them: a page, a notice inside a page, or a problem document (RFC 9457)."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, urlsplit

import structlog
from litestar import MediaType, Response
from litestar.exceptions import HTTPException
from litestar.response import Redirect
from msgspec.structs import asdict

from entrepot.base.errors import EntrepotError, ForbiddenError
from entrepot.surfaces.api.messages import Problem
from entrepot.surfaces.api.wire import problem_of
from entrepot.surfaces.web.access import ACCOUNT, NotYoursError, SecondFactorMissingError, SignInRequiredError, WebRequest, inside, visitor_of
from entrepot.surfaces.web.floor.shift import NotSignedOnError
from entrepot.surfaces.web.languages import mark
from entrepot.surfaces.web.render import fill, page
from entrepot.surfaces.web.words import remedy

_HEADLINES: Final = {
    401: mark("Please sign in"),
    403: mark("This page is not yours to see"),
    404: mark("Nothing here"),
    405: mark("That is not possible here"),
    409: mark("That does not fit what is stored"),
    422: mark("Something needs correcting"),
    500: mark("Something broke on our side"),
    503: mark("Not available right now"),
}
_HEADLINES_BY_CODE: Final[Mapping[str, str]] = {
    "form_expired": mark("This form has expired"),
    "reset_link_unusable": mark("This link no longer works"),
}
_SAYINGS: Final[Mapping[str, str]] = {
    "unknown_marketplace": mark("There is no store with this code."),
    "unknown_product": mark("There is no product under this address."),
    "unknown_stock_item": mark("There is no item with this SKU."),
    "unknown_order": mark("There is no order under this address."),
    "unknown_return": mark("There is no return under this address."),
    "unknown_tour": mark("There is no tour under this address."),
    "form_expired": mark("The form was not sent from a page of this session."),
    "reset_link_unusable": mark("The link was used before or is older than half an hour."),
    "page_forbidden": mark("Your role may not see this page."),
}
"""What an error means to whoever reads a page, where it tells programs what only they can do."""
_WAYS: Final[Mapping[str, tuple[str, str]]] = {
    "reset_link_unusable": ("/forgotten", mark("Ask for a new link")),
    "unknown_tour": ("/tour", mark("To the tour")),
    "unknown_marketplace": ("/store", mark("Visit the stores")),
    "unknown_product": ("/store", mark("Visit the stores")),
}
"""Where whoever met an error goes on, where that is not the first page."""
_REMEDIES: Final = {405: mark("Use the forms of our pages."), 500: mark("Try again in a moment; tell the operator when it keeps failing.")}
_PROBLEM: Final = "application/problem+json"


def show_entrepot_error(request: WebRequest, error: EntrepotError) -> Response[str] | Redirect | Response[Problem]:
    """Answer with what the error says: field, value and remedy."""
    if isinstance(error, SignInRequiredError) and _wants_page(request) and not _is_fragment(request):
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return Redirect(f"/sign-in?next={quote(path if request.method == 'GET' else '/', safe='')}", status_code=303)
    if isinstance(error, SecondFactorMissingError) and _wants_page(request) and not _is_fragment(request):
        return Redirect(f"{ACCOUNT}#factor", status_code=303)
    if isinstance(error, NotSignedOnError) and _wants_page(request):
        return _to_sign_on(request)
    if isinstance(error, ForbiddenError | NotYoursError):
        _log_refusal(request, error)
    language = visitor_of(request).language
    return _answer(request, problem_of(error, error.field), language.gettext(error.title), remedy(language, error))


def _log_refusal(request: WebRequest, error: EntrepotError) -> None:
    """Write to the log who was refused what."""
    visitor = visitor_of(request)
    login = visitor.member.login if visitor.member is not None else ""
    where = {"method": request.method, "path": request.url.path, "origin": visitor.origin, "request": visitor.request_id}
    structlog.get_logger(__name__).warning("access_refused", code=error.code, login=login, **where)


def _to_sign_on(request: WebRequest) -> Redirect | Response[str]:
    """Lead to where one signs on at a place, and from there back; a scan that a script sent is led there as a whole page."""
    then = request.url.path if request.method == "GET" else "/floor"
    address = f"/floor/sign-on?next={quote(then, safe='')}"
    return Response("", status_code=200, headers={"hx-redirect": address}) if _is_fragment(request) else Redirect(address, status_code=303)


def show_http_error(request: WebRequest, error: HTTPException) -> Response[str] | Response[Problem]:
    """Answer an address or method that is not ours, or a parameter that cannot be read."""
    status = 404 if error.status_code == 400 and request.method == "GET" else error.status_code
    code, title = (
        ("not_found", mark("There is no such page.")) if status == 404 else ("refused_request", mark("The request could not be understood."))
    )
    answer = _answer_in_words(request, _problem(code, title, status))
    for name, value in (error.headers or {}).items():
        answer.headers[name] = value
    return answer


def show_failure(request: WebRequest, error: Exception) -> Response[str] | Response[Problem]:
    """Answer a failure of ours without telling more than that, and log all of it."""
    structlog.get_logger(__name__).error("request_failed", path=request.url.path, method=request.method, exc_info=error)
    return _answer_in_words(request, _problem("internal_error", mark("The request failed; the operator finds it in the log."), 500))


def _problem(code: str, title: str, status: int) -> Problem:
    """Return what is wrong where no field is to blame."""
    what_to_do = _REMEDIES.get(status, mark("Check the address, or go back to where you came from."))
    return Problem(f"urn:entrepot:error:{code}", code, title, status, what_to_do, remedy=what_to_do)


def _answer_in_words(request: WebRequest, problem: Problem) -> Response[str] | Response[Problem]:
    """Answer with a problem whose title and remedy are marked texts."""
    language = visitor_of(request).language
    return _answer(request, problem, language.gettext(problem.title), language.gettext(problem.remedy))


def _answer(request: WebRequest, problem: Problem, cause: str, what_to_do: str) -> Response[str] | Response[Problem]:
    """Answer programs with the problem, people with its cause and what to do in their language."""
    if not _is_fragment(request) and not _wants_page(request):
        return Response(problem, status_code=problem.status, media_type=_PROBLEM)
    visitor = visitor_of(request)
    headline = visitor.language.gettext(_HEADLINES_BY_CODE.get(problem.code) or _HEADLINES.get(problem.status, mark("That did not work")))
    meaning = visitor.language.gettext(_SAYINGS[problem.code]) if problem.code in _SAYINGS else cause
    values = asdict(problem) | {"headline": headline, "title": meaning, "remedy": what_to_do, "way": _way_on(request, problem.code)}
    if _is_fragment(request):
        return Response(fill("parts/notice.html", visitor.language, **values), status_code=problem.status, media_type=MediaType.HTML)
    return page("error.html", visitor, values, problem.status)


def _way_on(request: WebRequest, code: str) -> tuple[str, str]:
    """Return the address and the marked name of where to go on: the page that an expired form came from, the beginning of what was not found, the first page."""
    sent_from = urlsplit(request.headers.get("referer", ""))
    if code == "form_expired" and sent_from.netloc == request.url.netloc:
        return inside(sent_from.path + (f"?{sent_from.query}" if sent_from.query else "")), mark("Open the page again")
    return _WAYS.get(code, ("/", mark("Home page")))


def _is_fragment(request: WebRequest) -> bool:
    """Tell whether a part of a page asks."""
    return "hx-request" in request.headers


def _wants_page(request: WebRequest) -> bool:
    """Tell whether a person's browser asks: whoever names JSON and no HTML gets JSON, and so does who comes as programs do, with a token or a JSON body."""
    accepted = request.headers.get("accept", "")
    is_program = "authorization" in request.headers or "json" in request.headers.get("content-type", "")
    return "text/html" in accepted or not ("json" in accepted or is_program)
