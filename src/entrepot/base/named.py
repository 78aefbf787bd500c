"""What is found by a name that somebody typed: of which kind it is, whose, and how it is called in a list."""

import uuid
from typing import Final

from msgspec import Struct


class Named(Struct, frozen=True):
    """A record that a number, code or id names; `order_id` leads to its order where it has one, `label` is its own number or name."""

    kind: str
    merchant_id: uuid.UUID
    subject_id: uuid.UUID
    label: str
    state: str = ""
    order_id: uuid.UUID | None = None
    person_id: uuid.UUID | None = None


def as_id(text: str) -> uuid.UUID | None:
    """Return a text as an id, or None if it is none."""
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


MOST: Final = 50
"""How many records of one kind a name leads to at most."""
