"""The network read whole, its places and lanes written, and the decisions of a batch kept."""

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from entrepot.base.batching import batch
from entrepot.base.sql import Conn, columns, execute, execute_counted, fetch
from entrepot.sourcing.model import Candidate, Lane, Network, Place, Reason

_PLACE = ("place_code", "name", "kind", "country_code", "time_zone", "cutoff_hour", "merchant_id", "is_open", "latitude_e6", "longitude_e6")
_LANE = (
    "place_code",
    "to_country_code",
    "service_code",
    "carrier_code",
    "mode_code",
    "base_minor",
    "per_kg_minor",
    "currency",
    "days_min",
    "days_max",
)


class LineDecision(Struct, frozen=True):
    """The candidates that were looked at for one order line."""

    merchant_id: uuid.UUID
    order_id: uuid.UUID
    line_no: int
    version: int
    decided_at: datetime
    candidates: Sequence[Candidate]


async def add_places(conn: Conn, places: Sequence[Place]) -> None:
    """Write places; one that exists takes the new values."""
    await execute(
        conn,
        """
        insert into place (place_code, name, kind, country_code, time_zone, cutoff_hour, merchant_id, is_open, latitude_e6, longitude_e6)
        select * from unnest(%(place_code)s::text[], %(name)s::text[], %(kind)s::text[], %(country_code)s::text[], %(time_zone)s::text[],
            %(cutoff_hour)s::smallint[], %(merchant_id)s::uuid[], %(is_open)s::boolean[], %(latitude_e6)s::int[], %(longitude_e6)s::int[])
        on conflict (place_code) do update set name = excluded.name, cutoff_hour = excluded.cutoff_hour, is_open = excluded.is_open
        """,
        columns(places, *_PLACE),
    )


async def replace_lanes(conn: Conn, lanes: Sequence[Lane], source: str) -> None:
    """Write this context's projection of the carriers' rates; a lane that exists takes the new values."""
    await execute(
        conn,
        """
        insert into lane (place_code, to_country_code, service_code, carrier_code, mode_code, base_minor, per_kg_minor, currency, days_min,
                          days_max, refused_hazards, source)
        select t.place_code, t.to_country_code, t.service_code, t.carrier_code, t.mode_code, t.base_minor, t.per_kg_minor, t.currency, t.days_min,
               t.days_max, string_to_array(t.refused, ','), %(source)s
        from unnest(%(place_code)s::text[], %(to_country_code)s::text[], %(service_code)s::text[], %(carrier_code)s::text[], %(mode_code)s::text[],
            %(base_minor)s::bigint[], %(per_kg_minor)s::bigint[], %(currency)s::text[], %(days_min)s::int[], %(days_max)s::int[],
            %(refused)s::text[]) as t(place_code, to_country_code, service_code, carrier_code, mode_code, base_minor, per_kg_minor, currency,
            days_min, days_max, refused)
        on conflict (place_code, to_country_code, service_code) do update
        set carrier_code = excluded.carrier_code, mode_code = excluded.mode_code, base_minor = excluded.base_minor,
            per_kg_minor = excluded.per_kg_minor, currency = excluded.currency, days_min = excluded.days_min, days_max = excluded.days_max,
            refused_hazards = excluded.refused_hazards, source = excluded.source
        """,
        columns(lanes, *_LANE) | {"refused": [",".join(sorted(lane.refused_hazards)) for lane in lanes], "source": source},
    )


async def read_network(conn: Conn, territories: Mapping[str, str]) -> Network:
    """Read all places and lanes; `territories` maps a country to its customs territory on the day in question."""
    places = [Place(*row) for row in await fetch(conn, f"select {', '.join(_PLACE)} from place order by place_code")]
    lanes: dict[tuple[str, str], list[Lane]] = defaultdict(list)
    for row in await fetch(conn, f"select {', '.join(_LANE)}, refused_hazards from lane order by place_code, to_country_code, service_code"):
        lane = Lane(*row[:10], refused_hazards=frozenset(row[10]))
        lanes[lane.place_code, lane.to_country_code].append(lane)
    return Network({place.place_code: place for place in places}, {key: tuple(found) for key, found in lanes.items()}, dict(territories))


async def close_place(conn: Conn, place_code: str) -> int:
    """Close a place for new orders; return the number of places changed."""
    return await execute_counted(conn, "update place set is_open = false where place_code = %(place)s and is_open", {"place": place_code})


async def open_place(conn: Conn, place_code: str) -> int:
    """Open a place for new orders again; return the number of places changed."""
    return await execute_counted(conn, "update place set is_open = true where place_code = %(place)s and not is_open", {"place": place_code})


@batch
async def keep_decisions(conn: Conn, decisions: Sequence[LineDecision]) -> None:
    """Keep what was looked at and why, one row per line and version."""
    if not decisions:
        return
    await execute(
        conn,
        """
        insert into sourcing_decision (merchant_id, order_id, line_no, version, decided_at, place_codes, costs_minor, days_max, free_units, reasons)
        select t.merchant_id, t.order_id, t.line_no, t.version, t.decided_at, string_to_array(t.places, ','),
               string_to_array(t.costs, ',')::bigint[], string_to_array(t.days, ',')::int[], string_to_array(t.free, ',')::bigint[],
               string_to_array(t.reasons, ',')
        from unnest(%(merchant_id)s::uuid[], %(order_id)s::uuid[], %(line_no)s::int[], %(version)s::int[], %(decided_at)s::timestamptz[],
            %(places)s::text[], %(costs)s::text[], %(days)s::text[], %(free)s::text[], %(reasons)s::text[])
            as t(merchant_id, order_id, line_no, version, decided_at, places, costs, days, free, reasons)
        """,
        columns(decisions, "merchant_id", "order_id", "line_no", "version", "decided_at")
        | {
            "places": [",".join(found.place_code for found in decision.candidates) for decision in decisions],
            "costs": [",".join(str(found.cost_minor) for found in decision.candidates) for decision in decisions],
            "days": [",".join(str(found.days_max) for found in decision.candidates) for decision in decisions],
            "free": [",".join(str(found.free) for found in decision.candidates) for decision in decisions],
            "reasons": [",".join(found.reason for found in decision.candidates) for decision in decisions],
        },
    )


async def read_decisions(conn: Conn, merchant_id: uuid.UUID, order_id: uuid.UUID) -> list[LineDecision]:
    """Return the decisions of one order, by line and version."""
    rows = await fetch(
        conn,
        """
        select merchant_id, order_id, line_no, version, decided_at, place_codes, costs_minor, days_max, free_units, reasons
        from sourcing_decision where merchant_id = %(merchant)s and order_id = %(order)s order by line_no, version
        """,
        {"merchant": merchant_id, "order": order_id},
    )
    return [
        LineDecision(
            row[0],
            row[1],
            row[2],
            row[3],
            row[4],
            [Candidate(place, cost, days, free, Reason(reason)) for place, cost, days, free, reason in zip(*row[5:10], strict=True)],
        )
        for row in rows
    ]
