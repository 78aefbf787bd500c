"""What may be listed, which offer is featured, and how words are searched."""

import itertools
import re
import uuid
from datetime import date, timedelta
from decimal import Decimal

import pytest
from tests.factories.catalogue import AT, MERCHANT, competitor, ground, marketplace, offer, product, product_id, restriction, stock_item

from entrepot.base.money import CURRENCY_DECIMALS, TooManyDecimalsError, UnknownCurrencyError
from entrepot.catalogue.demo import read_seed_catalogue, read_seed_marketplaces, read_seed_restrictions
from entrepot.catalogue.model import (
    OFFER_STATES,
    CurrencyOfMarketplaceError,
    ElectronicLabelMissingError,
    EmptySkuError,
    MalformedCountryError,
    MalformedGtinError,
    MalformedHsCodeError,
    MeasureNotPositiveError,
    ModelNotOpenedError,
    NegativeCostError,
    NewProduct,
    NewStockItem,
    OfferNotShippableError,
    OfferPeriodError,
    OfferRestrictedError,
    PriceNotPositiveError,
    ProductText,
    ProductTextMissingError,
    RestrictionRule,
    UnknownMarketplaceError,
    UnknownProductError,
    UnknownStockItemError,
    featured_offer,
    offer_refusal,
    price_minor_of,
    product_refusal,
    require_gtin,
    require_marketplace,
    restriction_on,
    search_words,
    stock_item_refusal,
)

SALE, IMPORT = RestrictionRule.SALE_PROHIBITED, RestrictionRule.IMPORT_PROHIBITED


@pytest.mark.parametrize(
    ("values", "refusal", "field"),
    [
        ({}, None, ""),
        ({"marketplace_code": "ZZ"}, UnknownMarketplaceError, "marketplace_code"),
        ({"currency": "XXX"}, UnknownCurrencyError, "currency"),
        ({"currency": "EUR"}, CurrencyOfMarketplaceError, "currency"),
        ({"price": "59.999"}, TooManyDecimalsError, "price"),
        ({"price": "59.990"}, None, ""),
        ({"price": "0"}, PriceNotPositiveError, "price"),
        ({"price": "-1"}, PriceNotPositiveError, "price"),
        ({"marketplace_code": "JP", "currency": "JPY", "price": "100.5"}, TooManyDecimalsError, "price"),
        ({"marketplace_code": "JP", "currency": "JPY", "price": "100"}, None, ""),
        ({"merchant": uuid.UUID(int=1)}, ModelNotOpenedError, "model_code"),
        ({"sku": "NOTHING"}, UnknownStockItemError, "sku"),
        ({"effective_to": AT}, OfferPeriodError, "effective_to"),
        ({"effective_to": AT + timedelta(days=1)}, None, ""),
    ],
)
def test_offers(values, refusal, field):
    refused = offer_refusal(offer(**values), ground())
    assert (type(refused), refused.field if refused else "") == (refusal or type(None), field)


@pytest.mark.parametrize(
    ("crosses_border", "hs_code", "origin", "field"),
    [
        (True, "851830", "CN", None),
        (True, None, "CN", "hs_code"),
        (True, "", "CN", "hs_code"),
        (True, "851830", None, "origin_country_code"),
        (True, None, None, "hs_code"),
        (False, None, None, None),
    ],
)
def test_what_customs_asks_for_at_a_border(crosses_border, hs_code, origin, field):
    refused = offer_refusal(offer(crosses_border=crosses_border), ground(hs_code=hs_code, origin=origin))
    if field is None:
        assert refused is None
    else:
        assert isinstance(refused, OfferNotShippableError)
        assert refused.field == field


@pytest.mark.parametrize(
    ("rule", "crosses_border", "is_refused"),
    [
        (restriction(SALE), False, True),
        (restriction(SALE), True, True),
        (restriction(IMPORT), False, False),
        (restriction(IMPORT), True, True),
        (restriction(SALE, is_active=False), True, False),
        (restriction(SALE, "books"), True, False),
        (restriction(SALE, effective_from=date(2026, 5, 5)), True, False),
        (restriction(SALE, effective_to=date(2026, 5, 4)), True, False),
        (restriction(SALE, effective_to=date(2026, 5, 5)), True, True),
    ],
)
def test_restrictions(rule, crosses_border, is_refused):
    refused = offer_refusal(offer(crosses_border=crosses_border), ground(rule))
    assert isinstance(refused, OfferRestrictedError) is is_refused


def test_a_store_with_labels_refuses_an_offer_without_one():
    assert isinstance(offer_refusal(offer(), ground(label_language="zh")), ElectronicLabelMissingError)
    assert isinstance(offer_refusal(offer(electronic_label={}), ground(label_language="zh")), ElectronicLabelMissingError)
    assert offer_refusal(offer(electronic_label={"品名": "耳机"}), ground(label_language="zh")) is None


def test_an_unknown_store_lists_those_that_exist():
    with pytest.raises(UnknownMarketplaceError) as caught:
        require_marketplace({"US": marketplace(), "GB": marketplace("GB")}, "ZZ")
    assert (caught.value.value, caught.value.remedy) == ("ZZ", "Use one of GB, US.")


@pytest.mark.parametrize(
    ("price", "currency", "minor"), [("59.99", "USD", 5999), ("60", "USD", 6000), ("6E+1", "USD", 6000), ("0.01", "USD", 1), ("980", "JPY", 980)]
)
def test_prices_in_minor_units(price, currency, minor):
    assert price_minor_of(Decimal(price), currency, marketplace("X", currency)) == minor


@pytest.mark.parametrize(
    ("new", "refusal"),
    [
        (product(), None),
        (product(weight_g=0), MeasureNotPositiveError),
        (product(height_mm=-1), MeasureNotPositiveError),
        (product(gtin="4006381333931"), None),
        (product(gtin="4006381333932"), MalformedGtinError),
        (NewProduct(product().product, ()), ProductTextMissingError),
        (NewProduct(product().product, (ProductText("en", " "),)), ProductTextMissingError),
    ],
)
def test_products(new, refusal):
    assert type(product_refusal(new)) is (refusal or type(None))


@pytest.mark.parametrize("gtin", ["40170725", "036000291452", "4006381333931", "10614141000415"])
def test_right_gtins(gtin):
    assert require_gtin(gtin) == gtin


@pytest.mark.parametrize("gtin", ["", "40170726", "123456789", "400638133393x", "٤٠١٧٠٧٢٥", "4006381 333931"])
def test_wrong_gtins(gtin):
    with pytest.raises(MalformedGtinError):
        require_gtin(gtin)


@pytest.mark.parametrize(
    ("item", "refusal"),
    [
        (stock_item(), None),
        (stock_item(hs_code=None, origin_country_code=None), None),
        (stock_item(hs_code="8518300000"), None),
        (stock_item(hs_code="8518"), MalformedHsCodeError),
        (stock_item(hs_code="8518.30"), MalformedHsCodeError),
        (stock_item(hs_code="85183000000"), MalformedHsCodeError),
        (stock_item(origin_country_code="cn"), MalformedCountryError),
        (stock_item(origin_country_code="CHN"), MalformedCountryError),
        (stock_item(" "), EmptySkuError),
        (stock_item(code="unknown"), UnknownProductError),
        (NewStockItem(MERCHANT, "X", product_id(), 1, "XXX"), UnknownCurrencyError),
        (NewStockItem(MERCHANT, "X", product_id(), -1, "USD"), NegativeCostError),
    ],
)
def test_stock_items(item, refusal):
    assert type(stock_item_refusal(item, frozenset({product_id()}))) is (refusal or type(None))


@pytest.mark.parametrize(
    ("offers", "featured"),
    [
        ([], None),
        ([competitor("1", 500)], 1),
        ([competitor("1", 500), competitor("2", 499)], 2),
        ([competitor("1", 500, handling_days=2), competitor("2", 500)], 2),
        ([competitor("2", 500), competitor("1", 500)], 1),
        ([competitor("1", 500, 0, 1, MERCHANT, "x"), competitor("2", 400, 1, 1, MERCHANT, "x")], 1),
        ([competitor("1", 500, 0, 1, MERCHANT, "x"), competitor("2", 400, 1, 1, MERCHANT, "x"), competitor("3", 450)], 3),
        ([competitor("1", 500, 0, 1, MERCHANT, "x"), competitor("2", 400, 0, 1, MERCHANT, "x")], 2),
    ],
)
def test_the_featured_offer_does_not_depend_on_the_order(offers, featured):
    for order in itertools.permutations(offers):
        chosen = featured_offer(order)
        assert (chosen and chosen.offer_id.int) == featured


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("!?", []),
        ("Demo Aria", ["demo", "aria"]),
        ("USB-C 30 W", ["usb", "c", "30", "w"]),
        ("无线耳机", ["无线", "线耳", "耳机"]),
        ("耳机", ["耳机"]),
        ("耳", ["耳"]),
        ("Aria无线耳机 2米", ["aria", "无线", "线耳", "耳机", "2", "米"]),
        ("Kopfhörer & Ohrhörer", ["kopfhörer", "ohrhörer"]),
        ("it's 'quoted':*", ["it", "s", "quoted"]),
        ("snake_case", ["snake", "case"]),
    ],
)
def test_search_words(text, words):
    assert search_words(text) == words


def test_offer_states_end_closed():
    assert OFFER_STATES.terminal == {"closed"}
    assert OFFER_STATES.sources_of("live") == ["paused"]


def test_restriction_on_ignores_other_countries():
    assert restriction_on([restriction(SALE)], "consumer_electronics", "GB", frozenset({SALE}), AT.date()) is None


def test_marketplaces_that_ship():
    stores = {row.marketplace_code: row for row in read_seed_marketplaces()}
    assert sorted(stores) == ["AU", "CA", "CN_GP", "DE", "FR", "GB", "JP", "US"]
    assert {code: row.currency for code, row in stores.items()} == {
        "AU": "AUD",
        "CA": "CAD",
        "CN_GP": "CNY",
        "DE": "EUR",
        "FR": "EUR",
        "GB": "GBP",
        "JP": "JPY",
        "US": "USD",
    }
    assert all(row.country_code in row.destination_codes and row.currency in CURRENCY_DECIMALS for row in stores.values())
    assert all(len(set(row.destination_codes)) == len(row.destination_codes) for row in stores.values())
    assert (stores["CN_GP"].label_language, stores["CN_GP"].destination_codes, stores["CN_GP"].languages[0]) == ("zh", ("CN",), "zh")


def test_restrictions_from_memory_are_switched_off():
    rows = read_seed_restrictions()
    assert len(rows) == 6
    assert all(row.is_active is (row.confidence == "demo") for row in rows)


def test_the_demo_catalogue_is_whole():
    products = read_seed_catalogue().products
    assert len(products) == 66
    assert len({row.code for row in products}) == len({row.gtin for row in products}) == 66
    for row in products:
        assert require_gtin(row.gtin)
        assert re.fullmatch(r"\d{6}", row.hs_code)
        assert [text.language for text in row.texts] == ["en", "de", "zh"]
        assert all(text.title.startswith(("Demo ", "示例 ")) for text in row.texts)
        for seller in row.sellers:
            assert all((chosen.marketplace_code == "CN_GP") == (chosen.electronic_label is not None) for chosen in seller.offers)
    assert sum(row.is_lot_controlled and row.is_expiry_controlled for row in products) >= 10
    assert {row.hazard_code for row in products} == {None, "UN3480", "UN3481", "UN1266"}
