"""Statements every fourteen days, payouts in the merchant's currency, debts netted, and a bank that fails."""

from datetime import UTC, date, datetime, timedelta

import pytest
from tests.factories.house import AT, BUYER, STAFF, find_offer, later, open_house, order_of, put_stock, request

from entrepot.adapters.bank import BUSY_PREFIX, CLOSED_PREFIX, BuiltInBank
from entrepot.base.due import take_due
from entrepot.base.ids import derived_id
from entrepot.base.sql import execute, fetch
from entrepot.books.money.model import BANK, MERCHANT, PSP, Entry, MoneyPosting
from entrepot.books.money.post import post_entries
from entrepot.books.money.read import prove_money, read_balances, read_checkout_sums
from entrepot.books.money.statement_lines import BalancePart
from entrepot.flows.fulfil import hand_over, pick_and_pack
from entrepot.flows.order_to_cash import SETTLE, place_orders, settle_orders
from entrepot.flows.settle_period import ATTEMPTS, RETURNED, close_periods, collect_from_processor, movement_of, return_payouts, send_payouts
from entrepot.flows.track import record_tracking
from entrepot.freight.model import CarrierEvent, TrackingState
from entrepot.freight.read import read_parcels_of_orders
from entrepot.parties.model import merchant_id_of
from entrepot.settlement.model import LineKind, PayoutState, StatementState
from entrepot.settlement.statements import PayoutOutcome, check_statements, read_payouts, read_statement_lines, read_statements
from entrepot.settlement.store import check_fee_evidence
from entrepot.warehouse.model import WorkState
from entrepot.warehouse.readers import read_queue

pytestmark = pytest.mark.anyio

K = LineKind
BAVARIA = merchant_id_of("demo-bavaria-outdoor")
TASMAN = merchant_id_of("demo-tasman-health")
SHENZHEN = merchant_id_of("demo-shenzhen-audio")
FIRST = datetime(2026, 9, 7, tzinfo=UTC)  # a period begins on this Monday
BANK_OF_TESTS = BuiltInBank()


def day(number):
    """Noon of a numbered day of the first period."""
    return FIRST + timedelta(days=number, hours=12)


def period_end(number):
    """The morning after a numbered period."""
    return FIRST + timedelta(days=14 * (number + 1), hours=3)


async def move(conn, at, *entries, merchant=BAVARIA, kind="test", currency="EUR"):
    """Post entries in a merchant's book; the rest goes to its balance."""
    rows = [Entry(account, currency, minor) for account, minor in entries]
    rows.append(Entry(MERCHANT, currency, -sum(row.amount_minor for row in rows)))
    posting_id = derived_id("settle test", merchant, at, kind, *entries)
    await post_entries(conn, [MoneyPosting(merchant, posting_id, at, kind, "order", posting_id, rows)])


async def balances(conn, merchant):
    return {(row.account_code, row.currency): row.posted_minor for row in await read_balances(conn, merchant) if row.posted_minor}


async def figures(conn, merchant=BAVARIA):
    rows = reversed(await read_statements(conn, merchant))
    return [(row.opening_minor, row.closing_minor, row.paid_out_minor, str(row.state)) for row in rows]


async def all_hold(conn):
    assert (await prove_money(conn))[1] == []
    assert (await check_statements(conn))[1] == []
    assert (await check_fee_evidence(conn))[1] == []


async def test_a_debt_is_netted_over_two_periods(conn):
    """Scenario 16: paid out, then refunds of 57 more than sales; 40 of sales leave -17, 60 more pay 43; a rerun pays nothing twice."""
    _, outside = await open_house(conn)
    await move(conn, day(1), (PSP, 20_000))
    first = await close_periods(conn, outside, period_end(0))
    await send_payouts(conn, BANK_OF_TESTS, period_end(0))
    for number, refund in enumerate((-2000, -2500, -1200)):
        await move(conn, day(15 + number), (PSP, refund), kind="refund")
    debt = await close_periods(conn, outside, period_end(1))
    await move(conn, day(30), (PSP, 4000))
    still = await close_periods(conn, outside, period_end(2))
    await move(conn, day(44), (PSP, 6000))
    last = await close_periods(conn, outside, period_end(3))
    again = await close_periods(conn, outside, period_end(3))
    sent = await send_payouts(conn, BANK_OF_TESTS, period_end(3))

    assert await figures(conn) == [
        (0, 20_000, 20_000, "paid"), (0, -5700, 0, "carried"), (-5700, -1700, 0, "carried"), (-1700, 4300, 4300, "paid"),
    ]  # fmt: skip
    assert [[one.outcome for one in answers] for answers in (first, debt, still, last, again)] == [
        [PayoutOutcome.REQUESTED], [PayoutOutcome.CARRIED], [PayoutOutcome.CARRIED], [PayoutOutcome.REQUESTED], [],
    ]  # fmt: skip
    assert len(sent) == 1
    assert await send_payouts(conn, BANK_OF_TESTS, period_end(3)) == []
    assert sorted(payout.paid_minor for payout in await read_payouts(conn, BAVARIA)) == [4300, 20_000]
    assert await balances(conn, BAVARIA) == {(PSP, "EUR"): 24_300, (BANK, "EUR"): -24_300}
    refunds = (await read_statements(conn, BAVARIA))[2]
    (line,) = await read_statement_lines(conn, BAVARIA, refunds.statement_id)
    assert (line.kind, line.amount_minor, line.entry_count) == (K.REFUNDS, -5700, 3)
    await all_hold(conn)


async def test_nothing_is_paid_while_the_balance_is_zero_the_gate_is_closed_or_there_is_no_account(conn):
    _, outside = await open_house(conn)
    lyon = merchant_id_of("demo-lyon-beauty")
    leeds = merchant_id_of("demo-leeds-kitchen")
    await execute(
        conn,
        "update kyc_case set state = 'closed', reason = 'test', decided_by = 'test' where merchant_id = %(m)s and gate = 'payout'",
        {"m": BAVARIA},
    )
    await execute(conn, "delete from bank_account where merchant_id = %(m)s", {"m": lyon})
    await execute(conn, "update merchant set status = 'suspended' where merchant_id = %(m)s", {"m": leeds})
    for merchant in (BAVARIA, lyon, leeds, TASMAN):
        await move(conn, day(1), (PSP, 700), merchant=merchant)
    await move(conn, day(2), (PSP, -700), merchant=TASMAN, kind="refund")
    answers = await close_periods(conn, outside, period_end(0))
    assert [one.outcome for one in answers] == [PayoutOutcome.CARRIED] * 4
    assert await figures(conn) == [(0, 700, 0, "carried")]
    assert await figures(conn, TASMAN) == [(0, 0, 0, "carried")]
    assert (await fetch(conn, "select count(*) from payout"))[0][0] == 0
    await execute(conn, "update kyc_case set state = 'approved' where merchant_id = %(m)s", {"m": BAVARIA})
    resumed = await close_periods(conn, outside, period_end(1))
    assert [(one.merchant_id, one.outcome) for one in resumed if one.outcome is PayoutOutcome.REQUESTED] == [(BAVARIA, PayoutOutcome.REQUESTED)]
    assert await figures(conn) == [(0, 700, 0, "carried"), (700, 700, 700, "paying")]
    assert await figures(conn, TASMAN) == [(0, 0, 0, "carried")]
    await all_hold(conn)


async def test_periods_that_were_missed_are_closed_one_after_the_other(conn):
    _, outside = await open_house(conn)
    await move(conn, day(1), (PSP, -500), kind="refund")
    await move(conn, day(16), (PSP, 300))
    await move(conn, day(30), (PSP, 250))
    await close_periods(conn, outside, period_end(2))
    assert await figures(conn) == [(0, -500, 0, "carried"), (-500, -200, 0, "carried"), (-200, 50, 50, "paying")]
    await all_hold(conn)


async def test_what_reaches_the_book_late_is_a_line_of_its_own(conn):
    _, outside = await open_house(conn)
    await move(conn, day(1), (PSP, 500))
    await close_periods(conn, outside, period_end(0))
    await move(conn, day(2), (PSP, 80))
    await move(conn, day(15), (PSP, 20))
    await close_periods(conn, outside, period_end(1))
    latest = (await read_statements(conn, BAVARIA))[0]
    lines = [(line.kind, line.code, line.amount_minor) for line in await read_statement_lines(conn, BAVARIA, latest.statement_id)]
    assert lines == [(K.SALES, "", 20), (K.ADJUSTMENTS, "earlier_periods", 80)]
    assert (latest.opening_minor, latest.closing_minor) == (0, 100)
    await all_hold(conn)


async def settle_one_order(conn, outside, merchant, sku, place, marketplace, model, at=AT, quantity=2):
    await put_stock(conn, merchant, sku, place, 5)
    offer = await find_offer(conn, merchant, sku, marketplace, model)
    key = order_of((await place_orders(conn, outside, [request([(offer, quantity)], marketplace, marketplace, at=at)], BUYER))[0])
    await pick_and_pack(conn, outside, await read_queue(conn, place, WorkState.QUEUED, 100), at)
    await hand_over(conn, outside, [entry.order for entry in await read_queue(conn, place, WorkState.PACKED, 100)], STAFF, at)
    parcels = await read_parcels_of_orders(conn, [key[0]], [key[1]])
    events = [CarrierEvent(p.carrier_code, p.tracking_number, TrackingState.DELIVERED, at, at, "carrier") for p in parcels]
    await record_tracking(conn, outside, events, at)
    await settle_orders(conn, outside, await take_due(conn, SETTLE, at + timedelta(days=20), 10), at + timedelta(days=9))
    return key


async def test_a_settled_order_is_told_as_sales_taxes_and_fees_and_paid_in_the_merchants_currency(conn):
    _, outside = await open_house(conn)
    await settle_one_order(conn, outside, "demo-shenzhen-audio", "ARIA-HEADPHONES", "GB-LTN1", "GB", "fba")
    before = await balances(conn, SHENZHEN)
    now = later(days=21)
    (answer,) = await close_periods(conn, outside, now)
    (statement,) = [one for one in await read_statements(conn, SHENZHEN) if one.closing_minor]
    lines = {(line.kind, line.code): line.amount_minor for line in await read_statement_lines(conn, SHENZHEN, statement.statement_id)}
    owed = -before[MERCHANT, "GBP"]
    assert statement.closing_minor == owed == sum(lines.values())
    assert lines[K.SALES, ""] == 9398
    assert lines[K.TAXES_WITHHELD, "tax.GB"] == -1566
    assert lines[K.FEES, "referral"] == before["fee.referral", "GBP"] < 0
    assert K.ADJUSTMENTS not in {kind for kind, _ in lines}
    (payout,) = await read_payouts(conn, SHENZHEN)
    rate = outside.reference.rates.cross("GBP", "USD", now.date())
    assert (answer.outcome, payout.amount_minor, payout.currency, payout.paid_currency) == (PayoutOutcome.REQUESTED, owed, "GBP", "USD")
    assert (payout.rate, payout.rate_id, payout.spread_minor) == (rate.rate, rate.rate_id, 0)
    after = await balances(conn, SHENZHEN)
    assert after["fxclr", "GBP"] == -owed
    assert after["fxclr", "USD"] == payout.paid_minor == -after[BANK, "USD"]
    assert (MERCHANT, "GBP") not in after
    await all_hold(conn)


async def sell_in_cny(conn, merchant=TASMAN, minor=48_000):
    """Put a settled order of the plan that charges a spread beside the merchant's balance."""
    await execute(
        conn,
        """insert into customer_order (merchant_id, order_id, person_id, checkout_id, number, marketplace_code, channel_code, currency, state,
               to_country_code, postcode_prefix, total_minor, placed_at)
           values (%(m)s, %(o)s, %(o)s, %(o)s, 'E1', 'CN_GP', 'store', 'CNY', 'settled', 'CN', '10', %(t)s, %(at)s)""",
        {"m": merchant, "o": derived_id("cny order"), "t": minor, "at": AT},
    )
    await execute(
        conn,
        """insert into order_line (merchant_id, order_id, line_no, offer_id, stock_item_id, sku, model_code, plan_version, quantity, unit_price_minor,
               listed_currency, charged_currency, settled_currency, rate_locked_at, goods_minor, discount_minor, freight_minor, insurance_minor,
               tax_minor, tax_on_top_minor, duty_minor, unit_weight_g, promise_id)
           values (%(m)s, %(o)s, 1, %(o)s, %(o)s, 'X', 'global_purchase', 1, 1, %(t)s, 'CNY', 'CNY', 'AUD', %(at)s, %(t)s, 0, 0, 0, 0, 0, 0, 1, %(o)s)""",
        {"m": merchant, "o": derived_id("cny order"), "t": minor, "at": AT},
    )
    await move(conn, day(1), (PSP, minor), merchant=merchant, currency="CNY")


async def test_the_spread_stands_apart_where_the_plan_charges_it_and_comes_back_with_a_returned_payout(conn):
    _, outside = await open_house(conn)
    await sell_in_cny(conn)
    await close_periods(conn, outside, period_end(0))
    (payout,) = await read_payouts(conn, TASMAN)
    converted = payout.paid_minor + payout.spread_minor
    assert payout.spread_minor == (converted + 50) // 100 > 0
    after = await balances(conn, TASMAN)
    assert after == {
        (PSP, "CNY"): 48_000, ("fxclr", "CNY"): -48_000, ("fxclr", "AUD"): converted, (BANK, "AUD"): -payout.paid_minor,
        ("fee.exchange_spread", "AUD"): -payout.spread_minor,
    }  # fmt: skip
    ((code, version, inputs),) = await fetch(conn, "select fee_code, rule_version, inputs from fee_line where cause_kind = 'conversion'")
    assert (code, version) == ("exchange_spread", "demo.CN_GP.exchange_spread.1")
    assert inputs == {"converted_minor": converted, "rate_id": payout.rate_id, "from": "CNY", "to": "AUD"}
    await all_hold(conn)
    await send_payouts(conn, BANK_OF_TESTS, period_end(0))
    for _ in range(2):
        await return_payouts(conn, [(TASMAN, payout.payout_id)], "account_closed", period_end(0) + timedelta(hours=1))
    assert await balances(conn, TASMAN) == {(PSP, "CNY"): 48_000, (MERCHANT, "CNY"): -48_000}
    assert (await fetch(conn, "select count(*), sum(amount_minor)::bigint from fee_line"))[0] == (2, 0)
    await close_periods(conn, outside, period_end(1))
    latest = (await read_statements(conn, TASMAN))[0]
    (line,) = await read_statement_lines(conn, TASMAN, latest.statement_id)
    assert (line.kind, line.amount_minor, latest.closing_minor) == (K.PAYOUT, 48_000, 48_000)
    await all_hold(conn)


async def test_without_a_rate_the_balance_waits(conn):
    _, outside = await open_house(conn)
    await move(conn, day(1), (PSP, 500), currency="CNH")
    (answer,) = await close_periods(conn, outside, period_end(0))
    assert (answer.outcome, await figures(conn)) == (PayoutOutcome.CARRIED, [(0, 500, 0, "carried")])


async def set_account(conn, prefix):
    await execute(conn, "update bank_account set provider_token = %(p)s || 'x' where merchant_id = %(m)s", {"p": prefix, "m": BAVARIA})


async def test_a_failed_payout_is_tried_again_under_the_same_id(conn):
    _, outside = await open_house(conn)
    await set_account(conn, BUSY_PREFIX)
    await move(conn, day(1), (PSP, 900))
    await close_periods(conn, outside, period_end(0))
    (failed,) = await send_payouts(conn, BANK_OF_TESTS, period_end(0))
    (payout,) = await read_payouts(conn, BAVARIA)
    assert (payout.state, payout.failure, payout.attempt_count) == (PayoutState.FAILED, "bank_not_available", 1)
    (taken,) = await send_payouts(conn, BANK_OF_TESTS, period_end(0) + timedelta(hours=1))
    (payout,) = await read_payouts(conn, BAVARIA)
    assert (payout.state, payout.bank_reference, payout.attempt_count) == (PayoutState.SENT, taken.reference, 2)
    assert failed.transfer_id == taken.transfer_id == payout.payout_id
    assert await balances(conn, BAVARIA) == {(PSP, "EUR"): 900, (BANK, "EUR"): -900}


@pytest.mark.parametrize(("prefix", "attempts"), [(CLOSED_PREFIX, 1), (None, ATTEMPTS)])
async def test_a_payout_that_never_arrives_goes_back_to_the_balance(conn, prefix, attempts):
    _, outside = await open_house(conn)
    await move(conn, day(1), (PSP, 900))
    await close_periods(conn, outside, period_end(0))
    if prefix:
        await set_account(conn, prefix)
    else:
        await execute(conn, "delete from bank_account where merchant_id = %(m)s", {"m": BAVARIA})
    for number in range(attempts):
        assert (await balances(conn, BAVARIA))[BANK, "EUR"] == -900
        await send_payouts(conn, BANK_OF_TESTS, period_end(0) + timedelta(hours=number))
    (payout,) = await read_payouts(conn, BAVARIA)
    assert (payout.state, payout.failure, payout.attempt_count) == (PayoutState.RETURNED, "given_up", attempts)
    assert (await read_statements(conn, BAVARIA))[0].state is StatementState.RETURNED
    assert await balances(conn, BAVARIA) == {(PSP, "EUR"): 900, (MERCHANT, "EUR"): -900}
    assert await send_payouts(conn, BANK_OF_TESTS, period_end(1)) == []
    await all_hold(conn)


async def test_the_processor_pays_each_day_once_and_no_checkout_is_touched(conn):
    _, outside = await open_house(conn)
    await put_stock(conn, "demo-shenzhen-audio", "ARIA-HEADPHONES", "GB-LTN1", 5)
    offer = await find_offer(conn, "demo-shenzhen-audio", "ARIA-HEADPHONES", "GB", "fba")
    await place_orders(conn, outside, [request([(offer, 2)], "GB", "GB")], BUYER)
    sums = await read_checkout_sums(conn, PSP)
    assert await collect_from_processor(conn, AT) == 0
    assert [await collect_from_processor(conn, later(days=1)) for _ in range(2)] == [1, 0]
    assert await collect_from_processor(conn, later(days=2)) == 0
    after = await balances(conn, SHENZHEN)
    assert (after[BANK, "GBP"], (PSP, "GBP") in after) == (9398, False)
    assert await read_checkout_sums(conn, PSP) == sums
    await all_hold(conn)


@pytest.mark.parametrize(
    ("account", "kind", "minor", "line"),
    [
        ("psp", "sale", 5, (K.SALES, "")),
        ("psp", "refund", -5, (K.REFUNDS, "")),
        ("buyer_refund", "late_refund", -5, (K.REFUNDS, "")),
        ("fee.storage", "fees", -5, (K.FEES, "storage")),
        ("fee_tax.DE", "fees", -5, (K.FEE_TAXES, "DE")),
        ("tax.DE", "sale", -5, (K.TAXES_WITHHELD, "tax.DE")),
        ("cbec_tax.CN", "refund", 5, (K.TAXES_WITHHELD, "cbec_tax.CN")),
        ("duty.US", "sale", -5, (K.TAXES_WITHHELD, "duty.US")),
        ("rsv", "hold", -5, (K.RESERVE, "")),
        ("bank", RETURNED, 5, (K.PAYOUT, "returned")),
        ("loss", "reimbursement", 5, (K.ADJUSTMENTS, "loss")),
    ],
)
async def test_each_entry_has_its_line(account, kind, minor, line):
    told = movement_of(BalancePart(BAVARIA, "EUR", kind, account, minor, 1))
    assert (told.kind, told.code, told.amount_minor) == (*line, minor)


def test_periods_begin_on_the_monday_of_these_tests():
    assert (FIRST.date() - date(2024, 1, 1)).days % 14 == 0
