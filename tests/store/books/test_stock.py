"""The stock book on PostgreSQL: exact counts, refusals that change nothing, replays, races decided in order."""

from datetime import timedelta

import pytest
from tests.factories.books import AT, ITEM, MERCHANT, OTHER, ask, key, part, posting, receipt, spot

from entrepot.base.sql import fetch
from entrepot.books.stock.model import CARRIER, AlreadyHeldError, Move, StockPosting, UnitsNotThereError, Word, WordState
from entrepot.books.stock.post import post_moves
from entrepot.books.stock.prove import prove_reservations, prove_units
from entrepot.books.stock.read import read_availability
from entrepot.books.stock.reserve import release_units, reserve_units, shorten_reservations
from entrepot.books.stock.word import take_words

pytestmark = pytest.mark.anyio


async def stand(conn, place="P1", merchant=MERCHANT):
    rows = await fetch(
        conn,
        "select on_hand, reserved from stock_availability where merchant_id = %(m)s and place_code = %(p)s and stock_item_id = %(i)s",
        {"m": merchant, "p": place, "i": ITEM},
    )
    return rows[0] if rows else None


async def proofs(conn):
    return (await prove_units(conn))[1] + (await prove_reservations(conn))[1]


async def test_receipt_reservation_and_shipment(conn):
    assert len(await post_moves(conn, [receipt("r1", 10)])) == 1
    assert [answer.is_held for answer in await reserve_units(conn, [ask("o1", 4)])] == [True]
    assert await stand(conn) == (10, 4)
    ship = posting("s1", Move(spot("P1", "bin:A"), spot(CARRIER), 4), consumptions=(part("o1", 4),))
    assert len(await post_moves(conn, [ship])) == 1
    assert await stand(conn) == (6, 0)
    assert await proofs(conn) == []


async def test_replayed_posting_changes_nothing(conn):
    await post_moves(conn, [receipt("r1", 10)])
    assert await post_moves(conn, [receipt("r1", 10), receipt("r1", 10)]) == set()
    assert await stand(conn) == (10, 0)
    assert (await fetch(conn, "select count(*) from stock_move"))[0][0] == 1


async def test_units_that_are_not_there_are_refused(conn):
    await post_moves(conn, [receipt("r1", 3)])
    with pytest.raises(UnitsNotThereError):
        async with conn.transaction():
            await post_moves(conn, [posting("s1", Move(spot("P1", "bin:A"), spot(CARRIER), 4))])
    assert await stand(conn) == (3, 0)
    assert await proofs(conn) == []


async def test_reserved_units_cannot_leave_without_their_reservation(conn):
    await post_moves(conn, [receipt("r1", 3)])
    await reserve_units(conn, [ask("o1", 2)])
    with pytest.raises(UnitsNotThereError):
        async with conn.transaction():
            await post_moves(conn, [posting("s1", Move(spot("P1", "bin:A"), spot(CARRIER), 2))])
    assert await stand(conn) == (3, 2)


async def test_a_short_batch_is_decided_first_come_first_served(conn):
    await post_moves(conn, [receipt("r1", 5)])
    answers = await reserve_units(conn, [ask("o1", 3), ask("o2", 3), ask("o3", 2), ask("o4", 1)])
    assert [(answer.is_held, answer.free) for answer in answers] == [(True, 5), (False, 2), (True, 2), (False, 0)]
    assert await stand(conn) == (5, 5)
    assert await proofs(conn) == []


async def test_unknown_key_holds_nothing(conn):
    answers = await reserve_units(conn, [ask("o1", 1, place="NOWHERE")])
    assert [(answer.is_held, answer.free) for answer in answers] == [(False, 0)]
    assert (await fetch(conn, "select count(*) from stock_reservation"))[0][0] == 0


async def test_release_gives_back_exactly_once(conn):
    await post_moves(conn, [receipt("r1", 5)])
    await reserve_units(conn, [ask("o1", 4)])
    assert [back.quantity for back in await release_units(conn, [part("o1", 1)])] == [1]
    assert await stand(conn) == (5, 3)
    assert [back.quantity for back in await release_units(conn, [part("o1", 9)])] == [3]
    assert await release_units(conn, [part("o1", 9)]) == []
    assert await stand(conn) == (5, 0)
    assert await proofs(conn) == []


async def test_what_was_given_back_is_held_again_where_it_is_asked_for(conn):
    """Whoever was outrun at one place keeps the number of the order, and is served from another."""
    await post_moves(conn, [receipt("r1", 5), receipt("r2", 5, place="P2")])
    await reserve_units(conn, [ask("o1", 4)])
    await release_units(conn, [part("o1", 4)])
    assert [answer.is_held for answer in await reserve_units(conn, [ask("o1", 5, place="P2")])] == [True]
    assert (await stand(conn), await stand(conn, "P2")) == ((5, 0), (5, 5))
    assert await proofs(conn) == []
    assert [back.quantity for back in await release_units(conn, [part("o1", 5)])] == [5]
    assert (await stand(conn), await stand(conn, "P2")) == ((5, 0), (5, 0))
    assert await proofs(conn) == []


async def test_parts_of_one_reservation_that_leave_or_are_released_together_all_count(conn):
    await post_moves(conn, [receipt("r1", 9)])
    await reserve_units(conn, [ask("o1", 8)])
    parcels = [posting(f"s{n}", Move(spot("P1", "bin:A"), spot(CARRIER), n), consumptions=(part("o1", n),)) for n in (1, 2)]
    assert len(await post_moves(conn, parcels)) == 2
    assert await stand(conn) == (6, 5)
    assert [back.quantity for back in await release_units(conn, [part("o1", 1), part("o1", 3)])] == [4]
    assert await stand(conn) == (6, 1)
    assert await proofs(conn) == []


@pytest.mark.parametrize("again", [[("o1", 1)], [("o2", 1), ("o2", 1)], [("o2", 1), ("o1", 2)]])
async def test_a_line_is_held_once(conn, again):
    await post_moves(conn, [receipt("r1", 9)])
    await reserve_units(conn, [ask("o1", 2)])
    with pytest.raises(AlreadyHeldError):
        async with conn.transaction():
            await reserve_units(conn, [ask(*one) for one in again])
    assert await stand(conn) == (9, 2)
    assert await proofs(conn) == []


async def test_a_loss_shortens_the_youngest_reservation(conn):
    await post_moves(conn, [receipt("r1", 5)])
    await reserve_units(conn, [ask("old", 2, minutes=0), ask("young", 3, minutes=5)])
    shortages = await shorten_reservations(conn, [key()], [2])
    assert [(short.holder_id, short.quantity) for short in shortages] == [(part("young", 1).holder_id, 2)]
    await post_moves(conn, [posting("lost", Move(spot("P1", "bin:A"), spot("@lost"), 2))])
    assert await stand(conn) == (3, 3)
    assert await proofs(conn) == []


def word(quantity, sequence, minutes=0):
    return Word(key("SITE"), sequence, AT + timedelta(minutes=minutes), quantity)


async def test_the_merchants_word_counts_later_orders_off_and_refuses_stale_ones(conn):
    assert (await take_words(conn, [word(5, 10)]))[0] == [WordState.TAKEN]
    await reserve_units(conn, [ask("o1", 2, place="SITE", minutes=1)])
    assert (await take_words(conn, [word(5, 10, 2)]))[0] == [WordState.STALE]
    states, shortages = await take_words(conn, [word(2, 11, 3)])
    assert (states, shortages) == ([WordState.TAKEN], [])
    assert await stand(conn, "SITE") == (4, 2)
    assert [found.free for found in await read_availability(conn, [MERCHANT], [ITEM])] == [2]
    assert await proofs(conn) == []


async def test_a_word_before_an_order_keeps_the_order_deducted(conn):
    await take_words(conn, [word(5, 1)])
    await reserve_units(conn, [ask("o1", 2, place="SITE", minutes=10)])
    await take_words(conn, [word(5, 2, 5)])
    assert await stand(conn, "SITE") == (5, 2)


async def test_a_word_that_cannot_cover_names_the_orders(conn):
    await take_words(conn, [word(5, 1)])
    await reserve_units(conn, [ask("o1", 4, place="SITE", minutes=10)])
    _, shortages = await take_words(conn, [word(1, 2, 5)])
    assert [(short.quantity, short.holder_id) for short in shortages] == [(3, part("o1", 1).holder_id)]
    assert await proofs(conn) == []


async def test_mixed_merchants_and_one_per_call_give_the_same_books(conn):
    receipts = [receipt("a", 5), receipt("b", 7, merchant=OTHER)]
    asks = [ask("o1", 2), ask("o2", 9, merchant=OTHER), ask("o3", 3, merchant=OTHER)]
    async with conn.transaction(force_rollback=True):
        await post_moves(conn, receipts)
        mixed = [answer.is_held for answer in await reserve_units(conn, asks)]
        together = (await stand(conn), await stand(conn, merchant=OTHER))
    for one in receipts:
        await post_moves(conn, [one])
    apart = [answer.is_held for one in asks for answer in await reserve_units(conn, [one])]
    assert (mixed, together) == (apart, (await stand(conn), await stand(conn, merchant=OTHER)))


@pytest.mark.parametrize(
    ("statement", "names"),
    [
        ("update stock_location set balance = balance + 1 where place_code = 'P1'", "location"),
        ("update stock_availability set on_hand = on_hand + 1", "availability"),
        ("update stock_move set quantity = quantity + 1", "location"),
        ("delete from stock_location where place_code = '@supplier'", "location"),
    ],
)
async def test_law_1_can_fail(conn, statement, names):
    await post_moves(conn, [receipt("r1", 5)])
    assert (await prove_units(conn))[1] == []
    await conn.execute(statement)
    broken = (await prove_units(conn))[1]
    assert broken
    assert any(names in row for row in broken)


@pytest.mark.parametrize("statement", ["update stock_availability set reserved = 1", "update stock_reservation set open_quantity = 1"])
async def test_law_2_can_fail(conn, statement):
    await post_moves(conn, [receipt("r1", 5)])
    await reserve_units(conn, [ask("o1", 2)])
    assert (await prove_reservations(conn))[1] == []
    await conn.execute(statement)
    assert len((await prove_reservations(conn))[1]) == 1


async def test_an_empty_posting_is_no_posting(conn):
    empty = StockPosting(MERCHANT, part("x", 1).holder_id, AT, "test", ITEM, [])
    assert await post_moves(conn, [empty]) == set()
