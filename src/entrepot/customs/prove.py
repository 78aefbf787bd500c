"""What the laws ask of customs beside the values: which consignments nobody declared; and the hash of quota and declarations."""

import uuid
from collections.abc import Sequence
from typing import Final

from entrepot.base.batching import batch
from entrepot.base.row_hash import hash_rows
from entrepot.base.sql import Conn, fetch


@batch
async def read_undeclared(conn: Conn, merchant_ids: Sequence[uuid.UUID], consignment_ids: Sequence[uuid.UUID]) -> set[tuple[uuid.UUID, uuid.UUID]]:
    """Return those of these (merchant, consignment) that customs never saw a declaration of; cancelled and withdrawn ones declare nothing."""
    rows = await fetch(
        conn,
        """
        select t.merchant_id, t.consignment_id
        from unnest(%(merchants)s::uuid[], %(consignments)s::uuid[]) as t(merchant_id, consignment_id)
        left join (
            select distinct merchant_id, consignment_id from declaration where state in ('drafted', 'submitted', 'held', 'released', 'refused')
        ) as d on d.merchant_id = t.merchant_id and d.consignment_id = t.consignment_id
        where d.consignment_id is null
        """,
        {"merchants": list(merchant_ids), "consignments": list(consignment_ids)},
    )
    return {(row[0], row[1]) for row in rows}


async def hash_customs(conn: Conn) -> dict[str, str]:
    """Return the hashes of quota years, quota entries and declarations with their lines."""
    return {
        "quota_years": await hash_rows(conn, _YEARS),
        "quota_entries": await hash_rows(conn, _ENTRIES),
        "declarations": await hash_rows(conn, _DECLARATIONS),
    }


_YEARS: Final = """
    select concat_ws('|', person_id, year_no, limit_minor, used_minor, held_minor, elsewhere_minor, free_minor) collate "C" as told
    from quota_year order by told
"""
_ENTRIES: Final = """
    select concat_ws('|', person_id, year_no, kind, value_minor, used_minor, held_minor, elsewhere_minor,
        (extract(epoch from at) * 1000000)::bigint, cause) collate "C" as told
    from quota_entry order by told
"""
_DECLARATIONS: Final = """
    select concat_ws('|', d.merchant_id, d.regime_code, d.kind, d.version, d.state, d.cause_code, d.ship_from, d.ship_to,
        to_char(d.evaluated_on, 'YYYY-MM-DD'), d.currency, l.line_no, l.hs_code, l.origin_code, l.quantity, l.legal_unit_code, l.legal_quantity,
        l.net_weight_g, l.goods_minor, l.discount_minor, l.freight_minor, l.insurance_minor, l.customs_value_minor, l.duty_minor, l.tax_minor,
        l.rule_version) collate "C" as told
    from declaration d join declaration_line l on l.merchant_id = d.merchant_id and l.declaration_id = d.declaration_id
    order by told
"""
