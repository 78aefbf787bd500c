"""Set-based SQL over marketplaces, products, restrictions, stock items and offers."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from psycopg.types.json import Jsonb

from entrepot.base.sql import Conn, Row, columns, execute, execute_counted, fetch
from entrepot.catalogue.model import (
    CompetingOffer,
    ItemFacts,
    ItemMeasure,
    Marketplace,
    NewOffer,
    NewStockItem,
    OfferFacts,
    OfferState,
    Product,
    ProductText,
    Restriction,
    RestrictionRule,
    search_words,
)

_MARKETPLACE_COLUMNS = (
    "marketplace_code, name, country_code, currency, languages, time_zone, price_includes_tax, destination_codes, opened_on, label_language"
)
_PRODUCT_COLUMNS = "product_id, category_code, weight_g, length_mm, width_mm, height_mm, gtin, hazard_code, is_lot_controlled, is_expiry_controlled"
_ITEM_COLUMNS = "merchant_id, sku, product_id, sourcing_cost_minor, cost_currency, hs_code, origin_country_code, unit_code"


async def save_marketplaces(conn: Conn, marketplaces: Sequence[Marketplace]) -> int:
    """Insert marketplaces, or bring those that exist to these values; return how many were written."""
    return await execute_counted(
        conn,
        f"""
        insert into marketplace ({_MARKETPLACE_COLUMNS})
        select t.code, t.name, t.country, t.currency, string_to_array(t.languages, ' '), t.zone, t.taxed,
            string_to_array(t.destinations, ' '), t.opened_on, t.label
        from unnest(%(marketplace_code)s::text[], %(name)s::text[], %(country_code)s::text[], %(currency)s::text[], %(languages)s::text[], %(time_zone)s::text[],
            %(price_includes_tax)s::boolean[], %(destinations)s::text[], %(opened_on)s::date[], %(label_language)s::text[])
            as t(code, name, country, currency, languages, zone, taxed, destinations, opened_on, label)
        on conflict (marketplace_code) do update set name = excluded.name, country_code = excluded.country_code, currency = excluded.currency,
            languages = excluded.languages, time_zone = excluded.time_zone, price_includes_tax = excluded.price_includes_tax,
            destination_codes = excluded.destination_codes, opened_on = excluded.opened_on,
            label_language = excluded.label_language
        """,
        columns(
            marketplaces, "marketplace_code", "name", "country_code", "currency", "time_zone", "price_includes_tax", "opened_on", "label_language"
        )
        | {
            "languages": [" ".join(row.languages) for row in marketplaces],
            "destinations": [" ".join(row.destination_codes) for row in marketplaces],
        },
    )


async def read_marketplaces(conn: Conn) -> dict[str, Marketplace]:
    """Return all marketplaces by code, in order of code."""
    rows = await fetch(conn, f"select {_MARKETPLACE_COLUMNS} from marketplace order by marketplace_code")
    return {row[0]: Marketplace(row[0], row[1], row[2], row[3], tuple(row[4]), row[5], row[6], tuple(row[7]), row[8], row[9]) for row in rows}


async def insert_products(conn: Conn, products: Sequence[Product], at: datetime) -> frozenset[object]:
    """Insert products and return the ids of the new ones."""
    rows = await fetch(
        conn,
        f"""
        insert into product ({_PRODUCT_COLUMNS}, added_at)
        select t.*, %(at)s from unnest(%(product_id)s::uuid[], %(category_code)s::text[], %(weight_g)s::bigint[], %(length_mm)s::bigint[],
            %(width_mm)s::bigint[], %(height_mm)s::bigint[], %(gtin)s::text[], %(hazard_code)s::text[], %(is_lot_controlled)s::boolean[],
            %(is_expiry_controlled)s::boolean[]) as t
        on conflict do nothing returning product_id
        """,
        columns(products, *_PRODUCT_COLUMNS.split(", ")) | {"at": at},
    )
    return frozenset(row[0] for row in rows)


async def read_products(conn: Conn, product_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Product]:
    """Return the products among these ids that exist."""
    rows = await fetch(conn, f"select {_PRODUCT_COLUMNS} from product where product_id = any(%(ids)s::uuid[])", {"ids": list(product_ids)})
    return {row[0]: Product(*row) for row in rows}


async def insert_texts(conn: Conn, texts: Sequence[tuple[uuid.UUID, ProductText]]) -> int:
    """Insert texts of products with the words they are found by, and return how many were new."""
    return await execute_counted(
        conn,
        """
        insert into product_text (product_id, language, title, description, customs_description, words)
        select t.product_id, t.language, t.title, t.description, t.customs, array_to_tsvector(string_to_array(t.words, ' '))
        from unnest(%(products)s::uuid[], %(languages)s::text[], %(titles)s::text[], %(descriptions)s::text[], %(customs)s::text[], %(words)s::text[])
            as t(product_id, language, title, description, customs, words)
        on conflict do nothing
        """,
        {
            "products": [product_id for product_id, _ in texts],
            "languages": [text.language for _, text in texts],
            "titles": [text.title for _, text in texts],
            "descriptions": [text.description for _, text in texts],
            "customs": [text.customs_description for _, text in texts],
            "words": [" ".join(search_words(f"{text.title} {text.description}")) for _, text in texts],
        },
    )


async def read_texts(conn: Conn, product_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, dict[str, ProductText]]:
    """Return the texts of products by product and language."""
    rows = await fetch(
        conn,
        "select product_id, language, title, description, customs_description from product_text where product_id = any(%(ids)s::uuid[]) order by product_id, language",
        {"ids": list(product_ids)},
    )
    texts: dict[uuid.UUID, dict[str, ProductText]] = {}
    for row in rows:
        texts.setdefault(row[0], {})[row[1]] = ProductText(row[1], row[2], row[3], row[4])
    return texts


async def insert_restrictions(conn: Conn, restrictions: Sequence[Restriction]) -> int:
    """Insert dated restrictions and return how many were new."""
    return await execute_counted(
        conn,
        """
        insert into restriction (category_code, country_code, rule, effective_from, effective_to, source, confidence, is_active)
        select * from unnest(%(category_code)s::text[], %(country_code)s::text[], %(rules)s::text[], %(effective_from)s::date[], %(effective_to)s::date[],
            %(source)s::text[], %(confidence)s::text[], %(is_active)s::boolean[])
        on conflict do nothing
        """,
        columns(restrictions, "category_code", "country_code", "effective_from", "effective_to", "source", "confidence", "is_active")
        | {"rules": [str(row.rule) for row in restrictions]},
    )


async def read_restrictions(conn: Conn, country_codes: Sequence[str]) -> list[Restriction]:
    """Return the restrictions of these countries, active or not, in key order."""
    rows = await fetch(
        conn,
        """
        select category_code, country_code, rule, effective_from, effective_to, source, confidence, is_active from restriction
        where country_code = any(%(codes)s::text[]) order by category_code, country_code, rule, effective_from
        """,
        {"codes": list(country_codes)},
    )
    return [Restriction(row[0], row[1], RestrictionRule(row[2]), row[3], row[4], row[5], row[6], row[7]) for row in rows]


async def insert_stock_items(conn: Conn, items: Sequence[NewStockItem], at: datetime) -> frozenset[object]:
    """Insert stock items and return the ids of the new ones."""
    rows = await fetch(
        conn,
        f"""
        insert into stock_item (stock_item_id, {_ITEM_COLUMNS}, added_at)
        select t.*, %(at)s from unnest(%(stock_item_id)s::uuid[], %(merchant_id)s::uuid[], %(sku)s::text[], %(product_id)s::uuid[],
            %(sourcing_cost_minor)s::bigint[], %(cost_currency)s::text[], %(hs_code)s::text[], %(origin_country_code)s::text[], %(unit_code)s::text[]) as t
        on conflict do nothing returning stock_item_id
        """,
        columns(items, "stock_item_id", *_ITEM_COLUMNS.split(", ")) | {"at": at},
    )
    return frozenset(row[0] for row in rows)


async def read_stock_items(conn: Conn, merchant_ids: Sequence[uuid.UUID], stock_item_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, NewStockItem]:
    """Return the stock items named by (merchant, item) pairs, by item."""
    rows = await fetch(
        conn,
        """
        select s.stock_item_id, s.merchant_id, s.sku, s.product_id, s.sourcing_cost_minor, s.cost_currency, s.hs_code, s.origin_country_code, s.unit_code
        from (select distinct * from unnest(%(merchants)s::uuid[], %(items)s::uuid[]) as t(merchant_id, stock_item_id)) k
        join stock_item s on s.merchant_id = k.merchant_id and s.stock_item_id = k.stock_item_id
        """,
        {"merchants": list(merchant_ids), "items": list(stock_item_ids)},
    )
    return {row[0]: NewStockItem(*row[1:]) for row in rows}


async def find_items_called(conn: Conn, code: str, limit: int) -> list[tuple[uuid.UUID, uuid.UUID]]:
    """Return (merchant, item) of the stock items with this SKU, or of a product with this GTIN, whoever's they are."""
    rows = await fetch(
        conn,
        """
        select s.merchant_id, s.stock_item_id from stock_item s where upper(s.sku) = %(code)s
        union
        select s.merchant_id, s.stock_item_id from product p join stock_item s on s.product_id = p.product_id where p.gtin = %(code)s
        order by 1, 2 limit %(limit)s
        """,
        {"code": code.strip().upper(), "limit": limit},
    )
    return [(row[0], row[1]) for row in rows]


async def list_stock_items(conn: Conn, merchant_id: uuid.UUID) -> list[NewStockItem]:
    """Return a merchant's stock items, by SKU."""
    rows = await fetch(conn, f"select {_ITEM_COLUMNS} from stock_item where merchant_id = %(merchant)s order by sku", {"merchant": merchant_id})
    return [NewStockItem(*row) for row in rows]


async def update_classification(
    conn: Conn, merchant_ids: Sequence[uuid.UUID], stock_item_ids: Sequence[uuid.UUID], hs_codes: Sequence[str | None], origins: Sequence[str | None]
) -> frozenset[uuid.UUID]:
    """Set HS code and origin of stock items and return the ids of those that exist."""
    rows = await fetch(
        conn,
        """
        update stock_item s set hs_code = t.hs_code, origin_country_code = t.origin
        from unnest(%(merchants)s::uuid[], %(items)s::uuid[], %(codes)s::text[], %(origins)s::text[]) as t(merchant_id, stock_item_id, hs_code, origin)
        where s.merchant_id = t.merchant_id and s.stock_item_id = t.stock_item_id
        returning s.stock_item_id
        """,
        {"merchants": list(merchant_ids), "items": list(stock_item_ids), "codes": list(hs_codes), "origins": list(origins)},
    )
    return frozenset(row[0] for row in rows)


async def read_item_facts(conn: Conn, merchant_ids: Sequence[uuid.UUID], stock_item_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, ItemFacts]:
    """Return what offers are checked against, for the stock items named by (merchant, item) pairs."""
    rows = await fetch(
        conn,
        """
        select s.stock_item_id, p.category_code, s.hs_code, s.origin_country_code
        from (select distinct * from unnest(%(merchants)s::uuid[], %(items)s::uuid[]) as t(merchant_id, stock_item_id)) k
        join stock_item s on s.merchant_id = k.merchant_id and s.stock_item_id = k.stock_item_id
        join product p on p.product_id = s.product_id
        """,
        {"merchants": list(merchant_ids), "items": list(stock_item_ids)},
    )
    return {row[0]: ItemFacts(*row) for row in rows}


async def read_item_measures(
    conn: Conn, merchant_ids: Sequence[uuid.UUID], stock_item_ids: Sequence[uuid.UUID]
) -> dict[tuple[uuid.UUID, uuid.UUID], ItemMeasure]:
    """Return weight, sides and kind of one unit of each (merchant, stock item)."""
    rows = await fetch(
        conn,
        """
        select i.merchant_id, i.stock_item_id, p.weight_g, p.length_mm, p.width_mm, p.height_mm, p.category_code, p.hazard_code
        from (select distinct * from unnest(%(merchants)s::uuid[], %(items)s::uuid[])) as t(merchant_id, stock_item_id)
        join stock_item i on i.merchant_id = t.merchant_id and i.stock_item_id = t.stock_item_id
        join product p on p.product_id = i.product_id
        """,
        {"merchants": list(merchant_ids), "items": list(stock_item_ids)},
    )
    return {(row[0], row[1]): ItemMeasure(*row[2:]) for row in rows}


async def insert_offers(conn: Conn, offers: Sequence[NewOffer], prices_minor: Sequence[int]) -> frozenset[object]:
    """Insert live offers with the first row of their price history, and return the ids of the new ones."""
    rows = await fetch(
        conn,
        """
        with added as (
            insert into offer (merchant_id, offer_id, stock_item_id, marketplace_code, model_code, price_minor, currency, priority, handling_days, state,
                effective_from, effective_to, electronic_label)
            select t.merchant_id, t.offer_id, t.stock_item_id, t.marketplace_code, t.model_code, t.price_minor, t.currency, t.priority, t.handling_days,
                %(state)s, t.effective_from, t.effective_to, t.label
            from unnest(%(merchant_id)s::uuid[], %(offer_id)s::uuid[], %(stock_item_id)s::uuid[], %(marketplace_code)s::text[], %(model_code)s::text[],
                %(prices)s::bigint[], %(currency)s::text[], %(priority)s::integer[], %(handling_days)s::integer[], %(effective_from)s::timestamptz[],
                %(effective_to)s::timestamptz[], %(labels)s::jsonb[])
                as t(merchant_id, offer_id, stock_item_id, marketplace_code, model_code, price_minor, currency, priority, handling_days, effective_from,
                    effective_to, label)
            on conflict do nothing returning merchant_id, offer_id, effective_from, price_minor
        ), priced as (
            insert into offer_price (merchant_id, offer_id, effective_from, price_minor) select * from added
        )
        select offer_id from added
        """,
        columns(
            offers,
            "merchant_id",
            "offer_id",
            "stock_item_id",
            "marketplace_code",
            "model_code",
            "currency",
            "priority",
            "handling_days",
            "effective_from",
            "effective_to",
        )
        | {
            "prices": list(prices_minor),
            "state": str(OfferState.LIVE),
            "labels": [None if offer.electronic_label is None else Jsonb(dict(offer.electronic_label)) for offer in offers],
        },
    )
    return frozenset(row[0] for row in rows)


async def lock_offers(conn: Conn, merchant_ids: Sequence[uuid.UUID], offer_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, tuple[str, str, int]]:
    """Lock offers in key order and return (state, marketplace, price) by offer."""
    rows = await fetch(
        conn,
        """
        select o.offer_id, o.state, o.marketplace_code, o.price_minor
        from offer o join (select distinct * from unnest(%(merchants)s::uuid[], %(offers)s::uuid[]) as t(merchant_id, offer_id)) k
            on k.merchant_id = o.merchant_id and k.offer_id = o.offer_id
        order by o.merchant_id, o.offer_id for update of o
        """,
        {"merchants": list(merchant_ids), "offers": list(offer_ids)},
    )
    return {row[0]: (row[1], row[2], row[3]) for row in rows}


async def update_offer_state(conn: Conn, merchant_ids: Sequence[uuid.UUID], offer_ids: Sequence[uuid.UUID], state: OfferState) -> None:
    """Set the state of locked offers."""
    await execute(
        conn,
        """
        update offer o set state = %(state)s from unnest(%(merchants)s::uuid[], %(offers)s::uuid[]) as t(merchant_id, offer_id)
        where o.merchant_id = t.merchant_id and o.offer_id = t.offer_id
        """,
        {"merchants": list(merchant_ids), "offers": list(offer_ids), "state": str(state)},
    )


async def update_prices(
    conn: Conn, merchant_ids: Sequence[uuid.UUID], offer_ids: Sequence[uuid.UUID], prices_minor: Sequence[int], at: datetime
) -> None:
    """Set the price of locked offers and append it to their price history."""
    await execute(
        conn,
        """
        with given as (
            select * from unnest(%(merchants)s::uuid[], %(offers)s::uuid[], %(prices)s::bigint[]) as t(merchant_id, offer_id, price_minor)
        ), priced as (
            insert into offer_price (merchant_id, offer_id, effective_from, price_minor)
            select merchant_id, offer_id, %(at)s, price_minor from given
            on conflict (merchant_id, offer_id, effective_from) do update set price_minor = excluded.price_minor
        )
        update offer o set price_minor = g.price_minor from given g where o.merchant_id = g.merchant_id and o.offer_id = g.offer_id
        """,
        {"merchants": list(merchant_ids), "offers": list(offer_ids), "prices": list(prices_minor), "at": at},
    )


_OFFER_TERMS = """
    o.merchant_id, o.offer_id, o.stock_item_id, s.sku, s.product_id,
    o.marketplace_code, o.model_code, o.price_minor, o.currency, o.state, o.effective_from, o.effective_to, o.priority, o.handling_days,
    p.category_code, p.hazard_code, s.hs_code, s.origin_country_code, s.unit_code, p.weight_g, p.length_mm, p.width_mm, p.height_mm,
    p.is_lot_controlled, p.is_expiry_controlled, s.sourcing_cost_minor, s.cost_currency, o.electronic_label
"""

_TERM_JOINS = """
    join stock_item s on s.merchant_id = o.merchant_id and s.stock_item_id = o.stock_item_id
    join product p on p.product_id = s.product_id
"""

_CUSTOMS_WORDS = "coalesce(nullif(english.customs_description, ''), nullif(main.customs_description, ''), english.title, main.title, s.sku)"
_OFFER_FACTS = f"{_OFFER_TERMS}, coalesce(main.title, english.title, s.sku), {_CUSTOMS_WORDS}"
_READ_FACTS = f"""{_OFFER_TERMS}, coalesce(
    (select x.title from product_text x where x.product_id = s.product_id and x.language = %(language)s), main.title, english.title, s.sku),
    {_CUSTOMS_WORDS}
"""
"""The facts with the title in a reader's language where there is one."""

_OFFER_JOINS = f"""{_TERM_JOINS}
    join marketplace m on m.marketplace_code = o.marketplace_code
    left join product_text main on main.product_id = s.product_id and main.language = m.languages[1]
    left join product_text english on english.product_id = s.product_id and english.language = 'en'
"""


async def find_offers(conn: Conn, merchant_ids: Sequence[uuid.UUID], offer_ids: Sequence[uuid.UUID], language: str = "") -> list[OfferFacts]:
    """Return the offers named by (merchant, offer) pairs, in their order and each once, with titles in a reader's language if given; unknown pairs are left out."""
    rows = await fetch(
        conn,
        f"""
        select {_READ_FACTS}
        from (select t.merchant_id, t.offer_id, min(t.place) as place
            from unnest(%(merchants)s::uuid[], %(offers)s::uuid[]) with ordinality as t(merchant_id, offer_id, place) group by 1, 2) k
        join offer o on o.merchant_id = k.merchant_id and o.offer_id = k.offer_id {_OFFER_JOINS}
        order by k.place
        """,
        {"merchants": list(merchant_ids), "offers": list(offer_ids), "language": language},
    )
    return [OfferFacts(*row) for row in rows]


async def find_terms(conn: Conn, merchant_ids: Sequence[uuid.UUID], offer_ids: Sequence[uuid.UUID]) -> list[OfferFacts]:
    """Return the offers named by (merchant, offer) pairs without their words, each once and in no order; unknown pairs are left out."""
    rows = await fetch(
        conn,
        f"""
        select {_OFFER_TERMS} from (select distinct * from unnest(%(merchants)s::uuid[], %(offers)s::uuid[])) as k(merchant_id, offer_id)
        join offer o on o.merchant_id = k.merchant_id and o.offer_id = k.offer_id {_TERM_JOINS}
        """,
        {"merchants": list(merchant_ids), "offers": list(offer_ids)},
    )
    return [OfferFacts(*row) for row in rows]


async def find_item_offers(conn: Conn, merchant_ids: Sequence[uuid.UUID], stock_item_ids: Sequence[uuid.UUID]) -> list[OfferFacts]:
    """Return every offer, live or not, of the stock items named by (merchant, item) pairs, by merchant, item, marketplace, priority and start."""
    rows = await fetch(
        conn,
        f"""
        select {_OFFER_FACTS}
        from (select distinct * from unnest(%(merchants)s::uuid[], %(items)s::uuid[]) as t(merchant_id, stock_item_id)) k
        join offer o on o.merchant_id = k.merchant_id and o.stock_item_id = k.stock_item_id {_OFFER_JOINS}
        order by o.merchant_id, o.stock_item_id, o.marketplace_code, o.priority, o.effective_from, o.offer_id
        """,
        {"merchants": list(merchant_ids), "items": list(stock_item_ids)},
    )
    return [OfferFacts(*row) for row in rows]


async def list_offers(conn: Conn, merchant_id: uuid.UUID) -> list[OfferFacts]:
    """Return all offers of a merchant, by SKU, marketplace, priority and start."""
    rows = await fetch(
        conn,
        f"""
        select {_OFFER_FACTS} from offer o {_OFFER_JOINS} where o.merchant_id = %(merchant)s
        order by s.sku, o.marketplace_code, o.priority, o.effective_from, o.offer_id
        """,
        {"merchant": merchant_id},
    )
    return [OfferFacts(*row) for row in rows]


_LIVE = "o.state = 'live' and o.effective_from <= %(at)s and (o.effective_to is null or o.effective_to > %(at)s)"
_COMPETING = "o.merchant_id, o.offer_id, o.stock_item_id, o.model_code, o.price_minor, o.priority, o.handling_days"


async def list_live_offers(conn: Conn, marketplace_codes: Sequence[str], at: datetime) -> list[OfferFacts]:
    """Return every offer that is live in one of the marketplaces, by marketplace, SKU, merchant, priority and start."""
    rows = await fetch(
        conn,
        f"""
        select {_OFFER_FACTS} from offer o {_OFFER_JOINS} where o.marketplace_code = any(%(marketplaces)s::text[]) and {_LIVE}
        order by o.marketplace_code, s.sku, o.merchant_id, o.priority, o.effective_from, o.offer_id
        """,
        {"marketplaces": list(marketplace_codes), "at": at},
    )
    return [OfferFacts(*row) for row in rows]


async def find_matching_products(conn: Conn, marketplace_code: str, words: Sequence[str], limit: int, at: datetime) -> list[uuid.UUID]:
    """Return products with a live offer in the marketplace whose texts hold words beginning with all of these, best first."""
    rows = await fetch(
        conn,
        f"""
        select t.product_id from product_text t
        where t.words @@ %(query)s::tsquery and exists (
            select from stock_item s join offer o on o.merchant_id = s.merchant_id and o.stock_item_id = s.stock_item_id
            where s.product_id = t.product_id and o.marketplace_code = %(marketplace)s and {_LIVE})
        group by t.product_id order by max(ts_rank(t.words, %(query)s::tsquery)) desc, t.product_id limit %(limit)s
        """,
        {"marketplace": marketplace_code, "query": " & ".join(f"'{word}':*" for word in words), "limit": limit, "at": at},
    )
    return [row[0] for row in rows]


async def find_products_containing(conn: Conn, marketplace_code: str, words: Sequence[str], limit: int, at: datetime) -> list[uuid.UUID]:
    """Return products with a live offer in the marketplace whose title holds all of these anywhere, as inside German compounds, by id."""
    rows = await fetch(
        conn,
        f"""
        select distinct t.product_id from product_text t
        where t.title ilike all(%(patterns)s::text[]) and exists (
            select from stock_item s join offer o on o.merchant_id = s.merchant_id and o.stock_item_id = s.stock_item_id
            where s.product_id = t.product_id and o.marketplace_code = %(marketplace)s and {_LIVE})
        order by t.product_id limit %(limit)s
        """,
        {"marketplace": marketplace_code, "patterns": [f"%{word}%" for word in words], "limit": limit, "at": at},
    )
    return [row[0] for row in rows]


async def list_words(conn: Conn) -> list[str]:
    """Return every word that stands in a product's texts, for telling what a misspelt one may mean; read only when a search finds nothing."""
    rows = await fetch(conn, "select word from ts_stat('select words from product_text') order by word")
    return [str(row[0]) for row in rows]


async def list_live_products(conn: Conn, marketplace_code: str, limit: int, at: datetime) -> list[uuid.UUID]:
    """Return products with a live offer in the marketplace, by category and id, for a store's front page."""
    rows = await fetch(
        conn,
        f"""
        select p.product_id from product p where exists (
            select from stock_item s join offer o on o.merchant_id = s.merchant_id and o.stock_item_id = s.stock_item_id
            where s.product_id = p.product_id and o.marketplace_code = %(marketplace)s and {_LIVE})
        order by p.category_code, p.product_id limit %(limit)s
        """,
        {"marketplace": marketplace_code, "limit": limit, "at": at},
    )
    return [row[0] for row in rows]


async def find_competing_offers(
    conn: Conn, marketplace_code: str, product_ids: Sequence[uuid.UUID], at: datetime
) -> dict[uuid.UUID, list[CompetingOffer]]:
    """Return the live offers of products in a marketplace, by product, cheapest first."""
    rows = await fetch(
        conn,
        f"""
        select s.product_id, {_COMPETING} from stock_item s
        join offer o on o.merchant_id = s.merchant_id and o.stock_item_id = s.stock_item_id
        where s.product_id = any(%(ids)s::uuid[]) and o.marketplace_code = %(marketplace)s and {_LIVE}
        order by s.product_id, o.price_minor, o.offer_id
        """,
        {"ids": list(product_ids), "marketplace": marketplace_code, "at": at},
    )
    found: dict[uuid.UUID, list[CompetingOffer]] = {}
    for row in rows:
        found.setdefault(row[0], []).append(_competing(row[1:]))
    return found


async def read_price_history(conn: Conn, merchant_id: uuid.UUID, offer_id: uuid.UUID) -> list[tuple[datetime, int]]:
    """Return from when on an offer had which price in minor units, oldest first."""
    rows = await fetch(
        conn,
        "select effective_from, price_minor from offer_price where merchant_id = %(merchant)s and offer_id = %(offer)s order by effective_from",
        {"merchant": merchant_id, "offer": offer_id},
    )
    return [(row[0], row[1]) for row in rows]


def _competing(row: Row) -> CompetingOffer:
    """Turn a row of the competing columns into an offer."""
    return CompetingOffer(*row)
