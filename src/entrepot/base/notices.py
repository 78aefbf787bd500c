"""Notices: facts of the outbox that subscriptions are told, one row for each, open until it was told or given up.

A notice is taken by moving its next attempt beyond the time that one attempt may last; no transaction stays open while somebody is told. Whoever
took it and died leaves it due again. Of one subject the notices are told in the order of its facts: a later one waits until the earlier are done.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum

from msgspec import Struct, field

from entrepot.base.sql import Conn, Row, columns, execute, execute_counted, fetch


class SubscriptionKind(StrEnum):
    """By which way a subscription is told: its merchant's own address, or a mail to the buyer."""

    WEBHOOK = "webhook"
    MAIL = "mail"


class NoticeOutcome(StrEnum):
    """How a notice ended; `not_ours` is a mail to the buyer of another channel, `dropped` waited when its subscription ended."""

    DELIVERED = "delivered"
    GIVEN_UP = "given_up"
    NO_ADDRESS = "no_address"
    NOT_OURS = "not_ours"
    DROPPED = "dropped"


class Subscription(Struct, frozen=True):
    """A merchant's wish that facts of some kinds are told; `failure_count` counts the batches since which nothing got through."""

    merchant_id: uuid.UUID
    subscription_id: uuid.UUID
    kind: SubscriptionKind
    fact_codes: Sequence[str]
    created_at: datetime
    url: str = ""
    sealed_secret: bytes | None = None
    is_active: bool = True
    failure_count: int = 0


class Notice(Struct, frozen=True):
    """A fact to tell one subscription, taken for its attempt number `attempt_no`, counted from 1 and anew for each replay."""

    merchant_id: uuid.UUID
    subscription_id: uuid.UUID
    subject_id: uuid.UUID
    at: datetime
    fact_code: str
    attempt_no: int
    replay_no: int
    content: Mapping[str, object] = field(default_factory=dict[str, object])


class NoticeResult(Struct, frozen=True):
    """What became of an attempt: an outcome, or the instant of the next attempt; with the answer's status and why it failed."""

    notice: Notice
    outcome: NoticeOutcome | None
    next_attempt_at: datetime | None = None
    status: int | None = None
    failure: str | None = None


class NoticeCounts(Struct, frozen=True):
    """How many notices of a subscription wait, and how many ended in which way; the latest failure in words."""

    open_count: int
    by_outcome: Mapping[str, int]
    last_failure: str | None


_SUBSCRIPTION = "s.merchant_id, s.subscription_id, s.kind, s.fact_codes, s.created_at, s.url, s.sealed_secret, s.is_active, s.failure_count"
_KEY = ("merchant_id", "subscription_id", "subject_id", "at", "fact_code")
_KEYS = """unnest(%(merchant_id)s::uuid[], %(subscription_id)s::uuid[], %(subject_id)s::uuid[], %(at)s::timestamptz[], %(fact_code)s::text[]"""
_SAME = """n.merchant_id = t.merchant_id and n.subscription_id = t.subscription_id and n.subject_id = t.subject_id and n.at = t.at
    and n.fact_code = t.fact_code"""


def _subscription(row: Row) -> Subscription:
    """Return a stored subscription."""
    merchant_id, subscription_id, kind, fact_codes, *more = row
    return Subscription(merchant_id, subscription_id, SubscriptionKind(kind), tuple(fact_codes), *more)


# -- subscriptions ---------------------------------------------------------------------------------------------------


async def add_subscriptions(conn: Conn, subscriptions: Sequence[Subscription]) -> frozenset[uuid.UUID]:
    """Add subscriptions and return the ids of the new ones; one that stands already stays as it is, ended or not."""
    rows = await fetch(
        conn,
        """
        insert into subscription (merchant_id, subscription_id, kind, url, sealed_secret, fact_codes, created_at)
        select t.merchant_id, t.subscription_id, t.kind, t.url, t.sealed_secret, string_to_array(t.fact_codes, ' '), t.created_at
        from unnest(%(merchant_id)s::uuid[], %(subscription_id)s::uuid[], %(kind)s::text[], %(url)s::text[], %(sealed_secret)s::bytea[],
            %(fact_codes)s::text[], %(created_at)s::timestamptz[])
            as t(merchant_id, subscription_id, kind, url, sealed_secret, fact_codes, created_at)
        on conflict do nothing returning subscription_id
        """,
        columns(subscriptions, "merchant_id", "subscription_id", "url", "sealed_secret", "created_at")
        | {"kind": [str(one.kind) for one in subscriptions], "fact_codes": [" ".join(one.fact_codes) for one in subscriptions]},
    )
    return frozenset(row[0] for row in rows)


async def resume_subscriptions(conn: Conn, merchant_ids: Sequence[uuid.UUID], subscription_ids: Sequence[uuid.UUID]) -> int:
    """Let ended subscriptions be told again of what happens from now on; return how many had ended."""
    return await execute_counted(
        conn,
        """
        update subscription s set is_active = true, failure_count = 0, rests_until = null
        from unnest(%(merchants)s::uuid[], %(subscriptions)s::uuid[]) as t(merchant_id, subscription_id)
        where s.merchant_id = t.merchant_id and s.subscription_id = t.subscription_id and not s.is_active
        """,
        {"merchants": list(merchant_ids), "subscriptions": list(subscription_ids)},
    )


async def end_subscriptions(conn: Conn, merchant_ids: Sequence[uuid.UUID], subscription_ids: Sequence[uuid.UUID], now: datetime) -> int:
    """End subscriptions and drop what still waits for them; return how many were active. `now` is real time."""
    keys = {"merchants": list(merchant_ids), "subscriptions": list(subscription_ids), "now": now}
    ended = await execute_counted(
        conn,
        """
        update subscription s set is_active = false
        from unnest(%(merchants)s::uuid[], %(subscriptions)s::uuid[]) as t(merchant_id, subscription_id)
        where s.merchant_id = t.merchant_id and s.subscription_id = t.subscription_id and s.is_active
        """,
        keys,
    )
    await execute(
        conn,
        """
        update notice n set done_at = %(now)s, outcome = 'dropped'
        from unnest(%(merchants)s::uuid[], %(subscriptions)s::uuid[]) as t(merchant_id, subscription_id)
        where n.merchant_id = t.merchant_id and n.subscription_id = t.subscription_id and n.done_at is null
        """,
        keys,
    )
    return ended


async def rest_subscription(conn: Conn, subscription: Subscription, failure_count: int, until: datetime | None) -> None:
    """Leave a subscription to which nothing gets through in peace until a real instant; None lets it be told at once."""
    await execute(
        conn,
        """
        update subscription set failure_count = %(count)s, rests_until = %(until)s
        where merchant_id = %(merchant)s and subscription_id = %(subscription)s
        """,
        {"merchant": subscription.merchant_id, "subscription": subscription.subscription_id, "count": failure_count, "until": until},
    )


async def find_subscription(conn: Conn, subscription_id: uuid.UUID) -> Subscription | None:
    """Return a subscription by its id, ended or not."""
    rows = await fetch(conn, f"select {_SUBSCRIPTION} from subscription s where s.subscription_id = %(id)s", {"id": subscription_id})
    return _subscription(rows[0]) if rows else None


async def list_subscriptions(conn: Conn, merchant_id: uuid.UUID | None = None) -> list[tuple[Subscription, NoticeCounts]]:
    """Return the subscriptions of a merchant, or of all, oldest first, with what became of their notices."""
    rows = await fetch(
        conn,
        f"""
        select {_SUBSCRIPTION},
            (select n.last_failure from notice n
             where n.merchant_id = s.merchant_id and n.subscription_id = s.subscription_id and n.last_failure is not null
             order by coalesce(n.done_at, n.next_attempt_at) desc limit 1),
            coalesce((select jsonb_object_agg(c.outcome, c.notices) from (
                select coalesce(n.outcome, 'open') as outcome, count(*) as notices from notice n
                where n.merchant_id = s.merchant_id and n.subscription_id = s.subscription_id group by 1
            ) c), '{{}}')
        from subscription s where %(merchant)s::uuid is null or s.merchant_id = %(merchant)s order by s.created_at, s.subscription_id
        """,
        {"merchant": merchant_id},
    )
    found: list[tuple[Subscription, NoticeCounts]] = []
    for *stored, failure, counts in rows:
        ended = {outcome: int(count) for outcome, count in counts.items() if outcome != "open"}
        found.append((_subscription(tuple(stored)), NoticeCounts(int(counts.get("open", 0)), ended, failure)))
    return found


async def read_waiting_subscriptions(conn: Conn, now: datetime) -> list[Subscription]:
    """Return the active subscriptions that do not rest and have something due at the real instant `now`."""
    rows = await fetch(
        conn,
        f"""
        select {_SUBSCRIPTION} from subscription s
        where s.is_active and (s.rests_until is null or s.rests_until <= %(now)s) and exists (
            select 1 from notice n where n.merchant_id = s.merchant_id and n.subscription_id = s.subscription_id
            and n.done_at is null and n.next_attempt_at <= %(now)s)
        order by s.merchant_id, s.subscription_id
        """,
        {"now": now},
    )
    return [_subscription(row) for row in rows]


# -- notices ---------------------------------------------------------------------------------------------------------


async def take_notices(conn: Conn, subscription: Subscription, now: datetime, until: datetime, limit: int) -> list[Notice]:
    """Take due notices of a subscription for one attempt that ends before `until`, of each subject the first one only, if that is due."""
    rows = await fetch(
        conn,
        """
        with taken as materialized (
            select c.merchant_id, c.subscription_id, c.subject_id, c.at, c.fact_code from notice c
            where c.merchant_id = %(merchant)s and c.subscription_id = %(subscription)s and c.done_at is null and c.next_attempt_at <= %(now)s
            and not exists (
                select 1 from notice e
                where e.merchant_id = c.merchant_id and e.subscription_id = c.subscription_id and e.subject_id = c.subject_id and e.done_at is null
                and (e.at, e.position_no, e.fact_code) < (c.at, c.position_no, c.fact_code))
            order by c.next_attempt_at, c.at limit %(limit)s for update of c skip locked
        )
        update notice n set attempt_count = n.attempt_count + 1, next_attempt_at = %(until)s
        from taken t left join outbox o
            on o.merchant_id = t.merchant_id and o.subject_id = t.subject_id and o.fact_code = t.fact_code and o.at = t.at
        where n.merchant_id = t.merchant_id and n.subscription_id = t.subscription_id and n.subject_id = t.subject_id and n.at = t.at
            and n.fact_code = t.fact_code
        returning n.merchant_id, n.subscription_id, n.subject_id, n.at, n.fact_code, n.attempt_count, n.replay_no, coalesce(o.content, '{}')
        """,
        {"merchant": subscription.merchant_id, "subscription": subscription.subscription_id, "now": now, "until": until, "limit": limit},
    )
    return sorted((Notice(*row) for row in rows), key=lambda one: (one.at, one.subject_id))


async def settle_notices(conn: Conn, results: Sequence[NoticeResult], now: datetime) -> int:
    """Store what became of attempts and return how many; an attempt that was overtaken, taken again or replayed meanwhile, changes nothing."""
    notices = [one.notice for one in results]
    return await execute_counted(
        conn,
        f"""
        update notice n set done_at = case when t.outcome is null then null else %(now)s end, outcome = t.outcome,
            next_attempt_at = coalesce(t.next_attempt_at, n.next_attempt_at), last_status = t.status, last_failure = t.failure
        from {_KEYS}, %(attempt_no)s::int[], %(replay_no)s::int[], %(outcome)s::text[], %(next_attempt_at)s::timestamptz[], %(status)s::int[],
            %(failure)s::text[]) as t(merchant_id, subscription_id, subject_id, at, fact_code, attempt_no, replay_no, outcome, next_attempt_at,
            status, failure)
        where {_SAME} and n.attempt_count = t.attempt_no and n.replay_no = t.replay_no and n.done_at is null
        """,
        columns(notices, *_KEY, "attempt_no", "replay_no")
        | columns(results, "next_attempt_at", "status", "failure")
        | {"outcome": [None if one.outcome is None else str(one.outcome) for one in results], "now": now},
    )


async def hold_followers(conn: Conn, results: Sequence[NoticeResult]) -> None:
    """Let what comes after notices that are tried again later wait as long, so that nobody looks at it in vain; the order holds without it."""
    again = [one for one in results if one.outcome is None]
    if not again:
        return
    await execute(
        conn,
        """
        update notice n set next_attempt_at = t.next_attempt_at
        from unnest(%(merchant_id)s::uuid[], %(subscription_id)s::uuid[], %(subject_id)s::uuid[], %(next_attempt_at)s::timestamptz[])
            as t(merchant_id, subscription_id, subject_id, next_attempt_at)
        where n.merchant_id = t.merchant_id and n.subscription_id = t.subscription_id and n.subject_id = t.subject_id and n.done_at is null
            and n.next_attempt_at < t.next_attempt_at
        """,
        columns([one.notice for one in again], "merchant_id", "subscription_id", "subject_id") | columns(again, "next_attempt_at"),
    )


_REPLAYED = "done_at = null, outcome = null, attempt_count = 0, next_attempt_at = %(now)s, replay_no = n.replay_no + 1"


async def replay_notices_since(conn: Conn, subscription: Subscription, since: datetime, now: datetime) -> int:
    """Make what ended at or after the real instant `since` due again, and return how many notices that are; in order per subject as ever."""
    return await execute_counted(
        conn,
        f"""
        update notice n set {_REPLAYED}
        where n.merchant_id = %(merchant)s and n.subscription_id = %(subscription)s and n.done_at >= %(since)s and n.outcome <> 'dropped'
        """,
        {"merchant": subscription.merchant_id, "subscription": subscription.subscription_id, "since": since, "now": now},
    )


async def replay_notice(conn: Conn, subscription: Subscription, subject_id: uuid.UUID, fact_code: str, at: datetime, now: datetime) -> int:
    """Make one ended notice due again; return 0 where there is none."""
    return await execute_counted(
        conn,
        f"""
        update notice n set {_REPLAYED}
        where n.merchant_id = %(merchant)s and n.subscription_id = %(subscription)s and n.subject_id = %(subject)s and n.fact_code = %(fact)s
            and n.at = %(at)s and n.done_at is not null
        """,
        {
            "merchant": subscription.merchant_id,
            "subscription": subscription.subscription_id,
            "subject": subject_id,
            "fact": fact_code,
            "at": at,
            "now": now,
        },
    )
