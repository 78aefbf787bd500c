"""Sign on at a place and station, and see what there is to do."""

from collections.abc import Mapping, Sequence

from litestar import Response, get, post
from litestar.params import FromQuery
from litestar.response import Redirect
from msgspec import Struct

from entrepot.base.errors import EntrepotError
from entrepot.base.sql import Conn
from entrepot.base.time import RealClock
from entrepot.parties.workplaces import SignOn, read_sign_on, read_workplaces, sign_off, sign_on
from entrepot.sourcing.model import Place
from entrepot.surfaces.web.access import FLOOR, FormDep, Visitor, VisitorDep, inside, open_to, require_member
from entrepot.surfaces.web.floor.shift import STATIONS, Said, Shift, at_work, floor_page, workable_places
from entrepot.surfaces.web.house import House, HouseDep, business_now
from entrepot.surfaces.web.languages import mark
from entrepot.surfaces.web.render import page
from entrepot.warehouse.at_place import list_deliveries, list_to_stow
from entrepot.warehouse.model import WorkState
from entrepot.warehouse.readers import count_work_by_state, read_bench_queue

_MOST = 500
_TITLES = (
    mark("The account does not work at this place; a manager adds the place to it."),
    mark("A station is named with at most twenty letters, digits and hyphens; scan its sign again."),
)
"""What signing on may refuse, as its errors say it, so that the catalogues hold it."""


class Task(Struct, frozen=True):
    """A line of the task list: what waits, and whether that is late."""

    code: str
    name: str
    purpose: str
    href: str
    count: int | None


@get("/floor", opt=open_to(FLOOR))
async def show_tasks(house: HouseDep, visitor: VisitorDep) -> Response[str]:
    """Show what there is to do at the place."""
    async with house.database.reading() as conn:
        shift = await at_work(conn, house, visitor)
        counts = await _count(conn, shift)
    tasks = [Task(code, name, purpose, href, counts.get(code)) for code, name, purpose, href in STATIONS]
    return floor_page("floor/tasks.html", shift, Said(), {"tasks": tasks})


async def _count(conn: Conn, shift: Shift) -> Mapping[str, int]:
    """Return what waits at each station."""
    place = shift.place.place_code
    work = {one.state: one.count for one in await count_work_by_state(conn, [place])}
    return {
        "receive": len(await list_deliveries(conn, place, _MOST)),
        "stow": len(await list_to_stow(conn, place, _MOST)),
        "pick": work.get(WorkState.QUEUED, 0) + work.get(WorkState.PICKING, 0),
        "pack": work.get(WorkState.PICKED, 0),
        "hand_over": work.get(WorkState.PACKED, 0),
        "returns": len(await read_bench_queue(conn, place, _MOST)),
    }


@get("/floor/sign-on", opt=open_to(FLOOR))
async def show_sign_on(
    house: HouseDep,
    visitor: VisitorDep,
    next: FromQuery[str] = "/floor",  # noqa: A002 -- the name in the address
    place: FromQuery[str] = "",
) -> Response[str]:
    """Show the places at which the account works; an address may name the one to begin with."""
    return await _sign_on_page(house, visitor, inside(next), None, place[:40])


@post("/floor/sign-on", status_code=200, opt=open_to(FLOOR))
async def do_sign_on(house: HouseDep, visitor: VisitorDep, form: FormDep) -> Response[str] | Redirect:
    """Sign the session on; a place that is not the account's and a malformed station are told on the page."""
    member, then = require_member(visitor), inside(form.get("next", "/floor"))

    async def begin(conn: Conn) -> SignOn:
        places = await _places(conn, house, visitor)
        asked = SignOn(form.get("place", ""), form.get("station", ""), RealClock().now())
        return await sign_on(conn, visitor.secret, member, [one.place_code for one in places], asked)

    try:
        await house.database.writing(begin)
    except EntrepotError as fault:
        if fault.field not in {"place", "station"}:
            raise
        return await _sign_on_page(house, visitor, then, fault, form.get("place", ""), form.get("station", ""))
    return Redirect(then, status_code=303)


@post("/floor/sign-off", status_code=200, opt=open_to(FLOOR))
async def do_sign_off(house: HouseDep, visitor: VisitorDep, form: FormDep) -> Redirect:
    """End the session's work at its place; the session itself stays open."""
    _ = form

    async def end(conn: Conn) -> bool:
        return await sign_off(conn, visitor.secret)

    await house.database.writing(end)
    return Redirect("/floor/sign-on", status_code=303)


async def _sign_on_page(house: House, visitor: Visitor, then: str, fault: EntrepotError | None, place: str = "", station: str = "") -> Response[str]:
    async with house.database.reading() as conn:
        places = await _places(conn, house, visitor)
        on = await read_sign_on(conn, visitor.secret)
    chosen = place or (on.place_code if on is not None else places[0].place_code if places else "")
    values: dict[str, object] = {
        "places": places,
        "chosen": chosen,
        "station": station or (on.station_code if on is not None else ""),
        "next": then,
        "fault": fault,
    }
    return page("floor/sign_on.html", visitor, values, 200 if fault is None else 422)


async def _places(conn: Conn, house: House, visitor: Visitor) -> Sequence[Place]:
    """Return the places at which the visitor may sign on."""
    outside = await house.outside.current(conn, await business_now(conn))
    known = workable_places(outside)
    return [known[code] for code in await read_workplaces(conn, require_member(visitor), known)]
