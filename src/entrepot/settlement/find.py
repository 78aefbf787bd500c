"""Finding invoices by number, and invoices, statements and payouts by id."""

import uuid

from entrepot.base.named import MOST, Named
from entrepot.base.sql import Conn, fetch
from entrepot.settlement.invoices import NUMBER


async def find_papers(conn: Conn, text: str, key: uuid.UUID | None) -> list[Named]:
    """Return the invoices with this number (`series-number`), and what has this id among invoices, statements and payouts."""
    series, _, number = text.rpartition("-")
    rows = await fetch(
        conn,
        f"""
        select 'invoice', merchant_id, invoice_id, {NUMBER}, state from invoice
        where (series_code = %(series)s and number = %(number)s) or invoice_id = %(key)s
        union all
        select 'statement', merchant_id, statement_id, currency || ' ' || period_from, state from statement where statement_id = %(key)s
        union all
        select 'payout', merchant_id, payout_id, bank_reference, state from payout
        where payout_id = %(key)s or (bank_reference <> '' and bank_reference = %(text)s)
        order by 1, 4, 3 limit %(most)s
        """,
        {"series": series, "number": int(number) if number.isdecimal() and len(number) < 12 else None, "text": text, "key": key, "most": MOST},
    )
    return [Named(row[0], row[1], row[2], row[3], row[4]) for row in rows]
