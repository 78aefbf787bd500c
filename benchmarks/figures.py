"""The table that `make accept` prints and writes: what was measured against what is asked."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

VERDICT = {True: "holds", False: "missed", None: "not measured"}


@dataclass
class Figures:
    """What was measured against what is asked."""

    rows: list[tuple[str, str, str, bool | None]] = field(default_factory=list)

    def add(self, what: str, asked: str, measured: object, holds: bool | None) -> None:  # noqa: FBT001 -- a verdict, read as the last column
        """Note a figure; None says that it could not be measured here."""
        self.rows.append((what, asked, str(measured), holds))
        print(f"{VERDICT[holds]:<12} {what}: {measured} (asked: {asked})", flush=True)


def add_laws(figures: Figures, name: str, laws: Iterable[Mapping[str, Any]], untouched: frozenset[int] = frozenset()) -> None:
    """Note what the eight laws were held against; some have nothing to say about what a part did."""
    listed = list(laws)
    told = ", ".join(f"{one['law']}: {one['checked']:,}/{one['broken']}" for one in listed)
    holds = len(listed) == 8 and all((one["checked"] > 0 or one["law"] in untouched) and one["broken"] == 0 for one in listed)
    figures.add(f"{name}: laws (checked/broken)", "all eight, none broken", told, holds)
