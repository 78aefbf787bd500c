"""Stock of an import comes in by ordinary receipts: announced, scanned at the dock, stowed, closed; to the merchant's own site by its word."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from entrepot.base.actor import Actor, ActorKind
from entrepot.base.ids import derived_id
from entrepot.base.sql import Conn
from entrepot.books.stock.read import read_availability
from entrepot.flows.declare_stock import StockWord, WordOutcome, declare_stock
from entrepot.flows.floor_moves import post_floor_moves
from entrepot.flows.inbound import announce, close, receive, stow
from entrepot.flows.outside import Outside
from entrepot.sourcing.model import Place
from entrepot.warehouse.count import MISPLACED, Adjustment, adjust_stock
from entrepot.warehouse.inbound import InboundKind, NewInboundLine, NewPlan
from entrepot.warehouse.model import Goods, bin_spot
from entrepot.warehouse.receive import DockScan
from entrepot.warehouse.scanning import ScanKey
from entrepot.warehouse.stow import StowScan
from entrepot.world.import_calendar import Incoming
from entrepot.world.import_catalogue import IMPORTER, Shop
from entrepot.world.order_lines import FileLine

FLOOR: Final = Actor(ActorKind.STAFF, "order-import", "warehouse")
_SITE: Final = "site"
_NO_TEXT: Final = "no reason given in the order file"


async def bring_stock(conn: Conn, outside: Outside, shop: Shop, incoming: Sequence[Incoming], at: datetime) -> None:
    """Let the units of some weeks come in, each SKU to the place of its model."""
    for week in incoming:
        by_place: dict[str, dict[str, int]] = {}
        for sku, units in week.units.items():
            by_place.setdefault(shop.place_of(sku).place_code, {})[sku] = units
        for place_code, units in sorted(by_place.items()):
            place = outside.reference.network.place(place_code)
            if place.merchant_id is None:
                await _receive(conn, outside, shop, place, Incoming(week.for_week_of, units), at)
            else:
                await _say(conn, outside, shop, place, Incoming(week.for_week_of, units), at)


async def _receive(conn: Conn, outside: Outside, shop: Shop, place: Place, week: Incoming, at: datetime) -> None:
    """Announce, scan, stow and close one plan, a line per SKU."""
    device = f"{shop.terms.merchant_code}-{week.for_week_of.isoformat()}"
    plan_id = derived_id("import_plan", shop.merchant_id, place.place_code, week.for_week_of)
    skus = list(week.units)
    lines = tuple(NewInboundLine(number, shop.item_of(sku), week.units[sku]) for number, sku in enumerate(skus, start=1))
    plan = NewPlan(
        shop.merchant_id, plan_id, place.place_code, place.country_code, InboundKind.OWN_CARRIER, is_cross_border=False, importer_of_record=None,
        announced_at=at, lines=lines,
    )  # fmt: skip
    await announce(conn, outside.reference, [plan], IMPORTER, at)
    scans = [DockScan(ScanKey(place.place_code, device, one.line_no), at, shop.merchant_id, plan_id, one.line_no, one.announced, 0) for one in lines]
    await receive(conn, scans, FLOOR, at)
    stows = [
        StowScan(
            ScanKey(place.place_code, f"{device}-stow", one.line_no), at, shop.merchant_id, plan_id, one.line_no, "sellable", one.announced,
            shop.bin_of(sku),
        )
        for sku, one in zip(skus, lines, strict=True)
    ]  # fmt: skip
    await stow(conn, stows, at)
    await close(conn, [plan.ref], FLOOR, at)


async def _say(conn: Conn, outside: Outside, shop: Shop, place: Place, week: Incoming, at: datetime) -> None:
    """Let the merchant say that so many more units lie at its site than are free there now."""
    items = {shop.item_of(sku): sku for sku in week.units}
    found = await read_availability(conn, [shop.merchant_id] * len(items), list(items))
    free = {items[one.key.stock_item_id]: one.free for one in found if one.key.place_code == place.place_code}
    sequence_no = week.for_week_of.toordinal()
    words = [StockWord(shop.merchant_id, place.place_code, sku, sequence_no, at, free.get(sku, 0) + units) for sku, units in week.units.items()]
    answers = await declare_stock(conn, outside, words, IMPORTER, at)
    for answer in answers:
        if answer.outcome is WordOutcome.REFUSED and answer.refusal is not None:
            raise answer.refusal


async def adjust(conn: Conn, shop: Shop, lines: Sequence[FileLine]) -> None:
    """Take units out of the books that the file writes off, with the file's text as the reason."""
    adjustments = [_adjustment(shop, line) for line in lines]
    work = await adjust_stock(conn, adjustments)
    await post_floor_moves(conn, work.moves)


def _adjustment(shop: Shop, line: FileLine) -> Adjustment:
    """Return one row of the file as an adjustment of the spot where the SKU lies."""
    place, item = shop.place_of(line.sku), shop.item_of(line.sku)
    spot = _SITE if place.merchant_id is not None else bin_spot(shop.bin_of(line.sku))
    adjustment_id = derived_id("import_adjustment", shop.merchant_id, line.on, line.order_number, line.line_no)
    goods = Goods(shop.merchant_id, shop.merchant_id, item)
    return Adjustment(adjustment_id, place.place_code, spot, goods, line.quantity, MISPLACED, line.description or _NO_TEXT, IMPORTER.code, line.at)
