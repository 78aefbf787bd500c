"""Customs territories by date: unions count as one place, and a border is crossed only between them."""

from collections.abc import Mapping
from datetime import date
from types import MappingProxyType
from typing import Final

_ALWAYS: Final = date(1993, 1, 1)
_BREXIT: Final = date(2021, 1, 1)
_OPEN: Final = date.max

EU: Final = "EU"

_Membership = tuple[date, date, str]

_MEMBERSHIPS: Final[Mapping[str, tuple[_Membership, ...]]] = MappingProxyType(
    {
        **dict.fromkeys(("BE", "DE", "DK", "ES", "FR", "GR", "IE", "IT", "LU", "MC", "NL", "PT"), ((_ALWAYS, _OPEN, EU),)),
        **dict.fromkeys(("AT", "FI", "SE"), ((date(1995, 1, 1), _OPEN, EU),)),
        **dict.fromkeys(("CY", "CZ", "EE", "HU", "LT", "LV", "MT", "PL", "SI", "SK"), ((date(2004, 5, 1), _OPEN, EU),)),
        **dict.fromkeys(("BG", "RO"), ((date(2007, 1, 1), _OPEN, EU),)),
        "HR": ((date(2013, 7, 1), _OPEN, EU),),
        **dict.fromkeys(("GB", "GG", "IM", "JE"), ((_ALWAYS, _BREXIT, EU), (_BREXIT, _OPEN, "GB"))),
        "LI": ((_ALWAYS, _OPEN, "CH"),),
    }
)
"""Per country its customs unions with first day and first day after (accession treaties; United Kingdom out since 2021)."""


def territory_of(country_code: str, on: date) -> str:
    """Return the customs territory of a country on a date; a country in no union is its own territory."""
    for effective_from, effective_to, territory_code in _MEMBERSHIPS.get(country_code, ()):
        if effective_from <= on < effective_to:
            return territory_code
    return country_code


def crosses_border(from_country: str, to_country: str, on: date) -> bool:
    """Tell whether goods between two countries cross a customs-territory border on a date."""
    return from_country != to_country and territory_of(from_country, on) != territory_of(to_country, on)
