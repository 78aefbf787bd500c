"""Consignments: planned with the order, released to whoever packs, resized on cancellation, then led by their parcels."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from entrepot.base.sql import Conn, columns, execute, fetch
from entrepot.freight.model import (
    CONSIGNMENT_STATES,
    ConsignmentChange,
    ConsignmentKey,
    ConsignmentPlan,
    ConsignmentSize,
    ConsignmentState,
    Outcome,
    PackedTooMuchError,
    ParcelState,
    UnknownConsignmentError,
    consignment_state,
)

_PLAN_FIELDS: Final = (
    "merchant_id",
    "consignment_id",
    "order_id",
    "place_code",
    "to_country_code",
    "to_postcode_prefix",
    "model_code",
    "plan_version",
    "doer",
    "carrier_code",
    "service_code",
    "ship_by_at",
    "promised_from_on",
    "promised_to_on",
    "customs_regime_code",
    "piece_count",
)


async def plan_consignments(
    conn: Conn, plans: Sequence[ConsignmentPlan], at: datetime, state: ConsignmentState = ConsignmentState.PLANNED
) -> list[Outcome]:
    """Insert consignments as planned, or as released where nobody has to see them first, and answer each with `new` or `exists` (@batch)."""
    if not plans:
        return []
    rows = await fetch(
        conn,
        """
        insert into consignment (merchant_id, consignment_id, order_id, place_code, to_country_code, to_postcode_prefix, model_code, plan_version, doer,
                                 carrier_code, service_code, ship_by_at, promised_from_on, promised_to_on, customs_regime_code, piece_count,
                                 state, planned_at, state_at)
        select *, %(state)s::text, %(at)s::timestamptz, %(at)s::timestamptz
        from unnest(%(merchant_id)s::uuid[], %(consignment_id)s::uuid[], %(order_id)s::uuid[], %(place_code)s::text[], %(to_country_code)s::text[],
                    %(to_postcode_prefix)s::text[], %(model_code)s::text[], %(plan_version)s::int[], %(doer)s::text[], %(carrier_code)s::text[],
                    %(service_code)s::text[], %(ship_by_at)s::timestamptz[], %(promised_from_on)s::date[], %(promised_to_on)s::date[],
                    %(customs_regime_code)s::text[], %(piece_count)s::bigint[])
        on conflict do nothing
        returning merchant_id, consignment_id
        """,
        columns(plans, *_PLAN_FIELDS) | {"at": at, "state": str(state)},
    )
    fresh = {(row[0], row[1]) for row in rows}
    outcomes: list[Outcome] = []
    for plan in plans:
        key = (plan.merchant_id, plan.consignment_id)
        outcomes.append(Outcome.NEW if key in fresh else Outcome.EXISTS)
        fresh.discard(key)
    return outcomes


async def release_consignments(conn: Conn, keys: Sequence[ConsignmentKey], at: datetime) -> list[ConsignmentChange]:
    """Release planned consignments to whoever packs and return those that are newly released (@batch)."""
    if not keys:
        return []
    rows = await fetch(
        conn,
        """
        update consignment c set state = 'released', state_at = %(at)s
        from unnest(%(merchant_id)s::uuid[], %(consignment_id)s::uuid[]) as t(merchant_id, consignment_id)
        where c.merchant_id = t.merchant_id and c.consignment_id = t.consignment_id and c.state = 'planned'
        returning c.merchant_id, c.consignment_id, c.order_id, c.is_held
        """,
        columns(keys, "merchant_id", "consignment_id") | {"at": at},
    )
    return sorted(
        (ConsignmentChange(row[0], row[1], row[2], ConsignmentState.PLANNED, ConsignmentState.RELEASED, row[3]) for row in rows),
        key=lambda change: (change.merchant_id, change.consignment_id),
    )


async def resize_consignments(conn: Conn, sizes: Sequence[ConsignmentSize], at: datetime) -> list[ConsignmentChange]:
    """Set the pieces that consignments shall hold after a cancellation; fewer than are packed is refused, zero cancels (@batch).

    The size is absolute, so a replay changes nothing. A consignment that was waiting only for the cancelled pieces moves on.
    """
    if not sizes:
        return []
    rows = await fetch(
        conn,
        """
        select c.merchant_id, c.consignment_id, c.packed_count
        from consignment c join unnest(%(merchant_id)s::uuid[], %(consignment_id)s::uuid[]) as t(merchant_id, consignment_id)
          on c.merchant_id = t.merchant_id and c.consignment_id = t.consignment_id
        order by c.merchant_id, c.consignment_id for update of c
        """,
        columns(sizes, "merchant_id", "consignment_id"),
    )
    packed = {(row[0], row[1]): int(row[2]) for row in rows}
    for size in sizes:
        key = (size.merchant_id, size.consignment_id)
        if key not in packed:
            raise UnknownConsignmentError("consignment_id", str(size.consignment_id), "Name a consignment of this merchant.")
        if size.piece_count < packed[key]:
            raise PackedTooMuchError("piece_count", size.piece_count, "%(pieces)s pieces are packed; void their labels first.", pieces=packed[key])
    rows = await fetch(
        conn,
        """
        update consignment c set piece_count = t.piece_count, state = case when t.piece_count = 0 then 'cancelled' else c.state end,
            state_at = case when t.piece_count = 0 then %(at)s::timestamptz else c.state_at end
        from unnest(%(merchant_id)s::uuid[], %(consignment_id)s::uuid[], %(piece_count)s::bigint[]) as t(merchant_id, consignment_id, piece_count),
             consignment was
        where c.merchant_id = t.merchant_id and c.consignment_id = t.consignment_id and c.piece_count <> t.piece_count
          and was.merchant_id = c.merchant_id and was.consignment_id = c.consignment_id
        returning c.merchant_id, c.consignment_id, c.order_id, was.state, c.state
        """,
        columns(sizes, "merchant_id", "consignment_id", "piece_count") | {"at": at},
    )
    changes = [ConsignmentChange(row[0], row[1], row[2], ConsignmentState(row[3]), ConsignmentState(row[4])) for row in rows if row[3] != row[4]]
    kept = [ConsignmentKey(row[0], row[1]) for row in rows if row[4] != ConsignmentState.CANCELLED]
    changes += await follow_parcels(conn, kept)
    return sorted(changes, key=lambda change: (change.merchant_id, change.consignment_id))


async def follow_parcels(conn: Conn, keys: Sequence[ConsignmentKey]) -> list[ConsignmentChange]:
    """Bring consignments to the state that their parcels give them and return those that changed; the caller holds their locks (@batch)."""
    unique = sorted(set(keys), key=lambda key: (key.merchant_id, key.consignment_id))
    if not unique:
        return []
    rows = await fetch(
        conn,
        """
        select c.merchant_id, c.consignment_id, c.order_id, c.state, c.piece_count, p.state, sum(l.quantity), max(p.state_at)
        from unnest(%(merchant_id)s::uuid[], %(consignment_id)s::uuid[]) as t(merchant_id, consignment_id)
        join consignment c on c.merchant_id = t.merchant_id and c.consignment_id = t.consignment_id
        join parcel p on p.merchant_id = c.merchant_id and p.consignment_id = c.consignment_id
        join parcel_line l on l.merchant_id = p.merchant_id and l.parcel_id = p.parcel_id
        where c.state <> 'cancelled' and p.state not in ('labelled', 'voided')
        group by c.merchant_id, c.consignment_id, c.order_id, c.state, c.piece_count, p.state
        order by c.merchant_id, c.consignment_id
        """,
        columns(unique, "merchant_id", "consignment_id"),
    )
    pieces: dict[ConsignmentKey, dict[ParcelState, int]] = defaultdict(dict)
    state_at: dict[ConsignmentKey, datetime] = {}
    for row in rows:
        key = ConsignmentKey(row[0], row[1])
        pieces[key][ParcelState(row[5])] = int(row[6])
        state_at[key] = max(row[7], state_at.get(key, row[7]))
    followed: list[ConsignmentChange] = []
    for row in {(row[0], row[1]): row for row in rows}.values():
        was, now = ConsignmentState(row[3]), consignment_state(int(row[4]), pieces[ConsignmentKey(row[0], row[1])])
        if now is not None:
            followed.append(ConsignmentChange(row[0], row[1], row[2], was, now))
    changes = [change for change in followed if change.state is not change.previous_state]
    for change in changes:
        CONSIGNMENT_STATES.require(change.previous_state, change.state)
    # The time is set even where the state stays, so that it follows from the parcels and not from the batches they came in.
    if followed:
        await execute(
            conn,
            """
            update consignment c set state = t.state, state_at = t.state_at
            from unnest(%(merchant_id)s::uuid[], %(consignment_id)s::uuid[], %(state)s::text[], %(state_at)s::timestamptz[])
                 as t(merchant_id, consignment_id, state, state_at)
            where c.merchant_id = t.merchant_id and c.consignment_id = t.consignment_id and (c.state, c.state_at) <> (t.state, t.state_at)
            """,
            columns(followed, "merchant_id", "consignment_id", "state")
            | {"state_at": [state_at[ConsignmentKey(change.merchant_id, change.consignment_id)] for change in followed]},
        )
    return changes
