"""The tour's pages: the invitation, the start, the four orders on their way, and the pace of time meanwhile."""

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from typing import Final

from litestar import Response, get, post
from litestar.datastructures import MultiDict
from litestar.params import FromPath
from litestar.response import Redirect

from entrepot.base.errors import RefusedInputError, UnknownReferenceError
from entrepot.base.ids import RandomIds
from entrepot.base.sql import Conn
from entrepot.base.time import RealClock, at_ms
from entrepot.flows.hurry import HURRY_SPEED, hurry_for, is_hurrying, slow_down
from entrepot.flows.tour import find_tour_orders
from entrepot.surfaces.web.access import (
    EVERYBODY,
    TOUR_CLOSED,
    TOUR_COOKIE,
    FormDep,
    Visitor,
    VisitorDep,
    WebRequest,
    choice_cookie,
    inside,
    open_to,
)
from entrepot.surfaces.web.house import House, HouseDep, business_now
from entrepot.surfaces.web.render import fill, page
from entrepot.surfaces.web.tour.orders import order_for_tour
from entrepot.surfaces.web.tour.stops import Stop, declared_stops, read_stops

_FAST: Final = "fast"
_TOO_EARLY: Final = 409
_PACES: Final = (_FAST, "usual")


class TourClosedError(UnknownReferenceError):
    """The tour belongs to the demonstration world, which does not live here; start the program without --no-world."""


class UnknownTourError(UnknownReferenceError):
    """Nothing was ordered under this tour; begin one on the tour's page."""


class TourFormError(RefusedInputError):
    """The form of the tour says something that its page does not offer; open the page again."""


@get("/tour", opt=open_to(EVERYBODY))
async def show_tour(house: HouseDep, visitor: VisitorDep) -> Response[str]:
    """Invite to the tour and say who does what in each model."""
    _require_world(house)
    return _invite(house, visitor, 200)


def _invite(house: House, visitor: Visitor, status: int) -> Response[str]:
    """Return the tour's first page; what it sends has a new id, so that a form that is sent twice orders once."""
    key = RandomIds().new(at_ms(RealClock().now()))
    values: dict[str, object] = {"stops": declared_stops(house.registry), "key": key, "is_too_early": status == _TOO_EARLY}
    return page("tour/start.html", visitor, values, status)


@post("/tour", status_code=200, opt=open_to(EVERYBODY))
async def begin_tour(house: HouseDep, visitor: VisitorDep, form: FormDep) -> Response[str] | Redirect:
    """Place one order in each model and let time hurry."""
    _require_world(house)
    tour_id = _tour_id(form)
    if not await order_for_tour(house, tour_id, dict.fromkeys(house.registry.codes, 1)):
        return _invite(house, visitor, _TOO_EARLY)
    return Redirect(f"/tour/{tour_id}", status_code=303, cookies=[choice_cookie(visitor, TOUR_COOKIE, str(tour_id))])


@get("/tour/{tour_id:uuid}", opt=open_to(EVERYBODY))
async def follow_tour(request: WebRequest, house: HouseDep, visitor: VisitorDep, tour_id: FromPath[uuid.UUID]) -> Response[str]:
    """Show the orders of a tour; the page asks again for what changes, and gets nothing where nothing did."""
    _require_world(house)
    async with house.database.reading() as conn:
        stops = await read_stops(conn, house.registry, tour_id, visitor.language)
        now, is_hurried = await business_now(conn), await is_hurrying(conn, RealClock().now())
    if not any(stop.standing for stop in stops):
        raise UnknownTourError("tour_id", str(tour_id), "Begin a tour on its first page.")
    values: dict[str, object] = {
        "stops": stops,
        "tour_id": tour_id,
        "now": now,
        "is_hurried": is_hurried,
        "arrived": sum(stop.is_delivered for stop in stops),
        "hurry_hours": int(HURRY_SPEED) // 3600,
        "is_part": "hx-request" in request.headers,
    }
    seen = _seen(stops, values)
    if not values["is_part"]:
        return page("tour/follow.html", visitor, {**values, "seen": seen})
    if request.query_params.get("seen") == seen:
        return Response("", status_code=204, media_type="text/html")
    return Response(fill("tour/orders.html", visitor.language, visitor=visitor, seen=seen, **values), media_type="text/html")


@post("/tour/{tour_id:uuid}/pace", status_code=200, opt=open_to(EVERYBODY))
async def set_pace(house: HouseDep, visitor: VisitorDep, tour_id: FromPath[uuid.UUID], form: FormDep) -> Redirect:
    """Let time hurry until the tour's orders have arrived, or take its usual pace so that one can look around."""
    _require_world(house)
    _ = visitor
    pace = form.get("pace", "")
    if pace not in _PACES:
        raise TourFormError("pace", pace, "Use one of %(choices)s.", choices=sorted(_PACES))

    async def change(conn: Conn) -> bool:
        keys = [
            (one.merchant_id, one.order_id) for orders in (await find_tour_orders(conn, tour_id, house.registry.codes)).values() for one in orders
        ]
        await (hurry_for(conn, keys, RealClock().now()) if pace == _FAST else slow_down(conn, keys))
        return bool(keys)

    if not await house.database.writing(change):
        raise UnknownTourError("tour_id", str(tour_id), "Begin a tour on its first page.")
    return Redirect(f"/tour/{tour_id}", status_code=303)


@post("/tour/{tour_id:uuid}/again", status_code=200, opt=open_to(EVERYBODY))
async def order_once_more(house: HouseDep, visitor: VisitorDep, tour_id: FromPath[uuid.UUID], form: FormDep) -> Redirect:
    """Order again in a model whose order will not arrive."""
    _require_world(house)
    code = form.get("model", "")
    async with house.database.reading() as conn:
        stops = await read_stops(conn, house.registry, tour_id, visitor.language)
    if not any(stop.standing for stop in stops):
        raise UnknownTourError("tour_id", str(tour_id), "Begin a tour on its first page.")
    tries = {stop.plan.model_code: stop.try_no + 1 for stop in stops if stop.may_try_again}
    if code not in tries:
        raise TourFormError("model", code[:80], "Order again where an order has failed.")
    await order_for_tour(house, tour_id, {code: tries[code]})
    return Redirect(f"/tour/{tour_id}", status_code=303)


@post("/tour/close", status_code=200, opt=open_to(EVERYBODY))
async def close_tour(visitor: VisitorDep, form: FormDep) -> Redirect:
    """Show the invitation, or the way back to a tour, no longer."""
    return Redirect(inside(form.get("next", "/")), status_code=303, cookies=[choice_cookie(visitor, TOUR_COOKIE, TOUR_CLOSED)])


def _require_world(house: House) -> None:
    """Refuse where no demonstration world lives."""
    if not house.has_world:
        raise TourClosedError("world", "off", "Start the program with its demonstration world.")


def _tour_id(form: MultiDict[str]) -> uuid.UUID:
    """Return the id that the page gave its form."""
    text = form.get("key", "")
    try:
        return uuid.UUID(text)
    except ValueError:
        raise TourFormError("key", text[:80], "Open the tour's page again.") from None


def _seen(stops: Sequence[Stop], values: Mapping[str, object]) -> str:
    """Return a short sign of all that the page shows; equal signs mean equal pages."""
    shown = [(stop.stages, stop.next_action, stop.try_no) for stop in stops]
    return hashlib.sha256(repr((shown, values["now"], values["is_hurried"])).encode()).hexdigest()[:16]
