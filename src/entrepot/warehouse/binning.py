"""Which bin: where units are taken from and where they are put, decided without looking anything up."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from entrepot.warehouse.model import FREE, NO_LOT, SELLABLE, BinZone, Goods, LineCount, OrderRef, PickTask, WorkLine, bin_spot

_LAST_SEQUENCE: Final = 2**31
_NEVER: Final = date.max

LotKey = tuple[uuid.UUID, uuid.UUID, str]
"""Merchant, stock item and lot."""
SpotKey = tuple[str, str]
"""Place and spot."""
_GoodsKey = tuple[uuid.UUID, uuid.UUID, uuid.UUID, str, str, str]


class StockInBin(Struct, frozen=True):
    """Units that the stock book holds in one spot of a place."""

    merchant_id: uuid.UUID
    owner_id: uuid.UUID
    stock_item_id: uuid.UUID
    place_code: str
    spot_code: str
    quantity: int
    lot_code: str = NO_LOT
    condition_code: str = SELLABLE
    customs_status: str = FREE


class BinOrder(Struct, frozen=True):
    """What decides which spot comes first: the walk through the bins and the expiry of the lots."""

    sequences: Mapping[SpotKey, int]
    expiries: Mapping[LotKey, date]
    on: date


class Allocation(Struct, frozen=True):
    """Tasks that take units from spots, and the units that no spot holds, by order."""

    tasks: dict[OrderRef, list[PickTask]]
    shorts: dict[OrderRef, list[LineCount]]


@dataclass(slots=True)
class _Spot:
    spot_code: str
    lot_code: str
    left: int


def _queues(stock: Sequence[StockInBin], order: BinOrder) -> dict[_GoodsKey, list[_Spot]]:
    """Line the spots of each kind of goods up: first expired first out, then the walk through the bins; expired lots stay."""
    ranked: dict[_GoodsKey, list[tuple[date, int, str, str, int]]] = {}
    for row in stock:
        expires_on = order.expiries.get((row.merchant_id, row.stock_item_id, row.lot_code), _NEVER)
        if row.quantity <= 0 or expires_on <= order.on:
            continue
        key = (row.merchant_id, row.owner_id, row.stock_item_id, row.place_code, row.condition_code, row.customs_status)
        sequence = order.sequences.get((row.place_code, row.spot_code), _LAST_SEQUENCE)
        ranked.setdefault(key, []).append((expires_on, sequence, row.spot_code, row.lot_code, row.quantity))
    # Sorted descending, because spots are used up from the end of the list.
    return {key: [_Spot(spot, lot, left) for _, _, spot, lot, left in sorted(rows, reverse=True)] for key, rows in ranked.items()}


def allocate_bins(lines: Sequence[WorkLine], stock: Sequence[StockInBin], order: BinOrder) -> Allocation:
    """Give each line, in the order given, the spots it is picked from (FEFO, then bin sequence); what is not there is short."""
    queues = _queues(stock, order)
    tasks: dict[OrderRef, list[PickTask]] = {}
    shorts: dict[OrderRef, list[LineCount]] = {}
    current, group = None, list[PickTask]()
    for line in lines:
        if line.order is not current:
            current, group = line.order, tasks.get(line.order, [])
        queue = queues.get((line.order.merchant_id, line.owner_id, line.stock_item_id, line.place_code, line.condition_code, line.customs_status))
        wanted, task_no = line.to_pick, 0
        while wanted > 0 and queue:
            spot, task_no = queue[-1], task_no + 1
            taken = min(wanted, spot.left)
            wanted -= taken
            spot.left -= taken
            if not spot.left:
                queue.pop()
            if not group:
                tasks[line.order] = group
            task = PickTask(
                line.order, line.place_code, line.line_no, line.part_no, task_no, line.owner_id, line.stock_item_id,
                spot.spot_code, spot.lot_code, line.condition_code, line.customs_status, taken,
            )  # fmt: skip
            group.append(task)
        if wanted > 0:
            shorts.setdefault(line.order, []).append(LineCount(line.line_no, line.part_no, line.stock_item_id, wanted))
    return Allocation(tasks, shorts)


def without_directed(stock: Sequence[StockInBin], tasks: Sequence[PickTask]) -> list[StockInBin]:
    """Return the stock less what pickers are on their way to take, so that two of them are never sent for the same unit."""
    sent: dict[tuple[object, ...], int] = {}
    for task in tasks:
        key = (
            task.order.merchant_id,
            task.owner_id,
            task.stock_item_id,
            task.place_code,
            task.spot_code,
            task.lot_code,
            task.condition_code,
            task.customs_status,
        )
        sent[key] = sent.get(key, 0) + task.quantity
    left: list[StockInBin] = []
    for row in stock:
        key = (
            row.merchant_id,
            row.owner_id,
            row.stock_item_id,
            row.place_code,
            row.spot_code,
            row.lot_code,
            row.condition_code,
            row.customs_status,
        )
        taken = min(sent.get(key, 0), row.quantity)
        sent[key] = sent.get(key, 0) - taken
        left += [replace(row, quantity=row.quantity - taken)] if row.quantity > taken else []
    return left


def take_back(available: Sequence[tuple[PickTask, int]], quantity: int) -> list[tuple[PickTask, int]]:
    """Choose from which tasks of a line (each with its units) units go back, the last task first; returns each chosen task with its units."""
    chosen: list[tuple[PickTask, int]] = []
    for task, units in sorted(available, key=lambda pair: pair[0].task_no, reverse=True):
        taken = min(quantity, units)
        if taken > 0:
            chosen.append((task, taken))
            quantity -= taken
    return chosen


class Bin(Struct, frozen=True):
    """A bin of a place; `capacity_mm3` is what fits, `pick_sequence` where the picker's walk passes it."""

    place_code: str
    bin_code: str
    zone_code: BinZone
    capacity_mm3: int
    pick_sequence: int


class StowNeed(Struct, frozen=True):
    """Units of one inbound line that wait at the dock for a bin."""

    plan_id: uuid.UUID
    line_no: int
    place_code: str
    goods: Goods
    quantity: int
    unit_volume_mm3: int


class BinContent(Struct, frozen=True):
    """What a bin holds already, with the volume of one unit."""

    stock: StockInBin
    unit_volume_mm3: int


class StowReason(StrEnum):
    """Why a bin is proposed."""

    SAME_LOT = "same_lot"
    EMPTY_BIN = "empty_bin"
    ROOM_LEFT = "room_left"
    NO_ROOM = "no_room"


_REASONS: Final = (StowReason.SAME_LOT, StowReason.EMPTY_BIN, StowReason.ROOM_LEFT)


class StowChoice(Struct, frozen=True):
    """Units of a need and the bin they go to, with the reason; no bin means that no bin of the place has room."""

    need: StowNeed
    bin_code: str | None
    quantity: int
    reason: StowReason = StowReason.NO_ROOM


@dataclass(slots=True)
class _BinSpace:
    bin: Bin
    free_mm3: int
    lots: dict[tuple[uuid.UUID, uuid.UUID], set[str]]

    def rank(self, need: StowNeed) -> tuple[int, int, str] | None:
        """Rank the bin for a need: the same lot first, then an empty bin, then one without the item; never beside another lot of it."""
        held = self.lots.get((need.goods.merchant_id, need.goods.stock_item_id), set())
        if held - {need.goods.lot_code}:
            return None
        kind = 0 if held else 1 if not self.lots else 2
        zone = 0 if self.bin.zone_code is not BinZone.RESERVE else 1
        return (zone * 3 + kind, self.bin.pick_sequence, self.bin.bin_code)


def _suits(zone_code: BinZone, condition_code: str) -> bool:
    return (zone_code is BinZone.UNSELLABLE) == (condition_code != SELLABLE)


def choose_bins(needs: Sequence[StowNeed], bins: Sequence[Bin], contents: Sequence[BinContent]) -> list[StowChoice]:
    """Direct each need, in the order given, to bins with room: sellable units forward before reserve, others to unsellable bins."""
    spaces = {(row.place_code, bin_spot(row.bin_code)): _BinSpace(row, row.capacity_mm3, {}) for row in bins}
    for content in contents:
        space = spaces.get((content.stock.place_code, content.stock.spot_code))
        if space is not None and content.stock.quantity > 0:
            space.free_mm3 -= content.stock.quantity * content.unit_volume_mm3
            space.lots.setdefault((content.stock.merchant_id, content.stock.stock_item_id), set()).add(content.stock.lot_code)
    by_place: dict[str, list[_BinSpace]] = {}
    for space in spaces.values():
        by_place.setdefault(space.bin.place_code, []).append(space)
    return [choice for need in needs for choice in _choose_for(need, by_place.get(need.place_code, []))]


def _choose_for(need: StowNeed, spaces: Sequence[_BinSpace]) -> list[StowChoice]:
    ranked = [(rank, space) for space in spaces if _suits(space.bin.zone_code, need.goods.condition_code) and (rank := space.rank(need)) is not None]
    choices: list[StowChoice] = []
    left, unit_mm3 = need.quantity, max(need.unit_volume_mm3, 1)
    for rank, space in sorted(ranked, key=lambda pair: pair[0]):
        fitting = min(left, max(space.free_mm3, 0) // unit_mm3)
        if fitting == 0:
            continue
        choices.append(StowChoice(need, space.bin.bin_code, fitting, _REASONS[rank[0] % 3]))
        space.free_mm3 -= fitting * unit_mm3
        space.lots.setdefault((need.goods.merchant_id, need.goods.stock_item_id), set()).add(need.goods.lot_code)
        left -= fitting
        if not left:
            return choices
    return [*choices, StowChoice(need, None, left)]
