from datetime import timedelta

import pytest
from msgspec.structs import replace
from tests.factories.documents import documents_of
from tests.factories.settlement import AT, MERCHANT, OTHER, PLATFORM, order_id

from entrepot.base.sql import execute, fetch
from entrepot.settlement.invoices import (
    InvoiceDraft,
    check_invoice_numbers,
    insert_invoices,
    number_invoices,
    read_cause_invoices,
)
from entrepot.settlement.model import InvoiceKind, UnbalancedInvoiceError

pytestmark = pytest.mark.anyio


def draft(name, minutes=0, series="FEE-2026", issuer=PLATFORM, recipient=MERCHANT, kind=InvoiceKind.FEES):
    return InvoiceDraft(
        issuer, series, kind, order_id(name), recipient, "DE", 1000, 190, 1190, "EUR", ({"fee": "referral", "net_minor": 1000},), AT + timedelta(minutes=minutes)
    )  # fmt: skip


async def numbers(conn):
    return await fetch(conn, "select cause_id, series_code, number from invoice order by series_code, number")


async def test_numbers_run_without_gaps_per_issuer_and_series(conn):
    late, early, sale, other = draft("late", 5), draft("early", 1), draft("sale", 2, "SALE", kind=InvoiceKind.SALE), draft("other", 0, issuer=OTHER)
    await insert_invoices(conn, [late, early, sale, other])

    assert await number_invoices(conn, AT) == 4
    await insert_invoices(conn, [draft("third", 0), draft("fourth", 9)])
    assert await number_invoices(conn, AT) == 2
    assert await number_invoices(conn, AT) == 0
    rows = await fetch(
        conn, "select cause_id, number from invoice where merchant_id = %(issuer)s and series_code = 'FEE-2026' order by number", {"issuer": PLATFORM}
    )
    assert rows == [(order_id("early"), 1), (order_id("late"), 2), (order_id("third"), 3), (order_id("fourth"), 4)]
    assert [row[2] for row in await numbers(conn) if row[0] in (order_id("sale"), order_id("other"))] == [1, 1]
    assert await check_invoice_numbers(conn) == (3, [])


async def test_a_cause_is_billed_once(conn):
    first, again = await insert_invoices(conn, [draft("a")]), await insert_invoices(conn, [draft("a"), draft("b")])

    assert (first, again) == ([draft("a").invoice_id], [draft("b").invoice_id])
    assert len(await numbers(conn)) == 2


async def test_a_numbered_invoice_is_not_numbered_again_by_a_replay(conn):
    await insert_invoices(conn, [draft("a")])
    await number_invoices(conn, AT)
    await insert_invoices(conn, [draft("a")])

    assert await number_invoices(conn, AT) == 0
    assert [row[2] for row in await numbers(conn)] == [1]


async def test_what_does_not_add_up_is_refused_and_nothing_is_written(conn):
    with pytest.raises(UnbalancedInvoiceError) as refused:
        await insert_invoices(conn, [draft("a"), replace(draft("b"), gross_minor=1191)])

    assert refused.value.value == 1191
    assert await numbers(conn) == []


async def test_merchants_see_their_own_and_those_they_received(conn):
    own = replace(draft("own", 3, "SALE", issuer=MERCHANT, recipient=None, kind=InvoiceKind.SALE), lines=())
    await insert_invoices(conn, [draft("a"), own, draft("b", recipient=OTHER)])
    await number_invoices(conn, AT)
    listed = await documents_of(conn, MERCHANT)

    assert [(invoice.kind, invoice.document_number) for invoice in listed] == [
        (InvoiceKind.SALE, "SALE-000001"),
        (InvoiceKind.FEES, listed[1].document_number),
    ]
    assert listed[1].lines == ({"fee": "referral", "net_minor": 1000},)
    assert [invoice.invoice_id for invoice in await read_cause_invoices(conn, PLATFORM, order_id("b"))] == [draft("b").invoice_id]


async def test_a_gap_is_named(conn):
    await insert_invoices(conn, [draft("a"), draft("b", 1), draft("c", 2)])
    await number_invoices(conn, AT)
    await execute(conn, "delete from invoice where number = 2")

    assert await check_invoice_numbers(conn) == (1, [f"invoice_series {PLATFORM} FEE-2026"])
