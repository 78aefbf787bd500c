"""What the floor did becomes postings of the stock book: one posting for each verb and document."""

import uuid
from collections.abc import Mapping, Sequence

from entrepot.base.ids import derived_id
from entrepot.base.sql import Conn
from entrepot.books.stock.model import Consumption, Location, Move, StockPosting
from entrepot.books.stock.post import post_moves
from entrepot.catalogue.store import read_item_measures
from entrepot.warehouse.cartons import MeasureKey, UnitMeasure
from entrepot.warehouse.model import StockMove

CauseKey = tuple[uuid.UUID, str, uuid.UUID]
"""Merchant, verb and document."""


async def post_floor_moves(conn: Conn, moves: Sequence[StockMove], consumptions: Mapping[CauseKey, Sequence[Consumption]] | None = None) -> None:
    """Post the floor's moves; with a hand-over, the reservations of the lines are consumed in the same posting."""
    groups: dict[tuple[CauseKey, object], list[StockMove]] = {}
    for move in moves:
        groups.setdefault(((move.merchant_id, move.cause_kind, move.cause_id), move.at), []).append(move)
    eaten = consumptions or {}
    await post_moves(
        conn,
        [
            StockPosting(
                key[0],
                derived_id("floor", key[1], key[2], at),
                group[0].at,
                key[1],
                key[2],
                [Move(_source(move), _target(move), move.quantity) for move in group],
                tuple(eaten.get(key, ())),
                group[0].reason,
            )
            for (key, at), group in groups.items()
        ],
    )


def _source(move: StockMove) -> Location:
    """Return where the units come from."""
    return Location(
        move.merchant_id, move.owner_id, move.stock_item_id, move.from_place_code, move.from_spot_code, move.from_lot_code,
        move.from_condition_code, move.from_customs_status,
    )  # fmt: skip


def _target(move: StockMove) -> Location:
    """Return where the units go."""
    return Location(
        move.merchant_id, move.owner_id, move.stock_item_id, move.to_place_code, move.to_spot_code, move.to_lot_code,
        move.to_condition_code, move.to_customs_status,
    )  # fmt: skip


async def measure_units(conn: Conn, merchant_ids: Sequence[uuid.UUID], stock_item_ids: Sequence[uuid.UUID]) -> dict[MeasureKey, UnitMeasure]:
    """Return weight and sides of stock items' units as the floor needs them."""
    found = await read_item_measures(conn, merchant_ids, stock_item_ids)
    return {key: UnitMeasure(one.weight_g, one.length_mm, one.width_mm, one.height_mm) for key, one in found.items()}
