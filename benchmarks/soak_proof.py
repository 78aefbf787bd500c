"""What must be true after the soak: the database is held against what clients were told; every fault is one sentence.

The checks read nothing but rows, and compare with what was asked and answered, so that they share no code with what they prove.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

import psycopg

from benchmarks.soak_clients import Sent
from benchmarks.soak_world import CHARGES

NAMED = 20
"""How many rows of one fault are named."""


def find_faults(conn: psycopg.Connection, sent: Sequence[Sent]) -> list[str]:
    """Hold a database at rest against what clients sent and were told; the caller's transaction is left with temporary tables only."""
    _keep(conn, sent)
    faults: list[str] = []
    for what, sql in _CHECKS.items():
        rows = conn.execute(sql).fetchall()
        faults += [f"{what}: {' '.join(str(value) for value in row)}" for row in rows[:NAMED]]
        if len(rows) > NAMED:
            faults.append(f"{what}: {len(rows) - NAMED} more")
    return faults


def waiting_steps(conn: psycopg.Connection) -> int:
    """Return how many payments and expiries are still to be decided."""
    row = conn.execute("select count(*) from due_work where step_code in ('take_payments', 'expire_holds')").fetchone()
    assert row is not None
    return int(row[0])


def longest_overdue_s(conn: psycopg.Connection, until: datetime) -> float:
    """Return for how many business seconds at most a hold that ended before an instant stood after its expiry; while the worker is down nobody gives it back."""
    row = conn.execute(
        """select coalesce(max(extract(epoch from f.at - c.hold_expires_at)), 0)
           from outbox f join customer_order o on o.merchant_id = f.merchant_id and o.order_id = f.subject_id join checkout c using (checkout_id)
           where f.fact_code = 'order_expired' and f.at < %s""",
        [until],
    ).fetchone()
    assert row is not None
    return float(row[0])


def _keep(conn: psycopg.Connection, sent: Sequence[Sent]) -> None:
    """Put what clients know into temporary tables: all that was asked, what was acknowledged, its orders and its units."""
    for statement in _TABLES:
        conn.execute(statement)
    known = [one for one in sent if one.is_acknowledged]
    _copy(conn, "asked", [(one.wish.person_id, one.wish.key, one.wish.checkout_id, one.status) for one in sent])
    _copy(
        conn,
        "told",
        [
            (
                one.wish.person_id,
                one.wish.key,
                one.answer["checkout_id"],
                one.answer["total_minor"],
                one.answer["currency"],
                one.wish.method in CHARGES,
            )
            for one in known
        ],
    )
    orders = [(one.answer["checkout_id"], order["merchant_id"], order["order_id"]) for one in known for order in one.answer["orders"]]
    _copy(conn, "told_order", orders)
    _copy(conn, "told_unit", [(one.answer["checkout_id"], *unit) for one in known for unit in one.wish.units])


_TABLES = (
    "create temp table asked (person_id uuid, request_key text, checkout_id uuid, status int) on commit drop",
    "create temp table told (person_id uuid, request_key text, checkout_id uuid, total_minor bigint, currency text, charges boolean) on commit drop",
    "create temp table told_order (checkout_id uuid, merchant_id uuid, order_id uuid) on commit drop",
    "create temp table told_unit (checkout_id uuid, merchant_id uuid, offer_id uuid, quantity bigint) on commit drop",
)


def _copy(conn: psycopg.Connection, table: str, rows: Iterable[Sequence[object]]) -> None:
    with conn.cursor() as cursor, cursor.copy(f"copy {table} from stdin".encode()) as copy:
        for row in rows:
            copy.write_row(row)
    conn.execute(f"analyze {table}".encode())


_ALIVE = "c.state = 'paid' or (c.state = 'awaiting_payment' and c.hold_expires_at > (select business_at from business_clock))"
"""A checkout that may hold units and quota."""

_CHECKS = {
    "no definite answer": "select request_key from asked where status = 0 order by 1",
    "one key was answered with another's checkout": """
        select t.request_key, t.checkout_id from told t join asked a using (person_id, request_key) where t.checkout_id <> a.checkout_id order by 1""",
    "acknowledged and not there": """
        select t.request_key, t.checkout_id from told t left join checkout c using (person_id, checkout_id) where c.checkout_id is null order by 1""",
    "acknowledged with another total": """
        select t.request_key, t.total_minor, t.currency, 'kept as', c.total_minor, c.currency
        from told t join checkout c using (person_id, checkout_id) where (t.total_minor, t.currency) <> (c.total_minor, c.currency) order by 1""",
    "there and never acknowledged": """
        select c.checkout_id, coalesce(a.request_key || ' was answered ' || a.status, 'of no key') from checkout c
        left join asked a using (person_id, checkout_id)
        where a.status is distinct from 0 and not exists (select from told t where t.person_id = c.person_id and t.checkout_id = c.checkout_id)
        order by 1""",
    "not the orders that were acknowledged": """
        select coalesce(t.checkout_id, o.checkout_id), coalesce(t.order_id, o.order_id), case when o.order_id is null then 'is missing' else 'is too many' end
        from told_order t full join customer_order o using (checkout_id, merchant_id, order_id)
        where (t.order_id is null or o.order_id is null)
          and not exists (select from asked a where a.checkout_id = coalesce(t.checkout_id, o.checkout_id) and a.status = 0) order by 1, 2""",
    "not the units that were asked for": """
        select checkout_id, offer_id, coalesce(t.quantity, 0), 'kept as', coalesce(l.quantity, 0)
        from (select checkout_id, merchant_id, offer_id, sum(quantity) as quantity from told_unit group by 1, 2, 3) t
        full join (select o.checkout_id, l.merchant_id, l.offer_id, sum(l.quantity) as quantity from order_line l
                   join customer_order o using (merchant_id, order_id) join told using (checkout_id) group by 1, 2, 3) l
          using (checkout_id, merchant_id, offer_id)
        where t.quantity is distinct from l.quantity order by 1, 2""",
    "order totals differ from the checkout's": """
        select t.request_key, t.total_minor, sum(o.total_minor) from told t join customer_order o using (checkout_id)
        group by 1, 2 having sum(o.total_minor) <> t.total_minor order by 1""",
    "a key does not find its checkout": """
        select t.request_key, coalesce(r.answer ->> 'checkout_id', 'finds nothing') from told t left join person_request r using (person_id, request_key)
        where r.answer ->> 'checkout_id' is distinct from t.checkout_id::text or (r.answer ->> 'total_minor')::bigint is distinct from t.total_minor
        order by 1""",
    "a key is kept of what was refused": """
        select r.request_key, coalesce(r.answer ->> 'checkout_id', 'without an answer') from person_request r left join asked a using (person_id, request_key)
        where a.status is distinct from 0 and r.request_key not like 'cancel:%' and not exists (
            select from told t where t.person_id = r.person_id and t.request_key = r.request_key) order by 1""",
    "charged and not found by its key": """
        select p.checkout_id, p.captured_minor, p.currency from payment p
        where p.captured_minor > 0 and not exists (
            select from person_request r where r.person_id = p.person_id and r.answer ->> 'checkout_id' = p.checkout_id::text) order by 1""",
    "not exactly one payment": """
        select t.checkout_id, count(p.payment_id) from told t left join payment p using (person_id, checkout_id)
        group by 1 having count(p.payment_id) <> 1 order by 1""",
    "charged another amount": """
        select p.checkout_id, t.total_minor, 'taken', p.captured_minor, 'state', c.state
        from payment p join checkout c using (person_id, checkout_id) join told t using (person_id, checkout_id)
        where p.captured_minor <> case when c.state in ('paid', 'refunded') then t.total_minor else 0 end
           or (c.state = 'refunded' and p.refunded_minor <> p.captured_minor) order by 1""",
    "payment differs from its events": """
        select p.checkout_id, p.captured_minor, coalesce(e.captured, 0), p.refunded_minor, coalesce(e.refunded, 0), coalesce(e.captures, 0)
        from payment p left join (
            select person_id, payment_id, sum(amount_minor) filter (where kind = 'capture') as captured,
                   sum(amount_minor) filter (where kind = 'refund') as refunded, count(*) filter (where kind = 'capture') as captures
            from payment_event group by 1, 2) e using (person_id, payment_id)
        where p.captured_minor <> coalesce(e.captured, 0) or p.refunded_minor <> coalesce(e.refunded, 0) or e.captures > 1 order by 1""",
    "the money book holds another amount than was charged": """
        select checkout_id, p.left_minor, coalesce(b.minor, 0)
        from (select checkout_id, sum(captured_minor - refunded_minor) as left_minor from payment group by 1) p
        full join (select m.checkout_id, sum(e.amount_minor) as minor from money_posting m join money_entry e using (merchant_id, posting_id)
                   where m.phase in ('posted', 'post') and e.account_code = 'psp' and m.checkout_id is not null group by 1) b using (checkout_id)
        where coalesce(p.left_minor, 0) <> coalesce(b.minor, 0) order by 1""",
    "a payment that had to end otherwise": """
        select t.request_key, c.method_code, c.state from told t join checkout c using (person_id, checkout_id)
        where c.state <> all (case when t.charges then array['paid', 'refunded'] else array['declined', 'expired'] end) order by 1""",
    "units are held for a checkout that is over": f"""
        select r.merchant_id, r.holder_id, r.line_no, r.open_quantity, coalesce(c.state, 'of no checkout') from stock_reservation r
        left join customer_order o on o.merchant_id = r.merchant_id and o.order_id = r.holder_id left join checkout c using (person_id, checkout_id)
        where r.open_quantity > 0 and ({_ALIVE}) is not true order by 1, 2, 3""",
    "quota is held for a checkout that is over": f"""
        select q.order_id, q.held_minor, coalesce(c.state, 'of no checkout')
        from (select order_id, sum(held_minor) as held_minor from quota_entry where order_id is not null group by 1) q
        left join customer_order o on o.order_id = q.order_id left join checkout c using (person_id, checkout_id)
        where q.held_minor <> 0 and ({_ALIVE}) is not true order by 1""",
    "reserved is not what reservations hold": """
        select merchant_id, stock_item_id, a.reserved, coalesce(r.open_quantity, 0)
        from (select merchant_id, stock_item_id, sum(reserved) as reserved from stock_availability group by 1, 2) a
        full join (select merchant_id, stock_item_id, sum(open_quantity) as open_quantity from stock_reservation group by 1, 2) r
          using (merchant_id, stock_item_id)
        where coalesce(a.reserved, 0) <> coalesce(r.open_quantity, 0) order by 1, 2""",
    "a sale waits for nobody": """
        select p.order_id, coalesce(o.state, 'of no order') from money_posting p left join customer_order o using (merchant_id, order_id)
        where p.phase = 'pending' and o.state is distinct from 'awaiting_payment' and not exists (
            select from money_posting d where d.merchant_id = p.merchant_id and d.pending_id = p.posting_id) order by 1""",
    "an order waits and its checkout does not": """
        select o.order_id, o.state, c.state from customer_order o join checkout c using (person_id, checkout_id)
        where (o.state = 'awaiting_payment') <> (c.state = 'awaiting_payment') order by 1""",
    "a later step of no checkout": """
        select d.step_code, d.subject_id from due_work d left join checkout c on c.checkout_id = d.subject_id
        where d.step_code in ('take_payments', 'expire_holds') and c.checkout_id is null order by 1, 2""",
    "left behind by what does not exist": " union all ".join(
        f"select '{table}', x.merchant_id, x.{column} from {table} x left join customer_order o on o.merchant_id = x.merchant_id and o.order_id = x.{column} "
        f"where o.order_id is null and {condition}"
        for table, column, condition in (
            ("promise", "order_id", "x.order_id is not null"),
            ("allocation", "order_id", "true"),
            ("tax_decision", "order_id", "true"),
            ("sourcing_decision", "order_id", "true"),
            ("money_posting", "order_id", "x.order_id is not null"),
            ("consignment", "order_id", "true"),
            ("fulfilment_order", "order_id", "true"),
            ("outbox", "subject_id", "x.fact_code like 'order\\_%'"),
            ("audit_entry", "subject_id", "x.command_code in ('place_order', 'take_payment', 'drop_order')"),
        )
    ),
}
