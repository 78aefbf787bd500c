"""The live network: places by their load, parcels under way, what customs holds, now and at each hour of the last day."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Final

from litestar import Response, get
from litestar.params import FromPath, QueryParameter
from litestar.response import ServerSentEvent, ServerSentEventMessage, Stream
from msgspec import Struct

from entrepot.base.errors import EntrepotError
from entrepot.base.sql import Conn
from entrepot.customs.lists import count_held
from entrepot.flows.reference import Reference
from entrepot.freight.watch import UnderWay, count_under_way
from entrepot.orders.read import read_orders
from entrepot.parties.store import read_merchants
from entrepot.sourcing.model import Place, UnknownPlaceError
from entrepot.surfaces.web.access import HOUSE, VisitorDep, WebRequest, open_to
from entrepot.surfaces.web.house import House, HouseDep, business_now
from entrepot.surfaces.web.languages import Language, mark
from entrepot.surfaces.web.listing import Cell, Column, Filter, Kind, Listing, Row
from entrepot.surfaces.web.operator.country_points import COUNTRY_POINTS
from entrepot.surfaces.web.operator.rows import Texts, answer_rows
from entrepot.surfaces.web.render import fill, page
from entrepot.surfaces.web.words import country, plain_words
from entrepot.warehouse.load import PlaceLoad, count_load
from entrepot.warehouse.model import WorkState
from entrepot.warehouse.readers import read_queue

HOURS: Final = 24
_PAUSE_S: Final = 3.0
_BEATS_OF_SILENCE: Final = 5
_LEAST_PX: Final = 10
_MOST_PX: Final = 34
_EACH: Final = 250
_OPEN: Final = (WorkState.QUEUED, WorkState.PICKING, WorkState.PICKED, WorkState.PACKED)
QUEUE: Final = Listing(
    "place",
    "/operator/places",
    (
        Column("order", mark("Order"), is_sortable=True),
        Column("state", mark("State"), Kind.STATE, is_sortable=True),
        Column("merchant", mark("Merchant"), is_sortable=True),
        Column("cause", mark("Cause"), Kind.WORDS, is_sortable=True),
        Column("queued", mark("Queued since"), Kind.TIME, is_sortable=True),
        Column("ship_by", mark("Ship by"), Kind.TIME, is_sortable=True),
    ),
    (Filter("q", mark("Order or merchant")), Filter("state", mark("Any state"), tuple((str(one), plain_words(one)) for one in _OPEN))),
    sort="ship_by",
)


class Spot(Struct, frozen=True):
    """A point of the map: a place with its open work, or a country that parcels go to."""

    key: str
    label: str
    latitude: int
    longitude: int
    kind: str
    figure: int
    held: int
    size: int


class Way(Struct, frozen=True):
    """Parcels under way from a place to a country; `late` counts those past the last promised day."""

    place_code: str
    to_country_code: str
    count: int
    late: int
    width: int


class Frame(Struct, frozen=True):
    """The network at an instant."""

    at: datetime
    spots: tuple[Spot, ...]
    ways: tuple[Way, ...]
    holds: tuple[tuple[str, int], ...]

    @property
    def under_way(self) -> int:
        """All parcels under way."""
        return sum(one.count for one in self.ways)

    @property
    def late(self) -> int:
        """Parcels under way past their last promised day."""
        return sum(one.late for one in self.ways)

    @property
    def places(self) -> list[Spot]:
        """The places, those with most work first."""
        return sorted((one for one in self.spots if one.kind != "door"), key=lambda one: (-one.figure, one.key))

    @property
    def drawn(self) -> list[Way]:
        """The ways that can be drawn: both ends are on the map."""
        known = {one.key for one in self.spots}
        return [one for one in self.ways if one.place_code in known and one.to_country_code in known]


async def read_frame(conn: Conn, reference: Reference, at: datetime, language: Language) -> Frame:
    """Return the network at an instant."""
    loads = {one.place_code: one for one in await count_load(conn, [at])}
    ways = await count_under_way(conn, [at])
    held = await count_held(conn, [at])
    busiest = max([1, *(one.count for one in loads.values())])
    spots = [_place(one, loads.get(one.place_code), busiest) for one in _shown(reference.network.places, loads, ways)]
    reached = sorted({one.to_country_code for one in ways} & set(COUNTRY_POINTS))
    spots += [Spot(code, country(language, code), COUNTRY_POINTS[code][0], COUNTRY_POINTS[code][1], "door", 0, 0, _LEAST_PX - 3) for code in reached]
    most = max([1, *(one.count for one in ways)])
    return Frame(
        at,
        tuple(spots),
        tuple(Way(one.place_code, one.to_country_code, one.count, one.late, 1 + 4 * one.count // most) for one in ways),
        tuple((code, count) for _, code, count in held),
    )


def _shown(places: Mapping[str, Place], loads: Mapping[str, PlaceLoad], ways: list[UnderWay]) -> list[Place]:
    """Return the places of the platform, and of merchants' sites those from which something is under way."""
    busy = {*loads, *(one.place_code for one in ways)}
    return [one for code, one in sorted(places.items()) if one.merchant_id is None or code in busy]


def _place(one: Place, load: PlaceLoad | None, busiest: int) -> Spot:
    count, held = (load.count, load.held) if load is not None else (0, 0)
    size = _LEAST_PX + (_MOST_PX - _LEAST_PX) * count // busiest
    return Spot(
        one.place_code, one.place_code, one.latitude_e6 // 1_000_000, one.longitude_e6 // 1_000_000, "held" if held else "place", count, held, size
    )


async def _frame_of(house: House, language: Language, hours: int) -> tuple[Frame, datetime]:
    async with house.database.reading() as conn:
        now = await business_now(conn)
        outside = await house.outside.current(conn, now)
        return await read_frame(conn, outside.reference, now - timedelta(hours=hours), language), now


@get("/operator/network", opt=open_to(HOUSE))
async def show_network(house: HouseDep, visitor: VisitorDep) -> Response[str]:
    """Show the map as it stands now, with the scrubber over the last day."""
    frame, now = await _frame_of(house, visitor.language, 0)
    return page("operator/network.html", visitor, {"frame": frame, "now": now, "hours": HOURS})


@get("/operator/network/at", opt=open_to(HOUSE))
async def show_hour(house: HouseDep, visitor: VisitorDep, hours: Annotated[int, QueryParameter(name="hours", ge=0, le=HOURS)] = 0) -> Response[str]:
    """Show how the network stood some hours ago: a part of its page."""
    frame, _ = await _frame_of(house, visitor.language, hours)
    return Response(fill("operator/network_frame.html", visitor.language, frame=frame), media_type="text/html")


@get("/operator/network/live", opt=open_to(HOUSE) | {"streams": True})
async def follow_network(house: HouseDep, visitor: VisitorDep) -> ServerSentEvent:
    """Send the network whenever it changed."""
    return ServerSentEvent(_changes(house, visitor.language))


async def _changes(house: House, language: Language) -> AsyncGenerator[ServerSentEventMessage]:
    """Yield the page's part as it stands whenever anything but the time changed; now and then a comment, so that a dead line is noticed."""
    last, silence = b"", 0
    while True:
        try:
            frame, _ = await _frame_of(house, language, 0)
        except EntrepotError:
            await asyncio.sleep(_PAUSE_S * 3)
            continue
        told = hashlib.sha256(repr((frame.spots, frame.ways, frame.holds)).encode()).digest()
        if told != last:
            yield ServerSentEventMessage(data=fill("operator/network_frame.html", language, frame=frame), event="network")
            last, silence = told, 0
        elif silence >= _BEATS_OF_SILENCE:
            yield ServerSentEventMessage(comment="still here")
            silence = 0
        else:
            silence += 1
        await asyncio.sleep(_PAUSE_S)


@get("/operator/places/{place_code:str}", opt=open_to(HOUSE))
async def show_place(request: WebRequest, house: HouseDep, visitor: VisitorDep, place_code: FromPath[str]) -> Response[str] | Stream:
    """Show the open work of a place."""
    async with house.database.reading() as conn:
        outside = await house.outside.current(conn, await business_now(conn))
        place = outside.reference.network.places.get(place_code)
        if place is None:
            raise UnknownPlaceError("place_code", place_code, "Open it from the map.")
        entries = [one for state in _OPEN for one in await read_queue(conn, place_code, state, _EACH)]
        orders = await read_orders(conn, [one.order.merchant_id for one in entries], [one.order_id for one in entries])
        names = {key: one.name for key, one in (await read_merchants(conn, sorted({one.order.merchant_id for one in entries}))).items()}
    numbers = {one.order_id: one.number for one in orders}
    rows = [
        Row(
            str(one.order.fulfilment_order_id),
            {
                "order": Cell(numbers.get(one.order_id, one.order_id.hex[-8:]), href=f"/orders/{one.order.merchant_id}/{one.order_id}"),
                "state": Cell(str(one.state)),
                "merchant": Cell(names.get(one.order.merchant_id, "")),
                "cause": Cell(str(one.cause_kind)),
                "queued": Cell(one.queued_at),
                "ship_by": Cell(one.ship_by_at),
            },
        )
        for one in entries
    ]
    listing = Listing(QUEUE.code, f"/operator/places/{place_code}", QUEUE.columns, QUEUE.filters, sort=QUEUE.sort)
    texts = Texts("network", place.name, mark("Open work of this place, what is due first on top; what is on hold waits apart"), mark("Nothing to do here"), mark("Work appears here when an order is released to this place."))  # fmt: skip
    return await answer_rows(request, house, visitor, listing, texts, rows)
