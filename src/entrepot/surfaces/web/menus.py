"""What stands in the menus of the shells: one entry per page that people begin with, shown to whoever the page is open to."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from entrepot.surfaces.web.access import BOOKS, EVERYBODY, FLOOR, HOUSE, MERCHANTS, OPERATORS, Audience, Visitor
from entrepot.surfaces.web.languages import mark
from entrepot.surfaces.web.operator.audiences import BOOKKEEPERS


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
_PARCEL: Final = "M2.5 6h9v8h-9ZM11.5 9h3.3l2.7 2.7V14h-6M5.5 14a1.5 1.5 0 1 0 0 3 1.5 1.5 0 0 0 0-3ZM14 14a1.5 1.5 0 1 0 0 3 1.5 1.5 0 0 0 0-3Z"
_BACK: Final = "M8 6 4 10l4 4M4 10h8a4 4 0 0 1 4 4v2"
_TALK: Final = "M3.5 4h13v9.5H9L5.5 16.5v-3h-2ZM7 7.5h6M7 10h4"
_TAG: Final = "M3.5 3.5h6l7 7-6 6-7-7ZM7 6.9h.1"
_COIN: Final = "M10 3a7 7 0 1 0 0 14 7 7 0 0 0 0-14ZM12.5 7.8C12 6.9 11.1 6.5 10 6.5c-1.4 0-2.5.7-2.5 1.8 0 2.4 5 1 5 3.4 0 1.1-1.1 1.8-2.5 1.8-1.2 0-2.2-.5-2.6-1.4M10 5.3v9.4"
_PERCENT: Final = "M15 5 5 15M6.5 4.5a2 2 0 1 0 0 4 2 2 0 0 0 0-4ZM13.5 11.5a2 2 0 1 0 0 4 2 2 0 0 0 0-4Z"
_LIST: Final = "M8 5.5h9M8 10h9M8 14.5h9M3 5.5l1.2 1.2L6 4.5M3 10l1.2 1.2L6 9M3 14.5l1.2 1.2L6 13.5"
_GEAR: Final = (
    "M10 7.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6ZM10 3v2M10 15v2M3 10h2M15 10h2M5 5l1.5 1.5M13.5 13.5 15 15M15 5l-1.5 1.5M6.5 13.5 5 15"
)
_FLOOR: Final = "M3 17V7.5L10 4l7 3.5V17M6 17v-6h8v6M6 14h8"
_LOCK: Final = "M5 9h10v7.5H5ZM7 9V6.5a3 3 0 0 1 6 0V9M10 12v1.8"
_GLOBE: Final = "M10 3a7 7 0 1 0 0 14 7 7 0 0 0 0-14ZM3 10h14M10 3c2 2 3 4.3 3 7s-1 5-3 7c-2-2-3-4.3-3-7s1-5 3-7Z"
_TOWER: Final = "M7 9h6l-1 8H8ZM5 5h10l-1.5 4h-7ZM10 2.5V5"
_COINS: Final = "M3.5 6.5c0-1.4 2.9-2.5 6.5-2.5s6.5 1.1 6.5 2.5S13.6 9 10 9 3.5 7.9 3.5 6.500ZM3.5 6.500v7C3.5 14.9 6.4 16 10 16s6.5-1.1 6.5-2.500v-7M3.5 10c0 1.4 2.9 2.5 6.5 2.500s6.5-1.1 6.5-2.5"
_PEN: Final = "M4 16l.8-3.500L13.3 4l2.7 2.7-8.5 8.500ZM11.5 5.800l2.7 2.7"
_STAMP: Final = "M7.5 11c0-2-1-2.5-1-4.500a3.5 3.5 0 0 1 7 0c0 2-1 2.5-1 4.500M4.5 11h11v3h-11ZM4.5 16.500h11"
_PEOPLE: Final = (
    "M7.5 9.500a3 3 0 1 0 0-6 3 3 0 0 0 0 6ZM2.5 16.500c0-3 2.2-4.5 5-4.500s5 1.5 5 4.500M13 4a3 3 0 0 1 0 5.500M14.5 12.300c1.9.5 3 1.9 3 4.2"
)
_COLUMN: Final = "M3 7.5 10 3.500l7 4ZM4.5 16.500h11M5.5 7.500v7M10 7.500v7M14.5 7.500v7"
_SCALES: Final = "M10 3.500v13M6 16.500h8M4 6h12M4 6l-2 5.500a2.3 2.3 0 0 0 4 0ZM16 6l-2 5.500a2.3 2.3 0 0 0 4 0Z"
_CLOCK: Final = "M10 3a7 7 0 1 0 0 14 7 7 0 0 0 0-14ZM10 6v4l2.8 1.8"
_EYE: Final = "M2.5 10S5 5 10 5s7.5 5 7.5 5-2.5 5-7.5 5-7.5-5-7.5-5ZM10 8a2 2 0 1 0 0 4 2 2 0 0 0 0-4Z"
_PULSE: Final = "M2.5 10.500h3.500l2-5.5 3.5 10 2-4.500h4"

DESK: Final = (
    Group(
        "",
        (
            Entry("home", mark("Home"), "/operator", _HOME, HOUSE),
            Entry("network", mark("Live network"), "/operator/network", _GLOBE, HOUSE),
            Entry("tower", mark("Control tower"), "/operator/tower", _TOWER, HOUSE),
            Entry("orders", mark("Orders"), "/orders", _ORDERS, HOUSE),
            Entry("stock", mark("Stock"), "/stock", _STOCK, HOUSE),
            Entry("floor", mark("Warehouse floor"), "/floor", _FLOOR, FLOOR),
            Entry("postings", mark("Money book"), "/postings", _BOOK, BOOKS - MERCHANTS),
            Entry("merchant-home", mark("Home"), "/merchant", _HOME, MERCHANTS),
            Entry("merchant-ship", mark("To ship"), "/merchant/ship", _PARCEL, MERCHANTS),
            Entry("merchant-orders", mark("Orders"), "/merchant/orders", _ORDERS, MERCHANTS),
            Entry("merchant-returns", mark("Returns"), "/merchant/returns", _BACK, MERCHANTS),
            Entry("merchant-messages", mark("Messages"), "/merchant/messages", _TALK, MERCHANTS),
        ),
    ),
    Group(
        mark("Selling"),
        (
            Entry("merchant-listings", mark("Listings"), "/merchant/listings", _TAG, MERCHANTS),
            Entry("merchant-stock", mark("Stock"), "/merchant/stock", _STOCK, MERCHANTS),
        ),
    ),
    Group(
        mark("Money"),
        (
            Entry("merchant-money", mark("Balance"), "/merchant/money", _COIN, MERCHANTS),
            Entry("merchant-fees", mark("Fees"), "/merchant/fees", _PERCENT, MERCHANTS),
            Entry("postings", mark("Money book"), "/postings", _BOOK, MERCHANTS),
        ),
    ),
    Group(
        mark("Business"),
        (
            Entry("merchant-start", mark("Getting started"), "/merchant/start", _LIST, MERCHANTS),
            Entry("merchant-settings", mark("Settings"), "/merchant/settings", _GEAR, MERCHANTS),
        ),
    ),
    Group(
        mark("Control"),
        (
            Entry("finance", mark("Finance"), "/operator/finance", _COINS, BOOKKEEPERS),
            Entry("corrections", mark("Corrections"), "/operator/corrections", _PEN, BOOKKEEPERS),
            Entry("customs", mark("Customs entries"), "/operator/customs", _STAMP, HOUSE),
            Entry("merchants", mark("Merchants"), "/operator/merchants", _PEOPLE, HOUSE),
            Entry("entities", mark("Entities and roles"), "/operator/entities", _COLUMN, HOUSE),
            Entry("rules", mark("Rules"), "/operator/rules", _SCALES, HOUSE),
            Entry("due", mark("Due work"), "/operator/due", _CLOCK, HOUSE),
            Entry("audit", mark("Audit log"), "/operator/audit", _EYE, HOUSE),
            Entry("health", mark("System health"), "/operator/health", _PULSE, HOUSE),
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
