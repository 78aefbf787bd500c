"""The statements that make a crowd of some days of the world: every row of an order under an id, a number, a time and a buyer of its own."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Column, Date, DateTime, Table, Uuid

LISTED: Final[Mapping[str, str]] = {
    "checkout": "checkout_id",
    "payment": "checkout_id",
    "customer_order": "order_id",
    "order_line": "order_id",
    "allocation": "order_id",
    "promise": "order_id",
    "consignment": "order_id",
    "parcel": "order_id",
    "parcel_line": "order_id",
    "tracking_index": "parcel_id",
    "fulfilment_order": "order_id",
    "fulfilment_line": "fulfilment_order_id",
    "return_request": "order_id",
    "return_line": "rma_id",
    "return_grade": "rma_id",
    "refund": "order_id",
    "refund_line": "order_id",
    "thread": "order_id",
    "message": "thread_id",
    "performance_event": "order_id",
    "declaration": "order_id",
    "declaration_line": "declaration_id",
    "order_hold": "order_id",
    "invoice": "cause_id",
    "due_work": "subject_id",
}
"""Tables that are copied for every order, and the column by which a row belongs to one."""
DEEP: Final[Mapping[str, str]] = {
    "payment_event": "payment_id",
    "line_discount": "order_id",
    "sourcing_decision": "order_id",
    "tax_decision": "order_id",
    "parcel_leg": "parcel_id",
    "tracking_event": "parcel_id",
    "label": "parcel_id",
    "manifest_parcel": "parcel_id",
    "money_posting": "order_id",
    "money_entry": "posting_id",
    "stock_reservation": "holder_id",
    "stock_move": "cause_id",
    "pick_task": "fulfilment_order_id",
    "put_back": "fulfilment_order_id",
    "bench_return": "return_id",
    "bench_grade": "return_id",
    "fee_line": "order_id",
    "customs_message": "declaration_id",
    "audit_entry": "subject_id",
    "outbox": "subject_id",
}
"""Tables that are copied for the latest orders."""
_STANDING: Final = frozenset(
    {
        *("merchant_id", "owner_id", "stock_item_id", "offer_id", "product_id", "basis_id", "manifest_id", "from_location_id", "to_location_id"),
        *("carrier_entity_id", "declarant_id", "exporter_id", "importer_id", "taxpayer_id", "recipient_id", "identity_id", "payer_identity_id"),
        *("quote_id", "on_behalf_of"),
    }
)
"""Ids of what is not copied with an order."""
_SPECIAL: Final[Mapping[tuple[str, str], str]] = {
    ("customer_order", "number"): "t.number || '-' || c.copy_no",
    ("parcel", "tracking_number"): "t.tracking_number || '-' || c.copy_no",
    ("tracking_index", "tracking_number"): "t.tracking_number || '-' || c.copy_no",
    ("customs_message", "message_key"): "t.message_key || '-' || c.copy_no",
    ("invoice", "number"): "t.number + 1000000::bigint * c.copy_no",
    ("due_work", "due_at"): "greatest(t.due_at + c.shift, c.later)",
    ("due_work", "attempt_count"): "case when c.copy_no % 10 = 0 then 3 else t.attempt_count end",
    ("due_work", "failure"): "case when c.copy_no % 10 = 0 then 'The carrier does not answer.' else t.failure end",
}
"""Values that are each row's own; due work waits, so that no worker runs it while pages are looked at."""
SUBJECTS: Final = """
    create unlogged table crowd_order as
    select o.merchant_id, o.order_id, o.checkout_id,
           bool_and(o.state in ('delivered', 'settled', 'cancelled')) over (partition by o.checkout_id) as is_final
    from customer_order o;
    create unlogged table crowd_subject as
    with one as (select order_id, bool_and(is_final) as is_final from crowd_order group by 1)
    select order_id as subject_id, is_final from one
    union select checkout_id, is_final from crowd_order
    union select p.payment_id, o.is_final from payment p join crowd_order o using (checkout_id)
    union select x.consignment_id, o.is_final from consignment x join one o using (order_id)
    union select x.parcel_id, o.is_final from parcel x join one o using (order_id)
    union select x.fulfilment_order_id, o.is_final from fulfilment_order x join one o using (order_id)
    union select x.rma_id, o.is_final from return_request x join one o using (order_id)
    union select x.refund_id, o.is_final from refund x join one o using (order_id)
    union select x.thread_id, o.is_final from thread x join one o using (order_id)
    union select x.declaration_id, o.is_final from declaration x join one o using (order_id)
    union select x.posting_id, o.is_final from money_posting x join one o using (order_id);
    create unlogged table crowd_copy (copy_no int, is_final boolean, mark text, is_deep boolean, shift interval, later timestamptz);
    create unlogged table crowd_person (place_no int primary key, person_id uuid not null);
    create unique index crowd_subject_ix on crowd_subject (subject_id);
    analyze crowd_order, crowd_subject;
"""
COPIES: Final = """
    insert into crowd_copy
    select k, true, lpad(to_hex(k), 8, '0'), k <= %(deep)s,
           date_trunc('minute', %(now)s::timestamptz - %(until)s::timestamptz - %(history)s::interval * (k - 1) / %(copies)s),
           %(now)s::timestamptz + interval '1 day' + interval '1 minute' * k
    from generate_series(1, %(copies)s) as k
    union all
    select k, false, lpad(to_hex(k), 8, '0'), true,
           date_trunc('minute', %(now)s::timestamptz - %(until)s::timestamptz - %(apart)s::interval * k),
           %(now)s::timestamptz + interval '1 day' + interval '1 minute' * k
    from generate_series(1, %(open)s) as k
"""
PERSONS: Final = "insert into crowd_person select place_no - 1, person_id from unnest(%s::uuid[]) with ordinality as t(person_id, place_no)"
GOODS: Final = (
    """
    insert into stock_item (merchant_id, stock_item_id, sku, product_id, hs_code, origin_country_code, unit_code, sourcing_cost_minor,
                            cost_currency, added_at)
    select %(greatest)s, overlay(stock_item_id::text placing 'c0ffee00' from 29)::uuid, sku, product_id, hs_code, origin_country_code, unit_code,
           sourcing_cost_minor, cost_currency, added_at
    from stock_item where merchant_id = any(%(shared)s)
    """,
    """
    insert into offer (merchant_id, offer_id, stock_item_id, marketplace_code, model_code, price_minor, currency, priority, handling_days, state,
                       effective_from, effective_to, electronic_label)
    select %(greatest)s, overlay(offer_id::text placing 'c0ffee00' from 29)::uuid, overlay(stock_item_id::text placing 'c0ffee00' from 29)::uuid,
           marketplace_code, model_code, price_minor + 10 + hashtext(offer_id::text) %% 300, currency, priority, handling_days,
           (array['live', 'live', 'live', 'paused'])[1 + abs(hashtext(offer_id::text)) %% 4], effective_from, effective_to, electronic_label
    from offer where merchant_id = any(%(shared)s) and price_minor > 400
    """,
    """
    insert into stock_availability (merchant_id, stock_item_id, place_code, owner_id, condition_code, customs_status, pool_code, on_hand, reserved)
    select %(greatest)s, overlay(stock_item_id::text placing 'c0ffee00' from 29)::uuid, place_code, %(greatest)s, condition_code, customs_status,
           pool_code, on_hand, reserved
    from stock_availability where merchant_id = any(%(shared)s)
    """,
    """
    insert into stock_location (merchant_id, location_id, owner_id, stock_item_id, place_code, spot_code, lot_code, condition_code, customs_status,
                                is_source, is_on_hand, balance)
    select %(greatest)s, overlay(location_id::text placing 'c0ffee00' from 29)::uuid, %(greatest)s,
           overlay(stock_item_id::text placing 'c0ffee00' from 29)::uuid, place_code, spot_code, lot_code, condition_code, customs_status, is_source,
           is_on_hand, balance
    from stock_location where merchant_id = any(%(shared)s)
    """,
)
"""Goods of other merchants that the greatest merchant sells too."""
STATEMENTS: Final = (
    """
    insert into statement (merchant_id, statement_id, currency, period_from, period_to, opening_minor, closing_minor, paid_out_minor, state,
                           opened_at, closed_at)
    select m.merchant_id, md5('statement ' || m.code || k)::uuid, m.payout_currency, p.first, p.first + 14, 0, v.minor, v.minor, 'closed',
           p.first, p.first + 15
    from merchant m cross join generate_series(1, %(periods)s) as k
    cross join lateral (select (%(until)s::timestamptz)::date - 60 - 14 * k as first) p
    cross join lateral (select 1000 + abs(hashtext(m.code || k)) %% 5000000 as minor) v
    where m.kind = 'merchant'
    """,
    """
    insert into statement_line (merchant_id, statement_id, kind, code, amount_minor, entry_count)
    select s.merchant_id, s.statement_id, w.kind, w.code, s.closing_minor * w.parts / 10, 40
    from statement s cross join (select kind, code, case row_number() over (order by kind, code) when 1 then 12 else -1 end as parts
                                 from (select distinct kind, code from statement_line order by 1, 2 limit 3) x) w
    where s.statement_id = md5('statement ' || (select code from merchant m where m.merchant_id = s.merchant_id)
                               || ((%(until)s::timestamptz)::date - 60 - s.period_from) / 14)::uuid
    """,
    """
    insert into payout (merchant_id, payout_id, statement_id, amount_minor, currency, paid_minor, paid_currency, spread_minor, rate, rate_id, state,
                        bank_reference, failure, attempt_count, requested_at, changed_at)
    select s.merchant_id, md5('payout ' || s.statement_id)::uuid, s.statement_id, s.closing_minor, s.currency, s.closing_minor, s.currency, 0, 1,
           'none', case when n.no %% 97 = 0 then 'failed' else 'sent' end, 'BANK-' || n.no, case when n.no %% 97 = 0 then 'Account closed.' else '' end,
           1, s.closed_at, s.closed_at + interval '1 day'
    from statement s cross join lateral (select abs(hashtext(s.statement_id::text)) as no) n
    where s.closing_minor > 0 and not exists (select from payout p where p.statement_id = s.statement_id)
    """,
)
"""Two and more years of settlements of every merchant, before the world began."""

ADDED: Final = (
    """
    insert into invoice (merchant_id, invoice_id, series_code, number, state, kind, cause_id, tax_country, net_minor, tax_minor, gross_minor,
                         currency, lines, issued_at, numbered_at)
    select merchant_id, md5('invoice ' || order_id)::uuid, 'CROWD', row_number() over (partition by merchant_id order by placed_at, order_id),
           'numbered', 'sale', order_id, to_country_code, total_minor - total_minor / 6, total_minor / 6, total_minor, currency,
           jsonb_build_array(jsonb_build_object('order', number, 'gross_minor', total_minor)), placed_at, placed_at
    from customer_order where state in ('delivered', 'settled')
    """,
    """
    insert into thread (merchant_id, thread_id, order_id, topic_code, opened_at)
    select merchant_id, md5('thread ' || order_id)::uuid, order_id, 'order', placed_at + interval '2 days' from customer_order o
    where hashtext(order_id::text) % 25 = 0 and not exists (select from thread t where t.merchant_id = o.merchant_id and t.order_id = o.order_id)
    """,
    """
    update fulfilment_order set state = case when hashtext(fulfilment_order_id::text) % 2 = 0 then 'picked' else 'packed' end,
        picking_at = queued_at, picked_at = queued_at, packed_at = case when hashtext(fulfilment_order_id::text) % 2 = 0 then null else queued_at end
    where state = 'queued' and hashtext(order_id::text) % 3 = 0
    """,
)
"""What the world does not write, or writes for few orders: invoices, talks, and work that stands half done on the floor."""
ADDED_AFTER: Final = (
    """
    insert into invoice (merchant_id, invoice_id, series_code, number, state, kind, cause_id, recipient_id, tax_country, net_minor, tax_minor,
                         gross_minor, currency, lines, issued_at, numbered_at)
    select e.entity_merchant_id, md5('fees ' || s.statement_id)::uuid, 'FEES', row_number() over (order by s.closed_at, s.statement_id), 'numbered',
           'fees', s.statement_id, s.merchant_id, 'GB', s.closing_minor / 10, 0, s.closing_minor / 10, s.currency,
           jsonb_build_array(jsonb_build_object('statement', s.period_from)), s.closed_at, s.closed_at
    from statement s cross join (select entity_merchant_id from role_holder order by 1 limit 1) e where s.state = 'closed'
    """,
    """
    insert into message (merchant_id, thread_id, message_id, author_role, text, at, needs_answer)
    select t.merchant_id, t.thread_id, md5(t.thread_id::text || m.no)::uuid, case m.no when 2 then 'merchant' else 'buyer' end,
           (array['Where is my order? It should have come by now.', 'It is on its way; the carrier has it since yesterday.',
                  'Thank you. Could you tell me once more what to do if nobody is at home?'])[m.no],
           t.opened_at + interval '5 hours' * m.no, m.no <> 2
    from thread t cross join generate_series(1, 3) as m(no)
    where m.no < 3 or (hashtext(t.thread_id::text) % 3 = 0 and t.opened_at > (select max(opened_at) from thread) - interval '20 days')
    """,
    """
    update fulfilment_line l set picked = quantity from fulfilment_order f
    where f.merchant_id = l.merchant_id and f.fulfilment_order_id = l.fulfilment_order_id and f.state in ('picked', 'packed') and l.picked = 0
      and l.short = 0 and l.cancelled = 0
    """,
    """
    insert into money_correction (merchant_id, correction_id, corrects_id, reason, account_codes, currencies, amounts_minor, state, proposed_by, proposed_at)
    select p.merchant_id, md5('correction ' || p.posting_id)::uuid, p.posting_id, 'The buyer was charged twice for freight.', array['mer', 'psp'],
           array['GBP', 'GBP'], array[100, -100], 'proposed', s.staff_id, p.at
    from (select * from money_posting where phase = 'posted' order by at desc limit 300) p cross join (select staff_id from staff where login = 'finance') s
    """,
)
"""What hangs on those."""


def copy_rows(table: Table) -> str:
    """Return the statement that copies a table's rows of orders: all copies, or the latest where nobody lists them."""
    link = {**LISTED, **DEEP}[table.name]
    values = ", ".join(_value(table, column) for column in table.columns)
    names = ", ".join(column.name for column in table.columns)
    person = (
        " left join crowd_person cp on cp.place_no = (abs(hashtext(t.person_id::text)::bigint) + c.copy_no * 7919) % (select count(*) from crowd_person)"
        if "person_id" in table.columns
        else ""
    )
    return (
        f"insert into {table.name} ({names}) select {values} from {table.name} t join crowd_subject s on s.subject_id = t.{link}"
        f" join crowd_copy c on c.is_final = s.is_final{' and c.is_deep' if table.name in DEEP else ''}{person}"
    )


def _value(table: Table, column: "Column[object]") -> str:
    """Return what a column of a copied row holds."""
    special = _SPECIAL.get((table.name, column.name))
    if special is not None:
        return special
    if column.name == "person_id":
        return "coalesce(cp.person_id, t.person_id)"
    if isinstance(column.type, Uuid) and column.name not in _STANDING:
        return f"overlay(t.{column.name}::text placing c.mark from 29)::uuid"
    if isinstance(column.type, DateTime):
        return f"t.{column.name} + c.shift"
    if isinstance(column.type, Date):
        return f"t.{column.name} + extract(day from c.shift)::int"
    return f"t.{column.name}"
