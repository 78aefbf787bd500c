"""The closing of a day, at midnight: what the payment processor held comes to the bank, storage and periods are billed, documents get their numbers.

One row of due work stands for the whole house and moves on by a day each time, so that whoever runs due work closes each day once: the worker
of an installation, or the world. Days on which nothing ran are made up for, one after the other. Payouts go to the bank afterwards, in a step
of their own: what the bank was told must stand in the books before.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from entrepot.base.due import Due, add_due, finish_due
from entrepot.base.ids import derived_id
from entrepot.base.sql import Conn
from entrepot.base.time import start_of_day
from entrepot.flows.bill_services import bill_storage
from entrepot.flows.outside import Outside
from entrepot.flows.settle_period import close_periods, collect_from_processor, send_payouts
from entrepot.settlement.invoices import number_invoices

CLOSE_DAY: Final = "close_day"
SEND_PAYOUTS: Final = "send_payouts"
HOUSE_ID: Final[uuid.UUID] = derived_id("house")
"""Under whom due work stands that belongs to no merchant."""


async def begin_closing(conn: Conn, at: datetime) -> None:
    """Let days be closed from the one on that an instant lies in; a house whose days are closed already goes on as it does."""
    await add_due(conn, [_closing(start_of_day(at.date() + timedelta(days=1)))])


async def close_days(conn: Conn, outside: Outside, work: Sequence[Due], now: datetime) -> None:
    """Close the day that ended at the due instant; a second run of the same day finds nothing left to do."""
    for one in work:
        ended_on = one.due_at.date() - timedelta(days=1)
        await collect_from_processor(conn, one.due_at)
        if one.due_at.day == 1:
            await bill_storage(conn, outside, ended_on, one.due_at)
        await close_periods(conn, outside, one.due_at)
        await number_invoices(conn, one.due_at)
        await finish_due(conn, [one])
        await add_due(conn, [_closing(one.due_at + timedelta(days=1)), Due(HOUSE_ID, SEND_PAYOUTS, HOUSE_ID, now)])


async def pay_out(conn: Conn, outside: Outside, work: Sequence[Due], now: datetime) -> None:
    """Hand waiting payouts to the bank, and those that failed the day before once more."""
    await send_payouts(conn, outside.bank, now)
    await finish_due(conn, work)


def _closing(due_at: datetime) -> Due:
    """Return the due row of the next closing."""
    return Due(HOUSE_ID, CLOSE_DAY, HOUSE_ID, due_at)
