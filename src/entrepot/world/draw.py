"""Chance that repeats: every actor draws from its own stream, which follows from the seed and its name."""

import hashlib
from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


class Stream:
    """Whole numbers that follow from a seed, an actor's name and how often it drew."""

    def __init__(self, seed: int, actor: str) -> None:
        self._prefix = f"{seed}\x00{actor}\x00"
        self._count = 0

    def below(self, limit: int) -> int:
        """Return a number from 0 to `limit` - 1."""
        self._count += 1
        digest = hashlib.blake2b(f"{self._prefix}{self._count}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") % limit

    def happens(self, per_thousand: int) -> bool:
        """Tell whether something that happens so often in a thousand happens now."""
        return self.below(1000) < per_thousand

    def choose(self, items: Sequence[Item]) -> Item:
        """Return one of the items."""
        return items[self.below(len(items))]

    def between(self, least: int, most: int) -> int:
        """Return a number from `least` to `most`."""
        return least + self.below(most - least + 1)
