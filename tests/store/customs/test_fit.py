import pytest
from msgspec.structs import replace
from tests.factories.customs import (
    AT,
    LIMIT,
    MERCHANT,
    OTHER_PERSON,
    PERSON,
    YEAR,
    cbec_declaration,
    close,
    documents,
    full_year,
    giving_back,
    hold,
    order_id,
)

from entrepot.base.ids import derived_id
from entrepot.base.quantity import QuantityNotPositiveError
from entrepot.customs.answer import apply_answers
from entrepot.customs.check import check_quota
from entrepot.customs.declare import CancelAsk, Written, insert_declarations, insert_messages, submit_declarations
from entrepot.customs.fit import OrderQuota, ShrinkAsk, read_order_quota, shrink_quota
from entrepot.customs.hold import hold_quota, read_quota, release_quota, report_elsewhere, return_quota, use_quota
from entrepot.customs.model import AnswerKind, CustomsAnswer, CustomsMessage, DeclarationState, MessageKind
from entrepot.customs.quota import QuotaOutcome
from entrepot.customs.read import read_declarations, read_declared_quantities, read_turned_back, turned_back_key
from entrepot.customs.withdraw import withdraw_declarations

pytestmark = pytest.mark.anyio


def shrink(name, value, attempt=1, person=PERSON):
    return ShrinkAsk(person, order_id(name), attempt, value, AT, "part cancelled")


async def parts(conn, person=PERSON):
    row = (await read_quota(conn, [person], YEAR))[person]
    return row.used_minor, row.held_minor, row.elsewhere_minor, row.free_minor


async def of(conn, name, person=PERSON):
    return (await read_order_quota(conn, [person], [order_id(name)])).get((person, order_id(name)))


async def test_a_hold_shrinks_and_what_is_freed_is_free(conn):
    await hold_quota(conn, [hold("a", 300), hold("b", 500)])
    answers = await shrink_quota(conn, [shrink("a", 100), shrink("b", 200)])
    assert [(answer.outcome, answer.value_minor) for answer in answers] == [(QuotaOutcome.DONE, 200), (QuotaOutcome.DONE, 300)]
    assert await parts(conn) == (0, 300, 0, LIMIT - 300)
    assert await of(conn, "a") == OrderQuota(PERSON, order_id("a"), YEAR, 2, 100, 0)
    await use_quota(conn, [close("a", attempt=2)])
    assert await of(conn, "a") == OrderQuota(PERSON, order_id("a"), YEAR, 0, 0, 100)
    assert await check_quota(conn) == (1, [])


async def test_a_replay_or_a_larger_value_shrinks_nothing(conn):
    await hold_quota(conn, [hold("a", 300)])
    await shrink_quota(conn, [shrink("a", 100)])
    for ask in (shrink("a", 100), shrink("a", 100, attempt=2), shrink("a", 101, attempt=2), shrink("b", 1)):
        assert [answer.outcome for answer in await shrink_quota(conn, [ask])] == [QuotaOutcome.NO_HOLD]
    assert await parts(conn) == (0, 100, 0, LIMIT - 100)
    with pytest.raises(QuantityNotPositiveError):
        await shrink_quota(conn, [shrink("a", 0, attempt=2)])


async def test_what_is_freed_in_a_full_year_counts_as_used_elsewhere(conn):
    await hold_quota(conn, [hold("a", 300)])
    await report_elsewhere(conn, [full_year("x")])
    await shrink_quota(conn, [shrink("a", 100)])
    assert await parts(conn) == (0, 100, LIMIT - 100, 0)
    await release_quota(conn, [close("a", attempt=2)])
    assert await parts(conn) == (0, 0, LIMIT, 0)
    assert await check_quota(conn) == (1, [])


async def test_only_withdrawn_value_lowers_what_an_order_used(conn):
    await hold_quota(conn, [hold("a", 300)])
    await use_quota(conn, [close("a")])
    await return_quota(conn, [giving_back("a", 100, "r1"), giving_back("a", 50, "withdrawn:250")])
    assert (await of(conn, "a")).used_minor == 250
    assert await of(conn, "a", OTHER_PERSON) is None


async def release(conn, declaration):
    await insert_declarations(conn, [declaration])
    await submit_declarations(conn, [documents(declaration)], AT)
    await apply_answers(conn, [CustomsAnswer(MERCHANT, declaration.declaration_id, "key", AnswerKind.RELEASED)], AT)


async def test_only_released_declarations_are_withdrawn(conn):
    one, two = cbec_declaration("one"), cbec_declaration("two")
    await release(conn, one)
    await insert_declarations(conn, [two])
    asks = [CancelAsk(MERCHANT, declaration.declaration_id, "goods_changed") for declaration in (one, two)]
    asks.append(replace(asks[0], declaration_id=derived_id("unknown")))
    assert await withdraw_declarations(conn, asks, AT) == [Written.NEW, Written.NOT_ALLOWED, Written.NOT_ALLOWED]
    assert await withdraw_declarations(conn, asks[:1], AT) == [Written.EXISTS]
    (stored,) = await read_declarations(conn, [MERCHANT], [one.declaration_id])
    assert (stored.state, stored.cause_code) == (DeclarationState.WITHDRAWN, "goods_changed")
    assert {row.declaration_id for row in await read_declared_quantities(conn)} == {two.declaration_id}


async def test_what_customs_said_of_a_refused_parcel_is_found_by_the_parcel(conn):
    declaration = cbec_declaration("one")
    await insert_declarations(conn, [declaration])
    parcel = derived_id("parcel")
    body = {"choice": "return"}
    await insert_messages(conn, [CustomsMessage(MERCHANT, turned_back_key(parcel), declaration.declaration_id, MessageKind.RETURN, body, AT)])
    assert await read_turned_back(conn, [MERCHANT, MERCHANT], [parcel, derived_id("other")]) == {(MERCHANT, parcel): body}
