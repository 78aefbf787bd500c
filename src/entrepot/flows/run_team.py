"""A merchant's owner says who works for it: opens accounts and closes them, each with its actor on record."""

import uuid
from datetime import datetime

from entrepot.base.actor import Actor
from entrepot.base.audit import Act, write_acts
from entrepot.base.errors import ConflictError, UnknownReferenceError
from entrepot.base.sql import Conn
from entrepot.parties.accounts import NewStaff, StaffRole, StaffStatus
from entrepot.parties.model import Outcome
from entrepot.parties.sign_in import close_staff, create_staff
from entrepot.parties.team import list_team


class LoginTakenError(ConflictError):
    """Somebody signs in with this login already; choose another."""


class UnknownColleagueError(UnknownReferenceError):
    """Nobody of the merchant's team has this id."""


class LastOwnerError(ConflictError):
    """A merchant keeps at least one owner; open another owner's account first."""


async def open_account(conn: Conn, member: NewStaff, actor: Actor, business_at: datetime, real_at: datetime) -> Outcome:
    """Open an account of a merchant; the same account again is a replay, another one with the same login is refused."""
    known = {one.login: one for one in await list_team(conn, member.merchant_id)} if member.merchant_id is not None else {}
    outcome = (await create_staff(conn, [member], real_at))[0]
    if outcome is Outcome.NEW and member.merchant_id is not None:
        await write_acts(conn, [Act(member.merchant_id, member.staff_id, f"open_account_{member.role}", business_at, actor, member.login)])
        return outcome
    standing = known.get(member.login)
    if standing is None or standing.staff_id != member.staff_id:
        raise LoginTakenError("login", member.login, "Choose another login.")
    return outcome


async def close_account(conn: Conn, merchant_id: uuid.UUID, staff_id: uuid.UUID, actor: Actor, business_at: datetime, real_at: datetime) -> bool:
    """Close an account of a merchant and end its sessions; tell whether it was open."""
    team = await list_team(conn, merchant_id)
    member = next((one for one in team if one.staff_id == staff_id), None)
    if member is None:
        raise UnknownColleagueError("staff_id", str(staff_id), "Choose somebody of your team.")
    owners = [one for one in team if one.role is StaffRole.MERCHANT_OWNER and one.status is StaffStatus.ACTIVE]
    if [one.staff_id for one in owners] == [staff_id]:
        raise LastOwnerError("staff_id", member.login, "Open another owner's account first.")
    closed = await close_staff(conn, [staff_id], real_at)
    if closed:
        await write_acts(conn, [Act(merchant_id, staff_id, "close_account", business_at, actor, member.login)])
    return bool(closed)
