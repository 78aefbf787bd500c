"""Notices on PostgreSQL: written with their fact, taken in order per subject, told again after a crash, replayed, given up."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from entrepot.base.audit import Fact, read_facts, write_facts
from entrepot.base.ids import derived_id
from entrepot.base.notices import (
    NoticeOutcome,
    NoticeResult,
    Subscription,
    SubscriptionKind,
    add_subscriptions,
    end_subscriptions,
    find_subscription,
    hold_followers,
    list_subscriptions,
    read_waiting_subscriptions,
    replay_notice,
    replay_notices_since,
    rest_subscription,
    resume_subscriptions,
    settle_notices,
    take_notices,
)

pytestmark = pytest.mark.anyio
AT = datetime(2026, 5, 4, 9, tzinfo=UTC)
NOW = datetime(2027, 1, 1, tzinfo=UTC)
"""The machine's clock, which has nothing to do with the business's."""

LEASE = timedelta(seconds=60)
MERCHANT = derived_id("merchant", "notices")
OTHER = derived_id("merchant", "other")
CODES = ("order_placed", "order_paid", "parcel_shipped")


def webhook(name="a", merchant_id=MERCHANT, codes=CODES):
    return Subscription(merchant_id, derived_id("webhook", name), SubscriptionKind.WEBHOOK, codes, AT, "https://a.example/", b"sealed")


def fact(order, code="order_placed", minutes=0, merchant_id=MERCHANT):
    return Fact(merchant_id, derived_id("order", order), code, AT + timedelta(minutes=minutes), {"number": order})


async def take(conn, subscription=None, now=NOW, limit=10):
    return await take_notices(conn, subscription or webhook(), now, now + LEASE, limit)


def named(notices):
    return sorted((one.content["number"], one.fact_code) for one in notices)


async def settle(conn, notices, outcome=NoticeOutcome.DELIVERED, now=NOW, again_at=None, failure=None):
    results = [NoticeResult(one, outcome, again_at, 200 if failure is None else 500, failure) for one in notices]
    settled = await settle_notices(conn, results, now)
    await hold_followers(conn, results)
    return settled


async def counts(conn, subscription=None):
    found = {one.subscription_id: told for one, told in await list_subscriptions(conn)}
    told = found[(subscription or webhook()).subscription_id]
    return told.open_count, dict(told.by_outcome)


async def test_a_fact_leaves_a_notice_for_each_subscription_to_its_kind(conn):
    await add_subscriptions(conn, [webhook("a"), webhook("b", codes=("order_paid",)), webhook("c", OTHER)])
    facts = [fact("1"), fact("1", "order_paid"), fact("1", "consignment_released"), fact("9", merchant_id=OTHER)]
    await write_facts(conn, [*facts, *facts])
    await write_facts(conn, facts)
    assert await counts(conn, webhook("a")) == (2, {})
    assert await counts(conn, webhook("b")) == (1, {})
    assert await counts(conn, webhook("c")) == (1, {})
    assert len(await read_facts(conn, MERCHANT, [derived_id("order", "1")])) == 3


async def test_one_by_one_or_in_a_batch_the_notices_are_the_same(conn):
    await add_subscriptions(conn, [webhook("a"), webhook("c", OTHER)])
    facts = [fact("1"), fact("1", "order_paid"), fact("2"), fact("9", merchant_id=OTHER)]
    orders = []
    for write in ([[one] for one in facts], [facts]):
        await conn.execute("savepoint before")
        for part in write:
            await write_facts(conn, part)
        cursor = await conn.execute("select subscription_id, subject_id, at, fact_code, position_no from notice order by 1, 2, 3, 4, 5")
        orders.append(await cursor.fetchall())
        await conn.execute("rollback to before")
    assert orders[0] == orders[1]
    assert len(orders[0]) == 4


async def test_a_fact_from_before_the_subscription_is_not_told(conn):
    await write_facts(conn, [fact("1")])
    await add_subscriptions(conn, [webhook()])
    await write_facts(conn, [fact("1")])
    assert await counts(conn) == (0, {})


async def test_of_one_order_the_later_waits_for_the_earlier_and_other_orders_do_not(conn):
    await add_subscriptions(conn, [webhook()])
    await write_facts(conn, [fact("1"), fact("1", "order_paid", 1), fact("2", "order_paid", 2)])
    first = await take(conn)
    assert named(first) == [("1", "order_placed"), ("2", "order_paid")]
    assert await take(conn) == []
    assert await settle(conn, first) == 2
    second = await take(conn)
    assert named(second) == [("1", "order_paid")]
    await settle(conn, second)
    assert await counts(conn) == (0, {"delivered": 3})
    assert await read_waiting_subscriptions(conn, NOW) == []


async def test_at_the_same_instant_facts_keep_the_order_in_which_they_were_written(conn):
    await add_subscriptions(conn, [webhook()])
    await write_facts(conn, [fact("1"), fact("1", "order_paid")])
    await write_facts(conn, [fact("1", "parcel_shipped")])
    told = []
    for _ in range(3):
        taken = await take(conn)
        told += [one.fact_code for one in taken]
        await settle(conn, taken)
    assert told == ["order_placed", "order_paid", "parcel_shipped"]


async def test_what_happened_earlier_and_is_written_later_is_told_earlier(conn):
    await add_subscriptions(conn, [webhook()])
    await write_facts(conn, [fact("1", "parcel_shipped", 5)])
    await write_facts(conn, [fact("1", "order_placed", 0)])
    assert [one.fact_code for one in await take(conn)] == ["order_placed"]


async def test_a_failed_notice_comes_again_later_and_holds_its_followers(conn):
    await add_subscriptions(conn, [webhook()])
    await write_facts(conn, [fact("1"), fact("1", "order_paid", 1)])
    await settle(conn, await take(conn), None, again_at=NOW + timedelta(minutes=5), failure="answered 500")
    assert await take(conn, now=NOW + timedelta(minutes=4)) == []
    assert await read_waiting_subscriptions(conn, NOW + timedelta(minutes=4)) == []
    again = await take(conn, now=NOW + timedelta(minutes=5))
    assert [(one.fact_code, one.attempt_no) for one in again] == [("order_placed", 2)]
    await settle(conn, again, NoticeOutcome.GIVEN_UP, failure="answered 500")
    assert named(await take(conn, now=NOW + timedelta(minutes=5))) == [("1", "order_paid")]
    assert await counts(conn) == (1, {"given_up": 1})


async def test_who_dies_with_a_notice_leaves_it_due_again_when_the_lease_ends(conn):
    await add_subscriptions(conn, [webhook()])
    await write_facts(conn, [fact("1")])
    lost = await take(conn)
    assert await take(conn, now=NOW + LEASE - timedelta(seconds=1)) == []
    again = await take(conn, now=NOW + LEASE)
    assert [(one.fact_code, one.attempt_no) for one in again] == [("order_placed", 2)]
    assert await settle(conn, lost, None, again_at=NOW + timedelta(days=1)) == 0  # the late one changes nothing
    assert await settle(conn, again) == 1
    assert await settle(conn, again, NoticeOutcome.GIVEN_UP) == 0


async def test_a_replay_makes_told_notices_due_again_and_in_order(conn):
    await add_subscriptions(conn, [webhook()])
    await write_facts(conn, [fact("1"), fact("1", "order_paid", 1), fact("2")])
    await settle(conn, await take(conn), now=NOW)
    await settle(conn, await take(conn), NoticeOutcome.GIVEN_UP, now=NOW + timedelta(hours=1))
    assert await replay_notices_since(conn, webhook(), NOW + timedelta(minutes=1), NOW + timedelta(hours=2)) == 1
    assert await replay_notices_since(conn, webhook(), NOW, NOW + timedelta(hours=2)) == 2  # the third is open already
    assert await replay_notices_since(conn, webhook(), NOW, NOW + timedelta(hours=2)) == 0
    again = await take(conn, now=NOW + timedelta(hours=2))
    assert [(one.fact_code, one.attempt_no, one.replay_no) for one in again] == [("order_placed", 1, 1)] * 2
    await settle(conn, again)
    assert [(one.fact_code, one.replay_no) for one in await take(conn, now=NOW + timedelta(hours=2))] == [("order_paid", 1)]


async def test_a_replay_of_one_event_overtakes_the_attempt_under_way(conn):
    await add_subscriptions(conn, [webhook()])
    await write_facts(conn, [fact("1")])
    key = (derived_id("order", "1"), "order_placed", AT)
    assert await replay_notice(conn, webhook(), *key, NOW) == 0  # not told yet
    first = await take(conn)
    await settle(conn, first)
    assert await replay_notice(conn, webhook(), *key, NOW) == 1
    assert await settle(conn, first, NoticeOutcome.GIVEN_UP) == 0
    assert await counts(conn) == (1, {})


async def test_an_ended_subscription_drops_what_waits_and_may_begin_anew(conn):
    await add_subscriptions(conn, [webhook()])
    await write_facts(conn, [fact("1")])
    assert await end_subscriptions(conn, [MERCHANT], [webhook().subscription_id], NOW) == 1
    await write_facts(conn, [fact("2")])
    assert await counts(conn) == (0, {"dropped": 1})
    assert await replay_notices_since(conn, webhook(), NOW - timedelta(days=1), NOW) == 0
    assert await add_subscriptions(conn, [webhook()]) == frozenset()
    assert not (await find_subscription(conn, webhook().subscription_id)).is_active
    assert await resume_subscriptions(conn, [MERCHANT], [webhook().subscription_id]) == 1
    await write_facts(conn, [fact("3")])
    assert named(await take(conn)) == [("3", "order_placed")]


async def test_a_resting_subscription_is_not_looked_at(conn):
    await add_subscriptions(conn, [webhook("a"), webhook("b")])
    await write_facts(conn, [fact("1")])
    await rest_subscription(conn, webhook("a"), 3, NOW + timedelta(minutes=5))
    assert [one.subscription_id for one in await read_waiting_subscriptions(conn, NOW)] == [webhook("b").subscription_id]
    awake = await read_waiting_subscriptions(conn, NOW + timedelta(minutes=5))
    assert {one.subscription_id: one.failure_count for one in awake} == {webhook("a").subscription_id: 3, webhook("b").subscription_id: 0}


@pytest.mark.parametrize(
    "wrong",
    [
        "insert into subscription (merchant_id, subscription_id, kind, fact_codes, created_at) values ('{0}', '{0}', 'webhook', '{{}}', '{1}')",
        "insert into subscription (merchant_id, subscription_id, kind, fact_codes, created_at) values ('{0}', '{0}', 'fax', '{{}}', '{1}')",
        "insert into notice (merchant_id, subscription_id, subject_id, at, fact_code, position_no, outcome) values ('{0}', '{0}', '{0}', '{1}', 'a', 1, 'delivered')",
    ],
)
async def test_what_must_never_be_is_refused(conn, wrong):
    with pytest.raises(psycopg.errors.CheckViolation):
        await conn.execute(wrong.format(MERCHANT, AT.isoformat()))


async def test_two_workers_never_take_the_same_notice_nor_two_of_one_order(database):
    async with await psycopg.AsyncConnection.connect(database) as setup:
        await add_subscriptions(setup, [webhook()])
        await write_facts(setup, [fact(str(number), code, minute) for number in range(6) for minute, code in enumerate(CODES)])
    async with await psycopg.AsyncConnection.connect(database) as one, await psycopg.AsyncConnection.connect(database) as two:
        mine = await take(one, limit=4)
        theirs = await take(two)  # while the first has not committed
        await one.commit()
        await two.commit()
        assert await take(one) == []
    assert {notice.fact_code for notice in [*mine, *theirs]} == {"order_placed"}
    assert (len(mine), len(theirs), len({notice.subject_id for notice in [*mine, *theirs]})) == (4, 2, 6)
