"""Rules of the returns bench: what a grade means for a unit's condition, and what may be done with it."""

from enum import StrEnum
from typing import Final

from entrepot.warehouse.model import (
    DAMAGED,
    DEFECTIVE,
    GONE,
    SELLABLE,
    BinMissingError,
    EvidenceMissingError,
    NotRestockableError,
    bin_spot,
)


class Grade(StrEnum):
    """What the grader found."""

    SELLABLE = "sellable"
    DAMAGED = "damaged"
    DEFECTIVE = "defective"
    CUSTOMER_DAMAGED = "customer_damaged"


class Disposition(StrEnum):
    """What happens to the unit: back on sale, kept apart in its condition, or disposed of."""

    RESTOCK = "restock"
    KEEP = "keep"
    DISPOSE = "dispose"


_CONDITIONS: Final[dict[Grade, str]] = {
    Grade.SELLABLE: SELLABLE,
    Grade.DAMAGED: DAMAGED,
    Grade.DEFECTIVE: DEFECTIVE,
    Grade.CUSTOMER_DAMAGED: DAMAGED,
}


def condition_of(grade: Grade) -> str:
    """Return the condition under which a graded unit is kept; a customer's damage stays known by its grade."""
    return _CONDITIONS[grade]


def target_of(grade: Grade, disposition: Disposition, place_code: str, bin_code: str | None, evidence: str | None) -> tuple[str, str]:
    """Return the (place, spot) a graded unit goes to, or refuse what the grade does not allow."""
    if disposition is Disposition.DISPOSE:
        if not (evidence or "").strip():
            raise EvidenceMissingError("evidence", evidence, "Say in words, or by a picture's reference, why the unit is disposed of.")
        return (GONE, "-")
    if disposition is Disposition.RESTOCK and grade is not Grade.SELLABLE:
        raise NotRestockableError("disposition", disposition, "Keep the unit apart or dispose of it.")
    if not bin_code:
        raise BinMissingError("bin_code", bin_code, "Scan the bin the unit goes to.")
    return (place_code, bin_spot(bin_code))
