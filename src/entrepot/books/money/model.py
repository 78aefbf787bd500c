"""The words of the money book: postings of signed entries that sum to zero per currency inside one merchant's book."""

import uuid
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final

from msgspec import Struct

from entrepot.base.errors import BrokenDeclarationError

PSP: Final = "psp"
BANK: Final = "bank"
MERCHANT: Final = "mer"
FX_CLEARING: Final = "fxclr"
LOSS: Final = "loss"
ROUNDING: Final = "rounding"
VARIANCE: Final = "variance"


class UnbalancedPostingError(BrokenDeclarationError):
    """The entries of a posting do not sum to zero in each currency; the program that made it is wrong."""


class Phase(StrEnum):
    """Whether a posting counts now, waits, or decides one that waited."""

    POSTED = "posted"
    PENDING = "pending"
    POST = "post"
    VOID = "void"


class Entry(Struct, frozen=True):
    """A signed amount on an account: debit positive, credit negative, in minor units."""

    account_code: str
    currency: str
    amount_minor: int


class MoneyPosting(Struct, frozen=True):
    """Entries of one merchant's book that happen together for one cause; posting it again changes nothing."""

    merchant_id: uuid.UUID
    posting_id: uuid.UUID
    at: datetime
    kind: str
    cause_kind: str
    cause_id: uuid.UUID
    entries: Sequence[Entry]
    phase: Phase = Phase.POSTED
    checkout_id: uuid.UUID | None = None
    order_id: uuid.UUID | None = None
    rate_id: str | None = None


class Decision(Struct, frozen=True):
    """The posting or voiding of a posting that waits."""

    merchant_id: uuid.UUID
    pending_id: uuid.UUID
    posting_id: uuid.UUID
    at: datetime


class Balance(Struct, frozen=True):
    """What stands on an account, posted and waiting."""

    merchant_id: uuid.UUID
    account_code: str
    currency: str
    posted_minor: int
    pending_minor: int


def merge_entries(entries: Sequence[Entry]) -> list[Entry]:
    """Add entries of the same account and currency up, drop zeros, and keep the order of first mention."""
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for entry in entries:
        sums[entry.account_code, entry.currency] += entry.amount_minor
    return [Entry(account, currency, minor) for (account, currency), minor in sums.items() if minor]


def require_balance(posting: MoneyPosting) -> None:
    """Refuse a posting whose entries do not sum to zero in each currency."""
    sums: dict[str, int] = defaultdict(int)
    for entry in posting.entries:
        sums[entry.currency] += entry.amount_minor
    uneven = {currency: minor for currency, minor in sums.items() if minor}
    if uneven:
        raise UnbalancedPostingError(f"posting {posting.kind}", uneven, "Give every debit its credit in the same currency.")
