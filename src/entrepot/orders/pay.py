"""Payments and checkouts: what the provider said, counted once."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from entrepot.base.batching import batch
from entrepot.base.sql import Conn, columns, execute, fetch
from entrepot.orders.model import Checkout, CheckoutState, Payment, PaymentState


class PaymentChange(Struct, frozen=True):
    """What a provider's answer changes in a payment: amounts in minor units are added."""

    person_id: uuid.UUID
    payment_id: uuid.UUID
    event_key: str
    kind: str
    state: PaymentState
    captured_minor: int
    refunded_minor: int
    at: datetime


_PAYMENT = ("person_id", "payment_id", "checkout_id", "method_code", "state", "currency", "asked_minor", "captured_minor", "refunded_minor", "at")
_CHECKOUT = (
    *("person_id", "checkout_id", "marketplace_code", "channel_code", "currency", "state", "total_minor", "to_country_code"),
    *("postcode_prefix", "method_code", "placed_at", "hold_expires_at", "identity_id", "quote_id"),
)


async def change_payments(conn: Conn, changes: Sequence[PaymentChange]) -> set[tuple[uuid.UUID, str]]:
    """Add provider events, each counted once by its key; return (payment, key) of those that are new."""
    if not changes:
        return set()
    rows = await fetch(
        conn,
        """
        with asked as (
            select * from unnest(%(person_id)s::uuid[], %(payment_id)s::uuid[], %(event_key)s::text[], %(kind)s::text[], %(state)s::text[],
                %(captured_minor)s::bigint[], %(refunded_minor)s::bigint[], %(at)s::timestamptz[])
                as t(person_id, payment_id, event_key, kind, state, captured_minor, refunded_minor, at)
        ), fresh as (
            insert into payment_event (person_id, payment_id, event_key, kind, amount_minor, at)
            select person_id, payment_id, event_key, kind, captured_minor + refunded_minor, at from asked
            on conflict do nothing returning person_id, payment_id, event_key
        ), sums as (
            select a.person_id, a.payment_id, sum(a.captured_minor) as captured, sum(a.refunded_minor) as refunded, max(a.state) as state
            from asked a join fresh f using (person_id, payment_id, event_key) group by 1, 2
        ), changed as (
            update payment p set captured_minor = p.captured_minor + s.captured, refunded_minor = p.refunded_minor + s.refunded, state = s.state
            from sums s where p.person_id = s.person_id and p.payment_id = s.payment_id
            returning 1
        )
        select payment_id, event_key from fresh
        """,
        columns(changes, "person_id", "payment_id", "event_key", "kind", "captured_minor", "refunded_minor", "at")
        | {"state": [str(change.state) for change in changes]},
    )
    return {(row[0], str(row[1])) for row in rows}


async def set_checkout_states(
    conn: Conn, person_ids: Sequence[uuid.UUID], checkout_ids: Sequence[uuid.UUID], sources: Sequence[CheckoutState], target: CheckoutState
) -> set[uuid.UUID]:
    """Move checkouts from one of the source states to the target; return the ids of those that moved."""
    rows = await fetch(
        conn,
        """
        update checkout c set state = %(target)s
        from unnest(%(persons)s::uuid[], %(checkouts)s::uuid[]) as t(person_id, checkout_id)
        where c.person_id = t.person_id and c.checkout_id = t.checkout_id and c.state = any(%(sources)s)
        returning c.checkout_id
        """,
        {
            "persons": list(person_ids),
            "checkouts": list(checkout_ids),
            "sources": [str(state) for state in sources],
            "target": str(target),
        },
    )
    return {row[0] for row in rows}


async def read_checkouts(conn: Conn, person_ids: Sequence[uuid.UUID], checkout_ids: Sequence[uuid.UUID]) -> list[Checkout]:
    """Return checkouts of persons, locked against another decision at the same time, in order of id."""
    rows = await fetch(
        conn,
        f"""
        select {", ".join("c." + name for name in _CHECKOUT)} from checkout c
        join unnest(%(persons)s::uuid[], %(checkouts)s::uuid[]) as t(person_id, checkout_id)
          on c.person_id = t.person_id and c.checkout_id = t.checkout_id
        order by c.person_id, c.checkout_id for update of c
        """,
        {"persons": list(person_ids), "checkouts": list(checkout_ids)},
    )
    return [Checkout(*row) for row in rows]


async def lock_payments(
    conn: Conn, person_ids: Sequence[uuid.UUID], checkout_ids: Sequence[uuid.UUID]
) -> list[tuple[Payment, CheckoutState, uuid.UUID | None]]:
    """Return payments with their checkout's state and identity, both locked against another decision at the same time, in order of id."""
    rows = await fetch(
        conn,
        f"""
        select {", ".join("p." + name for name in _PAYMENT)}, c.state, c.identity_id from checkout c
        join unnest(%(persons)s::uuid[], %(checkouts)s::uuid[]) as t(person_id, checkout_id)
          on c.person_id = t.person_id and c.checkout_id = t.checkout_id
        join payment p on p.person_id = c.person_id and p.checkout_id = c.checkout_id
        order by c.person_id, c.checkout_id for update of c, p
        """,
        {"persons": list(person_ids), "checkouts": list(checkout_ids)},
    )
    width = len(_PAYMENT)
    return [(Payment(*row[:width]), CheckoutState(row[width]), row[width + 1]) for row in rows]


async def read_payments(conn: Conn, person_ids: Sequence[uuid.UUID], checkout_ids: Sequence[uuid.UUID]) -> list[Payment]:
    """Return the payments of checkouts, in order of id."""
    rows = await fetch(
        conn,
        f"""
        select {", ".join("p." + name for name in _PAYMENT)} from payment p
        join unnest(%(persons)s::uuid[], %(checkouts)s::uuid[]) as t(person_id, checkout_id)
          on p.person_id = t.person_id and p.checkout_id = t.checkout_id
        order by p.person_id, p.payment_id
        """,
        {"persons": list(person_ids), "checkouts": list(checkout_ids)},
    )
    return [Payment(*row) for row in rows]


async def set_payers(conn: Conn, person_ids: Sequence[uuid.UUID], checkout_ids: Sequence[uuid.UUID], payer_ids: Sequence[uuid.UUID]) -> None:
    """Keep whose identity really paid, as the payment institution reports it; without a report the orderer paid."""
    await execute(
        conn,
        """
        update payment p set payer_identity_id = t.payer_id
        from unnest(%(persons)s::uuid[], %(checkouts)s::uuid[], %(payers)s::uuid[]) as t(person_id, checkout_id, payer_id)
        where p.person_id = t.person_id and p.checkout_id = t.checkout_id
        """,
        {"persons": list(person_ids), "checkouts": list(checkout_ids), "payers": list(payer_ids)},
    )


async def read_payers(conn: Conn, person_ids: Sequence[uuid.UUID], checkout_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, uuid.UUID]:
    """Return the reported payer's identity by checkout; a checkout without a report is left out."""
    rows = await fetch(
        conn,
        """
        select p.checkout_id, p.payer_identity_id from payment p
        join (select distinct * from unnest(%(persons)s::uuid[], %(checkouts)s::uuid[])) as t(person_id, checkout_id)
          on p.person_id = t.person_id and p.checkout_id = t.checkout_id
        where p.payer_identity_id is not null order by p.checkout_id, p.payment_id
        """,
        {"persons": list(person_ids), "checkouts": list(checkout_ids)},
    )
    return {row[0]: row[1] for row in rows}


async def set_orderers(conn: Conn, person_ids: Sequence[uuid.UUID], checkout_ids: Sequence[uuid.UUID], identity_ids: Sequence[uuid.UUID]) -> None:
    """Let another identity stand as the orderer of checkouts, after that person has taken them over."""
    await execute(
        conn,
        """
        update checkout c set identity_id = t.identity_id
        from unnest(%(persons)s::uuid[], %(checkouts)s::uuid[], %(identities)s::uuid[]) as t(person_id, checkout_id, identity_id)
        where c.person_id = t.person_id and c.checkout_id = t.checkout_id
        """,
        {"persons": list(person_ids), "checkouts": list(checkout_ids), "identities": list(identity_ids)},
    )


@batch
async def read_payment_sums(conn: Conn) -> list[tuple[uuid.UUID, str, int, int]]:
    """Return (checkout, currency, captured, refunded) of every checkout whose money we held, for the proof that it adds up."""
    rows = await fetch(
        conn,
        """
        select checkout_id, currency, sum(captured_minor)::bigint, sum(refunded_minor)::bigint from payment
        where state <> 'held_elsewhere' group by 1, 2 order by 1, 2
        """,
    )
    return [(row[0], str(row[1]), int(row[2]), int(row[3])) for row in rows]


async def lower_asked(conn: Conn, person_ids: Sequence[uuid.UUID], checkout_ids: Sequence[uuid.UUID], amounts_minor: Sequence[int]) -> None:
    """Ask buyers for less than before, in minor units, because part of an unpaid checkout was cancelled; one row for each checkout."""
    params = {"persons": list(person_ids), "checkouts": list(checkout_ids), "amounts": list(amounts_minor)}
    await execute(
        conn,
        """
        update payment p set asked_minor = p.asked_minor - t.amount_minor
        from unnest(%(persons)s::uuid[], %(checkouts)s::uuid[], %(amounts)s::bigint[]) as t(person_id, checkout_id, amount_minor)
        where p.person_id = t.person_id and p.checkout_id = t.checkout_id and p.state = 'pending'
        """,
        params,
    )
    await execute(
        conn,
        """
        update checkout c set total_minor = c.total_minor - t.amount_minor
        from unnest(%(persons)s::uuid[], %(checkouts)s::uuid[], %(amounts)s::bigint[]) as t(person_id, checkout_id, amount_minor)
        where c.person_id = t.person_id and c.checkout_id = t.checkout_id
        """,
        params,
    )
