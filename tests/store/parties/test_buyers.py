"""Buyers, addresses and identities: sealed, replayed, and unreadable once erased."""

import pytest
from tests.factories.parties import AT, KEYRING, PERSON_TABLES, RESIDENT_ID, address, buyer, counts, person

from entrepot.base.sql import fetch
from entrepot.parties.buyers import (
    add_addresses,
    erase_persons,
    find_addresses,
    find_identities,
    list_addresses,
    open_addresses,
    open_identities,
    read_buyers,
    register_buyers,
    verify_identities,
)
from entrepot.parties.countries import UnknownCountryError
from entrepot.parties.model import EmptyCodeError, Outcome
from entrepot.parties.people import IdentityClaim, MasterKeyUnusableError, NewBuyer, PersonErasedError, UnknownBuyerError, anonymous_buyer_id
from entrepot.parties.sealing import Keyring, identity_person_id

pytestmark = pytest.mark.anyio


def claim(code: str, *, is_name_matched: bool = True) -> IdentityClaim:
    return IdentityClaim(person(code), RESIDENT_ID, "Name on the card", is_name_matched)


async def test_buyers_are_sealed_and_replayed(conn):
    told = await register_buyers(conn, KEYRING, [buyer("ann"), buyer("bob"), buyer("ann")], AT)
    assert told == [Outcome.NEW, Outcome.NEW, Outcome.EXISTS]
    assert await register_buyers(conn, KEYRING, [buyer("ann"), buyer("bob", "DE")], AT) == [Outcome.EXISTS, Outcome.EXISTS_WITH_DIFFERENT_VALUES]
    found = await read_buyers(conn, KEYRING, [person("ann"), person("nobody")])
    assert [(row.country_code, row.is_anonymous, row.details) for row in found.values()] == [("GB", False, buyer("ann").details)]
    sealed = await fetch(conn, "select sealed from buyer")
    assert all(b"example.com" not in row[0] for row in sealed)
    assert await counts(conn, *PERSON_TABLES) == {"person_key": 2, "buyer": 2, "address": 0, "identity": 0}


async def test_anonymous_buyers_have_no_key(conn):
    buyers = [NewBuyer(anonymous_buyer_id(country), country) for country in ("GB", "DE")]
    assert await register_buyers(conn, KEYRING, buyers, AT) == [Outcome.NEW, Outcome.NEW]
    assert await register_buyers(conn, KEYRING, buyers[:1], AT) == [Outcome.EXISTS]
    found = await read_buyers(conn, KEYRING, [row.person_id for row in buyers])
    assert [row.details for row in found.values()] == [None, None]
    assert await counts(conn, *PERSON_TABLES) == {"person_key": 0, "buyer": 2, "address": 0, "identity": 0}


async def test_batch_and_singles_give_the_same_buyers(conn):
    for number in range(5):
        await register_buyers(conn, KEYRING, [buyer(f"p{number}")], AT)
    assert (await register_buyers(conn, KEYRING, [buyer(f"p{number}") for number in range(10)], AT)).count(Outcome.NEW) == 5
    found = await read_buyers(conn, KEYRING, [person(f"p{number}") for number in range(10)])
    assert [found[person(f"p{number}")].details for number in range(10)] == [buyer(f"p{number}").details for number in range(10)]


async def test_a_bad_country_stops_the_batch(conn):
    with pytest.raises(UnknownCountryError):
        await register_buyers(conn, KEYRING, [buyer("ann"), buyer("bob", "EIRE")], AT)
    assert await counts(conn, *PERSON_TABLES) == dict.fromkeys(PERSON_TABLES, 0)


async def test_addresses_keep_zone_and_prefix_readable(conn):
    await register_buyers(conn, KEYRING, [buyer("ann")], AT)
    assert await add_addresses(conn, KEYRING, [address(), address(), address(which="work")], AT) == [Outcome.NEW, Outcome.EXISTS, Outcome.NEW]
    assert await add_addresses(conn, KEYRING, [address()], AT) == [Outcome.EXISTS]
    home = address()
    key = (home.person_id, home.address_id)
    facts = (await find_addresses(conn, [home.person_id], [home.address_id]))[key]
    assert (facts.country_code, facts.zone, facts.postcode_prefix) == ("GB", "ENG", "LS1")
    opened = await open_addresses(conn, KEYRING, [home.person_id], [home.address_id])
    assert opened[key].details == home.details
    assert len(await list_addresses(conn, KEYRING, home.person_id)) == 2


async def test_addresses_need_a_buyer(conn):
    with pytest.raises(UnknownBuyerError):
        await add_addresses(conn, KEYRING, [address()], AT)
    assert await counts(conn, *PERSON_TABLES) == dict.fromkeys(PERSON_TABLES, 0)


async def test_one_resident_with_two_accounts_has_one_quota_person(conn):
    await register_buyers(conn, KEYRING, [buyer("ann"), buyer("bob")], AT)
    first, second, replay = await verify_identities(conn, KEYRING, [claim("ann"), claim("bob"), claim("ann")], AT)
    assert (first.outcome, second.outcome, replay.outcome) == (Outcome.NEW, Outcome.NEW, Outcome.EXISTS)
    assert first.quota_person_id == second.quota_person_id == identity_person_id(KEYRING.identity_secret, RESIDENT_ID)
    assert first.identity_id == replay.identity_id != second.identity_id
    changed = await verify_identities(conn, KEYRING, [claim("ann", is_name_matched=False)], AT)
    assert changed[0].outcome is Outcome.EXISTS_WITH_DIFFERENT_VALUES
    facts = (await find_identities(conn, [person("ann")]))[0]
    assert (facts.identity_id, facts.is_name_matched, facts.verified_at) == (first.identity_id, True, AT)
    opened = await open_identities(conn, KEYRING, [person("ann")], [first.identity_id])
    assert opened[person("ann"), first.identity_id].resident_id == RESIDENT_ID


async def test_bad_identities_change_nothing(conn):
    await register_buyers(conn, KEYRING, [buyer("ann")], AT)
    before = await counts(conn, *PERSON_TABLES)
    with pytest.raises(UnknownBuyerError):
        await verify_identities(conn, KEYRING, [claim("ann"), claim("bob")], AT)
    with pytest.raises(EmptyCodeError):
        await verify_identities(conn, KEYRING, [IdentityClaim(person("ann"), RESIDENT_ID, "", is_name_matched=True)], AT)
    assert await counts(conn, *PERSON_TABLES) == before


async def test_an_erased_person_is_unreadable_for_good(conn):
    await register_buyers(conn, KEYRING, [buyer("ann"), buyer("bob")], AT)
    await add_addresses(conn, KEYRING, [address("ann"), address("bob")], AT)
    identity = (await verify_identities(conn, KEYRING, [claim("ann")], AT))[0]
    before = await counts(conn, *PERSON_TABLES)
    assert await erase_persons(conn, [person("ann")], AT) == 1
    assert await erase_persons(conn, [person("ann")], AT) == 0
    found = await read_buyers(conn, KEYRING, [person("ann"), person("bob")])
    assert (found[person("ann")].details, found[person("bob")].details) == (None, buyer("bob").details)
    assert [row.details for row in await list_addresses(conn, KEYRING, person("ann"))] == [None]
    assert await open_identities(conn, KEYRING, [person("ann")], [identity.identity_id]) == {}
    assert (await find_identities(conn, [person("ann")]))[0].quota_person_id == identity.quota_person_id
    with pytest.raises(PersonErasedError):
        await add_addresses(conn, KEYRING, [address("ann", "new")], AT)
    assert await counts(conn, *PERSON_TABLES) == before


async def test_another_master_key_says_so(conn):
    await register_buyers(conn, KEYRING, [buyer("ann")], AT)
    with pytest.raises(MasterKeyUnusableError):
        await read_buyers(conn, Keyring(bytes(32), b""), [person("ann")])
