"""Corrections: proposed by one person, decided by another, posted once, pointing to what they correct, and the books stay balanced."""

import uuid

import pytest
from tests.factories.house import AT, BUYER, STAFF, find_offer, later, open_house, order_of, put_stock, request

from entrepot.base.audit import read_acts
from entrepot.base.clock_store import advance_business_now
from entrepot.books.money.correction import (
    CORRECTION_STATES,
    CorrectionDecidedError,
    CorrectionRefusedError,
    CorrectionState,
    Fault,
    OwnCorrectionError,
    UnknownCorrectionError,
    faults_of,
    list_corrections,
    read_correction,
    read_corrections_of,
    reversed_entries,
)
from entrepot.books.money.model import Entry
from entrepot.books.money.read import prove_money, read_balances, read_order_entries, read_posting
from entrepot.books.money.replay import replay_entries
from entrepot.flows.check_laws import check_laws
from entrepot.flows.correct_posting import Proposal, UncorrectablePostingError, approve_correction, propose_correction, reject_correction
from entrepot.flows.order_to_cash import place_orders

pytestmark = pytest.mark.anyio
ANNA, BEN = uuid.UUID(int=1), uuid.UUID(int=2)
ENTRIES = (Entry("loss", "GBP", 250), Entry("mer", "GBP", -250))


async def sale(conn):
    """Return outside, merchant and the posting of a sale, and the order."""
    _, outside = await open_house(conn)
    await put_stock(conn, "demo-shenzhen-audio", "ARIA-HEADPHONES", "GB-LTN1", 5)
    offer = await find_offer(conn, "demo-shenzhen-audio", "ARIA-HEADPHONES", "GB", "fba")
    key = order_of((await place_orders(conn, outside, [request([(offer, 1)], "GB", "GB")], BUYER))[0])
    (head, *_) = [row for row in await read_order_entries(conn, key[0], [key[1]]) if row.kind == "sale"]
    await conn.execute(
        "insert into money_balance (merchant_id, account_code, currency) values (%s, 'loss', 'GBP'), (%s, 'mer', 'GBP') on conflict do nothing",
        (key[0], key[0]),
    )
    return outside, key, head.posting_id


async def propose(conn, merchant, posting, entries=ENTRIES, reason="Fee charged twice", who=ANNA, request_key="k1"):
    return await propose_correction(conn, Proposal(merchant, posting, reason, entries, request_key), who, STAFF, later(hours=1))


async def balance(conn, merchant, account):
    return {row.account_code: row.posted_minor for row in await read_balances(conn, merchant)}.get(account, 0)


async def test_a_correction_counts_once_when_a_second_person_approves(conn):
    outside, (merchant, order_id), posting = await sale(conn)
    correction = await propose(conn, merchant, posting)
    assert await propose(conn, merchant, posting) == correction
    assert await balance(conn, merchant, "loss") == 0
    with pytest.raises(OwnCorrectionError):
        await approve_correction(conn, merchant, correction, ANNA, STAFF, later(hours=2))
    assert await balance(conn, merchant, "loss") == 0
    done = await approve_correction(conn, merchant, correction, BEN, STAFF, later(hours=2))
    again = await approve_correction(conn, merchant, correction, BEN, STAFF, later(hours=3))
    assert (done.state, again.posting_id, await balance(conn, merchant, "loss"), await balance(conn, merchant, "mer")) == (
        CorrectionState.APPROVED,
        done.posting_id,
        250,
        -250,
    )
    rows = await read_posting(conn, merchant, done.posting_id)
    assert [(row.kind, row.cause_kind, row.cause_id, row.order_id) for row in rows] == [("correction", "posting", posting, order_id)] * 2
    assert [one.correction_id for one in await read_corrections_of(conn, merchant, posting)] == [correction]
    assert [one.correction_id for one in await read_corrections_of(conn, merchant, done.posting_id)] == [correction]
    acts = [(command, note) for _, command, _, _, note in await read_acts(conn, merchant, [correction])]
    assert acts == [("propose_correction", "Fee charged twice"), ("approve_correction", "")]
    await advance_business_now(conn, later(days=1))
    laws = {law.law: law for law in await check_laws(conn, outside.reference)}
    assert (laws[3].broken, (await prove_money(conn))[1], (await replay_entries(conn))[1]) == (0, [], [])


async def test_a_correction_is_taken_back_by_another_that_points_to_it(conn):
    _, (merchant, _), posting = await sale(conn)
    first = await approve_correction(conn, merchant, await propose(conn, merchant, posting), BEN, STAFF, later(hours=2))
    back = reversed_entries([Entry(row.account_code, row.currency, row.amount_minor) for row in await read_posting(conn, merchant, first.posting_id)])
    assert back == (Entry("loss", "GBP", -250), Entry("mer", "GBP", 250))
    second = await approve_correction(
        conn, merchant, await propose(conn, merchant, first.posting_id, back, "Charged once after all", BEN), ANNA, STAFF, later(hours=3)
    )
    assert (await read_posting(conn, merchant, second.posting_id))[0].cause_id == first.posting_id
    assert await balance(conn, merchant, "loss") == 0


async def test_a_rejected_correction_posts_nothing_and_stays_rejected(conn):
    _, (merchant, _), posting = await sale(conn)
    correction = await propose(conn, merchant, posting)
    with pytest.raises(OwnCorrectionError):
        await reject_correction(conn, merchant, correction, "no", ANNA, STAFF, later(hours=2))
    with pytest.raises(CorrectionRefusedError):
        await reject_correction(conn, merchant, correction, " ", BEN, STAFF, later(hours=2))
    rejected = await reject_correction(conn, merchant, correction, "Charged once", BEN, STAFF, later(hours=2))
    assert (rejected.state, (await read_correction(conn, merchant, correction)).decision_note) == (CorrectionState.REJECTED, "Charged once")
    with pytest.raises(CorrectionDecidedError):
        await approve_correction(conn, merchant, correction, BEN, STAFF, later(hours=3))
    assert await balance(conn, merchant, "loss") == 0
    assert [one.state for one in await list_corrections(conn, 10)] == [CorrectionState.REJECTED]


async def test_what_does_not_hold_together_is_refused_and_nothing_written(conn):
    _, (merchant, _), posting = await sale(conn)
    for entries in ((Entry("loss", "GBP", 1), Entry("mer", "GBP", -2)), (Entry("psp", "GBP", 1), Entry("mer", "GBP", -1)), ()):
        with pytest.raises(CorrectionRefusedError):
            await propose(conn, merchant, posting, entries)
    with pytest.raises(CorrectionRefusedError):
        await propose(conn, merchant, posting, reason="  ")
    with pytest.raises(UncorrectablePostingError):
        await propose(conn, merchant, uuid.UUID(int=9))
    with pytest.raises(UnknownCorrectionError):
        await approve_correction(conn, merchant, uuid.UUID(int=9), BEN, STAFF, AT)
    assert await list_corrections(conn, 10) == []


FAULTS = (
    ("fine", (("loss", "GBP", 5), ("mer", "GBP", -5)), []),
    ("fine", (("loss", "GBP", 5), ("mer", "GBP", -4)), [(Fault.UNBALANCED, None)]),
    ("fine", (("loss", "GBP", 5), ("mer", "EUR", -5)), [(Fault.UNBALANCED, None), (Fault.UNBALANCED, None)]),
    ("fine", (("rsv", "GBP", 5), ("mer", "GBP", -5)), [(Fault.PROVEN_ELSEWHERE, 0)]),
    ("fine", (("loss", "GBP", 5), ("mair", "GBP", -5)), [(Fault.UNKNOWN_ACCOUNT, 1)]),
    ("fine", (("loss", "GBP", 0), ("mer", "GBP", 0)), [(Fault.NOTHING_MOVED, 0), (Fault.NOTHING_MOVED, 1)]),
    ("", (), [(Fault.TOO_FEW_ENTRIES, None), (Fault.NO_REASON, None)]),
    ("x" * 501, (("loss", "GBP", 5), ("mer", "GBP", -5)), [(Fault.REASON_TOO_LONG, None)]),
    ("fine", (("loss", "GBP", 1), ("mer", "GBP", -1)) * 11, [(Fault.TOO_MANY_ENTRIES, None)]),
)


@pytest.mark.parametrize(("reason", "rows", "faults"), FAULTS)
async def test_faults(reason, rows, faults):
    found = faults_of(reason, [Entry(*row) for row in rows], {"loss", "mer"})
    assert [(one.fault, one.entry_no) for one in found] == faults


async def test_a_decided_correction_is_final():
    assert CORRECTION_STATES.terminal == {"approved", "rejected"}
