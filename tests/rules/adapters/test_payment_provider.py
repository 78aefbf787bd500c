"""The built-in payment provider: each method behaves as its name says, and a repeated call gets the same answer."""

from datetime import timedelta

import pytest
from tests.factories.freight import AT

from entrepot.adapters.payment_provider import METHODS, BuiltInProvider, UnknownPaymentMethodError
from entrepot.base.ids import derived_id
from entrepot.orders.ports import AuthoriseRequest, CaptureRequest, PaymentAnswer, PaymentProvider, RefundRequest, VoidRequest

pytestmark = pytest.mark.anyio
PROVIDER: PaymentProvider = BuiltInProvider()

AUTHORISATIONS = """
    # method        | first    reason             | finally  after minutes
      card_ok       | approved -                  | -        -
      card_declined | declined insufficient_funds | -        -
      card_slow     | pending  -                  | approved 4
      card_timeout  | timeout  -                  | declined 15
      card_late     | timeout  -                  | approved 90
      invoice       | approved -                  | -        -
      test_wallet   | approved -                  | -        -
      cn_wallet     | approved -                  | -        -
"""


def rows(text):
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
    return [tuple(line.replace("|", " ").split()) for line in lines]


def request(method, name="1"):
    return AuthoriseRequest(derived_id("payment", method, name), 12_345, "GBP", method, AT)


@pytest.mark.parametrize(("method", "first", "reason", "final", "minutes"), rows(AUTHORISATIONS))
async def test_authorise(method, first, reason, final, minutes):
    asked = request(method)
    answer = (await PROVIDER.authorise([asked]))[0]
    assert (answer.payment_id, answer.answer, answer.reason or "-") == (asked.payment_id, first, reason)
    assert (answer.amount_minor, answer.currency) == (12_345, "GBP")
    assert (answer.expires_at is not None) is (first == "approved")
    assert (await PROVIDER.authorise([asked, asked])) == [answer, answer]
    late = await PROVIDER.settle_pending([asked], AT + timedelta(days=1))
    assert [(one.answer, one.answered_at) for one in late] == ([] if final == "-" else [(final, AT + timedelta(minutes=int(minutes)))])
    if final != "-":
        moment = AT + timedelta(minutes=int(minutes))
        assert await PROVIDER.settle_pending([asked], moment - timedelta(seconds=1)) == []
        assert await PROVIDER.settle_pending([asked], moment) == late


def test_the_table_names_every_method():
    assert {row[0] for row in rows(AUTHORISATIONS)} == set(METHODS)


async def test_late_answers_come_in_order_of_decision():
    late = await PROVIDER.settle_pending([request("card_late"), request("card_slow"), request("card_ok")], AT + timedelta(days=1))
    assert [one.payment_id for one in late] == [request("card_slow").payment_id, request("card_late").payment_id]


async def test_an_unknown_method_is_refused():
    with pytest.raises(UnknownPaymentMethodError) as refused:
        await PROVIDER.authorise([request("cheque")])
    assert refused.value.value == "cheque"


def capture(amount, captured=0, hours=1):
    return CaptureRequest(
        derived_id("capture", amount),
        derived_id("payment", "x"),
        "card_ok",
        amount,
        500,
        captured,
        "EUR",
        AT + timedelta(hours=2),
        AT + timedelta(hours=hours),
    )


@pytest.mark.parametrize(
    ("asked", "answer", "amount", "reason"),
    [
        (capture(500), PaymentAnswer.DONE, 500, None),
        (capture(200, 300), PaymentAnswer.DONE, 200, None),
        (capture(201, 300), PaymentAnswer.REFUSED, 0, "more_than_authorised"),
        (capture(0), PaymentAnswer.REFUSED, 0, "more_than_authorised"),
        (capture(500, 0, 2), PaymentAnswer.REFUSED, 0, "authorisation_expired"),
    ],
)
async def test_capture(asked, answer, amount, reason):
    got, again = await PROVIDER.capture([asked, asked])
    assert got == again
    assert (got.subject_id, got.answer, got.amount_minor, got.currency, got.reason) == (asked.capture_id, answer, amount, "EUR", reason)


@pytest.mark.parametrize(
    ("amount", "refunded", "answer", "given"), [(500, 0, "done", 500), (200, 300, "done", 200), (201, 300, "refused", 0), (-1, 0, "refused", 0)]
)
async def test_refund_gives_back_exactly_what_was_charged(amount, refunded, answer, given):
    asked = RefundRequest(derived_id("refund", amount), derived_id("payment", "x"), "card_ok", amount, 500, refunded, "JPY", AT)
    got = (await PROVIDER.refund([asked]))[0]
    assert (got.subject_id, got.answer, got.amount_minor, got.currency) == (asked.refund_id, answer, given, "JPY")


@pytest.mark.parametrize(("captured", "answer"), [(0, "done"), (1, "refused")])
async def test_void(captured, answer):
    got = (await PROVIDER.void([VoidRequest(derived_id("payment", "x"), "card_ok", captured, AT)]))[0]
    assert (got.answer, got.amount_minor) == (answer, 0)
