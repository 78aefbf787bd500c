"""What the tour's page shows of each model: who does what, the order that was placed, how far it is, and whose eyes it can be seen through."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final
from urllib.parse import quote

from msgspec import Struct

from entrepot.base.sql import Conn
from entrepot.catalogue.store import find_offers
from entrepot.flows.tour import MOST_TRIES, Cast, demo_cast, find_tour_orders
from entrepot.freight.read import read_consignments_of_orders, read_parcels_of_orders
from entrepot.operations.model import Channel, Step
from entrepot.operations.plan import Plan
from entrepot.operations.registry import Registry
from entrepot.orders.model import Line, Order, Promise
from entrepot.orders.read import PromiseRow, read_lines, read_promises
from entrepot.parties.store import read_merchants
from entrepot.surfaces.web.languages import Language, mark
from entrepot.surfaces.web.order_view import next_for_house
from entrepot.surfaces.web.sign_in import demo_sign_ins
from entrepot.surfaces.web.tour.way import Stage, Standing, stages_of
from entrepot.warehouse.readers import read_work_of_orders

_TOLD: Final = (
    (Step.STORE, mark("Keeps the stock")),
    (Step.PACK, mark("Picks and packs")),
    (Step.CARRY, mark("Carries to the door")),
    (Step.HOLD_MONEY, mark("Holds the buyer's money")),
    (Step.ANSWER_CUSTOMER, mark("Answers the customer")),
)
"""The responsibilities by which people tell the models apart."""

ACTOR: Final = mark("Tour")
"""How timelines call whoever orders for a tour."""

OrderKey = tuple[uuid.UUID, uuid.UUID]


class Look(Struct, frozen=True):
    """A page on which the order can be seen, and the demo login that may see it."""

    name: str
    href: str
    login: str
    password: str


class Stop(Struct, frozen=True):
    """One model on the tour; before an order is placed only the declaration is there."""

    plan: Plan
    duties: tuple[tuple[str, str], ...]
    try_no: int = 0
    standing: Standing | None = None
    title: str = ""
    product_href: str = ""
    merchant_name: str = ""
    promised: tuple[date, date] | None = None
    stages: tuple[Stage, ...] = ()
    next_action: str = ""
    looks: tuple[Look, ...] = ()

    @property
    def is_delivered(self) -> bool:
        """Whether the buyer has the order."""
        return self.standing is not None and self.standing.is_delivered

    @property
    def may_try_again(self) -> bool:
        """Whether another order would help: there is none, or it will not arrive."""
        return self.try_no < MOST_TRIES and (self.standing is None or self.standing.has_failed)


class _Found(Struct, frozen=True):
    """What was read of all orders of a tour, by order."""

    standings: Mapping[OrderKey, Standing]
    lines: Mapping[OrderKey, Line]
    promises: Mapping[OrderKey, Promise]
    titles: Mapping[uuid.UUID, tuple[str, uuid.UUID]]
    merchants: Mapping[uuid.UUID, str]
    passwords: Mapping[str, str]


def declared_stops(registry: Registry) -> list[Stop]:
    """Return every model as it is declared."""
    return [Stop(plan, _duties(plan, _shown_channel(plan))) for plan in registry.plans()]


async def read_stops(conn: Conn, registry: Registry, tour_id: uuid.UUID, language: Language) -> list[Stop]:
    """Return every model with the tour's latest order in it."""
    tries = await find_tour_orders(conn, tour_id, registry.codes)
    found = await _read(conn, [orders[-1] for orders in tries.values()], language)
    cast = demo_cast()
    return [
        _stop(plan, tries[plan.model_code], found, cast, language) if plan.model_code in tries else Stop(plan, _duties(plan, _shown_channel(plan)))
        for plan in registry.plans()
    ]


async def _read(conn: Conn, orders: Sequence[Order], language: Language) -> _Found:
    """Read all that the page tells of these orders, each kind of thing in one statement."""
    key = ([one.merchant_id for one in orders], [one.order_id for one in orders])
    lines = {(one.merchant_id, one.order_id): one for one in await read_lines(conn, *key)}
    consignments = {(one.merchant_id, one.order_id): one for one in await read_consignments_of_orders(conn, *key)}
    parcels = {(one.merchant_id, one.order_id): one for one in await read_parcels_of_orders(conn, *key)}
    works = {(one.order.merchant_id, one.order_id): one for one in await read_work_of_orders(conn, *key)}
    named = [one.merchant_id for one in lines.values()], [one.offer_id for one in lines.values()]
    offers = await find_offers(conn, *named, language.subtag)
    keys = list(zip(*key, strict=True))
    return _Found(
        {at: Standing(order, consignments.get(at), works.get(at), parcels.get(at)) for at, order in zip(keys, orders, strict=True)},
        lines,
        {(one.merchant_id, one.order_id): one for one in await read_promises(conn, *key) if one.order_id is not None},
        {one.offer_id: (one.title, one.product_id) for one in offers},
        {merchant_id: one.name for merchant_id, one in (await read_merchants(conn, sorted(set(key[0])))).items()},
        {one.login: one.password for one in await demo_sign_ins(conn)},
    )


def _stop(plan: Plan, orders: Sequence[Order], found: _Found, cast: Cast, language: Language) -> Stop:
    """Return a model with its order."""
    order = orders[-1]
    key = (order.merchant_id, order.order_id)
    standing, line, promise = found.standings[key], found.lines[key], found.promises.get(key)
    title, product_id = found.titles.get(line.offer_id, (line.sku, None))
    consignments = [standing.consignment] if standing.consignment is not None else []
    promises = [] if promise is None else [_row(promise)]
    return Stop(
        plan,
        _duties(plan, Channel(order.channel_code)),
        len(orders),
        standing,
        title,
        f"/store/{order.marketplace_code}/products/{product_id}?offer={line.offer_id}" if product_id is not None else "",
        found.merchants[order.merchant_id],
        None if promise is None else (promise.from_on, promise.to_on),
        stages_of(plan, standing),
        "" if standing.has_failed else next_for_house(language, order, consignments, promises),
        _looks(plan, order, promise, cast, found.passwords),
    )


def _row(promise: Promise) -> PromiseRow:
    """Return a promise as timelines read it."""
    return PromiseRow(promise.promise_id, promise.place_code, promise.service_code, promise.from_on, promise.to_on, None)


def _looks(plan: Plan, order: Order, promise: Promise | None, cast: Cast, passwords: Mapping[str, str]) -> tuple[Look, ...]:
    """Return where each audience sees the order, as far as the demo has a login for it that still works."""
    page = f"/orders/{order.merchant_id}/{order.order_id}"
    place_code = promise.place_code if promise is not None else ""
    seen = [
        (mark("Tracking"), page, cast.buyers.get(order.person_id, "")),
        (mark("Merchant's page"), f"/merchant/orders/{order.order_id}", cast.merchants.get(order.merchant_id, "")),
        (mark("Timeline"), f"{page}#timeline", cast.house),
        (mark("Postings"), f"{page}#postings", cast.house),
    ]
    if plan.platform_does(Step.PACK, channel=Channel(order.channel_code)):
        desk = f"/floor/problem?q={quote(order.number)}"
        seen.insert(2, (mark("On the floor"), f"/floor/sign-on?place={place_code}&next={quote(desk, safe='')}", cast.floors.get(place_code, "")))
    return tuple(Look(name, href, login, passwords[login]) for name, href, login in seen if login in passwords)


def _duties(plan: Plan, channel: Channel) -> tuple[tuple[str, str], ...]:
    """Return who does what people tell models apart by: what, as a marked text, and the role."""
    return tuple((label, str(plan.doer(step, channel=channel))) for step, label in _TOLD)


def _shown_channel(plan: Plan) -> Channel:
    """Return the channel in which the tour orders."""
    return Channel.EXTERNAL if plan.serves(Channel.EXTERNAL) else Channel.STORE
