"""The built-in customs authority: it compares a sale's documents with the declaration and sometimes holds, refuses or knows of a full year.

What it decides follows from the seed and the declaration's id alone, so that a world repeats itself.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from entrepot.base.phrases import mark
from entrepot.customs.cbec import REGIMES
from entrepot.customs.model import AnswerKind, CustomsAnswer, DeclarationKind, Submission

_THOUSAND = 1000


class GatewayHabits(Struct, frozen=True):
    """How many of a thousand first submissions are held for inspection, refused, or meet a year that is full elsewhere."""

    held_per_thousand: int = 20
    refused_per_thousand: int = 5
    limit_reached_per_thousand: int = 3


_MESSAGE_MISSING: Final = {
    "order": mark("Send the order message."),
    "payment": mark("Send the payment message."),
    "logistics": mark("Send the logistics message."),
}


class BuiltInCustomsGateway:
    """A customs gateway without an outside; documents that do not match are held until they do."""

    def __init__(self, seed: str, habits: GatewayHabits | None = None) -> None:
        self._seed = seed
        self._habits = habits or GatewayHabits()

    async def submit(self, submissions: Sequence[Submission]) -> list[CustomsAnswer]:
        """Answer each submission on its own; the same submission gets the same answer."""
        return [self._answer(submission) for submission in submissions]

    def _answer(self, submission: Submission) -> CustomsAnswer:
        mismatch = document_mismatch(submission)
        if mismatch is not None:
            return _reply(submission, AnswerKind.HELD, *mismatch)
        draw = self._draw(submission)
        habits = self._habits
        if draw < habits.refused_per_thousand:
            return _reply(submission, AnswerKind.REFUSED, "inspection_failed", mark("Return or destroy the goods and refund the buyer."))
        draw -= habits.refused_per_thousand
        is_retail_import = submission.regime_code in REGIMES and submission.kind is DeclarationKind.IMPORT
        if draw < habits.limit_reached_per_thousand and is_retail_import:
            return _reply(submission, AnswerKind.LIMIT_REACHED, "year_limit_reached", mark("Cancel the order and refund the buyer."))
        draw -= habits.limit_reached_per_thousand
        if 0 <= draw < habits.held_per_thousand and submission.attempt == 1:
            return _reply(submission, AnswerKind.HELD, "inspection", mark("Answer the officer's question and submit again."))
        return _reply(submission, AnswerKind.RELEASED, "", "")

    def _draw(self, submission: Submission) -> int:
        digest = hashlib.blake2b(f"{self._seed}\x1f{submission.declaration_id}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") % _THOUSAND


def document_mismatch(submission: Submission) -> tuple[str, str] | None:
    """Return cause and remedy of the first difference between the three documents and the declaration, or None where they agree or are not asked for."""
    if submission.regime_code not in REGIMES or submission.kind is not DeclarationKind.IMPORT:
        return None
    order, payment, logistics = submission.order, submission.payment, submission.logistics
    if order is None or payment is None or logistics is None:
        missing = "order" if order is None else "payment" if payment is None else "logistics"
        return f"{missing}_message_missing", _MESSAGE_MISSING[missing]
    value_minor = order.goods_minor - order.discount_minor + order.freight_minor + order.insurance_minor
    checks = (
        (order.orderer_id == submission.taxpayer_id, "orderer_differs", mark("Declare the orderer as taxpayer.")),
        (payment.payer_id == order.orderer_id, "payer_differs", mark("Let the payer be the orderer, or refund and let the orderer pay.")),
        (
            order.order_no == payment.order_no == logistics.order_no,
            "order_number_differs",
            mark("Send payment and waybill of the same order."),
        ),
        (
            order.currency == payment.currency == submission.currency,
            "currency_differs",
            mark("State order, payment and declaration in one currency."),
        ),
        (value_minor == submission.value_minor, "value_differs", mark("Declare what the order states.")),
        (order.tax_minor == submission.tax_minor, "tax_differs", mark("Declare the tax that the order states.")),
        (payment.paid_minor == value_minor + order.tax_minor, "amount_differs", mark("Let the payment equal goods, freight, insurance and tax.")),
        (sorted(order.quantities) == sorted(submission.quantities), "quantity_differs", mark("Declare the pieces of the order.")),
        (
            logistics.piece_count == sum(quantity for _, quantity in submission.quantities),
            "piece_count_differs",
            mark("Correct the pieces on the waybill."),
        ),
        (logistics.gross_weight_g >= submission.net_weight_g, "weight_differs", mark("Weigh again: gross weight is below the declared net weight.")),
    )
    return next(((cause, remedy) for holds, cause, remedy in checks if not holds), None)


def _reply(submission: Submission, kind: AnswerKind, cause_code: str, remedy: str) -> CustomsAnswer:
    key = f"{submission.declaration_id}:answer:{submission.attempt}"
    return CustomsAnswer(submission.merchant_id, submission.declaration_id, key, kind, cause_code, remedy)
