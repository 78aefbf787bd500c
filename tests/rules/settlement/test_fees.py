from datetime import date

import pytest
from msgspec.structs import replace
from tests.factories.settlement import FEE_BOOK, OFF_PEAK, ON, unit

from entrepot.base.errors import BrokenDeclarationError
from entrepot.operations.model import FeeCode
from entrepot.settlement.charge_rules import ready_card
from entrepot.settlement.fees import FeeCard, FeeLine, NoRate, NoRateReason, UnknownFeeBasisError, fee_lines_for, give_back, share_minor
from entrepot.settlement.model import Confidence
from entrepot.settlement.seed import MARKETPLACE_CURRENCIES, shipped_fee_cards

PEAK = ON
SMALL = {"length_mm": 200, "width_mm": 100, "height_mm": 15}
THICK = {"length_mm": 200, "width_mm": 100, "height_mm": 25}
BOXED = {"length_mm": 250, "width_mm": 150, "height_mm": 80}
LARGE = {"length_mm": 250, "width_mm": 150, "height_mm": 50}
OZ = 28.349523125


def charged(fee_code, inputs, event="shipment"):
    """Return {fee: minor} of one fee with its add-ons."""
    quote = fee_lines_for(event, [fee_code], inputs, FEE_BOOK)
    assert quote.no_rate == []
    return {line.fee_code: line.amount_minor for line in quote.lines}


def referral(marketplace, currency, category, price, units=1, on=OFF_PEAK):
    inputs = unit(marketplace, currency, on, category_code=category, price_minor=price, price_net_minor=price, units=units)
    return charged("referral", inputs, "sale")["referral"]


@pytest.mark.parametrize(
    ("marketplace", "currency", "category", "price", "units", "fee"),
    [
        # flat, with the minimum per piece
        ("US", "USD", "home_and_kitchen", 10_000, 1, 1500),
        ("US", "USD", "home_and_kitchen", 199, 1, 30),
        ("US", "USD", "home_and_kitchen", 200, 1, 30),
        ("US", "USD", "home_and_kitchen", 201, 1, 30),
        ("US", "USD", "home_and_kitchen", 210, 1, 32),
        ("US", "USD", "home_and_kitchen", 300, 3, 90),
        ("US", "USD", "grocery_and_gourmet", 100, 1, 8),
        ("US", "USD", "books", 100, 1, 15),
        # whole price takes the rate of its band
        ("US", "USD", "baby_products", 1000, 1, 80),
        ("US", "USD", "baby_products", 1001, 1, 150),
        ("US", "USD", "baby_products", 2000, 2, 160),
        ("US", "USD", "baby_products", 2001, 2, 300),
        ("US", "USD", "clothing_and_accessories", 1500, 1, 75),
        ("US", "USD", "clothing_and_accessories", 1501, 1, 150),
        ("US", "USD", "clothing_and_accessories", 2000, 1, 200),
        ("US", "USD", "clothing_and_accessories", 2001, 1, 340),
        ("US", "USD", "lawn_mowers_and_snow_throwers", 50_000, 1, 7500),
        ("US", "USD", "lawn_mowers_and_snow_throwers", 50_001, 1, 4000),
        # by portion of the price
        ("US", "USD", "electronics_accessories", 10_000, 1, 1500),
        ("US", "USD", "electronics_accessories", 15_000, 1, 1900),
        ("US", "USD", "electronics_accessories", 30_000, 2, 3800),
        ("US", "USD", "jewelry", 40_000, 1, 5750),
        ("US", "USD", "watches", 200_000, 1, 25_500),
        ("US", "USD", "furniture", 30_000, 1, 4000),
        ("US", "USD", "appliances_compact", 40_000, 1, 5300),
        ("US", "USD", "fine_art", 600_000, 1, 2000 + 13_500 + 40_000 + 5000),
        # a category that is not listed
        ("US", "USD", "something_new", 10_000, 1, 1500),
        ("GB", "GBP", "home_and_kitchen", 2000, 1, 160),
        ("GB", "GBP", "home_and_kitchen", 2001, 1, 300),
        ("GB", "GBP", "automotive_and_powersports", 10_000, 1, 675 + 495),
        ("GB", "GBP", "everything_else", 100, 1, 25),
        ("JP", "JPY", "home_and_kitchen", 750, 1, 38),
        ("JP", "JPY", "home_and_kitchen", 751, 1, 116),
        ("JP", "JPY", "clothing_and_accessories", 2500, 1, 210),
        ("JP", "JPY", "clothing_and_accessories", 3000, 1, 372),
        ("JP", "JPY", "clothing_and_accessories", 5000, 1, 372 + 168),
        # scenario 4: a card of the Demo operator, 15 % of the price with tax
        ("DE", "EUR", "home_and_kitchen", 10_000, 1, 1500),
    ],
)
def test_referral(marketplace, currency, category, price, units, fee):
    assert referral(marketplace, currency, category, price, units) == fee


@pytest.mark.parametrize(("marketplace", "currency", "fee"), [("US", "USD", 1260), ("GB", "GBP", 1500)])
def test_referral_looks_at_the_price_its_card_names(marketplace, currency, fee):
    inputs = unit(marketplace, currency, category_code="toys_and_games", price_minor=10_000, price_net_minor=8400)

    assert charged("referral", inputs)["referral"] == fee


@pytest.mark.parametrize(
    ("category", "units", "fees"),
    [("books", 1, {"closing": 180}), ("video_games_and_gaming_accessories", 3, {"closing": 540}), ("toys_and_games", 1, {})],
)
def test_closing(category, units, fees):
    assert charged("closing", unit(category_code=category, units=units)) == fees


@pytest.mark.parametrize(
    ("size", "ounces", "price", "off_peak", "peak"),
    [
        (SMALL, 2, 999, 243, 262),
        (SMALL, 2, 1000, 332, 351),
        (SMALL, 2, 5000, 332, 351),
        (SMALL, 2, 5001, 358, 377),
        (SMALL, 2.04, 1000, 342, 361),
        (SMALL, 16, 5001, 422, 444),
        (THICK, 4, 999, 291, 315),
        (THICK, 4, 1000, 373, 397),
        (LARGE, 16, 1000, 460, 489),
        (LARGE, 20, 1000, 504, 534),
        (LARGE, 48, 1000, 667, 708),
        (LARGE, 48.1, 1000, 697 + 8, 751 + 8),
        (LARGE, 52, 1000, 697 + 8, 751 + 8),
        (LARGE, 52.1, 1000, 697 + 16, 751 + 16),
        (LARGE, 320, 1000, 697 + 68 * 8, 751 + 68 * 8),
    ],
)
def test_fulfilment_us_2026(size, ounces, price, off_peak, peak):
    given = {**size, "unit_weight_g": int(ounces * OZ), "price_net_minor": price, "price_minor": price}

    assert charged("fulfilment", unit(on=OFF_PEAK, **given))["fulfilment"] == off_peak
    assert charged("fulfilment", unit(on=PEAK, **given))["fulfilment"] == peak


@pytest.mark.parametrize(
    ("on", "fee"),
    [
        ("2024-04-14", 322),
        ("2024-04-15", 306),
        ("2024-10-14", 306),
        ("2024-10-15", 325),
        ("2025-01-14", 325),
        ("2025-01-15", 306),
        ("2025-10-15", 325),
        ("2026-01-14", 325),
        ("2026-01-15", 332),
        ("2026-10-14", 332),
        ("2026-10-15", 351),
        ("2027-01-14", 351),
        ("2027-01-15", 332),
    ],
)
def test_fulfilment_follows_the_day(on, fee):
    inputs = unit(on=date.fromisoformat(on), **SMALL, unit_weight_g=50, price_net_minor=2000)

    assert charged("fulfilment", inputs)["fulfilment"] == fee


def test_before_2026_a_low_price_took_77_cents_off():
    inputs = unit(on=date(2025, 6, 1), **SMALL, unit_weight_g=50, price_net_minor=999)

    assert charged("fulfilment", inputs)["fulfilment"] == 306 - 77


@pytest.mark.parametrize(
    ("marketplace", "currency", "size", "grams", "price", "category", "off_peak", "peak"),
    [
        ("GB", "GBP", (330, 230, 25), 20, 2500, "toys_and_games", 183, 183),
        ("GB", "GBP", (330, 230, 25), 20, 2000, "toys_and_games", 146, 146),
        ("GB", "GBP", (330, 230, 25), 20, 2000, "home_and_kitchen", 183, 183),
        ("GB", "GBP", (330, 230, 25), 20, 1000, "home_and_kitchen", 146, 146),
        ("GB", "GBP", (330, 230, 40), 960, 2500, "toys_and_games", 272, 279),
        ("GB", "GBP", (350, 250, 120), 1500, 2500, "toys_and_games", 327, 339),
        ("GB", "GBP", (610, 300, 100), 760, 2500, "toys_and_games", 349 + 3 * 25, 349 + 3 * 25),
        ("GB", "GBP", (1760, 100, 100), 65_000, 2500, "toys_and_games", 4204 + 5 * 35, 4204 + 5 * 35),
        ("DE", "EUR", (350, 250, 120), 1500, 2500, "toys_and_games", 428, 457),
        ("DE", "EUR", (450, 340, 260), 400, 2500, "toys_and_games", 577, 616),
        ("DE", "EUR", (330, 230, 25), 100, 1999, "toys_and_games", 183, 183),
        ("JP", "JPY", (250, 180, 20), 250, 1000, "toys_and_games", 222, 222),
        ("JP", "JPY", (250, 180, 20), 250, 1001, "toys_and_games", 288, 288),
    ],
)
def test_fulfilment_elsewhere(marketplace, currency, size, grams, price, category, off_peak, peak):
    sides = dict(zip(("length_mm", "width_mm", "height_mm"), size, strict=True))
    inputs = unit(marketplace, currency, unit_weight_g=grams, price_minor=price, price_net_minor=price * 5 // 6, category_code=category, **sides)

    assert charged("fulfilment", inputs)["fulfilment"] == off_peak
    assert charged("fulfilment", replace(inputs, on=PEAK))["fulfilment"] == peak


def test_add_ons_are_lines_of_their_own():
    heavy = unit(length_mm=2500, width_mm=300, height_mm=100, unit_weight_g=10_000, price_net_minor=9000, units=2, has_lithium_battery=True)
    pounds = -(-2500 * 300 * 100 * 1000 // (16387064 * 139))
    fee = (2633 + 38 * (pounds - 1)) * 2

    assert charged("fulfilment", heavy) == {
        "fulfilment": fee,
        "fuel_surcharge": (fee * 35 + 500) // 1000,
        "overmax_handling": 3400,
        "lithium_battery": 22,
    }


@pytest.mark.parametrize(
    ("marketplace", "currency", "model_code", "on", "has_fuel"),
    [
        ("US", "USD", "fba", "2026-04-16", False),
        ("US", "USD", "fba", "2026-04-17", True),
        ("GB", "GBP", "fba", "2026-04-16", False),
        ("GB", "GBP", "fba", "2026-04-17", True),
        ("US", "USD", "fifth", "2026-04-17", False),
    ],
)
def test_fuel_surcharge_begins_on_its_day(marketplace, currency, model_code, on, has_fuel):
    inputs = unit(marketplace, currency, date.fromisoformat(on), model_code, **SMALL, unit_weight_g=50, price_net_minor=2000, price_minor=2000)

    assert ("fuel_surcharge" in charged("fulfilment", inputs)) is has_fuel


@pytest.mark.parametrize(
    ("fee_code", "inputs", "fee"),
    [
        # storage: a cubic foot for a month, early and late
        ("storage", unit(volume_mm3=28_316_847, **SMALL), 78),
        ("storage", unit(volume_mm3=28_316_847, on=PEAK, **SMALL), 240),
        ("storage", unit(volume_mm3=28_316_847, length_mm=600, width_mm=600, height_mm=600), 56),
        ("storage", unit(volume_mm3=28_316_847, product_class="dangerous_goods", **SMALL), 99),
        ("storage", unit(volume_mm3=28_316_847, model_code="logistics_service", **SMALL), 48),
        ("storage", unit("DE", "EUR", volume_mm3=1_000_000_000, **SMALL), 2754),
        ("storage", unit("DE", "EUR", volume_mm3=1_000_000_000, product_class="apparel", **SMALL), 1999),
        ("storage", unit("JP", "JPY", volume_mm3=100_000_000, **SMALL), 568),
        # aged stock: by volume, from day 366 at least per unit
        ("aged_stock", unit(volume_mm3=28_316_847, age_days=181, units=10), 50),
        ("aged_stock", unit(volume_mm3=28_316_847, age_days=271, units=10), 545),
        ("aged_stock", unit(volume_mm3=28_316_847, age_days=365, units=100), 590),
        ("aged_stock", unit(volume_mm3=28_316_847, age_days=366, units=10), 690),
        ("aged_stock", unit(volume_mm3=28_316_847, age_days=366, units=100), 3000),
        ("aged_stock", unit(volume_mm3=28_316_847, age_days=456, units=100), 3500),
        ("aged_stock", unit(volume_mm3=28_316_847, age_days=271, category_code="watches"), 545),
        # low inventory: lower bound of a band belongs to it
        ("low_inventory", unit(**SMALL, unit_weight_g=100, cover_days=13, units=2), 178),
        ("low_inventory", unit(**SMALL, unit_weight_g=100, cover_days=14), 63),
        ("low_inventory", unit(**SMALL, unit_weight_g=100, cover_days=27), 32),
        ("low_inventory", unit(**LARGE, unit_weight_g=1361, cover_days=0), 111),
        # inbound
        ("inbound_placement", unit(on=date(2025, 6, 1), **SMALL, unit_weight_g=100, units=72), 72 * 26),
        ("inbound_placement", unit(on=date(2025, 6, 1), **LARGE, unit_weight_g=600, placement_option="partial", units=10), 220),
        ("inbound_processing", unit(model_code="logistics_service", carton_count=4), 560),
        ("inbound_transport", unit(model_code="logistics_service", cost_minor=120_000), 120_000),
        # removal by weight and size class
        ("removal", unit(**SMALL, unit_weight_g=226), 84),
        ("removal", unit(**SMALL, unit_weight_g=227), 153),
        ("removal", unit(**SMALL, unit_weight_g=226, on=date(2025, 6, 1)), 104),
        ("removal", unit(**LARGE, unit_weight_g=1400), 289 + 2 * 106),
        ("removal", unit(length_mm=600, width_mm=300, height_mm=100, unit_weight_g=300, units=2), 2 * 1004),
        # refunds, plan, contacts
        ("refund_administration", unit(refunded_referral_minor=1500), 300),
        ("refund_administration", unit(refunded_referral_minor=4000), 500),
        ("plan", unit(), 3999),
        ("plan", unit(plan_code="individual", units=7), 693),
        ("service_contact", unit(contact_count=3), 450),
        ("returns_processing", unit(units=2), 400),
        # direct to China: parcel weight, one declaration per order, agent, exchange
        ("cross_border_logistics", unit("CN_GP", "CNY", model_code="global_purchase", parcel_weight_g=500), 2800),
        ("cross_border_logistics", unit("CN_GP", "CNY", model_code="global_purchase", parcel_weight_g=501), 4000),
        ("cross_border_logistics", unit("CN_GP", "CNY", model_code="global_purchase", unit_weight_g=400, units=3), 2800 + 2 * 1200),
        ("customs_service", unit("CN_GP", "CNY", model_code="global_purchase", units=5), 600),
        ("domestic_agent", unit("CN_GP", "CNY", model_code="global_purchase", price_net_minor=48_000, price_minor=52_368), 480),
        ("exchange_spread", unit("CN_GP", "CNY", model_code="global_purchase", converted_minor=44_000), 440),
    ],
)
def test_other_fees(fee_code, inputs, fee):
    assert charged(fee_code, inputs)[fee_code] == fee


@pytest.mark.parametrize(
    ("order_units", "speed", "grams", "unit_fee"),
    [(1, "standard", 300, 550), (2, "standard", 300, 400), (5, "standard", 300, 280), (9, "standard", 300, 280), (1, "priority", 300, 1045), (1, "standard", 1001, 595)],
)  # fmt: skip
def test_outbound_falls_with_the_order_and_rises_with_speed_and_weight(order_units, speed, grams, unit_fee):
    inputs = unit(model_code="logistics_service", order_units=order_units, speed_code=speed, unit_weight_g=grams, **LARGE, units=2)

    assert charged("outbound", inputs) == {"outbound": 2 * unit_fee, "fuel_surcharge": (2 * unit_fee * 35 + 500) // 1000}


def test_a_label_bought_here_shows_our_margin_apart():
    assert charged("label", unit("DE", "EUR", cost_minor=610, model_code="fbm")) == {"label": 610, "label_margin": 18}


@pytest.mark.parametrize(
    ("fee_code", "inputs"),
    [
        ("storage", unit()),
        ("aged_stock", unit(age_days=180, volume_mm3=1_000_000)),
        ("aged_stock", unit(age_days=200, volume_mm3=1_000_000, category_code="watches")),
        ("low_inventory", unit(**SMALL)),
        ("low_inventory", unit(**SMALL, cover_days=28)),
        ("inbound_placement", unit(**SMALL, placement_option="optimised")),
        ("inbound_placement", unit("DE", "EUR", placement_option="optimised")),
        ("label", unit()),
        ("service_contact", unit()),
        ("refund_administration", unit()),
        ("customs_service", unit("CN_GP", "CNY", is_first_of_order=False)),
        ("cross_border_logistics", unit("CN_GP", "CNY", is_first_of_order=False)),
        ("exchange_spread", unit("CN_GP", "CNY")),
    ],
)
def test_what_does_not_arise_is_not_charged(fee_code, inputs):
    quote = fee_lines_for("shipment", [fee_code], inputs, FEE_BOOK)

    assert (quote.lines, quote.no_rate) == ([], [])


@pytest.mark.parametrize(
    ("fee_code", "inputs", "reason", "detail"),
    [
        ("referral", unit(on=date(2024, 1, 14)), NoRateReason.NO_CARD, ""),
        ("referral", unit("BR", "BRL"), NoRateReason.NO_CARD, ""),
        ("cross_border_logistics", unit("US", "USD"), NoRateReason.NO_CARD, ""),
        ("referral", unit("GB", "USD"), NoRateReason.OTHER_CURRENCY, "GBP"),
        ("fulfilment", unit("DE", "EUR", length_mm=1760, width_mm=100, height_mm=100, unit_weight_g=32_000), NoRateReason.NOT_COVERED, "special_oversize at 32000 g"),
        ("fulfilment", unit("JP", "JPY", length_mm=2000, width_mm=1000, height_mm=1000), NoRateReason.NOT_COVERED, "size tier"),
        ("low_inventory", unit(length_mm=600, width_mm=300, height_mm=300, cover_days=3), NoRateReason.NOT_COVERED, "small_bulky"),
        ("outbound", unit(speed_code="teleport", **SMALL), NoRateReason.NOT_COVERED, "speed teleport"),
    ],
)  # fmt: skip
def test_no_rate_is_a_result_and_nothing_is_borrowed(fee_code, inputs, reason, detail):
    quote = fee_lines_for("shipment", [fee_code], inputs, FEE_BOOK)

    assert quote.lines == []
    assert quote.no_rate == [NoRate(fee_code, inputs.marketplace_code, inputs.model_code, inputs.on, reason, detail)]


def test_lines_come_in_the_plans_order_with_rule_and_inputs():
    inputs = unit("DE", "EUR", on=ON, price_minor=10_000, price_net_minor=8403, category_code="toys_and_games", unit_weight_g=300, units=2, **BOXED)
    quote = fee_lines_for("shipment", ["referral", "closing", "fulfilment"], inputs, FEE_BOOK)

    assert quote.no_rate == []
    assert quote.lines == [
        FeeLine("referral", "shipment", 1500, "EUR", "demo.DE.referral.1", 2, {"price_minor": 10_000, "units": 2, "category": "everything_else"}),
        FeeLine(
            "fulfilment", "shipment", 2 * 335, "EUR", "DE.fulfilment.2026-07.peak", 2,
            {"tier": "small_parcel", "weight_g": 600, "band": "regular", "unit_minor": 335, "units": 2},
        ),
        FeeLine("fuel_surcharge", "shipment", 10, "EUR", "EU.fuel.2026-04", 2, {"fee_minor": 670}),
    ]  # fmt: skip


@pytest.mark.parametrize("marketplace", sorted(MARKETPLACE_CURRENCIES))
@pytest.mark.parametrize("on", [date(2025, 11, 13), date(2026, 3, 1), date(2026, 11, 21)])
def test_every_fee_of_the_operation_models_has_a_card_everywhere(marketplace, on):
    inputs = unit(
        marketplace, MARKETPLACE_CURRENCIES[marketplace], on, price_minor=3000, price_net_minor=2500, unit_weight_g=300, cost_minor=500, **LARGE
    )
    china_only = {FeeCode.CROSS_BORDER_LOGISTICS, FeeCode.CUSTOMS_SERVICE, FeeCode.DOMESTIC_AGENT} if marketplace != "CN_GP" else set()

    for product_class in ("general", "apparel", "dangerous_goods"):
        asked = replace(inputs, product_class=product_class)
        assert fee_lines_for("any", [code for code in FeeCode if code not in china_only], asked, FEE_BOOK).no_rate == []


def test_gaps_are_filled_by_the_demo_operator_and_nobody_else():
    cards = shipped_fee_cards()

    assert {card.source for card in cards if card.confidence is Confidence.DEMO} == {"Demo operator"}
    assert all(card.rule_version.startswith("demo.") for card in cards if card.confidence is Confidence.DEMO)
    assert all(card.is_active for card in cards if card.confidence is not Confidence.MEMORY)


def test_a_refund_gives_back_under_the_rule_that_charged():
    sold = fee_lines_for("sale", ["referral"], unit("DE", "EUR", price_minor=9999), FEE_BOOK).lines[0]
    back = share_minor(sold.amount_minor, 1, 3)

    assert give_back(sold, "refund", back, 1, 3) == FeeLine(
        "referral", "refund", -500, "EUR", "demo.DE.referral.1", 1, {"charged_minor": 1500, "part": 1, "whole": 3}
    )


CARD = FeeCard("x", "DE", "*", "any", date(2026, 1, 1), None, "EUR", "per_item", {"per_unit": 5}, "x.1", "test", Confidence.DEMO, True)


def test_an_unknown_basis_is_refused():
    with pytest.raises(UnknownFeeBasisError) as refused:
        ready_card(replace(CARD, basis="guess"))

    assert (refused.value.field, refused.value.value) == ("basis", "guess")


@pytest.mark.parametrize(
    ("basis", "definition"),
    [
        ("percent", {"price": "net"}),
        ("size_tier", {"weight_unit": "oz"}),
        ("percent_of_price", {"price": "net", "percent": "1.00001"}),
        ("storage", {}),
    ],
)
def test_a_broken_card_is_refused(basis, definition):
    with pytest.raises((BrokenDeclarationError, UnknownFeeBasisError)):
        ready_card(replace(CARD, basis=basis, definition=definition))
