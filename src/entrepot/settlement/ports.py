"""The outside that settlement needs: a bank that pays merchants."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from msgspec import Struct


class BankAnswer(StrEnum):
    """What a bank answers to a transfer: taken, try again, or never to this account."""

    TAKEN = "taken"
    FAILED = "failed"
    REJECTED = "rejected"


class Transfer(Struct, frozen=True):
    """An amount in minor units to a merchant's account, named by the bank's token for it; the id is the same on every attempt."""

    transfer_id: uuid.UUID
    account_token: str
    amount_minor: int
    currency: str
    attempt: int
    at: datetime


class TransferAnswer(Struct, frozen=True):
    """The bank's answer to one transfer: a reference if it was taken, a reason if not."""

    transfer_id: uuid.UUID
    answer: BankAnswer
    reference: str = ""
    reason: str = ""


class Bank(Protocol):
    """What every bank can do; a transfer that was taken is never carried out a second time under its id."""

    async def transfer(self, transfers: Sequence[Transfer]) -> list[TransferAnswer]:
        """Pay, and return the answers in order."""
        ...
