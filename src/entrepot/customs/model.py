"""Declarations: who declares what for whom, their states, the messages around them and what customs answers."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

from msgspec import Struct

from entrepot.base.money import Rounding, convert_minor
from entrepot.base.states import declare_states
from entrepot.customs.goods import AssessedLine
from entrepot.customs.valuation import Components, Method, declared_value_minor


class DeclarationState(StrEnum):
    """Where a declaration stands; a refused one is replaced by a next version."""

    DRAFTED = "drafted"
    SUBMITTED = "submitted"
    HELD = "held"
    REFUSED = "refused"
    RELEASED = "released"
    CANCELLED = "cancelled"
    WITHDRAWN = "withdrawn"


DECLARATION_STATES: Final = declare_states(
    "declaration",
    DeclarationState.DRAFTED,
    {
        DeclarationState.DRAFTED: {DeclarationState.SUBMITTED, DeclarationState.CANCELLED},
        DeclarationState.SUBMITTED: {
            DeclarationState.HELD,
            DeclarationState.REFUSED,
            DeclarationState.RELEASED,
            DeclarationState.CANCELLED,
        },
        DeclarationState.HELD: {
            DeclarationState.SUBMITTED,
            DeclarationState.REFUSED,
            DeclarationState.RELEASED,
            DeclarationState.CANCELLED,
        },
        DeclarationState.REFUSED: set(),
        DeclarationState.RELEASED: {DeclarationState.WITHDRAWN},
        DeclarationState.CANCELLED: set(),
        DeclarationState.WITHDRAWN: set(),
    },
)
"""A held declaration is answered again after the cause was removed; a released one is taken back only if its goods do not leave as declared."""


class DeclarationKind(StrEnum):
    """Out of one territory or into another."""

    EXPORT = "export"
    IMPORT = "import"


EXPORT_REGIME: Final = "EXPORT"
"""The regime code of every export declaration; import regimes come from the rule in force."""


class Party(Struct, frozen=True):
    """A party by its role's name or code and, where it is registered here, its id."""

    code: str
    party_id: uuid.UUID | None = None


class DeclarationLine(Struct, frozen=True):
    """Goods of an order line with the components its customs value recomputes from; duty and tax are in the declaration's currency."""

    line_no: int
    order_id: uuid.UUID | None
    hs_code: str
    origin_code: str
    quantity: int
    legal_unit_code: str
    legal_quantity: Decimal
    net_weight_g: int
    goods_minor: int
    discount_minor: int
    discount_funder: str
    freight_minor: int
    insurance_minor: int
    currency: str
    rate: Decimal
    method: Method
    customs_value_minor: int
    duty_minor: int
    tax_minor: int
    rule_version: str


class Declaration(Struct, frozen=True):
    """A declaration of one consignment or parcel with its parties; version 2 follows a refused version 1."""

    merchant_id: uuid.UUID
    declaration_id: uuid.UUID
    order_id: uuid.UUID | None
    consignment_id: uuid.UUID | None
    parcel_id: uuid.UUID | None
    regime_code: str
    kind: DeclarationKind
    version: int
    declarant: Party
    exporter: Party
    importer: Party
    taxpayer: Party
    ship_from: str
    ship_to: str
    evaluated_on: date
    currency: str
    customs_rate: Decimal
    drafted_at: datetime
    lines: tuple[DeclarationLine, ...]


class LineDetail(Struct, frozen=True):
    """What the floor and the catalogue know of a line beyond its price: order, legal unit, net weight in grams, who funds the discount."""

    order_id: uuid.UUID | None
    net_weight_g: int
    legal_unit_code: str = "piece"
    legal_quantity: Decimal | None = None
    discount_funder: str = ""


def declaration_lines(
    assessed: Sequence[AssessedLine], details: Mapping[int, LineDetail], source: str, rate: Decimal, target: str
) -> tuple[DeclarationLine, ...]:
    """Turn assessed lines into declared ones; amounts in `source` become `target` at the customs rate, rounded half up per line."""
    return tuple(_declaration_line(line, details[line.goods.line_no], source, rate, target) for line in assessed)


def _declaration_line(line: AssessedLine, detail: LineDetail, source: str, rate: Decimal, target: str) -> DeclarationLine:
    goods = line.goods
    same = source == target
    return DeclarationLine(
        goods.line_no,
        detail.order_id,
        goods.hs_code,
        goods.origin_code,
        goods.quantity,
        detail.legal_unit_code,
        detail.legal_quantity if detail.legal_quantity is not None else Decimal(goods.quantity),
        detail.net_weight_g,
        goods.goods_minor,
        goods.discount_minor,
        detail.discount_funder,
        goods.freight_minor,
        goods.insurance_minor,
        source,
        Decimal(1) if same else rate,
        line.method,
        declared_value_minor(line.method, goods.components, source, rate, target),
        line.duty_minor if same else convert_minor(line.duty_minor, rate, source, target, Rounding.HALF_UP),
        line.tax_minor if same else convert_minor(line.tax_minor, rate, source, target, Rounding.HALF_UP),
        line.rule_version,
    )


def export_lines(
    lines: Sequence[tuple[int, str, str, int, Components]], details: Mapping[int, LineDetail], currency: str
) -> tuple[DeclarationLine, ...]:
    """Declare goods out of a territory from (line, HS code, origin, pieces, components): value without freight, nothing owed."""
    return tuple(
        DeclarationLine(
            line_no,
            details[line_no].order_id,
            hs_code,
            origin_code,
            quantity,
            details[line_no].legal_unit_code,
            details[line_no].legal_quantity or Decimal(quantity),
            details[line_no].net_weight_g,
            parts.goods_minor,
            parts.discount_minor,
            details[line_no].discount_funder,
            parts.freight_minor,
            parts.insurance_minor,
            currency,
            Decimal(1),
            Method.FOB,
            declared_value_minor(Method.FOB, parts, currency, Decimal(1), currency),
            0,
            0,
            EXPORT_REGIME,
        )
        for line_no, hs_code, origin_code, quantity, parts in lines
    )


class MessageKind(StrEnum):
    """What a message tells: the three documents of a sale, the declaration itself, or what customs says."""

    ORDER = "order"
    PAYMENT = "payment"
    LOGISTICS = "logistics"
    DECLARATION = "declaration"
    RETURN = "return"
    ANSWER = "answer"


class AnswerKind(StrEnum):
    """What customs decides; at a reached limit the declaration is refused and the person's year has no room left."""

    RELEASED = "released"
    HELD = "held"
    REFUSED = "refused"
    LIMIT_REACHED = "limit_reached"


STATE_OF_ANSWER: Final[Mapping[AnswerKind, DeclarationState]] = {
    AnswerKind.RELEASED: DeclarationState.RELEASED,
    AnswerKind.HELD: DeclarationState.HELD,
    AnswerKind.REFUSED: DeclarationState.REFUSED,
    AnswerKind.LIMIT_REACHED: DeclarationState.REFUSED,
}
"""The state that each answer leads to."""


class OrderMessage(Struct, frozen=True):
    """The platform's word on a sale: who orders, what, and the sums in minor units; `sender_id` is the registered entity that says so."""

    order_no: str
    orderer_id: uuid.UUID
    goods_minor: int
    discount_minor: int
    freight_minor: int
    insurance_minor: int
    tax_minor: int
    currency: str
    quantities: tuple[tuple[int, int], ...]
    sender_id: uuid.UUID | None = None


class PaymentMessage(Struct, frozen=True):
    """The payment institution's word: who paid how much for which order."""

    payment_no: str
    order_no: str
    payer_id: uuid.UUID
    paid_minor: int
    currency: str
    sender_id: uuid.UUID | None = None


class LogisticsMessage(Struct, frozen=True):
    """The logistics enterprise's word: the waybill, the order, pieces and gross weight in grams."""

    waybill_no: str
    order_no: str
    piece_count: int
    gross_weight_g: int
    sender_id: uuid.UUID | None = None


class Submission(Struct, frozen=True):
    """One attempt to have a declaration released, with the three documents where the regime asks for them."""

    merchant_id: uuid.UUID
    declaration_id: uuid.UUID
    attempt: int
    regime_code: str
    kind: DeclarationKind
    taxpayer_id: uuid.UUID | None
    value_minor: int
    tax_minor: int
    currency: str
    net_weight_g: int
    quantities: tuple[tuple[int, int], ...]
    order: OrderMessage | None = None
    payment: PaymentMessage | None = None
    logistics: LogisticsMessage | None = None


class CustomsAnswer(Struct, frozen=True):
    """An answer with its own key, by which a replay is known; cause and remedy where goods do not pass."""

    merchant_id: uuid.UUID
    declaration_id: uuid.UUID
    answer_key: str
    kind: AnswerKind
    cause_code: str = ""
    remedy: str = ""


class CustomsMessage(Struct, frozen=True):
    """A stored message without personal data, out to customs or in from it; its key makes a replay harmless."""

    merchant_id: uuid.UUID
    message_key: str
    declaration_id: uuid.UUID
    kind: MessageKind
    body: Mapping[str, object]
    at: datetime


def submission_of(
    declaration: Declaration,
    attempt: int,
    order: OrderMessage | None = None,
    payment: PaymentMessage | None = None,
    logistics: LogisticsMessage | None = None,
) -> Submission:
    """Return what is sent for a declaration on an attempt, its sums taken from its lines."""
    return Submission(
        declaration.merchant_id,
        declaration.declaration_id,
        attempt,
        declaration.regime_code,
        declaration.kind,
        declaration.taxpayer.party_id,
        sum(line.customs_value_minor for line in declaration.lines),
        sum(line.duty_minor + line.tax_minor for line in declaration.lines),
        declaration.currency,
        sum(line.net_weight_g for line in declaration.lines),
        tuple((line.line_no, line.quantity) for line in declaration.lines),
        order,
        payment,
        logistics,
    )
