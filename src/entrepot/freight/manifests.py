"""Manifests as a place reads them: what a carrier took when, parcel by parcel."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from entrepot.base.sql import Conn, fetch


class ManifestHead(Struct, frozen=True):
    """A manifest with how many parcels it names and what they weigh."""

    place_code: str
    manifest_id: uuid.UUID
    carrier_code: str
    opened_at: datetime
    closed_at: datetime | None
    parcel_count: int
    weight_g: int


class ManifestRow(Struct, frozen=True):
    """A parcel on a manifest."""

    merchant_id: uuid.UUID
    parcel_id: uuid.UUID
    tracking_number: str | None
    to_country_code: str
    service_code: str
    weight_g: int


async def list_manifests(conn: Conn, place_code: str, limit: int) -> list[ManifestHead]:
    """Return a place's manifests, newest first."""
    rows = await fetch(
        conn,
        """
        select m.place_code, m.manifest_id, m.carrier_code, m.opened_at, m.closed_at, count(*), coalesce(sum(p.weight_g), 0)::bigint
        from (select * from manifest where place_code = %(place)s order by opened_at desc, manifest_id limit %(limit)s) m
        join manifest_parcel x on x.place_code = m.place_code and x.manifest_id = m.manifest_id
        join parcel p on p.merchant_id = x.merchant_id and p.parcel_id = x.parcel_id
        group by m.place_code, m.manifest_id, m.carrier_code, m.opened_at, m.closed_at order by m.opened_at desc, m.manifest_id
        """,
        {"place": place_code, "limit": limit},
    )
    return [ManifestHead(*row) for row in rows]


async def read_manifest(conn: Conn, place_code: str, manifest_id: uuid.UUID) -> Sequence[ManifestRow]:
    """Return the parcels of a manifest by number; none if the place has no such manifest."""
    rows = await fetch(
        conn,
        """
        select p.merchant_id, p.parcel_id, p.tracking_number, c.to_country_code, p.service_code, p.weight_g
        from manifest_parcel x join parcel p on p.merchant_id = x.merchant_id and p.parcel_id = x.parcel_id
        join consignment c on c.merchant_id = p.merchant_id and c.consignment_id = p.consignment_id
        where x.place_code = %(place)s and x.manifest_id = %(manifest)s order by p.tracking_number, p.parcel_id
        """,
        {"place": place_code, "manifest": manifest_id},
    )
    return [ManifestRow(*row) for row in rows]
