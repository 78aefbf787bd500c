"""Numbers on parcels: UPU S10, GS1 SSCC and the ranges that the built-in carriers let us allot from."""

import hashlib
import re
import uuid
from enum import StrEnum
from typing import Final

from entrepot.base.errors import RefusedInputError


class NotDigitsError(RefusedInputError):
    """The number may only hold digits, and as many as its standard says."""


_S10: Final = re.compile(r"[A-Z]{2}\d{9}[A-Z]{2}")
_S10_WEIGHTS: Final = (8, 6, 4, 2, 3, 5, 9, 7)
_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_NOT_IN_A_NUMBER: Final = re.compile(r"[\s\-.]+")
ATTEMPTS: Final = 6
"""Candidates per parcel: the postal range has 2.6 thousand million numbers, so even in a full year two parcels seldom meet."""


class Numbering(StrEnum):
    """How a carrier's numbers are built."""

    S10 = "s10"
    AIRWAY = "airway"
    LINE = "line"
    NONE = "none"


def clean_number(text: str) -> str:
    """Return a tracking number as it is stored: capitals and digits without spaces, dots or hyphens."""
    return _NOT_IN_A_NUMBER.sub("", text).upper()


def s10_check_digit(serial: str) -> int:
    """Return the check digit of the 8 digits of a postal item number: 11 minus the weighted sum modulo 11, 10 as 0, 11 as 5 (UPU S10)."""
    if len(serial) != len(_S10_WEIGHTS) or not (serial.isascii() and serial.isdigit()):
        raise NotDigitsError("serial", serial, "Give exactly 8 digits.")
    check = 11 - sum(weight * int(digit) for weight, digit in zip(_S10_WEIGHTS, serial, strict=True)) % 11
    return {10: 0, 11: 5}.get(check, check)


def s10_number(service: str, serial: int, country_code: str) -> str:
    """Return a postal item number such as RA123456785GB (UPU S10)."""
    digits = f"{serial:08d}"
    return f"{service}{digits}{s10_check_digit(digits)}{country_code}"


def is_s10(number: str) -> bool:
    """Tell whether a text is a postal item number with the right check digit (UPU S10)."""
    return _S10.fullmatch(number) is not None and s10_check_digit(number[2:10]) == int(number[10])


def gs1_check_digit(digits: str) -> int:
    """Return the GS1 check digit: from the right the weights 3 and 1 in turn, up to the next multiple of ten."""
    if not (digits.isascii() and digits.isdigit()):
        raise NotDigitsError("digits", digits, "Give digits only.")
    total = sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(digits)))
    return -total % 10


def sscc(extension: int, company_prefix: str, serial: int) -> str:
    """Return an 18-digit serial shipping container code (GS1): extension digit, company prefix, serial, check digit."""
    body = f"{extension}{company_prefix}{serial:0{16 - len(company_prefix)}d}"
    if len(body) != 17:
        raise NotDigitsError("serial", serial, "Extension, company prefix and serial together have 17 digits.")
    return f"{body}{gs1_check_digit(body)}"


def is_sscc(number: str) -> bool:
    """Tell whether a text is a serial shipping container code with the right check digit (GS1)."""
    return len(number) == 18 and number.isascii() and number.isdigit() and gs1_check_digit(number[:17]) == int(number[17])


def candidate_number(numbering: Numbering, prefix: str, suffix: str, parcel_id: uuid.UUID, attempt: int) -> str:
    """Return the number that a parcel asks for at its n-th attempt; it follows from the parcel's id alone."""
    digest = hashlib.blake2b(parcel_id.bytes + bytes([attempt]), digest_size=12).digest()
    entropy = int.from_bytes(digest, "big")
    if numbering is Numbering.S10:
        letter, serial = divmod(entropy % (26 * 10**8), 10**8)
        return s10_number(prefix + _LETTERS[letter], serial, suffix)
    if numbering is Numbering.AIRWAY:
        serial = entropy % 10**13
        return f"{prefix}{serial:013d}{serial % 7}{suffix}"
    body = f"{entropy % 10**17:017d}"
    return f"{prefix}{body}{gs1_check_digit(body)}{suffix}"
