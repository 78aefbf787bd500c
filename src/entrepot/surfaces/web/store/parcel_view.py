"""A parcel as its buyer watches it: how far it is, promise beside estimate, why it is late, and its way on the map."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Final

from msgspec import Struct

from entrepot.customs.read import StoredDeclaration
from entrepot.flows.reference import Reference
from entrepot.freight.model import ParcelState, TrackingState
from entrepot.freight.read import Consignment, ParcelTimeline, TimelineEvent
from entrepot.sourcing.points import country_points
from entrepot.surfaces.web.languages import Language, mark
from entrepot.surfaces.web.words import country, named, words

_MICRO: Final = 1_000_000
_CROSSING: Final = mark("Customs")
_PREPARED: Final = mark("Prepared")
_HANDED: Final = mark("Handed over")
_MOVING: Final = mark("On its way")
_AT_DOOR: Final = mark("Out for delivery")
_ARRIVED: Final = mark("Delivered")
_STOPPED: Final[Mapping[ParcelState, str]] = {
    ParcelState.RETURNING: mark("On its way back"),
    ParcelState.RETURNED: mark("Went back to the sender"),
    ParcelState.LOST: mark("Lost"),
    ParcelState.DESTROYED: mark("Destroyed"),
    ParcelState.EXCEPTION: mark("Held up"),
}
_TROUBLE: Final = frozenset(
    {
        TrackingState.EXCEPTION,
        TrackingState.DELIVERY_ATTEMPTED,
        TrackingState.IMPORT_CUSTOMS_HELD,
        TrackingState.EXPORT_CUSTOMS_HELD,
        TrackingState.TAX_DUE,
        TrackingState.REFUSED,
    }
)
_ABROAD: Final = frozenset(
    {
        TrackingState.ARRIVED_DESTINATION,
        TrackingState.IMPORT_CUSTOMS_PRESENTED,
        TrackingState.IMPORT_CUSTOMS_HELD,
        TrackingState.TAX_DUE,
        TrackingState.CUSTOMS_RELEASED,
        TrackingState.HANDED_TO_LAST_MILE,
        TrackingState.AT_DELIVERY_HUB,
        TrackingState.OUT_FOR_DELIVERY,
        TrackingState.DELIVERY_ATTEMPTED,
        TrackingState.AVAILABLE_FOR_PICKUP,
        TrackingState.DELIVERED,
    }
)

Point = tuple[str, str, str, str, str, str]
Arc = tuple[str, str, str]


class ParcelView(Struct, frozen=True):
    """A consignment with its parcel, if it is packed already."""

    consignment: Consignment
    timeline: ParcelTimeline | None
    steps: tuple[tuple[str, str], ...]
    estimate_on: date | None
    is_late: bool
    reason: str
    last_scan: str
    next_leg: str
    customs_states: tuple[str, ...]
    points: tuple[Point, ...]
    arcs: tuple[Arc, ...]


def view_parcels(
    language: Language,
    reference: Reference,
    consignments: Sequence[Consignment],
    timelines: Sequence[ParcelTimeline],
    declarations: Sequence[StoredDeclaration],
    now: datetime,
) -> list[ParcelView]:
    """Return a view for each parcel, and for each consignment that has none yet; voided labels are left out."""
    by_consignment: dict[uuid.UUID, list[ParcelTimeline]] = {}
    for one in timelines:
        if one.parcel.state is not ParcelState.VOIDED:
            by_consignment.setdefault(one.parcel.consignment_id, []).append(one)
    return [
        _view(language, reference, consignment, timeline, declarations, now)
        for consignment in consignments
        if consignment.piece_count
        for timeline in by_consignment.get(consignment.consignment_id) or [None]
    ]


def _view(
    language: Language,
    reference: Reference,
    consignment: Consignment,
    timeline: ParcelTimeline | None,
    declarations: Sequence[StoredDeclaration],
    now: datetime,
) -> ParcelView:
    estimate = _estimate(timeline, consignment)
    is_over = timeline is not None and timeline.parcel.state is ParcelState.DELIVERED
    is_late = not is_over and (estimate > consignment.promised_to_on or now.date() > consignment.promised_to_on)
    events = timeline.events if timeline is not None else ()
    trouble = next((event for event in reversed(events) if event.code in _TROUBLE), None)
    points, arcs = _way(language, reference, consignment, timeline)
    last = max(events, key=_time_of) if events else None
    return ParcelView(
        consignment,
        timeline,
        tuple(_steps(consignment, timeline)),
        None if is_over else max(estimate, now.date()),
        is_late,
        words(language, trouble.code) if trouble is not None and is_late else "",
        ""
        if last is None
        else language.gettext("%(first)s, %(second)s", first=words(language, last.code), second=last.place)
        if last.place
        else words(language, last.code),
        _next_leg(language, timeline),
        tuple(str(one.state) for one in declarations if one.declaration.consignment_id == consignment.consignment_id),
        points,
        arcs,
    )


def _time_of(event: TimelineEvent) -> datetime:
    return event.occurred_at


def _estimate(timeline: ParcelTimeline | None, consignment: Consignment) -> date:
    """Return when the parcel should arrive by its legs as they are planned now, else by its promise."""
    if timeline is None or not timeline.legs:
        return consignment.promised_to_on
    return min(max(leg.planned_to_at for leg in timeline.legs).date(), consignment.promised_to_on) if not _is_behind(timeline) else _behind(timeline)


def _is_behind(timeline: ParcelTimeline) -> bool:
    """Tell whether a leg ended later than planned."""
    return any(leg.actual_to_at is not None and leg.actual_to_at > leg.planned_to_at for leg in timeline.legs)


def _behind(timeline: ParcelTimeline) -> date:
    """Return the planned end, moved by what the legs so far took longer."""
    lags = [leg.actual_to_at - leg.planned_to_at for leg in timeline.legs if leg.actual_to_at is not None]
    return (max(leg.planned_to_at for leg in timeline.legs) + lags[-1]).date()


def _steps(consignment: Consignment, timeline: ParcelTimeline | None) -> list[tuple[str, str]]:
    """Return the way of a parcel as steps that are done, now, open or stopped."""
    labels = [_PREPARED, _HANDED, _MOVING, *([_CROSSING] if consignment.customs_regime_code else []), _AT_DOOR, _ARRIVED]
    state = timeline.parcel.state if timeline is not None else None
    if state in _STOPPED and state is not None:
        return [(_PREPARED, "done"), (_HANDED, "done"), (_STOPPED[state], "stopped")]
    reached = {
        None: _PREPARED,
        ParcelState.LABELLED: _PREPARED,
        ParcelState.HANDED_OVER: _HANDED,
        ParcelState.IN_TRANSIT: _MOVING,
        ParcelState.CUSTOMS_HOLD: _CROSSING if _CROSSING in labels else _MOVING,
        ParcelState.OUT_FOR_DELIVERY: _AT_DOOR,
        ParcelState.DELIVERED: _ARRIVED,
    }[state]
    place = labels.index(reached)
    is_done = state is ParcelState.DELIVERED
    return [(label, "done" if number < place or is_done else "now" if number == place else "open") for number, label in enumerate(labels)]


def _next_leg(language: Language, timeline: ParcelTimeline | None) -> str:
    """Return the leg that the parcel is on or takes next."""
    if timeline is None or timeline.parcel.state in {ParcelState.DELIVERED, *_STOPPED}:
        return ""
    leg = next((one for one in timeline.legs if one.actual_to_at is None), None)
    if leg is None:
        return ""
    if leg.from_code == leg.to_code:
        return language.gettext("%(kind)s in %(country)s", kind=words(language, leg.kind), country=country(language, leg.to_code))
    ends = {"start": country(language, leg.from_code), "end": country(language, leg.to_code)}
    return language.gettext("%(kind)s from %(start)s to %(end)s", kind=words(language, leg.kind), **ends)


def _way(
    language: Language, reference: Reference, consignment: Consignment, timeline: ParcelTimeline | None
) -> tuple[tuple[Point, ...], tuple[Arc, ...]]:
    """Return where the parcel leaves, where it goes, and which end it was seen at last."""
    place = reference.network.places.get(consignment.place_code)
    goal = country_points().get(consignment.to_country_code)
    if place is None or goal is None:
        return (), ()
    state = timeline.parcel.state if timeline is not None else None
    events = timeline.events if timeline is not None else ()
    is_near = any(event.code in _ABROAD for event in events)
    start = (_degrees(place.latitude_e6), _degrees(place.longitude_e6))
    last = max(events, key=_time_of) if events else None
    is_seen = last is not None and state is not ParcelState.DELIVERED
    seen = language.gettext("Last scan: %(scan)s", scan=words(language, last.code)) if last is not None else ""
    points: list[Point] = [
        ("start", named(language, place.name), *start, "parcel" if is_seen and not is_near else "place", seen if is_seen and not is_near else ""),
        ("door", country(language, consignment.to_country_code), *goal, "parcel" if is_seen and is_near else "door", seen if is_near else ""),
    ]
    way = "done" if state is ParcelState.DELIVERED else "open" if state in {None, ParcelState.LABELLED} else "now"
    return tuple(points), (("start", "door", way),)


def _degrees(micro: int) -> str:
    sign, whole = ("-" if micro < 0 else ""), abs(micro)
    return f"{sign}{whole // _MICRO}.{whole % _MICRO:06d}"
