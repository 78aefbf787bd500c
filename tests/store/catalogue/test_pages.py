"""Search and product pages, and the demo catalogue as a whole."""

from datetime import timedelta

import pytest
from tests.factories.catalogue import AT, CATALOGUE_TABLES, CLERK, MERCHANT, OPENED, OTHER, counts, offer, product_id, stocked

from entrepot.catalogue import store
from entrepot.catalogue.commands import add_offers, set_offer_state
from entrepot.catalogue.demo import load_demo_catalogue, load_marketplaces, read_seed_catalogue
from entrepot.catalogue.model import OfferState, Outcome, UnknownMarketplaceError, UnknownProductError
from entrepot.catalogue.pages import read_product_page, search_offers, search_store

pytestmark = pytest.mark.anyio


async def on_sale(conn):
    await stocked(conn, "phones", "cables")
    await add_offers(conn, [offer(), offer(merchant=OTHER, price="49.99"), offer("CABLES", price="9.99")], OPENED, CLERK, AT)


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("phones", ["phones"]),
        ("PHON", ["phones"]),
        ("hone", ["phones"]),
        ("able dem", ["cables"]),
        ("demo cables", ["cables"]),
        ("无线耳机 cab", ["cables"]),
        ("demo submarine", []),
        ("');--", []),
        ("!!!", []),
    ],
)
async def test_search_finds_by_every_word(conn, text, codes):
    await on_sale(conn)
    assert [hit.product_id for hit in await search_offers(conn, "US", text, 10, AT)] == [product_id(code) for code in codes]


async def test_search_shows_the_featured_offer_of_what_is_on_sale(conn):
    await on_sale(conn)
    hit = (await search_offers(conn, "US", "phones", 10, AT))[0]
    assert (hit.title, hit.offer_count, hit.currency) == ("Demo phones", 2, "USD")
    assert (hit.featured.merchant_id, hit.featured.price_minor) == (OTHER, 4999)
    assert len(await search_offers(conn, "US", "", 10, AT)) == 2
    assert len(await search_offers(conn, "US", "demo", 1, AT)) == 1
    assert await search_offers(conn, "GB", "phones", 10, AT) == []
    assert await search_offers(conn, "US", "phones", 10, AT - timedelta(seconds=1)) == []
    with pytest.raises(UnknownMarketplaceError):
        await search_offers(conn, "ZZ", "phones", 10, AT)


async def test_a_product_page_holds_all_offers(conn):
    await on_sale(conn)
    page = await read_product_page(conn, product_id("phones"), "US", "zh", AT)
    assert (page.text.language, [row.price_minor for row in page.offers]) == ("zh", [4999, 5999])
    assert page.featured is not None
    assert page.featured.merchant_id == OTHER
    assert (await read_product_page(conn, product_id("phones"), "US", "sv", AT)).text.language == "en"
    await set_offer_state(conn, [OTHER], [offer(merchant=OTHER).offer_id], OfferState.PAUSED, CLERK, AT)
    page = await read_product_page(conn, product_id("phones"), "US", "en", AT)
    assert page.featured is not None
    assert page.featured.merchant_id == MERCHANT
    assert (await read_product_page(conn, product_id("phones"), "GB", "en", AT)).featured is None
    with pytest.raises(UnknownProductError):
        await read_product_page(conn, product_id("zzz"), "US", "en", AT)


async def test_the_demo_catalogue_loads_once(conn):
    sellers = {seller.merchant for row in read_seed_catalogue().products for seller in row.sellers}
    merchants = dict.fromkeys(sorted(sellers), MERCHANT) | {"demo-leeds-kitchen": OTHER}
    seed = [(merchants[seller.merchant], chosen) for row in read_seed_catalogue().products for seller in row.sellers for chosen in seller.offers]
    opened = frozenset((merchant, chosen.marketplace_code, chosen.model_code) for merchant, chosen in seed)
    await load_marketplaces(conn)
    only_leeds = await load_demo_catalogue(conn, {"demo-leeds-kitchen": OTHER}, opened, AT, AT)
    assert {row.merchant_id for row in only_leeds.offers} == {OTHER}
    loaded = await counts(conn, *CATALOGUE_TABLES)
    again = await load_demo_catalogue(conn, {"demo-leeds-kitchen": OTHER}, opened, AT, AT + timedelta(days=1))
    assert {row.outcome for row in again.added} == {Outcome.EXISTS}
    assert await counts(conn, *CATALOGUE_TABLES) == loaded
    assert (loaded["product"], loaded["product_text"], loaded["stock_item"]) == (66, 198, len(only_leeds.items))
    assert loaded["offer"] == loaded["offer_price"] == len(only_leeds.offers)
    facts = await store.list_offers(conn, OTHER)
    assert len(facts) == len(only_leeds.offers)
    assert all(row.hs_code and row.origin_country_code for row in facts)
    assert [hit.title for hit in await search_offers(conn, "GB", "porcelain teapot", 5, AT)] == ["Demo Moor porcelain teapot"]


async def test_a_misspelt_word_is_compared_with_the_words_there_are_or_with_those_counted_lately(conn):
    await on_sale(conn)
    asked: list[str] = []

    async def lately():
        asked.append("words")
        return ["cables"]

    found = await search_store(conn, "US", "phonse", 10, AT)
    assert (found.corrected, [hit.product_id for hit in found.hits]) == ("phones", [product_id("phones")])
    assert (await search_store(conn, "US", "phonse", 10, AT, "", lately)).corrected == ""
    found = await search_store(conn, "US", "cablse", 10, AT, "", lately)
    assert (found.corrected, [hit.product_id for hit in found.hits]) == ("cables", [product_id("cables")])
    assert len((await search_store(conn, "US", "phones", 10, AT, "", lately)).hits) == 1
    assert len(asked) == 2
