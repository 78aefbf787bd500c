"""The demo network's places, read from the seed file."""

import uuid
from collections.abc import Mapping
from importlib import resources

import msgspec
from msgspec import Struct

from entrepot.sourcing.model import Place


class _SeedPlace(Struct, frozen=True):
    """A place of the seed file; `merchant` is the code of the merchant whose site it is."""

    place_code: str
    name: str
    kind: str
    country_code: str
    time_zone: str
    cutoff_hour: int
    latitude_e6: int
    longitude_e6: int
    merchant: str | None


class _SeedPlaces(Struct, frozen=True):
    note: str
    places: tuple[_SeedPlace, ...]


def demo_places(merchant_ids: Mapping[str, uuid.UUID]) -> list[Place]:
    """Return the platform's places and the sites of those merchants (ids by code) that are given."""
    raw = resources.files("entrepot.sourcing").joinpath("seed", "places.json").read_bytes()
    return [
        Place(
            row.place_code,
            row.name,
            row.kind,
            row.country_code,
            row.time_zone,
            row.cutoff_hour,
            merchant_ids[row.merchant] if row.merchant else None,
            latitude_e6=row.latitude_e6,
            longitude_e6=row.longitude_e6,
        )
        for row in msgspec.json.decode(raw, type=_SeedPlaces).places
        if row.merchant is None or row.merchant in merchant_ids
    ]
