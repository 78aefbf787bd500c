"""Due work, idempotency, audit, outbox and the business clock on PostgreSQL."""

from datetime import UTC, datetime, timedelta

import pytest

from entrepot.base.actor import RUNNER
from entrepot.base.audit import Act, Fact, read_acts, read_latest_facts, write_acts, write_facts
from entrepot.base.clock_store import advance_business_now, read_business_now
from entrepot.base.due import Due, add_due, count_due, finish_due, next_due_at, postpone_due, take_due
from entrepot.base.idempotency import (
    Claim,
    ClaimState,
    find_claimed,
    hash_request,
    keep_answers,
    withdraw_answers,
)
from entrepot.base.ids import derived_id

pytestmark = pytest.mark.anyio
AT = datetime(2026, 5, 4, 9, tzinfo=UTC)
MERCHANT = derived_id("merchant", "base")


def due(name, minutes=0):
    return Due(MERCHANT, "pay", derived_id("subject", name), AT + timedelta(minutes=minutes))


async def test_due_work_is_taken_in_order_when_its_time_comes(conn):
    await add_due(conn, [due("b", 5), due("a", 7), due("c", 60), due("a", 1)])
    assert await next_due_at(conn) == AT + timedelta(minutes=1)
    work = await take_due(conn, "pay", AT + timedelta(minutes=10), 10)
    assert [one.subject_id for one in work] == [due("a").subject_id, due("b").subject_id]
    assert await take_due(conn, "ship", AT + timedelta(minutes=10), 10) == []
    await finish_due(conn, work[:1])
    await postpone_due(conn, work[1:], AT + timedelta(hours=2), "the provider is asleep")
    assert await take_due(conn, "pay", AT + timedelta(minutes=10), 10) == []
    assert await count_due(conn) == [("pay", 2, 1)]


async def test_due_work_that_was_done_may_be_due_again(conn):
    await add_due(conn, [due("a")])
    await finish_due(conn, [due("a")])
    await add_due(conn, [due("a", 3)])
    assert [one.due_at for one in await take_due(conn, "pay", AT + timedelta(hours=1), 5)] == [AT + timedelta(minutes=3)]


def claim(key, *values):
    return Claim(derived_id("person", 1), key, hash_request(*values), AT)


async def test_a_free_key_is_taken_with_its_answer_and_given_back_when_that_did_not_come_true(conn):
    asked = [claim("k", 1), claim("k", 1), claim("k", 2), claim("other", 1)]
    states = [ClaimState.NEW, ClaimState.EXISTS, ClaimState.EXISTS_WITH_DIFFERENT_VALUES, ClaimState.NEW]
    assert [one.state for one in await find_claimed(conn, asked)] == states
    assert [one.state for one in await find_claimed(conn, asked)] == states, "asking took a key"
    taken = await keep_answers(conn, [asked[0], asked[3]], [{"order": "x"}, {"order": None}])
    assert taken == {asked[0].key, asked[3].key}
    assert await keep_answers(conn, [asked[0]], [{"order": "y"}]) == set()
    assert [one.answer for one in await find_claimed(conn, [asked[0], asked[3]])] == [{"order": "x"}, {"order": None}]
    assert [one.state for one in await find_claimed(conn, [asked[2]])] == [ClaimState.EXISTS_WITH_DIFFERENT_VALUES]
    await withdraw_answers(conn, [asked[3]])
    assert [one.state for one in await find_claimed(conn, [asked[0], asked[3]])] == [ClaimState.EXISTS, ClaimState.NEW]


async def test_acts_and_facts_stand_once(conn):
    act = Act(MERCHANT, derived_id("order", 1), "place_order", AT, RUNNER, "note")
    await write_acts(conn, [act, act])
    await write_acts(conn, [act])
    assert await read_acts(conn, MERCHANT, [act.subject_id]) == [(AT, "place_order", "program", "runner", "note")]
    fact = Fact(MERCHANT, act.subject_id, "order_placed", AT, {"number": "E1"})
    await write_facts(conn, [fact])
    await write_facts(conn, [fact])
    assert await read_latest_facts(conn, 5) == [fact]


async def test_the_business_clock_never_goes_back(conn):
    assert await read_business_now(conn) is None
    await advance_business_now(conn, AT)
    await advance_business_now(conn, AT - timedelta(days=1))
    assert await read_business_now(conn) == AT
