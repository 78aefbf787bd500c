"""Ordering for a tour: the demo's buyers order and pay as in the store, and time hurries until the parcels are at their doors."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from entrepot.base.sql import Conn
from entrepot.base.time import RealClock
from entrepot.flows.hurry import hurry_for
from entrepot.flows.order_to_cash import PLACED_AGAIN, PlaceAnswer
from entrepot.flows.outside import Outside
from entrepot.flows.tour import find_tour_orders, pay_tour_orders, place_tour_orders
from entrepot.orders.model import Order
from entrepot.parties.buyers import add_addresses, open_addresses
from entrepot.parties.demo import demo_address_id, demo_person_id, read_seed_parties
from entrepot.parties.people import NewAddress
from entrepot.surfaces.web.house import House, business_now
from entrepot.surfaces.web.languages import CODES, language
from entrepot.surfaces.web.store.door import delivery_address_id
from entrepot.surfaces.web.store.payments import methods_for

_ANY: Final = language(CODES[0])


async def order_for_tour(house: House, tour_id: uuid.UUID, tries: Mapping[str, int]) -> bool:
    """Order in these models, at the try given, pay, and let time hurry; tell whether the tour has any order.

    It may run twice: what was ordered at a try is not ordered at it again.
    """

    async def place(conn: Conn) -> list[PlaceAnswer]:
        now = await business_now(conn)
        outside = await house.outside.current(conn, now)
        known = await find_tour_orders(conn, tour_id, house.registry.codes)
        wanted = {code: try_no for code, try_no in tries.items() if len(known.get(code, ())) < try_no}
        answers = await place_tour_orders(conn, outside, tour_id, wanted, _methods(outside), now)
        orders = _flat(await find_tour_orders(conn, tour_id, house.registry.codes))
        await _keep_addresses(conn, house, orders, now)
        await hurry_for(conn, [(one.merchant_id, one.order_id) for one in orders], RealClock().now())
        return answers

    async def pay(conn: Conn) -> bool:
        now = await business_now(conn)
        outside = await house.outside.current(conn, now)
        await pay_tour_orders(conn, outside, tour_id, house.registry.codes, now)
        return bool(await find_tour_orders(conn, tour_id, house.registry.codes))

    for _ in range(PLACED_AGAIN):
        if not any(answer.is_outrun for answer in await house.database.writing(place)):
            break
    return await house.database.writing(pay)


def _methods(outside: Outside) -> dict[str, str]:
    """Return for each currency the method of payment that the checkout offers first."""
    currencies = {one.currency for one in outside.reference.marketplaces.values()}
    return {currency: methods_for(_ANY, currency)[0][0] for currency in currencies}


async def _keep_addresses(conn: Conn, house: House, orders: Sequence[Order], now: datetime) -> None:
    """Keep with each order where it goes: the address of the demo's buyer, sealed."""
    homes = {demo_person_id(row.code): demo_address_id(row.code) for row in read_seed_parties().buyers}
    opened = await open_addresses(conn, house.keyring, list(homes), list(homes.values()))
    added: list[NewAddress] = []
    for order in orders:
        home = opened.get((order.person_id, homes[order.person_id]))
        if home is not None and home.details is not None:
            facts = home.facts
            address_id = delivery_address_id(order.checkout_id)
            added.append(NewAddress(order.person_id, address_id, facts.country_code, facts.zone, facts.postcode_prefix, home.details))
    await add_addresses(conn, house.keyring, added, now)


def _flat(orders: Mapping[str, Sequence[Order]]) -> list[Order]:
    """Return all orders of a tour."""
    return [one for tries in orders.values() for one in tries]
