"""Who works for a merchant: its accounts, as its owner sees them."""

import uuid
from datetime import datetime

from msgspec import Struct

from entrepot.base.sql import Conn, fetch
from entrepot.parties.accounts import StaffRole, StaffStatus


class TeamMember(Struct, frozen=True):
    """An account of a merchant."""

    staff_id: uuid.UUID
    login: str
    display_name: str
    role: StaffRole
    status: StaffStatus
    created_at: datetime
    last_at: datetime | None


async def list_team(conn: Conn, merchant_id: uuid.UUID) -> list[TeamMember]:
    """Return the accounts of a merchant with when each signed in last, those that may sign in first."""
    rows = await fetch(
        conn,
        """
        select s.staff_id, s.login, s.display_name, s.role_code, s.status, s.created_at, max(w.created_at)
        from staff s left join web_session w on w.staff_id = s.staff_id and not w.awaits_code
        where s.merchant_id = %(merchant)s group by s.staff_id order by s.status, s.role_code, s.login
        """,
        {"merchant": merchant_id},
    )
    return [TeamMember(row[0], str(row[1]), str(row[2]), StaffRole(row[3]), StaffStatus(row[4]), row[5], row[6]) for row in rows]
