"""Conversations about an order, and the events behind a merchant's figures."""

import pytest
from msgspec.structs import replace
from tests.factories.aftersales import AT, BUYER, MERCHANT, OTHER_MERCHANT, a_message, later, named

from entrepot.aftersales import threads
from entrepot.aftersales.model import AuthorRole, MessageEmptyError, Outcome, PerformanceEvent, PerformanceKind, ThreadKey
from entrepot.aftersales.record_performance import count_performance, list_performance_orders, record_performance
from entrepot.base.audit import read_acts

pytestmark = pytest.mark.anyio

KEY = ThreadKey(MERCHANT, named("order"), "delivery")


async def test_a_thread_opens_once_per_order_and_topic(conn):
    other = replace(KEY, topic_code="product")
    first = await threads.open_threads(conn, [KEY, other, KEY], AT, BUYER)
    assert first[0] == first[2] != first[1]
    assert await threads.open_threads(conn, [KEY], later(1), BUYER) == first[:1]
    stored = await threads.list_threads_of_orders(conn, MERCHANT, [named("order")])
    assert sorted((thread.topic_code, thread.opened_at) for thread in stored) == [("delivery", AT), ("product", AT)]
    assert len(await read_acts(conn, MERCHANT, first)) == 2


async def test_messages_are_posted_once_in_order(conn):
    (thread_id,) = await threads.open_threads(conn, [KEY], AT, BUYER)
    late, early = a_message(thread_id, "late", AuthorRole.MERCHANT, minutes=5), a_message(thread_id, "early")
    assert await threads.post_messages(conn, [late, early, early], BUYER) == [Outcome.DONE, Outcome.DONE, Outcome.EXISTS]
    assert await threads.post_messages(conn, [late], BUYER) == [Outcome.EXISTS]
    (thread,) = await threads.list_threads_of_orders(conn, MERCHANT, [named("order")])
    assert thread.messages == (early, late)


async def test_a_strangers_thread_is_unknown(conn):
    (thread_id,) = await threads.open_threads(conn, [KEY], AT, BUYER)
    strangers = [a_message(thread_id, "one", merchant_id=OTHER_MERCHANT), a_message(named("no thread"), "two")]
    assert await threads.post_messages(conn, strangers, BUYER) == [Outcome.UNKNOWN, Outcome.UNKNOWN]
    (thread,) = await threads.list_threads_of_orders(conn, MERCHANT, [named("order")])
    assert thread.messages == ()


@pytest.mark.parametrize("text", ["", "  \n", "x" * 4001])
async def test_empty_and_endless_messages_are_refused(conn, text):
    (thread_id,) = await threads.open_threads(conn, [KEY], AT, BUYER)
    with pytest.raises(MessageEmptyError):
        await threads.post_messages(conn, [a_message(thread_id, "good"), replace(a_message(thread_id, "bad"), text=text)], BUYER)
    (thread,) = await threads.list_threads_of_orders(conn, MERCHANT, [named("order")])
    assert thread.messages == ()


async def test_threads_that_wait_for_an_answer(conn):
    keys = [replace(KEY, topic_code=topic) for topic in ("asked", "answered", "thanks", "asked first")]
    asked, answered, thanks, first = await threads.open_threads(conn, keys, AT, BUYER)
    await threads.post_messages(
        conn,
        [
            a_message(asked, "a", minutes=9),
            a_message(answered, "b"),
            a_message(answered, "c", AuthorRole.MERCHANT, minutes=1),
            replace(a_message(thanks, "d"), needs_answer=False),
            a_message(first, "e", minutes=2),
        ],
        BUYER,
    )
    waiting = await threads.list_waiting_threads(conn, MERCHANT, 10)
    assert [thread.topic_code for thread in waiting] == ["asked first", "asked"]
    assert threads.answer_due_at(AT) == later(1)


async def test_performance_counts_each_kind_once_per_order_in_the_window(conn):
    due, late = PerformanceKind.SHIP_DUE, PerformanceKind.LATE_SHIPMENT
    events = [PerformanceEvent(MERCHANT, named(f"order {n}"), due, later(n)) for n in range(5)]
    events += [PerformanceEvent(MERCHANT, named("order 1"), late, later(1)), PerformanceEvent(OTHER_MERCHANT, named("order 1"), due, later(1))]
    assert len(await record_performance(conn, [*events, events[0]])) == 7
    assert await record_performance(conn, events) == []
    counts = await count_performance(conn, [MERCHANT, OTHER_MERCHANT], later(1), later(4))
    assert counts == {MERCHANT: {due: 3, late: 1}, OTHER_MERCHANT: {due: 1}}
    behind = await list_performance_orders(conn, MERCHANT, due, later(1), later(4), 2)
    assert [event.order_id for event in behind] == [named("order 3"), named("order 2")]
