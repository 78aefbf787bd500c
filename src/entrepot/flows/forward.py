"""Units that travel on: what left with a parcel arrives, is lost or comes back, with the lots and owners it left with."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import replace

from entrepot.base.ids import derived_id_at
from entrepot.base.sql import Conn
from entrepot.base.time import at_ms
from entrepot.books.stock.model import Move, StockPosting, at_place
from entrepot.books.stock.post import post_moves
from entrepot.books.stock.read import read_sent
from entrepot.freight.model import ParcelChange, ParcelKey
from entrepot.freight.track import read_parcel_lines


async def with_lines(conn: Conn, changes: Sequence[ParcelChange]) -> list[ParcelChange]:
    """Return parcel changes with the lines of their parcels."""
    lines = await read_parcel_lines(conn, [ParcelKey(one.merchant_id, one.parcel_id) for one in changes])
    return [replace(one, lines=lines.get(ParcelKey(one.merchant_id, one.parcel_id), ())) for one in changes]


def journey_id(verb: str, parcel_id: uuid.UUID, at: datetime) -> uuid.UUID:
    """Return the id of the posting by which a parcel's units travel on."""
    return derived_id_at(at_ms(at), verb, parcel_id)


async def move_on(conn: Conn, parcels: Sequence[ParcelChange], verb: str, target_place: str) -> set[uuid.UUID]:
    """Move the units of parcels from the carrier to a pseudo place; return the postings that are new."""
    if not parcels:
        return set()
    causes = [(one.merchant_id, cause_id) for one in parcels for cause_id in (one.parcel_id, one.consignment_id)]
    sent = await read_sent(conn, [cause[0] for cause in causes], [cause[1] for cause in causes])
    postings = [
        StockPosting(
            one.merchant_id,
            journey_id(verb, one.parcel_id, one.at),
            one.at,
            verb,
            one.order_id,
            [
                Move(held.location, at_place(held.location, target_place), held.quantity)
                for cause_id in (one.parcel_id, one.consignment_id)
                for held in sent.get((one.merchant_id, cause_id), ())
            ],
        )
        for one in parcels
    ]
    return await post_moves(conn, postings)
