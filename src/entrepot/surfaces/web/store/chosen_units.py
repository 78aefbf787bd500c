"""Which units of an order a form names."""

from collections.abc import Mapping

_FIELD = "units-"
_MOST_DIGITS = 6


def chosen_units(form: Mapping[str, str]) -> dict[int, int]:
    """Return the units chosen by line of an order; what is none or no number is left out."""
    chosen: dict[int, int] = {}
    for name, value in form.items():
        line = name.removeprefix(_FIELD)
        is_number = line.isdecimal() and value.isdecimal() and max(len(line), len(value)) <= _MOST_DIGITS
        if name.startswith(_FIELD) and is_number and int(value):
            chosen[int(line)] = int(value)
    return dict(sorted(chosen.items()))
