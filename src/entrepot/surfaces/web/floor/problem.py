"""Problem desk: scan or type any code, see what it is and where it stands, tell the merchant, or take damaged units out of sale."""

import uuid
from collections.abc import Sequence
from typing import Final

from litestar import Response, get, post
from litestar.datastructures import MultiDict
from litestar.params import FromQuery
from msgspec import Struct

from entrepot.base.errors import EntrepotError
from entrepot.base.sql import Conn
from entrepot.books.stock.read import Held, list_bin_contents, read_locations
from entrepot.catalogue.store import find_items_called
from entrepot.flows.floor_steps import Problem, report_problem, set_apart
from entrepot.surfaces.web.access import FLOOR, FormDep, VisitorDep, open_to
from entrepot.surfaces.web.floor.find import find_work, read_numbers
from entrepot.surfaces.web.floor.goods import Goods, read_goods
from entrepot.surfaces.web.floor.returns import find_returns
from entrepot.surfaces.web.floor.shift import OK, STOP, Said, Shift, at_work, code_of, floor_page, scan_key, tick, writing
from entrepot.surfaces.web.house import HouseDep
from entrepot.surfaces.web.languages import mark
from entrepot.warehouse.at_place import find_deliveries, read_deliveries
from entrepot.warehouse.count import ConditionChange
from entrepot.warehouse.model import DAMAGED, SELLABLE, WorkState, bin_of, bin_spot
from entrepot.warehouse.model import Goods as FloorGoods
from entrepot.warehouse.scan import record_scans
from entrepot.warehouse.scanning import ScanKind, ScanOutcome
from entrepot.warehouse.store_floor import read_pick_sequences

_MOST: Final = 20
_DAMAGED_ON_FLOOR: Final = "E"
PROBLEMS: Final = (
    ("wet_or_crushed", mark("Wet or crushed box")),
    ("no_label", mark("Label or barcode missing")),
    ("not_announced", mark("Not announced")),
    ("wrong_content", mark("Content does not match")),
    ("other", mark("Something else")),
)
"""What may be wrong."""
_STATIONS: Final = {
    WorkState.QUEUED: "/floor/pick",
    WorkState.PICKING: "/floor/pick",
    WorkState.PICKED: "/floor/pack",
    WorkState.PACKED: "/floor/pack",
    WorkState.HANDED_OVER: "/floor/pack",
}


class Thing(Struct, frozen=True):
    """Something that a code means: what kind, its name, state and place in the work, and where to go on."""

    kind: str
    name: str
    state: str
    href: str
    merchant_id: uuid.UUID
    subject_id: uuid.UUID


class StockRow(Struct, frozen=True):
    """Units in a bin; `key` names them in forms."""

    held: Held
    bin_code: str

    @property
    def key(self) -> str:
        """Merchant, owner, item, spot, lot, condition and customs status."""
        at = self.held.location
        parts = (at.merchant_id, at.owner_id, at.stock_item_id, at.spot_code, at.lot_code, at.condition_code, at.customs_status)
        return "|".join(map(str, parts))

    @property
    def may_be_set_apart(self) -> bool:
        """Whether the units are still among the sellable ones."""
        return self.held.location.condition_code == SELLABLE


@get("/floor/problem", opt=open_to(FLOOR))
async def show_desk(house: HouseDep, visitor: VisitorDep, q: FromQuery[str] = "") -> Response[str]:
    """Show the desk, with what a code means."""
    async with house.database.reading() as conn:
        shift = await at_work(conn, house, visitor)
        return await _page(conn, shift, q.strip()[:80], Said())


@post("/floor/problem", status_code=200, opt=open_to(FLOOR))
async def work_desk(house: HouseDep, visitor: VisitorDep, form: FormDep) -> Response[str]:
    """Find what was scanned, report a problem, or set damaged units apart."""

    async def step(conn: Conn, shift: Shift) -> Response[str]:
        code = code_of(form)
        if form.get("do") == "report":
            return await _page(conn, shift, code, await _report(conn, shift, form, code))
        if form.get("do") == "apart":
            return await _page(conn, shift, code, await _set_apart(conn, shift, form, code))
        return await _page(conn, shift, code, Said())

    try:
        return await writing(house, visitor, step)
    except EntrepotError as fault:
        if fault.status not in {404, 409, 422} and fault.code != "units_not_there":
            raise
        async with house.database.reading() as conn:
            shift = await at_work(conn, house, visitor)
            text = visitor.language.gettext("That is not possible: units are promised or gone. Nothing was booked.")
            return await _page(conn, shift, code_of(form), Said(STOP, text))


async def _report(conn: Conn, shift: Shift, form: MultiDict[str], code: str) -> Said:
    """Tell the merchant what is wrong with one of the things that the code means."""
    _ = shift.visitor.language.gettext
    what, note, subject = form.get("what", ""), form.get("note", "").strip()[:200], form.get("subject", "")
    thing = next((one for one in await find_things(conn, shift, code) if str(one.subject_id) == subject), None)
    if thing is None:
        return Said(STOP, _("Scan what is wrong first."))
    if what not in dict(PROBLEMS) or not note:
        return Said(STOP, _("Say what is wrong, and write a few words to the merchant."))
    scan = tick(shift, form, ScanKind.PROBLEM, (thing.merchant_id, thing.subject_id), f"what={what}")
    (outcome,) = await record_scans(conn, [scan])
    if outcome is not ScanOutcome.NEW:
        return Said("note", _("The merchant knows already."))
    await report_problem(conn, Problem(thing.merchant_id, thing.subject_id, shift.place.place_code, what, note), shift.actor, shift.now)
    return Said(OK, _("The merchant is told. Put it on the problem shelf."))


async def _set_apart(conn: Conn, shift: Shift, form: MultiDict[str], code: str) -> Said:
    """Take damaged units out of sale and into a bin for what cannot be sold."""
    _ = shift.visitor.language.gettext
    place = shift.place.place_code
    row = next((one for one in await find_stock(conn, shift, code) if one.key == form.get("stock", "")), None)
    written, target = form.get("quantity", "").strip(), form.get("bin", "").strip().upper()
    if row is None or not row.may_be_set_apart:
        return Said(STOP, _("Scan the bin or the item first."))
    if not (written.isascii() and written.isdecimal() and len(written) < 6 and 0 < int(written) <= row.held.quantity):
        return Said(STOP, _("Write how many are damaged, as a number from 1 to %(most)s.", most=row.held.quantity))
    if (place, bin_spot(target)) not in await read_pick_sequences(conn, {(place, bin_spot(target))}):
        return Said(STOP, _("%(code)s is no bin of this place. Scan the sign at the bin.", code=target or "?"))
    at = row.held.location
    goods = FloorGoods(at.merchant_id, at.owner_id, at.stock_item_id, at.lot_code, at.condition_code, at.customs_status)
    change = ConditionChange(
        scan_key(shift, form).scan_id,
        place,
        at.spot_code,
        goods,
        bin_spot(target),
        DAMAGED,
        int(written),
        _DAMAGED_ON_FLOOR,
        "damaged on the floor",
        shift.actor.code,
        shift.now,
    )
    await set_apart(conn, [change], shift.actor, shift.now)
    return Said(OK, _("%(units)s units are out of sale, in %(bin)s.", units=written, bin=target))


async def find_things(conn: Conn, shift: Shift, code: str) -> list[Thing]:
    """Return the deliveries, orders, returns and items that a code means at the shift's place."""
    if not code:
        return []
    plans = await read_deliveries(conn, shift.place.place_code, await find_deliveries(conn, shift.place.place_code, code.partition(".")[0]))
    work = await find_work(conn, shift, code)
    numbers = await read_numbers(conn, work)
    things = [
        Thing(
            mark("Delivery"),
            one.plan.ref.plan_id.hex[-8:].upper(),
            str(one.plan.state),
            f"/floor/receive/{one.plan.ref.merchant_id}/{one.plan.ref.plan_id}",
            one.plan.ref.merchant_id,
            one.plan.ref.plan_id,
        )
        for one in plans
    ]
    for entry in work:
        ref = entry.order
        base = _STATIONS.get(entry.state, "")
        href = base if base in {"", "/floor/pick"} else f"{base}/{ref.merchant_id}/{ref.fulfilment_order_id}"
        name = numbers[ref].number if ref in numbers else ref.fulfilment_order_id.hex[-8:].upper()
        things.append(Thing(mark("Order"), name, str(entry.state), href, ref.merchant_id, ref.fulfilment_order_id))
    for back in await find_returns(conn, shift, code):
        href = f"/floor/returns/{back.merchant_id}/{back.rma_id}"
        things.append(Thing(mark("Return"), back.rma_id.hex[-8:].upper(), str(back.state), href, back.merchant_id, back.rma_id))
    items = await find_items_called(conn, code, _MOST)
    goods = await read_goods(conn, shift.visitor.language, items)
    things += [Thing(mark("Item"), f"{goods[item_id].sku}, {goods[item_id].merchant_name}", "", "", owner, item_id) for owner, item_id in items]
    return things


async def find_stock(conn: Conn, shift: Shift, code: str) -> list[StockRow]:
    """Return what lies in the bin that a code means, or where the item lies that it means."""
    if not code:
        return []
    place = shift.place.place_code
    held = await list_bin_contents(conn, place, bin_spot(code.upper().removeprefix("BIN:")))
    items = await find_items_called(conn, code, _MOST) if not held else []
    if items:
        held = await read_locations(conn, [one for one, _ in items], [item_id for _, item_id in items], [place] * len(items))
    return [StockRow(one, bin_of(one.location.spot_code) or one.location.spot_code) for one in held if one.quantity > 0]


async def _page(conn: Conn, shift: Shift, code: str, said: Said) -> Response[str]:
    """Show what a code means, and what can be done about it."""
    things, stock = await find_things(conn, shift, code), await find_stock(conn, shift, code)
    if code and not things and not stock and not said.text:
        text = shift.visitor.language.gettext("Nothing here is called %(code)s. Put it on the problem shelf with a note and today's date.", code=code)
        said = Said(STOP, text)
    values: dict[str, object] = {
        "code": code,
        "things": things,
        "stock": stock,
        "goods": await _goods(conn, shift, stock),
        "problems": PROBLEMS,
    }
    return floor_page("floor/problem.html", shift, said, values)


async def _goods(conn: Conn, shift: Shift, stock: Sequence[StockRow]) -> Goods:
    pairs = [(one.held.location.merchant_id, one.held.location.stock_item_id) for one in stock]
    return await read_goods(conn, shift.visitor.language, pairs)
