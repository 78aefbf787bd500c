"""What the worker does beside due work: it tells webhooks and buyers what happened, each receiver in a task of its own, by the machine's clock."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final, TypeVar

import psycopg
import structlog
from msgspec import Struct
from msgspec.structs import replace

from entrepot.adapters.mail import Mailer
from entrepot.adapters.webhooks import Poster
from entrepot.base.batching import BATCH_LIMIT
from entrepot.base.errors import EntrepotError
from entrepot.base.notices import Notice, NoticeOutcome, NoticeResult, Subscription, SubscriptionKind, read_waiting_subscriptions, take_notices
from entrepot.base.sql import Conn
from entrepot.base.time import Clock, RealClock
from entrepot.bootstrap.database import Pool, in_transaction, open_pool
from entrepot.bootstrap.outside import build_mailer, reach_of, read_keyring
from entrepot.bootstrap.settings import Settings
from entrepot.flows.tell import compose_posts, event_id_of, judge, note_results
from entrepot.flows.tell_buyers import send_mails, write_mails
from entrepot.parties.sealing import Keyring
from entrepot.surfaces.web.voices import choose_voice

POSTS_AT_ONCE: Final = 8
"""How many requests one webhook gets at the same time, each about another order."""

RECEIVERS_AT_ONCE: Final = 64
LEASE: Final = timedelta(seconds=60)
"""How long a notice that was taken is nobody else's; several times what an attempt may last."""

_BATCHES_IN_A_ROW: Final = 20
_PAUSE_S: Final = 1.0
_PAUSE_AFTER_FAILURE_S: Final = 5.0
_CONNECTIONS: Final = 4

Result = TypeVar("Result")


class Teller(Struct, frozen=True):
    """What telling needs: the database, the ways out, the secrets and the machine's clock."""

    pool: Pool
    poster: Poster
    mailer: Mailer
    keyring: Keyring
    clock: Clock

    async def transact(self, work: Callable[[Conn], Awaitable[Result]]) -> Result:
        """Run work in a transaction of its own."""
        return await in_transaction(self.pool, work)


async def tell_on(settings: Settings) -> None:
    """Tell whatever is due until told to stop."""
    async with open_pool(settings.database_url or "", _CONNECTIONS) as pool, Poster(reach_of(settings)) as poster:
        await keep_telling(Teller(pool, poster, build_mailer(settings), read_keyring(settings), RealClock()), _PAUSE_S)


async def keep_telling(teller: Teller, pause_s: float) -> None:
    """Look for receivers with due notices again and again, and give each its own task, so that a slow one keeps nobody waiting."""
    slots = asyncio.Semaphore(RECEIVERS_AT_ONCE)
    busy: set[uuid.UUID] = set()
    async with asyncio.TaskGroup() as group:
        while True:
            for one in [one for one in await _find_waiting(teller) if one.subscription_id not in busy]:
                busy.add(one.subscription_id)
                group.create_task(_tell_in_turn(teller, one, slots, busy))
            await asyncio.sleep(pause_s)


async def _find_waiting(teller: Teller) -> list[Subscription]:
    """Return the receivers with due notices; none, and a pause, while the database does not answer: due work goes on and says so too."""
    try:
        return await teller.transact(lambda conn: read_waiting_subscriptions(conn, teller.clock.now()))
    except (EntrepotError, psycopg.Error):
        structlog.get_logger(__name__).exception("telling_failed")
        await asyncio.sleep(_PAUSE_AFTER_FAILURE_S)
        return []


async def _tell_in_turn(teller: Teller, subscription: Subscription, slots: asyncio.Semaphore, busy: set[uuid.UUID]) -> None:
    """Tell one receiver some batches when a slot is free; then it queues again behind the others."""
    try:
        async with slots:
            await _tell_batches(teller, subscription)
    except Exception:  # noqa: BLE001 - whatever is wrong with one receiver, the others and due work go on
        structlog.get_logger(__name__).exception("telling_failed", subscription_id=str(subscription.subscription_id))
        await asyncio.sleep(_PAUSE_AFTER_FAILURE_S)
    finally:
        busy.discard(subscription.subscription_id)


async def _tell_batches(teller: Teller, subscription: Subscription) -> None:
    """Tell batches while something gets through."""
    for _ in range(_BATCHES_IN_A_ROW):
        if not await tell_batch(teller, subscription):
            return
        subscription = replace(subscription, failure_count=0)


async def tell_batch(teller: Teller, subscription: Subscription) -> int:
    """Take a batch of one receiver's notices, tell them, store what became of them; return how many got through.

    Between the taking and the storing no transaction is open. Whoever dies in between has told a notice that will be told again, with the same id.
    """
    now = teller.clock.now()
    limit = POSTS_AT_ONCE if subscription.kind is SubscriptionKind.WEBHOOK else BATCH_LIMIT
    notices = await teller.transact(lambda conn: take_notices(conn, subscription, now, now + LEASE, limit))
    if not notices:
        return 0
    tell = _post if subscription.kind is SubscriptionKind.WEBHOOK else _mail
    results = await tell(teller, subscription, notices, now)
    counts = await teller.transact(lambda conn: note_results(conn, subscription, results, teller.clock.now()))
    _log(subscription, results, counts)
    return sum(one.outcome is not None and one.outcome is not NoticeOutcome.GIVEN_UP for one in results)


async def _post(teller: Teller, webhook: Subscription, notices: list[Notice], now: datetime) -> list[NoticeResult]:
    """Post notices of different orders side by side."""
    posts = compose_posts(teller.keyring, webhook, notices, now)
    answers = await asyncio.gather(*(teller.poster.post(post) for post in posts))
    return [judge(notice, answer, teller.clock.now()) for notice, answer in zip(notices, answers, strict=True)]


async def _mail(teller: Teller, subscription: Subscription, notices: list[Notice], now: datetime) -> list[NoticeResult]:
    """Write and send mails about notices."""
    _ = subscription
    mails = await teller.transact(lambda conn: write_mails(conn, teller.keyring, notices, now, choose_voice))
    return await send_mails(teller.mailer, notices, mails)


def _log(subscription: Subscription, results: list[NoticeResult], counts: object) -> None:
    """Log a batch, and by name what was given up: somebody has to look after it."""
    log = structlog.get_logger(__name__).bind(
        merchant_id=str(subscription.merchant_id), subscription_id=str(subscription.subscription_id), kind=str(subscription.kind)
    )
    log.debug("notices_told", counts=counts)
    for one in results:
        if one.outcome is NoticeOutcome.GIVEN_UP:
            log.warning("notice_given_up", event_id=event_id_of(one.notice), attempts=one.notice.attempt_no, status=one.status, failure=one.failure)
