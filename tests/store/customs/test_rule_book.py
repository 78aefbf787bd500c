import pytest
from tests.factories.customs import BOOK, ON, ROWS, ask, goods

from entrepot.customs.landed_cost import assess_consignment
from entrepot.customs.store import UnknownRuleError, load_rules, read_rule_book, read_rule_rows, switch_off_rules, switch_on_rules

pytestmark = pytest.mark.anyio

TOTAL = sum(len(rows) for rows in (ROWS.duty_rates, ROWS.import_rules, ROWS.import_taxes, ROWS.cbec_rates, ROWS.cbec_limits, ROWS.screening_rules))


async def test_the_shipped_rules_come_back_as_they_were(conn):
    loaded = await load_rules(conn)
    assert (loaded.new_count, loaded.existing_count) == (TOTAL, 0)
    again = await load_rules(conn)
    assert (again.new_count, again.existing_count) == (0, TOTAL)
    stored, one = await read_rule_book(conn), ask("AU", "AUD", goods(100_001, 1, "940360"), goods(5_000, 2))
    assert stored == BOOK
    assert assess_consignment(stored, one) == assess_consignment(BOOK, one)


async def test_what_an_operator_switched_stays(conn):
    await load_rules(conn)
    sg = ask("SG", "SGD", goods(40_000), on=ON)
    await switch_on_rules(conn, ["SG.standard.2024-01-01"])
    await switch_off_rules(conn, ["CH.all.demo"])
    await load_rules(conn)
    book = await read_rule_book(conn)
    assert assess_consignment(book, sg).tax_minor == 3_600
    no_duty = assess_consignment(book, ask("CH", "CHF", goods(100_000))).no_rule
    assert no_duty is not None
    assert no_duty.missing == f"CH HS 950300 on {ON.isoformat()}"


async def test_an_unknown_code_switches_nothing(conn):
    await load_rules(conn)
    before = await read_rule_rows(conn)
    with pytest.raises(UnknownRuleError):
        await switch_on_rules(conn, ["SG.standard.2024-01-01", "nothing"])
    assert await read_rule_rows(conn) == before
