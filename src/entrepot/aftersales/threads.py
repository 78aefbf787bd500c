"""Conversations between buyer, merchant and platform about an order; texts hold no addresses."""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from entrepot.aftersales.model import MESSAGE_LENGTH, AuthorRole, Message, MessageEmptyError, Outcome, Thread, ThreadKey
from entrepot.base.actor import Actor
from entrepot.base.audit import Act, write_acts
from entrepot.base.ids import derived_id
from entrepot.base.sql import Conn, Row, columns, fetch

ANSWER_WITHIN: Final = timedelta(hours=24)
"""Within which a merchant answers a buyer, weekends and holidays included (published target of a large marketplace, confidence seen)."""

_HEAD = "h.merchant_id, h.thread_id, h.order_id, h.topic_code, h.opened_at"


def thread_id_of(key: ThreadKey) -> uuid.UUID:
    """Return the id of the thread about an order and topic."""
    return derived_id("thread", key.merchant_id, key.order_id, key.topic_code)


def answer_due_at(asked_at: datetime) -> datetime:
    """Return until when a message that needs an answer is to be answered."""
    return asked_at + ANSWER_WITHIN


async def open_threads(conn: Conn, keys: Sequence[ThreadKey], at: datetime, actor: Actor) -> list[uuid.UUID]:
    """Open threads, or find those that stand, and return their ids in the order asked."""
    rows = await fetch(
        conn,
        """
        insert into thread (merchant_id, thread_id, order_id, topic_code, opened_at)
        select t.merchant_id, t.thread_id, t.order_id, t.topic_code, %(at)s
        from unnest(%(merchant_id)s::uuid[], %(thread_id)s::uuid[], %(order_id)s::uuid[], %(topic_code)s::text[])
             as t(merchant_id, thread_id, order_id, topic_code)
        on conflict do nothing returning merchant_id, thread_id
        """,
        columns(keys, "merchant_id", "order_id", "topic_code") | {"thread_id": [thread_id_of(key) for key in keys], "at": at},
    )
    await write_acts(conn, [Act(row[0], row[1], "open_thread", at, actor) for row in rows])
    return [thread_id_of(key) for key in keys]


async def post_messages(conn: Conn, messages: Sequence[Message], actor: Actor) -> list[Outcome]:
    """Post messages; the same id again is `exists`, a thread of nobody or of another merchant is `unknown`."""
    for message in messages:
        if not message.text.strip() or len(message.text) > MESSAGE_LENGTH:
            raise MessageEmptyError("message.text", message.text[:40], "Write 1 to %(most)s signs.", most=MESSAGE_LENGTH)
    rows = await fetch(
        conn,
        """
        insert into message (merchant_id, thread_id, message_id, author_role, text, at, needs_answer)
        select t.* from unnest(%(merchant_id)s::uuid[], %(thread_id)s::uuid[], %(message_id)s::uuid[], %(author_role)s::text[], %(text)s::text[],
                               %(at)s::timestamptz[], %(needs_answer)s::boolean[])
             as t(merchant_id, thread_id, message_id, author_role, text, at, needs_answer)
        join thread h on h.merchant_id = t.merchant_id and h.thread_id = t.thread_id
        on conflict do nothing returning merchant_id, thread_id, message_id
        """,
        columns(messages, "merchant_id", "thread_id", "message_id", "text", "at", "needs_answer")
        | {"author_role": [str(message.author_role) for message in messages]},
    )
    fresh = {(row[0], row[1], row[2]) for row in rows}
    known = await _known_threads(conn, messages)
    outcomes: list[Outcome] = []
    acts: list[Act] = []
    for message in messages:
        key = (message.merchant_id, message.thread_id, message.message_id)
        if key in fresh:
            fresh.discard(key)
            outcomes.append(Outcome.DONE)
            acts.append(Act(message.merchant_id, message.message_id, "post_message", message.at, actor))
        else:
            outcomes.append(Outcome.EXISTS if (message.merchant_id, message.thread_id) in known else Outcome.UNKNOWN)
    await write_acts(conn, acts)
    return outcomes


async def list_threads_of_orders(conn: Conn, merchant_id: uuid.UUID, order_ids: Sequence[uuid.UUID]) -> list[Thread]:
    """Return the threads about a merchant's orders with all messages, oldest first."""
    rows = await fetch(
        conn,
        f"select {_HEAD} from thread h where h.merchant_id = %(merchant)s and h.order_id = any(%(orders)s) order by h.opened_at, h.thread_id",
        {"merchant": merchant_id, "orders": list(order_ids)},
    )
    return await _with_messages(conn, merchant_id, rows)


async def list_waiting_threads(conn: Conn, merchant_id: uuid.UUID, limit: int) -> list[Thread]:
    """Return threads whose last message is a buyer's that needs an answer, the longest waiting first."""
    rows = await fetch(
        conn,
        f"""
        select {_HEAD} from thread h
        join lateral (
            select m.author_role, m.needs_answer, m.at from message m
            where m.merchant_id = h.merchant_id and m.thread_id = h.thread_id order by m.at desc, m.message_id desc limit 1
        ) as last on last.author_role = 'buyer' and last.needs_answer
        where h.merchant_id = %(merchant)s order by last.at, h.thread_id limit %(limit)s
        """,
        {"merchant": merchant_id, "limit": limit},
    )
    return await _with_messages(conn, merchant_id, rows)


async def list_latest_threads(conn: Conn, merchant_id: uuid.UUID, limit: int) -> list[Thread]:
    """Return a merchant's threads that were written to last, the latest first; a thread without a message counts from its opening."""
    rows = await fetch(
        conn,
        f"""
        select {_HEAD} from thread h
        left join lateral (
            select max(m.at) as at from message m where m.merchant_id = h.merchant_id and m.thread_id = h.thread_id
        ) as last on true
        where h.merchant_id = %(merchant)s order by coalesce(last.at, h.opened_at) desc, h.thread_id limit %(limit)s
        """,
        {"merchant": merchant_id, "limit": limit},
    )
    return await _with_messages(conn, merchant_id, rows)


async def pick_waiting_threads(conn: Conn, merchant_ids: Sequence[uuid.UUID], thread_ids: Sequence[uuid.UUID]) -> set[uuid.UUID]:
    """Return those of these threads whose last message is a buyer's that needs an answer."""
    rows = await fetch(
        conn,
        """
        select t.thread_id from (select distinct * from unnest(%(merchants)s::uuid[], %(threads)s::uuid[])) as t(merchant_id, thread_id)
        join lateral (
            select m.author_role, m.needs_answer from message m
            where m.merchant_id = t.merchant_id and m.thread_id = t.thread_id order by m.at desc, m.message_id desc limit 1
        ) as last on last.author_role = 'buyer' and last.needs_answer
        order by t.thread_id
        """,
        {"merchants": list(merchant_ids), "threads": list(thread_ids)},
    )
    return {row[0] for row in rows}


async def _known_threads(conn: Conn, messages: Sequence[Message]) -> set[tuple[uuid.UUID, uuid.UUID]]:
    rows = await fetch(
        conn,
        """
        select h.merchant_id, h.thread_id from thread h
        join (select distinct * from unnest(%(merchant_id)s::uuid[], %(thread_id)s::uuid[])) as t(merchant_id, thread_id)
          on h.merchant_id = t.merchant_id and h.thread_id = t.thread_id
        """,
        columns(messages, "merchant_id", "thread_id"),
    )
    return {(row[0], row[1]) for row in rows}


async def _with_messages(conn: Conn, merchant_id: uuid.UUID, heads: Sequence[Row]) -> list[Thread]:
    rows = await fetch(
        conn,
        """
        select merchant_id, thread_id, message_id, author_role, text, at, needs_answer from message
        where merchant_id = %(merchant)s and thread_id = any(%(threads)s) order by at, message_id
        """,
        {"merchant": merchant_id, "threads": [row[1] for row in heads]},
    )
    messages: dict[uuid.UUID, list[Message]] = {}
    for row in rows:
        messages.setdefault(row[1], []).append(Message(row[0], row[1], row[2], AuthorRole(row[3]), *row[4:]))
    return [Thread(*row, messages=tuple(messages.get(row[1], ()))) for row in heads]
