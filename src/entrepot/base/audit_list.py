"""The audit trail as a list: who did what to which record, newest first."""

import uuid
from datetime import datetime

from msgspec import Struct

from entrepot.base.sql import Conn, fetch


class ListedAct(Struct, frozen=True):
    """One act of the trail."""

    merchant_id: uuid.UUID
    subject_id: uuid.UUID
    command_code: str
    at: datetime
    actor_kind: str
    actor_code: str
    actor_role: str
    request_id: str
    note: str


_FITS = """
    (%(command)s = '' or a.command_code = %(command)s) and (%(actor)s = '' or a.actor_code = %(actor)s)
    and (%(subject)s::uuid is null or a.subject_id = %(subject)s or a.merchant_id = %(subject)s)
    and (%(people)s = '' or a.actor_kind <> 'program')
"""


async def list_acts(
    conn: Conn, command: str, actor: str, subject_id: uuid.UUID | None, people: str, limit: int, offset: int
) -> tuple[list[ListedAct], int]:
    """Return a page of acts and how many fit: of one command, actor, record or merchant; with `people` set, without what programs did."""
    params = {"command": command, "actor": actor, "subject": subject_id, "people": people, "limit": limit, "offset": offset}
    rows = await fetch(
        conn,
        f"""
        select a.merchant_id, a.subject_id, a.command_code, a.at, a.actor_kind, a.actor_code, a.actor_role, a.request_id, a.note
        from audit_entry a where {_FITS} order by a.at desc, a.subject_id, a.command_code limit %(limit)s offset %(offset)s
        """,
        params,
    )
    counted = await fetch(conn, f"select count(*) from audit_entry a where {_FITS}", params)
    return [ListedAct(*row) for row in rows], int(counted[0][0])


async def list_commands(conn: Conn) -> list[str]:
    """Return the codes of all commands that were ever given, for the filter."""
    return [str(row[0]) for row in await fetch(conn, "select distinct command_code from audit_entry order by 1 limit 500")]
