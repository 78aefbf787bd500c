"""How much of a resident's import year is left, for the page that is about to take some of it."""

import uuid
from datetime import datetime

from msgspec import Struct

from entrepot.base.sql import Conn
from entrepot.base.time import on_date
from entrepot.customs.hold import read_quota
from entrepot.customs.rules import cbec_limit_on
from entrepot.flows.reference import Reference


class YearLeft(Struct, frozen=True):
    """A resident's year in fen, as far as known here; used + held + elsewhere + free = limit."""

    year_no: int
    limit_minor: int
    used_minor: int
    held_minor: int
    elsewhere_minor: int
    free_minor: int


async def read_year_left(conn: Conn, reference: Reference, resident_id: uuid.UUID, marketplace_code: str, now: datetime) -> YearLeft | None:
    """Return the year of a resident (by keyed hash) on a marketplace's date; nothing where no limit is in force."""
    on = on_date(now, reference.marketplaces[marketplace_code].time_zone)
    limit = cbec_limit_on(reference.customs, on)
    if limit is None:
        return None
    known = (await read_quota(conn, [resident_id], on.year)).get(resident_id)
    if known is None:
        return YearLeft(on.year, limit.year_minor, 0, 0, 0, limit.year_minor)
    return YearLeft(on.year, known.limit_minor, known.used_minor, known.held_minor, known.elsewhere_minor, known.free_minor)
