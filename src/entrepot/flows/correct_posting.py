"""A posting is corrected by another one: somebody of the house proposes its entries with a reason, a second person lets it count or not."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from entrepot.base.actor import Actor
from entrepot.base.audit import Act, write_acts
from entrepot.base.errors import UnknownReferenceError
from entrepot.base.ids import derived_id, derived_id_at
from entrepot.base.sql import Conn
from entrepot.base.time import at_ms
from entrepot.books.money.correction import (
    Correction,
    CorrectionDecidedError,
    CorrectionRefusedError,
    CorrectionState,
    FaultAt,
    OwnCorrectionError,
    decide_correction,
    faults_of,
    insert_correction,
    lock_correction,
    read_account_codes,
)
from entrepot.books.money.model import Entry, MoneyPosting
from entrepot.books.money.post import post_entries
from entrepot.books.money.read import EntryRow, read_posting

CORRECTION = "correction"
"""Kind of a posting that corrects another one, which its cause names."""


class UncorrectablePostingError(UnknownReferenceError):
    """Only a posting that counts can be corrected; one that still waits is decided by its own cause."""


class Proposal(Struct, frozen=True):
    """What somebody proposes against a posting; `request_key` makes sending it twice one proposal."""

    merchant_id: uuid.UUID
    corrects_id: uuid.UUID
    reason: str
    entries: Sequence[Entry]
    request_key: str


async def faults_of_proposal(conn: Conn, ask: Proposal) -> list[FaultAt]:
    """Return all that is wrong with a proposal, for the page that it was typed into."""
    return faults_of(ask.reason, ask.entries, await read_account_codes(conn))


async def propose_correction(conn: Conn, ask: Proposal, staff_id: uuid.UUID, actor: Actor, now: datetime) -> uuid.UUID:
    """Write a correction that waits for a second person and return its id; nothing is posted yet, and the same proposal again is a replay."""
    await require_correctable(conn, ask.merchant_id, ask.corrects_id)
    faults = await faults_of_proposal(conn, ask)
    if faults:
        first = faults[0]
        raise CorrectionRefusedError("entries", f"{first.fault} {first.told}".strip(), "Let debits and credits of known accounts sum to zero.")
    correction_id = derived_id("correction", ask.merchant_id, ask.corrects_id, staff_id, ask.request_key)
    waiting = CorrectionState.PROPOSED
    one = Correction(ask.merchant_id, correction_id, ask.corrects_id, ask.reason.strip(), tuple(ask.entries), waiting, staff_id, now)
    if await insert_correction(conn, one):
        await write_acts(conn, [_act(one, "propose_correction", actor, ask.reason.strip(), now)])
    return correction_id


async def approve_correction(
    conn: Conn, merchant_id: uuid.UUID, correction_id: uuid.UUID, staff_id: uuid.UUID, actor: Actor, now: datetime
) -> Correction:
    """Let a correction count: its entries are posted once, with the corrected posting as their cause; who proposed it is refused."""
    one = await lock_correction(conn, merchant_id, correction_id)
    if not _may_decide(one, staff_id, CorrectionState.APPROVED):
        return one
    head = await require_correctable(conn, merchant_id, one.corrects_id)
    posting_id = derived_id_at(at_ms(now), CORRECTION, correction_id)
    await post_entries(
        conn, [MoneyPosting(merchant_id, posting_id, now, CORRECTION, "posting", one.corrects_id, one.entries, order_id=head.order_id)]
    )
    approved = replace(one, state=CorrectionState.APPROVED, decided_by=staff_id, decided_at=now, posting_id=posting_id)
    await decide_correction(conn, approved)
    await write_acts(conn, [_act(approved, "approve_correction", actor, "", now)])
    return approved


async def reject_correction(
    conn: Conn, merchant_id: uuid.UUID, correction_id: uuid.UUID, note: str, staff_id: uuid.UUID, actor: Actor, now: datetime
) -> Correction:
    """Let a correction lapse, with a reason; who proposed it is refused."""
    if not note.strip():
        raise CorrectionRefusedError("note", note, "Write why the correction is rejected.")
    one = await lock_correction(conn, merchant_id, correction_id)
    if not _may_decide(one, staff_id, CorrectionState.REJECTED):
        return one
    rejected = replace(one, state=CorrectionState.REJECTED, decided_by=staff_id, decided_at=now, decision_note=note.strip())
    await decide_correction(conn, rejected)
    await write_acts(conn, [_act(rejected, "reject_correction", actor, note.strip(), now)])
    return rejected


async def require_correctable(conn: Conn, merchant_id: uuid.UUID, posting_id: uuid.UUID) -> EntryRow:
    """Return the first entry of a posting that counts, or refuse one that does not exist or still waits."""
    entries = await read_posting(conn, merchant_id, posting_id)
    if not entries or entries[0].phase not in {"posted", "post"}:
        raise UncorrectablePostingError("posting_id", str(posting_id), "Open a posting that counts from an account.")
    return entries[0]


def _may_decide(one: Correction, staff_id: uuid.UUID, wanted: CorrectionState) -> bool:
    """Tell whether somebody decides now; the same decision again is a replay, another one and the proposer's own are refused."""
    if one.proposed_by == staff_id:
        raise OwnCorrectionError("correction_id", str(one.correction_id), "Ask another member of finance to decide it.")
    if one.state is CorrectionState.PROPOSED:
        return True
    if one.state is not wanted:
        raise CorrectionDecidedError("correction_id", str(one.correction_id), "It is %(state)s.", state=one.state)
    return False


def _act(one: Correction, command: str, actor: Actor, note: str, now: datetime) -> Act:
    return Act(one.merchant_id, one.correction_id, command, now, actor, note)
