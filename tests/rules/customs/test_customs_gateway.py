import asyncio
from collections import Counter

import pytest
from msgspec.structs import replace
from tests.factories.customs import OTHER_PERSON, cbec_declaration, documents

from entrepot.adapters.customs_gateway import BuiltInCustomsGateway, GatewayHabits, document_mismatch
from entrepot.base.ids import derived_id
from entrepot.customs.model import AnswerKind, DeclarationKind

ALWAYS_RELEASE = GatewayHabits(0, 0, 0)
GOOD = documents(cbec_declaration())


def answers(submissions, habits=None, seed="7"):
    return asyncio.run(BuiltInCustomsGateway(seed, habits).submit(submissions))


def changed(document, **values):
    return replace(GOOD, **{document: replace(getattr(GOOD, document), **values)})


@pytest.mark.parametrize(
    ("submission", "cause"),
    [
        (GOOD, None),
        (replace(GOOD, order=None), "order_message_missing"),
        (replace(GOOD, payment=None), "payment_message_missing"),
        (replace(GOOD, logistics=None), "logistics_message_missing"),
        (replace(GOOD, taxpayer_id=OTHER_PERSON), "orderer_differs"),
        (changed("payment", payer_id=OTHER_PERSON), "payer_differs"),
        (changed("payment", order_no="x"), "order_number_differs"),
        (changed("logistics", order_no="x"), "order_number_differs"),
        (changed("payment", currency="USD"), "currency_differs"),
        (changed("order", goods_minor=48_001), "value_differs"),
        (changed("order", tax_minor=4_369), "tax_differs"),
        (changed("payment", paid_minor=52_367), "amount_differs"),
        (changed("order", quantities=((1, 2),)), "quantity_differs"),
        (changed("logistics", piece_count=2), "piece_count_differs"),
        (changed("logistics", gross_weight_g=399), "weight_differs"),
        (replace(GOOD, order=None, regime_code="H7"), None),
        (replace(GOOD, order=None, regime_code="EXPORT", kind=DeclarationKind.EXPORT), None),
    ],
)
def test_three_documents(submission, cause):
    mismatch = document_mismatch(submission)
    assert (mismatch[0] if mismatch else None) == cause
    answer = answers([submission], ALWAYS_RELEASE)[0]
    assert (answer.kind, answer.cause_code) == (AnswerKind.RELEASED if cause is None else AnswerKind.HELD, cause or "")


def many(attempt=1):
    return [replace(GOOD, declaration_id=derived_id("gateway", number), attempt=attempt) for number in range(2_000)]


def test_habits_follow_the_seed_and_nothing_else():
    habits = GatewayHabits(held_per_thousand=100, refused_per_thousand=50, limit_reached_per_thousand=50)
    first = answers(many(), habits)
    assert first == answers(many(), habits)
    assert first == [answers([submission], habits)[0] for submission in many()]
    assert first != answers(many(), habits, seed="8")
    assert Counter(answer.kind for answer in first) == {
        AnswerKind.RELEASED: 1_580,
        AnswerKind.HELD: 202,
        AnswerKind.REFUSED: 102,
        AnswerKind.LIMIT_REACHED: 116,
    }


def test_an_inspection_ends_with_the_second_submission():
    habits = GatewayHabits(held_per_thousand=1_000, refused_per_thousand=0, limit_reached_per_thousand=0)
    assert {answer.kind for answer in answers(many(), habits)} == {AnswerKind.HELD}
    assert {answer.kind for answer in answers(many(2), habits)} == {AnswerKind.RELEASED}


def test_only_retail_imports_meet_a_yearly_limit():
    habits = GatewayHabits(held_per_thousand=0, refused_per_thousand=0, limit_reached_per_thousand=1_000)
    assert answers([GOOD], habits)[0].kind is AnswerKind.LIMIT_REACHED
    assert answers([replace(GOOD, regime_code="H7")], habits)[0].kind is AnswerKind.RELEASED
