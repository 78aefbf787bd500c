"""Lists as they are declared: what an address may ask, how rows are sifted, ordered and summed, and what CSV says."""

import asyncio
from datetime import UTC, date, datetime

import pytest

from entrepot.surfaces.web import house
from entrepot.surfaces.web.house import Tallies
from entrepot.surfaces.web.languages import language
from entrepot.surfaces.web.listing import (
    Ask,
    Cell,
    Column,
    Filter,
    Found,
    Kind,
    Listing,
    Row,
    Shown,
    UnknownListFieldError,
    View,
    _csv,
    read_ask,
    sift,
)

LIST = Listing(
    "sales",
    "/sales",
    (
        Column("number", "Number", is_sortable=True),
        Column("state", "State", Kind.STATE),
        Column("at", "When", Kind.TIME, is_sortable=True),
        Column("units", "Units", Kind.NUMBER, is_sortable=True),
        Column("total", "Total", Kind.MONEY, is_sortable=True),
        Column("on", "Day", Kind.DAY, is_optional=True),
    ),
    (Filter("q", "Text"), Filter("state", "State", (("paid", "Paid"), ("shipped", "Shipped")))),
    (View("paid", "Paid", {"state": "paid"}),),
    sort="-at",
    page_rows=2,
)


def row(number, state, hour, units, total, currency="EUR"):
    at = datetime(2026, 9, 8, hour, tzinfo=UTC)
    cells = {"number": Cell(number), "state": Cell(state), "at": Cell(at), "units": Cell(units), "total": Cell(total, currency=currency)}
    return Row(number, cells | {"on": Cell(date(2026, 9, hour))})


ROWS = [
    row("A-1", "paid", 9, 2, 1000),
    row("A-2", "shipped", 12, 10, 99),
    row("=B", "paid", 3, 1, -500),
    row("C", "paid", 5, 3, 700, "JPY"),
]


def found(**query):
    ask = read_ask(LIST, {name: str(value) for name, value in query.items()})
    return sift(LIST, ask, ROWS, LIST.page_rows, (ask.page_no - 1) * LIST.page_rows)


def keys(**query):
    return [one.key for one in found(**query).rows]


def shown(**query):
    ask = read_ask(LIST, {name: str(value) for name, value in query.items()})
    return Shown(LIST, ask, sift(LIST, ask, ROWS, 2, (ask.page_no - 1) * 2), ())


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["A-2", "A-1"]),
        ({"page": 2}, ["C", "=B"]),
        ({"page": 3}, []),
        ({"view": "paid"}, ["A-1", "C"]),
        ({"state": "shipped"}, ["A-2"]),
        ({"view": "paid", "state": "shipped"}, ["A-2"]),
        ({"q": "a-"}, ["A-2", "A-1"]),
        ({"q": "nothing"}, []),
        ({"sort": "units"}, ["=B", "A-1"]),
        ({"sort": "-units"}, ["A-2", "C"]),
        ({"sort": "total"}, ["=B", "A-2"]),
    ],
)
def test_rows_are_sifted_ordered_and_cut(query, expected):
    assert keys(**query) == expected


def test_sums_are_of_everything_that_fits_by_currency():
    assert found().sums == {"units": [("", 16)], "total": [("EUR", 599), ("JPY", 700)]}
    assert found(view="paid").count == 3
    assert found(view="paid").view_counts == {"paid": 3, "": 4}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"colour": "red"}, "colour"),
        ({"state": "lost"}, "state"),
        ({"view": "mine"}, "view"),
        ({"sort": "state"}, "sort"),
        ({"sort": "nothing"}, "column"),
        ({"columns": "number,secret"}, "column"),
        ({"page": "0"}, "page"),
        ({"page": "x"}, "page"),
        ({"page": "9" * 30}, "page"),
    ],
)
def test_what_the_list_does_not_have_is_refused_by_name(query, field):
    with pytest.raises(UnknownListFieldError) as refused:
        read_ask(LIST, query)
    assert refused.value.field == field
    assert refused.value.remedy.endswith(".")


def test_columns_are_chosen_in_their_declared_order_and_the_first_one_stays():
    assert read_ask(LIST, {}).columns == ("number", "state", "at", "units", "total")
    assert read_ask(LIST, {"columns": "on,units"}).columns == ("number", "units", "on")


def test_addresses_keep_what_was_chosen():
    now = shown(view="paid", q="a", sort="total", columns="total")
    assert now.query(page=2) == "/sales?view=paid&q=a&sort=total&columns=number%2Ctotal&page=2"
    assert now.query(view="") == "/sales?columns=number%2Ctotal"
    assert now.sorted_by(LIST.column("total")) == "/sales?view=paid&q=a&sort=-total&columns=number%2Ctotal"
    assert now.order_of(LIST.column("total")) == "ascending"
    assert shown().query() == "/sales"
    assert (shown().first_no, shown().has_more, shown(page=2).first_no, shown(page=2).has_more) == (1, True, 3, False)
    assert shown().sorted_by(LIST.column("units")) == "/sales?sort=-units"


def csv_of(code="en", **query):
    ask = read_ask(LIST, {name: str(value) for name, value in query.items()})

    async def find(ask: Ask, limit: int, offset: int) -> Found:
        return sift(LIST, ask, ROWS, limit, offset)

    async def gather():
        return "".join([part async for part in _csv(language(code), LIST, ask, find)])

    return asyncio.run(gather())


def test_csv_holds_all_pages_exact_values_and_no_formulas():
    lines = csv_of(sort="number").removeprefix("\ufeff").split("\r\n")
    assert lines[0] == "Number,State,When,Units,Total,Total (Currency)"
    assert lines[1] == "'=B,Paid,2026-09-08T03:00:00+00:00,1,-5.00,EUR"
    assert lines[4] == "C,Paid,2026-09-08T05:00:00+00:00,3,700,JPY"
    assert lines[5:] == [""]
    assert csv_of("de", view="paid").splitlines()[0].endswith("Summe,Summe (Währung)")


def test_a_list_that_stopped_counting_says_so_and_goes_on():
    ask = read_ask(LIST, {"page": "3"})
    counted = Shown(LIST, ask, Found(ROWS[:2], 4), ())
    assert (counted.has_more, counted.counted) == (False, "")
    uncounted = Shown(LIST, ask, Found(ROWS[:2], 4, has_uncounted=True), ())
    assert (uncounted.has_more, uncounted.counted) == (True, "+")
    assert not Shown(LIST, ask, Found(ROWS[:1], 4, has_uncounted=True), ()).has_more


def test_csv_goes_on_behind_what_was_counted():
    pages = {0: ROWS[:1] * 1000, 1000: ROWS[1:2] * 1000, 2000: ROWS[2:3]}

    async def find(_ask, _limit, offset):
        return Found(pages[offset], 1000, has_uncounted=True)

    async def read():
        return [line async for part in _csv(language("en"), LIST, read_ask(LIST, {}), find) for line in part.splitlines()]

    assert len(asyncio.run(read())) == 1 + 2001


def test_what_took_long_to_count_is_counted_once_for_a_while(monkeypatch):
    clock, asked = [0.0], []
    monkeypatch.setattr(house, "monotonic_s", lambda: clock[0])
    tallies = Tallies()

    def count(took_s):
        async def counting():
            asked.append(took_s)
            clock[0] += took_s
            return len(asked)

        return asyncio.run(tallies.read(f"{took_s}", counting))

    assert [count(0.01), count(0.01)] == [1, 2]
    assert [count(2.0), count(2.0)] == [3, 3]
    clock[0] += 39
    assert count(2.0) == 3
    clock[0] += 2
    assert count(2.0) == 4
