"""The world that orders are measured in: merchants with live offers, stock over ten places of which five lie in the buyers' country, buyers.

Everything is written by the product's own set-based store functions, a merchant at a time.
"""

import itertools
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from entrepot.base.actor import Actor, ActorKind
from entrepot.base.ids import derived_id
from entrepot.base.sql import Conn, fetch
from entrepot.base.time import RealClock
from entrepot.books.stock.model import SUPPLIER, Location, Move, StockPosting
from entrepot.books.stock.post import post_moves
from entrepot.catalogue.commands import add_offers, add_products, add_stock_items
from entrepot.catalogue.model import NewOffer, NewProduct, NewStockItem, Product, ProductText, offer_id_of, stock_item_id_of
from entrepot.flows.open_house import admission_rule, bins_of, load_ground
from entrepot.flows.refresh_lanes import open_sites
from entrepot.operations.model import PlaceKind
from entrepot.operations.registry import REGISTRY
from entrepot.parties.accounts import NewStaff, StaffRole
from entrepot.parties.buyers import register_buyers
from entrepot.parties.commands import add_bank_accounts, add_registrations, decide_kyc, file_kyc, open_models, register_merchants
from entrepot.parties.demo import load_legal_entities
from entrepot.parties.model import (
    INBOUND_GATE,
    PAYOUT_GATE,
    BankAccount,
    KycDecision,
    KycFiling,
    KycState,
    ModelOpening,
    NewMerchant,
    Registration,
    RegistrationKind,
    listing_gate,
    merchant_id_of,
)
from entrepot.parties.people import NewBuyer, PersonalDetails
from entrepot.parties.sealing import Keyring
from entrepot.parties.sign_in import create_staff, hash_password
from entrepot.parties.store import read_opened_models
from entrepot.parties.tokens import NewToken, create_tokens, new_token
from entrepot.sourcing.model import Place
from entrepot.sourcing.seed_rows import demo_places
from entrepot.warehouse.store_floor import insert_bins

FILLER = Actor(ActorKind.PROGRAM, "bench", "operator")
STORE, COUNTRY, CURRENCY, ZONE = "GB", "GB", "GBP", "Europe/London"
MODEL = "fba"
HOME_PLACES = ("GB-LTN1", "GB-MAN2", "GB-BHX3", "GB-EDI4", "GB-BRS5")
FAR_PLACES = ("DE-LEJ1", "FR-ORY1", "US-EWR2", "CA-YYZ1", "JP-NRT1")
NEW_PLACES = (
    ("GB-BHX3", "Birmingham", 52_486_200, -1_890_400),
    ("GB-EDI4", "Edinburgh", 55_953_300, -3_188_300),
    ("GB-BRS5", "Bristol", 51_454_500, -2_587_900),
)
"""What the demo network lacks, so that five places lie where the buyers are."""


_ADJECTIVES = (
    "Compact",
    "Classic",
    "Folding",
    "Insulated",
    "Slim",
    "Sturdy",
    "Quiet",
    "Round",
    "Tall",
    "Portable",
    "Stackable",
    "Polished",
    "Ribbed",
    "Deep",
    "Handy",
)
_MATERIALS = (
    "steel",
    "bamboo",
    "ceramic",
    "glass",
    "oak",
    "copper",
    "linen",
    "silicone",
    "marble",
    "cork",
    "acrylic",
    "enamel",
    "walnut",
    "cotton",
    "aluminium",
)
_THINGS = (
    "kettle", "lantern", "teapot", "basket", "tray", "bottle", "candlestick", "colander", "drawer", "funnel", "grater", "hanger", "jug", "ladle", "mirror",
    "notebook", "organiser", "pitcher", "rack", "saucepan", "stool", "toaster", "umbrella", "vase", "whisk", "clock", "cushion", "blanket", "bowl", "skillet",
)  # fmt: skip
_COLOURS = ("black", "white", "green", "blue", "grey", "red", "amber", "ivory", "teal", "rose")
_KINDS = list(itertools.product(_ADJECTIVES, _MATERIALS, _THINGS, _COLOURS))


@dataclass(frozen=True)
class Size:
    """How much of everything there is."""

    merchants: int
    skus: int
    buyers: int
    home_units: tuple[int, ...] = (300, 299, 1)
    far_units: tuple[int, ...] = (200, 200)
    """Units of a SKU at three places in the buyers' country, the last nearly empty, and at two beyond a border: 1,000 in all."""


FULL = Size(200, 500, 20_000)
SMALL = Size(5, 40, 50)


@dataclass(frozen=True)
class BenchWorld:
    """What a driver knows: offers as (merchant, offer), the skus of a merchant next to one another; products and titles in the same order; buyers."""

    size: Size
    offers: tuple[tuple[uuid.UUID, uuid.UUID], ...]
    products: tuple[uuid.UUID, ...]
    titles: tuple[str, ...]
    persons: tuple[uuid.UUID, ...]


@dataclass(frozen=True)
class _Good:
    """One SKU with the ids that follow from it, worked out once."""

    sku: str
    item_id: uuid.UUID
    product_id: uuid.UUID
    offer_id: uuid.UUID
    title: str
    price: Decimal


@dataclass(frozen=True)
class _Shop:
    """One merchant and what it sells."""

    number: int
    code: str
    merchant_id: uuid.UUID
    country_code: str
    goods: tuple[_Good, ...]


def _shop(number: int, skus: int, opened_at: datetime) -> _Shop:
    """Return a merchant; every second one is established abroad: the platform withholds its tax, and not the others'."""
    code = f"bench-{number:03d}"
    merchant_id = merchant_id_of(code)
    goods = tuple(_good(merchant_id, f"B{number:03d}-{one:04d}", opened_at) for one in range(skus))
    return _Shop(number, code, merchant_id, (COUNTRY, "CN")[number % 2], goods)


def _good(merchant_id: uuid.UUID, sku: str, opened_at: datetime) -> _Good:
    """Return a SKU with a title of everyday words, which many share, and a part number, which none shares; its price lies between 5.00 and 29.99."""
    product_id = derived_id("bench_product", sku)
    adjective, material, thing, colour = _KINDS[product_id.int % len(_KINDS)]
    title = f"{adjective} {material} {thing}, {colour}, {sku}"
    offer_id = offer_id_of(merchant_id, sku, STORE, MODEL, opened_at)
    return _Good(sku, stock_item_id_of(merchant_id, sku), product_id, offer_id, title, Decimal(500 + product_id.int % 2500).scaleb(-2))


async def fill_world(conn: Conn, keyring: Keyring, size: Size) -> BenchWorld:
    """Fill a migrated, empty database; the connection commits by itself."""
    opened_at = RealClock().now().replace(microsecond=0) - timedelta(days=1)
    shops = [_shop(number, size.skus, opened_at) for number in range(size.merchants)]
    async with conn.transaction():
        await load_ground(conn, REGISTRY, opened_at)
        await load_legal_entities(conn, opened_at)
        await _open_places(conn, opened_at.date())
        await _register(conn, shops, opened_at)
    opened = await read_opened_models(conn, [shop.merchant_id for shop in shops])
    for shop in shops:
        async with conn.transaction():
            await _add_goods(conn, shop, opened, opened_at)
            await post_moves(conn, [_receipt(shop, size, opened_at)])
    persons = tuple(derived_id("bench_person", number) for number in range(size.buyers))
    async with conn.transaction():
        buyers = [NewBuyer(one, COUNTRY, PersonalDetails(f"Bench Buyer {number}")) for number, one in enumerate(persons)]
        await register_buyers(conn, keyring, buyers, opened_at)
    await _tidy(conn)
    goods = [(shop.merchant_id, good) for shop in shops for good in shop.goods]
    return BenchWorld(
        size,
        tuple((merchant_id, good.offer_id) for merchant_id, good in goods),
        tuple(good.product_id for _, good in goods),
        tuple(good.title for _, good in goods),
        persons,
    )


async def _tidy(conn: Conn) -> None:
    """Do what the database's own upkeep does after a while: statistics and free space of the tables that hold something; of an empty one it keeps no statistics."""
    filled = await fetch(
        conn, "select oid::regclass::text from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace and pg_relation_size(oid) > 0"
    )
    await conn.execute(f"vacuum analyze {', '.join(row[0] for row in filled)}".encode())
    await conn.execute("checkpoint")


async def open_storefront(conn: Conn) -> str:
    """Create the account of a storefront, which orders for any buyer, and return its token."""
    at, token = RealClock().now(), new_token()
    staff_id = derived_id("bench_staff")
    await create_staff(conn, [NewStaff(staff_id, "bench-storefront", hash_password("bench"), "Bench storefront", StaffRole.STOREFRONT)], at)
    await create_tokens(conn, [NewToken(token, staff_id, "bench", at + timedelta(days=1))], at)
    return token


async def _open_places(conn: Conn, on: date) -> None:
    """Open the demo network with the places it lacks, their bins and lanes."""
    more = [
        Place(
            code, f"Demo fulfilment centre {name}", PlaceKind.FULFILMENT_CENTRE, COUNTRY, ZONE, 15, None, latitude_e6=latitude, longitude_e6=longitude
        )
        for code, name, latitude, longitude in NEW_PLACES
    ]
    places = [*demo_places({}), *more]
    await insert_bins(conn, [one for place in places for one in bins_of(place.place_code)])
    await open_sites(conn, REGISTRY, places, on)


async def _register(conn: Conn, shops: Sequence[_Shop], at: datetime) -> None:
    """Register the merchants with their numbers, accounts and approved checks, and open the model to them."""
    await register_merchants(
        conn, [NewMerchant(one.code, f"Bench merchant {one.number}", one.country_code, CURRENCY, ZONE) for one in shops], FILLER, at
    )
    kinds = (RegistrationKind.VAT, RegistrationKind.EORI)
    numbers = [Registration(one.merchant_id, COUNTRY, kind, f"{COUNTRY}-{one.code}-{kind}", at.date()) for one in shops for kind in kinds]
    await add_registrations(conn, numbers, FILLER, at)
    accounts = [BankAccount(one.merchant_id, CURRENCY, f"account-of-{one.code}", "0000", one.country_code, at.date()) for one in shops]
    await add_bank_accounts(conn, accounts, FILLER, at)
    gates = [(one.merchant_id, gate) for one in shops for gate in (listing_gate(STORE), INBOUND_GATE, PAYOUT_GATE)]
    await file_kyc(conn, [KycFiling(merchant_id, gate, ("bench",)) for merchant_id, gate in gates], FILLER, at)
    await decide_kyc(conn, [KycDecision(merchant_id, gate, KycState.APPROVED) for merchant_id, gate in gates], FILLER, at)
    rules = {plan.model_code: admission_rule(plan) for plan in REGISTRY.plans()}
    await open_models(conn, [ModelOpening(one.merchant_id, STORE, MODEL) for one in shops], rules, FILLER, at.date(), at)


async def _add_goods(conn: Conn, shop: _Shop, opened: frozenset[tuple[uuid.UUID, str, str]], at: datetime) -> None:
    """Put a merchant's goods on sale: a product, a stock item and an offer for each SKU."""
    products = [Product(good.product_id, "home_and_kitchen", 250, 180, 120, 80) for good in shop.goods]
    added = await add_products(conn, [NewProduct(one, (ProductText("en", good.title),)) for one, good in zip(products, shop.goods, strict=True)], at)
    items = [NewStockItem(shop.merchant_id, good.sku, good.product_id, 400, CURRENCY, "392410", "CN") for good in shop.goods]
    added += await add_stock_items(conn, items, FILLER, at)
    offers = [NewOffer(shop.merchant_id, good.sku, STORE, MODEL, good.price, CURRENCY, at, crosses_border=True) for good in shop.goods]
    added += await add_offers(conn, offers, opened, FILLER, at)
    for one in added:
        one.require()


def _receipt(shop: _Shop, size: Size, at: datetime) -> StockPosting:
    """Return the receipt of all of a merchant's goods: every SKU lies at three places near the buyers and at two far away, another five for the next."""
    moves: list[Move] = []
    for number, good in enumerate(shop.goods):
        key = (shop.merchant_id, shop.merchant_id, good.item_id)
        source, spot_code = Location(*key, SUPPLIER), f"bin:A-{1 + number % 12:02d}"
        moves += [Move(source, Location(*key, place_code, spot_code), units) for place_code, units in _spread(number, size)]
    name = derived_id("bench_receipt", shop.code)
    return StockPosting(shop.merchant_id, name, at, "receipt", name, moves)


def _spread(number: int, size: Size) -> list[tuple[str, int]]:
    """Return the five places of a SKU with the units there."""
    home = [HOME_PLACES[(number + step) % len(HOME_PLACES)] for step in (0, 1, 3)]
    far = [FAR_PLACES[(number + step) % len(FAR_PLACES)] for step in (0, 2)]
    return [*zip(home, size.home_units, strict=True), *zip(far, size.far_units, strict=True)]
