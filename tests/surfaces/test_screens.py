"""The house that pages are measured in, small: rows of many orders that keep every key, and an address for every page of the application."""

import asyncio

import psycopg
import pytest
from benchmarks.crowd import GREATEST, REGULAR, SMALL, fill_crowd
from benchmarks.figures import Figures
from benchmarks.screens import OF_THE_WORLD, Seen, paths_of, report, stops_of
from tests.factories.house import KEYRING

from entrepot.bootstrap.application import create_app
from entrepot.bootstrap.settings import read_settings
from entrepot.bootstrap.tables import all_tables

APP = create_app(read_settings({"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}))


@pytest.fixture(scope="module")
def house(cluster):
    name = f"{cluster.prefix}_crowd"
    url = cluster.clone(name)
    asyncio.run(fill_crowd(url, KEYRING, SMALL))
    yield url
    cluster.drop(name)


def test_the_crowd_keeps_every_foreign_key(house):
    with psycopg.connect(house) as conn:
        for table in all_tables().tables.values():
            for key in table.foreign_key_constraints:
                there = " and ".join(f"r.{element.column.name} = t.{column}" for column, element in zip(key.column_keys, key.elements, strict=True))
                given = " and ".join(f"t.{column} is not null" for column in key.column_keys)
                asked = f"select count(*) from {table.name} t where {given} and not exists (select from {key.referred_table.name} r where {there})"
                assert (table.name, key.column_keys, *conn.execute(asked).fetchone()) == (table.name, key.column_keys, 0)


def test_the_crowd_is_as_large_as_asked_and_has_its_regulars(house):
    with psycopg.connect(house) as conn:
        count, mine, bought = conn.execute(
            "select count(*), count(*) filter (where merchant_id = %s), count(*) filter (where person_id = %s) from customer_order",
            (GREATEST, REGULAR),
        ).fetchone()
    assert SMALL.orders * 0.9 <= count <= SMALL.orders * 1.3
    assert mine > count // 20
    assert bought > 0


def test_every_page_has_an_address(house):
    stops, _ = stops_of(APP, house, "")
    assert [one.address for one in stops if "{" in one.address] == []
    paths = {path for path, _, is_stream in paths_of(APP) if not is_stream and "{" not in path}
    assert paths - {one.path for one in stops} == {OF_THE_WORLD}


def test_the_worst_page_is_named():
    figures = Figures()
    quick, slow = Seen("/a", "/a", "", 390, lcp_ms=10), Seen("/b", "/b", "operator", 1440, lcp_ms=2000, cls=0.2, axe=["label: <input>"])
    report(figures, [quick, slow], {"operator /b?page=2": 1600.0}, [])
    verdicts = {what: (measured, holds) for what, _, measured, holds in figures.rows}
    assert verdicts["pages: largest contentful paint, ms, worst"] == ("2,000 (/b as operator at 1440)", False)
    assert [what for what, (_, holds) in verdicts.items() if holds] == [
        "pages: opened", "pages: console errors", "pages: failed requests", "pages: interaction to the next paint, ms, worst",
    ]  # fmt: skip
