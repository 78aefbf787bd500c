"""Set-based SQL of inbound plans, their lines, legs and boxes."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from entrepot.base.sql import Conn, Row, columns, execute, fetch, json_column
from entrepot.warehouse.inbound import InboundLeg, InboundLine, LegKind, NewPlan, Plan, PlanRef
from entrepot.warehouse.model import InboundKind, PlanState

ASKED_PLANS: Final = "(select distinct * from unnest(%(merchant_id)b::uuid[], %(plan_id)b::uuid[]) as a(merchant_id, plan_id)) as t"
PLAN_COLUMNS: Final = """p.merchant_id, p.plan_id, p.place_code, p.country_code, p.kind, p.state, p.customs_status, p.importer_of_record,
                         p.announced_at, p.departed_at, p.custody_at, p.ended_at"""
LINE_COLUMNS: Final = """l.merchant_id, l.plan_id, l.line_no, l.stock_item_id, l.lot_code, l.expires_on, l.announced, l.received_good,
                         l.received_damaged, l.not_delivered, l.over_good, l.over_damaged, l.stowed_good, l.stowed_damaged"""

InboundLineKey = tuple[PlanRef, int]
"""Plan and line number."""


def plan_from(row: Row) -> Plan:
    """Read a row of PLAN_COLUMNS."""
    return Plan(PlanRef(row[0], row[1]), row[2], row[3], InboundKind(row[4]), PlanState(row[5]), row[6], row[7], row[8], row[9], row[10], row[11])


def inbound_line_from(row: Row) -> InboundLine:
    """Read a row of LINE_COLUMNS."""
    return InboundLine(PlanRef(row[0], row[1]), *row[2:])


async def insert_plans(conn: Conn, plans: Sequence[NewPlan]) -> set[PlanRef]:
    """Store plans that are new and return which these are."""
    rows = await fetch(
        conn,
        """insert into inbound_plan
             (merchant_id, plan_id, place_code, country_code, kind, state, customs_status, importer_of_record, announced_at)
           select * from unnest(%(merchant_id)b::uuid[], %(plan_id)b::uuid[], %(place_code)b::text[], %(country_code)b::text[],
                                %(kind)b::text[], %(state)b::text[], %(customs_status)b::text[], %(importer_of_record)b::text[],
                                %(announced_at)b::timestamptz[])
           on conflict do nothing returning merchant_id, plan_id""",
        columns(plans, "merchant_id", "plan_id", "place_code", "country_code", "kind", "customs_status", "importer_of_record", "announced_at")
        | {"state": [str(PlanState.ANNOUNCED)] * len(plans)},
    )
    return {PlanRef(merchant_id, plan_id) for merchant_id, plan_id in rows}


async def insert_inbound_lines(conn: Conn, plans: Sequence[NewPlan]) -> None:
    """Store the lines of new plans."""
    pairs = [(plan, line) for plan in plans for line in plan.lines]
    await execute(
        conn,
        """insert into inbound_line (merchant_id, plan_id, line_no, stock_item_id, lot_code, expires_on, announced)
           select * from unnest(%(merchant_id)b::uuid[], %(plan_id)b::uuid[], %(line_no)b::integer[], %(stock_item_id)b::uuid[],
                                %(lot_code)b::text[], %(expires_on)b::date[], %(announced)b::bigint[])""",
        columns([plan for plan, _ in pairs], "merchant_id", "plan_id")
        | columns([line for _, line in pairs], "line_no", "stock_item_id", "lot_code", "expires_on", "announced"),
    )


async def insert_legs(conn: Conn, plans: Sequence[NewPlan]) -> None:
    """Store the legs of new unified plans."""
    pairs = [(plan, leg) for plan in plans for leg in plan.legs]
    if not pairs:
        return
    await execute(
        conn,
        """insert into inbound_leg (merchant_id, plan_id, leg_no, kind, carrier_code, from_code, to_code, planned_departs_at,
                                    planned_arrives_at, departed_at, arrived_at, cost_minor, currency)
           select * from unnest(%(merchant_id)b::uuid[], %(plan_id)b::uuid[], %(leg_no)b::integer[], %(kind)b::text[], %(carrier_code)b::text[],
                                %(from_code)b::text[], %(to_code)b::text[], %(planned_departs_at)b::timestamptz[],
                                %(planned_arrives_at)b::timestamptz[], %(departed_at)b::timestamptz[], %(arrived_at)b::timestamptz[],
                                %(cost_minor)b::bigint[], %(currency)b::text[])""",
        columns([plan for plan, _ in pairs], "merchant_id", "plan_id")
        | columns(
            [leg for _, leg in pairs],
            *("leg_no", "kind", "carrier_code", "from_code", "to_code", "planned_departs_at", "planned_arrives_at"),
            *("departed_at", "arrived_at", "cost_minor", "currency"),
        ),
    )


async def insert_boxes(conn: Conn, plans: Sequence[NewPlan]) -> None:
    """Store the boxes of new plans."""
    pairs = [(plan, box) for plan in plans for box in plan.boxes]
    if not pairs:
        return
    await execute(
        conn,
        """insert into inbound_box (merchant_id, plan_id, box_no, weight_g, contents)
           select merchant_id, plan_id, box_no, weight_g, nullif(contents, 'null'::jsonb)
           from unnest(%(merchant_id)b::uuid[], %(plan_id)b::uuid[], %(box_no)b::integer[], %(weight_g)b::bigint[], %(contents)b::jsonb[])
                as t(merchant_id, plan_id, box_no, weight_g, contents)""",
        columns([plan for plan, _ in pairs], "merchant_id", "plan_id")
        | columns([box for _, box in pairs], "box_no", "weight_g")
        | {"contents": json_column(box.contents for _, box in pairs)},
    )


async def lock_plans(conn: Conn, refs: Sequence[PlanRef]) -> dict[PlanRef, Plan]:
    """Read plans and keep others from changing them and their lines until the transaction ends."""
    rows = await fetch(
        conn,
        f"""select {PLAN_COLUMNS} from {ASKED_PLANS} join inbound_plan p using (merchant_id, plan_id)
            order by p.merchant_id, p.plan_id for update of p""",
        columns(refs, "merchant_id", "plan_id"),
    )
    return {plan.ref: plan for plan in map(plan_from, rows)}


async def read_plans_of(conn: Conn, refs: Sequence[PlanRef]) -> dict[PlanRef, Plan]:
    """Return plans without locking them."""
    rows = await fetch(
        conn, f"select {PLAN_COLUMNS} from {ASKED_PLANS} join inbound_plan p using (merchant_id, plan_id)", columns(refs, "merchant_id", "plan_id")
    )
    return {plan.ref: plan for plan in map(plan_from, rows)}


async def read_inbound_lines(conn: Conn, refs: Iterable[PlanRef]) -> dict[InboundLineKey, InboundLine]:
    """Return the lines of plans in order of plan and line number."""
    rows = await fetch(
        conn,
        f"""select {LINE_COLUMNS} from {ASKED_PLANS} join inbound_line l using (merchant_id, plan_id)
            order by l.merchant_id, l.plan_id, l.line_no""",
        columns(refs, "merchant_id", "plan_id"),
    )
    return {(line.ref, line.line_no): line for line in map(inbound_line_from, rows)}


async def update_inbound_lines(conn: Conn, lines: Sequence[InboundLine]) -> None:
    """Store the counts of lines whose plans are locked."""
    if not lines:
        return
    await execute(
        conn,
        """update inbound_line l
           set received_good = t.received_good, received_damaged = t.received_damaged, not_delivered = t.not_delivered,
               over_good = t.over_good, over_damaged = t.over_damaged, stowed_good = t.stowed_good, stowed_damaged = t.stowed_damaged
           from unnest(%(merchant_id)b::uuid[], %(plan_id)b::uuid[], %(line_no)b::integer[], %(received_good)b::bigint[],
                       %(received_damaged)b::bigint[], %(not_delivered)b::bigint[], %(over_good)b::bigint[], %(over_damaged)b::bigint[],
                       %(stowed_good)b::bigint[], %(stowed_damaged)b::bigint[])
                as t(merchant_id, plan_id, line_no, received_good, received_damaged, not_delivered, over_good, over_damaged, stowed_good, stowed_damaged)
           where l.merchant_id = t.merchant_id and l.plan_id = t.plan_id and l.line_no = t.line_no""",
        columns([line.ref for line in lines], "merchant_id", "plan_id")
        | columns(
            lines,
            *("line_no", "received_good", "received_damaged", "not_delivered", "over_good", "over_damaged", "stowed_good", "stowed_damaged"),
        ),
    )


async def update_plans(conn: Conn, refs: Sequence[PlanRef], state: PlanState, times: Sequence[datetime], column: str) -> None:
    """Set the state of locked plans and the time of it in one of departed_at, custody_at, ended_at, where that time is not known yet."""
    if not refs:
        return
    await execute(
        conn,
        f"""update inbound_plan p set state = %(state)s, {column} = coalesce(p.{column}, t.at)
            from unnest(%(merchant_id)b::uuid[], %(plan_id)b::uuid[], %(at)b::timestamptz[]) as t(merchant_id, plan_id, at)
            where p.merchant_id = t.merchant_id and p.plan_id = t.plan_id""",
        columns(refs, "merchant_id", "plan_id") | {"state": str(state), "at": list(times)},
    )


async def read_legs_of(conn: Conn, refs: Sequence[PlanRef]) -> dict[InboundLineKey, InboundLeg]:
    """Return the legs of plans by plan and leg number, in that order."""
    rows = await fetch(
        conn,
        f"""select g.merchant_id, g.plan_id, g.leg_no, g.kind, g.from_code, g.to_code, g.planned_departs_at, g.planned_arrives_at, g.cost_minor,
                   g.currency, g.carrier_code, g.departed_at, g.arrived_at
            from {ASKED_PLANS} join inbound_leg g using (merchant_id, plan_id) order by g.merchant_id, g.plan_id, g.leg_no""",
        columns(refs, "merchant_id", "plan_id"),
    )
    return {(PlanRef(row[0], row[1]), row[2]): InboundLeg(row[2], LegKind(row[3]), *row[4:]) for row in rows}


async def count_boxes(conn: Conn, refs: Sequence[PlanRef]) -> dict[PlanRef, tuple[int, int]]:
    """Return how many boxes plans have and how many of them the dock has seen; plans without boxes are left out."""
    rows = await fetch(
        conn,
        f"""select b.merchant_id, b.plan_id, count(*), count(b.arrived_at) from {ASKED_PLANS} join inbound_box b using (merchant_id, plan_id)
            group by b.merchant_id, b.plan_id order by b.merchant_id, b.plan_id""",
        columns(refs, "merchant_id", "plan_id"),
    )
    return {PlanRef(row[0], row[1]): (int(row[2]), int(row[3])) for row in rows}


async def update_boxes_arrived(conn: Conn, boxes: Sequence[tuple[PlanRef, int, datetime]]) -> None:
    """Note when boxes were first seen at the dock."""
    if not boxes:
        return
    await execute(
        conn,
        """update inbound_box b set arrived_at = t.at
           from (select merchant_id, plan_id, box_no, min(at) as at
                 from unnest(%(merchant_id)b::uuid[], %(plan_id)b::uuid[], %(box_no)b::integer[], %(at)b::timestamptz[])
                      as a(merchant_id, plan_id, box_no, at)
                 group by merchant_id, plan_id, box_no) as t
           where b.merchant_id = t.merchant_id and b.plan_id = t.plan_id and b.box_no = t.box_no and b.arrived_at is null""",
        columns([ref for ref, _, _ in boxes], "merchant_id", "plan_id") | {"box_no": [no for _, no, _ in boxes], "at": [at for _, _, at in boxes]},
    )
