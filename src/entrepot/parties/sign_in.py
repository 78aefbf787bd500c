"""Sign in and out: argon2 passwords, throttled attempts, and sessions whose tokens are stored as hashes; all times are the real clock's."""

import asyncio
import hashlib
import secrets
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from entrepot.base.ids import Ids
from entrepot.base.sql import Conn, Row, columns, execute, execute_counted, fetch, fetch_one
from entrepot.base.time import at_ms
from entrepot.parties.account_safety import check_second_factor, has_second_factor
from entrepot.parties.accounts import (
    CODE_PATIENCE,
    FAILURES_PER_LOGIN,
    FAILURES_PER_ORIGIN,
    IDLE_LIFETIME,
    NOTED_EVERY,
    SESSION_LIFETIME,
    THROTTLE_WINDOW,
    NewStaff,
    Session,
    SignIn,
    SignInOutcome,
    StaffMember,
    StaffRole,
    StaffStatus,
    normal_login,
    require_subject,
    retry_at,
)
from entrepot.parties.model import Outcome, require_text, tell_outcomes
from entrepot.parties.sealing import Keyring

_HASHER: Final = PasswordHash((Argon2Hasher(),))
MEMBER_COLUMNS: Final = "s.staff_id, s.login, s.display_name, s.role_code, s.merchant_id, s.person_id, s.place_code, s.language_code"
_TOKEN_BYTES: Final = 32


class AttemptEnd(StrEnum):
    """How an attempt is counted."""

    SUCCESS = "success"
    FAILURE = "failure"


def hash_password(password: str) -> str:
    """Return the argon2id hash of a password; it takes tens of milliseconds on purpose."""
    return _HASHER.hash(require_text(password, "password"))


async def create_staff(conn: Conn, staff: Sequence[NewStaff], at: datetime) -> list[Outcome]:
    """Create accounts by login; one that exists keeps its password and role."""
    for member in staff:
        require_text(member.login, "login")
        require_subject(member)
    first = {normal_login(member.login): member for member in reversed(staff)}
    fresh = [first[login] for login in sorted(first)]
    rows = await fetch(
        conn,
        """
        insert into staff (staff_id, login, password_hash, display_name, role_code, merchant_id, person_id, place_code, status, created_at)
        select t.*, %(status)s, %(at)s from unnest(%(staff_id)s::uuid[], %(logins)s::text[], %(password_hash)s::text[], %(display_name)s::text[],
            %(roles)s::text[], %(merchant_id)s::uuid[], %(person_id)s::uuid[], %(place_code)s::text[]) as t
        on conflict do nothing returning login
        """,
        columns(fresh, "staff_id", "password_hash", "display_name", "merchant_id", "person_id", "place_code")
        | {
            "logins": [normal_login(member.login) for member in fresh],
            "roles": [str(member.role) for member in fresh],
            "status": str(StaffStatus.ACTIVE),
            "at": at,
        },
    )
    new = frozenset(row[0] for row in rows)
    older = await fetch(conn, "select login, role_code, merchant_id, person_id from staff where login = any(%(logins)s)", {"logins": sorted(first)})
    stored: dict[object, object] = {row[0]: (row[1], row[2], row[3]) for row in older if row[0] not in new}
    return tell_outcomes(
        staff, lambda member: normal_login(member.login), new, stored, lambda member: (str(member.role), member.merchant_id, member.person_id)
    )


def is_password(password: str, password_hash: str) -> bool:
    """Tell whether a password is the one of the hash; it takes tens of milliseconds on purpose."""
    return _HASHER.verify(password, password_hash)


async def find_active_staff(conn: Conn, staff_ids: Sequence[uuid.UUID]) -> frozenset[uuid.UUID]:
    """Return which of these accounts exist and may sign in."""
    rows = await fetch(conn, "select staff_id from staff where staff_id = any(%(ids)s::uuid[]) and status = 'active'", {"ids": list(staff_ids)})
    return frozenset(row[0] for row in rows)


async def close_staff(conn: Conn, staff_ids: Sequence[uuid.UUID], at: datetime) -> int:
    """Close accounts and end their sessions; return how many were active."""
    await execute(
        conn,
        "update web_session set ended_at = %(at)s where staff_id = any(%(ids)s::uuid[]) and ended_at is null",
        {"ids": list(staff_ids), "at": at},
    )
    return await execute_counted(
        conn, "update staff set status = 'closed' where staff_id = any(%(ids)s::uuid[]) and status = 'active'", {"ids": list(staff_ids)}
    )


async def sign_in(conn: Conn, ids: Ids, login: str, password: str, origin: str, at: datetime) -> SignIn:
    """Check a password and open a session; a refusal is an answer, and the caller must commit so that the attempt counts.

    After five failures for a login, or fifty from one origin, within 15 minutes no further attempt is heard until the window has moved on.
    An unknown login takes as long as a wrong password.
    """
    name = normal_login(login)
    await execute(conn, "select pg_advisory_xact_lock(hashtextextended(%(login)s, 7))", {"login": name})
    wait_until = await _throttled_until(conn, name, origin, at)
    if wait_until is not None:
        return SignIn(SignInOutcome.THROTTLED, retry_at=wait_until)
    row = await fetch_one(conn, f"select s.password_hash, s.status, {MEMBER_COLUMNS} from staff s where s.login = %(login)s", {"login": name})
    is_right = await asyncio.to_thread(_verify, password, None if row is None else str(row[0]))
    if not is_right or row is None or row[1] != StaffStatus.ACTIVE:
        await _count_attempt(conn, ids, (name, origin), at, AttemptEnd.FAILURE)
        return SignIn(SignInOutcome.WRONG_CREDENTIALS, None if row is None else read_member(row[2:]))
    member = read_member(row[2:])
    if await has_second_factor(conn, member.staff_id):
        # nothing is counted yet: a right password must not start the count of wrong codes anew
        token, expires_at = await _open_session(conn, member.staff_id, at, CODE_PATIENCE, SignInOutcome.CODE_NEEDED)
        return SignIn(SignInOutcome.CODE_NEEDED, member, token, expires_at)
    await _count_attempt(conn, ids, (name, origin), at, AttemptEnd.SUCCESS)
    token, expires_at = await _open_session(conn, member.staff_id, at, SESSION_LIFETIME, SignInOutcome.SIGNED_IN)
    return SignIn(SignInOutcome.SIGNED_IN, member, token, expires_at)


async def enter_code(conn: Conn, ids: Ids, keyring: Keyring, token: str, code: str, origin: str, at: datetime) -> SignIn:
    """Check the second factor of whoever gave the right password, and open the session under a fresh token; wrong codes are throttled as passwords are."""
    row = await fetch_one(
        conn,
        f"""
        select {MEMBER_COLUMNS} from web_session w join staff s on s.staff_id = w.staff_id
        where w.token_hash = %(hash)s and w.awaits_code and w.ended_at is null and w.expires_at > %(at)s and s.status = 'active'
        """,
        {"hash": hash_token(token), "at": at},
    )
    if row is None:
        return SignIn(SignInOutcome.WRONG_CREDENTIALS)
    member = read_member(row)
    await execute(conn, "select pg_advisory_xact_lock(hashtextextended(%(login)s, 7))", {"login": member.login})
    wait_until = await _throttled_until(conn, member.login, origin, at)
    if wait_until is not None:
        return SignIn(SignInOutcome.THROTTLED, retry_at=wait_until)
    if not await check_second_factor(conn, keyring, member.staff_id, code, at):
        await _count_attempt(conn, ids, (member.login, origin), at, AttemptEnd.FAILURE)
        return SignIn(SignInOutcome.CODE_NEEDED, member)
    await _count_attempt(conn, ids, (member.login, origin), at, AttemptEnd.SUCCESS)
    await sign_out(conn, token, at)
    fresh, expires_at = await _open_session(conn, member.staff_id, at, SESSION_LIFETIME, SignInOutcome.SIGNED_IN)
    return SignIn(SignInOutcome.SIGNED_IN, member, fresh, expires_at)


async def _count_attempt(conn: Conn, ids: Ids, who: tuple[str, str], at: datetime, end: AttemptEnd) -> None:
    """Keep an attempt by login and origin."""
    await execute(
        conn,
        "insert into login_attempt (attempt_id, login, origin, at, is_success) values (%(id)s, %(login)s, %(origin)s, %(at)s, %(success)s)",
        {"id": ids.new(at_ms(at)), "login": who[0], "origin": who[1], "at": at, "success": end is AttemptEnd.SUCCESS},
    )


async def _open_session(conn: Conn, staff_id: uuid.UUID, at: datetime, lifetime: timedelta, state: SignInOutcome) -> tuple[str, datetime]:
    """Open a session, or one that is good for nothing but entering a code; return its token and its end."""
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    await execute(
        conn,
        """
        insert into web_session (token_hash, staff_id, created_at, expires_at, awaits_code)
        values (%(hash)s, %(staff)s, %(at)s, %(expires)s, %(awaits)s)
        """,
        {"hash": hash_token(token), "staff": staff_id, "at": at, "expires": at + lifetime, "awaits": state is SignInOutcome.CODE_NEEDED},
    )
    return token, at + lifetime


async def read_session(conn: Conn, token: str, at: datetime) -> Session | None:
    """Return who holds a session token that is neither ended nor expired nor idle for half an hour, if the account is active."""
    row = await fetch_one(
        conn,
        f"""
        select {MEMBER_COLUMNS},
            exists (select 1 from second_factor f where f.staff_id = s.staff_id and f.confirmed_at is not null),
            coalesce(w.seen_at, w.created_at) <= %(noted)s
        from web_session w join staff s on s.staff_id = w.staff_id
        where w.token_hash = %(hash)s and not w.awaits_code and w.ended_at is null and w.expires_at > %(at)s
          and coalesce(w.seen_at, w.created_at) > %(idle)s and s.status = 'active'
        """,
        {"hash": hash_token(token), "at": at, "noted": at - NOTED_EVERY, "idle": at - IDLE_LIFETIME},
    )
    return None if row is None else Session(read_member(row[:-2]), bool(row[-2]), bool(row[-1]))


async def note_session(conn: Conn, token: str, at: datetime) -> bool:
    """Note that a live session is in use, and tell whether it was live; its absolute end stays."""
    touched = await execute_counted(
        conn,
        """
        update web_session set seen_at = %(at)s
        where token_hash = %(hash)s and ended_at is null and not awaits_code and expires_at > %(at)s and coalesce(seen_at, created_at) > %(idle)s
        """,
        {"hash": hash_token(token), "at": at, "idle": at - IDLE_LIFETIME},
    )
    return touched == 1


async def sign_out(conn: Conn, token: str, at: datetime) -> bool:
    """End a session, and tell whether it was open."""
    touched = await execute_counted(
        conn, "update web_session set ended_at = %(at)s where token_hash = %(hash)s and ended_at is null", {"hash": hash_token(token), "at": at}
    )
    return touched == 1


async def forget_attempts(conn: Conn, before: datetime) -> int:
    """Delete attempts older than `before`, which no throttle asks for any more."""
    return await execute_counted(conn, "delete from login_attempt where at < %(before)s", {"before": before})


def hash_token(token: str) -> bytes:
    """Return what is stored of a session token: random tokens need no slow hash."""
    return hashlib.sha256(token.encode()).digest()


async def _throttled_until(conn: Conn, login: str, origin: str, at: datetime) -> datetime | None:
    """Return until when attempts for this login or from this origin are not heard; a success starts the login's count anew."""
    failures = await fetch(
        conn,
        """
        select f.at, f.login = %(login)s and f.at > coalesce((select max(g.at) from login_attempt g where g.login = %(login)s and g.is_success), '-infinity'),
            f.origin = %(origin)s and %(origin)s <> ''
        from login_attempt f where f.at > %(since)s and f.at <= %(at)s and not f.is_success and (f.login = %(login)s or f.origin = %(origin)s)
        """,
        {"login": login, "origin": origin, "since": at - THROTTLE_WINDOW, "at": at},
    )
    by_login = retry_at([row[0] for row in failures if row[1]], FAILURES_PER_LOGIN, at)
    by_origin = retry_at([row[0] for row in failures if row[2]], FAILURES_PER_ORIGIN, at)
    return max((until for until in (by_login, by_origin) if until is not None), default=None)


def _verify(password: str, password_hash: str | None) -> bool:
    """Check a password; without an account the same work is done for nothing, so that time does not tell which logins exist."""
    if password_hash is None:
        _HASHER.hash(password)
        return False
    return _HASHER.verify(password, password_hash)


def read_member(row: Row) -> StaffMember:
    """Return the account of a row of the member columns."""
    return StaffMember(row[0], row[1], row[2], StaffRole(row[3]), row[4], row[5], row[6], row[7])
