"""Orders that were sold elsewhere, sent out of the same stock: previewed with speed, dates and fees, placed, packed in a plain box, billed at shipment.

The merchant's shop asks by SKU and names what each unit is worth, because customs and a claim will ask. The money of the sale stays with the
channel that ran the checkout; the merchant owes us the services only. The box is plain: the floor sees an outbound order, not a sale of ours.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from entrepot.base.actor import Actor
from entrepot.base.errors import ConflictError, EntrepotError, RefusedInputError
from entrepot.base.ids import derived_id
from entrepot.base.sql import Conn
from entrepot.catalogue.model import ItemMeasure, OfferFacts, UnknownStockItemError, require_marketplace, stock_item_id_of
from entrepot.flows.bill_services import ItemKey, read_item_offers
from entrepot.flows.charge import Charge, charged_units, quote_charges, units_of_orders
from entrepot.flows.ground import read_ground
from entrepot.flows.order_to_cash import PlaceAnswer, payment_state_of, place_orders
from entrepot.flows.outside import Outside
from entrepot.flows.plan_checkout import CheckoutPlan, Ground, plan_checkout
from entrepot.flows.reference import Reference
from entrepot.flows.write_checkout import CheckoutRows, add_rows
from entrepot.operations.model import Channel, FeeTrigger
from entrepot.orders.model import LineAsk, OfferNotLiveError, OrderRequest, Promise
from entrepot.orders.place import insert_promises
from entrepot.settlement.fees import FeeLine, NoRate
from entrepot.sourcing.model import Speed

HELD_BY_CHANNEL: Final = "held_by_channel"
"""Payment method of an order whose money another channel holds."""


class UnknownSpeedError(RefusedInputError):
    """No parcel is sent at this speed; the shop asks for another one."""


class NoDeclaredValueError(RefusedInputError):
    """Every unit of an outbound order needs a declared value of at least one minor unit; the shop names it."""


class NoReferenceError(RefusedInputError):
    """An outbound order needs the shop's own number, by which a repeated call is recognised."""


class OrderImporterMissingError(ConflictError):
    """Nobody is named as importer of a parcel that crosses a customs border; the merchant names one or ships from inside."""


class OutboundLine(Struct, frozen=True):
    """Units of a SKU and what one of them is worth, in minor units of the store's currency."""

    sku: str
    quantity: int
    unit_value_minor: int


class OutboundAsk(Struct, frozen=True):
    """A shop's order to be sent from the merchant's stock: `marketplace_code` names the store whose rate card and currency hold.

    `reference` is the shop's number of the order, `person_id` the recipient whose address is kept apart, `importer_of_record` whoever imports
    where a customs border lies on the way.
    """

    merchant_id: uuid.UUID
    reference: str
    person_id: uuid.UUID
    marketplace_code: str
    to_country_code: str
    postcode_prefix: str
    lines: tuple[OutboundLine, ...]
    at: datetime
    speed_code: str = Speed.STANDARD
    importer_of_record: str = ""

    @property
    def checkout_id(self) -> uuid.UUID:
        """The id that follows from merchant and reference."""
        return derived_id("outbound order", self.merchant_id, self.reference)


class OutboundParcel(Struct, frozen=True):
    """One parcel of a preview: where it leaves, how it travels, and the window that is kept as a promise."""

    promise_id: uuid.UUID
    place_code: str
    service_code: str
    ship_by_at: datetime
    from_on: date
    to_on: date
    crosses_border: bool


class OutboundPreview(Struct, frozen=True):
    """What an outbound order would cost and when it would arrive; fees are those that shipment will charge, line by line, without fee tax."""

    ask: OutboundAsk
    parcels: tuple[OutboundParcel, ...]
    fees: tuple[FeeLine, ...]
    no_rate: tuple[NoRate, ...]
    currency: str

    @property
    def fee_minor(self) -> int:
        """The sum of the fees in minor units."""
        return sum(fee.amount_minor for fee in self.fees)


async def preview_outbound(conn: Conn, outside: Outside, asks: Sequence[OutboundAsk]) -> list[OutboundPreview | EntrepotError]:
    """Tell speed, dates and fees of outbound orders without holding anything; the windows that are shown are kept as promises."""
    requests = await _requests(conn, outside.reference, asks)
    ground, plans = await _plan(conn, outside.reference, requests)
    answers: list[OutboundPreview | EntrepotError] = []
    windows: dict[uuid.UUID, Promise] = {}
    for ask, plan in zip(asks, plans, strict=True):
        if isinstance(plan, EntrepotError):
            answers.append(plan)
            continue
        rows = CheckoutRows()
        add_rows(rows, plan, ground.merchants, payment_state_of(plan), outside.hold_s)
        shown = [_shown(ask, promise) for promise in rows.promises]
        windows |= {promise.promise_id: promise for promise in shown}
        fees, no_rate = _fees(outside, plan, rows, ground)
        answers.append(OutboundPreview(ask, tuple(_parcel(outside.reference, ask, one) for one in shown), fees, no_rate, plan.currency))
    await insert_promises(conn, list(windows.values()))
    return answers


async def _plan(
    conn: Conn, reference: Reference, requests: Sequence[tuple[OutboundAsk, OrderRequest] | EntrepotError]
) -> tuple[Ground, list[CheckoutPlan | EntrepotError]]:
    """Plan each order alone on the shelf as it is, so that those of one batch do not take each other's units, and refuse what nobody imports."""
    ready = [one for one in requests if not isinstance(one, EntrepotError)]
    if not ready:
        return Ground(reference, {}, {}, {}), [one for one in requests if isinstance(one, EntrepotError)]
    ground = await read_ground(conn, reference, [request for _, request in ready])
    plans: list[CheckoutPlan | EntrepotError] = []
    for one in requests:
        if isinstance(one, EntrepotError):
            plans.append(one)
            continue
        plan = plan_checkout(one[1], replace(ground, shelf=dict(ground.shelf)))
        refusal = plan if isinstance(plan, EntrepotError) else _importer_refusal(reference, one[0], plan)
        plans.append(plan if refusal is None else refusal)
    return ground, plans


def _importer_refusal(reference: Reference, ask: OutboundAsk, plan: CheckoutPlan) -> EntrepotError | None:
    """Return why an order that crosses a customs border may not leave without an importer, or None."""
    for one in plan.consignments:
        crosses = reference.network.crosses_border(one.place.place_code, ask.to_country_code)
        if crosses and one.plan.needs_order_importer and not ask.importer_of_record.strip():
            return OrderImporterMissingError(
                "importer_of_record", ask.importer_of_record, "Name who imports into %(country)s, or keep stock there.", country=ask.to_country_code
            )
    return None


def _shown(ask: OutboundAsk, promise: Promise) -> Promise:
    """Return a window as a preview shows it: no order has it yet, and the order that follows gets its own."""
    promise_id = derived_id("previewed", promise.promise_id, ask.speed_code)
    return replace(promise, promise_id=promise_id, order_id=None, quote_id=derived_id("outbound preview", ask.checkout_id, ask.at))


def _parcel(reference: Reference, ask: OutboundAsk, shown: Promise) -> OutboundParcel:
    """Return one parcel as the shop sees it."""
    return OutboundParcel(
        shown.promise_id,
        shown.place_code,
        shown.service_code,
        shown.ship_by_at,
        shown.from_on,
        shown.to_on,
        reference.network.crosses_border(shown.place_code, ask.to_country_code),
    )


def _fees(outside: Outside, plan: CheckoutPlan, rows: CheckoutRows, ground: Ground) -> tuple[tuple[FeeLine, ...], tuple[NoRate, ...]]:
    """Return what shipment will charge, by the rule that will charge it, on the day by which each parcel leaves."""
    leaves = {one.consignment_id: one.window.ship_by_at for one in plan.consignments}
    charges = [
        Charge(part.merchant_id, part.order_id, part.line_no, part.quantity, part.consignment_id, leaves[part.consignment_id])
        for part in sorted(rows.allocations, key=lambda part: (part.consignment_id, part.line_no, part.part_no))
    ]
    measures = {
        (one.merchant_id, one.stock_item_id): ItemMeasure(
            one.weight_g, one.length_mm, one.width_mm, one.height_mm, one.category_code, one.hazard_code
        )
        for one in ground.offers.values()
    }
    charged = charged_units(charges, rows.orders, rows.lines, measures, units_of_orders(rows.lines))
    quotes = [quote for _, quote in quote_charges(outside.reference, FeeTrigger.SHIPMENT, charged)]
    return tuple(fee for quote in quotes for fee in quote.lines), tuple(gap for quote in quotes for gap in quote.no_rate)


async def place_outbound(conn: Conn, outside: Outside, asks: Sequence[OutboundAsk], actor: Actor) -> list[PlaceAnswer]:
    """Place outbound orders, each decided on its own in the order given; the same reference again gets the same answer."""
    requests = await _requests(conn, outside.reference, asks)
    _, plans = await _plan(conn, outside.reference, requests)
    refusals: dict[int, EntrepotError] = {index: one for index, one in enumerate(requests) if isinstance(one, EntrepotError)}
    refusals |= {index: one for index, one in enumerate(plans) if isinstance(one, OrderImporterMissingError)}
    placing = {index: one[1] for index, one in enumerate(requests) if index not in refusals and not isinstance(one, EntrepotError)}
    placed = dict(zip(placing, await place_orders(conn, outside, list(placing.values()), actor), strict=True)) if placing else {}
    return [placed[index] if index in placed else PlaceAnswer(ask.checkout_id, "refused", refusal=refusals[index]) for index, ask in enumerate(asks)]


# -- by SKU ----------------------------------------------------------------------------------------------------------


async def _requests(conn: Conn, reference: Reference, asks: Sequence[OutboundAsk]) -> list[tuple[OutboundAsk, OrderRequest] | EntrepotError]:
    """Turn orders by SKU into checkouts of the merchants' offers that may be sent for another channel, or say what is wrong with them."""
    offers = await read_item_offers(conn, [(ask.merchant_id, stock_item_id_of(ask.merchant_id, line.sku)) for ask in asks for line in ask.lines])
    requests: list[tuple[OutboundAsk, OrderRequest] | EntrepotError] = []
    for ask in asks:
        try:
            requests.append((ask, _request(reference, ask, offers)))
        except EntrepotError as refusal:
            requests.append(refusal)
    return requests


def _request(reference: Reference, ask: OutboundAsk, offers: Mapping[ItemKey, Sequence[OfferFacts]]) -> OrderRequest:
    """Return the checkout of one order, or refuse it."""
    require_marketplace(reference.marketplaces, ask.marketplace_code)
    if not ask.reference.strip():
        raise NoReferenceError("reference", ask.reference, "Give the number that the order has in the shop.")
    if ask.speed_code not in set(Speed):
        raise UnknownSpeedError("speed_code", ask.speed_code, "Use one of %(choices)s.", choices=tuple(map(str, Speed)))
    for line in ask.lines:
        if line.unit_value_minor <= 0:
            raise NoDeclaredValueError(f"lines[{line.sku}].unit_value_minor", line.unit_value_minor, "Say what one unit is worth.")
    chosen = [_offer(reference, ask, line, offers.get((ask.merchant_id, stock_item_id_of(ask.merchant_id, line.sku)), ())) for line in ask.lines]
    return OrderRequest(
        ask.person_id,
        ask.checkout_id,
        f"outbound:{ask.merchant_id}:{ask.reference}",
        ask.marketplace_code,
        Channel.EXTERNAL,
        ask.to_country_code,
        ask.postcode_prefix,
        HELD_BY_CHANNEL,
        tuple(LineAsk(offer.merchant_id, offer.offer_id, line.quantity) for offer, line in zip(chosen, ask.lines, strict=True)),
        ask.at,
        buyer_freight_minor=0,
        reference=ask.reference,
        declared_unit_values=tuple(line.unit_value_minor for line in ask.lines),
        speed_code=ask.speed_code,
    )


def _offer(reference: Reference, ask: OutboundAsk, line: OutboundLine, offers: Sequence[OfferFacts]) -> OfferFacts:
    """Return the offer out of whose stock a SKU is sent for another channel."""
    if not offers:
        raise UnknownStockItemError("sku", line.sku, "Add the SKU and an offer of it first.")
    fits = [one for one in offers if one.marketplace_code == ask.marketplace_code and one.is_salable(ask.at)]
    serving = [one for one in fits if reference.registry.plan(one.model_code).serves(Channel.EXTERNAL)]
    if not serving:
        raise OfferNotLiveError(
            "sku", line.sku, "No live offer in %(store)s lets its stock be sent for another channel; add one.", store=ask.marketplace_code
        )
    return min(serving, key=lambda one: (one.priority, one.model_code, one.offer_id))
