"""One business day of an order file, played through the flows: stock in, orders, second thoughts, floors, carriers, returns, write-offs, money."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from entrepot.base.actor import Actor, ActorKind
from entrepot.base.batching import chunks
from entrepot.base.clock_store import advance_business_now
from entrepot.base.errors import EntrepotError
from entrepot.base.ids import SeededIds, derived_id
from entrepot.base.sql import Conn
from entrepot.base.time import start_of_day
from entrepot.flows.fulfil import MerchantShipment, confirm_shipments, hand_over, pick_and_pack
from entrepot.flows.order_to_cash import place_orders, quote_checkouts
from entrepot.flows.outside import Outside
from entrepot.flows.plan_checkout import CheckoutPlan, order_id_of
from entrepot.flows.run_due import STEPS, run_due
from entrepot.flows.ship_by import read_to_ship
from entrepot.flows.track import record_tracking
from entrepot.freight.model import CarrierEvent, ParcelState, TrackingState
from entrepot.freight.read import read_parcels_of_orders
from entrepot.operations.model import Channel
from entrepot.orders.model import LINES_PER_CHECKOUT, LineAsk, OrderRequest
from entrepot.warehouse.model import WorkState
from entrepot.warehouse.readers import read_queue
from entrepot.world.import_calendar import Calendar, ImportStep, OrderKey
from entrepot.world.import_catalogue import IMPORTER, Shop
from entrepot.world.import_returns import LineRef, TakenBack, ask_ahead, cancel_sales, return_sales
from entrepot.world.import_rules import METHOD, reason_of
from entrepot.world.import_stock import FLOOR, adjust, bring_stock
from entrepot.world.import_terms import import_defaults
from entrepot.world.order_drafts import BusinessDay, OrderDraft, ReturnDraft
from entrepot.world.order_lines import FileLine, LineReason, service_reason

BUYER: Final = Actor(ActorKind.BUYER, "order-file", "buyer")
_CLOSING: Final = timedelta(hours=18)
_ARRIVAL: Final = timedelta(hours=12)
_HORIZON: Final = timedelta(days=90)
_AT_ONCE: Final = 100_000
_STILL_REFUSED: Final = "order_refused"


@dataclass(slots=True)
class Refusals:
    """Lines of the file that pass 1 accepted and the flows refused, by line number; what follows from them is refused too."""

    reasons: dict[int, str] = field(default_factory=dict[int, str])

    def keep(self, lines: Iterable[FileLine]) -> list[FileLine]:
        """Return the lines that are not refused."""
        return [line for line in lines if line.line_no not in self.reasons] if self.reasons else list(lines)

    def refuse_each(self, lines: Iterable[tuple[FileLine, str]]) -> None:
        """Refuse lines, each for its reason."""
        for line, reason in lines:
            self.refuse([line], reason)

    def since(self, before: "Refusals") -> dict[int, str]:
        """Return what was refused after an earlier standing."""
        return {line_no: reason for line_no, reason in self.reasons.items() if line_no not in before.reasons}

    def refuse(self, lines: Iterable[FileLine], reason: str) -> None:
        """Refuse lines for one reason."""
        for line in lines:
            self.reasons.setdefault(line.line_no, reason)


class _Checkout(Struct, frozen=True):
    """Lines of one order of the file that are bought together; the carriage goes with the first of them."""

    request: OrderRequest
    draft: OrderDraft
    lines: tuple[FileLine, ...]


def checkout_id_of(shop: Shop, draft: OrderDraft, number: int) -> uuid.UUID:
    """Return the id of the n-th checkout of an order of the file."""
    return derived_id("import_checkout", shop.merchant_id, draft.on, draft.order_number, number)


def line_refs(shop: Shop, draft: OrderDraft, refusals: Refusals) -> dict[int, LineRef]:
    """Return order and line in the books of each accepted line of an order of the file, by its line number there."""
    refs: dict[int, LineRef] = {}
    for number, part in enumerate(chunks(draft.lines, LINES_PER_CHECKOUT), start=1):
        order_id = order_id_of(checkout_id_of(shop, draft, number), shop.merchant_id, draft.at)
        for line_no, line in enumerate(refusals.keep(part), start=1):
            refs[line.line_no] = LineRef(shop.merchant_id, order_id, line_no)
    return refs


async def play_step(
    conn: Conn, outside: Outside, shop: Shop, calendar: Calendar, step: ImportStep, refusals: Refusals, counts: dict[str, int]
) -> None:
    """Play one step inside the caller's transaction; refusals and counts grow."""
    day, zone = step.day, import_defaults().time_zone
    morning, evening = start_of_day(day.on, zone), evening_of(day, zone)
    outside = replace(outside, ids=SeededIds(str(shop.merchant_id), f"step {day.on}"))
    await advance_business_now(conn, morning)
    await bring_stock(conn, outside, shop, step.incoming, morning)
    await run_all_due(conn, outside, morning)
    await _order(conn, outside, shop, day, refusals, counts)
    await advance_business_now(conn, evening)
    taken_back = _taken_back(shop, calendar, day.returns, refusals)
    refusals.refuse_each(await cancel_sales(conn, outside, [one for one in taken_back if one.sold_on == day.on], evening))
    await run_all_due(conn, outside, evening)
    await _ship(conn, outside, shop, evening)
    await _arrive(conn, outside, shop, step.arriving, evening)
    refusals.refuse_each(await return_sales(conn, outside, shop, [one for one in taken_back if one.sold_on < day.on], evening))
    refusals.refuse_each(await ask_ahead(conn, outside, shop, _asked_ahead(shop, calendar, step, refusals), evening))
    await adjust(conn, shop, day.adjustments)


def evening_of(day: BusinessDay, zone: str) -> datetime:
    """Return when a day's parcels leave: six in the evening, or an hour after the last line of the file, but still on that date."""
    opened, ended = start_of_day(day.on, zone), start_of_day(day.on + timedelta(days=1), zone)
    times = [order.at for order in day.orders] + [draft.at for draft in day.returns] + [line.at for line in day.adjustments]
    return min(max([opened + _CLOSING, *(at + timedelta(hours=1) for at in times)]), ended - timedelta(seconds=1))


async def run_all_due(conn: Conn, outside: Outside, now: datetime) -> None:
    """Run everything that is due."""
    for step_code in STEPS:
        while await run_due(conn, outside, step_code, now, _AT_ONCE):
            pass


# -- ordered ---------------------------------------------------------------------------------------------------------


async def _order(conn: Conn, outside: Outside, shop: Shop, day: BusinessDay, refusals: Refusals, counts: dict[str, int]) -> None:
    """Place the day's orders; a line that the flow refuses is refused by its reason and the rest of its order goes on."""
    asked = _checkouts(shop, day.orders, refusals)
    stopped = await _place(conn, outside, shop, asked, counts)
    if not stopped:
        return
    for one, plan in await _try_alone(conn, outside, stopped):
        if not isinstance(plan, CheckoutPlan):
            refusals.refuse([one], reason_of(plan))
    again = [
        one
        for one in _checkouts(shop, [one.draft for one in stopped], refusals)
        if one.request.checkout_id in {s.request.checkout_id for s in stopped}
    ]
    for one in await _place(conn, outside, shop, again, counts):
        refusals.refuse(one.lines, _STILL_REFUSED)
    for draft in {one.draft.order_number: one.draft for one in stopped}.values():
        if not refusals.keep(draft.lines):
            for line in draft.charges:
                refusals.refuse([line], service_reason(line.sku))


def _checkouts(shop: Shop, orders: Iterable[OrderDraft], refusals: Refusals) -> list[_Checkout]:
    """Return the checkouts of orders, in order of time."""
    found: list[_Checkout] = []
    for draft in orders:
        charges = sum(line.value_minor for line in draft.charges)
        for number, part in enumerate(chunks(draft.lines, LINES_PER_CHECKOUT), start=1):
            lines = refusals.keep(part)
            if lines:
                found.append(_Checkout(_request(shop, draft, number, lines, charges), draft, tuple(lines)))
                charges = 0
    return found


def _request(shop: Shop, draft: OrderDraft, number: int, lines: Sequence[FileLine], freight_minor: int) -> OrderRequest:
    """Return what the buyer asks for, at the file's prices."""
    return OrderRequest(
        shop.person_of(draft.buyer_key),
        checkout_id_of(shop, draft, number),
        f"{shop.terms.merchant_code} {draft.on} {draft.order_number} {number}",
        shop.marketplace_code,
        Channel.STORE,
        draft.country_code,
        "",
        METHOD,
        tuple(LineAsk(shop.merchant_id, shop.offer_of(line.sku), line.quantity) for line in lines),
        draft.at,
        buyer_freight_minor=freight_minor,
        reference=draft.order_number,
        declared_unit_values=tuple(line.price_minor for line in lines),
    )


async def _place(conn: Conn, outside: Outside, shop: Shop, asked: Sequence[_Checkout], counts: dict[str, int]) -> list[_Checkout]:
    """Place checkouts, count the orders of each model, and return those that were refused."""
    answers = await place_orders(conn, outside, [one.request for one in asked], BUYER)
    for one, answer in zip(asked, answers, strict=True):
        if answer.refusal is None:
            for model_code in {shop.model_of(line.sku) for line in one.lines}:
                counts[model_code] = counts.get(model_code, 0) + 1
    return [one for one, answer in zip(asked, answers, strict=True) if answer.refusal is not None]


async def _try_alone(conn: Conn, outside: Outside, stopped: Sequence[_Checkout]) -> list[tuple[FileLine, CheckoutPlan | EntrepotError]]:
    """Plan each line of refused checkouts as an order of its own, without holding anything."""
    lines = [(one, place) for one in stopped for place in range(len(one.lines))]
    alone = [
        replace(
            one.request,
            checkout_id=derived_id("alone", one.request.checkout_id, place),
            lines=one.request.lines[place : place + 1],
            declared_unit_values=one.request.declared_unit_values[place : place + 1],
            buyer_freight_minor=0,
        )
        for one, place in lines
    ]
    plans = await quote_checkouts(conn, outside, alone)
    return [(one.lines[place], plan) for (one, place), plan in zip(lines, plans, strict=True)]


# -- taken back ------------------------------------------------------------------------------------------------------


def _taken_back(shop: Shop, calendar: Calendar, drafts: Iterable[ReturnDraft], refusals: Refusals) -> list[TakenBack]:
    """Return the parts of earlier sales that go back; a return of a sale that was refused is refused as well."""
    found: list[TakenBack] = []
    refs: dict[OrderKey, dict[int, LineRef]] = {}
    for draft, returned in [(one, line) for one in drafts for line in one.lines]:
        if len(refusals.keep([part.sale for part in returned.parts])) < len(returned.parts):
            refusals.refuse([returned.line], LineReason.RETURN_WITHOUT_SALE)
        if not refusals.keep([returned.line]):
            continue
        for part in returned.parts:
            key = (part.sale.on, part.sale.order_number)
            if key not in refs:
                refs[key] = line_refs(shop, calendar.orders[key], refusals)
            found.append(TakenBack(refs[key][part.sale.line_no], part.quantity, part.sale.on, draft.order_number, returned.line))
    return found


def _asked_ahead(shop: Shop, calendar: Calendar, step: ImportStep, refusals: Refusals) -> list[TakenBack]:
    """Return the units that are asked back today although they come later."""
    found: list[TakenBack] = []
    for asking in step.asking:
        order_ids = {ref.order_id for ref in line_refs(shop, calendar.orders[asking.order_key], refusals).values()}
        found += [one for one in _taken_back(shop, calendar, [asking.draft], refusals) if one.ref.order_id in order_ids]
    return found


# -- shipped and delivered -------------------------------------------------------------------------------------------


async def _ship(conn: Conn, outside: Outside, shop: Shop, now: datetime) -> None:
    """Let the floors pick, pack and hand over what waits, and the merchant send what it packs itself."""
    for place in dict.fromkeys(shop.places.values()):
        if place.merchant_id is None:
            await pick_and_pack(conn, outside, await read_queue(conn, place.place_code, WorkState.QUEUED, _AT_ONCE), now)
            packed = await read_queue(conn, place.place_code, WorkState.PACKED, _AT_ONCE)
            await hand_over(conn, outside, [entry.order for entry in packed], FLOOR, now)
    queue = await read_to_ship(conn, shop.merchant_id, now + _HORIZON, _AT_ONCE)
    shipments = [MerchantShipment(one.merchant_id, one.consignment_id, None, f"OWN{one.consignment_id.hex[-20:]}", now) for one in queue]
    await confirm_shipments(conn, outside, shipments, IMPORTER, now)


async def _arrive(conn: Conn, outside: Outside, shop: Shop, arriving: Sequence[tuple[OrderDraft, date]], now: datetime) -> None:
    """Let the carriers report the parcels of earlier days as delivered, at noon of the day on which they arrived."""
    zone = import_defaults().time_zone
    noon: dict[uuid.UUID, datetime] = {}
    for draft, on in arriving:
        for number in range(1, 2 + (len(draft.lines) - 1) // LINES_PER_CHECKOUT):
            order_id = order_id_of(checkout_id_of(shop, draft, number), shop.merchant_id, draft.at)
            noon[order_id] = start_of_day(on, zone) + _ARRIVAL
    parcels = await read_parcels_of_orders(conn, [shop.merchant_id] * len(noon), list(noon))
    events = [
        CarrierEvent(one.carrier_code, one.tracking_number, TrackingState.DELIVERED, noon[one.order_id], now, one.carrier_code)
        for one in parcels
        if one.tracking_number is not None and one.state is ParcelState.HANDED_OVER
    ]
    await record_tracking(conn, outside, events, now)
