"""What shoppers read: search results and product pages with the featured offer."""

import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct

from entrepot.base.sql import Conn
from entrepot.catalogue import store
from entrepot.catalogue.model import (
    CompetingOffer,
    Marketplace,
    Product,
    ProductText,
    UnknownProductError,
    featured_offer,
    require_marketplace,
    search_words,
)
from entrepot.catalogue.spelling import resembling_word

_CORRECTED_WORDS: Final = 6


class SearchHit(Struct, frozen=True):
    """A product found in a store, with the offer that is featured for it."""

    product_id: uuid.UUID
    title: str
    category_code: str
    featured: CompetingOffer
    offer_count: int
    currency: str


class ProductPage(Struct, frozen=True):
    """A product as a store shows it; without an offer on sale, `featured` is None."""

    product: Product
    text: ProductText
    marketplace: Marketplace
    offers: tuple[CompetingOffer, ...]
    featured: CompetingOffer | None


class Found(Struct, frozen=True):
    """What a search found; `corrected` is what was searched instead of words that nothing holds, else empty."""

    hits: tuple[SearchHit, ...]
    corrected: str


async def search_store(
    conn: Conn,
    marketplace_code: str,
    text: str,
    limit: int,
    at: datetime,
    language: str = "",
    list_words: Callable[[], Awaitable[list[str]]] | None = None,
) -> Found:
    """Search as `search_offers` does; where nothing holds the words, search for the words that they resemble.

    The words that texts hold are counted over all products, which takes a while; `list_words` gives those that were counted lately.
    """
    hits = await search_offers(conn, marketplace_code, text, limit, at, language)
    words = search_words(text)[:_CORRECTED_WORDS]
    if hits or not words:
        return Found(tuple(hits), "")
    known = await (list_words() if list_words is not None else store.list_words(conn))
    corrected = [resembling_word(word, known) for word in words]
    if None in corrected or corrected == words:
        return Found((), "")
    instead = " ".join(word for word in corrected if word)
    hits = await search_offers(conn, marketplace_code, instead, limit, at, language)
    return Found(tuple(hits), instead if hits else "")


async def search_offers(conn: Conn, marketplace_code: str, text: str, limit: int, at: datetime, language: str = "") -> list[SearchHit]:
    """Return products on sale in a store whose texts hold every word asked for, best first, else whose titles hold them inside words; without words, the front page.

    Titles are in the language given, else in the store's own, else in English, else in any.
    """
    marketplace = require_marketplace(await store.read_marketplaces(conn), marketplace_code)
    words = search_words(text)
    if words:
        product_ids = await store.find_matching_products(conn, marketplace_code, words, limit, at)
        if not product_ids:
            product_ids = await store.find_products_containing(conn, marketplace_code, words, limit, at)
    elif text.strip():
        return []
    else:
        product_ids = await store.list_live_products(conn, marketplace_code, limit, at)
    return await _hits(conn, marketplace, product_ids, at, language)


async def read_product_page(conn: Conn, product_id: uuid.UUID, marketplace_code: str, language: str, at: datetime) -> ProductPage:
    """Return a product's page in a store: text in the language asked for, else in the store's own, else in English, else in any."""
    marketplace = require_marketplace(await store.read_marketplaces(conn), marketplace_code)
    product = (await store.read_products(conn, [product_id])).get(product_id)
    if product is None:
        raise UnknownProductError("product_id", str(product_id), "Search the store again.")
    texts = (await store.read_texts(conn, [product_id]))[product_id]
    offers = (await store.find_competing_offers(conn, marketplace_code, [product_id], at)).get(product_id, [])
    return ProductPage(product, _choose_text(texts, [language, *marketplace.languages, "en"]), marketplace, tuple(offers), featured_offer(offers))


async def _hits(conn: Conn, marketplace: Marketplace, product_ids: Sequence[uuid.UUID], at: datetime, language: str) -> list[SearchHit]:
    """Return the hits of products, in their order."""
    products = await store.read_products(conn, product_ids)
    texts = await store.read_texts(conn, product_ids)
    competing = await store.find_competing_offers(conn, marketplace.marketplace_code, product_ids, at)
    hits: list[SearchHit] = []
    for product_id in product_ids:
        featured = featured_offer(competing[product_id])
        if featured is not None:
            title = _choose_text(texts[product_id], [language, *marketplace.languages, "en"]).title
            hits.append(SearchHit(product_id, title, products[product_id].category_code, featured, len(competing[product_id]), marketplace.currency))
    return hits


def _choose_text(texts: Mapping[str, ProductText], languages: Sequence[str]) -> ProductText:
    """Return the text in the first of these languages there is, else in the first by code."""
    return next((texts[language] for language in languages if language in texts), texts[min(texts)])
