"""The words of the stock book: where units are, in what condition and under which customs status."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Final

from msgspec import Struct

from entrepot.base.errors import ConflictError, RefusedInputError
from entrepot.base.ids import derived_id
from entrepot.base.quantity import require_positive

NO_LOT: Final = "-"
"""The lot of units whose lots are not kept apart; it is a real lot."""

SELLABLE: Final = "sellable"
FREE: Final = "free"
BONDED: Final = "bonded"

SUPPLIER: Final = "@supplier"
WORD: Final = "@word"
OVER_RECEIPT: Final = "@over_receipt"
FOUND: Final = "@found"
TRANSIT: Final = "@transit"
CARRIER: Final = "@carrier"
CUSTOMER: Final = "@customer"
RETURN: Final = "@return"
LOST: Final = "@lost"
GONE: Final = "@gone"

SOURCE_PLACES: Final = frozenset({SUPPLIER, WORD, OVER_RECEIPT, FOUND})
"""Pseudo places where units enter the books; they alone may be negative."""

SITE: Final = "site"
_ON_HAND_SPOTS: Final = frozenset({SITE, "pick", "pack", "stage"})


class UnitsNotThereError(ConflictError):
    """The move takes more units from a location than the books hold there."""


class AlreadyHeldError(ConflictError):
    """These units are held for the same line already, or have left; a line is held once."""


class StaleWordError(RefusedInputError):
    """The merchant's word about its stock is older than the one in force."""


class ReservationState(StrEnum):
    """The life of a reservation."""

    HELD = "held"
    CONSUMED = "consumed"
    RELEASED = "released"
    SHORT = "short"


@lru_cache(maxsize=1 << 17)
def location_id_of(
    merchant: int, owner: int, stock_item: int, place_code: str, spot_code: str, lot_code: str, condition_code: str, customs_status: str
) -> uuid.UUID:
    """Return the id that follows from a place, its ids as numbers; the same places are asked about again and again."""
    ids = (uuid.UUID(int=merchant), uuid.UUID(int=owner), uuid.UUID(int=stock_item))
    return derived_id(*ids, place_code, spot_code, lot_code, condition_code, customs_status)


class Location(Struct, frozen=True):
    """The floor's grain: where units of one stock item of one owner are."""

    merchant_id: uuid.UUID
    owner_id: uuid.UUID
    stock_item_id: uuid.UUID
    place_code: str
    spot_code: str = "-"
    lot_code: str = NO_LOT
    condition_code: str = SELLABLE
    customs_status: str = FREE

    @property
    def location_id(self) -> uuid.UUID:
        """The id that follows from the place, so that nobody has to look it up."""
        return location_id_of(
            self.merchant_id.int,
            self.owner_id.int,
            self.stock_item_id.int,
            self.place_code,
            self.spot_code,
            self.lot_code,
            self.condition_code,
            self.customs_status,
        )

    @property
    def is_source(self) -> bool:
        """Whether units enter the books here."""
        return self.place_code in SOURCE_PLACES

    @property
    def is_on_hand(self) -> bool:
        """Whether units here count as on hand at their place."""
        return not self.place_code.startswith("@") and (self.spot_code in _ON_HAND_SPOTS or self.spot_code.startswith("bin:"))


def at_place(location: Location, place_code: str) -> Location:
    """Return the same units at another place, in a spot of the same name."""
    return Location(
        location.merchant_id,
        location.owner_id,
        location.stock_item_id,
        place_code,
        location.spot_code,
        location.lot_code,
        location.condition_code,
        location.customs_status,
    )


class Move(Struct, frozen=True):
    """Units that go from one location to another, with their cause."""

    source: Location
    target: Location
    quantity: int


class StockKey(Struct, frozen=True):
    """The orders' grain: availability of a stock item at a place in a condition and customs status."""

    merchant_id: uuid.UUID
    owner_id: uuid.UUID
    stock_item_id: uuid.UUID
    place_code: str
    condition_code: str = SELLABLE
    customs_status: str = FREE
    pool_code: str = "-"


class Consumption(Struct, frozen=True):
    """Reserved units that leave with a posting."""

    merchant_id: uuid.UUID
    holder_id: uuid.UUID
    line_no: int
    part_no: int
    quantity: int


class StockPosting(Struct, frozen=True):
    """Moves of one merchant that happen together for one cause; posting it again changes nothing."""

    merchant_id: uuid.UUID
    posting_id: uuid.UUID
    at: datetime
    cause_kind: str
    cause_id: uuid.UUID
    moves: Sequence[Move]
    consumptions: Sequence[Consumption] = ()
    reason: str | None = None


class ReservationAsk(Struct, frozen=True):
    """A wish to hold units for a line until they leave or the hold expires."""

    merchant_id: uuid.UUID
    holder_id: uuid.UUID
    line_no: int
    part_no: int
    key: StockKey
    quantity: int
    at: datetime
    expires_at: datetime | None


class Reserved(Struct, frozen=True):
    """The answer to an ask: whether the units are held, and how many were free if not."""

    is_held: bool
    free: int


class Available(Struct, frozen=True):
    """What a place holds and has promised of a stock item."""

    key: StockKey
    on_hand: int
    reserved: int

    @property
    def free(self) -> int:
        """Units that may still be promised."""
        return self.on_hand - self.reserved


class Shortage(Struct, frozen=True):
    """Units of a reservation that the place cannot cover any more."""

    merchant_id: uuid.UUID
    holder_id: uuid.UUID
    line_no: int
    part_no: int
    quantity: int


class Word(Struct, frozen=True):
    """A merchant's statement of how many units it can sell at a place as of an instant."""

    key: StockKey
    sequence_no: int
    as_of: datetime
    quantity: int


class WordState(StrEnum):
    """What became of a merchant's word."""

    TAKEN = "taken"
    STALE = "stale"


def reserve(on_hand: int, reserved: int, ask: int) -> Reserved:
    """Decide one ask against one availability: the rule that the guarded statement repeats."""
    require_positive(ask)
    free = on_hand - reserved
    return Reserved(free >= ask, free)


def key_of(location: Location, pool_code: str = "-") -> StockKey:
    """Return the availability that a location adds to."""
    return StockKey(
        location.merchant_id,
        location.owner_id,
        location.stock_item_id,
        location.place_code,
        location.condition_code,
        location.customs_status,
        pool_code,
    )


def on_hand_by_word(word_quantity: int, held_before: int, ordered_after: int) -> int:
    """Return the on-hand figure that a merchant's word implies.

    The word counts what may be sold at `as_of`. Units held for orders up to then still stand at the site beside it; units of later orders
    that have left since are gone from it, while those still held are covered by it. `ordered_after` counts the later units that have left.
    """
    return max(0, word_quantity + held_before - ordered_after)
