import asyncio
import uuid

import psycopg
import pytest
from psycopg import errors
from tests.factories.customs import (
    LIMIT,
    OTHER_PERSON,
    PERSON,
    YEAR,
    close,
    full_year,
    giving_back,
    hold,
)

from entrepot.base.quantity import QuantityNotPositiveError
from entrepot.customs.check import check_quota
from entrepot.customs.hold import hold_quota, read_quota, release_quota, report_elsewhere, return_quota, use_quota
from entrepot.customs.quota import QuotaAnswer, QuotaOutcome

pytestmark = pytest.mark.anyio

DONE, REFUSED, EXISTS, DIFFERS, CLOSED, NO_HOLD = QuotaOutcome


async def parts(conn, person: uuid.UUID = PERSON, year: int = YEAR):
    row = (await read_quota(conn, [person], year)).get(person)
    return (row.used_minor, row.held_minor, row.elsewhere_minor, row.free_minor) if row else None


async def outcomes(answers):
    return [answer.outcome for answer in await answers]


async def entry_count(conn):
    return (await (await conn.execute("select count(*) from quota_entry")).fetchone())[0]


async def test_hold_use_and_return(conn):
    assert await hold_quota(conn, [hold("a", 48_000)]) == [QuotaAnswer(DONE, 48_000)]
    assert await parts(conn) == (0, 48_000, 0, LIMIT - 48_000)
    assert await use_quota(conn, [close("a")]) == [QuotaAnswer(DONE, 48_000)]
    assert await parts(conn) == (48_000, 0, 0, LIMIT - 48_000)
    assert await return_quota(conn, [giving_back("a", 16_000)]) == [QuotaAnswer(DONE, 16_000)]
    assert await parts(conn) == (32_000, 0, 0, LIMIT - 32_000)
    assert await check_quota(conn) == (1, [])


@pytest.mark.parametrize(
    ("first", "second", "outcome", "free"),
    [
        (LIMIT, 1, REFUSED, 0),
        (LIMIT - 1, 1, DONE, 0),
        (LIMIT - 1, 2, REFUSED, 1),
        (1, LIMIT, REFUSED, LIMIT - 1),
    ],
)
async def test_the_limit_is_kept_to_the_fen(conn, first, second, outcome, free):
    await hold_quota(conn, [hold("a", first)])
    answer = (await hold_quota(conn, [hold("b", second)]))[0]
    assert answer.outcome is outcome
    if outcome is REFUSED:
        assert answer == QuotaAnswer(REFUSED, 0, free)
        assert await parts(conn) == (0, first, 0, free)
        assert await entry_count(conn) == 1


async def test_a_refused_ask_does_not_stand_in_the_way_of_a_smaller_one(conn):
    asks = [hold("a", LIMIT - 100), hold("b", 101), hold("c", 100), hold("d", 50, OTHER_PERSON)]
    assert await outcomes(hold_quota(conn, asks)) == [DONE, REFUSED, DONE, DONE]
    assert await parts(conn) == (0, LIMIT, 0, 0)
    assert await parts(conn, OTHER_PERSON) == (0, 50, 0, LIMIT - 50)


async def test_one_by_one_and_batch_give_the_same_rows(conn):
    asks = [hold(str(number), 700_000, person) for number in range(5) for person in (PERSON, OTHER_PERSON)]
    async with conn.transaction(force_rollback=True):
        batch = await hold_quota(conn, asks)
        together = (await parts(conn), await parts(conn, OTHER_PERSON), await entry_count(conn))
    single = [(await hold_quota(conn, [one]))[0] for one in asks]
    assert batch == single
    assert together == (await parts(conn), await parts(conn, OTHER_PERSON), await entry_count(conn))
    assert [answer.outcome for answer in single] == [DONE] * 6 + [REFUSED] * 4


async def test_replays_change_nothing(conn):
    await hold_quota(conn, [hold("a", 48_000), hold("b", 1_000)])
    assert await outcomes(hold_quota(conn, [hold("a", 48_000), hold("a", 48_001)])) == [EXISTS, DIFFERS]
    await use_quota(conn, [close("a")])
    await release_quota(conn, [close("b")])
    assert await use_quota(conn, [close("a"), close("a")]) == [QuotaAnswer(EXISTS, 48_000)] * 2
    assert await outcomes(release_quota(conn, [close("a"), close("b"), close("nothing")])) == [CLOSED, EXISTS, NO_HOLD]
    assert await outcomes(use_quota(conn, [close("b")])) == [CLOSED]
    await return_quota(conn, [giving_back("a", 48_000)])
    assert await outcomes(return_quota(conn, [giving_back("a", 48_000), giving_back("a", 1)])) == [EXISTS, DIFFERS]
    assert await parts(conn) == (0, 0, 0, LIMIT)
    assert await entry_count(conn) == 5
    assert await check_quota(conn) == (1, [])


async def test_twins_in_one_batch_act_once(conn):
    assert await outcomes(hold_quota(conn, [hold("a", 500), hold("a", 500)])) == [DONE, EXISTS]
    assert await outcomes(release_quota(conn, [close("a"), close("a")])) == [DONE, EXISTS]
    assert await parts(conn) == (0, 0, 0, LIMIT)


async def test_a_released_order_is_held_again_with_the_next_attempt(conn):
    await hold_quota(conn, [hold("a", 500)])
    await release_quota(conn, [close("a")])
    assert await outcomes(hold_quota(conn, [hold("a", 500, attempt=2)])) == [DONE]
    assert await outcomes(use_quota(conn, [close("a", attempt=2)])) == [DONE]
    assert await parts(conn) == (500, 0, 0, LIMIT - 500)


async def test_a_hold_moves_to_the_person_who_pays(conn):
    await hold_quota(conn, [hold("a", 500)])
    assert await outcomes(hold_quota(conn, [hold("a", 500, OTHER_PERSON)])) == [DONE]
    assert await outcomes(release_quota(conn, [close("a")])) == [DONE]
    assert await parts(conn) == (0, 0, 0, LIMIT)
    assert await parts(conn, OTHER_PERSON) == (0, 500, 0, LIMIT - 500)


async def test_returns_never_exceed_what_the_order_used(conn):
    await hold_quota(conn, [hold("a", 1_000), hold("b", 5_000)])
    await use_quota(conn, [close("a"), close("b")])
    asks = [giving_back("a", 600, "r1"), giving_back("a", 600, "r2"), giving_back("a", 400, "r3"), giving_back("c", 1)]
    assert await outcomes(return_quota(conn, asks)) == [DONE, REFUSED, DONE, REFUSED]
    assert await parts(conn) == (5_000, 0, 0, LIMIT - 5_000)
    assert await check_quota(conn) == (1, [])


async def test_a_return_goes_to_the_year_that_was_charged(conn):
    await hold_quota(conn, [hold("a", 1_000), hold("b", 2_000, year=YEAR + 1)])
    await use_quota(conn, [close("a"), close("b")])
    await return_quota(conn, [giving_back("a", 1_000)])
    assert await parts(conn) == (0, 0, 0, LIMIT)
    assert await parts(conn, year=YEAR + 1) == (2_000, 0, 0, LIMIT - 2_000)


async def test_what_customs_knows_elsewhere_leaves_no_room(conn):
    await hold_quota(conn, [hold("a", 48_000), hold("b", 52_000)])
    await use_quota(conn, [close("a")])
    assert await report_elsewhere(conn, [full_year("x"), full_year("x")]) == [QuotaAnswer(DONE, LIMIT - 100_000), QuotaAnswer(EXISTS)]
    assert await parts(conn) == (48_000, 52_000, LIMIT - 100_000, 0)
    assert await outcomes(hold_quota(conn, [hold("c", 1)])) == [REFUSED]
    await release_quota(conn, [close("b")])
    assert await parts(conn) == (48_000, 0, LIMIT - 48_000, 0)
    await return_quota(conn, [giving_back("a", 8_000)])
    assert await parts(conn) == (40_000, 0, LIMIT - 48_000, 8_000)
    assert await report_elsewhere(conn, [full_year("y")]) == [QuotaAnswer(DONE, 8_000)]
    assert await check_quota(conn) == (1, [])


async def test_a_person_unknown_here_may_be_full_elsewhere(conn):
    assert await report_elsewhere(conn, [full_year("x")]) == [QuotaAnswer(DONE, LIMIT)]
    assert await parts(conn) == (0, 0, LIMIT, 0)


async def test_nothing_is_not_a_hold(conn):
    with pytest.raises(QuantityNotPositiveError):
        await hold_quota(conn, [hold("a", 0)])
    assert await parts(conn) is None


async def test_racing_holds_never_pass_the_limit(database):
    async def one(number: int):
        async with await psycopg.AsyncConnection.connect(database) as own:
            return (await hold_quota(own, [hold(str(number), 1_000_000)]))[0]

    answers = await asyncio.gather(*(one(number) for number in range(8)))
    assert sorted(answer.outcome for answer in answers) == [DONE] * 2 + [REFUSED] * 6
    assert {answer.free_minor for answer in answers if answer.outcome is REFUSED} <= {600_000, 1_600_000}
    async with await psycopg.AsyncConnection.connect(database) as own:
        assert await parts(own) == (0, 2_000_000, 0, 600_000)
        assert await check_quota(own) == (1, [])


async def test_racing_ends_of_one_hold_end_it_once(database):
    async with await psycopg.AsyncConnection.connect(database) as own:
        await hold_quota(own, [hold("a", 1_000)])

    async def end(verb):
        async with await psycopg.AsyncConnection.connect(database) as own:
            return (await verb(own, [close("a")]))[0].outcome

    ended = await asyncio.gather(*(end(verb) for verb in (use_quota, release_quota, use_quota, release_quota)))
    assert sorted(ended) == sorted([DONE, EXISTS, CLOSED, CLOSED])
    async with await psycopg.AsyncConnection.connect(database) as own:
        assert await check_quota(own) == (1, [])


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("update quota_year set used_minor = used_minor + 1, free_minor = free_minor - 1", "the entries give"),
        ("delete from quota_entry where kind = 'hold'", "the entries give"),
        ("update quota_entry set value_minor = value_minor + 1, held_minor = held_minor - 1 where kind = 'use'", "missing or has another value"),
        ("update quota_entry set held_minor = held_minor - 1 where kind = 'use'", "does not move these parts"),
        ("update quota_entry set kind = 'return', used_minor = -value_minor where kind = 'use'", "more than was used"),
        ("update quota_entry set entry_key = 'close:nobody:1' where kind = 'use'", "missing or has another value"),
    ],
)
async def test_the_law_names_broken_rows(conn, statement, fault):
    await hold_quota(conn, [hold("a", 48_000)])
    await use_quota(conn, [close("a")])
    assert await check_quota(conn) == (1, [])
    await conn.execute(statement)
    checked, broken = await check_quota(conn)
    assert checked == 1
    assert any(fault in row and str(PERSON) in row for row in broken), broken


@pytest.mark.parametrize("change", ["free_minor = -1", "held_minor = held_minor + 1", "limit_minor = 1"])
async def test_the_table_refuses_what_must_never_be(conn, change):
    await hold_quota(conn, [hold("a", 48_000)])
    with pytest.raises(errors.CheckViolation):
        await conn.execute(f"update quota_year set {change}")
