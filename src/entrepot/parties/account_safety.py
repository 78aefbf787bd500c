"""What people change in their own account: the language, the password, and the second factor; all times are the real clock's."""

import hashlib
import secrets
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, cast

from msgspec import Struct
from pyotp import random_base32
from pyotp.totp import TOTP
from zxcvbn import zxcvbn

from entrepot.base.errors import RefusedInputError
from entrepot.base.sql import Conn, execute, execute_counted, fetch, fetch_one
from entrepot.parties.accounts import normal_login
from entrepot.parties.sealing import Keyring, open_secret, seal_secret

LEAST_PASSWORD: Final = 12
MOST_PASSWORD: Final = 128
LEAST_GUESSES_LOG10: Final = 8
"""How many guesses a password must be worth, as a power of ten: what the library calls safely unguessable by those who ask over a network."""
RECOVERY_CODES: Final = 10
RESET_LIFETIME: Final = timedelta(minutes=30)
RESETS_AT_ONCE: Final = 3
_STEP_S: Final = 30
_DRIFT_STEPS: Final = 1
_ISSUER: Final = "Entrepot"
_TOKEN_BYTES: Final = 32
_CODE_BYTES: Final = 5


class PasswordTooShortError(RefusedInputError):
    """A password needs at least twelve characters and at most 128; a sentence of some words is easy to keep in mind."""


class PasswordTooEasyError(RefusedInputError):
    """The password holds the login or repeats few characters; choose some unrelated words."""


class ResetLinkUnusableError(RefusedInputError):
    """The link was used before or is older than half an hour; ask for a new one."""


class SecondFactor(Struct, frozen=True):
    """A second factor to enrol: the secret for authenticator apps, and the address that their cameras read."""

    secret: str
    address: str


class AccountReader(Struct, frozen=True):
    """Who owns an account, and where they can be written to; a buyer's address may stand with the buyer."""

    staff_id: uuid.UUID
    display_name: str
    mail_address: str | None
    person_id: uuid.UUID | None
    language_code: str | None


class ResetLink(Struct, frozen=True):
    """The token of a link for a new password, and who asked for it."""

    token: str
    reader: AccountReader


async def choose_account_language(conn: Conn, staff_id: uuid.UUID, code: str) -> None:
    """Keep the language in which an account's pages and mails speak."""
    await execute(conn, "update staff set language_code = %(code)s where staff_id = %(id)s", {"code": code, "id": staff_id})


def require_password(password: str, login: str) -> str:
    """Return a password that is long enough, not made of its login or of few characters, and not one that guessers try first.

    Guessers begin with passwords that have leaked elsewhere and with their common variations; the library knows 30,000 of them and counts the guesses.
    """
    if not LEAST_PASSWORD <= len(password) <= MOST_PASSWORD:
        raise PasswordTooShortError("password", f"{len(password)} characters", "Use at least %(least)s characters.", least=LEAST_PASSWORD)
    is_own = normal_login(login) in password.casefold() or len(set(password)) <= LEAST_PASSWORD // 3
    if is_own or int(cast("Any", zxcvbn)(password, [login], MOST_PASSWORD)["guesses_log10"]) < LEAST_GUESSES_LOG10:
        raise PasswordTooEasyError("password", "easy to guess", "Use some words that have nothing to do with you.")
    return password


async def begin_second_factor(conn: Conn, keyring: Keyring, staff_id: uuid.UUID, login: str, at: datetime) -> SecondFactor:
    """Make a fresh secret, which counts only after a code proved that it arrived; a factor that is in force stays until then."""
    secret = random_base32()
    await execute(
        conn,
        """
        insert into second_factor (staff_id, sealed_secret, created_at, last_step) values (%(staff)s, %(sealed)s, %(at)s, 0)
        on conflict (staff_id) do update set sealed_secret = excluded.sealed_secret, created_at = excluded.created_at, last_step = 0
        where second_factor.confirmed_at is null
        """,
        {"staff": staff_id, "sealed": seal_secret(keyring, staff_id, secret), "at": at},
    )
    return SecondFactor(secret, _address(secret, login))


async def waiting_second_factor(conn: Conn, keyring: Keyring, staff_id: uuid.UUID, login: str) -> SecondFactor | None:
    """Return the factor that waits for its first code."""
    row = await fetch_one(conn, "select sealed_secret from second_factor where staff_id = %(staff)s and confirmed_at is null", {"staff": staff_id})
    if row is None:
        return None
    secret = open_secret(keyring, staff_id, bytes(row[0]))
    return SecondFactor(secret, _address(secret, login))


async def has_second_factor(conn: Conn, staff_id: uuid.UUID) -> bool:
    """Tell whether an account signs in with a second factor."""
    row = await fetch_one(conn, "select 1 from second_factor where staff_id = %(staff)s and confirmed_at is not null", {"staff": staff_id})
    return row is not None


async def confirm_second_factor(conn: Conn, keyring: Keyring, staff_id: uuid.UUID, code: str, at: datetime) -> list[str] | None:
    """Put a factor in force if the code is right, and return its recovery codes, which are shown once; None if it is wrong."""
    row = await fetch_one(
        conn, "select sealed_secret, last_step from second_factor where staff_id = %(staff)s and confirmed_at is null for update", {"staff": staff_id}
    )
    step = None if row is None else _matching_step(open_secret(keyring, staff_id, bytes(row[0])), code, at, int(row[1]))
    if step is None:
        return None
    await execute(
        conn,
        "update second_factor set confirmed_at = %(at)s, last_step = %(step)s where staff_id = %(staff)s",
        {"at": at, "step": step, "staff": staff_id},
    )
    codes = [secrets.token_hex(_CODE_BYTES) for _ in range(RECOVERY_CODES)]
    await execute(conn, "delete from recovery_code where staff_id = %(staff)s", {"staff": staff_id})
    await execute(
        conn,
        "insert into recovery_code (staff_id, code_hash) select %(staff)s, h from unnest(%(hashes)s::bytea[]) as h",
        {"staff": staff_id, "hashes": [_code_hash(staff_id, one) for one in codes]},
    )
    return codes


async def check_second_factor(conn: Conn, keyring: Keyring, staff_id: uuid.UUID, code: str, at: datetime) -> bool:
    """Tell whether a code of the app, or a recovery code, is right; each counts once."""
    row = await fetch_one(
        conn,
        "select sealed_secret, last_step from second_factor where staff_id = %(staff)s and confirmed_at is not null for update",
        {"staff": staff_id},
    )
    if row is None:
        return False
    step = _matching_step(open_secret(keyring, staff_id, bytes(row[0])), code, at, int(row[1]))
    if step is not None:
        await execute(conn, "update second_factor set last_step = %(step)s where staff_id = %(staff)s", {"step": step, "staff": staff_id})
        return True
    used = await execute_counted(
        conn,
        "update recovery_code set used_at = %(at)s where staff_id = %(staff)s and code_hash = %(hash)s and used_at is null",
        {"at": at, "staff": staff_id, "hash": _code_hash(staff_id, code)},
    )
    return used == 1


async def count_recovery_codes(conn: Conn, staff_id: uuid.UUID) -> int:
    """Return how many recovery codes are left."""
    row = await fetch_one(conn, "select count(*) from recovery_code where staff_id = %(staff)s and used_at is null", {"staff": staff_id})
    return 0 if row is None else int(row[0])


async def drop_second_factor(conn: Conn, staff_id: uuid.UUID) -> bool:
    """Give a second factor up, and tell whether there was one."""
    return await execute_counted(conn, "delete from second_factor where staff_id = %(staff)s", {"staff": staff_id}) == 1


async def read_account_languages(conn: Conn, person_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, str]:
    """Return the languages that buyers chose for their accounts; who chose none is left out, of two accounts the latest that was opened counts."""
    rows = await fetch(
        conn,
        """
        select person_id, language_code from staff
        where person_id = any(%(persons)s) and language_code is not null order by created_at, staff_id
        """,
        {"persons": list(person_ids)},
    )
    return {row[0]: str(row[1]) for row in rows}


async def begin_password_reset(conn: Conn, login: str, at: datetime) -> ResetLink | None:
    """Make a link for an active account; None for others, and for one that has asked often enough for now."""
    row = await fetch_one(
        conn,
        """
        select s.staff_id, s.display_name, s.mail_address, s.person_id, s.language_code,
            (select count(*) from password_reset r where r.staff_id = s.staff_id and r.expires_at > %(at)s and r.used_at is null)
        from staff s where s.login = %(login)s and s.status = 'active' for update
        """,
        {"login": normal_login(login), "at": at},
    )
    if row is None or int(row[5]) >= RESETS_AT_ONCE:
        return None
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    await execute(
        conn,
        "insert into password_reset (token_hash, staff_id, created_at, expires_at) values (%(hash)s, %(staff)s, %(at)s, %(expires)s)",
        {"hash": _token_hash(token), "staff": row[0], "at": at, "expires": at + RESET_LIFETIME},
    )
    return ResetLink(token, AccountReader(*row[:5]))


async def read_password_reset(conn: Conn, token: str, at: datetime) -> tuple[uuid.UUID, str]:
    """Return the account and login of a link that may still be used."""
    row = await fetch_one(
        conn,
        """
        select s.staff_id, s.login from password_reset r join staff s on s.staff_id = r.staff_id
        where r.token_hash = %(hash)s and r.used_at is null and r.expires_at > %(at)s and s.status = 'active'
        """,
        {"hash": _token_hash(token), "at": at},
    )
    if row is None:
        raise ResetLinkUnusableError("link", "expired or used", "Ask for a new link on the sign-in page.")
    return row[0], row[1]


async def read_account(conn: Conn, staff_id: uuid.UUID) -> AccountReader:
    """Return how the owner of an account is reached."""
    rows = await fetch(
        conn, "select staff_id, display_name, mail_address, person_id, language_code from staff where staff_id = %(id)s", {"id": staff_id}
    )
    return AccountReader(*rows[0])


async def set_password(conn: Conn, staff_ids: Sequence[uuid.UUID], password_hash: str, at: datetime) -> None:
    """Give accounts a new password, end all their sessions and make all their links useless."""
    ids = {"ids": list(staff_ids), "at": at, "hash": password_hash}
    await execute(conn, "update staff set password_hash = %(hash)s where staff_id = any(%(ids)s::uuid[])", ids)
    await execute(conn, "update web_session set ended_at = %(at)s where staff_id = any(%(ids)s::uuid[]) and ended_at is null", ids)
    await execute(conn, "update password_reset set used_at = %(at)s where staff_id = any(%(ids)s::uuid[]) and used_at is null", ids)


async def stored_password(conn: Conn, staff_id: uuid.UUID) -> str:
    """Return the hash of an account's password."""
    rows = await fetch(conn, "select password_hash from staff where staff_id = %(id)s", {"id": staff_id})
    return str(rows[0][0])


def _address(secret: str, login: str) -> str:
    """Return the address that authenticator apps read (key URI format); the library does not say of which type it is."""
    return str(cast("Any", TOTP(secret)).provisioning_uri(name=login, issuer_name=_ISSUER))


def _matching_step(secret: str, code: str, at: datetime, last_step: int) -> int | None:
    """Return the time step whose code this is: the present one or a neighbour (clocks differ), never one that was used before."""
    told = code.replace(" ", "")
    now_step = int(at.timestamp()) // _STEP_S
    generator = TOTP(secret)
    steps = [step for step in range(now_step - _DRIFT_STEPS, now_step + _DRIFT_STEPS + 1) if step > last_step]
    return next((step for step in steps if secrets.compare_digest(generator.generate_otp(step).encode(), told.encode())), None)


def _code_hash(staff_id: uuid.UUID, code: str) -> bytes:
    return hashlib.sha256(staff_id.bytes + code.strip().casefold().encode()).digest()


def _token_hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
