"""SQL of returns: lock and read, insert, move, receive, grade; the flow owns the transaction."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from entrepot.aftersales.model import (
    DispositionCode,
    GradeCode,
    GradedUnits,
    PartKey,
    Return,
    ReturnApproval,
    ReturnChoice,
    ReturnGrading,
    ReturnKey,
    ReturnLine,
    ReturnReceipt,
    ReturnRequest,
    ReturnState,
)
from entrepot.base.sql import Conn, Row, columns, execute, fetch

_HEAD = """
    r.merchant_id, r.rma_id, r.order_id, r.person_id, r.state, r.reason_code, r.choice, r.asked_at, r.deadline_at, r.taker_role, r.decider_role,
    r.policy_code, r.place_code, r.customs_return_declaration
"""
_KEYS = "unnest(%(merchant_ids)s::uuid[], %(rma_ids)s::uuid[])"


def _keys(keys: Sequence[ReturnKey]) -> dict[str, object]:
    return {"merchant_ids": [key[0] for key in keys], "rma_ids": [key[1] for key in keys]}


async def insert_returns(conn: Conn, requests: Sequence[ReturnRequest]) -> set[ReturnKey]:
    """Insert requested returns with their lines and return the keys that are new."""
    rows = await fetch(
        conn,
        """
        insert into return_request
            (merchant_id, rma_id, order_id, person_id, state, reason_code, choice, asked_at, taker_role, decider_role, policy_code)
        select t.merchant_id, t.rma_id, t.order_id, t.person_id, 'requested', t.reason_code, t.choice, t.asked_at, t.taker_role, t.decider_role,
               t.policy_code
        from unnest(%(merchant_id)s::uuid[], %(rma_id)s::uuid[], %(order_id)s::uuid[], %(person_id)s::uuid[], %(reason_code)s::text[],
                    %(choice)s::text[], %(asked_at)s::timestamptz[], %(taker_role)s::text[], %(decider_role)s::text[], %(policy_code)s::text[])
             as t(merchant_id, rma_id, order_id, person_id, reason_code, choice, asked_at, taker_role, decider_role, policy_code)
        on conflict do nothing returning merchant_id, rma_id
        """,
        columns(requests, "merchant_id", "rma_id", "order_id", "person_id", "reason_code", "asked_at", "taker_role", "decider_role", "policy_code")
        | {"choice": [str(request.choice) for request in requests]},
    )
    new = {(row[0], row[1]) for row in rows}
    # A twin inside the batch brings the same key again; `on conflict` drops its lines as it dropped its head.
    lines = [(request, line) for request in requests if (request.merchant_id, request.rma_id) in new for line in request.lines]
    await execute(
        conn,
        """
        insert into return_line (merchant_id, rma_id, line_no, part_no, quantity)
        select * from unnest(%(merchant_ids)s::uuid[], %(rma_ids)s::uuid[], %(line_no)s::int[], %(part_no)s::int[], %(quantity)s::bigint[])
        on conflict do nothing
        """,
        _keys([(request.merchant_id, request.rma_id) for request, _ in lines])
        | columns([line for _, line in lines], "line_no", "part_no", "quantity"),
    )
    return new


async def lock_returns(conn: Conn, keys: Sequence[ReturnKey]) -> dict[ReturnKey, ReturnState]:
    """Lock returns in the order of their keys and return their states."""
    rows = await fetch(
        conn,
        f"""
        select r.merchant_id, r.rma_id, r.state from return_request r
        join {_KEYS} as t(merchant_id, rma_id) on r.merchant_id = t.merchant_id and r.rma_id = t.rma_id
        order by r.merchant_id, r.rma_id for update of r
        """,
        _keys(sorted(set(keys))),
    )
    return {(row[0], row[1]): ReturnState(row[2]) for row in rows}


async def update_return_states(conn: Conn, keys: Sequence[ReturnKey], target: ReturnState) -> None:
    """Give locked returns their new state."""
    await execute(
        conn,
        f"""
        update return_request r set state = %(target)s from {_KEYS} as t(merchant_id, rma_id)
        where r.merchant_id = t.merchant_id and r.rma_id = t.rma_id
        """,
        _keys(keys) | {"target": str(target)},
    )


async def update_approvals(conn: Conn, approvals: Sequence[ReturnApproval]) -> None:
    """Approve locked returns with deadline, place and customs declaration."""
    await execute(
        conn,
        """
        update return_request r
        set state = 'approved', deadline_at = t.deadline_at, place_code = t.place_code, customs_return_declaration = t.declaration
        from unnest(%(merchant_ids)s::uuid[], %(rma_ids)s::uuid[], %(deadline_at)s::timestamptz[], %(place_code)s::text[], %(declaration)s::text[])
             as t(merchant_id, rma_id, deadline_at, place_code, declaration)
        where r.merchant_id = t.merchant_id and r.rma_id = t.rma_id
        """,
        _keys([approval.step.key for approval in approvals])
        | columns(approvals, "deadline_at", "place_code")
        | {"declaration": [approval.customs_return_declaration for approval in approvals]},
    )


async def update_received(conn: Conn, receipts: Sequence[ReturnReceipt]) -> None:
    """Store what arrived of locked returns."""
    units = [(receipt.step.key, line) for receipt in receipts for line in receipt.received]
    await execute(
        conn,
        """
        update return_line l set received = t.quantity
        from unnest(%(merchant_ids)s::uuid[], %(rma_ids)s::uuid[], %(line_no)s::int[], %(part_no)s::int[], %(quantity)s::bigint[])
             as t(merchant_id, rma_id, line_no, part_no, quantity)
        where l.merchant_id = t.merchant_id and l.rma_id = t.rma_id and l.line_no = t.line_no and l.part_no = t.part_no
        """,
        _keys([key for key, _ in units]) | columns([line for _, line in units], "line_no", "part_no", "quantity"),
    )


async def insert_grades(conn: Conn, gradings: Sequence[ReturnGrading]) -> None:
    """Insert the grades of locked returns."""
    grades = [(grading.step, units) for grading in gradings for units in grading.grades]
    await execute(
        conn,
        """
        insert into return_grade (merchant_id, rma_id, line_no, part_no, grade_code, disposition_code, quantity, graded_at)
        select * from unnest(%(merchant_ids)s::uuid[], %(rma_ids)s::uuid[], %(line_no)s::int[], %(part_no)s::int[], %(grade_code)s::text[],
                             %(disposition_code)s::text[], %(quantity)s::bigint[], %(graded_at)s::timestamptz[])
        """,
        _keys([step.key for step, _ in grades])
        | columns([units for _, units in grades], "line_no", "part_no", "quantity")
        | {
            "grade_code": [str(units.grade_code) for _, units in grades],
            "disposition_code": [str(units.disposition_code) for _, units in grades],
            "graded_at": [step.at for step, _ in grades],
        },
    )


async def read_returns(conn: Conn, keys: Sequence[ReturnKey]) -> dict[ReturnKey, Return]:
    """Return the returns of these keys with lines and grades."""
    rows = await fetch(
        conn,
        f"select {_HEAD} from return_request r join {_KEYS} as t(merchant_id, rma_id) on r.merchant_id = t.merchant_id and r.rma_id = t.rma_id",
        _keys(sorted(set(keys))),
    )
    return await _with_lines(conn, rows)


async def list_returns_of_orders(conn: Conn, merchant_id: uuid.UUID, order_ids: Sequence[uuid.UUID]) -> list[Return]:
    """Return all returns of a merchant's orders, oldest first."""
    rows = await fetch(
        conn,
        f"select {_HEAD} from return_request r where r.merchant_id = %(merchant)s and r.order_id = any(%(orders)s) order by r.asked_at, r.rma_id",
        {"merchant": merchant_id, "orders": list(order_ids)},
    )
    return list((await _with_lines(conn, rows)).values())


async def list_returns(conn: Conn, merchant_id: uuid.UUID, states: Sequence[ReturnState], before: datetime, limit: int) -> list[Return]:
    """Return a merchant's returns in these states that were asked for before an instant, newest first."""
    rows = await fetch(
        conn,
        f"""
        select {_HEAD} from return_request r
        where r.merchant_id = %(merchant)s and r.state = any(%(states)s) and r.asked_at < %(before)s
        order by r.asked_at desc, r.rma_id limit %(limit)s
        """,
        {"merchant": merchant_id, "states": [str(state) for state in states], "before": before, "limit": limit},
    )
    return list((await _with_lines(conn, rows)).values())


async def list_returns_at(conn: Conn, place_code: str, states: Sequence[ReturnState], limit: int) -> list[Return]:
    """Return the returns in these states that go to a place, what arrived first, then the longest asked for."""
    rows = await fetch(
        conn,
        f"""
        select {_HEAD} from return_request r where r.place_code = %(place)s and r.state = any(%(states)s)
        order by r.state <> 'received', r.asked_at, r.rma_id limit %(limit)s
        """,
        {"place": place_code, "states": [str(state) for state in states], "limit": limit},
    )
    return list((await _with_lines(conn, rows)).values())


async def find_returns_at(conn: Conn, place_code: str, code: str, order_ids: Sequence[uuid.UUID]) -> list[Return]:
    """Return the returns to a place with this id or these last digits of it, or of these orders, newest first."""
    rows = await fetch(
        conn,
        f"""
        select {_HEAD} from return_request r where r.place_code = %(place)s
          and (r.rma_id::text = %(code)s or right(r.rma_id::text, 8) = %(code)s or r.order_id = any(%(orders)s::uuid[]))
        order by r.asked_at desc, r.rma_id limit 5
        """,
        {"place": place_code, "code": code.strip().lower(), "orders": list(order_ids)},
    )
    return list((await _with_lines(conn, rows)).values())


async def count_returns(conn: Conn, merchant_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, dict[ReturnState, int]]:
    """Return for each merchant the number of returns by state."""
    rows = await fetch(
        conn,
        """
        select r.merchant_id, r.state, count(*) from return_request r
        join unnest(%(merchant_ids)s::uuid[]) as t(merchant_id) on r.merchant_id = t.merchant_id
        group by r.merchant_id, r.state order by r.merchant_id, r.state
        """,
        {"merchant_ids": sorted(set(merchant_ids))},
    )
    counts: dict[uuid.UUID, dict[ReturnState, int]] = {merchant_id: {} for merchant_id in merchant_ids}
    for row in rows:
        counts[row[0]][ReturnState(row[1])] = row[2]
    return counts


async def read_open_quantities(
    conn: Conn, merchant_ids: Sequence[uuid.UUID], order_ids: Sequence[uuid.UUID]
) -> dict[tuple[uuid.UUID, uuid.UUID], dict[PartKey, int]]:
    """Return per order the units by (line, part) that are asked back and on their way: neither received nor refused, cancelled or closed."""
    rows = await fetch(
        conn,
        """
        select r.merchant_id, r.order_id, l.line_no, l.part_no, sum(l.quantity)
        from return_request r
        join (select distinct * from unnest(%(merchant_ids)s::uuid[], %(order_ids)s::uuid[])) as t(merchant_id, order_id)
          on r.merchant_id = t.merchant_id and r.order_id = t.order_id
        join return_line l on l.merchant_id = r.merchant_id and l.rma_id = r.rma_id
        where r.state in ('requested', 'approved', 'in_transit')
        group by r.merchant_id, r.order_id, l.line_no, l.part_no
        order by r.merchant_id, r.order_id, l.line_no, l.part_no
        """,
        {"merchant_ids": list(merchant_ids), "order_ids": list(order_ids)},
    )
    quantities: dict[tuple[uuid.UUID, uuid.UUID], dict[PartKey, int]] = {}
    for row in rows:
        quantities.setdefault((row[0], row[1]), {})[row[2], row[3]] = int(row[4])
    return quantities


async def read_taken_quantities(
    conn: Conn, merchant_ids: Sequence[uuid.UUID], order_ids: Sequence[uuid.UUID]
) -> dict[tuple[uuid.UUID, uuid.UUID], dict[PartKey, int]]:
    """Return per order the units by (line, part) that returns have taken or may yet take: on their way, received, or destroyed where they were."""
    rows = await fetch(
        conn,
        """
        select r.merchant_id, r.order_id, l.line_no, l.part_no,
               sum(case when r.state in ('requested', 'approved', 'in_transit') or (r.choice = 'destroy' and r.state = 'closed') then l.quantity
                        else l.received end)
        from return_request r
        join (select distinct * from unnest(%(merchant_ids)s::uuid[], %(order_ids)s::uuid[])) as t(merchant_id, order_id)
          on r.merchant_id = t.merchant_id and r.order_id = t.order_id
        join return_line l on l.merchant_id = r.merchant_id and l.rma_id = r.rma_id
        where r.state not in ('refused', 'cancelled')
        group by r.merchant_id, r.order_id, l.line_no, l.part_no
        order by r.merchant_id, r.order_id, l.line_no, l.part_no
        """,
        {"merchant_ids": list(merchant_ids), "order_ids": list(order_ids)},
    )
    quantities: dict[tuple[uuid.UUID, uuid.UUID], dict[PartKey, int]] = {}
    for row in rows:
        quantities.setdefault((row[0], row[1]), {})[row[2], row[3]] = int(row[4])
    return quantities


async def _with_lines(conn: Conn, heads: Sequence[Row]) -> dict[ReturnKey, Return]:
    """Build returns from their heads and the lines and grades of all of them, in the order of the heads."""
    keys = _keys([(row[0], row[1]) for row in heads])
    graded_rows = await fetch(
        conn,
        f"""
        select g.merchant_id, g.rma_id, g.line_no, g.part_no, g.grade_code, g.disposition_code, g.quantity
        from return_grade g join {_KEYS} as t(merchant_id, rma_id) on g.merchant_id = t.merchant_id and g.rma_id = t.rma_id
        order by g.line_no, g.part_no, g.grade_code, g.disposition_code
        """,
        keys,
    )
    line_rows = await fetch(
        conn,
        f"""
        select l.merchant_id, l.rma_id, l.line_no, l.part_no, l.quantity, l.received
        from return_line l join {_KEYS} as t(merchant_id, rma_id) on l.merchant_id = t.merchant_id and l.rma_id = t.rma_id
        order by l.line_no, l.part_no
        """,
        keys,
    )
    grades: dict[ReturnKey, dict[PartKey, list[GradedUnits]]] = {}
    for row in graded_rows:
        graded = GradedUnits(row[2], row[3], GradeCode(row[4]), DispositionCode(row[5]), row[6])
        grades.setdefault((row[0], row[1]), {}).setdefault((row[2], row[3]), []).append(graded)
    lines: dict[ReturnKey, list[ReturnLine]] = {}
    for row in line_rows:
        of_part = grades.get((row[0], row[1]), {}).get((row[2], row[3]), [])
        lines.setdefault((row[0], row[1]), []).append(ReturnLine(row[2], row[3], row[4], row[5], tuple(of_part)))
    return {(row[0], row[1]): _return(row, lines.get((row[0], row[1]), [])) for row in heads}


def _return(row: Row, lines: Sequence[ReturnLine]) -> Return:
    return Return(
        merchant_id=row[0],
        rma_id=row[1],
        order_id=row[2],
        person_id=row[3],
        state=ReturnState(row[4]),
        reason_code=row[5],
        choice=ReturnChoice(row[6]),
        asked_at=row[7],
        deadline_at=row[8],
        taker_role=row[9],
        decider_role=row[10],
        policy_code=row[11],
        place_code=row[12],
        customs_return_declaration=row[13],
        lines=tuple(lines),
    )
