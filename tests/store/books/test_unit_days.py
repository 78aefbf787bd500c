"""How long units lay where, and what a shortage leaves of a reservation."""

from datetime import UTC, datetime, timedelta

import pytest

from entrepot.base.ids import derived_id
from entrepot.base.sql import fetch
from entrepot.books.stock.model import SUPPLIER, Consumption, Location, Move, ReservationAsk, StockKey, StockPosting
from entrepot.books.stock.post import post_moves
from entrepot.books.stock.prove import prove_reservations
from entrepot.books.stock.read import UnitTime, read_unit_days
from entrepot.books.stock.reserve import release_units, reserve_units, shorten_reservations

pytestmark = pytest.mark.anyio

FROM = datetime(2026, 9, 1, tzinfo=UTC)
DAY = 86_400
MERCHANT, ITEM, ORDER = (derived_id("unit days", name) for name in ("merchant", "item", "order"))


def at(place, spot="bin:A-01"):
    return Location(MERCHANT, MERCHANT, ITEM, place, "-" if place.startswith("@") else spot)


async def move(conn, days, source, target, quantity):
    name = derived_id("unit days move", days, source, target)
    await post_moves(conn, [StockPosting(MERCHANT, name, FROM + timedelta(days=days), "test", name, [Move(source, target, quantity)])])


async def test_the_integral_counts_every_spot_of_a_place_for_the_days_it_was_held(conn):
    await move(conn, -10, at(SUPPLIER), at("P1", "receive"), 7)  # lay there all the time
    await move(conn, 5, at("P1", "receive"), at("P1"), 7)  # inside the place nothing changes
    await move(conn, 10, at(SUPPLIER), at("P2"), 4)  # twenty of thirty days
    await move(conn, 20, at("P1"), at("@transit"), 2)  # two of seven left for the last ten days
    await move(conn, 25, at("@transit"), at("P2"), 1)
    await move(conn, 30, at("P2"), at("@lost"), 5)  # at the end of the span: no longer counted, not missed either
    await move(conn, 40, at(SUPPLIER), at("P3"), 9)  # after the span
    lay = await read_unit_days(conn, FROM, FROM + timedelta(days=30))
    assert lay == [
        UnitTime(MERCHANT, MERCHANT, ITEM, "P1", (7 * 30 - 2 * 10) * DAY),
        UnitTime(MERCHANT, MERCHANT, ITEM, "P2", (4 * 20 + 1 * 5) * DAY),
    ]
    assert await read_unit_days(conn, FROM - timedelta(days=30), FROM - timedelta(days=20)) == []


@pytest.mark.parametrize(
    ("released", "back", "row"),
    [
        (1, 0, (3, 1, "short")),  # one of the two that are short is settled
        (2, 0, (3, 0, "held")),
        (4, 2, (1, 0, "held")),
        (5, 3, (0, 0, "released")),
    ],
)
async def test_what_a_reservation_is_short_of_is_given_back_once(conn, released, back, row):
    await move(conn, 0, at(SUPPLIER), at("P1"), 5)
    key = StockKey(MERCHANT, MERCHANT, ITEM, "P1")
    await reserve_units(conn, [ReservationAsk(MERCHANT, ORDER, 1, 1, key, 5, FROM, None)])
    (short,) = await shorten_reservations(conn, [key], [2])
    assert short.quantity == 2
    given = await release_units(conn, [Consumption(MERCHANT, ORDER, 1, 1, released)])
    assert sum(one.quantity for one in given) == back
    assert await fetch(conn, "select open_quantity, short_quantity, state from stock_reservation") == [row]
    assert (await prove_reservations(conn))[1] == []
