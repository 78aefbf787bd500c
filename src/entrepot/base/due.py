"""Due work: later steps are rows written with the state change that causes them, taken in order when their time comes."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from entrepot.base.sql import Conn, columns, execute, fetch


class Due(Struct, frozen=True):
    """One later step of one subject: the flow function's name, and the instant from which it may run."""

    merchant_id: uuid.UUID
    step_code: str
    subject_id: uuid.UUID
    due_at: datetime
    person_id: uuid.UUID | None = None


_FIELDS = ("merchant_id", "step_code", "subject_id", "person_id", "due_at")


async def add_due(conn: Conn, work: Sequence[Due]) -> None:
    """Write due work; a row that stands already keeps its time, one that was done is due again."""
    if not work:
        return
    await execute(
        conn,
        """
        insert into due_work (merchant_id, step_code, subject_id, person_id, due_at)
        select distinct on (merchant_id, step_code, subject_id) merchant_id, step_code, subject_id, person_id, due_at
        from unnest(%(merchant_id)s::uuid[], %(step_code)s::text[], %(subject_id)s::uuid[], %(person_id)s::uuid[], %(due_at)s::timestamptz[])
             as t(merchant_id, step_code, subject_id, person_id, due_at)
        order by merchant_id, step_code, subject_id, due_at
        on conflict (merchant_id, step_code, subject_id) do update
        set due_at = excluded.due_at, done_at = null, attempt_count = 0
        where due_work.done_at is not null
        """,
        columns(work, *_FIELDS),
    )


async def take_due(conn: Conn, step_code: str, now: datetime, limit: int) -> list[Due]:
    """Lock and return the open work of one step that is due, in order of (due_at, subject_id); others' locked rows are passed over."""
    rows = await fetch(
        conn,
        """
        select merchant_id, step_code, subject_id, due_at, person_id from due_work
        where step_code = %(step)s and done_at is null and due_at <= %(now)s
        order by due_at, subject_id limit %(limit)s for update skip locked
        """,
        {"step": step_code, "now": now, "limit": limit},
    )
    return [Due(*row) for row in rows]


async def finish_due(conn: Conn, work: Sequence[Due], now: datetime) -> None:
    """Mark work as done, whether it was taken by a runner or overtaken by another step."""
    if not work:
        return
    await execute(
        conn,
        """
        update due_work d set done_at = %(now)s, failure = null
        from unnest(%(merchant_id)s::uuid[], %(step_code)s::text[], %(subject_id)s::uuid[]) as t(merchant_id, step_code, subject_id)
        where d.merchant_id = t.merchant_id and d.step_code = t.step_code and d.subject_id = t.subject_id and d.done_at is null
        """,
        columns(work, "merchant_id", "step_code", "subject_id") | {"now": now},
    )


async def postpone_due(conn: Conn, work: Sequence[Due], until: datetime, failure: str) -> None:
    """Try work again later and keep why it failed."""
    await execute(
        conn,
        """
        update due_work d set due_at = %(until)s, attempt_count = attempt_count + 1, failure = %(failure)s
        from unnest(%(merchant_id)s::uuid[], %(step_code)s::text[], %(subject_id)s::uuid[]) as t(merchant_id, step_code, subject_id)
        where d.merchant_id = t.merchant_id and d.step_code = t.step_code and d.subject_id = t.subject_id
        """,
        columns(work, "merchant_id", "step_code", "subject_id") | {"until": until, "failure": failure},
    )


async def next_due_at(conn: Conn) -> datetime | None:
    """Return when the earliest open work is due, or None."""
    rows = await fetch(conn, "select min(due_at) from due_work where done_at is null")
    return rows[0][0]


async def count_due(conn: Conn) -> list[tuple[str, int, int]]:
    """Return for each step its open rows and those of them that failed before, for the operator's page."""
    rows = await fetch(
        conn,
        """
        select step_code, count(*), count(*) filter (where attempt_count > 0) from due_work
        where done_at is null group by step_code order by step_code
        """,
    )
    return [(str(row[0]), int(row[1]), int(row[2])) for row in rows]
