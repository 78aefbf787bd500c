from datetime import date
from decimal import Decimal

import pytest
from tests.factories.settlement import FEE_BOOK, OFF_PEAK, sale, unit

from entrepot.base.sql import execute, fetch
from entrepot.settlement.exchange import ExchangeRate, RateType
from entrepot.settlement.fees import fee_lines_for
from entrepot.settlement.rates_store import (
    insert_exchange_rates,
    load_rates,
    read_fee_book,
    read_fee_card,
    read_fee_cards,
    read_rate_book,
    read_rule_book,
)
from entrepot.settlement.seed import shipped_fee_cards, shipped_tax_rates, shipped_tax_rules
from entrepot.settlement.tax import TaxRegime, decide_tax

pytestmark = pytest.mark.anyio


async def test_loading_twice_changes_nothing(conn):
    first = await load_rates(conn)
    again = await load_rates(conn)
    rows = await fetch(conn, "select (select count(*) from fee_rate), (select count(*) from tax_rate), (select count(*) from tax_rule)")

    assert rows == [(len(shipped_fee_cards()), len(shipped_tax_rates()), len(shipped_tax_rules()))]
    assert first > sum(rows[0])
    assert again == 0


async def test_what_an_operator_changed_stays(conn):
    await load_rates(conn)
    await execute(conn, "update tax_rule set is_active = true where rule_version = 'CH.platform.2025'")
    await load_rates(conn)
    book = await read_rule_book(conn)

    assert decide_tax(sale(6000, to="CH", includes=False), book).regime is TaxRegime.LOW_VALUE_IMPORT


async def test_books_from_the_database_decide_as_the_shipped_ones(conn):
    await load_rates(conn)
    rules, fees = await read_rule_book(conn), await read_fee_book(conn)
    asked = unit("DE", "EUR", OFF_PEAK, price_minor=10_000, length_mm=250, width_mm=150, height_mm=80, unit_weight_g=300)
    codes = ["referral", "fulfilment"]

    assert rules.rules == tuple(sorted((rule for rule in shipped_tax_rules() if rule.is_active), key=lambda rule: rule.priority))
    assert decide_tax(sale(), rules).tax_minor == 1597
    assert fee_lines_for("sale", codes, asked, fees) == fee_lines_for("sale", codes, asked, FEE_BOOK)


async def test_switched_off_rows_are_not_read(conn):
    await load_rates(conn)
    await execute(conn, "update tax_rate set is_active = false where country_code = 'DE'")
    await execute(conn, "update fee_rate set is_active = false where fee_code = 'referral' and marketplace_code = 'DE'")
    rules, fees = await read_rule_book(conn), await read_fee_book(conn)

    assert decide_tax(sale(), rules).regime is TaxRegime.NO_RULE
    assert [missing.fee_code for missing in fee_lines_for("sale", ["referral"], unit("DE", "EUR"), fees).no_rate] == ["referral"]


async def test_exchange_rates_are_read_with_full_precision_and_never_changed(conn):
    day = date(2026, 11, 20)
    new = await insert_exchange_rates(conn, [ExchangeRate(RateType.OPERATOR, "AED", day, Decimal("4.102345678901234567"))])
    again = await insert_exchange_rates(conn, [ExchangeRate(RateType.OPERATOR, "AED", day, Decimal(5))])
    book = await read_rate_book(conn)

    assert (new, again) == (1, 0)
    assert book.cross("EUR", "AED", day, RateType.OPERATOR).rate == Decimal("4.102345678901234567")


async def test_the_fee_explorer_finds_the_card_of_a_line(conn):
    await load_rates(conn)
    card = await read_fee_card(conn, "fulfilment", "US", "US.fulfilment.2026")
    listed = await read_fee_cards(conn, "US", OFF_PEAK)

    assert card is not None
    assert (card.effective_from, card.source.split(";")[0], card.definition["weight_unit"]) == (date(2027, 1, 15), "targonos", "oz")
    assert await read_fee_card(conn, "fulfilment", "US", "unknown") is None
    assert [row.rule_version for row in listed if row.fee_code == "plan"] == ["US.plan.1"]
