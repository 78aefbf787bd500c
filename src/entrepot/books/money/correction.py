"""Corrections: entries that one person proposes against a posting and another one lets count; what was posted stays as it is."""

import uuid
from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final

from msgspec import Struct

from entrepot.base.errors import ConflictError, ForbiddenError, RefusedInputError, UnknownReferenceError
from entrepot.base.sql import Conn, fetch, fetch_one
from entrepot.base.states import declare_states
from entrepot.books.money.model import BANK, FX_CLEARING, LOSS, MERCHANT, PSP, ROUNDING, VARIANCE, Entry

LONGEST_REASON: Final = 500
MOST_ENTRIES: Final = 20
PROVEN_ELSEWHERE: Final = frozenset({PSP, "channel", "rsv"})
"""Accounts that other records prove (payments, channels, orders that are not settled): they move only with those records."""


HOUSE_ACCOUNTS: Final = frozenset({MERCHANT, BANK, FX_CLEARING, LOSS, ROUNDING, VARIANCE})
"""Accounts that every book has, whether anything was posted to them yet or not."""


class UnknownCorrectionError(UnknownReferenceError):
    """No correction has this id; open it from the list of corrections."""


class CorrectionRefusedError(RefusedInputError):
    """The entries of a correction do not hold together; whoever proposes it changes them."""


class CorrectionDecidedError(ConflictError):
    """The correction was decided before, otherwise than now; read it again."""


class OwnCorrectionError(ForbiddenError):
    """Whoever proposes a correction cannot decide it; another member of finance does."""


class CorrectionState(StrEnum):
    """The life of a correction."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    REJECTED = "rejected"


CORRECTION_STATES: Final = declare_states(
    "money_correction",
    CorrectionState.PROPOSED,
    {
        CorrectionState.PROPOSED: {CorrectionState.APPROVED, CorrectionState.REJECTED},
        CorrectionState.APPROVED: set(),
        CorrectionState.REJECTED: set(),
    },
)


class Fault(StrEnum):
    """What is wrong with a proposed correction."""

    NO_REASON = "no_reason"
    REASON_TOO_LONG = "reason_too_long"
    TOO_FEW_ENTRIES = "too_few_entries"
    TOO_MANY_ENTRIES = "too_many_entries"
    NOTHING_MOVED = "nothing_moved"
    UNKNOWN_ACCOUNT = "unknown_account"
    PROVEN_ELSEWHERE = "proven_elsewhere"
    UNBALANCED = "unbalanced"


class FaultAt(Struct, frozen=True):
    """A fault, at an entry (counted from 0) or of the whole; `told` is the account or the currency with its sum."""

    fault: Fault
    entry_no: int | None = None
    told: str = ""
    minor: int = 0


class Correction(Struct, frozen=True):
    """A correction as it stands; `corrects_id` is the posting it is made against, `posting_id` what it became."""

    merchant_id: uuid.UUID
    correction_id: uuid.UUID
    corrects_id: uuid.UUID
    reason: str
    entries: tuple[Entry, ...]
    state: CorrectionState
    proposed_by: uuid.UUID
    proposed_at: datetime
    decided_by: uuid.UUID | None = None
    decided_at: datetime | None = None
    decision_note: str = ""
    posting_id: uuid.UUID | None = None


def reversed_entries(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Return entries that take back others; of accounts that other records prove none is offered."""
    return tuple(Entry(one.account_code, one.currency, -one.amount_minor) for one in entries if one.account_code not in PROVEN_ELSEWHERE)


def faults_of(reason: str, entries: Sequence[Entry], known_accounts: Collection[str]) -> list[FaultAt]:
    """Return all that is wrong with a proposed correction, entry by entry, then what concerns the whole."""
    faults: list[FaultAt] = []
    sums: dict[str, int] = defaultdict(int)
    for entry_no, entry in enumerate(entries):
        sums[entry.currency] += entry.amount_minor
        if not entry.amount_minor:
            faults.append(FaultAt(Fault.NOTHING_MOVED, entry_no))
        if entry.account_code in PROVEN_ELSEWHERE:
            faults.append(FaultAt(Fault.PROVEN_ELSEWHERE, entry_no, entry.account_code))
        elif entry.account_code not in known_accounts:
            faults.append(FaultAt(Fault.UNKNOWN_ACCOUNT, entry_no, entry.account_code))
    if len(entries) < 2:
        faults.append(FaultAt(Fault.TOO_FEW_ENTRIES))
    if len(entries) > MOST_ENTRIES:
        faults.append(FaultAt(Fault.TOO_MANY_ENTRIES, told=str(MOST_ENTRIES)))
    if not reason.strip():
        faults.append(FaultAt(Fault.NO_REASON))
    if len(reason) > LONGEST_REASON:
        faults.append(FaultAt(Fault.REASON_TOO_LONG, told=str(LONGEST_REASON)))
    return [*faults, *(FaultAt(Fault.UNBALANCED, told=currency, minor=minor) for currency, minor in sorted(sums.items()) if minor)]


_CORRECTION: Final = """c.merchant_id, c.correction_id, c.corrects_id, c.reason, c.account_codes, c.currencies, c.amounts_minor, c.state, c.proposed_by,
    c.proposed_at, c.decided_by, c.decided_at, c.decision_note, c.posting_id"""


async def insert_correction(conn: Conn, one: Correction) -> bool:
    """Write a proposed correction; return whether it is new."""
    row = await fetch_one(
        conn,
        """
        insert into money_correction (merchant_id, correction_id, corrects_id, reason, account_codes, currencies, amounts_minor, state, proposed_by,
                                      proposed_at)
        values (%(merchant)s, %(correction)s, %(corrects)s, %(reason)s, %(accounts)s::text[], %(currencies)s::text[], %(amounts)s::bigint[],
                %(state)s, %(by)s, %(at)s)
        on conflict do nothing returning correction_id
        """,
        {
            "merchant": one.merchant_id,
            "correction": one.correction_id,
            "corrects": one.corrects_id,
            "reason": one.reason,
            "accounts": [entry.account_code for entry in one.entries],
            "currencies": [entry.currency for entry in one.entries],
            "amounts": [entry.amount_minor for entry in one.entries],
            "state": str(one.state),
            "by": one.proposed_by,
            "at": one.proposed_at,
        },
    )
    return row is not None


async def lock_correction(conn: Conn, merchant_id: uuid.UUID, correction_id: uuid.UUID) -> Correction:
    """Return a correction and keep others from deciding it; an unknown id is refused."""
    return await _one(conn, merchant_id, correction_id, "for update of c")


async def read_correction(conn: Conn, merchant_id: uuid.UUID, correction_id: uuid.UUID) -> Correction:
    """Return a correction; an unknown id is refused."""
    return await _one(conn, merchant_id, correction_id, "")


async def _one(conn: Conn, merchant_id: uuid.UUID, correction_id: uuid.UUID, lock: str) -> Correction:
    row = await fetch_one(
        conn,
        f"select {_CORRECTION} from money_correction c where c.merchant_id = %(merchant)s and c.correction_id = %(correction)s {lock}",
        {"merchant": merchant_id, "correction": correction_id},
    )
    if row is None:
        raise UnknownCorrectionError("correction_id", str(correction_id), "Open it from the list of corrections.")
    return _correction(row)


async def list_corrections(conn: Conn, limit: int) -> list[Correction]:
    """Return the corrections of all books: those that wait for a decision first, then the latest."""
    rows = await fetch(
        conn,
        f"select {_CORRECTION} from money_correction c order by (c.state = 'proposed') desc, c.proposed_at desc, c.correction_id limit %(limit)s",
        {"limit": limit},
    )
    return [_correction(row) for row in rows]


async def read_corrections_of(conn: Conn, merchant_id: uuid.UUID, posting_id: uuid.UUID) -> list[Correction]:
    """Return the corrections made against a posting, and the one that became it, oldest first."""
    rows = await fetch(
        conn,
        f"""
        select {_CORRECTION} from money_correction c
        where c.merchant_id = %(merchant)s and (c.corrects_id = %(posting)s or c.posting_id = %(posting)s) order by c.proposed_at, c.correction_id
        """,
        {"merchant": merchant_id, "posting": posting_id},
    )
    return [_correction(row) for row in rows]


async def decide_correction(conn: Conn, one: Correction) -> None:
    """Write how a locked correction was decided."""
    await fetch_one(
        conn,
        """
        update money_correction set state = %(state)s, decided_by = %(by)s, decided_at = %(at)s, decision_note = %(note)s, posting_id = %(posting)s
        where merchant_id = %(merchant)s and correction_id = %(correction)s and state = 'proposed' returning 1
        """,
        {
            "state": str(one.state),
            "by": one.decided_by,
            "at": one.decided_at,
            "note": one.decision_note,
            "posting": one.posting_id,
            "merchant": one.merchant_id,
            "correction": one.correction_id,
        },
    )


async def read_account_codes(conn: Conn) -> frozenset[str]:
    """Return the codes of the accounts that every book has, and of all that anything was ever posted to, in any book."""
    return HOUSE_ACCOUNTS | frozenset(str(row[0]) for row in await fetch(conn, "select distinct account_code from money_balance"))


def _correction(row: tuple[object, ...]) -> Correction:
    """Give a row its types."""
    merchant_id, correction_id, corrects_id, reason, accounts, currencies, amounts, state, *rest = row
    entries = tuple(Entry(*values) for values in zip(accounts, currencies, amounts, strict=True))  # type: ignore[call-overload]
    return Correction(merchant_id, correction_id, corrects_id, reason, entries, CorrectionState(str(state)), *rest)  # type: ignore[arg-type]
