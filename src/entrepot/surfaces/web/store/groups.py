"""What a basket costs and when it arrives: a delivery per consignment, each with its date, its carriage, and who collects which tax or duty."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import date, datetime

from msgspec import Struct

from entrepot.base.errors import EntrepotError
from entrepot.base.sql import Conn
from entrepot.catalogue.model import Marketplace, OfferFacts
from entrepot.catalogue.store import find_offers
from entrepot.flows.order_to_cash import quote_checkouts
from entrepot.flows.outside import Outside
from entrepot.flows.plan_checkout import CheckoutPlan, PlannedConsignment, PlannedLine
from entrepot.operations.model import Channel, Step
from entrepot.orders.basket import BasketLine
from entrepot.parties.store import read_merchants
from entrepot.settlement.tax import TaxParty
from entrepot.surfaces.web.languages import mark
from entrepot.surfaces.web.quotes import Quote, at_door_minor, minutes_left, quote_of, quote_request
from entrepot.surfaces.web.storefront import badge_of

_COLLECTORS: Mapping[TaxParty, str] = {
    TaxParty.MERCHANT: mark("collected by the seller"),
    TaxParty.PLATFORM: mark("collected by us"),
    TaxParty.WITHHOLDING_AGENT: mark("withheld by us and paid to customs"),
}
_COLLECTED_BY_US = mark("collected by us with your order")
_COLLECTED_AT_DOOR = mark("collected by the carrier at your door")


class Levy(Struct, frozen=True):
    """A tax or duty of a delivery in minor units: what it is called, who collects it, and whether the amount is certain and in the total."""

    name: str
    minor: int
    collector: str
    is_included: bool = False
    is_estimate: bool = False


class Item(Struct, frozen=True):
    """A line of the basket as pages show it."""

    line: BasketLine
    offer: OfferFacts
    sold_by: str
    needs_identity: bool
    needs_risk_notice: bool
    refusal: EntrepotError | None

    @property
    def goods_minor(self) -> int:
        """The price of all units."""
        return self.offer.price_minor * self.line.quantity


class Delivery(Struct, frozen=True):
    """Items that travel together: when they arrive, what their carriage and levies cost, who sells, ships and answers."""

    items: tuple[Item, ...]
    sold_by: str
    badge: str
    ships_by: str
    serves: str
    carrier_code: str
    from_country: str
    crosses_border: bool
    from_on: date
    to_on: date
    minutes_left: int
    freight_minor: int
    levies: tuple[Levy, ...]


class Offered(Struct, frozen=True):
    """A basket as it can be had: its deliveries and their sum, and every item, also those that cannot be had now; `refusal` is what stands against all of it."""

    items: tuple[Item, ...]
    deliveries: tuple[Delivery, ...]
    total: Quote | None
    refusal: EntrepotError | None
    quota_minor: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether everything in the basket can be ordered together."""
        return self.total is not None and all(item.refusal is None for item in self.items)

    @property
    def needs_identity(self) -> bool:
        """Whether customs must know the buyer."""
        return any(item.needs_identity for item in self.items)

    @property
    def needs_risk_notice(self) -> bool:
        """Whether the buyer must accept the risk notice."""
        return any(item.needs_risk_notice for item in self.items)


async def offer_basket(
    conn: Conn, outside: Outside, marketplace: Marketplace, lines: Sequence[BasketLine], door: tuple[str, str], now: datetime, language: str
) -> Offered:
    """Quote a basket to a country and postcode; items that cannot be had are told apart, and the rest is quoted without them."""
    named = [one.merchant_id for one in lines], [one.offer_id for one in lines]
    found = {one.offer_id: one for one in await find_offers(conn, *named, language)}
    known = [one for one in lines if one.offer_id in found]
    if not known:
        return Offered((), (), None, None)
    merchants = {key: one.name for key, one in (await read_merchants(conn, sorted({one.merchant_id for one in known}))).items()}
    (plan,) = await quote_checkouts(conn, outside, [quote_request(marketplace, [one.ask for one in known], door, now)])
    refusals: dict[uuid.UUID, EntrepotError] = {}
    refusal = plan if isinstance(plan, EntrepotError) else None
    if refusal is not None:
        alone = await quote_checkouts(conn, outside, [quote_request(marketplace, [one.ask], door, now) for one in known])
        refusals = {line.offer_id: one for line, one in zip(known, alone, strict=True) if isinstance(one, EntrepotError)}
        rest = [one.ask for one in known if one.offer_id not in refusals]
        if refusals and rest:
            (plan,) = await quote_checkouts(conn, outside, [quote_request(marketplace, rest, door, now)])
            refusal = plan if isinstance(plan, EntrepotError) else None
    registry = outside.reference.registry
    items = tuple(_item(one, found[one.offer_id], merchants[one.merchant_id], outside, refusals.get(one.offer_id)) for one in known)
    if isinstance(plan, EntrepotError):
        return Offered(items, (), None, None if refusals and len(refusals) == len(known) else refusal)
    by_offer = {one.offer.offer_id: one for one in items}
    deliveries = tuple(
        _delivery(plan, one, by_offer, merchants[one.merchant_id], badge_of(registry, one.plan.model_code), marketplace, outside, now)
        for one in plan.consignments
    )
    return Offered(items, deliveries, quote_of(plan, outside, now), refusal, sum(plan.quota_value_minor.values()))


def _item(line: BasketLine, offer: OfferFacts, sold_by: str, outside: Outside, refusal: EntrepotError | None) -> Item:
    plan = outside.reference.registry.plan(offer.model_code)
    return Item(line, offer, sold_by, plan.needs_identity, plan.needs_risk_notice, refusal)


def _delivery(
    plan: CheckoutPlan,
    consignment: PlannedConsignment,
    items: Mapping[uuid.UUID, Item],
    sold_by: str,
    badge: str,
    marketplace: Marketplace,
    outside: Outside,
    now: datetime,
) -> Delivery:
    """Return a consignment as a delivery; the money of a line that leaves from two places stands with the first."""
    lines = [line for line in plan.lines if consignment.consignment_id in line.consignment_ids]
    first = [line for line in lines if line.consignment_ids[0] == consignment.consignment_id]
    return Delivery(
        tuple(_units_here(items[line.ask.offer_id], line, consignment) for line in lines),
        sold_by,
        badge,
        str(consignment.plan.doer(Step.PACK)),
        str(consignment.plan.doer(Step.ANSWER_CUSTOMER, channel=Channel.STORE)),
        consignment.lane.carrier_code,
        consignment.place.country_code,
        outside.reference.network.crosses_border(consignment.place.place_code, plan.request.to_country_code),
        consignment.window.from_on,
        consignment.window.to_on,
        minutes_left(consignment.place, now),
        sum(line.freight_minor for line in first),
        tuple(_levies(first, marketplace)),
    )


def _units_here(item: Item, line: PlannedLine, consignment: PlannedConsignment) -> Item:
    """Return an item with the units of it that travel in a consignment."""
    quantity = sum(part.quantity for part, key in zip(line.parts, line.consignment_ids, strict=True) if key == consignment.consignment_id)
    here = BasketLine(item.line.merchant_id, item.line.offer_id, quantity)
    return Item(here, item.offer, item.sold_by, item.needs_identity, item.needs_risk_notice, item.refusal)


def _levies(lines: Sequence[PlannedLine], marketplace: Marketplace) -> list[Levy]:
    """Return the taxes and duties of lines, those of one name and collector together."""
    levies: dict[tuple[str, str, bool, bool], int] = {}
    for line in lines:
        sale = _COLLECTORS.get(line.tax.verdict.collected_by, "")
        on_top = line.tax_on_top_minor - line.import_tax_minor
        asked = [
            (mark("Tax"), sale, True, False, line.tax.tax_minor if marketplace.price_includes_tax and not line.tax_on_top_minor else 0),
            (mark("Tax"), sale, False, False, on_top),
            (mark("Import tax"), _COLLECTED_BY_US if not line.plan.uses_quota else sale, False, False, line.import_tax_minor),
            (mark("Duty"), _COLLECTED_BY_US, False, False, line.duty_minor),
            (mark("Duty and import tax"), _COLLECTED_AT_DOOR, False, True, at_door_minor(line)),
        ]
        for name, collector, is_included, is_estimate, minor in asked:
            if minor:
                key = (name, collector, is_included, is_estimate)
                levies[key] = levies.get(key, 0) + minor
    return [Levy(name, minor, collector, is_included, is_estimate) for (name, collector, is_included, is_estimate), minor in levies.items()]
