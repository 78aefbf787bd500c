"""Finding parcels and consignments by tracking number or id."""

import uuid

from entrepot.base.named import MOST, Named
from entrepot.base.sql import Conn, fetch


async def find_parcels_named(conn: Conn, text: str, key: uuid.UUID | None) -> list[Named]:
    """Return the parcels with this tracking number or id, whoever carries them."""
    rows = await fetch(
        conn,
        """
        select merchant_id, parcel_id, coalesce(tracking_number, ''), state, order_id from parcel
        where tracking_number = %(text)s or parcel_id = %(key)s order by labelled_at desc, parcel_id limit %(most)s
        """,
        {"text": text, "key": key, "most": MOST},
    )
    return [Named("parcel", row[0], row[1], row[2], row[3], row[4]) for row in rows]


async def find_consignments(conn: Conn, key: uuid.UUID) -> list[Named]:
    """Return the consignment with this id."""
    rows = await fetch(
        conn,
        "select merchant_id, consignment_id, place_code, state, order_id from consignment where consignment_id = %(key)s",
        {"key": key},
    )
    return [Named("consignment", row[0], row[1], row[2], row[3], row[4]) for row in rows]
