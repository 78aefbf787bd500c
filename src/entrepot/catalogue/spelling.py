"""Which word of the catalogue a misspelt one may mean: the one that shares most of its runs of three letters."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

LEAST_LIKENESS: Final = Decimal("0.36")
"""Share of runs in common from which two words resemble each other; as trigram searches usually have it, a little stricter."""


def resembling_word(word: str, known: Iterable[str]) -> str | None:
    """Return the word itself if a known one begins with it, else the known one most like it, the first by alphabet of several; or nothing."""
    wanted = _runs(word)
    best, best_likeness = None, LEAST_LIKENESS
    for one in sorted(known):
        if one.startswith(word):
            return word
        if abs(len(one) - len(word)) <= 3 and (found := likeness(wanted, _runs(one))) >= best_likeness and (found > best_likeness or best is None):
            best, best_likeness = one, found
    return best


def likeness(one: frozenset[str], other: frozenset[str]) -> Decimal:
    """Return which share of all their runs two words have in common."""
    return Decimal(len(one & other)) / len(one | other)


def _runs(word: str) -> frozenset[str]:
    """Return the runs of three letters of a word, its beginning counted twice as trigram indexes do."""
    padded = f"  {word} "
    return frozenset(padded[start : start + 3] for start in range(len(padded) - 2))
