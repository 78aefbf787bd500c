"""Buyers, addresses and identities: what may be known about a person, and what is sealed."""

import uuid
from datetime import datetime

from msgspec import Struct

from entrepot.base.errors import ConflictError, UnavailableError, UnknownReferenceError
from entrepot.base.ids import derived_id
from entrepot.parties.model import Outcome


class UnknownBuyerError(UnknownReferenceError):
    """No buyer has this id; the caller registers the buyer first."""


class PersonErasedError(ConflictError):
    """The person's data was erased for good; the person registers again as somebody new."""


class MasterKeyUnusableError(UnavailableError):
    """The master key for personal data has the wrong length or does not fit the stored keys; the operator restores the right one."""


class PersonalDetails(Struct, frozen=True):
    """What a buyer tells about itself; kept sealed."""

    name: str
    email: str = ""
    phone: str = ""


class AddressDetails(Struct, frozen=True):
    """The part of an address that points to a person; kept sealed."""

    recipient: str
    lines: tuple[str, ...]
    city: str
    postcode: str
    phone: str = ""


class NewBuyer(Struct, frozen=True):
    """A buyer to register; without details it is an anonymous buyer."""

    person_id: uuid.UUID
    country_code: str
    details: PersonalDetails | None = None


class Buyer(Struct, frozen=True):
    """A buyer; details are None for anonymous and erased ones."""

    person_id: uuid.UUID
    country_code: str
    is_anonymous: bool
    registered_at: datetime
    details: PersonalDetails | None


class NewAddress(Struct, frozen=True):
    """An address to add: its zone (state or province) and postcode prefix stay readable for lanes and rules."""

    person_id: uuid.UUID
    address_id: uuid.UUID
    country_code: str
    zone: str
    postcode_prefix: str
    details: AddressDetails


class AddressFacts(Struct, frozen=True):
    """The part of an address that points to nobody."""

    person_id: uuid.UUID
    address_id: uuid.UUID
    country_code: str
    zone: str
    postcode_prefix: str


class OpenedAddress(Struct, frozen=True):
    """An address with what was sealed in it; None once the person is erased."""

    facts: AddressFacts
    details: AddressDetails | None


class IdentityClaim(Struct, frozen=True):
    """A resident id whose form was validated before, the holder's name, and whether the registry found that both belong together."""

    person_id: uuid.UUID
    resident_id: str
    name: str
    is_name_matched: bool


class IdentityDetails(Struct, frozen=True):
    """What a customs declaration needs of an identity; kept sealed."""

    resident_id: str
    name: str


class IdentityFacts(Struct, frozen=True):
    """A checked identity without its number; `quota_person_id` is the same for every account of the same resident."""

    person_id: uuid.UUID
    identity_id: uuid.UUID
    quota_person_id: uuid.UUID
    is_name_matched: bool
    verified_at: datetime


class VerifiedIdentity(Struct, frozen=True):
    """A recorded identity and whether it is new."""

    identity_id: uuid.UUID
    quota_person_id: uuid.UUID
    outcome: Outcome


def anonymous_buyer_id(country_code: str) -> uuid.UUID:
    """Return the id of the one anonymous buyer of a country, for sales that name no customer."""
    return derived_id("anonymous_buyer", country_code)
