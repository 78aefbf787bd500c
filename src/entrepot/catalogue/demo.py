"""Seed rows of the catalogue: marketplaces and restrictions from files, and the demo's invented products with their offers."""

import csv
import tomllib
import uuid
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

import msgspec
from msgspec import Struct

from entrepot.base.actor import Actor, ActorKind
from entrepot.base.ids import derived_id
from entrepot.base.sql import Conn
from entrepot.catalogue import store
from entrepot.catalogue.commands import add_offers, add_products, add_stock_items
from entrepot.catalogue.model import Added, Marketplace, NewOffer, NewProduct, NewStockItem, Product, ProductText, Restriction, RestrictionRule

DEMO: Final = Actor(ActorKind.PROGRAM, "demo", "operator")
"""The program that fills a database with the demo's catalogue."""


class SeedOffer(Struct, frozen=True):
    """An offer of the seed file, priced in major units of the marketplace's currency."""

    marketplace_code: str
    model_code: str
    price: Decimal
    priority: int
    handling_days: int
    electronic_label: dict[str, str] | None = None


class SeedSeller(Struct, frozen=True):
    """A merchant that sells a product of the seed file."""

    merchant: str
    sku: str
    cost_minor: int
    cost_currency: str
    offers: tuple[SeedOffer, ...]


class SeedProduct(Struct, frozen=True):
    """An invented product."""

    code: str
    gtin: str
    category_code: str
    hs_code: str
    origin_country_code: str
    hazard_code: str | None
    is_lot_controlled: bool
    is_expiry_controlled: bool
    weight_g: int
    length_mm: int
    width_mm: int
    height_mm: int
    texts: tuple[ProductText, ...]
    sellers: tuple[SeedSeller, ...]

    @property
    def product_id(self) -> uuid.UUID:
        """The id that always follows from the code."""
        return derived_id("demo_product", self.code)


class SeedCatalogue(Struct, frozen=True):
    """The seed file."""

    note: str
    source: str
    confidence: str
    products: tuple[SeedProduct, ...]


class DemoCatalogue(Struct, frozen=True):
    """What the demo holds: every product, stock item and offer of the merchants given, in the order of the seed file."""

    product_ids: tuple[uuid.UUID, ...]
    items: tuple[NewStockItem, ...]
    offers: tuple[NewOffer, ...]
    added: tuple[Added, ...]


def read_seed_marketplaces() -> list[Marketplace]:
    """Return the marketplaces that ship with the product, one file each, by code."""
    folder = _seed() / "marketplaces"
    found = [msgspec.convert(tomllib.loads(file.read_text("utf-8")), type=Marketplace) for file in folder.iterdir() if file.name.endswith(".toml")]
    return sorted(found, key=lambda marketplace: marketplace.marketplace_code)


def read_seed_restrictions() -> list[Restriction]:
    """Return the restrictions that ship with the product; those from memory are switched off until the operator confirms them."""
    rows = csv.DictReader((_seed() / "restrictions.csv").read_text("utf-8").splitlines())
    return [
        Restriction(
            row["category_code"],
            row["country_code"],
            RestrictionRule(row["rule"]),
            date.fromisoformat(row["effective_from"]),
            date.fromisoformat(row["effective_to"]) if row["effective_to"] else None,
            row["source"],
            row["confidence"],
            row["is_active"] == "true",
        )
        for row in rows
    ]


def read_seed_catalogue() -> SeedCatalogue:
    """Return the demo's products."""
    return msgspec.json.decode((_seed() / "products.json").read_bytes(), type=SeedCatalogue)


async def load_marketplaces(conn: Conn) -> list[Marketplace]:
    """Write the marketplaces and restrictions that ship with the product, and return the marketplaces; a second call changes nothing."""
    marketplaces = read_seed_marketplaces()
    await store.save_marketplaces(conn, marketplaces)
    await store.insert_restrictions(conn, read_seed_restrictions())
    return marketplaces


async def load_demo_catalogue(
    conn: Conn,
    merchant_ids: Mapping[str, uuid.UUID],
    opened_models: frozenset[tuple[uuid.UUID, str, str]],
    on_sale_from: datetime,
    at: datetime,
) -> DemoCatalogue:
    """Load the demo's products, and the stock items and offers of those merchants (ids by code) that are given; a second call changes nothing.

    Marketplaces must be loaded before. Every offer is checked as if its goods had to cross a customs border.
    """
    products = read_seed_catalogue().products
    currencies = {code: row.currency for code, row in (await store.read_marketplaces(conn)).items()}
    added = await add_products(conn, [NewProduct(_product(row), row.texts) for row in products], at)
    items: list[NewStockItem] = []
    offers: list[NewOffer] = []
    for row in products:
        for seller in row.sellers:
            if seller.merchant in merchant_ids:
                items.append(_stock_item(row, seller, merchant_ids[seller.merchant]))
                offers.extend(
                    _offer(seller, offer, merchant_ids[seller.merchant], currencies[offer.marketplace_code], on_sale_from) for offer in seller.offers
                )
    added += await add_stock_items(conn, items, DEMO, at)
    added += await add_offers(conn, offers, opened_models, DEMO, at)
    for told in added:
        told.require()
    return DemoCatalogue(tuple(row.product_id for row in products), tuple(items), tuple(offers), tuple(added))


def _seed() -> Traversable:
    """Return the folder of seed files."""
    return files("entrepot.catalogue") / "seed"


def _product(row: SeedProduct) -> Product:
    """Return the product of a seed row."""
    return Product(
        row.product_id,
        row.category_code,
        row.weight_g,
        row.length_mm,
        row.width_mm,
        row.height_mm,
        row.gtin,
        row.hazard_code,
        row.is_lot_controlled,
        row.is_expiry_controlled,
    )


def _stock_item(row: SeedProduct, seller: SeedSeller, merchant_id: uuid.UUID) -> NewStockItem:
    """Return a seller's stock item of a seed row."""
    return NewStockItem(merchant_id, seller.sku, row.product_id, seller.cost_minor, seller.cost_currency, row.hs_code, row.origin_country_code)


def _offer(seller: SeedSeller, offer: SeedOffer, merchant_id: uuid.UUID, currency: str, on_sale_from: datetime) -> NewOffer:
    """Return a seller's offer of a seed row."""
    return NewOffer(
        merchant_id,
        seller.sku,
        offer.marketplace_code,
        offer.model_code,
        offer.price,
        currency,
        on_sale_from,
        priority=offer.priority,
        handling_days=offer.handling_days,
        crosses_border=True,
        electronic_label=offer.electronic_label,
    )
