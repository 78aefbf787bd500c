"""A new database becomes a house: rules and rates, marketplaces, the demo's legal entities, merchants, places, lanes, bins and catalogue."""

from datetime import datetime

from msgspec import Struct

from entrepot.base.clock_store import advance_business_now
from entrepot.base.sql import Conn
from entrepot.catalogue.demo import DemoCatalogue, load_demo_catalogue, load_marketplaces
from entrepot.customs.store import load_rules
from entrepot.flows.refresh_lanes import refresh_lanes
from entrepot.flows.tell import begin_mail
from entrepot.operations.plan import Plan
from entrepot.operations.registry import Registry
from entrepot.parties.commands import open_models
from entrepot.parties.demo import DEMO, DemoParties, load_demo_parties
from entrepot.parties.model import AdmissionRule
from entrepot.parties.sealing import Keyring
from entrepot.parties.store import read_opened_models
from entrepot.settlement.rates_store import load_rates
from entrepot.sourcing.model import Place
from entrepot.sourcing.seed_rows import demo_places
from entrepot.sourcing.store import add_places
from entrepot.warehouse.binning import Bin
from entrepot.warehouse.model import BinZone
from entrepot.warehouse.seed_rows import seed_warehouse
from entrepot.warehouse.store_floor import insert_bins

_AISLES = 6
_BINS_PER_AISLE = 12
_BIN_MM3 = 2_000_000_000


class DemoHouse(Struct, frozen=True):
    """What was loaded for the demo."""

    parties: DemoParties
    catalogue: DemoCatalogue
    places: tuple[Place, ...]


async def load_ground(conn: Conn, registry: Registry, at: datetime) -> None:
    """Load what every house needs: dated rules and rates, marketplaces, cartons and reasons; a second call changes nothing."""
    await load_rules(conn)
    await load_rates(conn)
    await load_marketplaces(conn)
    await seed_warehouse(conn)
    await advance_business_now(conn, at)
    _ = registry


async def open_demo_house(conn: Conn, registry: Registry, keyring: Keyring, at: datetime) -> DemoHouse:
    """Load the ground and the demo's parties, places, lanes, bins and catalogue; a second call changes nothing."""
    await load_ground(conn, registry, at)
    parties = await load_demo_parties(conn, keyring, at)
    await begin_mail(conn, list(parties.merchant_ids.values()), at)
    await open_models(conn, parties.openings, {plan.model_code: admission_rule(plan) for plan in registry.plans()}, DEMO, at.date(), at)
    places = demo_places(parties.merchant_ids)
    await add_places(conn, places)
    await insert_bins(conn, [one for place in places if place.merchant_id is None for one in bins_of(place.place_code)])
    await refresh_lanes(conn, registry, at.date())
    opened = await read_opened_models(conn, sorted(parties.merchant_ids.values()))
    catalogue = await load_demo_catalogue(conn, parties.merchant_ids, opened, at, at)
    return DemoHouse(parties, catalogue, tuple(places))


def admission_rule(plan: Plan) -> AdmissionRule:
    """Return what a model asks of a merchant and a marketplace, as plain values."""
    admission = plan.model.admission
    return AdmissionRule(
        admission.barred_countries,
        frozenset(str(one) for one in admission.credentials),
        frozenset(str(role) for role in plan.model.required_roles),
        plan.model.stores.only,
        plan.model.stores.but,
    )


def bins_of(place_code: str) -> list[Bin]:
    """Return the bins of a new building: aisles for picking, one for reserves and one for what cannot be sold."""
    zones = [*[BinZone.FORWARD] * (_AISLES - 2), BinZone.RESERVE, BinZone.UNSELLABLE]
    return [
        Bin(place_code, f"{chr(65 + aisle)}-{number:02d}", zone, _BIN_MM3, aisle * _BINS_PER_AISLE + number)
        for aisle, zone in enumerate(zones)
        for number in range(1, _BINS_PER_AISLE + 1)
    ]
