"""The law of evidence as far as freight can prove it: every parcel has its cause, its pieces, its label, its events and its place in the index."""

from entrepot.base.sql import Conn, fetch, fetch_one
from entrepot.freight.model import TRACKING, ParcelState, Sighting, TrackingState, current_state


async def check_parcels(conn: Conn) -> tuple[int, list[str]]:
    """Return how many parcels were checked and, for each that breaks the law, its merchant, its id and what is wrong."""
    counted = await fetch_one(conn, "select count(*) from parcel")
    rows = await fetch(
        conn,
        """
        select p.merchant_id, p.parcel_id, w.wrong
        from parcel p
        left join label a on a.merchant_id = p.merchant_id and a.parcel_id = p.parcel_id
        left join tracking_index i on i.carrier_code = p.carrier_code and i.tracking_number = p.tracking_number
                                  and i.merchant_id = p.merchant_id and i.parcel_id = p.parcel_id
        cross join lateral (values
            ('no_cause', p.cause_kind not in ('sale', 'outbound_order', 'removal', 'transfer', 'replacement', 'return')),
            ('no_lines', not exists (select from parcel_line l where l.merchant_id = p.merchant_id and l.parcel_id = p.parcel_id)),
            ('no_label', p.label_source <> 'merchant' and a.parcel_id is null),
            ('label_names_another_number', a.payload ->> 'tracking_number' <> p.tracking_number),
            ('not_in_tracking_index', p.tracking_number is not null and i.parcel_id is null)
        ) as w(wrong, is_wrong)
        where w.is_wrong
        order by p.merchant_id, p.parcel_id, w.wrong
        """,
    )
    broken = [f"parcel {row[0]}/{row[1]}: {row[2]}" for row in rows]
    return (0 if counted is None else int(counted[0])), broken + await _orphans(conn) + await _wrong_states(conn) + await _wrong_sums(conn)


async def _orphans(conn: Conn) -> list[str]:
    """Name the parcels of which there are lines but no parcel."""
    rows = await fetch(
        conn,
        """
        select distinct l.merchant_id, l.parcel_id
        from parcel_line l left join parcel p on p.merchant_id = l.merchant_id and p.parcel_id = l.parcel_id
        where p.parcel_id is null
        order by l.merchant_id, l.parcel_id
        """,
    )
    return [f"parcel {row[0]}/{row[1]}: lines_without_parcel" for row in rows]


async def _wrong_states(conn: Conn) -> list[str]:
    """Name the parcels whose state is not what their events give."""
    rows = await fetch(
        conn,
        """
        select p.merchant_id, p.parcel_id, p.state, e.times, e.codes
        from parcel p left join (
            select merchant_id, parcel_id, array_agg(occurred_at order by event_key) as times, array_agg(code order by event_key) as codes
            from tracking_event group by merchant_id, parcel_id
        ) as e on e.merchant_id = p.merchant_id and e.parcel_id = p.parcel_id
        order by p.merchant_id, p.parcel_id
        """,
    )
    broken: list[str] = []
    for row in rows:
        sightings = [Sighting(at, TrackingState(code)) for at, code in zip(row[3] or (), row[4] or (), strict=True)]
        expected: ParcelState = TRACKING[current_state(sightings)].parcel_state
        if row[2] != expected:
            broken.append(f"parcel {row[0]}/{row[1]}: is {row[2]}, its events say {expected}")
    return broken


async def _wrong_sums(conn: Conn) -> list[str]:
    """Name the consignments whose packed pieces are not those of their parcels."""
    rows = await fetch(
        conn,
        """
        select c.merchant_id, c.consignment_id, c.packed_count, coalesce(sum(l.quantity) filter (where a.voided_at is null), 0) as pieces
        from consignment c
        left join parcel p on p.merchant_id = c.merchant_id and p.consignment_id = c.consignment_id
        left join label a on a.merchant_id = p.merchant_id and a.parcel_id = p.parcel_id
        left join parcel_line l on l.merchant_id = p.merchant_id and l.parcel_id = p.parcel_id
        group by c.merchant_id, c.consignment_id, c.packed_count
        having c.packed_count <> coalesce(sum(l.quantity) filter (where a.voided_at is null), 0)
        order by c.merchant_id, c.consignment_id
        """,
    )
    return [f"consignment {row[0]}/{row[1]}: packed_count {row[2]}, its parcels hold {row[3]}" for row in rows]
