from datetime import date, timedelta

import pytest
from msgspec.structs import replace
from psycopg.errors import UniqueViolation
from tests.factories.settlement import AT, FEE_BOOK, MERCHANT, OTHER, TAX_BOOK, order_id, sale, unit

from entrepot.base.sql import execute, fetch
from entrepot.settlement.fees import fee_lines_for, give_back
from entrepot.settlement.model import UnruledDecisionError
from entrepot.settlement.rates_store import load_rates
from entrepot.settlement.store import (
    TaxEntry,
    check_fee_evidence,
    fee_entries,
    insert_fee_lines,
    insert_tax_decisions,
    read_fees,
    read_order_fees,
    read_order_taxes,
)
from entrepot.settlement.tax import decide_tax

pytestmark = pytest.mark.anyio

SOLD = fee_lines_for("shipment", ["referral", "fulfilment"], unit("DE", "EUR", price_minor=10_000, unit_weight_g=300, height_mm=80), FEE_BOOK).lines


def tax_entry(name="a", line_no=1, merchant=MERCHANT, version=1, **values):
    return TaxEntry(merchant, order_id(name), line_no, decide_tax(sale(**values), TAX_BOOK), version)


def fees_of(name="a", line_no=1, merchant=MERCHANT):
    return fee_entries(merchant, "order", order_id(name), line_no, SOLD, AT, order_id(name))


async def counts(conn):
    rows = await fetch(conn, "select (select count(*) from tax_basis), (select count(*) from tax_decision), (select count(*) from fee_line)")
    return rows[0]


async def test_decisions_are_stored_once(conn):
    entries = [tax_entry(), tax_entry(line_no=2), tax_entry("b", merchant=OTHER), tax_entry("c", established="DE")]

    await insert_tax_decisions(conn, entries, AT)
    assert await counts(conn) == (3, 4, 0)
    with pytest.raises(UniqueViolation, match="tax_decision_pk"):
        await insert_tax_decisions(conn, [tax_entry("d"), tax_entry()], AT)


async def test_no_entries_write_nothing(conn):
    await insert_tax_decisions(conn, [], AT)
    assert await counts(conn) == (0, 0, 0)
    assert await insert_fee_lines(conn, []) == []


async def test_a_decision_keeps_its_inputs(conn):
    await insert_tax_decisions(conn, [tax_entry(registrations=frozenset({"FR", "EU-OSS"}), established="FR", to="ES")], AT)
    stored = (await read_order_taxes(conn, MERCHANT, order_id("a")))[0]
    basis = await fetch(conn, "select registrations, tax_class, scheme from tax_basis")

    assert (stored.regime, stored.taxable_person, stored.tax_minor, stored.gross_minor) == ("union_distance_sale", "merchant", 1736, 10_000)
    assert (stored.rule_version, stored.rate_version) == ("EU.union.distance_sale.2021", "ES.standard.2016-01-01")
    assert (stored.established_in, stored.ship_from, stored.destination, stored.evaluated_on) == ("FR", "DE", "ES", date(2026, 11, 2))
    assert basis == [(["EU-OSS", "FR"], "standard", "")]


async def test_a_later_decision_is_a_new_version(conn):
    await insert_tax_decisions(conn, [tax_entry()], AT)
    await insert_tax_decisions(conn, [tax_entry(version=2, price_minor=5000)], AT)

    assert [(tax.version, tax.gross_minor) for tax in await read_order_taxes(conn, MERCHANT, order_id("a"))] == [(2, 5000)]


async def test_a_decision_without_a_rule_is_refused_and_nothing_is_written(conn):
    with pytest.raises(UnruledDecisionError) as refused:
        await insert_tax_decisions(conn, [tax_entry(), tax_entry("b", on=date(2015, 1, 1))], AT)

    assert "no tax rule in force" in refused.value.remedy
    assert await counts(conn) == (0, 0, 0)


@pytest.mark.parametrize("batch", [1, 2, 128])
async def test_batches_store_the_same_rows(conn, batch):
    entries = [tax_entry(f"{number}", merchant=(MERCHANT, OTHER)[number % 2], to=("DE", "FR", "CH")[number % 3]) for number in range(12)]
    for first in range(0, len(entries), batch):
        await insert_tax_decisions(conn, entries[first : first + batch], AT)
    rows = await fetch(
        conn,
        "select d.order_id, b.regime, d.tax_minor from tax_decision d join tax_basis b on (b.merchant_id, b.basis_id) = (d.merchant_id, d.basis_id)",
    )

    assert await counts(conn) == (6, 12, 0)
    assert sorted(rows) == sorted((entry.order_id, entry.decision.regime, entry.decision.tax_minor) for entry in entries)


async def test_fee_lines_are_charged_once(conn):
    first = [*fees_of(), *fees_of(line_no=2), *fees_of("b", merchant=OTHER)]

    assert [entry.line.fee_code for entry in fees_of()] == ["referral", "fulfilment", "fuel_surcharge"]
    assert await insert_fee_lines(conn, first) == first
    assert await insert_fee_lines(conn, [*first, *fees_of("c")]) == fees_of("c")
    assert await insert_fee_lines(conn, [*fees_of("d"), *fees_of("d")]) == fees_of("d")
    assert await counts(conn) == (0, 0, 15)


async def test_the_same_order_pays_at_each_event(conn):
    later = [replace(entry, line=replace(entry.line, event="delivery")) for entry in fees_of()]
    await insert_fee_lines(conn, fees_of())

    assert await insert_fee_lines(conn, later) == later


async def test_an_orders_fees_include_those_of_its_return(conn):
    back = give_back(SOLD[0], "refund", SOLD[0].amount_minor, 1, 1)
    returned = fee_entries(MERCHANT, "return", order_id("return"), 1, [back], AT + timedelta(days=3), order_id("a"))
    await insert_fee_lines(conn, [*fees_of(), *fees_of("b"), *returned])
    stored = await read_order_fees(conn, MERCHANT, order_id("a"))

    assert [(fee.cause_kind, fee.line.fee_code, fee.line.amount_minor) for fee in stored] == [
        ("order", "referral", 1500), ("order", "fulfilment", SOLD[1].amount_minor), ("order", "fuel_surcharge", SOLD[2].amount_minor),
        ("return", "referral", -1500),
    ]  # fmt: skip
    assert [fee.line for fee in stored[:3]] == SOLD
    assert await read_order_fees(conn, OTHER, order_id("a")) == []


async def test_the_explorer_lists_a_span(conn):
    await insert_fee_lines(conn, [*fees_of(), *fees_of("b")])

    assert len(await read_fees(conn, MERCHANT, AT, AT + timedelta(seconds=1), "fulfilment", 10)) == 2
    assert len(await read_fees(conn, MERCHANT, AT, AT + timedelta(seconds=1), None, 4)) == 4
    assert await read_fees(conn, MERCHANT, AT - timedelta(days=1), AT, None, 10) == []


async def test_the_law_of_evidence_holds_and_can_fail(conn):
    await load_rates(conn)
    await insert_fee_lines(conn, [*fees_of(), *fees_of("b")])
    await insert_tax_decisions(conn, [tax_entry(), tax_entry("b", to="CH"), tax_entry("c", to="FR", merchant=OTHER)], AT)

    assert await check_fee_evidence(conn) == (9, [])

    await execute(conn, "update fee_line set rule_version = 'guess' where cause_id = %(order)s and fee_no = 1", {"order": order_id("a")})
    await execute(conn, "update fee_line set inputs = '{}' where cause_id = %(order)s and fee_no = 2", {"order": order_id("b")})
    await execute(conn, "update tax_basis set rate_version = '' where merchant_id = %(merchant)s", {"merchant": OTHER})
    checked, broken = await check_fee_evidence(conn)

    assert checked == 9
    assert sorted(broken) == sorted(
        [
            f"fee_line {MERCHANT} {order_id('a')} line 1 referral: guess",
            f"fee_line {MERCHANT} {order_id('b')} line 1 fulfilment: DE.fulfilment.2026-07",
            f"tax_decision {OTHER} {order_id('c')} line 1: EU.union.deemed_supplier.2021 ",
        ]
    )
