"""What somebody waits for in front of a screen: while there is any of it, whoever moves the business clock may hurry.

A wait has an end by the machine's clock, so that nobody can keep time running fast.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime

from entrepot.base.sql import Conn, execute, fetch

Subject = tuple[uuid.UUID, uuid.UUID]
"""A merchant and the id of what is waited for."""


async def await_subjects(conn: Conn, subjects: Sequence[Subject], until_at: datetime) -> None:
    """Wait for subjects until a real instant; who waits already waits until the later of the two."""
    await execute(
        conn,
        """
        insert into awaited (merchant_id, subject_id, until_at)
        select merchant_id, subject_id, %(until)s from unnest(%(merchants)s::uuid[], %(subjects)s::uuid[]) as t(merchant_id, subject_id)
        order by 1, 2
        on conflict (merchant_id, subject_id) do update set until_at = greatest(awaited.until_at, excluded.until_at)
        """,
        {"merchants": [one[0] for one in subjects], "subjects": [one[1] for one in subjects], "until": until_at},
    )


async def read_awaited(conn: Conn, real_at: datetime) -> list[Subject]:
    """Return what is still waited for at a real instant, in key order."""
    rows = await fetch(conn, "select merchant_id, subject_id from awaited where until_at > %(at)s order by 1, 2", {"at": real_at})
    return [(row[0], row[1]) for row in rows]


async def stop_waiting(conn: Conn, subjects: Sequence[Subject]) -> None:
    """Wait for these subjects no longer."""
    await execute(
        conn,
        """
        delete from awaited a using unnest(%(merchants)s::uuid[], %(subjects)s::uuid[]) as t(merchant_id, subject_id)
        where a.merchant_id = t.merchant_id and a.subject_id = t.subject_id
        """,
        {"merchants": [one[0] for one in subjects], "subjects": [one[1] for one in subjects]},
    )
