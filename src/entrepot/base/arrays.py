"""Lists bound as PostgreSQL arrays, packed in a few calls: a batch binds hundreds of thousands of elements, and each one must cost next to nothing.

The statement says what an array holds (`%(name)s::uuid[]`), so no element has to be looked at to find its type.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from psycopg.abc import AdaptContext, Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format

_HEAD: Final = struct.Struct("!iiIii")  # dimensions, whether there are nulls, element type, length, lower bound
_EMPTY: Final = struct.Struct("!iiI")  # no dimension, no nulls, element type
_LENGTH: Final = struct.Struct("!i")
_NULL: Final = _LENGTH.pack(-1)
_UUID_LENGTH: Final = _LENGTH.pack(16)
_BIGINT: Final = struct.Struct("!iq")
_INT: Final = struct.Struct("!ii")
_SMALLINT: Final = struct.Struct("!ih")
_FIRST_DAY: Final = date(2000, 1, 1).toordinal()
_FIRST_INSTANT: Final = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class UuidArray(bytes):
    """A packed `uuid[]`."""


class TextArray(bytes):
    """A packed `text[]`."""


class BigintArray(bytes):
    """A packed `bigint[]`."""


class IntArray(bytes):
    """A packed `int[]`."""


class SmallintArray(bytes):
    """A packed `smallint[]`."""


class BooleanArray(bytes):
    """A packed `boolean[]`."""


class DateArray(bytes):
    """A packed `date[]`."""


class InstantArray(bytes):
    """A packed `timestamptz[]`."""


class BytesArray(bytes):
    """A packed `bytea[]`."""


class JsonArray(bytes):
    """A packed `jsonb[]`."""


class PackedDumper(Dumper):
    """Hands a packed array to the driver as it is."""

    format = Format.BINARY

    def __init__(self, cls: type, context: AdaptContext | None = None) -> None:
        super().__init__(cls, context)
        self.oid = ARRAY_OIDS[cls]

    def dump(self, obj: Any) -> Buffer | None:
        """Return the binary form, which is the value itself."""
        return obj


ARRAY_OIDS: Final[Mapping[type, int]] = {
    UuidArray: 2951,
    TextArray: 1009,
    BigintArray: 1016,
    IntArray: 1007,
    SmallintArray: 1005,
    BooleanArray: 1000,
    DateArray: 1182,
    InstantArray: 1185,
    BytesArray: 1001,
    JsonArray: 3807,
}
"""Type numbers of the array types, as every PostgreSQL has them."""


def pack_array(kind: str, values: Sequence[Any]) -> object:
    """Return a list as a packed array of a kind such as `uuid`; the list itself where the kind or a value is none of the plain ones."""
    known = _KINDS.get(kind)
    if known is None:
        return values
    made, element_oid, pack = known
    if not values:
        return made(_EMPTY.pack(0, 0, element_oid))
    try:
        elements, has_nulls = pack(values)
    except (AttributeError, TypeError, struct.error):  # texts to be cast, lists inside the list: the library knows them
        return values
    return made(_HEAD.pack(1, has_nulls, element_oid, len(values), 1) + elements)


def _uuids(ids: Sequence[Any]) -> tuple[bytes, bool]:
    """Pack ids; the same one again and again, as a column of one merchant has it, is turned into bytes once."""
    try:
        numbers = [one.int for one in ids]
    except AttributeError:
        return _each(ids, lambda one: _UUID_LENGTH + one.bytes)
    if numbers[0] == numbers[-1] == numbers[len(numbers) // 2]:
        known = {number: number.to_bytes(16, "big") for number in set(numbers)}
        return _UUID_LENGTH + _UUID_LENGTH.join([known[number] for number in numbers]), False
    return _UUID_LENGTH + _UUID_LENGTH.join([number.to_bytes(16, "big") for number in numbers]), False


def _each(values: Sequence[Any], form: Callable[[Any], bytes]) -> tuple[bytes, bool]:
    """Pack values of which equal ones have the same form, each distinct one once."""
    forms: dict[Any, bytes] = {value: _NULL if value is None else form(value) for value in set(values)}
    return b"".join(map(forms.__getitem__, values)), None in forms


def _measured(form: bytes) -> bytes:
    """Return an element's bytes behind their length."""
    return _LENGTH.pack(len(form)) + form


def _text(value: str) -> bytes:
    return _measured(value.encode())


def _json(value: bytes | str) -> bytes:
    return _measured(b"\x01" + (value.encode() if isinstance(value, str) else value))


def _boolean(value: object) -> bytes:
    if value is not True and value is not False:
        raise TypeError(value)
    return _measured(b"\x01" if value else b"\x00")


def _date(value: date) -> bytes:
    return _INT.pack(4, value.toordinal() - _FIRST_DAY)


def _instant(value: datetime) -> bytes:
    return _BIGINT.pack(8, (value - _FIRST_INSTANT) // _MICROSECOND)


_KINDS: Final[Mapping[str, tuple[type[bytes], int, Callable[[Sequence[Any]], tuple[bytes, bool]]]]] = {
    "uuid": (UuidArray, 2950, _uuids),
    "text": (TextArray, 25, lambda values: _each(values, _text)),
    "bigint": (BigintArray, 20, lambda values: _each(values, lambda value: _BIGINT.pack(8, value))),
    "int": (IntArray, 23, lambda values: _each(values, lambda value: _INT.pack(4, value))),
    "integer": (IntArray, 23, lambda values: _each(values, lambda value: _INT.pack(4, value))),
    "smallint": (SmallintArray, 21, lambda values: _each(values, lambda value: _SMALLINT.pack(2, value))),
    "boolean": (BooleanArray, 16, lambda values: _each(values, _boolean)),
    "date": (DateArray, 1082, lambda values: _each(values, _date)),
    "timestamptz": (InstantArray, 1184, lambda values: _each(values, _instant)),
    "bytea": (BytesArray, 17, lambda values: _each(values, _measured)),
    "jsonb": (JsonArray, 3802, lambda values: _each(values, _json)),
}
"""Array types by the name that statements cast to: the packed class, the element's type number, and how elements are packed."""
