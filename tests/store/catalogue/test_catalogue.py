"""Products, stock items and offers on PostgreSQL: exact counts, replays, refusals that change nothing."""

from datetime import timedelta
from decimal import Decimal

import pytest
from msgspec.structs import replace
from tests.factories.catalogue import (
    AT,
    CATALOGUE_TABLES,
    CLERK,
    MERCHANT,
    OPENED,
    OTHER,
    counts,
    offer,
    product,
    product_id,
    stock_item,
    stocked,
)

from entrepot.base.money import TooManyDecimalsError
from entrepot.base.states import TransitionNotAllowedError
from entrepot.catalogue import store
from entrepot.catalogue.commands import (
    Classification,
    PriceChange,
    add_offers,
    add_products,
    add_stock_items,
    add_texts,
    change_prices,
    classify_stock_items,
    set_offer_state,
)
from entrepot.catalogue.demo import load_marketplaces, read_seed_marketplaces
from entrepot.catalogue.model import (
    MalformedHsCodeError,
    MeasureNotPositiveError,
    OfferNotChangeableError,
    OfferNotShippableError,
    OfferRestrictedError,
    OfferState,
    Outcome,
    ProductText,
    UnknownMarketplaceError,
    UnknownOfferError,
    UnknownProductError,
    UnknownStockItemError,
)

pytestmark = pytest.mark.anyio
LATER = AT + timedelta(hours=1)


async def test_marketplaces_are_read_as_they_ship(conn):
    await load_marketplaces(conn)
    await load_marketplaces(conn)
    assert list((await store.read_marketplaces(conn)).values()) == read_seed_marketplaces()
    assert await counts(conn, "marketplace", "restriction") == {"marketplace": 8, "restriction": 6}


async def test_products_are_decided_one_by_one(conn):
    given = [product("a"), product("b", weight_g=0), product("a"), product("a", "books")]
    told = await add_products(conn, given, AT)
    assert [row.outcome for row in told] == [Outcome.NEW, Outcome.REFUSED, Outcome.EXISTS, Outcome.EXISTS_WITH_DIFFERENT_VALUES]
    with pytest.raises(MeasureNotPositiveError):
        told[1].require()
    assert told[0].require() == product_id("a")
    again = await add_products(conn, [product("a"), product("a", "books")], LATER)
    assert [row.outcome for row in again] == [Outcome.EXISTS, Outcome.EXISTS_WITH_DIFFERENT_VALUES]
    assert await counts(conn, "product", "product_text") == {"product": 1, "product_text": 2}
    assert await add_texts(conn, [(product_id("a"), ProductText("fr", "Démo a")), (product_id("a"), ProductText("en", "Other"))]) == 1
    with pytest.raises(UnknownProductError):
        await add_texts(conn, [(product_id("zzz"), ProductText("fr", "Démo"))])


async def test_stock_items_are_decided_one_by_one(conn):
    await add_products(conn, [product()], AT)
    given = [
        stock_item(),
        stock_item(hs_code="1"),
        stock_item(merchant=OTHER),
        stock_item(),
        stock_item(origin_country_code="DE"),
        stock_item("X", "no"),
    ]
    told = await add_stock_items(conn, given, CLERK, AT)
    assert [row.outcome for row in told] == ["new", "refused", "new", "exists", "exists_with_different_values", "refused"]
    assert [type(row.refusal) for row in told if row.refusal] == [MalformedHsCodeError, UnknownProductError]
    assert [row.outcome for row in await add_stock_items(conn, given[:1], CLERK, LATER)] == ["exists"]
    assert await store.list_stock_items(conn, MERCHANT) == [stock_item()]
    assert await counts(conn, "stock_item", "audit_entry") == {"stock_item": 2, "audit_entry": 2}


async def test_offers_are_decided_one_by_one(conn):
    await stocked(conn, "phones")
    before = await counts(conn, *CATALOGUE_TABLES)
    given = [offer(), offer(price="1.234"), offer(marketplace_code="ZZ"), offer(), offer(price="1.23"), offer(merchant=OTHER), offer("NOTHING")]
    told = await add_offers(conn, given, OPENED, CLERK, AT)
    assert [row.outcome for row in told] == ["new", "refused", "refused", "exists", "exists_with_different_values", "new", "refused"]
    assert [type(row.refusal) for row in told if row.refusal] == [TooManyDecimalsError, UnknownMarketplaceError, UnknownStockItemError]
    assert [row.outcome for row in await add_offers(conn, [given[0], given[4]], OPENED, CLERK, LATER)] == ["exists", "exists_with_different_values"]
    assert await counts(conn, *CATALOGUE_TABLES) == before | {"offer": 2, "offer_price": 2, "audit_entry": before["audit_entry"] + 2}


async def test_refused_offers_change_nothing(conn):
    await stocked(conn, "phones")
    await add_products(conn, [product("bad", "demo_restricted_goods")], AT)
    await add_stock_items(conn, [stock_item("BAD", "bad"), stock_item("BARE", "bad", hs_code=None)], CLERK, AT)
    before = await counts(conn, *CATALOGUE_TABLES)
    given = [
        offer("BAD"),
        offer("BARE", "GB", currency="GBP", crosses_border=True),
        offer("BAD", "GB", currency="GBP", crosses_border=True),
        offer(model_code="logistics_service"),
    ]
    told = await add_offers(conn, given, OPENED, CLERK, AT)
    assert [type(row.refusal) for row in told][:3] == [OfferRestrictedError, OfferNotShippableError, OfferRestrictedError]
    assert [row.outcome for row in told] == ["refused"] * 4
    assert await counts(conn, *CATALOGUE_TABLES) == before


async def test_batch_and_singles_give_the_same_rows(conn):
    codes = [f"p{number:02}" for number in range(16)]
    await stocked(conn, *codes)
    given = [offer(code.upper(), price=f"{n + 1}.50", merchant=(MERCHANT, OTHER)[n % 2]) for n, code in enumerate(codes)]
    keys = ([row.merchant_id for row in given], [row.offer_id for row in given])
    await conn.execute("savepoint empty")
    await add_offers(conn, given, OPENED, CLERK, AT)
    together = await store.find_offers(conn, *keys)
    await conn.execute("rollback to savepoint empty")
    for row in given:
        await add_offers(conn, [row], OPENED, CLERK, AT)
    assert await store.find_offers(conn, *keys) == together
    per_merchant = [row for merchant in (MERCHANT, OTHER) for row in await store.list_offers(conn, merchant)]
    assert sorted(row.offer_id for row in per_merchant) == sorted(row.offer_id for row in together)
    assert [row.price_minor for row in together] == [100 * (n + 1) + 50 for n in range(16)]


async def test_one_statement_gives_all_an_order_needs(conn):
    await stocked(conn, "phones")
    await add_products(conn, [product("soap", "cosmetics", is_lot_controlled=True, is_expiry_controlled=True, hazard_code="UN1266")], AT)
    await add_stock_items(conn, [stock_item("SOAP", "soap")], CLERK, AT)
    label = {"品名": "肥皂"}
    china = offer("SOAP", "CN_GP", "99", currency="CNY", model_code="global_purchase", electronic_label=label, handling_days=2)
    await add_offers(conn, [offer(), china], OPENED, CLERK, AT)
    unknown = offer("NOTHING")
    asked = [china, unknown, offer(), china]
    found = await store.find_offers(conn, [row.merchant_id for row in asked], [row.offer_id for row in asked])
    assert [row.sku for row in found] == ["SOAP", "PHONES"]
    soap, phones = found
    terms = await store.find_terms(conn, [row.merchant_id for row in asked], [row.offer_id for row in asked])
    assert sorted(terms, key=lambda one: one.sku) == [replace(one, title="", customs_description="") for one in (phones, soap)]
    assert (soap.title, soap.customs_description, soap.electronic_label) == ("示例 无线耳机 soap", "soap for customs", label)
    assert (soap.hazard_code, soap.is_lot_controlled, soap.is_expiry_controlled, soap.handling_days) == ("UN1266", True, True, 2)
    assert (phones.title, phones.price_minor, phones.currency, phones.hs_code, phones.origin_country_code) == (
        "Demo phones",
        5999,
        "USD",
        "851830",
        "CN",
    )
    assert (phones.weight_g, phones.length_mm, phones.width_mm, phones.height_mm, phones.sourcing_cost_minor) == (200, 100, 80, 40, 1250)
    read = [await store.find_offers(conn, [MERCHANT], [offer().offer_id], language) for language in ("zh", "sv")]
    assert [(one.title, one.customs_description) for (one,) in read] == [
        ("示例 无线耳机 phones", "phones for customs"),
        ("Demo phones", "phones for customs"),
    ]
    assert (phones.is_salable(AT), phones.is_salable(AT - timedelta(seconds=1))) == (True, False)
    assert replace(phones, effective_to=LATER).is_salable(LATER) is False
    assert await store.find_offers(conn, [OTHER], [offer().offer_id]) == []


async def test_classification_may_follow_later(conn):
    await add_products(conn, [product()], AT)
    await add_stock_items(conn, [stock_item(hs_code=None, origin_country_code=None)], CLERK, AT)
    with pytest.raises(UnknownStockItemError):
        await classify_stock_items(
            conn, [Classification(MERCHANT, "PHONES", "1234567", "US"), Classification(OTHER, "PHONES", "123456", "US")], CLERK, AT
        )
    with pytest.raises(MalformedHsCodeError):
        await classify_stock_items(conn, [Classification(MERCHANT, "PHONES", "12", "US")], CLERK, AT)
    assert (await store.list_stock_items(conn, MERCHANT))[0].hs_code is None
    await classify_stock_items(conn, [Classification(MERCHANT, "PHONES", "851830", "CN")], CLERK, AT)
    assert await store.list_stock_items(conn, MERCHANT) == [stock_item()]


async def test_prices_change_and_are_remembered(conn):
    await stocked(conn, "phones")
    key = (MERCHANT, offer().offer_id)
    await add_offers(conn, [offer()], OPENED, CLERK, AT)
    changes = [PriceChange(*key, Decimal(price), "USD") for price in ("49.99", "39.99")]
    assert await change_prices(conn, changes, CLERK, LATER) == 1
    assert await change_prices(conn, changes[1:], CLERK, LATER) == 0
    assert await store.read_price_history(conn, *key) == [(AT, 5999), (LATER, 3999)]
    with pytest.raises(TooManyDecimalsError):
        await change_prices(conn, [changes[0], PriceChange(*key, Decimal("1.001"), "USD")], CLERK, LATER)
    with pytest.raises(UnknownOfferError):
        await change_prices(conn, [PriceChange(OTHER, key[1], Decimal(1), "USD")], CLERK, LATER)
    assert (await store.find_offers(conn, [MERCHANT], [key[1]]))[0].price_minor == 3999


async def test_offers_pause_resume_and_close(conn):
    await stocked(conn, "phones", "cables")
    given = [offer(), offer("CABLES")]
    await add_offers(conn, given, OPENED, CLERK, AT)
    merchants, ids = [MERCHANT, MERCHANT], [row.offer_id for row in given]
    steps = [(OfferState.PAUSED, 2), (OfferState.PAUSED, 0), (OfferState.LIVE, 2)]
    assert [await set_offer_state(conn, merchants, ids, state, CLERK, LATER) for state, _ in steps] == [moved for _, moved in steps]
    assert await set_offer_state(conn, merchants[:1], ids[:1], OfferState.CLOSED, CLERK, LATER) == 1
    with pytest.raises(TransitionNotAllowedError):
        await set_offer_state(conn, merchants, ids, OfferState.LIVE, CLERK, LATER)
    with pytest.raises(TransitionNotAllowedError):
        await set_offer_state(conn, merchants, ids, OfferState.PAUSED, CLERK, LATER)
    with pytest.raises(UnknownOfferError):
        await set_offer_state(conn, [OTHER], ids[:1], OfferState.PAUSED, CLERK, LATER)
    with pytest.raises(OfferNotChangeableError):
        await change_prices(conn, [PriceChange(MERCHANT, ids[0], Decimal(1), "USD")], CLERK, LATER)
    assert [row.state for row in await store.find_offers(conn, merchants, ids)] == ["closed", "live"]
