"""The worker tells receivers on loopback: in order, again after failures, and a dead receiver keeps nobody waiting."""

import asyncio
import json
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
import structlog
from tests.factories.house import BUYER, KEYRING, find_offer, open_house, order_of, put_stock, request
from tests.factories.receiver import HANG, HANG_UP, receiving

from entrepot.adapters.mail import SpoolMailer
from entrepot.adapters.webhooks import Poster, Reach, verify_signature
from entrepot.base.audit import Fact, write_facts
from entrepot.base.ids import derived_id
from entrepot.base.notices import Subscription, SubscriptionKind, add_subscriptions, find_subscription, list_subscriptions, take_notices
from entrepot.base.time import VirtualClock
from entrepot.bootstrap.database import in_transaction, open_pool
from entrepot.bootstrap.telling import LEASE, POSTS_AT_ONCE, Teller, keep_telling, tell_batch
from entrepot.flows.order_to_cash import place_orders
from entrepot.flows.tell import BACK_OFF, compose_posts
from entrepot.parties.sealing import seal_secret

pytestmark = pytest.mark.anyio
AT = datetime(2026, 5, 4, 9, tzinfo=UTC)
NOW = datetime(2027, 1, 1, tzinfo=UTC)
MERCHANT = derived_id("merchant", "told")
CODES = ("order_placed", "order_paid", "parcel_shipped")
LIMIT_S = 10
SHORT_S = 0.3
PATIENCE_S = 60


def webhook(url, name="a"):
    subscription_id = derived_id("webhook", name)
    return Subscription(
        MERCHANT, subscription_id, SubscriptionKind.WEBHOOK, CODES, AT, url, seal_secret(KEYRING, subscription_id, f"secret of {name}")
    )


def order(number):
    return derived_id("order", number)


@asynccontextmanager
async def telling(database, tmp_path, reach=Reach.LOOPBACK, limit_s=LIMIT_S):
    async with open_pool(database, 4) as pool, Poster(reach, limit_s) as poster:
        yield Teller(pool, poster, SpoolMailer(tmp_path / "mail"), KEYRING, VirtualClock(NOW))


async def happen(teller, *facts, webhooks=()):
    """Let facts (order, code, minute) happen; webhooks are added before."""

    async def work(conn):
        await add_subscriptions(conn, webhooks) if webhooks else None
        await write_facts(
            conn, [Fact(MERCHANT, order(number), code, AT + timedelta(minutes=minute), {"n": number}) for number, code, minute in facts]
        )

    await in_transaction(teller.pool, work)


async def counts(teller, name="a"):
    found = await in_transaction(teller.pool, list_subscriptions)
    told = next(told for one, told in found if one.subscription_id == derived_id("webhook", name))
    return told.open_count, dict(told.by_outcome)


async def tell_all(teller, subscription):
    while await tell_batch(teller, subscription):
        pass


async def until(condition):
    """Wait until a condition holds."""
    began = time.monotonic()
    while not await condition():
        assert time.monotonic() - began < PATIENCE_S
        await asyncio.sleep(0.02)


@asynccontextmanager
async def worker(teller):
    task = asyncio.create_task(keep_telling(teller, 0.02))
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_webhook_receives_signed_events_in_order(database, tmp_path):
    async with receiving() as receiver, telling(database, tmp_path) as teller:
        hook = webhook(receiver.url)
        await happen(teller, *((number, code, minute) for number in range(20) for minute, code in enumerate(CODES)), webhooks=[hook])
        await tell_all(teller, hook)
        assert await counts(teller) == (0, {"delivered": 60})
        assert all(receiver.told(order(number)) == list(CODES) for number in range(20))
        assert len({one["event_id"] for one in receiver.documents}) == 60
        headers, body = receiver.headers[0], receiver.bodies[0]
        assert verify_signature("secret of a", headers["entrepot-signature"], body, NOW)
        assert (headers["entrepot-event"], headers["content-type"]) == ("order_placed", "application/json")


async def test_a_failure_is_tried_again_after_the_back_off_and_nothing_overtakes(database, tmp_path):
    async with receiving(lambda document, times: 500 if times == 1 else 200) as receiver, telling(database, tmp_path) as teller:
        hook = webhook(receiver.url)
        await happen(teller, (1, "order_placed", 0), (1, "order_paid", 1), webhooks=[hook])
        await tell_all(teller, hook)
        assert receiver.documents == []
        teller.clock.advance_to(NOW + BACK_OFF[0])
        await tell_all(teller, hook)
        teller.clock.advance_to(NOW + BACK_OFF[0] + BACK_OFF[0])
        await tell_all(teller, hook)
        assert receiver.told(order(1)) == ["order_placed", "order_paid"]
        assert list(receiver.tries.values()) == [2, 2]


@pytest.mark.parametrize(("answer", "words"), [(HANG, "no answer within"), (HANG_UP, "Protocol"), (302, "answered 302"), (404, "answered 404")])
async def test_what_is_no_success_is_a_failure_in_words(database, tmp_path, answer, words):
    limit_s = SHORT_S if answer == HANG else LIMIT_S
    async with receiving(lambda document, times: answer) as receiver, telling(database, tmp_path, limit_s=limit_s) as teller:
        hook = webhook(receiver.url)
        await happen(teller, (1, "order_placed", 0), webhooks=[hook])
        assert await tell_batch(teller, hook) == 0
        (_, told), *_ = await in_transaction(teller.pool, list_subscriptions)
        assert told.open_count == 1
        assert words in told.last_failure
        assert sum(receiver.tries.values()) == 1  # no redirect is followed
        stored = await in_transaction(teller.pool, lambda conn: find_subscription(conn, hook.subscription_id))
        assert stored.failure_count == 1  # it rests, because nothing got through


async def test_after_the_last_attempt_it_is_given_up_by_name_and_the_next_is_told(database, tmp_path):
    async with (
        receiving(lambda document, times: 500 if document["type"] == "order_placed" else 200) as receiver,
        telling(database, tmp_path) as teller,
    ):
        hook = webhook(receiver.url)
        await happen(teller, (1, "order_placed", 0), (1, "order_paid", 1), webhooks=[hook])
        with structlog.testing.capture_logs() as logs:
            for pause in (*BACK_OFF, timedelta()):
                await tell_batch(teller, hook)
                teller.clock.advance_to(teller.clock.now() + pause)
            await tell_all(teller, hook)
        assert await counts(teller) == (0, {"delivered": 1, "given_up": 1})
        assert receiver.told(order(1)) == ["order_paid"]
        given_up = [one for one in logs if one["event"] == "notice_given_up"]
        assert [(one["attempts"], one["status"], one["log_level"]) for one in given_up] == [(len(BACK_OFF) + 1, 500, "warning")]


async def test_killed_between_post_and_commit_it_is_told_again_with_the_same_id(database, tmp_path):
    async with receiving() as receiver, telling(database, tmp_path) as teller:
        hook = webhook(receiver.url)
        await happen(teller, (1, "order_placed", 0), (1, "order_paid", 1), webhooks=[hook])
        taken = await in_transaction(teller.pool, lambda conn: take_notices(conn, hook, NOW, NOW + LEASE, 8))
        await teller.poster.post(compose_posts(KEYRING, hook, taken, NOW)[0])  # and then the worker dies
        await tell_all(teller, hook)
        assert receiver.told(order(1)) == ["order_placed"]
        teller.clock.advance_to(NOW + LEASE)
        await tell_all(teller, hook)
        assert receiver.told(order(1)) == ["order_placed", "order_placed", "order_paid"]
        first, again, _ = receiver.documents
        assert first == again


async def test_a_dead_and_a_slow_receiver_keep_nobody_waiting(database, tmp_path):
    async with (
        receiving(lambda document, times: HANG) as dead,
        receiving(delay_s=0.2) as slow,
        receiving() as quick,
        telling(database, tmp_path) as teller,
    ):
        hooks = [webhook(dead.url, "dead"), webhook(slow.url, "slow"), webhook(quick.url, "quick"), webhook("http://127.0.0.1:9/", "closed")]
        await happen(teller, *((number, "order_placed", 0) for number in range(40)), webhooks=hooks)

        async def is_quick_done():
            return len(quick.documents) == 40

        async def is_slow_done():
            return len(slow.documents) == 40

        async with worker(teller):
            await until(is_quick_done)
            await happen(teller, (99, "order_placed", 0))

            async def is_new_one_there():
                return bool(quick.told(order(99)))

            await until(is_new_one_there)
            await until(is_slow_done)
            stored = await in_transaction(teller.pool, lambda conn: find_subscription(conn, derived_id("webhook", "dead")))
            assert stored.failure_count == 0  # all that happened while the dead one had not even failed
        assert slow.most_at_once <= POSTS_AT_ONCE
        assert sum(dead.tries.values()) == POSTS_AT_ONCE


async def test_a_private_address_is_not_posted_to_unless_allowed(database, tmp_path):
    async with receiving() as receiver, telling(database, tmp_path, Reach.PUBLIC) as teller:
        hook = webhook(receiver.url.replace("127.0.0.1", "localhost"))
        await happen(teller, (1, "order_placed", 0), webhooks=[hook])
        assert await tell_batch(teller, hook) == 0
        assert receiver.tries == {}
        (_, told), *_ = await in_transaction(teller.pool, list_subscriptions)
        assert "allows" in told.last_failure


async def test_telling_goes_on_after_one_receiver_broke_it(database, tmp_path):
    async with receiving() as receiver, telling(database, tmp_path) as teller:
        broken = Subscription(MERCHANT, derived_id("webhook", "broken"), SubscriptionKind.WEBHOOK, CODES, AT, receiver.url, b"not sealed by us....")
        await happen(teller, (1, "order_placed", 0), webhooks=[broken, webhook(receiver.url)])

        async def is_told():
            return len(receiver.documents) == 1

        with structlog.testing.capture_logs() as logs:
            async with worker(teller):
                await until(is_told)
        assert "telling_failed" in {one["event"] for one in logs}


async def test_buyers_are_mailed_and_who_has_no_address_is_counted(database, tmp_path):
    async with telling(database, tmp_path) as teller:

        async def trade(conn):
            _, outside = await open_house(conn)
            await put_stock(conn, "demo-shenzhen-audio", "ARIA-HEADPHONES", "GB-LTN1", 9)
            offer = await find_offer(conn, "demo-shenzhen-audio", "ARIA-HEADPHONES", "GB", "fba")
            asks = [request([(offer, 2)], "GB", "GB", person="demo-buyer-gb"), request([(offer, 1)], "GB", "GB", person="nobody-we-know")]
            return [order_of(answer) for answer in await place_orders(conn, outside, asks, BUYER)]

        merchant_id, _ = (await in_transaction(teller.pool, trade))[0]
        [(mail, waiting)] = await in_transaction(teller.pool, lambda conn: list_subscriptions(conn, merchant_id))
        assert (mail.kind, waiting.open_count) == (SubscriptionKind.MAIL, 2)
        assert await tell_batch(teller, mail) == 2
        [(_, told)] = await in_transaction(teller.pool, lambda conn: list_subscriptions(conn, merchant_id))
        assert (told.open_count, dict(told.by_outcome)) == (0, {"delivered": 1, "no_address": 1})
        [letter] = [json.loads(path.read_text()) for path in (tmp_path / "mail").iterdir()]
        assert (letter["template_code"], letter["recipient_address"]) == ("order_placed", "gwen@example.com")
        assert "£93.98" in letter["body"]
