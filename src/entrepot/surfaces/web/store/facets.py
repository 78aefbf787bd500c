"""What shoppers narrow a list of products by, with counts: category, who ships, where from, and how soon it arrives."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Final, Protocol
from urllib.parse import urlencode

from msgspec import Struct

from entrepot.surfaces.web.languages import mark

WITHIN_DAYS: Final = (3, 7, 14)
SORTS: Final[Mapping[str, str]] = {"": mark("Best match"), "price": mark("Price to your door"), "arrival": mark("Earliest arrival")}


class Listed(Protocol):
    """A product in a list as facets see it; days, origin and price are not known of one that cannot be had now."""

    @property
    def category_code(self) -> str:
        """The category."""
        ...

    @property
    def badge(self) -> str:
        """Who ships it."""
        ...

    @property
    def origin(self) -> str:
        """The country that it leaves from."""
        ...

    @property
    def arrives_on(self) -> date | None:
        """The last day of its window."""
        ...

    @property
    def door_minor(self) -> int:
        """The price to the door."""
        ...


class Narrowing(Struct, frozen=True):
    """What a shopper asked for."""

    store: str
    q: str = ""
    country: str = ""
    category: str = ""
    by: str = ""
    origin: str = ""
    within: str = ""
    sort: str = ""

    def address(self, **changed: str) -> str:
        """Return the address of the list with other wishes."""
        wishes = {name: getattr(self, name) for name in ("q", "country", "category", "by", "origin", "within", "sort")} | changed
        return f"/store/{self.store}?{urlencode({name: value for name, value in wishes.items() if value})}"

    @property
    def is_narrowed(self) -> bool:
        """Whether any facet is chosen."""
        return bool(self.category or self.by or self.origin or self.within)


class Value(Struct, frozen=True):
    """A value of a facet: what it narrows to, how many products have it, whether it is chosen."""

    code: str
    count: int
    href: str
    is_chosen: bool


class Facet(Struct, frozen=True):
    """One thing to narrow by."""

    code: str
    title: str
    values: tuple[Value, ...]


_TITLES: Final = (
    ("category", mark("Category")),
    ("by", mark("Shipped by")),
    ("origin", mark("Ships from")),
    ("within", mark("Arrives within")),
)


def fits(card: Listed, wanted: Narrowing, today: date, besides: str = "") -> bool:
    """Tell whether a product fits all wishes besides one."""
    asked = {code: getattr(wanted, code) for code, _ in _TITLES if code != besides}
    return all(not value or value in _values_of(card, code, today) for code, value in asked.items())


def _values_of(card: Listed, code: str, today: date) -> tuple[str, ...]:
    """Return the values of a facet that a product has."""
    if code == "category":
        return (card.category_code,)
    if code == "by":
        return (card.badge.lower(),)
    if code == "origin":
        return (card.origin,) if card.origin else ()
    arrives = card.arrives_on
    return tuple(str(days) for days in WITHIN_DAYS if arrives is not None and arrives <= today + timedelta(days=days))


def facets_of(cards: Sequence[Listed], wanted: Narrowing, today: date) -> list[Facet]:
    """Return the facets of a list; each value counts what would be shown with it and the other wishes."""
    facets: list[Facet] = []
    for code, title in _TITLES:
        held = Counter(value for card in cards if fits(card, wanted, today, code) for value in _values_of(card, code, today))
        chosen = getattr(wanted, code)
        counts = {**({chosen: 0} if chosen else {}), **held}
        order = sorted(counts, key=lambda value: (int(value), "") if value.isdecimal() else (-counts[value], value))
        values = tuple(Value(one, counts[one], wanted.address(**{code: "" if one == chosen else one}), one == chosen) for one in order)
        if len(values) > 1 or chosen:
            facets.append(Facet(code, title, values))
    return facets


def in_order(cards: Sequence[Listed], sort: str) -> list[int]:
    """Return the places of products in the order asked for; what cannot be had now comes last."""

    def key(place: int) -> tuple[bool, int, int]:
        card = cards[place]
        arrives = card.arrives_on
        wish = card.door_minor if sort == "price" else arrives.toordinal() if sort == "arrival" and arrives is not None else 0
        return arrives is None, wish, place

    return sorted(range(len(cards)), key=key)
