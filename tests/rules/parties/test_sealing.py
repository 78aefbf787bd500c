"""What is sealed opens only for its row and key; the identity hash depends on the number and the secret alone."""

import uuid

import pytest
from cryptography.exceptions import InvalidTag
from tests.factories.parties import KEYRING, RESIDENT_ID, person

from entrepot.base.ids import derived_id
from entrepot.parties.people import MasterKeyUnusableError, PersonalDetails
from entrepot.parties.sealing import (
    Keyring,
    identity_hash,
    identity_person_id,
    new_person_key,
    open_sealed,
    quota_person_of,
    seal,
    unwrap_key,
    wrap_key,
)

DETAILS = PersonalDetails("Ann Example", "ann@example.com")


def test_sealed_details_open_again_and_never_look_the_same():
    key = new_person_key()
    first, second = seal(key, person("ann"), DETAILS), seal(key, person("ann"), DETAILS)
    assert first != second
    assert b"Ann" not in first
    assert open_sealed(key, person("ann"), first, PersonalDetails) == DETAILS


def test_sealed_details_do_not_open_for_another_row_or_key():
    key = new_person_key()
    sealed = seal(key, person("ann"), DETAILS)
    for wrong_key, wrong_row in ((key, person("bob")), (new_person_key(), person("ann"))):
        with pytest.raises(InvalidTag):
            open_sealed(wrong_key, wrong_row, sealed, PersonalDetails)


def test_a_person_key_opens_only_with_the_master_key_and_for_its_person():
    key = new_person_key()
    wrapped = wrap_key(KEYRING, person("ann"), key)
    assert unwrap_key(KEYRING, person("ann"), wrapped) == key
    with pytest.raises(MasterKeyUnusableError):
        unwrap_key(Keyring(bytes(32), b""), person("ann"), wrapped)
    with pytest.raises(MasterKeyUnusableError):
        unwrap_key(KEYRING, person("bob"), wrapped)


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_master_key_has_32_bytes(length):
    with pytest.raises(MasterKeyUnusableError):
        Keyring(bytes(length), b"")


def test_identity_hash_is_keyed_and_the_same_for_every_spelling():
    assert identity_hash(b"s", RESIDENT_ID) == identity_hash(b"s", f" {RESIDENT_ID.lower()} ")
    assert identity_hash(b"s", RESIDENT_ID) != identity_hash(b"t", RESIDENT_ID)
    assert identity_hash(b"s", RESIDENT_ID) != identity_hash(b"s", "110105194912310038")


def test_quota_person_follows_from_the_identity():
    quota = identity_person_id(b"s", RESIDENT_ID)
    assert quota == quota_person_of(identity_hash(b"s", RESIDENT_ID))
    assert (quota.version, quota.variant) == (8, uuid.RFC_4122)
    assert quota != derived_id(RESIDENT_ID)
