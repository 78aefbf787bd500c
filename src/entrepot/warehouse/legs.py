"""Carriers of a unified inbound service report when a leg began and ended; a report that came before changes nothing."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from entrepot.base.sql import Conn, columns, execute_counted


class LegReport(Struct, frozen=True):
    """Actual times of one leg, as far as the carrier knows them."""

    merchant_id: uuid.UUID
    plan_id: uuid.UUID
    leg_no: int
    departed_at: datetime | None = None
    arrived_at: datetime | None = None


async def report_legs(conn: Conn, reports: Sequence[LegReport]) -> int:
    """Fill in times that are not known yet; returns how many legs changed. One report per leg and batch."""
    return await execute_counted(
        conn,
        """update inbound_leg l
           set departed_at = coalesce(l.departed_at, t.departed_at), arrived_at = coalesce(l.arrived_at, t.arrived_at)
           from unnest(%(merchant_id)b::uuid[], %(plan_id)b::uuid[], %(leg_no)b::integer[], %(departed_at)b::timestamptz[],
                       %(arrived_at)b::timestamptz[]) as t(merchant_id, plan_id, leg_no, departed_at, arrived_at)
           where l.merchant_id = t.merchant_id and l.plan_id = t.plan_id and l.leg_no = t.leg_no
             and ((l.departed_at is null and t.departed_at is not null) or (l.arrived_at is null and t.arrived_at is not null))""",
        columns(reports, "merchant_id", "plan_id", "leg_no", "departed_at", "arrived_at"),
    )
