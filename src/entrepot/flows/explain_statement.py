"""What stands behind a line of a closed statement: the entries of the money book that it sums up."""

from entrepot.base.sql import Conn
from entrepot.base.time import start_of_day
from entrepot.books.money.statement_lines import BalanceEntry, read_balance_entries
from entrepot.flows.settle_period import movement_of
from entrepot.settlement.statements import Statement


async def read_line_entries(conn: Conn, statement: Statement, kind: str, code: str) -> list[BalanceEntry]:
    """Return the entries of a statement's line, earliest first; what reached the book after the closing is among them too."""
    since, until = start_of_day(statement.period.starts_on), start_of_day(statement.period.ends_before)
    entries = await read_balance_entries(conn, statement.merchant_id, statement.currency, since, until)
    return [one for one in entries if (movement := movement_of(one.part)).kind == kind and movement.code == code]
