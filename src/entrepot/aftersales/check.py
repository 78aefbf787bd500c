"""The law of evidence as far as aftersales can prove it: every refund has a cause, and its lines sum to it."""

import uuid

from entrepot.aftersales.model import CauseKind
from entrepot.base.sql import Conn, fetch, fetch_one


async def check_refund_causes(conn: Conn) -> tuple[int, list[str]]:
    """Return how many refunds were checked and, for each that breaks the law, its merchant, its id and what is wrong.

    A return that caused a refund must stand for the same order and have been approved. The other causes (cancellation, refusal by customs, loss)
    stand in other packages; `list_refund_causes` gives their ids to whoever can look there.
    """
    counted = await fetch_one(conn, "select count(*) from refund")
    rows = await fetch(
        conn,
        """
        select r.merchant_id, r.refund_id, w.wrong
        from refund r
        left join return_request q
               on q.merchant_id = r.merchant_id and q.rma_id = r.cause_id and q.order_id = r.order_id and r.cause_kind = 'return'
        left join (
            select merchant_id, refund_id, sum(goods_minor) as goods, sum(discount_minor) as discount, sum(freight_minor) as freight,
                   sum(insurance_minor) as insurance, sum(tax_minor) as tax, sum(tax_on_top_minor) as on_top, sum(duty_minor) as duty,
                   min(order_id::text) as first_order, max(order_id::text) as last_order
            from refund_line group by merchant_id, refund_id
        ) as l on l.merchant_id = r.merchant_id and l.refund_id = r.refund_id
        cross join lateral (values
            ('no_lines', l.refund_id is null),
            ('no_return_of_this_order', r.cause_kind = 'return' and q.rma_id is null),
            ('return_not_approved', q.state in ('requested', 'refused', 'cancelled')),
            ('lines_of_another_order', l.first_order <> r.order_id::text or l.last_order <> r.order_id::text),
            ('lines_differ_from_refund', (l.goods, l.discount, l.freight, l.insurance, l.tax, l.on_top, l.duty)
                is distinct from (r.goods_minor, r.discount_minor, r.freight_minor, r.insurance_minor, r.tax_minor, r.tax_on_top_minor, r.duty_minor)
                and l.refund_id is not null)
        ) as w(wrong, is_wrong)
        where w.is_wrong
        order by r.merchant_id, r.refund_id, w.wrong
        """,
    )
    return (0 if counted is None else int(counted[0])), [f"refund {row[0]}/{row[1]}: {row[2]}" for row in rows]


async def list_refund_causes(conn: Conn, cause_kind: CauseKind) -> list[tuple[uuid.UUID, uuid.UUID, uuid.UUID]]:
    """Return (merchant, order, cause) of all refunds of one kind, sorted, to be held against the package that owns the cause."""
    rows = await fetch(
        conn,
        "select merchant_id, order_id, cause_id from refund where cause_kind = %(kind)s order by merchant_id, order_id, cause_id",
        {"kind": str(cause_kind)},
    )
    return [(row[0], row[1], row[2]) for row in rows]


async def check_returned_units(conn: Conn) -> tuple[int, list[str]]:
    """Return how many returns were checked and those whose grades do not add up to what was received, or that were received without a unit."""
    counted = await fetch_one(conn, "select count(*) from return_request")
    rows = await fetch(
        conn,
        """
        select q.merchant_id, q.rma_id, q.state, l.received, l.graded
        from return_request q
        join (
            select n.merchant_id, n.rma_id, sum(n.received) as received, sum(coalesce(g.graded, 0)) as graded,
                   bool_or(g.graded is not null and g.graded <> n.received) as is_wrong
            from return_line n
            left join (
                select merchant_id, rma_id, line_no, part_no, sum(quantity) as graded from return_grade group by merchant_id, rma_id, line_no, part_no
            ) as g on g.merchant_id = n.merchant_id and g.rma_id = n.rma_id and g.line_no = n.line_no and g.part_no = n.part_no
            group by n.merchant_id, n.rma_id
        ) as l on l.merchant_id = q.merchant_id and l.rma_id = q.rma_id
        where l.is_wrong or (q.state = 'graded' and l.received <> l.graded)
           or (q.state in ('received', 'graded') and l.received = 0)
           or (q.state in ('requested', 'approved', 'refused', 'in_transit', 'cancelled') and l.received > 0)
        order by q.merchant_id, q.rma_id
        """,
    )
    broken = [f"return {row[0]}/{row[1]}: {row[2]} with {row[3]} received and {row[4]} graded" for row in rows]
    return (0 if counted is None else int(counted[0])), broken
