"""The floor step by step: a picker is directed and reports, a packer closes a carton; what is not there is given back at once.

`fulfil.py` does the same in one go where nobody walks.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from entrepot.base.actor import Actor
from entrepot.base.audit import Act, Fact, write_acts, write_facts
from entrepot.base.sql import Conn
from entrepot.books.stock.read import list_bin_contents
from entrepot.flows.cancel import close_shorts
from entrepot.flows.floor_moves import measure_units, post_floor_moves
from entrepot.flows.fulfil import make_parcels, read_bin_stock
from entrepot.flows.inbound import stow_needs
from entrepot.flows.outside import Outside
from entrepot.warehouse.at_place import read_entries
from entrepot.warehouse.binning import BinContent, StockInBin, StowChoice, StowNeed, choose_bins, without_directed
from entrepot.warehouse.cartons import Carton, PackedParcel
from entrepot.warehouse.count import ConditionChange, change_conditions
from entrepot.warehouse.inbound import InboundLine
from entrepot.warehouse.model import Goods, OrderRef, OrderStep, Recorded, StepOutcome
from entrepot.warehouse.pack import PackScan, pack_orders, suggest_carton
from entrepot.warehouse.pick import PickReport, confirm_picks, start_picking
from entrepot.warehouse.readers import read_line_records, read_open_tasks
from entrepot.warehouse.store_floor import read_bins

_MOST_PICKING = 1000


class Problem(Struct, frozen=True):
    """Something wrong with a merchant's delivery, order, return or item, in a few words."""

    merchant_id: uuid.UUID
    subject_id: uuid.UUID
    place_code: str
    what: str
    note: str


async def start_picks(conn: Conn, outside: Outside, refs: Sequence[OrderRef], actor: Actor, now: datetime) -> list[OrderStep]:
    """Direct queued orders to bins that no other picker is sent to; an order of which nothing is there is closed as short and paid back."""
    entries = await read_entries(conn, refs)
    records = await read_line_records(conn, refs)
    places = {ref: entry.place_code for ref, entry in entries.items()}
    stock = await read_bin_stock(conn, [(one.order.merchant_id, one.stock_item_id, places[one.order]) for one in records])
    directed = [task for place in sorted(set(places.values())) for task in await read_open_tasks(conn, place, _MOST_PICKING)]
    work = await start_picking(conn, refs, without_directed(stock, directed), now)
    await close_shorts(conn, outside, work.steps, actor, now)
    await _write(conn, work.steps, "start_picking", actor, now)
    return work.steps


async def finish_picks(conn: Conn, outside: Outside, reports: Sequence[PickReport], actor: Actor, now: datetime) -> list[OrderStep]:
    """Book what pickers took to the packing table; what they did not find is closed as short and paid back."""
    work = await confirm_picks(conn, reports, now)
    await post_floor_moves(conn, work.moves)
    await close_shorts(conn, outside, work.steps, actor, now)
    await _write(conn, work.steps, "pick_order", actor, now)
    return work.steps


async def close_cartons(conn: Conn, outside: Outside, scans: Sequence[PackScan], actor: Actor, now: datetime) -> list[OrderStep]:
    """Pack what packers scanned, if it is exactly what was picked, and label the parcels."""
    records = await read_line_records(conn, [scan.order for scan in scans])
    measures = await measure_units(conn, [one.order.merchant_id for one in records], [one.stock_item_id for one in records])
    work = await pack_orders(conn, scans, measures, now)
    await post_floor_moves(conn, work.moves)
    entries = await read_entries(conn, [scan.order for scan in scans])
    await make_parcels(conn, outside, work, entries, now)
    await _write(conn, work.steps, "pack_order", actor, now)
    return work.steps


async def propose_carton(conn: Conn, ref: OrderRef, now: datetime) -> tuple[PackedParcel, Carton | None] | None:
    """Return how a picked order will be packed, and its carton."""
    records = await read_line_records(conn, [ref])
    measures = await measure_units(conn, [ref.merchant_id for _ in records], [one.stock_item_id for one in records])
    return await suggest_carton(conn, ref, measures, now)


async def propose_bins(conn: Conn, place_code: str, lines: Sequence[InboundLine]) -> list[StowChoice]:
    """Return where units that wait at a dock should go, with the reasons."""
    refs = list(dict.fromkeys(line.ref for line in lines))
    wanted = {(line.ref.plan_id, line.line_no) for line in lines}
    needs = await stow_needs(conn, refs, [line.ref.merchant_id for line in lines], [line.stock_item_id for line in lines])
    return await _choose(conn, place_code, [need for need in needs if (need.plan_id, need.line_no) in wanted])


async def propose_bins_for(conn: Conn, place_code: str, goods: Sequence[tuple[Goods, int]]) -> list[StowChoice]:
    """Return where goods that lie on a bench or were found should go, with the reasons."""
    measures = await measure_units(conn, [one.merchant_id for one, _ in goods], [one.stock_item_id for one, _ in goods])
    needs = [
        StowNeed(one.stock_item_id, number, place_code, one, quantity, measure.volume_mm3 if measure is not None else 0)
        for number, (one, quantity) in enumerate(goods)
        for measure in (measures.get((one.merchant_id, one.stock_item_id)),)
    ]
    return await _choose(conn, place_code, needs)


async def set_apart(conn: Conn, changes: Sequence[ConditionChange], actor: Actor, now: datetime) -> list[Recorded]:
    """Take units that got damaged on the floor out of sale; units that are promised raise, and stay as they are."""
    work = await change_conditions(conn, changes)
    await post_floor_moves(conn, work.moves)
    await write_acts(conn, [Act(one.goods.merchant_id, one.goods.stock_item_id, "set_apart", now, actor, one.reason) for one in changes])
    return work.answers


async def report_problem(conn: Conn, problem: Problem, actor: Actor, now: datetime) -> None:
    """Write what somebody found wrong on the floor, and tell the merchant."""
    await write_acts(conn, [Act(problem.merchant_id, problem.subject_id, "report_problem", now, actor, problem.note)])
    content = {"place": problem.place_code, "what": problem.what, "note": problem.note}
    await write_facts(conn, [Fact(problem.merchant_id, problem.subject_id, "problem_reported", now, content)])


async def _choose(conn: Conn, place_code: str, needs: Sequence[StowNeed]) -> list[StowChoice]:
    """Choose bins of a place with what lies in them now."""
    held = await list_bin_contents(conn, place_code)
    measures = await measure_units(conn, [one.location.merchant_id for one in held], [one.location.stock_item_id for one in held])
    contents: list[BinContent] = []
    for one in held:
        at = one.location
        measure = measures.get((at.merchant_id, at.stock_item_id))
        stock = StockInBin(
            at.merchant_id,
            at.owner_id,
            at.stock_item_id,
            at.place_code,
            at.spot_code,
            one.quantity,
            at.lot_code,
            at.condition_code,
            at.customs_status,
        )
        contents.append(BinContent(stock, measure.volume_mm3 if measure is not None else 0))
    return choose_bins(needs, await read_bins(conn, [place_code]), contents)


async def _write(conn: Conn, steps: Sequence[OrderStep], command_code: str, actor: Actor, now: datetime) -> None:
    """Write who did a step, for those that were done now."""
    done: list[tuple[uuid.UUID, uuid.UUID]] = [
        (step.order.merchant_id, step.order.fulfilment_order_id) for step in steps if step.outcome is StepOutcome.DONE
    ]
    await write_acts(conn, [Act(*key, command_code, now, actor) for key in done])
