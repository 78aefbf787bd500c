"""Lists bound as PostgreSQL arrays, packed in a few calls: a batch binds hundreds of thousands of elements, and each one must cost next to nothing."""

import struct
import uuid
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final

from psycopg.abc import Buffer
from psycopg.types.array import ListBinaryDumper

_HEAD: Final = struct.Struct("!iiIii")  # dimensions, whether there are nulls, element type, length, lower bound
_LENGTH: Final = struct.Struct("!i")
_NULL: Final = _LENGTH.pack(-1)
_UUID: Final = uuid.UUID
_UUID_OID: Final = 2950
_UUID_LENGTH: Final = _LENGTH.pack(16)
_REPEATING: Final = (str, int, bool, date, datetime)
"""Types whose equal values have the same binary form and often come more than once: each value is packed once."""


class PackedListDumper(ListBinaryDumper):
    """Packs flat lists of ids, texts, whole numbers, dates and times; every other list is left to the library."""

    def dump(self, obj: list[Any]) -> Buffer | None:
        """Return the binary form of an array."""
        dumper = self.sub_dumper
        if dumper is None or not obj:
            return super().dump(obj)
        first: object = obj[0]
        kind = type(first)
        if kind is _UUID and dumper.oid == _UUID_OID:
            packed = _pack_uuids(obj)
        elif issubclass(kind, _REPEATING):
            packed = self._pack_repeating(obj)
        else:
            packed = None
        return super().dump(obj) if packed is None else packed

    def _pack_repeating(self, obj: Sequence[Any]) -> bytes | None:
        """Return the array with every distinct value packed once; None where a value is no plain element."""
        dumper = self.sub_dumper
        if dumper is None:
            return None
        forms: dict[object, bytes] = {}
        try:
            for value in set(obj):
                form = None if value is None else dumper.dump(value)
                forms[value] = _NULL if form is None else _LENGTH.pack(len(form)) + bytes(form)
        except TypeError:  # a list inside the list has no hash
            return None
        head = _HEAD.pack(1, int(_NULL in forms.values()), dumper.oid, len(obj), 1)
        return head + b"".join(map(forms.__getitem__, obj))


def _pack_uuids(ids: Sequence[uuid.UUID]) -> bytes | None:
    """Return an array of ids without nulls, else None."""
    try:
        numbers = [one.int for one in ids]
    except AttributeError:  # a null has no value
        return None
    if numbers[0] == numbers[-1] == numbers[len(numbers) // 2]:  # a column of one merchant
        known = {number: number.to_bytes(16, "big") for number in set(numbers)}
        forms = [known[number] for number in numbers]
    else:
        forms = [number.to_bytes(16, "big") for number in numbers]
    return _HEAD.pack(1, 0, _UUID_OID, len(ids), 1) + _UUID_LENGTH + _UUID_LENGTH.join(forms)
