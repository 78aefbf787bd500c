"""The built-in bank: no money moves; what becomes of a transfer follows from the account's token and the attempt."""

from collections.abc import Sequence
from typing import Final

from entrepot.base.ids import derived_id
from entrepot.settlement.ports import BankAnswer, Transfer, TransferAnswer

CLOSED_PREFIX: Final = "closed-"
"""Accounts whose token begins like this exist no longer."""

BUSY_PREFIX: Final = "busy-"
"""The bank takes transfers to these accounts only at the second attempt."""


class BuiltInBank:
    """A bank for demonstration, tests and load: the same transfer gets the same answer, also after a restart."""

    async def transfer(self, transfers: Sequence[Transfer]) -> list[TransferAnswer]:
        """Take each transfer, unless its account is closed or the bank is busy."""
        return [_answer(one) for one in transfers]


def _answer(transfer: Transfer) -> TransferAnswer:
    """Answer one transfer."""
    if transfer.account_token.startswith(CLOSED_PREFIX):
        return TransferAnswer(transfer.transfer_id, BankAnswer.REJECTED, reason="account_closed")
    if transfer.account_token.startswith(BUSY_PREFIX) and transfer.attempt == 1:
        return TransferAnswer(transfer.transfer_id, BankAnswer.FAILED, reason="bank_not_available")
    return TransferAnswer(transfer.transfer_id, BankAnswer.TAKEN, f"tr_{derived_id('bank', transfer.transfer_id).hex}")
