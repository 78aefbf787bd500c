"""The audit trail: who commanded what, in the transaction that changed it; and the outbox of facts to tell others."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import Struct, field

from entrepot.base.actor import Actor
from entrepot.base.sql import Conn, columns, execute, fetch, json_column


class Act(Struct, frozen=True):
    """One command on one subject by one actor."""

    merchant_id: uuid.UUID
    subject_id: uuid.UUID
    command_code: str
    at: datetime
    actor: Actor
    note: str = ""


class Fact(Struct, frozen=True):
    """Something that happened to a subject, told in the past tense, without personal data."""

    merchant_id: uuid.UUID
    subject_id: uuid.UUID
    fact_code: str
    at: datetime
    content: Mapping[str, object] = field(default_factory=dict[str, object])


async def write_acts(conn: Conn, acts: Sequence[Act]) -> None:
    """Write who commanded what; the same act at the same instant stands once."""
    if not acts:
        return
    await execute(
        conn,
        """
        insert into audit_entry (merchant_id, subject_id, command_code, at, actor_kind, actor_code, actor_role, on_behalf_of, request_id, note)
        select * from unnest(%(merchant_id)s::uuid[], %(subject_id)s::uuid[], %(command_code)s::text[], %(at)s::timestamptz[],
            %(kind)s::text[], %(code)s::text[], %(role)s::text[], %(behalf)s::uuid[], %(request)s::text[], %(note)s::text[])
        on conflict do nothing
        """,
        columns(acts, "merchant_id", "subject_id", "command_code", "at", "note")
        | {
            "kind": [str(act.actor.kind) for act in acts],
            "code": [act.actor.code for act in acts],
            "role": [act.actor.role for act in acts],
            "behalf": [act.actor.on_behalf_of for act in acts],
            "request": [act.actor.request_id for act in acts],
        },
    )


async def write_facts(conn: Conn, facts: Sequence[Fact]) -> None:
    """Write facts to the outbox, and a notice for each subscription to them, in the transaction that made them true; a replay adds nothing.

    Because the notices are written with the fact, no reader has to find out later which facts are new: one that commits late is not overlooked.
    """
    if not facts:
        return
    await execute(
        conn,
        """
        with asked as (
            select * from unnest(%(merchant_id)s::uuid[], %(subject_id)s::uuid[], %(fact_code)s::text[], %(at)s::timestamptz[], %(content)s::jsonb[])
                with ordinality as t(merchant_id, subject_id, fact_code, at, content, position)
        ), told as (
            insert into outbox (merchant_id, subject_id, fact_code, at, content)
            select merchant_id, subject_id, fact_code, at, content from asked
            on conflict do nothing returning merchant_id, subject_id, fact_code, at
        )
        insert into notice (merchant_id, subscription_id, subject_id, at, fact_code, position_no)
        select t.merchant_id, s.subscription_id, t.subject_id, t.at, t.fact_code,
            (select count(*) from notice n
             where n.merchant_id = t.merchant_id and n.subscription_id = s.subscription_id and n.subject_id = t.subject_id)
            + row_number() over (partition by s.subscription_id, t.subject_id order by a.position)
        from told t
        join subscription s on s.merchant_id = t.merchant_id and s.is_active and t.fact_code = any(s.fact_codes)
        join asked a on a.merchant_id = t.merchant_id and a.subject_id = t.subject_id and a.fact_code = t.fact_code and a.at = t.at
        on conflict do nothing
        """,
        columns(facts, "merchant_id", "subject_id", "fact_code", "at") | {"content": json_column(fact.content for fact in facts)},
    )


async def read_acts(conn: Conn, merchant_id: uuid.UUID, subject_ids: Sequence[uuid.UUID]) -> list[tuple[datetime, str, str, str, str]]:
    """Return (at, command, actor kind, actor, note) of a merchant's subjects, oldest first."""
    rows = await fetch(
        conn,
        """
        select at, command_code, actor_kind, actor_code, note from audit_entry
        where merchant_id = %(merchant)s and subject_id = any(%(subjects)s) order by at, command_code
        """,
        {"merchant": merchant_id, "subjects": list(subject_ids)},
    )
    return [(row[0], row[1], row[2], row[3], row[4]) for row in rows]


async def read_facts(conn: Conn, merchant_id: uuid.UUID, subject_ids: Sequence[uuid.UUID]) -> list[Fact]:
    """Return the facts of a merchant's subjects, oldest first."""
    rows = await fetch(
        conn,
        """
        select merchant_id, subject_id, fact_code, at, content from outbox
        where merchant_id = %(merchant)s and subject_id = any(%(subjects)s) order by at, subject_id, fact_code
        """,
        {"merchant": merchant_id, "subjects": list(subject_ids)},
    )
    return [Fact(*row) for row in rows]


async def read_latest_facts(conn: Conn, limit: int) -> list[Fact]:
    """Return the latest facts of the whole house, newest first, for the live feed."""
    rows = await fetch(
        conn,
        "select merchant_id, subject_id, fact_code, at, content from outbox order by at desc, subject_id, fact_code limit %(limit)s",
        {"limit": limit},
    )
    return [Fact(*row) for row in rows]
