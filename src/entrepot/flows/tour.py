"""The guided tour's orders: one in each operation model, bought by the demo's buyers as anybody would buy, and found again by the tour's id."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import count
from typing import Final

from msgspec import Struct

from entrepot.base.actor import Actor, ActorKind
from entrepot.base.due import Due
from entrepot.base.ids import derived_id
from entrepot.base.sql import Conn
from entrepot.catalogue.model import OfferFacts
from entrepot.catalogue.store import list_live_offers
from entrepot.flows.order_to_cash import PAY, PlaceAnswer, place_orders, quote_checkouts, take_payments
from entrepot.flows.outside import Outside
from entrepot.flows.plan_checkout import CheckoutPlan
from entrepot.operations.model import Channel, Step
from entrepot.operations.plan import Plan
from entrepot.orders.model import LineAsk, Order, OrderRequest
from entrepot.orders.read import read_checkout_orders
from entrepot.parties.accounts import StaffRole
from entrepot.parties.buyers import find_identities
from entrepot.parties.demo import SeedBuyer, demo_person_id, read_seed_parties
from entrepot.parties.model import merchant_id_of

MOST_TRIES: Final = 5
"""How often a tour may order in one model: what gets lost or is declined is ordered again."""


OTHER_CHANNELS: Final = "invoice"
"""What stands for the payment of a sale whose money another channel holds."""


class Cast(Struct, frozen=True):
    """The demo's people that a visitor may look through the eyes of: logins by buyer, merchant and place."""

    buyers: Mapping[uuid.UUID, str]
    merchants: Mapping[uuid.UUID, str]
    floors: Mapping[str, str]
    house: str


class Guest(Struct, frozen=True):
    """A buyer of the demo who orders for the tour."""

    person_id: uuid.UUID
    country_code: str
    postcode_prefix: str
    identity_id: uuid.UUID | None


def demo_cast() -> Cast:
    """Return the demo's people by what they look after; of several the first one."""
    seed = read_seed_parties().sign_ins
    floors = [(place, row.login) for row in seed if row.place_code is not None for place in (row.place_code, *row.more_places)]
    return Cast(
        {demo_person_id(row.person): row.login for row in reversed(seed) if row.person is not None},
        {merchant_id_of(row.merchant): row.login for row in reversed(seed) if row.merchant is not None},
        dict(reversed(floors)),
        next(row.login for row in seed if row.role is StaffRole.OPERATOR),
    )


def checkout_of(tour_id: uuid.UUID, model_code: str, try_no: int) -> uuid.UUID:
    """Return the id of the checkout that a tour makes in a model, at the first or a later try."""
    return derived_id("tour_checkout", tour_id, model_code, try_no)


async def find_tour_orders(conn: Conn, tour_id: uuid.UUID, model_codes: Sequence[str]) -> dict[str, list[Order]]:
    """Return a tour's orders by model, the latest try last; a model in which nothing was ordered is left out."""
    names = {checkout_of(tour_id, code, try_no): (code, try_no) for code in model_codes for try_no in range(1, MOST_TRIES + 1)}
    orders = await read_checkout_orders(conn, list(names))
    found: dict[str, list[Order]] = {}
    for order in sorted(orders, key=lambda one: names[one.checkout_id][1]):
        found.setdefault(names[order.checkout_id][0], []).append(order)
    return found


async def place_tour_orders(
    conn: Conn, outside: Outside, tour_id: uuid.UUID, wanted: Mapping[str, int], methods: Mapping[str, str], now: datetime
) -> list[PlaceAnswer]:
    """Order in each wanted model what arrives soonest, at the try given; `methods` names a payment method for each currency.

    A merchant and a floor that the demo has a login for come first, so that the order can be looked at from every side.
    """
    asked = await _candidates(conn, outside, tour_id, wanted, methods, now)
    plans = [one for one in await quote_checkouts(conn, outside, asked) if isinstance(one, CheckoutPlan)] if asked else []
    chosen = _choose(plans, demo_cast())
    return await place_orders(conn, outside, chosen, Actor(ActorKind.PROGRAM, "tour", "buyer")) if chosen else []


async def pay_tour_orders(conn: Conn, outside: Outside, tour_id: uuid.UUID, model_codes: Sequence[str], now: datetime) -> None:
    """Let the payment provider decide what waits for it, as after any checkout."""
    orders = [one for orders in (await find_tour_orders(conn, tour_id, model_codes)).values() for one in orders]
    waiting = [one for one in orders if one.state == "awaiting_payment"]
    if waiting:
        await take_payments(conn, outside, [Due(one.merchant_id, PAY, one.checkout_id, now, one.person_id) for one in waiting], now)


async def _candidates(
    conn: Conn, outside: Outside, tour_id: uuid.UUID, wanted: Mapping[str, int], methods: Mapping[str, str], now: datetime
) -> list[OrderRequest]:
    """Return what could be ordered: every live offer of the wanted models in a store for which the demo has a buyer."""
    guests = await _guests(conn)
    stores = {code: store for code, store in outside.reference.marketplaces.items() if store.country_code in guests}
    offers = [one for one in await list_live_offers(conn, sorted(stores), now) if one.model_code in wanted]
    requests: list[OrderRequest] = []
    for offer in offers:
        store, plan = stores[offer.marketplace_code], outside.reference.registry.plan(offer.model_code)
        checkout_id = checkout_of(tour_id, offer.model_code, wanted[offer.model_code])
        requests.append(_request(offer, plan, guests[store.country_code], checkout_id, methods[store.currency], now))
    return requests


async def _guests(conn: Conn) -> dict[str, Guest]:
    """Return the demo's buyers by country, those whose identity is known with it."""
    rows: list[SeedBuyer] = list(read_seed_parties().buyers)
    known = {one.person_id: one.quota_person_id for one in await find_identities(conn, [demo_person_id(row.code) for row in rows])}
    guests = [Guest(demo_person_id(row.code), row.country_code, row.address.postcode_prefix, known.get(demo_person_id(row.code))) for row in rows]
    return {one.country_code: one for one in guests}


def _request(offer: OfferFacts, plan: Plan, guest: Guest, checkout_id: uuid.UUID, method_code: str, now: datetime) -> OrderRequest:
    """Return one unit of an offer to its buyer's door; a model that serves other channels is shown with a sale of another channel."""
    is_external = plan.serves(Channel.EXTERNAL)
    return OrderRequest(
        guest.person_id,
        checkout_id,
        f"tour-{checkout_id}",
        offer.marketplace_code,
        str(Channel.EXTERNAL if is_external else Channel.STORE),
        guest.country_code,
        guest.postcode_prefix,
        OTHER_CHANNELS if is_external else method_code,
        (LineAsk(offer.merchant_id, offer.offer_id, 1),),
        now,
        identity_id=guest.identity_id if plan.needs_identity else None,
        has_accepted_risk=plan.needs_risk_notice,
        reference=f"TOUR-{checkout_id.hex[-6:].upper()}" if is_external else "",
        declared_unit_values=(offer.price_minor,) if is_external else (),
        asked_by=Actor(ActorKind.PROGRAM, "tour", "buyer", guest.person_id),
    )


def _choose(plans: Sequence[CheckoutPlan], cast: Cast) -> list[OrderRequest]:
    """Return one checkout of each model: inside one country, with people to look at it, in a store not chosen yet, soonest, cheapest."""
    chosen: dict[uuid.UUID, OrderRequest] = {}
    seen: set[str] = set()
    by_checkout: dict[uuid.UUID, list[CheckoutPlan]] = {}
    for plan in plans:
        by_checkout.setdefault(plan.request.checkout_id, []).append(plan)
    for checkout_id, found in by_checkout.items():
        best = min(zip(count(), found), key=lambda numbered: (_rank(numbered[1], cast, seen), numbered[0]))[1]
        chosen[checkout_id] = best.request
        seen.add(best.request.marketplace_code)
    return list(chosen.values())


def _rank(plan: CheckoutPlan, cast: Cast, seen: set[str]) -> tuple[bool, bool, bool, bool, int, int]:
    """Return how little a checkout suits the tour; the least is taken."""
    (line,), (consignment,) = plan.lines, plan.consignments
    channel = Channel(plan.request.channel_code)
    return (
        consignment.place.country_code != plan.request.to_country_code,
        line.ask.merchant_id not in cast.merchants,
        line.plan.platform_does(Step.PACK, channel=channel) and consignment.place.place_code not in cast.floors,
        plan.request.marketplace_code in seen,
        consignment.window.to_on.toordinal(),
        plan.total_minor,
    )
