"""Resident identity numbers of mainland China (GB 11643-1999, check character by ISO 7064 MOD 11-2)."""

from datetime import date
from typing import Final

from entrepot.base.errors import RefusedInputError
from entrepot.base.phrases import mark

_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECKS: Final = "10X98765432"


class WrongResidentIdError(RefusedInputError):
    """The resident identity number is not valid; the buyer types it again as printed on the card."""


def check_character(first_seventeen: str) -> str:
    """Return the check character of the first seventeen digits."""
    return _CHECKS[sum(int(digit) * weight for digit, weight in zip(first_seventeen, _WEIGHTS, strict=True)) % 11]


def resident_id_fault(number: str) -> str | None:
    """Return what is wrong: length, digits, birth_date or check; None for a valid number. Regions are never judged, for abolished ones stay valid."""
    if len(number) != 18:
        return "length"
    body = number[:17]
    if not (body.isascii() and body.isdigit()):
        return "digits"
    try:
        date(int(body[6:10]), int(body[10:12]), int(body[12:14]))
    except ValueError:
        return "birth_date"
    return None if number[17].upper() == check_character(body) else "check"


_REMEDIES: Final = {
    "length": mark("Give all 18 characters."),
    "digits": mark("The first 17 characters are digits."),
    "birth_date": mark("Characters 7 to 14 are the date of birth, year first."),
    "check": mark("Compare each digit with the card; the last character does not fit the others."),
}


def require_resident_id(number: str, field: str = "resident_id") -> str:
    """Return the number in its stored form (capital X) or refuse it; the error shows no digit of it."""
    number = number.strip().upper()
    fault = resident_id_fault(number)
    if fault is not None:
        raise WrongResidentIdError(field, f"{len(number)} characters, {fault}", _REMEDIES[fault])
    return number
