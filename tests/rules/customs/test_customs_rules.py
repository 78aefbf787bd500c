from collections import Counter
from datetime import date

import pytest
from tests.factories.customs import BOOK, ON, ROWS

from entrepot.customs.model import DECLARATION_STATES
from entrepot.customs.quota import quota_person_id, rounds_of
from entrepot.customs.rules import Confidence, RuleRows, Verdict, build_rule_book, duty_rate_on, import_tax_on, weakest
from entrepot.customs.screening import GoodsProhibitedError, ScreeningAsk, require_not_prohibited, screen_goods


def all_rows(rows: RuleRows):
    return [
        *((row.rate_code, row) for row in rows.duty_rates),
        *((row.rule_code, row) for row in rows.import_rules),
        *((row.tax_code, row) for row in rows.import_taxes),
        *((row.list_code, row) for row in rows.cbec_rates),
        *((row.limit_code, row) for row in rows.cbec_limits),
        *((row.screening_code, row) for row in rows.screening_rules),
    ]


def test_shipped_rows_are_founded_or_switched_off():
    rows = all_rows(ROWS)
    assert [code for code, count in Counter(code for code, _ in rows).items() if count > 1] == []
    assert [code for code, row in rows if row.confidence is Confidence.MEMORY and row.is_active] == []
    assert [code for code, row in rows if not row.source] == []
    assert [code for code, row in rows if (row.confidence is Confidence.DEMO) != (getattr(row, "card_name", "") == "Demo operator")] == []
    assert [code for code, row in rows if row.effective_to is not None and row.effective_to <= row.effective_from] == []


def test_rows_that_are_switched_off_do_not_exist():
    book = build_rule_book(ROWS)
    assert duty_rate_on(book, "CA", "base", "CN", "610910", ON).rate_code == "CA.all.demo"
    assert "s122" not in book.duty_layers["US"]


@pytest.mark.parametrize(
    ("country", "class_code", "on", "code"),
    [
        ("DE", "standard", date(2020, 12, 31), "DE.standard.2020-07-01"),
        ("DE", "standard", date(2021, 1, 1), "DE.standard.2021-01-01"),
        ("RO", "standard", date(2025, 7, 31), "RO.standard.2017-01-01"),
        ("RO", "standard", date(2025, 8, 1), "RO.standard.2025-08-01"),
        ("JP", "food", ON, "JP.food.2025-01-01"),
        ("DE", "food", ON, "DE.standard.2021-01-01"),
        ("JP", "food", date(2024, 12, 31), None),
        ("DE", "standard", date(2015, 12, 31), None),
    ],
)
def test_import_tax(country, class_code, on, code):
    row = import_tax_on(BOOK, country, class_code, on)
    assert (row.tax_code if row else None) == code


@pytest.mark.parametrize(
    ("sequence", "worst"),
    [((), "seen"), (("seen", "derived"), "derived"), (("demo", "derived"), "demo"), (("memory", "seen"), "memory")],
)
def test_weakest(sequence, worst):
    assert weakest(Confidence(code) for code in sequence) == worst


@pytest.mark.parametrize(
    ("hazard", "transport", "verdict"),
    [
        ("PI965", "air", Verdict.PROHIBITED),
        ("PI965", "post", Verdict.PROHIBITED),
        ("PI965", "sea", Verdict.CLEAR),
        ("PI968", "air", Verdict.PROHIBITED),
        ("PI966", "air", Verdict.DANGEROUS),
        ("PI967", "air", Verdict.DANGEROUS),
        ("PI967", "post", Verdict.CLEAR),
        ("", "air", Verdict.CLEAR),
    ],
)
def test_batteries(hazard, transport, verdict):
    screening = screen_goods(BOOK, ScreeningAsk("CN", "US", ON, "850760", hazard, transport))
    assert screening.verdict is verdict
    assert bool(screening.remedies) is (verdict is not Verdict.CLEAR)


def test_a_prohibited_lane_is_refused_with_the_remedy():
    with pytest.raises(GoodsProhibitedError, match="by sea, rail or road"):
        require_not_prohibited(screen_goods(BOOK, ScreeningAsk("CN", "US", ON, "850760", "PI965", "air")))


def test_states_of_a_declaration():
    assert DECLARATION_STATES.terminal == {"refused", "cancelled", "withdrawn"}
    assert DECLARATION_STATES.sources_of("released") == ["held", "submitted"]


@pytest.mark.parametrize(
    ("items", "rounds"),
    [("", []), ("abc", [[(0, "a"), (1, "b"), (2, "c")]]), ("aab", [[(0, "a"), (2, "b")], [(1, "a")]]), ("aaa", [[(0, "a")], [(1, "a")], [(2, "a")]])],
)
def test_rounds(items, rounds):
    assert rounds_of(items, lambda item: item) == rounds


def test_quota_belongs_to_the_identity():
    assert quota_person_id("one") == quota_person_id("one") != quota_person_id("two")
