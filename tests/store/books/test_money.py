"""The money book on PostgreSQL."""

import pytest
from psycopg.errors import UniqueViolation
from tests.factories.books import AT, MERCHANT, OTHER, sale

from entrepot.base.ids import derived_id
from entrepot.base.sql import fetch
from entrepot.books.money.model import Decision, Phase, UnbalancedPostingError
from entrepot.books.money.post import post_entries, post_lapsed, post_new_entries, post_pending, void_pending
from entrepot.books.money.read import prove_money, read_balances

pytestmark = pytest.mark.anyio


async def balances(conn, merchant=MERCHANT):
    return {row.account_code: (row.posted_minor, row.pending_minor) for row in await read_balances(conn, merchant)}


def decide(name, how="post"):
    return Decision(MERCHANT, derived_id("money", name), derived_id(how, name), AT)


async def test_a_posting_counts_once(conn):
    one = sale("a", ("psp", 10000), ("mer", -8403), ("tax.DE", -1597))
    assert len(await post_entries(conn, [one, one])) == 1
    assert await post_entries(conn, [one]) == set()
    assert await balances(conn) == {"psp": (10000, 0), "mer": (-8403, 0), "tax.DE": (-1597, 0)}
    assert (await prove_money(conn))[1] == []


async def test_new_postings_are_written_as_others_and_one_that_stands_fails_the_transaction(conn):
    postings = [sale("a", ("psp", 5), ("mer", -5), phase=Phase.PENDING), sale("b", ("psp", 7), ("mer", -7), merchant=OTHER), sale("c")]
    async with conn.transaction(force_rollback=True):
        await post_entries(conn, postings)
        as_others = (await balances(conn), await balances(conn, OTHER))
    await post_new_entries(conn, postings)
    assert as_others == (await balances(conn), await balances(conn, OTHER)) == ({"psp": (0, 5), "mer": (0, -5)}, {"psp": (7, 0), "mer": (-7, 0)})
    assert (await prove_money(conn))[1] == []
    with pytest.raises(UniqueViolation, match="money_posting_pk"):
        async with conn.transaction():
            await post_new_entries(conn, postings[:1])
    with pytest.raises(UnbalancedPostingError):
        await post_new_entries(conn, [sale("d", ("psp", 10), ("mer", -9))])
    assert as_others == (await balances(conn), await balances(conn, OTHER))


async def test_an_unbalanced_posting_is_refused_and_nothing_written(conn):
    with pytest.raises(UnbalancedPostingError):
        await post_entries(conn, [sale("a", ("psp", 1), ("mer", -1)), sale("b", ("psp", 10), ("mer", -9))])
    assert await balances(conn) == {}


async def test_pending_is_posted_or_voided_but_never_both(conn):
    await post_entries(conn, [sale("a", ("psp", 5), ("mer", -5), phase=Phase.PENDING), sale("b", ("psp", 7), ("mer", -7), phase=Phase.PENDING)])
    assert await balances(conn) == {"psp": (0, 12), "mer": (0, -12)}
    assert len(await post_pending(conn, [decide("a")])) == 1
    assert await void_pending(conn, [decide("a", "void")]) == set()
    assert len(await void_pending(conn, [decide("b", "void")])) == 1
    assert await post_pending(conn, [decide("b")]) == set()
    assert await balances(conn) == {"psp": (5, 0), "mer": (-5, 0)}
    assert (await prove_money(conn))[1] == []


async def test_mixed_merchants_and_one_per_call_give_the_same_books(conn):
    postings = [sale("a", ("psp", 5), ("mer", -5)), sale("b", ("psp", 7), ("mer", -7), merchant=OTHER)]
    async with conn.transaction(force_rollback=True):
        await post_entries(conn, postings)
        together = (await balances(conn), await balances(conn, OTHER))
    for one in postings:
        await post_entries(conn, [one])
    assert together == (await balances(conn), await balances(conn, OTHER))


async def test_two_books_may_hold_postings_of_one_id(conn):
    mine, theirs = sale("a", ("psp", 5), ("mer", -5)), sale("a", ("psp", 7), ("mer", -7), merchant=OTHER)
    await post_entries(conn, [mine])
    assert await post_entries(conn, [mine, theirs, theirs]) == {theirs.posting_id}
    assert (await balances(conn), await balances(conn, OTHER)) == ({"psp": (5, 0), "mer": (-5, 0)}, {"psp": (7, 0), "mer": (-7, 0)})
    assert (await prove_money(conn))[1] == []


async def test_what_lapsed_is_posted_again_once(conn):
    await post_entries(conn, [sale("a", ("psp", 5), ("mer", -5), phase=Phase.PENDING)])
    await void_pending(conn, [decide("a", "void")])
    assert len(await post_lapsed(conn, [decide("a", "again"), decide("a", "again")])) == 1
    assert await post_lapsed(conn, [decide("a", "again")]) == set()
    assert await balances(conn) == {"psp": (5, 0), "mer": (-5, 0)}
    assert (await prove_money(conn))[1] == []


@pytest.mark.parametrize(
    "statement",
    [
        "update money_entry set amount_minor = amount_minor + 1 where entry_no = 1",
        "update money_balance set posted_minor = posted_minor + 1 where account_code = 'psp'",
        "update money_balance set pending_minor = 1 where account_code = 'mer'",
        "delete from money_entry",
    ],
)
async def test_law_3_can_fail(conn, statement):
    await post_entries(conn, [sale("a", ("psp", 5), ("mer", -5))])
    assert (await prove_money(conn))[1] == []
    await conn.execute(statement)
    assert (await prove_money(conn))[1] != []
    assert (await fetch(conn, "select count(*) from money_posting"))[0][0] == 1
