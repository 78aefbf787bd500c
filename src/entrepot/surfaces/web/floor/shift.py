"""Who works where: every page of the floor begins with the place and station at which its session is signed on."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, TypeVar

from litestar import Response
from litestar.datastructures import MultiDict
from msgspec import Struct

from entrepot.base.actor import Actor
from entrepot.base.errors import ConflictError, RefusedInputError
from entrepot.base.sql import Conn
from entrepot.base.time import RealClock
from entrepot.flows.outside import Outside
from entrepot.parties.workplaces import SignOn, read_sign_on, read_workplaces
from entrepot.sourcing.model import Place
from entrepot.surfaces.web.access import Visitor, actor_of, require_member
from entrepot.surfaces.web.house import House, business_now
from entrepot.surfaces.web.languages import mark
from entrepot.surfaces.web.render import page
from entrepot.warehouse.scanning import Scan, ScanKey, ScanKind

Result = TypeVar("Result")

_DEVICE_DIGITS: Final = 12
_MICROSECOND: Final = timedelta(microseconds=1)
_LONGEST_CODE: Final = 80
OK: Final = "ok"
STOP: Final = "stop"
UNDO_WORD: Final = "UNDO"
"""What may be scanned or typed instead of pressing the button of the same name."""


class NotSignedOnError(ConflictError):
    """The session is not signed on at a place; sign on at the floor's first page."""


class ScanNumberError(RefusedInputError):
    """The scan does not carry the number that its page gave it; open the page again and scan anew."""


class Shift(Struct, frozen=True):
    """A session at work; `device` stands for it in the log of scans, `sequence` is the number of the scan that the page will send."""

    visitor: Visitor
    place: Place
    station: str
    outside: Outside
    now: datetime
    device: str
    sequence: int

    @property
    def actor(self) -> Actor:
        """Who scans."""
        return actor_of(self.visitor)


class Said(Struct, frozen=True):
    """What the floor is told about the last scan: done or stopped, in a few words."""

    state: str = ""
    text: str = ""

    @property
    def is_stop(self) -> bool:
        """Whether the work must not go on."""
        return self.state == STOP


async def at_work(conn: Conn, house: House, visitor: Visitor) -> Shift:
    """Return where the visitor's session works, or refuse one that is not signed on."""
    member = require_member(visitor)
    on = await read_sign_on(conn, visitor.secret)
    now = await business_now(conn)
    outside = await house.outside.current(conn, now)
    places = workable_places(outside)
    if on is None or on.place_code not in await read_workplaces(conn, member, places):
        raise NotSignedOnError("session", "no place", "Sign on at a place, then go on.")
    return shift_of(visitor, places[on.place_code], on, outside, now)


def shift_of(visitor: Visitor, place: Place, on: SignOn, outside: Outside, now: datetime) -> Shift:
    """Return a shift; the session is the device, and microseconds number its scans, so that a form that is sent twice counts once."""
    device = "s-" + hashlib.sha256(visitor.secret.encode()).hexdigest()[:_DEVICE_DIGITS]
    number = (RealClock().now() - datetime.fromtimestamp(0, RealClock().now().tzinfo)) // _MICROSECOND
    return Shift(visitor, place, on.station_code, outside, now, device, number)


def workable_places(outside: Outside) -> dict[str, Place]:
    """Return the buildings in which the platform's people work, by code."""
    return {code: place for code, place in sorted(outside.reference.network.places.items()) if place.merchant_id is None}


def scan_key(shift: Shift, form: MultiDict[str]) -> ScanKey:
    """Return the key of a scan: the place and device are the session's, the number is the page's."""
    number = form.get("sequence", "")
    if not (number.isascii() and number.isdecimal() and 0 < len(number) < 19):
        raise ScanNumberError("sequence", number, "Open the page again and scan anew.")
    return ScanKey(shift.place.place_code, shift.device, int(number))


def tick(shift: Shift, form: MultiDict[str], kind: ScanKind, subject: tuple[object, object], content: str) -> Scan:
    """Return a scan about a merchant's document."""
    merchant_id, subject_id = subject
    return Scan(scan_key(shift, form), kind, shift.now, merchant_id, subject_id, content)  # pyright: ignore[reportArgumentType]


def code_of(form: MultiDict[str]) -> str:
    """Return what was scanned or typed, without blanks around it."""
    return form.get("code", "").strip()[:_LONGEST_CODE]


def is_word(code: str, word: str) -> bool:
    """Tell whether a word of command was scanned or typed."""
    return code.upper() == word


def floor_page(template: str, shift: Shift, said: Said, values: Mapping[str, object], address: str = "") -> Response[str]:
    """Return a page of the floor; where a scan led to another step, the browser's address follows it."""
    answer = page(template, shift.visitor, {"shift": shift, "said": said, **values})
    if address:
        answer.headers["hx-replace-url"] = address
    return answer


async def writing(house: House, visitor: Visitor, work: Callable[[Conn, Shift], Awaitable[Result]]) -> Result:
    """Run a step of the floor in one transaction."""

    async def run(conn: Conn) -> Result:
        return await work(conn, await at_work(conn, house, visitor))

    return await house.database.writing(run)


STATIONS: Final[Sequence[tuple[str, str, str, str]]] = (
    ("receive", mark("Receive"), mark("Count deliveries in at the dock"), "/floor/receive"),
    ("stow", mark("Stow"), mark("Bring units from the dock to their bins"), "/floor/stow"),
    ("pick", mark("Pick"), mark("Take what orders need from the bins"), "/floor/pick"),
    ("pack", mark("Pack"), mark("Check, pack and label orders"), "/floor/pack"),
    ("hand_over", mark("Hand over"), mark("Give parcels to the carriers"), "/floor/hand-over"),
    ("returns", mark("Returns"), mark("Look at what came back and decide"), "/floor/returns"),
    ("problem", mark("Problem desk"), mark("Find anything by its code and decide"), "/floor/problem"),
    ("board", mark("Board"), mark("What must leave when, and how fast it moves"), "/floor/board"),
)
"""What can be done on a floor: code, name, what it is for, address."""

TOLD: Final = (
    mark("Start picking"),
    mark("Pick order"),
    mark("Pack order"),
    mark("Set apart"),
    mark("Report problem"),
    mark("Problem reported"),
    mark("Changed mind"),
)
"""What timelines and the bench say of the floor's acts, facts and of why goods come back: codes in words, so that the catalogues hold them."""
