from datetime import timedelta
from decimal import Decimal

import pytest
from msgspec.structs import replace
from tests.factories.settlement import AT, MERCHANT, ON, OTHER, RATES, closing, same_currency, statement

from entrepot.base.sql import execute, fetch
from entrepot.settlement.exchange import quote_exchange
from entrepot.settlement.model import LineKind, PayoutState, StatementNotClosedError, StatementState, UnknownStatementError, payout_id_of
from entrepot.settlement.statements import (
    MarkOutcome,
    Movement,
    PayoutAnswer,
    PayoutMark,
    PayoutOutcome,
    PayoutRequest,
    carry_statements,
    check_statements,
    close_statements,
    mark_payouts,
    open_statements,
    read_payouts,
    read_statement_lines,
    read_statements,
    request_payouts,
)

pytestmark = pytest.mark.anyio

K = LineKind


def request(key, minor):
    return PayoutRequest(key.merchant_id, key.statement_id, same_currency(minor, key.currency))


async def settle(conn, key, *moved):
    """Open, close and pay or carry one statement."""
    await open_statements(conn, [key], AT)
    (closed,) = await close_statements(conn, [closing(key, *moved)], AT)
    (answer,) = await request_payouts(conn, [request(key, closed.closing_minor)], AT)
    return closed, answer


async def figures(conn):
    rows = await fetch(conn, "select period_from, opening_minor, closing_minor, paid_out_minor, state from statement order by period_from")
    return [row[1:] for row in rows]


async def test_a_debt_is_netted_over_two_periods(conn):
    """Scenario 16: paid out, then refunds of 57 more than sales; 40 of sales leave -17, 60 more pay 43."""
    await settle(conn, statement(0), (K.SALES, "", 20_000), (K.FEES, "referral", -3000))
    _, debt = await settle(conn, statement(1), (K.REFUNDS, "", -5700))
    _, still = await settle(conn, statement(2), (K.SALES, "", 4000))
    last, paid = await settle(conn, statement(3), (K.SALES, "", 6000))

    assert await figures(conn) == [
        (0, 17_000, 17_000, "paying"), (0, -5700, 0, "carried"), (-5700, -1700, 0, "carried"), (-1700, 4300, 4300, "paying"),
    ]  # fmt: skip
    assert [debt.outcome, still.outcome, paid.outcome] == [PayoutOutcome.CARRIED, PayoutOutcome.CARRIED, PayoutOutcome.REQUESTED]
    assert last.opening_minor == -1700
    assert sorted(payout.amount_minor for payout in await read_payouts(conn, MERCHANT)) == [4300, 17_000]
    assert await check_statements(conn) == (4, [])


async def test_a_rerun_pays_nothing_twice(conn):
    key, debt = statement(0), statement(0, OTHER)
    await settle(conn, key, (K.SALES, "", 4300))
    await settle(conn, debt, (K.REFUNDS, "", -1))
    await open_statements(conn, [key, debt], AT)
    again = await close_statements(conn, [closing(key, (K.SALES, "", 999)), closing(debt)], AT)
    answers = await request_payouts(conn, [request(key, 4300), request(debt, -1)], AT)

    assert [(row.closing_minor, row.is_new) for row in sorted(again, key=lambda row: row.closing_minor)] == [(-1, False), (4300, False)]
    assert answers == [
        PayoutAnswer(MERCHANT, key.statement_id, PayoutOutcome.EXISTS, payout_id_of(key.statement_id)),
        PayoutAnswer(OTHER, debt.statement_id, PayoutOutcome.EXISTS, None),
    ]
    assert len(await read_payouts(conn, MERCHANT)) == 1
    assert await read_statement_lines(conn, MERCHANT, key.statement_id) == [Movement(K.SALES, "", 4300)]


async def test_opening_answers_what_is_new(conn):
    first = await open_statements(conn, [statement(0), statement(0, currency="USD")], AT)
    again = await open_statements(conn, [statement(0), statement(0, OTHER)], AT)

    assert [(row.currency, row.is_new, row.state) for row in first] == [("EUR", True, StatementState.OPEN), ("USD", True, StatementState.OPEN)]
    assert {row.merchant_id: row.is_new for row in again} == {MERCHANT: False, OTHER: True}


async def test_a_period_waits_until_the_one_before_is_settled(conn):
    await open_statements(conn, [statement(0)], AT)
    while_open = await open_statements(conn, [statement(1)], AT)
    await close_statements(conn, [closing(statement(0), (K.SALES, "", 100))], AT)
    while_closed = await open_statements(conn, [statement(1)], AT)
    await carry_statements(conn, [(MERCHANT, statement(0).statement_id)])
    after = await open_statements(conn, [statement(1)], AT)

    assert (while_open, while_closed) == ([], [])
    assert [(row.opening_minor, row.is_new) for row in after] == [(100, True)]


async def test_lines_are_grouped_and_ordered(conn):
    await open_statements(conn, [statement(0)], AT)
    moved = [
        (K.RESERVE, "held", -500),
        (K.FEES, "referral", -100),
        (K.SALES, "", 900),
        (K.FEES, "referral", -50),
        (K.FEES, "closing", -20),
        (K.SALES, "", 100),
    ]
    (closed,) = await close_statements(conn, [closing(statement(0), *moved)], AT)

    assert closed.closing_minor == 330
    assert await read_statement_lines(conn, MERCHANT, closed.statement_id) == [
        Movement(K.SALES, "", 1000, 2), Movement(K.FEES, "closing", -20), Movement(K.FEES, "referral", -150, 2), Movement(K.RESERVE, "held", -500),
    ]  # fmt: skip


async def test_a_statement_without_movements_closes_at_its_opening(conn):
    await settle(conn, statement(0), (K.REFUNDS, "", -100))
    closed, answer = await settle(conn, statement(1))

    assert (closed.opening_minor, closed.closing_minor, answer.outcome) == (-100, -100, PayoutOutcome.CARRIED)


async def test_a_statement_that_was_not_opened_cannot_close(conn):
    with pytest.raises(UnknownStatementError) as refused:
        await close_statements(conn, [closing(statement(0), (K.SALES, "", 1))], AT)

    assert refused.value.value == f"EUR {statement(0).period.starts_on}"
    assert await fetch(conn, "select 1 from statement_line") == []


@pytest.mark.parametrize("minor", [4299, 4301])
async def test_a_quote_for_another_amount_is_refused_and_nothing_is_paid(conn, minor):
    for key in (statement(0), statement(0, OTHER)):
        await open_statements(conn, [key], AT)
        await close_statements(conn, [closing(key, (K.SALES, "", 4300))], AT)

    with pytest.raises(StatementNotClosedError) as refused:
        await request_payouts(conn, [request(statement(0), 4300), request(statement(0, OTHER), minor)], AT)

    assert "4300 minor units of EUR" in refused.value.remedy
    assert await fetch(conn, "select 1 from payout") == []


async def test_an_open_statement_is_not_paid(conn):
    await open_statements(conn, [statement(0)], AT)

    with pytest.raises(StatementNotClosedError):
        await request_payouts(conn, [request(statement(0), 0)], AT)


async def test_a_payout_keeps_its_exchange(conn):
    key = statement(0, currency="CNY")
    await open_statements(conn, [key], AT)
    await close_statements(conn, [closing(key, (K.SALES, "", 48_000))], AT)
    quote = quote_exchange(48_000, "CNY", "EUR", RATES, ON, Decimal("0.015"))
    await request_payouts(conn, [PayoutRequest(MERCHANT, key.statement_id, quote)], AT)
    (payout,) = await read_payouts(conn, MERCHANT)

    assert (payout.amount_minor, payout.currency, payout.paid_minor, payout.paid_currency, payout.spread_minor) == (48_000, "CNY", 5910, "EUR", 90)
    assert (payout.rate, payout.rate_id, payout.state, payout.attempt_count) == (Decimal("0.125"), "ecb:CNY/EUR:2024-01-01", PayoutState.REQUESTED, 1)


async def test_payouts_fail_are_retried_sent_and_returned(conn):
    await settle(conn, statement(0), (K.SALES, "", 4300))
    payout_id = payout_id_of(statement(0).statement_id)
    steps = (PayoutState.FAILED, PayoutState.FAILED, PayoutState.SENT, PayoutState.RETRY, PayoutState.SENT, PayoutState.RETURNED, PayoutState.SENT)
    answers = [
        (
            await mark_payouts(
                conn, [PayoutMark(MERCHANT, payout_id, state, "bank-1" if state is PayoutState.SENT else "")], AT + timedelta(hours=number)
            )
        )[0]
        for number, state in enumerate(steps)
    ]
    (payout,) = await read_payouts(conn, MERCHANT)
    (settled,) = await read_statements(conn, MERCHANT)
    (following,) = await open_statements(conn, [statement(1)], AT)

    assert answers == [
        MarkOutcome.CHANGED, MarkOutcome.EXISTS, MarkOutcome.REFUSED, MarkOutcome.CHANGED, MarkOutcome.CHANGED, MarkOutcome.CHANGED, MarkOutcome.REFUSED,
    ]  # fmt: skip
    assert (payout.state, payout.bank_reference, payout.attempt_count, payout.changed_at) == (
        PayoutState.RETURNED,
        "bank-1",
        2,
        AT + timedelta(hours=5),
    )
    assert settled.state is StatementState.RETURNED
    assert following.opening_minor == 0


async def test_marks_are_answered_one_by_one(conn):
    for merchant in (MERCHANT, OTHER):
        await settle(conn, statement(0, merchant), (K.SALES, "", 100))
    known = PayoutMark(OTHER, payout_id_of(statement(0, OTHER).statement_id), PayoutState.SENT, "ref")
    foreign = replace(known, merchant_id=MERCHANT)

    assert await mark_payouts(conn, [foreign, known], AT) == [MarkOutcome.REFUSED, MarkOutcome.CHANGED]
    assert [row.state for row in await read_statements(conn, MERCHANT)] == [StatementState.PAYING]
    assert [row.state for row in await read_statements(conn, OTHER)] == [StatementState.PAID]


@pytest.mark.parametrize("batch", [1, 2, 128])
async def test_batches_settle_alike(conn, batch):
    keys = [statement(0, merchant, currency) for merchant in (MERCHANT, OTHER) for currency in ("EUR", "GBP", "USD")]
    amounts = [100, -20, 0, 30, 40, -50]
    for first in range(0, len(keys), batch):
        part = slice(first, first + batch)
        await open_statements(conn, keys[part], AT)
        await close_statements(conn, [closing(key, (K.SALES, "", amount)) for key, amount in zip(keys[part], amounts[part], strict=True)], AT)
        await request_payouts(conn, [request(key, amount) for key, amount in zip(keys[part], amounts[part], strict=True)], AT)
    rows = await fetch(conn, "select state, count(*), sum(closing_minor)::bigint from statement group by state order by state")

    assert rows == [("carried", 3, -70), ("paying", 3, 170)]
    assert await check_statements(conn) == (6, [])


@pytest.mark.parametrize(
    "fault",
    [
        "update statement_line set amount_minor = 51 where statement_id = %(id)s",
        "update statement set opening_minor = 0, closing_minor = 50 where statement_id = %(id)s",
        "delete from statement_line where statement_id = %(id)s",
    ],
)
async def test_a_broken_statement_is_named(conn, fault):
    await settle(conn, statement(0), (K.SALES, "", -100))
    await settle(conn, statement(1), (K.SALES, "", 50))
    await execute(conn, fault, {"id": statement(1).statement_id})

    assert await check_statements(conn) == (2, [f"statement {MERCHANT} {statement(1).statement_id}"])
