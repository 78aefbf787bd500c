"""Lanes: sourcing's own projection of what carriers ask and how long they take, from every place to every country a store delivers to."""

from collections.abc import Sequence
from datetime import date

from entrepot.base.money import convert_minor
from entrepot.base.sql import Conn
from entrepot.catalogue.store import read_marketplaces
from entrepot.customs.rules import RuleBook, Verdict
from entrepot.customs.screening import ScreeningAsk, screen_goods
from entrepot.customs.store import read_rule_book
from entrepot.freight.cards import RateQuote, RateRequest, carrier_card, quote_services, read_carriers
from entrepot.operations.model import PLATFORM_ROLES, PlaceKind, Role, Step
from entrepot.operations.registry import Registry
from entrepot.settlement.exchange import CrossRate, RateBook
from entrepot.settlement.rates_store import read_rate_book
from entrepot.sourcing.model import Lane, Place
from entrepot.sourcing.store import add_places, read_network, replace_lanes

NETWORK_CURRENCY = "EUR"
"""Currency in which lanes are compared."""
_PROBES_G = (1000, 3000)
_HAZARDS = ("UN3480", "UN3481", "UN1266")
_OWN_LINE = "ENTREPOT-LINE"


async def refresh_lanes(conn: Conn, registry: Registry, on: date) -> int:
    """Rebuild all lanes from the cards in force on a day; return how many there are."""
    network = await read_network(conn, {})
    marketplaces = await read_marketplaces(conn)
    rates, rules = await read_rate_book(conn), await read_rule_book(conn)
    countries = sorted({country for store in marketplaces.values() for country in store.destination_codes})
    own_line = frozenset(kind for kind in PlaceKind if _leaves_by_own_line(registry, kind))
    lanes = [lane for place in network.places.values() for country in countries for lane in _lanes(place, country, on, rates, rules, own_line)]
    await replace_lanes(conn, lanes, f"carrier cards in force on {on.isoformat()}")
    return len(lanes)


def _leaves_by_own_line(registry: Registry, kind: PlaceKind) -> bool:
    """Tell whether every plan that ships from such places has the platform's shipping company carry the parcels."""
    roles = {plan.doer(Step.CARRY, channel=channel) for plan in registry.plans() if plan.ships_from(kind) for channel in plan.model.channels}
    return roles == {Role.LOGISTICS_ENTERPRISE} and roles <= PLATFORM_ROLES


def _lanes(place: Place, country: str, on: date, rates: RateBook, rules: RuleBook, own_line: frozenset[PlaceKind]) -> list[Lane]:
    """Return the lanes from a place to a country, one for each service that goes there."""
    is_own = PlaceKind(place.kind) in own_line
    found: list[Lane] = []
    for carrier_code in sorted(read_carriers()):
        if is_own and carrier_code != _OWN_LINE:
            continue
        probes = [quote_services(carrier_card(carrier_code), RateRequest(place.country_code, country, grams, 0, on)) for grams in _PROBES_G]
        heavier = {quote.service_code: quote for quote in probes[1]}
        found += [
            _lane(place, country, quote, heavier[quote.service_code], on, rates, rules)
            for quote in probes[0]
            if _takes_parcels(place, quote, heavier)
        ]
    return found


def _takes_parcels(place: Place, quote: RateQuote, heavier: dict[str, RateQuote]) -> bool:
    """Tell whether a service carries parcels from such a place to the door: freight for whole consignments does not, and bond is not everywhere."""
    is_open = not quote.starts_in_bond or place.kind == PlaceKind.BONDED_WAREHOUSE
    return is_open and quote.service_code in heavier and quote.mode != "freight"


def _lane(place: Place, country: str, light: RateQuote, heavy: RateQuote, on: date, rates: RateBook, rules: RuleBook) -> Lane:
    """Return a lane with base and slope in the network's currency, from what two weights cost."""
    crossed = rates.cross(light.currency, NETWORK_CURRENCY, on)
    rate = crossed.rate if isinstance(crossed, CrossRate) else None
    first, second = (
        convert_minor(quote.cost_minor, rate, light.currency, NETWORK_CURRENCY) if rate is not None else quote.cost_minor for quote in (light, heavy)
    )
    per_kg = -(-(second - first) * 1000 // (_PROBES_G[1] - _PROBES_G[0]))
    refused = frozenset(
        hazard
        for hazard in _HAZARDS
        if screen_goods(rules, ScreeningAsk(place.country_code, country, on, "", hazard, light.mode)).verdict is Verdict.PROHIBITED
    )
    return Lane(
        place.place_code,
        country,
        f"{light.carrier_code}:{light.service_code}",
        light.carrier_code,
        light.mode,
        max(0, first - per_kg * _PROBES_G[0] // 1000),
        per_kg,
        NETWORK_CURRENCY,
        light.days_min,
        light.days_max,
        refused,
    )


async def open_sites(conn: Conn, registry: Registry, places: Sequence[Place], on: date) -> None:
    """Add places, such as a merchant's own site, and the lanes that lead from them."""
    await add_places(conn, places)
    await refresh_lanes(conn, registry, on)
