"""Buyers, addresses and identities: what may be known about a person, and what is sealed."""

import uuid
from dataclasses import dataclass
from datetime import datetime

from entrepot.base.errors import ConflictError, UnavailableError, UnknownReferenceError
from entrepot.base.ids import derived_id
from entrepot.parties.model import Outcome


class UnknownBuyerError(UnknownReferenceError):
    """No buyer has this id; the caller registers the buyer first."""


class PersonErasedError(ConflictError):
    """The person's data was erased for good; the person registers again as somebody new."""


class MasterKeyUnusableError(UnavailableError):
    """The master key for personal data has the wrong length or does not fit the stored keys; the operator restores the right one."""


@dataclass(frozen=True, slots=True)
class PersonalDetails:
    """What a buyer tells about itself; kept sealed."""

    name: str
    email: str = ""
    phone: str = ""


@dataclass(frozen=True, slots=True)
class AddressDetails:
    """The part of an address that points to a person; kept sealed."""

    recipient: str
    lines: tuple[str, ...]
    city: str
    postcode: str
    phone: str = ""


@dataclass(frozen=True, slots=True)
class NewBuyer:
    """A buyer to register; without details it is an anonymous buyer."""

    person_id: uuid.UUID
    country_code: str
    details: PersonalDetails | None = None


@dataclass(frozen=True, slots=True)
class Buyer:
    """A buyer; details are None for anonymous and erased ones."""

    person_id: uuid.UUID
    country_code: str
    is_anonymous: bool
    registered_at: datetime
    details: PersonalDetails | None


@dataclass(frozen=True, slots=True)
class NewAddress:
    """An address to add: its zone (state or province) and postcode prefix stay readable for lanes and rules."""

    person_id: uuid.UUID
    address_id: uuid.UUID
    country_code: str
    zone: str
    postcode_prefix: str
    details: AddressDetails


@dataclass(frozen=True, slots=True)
class AddressFacts:
    """The part of an address that points to nobody."""

    person_id: uuid.UUID
    address_id: uuid.UUID
    country_code: str
    zone: str
    postcode_prefix: str


@dataclass(frozen=True, slots=True)
class OpenedAddress:
    """An address with what was sealed in it; None once the person is erased."""

    facts: AddressFacts
    details: AddressDetails | None


@dataclass(frozen=True, slots=True)
class IdentityClaim:
    """A resident id whose form was validated before, the holder's name, and whether the registry found that both belong together."""

    person_id: uuid.UUID
    resident_id: str
    name: str
    is_name_matched: bool


@dataclass(frozen=True, slots=True)
class IdentityDetails:
    """What a customs declaration needs of an identity; kept sealed."""

    resident_id: str
    name: str


@dataclass(frozen=True, slots=True)
class IdentityFacts:
    """A checked identity without its number; `quota_person_id` is the same for every account of the same resident."""

    person_id: uuid.UUID
    identity_id: uuid.UUID
    quota_person_id: uuid.UUID
    is_name_matched: bool
    verified_at: datetime


@dataclass(frozen=True, slots=True)
class VerifiedIdentity:
    """A recorded identity and whether it is new."""

    identity_id: uuid.UUID
    quota_person_id: uuid.UUID
    outcome: Outcome


def anonymous_buyer_id(country_code: str) -> uuid.UUID:
    """Return the id of the one anonymous buyer of a country, for sales that name no customer."""
    return derived_id("anonymous_buyer", country_code)
