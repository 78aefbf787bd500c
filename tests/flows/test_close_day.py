"""What a day's closing leaves: money from the processor in the bank, buyers' invoices and credit notes, fee bills, numbers without gaps, payouts."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.factories.documents import documents_of
from tests.factories.house import AT, BUYER, STAFF, find_offer, later, open_house, order_of, put_stock, request
from tests.flows.test_order_to_cash import deliver, work_floor

from entrepot.aftersales.model import CauseKind, RefundLine
from entrepot.base.due import take_due
from entrepot.base.ids import derived_id
from entrepot.base.sql import execute, fetch
from entrepot.base.time import start_of_day
from entrepot.books.money.model import BANK
from entrepot.books.money.read import prove_money, read_balances
from entrepot.flows.cancel import cancel_units
from entrepot.flows.choose_units import CancelAsk
from entrepot.flows.close_day import CLOSE_DAY, HOUSE_ID, SEND_PAYOUTS, begin_closing
from entrepot.flows.order_to_cash import SETTLE, place_orders
from entrepot.flows.pay_back import PayBack, pay_back, read_charges
from entrepot.flows.run_due import STEPS, run_due
from entrepot.flows.settle_period import close_periods
from entrepot.parties.model import merchant_id_of
from entrepot.settlement.invoices import check_invoice_numbers, read_cause_invoices
from entrepot.settlement.model import InvoiceKind
from entrepot.settlement.statements import read_payouts

pytestmark = pytest.mark.anyio

SHENZHEN = merchant_id_of("demo-shenzhen-audio")
PLATFORM_GB = merchant_id_of("entrepot-marketplace-gb")


async def run_all(conn, outside, now):
    """Run everything that is due, as the worker does."""
    for step_code in STEPS:
        while await run_due(conn, outside, step_code, now, 100):
            pass


async def delivered(conn, outside, units=2, **more):
    """Bring an order of headphones to its buyer and return its key."""
    await put_stock(conn, "demo-shenzhen-audio", "ARIA-HEADPHONES", "GB-LTN1", 5)
    offer = await find_offer(conn, "demo-shenzhen-audio", "ARIA-HEADPHONES", "GB", "fba")
    key = order_of((await place_orders(conn, outside, [request([(offer, units)], "GB", "GB", **more)], BUYER))[0])
    await work_floor(conn, outside, "GB-LTN1", later(hours=3))
    return key


async def give_back(conn, outside, key, units, at):
    """Give the money for some units of the first line back."""
    charge = (await read_charges(conn, outside.reference, [key]))[(*key, 1)]
    lines = (RefundLine(1, units, charge.share(units)),)
    return (await pay_back(conn, outside, [PayBack(*key, CauseKind.RETURN, derived_id("return", key, at), lines)], STAFF, at))[0]


async def test_what_arrived_is_invoiced_and_what_goes_back_is_credited(conn):
    _, outside = await open_house(conn)
    await begin_closing(conn, AT)
    key = await delivered(conn, outside)
    assert await read_cause_invoices(conn, *key) == [], "nothing has arrived"
    await deliver(conn, outside, [key], later(days=2))
    (sale,) = await read_cause_invoices(conn, *key)
    assert (sale.kind, sale.net_minor, sale.tax_minor, sale.gross_minor, sale.currency, sale.tax_country) == (
        InvoiceKind.SALE, 7832, 1566, 9398, "GBP", "GB",
    )  # fmt: skip
    assert sale.lines == ({"sku": "ARIA-HEADPHONES", "quantity": 2, "net_minor": 7832, "tax_minor": 1566, "gross_minor": 9398},)
    assert sale.document_number == ""
    await deliver(conn, outside, [key], later(days=2, hours=1))
    assert len(await read_cause_invoices(conn, *key)) == 1, "a report that comes twice bills nothing"

    refund = await give_back(conn, outside, key, 1, later(days=3))
    (credit,) = await read_cause_invoices(conn, SHENZHEN, refund.refund_id)
    assert (credit.kind, credit.net_minor, credit.tax_minor, credit.gross_minor) == (InvoiceKind.CREDIT_NOTE, -3916, -783, -4699)
    assert await fetch(conn, "select corrects_id from invoice where kind = 'credit_note'") == [(sale.invoice_id,)]

    await run_all(conn, outside, later(days=4))
    assert {one.document_number for one in await documents_of(conn, SHENZHEN)} == {"SALE-000001", "CREDIT-000001"}
    assert (await check_invoice_numbers(conn))[1] == []


async def test_money_that_goes_back_before_the_invoice_makes_it_smaller(conn):
    _, outside = await open_house(conn)
    await put_stock(conn, "demo-shenzhen-audio", "ARIA-HEADPHONES", "GB-LTN1", 5)
    offer = await find_offer(conn, "demo-shenzhen-audio", "ARIA-HEADPHONES", "GB", "fba")
    key = order_of((await place_orders(conn, outside, [request([(offer, 3)], "GB", "GB")], BUYER))[0])
    (answer,) = await cancel_units(conn, outside, [CancelAsk(*key, 1, 1, "buyer", "second thoughts")], BUYER, later(hours=1))
    assert await read_cause_invoices(conn, SHENZHEN, answer.refund_id) == []
    await work_floor(conn, outside, "GB-LTN1", later(hours=3))
    await deliver(conn, outside, [key], later(days=2))
    (sale,) = await read_cause_invoices(conn, *key)
    assert (sale.gross_minor, sale.lines[0]["quantity"]) == (9398, 2)


async def test_the_days_are_closed_one_after_the_other_and_fees_are_billed_by_the_store(conn):
    _, outside = await open_house(conn)
    await begin_closing(conn, AT)
    await begin_closing(conn, later(days=5))
    key = await delivered(conn, outside)
    await deliver(conn, outside, [key], later(days=2))
    end = datetime(2026, 10, 5, 2, tzinfo=UTC)  # the second period has ended
    for night in range(3, 29):
        await run_all(conn, outside, min(later(days=night), end))

    (waiting,) = [one for one in await take_due(conn, CLOSE_DAY, end + timedelta(days=9), 10) if one.merchant_id == HOUSE_ID]
    assert waiting.due_at == start_of_day(end.date() + timedelta(days=1)), "the nights between were closed, the next one waits"
    assert await take_due(conn, SETTLE, end, 10) == await take_due(conn, SEND_PAYOUTS, end, 10) == []
    charged = await fetch(
        conn, "select sum(amount_minor)::bigint from fee_line where merchant_id = %(m)s and charged_at < '2026-10-05'", {"m": SHENZHEN}
    )
    bills = [one for one in await documents_of(conn, SHENZHEN) if one.kind is InvoiceKind.FEES]
    assert sum(bill.gross_minor for bill in bills) == charged[0][0]
    assert bills, "the order's fees were billed"
    assert {(bill.issuer_id, bill.recipient_id, bill.tax_country) for bill in bills} == {(PLATFORM_GB, SHENZHEN, "GB")}
    assert sorted(bill.number for bill in bills) == list(range(1, len(bills) + 1))
    assert {row["fee"] for bill in bills for row in bill.lines} >= {"referral", "fulfilment"}
    balances = {row.account_code: row.posted_minor for row in await read_balances(conn, SHENZHEN) if row.currency == "GBP"}
    storage = sum(row["net_minor"] for bill in bills for row in bill.lines if row["fee"] == "storage")
    assert storage, "September's storage was billed on the first of October"
    assert (balances["psp"], balances["mer"]) == (0, storage), "the processor's money came to the bank, the merchant's went out before the storage"
    payouts = await read_payouts(conn, SHENZHEN)
    assert [str(one.state) for one in payouts] == ["sent"]
    assert any(row.account_code == BANK for row in await read_balances(conn, SHENZHEN))
    assert (await prove_money(conn))[1] == []

    before = await fetch(conn, "select count(*) from money_posting")
    await begin_closing(conn, end)
    await run_all(conn, outside, end)
    assert await fetch(conn, "select count(*) from money_posting") == before, "a second look closes nothing again"


async def test_fees_that_nobody_can_bill_wait_and_keep_nothing_else_back(conn):
    _, outside = await open_house(conn)
    key = await delivered(conn, outside)
    await deliver(conn, outside, [key], later(days=2))
    await run_due(conn, outside, SETTLE, later(days=12), 10)
    await execute(conn, "update role_holder set effective_to = effective_from + 1 where role_code = 'platform' and marketplace_code = 'GB'")
    await close_periods(conn, outside, later(days=14))
    assert [one for one in await documents_of(conn, SHENZHEN) if one.kind is InvoiceKind.FEES] == []
    told = await fetch(conn, "select merchant_id, note from audit_entry where command_code = 'leave_fees_unbilled'")
    assert told == [(SHENZHEN, "no platform in GB")]
    await execute(conn, "update role_holder set effective_to = null where role_code = 'platform' and marketplace_code = 'GB'")
    await close_periods(conn, outside, later(days=28))
    (bill,) = [one for one in await documents_of(conn, SHENZHEN) if one.kind is InvoiceKind.FEES]
    charged = await fetch(conn, "select sum(amount_minor)::bigint from fee_line where merchant_id = %(m)s", {"m": SHENZHEN})
    assert bill.gross_minor == charged[0][0]
