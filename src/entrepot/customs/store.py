"""Loading the shipped rules into their tables and reading the rule book from there."""

from collections.abc import Sequence
from typing import Any, Final, TypeVar

from msgspec import Struct
from sqlalchemy import Table
from sqlalchemy.dialects import postgresql

from entrepot.base.errors import UnknownReferenceError
from entrepot.base.sql import Conn, execute, execute_counted, fetch
from entrepot.customs.rule_rows import field_names, rule_of, stored_value
from entrepot.customs.rules import CbecLimit, CbecRate, DutyRate, ImportRule, ImportTax, RuleBook, RuleRows, ScreeningRule, build_rule_book
from entrepot.customs.seed import seed_rows
from entrepot.customs.tables import CBEC_LIMIT, CBEC_RATE, DUTY_RATE, IMPORT_RULE, IMPORT_TAX, SCREENING_RULE

_DIALECT: Final = postgresql.dialect()
_Rule = TypeVar("_Rule", bound=Struct)


class UnknownRuleError(UnknownReferenceError):
    """The rule code names no stored rule; the operator picks one from the list."""


class RulesLoaded(Struct, frozen=True):
    """How many rule rows were new and how many were there before."""

    new_count: int
    existing_count: int


async def load_rules(conn: Conn) -> RulesLoaded:
    """Store the shipped rule rows; rows that are there stay as the operator left them."""
    return await insert_rules(conn, seed_rows())


async def insert_rules(conn: Conn, rows: RuleRows) -> RulesLoaded:
    """Store rule rows under their codes, one statement per table; an existing code is left alone."""
    parts: tuple[tuple[Table, Sequence[Any]], ...] = (
        (DUTY_RATE, rows.duty_rates),
        (IMPORT_RULE, rows.import_rules),
        (IMPORT_TAX, rows.import_taxes),
        (CBEC_RATE, rows.cbec_rates),
        (CBEC_LIMIT, rows.cbec_limits),
        (SCREENING_RULE, rows.screening_rules),
    )
    new_count = 0
    for table, found in parts:
        if found:
            new_count += await _insert_rows(conn, table, found)
    return RulesLoaded(new_count, sum(len(found) for _, found in parts) - new_count)


_SWITCHES: Final = (
    ("duty_rate", "rate_code"),
    ("import_rule", "rule_code"),
    ("import_tax", "tax_code"),
    ("cbec_rate", "list_code"),
    ("cbec_limit", "limit_code"),
    ("screening_rule", "screening_code"),
)


async def switch_on_rules(conn: Conn, codes: Sequence[str]) -> None:
    """Switch on rule rows that the operator has confirmed; an unknown code is refused."""
    await _switch_rules(conn, codes, "true")


async def switch_off_rules(conn: Conn, codes: Sequence[str]) -> None:
    """Switch off rule rows; an unknown code is refused."""
    await _switch_rules(conn, codes, "false")


async def read_rule_book(conn: Conn) -> RuleBook:
    """Read all rules once, to be used in memory."""
    return build_rule_book(await read_rule_rows(conn))


async def read_rule_rows(conn: Conn) -> RuleRows:
    """Read all rule rows, also those that are switched off, for the operator's list."""
    return RuleRows(
        await _read_rows(conn, DUTY_RATE, DutyRate),
        await _read_rows(conn, IMPORT_RULE, ImportRule),
        await _read_rows(conn, IMPORT_TAX, ImportTax),
        await _read_rows(conn, CBEC_RATE, CbecRate),
        await _read_rows(conn, CBEC_LIMIT, CbecLimit),
        await _read_rows(conn, SCREENING_RULE, ScreeningRule),
    )


async def _switch_rules(conn: Conn, codes: Sequence[str], is_active: str) -> None:
    known: set[str] = set()
    for table, key in _SWITCHES:
        known |= {row[0] for row in await fetch(conn, f"select {key} from {table} where {key} = any(%(codes)s::text[])", {"codes": list(codes)})}
    for code in codes:
        if code not in known:
            raise UnknownRuleError("rule_code", code, "Take a code from the list of customs rules.")
    for table, key in _SWITCHES:
        await execute(conn, f"update {table} set is_active = {is_active} where {key} = any(%(codes)s::text[])", {"codes": list(codes)})


async def _insert_rows(conn: Conn, table: Table, rows: Sequence[Any]) -> int:
    names = [column.name for column in table.columns]
    arrays = ", ".join(f"%({column.name})s::{column.type.compile(_DIALECT)}[]" for column in table.columns)
    return await execute_counted(
        conn,
        f"insert into {table.name} ({', '.join(names)}) select * from unnest({arrays}) on conflict do nothing",
        {name: [stored_value(name, getattr(row, name)) for row in rows] for name in names},
    )


async def _read_rows(conn: Conn, table: Table, kind: type[_Rule]) -> tuple[_Rule, ...]:
    names = field_names(kind)
    rows = await fetch(conn, f"select {', '.join(names)} from {table.name} order by {names[0]}")
    return tuple(rule_of(kind, dict(zip(names, row, strict=True))) for row in rows)
