"""Where things go: the address as the form holds it, a buyer's saved addresses, and what is wrong with a field in words."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from entrepot.base.ids import derived_id
from entrepot.base.sql import Conn
from entrepot.catalogue.model import Marketplace
from entrepot.parties.buyers import list_addresses
from entrepot.parties.people import OpenedAddress
from entrepot.parties.postal import AddressDraft, AddressFault, AddressField, address_rules
from entrepot.surfaces.web.access import Visitor
from entrepot.surfaces.web.house import House
from entrepot.surfaces.web.languages import Language, mark
from entrepot.surfaces.web.storefront import deliverable

_LABELS: Final[Mapping[str, str]] = {
    "recipient": mark("Full name"),
    "street": mark("Street and number"),
    "phone": mark("Telephone"),
    "city": mark("City"),
    "post_town": mark("Town"),
    "suburb": mark("Suburb"),
    "district": mark("District"),
    "state": mark("State"),
    "province": mark("Province"),
    "prefecture": mark("Prefecture"),
    "county": mark("County"),
    "department": mark("Department"),
    "zip": mark("ZIP code"),
    "postal": mark("Postcode"),
    "eircode": mark("Eircode"),
    "pin": mark("PIN code"),
}
_OTHER_LABELS: Final = {AddressField.ZONE: mark("Province"), AddressField.CITY: mark("City"), AddressField.POSTCODE: mark("Postcode")}
_FAULTS: Final[Mapping[AddressFault, str]] = {
    AddressFault.REQUIRED: mark("Fill this in."),
    AddressFault.INVALID: mark("This does not exist in that country."),
    AddressFault.TOO_LONG: mark("Use at most 100 characters."),
}
_AUTOCOMPLETE: Final[Mapping[AddressField, str]] = {
    AddressField.RECIPIENT: "name",
    AddressField.STREET: "street-address",
    AddressField.CITY: "address-level2",
    AddressField.ZONE: "address-level1",
    AddressField.POSTCODE: "postal-code",
    AddressField.PHONE: "tel",
}


class DoorField(Struct, frozen=True):
    """A field of the address form with what was entered and what is wrong with it."""

    name: str
    label: str
    value: str
    is_required: bool
    example: str
    autocomplete: str
    choices: tuple[tuple[str, str], ...]
    fault: str


def delivery_address_id(checkout_id: uuid.UUID) -> uuid.UUID:
    """Return the id of the address that a checkout is delivered to: a copy, so that what was ordered keeps its way when the buyer moves."""
    return derived_id("delivery", checkout_id)


def read_draft(form: Mapping[str, str], country_code: str) -> AddressDraft:
    """Read the address that a form holds."""
    values = {str(field): form.get(str(field), "").replace("\r\n", "\n").strip()[:200] for field in AddressField}
    return AddressDraft(country_code, **values)


def draft_of(opened: OpenedAddress) -> AddressDraft:
    """Return a saved address as a form would hold it; an erased one is empty."""
    facts, details = opened.facts, opened.details
    if details is None:
        return AddressDraft(facts.country_code)
    return AddressDraft(facts.country_code, details.recipient, "\n".join(details.lines), details.city, facts.zone, details.postcode, details.phone)


def door_fields(language: Language, draft: AddressDraft, faults: Mapping[AddressField, AddressFault]) -> list[DoorField]:
    """Return the fields of a country's addresses in its own order."""
    _ = language.gettext
    return [
        DoorField(
            str(rule.field),
            _(_LABELS.get(rule.label_code) or _OTHER_LABELS[rule.field]),
            str(getattr(draft, rule.field)),
            rule.is_required,
            rule.example,
            _AUTOCOMPLETE[rule.field],
            rule.choices,
            _fault(language, faults[rule.field], rule.example) if rule.field in faults else "",
        )
        for rule in address_rules(draft.country_code)
    ]


def _fault(language: Language, fault: AddressFault, example: str) -> str:
    if fault is AddressFault.INVALID and example:
        return language.gettext("This does not exist in that country; write it like %(example)s.", example=example)
    return language.gettext(_FAULTS[fault])


async def saved_addresses(conn: Conn, house: House, person_id: uuid.UUID | None) -> list[OpenedAddress]:
    """Return the different addresses of a buyer, the one used last first; those of an erased person are left out."""
    if person_id is None:
        return []
    opened = await list_addresses(conn, house.keyring, person_id)
    different = {(one.facts.country_code, one.facts.zone, one.details): one for one in opened if one.details is not None}
    order = {(one.facts.country_code, one.facts.zone, one.details): place for place, one in enumerate(opened)}
    return [one for _, one in sorted(different.items(), key=lambda pair: -order[pair[0]])]


async def known_door(conn: Conn, house: House, visitor: Visitor, marketplace: Marketplace, asked: tuple[str, str]) -> tuple[str, str]:
    """Return the country and postcode to quote for: those asked for, else of the buyer's latest address that the store delivers to."""
    country, postcode = asked[0], asked[1][:12]
    if country or postcode:
        return deliverable(marketplace, country), postcode
    latest = latest_in(await saved_addresses(conn, house, visitor.person_id), marketplace)
    if latest is None or latest.details is None:
        return deliverable(marketplace, ""), ""
    return latest.facts.country_code, latest.details.postcode


def latest_in(addresses: Sequence[OpenedAddress], marketplace: Marketplace) -> OpenedAddress | None:
    """Return the latest address that a store delivers to."""
    return next((one for one in addresses if one.facts.country_code in marketplace.destination_codes), None)
