"""Add products, stock items and offers, classify goods, change prices and states; each input of a batch is decided on its own."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from msgspec import Struct

from entrepot.base.actor import Actor
from entrepot.base.audit import Act, write_acts
from entrepot.base.errors import EntrepotError
from entrepot.base.sql import Conn
from entrepot.catalogue import store
from entrepot.catalogue.model import (
    OFFER_STATES,
    Added,
    ListingGround,
    NewOffer,
    NewProduct,
    NewStockItem,
    OfferNotChangeableError,
    OfferState,
    Outcome,
    ProductText,
    UnknownOfferError,
    UnknownProductError,
    UnknownStockItemError,
    check_classification,
    offer_refusal,
    price_minor_of,
    product_refusal,
    require_marketplace,
    stock_item_id_of,
    stock_item_refusal,
    tell_outcomes,
)


class Classification(Struct, frozen=True):
    """HS code and country of origin that a merchant declares for a SKU."""

    merchant_id: uuid.UUID
    sku: str
    hs_code: str | None
    origin_country_code: str | None


class PriceChange(Struct, frozen=True):
    """A new price of an offer, in major units of the marketplace's currency."""

    merchant_id: uuid.UUID
    offer_id: uuid.UUID
    price: Decimal
    currency: str


async def add_products(conn: Conn, products: Sequence[NewProduct], at: datetime) -> list[Added]:
    """Add products with their texts; a product that exists keeps its values and texts."""
    refusals = [product_refusal(new) for new in products]
    accepted = [new for new, refusal in zip(products, refusals, strict=True) if refusal is None]
    first = {new.product.product_id: new for new in reversed(accepted)}
    fresh = [first[product_id] for product_id in sorted(first)]
    new_ids = await store.insert_products(conn, [new.product for new in fresh], at)
    await store.insert_texts(conn, [(new.product.product_id, text) for new in fresh if new.product.product_id in new_ids for text in new.texts])
    older = await store.read_products(conn, [product_id for product_id in first if product_id not in new_ids])
    stored: dict[object, object] = {**older}
    outcomes = tell_outcomes(accepted, lambda new: new.product.product_id, new_ids, stored, lambda new: new.product)
    return _merge([new.product.product_id for new in products], refusals, outcomes)


async def add_texts(conn: Conn, texts: Sequence[tuple[uuid.UUID, ProductText]]) -> int:
    """Add texts in further languages to products that exist, and return how many were new."""
    known = await store.read_products(conn, [product_id for product_id, _ in texts])
    for product_id, _ in texts:
        if product_id not in known:
            raise UnknownProductError("product_id", str(product_id), "Add the product first.")
    return await store.insert_texts(conn, texts)


async def add_stock_items(conn: Conn, items: Sequence[NewStockItem], actor: Actor, at: datetime) -> list[Added]:
    """Add merchants' SKUs of products that exist."""
    known = frozenset(await store.read_products(conn, list({item.product_id for item in items})))
    refusals = [stock_item_refusal(item, known) for item in items]
    accepted = [item for item, refusal in zip(items, refusals, strict=True) if refusal is None]
    first = {(item.merchant_id, item.stock_item_id): item for item in reversed(accepted)}
    new_ids = await store.insert_stock_items(conn, [first[key] for key in sorted(first)], at)
    kept = [key for key in sorted(first) if key[1] not in new_ids]
    stored: dict[object, object] = {**await store.read_stock_items(conn, [key[0] for key in kept], [key[1] for key in kept])}
    outcomes = tell_outcomes(accepted, lambda item: item.stock_item_id, new_ids, stored, lambda item: item)
    added = [item for item, outcome in zip(accepted, outcomes, strict=True) if outcome is Outcome.NEW]
    await write_acts(conn, [Act(item.merchant_id, item.stock_item_id, "add_stock_item", at, actor) for item in added])
    return _merge([item.stock_item_id for item in items], refusals, outcomes)


async def classify_stock_items(conn: Conn, classifications: Sequence[Classification], actor: Actor, at: datetime) -> None:
    """Set HS code and origin of stock items; all are checked first, and an unknown SKU is refused."""
    for row in classifications:
        check_classification(row.hs_code, row.origin_country_code)
    merchants = [row.merchant_id for row in classifications]
    ids = [stock_item_id_of(row.merchant_id, row.sku) for row in classifications]
    known = await store.read_item_facts(conn, merchants, ids)
    for row, stock_item_id in zip(classifications, ids, strict=True):
        if stock_item_id not in known:
            raise UnknownStockItemError("sku", row.sku, "Add the stock item first.")
    await store.update_classification(
        conn, merchants, ids, [row.hs_code for row in classifications], [row.origin_country_code for row in classifications]
    )
    acts = [
        Act(row.merchant_id, stock_item_id, "classify_stock_item", at, actor, f"{row.hs_code} {row.origin_country_code}")
        for row, stock_item_id in zip(classifications, ids, strict=True)
    ]
    await write_acts(conn, acts)


async def add_offers(
    conn: Conn, offers: Sequence[NewOffer], opened_models: frozenset[tuple[uuid.UUID, str, str]], actor: Actor, at: datetime
) -> list[Added]:
    """Put offers on sale; `opened_models` are the (merchant, marketplace, model) triples that the merchants have opened."""
    marketplaces = await store.read_marketplaces(conn)
    countries = {marketplaces[offer.marketplace_code].country_code for offer in offers if offer.marketplace_code in marketplaces}
    facts = await store.read_item_facts(conn, [offer.merchant_id for offer in offers], [offer.stock_item_id for offer in offers])
    ground = ListingGround(marketplaces, facts, opened_models, await store.read_restrictions(conn, sorted(countries)))
    refusals = [offer_refusal(offer, ground) for offer in offers]
    accepted = [offer for offer, refusal in zip(offers, refusals, strict=True) if refusal is None]
    prices = {offer.offer_id: price_minor_of(offer.price, offer.currency, marketplaces[offer.marketplace_code]) for offer in reversed(accepted)}
    first = {(offer.merchant_id, offer.offer_id): offer for offer in reversed(accepted)}
    fresh = [first[key] for key in sorted(first)]
    new_ids = await store.insert_offers(conn, fresh, [prices[offer.offer_id] for offer in fresh])
    kept = [offer for offer in fresh if offer.offer_id not in new_ids]
    older = await store.find_offers(conn, [offer.merchant_id for offer in kept], [offer.offer_id for offer in kept])
    stored: dict[object, object] = {row.offer_id: (row.price_minor, row.effective_to, row.priority, row.handling_days) for row in older}
    outcomes = tell_outcomes(
        accepted,
        lambda offer: offer.offer_id,
        new_ids,
        stored,
        lambda offer: (
            price_minor_of(offer.price, offer.currency, marketplaces[offer.marketplace_code]),
            offer.effective_to,
            offer.priority,
            offer.handling_days,
        ),
    )
    added = [offer for offer, outcome in zip(accepted, outcomes, strict=True) if outcome is Outcome.NEW]
    await write_acts(conn, [Act(offer.merchant_id, offer.offer_id, "add_offer", at, actor) for offer in added])
    return _merge([offer.offer_id for offer in offers], refusals, outcomes)


async def change_prices(conn: Conn, changes: Sequence[PriceChange], actor: Actor, at: datetime) -> int:
    """Change prices of offers from `at` on and return how many differ from before; all are checked first, and the last one per offer holds."""
    marketplaces = await store.read_marketplaces(conn)
    known = await _lock_known(conn, [(change.merchant_id, change.offer_id) for change in changes])
    wanted: dict[tuple[uuid.UUID, uuid.UUID], int] = {}
    for change in changes:
        state, marketplace_code, _ = known[change.offer_id]
        if state == OfferState.CLOSED:
            raise OfferNotChangeableError("offer_id", str(change.offer_id), "Make a new offer.")
        marketplace = require_marketplace(marketplaces, marketplace_code)
        wanted[change.merchant_id, change.offer_id] = price_minor_of(change.price, change.currency, marketplace)
    moved = sorted(key for key, price_minor in wanted.items() if known[key[1]][2] != price_minor)
    await store.update_prices(conn, [key[0] for key in moved], [key[1] for key in moved], [wanted[key] for key in moved], at)
    acts = [
        Act(merchant_id, offer_id, "change_price", at, actor, f"{known[offer_id][2]} to {wanted[merchant_id, offer_id]}")
        for merchant_id, offer_id in moved
    ]
    await write_acts(conn, acts)
    return len(moved)


async def set_offer_state(
    conn: Conn, merchant_ids: Sequence[uuid.UUID], offer_ids: Sequence[uuid.UUID], state: OfferState, actor: Actor, at: datetime
) -> int:
    """Pause, resume or close offers and return how many moved; one step the table forbids refuses all."""
    keys = list(zip(merchant_ids, offer_ids, strict=True))
    known = await _lock_known(conn, keys)
    moved = sorted({key for key in keys if known[key[1]][0] != state})
    for _, offer_id in moved:
        OFFER_STATES.require(known[offer_id][0], state)
    await store.update_offer_state(conn, [key[0] for key in moved], [key[1] for key in moved], state)
    await write_acts(conn, [Act(merchant_id, offer_id, f"set_offer_{state}", at, actor) for merchant_id, offer_id in moved])
    return len(moved)


async def _lock_known(conn: Conn, keys: Sequence[tuple[uuid.UUID, uuid.UUID]]) -> dict[uuid.UUID, tuple[str, str, int]]:
    """Lock the offers of these keys, or refuse the first that does not exist."""
    known = await store.lock_offers(conn, [key[0] for key in keys], [key[1] for key in keys])
    for _, offer_id in keys:
        if offer_id not in known:
            raise UnknownOfferError("offer_id", str(offer_id), "Read the merchant's offers and use an id from there.")
    return known


def _merge(row_ids: Sequence[uuid.UUID], refusals: Sequence[EntrepotError | None], outcomes: Sequence[Outcome]) -> list[Added]:
    """Put refusals and the outcomes of what was accepted back into the order of the inputs."""
    told = iter(outcomes)
    return [
        Added(row_id, next(told)) if refusal is None else Added(row_id, Outcome.REFUSED, refusal)
        for row_id, refusal in zip(row_ids, refusals, strict=True)
    ]
