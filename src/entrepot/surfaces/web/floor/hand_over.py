"""Hand over: choose the carrier's lane, scan its parcels, let the driver go; what was not scanned stays."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from litestar import Response, get, post
from litestar.datastructures import MultiDict
from litestar.params import FromPath
from msgspec import Struct

from entrepot.base.errors import UnknownReferenceError
from entrepot.base.sql import Conn
from entrepot.flows.fulfil import hand_over, manifest_id_of
from entrepot.flows.inbound import undo_scan
from entrepot.freight.manifests import list_manifests, read_manifest
from entrepot.freight.model import ConsignmentKey
from entrepot.freight.read import Consignment, Parcel, read_parcels_of_consignments
from entrepot.sourcing.model import Place
from entrepot.surfaces.web.access import FLOOR, FormDep, VisitorDep, open_to
from entrepot.surfaces.web.floor.find import find_work, read_lanes, read_numbers
from entrepot.surfaces.web.floor.shift import OK, STOP, UNDO_WORD, Said, Shift, at_work, code_of, floor_page, is_word, tick, writing
from entrepot.surfaces.web.house import HouseDep
from entrepot.surfaces.web.words import carrier_name
from entrepot.warehouse.model import OrderRef, WorkState
from entrepot.warehouse.readers import QueueEntry, read_queue
from entrepot.warehouse.scan import record_scans
from entrepot.warehouse.scanning import Scan, ScanKind, ScanOutcome
from entrepot.warehouse.trail import last_of_device, read_trails
from entrepot.warehouse.undo import Undo

_MOST: Final = 500
_MANIFESTS: Final = 8
NO_CARRIER: Final = "none"
"""The lane of work without a parcel: removals and transfers that others fetch."""


class UnknownManifestError(UnknownReferenceError):
    """This place has no manifest with this id; another place may have made it."""


class Waiting(Struct, frozen=True):
    """A packed order on its lane, with its parcel and whether it was scanned for the driver."""

    entry: QueueEntry
    lane: Consignment | None
    parcel: Parcel | None
    is_scanned: bool

    @property
    def carrier_code(self) -> str:
        """The lane's carrier."""
        return self.lane.carrier_code if self.lane is not None else NO_CARRIER


class Lane(Struct, frozen=True):
    """A carrier's lane: parcels on it, parcels scanned, and when the first of them must have left."""

    carrier_code: str
    parcels: int
    scanned: int
    ship_by_at: datetime


@get("/floor/hand-over", opt=open_to(FLOOR))
async def show_lanes(house: HouseDep, visitor: VisitorDep) -> Response[str]:
    """Show the carriers' lanes with what lies on them, the cut-off and the latest manifests."""
    async with house.database.reading() as conn:
        return await _lanes_page(conn, await at_work(conn, house, visitor), Said())


@post("/floor/hand-over", status_code=200, opt=open_to(FLOOR))
async def choose_lane(house: HouseDep, visitor: VisitorDep, form: FormDep) -> Response[str]:
    """Open the lane of the parcel that was scanned and count it."""

    async def step(conn: Conn, shift: Shift) -> Response[str]:
        waiting = await read_waiting(conn, shift)
        one = await _find(conn, shift, waiting, code_of(form))
        if one is None:
            text = visitor.language.gettext("%(code)s is no packed parcel of this place.", code=code_of(form))
            return await _lanes_page(conn, shift, Said(STOP, text))
        return await _lane_page(conn, shift, one.carrier_code, await _tick(conn, shift, form, one))

    return await writing(house, visitor, step)


@get("/floor/hand-over/{carrier:str}", opt=open_to(FLOOR))
async def show_lane(house: HouseDep, visitor: VisitorDep, carrier: FromPath[str]) -> Response[str]:
    """Show one lane."""
    async with house.database.reading() as conn:
        return await _lane_page(conn, await at_work(conn, house, visitor), carrier, Said())


@post("/floor/hand-over/{carrier:str}", status_code=200, opt=open_to(FLOOR))
async def scan_hand_over(house: HouseDep, visitor: VisitorDep, form: FormDep, carrier: FromPath[str]) -> Response[str]:
    """Take the scan of a parcel, an undo, or the driver's leave."""

    async def step(conn: Conn, shift: Shift) -> Response[str]:
        code = code_of(form)
        waiting = await read_waiting(conn, shift)
        on_lane = [one for one in waiting if one.carrier_code == carrier]
        if form.get("do") == "undo" or is_word(code, UNDO_WORD):
            return await _lane_page(conn, shift, carrier, await _undo(conn, shift, form, on_lane))
        if form.get("do") == "leave":
            return await _leave(conn, shift, carrier, [one for one in on_lane if one.is_scanned])
        return await _lane_page(conn, shift, carrier, await _scan(conn, shift, form, waiting, carrier))

    return await writing(house, visitor, step)


@get("/floor/manifests/{manifest_id:uuid}", opt=open_to(FLOOR))
async def show_manifest(house: HouseDep, visitor: VisitorDep, manifest_id: FromPath[uuid.UUID]) -> Response[str]:
    """Show what a carrier took, for the driver to sign."""
    async with house.database.reading() as conn:
        shift = await at_work(conn, house, visitor)
        head = next((one for one in await list_manifests(conn, shift.place.place_code, _MOST) if one.manifest_id == manifest_id), None)
        if head is None:
            raise UnknownManifestError("manifest_id", str(manifest_id), "Open it from the carriers' lanes.")
        rows = await read_manifest(conn, shift.place.place_code, manifest_id)
    return floor_page("floor/manifest.html", shift, Said(), {"head": head, "rows": rows})


async def _scan(conn: Conn, shift: Shift, form: MultiDict[str], waiting: Sequence[Waiting], carrier: str) -> Said:
    """Judge a parcel at the lane: it must be packed, and this carrier's."""
    _ = shift.visitor.language.gettext
    one = await _find(conn, shift, waiting, code_of(form))
    if one is None:
        return Said(STOP, _("%(code)s is no packed parcel of this place.", code=code_of(form)))
    if one.carrier_code != carrier:
        return Said(STOP, _("Wrong lane. This parcel goes with %(carrier)s.", carrier=carrier_name(one.carrier_code)))
    return await _tick(conn, shift, form, one)


async def _tick(conn: Conn, shift: Shift, form: MultiDict[str], one: Waiting) -> Said:
    """Count a parcel for the driver."""
    _ = shift.visitor.language.gettext
    if one.is_scanned:
        return Said("note", _("This parcel was scanned already."))
    ref = one.entry.order
    scan = tick(shift, form, ScanKind.HAND_OVER, (ref.merchant_id, ref.fulfilment_order_id), f"lane={one.carrier_code}")
    await record_scans(conn, [scan])
    return Said(OK, _("Parcel %(number)s is counted.", number=_name(one)))


async def _undo(conn: Conn, shift: Shift, form: MultiDict[str], on_lane: Sequence[Waiting]) -> Said:
    """Take the last parcel off the count."""
    _ = shift.visitor.language.gettext
    trails = await _trails(conn, shift, [one.entry for one in on_lane])
    own = [last for trail in trails.values() if (last := last_of_device(trail, shift.device, ScanKind.HAND_OVER)) is not None]
    last = max(own, key=lambda scan: scan.key.sequence_no, default=None)
    if last is None:
        return Said(STOP, _("You have scanned nothing here that could be undone."))
    work = await undo_scan(
        conn, Undo(tick(shift, form, ScanKind.UNDO, (last.merchant_id, last.subject_id), ""), ScanKind.HAND_OVER), shift.actor, shift.now
    )
    return Said("note", _("Undone. Put the parcel back on its lane.") if work.outcome is ScanOutcome.NEW else _("That is undone already."))


async def _leave(conn: Conn, shift: Shift, carrier: str, scanned: Sequence[Waiting]) -> Response[str]:
    """Hand the scanned parcels over to the carrier."""
    _ = shift.visitor.language.gettext
    if not scanned:
        return await _lane_page(conn, shift, carrier, Said(STOP, _("Scan the parcels first. Nothing was handed over.")))
    left = await hand_over(conn, shift.outside, [one.entry.order for one in scanned], shift.actor, shift.now)
    text = shift.visitor.language.ngettext("%(num)s parcel handed over.", "%(num)s parcels handed over.", len(left))
    return await _lanes_page(conn, shift, Said(OK, text), manifest_id_of(shift.place.place_code, carrier, shift.now) if left else None)


async def read_waiting(conn: Conn, shift: Shift) -> list[Waiting]:
    """Return everything that is packed at the place, the most urgent first."""
    entries = await read_queue(conn, shift.place.place_code, WorkState.PACKED, _MOST)
    lanes = await read_lanes(conn, entries)
    keys = [ConsignmentKey(one.order.merchant_id, one.consignment_id) for one in entries if one.consignment_id is not None]
    parcels = {(one.merchant_id, one.consignment_id): one for one in await read_parcels_of_consignments(conn, keys)} if keys else {}
    trails = await _trails(conn, shift, entries)
    return [
        Waiting(
            one,
            lanes.get(one.order),
            parcels.get((one.order.merchant_id, one.consignment_id)) if one.consignment_id is not None else None,
            any(scan.kind is ScanKind.HAND_OVER for scan in trails.get(one.order, ())),
        )
        for one in entries
    ]


async def _trails(conn: Conn, shift: Shift, entries: Sequence[QueueEntry]) -> Mapping[OrderRef, Sequence[Scan]]:
    """Return what was scanned about orders."""
    refs = [one.order for one in entries]
    found = await read_trails(conn, shift.place.place_code, [one.merchant_id for one in refs], [one.fulfilment_order_id for one in refs])
    return {ref: found[ref.merchant_id, ref.fulfilment_order_id] for ref in refs if (ref.merchant_id, ref.fulfilment_order_id) in found}


async def _find(conn: Conn, shift: Shift, waiting: Sequence[Waiting], code: str) -> Waiting | None:
    """Return the packed order that a code means: the parcel's number first, then the order's."""
    named = [one for one in waiting if one.parcel is not None and code and code.upper() == (one.parcel.tracking_number or "").upper()]
    if named:
        return named[0]
    refs = {one.order for one in await find_work(conn, shift, code)}
    return next((one for one in waiting if one.entry.order in refs), None)


def _name(one: Waiting) -> str:
    """Return what people call a parcel."""
    return (one.parcel.tracking_number if one.parcel is not None else None) or one.entry.order.fulfilment_order_id.hex[-8:].upper()


def cut_off_at(place: Place, now: datetime) -> datetime:
    """Return the next instant at which the place's day of shipping ends, by its own clock."""
    local = now.astimezone(ZoneInfo(place.time_zone))
    today = local.replace(hour=place.cutoff_hour % 24, minute=0, second=0, microsecond=0)
    return today if today > local else today + timedelta(days=1)


async def _lanes_page(conn: Conn, shift: Shift, said: Said, manifest_id: uuid.UUID | None = None) -> Response[str]:
    waiting = await read_waiting(conn, shift)
    lanes: list[Lane] = []
    for code in sorted({one.carrier_code for one in waiting}):
        own = [one for one in waiting if one.carrier_code == code]
        lanes.append(Lane(code, len(own), sum(one.is_scanned for one in own), min(one.entry.ship_by_at for one in own)))
    cut_off = cut_off_at(shift.place, shift.now)
    values: dict[str, object] = {
        "lanes": lanes,
        "cut_off": cut_off,
        "minutes_left": int((cut_off - shift.now).total_seconds()) // 60,
        "manifests": await list_manifests(conn, shift.place.place_code, _MANIFESTS),
        "manifest_id": manifest_id,
    }
    return floor_page("floor/lanes.html", shift, said, values, "/floor/hand-over")


async def _lane_page(conn: Conn, shift: Shift, carrier: str, said: Said) -> Response[str]:
    waiting = [one for one in await read_waiting(conn, shift) if one.carrier_code == carrier]
    if not waiting:
        return await _lanes_page(conn, shift, said if said.text else Said("note", shift.visitor.language.gettext("Nothing is on this lane.")))
    cut_off = cut_off_at(shift.place, shift.now)
    address = f"/floor/hand-over/{carrier}"
    values: dict[str, object] = {
        "carrier": carrier,
        "waiting": sorted(waiting, key=lambda one: (one.is_scanned, one.entry.ship_by_at)),
        "numbers": await read_numbers(conn, [one.entry for one in waiting]),
        "scanned": sum(one.is_scanned for one in waiting),
        "cut_off": cut_off,
        "minutes_left": int((cut_off - shift.now).total_seconds()) // 60,
        "address": address,
    }
    return floor_page("floor/lane.html", shift, said, values, address)
