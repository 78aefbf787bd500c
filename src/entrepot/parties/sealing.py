"""Personal data is sealed with a key per person (AES-256-GCM); the person's key is itself sealed with the master key, and dropping it erases the person."""

import hashlib
import hmac
import secrets
import uuid
from typing import Final, TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from entrepot.parties.people import MasterKeyUnusableError

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12

Details = TypeVar("Details")


class Keyring(msgspec.Struct, frozen=True):
    """The operator's two secrets: the master key that seals person keys (32 bytes) and the secret of the identity hash."""

    master_key: bytes
    identity_secret: bytes

    def __post_init__(self) -> None:
        """Refuse a master key of the wrong length before anything is sealed with it."""
        if len(self.master_key) != _KEY_BYTES:
            raise MasterKeyUnusableError("master_key", f"{len(self.master_key)} bytes", "Give a key of %(length)s bytes.", length=_KEY_BYTES)


def new_person_key() -> bytes:
    """Return a fresh random key for one person."""
    return secrets.token_bytes(_KEY_BYTES)


def wrap_key(keyring: Keyring, person_id: uuid.UUID, person_key: bytes) -> bytes:
    """Seal a person's key with the master key, bound to the person."""
    return _seal_bytes(keyring.master_key, person_key, person_id.bytes)


def unwrap_key(keyring: Keyring, person_id: uuid.UUID, wrapped: bytes) -> bytes:
    """Open a person's key, or say that the master key does not fit."""
    try:
        return _open_bytes(keyring.master_key, wrapped, person_id.bytes)
    except InvalidTag:
        raise MasterKeyUnusableError("person_id", str(person_id), "Restore the master key that this database was written with.") from None


def seal_secret(keyring: Keyring, row_id: uuid.UUID, secret: str) -> bytes:
    """Seal a secret that belongs to no person with the master key, bound to the row that keeps it."""
    return _seal_bytes(keyring.master_key, secret.encode(), row_id.bytes)


def open_secret(keyring: Keyring, row_id: uuid.UUID, sealed: bytes) -> str:
    """Open a secret that `seal_secret` sealed, or say that the master key does not fit."""
    try:
        return _open_bytes(keyring.master_key, sealed, row_id.bytes).decode()
    except InvalidTag:
        raise MasterKeyUnusableError("row_id", str(row_id), "Restore the master key that this database was written with.") from None


def new_secret() -> str:
    """Return a fresh random secret as text (256 bits)."""
    return secrets.token_urlsafe(_KEY_BYTES)


def seal(person_key: bytes, row_id: uuid.UUID, details: object) -> bytes:
    """Seal details for the row they belong to; moved to another row they no longer open."""
    return _seal_bytes(person_key, msgspec.json.encode(details), row_id.bytes)


def open_sealed(person_key: bytes, row_id: uuid.UUID, sealed: bytes, kind: type[Details]) -> Details:
    """Open sealed details of a row as their type."""
    return msgspec.json.decode(_open_bytes(person_key, sealed, row_id.bytes), type=kind)


def identity_hash(secret: bytes, resident_id: str) -> bytes:
    """Return the keyed hash (HMAC-SHA-256) of a resident id: equal for equal ids, and worth nothing without the secret."""
    return hmac.new(secret, resident_id.strip().upper().encode(), hashlib.sha256).digest()


def identity_person_id(secret: bytes, resident_id: str) -> uuid.UUID:
    """Return the person under which a resident's yearly quota is kept, whatever account the resident buys with."""
    return quota_person_of(identity_hash(secret, resident_id))


def quota_person_of(hashed: bytes) -> uuid.UUID:
    """Return the quota's person for an identity hash: a UUIDv8 (RFC 9562) over its first 16 bytes."""
    return uuid.UUID(int=int.from_bytes(hashed[:16], "big") & ~(0xF << 76) & ~(0b11 << 62) | (0x8 << 76) | (0b10 << 62))


def _seal_bytes(key: bytes, plain: bytes, bound_to: bytes) -> bytes:
    """Seal bytes under a fresh random nonce, which stands in front."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, bound_to)


def _open_bytes(key: bytes, sealed: bytes, bound_to: bytes) -> bytes:
    """Open bytes that `_seal_bytes` sealed for the same row."""
    return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound_to)
