"""A house in which a few units of a few SKUs are wanted by many, and one resident's year in China is nearly used up."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

import psycopg
from tests.factories.china import BONDED, LIMIT, ORDERER, OSAKA, TASMAN, VITAMIN, offer_at, order, stock
from tests.factories.house import AT, BUYER, find_offer, open_house, put_stock

from entrepot.base.clock_store import advance_business_now
from entrepot.base.ids import derived_id
from entrepot.catalogue.model import OfferFacts
from entrepot.flows.order_to_cash import place_orders
from entrepot.flows.outside import Outside
from entrepot.orders.model import LineAsk, OrderRequest

AUDIO, KITCHEN, OUTDOOR = "demo-shenzhen-audio", "demo-leeds-kitchen", "demo-bavaria-outdoor"
ROMPER = "SAKURA-ROMPER"
LTN, MAN, SITE_DE = "GB-LTN1", "GB-MAN2", "SITE-MUC-OUTDOOR"
BRITISH = ["gb one", "gb two"]
CHINESE = ["cn one", "cn two"]
"""Two accounts of one resident."""
VALUES = (240_000, 90_000)
"""Prices in fen of the two offers for China: two of the first reach the limit of an order."""
USED = 4 * 480_000
"""What the resident ordered earlier this year, in fen."""


@dataclass(frozen=True)
class Scarce:
    """The house after opening: the outside, the offers by store, and the units of each (SKU, place)."""

    outside: Outside
    offers: dict[str, list[OfferFacts]]
    units: dict[tuple[str, str], int]


async def _open(conn):
    _, outside = await open_house(conn)
    british = {
        (AUDIO, "ARIA-HEADPHONES", "fba"): {LTN: 3, MAN: 2},
        (AUDIO, "VOLT-CHARGER", "fba"): {LTN: 3},
        (KITCHEN, "MOOR-TEAPOT", "fba"): {MAN: 3},
        (OUTDOOR, "PEAK-HAT", "fbm"): {SITE_DE: 3},
    }
    units = {(sku, place): count for (_, sku, _), places in british.items() for place, count in places.items()}
    for (merchant, sku, _), places in british.items():
        for place, count in places.items():
            await put_stock(conn, merchant, sku, place, count)
    home = [await find_offer(conn, merchant, sku, "GB", model) for merchant, sku, model in british]
    vitamin, romper = await offer_at(conn, TASMAN, VITAMIN, "2400.00"), await offer_at(conn, OSAKA, ROMPER, "900.00")
    await stock(conn, TASMAN, VITAMIN, BONDED, 8 + 5)
    await stock(conn, OSAKA, ROMPER, BONDED, 4, "-")
    earlier = await place_orders(conn, outside, [order([(vitamin, 2)]) for _ in range(4)], BUYER)
    assert [answer.state for answer in earlier] == ["placed"] * 4, earlier
    await advance_business_now(conn, AT + timedelta(days=30))  # so that each test may choose its moments
    units |= {(VITAMIN, BONDED): 5, (ROMPER, BONDED): 4}
    return Scarce(outside, {"GB": home, "CN_GP": [vitamin, romper]}, units)


def open_scarce(url):
    """Open the house in a database and commit it."""

    async def fill():
        async with await psycopg.AsyncConnection.connect(url) as conn:
            return await _open(conn)

    return asyncio.run(fill())


def ask(house, store, person, key, lines, method, at=AT):
    """A checkout as the pages send it: its id follows from buyer and key; lines are (number of the offer, quantity)."""
    person_id = derived_id("walk person", person)
    chosen = tuple(LineAsk(house.offers[store][place].merchant_id, house.offers[store][place].offer_id, quantity) for place, quantity in lines)
    known = {"identity_id": ORDERER, "has_accepted_risk": True} if store == "CN_GP" else {}
    checkout_id = derived_id("checkout", person_id, key)
    return OrderRequest(person_id, checkout_id, key, store, "store", "CN" if store == "CN_GP" else "GB", "10", method, chosen, at, **known)


def minutes(count):
    return timedelta(minutes=count)


FREE = LIMIT - USED
