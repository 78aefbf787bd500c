"""The yearly limit of a person in China: held with the order, used at release, given back as exactly as it was taken."""

import uuid
from collections.abc import Callable, Hashable, Iterable
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from msgspec import Struct

from entrepot.base.ids import derived_id


class QuotaKind(StrEnum):
    """Why a person's year changes; nothing else changes it."""

    HOLD = "hold"
    USE = "use"
    RELEASE = "release"
    RETURN = "return"
    ELSEWHERE = "elsewhere"


class QuotaOutcome(StrEnum):
    """What became of one ask; `exists` is a replay, `differs` a replay with other values, `closed` a hold already used or released otherwise."""

    DONE = "done"
    REFUSED = "refused"
    EXISTS = "exists"
    DIFFERS = "differs"
    CLOSED = "closed"
    NO_HOLD = "no_hold"


class HoldAsk(Struct, frozen=True):
    """Hold a dutiable value in fen for an order in a person's year; the attempt grows when an order is held again."""

    person_id: uuid.UUID
    order_id: uuid.UUID
    attempt: int
    year_no: int
    limit_minor: int
    value_minor: int
    at: datetime
    cause: str


class CloseAsk(Struct, frozen=True):
    """Use or release the whole hold of an order's attempt."""

    person_id: uuid.UUID
    order_id: uuid.UUID
    attempt: int
    at: datetime
    cause: str


class ReturnAsk(Struct, frozen=True):
    """Give back the dutiable value in fen of lines whose return customs accepted; the key names the return."""

    person_id: uuid.UUID
    order_id: uuid.UUID
    return_key: str
    value_minor: int
    at: datetime
    cause: str


class ElsewhereAsk(Struct, frozen=True):
    """Customs reports that the person's year has no room left, whatever is known here; the key names the report."""

    person_id: uuid.UUID
    year_no: int
    limit_minor: int
    report_key: str
    order_id: uuid.UUID | None
    at: datetime
    cause: str


class QuotaAnswer(Struct, frozen=True):
    """The outcome of an ask with the value it moved and, for a refused hold, what is free, both in fen."""

    outcome: QuotaOutcome
    value_minor: int = 0
    free_minor: int = 0


class QuotaYear(Struct, frozen=True):
    """A person's year in fen; used + held + elsewhere + free = limit."""

    person_id: uuid.UUID
    year_no: int
    limit_minor: int
    used_minor: int
    held_minor: int
    elsewhere_minor: int
    free_minor: int
    limit_reached_at: datetime | None

    @property
    def taken_minor(self) -> int:
        """Return what an assessment counts before the next order: used, held and used elsewhere."""
        return self.limit_minor - self.free_minor


def quota_person_id(identity_hash: str) -> uuid.UUID:
    """Return the id under which a person's quota is kept: derived from the keyed hash of the resident id, never from an account."""
    return derived_id("quota_person", identity_hash)


_Item = TypeVar("_Item")


def rounds_of(items: Iterable[_Item], key: Callable[[_Item], Hashable]) -> list[list[tuple[int, _Item]]]:
    """Deal items into rounds in which each key occurs once, with their positions, so that one statement per round acts first come first served."""
    seen: dict[Hashable, int] = {}
    rounds: list[list[tuple[int, _Item]]] = []
    for position, item in enumerate(items):
        name = key(item)
        number = seen.get(name, 0)
        seen[name] = number + 1
        if number == len(rounds):
            rounds.append([])
        rounds[number].append((position, item))
    return rounds
