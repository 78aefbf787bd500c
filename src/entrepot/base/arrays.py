"""Lists bound as PostgreSQL arrays, packed in a few calls: a batch binds hundreds of thousands of elements, and each one must cost next to nothing.

The statement says what an array holds (`%(name)s::uuid[]`), so no element has to be looked at to find its type.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
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


class _Kind:
    """An array type: the packed class, and how one element and a list of them are packed."""

    __slots__ = ("empty", "form", "made", "null", "oid", "one", "pack")

    def __init__(
        self, made: type[bytes], oid: int, form: Callable[[Any], bytes], pack: Callable[[Sequence[Any]], tuple[bytes, bool]] | None = None
    ) -> None:
        self.made, self.oid, self.form = made, oid, form
        self.pack: Callable[[Sequence[Any]], tuple[bytes, bool]] = pack or partial(_each, form=form)
        self.empty = made(_EMPTY.pack(0, 0, oid))
        self.null = made(_HEAD.pack(1, 1, oid, 1, 1) + _NULL)
        self.one = _HEAD.pack(1, 0, oid, 1, 1)


def pack_array(kind: str, values: Sequence[Any]) -> object:
    """Return a list as a packed array of a kind such as `uuid`; the list itself where the kind or a value is none of the plain ones.

    A list of one, as an order of its own binds some three hundred, goes the short way.
    """
    known = _KINDS.get(kind)
    if known is None:
        return values
    if not values:
        return known.empty
    try:
        if len(values) == 1:
            value = values[0]
            return known.null if value is None else known.made(known.one + known.form(value))
        elements, has_nulls = known.pack(values)
    except (AttributeError, TypeError, struct.error):  # texts to be cast, lists inside the list: the library knows them
        return values
    return known.made(_HEAD.pack(1, has_nulls, known.oid, len(values), 1) + elements)


def _uuid(value: Any) -> bytes:
    return _UUID_LENGTH + value.int.to_bytes(16, "big")


def _uuids(ids: Sequence[Any]) -> tuple[bytes, bool]:
    """Pack ids; the same one again and again, as a column of one merchant has it, is turned into bytes once."""
    try:
        numbers = [one.int for one in ids]
    except AttributeError:
        return _each(ids, _uuid)
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


_INTEGER: Final = _Kind(IntArray, 23, lambda value: _INT.pack(4, value))
_KINDS: Final[Mapping[str, _Kind]] = {
    "uuid": _Kind(UuidArray, 2950, _uuid, _uuids),
    "text": _Kind(TextArray, 25, _text),
    "bigint": _Kind(BigintArray, 20, lambda value: _BIGINT.pack(8, value)),
    "int": _INTEGER,
    "integer": _INTEGER,
    "smallint": _Kind(SmallintArray, 21, lambda value: _SMALLINT.pack(2, value)),
    "boolean": _Kind(BooleanArray, 16, _boolean),
    "date": _Kind(DateArray, 1082, _date),
    "timestamptz": _Kind(InstantArray, 1184, _instant),
    "bytea": _Kind(BytesArray, 17, _measured),
    "jsonb": _Kind(JsonArray, 3802, _json),
}
"""Array types by the name that statements cast to."""
