"""Checks and appointments of all merchants, for the operator."""

import uuid

from entrepot.base.sql import Conn, fetch
from entrepot.parties.model import KycCase, RoleHolder


async def list_kyc_cases(conn: Conn, state: str, limit: int) -> list[KycCase]:
    """Return cases in a state, the longest waiting first."""
    rows = await fetch(
        conn,
        """
        select merchant_id, case_id, gate, state, documents, decided_by, reason, changed_at, step_count from kyc_case
        where state = %(state)s order by changed_at, case_id limit %(limit)s
        """,
        {"state": state, "limit": limit},
    )
    return [KycCase(row[0], row[1], row[2], row[3], tuple(row[4]), *row[5:]) for row in rows]


async def count_kyc_states(conn: Conn) -> dict[tuple[uuid.UUID, str], int]:
    """Return how many checks of each merchant are in each state."""
    rows = await fetch(conn, "select merchant_id, state, count(*) from kyc_case group by 1, 2 order by 1, 2")
    return {(row[0], str(row[1])): int(row[2]) for row in rows}


async def list_role_holders(conn: Conn) -> list[RoleHolder]:
    """Return all appointments, past and future ones too, by marketplace, role and start."""
    rows = await fetch(
        conn,
        """
        select marketplace_code, role_code, entity_merchant_id, effective_from, effective_to, source, confidence from role_holder
        order by marketplace_code, role_code, effective_from
        """,
    )
    return [RoleHolder(*row) for row in rows]
