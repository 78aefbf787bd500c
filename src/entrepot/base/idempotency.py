"""Idempotency keys of persons: the same request gets the same answer, another one under the same key is refused."""

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from entrepot.base.errors import ConflictError
from entrepot.base.sql import Conn, columns, execute, fetch, fetch_one, json_column


class KeyUsedForOtherRequestError(ConflictError):
    """The idempotency key was used before with other values; use a new key for a new request."""


class ClaimState(StrEnum):
    """What became of a claim on a key."""

    NEW = "new"
    EXISTS = "exists"
    EXISTS_WITH_DIFFERENT_VALUES = "exists_with_different_values"


class Claim(Struct, frozen=True):
    """A person's key for one request, and the hash over its values."""

    person_id: uuid.UUID
    request_key: str
    request_hash: bytes
    at: datetime

    @property
    def key(self) -> tuple[uuid.UUID, str]:
        """Whose key it is, and the key."""
        return self.person_id, self.request_key


class Claimed(Struct, frozen=True):
    """The outcome of a claim; `answer` is the stored one of a request that was answered before."""

    state: ClaimState
    answer: Mapping[str, object] | None


def hash_request(*values: object) -> bytes:
    """Return the hash by which a repeated request is recognised."""
    return hashlib.blake2b(repr(values).encode(), digest_size=16).digest()


async def find_claimed(conn: Conn, claims: Sequence[Claim]) -> list[Claimed]:
    """Tell of each claim whether its key is free, in the order given, without taking it; a twin inside the batch counts as a replay of its first."""
    rows = await fetch(
        conn,
        """
        select r.person_id, r.request_key, r.request_hash, r.answer from person_request r
        join (select distinct * from unnest(%(person_id)s::uuid[], %(request_key)s::text[])) as t(person_id, request_key)
          on r.person_id = t.person_id and r.request_key = t.request_key
        """,
        columns(claims, "person_id", "request_key"),
    )
    known: dict[tuple[uuid.UUID, str], tuple[bytes, Mapping[str, object] | None]] = {(row[0], row[1]): (bytes(row[2]), row[3]) for row in rows}
    found: list[Claimed] = []
    for claim in claims:
        key = (claim.person_id, claim.request_key)
        held = known.get(key)
        if held is None:
            known[key] = (claim.request_hash, None)
            found.append(Claimed(ClaimState.NEW, None))
        elif held[0] != claim.request_hash:
            found.append(Claimed(ClaimState.EXISTS_WITH_DIFFERENT_VALUES, None))
        else:
            found.append(Claimed(ClaimState.EXISTS, held[1]))
    return found


async def keep_answers(conn: Conn, claims: Sequence[Claim], answers: Sequence[Mapping[str, object]]) -> set[tuple[uuid.UUID, str]]:
    """Take free keys together with their answers, each key once; return (person, key) of those taken. One that another transaction takes is waited for."""
    rows = await fetch(
        conn,
        """
        insert into person_request (person_id, request_key, request_hash, at, answer)
        select person_id, request_key, request_hash, at, answer
        from unnest(%(person_id)s::uuid[], %(request_key)s::text[], %(request_hash)s::bytea[], %(at)s::timestamptz[], %(answer)s::jsonb[])
             as t(person_id, request_key, request_hash, at, answer)
        order by person_id, request_key
        on conflict do nothing returning person_id, request_key
        """,
        columns(claims, "person_id", "request_key", "request_hash", "at") | {"answer": json_column(answers)},
    )
    return {(row[0], row[1]) for row in rows}


async def withdraw_answers(conn: Conn, claims: Sequence[Claim]) -> None:
    """Give keys back that this transaction took with an answer which did not come true."""
    if not claims:
        return
    await execute(
        conn,
        """
        delete from person_request r using unnest(%(person_id)s::uuid[], %(request_key)s::text[]) as t(person_id, request_key)
        where r.person_id = t.person_id and r.request_key = t.request_key
        """,
        columns(claims, "person_id", "request_key"),
    )


async def read_answer(conn: Conn, person_id: uuid.UUID, request_key: str) -> Mapping[str, object] | None:
    """Return the stored answer of a person's key, or None while there is none."""
    row = await fetch_one(
        conn,
        "select answer from person_request where person_id = %(person)s and request_key = %(key)s",
        {"person": person_id, "key": request_key},
    )
    return None if row is None else row[0]
