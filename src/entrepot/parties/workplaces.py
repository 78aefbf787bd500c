"""Where people work: the places of an account, and the place and station at which a session is signed on."""

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct

from entrepot.base.errors import ForbiddenError, RefusedInputError
from entrepot.base.sql import Conn, columns, execute, execute_counted, fetch, fetch_one
from entrepot.parties.accounts import StaffMember, StaffRole
from entrepot.parties.sign_in import hash_token

LONGEST_STATION: Final = 20


class NotYourPlaceError(ForbiddenError):
    """The account does not work at this place; a manager adds the place to it."""


class StationMalformedError(RefusedInputError):
    """A station is named with at most twenty letters, digits and hyphens; scan its sign again."""


class Workplace(Struct, frozen=True):
    """A place at which an account works."""

    staff_id: uuid.UUID
    place_code: str


class SignOn(Struct, frozen=True):
    """Where a session works: place, station (perhaps none) and since when, by the machine's clock."""

    place_code: str
    station_code: str
    signed_on_at: datetime


class PersonOnTask(Struct, frozen=True):
    """Somebody who is signed on at a place now."""

    display_name: str
    station_code: str
    signed_on_at: datetime


async def add_workplaces(conn: Conn, workplaces: Sequence[Workplace]) -> int:
    """Let accounts work at places; returns how many are new."""
    return await execute_counted(
        conn,
        """
        insert into staff_workplace (staff_id, place_code)
        select distinct * from unnest(%(staff_id)s::uuid[], %(place_code)s::text[]) on conflict do nothing
        """,
        columns(workplaces, "staff_id", "place_code"),
    )


async def read_workplaces(conn: Conn, member: StaffMember, known: Collection[str]) -> list[str]:
    """Return which of the known places an account works at, its home first; an operator works at all of them."""
    if member.role is StaffRole.OPERATOR:
        return sorted(known)
    rows = await fetch(conn, "select place_code from staff_workplace where staff_id = %(staff)s order by place_code", {"staff": member.staff_id})
    own = dict.fromkeys([member.place_code or "", *(str(row[0]) for row in rows)])
    return [place for place in own if place in known]


def normal_station(station: str) -> str:
    """Return a station as it is stored: upper case without blanks around it; none is a station too."""
    code = station.strip().upper()
    if len(code) > LONGEST_STATION or not all(sign.isascii() and (sign.isalnum() or sign == "-") for sign in code):
        raise StationMalformedError("station", station, "Scan the sign of the station, or leave it out.")
    return code


async def sign_on(conn: Conn, token: str, member: StaffMember, allowed: Collection[str], asked: SignOn) -> SignOn:
    """Sign a session on at one of the places that the account works at; the last sign-on counts."""
    if asked.place_code not in allowed:
        if not allowed:
            raise NotYourPlaceError("place", asked.place_code, "Ask your manager for a place.")
        raise NotYourPlaceError("place", asked.place_code, "Choose one of %(choices)s.", choices=sorted(allowed))
    await execute(
        conn,
        """
        insert into floor_sign_on (token_hash, staff_id, place_code, station_code, signed_on_at)
        values (%(hash)s, %(staff)s, %(place)s, %(station)s, %(at)s)
        on conflict (token_hash) do update set place_code = excluded.place_code, station_code = excluded.station_code,
            signed_on_at = excluded.signed_on_at
        """,
        {
            "hash": hash_token(token),
            "staff": member.staff_id,
            "place": asked.place_code,
            "station": normal_station(asked.station_code),
            "at": asked.signed_on_at,
        },
    )
    return asked


async def sign_off(conn: Conn, token: str) -> bool:
    """End a session's work at its place; tell whether it worked."""
    return await execute_counted(conn, "delete from floor_sign_on where token_hash = %(hash)s", {"hash": hash_token(token)}) == 1


async def read_sign_on(conn: Conn, token: str) -> SignOn | None:
    """Return where a session is signed on."""
    row = await fetch_one(
        conn, "select place_code, station_code, signed_on_at from floor_sign_on where token_hash = %(hash)s", {"hash": hash_token(token)}
    )
    return None if row is None else SignOn(*row)


async def list_people_on_task(conn: Conn, place_code: str, at: datetime) -> list[PersonOnTask]:
    """Return who is signed on at a place with a session that lives, the longest there first; who works with several devices is one person, at the latest station."""
    rows = await fetch(
        conn,
        """
        select s.display_name, (array_agg(f.station_code order by f.signed_on_at desc))[1], min(f.signed_on_at)
        from floor_sign_on f join web_session w on w.token_hash = f.token_hash join staff s on s.staff_id = f.staff_id
        where f.place_code = %(place)s and w.ended_at is null and w.expires_at > %(at)s
        group by s.staff_id, s.display_name order by min(f.signed_on_at), s.display_name
        """,
        {"place": place_code, "at": at},
    )
    return [PersonOnTask(*row) for row in rows]
