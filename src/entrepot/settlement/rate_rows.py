"""Dated rules as rows that people compare: what held on one day, what holds on another, and what changed between."""

from datetime import date

from msgspec import Struct

from entrepot.base.sql import Conn, fetch


class RuleRow(Struct, frozen=True):
    """A dated rule: its key inside its kind, what it says, how long, and where that is from."""

    kind: str
    key: str
    told: str
    version: str
    effective_from: date
    effective_to: date | None
    source: str
    confidence: str
    is_active: bool


async def read_rule_rows(conn: Conn) -> list[RuleRow]:
    """Return every fee card, tax rate and tax rule, past and future ones too, by kind, key and start."""
    rows = await fetch(
        conn,
        """
        select 'fee', concat_ws(' / ', fee_code, marketplace_code, nullif(model_code, ''), nullif(variant_code, '')),
               concat_ws(' ', basis, currency, definition::text), rule_version, effective_from, effective_to, source, confidence, is_active
        from fee_rate
        union all
        select 'tax_rate', concat_ws(' / ', country_code, nullif(territory_code, ''), tax_class), percent || ' %%', rate_version, effective_from,
               effective_to, source, confidence, is_active
        from tax_rate
        union all
        select 'tax_rule', concat_ws(' / ', destination, relation, established, buyer_kind, nullif(scheme, ''), priority::text),
               concat_ws(' ', regime, taxable_person, collected_by, remitted_by, threshold_scope, nullif(threshold_minor, 0)::text, threshold_currency),
               rule_version, effective_from, effective_to, source, confidence, is_active
        from tax_rule
        order by 1, 2, 5
        """,
        {},
    )
    return [RuleRow(*row) for row in rows]
