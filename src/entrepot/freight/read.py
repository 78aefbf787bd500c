"""Questions about consignments and parcels: what must leave, what a carrier collects, where a parcel is."""

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Final

from msgspec import Struct

from entrepot.base.sql import Conn, Row, columns, fetch, fetch_one
from entrepot.freight.model import (
    CauseKind,
    ConsignmentKey,
    ConsignmentState,
    LabelSource,
    LegKind,
    ParcelKey,
    ParcelLine,
    ParcelState,
    TrackingState,
    UnknownParcelError,
)


class Consignment(Struct, frozen=True):
    """A consignment as it stands."""

    merchant_id: uuid.UUID
    consignment_id: uuid.UUID
    order_id: uuid.UUID
    place_code: str
    to_country_code: str
    to_postcode_prefix: str
    model_code: str
    plan_version: int
    doer: str
    carrier_code: str
    service_code: str
    ship_by_at: datetime
    promised_from_on: date
    promised_to_on: date
    customs_regime_code: str | None
    piece_count: int
    packed_count: int
    state: ConsignmentState
    state_at: datetime
    is_held: bool = False


class Parcel(Struct, frozen=True):
    """A parcel as it stands."""

    merchant_id: uuid.UUID
    parcel_id: uuid.UUID
    consignment_id: uuid.UUID
    order_id: uuid.UUID
    carrier_code: str
    service_code: str
    tracking_number: str | None
    weight_g: int
    billable_weight_g: int
    cause_kind: CauseKind
    cause_id: uuid.UUID
    label_source: LabelSource
    label_cost_minor: int
    label_currency: str | None
    rate_version: str | None
    state: ParcelState
    state_at: datetime
    labelled_at: datetime
    shipped_at: datetime | None
    delivered_at: datetime | None
    last_event_at: datetime | None


class TimelineEvent(Struct, frozen=True):
    """One entry of a parcel's timeline."""

    code: TrackingState
    occurred_at: datetime
    received_at: datetime
    source: str
    place: str


class ParcelLeg(Struct, frozen=True):
    """A stretch of a parcel's way, planned and real."""

    leg_no: int
    kind: LegKind
    from_code: str
    to_code: str
    carrier_code: str
    carrier_entity_id: uuid.UUID | None
    planned_from_at: datetime
    planned_to_at: datetime
    actual_from_at: datetime | None
    actual_to_at: datetime | None


class ParcelTimeline(Struct, frozen=True):
    """A parcel with its lines, its legs and everything that is known of it, earliest first."""

    parcel: Parcel
    lines: tuple[ParcelLine, ...]
    legs: tuple[ParcelLeg, ...]
    events: tuple[TimelineEvent, ...]


class LabelRow(Struct, frozen=True):
    """The stored values of a label; the recipient's name and street are added when the paper is drawn."""

    merchant_id: uuid.UUID
    parcel_id: uuid.UUID
    template_version: str
    payload: Mapping[str, object]
    formats: tuple[str, ...]
    made_at: datetime
    voided_at: datetime | None


_CONSIGNMENT: Final = """c.merchant_id, c.consignment_id, c.order_id, c.place_code, c.to_country_code, c.to_postcode_prefix, c.model_code,
    c.plan_version, c.doer, c.carrier_code, c.service_code, c.ship_by_at, c.promised_from_on, c.promised_to_on, c.customs_regime_code,
    c.piece_count, c.packed_count, c.state, c.state_at, c.is_held"""

_PARCEL: Final = """p.merchant_id, p.parcel_id, p.consignment_id, p.order_id, p.carrier_code, p.service_code, p.tracking_number, p.weight_g,
    p.billable_weight_g, p.cause_kind, p.cause_id, p.label_source, p.label_cost_minor, p.label_currency, p.rate_version, p.state, p.state_at,
    p.labelled_at, p.shipped_at, p.delivered_at, p.last_event_at"""


def _consignment(row: Row) -> Consignment:
    """Give a row its types."""
    return Consignment(*row[:17], state=ConsignmentState(row[17]), state_at=row[18], is_held=row[19])


def _parcel(row: Row) -> Parcel:
    """Give a row its types."""
    return Parcel(
        *row[:9],
        cause_kind=CauseKind(row[9]),
        cause_id=row[10],
        label_source=LabelSource(row[11]),
        label_cost_minor=row[12],
        label_currency=row[13],
        rate_version=row[14],
        state=ParcelState(row[15]),
        state_at=row[16],
        labelled_at=row[17],
        shipped_at=row[18],
        delivered_at=row[19],
        last_event_at=row[20],
    )


async def read_ship_by_queue(conn: Conn, merchant_id: uuid.UUID, until: datetime, limit: int = 100) -> list[Consignment]:
    """Return a merchant's consignments that must leave before `until` and have not, the most urgent first; those on hold wait."""
    rows = await fetch(
        conn,
        f"""
        select {_CONSIGNMENT} from consignment c
        where c.merchant_id = %(merchant)s and c.state in ('planned', 'released', 'part_shipped') and c.ship_by_at < %(until)s and not c.is_held
        order by c.ship_by_at, c.consignment_id limit %(limit)s
        """,
        {"merchant": merchant_id, "until": until, "limit": limit},
    )
    return [_consignment(row) for row in rows]


async def read_consignments(conn: Conn, keys: Sequence[ConsignmentKey]) -> list[Consignment]:
    """Return consignments by id in key order (@batch)."""
    rows = await fetch(
        conn,
        f"""
        select {_CONSIGNMENT} from unnest(%(merchant_id)s::uuid[], %(consignment_id)s::uuid[]) as t(merchant_id, consignment_id)
        join consignment c on c.merchant_id = t.merchant_id and c.consignment_id = t.consignment_id
        order by c.merchant_id, c.consignment_id
        """,
        columns(keys, "merchant_id", "consignment_id"),
    )
    return [_consignment(row) for row in rows]


async def read_consignments_of_orders(conn: Conn, merchant_ids: Sequence[uuid.UUID], order_ids: Sequence[uuid.UUID]) -> list[Consignment]:
    """Return the consignments of orders, given as equally long lists of merchants and orders (@batch)."""
    rows = await fetch(
        conn,
        f"""
        select {_CONSIGNMENT} from unnest(%(merchants)s::uuid[], %(orders)s::uuid[]) as t(merchant_id, order_id)
        join consignment c on c.merchant_id = t.merchant_id and c.order_id = t.order_id
        order by c.merchant_id, c.order_id, c.consignment_id
        """,
        {"merchants": list(merchant_ids), "orders": list(order_ids)},
    )
    return [_consignment(row) for row in rows]


async def read_parcels(conn: Conn, keys: Sequence[ParcelKey]) -> list[Parcel]:
    """Return parcels by id in key order (@batch)."""
    rows = await fetch(
        conn,
        f"""
        select {_PARCEL} from unnest(%(merchant_id)s::uuid[], %(parcel_id)s::uuid[]) as t(merchant_id, parcel_id)
        join parcel p on p.merchant_id = t.merchant_id and p.parcel_id = t.parcel_id
        order by p.merchant_id, p.parcel_id
        """,
        columns(keys, "merchant_id", "parcel_id"),
    )
    return [_parcel(row) for row in rows]


async def read_parcels_of_orders(conn: Conn, merchant_ids: Sequence[uuid.UUID], order_ids: Sequence[uuid.UUID]) -> list[Parcel]:
    """Return the parcels of orders, given as equally long lists of merchants and orders (@batch)."""
    rows = await fetch(
        conn,
        f"""
        select {_PARCEL} from unnest(%(merchants)s::uuid[], %(orders)s::uuid[]) as t(merchant_id, order_id)
        join parcel p on p.merchant_id = t.merchant_id and p.order_id = t.order_id
        order by p.merchant_id, p.order_id, p.labelled_at, p.parcel_id
        """,
        {"merchants": list(merchant_ids), "orders": list(order_ids)},
    )
    return [_parcel(row) for row in rows]


async def read_delivered(
    conn: Conn, merchant_ids: Sequence[uuid.UUID], order_ids: Sequence[uuid.UUID], line_nos: Sequence[int]
) -> dict[tuple[uuid.UUID, uuid.UUID, int, int], tuple[int, datetime]]:
    """Return the units of order lines that arrived and when the last of them did, by (merchant, order, line, part) (@batch)."""
    rows = await fetch(
        conn,
        """
        select p.merchant_id, p.order_id, l.line_no, l.part_no, sum(l.quantity)::bigint, max(coalesce(p.delivered_at, p.state_at))
        from (select distinct * from unnest(%(merchants)s::uuid[], %(orders)s::uuid[], %(lines)s::int[])) as t(merchant_id, order_id, line_no)
        join parcel p on p.merchant_id = t.merchant_id and p.order_id = t.order_id and p.state = 'delivered'
        join parcel_line l on l.merchant_id = p.merchant_id and l.parcel_id = p.parcel_id and l.line_no = t.line_no
        group by 1, 2, 3, 4
        """,
        {"merchants": list(merchant_ids), "orders": list(order_ids), "lines": list(line_nos)},
    )
    return {(row[0], row[1], row[2], row[3]): (row[4], row[5]) for row in rows}


async def read_parcels_of_consignments(conn: Conn, keys: Sequence[ConsignmentKey]) -> list[Parcel]:
    """Return the parcels of consignments (@batch)."""
    rows = await fetch(
        conn,
        f"""
        select {_PARCEL} from unnest(%(merchant_id)s::uuid[], %(consignment_id)s::uuid[]) as t(merchant_id, consignment_id)
        join parcel p on p.merchant_id = t.merchant_id and p.consignment_id = t.consignment_id
        order by p.merchant_id, p.consignment_id, p.labelled_at, p.parcel_id
        """,
        columns(keys, "merchant_id", "consignment_id"),
    )
    return [_parcel(row) for row in rows]


async def read_carrier_queue(conn: Conn, carrier_code: str, limit: int = 1000) -> list[Parcel]:
    """Return the labelled parcels that wait for a carrier, the longest waiting first."""
    rows = await fetch(
        conn,
        f"""
        select {_PARCEL} from parcel p where p.carrier_code = %(carrier)s and p.state = 'labelled'
        order by p.labelled_at, p.parcel_id limit %(limit)s
        """,
        {"carrier": carrier_code, "limit": limit},
    )
    return [_parcel(row) for row in rows]


async def read_silent_parcels(conn: Conn, since: datetime, limit: int = 1000) -> list[Parcel]:
    """Return parcels under way of which nobody has heard since `since`, for the lost-parcel sweep."""
    rows = await fetch(
        conn,
        f"""
        select {_PARCEL} from parcel p
        where p.state in ('handed_over', 'in_transit', 'customs_hold', 'out_for_delivery', 'exception', 'returning') and p.last_event_at < %(since)s
        order by p.last_event_at, p.parcel_id limit %(limit)s
        """,
        {"since": since, "limit": limit},
    )
    return [_parcel(row) for row in rows]


async def read_coming_back(conn: Conn, since: datetime) -> list[ParcelKey]:
    """Return the parcels that turned back or came back at `since` or later, in key order."""
    rows = await fetch(
        conn,
        """
        select p.merchant_id, p.parcel_id from parcel p
        where p.state in ('returning', 'returned') and p.state_at >= %(since)s order by p.merchant_id, p.parcel_id
        """,
        {"since": since},
    )
    return [ParcelKey(*row) for row in rows]


async def read_parcel_timeline(conn: Conn, merchant_id: uuid.UUID, parcel_id: uuid.UUID) -> ParcelTimeline:
    """Return one parcel of a merchant with all that is known of it; another merchant's parcel is unknown."""
    params = {"merchant": merchant_id, "parcel": parcel_id}
    row = await fetch_one(conn, f"select {_PARCEL} from parcel p where p.merchant_id = %(merchant)s and p.parcel_id = %(parcel)s", params)
    if row is None:
        raise UnknownParcelError("parcel_id", str(parcel_id), "Name a parcel of this merchant.")
    lines = await fetch(
        conn,
        """
        select line_no, part_no, quantity from parcel_line where merchant_id = %(merchant)s and parcel_id = %(parcel)s order by line_no, part_no
        """,
        params,
    )
    legs = await fetch(
        conn,
        """
        select leg_no, kind, from_code, to_code, carrier_code, carrier_entity_id, planned_from_at, planned_to_at, actual_from_at, actual_to_at
        from parcel_leg where merchant_id = %(merchant)s and parcel_id = %(parcel)s order by leg_no
        """,
        params,
    )
    events = await fetch(
        conn,
        """
        select code, occurred_at, received_at, source, place from tracking_event
        where merchant_id = %(merchant)s and parcel_id = %(parcel)s order by occurred_at, event_key
        """,
        params,
    )
    return ParcelTimeline(
        _parcel(row),
        tuple(ParcelLine(*line) for line in lines),
        tuple(ParcelLeg(leg[0], LegKind(leg[1]), *leg[2:]) for leg in legs),
        tuple(TimelineEvent(TrackingState(event[0]), *event[1:]) for event in events),
    )


async def read_labels(conn: Conn, keys: Sequence[ParcelKey]) -> list[LabelRow]:
    """Return the stored labels of parcels in key order (@batch)."""
    rows = await fetch(
        conn,
        """
        select l.merchant_id, l.parcel_id, l.template_version, l.payload, l.formats, l.made_at, l.voided_at
        from unnest(%(merchant_id)s::uuid[], %(parcel_id)s::uuid[]) as t(merchant_id, parcel_id)
        join label l on l.merchant_id = t.merchant_id and l.parcel_id = t.parcel_id
        order by l.merchant_id, l.parcel_id
        """,
        columns(keys, "merchant_id", "parcel_id"),
    )
    return [LabelRow(row[0], row[1], row[2], row[3], tuple(row[4]), row[5], row[6]) for row in rows]


async def count_parcels(conn: Conn) -> list[tuple[str, str, int]]:
    """Return (carrier code, state, parcels) for the operator's page."""
    rows = await fetch(conn, "select carrier_code, state, count(*) from parcel group by carrier_code, state order by carrier_code, state")
    return [(row[0], row[1], int(row[2])) for row in rows]


async def count_by_state(conn: Conn) -> dict[str, dict[str, int]]:
    """Return how many consignments of each operation model are in each state."""
    rows = await fetch(conn, "select model_code, state, count(*) from consignment group by model_code, state order by model_code, state")
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    for row in rows:
        counts[row[0]][row[1]] = int(row[2])
    return counts
