"""What the operator watches: consignments that should have left, parcels in trouble, and how many are under way where."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from entrepot.base.sql import Conn, fetch


class LateConsignment(Struct, frozen=True):
    """A consignment that should have left by `ship_by_at`; `doer` is the role that packs it."""

    merchant_id: uuid.UUID
    order_id: uuid.UUID
    place_code: str
    doer: str
    ship_by_at: datetime


class TroubledParcel(Struct, frozen=True):
    """A parcel that does not go its way: an exception, on its way back, or unheard of since `since`."""

    merchant_id: uuid.UUID
    order_id: uuid.UUID
    parcel_id: uuid.UUID
    tracking_number: str
    carrier_code: str
    state: str
    since: datetime


class UnderWay(Struct, frozen=True):
    """How many parcels were on their way from a place to a country at an instant, and how many of them after the last day that was promised."""

    at: datetime
    place_code: str
    to_country_code: str
    count: int
    late: int


async def list_late_consignments(conn: Conn, now: datetime, limit: int) -> list[LateConsignment]:
    """Return what should have left before `now` and is not on hold, the latest first due first."""
    rows = await fetch(
        conn,
        """
        select merchant_id, order_id, place_code, doer, ship_by_at from consignment
        where state in ('released', 'part_shipped') and ship_by_at < %(now)s and not is_held order by ship_by_at, consignment_id limit %(limit)s
        """,
        {"now": now, "limit": limit},
    )
    return [LateConsignment(*row) for row in rows]


async def list_troubled_parcels(conn: Conn, silent_since: datetime, limit: int) -> list[TroubledParcel]:
    """Return parcels with an exception or on their way back, and those under way of which nobody has heard since `silent_since`."""
    rows = await fetch(
        conn,
        """
        select merchant_id, order_id, parcel_id, coalesce(tracking_number, ''), carrier_code, state, coalesce(last_event_at, state_at) from parcel
        where state in ('exception', 'returning')
           or (state in ('handed_over', 'in_transit', 'out_for_delivery') and last_event_at < %(since)s)
        order by 7, parcel_id limit %(limit)s
        """,
        {"since": silent_since, "limit": limit},
    )
    return [TroubledParcel(*row) for row in rows]


async def count_under_way(conn: Conn, ats: Sequence[datetime]) -> list[UnderWay]:
    """Return for each instant the parcels that had left and not ended, by place and country of destination."""
    rows = await fetch(
        conn,
        """
        with way as (
            select c.place_code, c.to_country_code, c.promised_to_on, p.shipped_at,
                   case when p.state = 'delivered' then coalesce(p.delivered_at, p.state_at)
                        when p.state in ('lost', 'destroyed', 'returned', 'voided') then p.state_at end as ended_at
            from parcel p join consignment c on c.merchant_id = p.merchant_id and c.consignment_id = p.consignment_id
            where p.shipped_at is not null and (p.delivered_at is null or p.delivered_at > %(first)s)
        )
        select t.at, way.place_code, way.to_country_code, count(*)::int,
               (count(*) filter (where way.promised_to_on < (t.at at time zone 'UTC')::date))::int
        from unnest(%(ats)s::timestamptz[]) as t(at) join way on way.shipped_at <= t.at and (way.ended_at is null or way.ended_at > t.at)
        group by 1, 2, 3 order by 1, 2, 3
        """,
        {"ats": list(ats), "first": min(ats)},
    )
    return [UnderWay(*row) for row in rows]
