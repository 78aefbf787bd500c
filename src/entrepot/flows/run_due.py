"""The runner of due work: per step, in order of time, in batches; the worker and the world run the same function."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

from entrepot.base.due import Due, take_due
from entrepot.base.sql import Conn
from entrepot.flows.bill_services import bill_receipts
from entrepot.flows.clear_customs import declare_consignments, give_up_held
from entrepot.flows.close_day import CLOSE_DAY, SEND_PAYOUTS, close_days, pay_out
from entrepot.flows.inbound import BILL_RECEIPTS
from entrepot.flows.order_to_cash import EXPIRE, PAY, SETTLE, expire_holds, settle_orders, take_payments
from entrepot.flows.outside import Outside
from entrepot.flows.pay_back import RETRY, retry_refunds
from entrepot.flows.release import DECLARE, SHIP_BY
from entrepot.flows.ship_by import warn_ship_by

Step = Callable[[Conn, Outside, Sequence[Due], datetime], Awaitable[object]]

STEPS: Final[Mapping[str, Step]] = {
    PAY: take_payments,
    EXPIRE: expire_holds,
    DECLARE: declare_consignments,
    "give_up_held": give_up_held,
    SHIP_BY: warn_ship_by,
    BILL_RECEIPTS: bill_receipts,
    RETRY: retry_refunds,
    SETTLE: settle_orders,
    CLOSE_DAY: close_days,
    SEND_PAYOUTS: pay_out,
}
"""Later steps by the name they are written under, in the order in which they run when due at the same time."""


async def run_due(conn: Conn, outside: Outside, step_code: str, now: datetime, limit: int) -> int:
    """Run one batch of one step inside the caller's transaction; return how many rows were due."""
    work = await take_due(conn, step_code, now, limit)
    if work:
        await STEPS[step_code](conn, outside, work, now)
    return len(work)
