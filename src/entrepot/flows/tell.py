"""Others are told what happened: webhooks of merchants are signed, tried again with back-off, given up at last, and sent again on demand.

A merchant subscribes to facts about its orders. Each fact then leaves a notice beside it in the same transaction (`base/audit.py`). The worker
takes notices (`base/notices.py`), posts what is composed here, and stores what became of it.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from msgspec import Struct

from entrepot.adapters.webhooks import EVENT_HEADER, REPLAY_HEADER, SIGNATURE_HEADER, Post, PostAnswer, Reach, require_webhook_url, sign
from entrepot.base.actor import Actor
from entrepot.base.audit import Act, write_acts
from entrepot.base.errors import RefusedInputError, UnknownReferenceError
from entrepot.base.ids import derived_id
from entrepot.base.notices import (
    Notice,
    NoticeOutcome,
    NoticeResult,
    Subscription,
    SubscriptionKind,
    add_subscriptions,
    end_subscriptions,
    find_subscription,
    hold_followers,
    replay_notice,
    replay_notices_since,
    rest_subscription,
    resume_subscriptions,
    settle_notices,
)
from entrepot.base.sql import Conn
from entrepot.flows.tell_buyers import MAILED_FACTS
from entrepot.parties.commands import require_merchants
from entrepot.parties.sealing import Keyring, new_secret, open_secret, seal_secret

MAIN_FACTS: Final = ("order_placed", "order_paid", "parcel_shipped", "parcel_delivered", "money_returned")
"""What a webhook is told unless its merchant chooses: placed, paid, shipped, delivered, refunded."""

TOLD_FACTS: Final = (
    *MAIN_FACTS,
    *("order_cancelled", "order_declined", "order_expired", "parcel_lost", "parcel_returned", "parcel_destroyed"),
    *("return_requested", "return_received", "return_graded"),
)
"""Facts about orders that a webhook may be told."""

BACK_OFF: Final = (
    timedelta(seconds=10),
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=6),
    timedelta(hours=6),
    timedelta(hours=9),
)
"""How long after each failed attempt the next one comes; the attempt after the last, about a day after the first, is the end."""

_LONGEST_REST: Final = timedelta(minutes=5)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class UntoldFactError(RefusedInputError):
    """Webhooks are not told facts of this kind; choose from the list."""


class UnknownWebhookError(UnknownReferenceError):
    """No active webhook has this id; list the webhooks and take one of theirs."""


class UnknownEventError(UnknownReferenceError):
    """This webhook was never told an event with this id, or is still being told it; take the id from a notice it received."""


# -- back-off --------------------------------------------------------------------------------------------------------


def next_attempt_at(attempt_no: int, now: datetime) -> datetime | None:
    """Return when a notice is tried again after its attempt number `attempt_no`, counted from 1, failed; None gives it up."""
    return now + BACK_OFF[attempt_no - 1] if attempt_no <= len(BACK_OFF) else None


def rest_until(failure_count: int, now: datetime) -> datetime:
    """Return until when a receiver is left in peace to whom nothing got through `failure_count` times in a row: never longer than five minutes."""
    return now + min(BACK_OFF[min(failure_count, len(BACK_OFF)) - 1], _LONGEST_REST)


# -- webhooks --------------------------------------------------------------------------------------------------------


class NewWebhook(Struct, frozen=True):
    """A webhook that was added; the secret is shown this once."""

    subscription_id: uuid.UUID
    secret: str


async def add_webhook(
    conn: Conn,
    keyring: Keyring,
    subscription: tuple[uuid.UUID, uuid.UUID],
    url: str,
    fact_codes: Sequence[str],
    reach: Reach,
    actor: Actor,
    now: datetime,
) -> NewWebhook:
    """Tell facts of a merchant to an address from now on; `subscription` is the merchant's and the new webhook's id."""
    merchant_id, subscription_id = subscription
    for code in fact_codes:
        if code not in TOLD_FACTS:
            raise UntoldFactError("fact", code, "Choose from %(choices)s.", choices=TOLD_FACTS)
    require_webhook_url(url, reach)
    await require_merchants(conn, [merchant_id])
    secret = new_secret()
    sealed = seal_secret(keyring, subscription_id, secret)
    codes = tuple(dict.fromkeys(fact_codes or MAIN_FACTS))
    await add_subscriptions(conn, [Subscription(merchant_id, subscription_id, SubscriptionKind.WEBHOOK, codes, now, url, sealed)])
    await write_acts(conn, [Act(merchant_id, subscription_id, "add_webhook", now, actor)])
    return NewWebhook(subscription_id, secret)


async def remove_webhook(conn: Conn, subscription_id: uuid.UUID, actor: Actor, now: datetime) -> None:
    """Tell a webhook nothing more; what waits for it is dropped."""
    webhook = await require_webhook(conn, subscription_id)
    await end_subscriptions(conn, [webhook.merchant_id], [subscription_id], now)
    await write_acts(conn, [Act(webhook.merchant_id, subscription_id, "remove_webhook", now, actor)])


async def replay_since(conn: Conn, subscription_id: uuid.UUID, since: datetime, actor: Actor, now: datetime) -> int:
    """Send again what ended at or after a real instant, delivered or given up; return how many notices that are."""
    webhook = await require_webhook(conn, subscription_id)
    count = await replay_notices_since(conn, webhook, since, now)
    await rest_subscription(conn, webhook, 0, None)
    await write_acts(conn, [Act(webhook.merchant_id, subscription_id, "replay_webhook", now, actor, f"since {since.isoformat()}: {count}")])
    return count


async def replay_event(conn: Conn, subscription_id: uuid.UUID, event_id: str, actor: Actor, now: datetime) -> None:
    """Send one event again."""
    webhook = await require_webhook(conn, subscription_id)
    key = parse_event_id(event_id)
    if key is None or not await replay_notice(conn, webhook, *key, now):
        raise UnknownEventError("event", event_id, "Take the event_id of a notice that this webhook received.")
    await rest_subscription(conn, webhook, 0, None)
    await write_acts(conn, [Act(webhook.merchant_id, subscription_id, "replay_webhook", now, actor, event_id)])


async def require_webhook(conn: Conn, subscription_id: uuid.UUID) -> Subscription:
    """Return an active webhook, or refuse."""
    found = await find_subscription(conn, subscription_id)
    if found is None or not found.is_active or found.kind is not SubscriptionKind.WEBHOOK:
        raise UnknownWebhookError("webhook", str(subscription_id), "List the webhooks and take the id of an active one.")
    return found


# -- mail ------------------------------------------------------------------------------------------------------------


def mail_subscription_id(merchant_id: uuid.UUID) -> uuid.UUID:
    """Return the id under which a merchant's buyers are told by mail."""
    return derived_id("mail subscription", merchant_id)


async def begin_mail(conn: Conn, merchant_ids: Sequence[uuid.UUID], now: datetime) -> None:
    """Tell buyers of these merchants by mail from now on; a merchant whose mail was ended stays without."""
    wanted = [Subscription(one, mail_subscription_id(one), SubscriptionKind.MAIL, MAILED_FACTS, now) for one in sorted(set(merchant_ids))]
    await add_subscriptions(conn, wanted)


async def resume_mail(conn: Conn, merchant_id: uuid.UUID, actor: Actor, now: datetime) -> None:
    """Tell a merchant's buyers by mail, also after it was ended."""
    await require_merchants(conn, [merchant_id])
    await begin_mail(conn, [merchant_id], now)
    await resume_subscriptions(conn, [merchant_id], [mail_subscription_id(merchant_id)])
    await write_acts(conn, [Act(merchant_id, mail_subscription_id(merchant_id), "resume_mail", now, actor)])


async def end_mail(conn: Conn, merchant_id: uuid.UUID, actor: Actor, now: datetime) -> None:
    """Send a merchant's buyers no more mails, because the merchant writes to them itself."""
    await require_merchants(conn, [merchant_id])
    await end_subscriptions(conn, [merchant_id], [mail_subscription_id(merchant_id)], now)
    await write_acts(conn, [Act(merchant_id, mail_subscription_id(merchant_id), "end_mail", now, actor)])


# -- what is posted --------------------------------------------------------------------------------------------------


def event_id_of(notice: Notice) -> str:
    """Return the id of the event that a notice tells: the same at every attempt, at every replay and for every receiver."""
    return f"{notice.subject_id}.{notice.fact_code}.{(notice.at - _EPOCH) // _MICROSECOND}"


def parse_event_id(event_id: str) -> tuple[uuid.UUID, str, datetime] | None:
    """Return the subject, fact and instant of an event's id, or None for a text that is no such id."""
    parts = event_id.split(".")
    try:
        subject, fact_code, microseconds = parts
        return uuid.UUID(subject), fact_code, _EPOCH + int(microseconds) * _MICROSECOND
    except (ValueError, OverflowError):
        return None


def webhook_body(notice: Notice) -> bytes:
    """Return what a webhook receives: JSON that is the same, byte for byte, at every attempt."""
    return msgspec.json.encode(
        {
            "event_id": event_id_of(notice),
            "type": notice.fact_code,
            "at": notice.at,
            "merchant_id": notice.merchant_id,
            "order_id": notice.subject_id,
            "data": notice.content,
        }
    )


def compose_posts(keyring: Keyring, webhook: Subscription, notices: Sequence[Notice], now: datetime) -> list[Post]:
    """Return the signed requests that tell a webhook its notices; `now` is the real instant that is signed."""
    secret = open_secret(keyring, webhook.subscription_id, webhook.sealed_secret or b"")
    return [_post(secret, webhook, notice, now) for notice in notices]


def _post(secret: str, webhook: Subscription, notice: Notice, now: datetime) -> Post:
    """Return one signed request."""
    body = webhook_body(notice)
    headers = {EVENT_HEADER: notice.fact_code, SIGNATURE_HEADER: sign(secret, body, now)}
    return Post(webhook.url, headers | ({REPLAY_HEADER: str(notice.replay_no)} if notice.replay_no else {}), body)


# -- what became of it -----------------------------------------------------------------------------------------------


def judge(notice: Notice, answer: PostAnswer, now: datetime) -> NoticeResult:
    """Return what an answer means for a notice: told, tried again later, or given up."""
    if answer.is_taken:
        return NoticeResult(notice, NoticeOutcome.DELIVERED, None, answer.status)
    again_at = next_attempt_at(notice.attempt_no, now)
    return NoticeResult(notice, NoticeOutcome.GIVEN_UP if again_at is None else None, again_at, answer.status, answer.failure)


async def note_results(conn: Conn, subscription: Subscription, results: Sequence[NoticeResult], now: datetime) -> Mapping[str, int]:
    """Store what became of a batch and count it by outcome; a receiver to whom nothing got through rests, so that it costs nobody else's time."""
    await settle_notices(conn, results, now)
    await hold_followers(conn, results)
    failed = [one for one in results if one.failure is not None]
    if results and len(failed) == len(results):
        count = subscription.failure_count + 1
        await rest_subscription(conn, subscription, count, rest_until(count, now))
    elif subscription.failure_count:
        await rest_subscription(conn, subscription, 0, None)
    counts: dict[str, int] = {}
    for one in results:
        name = str(one.outcome or "again")
        counts[name] = counts.get(name, 0) + 1
    return counts
