"""API tokens: a program acts as a staff account for a while; tokens are stored as hashes; all times are the real clock's."""

import secrets
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct

from entrepot.base.errors import UnknownReferenceError
from entrepot.base.sql import Conn, columns, execute_counted, fetch, fetch_one
from entrepot.parties.accounts import StaffMember, StaffStatus, normal_login
from entrepot.parties.sign_in import MEMBER_COLUMNS, hash_token, read_member

_TOKEN_BYTES: Final = 32


class UnknownLoginError(UnknownReferenceError):
    """No active account has this login."""


class NewToken(Struct, frozen=True):
    """A token to keep: the secret itself is not stored."""

    token: str
    staff_id: uuid.UUID
    name: str
    expires_at: datetime


def new_token() -> str:
    """Return a fresh secret of 256 random bits."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


async def create_tokens(conn: Conn, tokens: Sequence[NewToken], at: datetime) -> None:
    """Keep tokens; one that is kept already stays as it is."""
    await execute_counted(
        conn,
        """
        insert into api_token (token_hash, staff_id, name, created_at, expires_at)
        select t.token_hash, t.staff_id, t.name, %(at)s, t.expires_at
        from unnest(%(hashes)s::bytea[], %(staff_id)s::uuid[], %(name)s::text[], %(expires_at)s::timestamptz[]) as t(token_hash, staff_id, name, expires_at)
        on conflict do nothing
        """,
        columns(tokens, "staff_id", "name", "expires_at") | {"hashes": [hash_token(one.token) for one in tokens], "at": at},
    )


async def read_token(conn: Conn, token: str, at: datetime) -> StaffMember | None:
    """Return the account that a token acts as, if the token is neither ended nor expired and the account is active."""
    row = await fetch_one(
        conn,
        f"""
        select {MEMBER_COLUMNS} from api_token a join staff s on s.staff_id = a.staff_id
        where a.token_hash = %(hash)s and a.ended_at is null and a.expires_at > %(at)s and s.status = %(active)s
        """,
        {"hash": hash_token(token), "at": at, "active": str(StaffStatus.ACTIVE)},
    )
    return None if row is None else read_member(row)


async def end_tokens(conn: Conn, staff_id: uuid.UUID, name: str, at: datetime) -> int:
    """End an account's tokens of a name; return how many were open."""
    return await execute_counted(
        conn,
        "update api_token set ended_at = %(at)s where staff_id = %(staff)s and name = %(name)s and ended_at is null",
        {"staff": staff_id, "name": name, "at": at},
    )


async def find_staff_id(conn: Conn, login: str) -> uuid.UUID:
    """Return the active account of a login; raise `UnknownLoginError` when there is none."""
    rows = await fetch(conn, "select staff_id from staff where login = %(login)s and status = 'active'", {"login": normal_login(login)})
    if not rows:
        raise UnknownLoginError("login", login, "Name an account that exists; the demo's are printed when the world starts.")
    found: uuid.UUID = rows[0][0]
    return found
