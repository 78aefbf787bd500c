from datetime import timedelta
from decimal import Decimal

import pytest
from msgspec.structs import replace
from psycopg import errors
from tests.factories.customs import AT, BOOK, MERCHANT, ON, PERSON, ask, cbec_declaration, documents, goods, order_id

from entrepot.base.ids import derived_id
from entrepot.customs.answer import Applied, CustomsAssessment, Variance, apply_answers, record_assessments
from entrepot.customs.check import check_declarations
from entrepot.customs.declare import (
    CancelAsk,
    DeclarationWithoutLinesError,
    Written,
    cancel_declarations,
    insert_declarations,
    insert_messages,
    submit_declarations,
)
from entrepot.customs.landed_cost import assess_consignment
from entrepot.customs.model import (
    EXPORT_REGIME,
    AnswerKind,
    CustomsAnswer,
    CustomsMessage,
    DeclarationKind,
    DeclarationState,
    LineDetail,
    MessageKind,
    declaration_lines,
    export_lines,
)
from entrepot.customs.read import (
    count_states,
    read_declarations,
    read_declarations_of_orders,
    read_declared_quantities,
    read_messages,
    read_queue,
)
from entrepot.customs.store import load_rules, switch_off_rules
from entrepot.customs.valuation import Components

pytestmark = pytest.mark.anyio

NEW, EXISTS, NOT_ALLOWED = Written
APPLIED, KNOWN, LATE, UNKNOWN = Applied
OTHER = derived_id("merchant", "second")


def low_value(name="low", minor=9_999, merchant=MERCHANT):
    """An import into Germany from Britain, declared in euros at a customs rate."""
    rate = Decimal("1.1537")
    one = replace(
        ask("DE", "GBP", goods(minor, 1, discount=99, freight=451), goods(2_000, 2, "491199", quantity=3), ship_from="GB"), rates={"EUR": rate}
    )
    assessed = assess_consignment(BOOK, one)
    details = {1: LineDetail(order_id(name), 700, discount_funder="platform"), 2: LineDetail(order_id(name), 90, "kg", Decimal("0.09"))}
    return replace(
        cbec_declaration(name, merchant=merchant),
        regime_code=assessed.lines[0].declaration_code,
        ship_from="GB",
        ship_to="DE",
        currency="EUR",
        customs_rate=rate,
        lines=declaration_lines(assessed.lines, details, "GBP", rate, "EUR"),
    )


def export(name="out"):
    return replace(
        cbec_declaration(name),
        regime_code=EXPORT_REGIME,
        kind=DeclarationKind.EXPORT,
        lines=export_lines([(1, "210690", "KR", 2, Components(9_000, 0, 500, 0))], {1: LineDetail(order_id(name), 800)}, "USD"),
        currency="USD",
    )


def answer(declaration, kind=AnswerKind.RELEASED, attempt=1, cause=""):
    key = f"{declaration.declaration_id}:answer:{attempt}"
    return CustomsAnswer(declaration.merchant_id, declaration.declaration_id, key, kind, cause, "remedy" if cause else "")


async def state_of(conn, declaration):
    stored = (await read_declarations(conn, [declaration.merchant_id], [declaration.declaration_id]))[0]
    return stored.state, stored.cause_code, stored.attempt_count


async def submitted(conn, *declarations):
    await insert_declarations(conn, declarations)
    await submit_declarations(conn, [documents(declaration) for declaration in declarations], AT)


async def test_what_is_declared_is_read_back(conn):
    declarations = [cbec_declaration(), low_value(), export(), cbec_declaration("other", merchant=OTHER)]
    assert await insert_declarations(conn, declarations) == [NEW] * 4
    keys = [(one.merchant_id, one.declaration_id) for one in declarations]
    stored = await read_declarations(conn, [key[0] for key in keys], [key[1] for key in keys])
    assert {one.declaration.declaration_id: one.declaration for one in stored} == {one.declaration_id: one for one in declarations}
    assert {(one.state, one.state_at, one.attempt_count) for one in stored} == {(DeclarationState.DRAFTED, AT, 0)}
    assert await read_declarations(conn, [OTHER], [declarations[0].declaration_id]) == []
    assert [one.declaration for one in await read_declarations_of_orders(conn, [MERCHANT], [order_id("one")])] == [declarations[0]]


async def test_a_second_draft_under_the_same_id_changes_nothing(conn):
    first = cbec_declaration()
    other = replace(first, regime_code="9610", lines=(replace(first.lines[0], quantity=7),))
    assert await insert_declarations(conn, [first, other]) == [NEW, EXISTS]
    assert await insert_declarations(conn, [other]) == [EXISTS]
    assert (await read_declarations(conn, [MERCHANT], [first.declaration_id]))[0].declaration == first


async def test_a_declaration_without_lines_is_refused(conn):
    with pytest.raises(DeclarationWithoutLinesError):
        await insert_declarations(conn, [cbec_declaration(), replace(cbec_declaration("two"), lines=())])
    assert await count_states(conn) == {}


async def test_customs_values_are_in_the_declarations_currency():
    lines = low_value().lines
    assert [(line.customs_value_minor, line.duty_minor, line.tax_minor, line.method) for line in lines] == [
        (11_422, 300, 2_269, "fob"),
        (2_307, 300, 438, "fob"),
    ]


async def test_submit_hold_correct_release(conn):
    one = cbec_declaration()
    await insert_declarations(conn, [one])
    assert await submit_declarations(conn, [documents(one)], AT) == [NEW]
    assert await submit_declarations(conn, [documents(one)], AT) == [EXISTS]
    assert await submit_declarations(conn, [documents(one, 2)], AT) == [NOT_ALLOWED]
    assert await apply_answers(conn, [answer(one, AnswerKind.HELD, 1, "payer_differs")], AT) == [APPLIED]
    assert await state_of(conn, one) == ("held", "payer_differs", 1)
    assert await submit_declarations(conn, [documents(one, 2)], AT + timedelta(hours=1)) == [NEW]
    assert await apply_answers(conn, [answer(one, attempt=2)], AT + timedelta(hours=2)) == [APPLIED]
    assert await apply_answers(conn, [answer(one, attempt=2), answer(one, AnswerKind.HELD, 1)], AT) == [KNOWN, KNOWN]
    assert await apply_answers(conn, [answer(one, AnswerKind.HELD, 9, "late")], AT) == [LATE]
    assert await state_of(conn, one) == ("released", "", 2)
    kinds = [message.kind for message in await read_messages(conn, MERCHANT, one.declaration_id)]
    assert sorted(kinds) == sorted([*["order", "payment", "logistics", "declaration"] * 2, *["answer"] * 3])


async def test_answers_of_a_batch_act_in_order_and_alone(conn):
    one, two, three = cbec_declaration("1"), cbec_declaration("2", merchant=OTHER), cbec_declaration("3")
    await submitted(conn, one, two)
    answers = [
        answer(one, AnswerKind.HELD, 1, "inspection"),
        answer(two, AnswerKind.LIMIT_REACHED, 1, "year_limit_reached"),
        answer(three),
        answer(one, AnswerKind.RELEASED, 2),
    ]
    assert await apply_answers(conn, answers, AT) == [APPLIED, APPLIED, UNKNOWN, APPLIED]
    assert await state_of(conn, one) == ("released", "", 1)
    assert await state_of(conn, two) == ("refused", "year_limit_reached", 1)
    assert await count_states(conn) == {("1210", "released"): 1, ("1210", "refused"): 1}


async def test_cancel_before_customs_decided(conn):
    one, two, three = cbec_declaration("1"), cbec_declaration("2"), cbec_declaration("3")
    await submitted(conn, one, two)
    await apply_answers(conn, [answer(two)], AT)
    asks = [CancelAsk(MERCHANT, each.declaration_id, "buyer_cancelled") for each in (one, two, three, one)]
    assert await cancel_declarations(conn, asks, AT) == [NEW, NOT_ALLOWED, NOT_ALLOWED, EXISTS]
    assert await cancel_declarations(conn, asks[:1], AT) == [EXISTS]
    assert await apply_answers(conn, [answer(one)], AT) == [LATE]
    assert (await state_of(conn, one), await state_of(conn, two)) == (("cancelled", "buyer_cancelled", 1), ("released", "", 1))


async def test_messages_are_kept_once(conn):
    one = cbec_declaration()
    await insert_declarations(conn, [one])
    message = CustomsMessage(MERCHANT, "return:1", one.declaration_id, MessageKind.RETURN, {"lines": [1]}, AT)
    assert await insert_messages(conn, [message, message]) == [NEW, EXISTS]
    assert [(stored.kind, stored.body) for stored in await read_messages(conn, MERCHANT, one.declaration_id)] == [("return", {"lines": [1]})]


async def test_queue_and_declared_quantities(conn):
    one, two, out = cbec_declaration("1"), cbec_declaration("2", merchant=OTHER), export()
    await submitted(conn, one, two)
    await insert_declarations(conn, [out, low_value()])
    await apply_answers(conn, [answer(one, AnswerKind.HELD, 1, "inspection")], AT + timedelta(hours=1))
    await apply_answers(conn, [answer(two, AnswerKind.REFUSED, 1, "inspection_failed")], AT)
    queue = await read_queue(conn, DeclarationState.HELD, 10)
    assert [(row.declaration_id, row.cause_code, row.state) for row in queue] == [(one.declaration_id, "inspection", DeclarationState.HELD)]
    assert await read_queue(conn, DeclarationState.HELD, 10, OTHER) == []
    declared = await read_declared_quantities(conn)
    assert sorted((row.line_no, row.quantity, row.legal_unit_code, row.legal_quantity, row.net_weight_g, row.kind.value) for row in declared) == [
        (1, 1, "piece", 1, 400, "import"),
        (1, 1, "piece", 1, 700, "import"),
        (1, 2, "piece", 2, 800, "export"),
        (2, 3, "kg", Decimal("0.09"), 90, "import"),
    ]


async def test_a_higher_assessment_is_kept_beside_the_quote_once(conn):
    one = low_value()
    await insert_declarations(conn, [one])
    assessed = [CustomsAssessment(MERCHANT, one.declaration_id, 1, "950490", 500, 2_309)]
    assert await record_assessments(conn, assessed, AT) == [Variance(MERCHANT, one.declaration_id, 1, 200, 40, "EUR")]
    assert await record_assessments(conn, assessed, AT) == []
    assert (await read_declarations(conn, [MERCHANT], [one.declaration_id]))[0].declaration == one


async def test_the_law_holds_for_all_kinds(conn):
    await load_rules(conn)
    await insert_declarations(conn, [cbec_declaration(), low_value(), export()])
    assert await check_declarations(conn) == (4, [])
    await switch_off_rules(conn, ["EU.low.2026", "CN.cbec.2019"])
    assert await check_declarations(conn) == (4, [])


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        (
            "update declaration_line set customs_value_minor = customs_value_minor + 1 where line_no = 2",
            "customs value 2308, its components give 2307",
        ),
        ("update declaration_line set goods_minor = goods_minor + 1 where line_no = 2", "its components give 2309"),
        ("update declaration_line set rate = 1.16 where line_no = 2", "its components give 2320"),
        ("update declaration_line set method = 'cif' where line_no = 2", "method cif, the rule says fob"),
        ("update declaration_line set rule_version = 'EU.low.2021' where line_no = 2", "was not in force on 2026-10-05"),
        ("update declaration_line set rule_version = 'nothing' where line_no = 2", "was not in force"),
    ],
)
async def test_the_law_names_broken_lines(conn, statement, fault):
    await load_rules(conn)
    one = low_value()
    await insert_declarations(conn, [cbec_declaration(), one])
    await conn.execute(statement)
    checked, broken = await check_declarations(conn)
    assert checked == 3
    assert len(broken) == 1
    assert broken[0].startswith(f"declaration_line {MERCHANT} {one.declaration_id} 2: ")
    assert fault in broken[0]


@pytest.mark.parametrize(
    "change", ["quantity = 0", "discount_minor = goods_minor + 1", "discount_minor = 1", "hs_code = ''", "tax_minor = -1", "method = 'guess'"]
)
async def test_the_table_refuses_what_must_never_be(conn, change):
    await insert_declarations(conn, [cbec_declaration()])
    with pytest.raises(errors.CheckViolation):
        await conn.execute(f"update declaration_line set {change}")


async def test_the_taxpayer_is_the_quota_person():
    assert cbec_declaration().taxpayer.party_id == PERSON
    assert cbec_declaration().evaluated_on == ON
