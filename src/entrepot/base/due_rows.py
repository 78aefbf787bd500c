"""Due work row by row: for the operator's page, for trying again at once, and for steps whose time moves."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from entrepot.base.due import Due
from entrepot.base.sql import Conn, columns, execute, execute_counted, fetch


class DueRow(Struct, frozen=True):
    """One later step as it waits: how often it was tried, and why it failed last."""

    merchant_id: uuid.UUID
    step_code: str
    subject_id: uuid.UUID
    due_at: datetime
    attempt_count: int
    failure: str


async def list_due(conn: Conn, step_code: str | None, only_failed: str, limit: int, offset: int) -> list[DueRow]:
    """Return a page of open work, the earliest first: of one step or all, and with `only_failed` set only what was tried before."""
    rows = await fetch(
        conn,
        """
        select merchant_id, step_code, subject_id, due_at, attempt_count, coalesce(failure, '') from due_work d
        where (%(step)s::text is null or step_code = %(step)s) and (%(failed)s = '' or attempt_count > 0)
        order by due_at, subject_id, step_code limit %(limit)s offset %(offset)s
        """,
        {"step": step_code, "failed": only_failed, "limit": limit, "offset": offset},
    )
    return [DueRow(*row) for row in rows]


async def count_due_rows(conn: Conn, step_code: str | None, only_failed: str) -> int:
    """Return how many rows such a list has."""
    rows = await fetch(
        conn,
        """
        select count(*) from due_work d where (%(step)s::text is null or step_code = %(step)s) and (%(failed)s = '' or attempt_count > 0)
        """,
        {"step": step_code, "failed": only_failed},
    )
    return int(rows[0][0])


async def hasten_due(conn: Conn, merchant_id: uuid.UUID, step_code: str, subject_id: uuid.UUID, now: datetime) -> int:
    """Let a waiting step that failed before be due now; return whether one was there (1) or not (0). One that is due already stays as it is."""
    return await execute_counted(
        conn,
        """
        update due_work d set due_at = least(d.due_at, %(now)s)
        where merchant_id = %(merchant)s and step_code = %(step)s and subject_id = %(subject)s and attempt_count > 0
        """,
        {"merchant": merchant_id, "step": step_code, "subject": subject_id, "now": now},
    )


async def move_due(conn: Conn, work: Sequence[Due]) -> None:
    """Let open work be due at another time; this is no failed attempt."""
    if not work:
        return
    await execute(
        conn,
        """
        update due_work d set due_at = t.due_at
        from unnest(%(merchant_id)s::uuid[], %(step_code)s::text[], %(subject_id)s::uuid[], %(due_at)s::timestamptz[])
             as t(merchant_id, step_code, subject_id, due_at)
        where d.merchant_id = t.merchant_id and d.step_code = t.step_code and d.subject_id = t.subject_id
        """,
        columns(work, "merchant_id", "step_code", "subject_id", "due_at"),
    )
