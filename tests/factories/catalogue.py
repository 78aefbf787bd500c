"""Stores, products, items and offers to begin a test with."""

import uuid
from datetime import UTC, date, datetime
from decimal import Decimal

from entrepot.base.actor import Actor, ActorKind
from entrepot.base.ids import derived_id
from entrepot.base.sql import Conn, fetch
from entrepot.catalogue.commands import add_products, add_stock_items
from entrepot.catalogue.demo import load_marketplaces
from entrepot.catalogue.model import (
    CompetingOffer,
    ItemFacts,
    ListingGround,
    Marketplace,
    NewOffer,
    NewProduct,
    NewStockItem,
    Product,
    ProductText,
    Restriction,
    RestrictionRule,
)

AT = datetime(2026, 5, 4, 9, tzinfo=UTC)
MERCHANT = derived_id("merchant", "shenzhen")
OTHER = derived_id("merchant", "leeds")
CLERK = Actor(ActorKind.MERCHANT, "owner-1", "merchant_owner")
CATALOGUE_TABLES = ("product", "product_text", "stock_item", "offer", "offer_price", "audit_entry")
OPENED = frozenset(
    (merchant, store, model) for merchant in (MERCHANT, OTHER) for store in ("US", "GB", "JP", "CN_GP") for model in ("fba", "fbm", "global_purchase")
)


def marketplace(code: str = "US", currency: str = "USD", country_code: str = "US", label_language: str | None = None) -> Marketplace:
    return Marketplace(code, f"Store {code}", country_code, currency, ("en",), "UTC", False, (country_code,), date(2000, 1, 1), label_language)


def product_id(code: str = "phones") -> uuid.UUID:
    return derived_id("test_product", code)


def product(code: str = "phones", category_code: str = "consumer_electronics", **values: object) -> NewProduct:
    measures: dict[str, object] = {"weight_g": 200, "length_mm": 100, "width_mm": 80, "height_mm": 40} | values
    texts = (ProductText("en", f"Demo {code}", "", f"{code} for customs"), ProductText("zh", f"示例 无线耳机 {code}"))
    return NewProduct(Product(product_id(code), category_code, **measures), texts)


def stock_item(sku: str = "PHONES", code: str = "phones", merchant: uuid.UUID = MERCHANT, **values: object) -> NewStockItem:
    facts: dict[str, object] = {"hs_code": "851830", "origin_country_code": "CN"} | values
    return NewStockItem(merchant, sku, product_id(code), 1_250, "USD", **facts)


def offer(sku: str = "PHONES", marketplace_code: str = "US", price: str = "59.99", merchant: uuid.UUID = MERCHANT, **values: object) -> NewOffer:
    rest: dict[str, object] = {"model_code": "fba", "currency": "USD", "effective_from": AT} | values
    return NewOffer(merchant, sku, marketplace_code, price=Decimal(price), **rest)


def competitor(
    name: str, price_minor: int, priority: int = 0, handling_days: int = 1, merchant: uuid.UUID | None = None, item: str = ""
) -> CompetingOffer:
    return CompetingOffer(
        merchant or derived_id("merchant", name),
        uuid.UUID(int=int(name)),
        derived_id("item", item or name),
        "fba",
        price_minor,
        priority,
        handling_days,
    )


def restriction(rule: RestrictionRule, category: str = "consumer_electronics", **values: object) -> Restriction:
    rest: dict[str, object] = {"effective_from": date(2020, 1, 1), "effective_to": None, "is_active": True} | values
    return Restriction(category, "US", rule, source="test", confidence="demo", **rest)


def ground(*restrictions: Restriction, hs_code: str | None = "851830", origin: str | None = "CN", label_language: str | None = None) -> ListingGround:
    item = stock_item()
    return ListingGround(
        {"US": marketplace(label_language=label_language), "JP": marketplace("JP", "JPY", "JP")},
        {item.stock_item_id: ItemFacts(item.stock_item_id, "consumer_electronics", hs_code, origin)},
        OPENED,
        restrictions,
    )


async def stocked(conn: Conn, *codes: str) -> None:
    """Load the stores and, for both merchants, one product and stock item per code."""
    await load_marketplaces(conn)
    for told in await add_products(conn, [product(code) for code in codes], AT):
        told.require()
    for merchant in (MERCHANT, OTHER):
        for told in await add_stock_items(conn, [stock_item(code.upper(), code, merchant) for code in codes], CLERK, AT):
            told.require()


async def counts(conn: Conn, *tables: str) -> dict[str, int]:
    rows = await fetch(conn, " union all ".join(f"select '{table}', count(*) from {table}" for table in tables))
    return {row[0]: row[1] for row in rows}
