"""The laws of declarations and quota against the stored rows: each broken row is named with what it should be."""

import uuid
from collections.abc import AsyncIterator
from datetime import date
from decimal import Decimal
from typing import Final

from msgspec import Struct

from entrepot.base.sql import Conn, fetch
from entrepot.customs.cbec import REGIMES
from entrepot.customs.goods import VERSION_MARK
from entrepot.customs.model import EXPORT_REGIME
from entrepot.customs.rules import RuleBook
from entrepot.customs.store import read_rule_book
from entrepot.customs.valuation import Components, Method, declared_value_minor

_PAGE: Final = 20_000
_FIRST: Final = uuid.UUID(int=0)


async def check_declarations(conn: Conn) -> tuple[int, list[str]]:
    """Recompute each customs value from its components by the rule in force on its date; return lines checked and the broken ones."""
    book = await read_rule_book(conn)
    checked = 0
    broken: list[str] = []
    async for line in _lines(conn):
        checked += 1
        fault = _fault(book, line)
        if fault:
            broken.append(f"declaration_line {line.merchant_id} {line.declaration_id} {line.line_no}: {fault}")
    return checked, broken


class _Line(Struct, frozen=True):
    """What the recomputation of a stored line needs."""

    merchant_id: uuid.UUID
    declaration_id: uuid.UUID
    line_no: int
    regime_code: str
    kind: str
    evaluated_on: date
    declared_currency: str
    method: str
    goods_minor: int
    discount_minor: int
    freight_minor: int
    insurance_minor: int
    currency: str
    rate: Decimal
    customs_value_minor: int
    rule_version: str


async def _lines(conn: Conn) -> AsyncIterator[_Line]:
    after: tuple[uuid.UUID, uuid.UUID, int] = (_FIRST, _FIRST, -1)
    while True:
        rows = await fetch(
            conn,
            """select l.merchant_id, l.declaration_id, l.line_no, d.regime_code, d.kind, d.evaluated_on, d.currency, l.method, l.goods_minor,
                      l.discount_minor, l.freight_minor, l.insurance_minor, l.currency, l.rate, l.customs_value_minor, l.rule_version
               from declaration_line l join declaration d on d.merchant_id = l.merchant_id and d.declaration_id = l.declaration_id
               where (l.merchant_id, l.declaration_id, l.line_no) > (%(merchant_id)s, %(declaration_id)s, %(line_no)s)
               order by l.merchant_id, l.declaration_id, l.line_no limit %(page)s""",
            {"merchant_id": after[0], "declaration_id": after[1], "line_no": after[2], "page": _PAGE},
        )
        for row in rows:
            yield _Line(*row)
        if len(rows) < _PAGE:
            return
        after = (rows[-1][0], rows[-1][1], rows[-1][2])


def _fault(book: RuleBook, line: _Line) -> str:
    method = _method_of(book, line.regime_code, line.kind, line.rule_version.split(VERSION_MARK, 1)[0], line.evaluated_on)
    if method is None:
        return f"rule {line.rule_version} was not in force on {line.evaluated_on.isoformat()}"
    if line.method != method:
        return f"method {line.method}, the rule says {method}"
    parts = Components(line.goods_minor, line.discount_minor, line.freight_minor, line.insurance_minor)
    expected = declared_value_minor(method, parts, line.currency, line.rate, line.declared_currency)
    return "" if line.customs_value_minor == expected else f"customs value {line.customs_value_minor}, its components give {expected}"


def _method_of(book: RuleBook, regime_code: str, kind: str, rule_code: str, on: date) -> Method | None:
    """Return how the rule that was in force on the date values goods; switched off later, a rule still explains what it decided."""
    if regime_code in REGIMES:
        limit = book.limit_of_code.get(rule_code)
        in_force = limit is not None and limit.effective_from <= on and (limit.effective_to is None or on < limit.effective_to)
        return Method.CBEC if in_force else None
    if kind == "export":
        return Method.FOB if rule_code == EXPORT_REGIME else None
    rule = book.regime_of_code.get(rule_code)
    if rule is None or rule.effective_from > on or (rule.effective_to is not None and on >= rule.effective_to):
        return None
    return rule.valuation


async def check_quota(conn: Conn) -> tuple[int, list[str]]:
    """Prove each person's year from its entries, each end of a hold from the hold, and returns from what was used; return years checked and faults."""
    rows = await fetch(
        conn,
        """select q.person_id, q.year_no, q.limit_minor, q.used_minor, q.held_minor, q.elsewhere_minor, q.free_minor, q.limit_reached_at is not null,
                  coalesce(e.used_minor, 0), coalesce(e.held_minor, 0), coalesce(e.elsewhere_minor, 0)
           from quota_year q
           left join (select person_id, year_no, sum(used_minor)::bigint as used_minor, sum(held_minor)::bigint as held_minor,
                             sum(elsewhere_minor)::bigint as elsewhere_minor
                      from quota_entry group by person_id, year_no) e on e.person_id = q.person_id and e.year_no = q.year_no
           order by q.person_id, q.year_no""",
    )
    broken: list[str] = []
    for person_id, year_no, limit, used, held, elsewhere, free, is_reached, *proven in rows:
        name = f"quota_year {person_id} {year_no}"
        if [used, held, elsewhere] != proven:
            broken.append(f"{name}: used, held, elsewhere are {used}, {held}, {elsewhere}, the entries give {proven[0]}, {proven[1]}, {proven[2]}")
        if used + held + elsewhere + free != limit and not (is_reached and free == 0):
            broken.append(f"{name}: {used} + {held} + {elsewhere} + {free} is not the limit {limit}")
    broken += [f"quota_entry {row[0]} {row[1]}: {row[2]}" for row in await fetch(conn, _ENTRY_FAULTS)]
    return len(rows), broken


_ENTRY_FAULTS: Final = """
    select c.person_id, c.entry_key, 'the hold it ends is missing or has another value or year'
    from quota_entry c
    left join quota_entry h on h.person_id = c.person_id and h.entry_key = 'hold' || substr(c.entry_key, 6)
    where c.kind in ('use', 'release') and (h.value_minor is distinct from c.value_minor or h.year_no is distinct from c.year_no)
    union all
    select person_id, order_id::text, 'returned more than was used'
    from quota_entry where kind in ('use', 'return') group by person_id, order_id having sum(used_minor) < 0
    union all
    select person_id, entry_key, 'its kind does not move these parts'
    from quota_entry
    where (kind = 'hold' and (used_minor, held_minor, elsewhere_minor) is distinct from (0, value_minor, 0))
       or (kind = 'use' and (used_minor, held_minor, elsewhere_minor) is distinct from (value_minor, -value_minor, 0))
       or (kind = 'release' and (used_minor <> 0 or held_minor <> -value_minor or elsewhere_minor not between 0 and value_minor))
       or (kind = 'return' and (used_minor, held_minor, elsewhere_minor) is distinct from (-value_minor, 0, 0))
       or (kind = 'elsewhere' and (used_minor, held_minor, elsewhere_minor) is distinct from (0, 0, value_minor))
    order by 1, 2
"""
