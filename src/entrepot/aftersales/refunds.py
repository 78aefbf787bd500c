"""Refunds: recorded once per cause with lines that sum to them, then paid or failed; and the proof that each has its cause."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from entrepot.aftersales.model import (
    REFUND_STATES,
    Amounts,
    CauseKind,
    Outcome,
    RecordedRefund,
    Refund,
    RefundExceedsChargeError,
    RefundIdUsedError,
    RefundLine,
    RefundState,
    RefundStep,
    StoredRefund,
)
from entrepot.base.actor import Actor
from entrepot.base.audit import Act, write_acts
from entrepot.base.money import decimals_of
from entrepot.base.sql import Conn, Row, columns, execute, fetch

_AMOUNTS = ("goods_minor", "discount_minor", "freight_minor", "insurance_minor", "tax_minor", "tax_on_top_minor", "duty_minor")
_HEAD = """
    r.merchant_id, r.refund_id, r.order_id, r.person_id, r.cause_kind, r.cause_id, r.currency, r.asked_at, r.state, r.settled_at, r.reference
"""


async def record_refunds(conn: Conn, refunds: Sequence[Refund], actor: Actor) -> list[RecordedRefund]:
    """Record refunds as pending; a cause that was refunded before answers with the refund that stands, `exists` or with different values."""
    for refund in refunds:
        _require_payable(refund)
    fresh = await _insert_refunds(conn, refunds)
    await _insert_lines(conn, [refund for refund in _first_of_each(refunds) if (refund.merchant_id, refund.refund_id) in fresh])
    stored = await _read_by_cause(conn, refunds)
    answers: list[RecordedRefund] = []
    acts: list[Act] = []
    for refund in refunds:
        standing = stored.get((refund.merchant_id, refund.cause_kind, refund.cause_id))
        if standing is None:
            raise RefundIdUsedError("refund_id", refund.refund_id, "Give this refund an id of its own.")
        key = (refund.merchant_id, refund.refund_id)
        if not _is_same(refund, standing):
            answers.append(RecordedRefund(Outcome.EXISTS_WITH_DIFFERENT_VALUES, standing.refund_id))
        elif key in fresh:
            fresh.discard(key)
            answers.append(RecordedRefund(Outcome.DONE, refund.refund_id))
            acts.append(Act(refund.merchant_id, refund.refund_id, "record_refund", refund.asked_at, actor, refund.cause_kind))
        else:
            answers.append(RecordedRefund(Outcome.EXISTS, standing.refund_id))
    await write_acts(conn, acts)
    return answers


async def mark_refunds(conn: Conn, steps: Sequence[RefundStep], target: RefundState, actor: Actor) -> list[Outcome]:
    """Note that refunds were paid, failed or are tried again; a mark that stands already is `exists`."""
    states = await _lock_refunds(conn, steps)
    outcomes: list[Outcome] = []
    done: list[RefundStep] = []
    for step in steps:
        key = (step.merchant_id, step.refund_id)
        current = states.get(key)
        if current is None:
            outcomes.append(Outcome.UNKNOWN)
        elif current is target:
            outcomes.append(Outcome.EXISTS)
        elif not REFUND_STATES.allows(current, target):
            outcomes.append(Outcome.NOT_ALLOWED)
        else:
            states[key] = target
            outcomes.append(Outcome.DONE)
            done.append(step)
    await execute(
        conn,
        """
        update refund r set state = %(target)s, settled_at = case when %(target)s = 'pending' then null else t.at end, reference = t.reference
        from unnest(%(merchant_id)s::uuid[], %(refund_id)s::uuid[], %(at)s::timestamptz[], %(reference)s::text[])
             as t(merchant_id, refund_id, at, reference)
        where r.merchant_id = t.merchant_id and r.refund_id = t.refund_id
        """,
        columns(done, "merchant_id", "refund_id", "at", "reference") | {"target": str(target)},
    )
    await write_acts(conn, [Act(step.merchant_id, step.refund_id, f"mark_refund_{target}", step.at, actor, step.reference) for step in done])
    return outcomes


async def read_refunded(
    conn: Conn, merchant_ids: Sequence[uuid.UUID], order_ids: Sequence[uuid.UUID]
) -> dict[tuple[uuid.UUID, uuid.UUID], dict[int, tuple[int, Amounts]]]:
    """Return per order and line the units and amounts of all refunds so far, whatever their state: what was promised counts."""
    rows = await fetch(
        conn,
        f"""
        select l.merchant_id, l.order_id, l.line_no, sum(l.quantity)::bigint, {", ".join(f"sum(l.{name})::bigint" for name in _AMOUNTS)}
        from refund_line l
        join (select distinct * from unnest(%(merchant_ids)s::uuid[], %(order_ids)s::uuid[])) as t(merchant_id, order_id)
          on l.merchant_id = t.merchant_id and l.order_id = t.order_id
        group by l.merchant_id, l.order_id, l.line_no order by l.merchant_id, l.order_id, l.line_no
        """,
        {"merchant_ids": list(merchant_ids), "order_ids": list(order_ids)},
    )
    refunded: dict[tuple[uuid.UUID, uuid.UUID], dict[int, tuple[int, Amounts]]] = {}
    for row in rows:
        refunded.setdefault((row[0], row[1]), {})[row[2]] = (row[3], Amounts(*row[4:]))
    return refunded


async def read_refunded_units(
    conn: Conn, merchant_ids: Sequence[uuid.UUID], order_ids: Sequence[uuid.UUID], cause_kind: CauseKind
) -> dict[tuple[uuid.UUID, uuid.UUID, int], int]:
    """Return per (merchant, order, line) the units that were refunded for one kind of cause."""
    rows = await fetch(
        conn,
        """
        select l.merchant_id, l.order_id, l.line_no, sum(l.quantity)::bigint
        from refund_line l
        join (select distinct * from unnest(%(merchant_ids)s::uuid[], %(order_ids)s::uuid[])) as t(merchant_id, order_id)
          on l.merchant_id = t.merchant_id and l.order_id = t.order_id
        join refund r on r.merchant_id = l.merchant_id and r.refund_id = l.refund_id and r.cause_kind = %(kind)s
        group by l.merchant_id, l.order_id, l.line_no order by l.merchant_id, l.order_id, l.line_no
        """,
        {"merchant_ids": list(merchant_ids), "order_ids": list(order_ids), "kind": str(cause_kind)},
    )
    return {(row[0], row[1], row[2]): int(row[3]) for row in rows}


async def read_refund_ids(
    conn: Conn, cause_kind: CauseKind, merchant_ids: Sequence[uuid.UUID], cause_ids: Sequence[uuid.UUID]
) -> dict[tuple[uuid.UUID, uuid.UUID], uuid.UUID]:
    """Return the refunds that stand for causes of one kind, by (merchant, cause)."""
    rows = await fetch(
        conn,
        """
        select r.merchant_id, r.cause_id, r.refund_id from refund r
        join (select distinct * from unnest(%(merchant_ids)s::uuid[], %(cause_ids)s::uuid[])) as t(merchant_id, cause_id)
          on r.merchant_id = t.merchant_id and r.cause_id = t.cause_id
        where r.cause_kind = %(kind)s order by r.merchant_id, r.cause_id
        """,
        {"merchant_ids": list(merchant_ids), "cause_ids": list(cause_ids), "kind": str(cause_kind)},
    )
    return {(row[0], row[1]): row[2] for row in rows}


async def list_refunds_of_orders(conn: Conn, merchant_id: uuid.UUID, order_ids: Sequence[uuid.UUID]) -> list[StoredRefund]:
    """Return all refunds of a merchant's orders with their lines, oldest first."""
    rows = await fetch(
        conn,
        f"select {_HEAD} from refund r where r.merchant_id = %(merchant)s and r.order_id = any(%(orders)s) order by r.asked_at, r.refund_id",
        {"merchant": merchant_id, "orders": list(order_ids)},
    )
    return await _with_lines(conn, rows)


async def list_refunds(conn: Conn, merchant_id: uuid.UUID, states: Sequence[RefundState], before: datetime, limit: int) -> list[StoredRefund]:
    """Return a merchant's refunds in these states that were asked for before an instant, newest first."""
    rows = await fetch(
        conn,
        f"""
        select {_HEAD} from refund r
        where r.merchant_id = %(merchant)s and r.state = any(%(states)s) and r.asked_at < %(before)s
        order by r.asked_at desc, r.refund_id limit %(limit)s
        """,
        {"merchant": merchant_id, "states": [str(state) for state in states], "before": before, "limit": limit},
    )
    return await _with_lines(conn, rows)


async def read_refunds(conn: Conn, keys: Sequence[tuple[uuid.UUID, uuid.UUID]]) -> dict[tuple[uuid.UUID, uuid.UUID], StoredRefund]:
    """Return refunds by (merchant, refund)."""
    rows = await fetch(
        conn,
        f"""
        select {_HEAD} from refund r
        join (select distinct * from unnest(%(merchant_ids)s::uuid[], %(refund_ids)s::uuid[])) as t(merchant_id, refund_id)
          on r.merchant_id = t.merchant_id and r.refund_id = t.refund_id
        order by r.merchant_id, r.refund_id
        """,
        {"merchant_ids": [key[0] for key in keys], "refund_ids": [key[1] for key in keys]},
    )
    return {(stored.refund.merchant_id, stored.refund.refund_id): stored for stored in await _with_lines(conn, rows)}


def _require_payable(refund: Refund) -> None:
    decimals_of(refund.currency)
    numbers = [line.line_no for line in refund.lines]
    if not numbers or len(set(numbers)) < len(numbers):
        raise RefundExceedsChargeError("refund.lines", numbers, "Name at least one line, and each once.")
    if refund.amounts.total_minor < 0:
        raise RefundExceedsChargeError("refund.total_minor", refund.amounts.total_minor, "A refund gives money back; it cannot take any.")


def _first_of_each(refunds: Sequence[Refund]) -> list[Refund]:
    """Return the first refund of each id: a twin inside the batch brings no second set of lines."""
    first: dict[tuple[uuid.UUID, uuid.UUID], Refund] = {}
    for refund in refunds:
        first.setdefault((refund.merchant_id, refund.refund_id), refund)
    return list(first.values())


async def _insert_refunds(conn: Conn, refunds: Sequence[Refund]) -> set[tuple[uuid.UUID, uuid.UUID]]:
    rows = await fetch(
        conn,
        f"""
        insert into refund
            (merchant_id, refund_id, order_id, person_id, cause_kind, cause_id, currency, asked_at, state, total_minor, {", ".join(_AMOUNTS)})
        select merchant_id, refund_id, order_id, person_id, cause_kind, cause_id, currency, asked_at, 'pending', total_minor, {", ".join(_AMOUNTS)}
        from unnest(%(merchant_id)s::uuid[], %(refund_id)s::uuid[], %(order_id)s::uuid[], %(person_id)s::uuid[], %(cause_kind)s::text[],
                    %(cause_id)s::uuid[], %(currency)s::text[], %(asked_at)s::timestamptz[], %(total_minor)s::bigint[],
                    {", ".join(f"%({name})s::bigint[]" for name in _AMOUNTS)})
             as t(merchant_id, refund_id, order_id, person_id, cause_kind, cause_id, currency, asked_at, total_minor, {", ".join(_AMOUNTS)})
        on conflict do nothing returning merchant_id, refund_id
        """,
        columns(refunds, "merchant_id", "refund_id", "order_id", "person_id", "cause_id", "currency", "asked_at")
        | columns([refund.amounts for refund in refunds], "total_minor", *_AMOUNTS)
        | {"cause_kind": [str(refund.cause_kind) for refund in refunds]},
    )
    return {(row[0], row[1]) for row in rows}


async def _insert_lines(conn: Conn, refunds: Sequence[Refund]) -> None:
    lines = [(refund, line) for refund in refunds for line in refund.lines]
    await execute(
        conn,
        f"""
        insert into refund_line (merchant_id, refund_id, order_id, line_no, quantity, {", ".join(_AMOUNTS)})
        select * from unnest(%(merchant_id)s::uuid[], %(refund_id)s::uuid[], %(order_id)s::uuid[], %(line_no)s::int[], %(quantity)s::bigint[],
                             {", ".join(f"%({name})s::bigint[]" for name in _AMOUNTS)})
        """,
        columns([refund for refund, _ in lines], "merchant_id", "refund_id", "order_id")
        | columns([line for _, line in lines], "line_no", "quantity")
        | columns([line.amounts for _, line in lines], *_AMOUNTS),
    )


async def _read_by_cause(conn: Conn, refunds: Sequence[Refund]) -> dict[tuple[uuid.UUID, CauseKind, uuid.UUID], Refund]:
    rows = await fetch(
        conn,
        f"""
        select {_HEAD} from refund r
        join (select distinct * from unnest(%(merchant_id)s::uuid[], %(cause_kind)s::text[], %(cause_id)s::uuid[]))
             as t(merchant_id, cause_kind, cause_id)
          on r.merchant_id = t.merchant_id and r.cause_kind = t.cause_kind and r.cause_id = t.cause_id
        """,
        columns(refunds, "merchant_id", "cause_id") | {"cause_kind": [str(refund.cause_kind) for refund in refunds]},
    )
    standing = [stored.refund for stored in await _with_lines(conn, rows)]
    return {(refund.merchant_id, refund.cause_kind, refund.cause_id): refund for refund in standing}


def _is_same(refund: Refund, standing: Refund) -> bool:
    def values(one: Refund) -> tuple[object, ...]:
        return (one.order_id, one.currency, sorted((line.line_no, line.quantity, line.amounts.total_minor) for line in one.lines))

    return values(refund) == values(standing)


async def _lock_refunds(conn: Conn, steps: Sequence[RefundStep]) -> dict[tuple[uuid.UUID, uuid.UUID], RefundState]:
    rows = await fetch(
        conn,
        """
        select r.merchant_id, r.refund_id, r.state from refund r
        join (select distinct * from unnest(%(merchant_id)s::uuid[], %(refund_id)s::uuid[])) as t(merchant_id, refund_id)
          on r.merchant_id = t.merchant_id and r.refund_id = t.refund_id
        order by r.merchant_id, r.refund_id for update of r
        """,
        columns(steps, "merchant_id", "refund_id"),
    )
    return {(row[0], row[1]): RefundState(row[2]) for row in rows}


async def _with_lines(conn: Conn, heads: Sequence[Row]) -> list[StoredRefund]:
    """Build refunds from their heads and the lines of all of them, in the order of the heads."""
    rows = await fetch(
        conn,
        f"""
        select l.merchant_id, l.refund_id, l.line_no, l.quantity, {", ".join(f"l.{name}" for name in _AMOUNTS)}
        from refund_line l join unnest(%(merchant_ids)s::uuid[], %(refund_ids)s::uuid[]) as t(merchant_id, refund_id)
          on l.merchant_id = t.merchant_id and l.refund_id = t.refund_id
        order by l.merchant_id, l.refund_id, l.line_no
        """,
        {"merchant_ids": [row[0] for row in heads], "refund_ids": [row[1] for row in heads]},
    )
    lines: dict[tuple[uuid.UUID, uuid.UUID], list[RefundLine]] = {}
    for row in rows:
        lines.setdefault((row[0], row[1]), []).append(RefundLine(row[2], row[3], Amounts(*row[4:])))
    return [
        StoredRefund(_refund(row, lines.get((row[0], row[1]), [])), state=RefundState(row[8]), settled_at=row[9], reference=row[10]) for row in heads
    ]


def _refund(row: Row, lines: Sequence[RefundLine]) -> Refund:
    return Refund(
        merchant_id=row[0],
        refund_id=row[1],
        order_id=row[2],
        person_id=row[3],
        cause_kind=CauseKind(row[4]),
        cause_id=row[5],
        currency=row[6],
        asked_at=row[7],
        lines=tuple(lines),
    )
