"""How far statements and payouts have come over all merchants: what flows and laws ask before they go on."""

import uuid
from datetime import date
from typing import Final

from msgspec import Struct

from entrepot.base.row_hash import hash_rows
from entrepot.base.sql import Conn, fetch, fetch_one
from entrepot.settlement.fees import FeeLine
from entrepot.settlement.model import PayoutState


class LeftOver(Struct, frozen=True):
    """What a merchant's latest closed statement in a currency left to the next one, and all that was ever paid out of them, in minor units."""

    merchant_id: uuid.UUID
    currency: str
    ends_before: date
    left_minor: int
    paid_out_minor: int


class OpenPayout(Struct, frozen=True):
    """A payout that the bank has not taken yet."""

    merchant_id: uuid.UUID
    payout_id: uuid.UUID
    paid_minor: int
    paid_currency: str
    state: PayoutState
    attempt_count: int


class PayoutFigures(Struct, frozen=True):
    """What a payout took and paid, in minor units of its two currencies."""

    merchant_id: uuid.UUID
    payout_id: uuid.UUID
    amount_minor: int
    currency: str
    paid_minor: int
    paid_currency: str
    spread_minor: int
    rate_id: str


async def read_last_closed(conn: Conn) -> date | None:
    """Return the day before which everything is on a closed statement, or None if nothing was ever closed."""
    row = await fetch_one(conn, "select max(period_to) from statement where state <> 'open'")
    return None if row is None else row[0]


async def read_left_over(conn: Conn) -> list[LeftOver]:
    """Return for each merchant and currency what the closed statements left over, in key order."""
    rows = await fetch(
        conn,
        """select distinct on (merchant_id, currency) merchant_id, currency, period_to, closing_minor - coalesce(paid_out_minor, 0),
               sum(coalesce(paid_out_minor, 0)) over (partition by merchant_id, currency)::bigint
           from statement where state <> 'open' order by merchant_id, currency, period_from desc""",
    )
    return [LeftOver(row[0], str(row[1]), row[2], int(row[3]), int(row[4])) for row in rows]


async def read_open_payouts(conn: Conn, limit: int) -> list[OpenPayout]:
    """Lock and return payouts that wait for the bank, failed ones too, the longest waiting first; others' locked rows are passed over."""
    rows = await fetch(
        conn,
        """select merchant_id, payout_id, paid_minor, paid_currency, state, attempt_count from payout
           where state in ('requested', 'retry', 'failed') order by requested_at, payout_id limit %(limit)s for update skip locked""",
        {"limit": limit},
    )
    return [OpenPayout(row[0], row[1], int(row[2]), str(row[3]), PayoutState(row[4]), int(row[5])) for row in rows]


async def read_payout_figures(conn: Conn, merchant_ids: list[uuid.UUID], payout_ids: list[uuid.UUID]) -> list[PayoutFigures]:
    """Return what payouts took and paid, in key order."""
    rows = await fetch(
        conn,
        """select p.merchant_id, p.payout_id, p.amount_minor, p.currency, p.paid_minor, p.paid_currency, p.spread_minor, p.rate_id
           from (select distinct * from unnest(%(merchants)s::uuid[], %(payouts)s::uuid[])) as t(merchant_id, payout_id)
           join payout p on p.merchant_id = t.merchant_id and p.payout_id = t.payout_id
           order by p.merchant_id, p.payout_id""",
        {"merchants": merchant_ids, "payouts": payout_ids},
    )
    return [PayoutFigures(*row) for row in rows]


async def read_conversion_fees(conn: Conn, merchant_ids: list[uuid.UUID], payout_ids: list[uuid.UUID]) -> list[tuple[uuid.UUID, FeeLine]]:
    """Return (payout, fee) of what was charged for the conversion of payouts, in key order; what was given back is left out."""
    rows = await fetch(
        conn,
        """select f.cause_id, f.fee_code, f.event, f.amount_minor, f.currency, f.rule_version, f.unit_count, f.inputs
           from (select distinct * from unnest(%(merchants)s::uuid[], %(payouts)s::uuid[])) as t(merchant_id, payout_id)
           join fee_line f on f.merchant_id = t.merchant_id and f.cause_id = t.payout_id and f.cause_kind = 'conversion'
           where f.amount_minor > 0
           order by f.merchant_id, f.cause_id, f.fee_no""",
        {"merchants": merchant_ids, "payouts": payout_ids},
    )
    return [(row[0], FeeLine(*row[1:])) for row in rows]


async def hash_settlement(conn: Conn) -> dict[str, str]:
    """Return the hashes of fee lines, tax decisions, statements, payouts and invoices."""
    return {
        "fee_lines": await hash_rows(conn, _FEES),
        "tax_decisions": await hash_rows(conn, _TAXES),
        "statements": await hash_rows(conn, _STATEMENTS),
        "payouts": await hash_rows(conn, _PAYOUTS),
        "invoices": await hash_rows(conn, _INVOICES),
    }


_FEES: Final = """
    select concat_ws('|', merchant_id, cause_kind, event, fee_code, line_no, fee_no, amount_minor, currency, rule_version, unit_count, inputs::text,
        (extract(epoch from charged_at) * 1000000)::bigint) collate "C" as told
    from fee_line order by told
"""
_TAXES: Final = """
    select concat_ws('|', d.merchant_id, d.line_no, d.version, to_char(d.evaluated_on, 'YYYY-MM-DD'), b.regime, b.collected_by, b.tax_country,
        coalesce(b.rate::text, ''), b.rule_version, b.rate_version, d.base_minor, d.tax_minor, d.gross_minor, b.currency) collate "C" as told
    from tax_decision d join tax_basis b on b.merchant_id = d.merchant_id and b.basis_id = d.basis_id
    order by told
"""
_STATEMENTS: Final = """
    select concat_ws('|', s.merchant_id, s.currency, to_char(s.period_from, 'YYYY-MM-DD'), s.opening_minor, coalesce(s.closing_minor::text, ''),
        coalesce(s.paid_out_minor::text, ''), s.state, coalesce(l.kind, ''), coalesce(l.code, ''), coalesce(l.amount_minor, 0)) collate "C" as told
    from statement s left join statement_line l on l.merchant_id = s.merchant_id and l.statement_id = s.statement_id
    order by told
"""
_PAYOUTS: Final = """
    select concat_ws('|', merchant_id, amount_minor, currency, paid_minor, paid_currency, spread_minor, rate_id, state, attempt_count) collate "C" as told
    from payout order by told
"""
_INVOICES: Final = """
    select concat_ws('|', merchant_id, series_code, coalesce(number::text, ''), kind, coalesce(recipient_id::text, ''), tax_country, net_minor, tax_minor,
        gross_minor, currency, lines::text, (extract(epoch from issued_at) * 1000000)::bigint) collate "C" as told
    from invoice order by told
"""
