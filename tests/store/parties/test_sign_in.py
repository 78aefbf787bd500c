"""Accounts and sessions: passwords, throttling, expiry."""

from datetime import datetime, timedelta

import pytest
from tests.factories.parties import AT, clerk, counts

from entrepot.base.ids import RandomIds, derived_id
from entrepot.base.sql import fetch
from entrepot.parties.accounts import (
    IDLE_LIFETIME,
    SESSION_LIFETIME,
    THROTTLE_WINDOW,
    NewStaff,
    RoleNeedsSubjectError,
    Session,
    SignInOutcome,
    StaffRole,
)
from entrepot.parties.model import Outcome
from entrepot.parties.sign_in import close_staff, create_staff, forget_attempts, hash_password, note_session, read_session, sign_in, sign_out

pytestmark = pytest.mark.anyio
HASH = hash_password("right")
SECOND = timedelta(seconds=1)


async def attempt(conn, password: str, at: datetime = AT, login: str = "olga", origin: str = "192.0.2.1"):
    return await sign_in(conn, RandomIds(), login, password, origin, at)


async def test_accounts_are_created_once(conn):
    told = await create_staff(conn, [clerk("Olga", HASH), clerk("otto", HASH), clerk("olga ", HASH)], AT)
    assert told == [Outcome.NEW, Outcome.NEW, Outcome.EXISTS]
    changed = NewStaff(derived_id("z"), "olga", HASH, "Olga", StaffRole.FINANCE)
    assert await create_staff(conn, [changed], AT) == [Outcome.EXISTS_WITH_DIFFERENT_VALUES]
    with pytest.raises(RoleNeedsSubjectError):
        await create_staff(conn, [NewStaff(derived_id("y"), "owner", HASH, "Owner", StaffRole.MERCHANT_OWNER)], AT)
    assert await counts(conn, "staff") == {"staff": 2}


async def test_the_right_password_opens_a_session(conn):
    await create_staff(conn, [clerk("olga", HASH)], AT)
    answer = await attempt(conn, "right", login=" OLGA ")
    assert answer.outcome is SignInOutcome.SIGNED_IN
    assert answer.member is not None
    assert (answer.member.login, answer.member.role, answer.expires_at) == ("olga", StaffRole.OPERATOR, AT + SESSION_LIFETIME)
    assert await read_session(conn, answer.token, AT + SECOND) == Session(answer.member, has_factor=False, is_to_be_noted=False)
    assert await read_session(conn, "made-up", AT) is None
    assert [answer.token.encode() == row[0] for row in await fetch(conn, "select token_hash from web_session")] == [False]


async def test_sessions_end_by_time_by_sign_out_and_with_the_account(conn):
    await create_staff(conn, [clerk("olga", HASH)], AT)
    first, second, third = [(await attempt(conn, "right")).token for _ in range(3)]
    near_end = AT + SESSION_LIFETIME - SECOND
    at = AT
    while at < near_end:
        at = min(at + IDLE_LIFETIME - SECOND, near_end)
        assert await read_session(conn, first, at) is not None
        assert await note_session(conn, first, at) is True
    assert (await read_session(conn, first, near_end)).is_to_be_noted is False
    assert await read_session(conn, first, AT + SESSION_LIFETIME) is None
    assert await note_session(conn, first, AT + SESSION_LIFETIME) is False
    assert (await sign_out(conn, third, AT), await sign_out(conn, third, AT)) == (True, False)
    assert await read_session(conn, third, AT + SECOND) is None
    assert await close_staff(conn, [derived_id("test_staff", "olga")], near_end) == 1
    assert await read_session(conn, first, near_end) is None
    assert (await attempt(conn, "right", near_end)).outcome is SignInOutcome.WRONG_CREDENTIALS
    assert await read_session(conn, second, near_end) is None


async def test_a_session_that_nobody_uses_for_half_an_hour_is_over(conn):
    await create_staff(conn, [clerk("olga", HASH)], AT)
    used, idle = [(await attempt(conn, "right")).token for _ in range(2)]
    assert await read_session(conn, idle, AT + IDLE_LIFETIME - SECOND) is not None
    assert await note_session(conn, used, AT + IDLE_LIFETIME - SECOND) is True
    assert await read_session(conn, idle, AT + IDLE_LIFETIME) is None
    assert await note_session(conn, idle, AT + IDLE_LIFETIME) is False
    assert await read_session(conn, used, AT + IDLE_LIFETIME) is not None


async def test_wrong_passwords_and_unknown_logins_look_alike(conn):
    await create_staff(conn, [clerk("olga", HASH)], AT)
    wrong, unknown = await attempt(conn, "wrong"), await attempt(conn, "wrong", login="nobody")
    assert (wrong.outcome, wrong.token, wrong.retry_at) == (unknown.outcome, unknown.token, unknown.retry_at)
    assert wrong.outcome is SignInOutcome.WRONG_CREDENTIALS
    assert await counts(conn, "web_session", "login_attempt") == {"web_session": 0, "login_attempt": 2}


async def test_five_failures_stop_the_login_until_the_window_moves_on(conn):
    await create_staff(conn, [clerk("olga", HASH), clerk("otto", HASH)], AT)
    for number in range(5):
        assert (await attempt(conn, "wrong", AT + number * SECOND)).outcome is SignInOutcome.WRONG_CREDENTIALS
    stopped = await attempt(conn, "right", AT + 5 * SECOND)
    assert (stopped.outcome, stopped.retry_at, stopped.token) == (SignInOutcome.THROTTLED, AT + THROTTLE_WINDOW, None)
    assert await counts(conn, "web_session", "login_attempt") == {"web_session": 0, "login_attempt": 5}
    assert (await attempt(conn, "right", AT + 5 * SECOND, login="otto")).outcome is SignInOutcome.SIGNED_IN
    assert (await attempt(conn, "right", AT + THROTTLE_WINDOW)).outcome is SignInOutcome.SIGNED_IN


async def test_a_success_starts_the_count_anew(conn):
    await create_staff(conn, [clerk("olga", HASH)], AT)
    passwords = ["wrong"] * 4 + ["right"] + ["wrong"] * 4 + ["right"]
    told = [(await attempt(conn, password, AT + number * SECOND)).outcome for number, password in enumerate(passwords)]
    assert told.count(SignInOutcome.SIGNED_IN) == 2
    assert told.count(SignInOutcome.THROTTLED) == 0
    assert await forget_attempts(conn, AT + 5 * SECOND) == 5


async def test_many_failures_from_one_origin_stop_the_origin(conn):
    await create_staff(conn, [clerk("olga", HASH)], AT)
    await conn.execute(
        "insert into login_attempt select gen_random_uuid(), 'login' || n, '192.0.2.1', %(at)s, false from generate_series(1, 50) n", {"at": AT}
    )
    assert (await attempt(conn, "right", AT + SECOND)).outcome is SignInOutcome.THROTTLED
    assert (await attempt(conn, "right", AT + SECOND, origin="192.0.2.2")).outcome is SignInOutcome.SIGNED_IN
