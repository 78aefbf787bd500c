"""A later step that failed is tried again now, because somebody of the house says so."""

import uuid
from datetime import datetime

from entrepot.base.actor import Actor
from entrepot.base.audit import Act, write_acts
from entrepot.base.due_rows import hasten_due
from entrepot.base.errors import UnknownReferenceError
from entrepot.base.sql import Conn


class NoFailedWorkError(UnknownReferenceError):
    """No open work of this step failed before; it was done meanwhile, or it waits for its own time."""


async def retry_due(conn: Conn, merchant_id: uuid.UUID, step_code: str, subject_id: uuid.UUID, actor: Actor, now: datetime) -> None:
    """Let a failed step be due now, which its runner does next; a step that never failed keeps its time."""
    if not await hasten_due(conn, merchant_id, step_code, subject_id, now):
        raise NoFailedWorkError("step_code", step_code, "Look at the list of due work again.")
    await write_acts(conn, [Act(merchant_id, subject_id, f"retry_{step_code}", now, actor)])
