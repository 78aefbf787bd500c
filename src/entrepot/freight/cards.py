"""Rate cards of the built-in carriers and the foreign tracking vocabularies, read from the seed files that ship with the product."""

from collections.abc import Mapping
from datetime import date
from functools import cache
from importlib import resources
from types import MappingProxyType

import msgspec
from msgspec import Struct

from entrepot.base.errors import RefusedInputError, UnknownReferenceError
from entrepot.freight.identifiers import Numbering
from entrepot.freight.model import TrackingState, billable_weight_g


class UnknownCarrierError(UnknownReferenceError):
    """No rate card of this carrier is installed; the operator installs one or the sender names another carrier."""


class UnknownTrackingCodeError(UnknownReferenceError):
    """The vocabulary does not hold this code, or the operator has not confirmed what it means."""


class NoRateCardOnDateError(RefusedInputError):
    """The carrier has no rate card in force on this date."""


class RateRow(Struct, frozen=True):
    """Price and transit days of a service from some countries into a zone: a first weight, then equal steps; minor units, calendar days."""

    from_countries: tuple[str, ...]
    zone: str
    currency: str
    first_weight_g: int
    first_minor: int
    step_weight_g: int
    step_minor: int
    days_min: int
    days_max: int


class ServiceCard(Struct, frozen=True):
    """A service of a carrier: its volumetric divisor (none: volume is free), its greatest weight (none: any) and its rows.

    One that starts in bond takes parcels out of a bonded warehouse only.
    """

    service_code: str
    name: str
    mode: str
    divisor_mm3_per_g: int | None
    max_weight_g: int | None
    rows: tuple[RateRow, ...]
    starts_in_bond: bool = False


class CardVersion(Struct, frozen=True):
    """A dated version of a rate card; `effective_to` is exclusive."""

    version: str
    effective_from: date
    effective_to: date | None
    is_active: bool
    source: str
    confidence: str
    services: tuple[ServiceCard, ...]


class NumberRange(Struct, frozen=True):
    """The range that a carrier lets us allot tracking numbers from."""

    scheme: Numbering
    prefix: str
    suffix: str


class CarrierCard(Struct, frozen=True):
    """A carrier: its kind, numbers and dated prices."""

    carrier_code: str
    name: str
    kind: str
    numbering: NumberRange
    versions: tuple[CardVersion, ...]


class RateRequest(Struct, frozen=True):
    """What shall be carried from where to where on which date."""

    from_country_code: str
    to_country_code: str
    weight_g: int
    volume_mm3: int
    on: date


class RateQuote(Struct, frozen=True):
    """What a carrier asks for a parcel and how many calendar days it takes; `rate_version` names the card."""

    carrier_code: str
    service_code: str
    mode: str
    cost_minor: int
    currency: str
    billable_weight_g: int
    days_min: int
    days_max: int
    rate_version: str
    confidence: str
    starts_in_bond: bool


class ForeignCode(Struct, frozen=True):
    """What one code of a foreign tracking vocabulary means; codes from memory stay off until the operator confirms them."""

    code: str
    state: TrackingState
    meaning: str
    source: str
    confidence: str
    is_active: bool


class _Vocabularies(Struct, frozen=True):
    vocabularies: dict[str, tuple[ForeignCode, ...]]


class _Zones(Struct, frozen=True):
    regions: dict[str, tuple[str, ...]]


@cache
def read_carriers() -> Mapping[str, CarrierCard]:
    """Return the rate cards that ship with the product by carrier code."""
    folder = resources.files("entrepot.freight").joinpath("rates")
    files = sorted((entry for entry in folder.iterdir() if entry.name.startswith("carrier_")), key=lambda entry: entry.name)
    cards = [msgspec.json.decode(entry.read_bytes(), type=CarrierCard) for entry in files]
    return MappingProxyType({card.carrier_code: card for card in cards})


@cache
def read_regions() -> Mapping[str, str]:
    """Return the region of each country that has one; all others are one region, the rest of the world."""
    zones = msgspec.json.decode(resources.files("entrepot.freight").joinpath("rates", "zones.json").read_bytes(), type=_Zones)
    return MappingProxyType({country: region for region, countries in zones.regions.items() for country in countries})


@cache
def read_vocabularies() -> Mapping[str, Mapping[str, ForeignCode]]:
    """Return the foreign tracking vocabularies by name and code."""
    raw = msgspec.json.decode(resources.files("entrepot.freight").joinpath("seed", "vocabularies.json").read_bytes(), type=_Vocabularies)
    return MappingProxyType({name: MappingProxyType({row.code: row for row in rows}) for name, rows in raw.vocabularies.items()})


def normalised_state(vocabulary: str, code: str) -> TrackingState:
    """Return our word for a carrier's code; an unknown or unconfirmed one is refused."""
    row = read_vocabularies().get(vocabulary, {}).get(code)
    if row is None:
        raise UnknownTrackingCodeError("code", f"{vocabulary}:{code}", "Add the code to the vocabulary.")
    if not row.is_active:
        raise UnknownTrackingCodeError("code", f"{vocabulary}:{code}", "The operator must confirm that it means %(state)s.", state=row.state)
    return row.state


def carrier_card(carrier_code: str) -> CarrierCard:
    """Return a carrier's card or refuse an unknown carrier."""
    card = read_carriers().get(carrier_code)
    if card is None:
        raise UnknownCarrierError(
            "carrier_code", carrier_code, "Use one of %(choices)s or give the carrier's own label.", choices=sorted(read_carriers())
        )
    return card


def card_version(card: CarrierCard, on: date) -> CardVersion:
    """Return the version of a card that is in force on a date."""
    for version in card.versions:
        if version.is_active and version.effective_from <= on and (version.effective_to is None or on < version.effective_to):
            return version
    raise NoRateCardOnDateError("on", on.isoformat(), "%(carrier)s has no card in force then; the operator installs one.", carrier=card.carrier_code)


def zone_of(from_country_code: str, to_country_code: str, regions: Mapping[str, str]) -> str:
    """Return how far apart two countries are for a rate card: domestic, region or world."""
    if from_country_code == to_country_code:
        return "domestic"
    region = regions.get(from_country_code)
    return "region" if region is not None and region == regions.get(to_country_code) else "world"


def quote_services(card: CarrierCard, request: RateRequest) -> list[RateQuote]:
    """Return what each service of a card asks for a parcel; services that do not go there or that are too small are left out."""
    version = card_version(card, request.on)
    zone = zone_of(request.from_country_code, request.to_country_code, read_regions())
    quotes: list[RateQuote] = []
    for service in version.services:
        row = _row_for(service, request.from_country_code, zone)
        weight_g = billable_weight_g(request.weight_g, request.volume_mm3, service.divisor_mm3_per_g)
        if row is None or (service.max_weight_g is not None and max(weight_g, request.weight_g) > service.max_weight_g):
            continue
        steps = max(0, -(-(weight_g - row.first_weight_g) // row.step_weight_g))
        quotes.append(
            RateQuote(
                card.carrier_code,
                service.service_code,
                service.mode,
                row.first_minor + steps * row.step_minor,
                row.currency,
                weight_g,
                row.days_min,
                row.days_max,
                version.version,
                version.confidence,
                service.starts_in_bond,
            )
        )
    return quotes


def _row_for(service: ServiceCard, from_country_code: str, zone: str) -> RateRow | None:
    """Return the row of the origin, else the row for all other origins (*)."""
    rows = [row for row in service.rows if row.zone == zone]
    for origin in (from_country_code, "*"):
        for row in rows:
            if origin in row.from_countries:
                return row
    return None
