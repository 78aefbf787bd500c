"""The rows of a consignment's declarations, worked out in memory: shares of the order's amounts, goods, parties, lines and the documents around them."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from entrepot.aftersales.model import Amounts
from entrepot.aftersales.refund_share import ChargedLine, FreightRule, LeviesRule, unit_share
from entrepot.base.ids import derived_id
from entrepot.base.money import split_by_weight
from entrepot.base.time import on_date
from entrepot.catalogue.model import OfferFacts
from entrepot.customs.cbec import CbecAsk, assess_cbec, require_cbec_allowed
from entrepot.customs.goods import AssessedLine
from entrepot.customs.landed_cost import ConsignmentAsk, SaleCollector, assess_consignment, require_assessed
from entrepot.customs.model import (
    EXPORT_REGIME,
    Declaration,
    DeclarationKind,
    LineDetail,
    LogisticsMessage,
    OrderMessage,
    Party,
    PaymentMessage,
    Submission,
    declaration_lines,
    export_lines,
    submission_of,
)
from entrepot.customs.territory import crosses_border
from entrepot.flows.pay_back import charged_of
from entrepot.flows.plan_checkout import goods_line
from entrepot.flows.reference import Reference
from entrepot.flows.release import OrderWork
from entrepot.operations.model import PLATFORM_ROLES, Channel, DocumentCode, Role, Step, TaxHandling
from entrepot.orders.model import Line
from entrepot.parties.model import RoleHolder, holder_of

_ONE = Decimal(1)


class Share(Struct, frozen=True):
    """What of an order line travels in one consignment and is not cancelled: pieces and their part of what was charged."""

    line: Line
    offer: OfferFacts
    quantity: int
    amounts: Amounts

    @property
    def levies_minor(self) -> int:
        """Tax and duty that the buyer paid for these pieces on top of the price."""
        return self.amounts.tax_on_top_minor + self.amounts.duty_minor


class Papers(Struct, frozen=True):
    """A consignment as customs needs to see it: the work, its shares, who ordered and who paid, and who fills the platform's roles."""

    work: OrderWork
    shares: tuple[Share, ...]
    orderer_id: uuid.UUID | None
    payer_id: uuid.UUID | None
    payment_id: uuid.UUID
    holders: Sequence[RoleHolder]
    is_taxed_at_sale: bool

    @property
    def value_minor(self) -> int:
        """What the pieces count to the buyer's year: goods less discounts, freight and insurance."""
        return sum(_value_minor(share.amounts) for share in self.shares)

    @property
    def quantities(self) -> dict[int, int]:
        """Return the pieces by line number."""
        return {share.line.line_no: share.quantity for share in self.shares}


def shares_of(work: Sequence[OrderWork], offers: Mapping[uuid.UUID, OfferFacts]) -> dict[uuid.UUID, tuple[Share, ...]]:
    """Return the shares of all consignments of one order by consignment: a line's amounts, less what its cancelled units brought back, split over places."""
    parts: dict[int, list[tuple[uuid.UUID, int, Line]]] = {}
    for one in work:
        for allocation, line in one.parts:
            parts.setdefault(line.line_no, []).append((one.consignment_id, allocation.quantity, line))
    found: dict[uuid.UUID, list[Share]] = {}
    for served in parts.values():
        line = served[0][2]
        left = left_of(line, line.quantity - sum(quantity for _, quantity, _ in served))
        by_consignment: dict[uuid.UUID, int] = {}
        for consignment_id, quantity, _ in served:
            by_consignment[consignment_id] = by_consignment.get(consignment_id, 0) + quantity
        split = _split(left, list(by_consignment.values()))
        for (consignment_id, quantity), amounts in zip(by_consignment.items(), split, strict=True):
            found.setdefault(consignment_id, []).append(Share(line, offers[line.offer_id], quantity, amounts))
    return {key: tuple(sorted(shares, key=lambda share: share.line.line_no)) for key, shares in found.items()}


def left_of(line: Line, cancelled: int) -> Amounts:
    """Return what of a line's charge belongs to the units that are not cancelled: the charge less exactly what cancelled units bring back."""
    charged = charged_of(line)
    if cancelled == 0:
        return charged
    back = unit_share(ChargedLine(line.line_no, line.quantity, charged), cancelled, FreightRule.BY_UNITS, LeviesRule.WITH_THE_GOODS)
    return Amounts(*(getattr(charged, name) - getattr(back, name) for name in Amounts.__struct_fields__))


def _split(amounts: Amounts, quantities: Sequence[int]) -> list[Amounts]:
    """Split a line's amounts over places by pieces; the parts sum to the whole."""
    columns = [split_by_weight(getattr(amounts, name), quantities) for name in Amounts.__struct_fields__]
    return [Amounts(*row) for row in zip(*columns, strict=True)]


def _value_minor(amounts: Amounts) -> int:
    """Return what a buyer pays before tax and duty."""
    return amounts.goods_minor - amounts.discount_minor + amounts.freight_minor + amounts.insurance_minor


# -- declarations ----------------------------------------------------------------------------------------------------


def evaluated_on(reference: Reference, papers: Papers) -> date:
    """Return the date whose rules hold: the day of the order where it was placed."""
    order = papers.work.order
    return on_date(order.placed_at, reference.marketplaces[order.marketplace_code].time_zone)


def draft_declarations(reference: Reference, papers: Papers, version: int, now: datetime) -> list[Declaration]:
    """Return the consignment's declarations: out of a territory where one is left, into another where the plan's regime or a border asks for it."""
    work = papers.work
    on = evaluated_on(reference, papers)
    place_code, country = _way(work)
    leaves = crosses_border(reference.network.place(place_code).country_code, country, on)
    drafts = [_export(reference, papers, version, now)] if leaves else []
    by_regime: dict[str, list[AssessedLine]] = {}
    for line in _assess(reference, papers, on):
        by_regime.setdefault(line.declaration_code, []).append(line)
    for regime_code, assessed in sorted(by_regime.items()):
        lines = declaration_lines(assessed, _details(papers), work.order.currency, _ONE, work.order.currency)
        head = _head(reference, papers, DeclarationKind.IMPORT, regime_code, version, now)
        drafts.append(replace(head, lines=lines))
    return drafts


def _way(work: OrderWork) -> tuple[str, str]:
    """Return where a consignment comes from and which country it goes to."""
    return work.promise.place_code, work.order.to_country_code


def _assess(reference: Reference, papers: Papers, on: date) -> Sequence[AssessedLine]:
    """Assess the goods again by the rules of the order's date; under retail import the tax withheld from the buyer is what is declared."""
    work = papers.work
    goods = tuple(goods_line(share.line.line_no, share.offer, share.quantity, share.amounts) for share in papers.shares)
    if work.plan.model.tax_handling is TaxHandling.CBEC:
        assessment = require_cbec_allowed(assess_cbec(reference.customs, CbecAsk(work.regime_code or "", on, goods)))
        owed = {share.line.line_no: share.levies_minor for share in papers.shares}
        return [replace(line, tax_minor=owed[line.goods.line_no] - line.duty_minor) for line in assessment.lines]
    place_code, country = _way(work)
    ask = ConsignmentAsk(
        reference.network.place(place_code).country_code,
        country,
        on,
        work.order.currency,
        goods,
        sale_collector=SaleCollector.MARKETPLACE if papers.is_taxed_at_sale else SaleCollector.NOBODY,
        rates=reference.customs_rates(work.order.currency, on),
    )
    return require_assessed(assess_consignment(reference.customs, ask)).lines


def _details(papers: Papers) -> dict[int, LineDetail]:
    """Return what the catalogue knows of the lines beyond their price."""
    order_id = papers.work.order.order_id
    return {
        share.line.line_no: LineDetail(
            order_id, share.offer.weight_g * share.quantity, discount_funder="merchant" if share.amounts.discount_minor else ""
        )
        for share in papers.shares
    }


def _export(reference: Reference, papers: Papers, version: int, now: datetime) -> Declaration:
    """Return the declaration out of the territory that the goods leave."""
    goods = [goods_line(share.line.line_no, share.offer, share.quantity, share.amounts) for share in papers.shares]
    lines = export_lines(
        [(one.line_no, one.hs_code, one.origin_code, one.quantity, one.components) for one in goods], _details(papers), papers.work.order.currency
    )
    return replace(_head(reference, papers, DeclarationKind.EXPORT, EXPORT_REGIME, version, now), lines=lines)


def _head(reference: Reference, papers: Papers, kind: DeclarationKind, regime_code: str, version: int, now: datetime) -> Declaration:
    """Return a declaration without lines, its parties as the plan's duties name them."""
    work = papers.work
    order, on = work.order, evaluated_on(reference, papers)
    place_code, country = _way(work)
    exporter = _party(papers, Step.EXPORT_ORDER, on)
    return Declaration(
        order.merchant_id,
        derived_id("declaration", work.consignment_id, kind, regime_code, version),
        order.order_id,
        work.consignment_id,
        None,
        regime_code,
        kind,
        version,
        exporter if kind is DeclarationKind.EXPORT else _party(papers, Step.CLEAR_ORDER, on),
        exporter,
        _party(papers, Step.IMPORT_ORDER, on),
        exporter if kind is DeclarationKind.EXPORT else _party(papers, Step.PAY_DUTY, on),
        reference.network.place(place_code).country_code,
        country,
        on,
        order.currency,
        _ONE,
        now,
        (),
    )


def _party(papers: Papers, step: Step, on: date) -> Party:
    """Return who does a step, with the id of the registered entity, the merchant or the buyer; where the lane decides, the buyer has prepaid."""
    work = papers.work
    order = work.order
    role = work.plan.doer(step, channel=Channel(order.channel_code))
    if role in PLATFORM_ROLES:
        return Party(str(role), holder_of(papers.holders, order.marketplace_code, str(role), on))
    if role is Role.MERCHANT:
        return Party(str(role), order.merchant_id)
    if role in {Role.BUYER, Role.LANE_DECIDES}:
        return Party(str(Role.BUYER), papers.orderer_id or order.person_id)
    return Party(str(role))


# -- documents -------------------------------------------------------------------------------------------------------


def submission_for(reference: Reference, papers: Papers, declaration: Declaration, attempt: int) -> Submission:
    """Return what is sent for a declaration; an import that must be matched before release carries order, payment and logistics documents."""
    work = papers.work
    is_matched = work.plan.needs_declaration_before_release and declaration.kind is DeclarationKind.IMPORT
    if not is_matched or papers.orderer_id is None:
        return submission_of(declaration, attempt)
    order, senders = work.order, _senders(reference, papers)
    paid_minor = sum(share.amounts.total_minor for share in papers.shares)
    weight_g = sum(share.offer.weight_g * share.quantity for share in papers.shares)
    return submission_of(
        declaration,
        attempt,
        OrderMessage(
            order.number,
            papers.orderer_id,
            sum(share.amounts.goods_minor for share in papers.shares),
            sum(share.amounts.discount_minor for share in papers.shares),
            sum(share.amounts.freight_minor for share in papers.shares),
            sum(share.amounts.insurance_minor for share in papers.shares),
            sum(share.levies_minor for share in papers.shares),
            order.currency,
            tuple(papers.quantities.items()),
            senders[DocumentCode.ORDER_DECLARATION],
        ),
        PaymentMessage(
            str(papers.payment_id),
            order.number,
            papers.payer_id or papers.orderer_id,
            paid_minor,
            order.currency,
            senders[DocumentCode.PAYMENT_DECLARATION],
        ),
        LogisticsMessage(
            str(work.consignment_id), order.number, sum(papers.quantities.values()), weight_g, senders[DocumentCode.LOGISTICS_DECLARATION]
        ),
    )


def _senders(reference: Reference, papers: Papers) -> dict[DocumentCode, uuid.UUID | None]:
    """Return the registered entities that provide the documents which the plan names; None for one that the plan does not ask for."""
    order, on = papers.work.order, evaluated_on(reference, papers)
    named = {
        code: holder_of(papers.holders, order.marketplace_code, str(role), on)
        for code, role in papers.work.plan.documents()
        if role in PLATFORM_ROLES
    }
    return {code: named.get(code) for code in DocumentCode}
