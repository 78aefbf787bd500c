"""What left across borders, and how many pieces, to be held against what was declared."""

import uuid
from collections.abc import Sequence

from msgspec import Struct

from entrepot.base.batching import batch
from entrepot.base.sql import Conn, fetch

_LEFT = "p.shipped_at is not null"


class PackedPieces(Struct, frozen=True):
    """Pieces of an order line in the parcels of a consignment; parcels with a voided label hold nothing."""

    merchant_id: uuid.UUID
    consignment_id: uuid.UUID
    line_no: int
    quantity: int


class LeftParcel(Struct, frozen=True):
    """A parcel that was handed to a carrier, with the consignment it belongs to."""

    merchant_id: uuid.UUID
    parcel_id: uuid.UUID
    consignment_id: uuid.UUID


async def read_used_lanes(conn: Conn) -> list[tuple[str, str, int]]:
    """Return (place, destination country, count) of all parcels that were handed to a carrier, sorted."""
    rows = await fetch(
        conn,
        f"""
        select c.place_code, c.to_country_code, count(*)
        from parcel p join consignment c on c.merchant_id = p.merchant_id and c.consignment_id = p.consignment_id
        where {_LEFT} group by 1, 2 order by 1, 2
        """,
    )
    return [(str(row[0]), str(row[1]), int(row[2])) for row in rows]


async def read_left_parcels(conn: Conn, place_codes: Sequence[str], to_country_codes: Sequence[str]) -> list[LeftParcel]:
    """Return the parcels that were handed over on these lanes (place, destination country) or under a customs regime, in key order."""
    rows = await fetch(
        conn,
        f"""
        select p.merchant_id, p.parcel_id, p.consignment_id
        from consignment c join parcel p on p.merchant_id = c.merchant_id and p.consignment_id = c.consignment_id
        left join (select distinct * from unnest(%(places)s::text[], %(countries)s::text[])) as t(place_code, to_country_code)
          on t.place_code = c.place_code and t.to_country_code = c.to_country_code
        where {_LEFT} and (t.place_code is not null or c.customs_regime_code is not null) order by 1, 2
        """,
        {"places": list(place_codes), "countries": list(to_country_codes)},
    )
    return [LeftParcel(*row) for row in rows]


@batch
async def read_packed_pieces(conn: Conn, merchant_ids: Sequence[uuid.UUID], consignment_ids: Sequence[uuid.UUID]) -> list[PackedPieces]:
    """Return what the parcels of these consignments hold by order line, in key order."""
    rows = await fetch(
        conn,
        """
        select p.merchant_id, p.consignment_id, l.line_no, sum(l.quantity)::bigint
        from (select distinct * from unnest(%(merchants)s::uuid[], %(consignments)s::uuid[])) as t(merchant_id, consignment_id)
        join parcel p on p.merchant_id = t.merchant_id and p.consignment_id = t.consignment_id and p.state <> 'voided'
        join parcel_line l on l.merchant_id = p.merchant_id and l.parcel_id = p.parcel_id
        group by 1, 2, 3 order by 1, 2, 3
        """,
        {"merchants": list(merchant_ids), "consignments": list(consignment_ids)},
    )
    return [PackedPieces(row[0], row[1], int(row[2]), int(row[3])) for row in rows]
