"""What a merchant's money pages ask: fees by the page with their sums, one fee, one statement."""

import uuid
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final

from msgspec import Struct

from entrepot.base.sql import Conn, fetch, fetch_one
from entrepot.settlement.fees import FeeLine
from entrepot.settlement.model import Period, StatementState
from entrepot.settlement.statements import Statement
from entrepot.settlement.store import StoredFee

_FEE: Final = "cause_kind, cause_id, line_no, fee_no, fee_code, event, amount_minor, currency, rule_version, unit_count, inputs, charged_at, order_id"
_SORTS: Final = {"at": "charged_at", "fee": "fee_code", "amount": "amount_minor", "rule": "rule_version"}


class FeesAsk(Struct, frozen=True):
    """Which fees of a merchant: of one code or all, in a currency or all, of an order or all, since a day."""

    merchant_id: uuid.UUID
    fee_code: str = ""
    currency: str = ""
    order_id: uuid.UUID | None = None
    since_on: date | None = None
    sort_key: str = "at"
    is_descending: bool = True


class FeesPage(Struct, frozen=True):
    """One page of fees, with the count and the sums by currency of all that fit."""

    rows: Sequence[StoredFee]
    count: int
    totals: Sequence[tuple[str, int]]


class FeeKey(Struct, frozen=True):
    """One fee line of a merchant."""

    merchant_id: uuid.UUID
    cause_id: uuid.UUID
    line_no: int
    event: str
    fee_no: int


_FITTING: Final = """
    from fee_line where merchant_id = %(merchant)s and (%(fee)s = '' or fee_code = %(fee)s) and (%(currency)s = '' or currency = %(currency)s)
      and (%(order)s::uuid is null or order_id = %(order)s or cause_id = %(order)s) and (%(since)s::date is null or charged_at >= %(since)s::date)
"""


async def find_fees(conn: Conn, ask: FeesAsk, limit: int, offset: int) -> FeesPage:
    """Return one page of a merchant's fees."""
    params = {
        "merchant": ask.merchant_id,
        "fee": ask.fee_code,
        "currency": ask.currency,
        "order": ask.order_id,
        "since": ask.since_on,
        "limit": limit,
        "offset": offset,
    }
    order = f"{_SORTS[ask.sort_key]} {'desc' if ask.is_descending else 'asc'}, cause_id, line_no, event, fee_no"
    rows = await fetch(conn, f"select {_FEE} {_FITTING} order by {order} limit %(limit)s offset %(offset)s", params)
    sums = await fetch(conn, f"select currency, count(*), sum(amount_minor)::bigint {_FITTING} group by currency order by currency", params)
    return FeesPage([_fee(row) for row in rows], sum(int(row[1]) for row in sums), [(str(row[0]), int(row[2])) for row in sums])


async def list_fee_codes(conn: Conn, merchant_id: uuid.UUID) -> list[tuple[str, str]]:
    """Return the (fee, currency) pairs that a merchant was ever charged."""
    rows = await fetch(
        conn, "select distinct fee_code, currency from fee_line where merchant_id = %(merchant)s order by 1, 2", {"merchant": merchant_id}
    )
    return [(str(row[0]), str(row[1])) for row in rows]


async def read_fee(conn: Conn, key: FeeKey) -> StoredFee | None:
    """Return one fee line with its inputs, or None."""
    row = await fetch_one(
        conn,
        f"""select {_FEE} from fee_line
           where merchant_id = %(merchant)s and cause_id = %(cause)s and line_no = %(line)s and event = %(event)s and fee_no = %(fee)s""",
        {"merchant": key.merchant_id, "cause": key.cause_id, "line": key.line_no, "event": key.event, "fee": key.fee_no},
    )
    return None if row is None else _fee(row)


def _fee(row: Sequence[Any]) -> StoredFee:
    return StoredFee(row[0], row[1], row[2], row[3], FeeLine(row[4], row[5], row[6], row[7], row[8], row[9], row[10]), row[11], row[12])


async def read_statement(conn: Conn, merchant_id: uuid.UUID, statement_id: uuid.UUID) -> tuple[Statement, datetime | None] | None:
    """Return one statement of a merchant and when it was closed, or None."""
    row = await fetch_one(
        conn,
        """select merchant_id, statement_id, currency, period_from, period_to, opening_minor, closing_minor, paid_out_minor, state, closed_at
           from statement where merchant_id = %(merchant)s and statement_id = %(statement)s""",
        {"merchant": merchant_id, "statement": statement_id},
    )
    if row is None:
        return None
    return Statement(row[0], row[1], row[2], Period(row[3], row[4]), row[5], row[6], row[7], StatementState(row[8])), row[9]
