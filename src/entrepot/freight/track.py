"""Tracking: whoever knows something of a parcel reports it; the set of what is known gives the parcel's state.

A carrier says "delivered" twice, the scan at the depot arrives a day late, a lost parcel turns up: each report is kept once, the
parcel's state is worked out anew from everything known, and the caller hears which parcels changed, with their lines, so that goods
and money can follow.
"""

import uuid
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct

from entrepot.base.sql import Conn, Row, columns, execute, fetch
from entrepot.freight.consign import follow_parcels
from entrepot.freight.identifiers import clean_number
from entrepot.freight.model import (
    LEG_ENDS,
    PARCEL_STATES,
    STATES_WITH_LINES,
    TRACKING,
    CarrierEvent,
    CauseKind,
    ConsignmentKey,
    EventOutcome,
    ParcelChange,
    ParcelEvent,
    ParcelKey,
    ParcelLine,
    ParcelState,
    Recorded,
    Sighting,
    TrackingState,
    UnknownParcelError,
    deciding_sighting,
    delivered_at,
    leg_times,
    shipped_at,
)

_LEG_CODES: Final = frozenset(code for ends in LEG_ENDS.values() for code in ends)


class _Standing(Struct, frozen=True):
    """What a parcel's events amount to."""

    merchant_id: uuid.UUID
    parcel_id: uuid.UUID
    state: ParcelState
    state_at: datetime
    shipped_at: datetime | None
    delivered_at: datetime | None
    last_event_at: datetime


class _LegActual(Struct, frozen=True):
    """When a leg really began and ended."""

    merchant_id: uuid.UUID
    parcel_id: uuid.UUID
    kind: str
    actual_from_at: datetime | None
    actual_to_at: datetime | None


async def record_events(conn: Conn, events: Sequence[CarrierEvent]) -> Recorded:
    """Record what carriers report, find the parcels by number, and return the answers and everything that changed (@batch).

    An event for an unknown parcel is answered `unknown_parcel` and leaves the others alone.
    """
    if not events:
        return Recorded((), (), ())
    parcels = await find_parcels(conn, [(event.carrier_code, event.tracking_number) for event in events])
    known: list[ParcelEvent] = []
    places: list[int] = []
    for place, event in enumerate(events):
        key = parcels.get((event.carrier_code, clean_number(event.tracking_number)))
        if key is not None:
            known.append(ParcelEvent(key.merchant_id, key.parcel_id, event.code, event.occurred_at, event.received_at, event.source, event.place))
            places.append(place)
    recorded = await record_parcel_events(conn, known)
    outcomes = [EventOutcome.UNKNOWN_PARCEL] * len(events)
    for place, outcome in zip(places, recorded.outcomes, strict=True):
        outcomes[place] = outcome
    return Recorded(tuple(outcomes), recorded.parcels, recorded.consignments)


def require_known(events: Sequence[CarrierEvent], recorded: Recorded) -> None:
    """Refuse the first event whose parcel is unknown, for surfaces that answer one event with one problem."""
    for event, outcome in zip(events, recorded.outcomes, strict=True):
        if outcome is EventOutcome.UNKNOWN_PARCEL:
            raise UnknownParcelError(
                "tracking_number", event.tracking_number, "Check the number and the carrier %(carrier)s.", carrier=event.carrier_code
            )


async def find_parcels(conn: Conn, numbers: Sequence[tuple[str, str]]) -> dict[tuple[str, str], ParcelKey]:
    """Return the parcels that have these (carrier code, tracking number), keyed by carrier code and cleaned number (@batch)."""
    unique = sorted({(carrier_code, clean_number(number)) for carrier_code, number in numbers})
    rows = await fetch(
        conn,
        """
        select i.carrier_code, i.tracking_number, i.merchant_id, i.parcel_id
        from tracking_index i join unnest(%(carriers)s::text[], %(numbers)s::text[]) as t(carrier_code, tracking_number)
          on i.carrier_code = t.carrier_code and i.tracking_number = t.tracking_number
        """,
        {"carriers": [key[0] for key in unique], "numbers": [key[1] for key in unique]},
    )
    return {(row[0], row[1]): ParcelKey(row[2], row[3]) for row in rows}


async def record_parcel_events(conn: Conn, events: Sequence[ParcelEvent]) -> Recorded:
    """Record what the dock, customs, a sweep or a merchant says of parcels it knows by id, and return what changed (@batch)."""
    locked = await _lock_parcels(conn, {ParcelKey(event.merchant_id, event.parcel_id) for event in events})
    outcomes: list[EventOutcome] = [EventOutcome.UNKNOWN_PARCEL] * len(events)
    unique: dict[tuple[ParcelKey, str], int] = {}
    for place, event in enumerate(events):
        key = ParcelKey(event.merchant_id, event.parcel_id)
        if key in locked:
            outcomes[place] = EventOutcome.EXISTS
            unique.setdefault((key, event.sighting.event_key), place)
    fresh = await _insert_events(conn, [events[place] for place in unique.values()])
    for (key, event_key), place in unique.items():
        if (key.merchant_id, key.parcel_id, event_key) in fresh:
            outcomes[place] = EventOutcome.RECORDED
    touched = {ParcelKey(merchant_id, parcel_id) for merchant_id, parcel_id, _ in fresh}
    if not touched:
        return Recorded(tuple(outcomes), (), ())
    sightings = await read_sightings(conn, touched)
    standings = {key: _standing(key, seen) for key, seen in sightings.items()}
    await _update_parcels(conn, list(standings.values()))
    if any(event.code in _LEG_CODES for event in events):
        await _update_legs(conn, sightings)
    changed = [key for key in sorted(standings, key=_by_key) if standings[key].state != locked[key][2]]
    parcels = await _changes(conn, changed, standings, locked)
    # A later scan of a state that stays can still move the time of the consignment's state.
    consignments = await follow_parcels(conn, [ConsignmentKey(key.merchant_id, locked[key][3]) for key in standings])
    return Recorded(tuple(outcomes), tuple(parcels), tuple(consignments))


def _by_key(key: ParcelKey) -> tuple[uuid.UUID, uuid.UUID]:
    """Sort by merchant and parcel."""
    return key.merchant_id, key.parcel_id


async def _lock_parcels(conn: Conn, keys: set[ParcelKey]) -> dict[ParcelKey, Row]:
    """Lock parcels and their consignments in key order and return (merchant, parcel, state, consignment, order, cause kind, cause)."""
    if not keys:
        return {}
    rows = await fetch(
        conn,
        """
        select p.merchant_id, p.parcel_id, p.state, p.consignment_id, p.order_id, p.cause_kind, p.cause_id
        from unnest(%(merchant_id)s::uuid[], %(parcel_id)s::uuid[]) as t(merchant_id, parcel_id)
        join parcel p on p.merchant_id = t.merchant_id and p.parcel_id = t.parcel_id
        join consignment c on c.merchant_id = p.merchant_id and c.consignment_id = p.consignment_id
        order by p.merchant_id, p.consignment_id, p.parcel_id for update of c, p
        """,
        columns(sorted(keys, key=_by_key), "merchant_id", "parcel_id"),
    )
    return {ParcelKey(row[0], row[1]): row for row in rows}


async def _insert_events(conn: Conn, events: Sequence[ParcelEvent]) -> set[tuple[uuid.UUID, uuid.UUID, str]]:
    """Insert events and return the keys (merchant, parcel, event key) of those that are new."""
    if not events:
        return set()
    rows = await fetch(
        conn,
        """
        insert into tracking_event (merchant_id, parcel_id, event_key, code, occurred_at, received_at, source, place)
        select * from unnest(%(merchant_id)s::uuid[], %(parcel_id)s::uuid[], %(keys)s::text[], %(code)s::text[], %(occurred_at)s::timestamptz[],
                             %(received_at)s::timestamptz[], %(source)s::text[], %(place)s::text[])
        on conflict do nothing
        returning merchant_id, parcel_id, event_key
        """,
        columns(events, "merchant_id", "parcel_id", "code", "occurred_at", "received_at", "source", "place")
        | {"keys": [event.sighting.event_key for event in events]},
    )
    return {(row[0], row[1], row[2]) for row in rows}


async def read_sightings(conn: Conn, keys: Collection[ParcelKey]) -> dict[ParcelKey, list[Sighting]]:
    """Return everything that is known of parcels, in no order; parcels of which nothing is known are left out (@batch)."""
    rows = await fetch(
        conn,
        """
        select e.merchant_id, e.parcel_id, e.occurred_at, e.code
        from unnest(%(merchant_id)s::uuid[], %(parcel_id)s::uuid[]) as t(merchant_id, parcel_id)
        join tracking_event e on e.merchant_id = t.merchant_id and e.parcel_id = t.parcel_id
        """,
        columns(sorted(set(keys), key=_by_key), "merchant_id", "parcel_id"),
    )
    sightings: dict[ParcelKey, list[Sighting]] = defaultdict(list)
    for row in rows:
        sightings[ParcelKey(row[0], row[1])].append(Sighting(row[2], TrackingState(row[3])))
    return sightings


def _standing(key: ParcelKey, sightings: Sequence[Sighting]) -> _Standing:
    """Work out what a parcel's events, of which there is at least one, amount to."""
    last_event_at = max(one.occurred_at for one in sightings)
    decided = deciding_sighting(sightings)
    # A loss that was overtaken by a scan always leaves that scan, so something decides.
    state, state_at = (ParcelState.LABELLED, last_event_at) if decided is None else (TRACKING[decided.code].parcel_state, decided.occurred_at)
    return _Standing(key.merchant_id, key.parcel_id, state, state_at, shipped_at(sightings), delivered_at(sightings), last_event_at)


async def _update_parcels(conn: Conn, standings: Sequence[_Standing]) -> None:
    """Write what parcels' events amount to."""
    await execute(
        conn,
        """
        update parcel p set state = t.state, state_at = t.state_at, shipped_at = t.shipped_at, delivered_at = t.delivered_at,
            last_event_at = t.last_event_at
        from unnest(%(merchant_id)s::uuid[], %(parcel_id)s::uuid[], %(state)s::text[], %(state_at)s::timestamptz[], %(shipped_at)s::timestamptz[],
                    %(delivered_at)s::timestamptz[], %(last_event_at)s::timestamptz[])
             as t(merchant_id, parcel_id, state, state_at, shipped_at, delivered_at, last_event_at)
        where p.merchant_id = t.merchant_id and p.parcel_id = t.parcel_id
        """,
        columns(standings, "merchant_id", "parcel_id", "state", "state_at", "shipped_at", "delivered_at", "last_event_at"),
    )


async def _update_legs(conn: Conn, sightings: Mapping[ParcelKey, Sequence[Sighting]]) -> None:
    """Write when the planned legs of parcels really began and ended."""
    actuals = [_LegActual(key.merchant_id, key.parcel_id, kind, *times) for key, seen in sightings.items() for kind, times in leg_times(seen).items()]
    await execute(
        conn,
        """
        update parcel_leg g set actual_from_at = t.actual_from_at, actual_to_at = t.actual_to_at
        from unnest(%(merchant_id)s::uuid[], %(parcel_id)s::uuid[], %(kind)s::text[], %(actual_from_at)s::timestamptz[],
                    %(actual_to_at)s::timestamptz[]) as t(merchant_id, parcel_id, kind, actual_from_at, actual_to_at)
        where g.merchant_id = t.merchant_id and g.parcel_id = t.parcel_id and g.kind = t.kind
        """,
        columns(actuals, "merchant_id", "parcel_id", "kind", "actual_from_at", "actual_to_at"),
    )


async def read_parcel_lines(conn: Conn, keys: Sequence[ParcelKey]) -> dict[ParcelKey, tuple[ParcelLine, ...]]:
    """Return the lines of parcels in line order (@batch)."""
    if not keys:
        return {}
    rows = await fetch(
        conn,
        """
        select l.merchant_id, l.parcel_id, l.line_no, l.part_no, l.quantity
        from unnest(%(merchant_id)s::uuid[], %(parcel_id)s::uuid[]) as t(merchant_id, parcel_id)
        join parcel_line l on l.merchant_id = t.merchant_id and l.parcel_id = t.parcel_id
        order by l.merchant_id, l.parcel_id, l.line_no, l.part_no
        """,
        columns(sorted(set(keys), key=_by_key), "merchant_id", "parcel_id"),
    )
    lines: dict[ParcelKey, list[ParcelLine]] = defaultdict(list)
    for row in rows:
        lines[ParcelKey(row[0], row[1])].append(ParcelLine(row[2], row[3], row[4]))
    return {key: tuple(found) for key, found in lines.items()}


async def _changes(
    conn: Conn, changed: Sequence[ParcelKey], standings: Mapping[ParcelKey, _Standing], locked: Mapping[ParcelKey, Row]
) -> list[ParcelChange]:
    """Tell which parcels changed, with their lines where goods or money must follow."""
    with_lines = [key for key in changed if not STATES_WITH_LINES.isdisjoint({standings[key].state, ParcelState(locked[key][2])})]
    lines = await read_parcel_lines(conn, with_lines)
    changes: list[ParcelChange] = []
    for key in changed:
        row, standing = locked[key], standings[key]
        was = ParcelState(row[2])
        PARCEL_STATES.require(was, standing.state)
        changes.append(
            ParcelChange(
                key.merchant_id, key.parcel_id, row[3], row[4], CauseKind(row[5]), row[6], was, standing.state, standing.state_at, lines.get(key, ())
            )
        )
    return changes
