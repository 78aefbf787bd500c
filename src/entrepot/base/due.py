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
    """Write due work; a row that stands already keeps its time, and of several for one subject the earliest counts."""
    if not work:
        return
    await execute(
        conn,
        """
        insert into due_work (merchant_id, step_code, subject_id, person_id, due_at)
        select * from unnest(%(merchant_id)s::uuid[], %(step_code)s::text[], %(subject_id)s::uuid[], %(person_id)s::uuid[], %(due_at)s::timestamptz[])
             as t(merchant_id, step_code, subject_id, person_id, due_at)
        order by due_at
        on conflict do nothing
        """,
        columns(work, *_FIELDS),
    )


async def take_due(conn: Conn, step_code: str, now: datetime, limit: int) -> list[Due]:
    """Lock and return the open work of one step that is due, in order of (due_at, subject_id); others' locked rows are passed over."""
    rows = await fetch(
        conn,
        """
        select merchant_id, step_code, subject_id, due_at, person_id from due_work
        where step_code = %(step)s and due_at <= %(now)s
        order by due_at, subject_id limit %(limit)s for update skip locked
        """,
        {"step": step_code, "now": now, "limit": limit},
    )
    return [Due(*row) for row in rows]


async def finish_due(conn: Conn, work: Sequence[Due]) -> None:
    """Take work off the list, whether a runner did it or another step overtook it: what was done is told by acts and facts, the list holds what is to do."""
    if not work:
        return
    await execute(
        conn,
        """
        delete from due_work d
        using unnest(%(merchant_id)s::uuid[], %(step_code)s::text[], %(subject_id)s::uuid[]) as t(merchant_id, step_code, subject_id)
        where d.merchant_id = t.merchant_id and d.step_code = t.step_code and d.subject_id = t.subject_id
        """,
        columns(work, "merchant_id", "step_code", "subject_id"),
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
    rows = await fetch(conn, "select min(due_at) from due_work")
    return rows[0][0]


async def count_due(conn: Conn) -> list[tuple[str, int, int]]:
    """Return for each step its open rows and those of them that failed before, for the operator's page."""
    rows = await fetch(
        conn,
        """
        select step_code, count(*), count(*) filter (where attempt_count > 0) from due_work
        group by step_code order by step_code
        """,
    )
    return [(str(row[0]), int(row[1]), int(row[2])) for row in rows]
