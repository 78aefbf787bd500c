"""Turning stored fields into rule rows: one way for data files and for tables."""

from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec

_CODE_LISTS: Final = frozenset({"ship_from_codes", "excluded_hs", "regime_codes"})
"""Columns that hold several codes as text with blanks between them."""

_MAY_BE_MISSING: Final = frozenset({"effective_to", "minimum_minor", "maximum_minor", "consumption_threshold_minor"})

_Rule = TypeVar("_Rule", bound=msgspec.Struct)


def rule_of(kind: type[_Rule], stored: Mapping[str, Any]) -> _Rule:
    """Return a rule row from its fields as text or as typed values; an empty text stands for a missing figure or date."""
    return msgspec.convert({name: _read(name, value) for name, value in stored.items()}, kind, strict=False)


def field_names(kind: type[msgspec.Struct]) -> list[str]:
    """Return the columns of a rule row in order."""
    return list(kind.__struct_fields__)


def stored_value(name: str, value: Any) -> Any:
    """Return a field's value as its column holds it."""
    if name in _CODE_LISTS:
        return " ".join(value)
    return str(value) if isinstance(value, str) else value


def _read(name: str, value: Any) -> Any:
    if name in _CODE_LISTS:
        return value.split()
    return None if name in _MAY_BE_MISSING and value == "" else value
