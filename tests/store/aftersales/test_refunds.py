"""Refunds stand once per cause, and the law finds those without one."""

import pytest
from msgspec.structs import replace
from tests.factories.aftersales import BENCH, BUYER, MERCHANT, OTHER_MERCHANT, a_refund, a_request, a_step, later, named

from entrepot.aftersales import refunds, returns
from entrepot.aftersales.check import check_refund_causes, list_refund_causes
from entrepot.aftersales.model import (
    Amounts,
    CauseKind,
    Outcome,
    RecordedRefund,
    RefundExceedsChargeError,
    RefundIdUsedError,
    RefundState,
    RefundStep,
    ReturnApproval,
)
from entrepot.base.audit import read_acts
from entrepot.base.money import UnknownCurrencyError
from entrepot.base.sql import execute

pytestmark = pytest.mark.anyio

PAID, FAILED, PENDING = RefundState.PAID, RefundState.FAILED, RefundState.PENDING


async def approved_return(conn, rma: str = "rma") -> None:
    await returns.request_returns(conn, [a_request(rma)], BUYER)
    await returns.approve_returns(conn, [ReturnApproval(a_step(rma), later(30))], BENCH)


async def test_a_refund_is_recorded_once_per_cause(conn):
    await approved_return(conn)
    assert await refunds.record_refunds(conn, [a_refund()], BENCH) == [RecordedRefund(Outcome.DONE, named("refund"))]
    again = [a_refund(), a_refund("another id"), a_refund("third id", goods_minor=1001)]
    exists = RecordedRefund(Outcome.EXISTS, named("refund"))
    assert await refunds.record_refunds(conn, again, BENCH) == [exists, exists, replace(exists, outcome=Outcome.EXISTS_WITH_DIFFERENT_VALUES)]
    (stored,) = await refunds.list_refunds_of_orders(conn, MERCHANT, [named("order")])
    assert stored.refund == a_refund()
    assert (stored.state, stored.refund.amounts.total_minor) == ("pending", 1000 - 100 + 80 + 500)
    assert await check_refund_causes(conn) == (1, [])
    assert [act[1] for act in await read_acts(conn, MERCHANT, [named("refund")])] == ["record_refund"]


async def test_a_batch_meets_its_twins_and_two_merchants(conn):
    batch = [
        a_refund("a", "x"),
        a_refund("a", "x"),
        a_refund("b", "x"),
        a_refund("c", "y", order="other"),
        a_refund("a", "x", merchant_id=OTHER_MERCHANT),
    ]
    batch = [replace(refund, cause_kind=CauseKind.CANCELLATION) for refund in batch]
    answers = await refunds.record_refunds(conn, batch, BENCH)
    assert [answer.outcome for answer in answers] == [Outcome.DONE, Outcome.EXISTS, Outcome.EXISTS, Outcome.DONE, Outcome.DONE]
    refunded = await refunds.read_refunded(conn, [MERCHANT, MERCHANT, OTHER_MERCHANT], [named("order"), named("other"), named("order")])
    assert {key: lines[1] for key, lines in refunded.items()} == {
        key: (1, Amounts(goods_minor=1000, discount_minor=100, tax_minor=80, tax_on_top_minor=80))
        for key in ((MERCHANT, named("order")), (MERCHANT, named("other")), (OTHER_MERCHANT, named("order")))
    }
    causes = await list_refund_causes(conn, CauseKind.CANCELLATION)
    assert sorted(cause for _, _, cause in causes) == sorted([named("x"), named("y"), named("x")])


async def test_refunds_of_an_order_add_up_per_line(conn):
    batch = [a_refund("a", "x", kind=CauseKind.GOODWILL), a_refund("b", "y", 500, kind=CauseKind.PRICE)]
    await refunds.record_refunds(conn, batch, BENCH)
    refunded = await refunds.read_refunded(conn, [MERCHANT], [named("order")])
    assert refunded == {
        (MERCHANT, named("order")): {
            1: (2, Amounts(goods_minor=1500, discount_minor=200, tax_minor=160, tax_on_top_minor=160)),
            2: (0, Amounts(freight_minor=1000)),
        }
    }


async def test_marks(conn):
    await refunds.record_refunds(conn, [a_refund("a", "x"), a_refund("b", "y")], BENCH)
    first, second, nobody = (RefundStep(MERCHANT, named(name), later(3), f"psp-{name}") for name in ("a", "b", "nobody"))
    outcomes = await refunds.mark_refunds(conn, [first, first, nobody], PAID, BENCH)
    assert outcomes == [Outcome.DONE, Outcome.EXISTS, Outcome.UNKNOWN]
    assert await refunds.mark_refunds(conn, [first, second], FAILED, BENCH) == [Outcome.NOT_ALLOWED, Outcome.DONE]
    assert await refunds.mark_refunds(conn, [second], PENDING, BENCH) == [Outcome.DONE]
    stored = await refunds.read_refunds(conn, [(MERCHANT, named("a")), (MERCHANT, named("b")), (OTHER_MERCHANT, named("a"))])
    assert [(one.state, one.settled_at, one.reference) for _, one in sorted(stored.items(), key=lambda item: item[1].reference)] == [
        ("paid", later(3), "psp-a"),
        ("pending", None, "psp-b"),
    ]
    (waiting,) = await refunds.list_refunds(conn, MERCHANT, [PENDING], later(9), 10)
    assert waiting.refund.refund_id == named("b")


@pytest.mark.parametrize(
    ("error", "change"),
    [
        (RefundExceedsChargeError, {"lines": ()}),
        (RefundExceedsChargeError, {"lines": a_refund().lines[:1] * 2}),
        (RefundExceedsChargeError, {"lines": (replace(a_refund().lines[0], amounts=Amounts(discount_minor=1)),)}),
        (UnknownCurrencyError, {"currency": "XXX"}),
    ],
)
async def test_bad_refunds_write_nothing(conn, error, change):
    with pytest.raises(error):
        await refunds.record_refunds(conn, [a_refund(), replace(a_refund("b", "y"), **change)], BENCH)
    assert await refunds.list_refunds_of_orders(conn, MERCHANT, [named("order")]) == []


async def test_an_id_stands_for_one_cause(conn):
    await refunds.record_refunds(conn, [a_refund("a", "x")], BENCH)
    with pytest.raises(RefundIdUsedError):
        await refunds.record_refunds(conn, [a_refund("a", "y")], BENCH)


@pytest.mark.parametrize(
    ("damage", "wrong"),
    [
        ("update refund_line set goods_minor = goods_minor + 1 where line_no = 1", "lines_differ_from_refund"),
        ("update refund_line set tax_minor = tax_minor + 1 where line_no = 1", "lines_differ_from_refund"),
        ("delete from refund_line", "no_lines"),
        ("update refund set cause_id = refund_id", "no_return_of_this_order"),
        ("update return_request set state = 'refused'", "return_not_approved"),
        ("update refund_line set order_id = refund_id where line_no = 2", "lines_of_another_order"),
    ],
)
async def test_the_law_names_the_refund(conn, damage, wrong):
    await approved_return(conn)
    await refunds.record_refunds(conn, [a_refund()], BENCH)
    assert await check_refund_causes(conn) == (1, [])
    await execute(conn, damage)
    assert await check_refund_causes(conn) == (1, [f"refund {MERCHANT}/{named('refund')}: {wrong}"])
