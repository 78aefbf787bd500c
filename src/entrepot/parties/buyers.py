"""Register buyers, their addresses and identities, read what was sealed, and erase a person by dropping its key."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from entrepot.base.ids import derived_id
from entrepot.base.sql import Conn, Row, columns, execute, execute_counted, fetch
from entrepot.parties.countries import require_country
from entrepot.parties.model import Outcome, require_text, tell_outcomes
from entrepot.parties.people import (
    AddressDetails,
    AddressFacts,
    Buyer,
    IdentityClaim,
    IdentityDetails,
    IdentityFacts,
    NewAddress,
    NewBuyer,
    OpenedAddress,
    PersonalDetails,
    PersonErasedError,
    UnknownBuyerError,
    VerifiedIdentity,
)
from entrepot.parties.sealing import Keyring, identity_hash, new_person_key, open_sealed, quota_person_of, seal, unwrap_key, wrap_key


async def register_buyers(conn: Conn, keyring: Keyring, buyers: Sequence[NewBuyer], at: datetime) -> list[Outcome]:
    """Register buyers by their person id, with sealed details or anonymously; a replay keeps what is stored."""
    for buyer in buyers:
        require_country(buyer.country_code)
    first = {buyer.person_id: buyer for buyer in reversed(buyers)}
    fresh = [first[person_id] for person_id in sorted(first)]
    keys = await _ensure_keys(conn, keyring, [buyer.person_id for buyer in fresh if buyer.details is not None], at)
    rows = await fetch(
        conn,
        """
        insert into buyer (person_id, country_code, is_anonymous, sealed, registered_at)
        select t.*, %(at)s from unnest(%(person_id)s::uuid[], %(country_code)s::text[], %(anonymous)s::boolean[], %(sealed)s::bytea[]) as t
        on conflict do nothing returning person_id
        """,
        columns(fresh, "person_id", "country_code")
        | {
            "anonymous": [buyer.details is None for buyer in fresh],
            "sealed": [None if buyer.details is None else seal(keys[buyer.person_id], buyer.person_id, buyer.details) for buyer in fresh],
            "at": at,
        },
    )
    new = frozenset(row[0] for row in rows)
    older = await fetch(
        conn,
        "select person_id, country_code, is_anonymous from buyer where person_id = any(%(ids)s::uuid[])",
        {"ids": [person_id for person_id in first if person_id not in new]},
    )
    stored: dict[object, object] = {row[0]: (row[1], row[2]) for row in older}
    return tell_outcomes(buyers, lambda buyer: buyer.person_id, new, stored, lambda buyer: (buyer.country_code, buyer.details is None))


async def read_buyers(conn: Conn, keyring: Keyring, person_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Buyer]:
    """Return the buyers among these ids, opened where their key still exists."""
    rows = await fetch(
        conn,
        """
        select b.person_id, b.country_code, b.is_anonymous, b.registered_at, b.sealed, k.wrapped_key
        from buyer b left join person_key k on k.person_id = b.person_id where b.person_id = any(%(ids)s::uuid[])
        """,
        {"ids": list(person_ids)},
    )
    found: dict[uuid.UUID, Buyer] = {}
    for person_id, country_code, is_anonymous, registered_at, sealed, wrapped in rows:
        details = (
            None if sealed is None or wrapped is None else open_sealed(unwrap_key(keyring, person_id, wrapped), person_id, sealed, PersonalDetails)
        )
        found[person_id] = Buyer(person_id, country_code, is_anonymous, registered_at, details)
    return found


async def find_buyers(conn: Conn, person_ids: Sequence[uuid.UUID]) -> frozenset[uuid.UUID]:
    """Return which of these buyers exist."""
    rows = await fetch(conn, "select person_id from buyer where person_id = any(%(persons)s::uuid[])", {"persons": list(person_ids)})
    return frozenset(row[0] for row in rows)


async def add_addresses(conn: Conn, keyring: Keyring, addresses: Sequence[NewAddress], at: datetime) -> list[Outcome]:
    """Add addresses of registered buyers; country, zone and postcode prefix stay readable, the rest is sealed."""
    for address in addresses:
        require_country(address.country_code)
    await _require_buyers(conn, [address.person_id for address in addresses])
    keys = await _ensure_keys(conn, keyring, [address.person_id for address in addresses], at)
    first = {_address_key(address): address for address in reversed(addresses)}
    fresh = [first[key] for key in sorted(first)]
    rows = await fetch(
        conn,
        """
        insert into address (person_id, address_id, country_code, zone, postcode_prefix, sealed, added_at)
        select t.*, %(at)s from unnest(%(person_id)s::uuid[], %(address_id)s::uuid[], %(country_code)s::text[], %(zone)s::text[],
            %(postcode_prefix)s::text[], %(sealed)s::bytea[]) as t
        on conflict do nothing returning person_id, address_id
        """,
        columns(fresh, "person_id", "address_id", "country_code", "zone", "postcode_prefix")
        | {"sealed": [seal(keys[address.person_id], address.address_id, address.details) for address in fresh], "at": at},
    )
    new = frozenset(tuple(row) for row in rows)
    facts = await find_addresses(conn, [address.person_id for address in fresh], [address.address_id for address in fresh])
    stored: dict[object, object] = {key: (row.country_code, row.zone, row.postcode_prefix) for key, row in facts.items() if key not in new}
    return tell_outcomes(addresses, _address_key, new, stored, lambda row: (row.country_code, row.zone, row.postcode_prefix))


async def find_addresses(
    conn: Conn, person_ids: Sequence[uuid.UUID], address_ids: Sequence[uuid.UUID]
) -> dict[tuple[uuid.UUID, uuid.UUID], AddressFacts]:
    """Return the readable part of the addresses named by (person, address) pairs."""
    rows = await fetch(
        conn,
        """
        select a.person_id, a.address_id, a.country_code, a.zone, a.postcode_prefix
        from (select distinct * from unnest(%(persons)s::uuid[], %(addresses)s::uuid[]) as t(person_id, address_id)) k
        join address a on a.person_id = k.person_id and a.address_id = k.address_id
        """,
        {"persons": list(person_ids), "addresses": list(address_ids)},
    )
    return {(row[0], row[1]): AddressFacts(*row) for row in rows}


async def list_addresses(conn: Conn, keyring: Keyring, person_id: uuid.UUID) -> list[OpenedAddress]:
    """Return a person's addresses, oldest first."""
    rows = await fetch(conn, _OPEN_ADDRESSES + " where a.person_id = %(person)s order by a.added_at, a.address_id", {"person": person_id})
    return [_opened_address(keyring, row) for row in rows]


async def open_addresses(
    conn: Conn, keyring: Keyring, person_ids: Sequence[uuid.UUID], address_ids: Sequence[uuid.UUID]
) -> dict[tuple[uuid.UUID, uuid.UUID], OpenedAddress]:
    """Return whole addresses for labels and declarations, by (person, address)."""
    rows = await fetch(
        conn,
        _OPEN_ADDRESSES
        + """
        join (select distinct * from unnest(%(persons)s::uuid[], %(addresses)s::uuid[]) as t(person_id, address_id)) k
            on k.person_id = a.person_id and k.address_id = a.address_id
        """,
        {"persons": list(person_ids), "addresses": list(address_ids)},
    )
    return {(row[0], row[1]): _opened_address(keyring, row) for row in rows}


async def verify_identities(conn: Conn, keyring: Keyring, claims: Sequence[IdentityClaim], at: datetime) -> list[VerifiedIdentity]:
    """Record identities whose number was validated before; the same resident under two accounts shares one quota person."""
    for claim in claims:
        require_text(claim.name, "name")
    await _require_buyers(conn, [claim.person_id for claim in claims])
    keys = await _ensure_keys(conn, keyring, [claim.person_id for claim in claims], at)
    hashes = [identity_hash(keyring.identity_secret, claim.resident_id) for claim in claims]
    ids = [derived_id("identity", claim.person_id, hashed.hex()) for claim, hashed in zip(claims, hashes, strict=True)]
    first = {identity_id: index for index, identity_id in reversed(list(enumerate(ids)))}
    picked = [first[identity_id] for identity_id in sorted(first)]
    details = [IdentityDetails(claim.resident_id.strip().upper(), claim.name) for claim in claims]
    rows = await fetch(
        conn,
        """
        insert into identity (person_id, identity_id, identity_hash, quota_person_id, sealed, is_name_matched, verified_at)
        select t.*, %(at)s from unnest(%(persons)s::uuid[], %(ids)s::uuid[], %(hashes)s::bytea[], %(quota)s::uuid[], %(sealed)s::bytea[],
            %(matched)s::boolean[]) as t
        on conflict do nothing returning identity_id
        """,
        {
            "persons": [claims[index].person_id for index in picked],
            "ids": [ids[index] for index in picked],
            "hashes": [hashes[index] for index in picked],
            "quota": [quota_person_of(hashes[index]) for index in picked],
            "sealed": [seal(keys[claims[index].person_id], ids[index], details[index]) for index in picked],
            "matched": [claims[index].is_name_matched for index in picked],
            "at": at,
        },
    )
    new = frozenset(row[0] for row in rows)
    known = await find_identities(conn, [claim.person_id for claim in claims])
    stored: dict[object, object] = {facts.identity_id: facts.is_name_matched for facts in known if facts.identity_id not in new}
    told = tell_outcomes(range(len(claims)), lambda index: ids[index], new, stored, lambda index: claims[index].is_name_matched)
    return [VerifiedIdentity(identity_id, quota_person_of(hashed), outcome) for identity_id, hashed, outcome in zip(ids, hashes, told, strict=True)]


async def find_identities(conn: Conn, person_ids: Sequence[uuid.UUID]) -> list[IdentityFacts]:
    """Return the checked identities of these persons without their numbers, oldest first."""
    rows = await fetch(
        conn,
        """
        select person_id, identity_id, quota_person_id, is_name_matched, verified_at from identity
        where person_id = any(%(ids)s::uuid[]) order by person_id, verified_at, identity_id
        """,
        {"ids": list(person_ids)},
    )
    return [IdentityFacts(*row) for row in rows]


async def open_identities(
    conn: Conn, keyring: Keyring, person_ids: Sequence[uuid.UUID], identity_ids: Sequence[uuid.UUID]
) -> dict[tuple[uuid.UUID, uuid.UUID], IdentityDetails]:
    """Return numbers and names for customs declarations, by (person, identity); erased persons are left out."""
    rows = await fetch(
        conn,
        """
        select i.person_id, i.identity_id, i.sealed, k.wrapped_key
        from (select distinct * from unnest(%(persons)s::uuid[], %(identities)s::uuid[]) as t(person_id, identity_id)) t
        join identity i on i.person_id = t.person_id and i.identity_id = t.identity_id
        join person_key k on k.person_id = i.person_id and k.wrapped_key is not null
        """,
        {"persons": list(person_ids), "identities": list(identity_ids)},
    )
    return {(row[0], row[1]): open_sealed(unwrap_key(keyring, row[0], row[3]), row[1], row[2], IdentityDetails) for row in rows}


async def erase_persons(conn: Conn, person_ids: Sequence[uuid.UUID], at: datetime) -> int:
    """Drop the keys of persons, so that nothing sealed for them can ever be read again; return how many had one."""
    return await execute_counted(
        conn,
        "update person_key set wrapped_key = null, erased_at = %(at)s where person_id = any(%(ids)s::uuid[]) and wrapped_key is not null",
        {"ids": list(person_ids), "at": at},
    )


_OPEN_ADDRESSES = """
    select a.person_id, a.address_id, a.country_code, a.zone, a.postcode_prefix, a.sealed, p.wrapped_key
    from address a left join person_key p on p.person_id = a.person_id
"""


async def _ensure_keys(conn: Conn, keyring: Keyring, person_ids: Sequence[uuid.UUID], at: datetime) -> dict[uuid.UUID, bytes]:
    """Return the key of each person, making it where there is none yet; an erased person is refused."""
    wanted = sorted(set(person_ids))
    if not wanted:
        return {}
    await execute(
        conn,
        """
        insert into person_key (person_id, wrapped_key, created_at)
        select t.*, %(at)s from unnest(%(ids)s::uuid[], %(wrapped)s::bytea[]) as t on conflict do nothing
        """,
        {"ids": wanted, "wrapped": [wrap_key(keyring, person_id, new_person_key()) for person_id in wanted], "at": at},
    )
    rows = await fetch(
        conn, "select person_id, wrapped_key from person_key where person_id = any(%(ids)s::uuid[]) order by person_id", {"ids": wanted}
    )
    for person_id, wrapped in rows:
        if wrapped is None:
            raise PersonErasedError("person_id", str(person_id), "Register the person under a new id.")
    return {person_id: unwrap_key(keyring, person_id, wrapped) for person_id, wrapped in rows}


async def _require_buyers(conn: Conn, person_ids: Sequence[uuid.UUID]) -> None:
    """Refuse the first person that is no registered buyer."""
    rows = await fetch(conn, "select person_id from buyer where person_id = any(%(ids)s::uuid[])", {"ids": list(person_ids)})
    known = {row[0] for row in rows}
    for person_id in person_ids:
        if person_id not in known:
            raise UnknownBuyerError("person_id", str(person_id), "Register the buyer first.")


def _address_key(address: NewAddress) -> tuple[uuid.UUID, uuid.UUID]:
    """Return the key under which an address stands once."""
    return (address.person_id, address.address_id)


def _opened_address(keyring: Keyring, row: Row) -> OpenedAddress:
    """Open an address row where its person's key still exists."""
    facts = AddressFacts(row[0], row[1], row[2], row[3], row[4])
    if row[6] is None:
        return OpenedAddress(facts, None)
    return OpenedAddress(facts, open_sealed(unwrap_key(keyring, row[0], row[6]), row[1], row[5], AddressDetails))
