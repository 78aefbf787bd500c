"""The demo's parties: the platform's legal entities and their roles, merchants with approved checks, buyers and sign-ins, all plainly fictional."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from importlib.resources import files
from types import MappingProxyType
from typing import Final

import msgspec
from msgspec import Struct

from entrepot.base.actor import Actor, ActorKind
from entrepot.base.ids import derived_id
from entrepot.base.sql import Conn
from entrepot.parties.accounts import NewStaff, StaffRole
from entrepot.parties.buyers import add_addresses, register_buyers, verify_identities
from entrepot.parties.commands import add_bank_accounts, add_registrations, appoint_role_holders, decide_kyc, file_kyc, register_merchants
from entrepot.parties.model import (
    INBOUND_GATE,
    PAYOUT_GATE,
    BankAccount,
    KycDecision,
    KycFiling,
    KycState,
    MerchantKind,
    ModelOpening,
    NewMerchant,
    Registration,
    RoleHolder,
    listing_gate,
    merchant_id_of,
)
from entrepot.parties.people import AddressDetails, IdentityClaim, NewAddress, NewBuyer, PersonalDetails
from entrepot.parties.sealing import Keyring
from entrepot.parties.sign_in import create_staff, hash_password
from entrepot.parties.workplaces import Workplace, add_workplaces

DEMO: Final = Actor(ActorKind.PROGRAM, "demo", "operator")
"""The program that fills a database with the demo's parties."""


class SeedRegistration(Struct, frozen=True):
    """A registration as the seed file names it."""

    country_code: str
    kind: str
    number: str


class SeedOpening(Struct, frozen=True):
    """A model in a marketplace that a demo merchant sells by."""

    marketplace_code: str
    model_code: str


class SeedMerchant(Struct, frozen=True):
    """A legal entity or merchant of the seed file."""

    code: str
    name: str
    country_code: str
    payout_currency: str
    time_zone: str
    registrations: tuple[SeedRegistration, ...]
    openings: tuple[SeedOpening, ...] = ()


class SeedRole(Struct, frozen=True):
    """A role of a marketplace and the code of the entity that fills it."""

    marketplace_code: str
    role_code: str
    entity: str


class SeedAddress(Struct, frozen=True):
    """An invented address."""

    recipient: str
    lines: tuple[str, ...]
    city: str
    zone: str
    postcode: str
    postcode_prefix: str


class SeedIdentity(Struct, frozen=True):
    """The sample number that the standard GB 11643 itself prints, with an invented name."""

    resident_id: str
    name: str


class SeedBuyer(Struct, frozen=True):
    """An invented buyer."""

    code: str
    country_code: str
    name: str
    email: str
    phone: str
    address: SeedAddress
    identity: SeedIdentity | None = None


class DemoSignIn(Struct, frozen=True):
    """A login of the demo; the password is public."""

    login: str
    password: str
    role: StaffRole
    display_name: str
    merchant: str | None = None
    person: str | None = None
    place_code: str | None = None
    more_places: tuple[str, ...] = ()


class SeedParties(Struct, frozen=True):
    """The seed file."""

    note: str
    effective_from: date
    source: str
    confidence: str
    entities: tuple[SeedMerchant, ...]
    role_holders: tuple[SeedRole, ...]
    merchants: tuple[SeedMerchant, ...]
    buyers: tuple[SeedBuyer, ...]
    sign_ins: tuple[DemoSignIn, ...]


class DemoParties(Struct, frozen=True):
    """What was loaded, by code; `openings` are left to the caller, who knows the admission rules of the models."""

    entity_ids: Mapping[str, uuid.UUID]
    merchant_ids: Mapping[str, uuid.UUID]
    person_ids: Mapping[str, uuid.UUID]
    address_ids: Mapping[str, uuid.UUID]
    identity_ids: Mapping[str, uuid.UUID]
    openings: tuple[ModelOpening, ...]
    sign_ins: tuple[DemoSignIn, ...]


def read_seed_parties() -> SeedParties:
    """Return the parties of the seed file."""
    return msgspec.json.decode((files("entrepot.parties") / "seed" / "demo_parties.json").read_bytes(), type=SeedParties)


async def load_demo_parties(conn: Conn, keyring: Keyring, at: datetime) -> DemoParties:
    """Load legal entities, roles, merchants with approved checks, buyers and sign-ins; a second call changes nothing."""
    seed = read_seed_parties()
    await load_legal_entities(conn, at)
    await _load_parties(conn, seed, seed.merchants, MerchantKind.MERCHANT, at)
    await _load_checks(conn, seed, at)
    identity_ids = await _load_buyers(conn, keyring, seed, at)
    await _load_sign_ins(conn, seed, at)
    return DemoParties(
        entity_ids=MappingProxyType({entity.code: merchant_id_of(entity.code) for entity in seed.entities}),
        merchant_ids=MappingProxyType({merchant.code: merchant_id_of(merchant.code) for merchant in seed.merchants}),
        person_ids=MappingProxyType({buyer.code: demo_person_id(buyer.code) for buyer in seed.buyers}),
        address_ids=MappingProxyType({buyer.code: demo_address_id(buyer.code) for buyer in seed.buyers}),
        identity_ids=identity_ids,
        openings=tuple(
            ModelOpening(merchant_id_of(merchant.code), opening.marketplace_code, opening.model_code)
            for merchant in seed.merchants
            for opening in merchant.openings
        ),
        sign_ins=seed.sign_ins,
    )


def demo_person_id(code: str) -> uuid.UUID:
    """Return the id of the demo buyer with this code."""
    return derived_id("demo_person", code)


def demo_address_id(code: str) -> uuid.UUID:
    """Return the id of the address of the demo buyer with this code."""
    return derived_id("demo_address", code)


async def load_legal_entities(conn: Conn, at: datetime) -> None:
    """Load the platform's legal entities and let them fill their roles, which every house needs; a second call changes nothing."""
    seed = read_seed_parties()
    await _load_parties(conn, seed, seed.entities, MerchantKind.PLATFORM, at)
    holders = [
        RoleHolder(role.marketplace_code, role.role_code, merchant_id_of(role.entity), seed.effective_from, None, seed.source, seed.confidence)
        for role in seed.role_holders
    ]
    await appoint_role_holders(conn, holders, DEMO, at)


async def _load_parties(conn: Conn, seed: SeedParties, rows: Sequence[SeedMerchant], kind: MerchantKind, at: datetime) -> None:
    """Register parties of one kind with their numbers and bank accounts."""
    await register_merchants(
        conn, [NewMerchant(row.code, row.name, row.country_code, row.payout_currency, row.time_zone, kind) for row in rows], DEMO, at
    )
    await add_registrations(
        conn,
        [
            Registration(merchant_id_of(row.code), number.country_code, number.kind, number.number, seed.effective_from)
            for row in rows
            for number in row.registrations
        ],
        DEMO,
        at,
    )
    await add_bank_accounts(
        conn,
        [
            BankAccount(merchant_id_of(row.code), row.payout_currency, f"demo-account-{row.code}", "0000", row.country_code, seed.effective_from)
            for row in rows
        ],
        DEMO,
        at,
    )


async def _load_checks(conn: Conn, seed: SeedParties, at: datetime) -> None:
    """File and approve every gate that the demo merchants need."""
    gates = [
        (merchant_id_of(row.code), gate)
        for row in seed.merchants
        for gate in [*dict.fromkeys(listing_gate(opening.marketplace_code) for opening in row.openings), INBOUND_GATE, PAYOUT_GATE]
    ]
    await file_kyc(conn, [KycFiling(merchant_id, gate, ("demo-document",)) for merchant_id, gate in gates], DEMO, at)
    await decide_kyc(conn, [KycDecision(merchant_id, gate, KycState.APPROVED) for merchant_id, gate in gates], DEMO, at)


async def _load_buyers(conn: Conn, keyring: Keyring, seed: SeedParties, at: datetime) -> Mapping[str, uuid.UUID]:
    """Register the buyers with address and, where there is one, identity; return the identity ids by buyer code."""
    buyers = [NewBuyer(demo_person_id(row.code), row.country_code, PersonalDetails(row.name, row.email, row.phone)) for row in seed.buyers]
    await register_buyers(conn, keyring, buyers, at)
    addresses: list[NewAddress] = []
    for row in seed.buyers:
        where = row.address
        details = AddressDetails(where.recipient, where.lines, where.city, where.postcode, row.phone)
        addresses.append(
            NewAddress(demo_person_id(row.code), demo_address_id(row.code), row.country_code, where.zone, where.postcode_prefix, details)
        )
    await add_addresses(conn, keyring, addresses, at)
    known = [(row.code, row.identity) for row in seed.buyers if row.identity is not None]
    claims = [IdentityClaim(demo_person_id(code), identity.resident_id, identity.name, is_name_matched=True) for code, identity in known]
    verified = await verify_identities(conn, keyring, claims, at)
    return MappingProxyType({code: told.identity_id for (code, _), told in zip(known, verified, strict=True)})


async def _load_sign_ins(conn: Conn, seed: SeedParties, at: datetime) -> None:
    """Create the accounts; equal public passwords share one hash, since hashing is slow on purpose."""
    hashes = {password: hash_password(password) for password in sorted({row.password for row in seed.sign_ins})}
    staff = [
        NewStaff(
            derived_id("demo_staff", row.login),
            row.login,
            hashes[row.password],
            row.display_name,
            row.role,
            None if row.merchant is None else merchant_id_of(row.merchant),
            None if row.person is None else demo_person_id(row.person),
            row.place_code,
        )
        for row in seed.sign_ins
    ]
    await create_staff(conn, staff, at)
    await add_workplaces(conn, [Workplace(derived_id("demo_staff", row.login), place) for row in seed.sign_ins for place in row.more_places])
