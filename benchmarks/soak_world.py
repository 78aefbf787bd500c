"""The world of the soak: the demo house, a few SKUs of four merchants of which little is on the shelf, and what its clients wish for."""

import json
import random
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg

from benchmarks.ground import open_storefront
from entrepot.base.clock_store import advance_business_now, read_business_now
from entrepot.base.ids import derived_id
from entrepot.base.time import RealClock
from entrepot.books.stock.model import SITE, SUPPLIER, Location, Move, StockPosting
from entrepot.books.stock.post import post_moves
from entrepot.catalogue.model import OfferFacts
from entrepot.operations.registry import REGISTRY
from entrepot.parties.model import merchant_id_of
from entrepot.parties.sealing import Keyring
from entrepot.warehouse.store_floor import insert_lots
from entrepot.world.ground import Person, lay_ground

BRITISH, CHINESE = "GB", "CN"
STORES = {BRITISH: "GB", CHINESE: "CN_GP"}
CHINESE_PER_HUNDRED = 15
CHINESE_PERSONS = 6
"""Few enough that their years are used up while the soak runs."""
METHODS = {
    BRITISH: {"card_ok": 30, "invoice": 10, "card_declined": 15, "card_slow": 15, "card_timeout": 10, "card_late": 20},
    CHINESE: {"cn_wallet": 40, "invoice": 10, "card_declined": 15, "card_timeout": 10, "card_late": 25},
}
"""How many of a hundred orders are paid by which method, by the buyer's country."""
CHARGES = frozenset({"card_ok", "invoice", "card_slow", "card_late", "cn_wallet"})
"""Methods whose payment succeeds in the end, in time or late."""
LOT = "SOAK-1"
_LOT_DAYS = 400


@dataclass(frozen=True)
class Shelf:
    """A SKU at one of its places, and how much of its stock lies there, in shares."""

    country: str
    merchant: str
    sku: str
    model: str
    place: str
    share: int


SHELVES = (
    Shelf(BRITISH, "demo-shenzhen-audio", "ARIA-HEADPHONES", "fba", "GB-LTN1", 3),
    Shelf(BRITISH, "demo-shenzhen-audio", "ARIA-HEADPHONES", "fba", "GB-MAN2", 2),
    Shelf(BRITISH, "demo-shenzhen-audio", "VOLT-CHARGER", "fba", "GB-LTN1", 3),
    Shelf(BRITISH, "demo-leeds-kitchen", "MOOR-TEAPOT", "fba", "GB-MAN2", 3),
    Shelf(BRITISH, "demo-bavaria-outdoor", "PEAK-HAT", "fbm", "SITE-MUC-OUTDOOR", 3),
    Shelf(CHINESE, "demo-tasman-health", "TASMAN-VITAMIN-C", "global_purchase", "CN-NGB1", 1),
    Shelf(CHINESE, "demo-osaka-baby", "SAKURA-ROMPER", "global_purchase", "CN-NGB1", 1),
)


@dataclass(frozen=True)
class SoakWorld:
    """What clients know: the storefront's token, buyers and offers by country."""

    token: str
    persons: dict[str, tuple[Person, ...]]
    offers: dict[str, tuple[OfferFacts, ...]]
    stocked: tuple[tuple[Shelf, OfferFacts], ...]


@dataclass(frozen=True)
class Wish:
    """One order as a client sends it, under its key for as long as it takes: units by (merchant, offer), in order."""

    person_id: uuid.UUID
    key: str
    method: str
    units: tuple[tuple[uuid.UUID, uuid.UUID, int], ...]
    body: bytes

    @property
    def checkout_id(self) -> uuid.UUID:
        """Return the checkout that follows from buyer and key."""
        return derived_id("checkout", self.person_id, self.key)


async def open_world(url: str, keyring: Keyring) -> SoakWorld:
    """Open the house in a migrated, empty database, without stock."""
    at = RealClock().now().replace(microsecond=0) - timedelta(days=1)
    async with await psycopg.AsyncConnection.connect(url) as conn:
        ground = await lay_ground(conn, REGISTRY, keyring, at)
        token = await open_storefront(conn)
        found = {(one.merchant_id, one.sku, one.model_code, one.marketplace_code): one for offers in ground.offers.values() for one in offers}
        stocked = tuple((one, found[merchant_id_of(one.merchant), one.sku, one.model, STORES[one.country]]) for one in SHELVES)
        lots = {
            (offer.merchant_id, offer.stock_item_id, LOT): at.date() + timedelta(days=_LOT_DAYS)
            for shelf, offer in stocked
            if shelf.country == CHINESE
        }
        await insert_lots(conn, lots)
    offers = {country: tuple({offer.offer_id: offer for shelf, offer in stocked if shelf.country == country}.values()) for country in STORES}
    persons = {BRITISH: ground.persons[BRITISH], CHINESE: ground.persons[CHINESE][:CHINESE_PERSONS]}
    return SoakWorld(token, persons, offers, stocked)


async def bring_stock(url: str, world: SoakWorld, wave: int, units: int) -> None:
    """Bring so many units to each share of each shelf; a wave that came already is passed over."""
    async with await psycopg.AsyncConnection.connect(url) as conn:
        at = await read_business_now(conn) or RealClock().now()
        await post_moves(conn, [_receipt(shelf, offer, wave, units * shelf.share, at) for shelf, offer in world.stocked])


def _receipt(shelf: Shelf, offer: OfferFacts, wave: int, units: int, at: datetime) -> StockPosting:
    key = (offer.merchant_id, offer.merchant_id, offer.stock_item_id)
    spot = SITE if shelf.place.startswith("SITE") else "bin:A-01"
    lot, status = (LOT if offer.is_lot_controlled else "-", "bonded") if shelf.country == CHINESE else ("-", "free")
    source, target = Location(*key, SUPPLIER, lot_code=lot, customs_status=status), Location(*key, shelf.place, spot, lot, customs_status=status)
    name = derived_id("soak_receipt", shelf.merchant, shelf.sku, shelf.place, wave)
    return StockPosting(offer.merchant_id, name, at, "receipt", name, [Move(source, target, units)])


async def advance_clock(url: str, at: datetime) -> None:
    """Move the business clock forward, as an operator who wants to see later things does."""
    async with await psycopg.AsyncConnection.connect(url) as conn:
        await advance_business_now(conn, at)


def draw_wish(dice: random.Random, world: SoakWorld, key: str) -> Wish:
    """Draw an order: one to three SKUs of one store, one to three units of each."""
    country = CHINESE if dice.randrange(100) < CHINESE_PER_HUNDRED else BRITISH
    person = dice.choice(world.persons[country])
    offers = world.offers[country]
    chosen = dice.sample(offers, dice.randint(1, min(3, len(offers))) if country == BRITISH else 1)
    units = tuple((offer.merchant_id, offer.offer_id, dice.randint(1, 3)) for offer in chosen)
    (method,) = dice.choices(list(METHODS[country]), list(METHODS[country].values()))
    return Wish(person.person_id, key, method, units, order_body(person, country, method, units))


def order_body(person: Person, country: str, method: str, units: tuple[tuple[uuid.UUID, uuid.UUID, int], ...]) -> bytes:
    """Return an order's message."""
    message = {
        "marketplace": STORES[country],
        "country": country,
        "postcode": "10",
        "payment_method": method,
        "buyer_id": str(person.person_id),
        "lines": [{"merchant_id": str(merchant_id), "offer_id": str(offer_id), "quantity": quantity} for merchant_id, offer_id, quantity in units],
    }
    if person.identity_id is not None:
        message |= {"identity_id": str(person.identity_id), "accepts_risk": True}
    return json.dumps(message).encode()
