"""Rate cards: billable weight, steps, zones, dates, and that every country is served."""

from datetime import date

import pytest

from entrepot.base.money import CURRENCY_DECIMALS
from entrepot.freight.cards import (
    CarrierCard,
    NoRateCardOnDateError,
    RateRequest,
    UnknownCarrierError,
    carrier_card,
    quote_services,
    read_carriers,
    read_regions,
    zone_of,
)
from entrepot.freight.model import billable_weight_g

ON = date(2026, 5, 4)


@pytest.mark.parametrize(
    ("weight_g", "volume_mm3", "divisor", "billable"),
    [(1000, 5_000_000, 5000, 1000), (1000, 5_000_001, 5000, 1001), (1000, 6_000_000, 5000, 1200), (1000, 6_000_000, 6000, 1000), (7, 10**9, None, 7)],
)
def test_billable_weight(weight_g, volume_mm3, divisor, billable):
    assert billable_weight_g(weight_g, volume_mm3, divisor) == billable


@pytest.mark.parametrize(
    ("origin", "destination", "zone"),
    [("GB", "GB", "domestic"), ("GB", "DE", "region"), ("GB", "US", "world"), ("XX", "YY", "world"), ("XX", "XX", "domestic")],
)
def test_zones(origin, destination, zone):
    assert zone_of(origin, destination, read_regions()) == zone


def quote(carrier_code, service_code, weight_g=1000, volume_mm3=0, origin="GB", destination="GB"):
    request = RateRequest(origin, destination, weight_g, volume_mm3, ON)
    return next((one for one in quote_services(carrier_card(carrier_code), request) if one.service_code == service_code), None)


@pytest.mark.parametrize(
    ("weight_g", "cost_minor"),
    [(1, 315), (1000, 315), (1001, 385), (2000, 385), (2001, 455), (30_000, 315 + 29 * 70)],
)
def test_steps_of_a_domestic_parcel(weight_g, cost_minor):
    found = quote("DEMO-POST", "parcel", weight_g)
    assert (found.cost_minor, found.currency, found.days_min, found.days_max, found.rate_version, found.confidence) == (
        cost_minor,
        "GBP",
        2,
        4,
        "demo-post.1",
        "demo",
    )


def test_what_a_service_does_not_carry_has_no_quote():
    assert quote("DEMO-POST", "parcel", 30_001) is None
    assert quote("DEMO-POST", "letter", 2001) is None
    assert quote("ENTREPOT-LINE", "standard", destination="DE") is None
    assert quote("ENTREPOT-LINE", "bulk", 9_000_000) is not None


def test_volume_counts_by_the_services_divisor():
    assert quote("DEMO-EXPRESS", "next", 1000, 20_000_000).billable_weight_g == 4000
    assert quote("DEMO-POST", "parcel", 1000, 20_000_000).billable_weight_g == 1000
    assert quote("DEMO-EXPRESS", "next", 1000, 400_000_000) is None


def test_every_pair_of_countries_is_served_in_a_known_currency():
    countries = [*read_regions(), "ZA", "BR", "LB", "XX"]
    for origin in countries:
        for destination in countries:
            quotes = [one for card in read_carriers().values() for one in quote_services(card, RateRequest(origin, destination, 800, 0, ON))]
            assert {"postal", "express", "own"} == {carrier_card(one.carrier_code).kind for one in quotes}
            assert all(one.cost_minor > 0 and one.currency in CURRENCY_DECIMALS and 1 <= one.days_min <= one.days_max for one in quotes)


def test_unknown_carrier_and_a_date_without_card():
    with pytest.raises(UnknownCarrierError) as refused:
        carrier_card("NOBODY")
    assert refused.value.value == "NOBODY"
    card: CarrierCard = carrier_card("DEMO-POST")
    with pytest.raises(NoRateCardOnDateError):
        quote_services(card, RateRequest("GB", "GB", 1, 0, date(1999, 12, 31)))
