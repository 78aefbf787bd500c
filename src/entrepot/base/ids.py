"""Ids are UUIDv7 from an `Ids` argument, so that the world can repeat itself and production stays sortable by time."""

import hashlib
import secrets
import uuid
from typing import Protocol

_VERSION_7 = 0x7 << 76
_VARIANT = 0b10 << 62
_RAND_A_MASK = 0xFFF << 64
_RAND_B_MASK = (1 << 62) - 1


class Ids(Protocol):
    """A source of new ids."""

    def new(self, at_ms: int) -> uuid.UUID:
        """Return a new UUIDv7 for the millisecond `at_ms` of the business clock."""
        ...


def uuid7(at_ms: int, entropy: int) -> uuid.UUID:
    """Build a UUIDv7 (RFC 9562) from a millisecond and 80 bits of entropy."""
    return _uuid_of((at_ms & 0xFFFFFFFFFFFF) << 80 | _VERSION_7 | (entropy & _RAND_A_MASK) | _VARIANT | (entropy & _RAND_B_MASK))


def _uuid_of(number: int) -> uuid.UUID:
    """Make a UUID of its 128 bits; the library's constructor spends most of its time on other forms of input."""
    made = object.__new__(uuid.UUID)
    object.__setattr__(made, "int", number)
    object.__setattr__(made, "is_safe", uuid.SafeUUID.unknown)
    return made


class RandomIds:
    """Ids with entropy from the operating system, for production."""

    def new(self, at_ms: int) -> uuid.UUID:
        """Return a new random UUIDv7."""
        return uuid7(at_ms, secrets.randbits(80))


class SeededIds:
    """Ids that repeat for the same seed, actor and order of calls, for the world and the import."""

    def __init__(self, seed: str, actor: str) -> None:
        self._prefix = f"{seed}\x00{actor}\x00"
        self._count = 0

    def new(self, at_ms: int) -> uuid.UUID:
        """Return the next id of this actor."""
        self._count += 1
        digest = hashlib.blake2b(f"{self._prefix}{self._count}".encode(), digest_size=10).digest()
        return uuid7(at_ms, int.from_bytes(digest, "big"))


def derived_id(*parts: object) -> uuid.UUID:
    """Return the id that always follows from these parts (UUIDv8 over BLAKE2b), for rows found again by their meaning."""
    digest = hashlib.blake2b("\x1f".join(str(part) for part in parts).encode(), digest_size=16).digest()
    return _uuid_of(int.from_bytes(digest, "big") & ~(0xF << 76) & ~(0b11 << 62) | (0x8 << 76) | _VARIANT)


def derived_id_at(at: int, *parts: object) -> uuid.UUID:
    """Return the id that always follows from a millisecond and these parts (UUIDv7 with derived entropy): sortable by time and repeatable."""
    digest = hashlib.blake2b("\x1f".join(str(part) for part in parts).encode(), digest_size=10).digest()
    return uuid7(at, int.from_bytes(digest, "big"))
