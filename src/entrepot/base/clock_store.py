"""The business clock of a database: one stored instant that only moves forward."""

from datetime import datetime

from entrepot.base.sql import Conn, execute, fetch_one


async def read_business_now(conn: Conn) -> datetime | None:
    """Return the stored business instant, or None before the first step."""
    row = await fetch_one(conn, "select business_at from business_clock where only_row = 1")
    return None if row is None else row[0]


async def advance_business_now(conn: Conn, at: datetime) -> None:
    """Move the business clock forward to `at`; an earlier instant changes nothing."""
    await execute(
        conn,
        """
        insert into business_clock (only_row, business_at) values (1, %(at)s)
        on conflict (only_row) do update set business_at = greatest(business_clock.business_at, excluded.business_at)
        """,
        {"at": at},
    )
