"""Lists as people work with them: a page declares columns, filters and views; sorting, pages, sums, saved views and CSV follow from that.

The rows come from a set-based query of the context that owns them: `find(ask, limit, offset)` returns one page of rows with the count and the
sums of everything that fits. A list that is short and already in memory goes through `sift` instead.
"""

import csv
import io
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final, Protocol
from urllib.parse import urlencode

from litestar import Response
from litestar.datastructures import MultiDict
from litestar.response import Stream
from msgspec import Struct

from entrepot.base.errors import RefusedInputError
from entrepot.base.money import major
from entrepot.parties.saved_views import SavedView, list_saved_views
from entrepot.surfaces.web.access import Visitor, WebRequest
from entrepot.surfaces.web.house import House
from entrepot.surfaces.web.languages import Language
from entrepot.surfaces.web.render import page
from entrepot.surfaces.web.words import words

PAGE_ROWS: Final = 50
_CSV_CHUNK: Final = 1000
_CSV_MOST: Final = 100_000
_LONGEST_TEXT: Final = 200
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_OWN_FIELDS: Final = frozenset({"view", "sort", "columns", "page", "format"})

Query = MultiDict[str] | Mapping[str, str]


class UnknownListFieldError(RefusedInputError):
    """The list has no such column, filter, view or page; use what the page offers."""


class Kind(StrEnum):
    """What a column holds, which decides how it is shown, aligned, sorted and exported."""

    TEXT = "text"
    CODE = "code"
    WORDS = "words"
    STATE = "state"
    COUNTRY = "country"
    NUMBER = "number"
    MONEY = "money"
    PERCENT = "percent"
    TIME = "time"
    DAY = "day"


NUMERIC: Final = frozenset({Kind.NUMBER, Kind.MONEY, Kind.PERCENT})


class Column(Struct, frozen=True):
    """A column: the first one names the row. `is_optional` columns are hidden until they are chosen, `is_whole` ones are not broken into lines."""

    key: str
    title: str
    kind: Kind = Kind.TEXT
    is_sortable: bool = False
    is_optional: bool = False
    is_whole: bool = False

    @property
    def is_numeric(self) -> bool:
        """Whether the column is set to the end, figure under figure."""
        return self.kind in NUMERIC


class Filter(Struct, frozen=True):
    """A filter by one field: with choices (value and title) a select, without a text field."""

    key: str
    title: str
    choices: tuple[tuple[str, str], ...] = ()


class View(Struct, frozen=True):
    """A view that everybody has: a tab with some filters set."""

    code: str
    title: str
    filters: Mapping[str, str] = {}


class Action(Struct, frozen=True):
    """Something to do with the selected rows: they are sent as `row` fields to an address by POST, or by GET to print them."""

    title: str
    path: str
    method: str = "post"


class Listing(Struct, frozen=True):
    """The declaration of a list; `sort` is the order at first, with a minus for the greatest first."""

    code: str
    path: str
    columns: tuple[Column, ...]
    filters: tuple[Filter, ...] = ()
    views: tuple[View, ...] = ()
    actions: tuple[Action, ...] = ()
    sort: str = ""
    page_rows: int = PAGE_ROWS

    def column(self, key: str) -> Column:
        """Return a column by its key."""
        found = next((one for one in self.columns if one.key == key), None)
        if found is None:
            raise UnknownListFieldError("column", key, "Use one of %(choices)s.", choices=tuple(one.key for one in self.columns))
        return found


class Ask(Struct, frozen=True):
    """What somebody wants to see of a list: `filters` holds the view's and the chosen ones together."""

    view: str
    filters: Mapping[str, str]
    chosen: Mapping[str, str]
    sort_key: str
    is_descending: bool
    columns: tuple[str, ...]
    page_no: int
    is_csv: bool


class Cell(Struct, frozen=True):
    """A value with where it leads (every number drills to its rows), what stands below it, and its currency if it is money."""

    value: object
    href: str = ""
    note: str = ""
    currency: str = ""
    tone: str = ""


class Row(Struct, frozen=True):
    """A row: its key for bulk actions and its cells by column."""

    key: str
    cells: Mapping[str, Cell]


class Found(Struct, frozen=True):
    """One page of rows; count and sums (by column: currency or nothing, and total) are of everything that fits, counts of tabs by view."""

    rows: Sequence[Row]
    count: int
    sums: Mapping[str, Sequence[tuple[str, int]]] = {}
    view_counts: Mapping[str, int] = {}
    has_uncounted: bool = False
    """Whether there are more rows than were counted."""


class Find(Protocol):
    """The query behind a list."""

    async def __call__(self, ask: Ask, limit: int, offset: int) -> Found:
        """Return at most `limit` rows from `offset` on."""
        ...


class Shown(Struct, frozen=True):
    """A list as its macro draws it."""

    listing: Listing
    ask: Ask
    found: Found
    saved: Sequence[SavedView]

    @property
    def columns(self) -> list[Column]:
        """The columns that are shown, in the declared order."""
        return [one for one in self.listing.columns if one.key in self.ask.columns]

    @property
    def first_no(self) -> int:
        """The number of the first row on the page."""
        return (self.ask.page_no - 1) * self.listing.page_rows + 1

    @property
    def has_more(self) -> bool:
        """Whether a next page exists."""
        if self.found.has_uncounted and len(self.found.rows) == self.listing.page_rows:
            return True
        return self.first_no + len(self.found.rows) - 1 < self.found.count

    @property
    def counted(self) -> str:
        """What follows the count where there are more rows than were counted."""
        return "+" if self.found.has_uncounted else ""

    @property
    def is_narrowed(self) -> bool:
        """Whether filters hide something."""
        return bool(self.ask.filters)

    def query(self, **changed: object) -> str:
        """Return the list's address with something changed: `page`, `sort`, `view`, `columns`, `format` or a filter; the page starts anew."""
        sort = ("-" if self.ask.is_descending else "") + self.ask.sort_key
        fields: dict[str, object] = {"view": self.ask.view, **self.ask.chosen, "sort": sort if sort != self.listing.sort else ""}
        fields |= {"columns": ",".join(self.ask.columns) if self.ask.columns != first_columns(self.listing) else ""}
        if "view" in changed:
            fields = {"columns": fields["columns"]}
        kept = {name: value for name, value in {**fields, **changed}.items() if value not in {"", None, 1}}
        return self.listing.path + (f"?{urlencode(kept)}" if kept else "")

    def sorted_by(self, column: Column) -> str:
        """Return where the heading of a column leads: that order, or turned round if it is already so."""
        is_now = column.key == self.ask.sort_key
        return self.query(sort=("-" if (is_now and not self.ask.is_descending) or (not is_now and column.is_numeric) else "") + column.key)

    def order_of(self, column: Column) -> str:
        """Return the order of a column as screen readers say it."""
        if column.key != self.ask.sort_key:
            return "none"
        return "descending" if self.ask.is_descending else "ascending"

    @property
    def current_tab(self) -> str:
        """Which tab is shown: `saved:` and a name, `view:` and a code, or nothing when filters were chosen beside the view."""
        now = self.query_to_save
        saved = next((one for one in self.saved if one.query == now), None)
        if saved is not None:
            return f"saved:{saved.name}"
        return "" if self.ask.chosen else f"view:{self.ask.view}"

    @property
    def query_to_save(self) -> str:
        """What a saved view keeps of the address."""
        return self.query().partition("?")[2]


def first_columns(listing: Listing) -> tuple[str, ...]:
    """Return the columns that are shown until others are chosen."""
    return tuple(one.key for one in listing.columns if not one.is_optional)


def read_ask(listing: Listing, query: Query) -> Ask:
    """Read what is asked of a list from its address; what the list does not have is refused by name."""
    sent = query.dict() if isinstance(query, MultiDict) else {name: [value] for name, value in query.items()}
    fields = {name: [str(value).strip() for value in values if str(value).strip()] for name, values in sent.items()}
    first = {name: values[0] for name, values in fields.items() if values}
    filters = {one.key: one for one in listing.filters}
    for name, value in first.items():
        if name not in filters and name not in _OWN_FIELDS:
            raise UnknownListFieldError(name, value, "Filter by one of %(choices)s.", choices=sorted(filters))
        if name in filters and filters[name].choices and value not in {choice for choice, _ in filters[name].choices}:
            raise UnknownListFieldError(name, value, "Choose a value that the page offers.")
    views = {one.code: one for one in listing.views}
    view = first.get("view", "")
    if view and view not in views:
        raise UnknownListFieldError("view", view, "Use one of %(choices)s.", choices=tuple(views))
    chosen = {name: value[:_LONGEST_TEXT] for name, value in first.items() if name in filters}
    sort = first.get("sort", listing.sort)
    if sort and not listing.column(sort.removeprefix("-")).is_sortable:
        raise UnknownListFieldError("sort", sort, "Choose a heading that sorts.")
    return Ask(
        view,
        {**(views[view].filters if view else {}), **chosen},
        chosen,
        sort.removeprefix("-"),
        sort.startswith("-"),
        _columns(listing, [key for part in fields.get("columns", []) for key in part.split(",")]),
        _page_no(first.get("page", "1")),
        first.get("format") == "csv",
    )


def _columns(listing: Listing, keys: Sequence[str]) -> tuple[str, ...]:
    """Return the chosen columns in the declared order; the one that names the row is always there."""
    wanted = {listing.column(key).key for key in keys if key}
    return tuple(one.key for one in listing.columns if one.key in wanted or one is listing.columns[0]) if wanted else first_columns(listing)


def _page_no(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text[:7]) <= _CSV_MOST:
        raise UnknownListFieldError("page", text, "Use a number from 1 to %(most)s.", most=_CSV_MOST)
    return int(text)


def list_query(request: WebRequest) -> dict[str, str]:
    """Return what an address asks of a list, without what was just done."""
    return {name: ",".join(values) for name, values in request.query_params.dict().items() if name not in {"done", "row"}}


async def answer_listing(
    template: str, visitor: Visitor, house: House, listing: Listing, query: Query, find: Find, values: Mapping[str, object] | None = None
) -> Response[str] | Stream:
    """Answer a list's page, whose template draws `shown`, or its CSV when `format=csv` is asked."""
    ask = read_ask(listing, query)
    if ask.is_csv:
        headers = {"content-disposition": f'attachment; filename="{listing.code}.csv"'}
        return Stream(_csv(visitor.language, listing, ask, find), media_type="text/csv; charset=utf-8", headers=headers)
    found = await find(ask, listing.page_rows, (ask.page_no - 1) * listing.page_rows)
    saved: Sequence[SavedView] = ()
    if visitor.member is not None:
        async with house.database.reading() as conn:
            saved = await list_saved_views(conn, visitor.member.staff_id, listing.code)
    return page(template, visitor, {**(values or {}), "shown": Shown(listing, ask, found, saved)})


def sift(listing: Listing, ask: Ask, rows: Sequence[Row], limit: int, offset: int) -> Found:
    """Filter, sort, sum and cut rows that are in memory: for lists of some hundred rows that a query reads whole."""
    choices = {one.key: bool(one.choices) for one in listing.filters}
    fitting = [row for row in rows if all(_fits(row, key, value, choices) for key, value in ask.filters.items())]
    if ask.sort_key:
        fitting.sort(key=_order(ask.sort_key), reverse=ask.is_descending)
    sums: dict[str, dict[str, int]] = {}
    for column in (one for one in listing.columns if one.kind in {Kind.MONEY, Kind.NUMBER}):
        for row in fitting:
            cell = row.cells.get(column.key)
            if cell is not None and isinstance(cell.value, int):
                totals = sums.setdefault(column.key, {})
                totals[cell.currency] = totals.get(cell.currency, 0) + cell.value
    views = {one.code: sum(all(_fits(row, key, value, choices) for key, value in one.filters.items()) for row in rows) for one in listing.views}
    totals_by_key = {key: sorted(totals.items()) for key, totals in sums.items()}
    return Found(fitting[offset : offset + limit], len(fitting), totals_by_key, views | {"": len(rows)})


def _fits(row: Row, key: str, value: str, choices: Mapping[str, bool]) -> bool:
    """Tell whether a row fits a filter: exactly one of the choices, or containing the text; a filter without column looks everywhere."""
    cells = [row.cells[key]] if key in row.cells else list(row.cells.values())
    texts = [str(part).casefold() for cell in cells for part in (cell.value, cell.note)]
    return value.casefold() in texts if choices.get(key, True) and key in row.cells else any(value.casefold() in text for text in texts)


def _order(key: str) -> Callable[[Row], tuple[bool, str, Decimal, str]]:
    """Return how rows are ordered by a column: empty last, then by currency, then by value."""

    def order(row: Row) -> tuple[bool, str, Decimal, str]:
        cell = row.cells.get(key)
        if cell is None or cell.value is None:
            return (True, "", Decimal(0), "")
        value = cell.value
        if isinstance(value, int | Decimal):
            return (False, cell.currency, Decimal(value), "")
        return (False, cell.currency, Decimal(0), value.isoformat() if isinstance(value, date | datetime) else str(value).casefold())

    return order


async def _csv(language: Language, listing: Listing, ask: Ask, find: Find) -> AsyncGenerator[str]:
    """Yield everything that fits as CSV, a thousand rows at a time; amounts in major units, their currency in a column beside them."""
    columns = [one for one in listing.columns if one.key in ask.columns]
    heads = [head for one in columns for head in _heads(language, one)]
    yield "\ufeff" + _line(heads)
    for offset in range(0, _CSV_MOST, _CSV_CHUNK):
        found = await find(ask, _CSV_CHUNK, offset)
        yield "".join(_line([text for one in columns for text in _texts(language, one, row.cells.get(one.key))]) for row in found.rows)
        if len(found.rows) < _CSV_CHUNK or (offset + len(found.rows) >= found.count and not found.has_uncounted):
            return


def _heads(language: Language, column: Column) -> list[str]:
    title = language.gettext(column.title)
    return [title, f"{title} ({language.gettext('Currency')})"] if column.kind is Kind.MONEY else [title]


def _texts(language: Language, column: Column, cell: Cell | None) -> list[str]:
    """Return a cell for programs: numbers and times as such, codes in words; nothing that a spreadsheet would run as a formula."""
    value = cell.value if cell is not None else None
    currency = cell.currency if cell is not None else ""
    if column.kind is Kind.MONEY:
        return [str(major(value, currency)) if isinstance(value, int) else "", currency]
    if value is None:
        return [""]
    if isinstance(value, date | datetime):
        return [value.isoformat()]
    if column.kind in NUMERIC:
        return [str(value)]
    text = words(language, value) if column.kind in {Kind.WORDS, Kind.STATE} else str(value)
    return [f"'{text}" if text.startswith(_FORMULA) else text]


def _line(fields: Sequence[str]) -> str:
    told = io.StringIO()
    csv.writer(told).writerow(fields)
    return told.getvalue()
