"""Batches: one order is a batch of one, and functions that take mixed merchants say so."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

Function = TypeVar("Function", bound=Callable[..., object])
Item = TypeVar("Item")

BATCH_LIMIT: Final = 128
"""How many orders a batch holds at most."""


def batch(function: Function) -> Function:
    """Mark a store function that takes rows of several merchants in one call, or of one merchant per call with the same result."""
    return function


def chunks(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Cut a sequence into runs of at most `size`, in order."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
