"""What stands in the menus of the shells: one entry per page that people begin with, shown to whoever the page is open to."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from entrepot.surfaces.web.access import BOOKS, EVERYBODY, FLOOR, HOUSE, MERCHANTS, OPERATORS, Audience, Visitor
from entrepot.surfaces.web.languages import mark


class Entry(Struct, frozen=True):
    """A menu entry: `key` is what the page's template says in `{% set here = … %}`, `icon` a path of 20 by 20."""

    key: str
    label: str
    href: str
    icon: str
    audience: Audience


class Group(Struct, frozen=True):
    """Entries under a heading; the first group has none."""

    label: str
    entries: tuple[Entry, ...]


_HOME: Final = "M3 9.5 10 4l7 5.5V16a1 1 0 0 1-1 1h-3.5v-4.5h-5V17H4a1 1 0 0 1-1-1Z"
_ORDERS: Final = "M5 3.5h10a1 1 0 0 1 1 1V17l-2.5-1.5L11.7 17 10 15.5 8.3 17l-1.8-1.5L4 17V4.5a1 1 0 0 1 1-1ZM7 8h6M7 11h6"
_STOCK: Final = "M3 6.5 10 3l7 3.5v7L10 17l-7-3.5ZM3 6.5 10 10l7-3.5M10 10v7"
_BOOK: Final = "M4 4h9.5A2.5 2.5 0 0 1 16 6.5V16H6a2 2 0 0 1-2-2ZM7.5 8h5M7.5 11h5"
_MATRIX: Final = "M3.5 4h13v12h-13ZM3.5 8h13M8 4v12"
_SHOP: Final = "M4 8v8h12V8M3 8l1.5-4h11L17 8a2.3 2.3 0 0 1-4.6 0 2.3 2.3 0 0 1-4.7 0A2.3 2.3 0 0 1 3 8Z"
_PARTS: Final = "M3.5 3.5h5v5h-5ZM11.5 3.5h5v5h-5ZM3.5 11.5h5v5h-5ZM14 11v6M11 14h6"
_FLOOR: Final = "M3 17V7.5L10 4l7 3.5V17M6 17v-6h8v6M6 14h8"
_LOCK: Final = "M5 9h10v7.5H5ZM7 9V6.5a3 3 0 0 1 6 0V9M10 12v1.8"

DESK: Final = (
    Group(
        "",
        (
            Entry("home", mark("Home"), "/operator", _HOME, HOUSE),
            Entry("orders", mark("Orders"), "/orders", _ORDERS, HOUSE | MERCHANTS),
            Entry("stock", mark("Stock"), "/stock", _STOCK, HOUSE | MERCHANTS),
            Entry("floor", mark("Warehouse floor"), "/floor", _FLOOR, FLOOR),
            Entry("postings", mark("Money book"), "/postings", _BOOK, BOOKS),
        ),
    ),
    Group(
        mark("House"),
        (
            Entry("operations", mark("Who does what"), "/operations", _MATRIX, EVERYBODY),
            Entry("store", mark("Stores"), "/store", _SHOP, EVERYBODY),
            Entry("design", mark("Design system"), "/design", _PARTS, OPERATORS),
            Entry("account", mark("My account"), "/me", _LOCK, HOUSE | MERCHANTS | FLOOR),
        ),
    ),
)
"""The menu of the desk; each area adds its entries here."""


def menu_for(visitor: Visitor) -> Sequence[Group]:
    """Return the groups of the desk's menu with the entries that are open to the visitor."""
    groups = [Group(group.label, tuple(one for one in group.entries if visitor.role in one.audience)) for group in DESK]
    return [group for group in groups if group.entries]
