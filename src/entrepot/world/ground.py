"""The world's day before the first: the demo house, buyers in every country, and stock brought in by ordinary receipts."""

import uuid
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final

from msgspec import Struct

from entrepot.base.actor import Actor, ActorKind
from entrepot.base.ids import derived_id
from entrepot.base.sql import Conn
from entrepot.catalogue.model import OfferFacts
from entrepot.catalogue.store import list_offers
from entrepot.customs.resident_id import check_character
from entrepot.flows.declare_stock import StockWord, declare_stock
from entrepot.flows.inbound import announce, close, depart, receive, stow, stow_needs
from entrepot.flows.open_house import DemoHouse, bins_of, open_demo_house
from entrepot.flows.outside import Outside
from entrepot.flows.reference import Reference, read_reference
from entrepot.operations.model import PlaceKind
from entrepot.operations.registry import Registry
from entrepot.parties.buyers import register_buyers, verify_identities
from entrepot.parties.people import IdentityClaim, NewBuyer, PersonalDetails
from entrepot.parties.sealing import Keyring
from entrepot.sourcing.model import Place
from entrepot.warehouse.binning import choose_bins
from entrepot.warehouse.inbound import InboundKind, NewInboundLine, NewPlan, PlanRef
from entrepot.warehouse.receive import DockScan
from entrepot.warehouse.scanning import ScanKey
from entrepot.warehouse.stow import StowScan

STARTS_AT: Final = datetime(2026, 9, 7, tzinfo=UTC)
"""The first instant of every world."""
STAFF = Actor(ActorKind.STAFF, "demo-floor", "warehouse")
BUYERS_PER_COUNTRY = 40
COUNTRIES = ("US", "GB", "DE", "FR", "JP", "AU", "CA", "CN")
UNITS_PER_ITEM = 900
_LINES_PER_PLAN = 40


class Person(Struct, frozen=True):
    """A buyer of the world; a buyer in mainland China has a verified identity."""

    person_id: uuid.UUID
    country_code: str
    identity_id: uuid.UUID | None


class WorldGround(Struct, frozen=True):
    """What the world's actors know from the beginning."""

    house: DemoHouse
    reference: Reference
    persons: dict[str, tuple[Person, ...]]
    offers: dict[str, tuple[OfferFacts, ...]]


async def lay_ground(conn: Conn, registry: Registry, keyring: Keyring, at: datetime) -> WorldGround:
    """Open the demo house and register its buyers; a second call changes nothing."""
    house = await open_demo_house(conn, registry, keyring, at)
    reference = await read_reference(conn, registry, at.date())
    persons = await _register_persons(conn, keyring, at)
    offers: dict[str, list[OfferFacts]] = {}
    for merchant_id in sorted(house.parties.merchant_ids.values()):
        for offer in await list_offers(conn, merchant_id):
            offers.setdefault(offer.model_code, []).append(offer)
    ordered = {code: tuple(sorted(found, key=lambda one: (one.marketplace_code, one.sku, one.merchant_id))) for code, found in offers.items()}
    return WorldGround(house, reference, persons, ordered)


async def _register_persons(conn: Conn, keyring: Keyring, at: datetime) -> dict[str, tuple[Person, ...]]:
    """Register buyers per country, plainly invented, those in mainland China with an identity."""
    persons: dict[str, tuple[Person, ...]] = {}
    for country in COUNTRIES:
        ids = [derived_id("world_person", country, number) for number in range(BUYERS_PER_COUNTRY)]
        details = [PersonalDetails(f"Demo Buyer {country} {number}", f"buyer-{country.lower()}-{number}@demo.invalid") for number in range(len(ids))]
        await register_buyers(conn, keyring, [NewBuyer(one, country, detail) for one, detail in zip(ids, details, strict=True)], at)
        identities: list[uuid.UUID | None] = [None] * len(ids)
        if country == "CN":
            claims = [IdentityClaim(one, demo_resident_id(number), f"Demo {number}", is_name_matched=True) for number, one in enumerate(ids)]
            identities = [found.quota_person_id for found in await verify_identities(conn, keyring, claims, at)]
        persons[country] = tuple(Person(one, country, identity) for one, identity in zip(ids, identities, strict=True))
    return persons


def demo_resident_id(number: int) -> str:
    """Return an invented resident identity number whose check digit is right (region 110101, born on the first days of 1990)."""
    body = f"110101{date(1990, 1, 1) + timedelta(days=number):%Y%m%d}{number % 1000:03d}"
    return body + check_character(body)


async def bring_stock(conn: Conn, outside: Outside, ground: WorldGround, wave: int, at: datetime) -> None:
    """Bring every stock item to every place its offers may ship from: by receipt to the platform's places, by word to merchants' sites."""
    wanted = _wanted(ground)
    for place_code in sorted(wanted):
        rows = wanted[place_code]
        if rows[0][1].kind == PlaceKind.MERCHANT_SITE:
            words = [StockWord(offer.merchant_id, place_code, offer.sku, wave, at, UNITS_PER_ITEM) for offer, _ in rows]
            await declare_stock(conn, outside, words, Actor(ActorKind.MERCHANT, "demo-merchant", "merchant_owner"), at)
            continue
        for merchant_id in sorted({offer.merchant_id for offer, _ in rows}):
            mine = [offer for offer, _ in rows if offer.merchant_id == merchant_id]
            await _receive_plan(conn, ground.reference, rows[0][1], mine, wave, at)


def _wanted(ground: WorldGround) -> dict[str, list[tuple[OfferFacts, Place]]]:
    """Return for each place one offer of every stock item that may be shipped from it."""
    wanted: dict[str, dict[uuid.UUID, tuple[OfferFacts, Place]]] = {}
    for offer in (one for offers in ground.offers.values() for one in offers):
        for place in places_for(ground.reference, offer):
            wanted.setdefault(place.place_code, {}).setdefault(offer.stock_item_id, (offer, place))
    return {place_code: list(rows.values()) for place_code, rows in wanted.items()}


def places_for(reference: Reference, offer: OfferFacts) -> list[Place]:
    """Return the places that an offer may be shipped from: its merchant's sites, or the platform's places that serve the store."""
    plan = reference.registry.plan(offer.model_code)
    store = reference.marketplaces[offer.marketplace_code]
    found: list[Place] = []
    for place in reference.network.places.values():
        if not plan.ships_from(PlaceKind(place.kind)) or place.merchant_id not in {None, offer.merchant_id}:
            continue
        is_near = place.merchant_id is not None or place.country_code == store.country_code
        if is_near or plan.regime_at(PlaceKind(place.kind)) is not None:
            found.append(place)
    return found


async def _receive_plan(conn: Conn, reference: Reference, place: Place, offers: Sequence[OfferFacts], wave: int, at: datetime) -> None:
    """Announce, scan, stow and close one merchant's stock at one place."""
    merchant_id = offers[0].merchant_id
    status = next(
        iter({plan.receipt_customs_status(PlaceKind(place.kind)) for plan in reference.registry.plans() if plan.ships_from(PlaceKind(place.kind))})
    )
    plan_id = derived_id("world_plan", merchant_id, place.place_code, wave)
    lines = tuple(
        NewInboundLine(
            number,
            offer.stock_item_id,
            UNITS_PER_ITEM,
            f"LOT-{wave:02d}" if offer.is_lot_controlled else "-",
            at.date() + timedelta(days=400) if offer.is_expiry_controlled else None,
        )
        for number, offer in enumerate(offers, start=1)
    )
    plan = NewPlan(
        merchant_id, plan_id, place.place_code, place.country_code, InboundKind.OWN_CARRIER, is_cross_border=False, importer_of_record=None,
        announced_at=at, lines=lines, customs_status=status,
    )  # fmt: skip
    ref = PlanRef(merchant_id, plan_id)
    await announce(conn, reference, [plan], STAFF, at)
    await depart(conn, [ref], at)
    device = f"world-{merchant_id}-{wave}"
    scans = [
        DockScan(
            ScanKey(place.place_code, device, line.line_no),
            at,
            merchant_id,
            plan_id,
            line.line_no,
            line.announced - line.line_no % 3,
            line.line_no % 3,
        )
        for line in lines
    ]
    await receive(conn, scans, STAFF, at)
    needs = await stow_needs(conn, [ref], [merchant_id] * len(lines), [line.stock_item_id for line in lines])
    choices = choose_bins(needs, bins_of(place.place_code), [])
    stows = [
        StowScan(
            ScanKey(place.place_code, f"{device}-stow", number), at, merchant_id, plan_id, choice.need.line_no, choice.need.goods.condition_code,
            choice.quantity, choice.bin_code,
        )
        for number, choice in enumerate(choices)
        if choice.bin_code is not None
    ]  # fmt: skip
    await stow(conn, stows, at)
    await close(conn, [ref], STAFF, at)
