"""How far an import of orders has come: one row per file, written in the transaction of each step, so that a killed import goes on where it was."""

from collections.abc import Mapping
from datetime import date, datetime

from msgspec import Struct
from psycopg.types.json import Jsonb

from entrepot.base.sql import Conn, execute, execute_counted, fetch

_IMPORT = "content_hash, merchant_code, file_name, options, today_on, began_at, steps_done, finished_at, counts"


class StoredImport(Struct, frozen=True):
    """An import as it stands: what was asked for, the business date on which it began, the steps done and what they counted."""

    content_hash: str
    merchant_code: str
    file_name: str
    options: Mapping[str, object]
    today: date
    began_at: datetime
    steps_done: int
    finished_at: datetime | None
    counts: Mapping[str, int]


async def read_imports(conn: Conn) -> list[StoredImport]:
    """Return all imports, oldest first."""
    rows = await fetch(conn, f"select {_IMPORT} from order_import order by began_at, content_hash")
    return [StoredImport(*row) for row in rows]


async def insert_import(conn: Conn, begun: StoredImport) -> bool:
    """Write an import that begins; False where another program began the same file in this moment."""
    added = await execute_counted(
        conn,
        """
        insert into order_import (content_hash, merchant_code, file_name, options, today_on, began_at, steps_done, counts)
        values (%(hash)s, %(merchant)s, %(file)s, %(options)s, %(today)s, %(at)s, %(steps)s, %(counts)s) on conflict do nothing
        """,
        {
            "hash": begun.content_hash,
            "merchant": begun.merchant_code,
            "file": begun.file_name,
            "options": Jsonb(dict(begun.options)),
            "today": begun.today,
            "at": begun.began_at,
            "steps": begun.steps_done,
            "counts": Jsonb(dict(begun.counts)),
        },
    )
    return added == 1


async def advance_import(conn: Conn, content_hash: str, steps_done: int, counts: Mapping[str, int], finished_at: datetime | None) -> bool:
    """Note one more step as done; False where it is not the next one, because another program does the same import."""
    changed = await execute_counted(
        conn,
        """
        update order_import set steps_done = %(steps)s, counts = %(counts)s, finished_at = %(finished)s
        where content_hash = %(hash)s and steps_done = %(steps)s - 1
        """,
        {"hash": content_hash, "steps": steps_done, "counts": Jsonb(dict(counts)), "finished": finished_at},
    )
    return changed == 1


async def insert_refusals(conn: Conn, content_hash: str, reasons: Mapping[int, str]) -> None:
    """Keep the lines that the flows refused, by line number of the file."""
    if not reasons:
        return
    await execute(
        conn,
        """
        insert into order_import_refusal (content_hash, line_no, reason)
        select %(hash)s, t.line_no, t.reason from unnest(%(lines)s::int[], %(reasons)s::text[]) as t(line_no, reason)
        on conflict do nothing
        """,
        {"hash": content_hash, "lines": list(reasons), "reasons": list(reasons.values())},
    )


async def read_refusals(conn: Conn, content_hash: str) -> dict[int, str]:
    """Return the lines that the flows refused so far, by line number of the file."""
    rows = await fetch(
        conn, "select line_no, reason from order_import_refusal where content_hash = %(hash)s order by line_no", {"hash": content_hash}
    )
    return {int(row[0]): str(row[1]) for row in rows}


async def refresh_statistics(conn: Conn) -> None:
    """Let the planner see how the tables have grown; without it the first thousands of rows decide the plans of half a million."""
    await execute(conn, "analyze")
