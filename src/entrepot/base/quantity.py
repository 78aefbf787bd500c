"""Quantities: whole pieces, grams and millimetres."""

from entrepot.base.errors import RefusedInputError


class QuantityNotPositiveError(RefusedInputError):
    """The quantity must be a whole number of at least one."""


class NotAWholeNumberError(RefusedInputError):
    """The quantity is not a whole number of pieces."""


def require_positive(quantity: int, field: str = "quantity") -> int:
    """Return the quantity if it is at least one, else refuse it."""
    if quantity <= 0:
        raise QuantityNotPositiveError(field, quantity, "Give a whole number of at least 1.")
    return quantity


def parse_whole(text: str, field: str = "quantity") -> int:
    """Read a whole number that may be written `6` or `6.0`."""
    whole, _, fraction = text.strip().partition(".")
    if fraction.strip("0") or not whole.lstrip("+-").isdigit():
        raise NotAWholeNumberError(field, text, "Give a whole number such as 6.")
    return int(whole)


def volume_mm3(length_mm: int, width_mm: int, height_mm: int) -> int:
    """Return the volume of a box in cubic millimetres."""
    return length_mm * width_mm * height_mm
