"""What a checkout would cost and promise: places, tax, duty and total of every line, decided in memory from what was read for the whole batch."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import date, datetime

from msgspec import Struct, field
from msgspec.structs import replace

from entrepot.aftersales.model import Amounts
from entrepot.base.errors import EntrepotError
from entrepot.base.ids import derived_id_at
from entrepot.base.money import split_by_weight
from entrepot.base.quantity import require_positive
from entrepot.base.time import at_ms, on_date
from entrepot.catalogue.model import Marketplace, OfferFacts, require_marketplace
from entrepot.customs.cbec import CbecAsk, CbecYearOverLimitError, assess_cbec, require_cbec_allowed, require_within_order
from entrepot.customs.goods import AssessedLine, GoodsLine, read_content
from entrepot.customs.landed_cost import ConsignmentAsk, SaleCollector, assess_consignment, require_assessed
from entrepot.flows.reference import Reference
from entrepot.operations.model import Channel, PlaceKind, TaxHandling
from entrepot.operations.plan import Plan
from entrepot.orders.model import (
    LINES_PER_CHECKOUT,
    LineAsk,
    NotEnoughUnitsError,
    OfferNotLiveError,
    OrderRequest,
    TooManyLinesError,
)
from entrepot.orders.quotes import Quote, require_as_quoted
from entrepot.parties.model import Merchant
from entrepot.settlement.tax import TaxDecision, TaxInputs, TaxRegime, decide_tax
from entrepot.sourcing.model import (
    Candidate,
    Lane,
    Part,
    Place,
    Shelf,
    Sourced,
    SourcingAsk,
    Window,
    choose_places,
    promise_window,
    take_parts,
)

AT_SALE_REGIMES = frozenset({TaxRegime.IOSS_IMPORT, TaxRegime.LOW_VALUE_IMPORT, TaxRegime.MARKETPLACE_FACILITATOR})
"""Regimes under which the sale collects what would else be import tax."""
NET_CONTENT = "净含量"
"""The row of an electronic label that states the content of one piece."""


class MerchantTerms(Struct, frozen=True):
    """What a sale must know of its merchant on the day."""

    merchant: Merchant
    registered_in: frozenset[str]


class Ground(Struct, frozen=True):
    """Everything a batch of checkouts is decided on."""

    reference: Reference
    offers: Mapping[uuid.UUID, OfferFacts]
    merchants: Mapping[uuid.UUID, MerchantTerms]
    shelf: Shelf
    quotes: Mapping[tuple[uuid.UUID, uuid.UUID], Quote] = field(default_factory=dict[tuple[uuid.UUID, uuid.UUID], Quote])
    room: dict[tuple[uuid.UUID, int], int] = field(default_factory=dict[tuple[uuid.UUID, int], int])
    """What is free of residents' years in fen, by (identity, year); taken like the shelf. A year that is not known here is left to the hold."""
    windows: dict[tuple[datetime, str, str, str, int], Window] = field(default_factory=dict[tuple[datetime, str, str, str, int], Window])
    """Promises worked out so far, by instant, place, destination, service and days of handling."""


class PlannedLine(Struct, frozen=True):
    """One line, decided: where from, what tax and duty, what it costs; amounts for all its units in the charged currency."""

    order_id: uuid.UUID
    line_no: int
    ask: LineAsk
    offer: OfferFacts
    plan: Plan
    unit_price_minor: int
    parts: tuple[Part, ...]
    candidates: tuple[Candidate, ...]
    consignment_ids: tuple[uuid.UUID, ...]
    freight_minor: int
    tax: TaxDecision
    assessed: AssessedLine | None
    import_tax_minor: int
    duty_minor: int
    tax_on_top_minor: int

    @property
    def goods_minor(self) -> int:
        """Price of all units before anything else."""
        return self.unit_price_minor * self.ask.quantity

    @property
    def charged_minor(self) -> int:
        """What the buyer pays for the line."""
        return self.goods_minor + self.freight_minor + self.tax_on_top_minor + self.duty_minor


class PlannedConsignment(Struct, frozen=True):
    """Lines of one order that travel together from one place under one plan."""

    merchant_id: uuid.UUID
    order_id: uuid.UUID
    consignment_id: uuid.UUID
    place: Place
    lane: Lane
    plan: Plan
    window: Window
    regime_code: str | None


class CheckoutPlan(Struct, frozen=True):
    """A checkout that can be carried out: orders by merchant, lines in the order asked, consignments, total."""

    request: OrderRequest
    currency: str
    lines: tuple[PlannedLine, ...]
    consignments: tuple[PlannedConsignment, ...]
    quota_value_minor: Mapping[uuid.UUID, int]

    @property
    def total_minor(self) -> int:
        """What the buyer pays for everything."""
        return sum(line.charged_minor for line in self.lines)


class IdentityMissingError(OfferNotLiveError):
    """The store needs a verified identity of the buyer before it can sell this."""


class RiskNoticeMissingError(OfferNotLiveError):
    """The buyer must accept the risk notice before ordering this."""


class LabelMissingError(OfferNotLiveError):
    """The page of this offer lacks the electronic label that the store requires."""


class NoTaxRuleError(OfferNotLiveError):
    """No tax rule is in force for this destination and date; the operator confirms one."""


class _Sited(Struct, frozen=True):
    """A line with its place, before money."""

    line_no: int
    ask: LineAsk
    offer: OfferFacts
    plan: Plan
    unit_price_minor: int
    sourced: Sourced


def plan_checkout(request: OrderRequest, ground: Ground) -> CheckoutPlan | EntrepotError:
    """Decide a whole checkout; a line that cannot be served, or a year without room, refuses all of it and leaves the shelf as it was."""
    before = {key: ground.shelf.get(key, []) for key in _keys(request, ground)}
    try:
        plan = _decide(request, ground)
        _take_room(plan, ground)
    except EntrepotError as refusal:
        ground.shelf.update(before)
        return refusal
    return plan


def _take_room(plan: CheckoutPlan, ground: Ground) -> None:
    """Take what a checkout counts off its buyer's year, so that the next of the batch sees what is left; refuse what is more than that."""
    request, value_minor = plan.request, sum(plan.quota_value_minor.values())
    if request.identity_id is None or not value_minor:
        return
    year = (request.identity_id, year_of(request, ground.reference))
    free_minor = ground.room.get(year)
    if free_minor is None:
        return
    if value_minor > free_minor:
        raise CbecYearOverLimitError(
            "order", f"{value_minor / 100:.2f} CNY", "At most %(free)s CNY are left this year as far as known here.", free=f"{free_minor / 100:.2f}"
        )
    ground.room[year] = free_minor - value_minor


def year_of(request: OrderRequest, reference: Reference) -> int:
    """Return the year in which a checkout counts: that of its marketplace's date."""
    return on_date(request.at, reference.marketplaces[request.marketplace_code].time_zone).year


def _keys(request: OrderRequest, ground: Ground) -> list[tuple[uuid.UUID, uuid.UUID]]:
    """Return the shelf keys that a request may touch."""
    return [(line.merchant_id, ground.offers[line.offer_id].stock_item_id) for line in request.lines if line.offer_id in ground.offers]


def _decide(request: OrderRequest, ground: Ground) -> CheckoutPlan:
    reference = ground.reference
    marketplace = require_marketplace(reference.marketplaces, request.marketplace_code)
    if not 0 < len(request.lines) <= LINES_PER_CHECKOUT:
        raise TooManyLinesError("lines", len(request.lines), "Order between 1 and %(most)s lines at a time.", most=LINES_PER_CHECKOUT)
    on = on_date(request.at, marketplace.time_zone)
    used: dict[uuid.UUID, set[str]] = {}
    sited: list[_Sited] = []
    line_numbers: dict[uuid.UUID, int] = {}
    for index, ask in enumerate(request.lines):
        offer = _live_offer(request, ask, ground)
        plan = reference.registry.plan(offer.model_code)
        _check_needs(request, offer, plan)
        places = used.setdefault(ask.merchant_id, set())
        sourced = _source(request, ask, offer, plan, ground, frozenset(places))
        places |= {part.place.place_code for part in sourced.parts}
        line_numbers[ask.merchant_id] = line_numbers.get(ask.merchant_id, 0) + 1
        price = request.declared_unit_values[index] if request.declared_unit_values else offer.price_minor
        sited.append(_Sited(line_numbers[ask.merchant_id], ask, offer, plan, price, sourced))
    return _price(request, sited, ground, marketplace, on)


def _live_offer(request: OrderRequest, ask: LineAsk, ground: Ground) -> OfferFacts:
    """Return the offer of a line if it may be bought now in this store."""
    require_positive(ask.quantity)
    offer = ground.offers.get(ask.offer_id)
    if offer is None or offer.merchant_id != ask.merchant_id:
        raise OfferNotLiveError("offer_id", str(ask.offer_id), "Choose an offer that is shown in this store.")
    if offer.marketplace_code != request.marketplace_code or not offer.is_salable(request.at):
        raise OfferNotLiveError(
            "offer_id", str(ask.offer_id), "The offer is %(state)s in %(store)s; choose another.", state=offer.state, store=offer.marketplace_code
        )
    return offer


def _check_needs(request: OrderRequest, offer: OfferFacts, plan: Plan) -> None:
    """Refuse a line whose plan needs something of the buyer or the page that is not there."""
    plan.require_channel(Channel(request.channel_code))
    if plan.needs_identity and request.identity_id is None:
        raise IdentityMissingError("identity_id", None, "Give name and resident identity number before ordering.")
    if plan.needs_risk_notice and not request.has_accepted_risk:
        raise RiskNoticeMissingError("has_accepted_risk", value=False, remedy="Read and accept the risk notice.")
    if plan.needs_electronic_label and not offer.electronic_label:
        raise LabelMissingError("electronic_label", offer.sku, "The merchant adds the electronic label to the listing.")


def _source(request: OrderRequest, ask: LineAsk, offer: OfferFacts, plan: Plan, ground: Ground, used_places: frozenset[str]) -> Sourced:
    """Choose places for a line and take its units off the shelf."""
    wish = SourcingAsk(
        ask.merchant_id,
        offer.stock_item_id,
        ask.quantity,
        offer.weight_g,
        offer.hazard_code,
        plan.model.ships_from,
        plan.receipt_statuses,
        request.to_country_code,
        offer.hs_code is not None and offer.origin_country_code is not None,
        offer.handling_days,
        speed_code=request.speed_code,
    )
    sourced = choose_places(wish, ground.shelf, ground.reference.network, used_places)
    if not sourced.parts:
        where, reasons = request.to_country_code, sorted({candidate.reason for candidate in sourced.candidates})
        field = f"lines[{offer.sku}].quantity"
        if not reasons:
            raise NotEnoughUnitsError(field, ask.quantity, "0 units can be delivered to %(country)s (no stock anywhere).", country=where)
        raise NotEnoughUnitsError(
            field, ask.quantity, "%(units)s units can be delivered to %(country)s (%(reasons)s).", units=sourced.free, country=where, reasons=reasons
        )
    take_parts(ground.shelf, wish, sourced.parts)
    return sourced


def _price(request: OrderRequest, sited: Sequence[_Sited], ground: Ground, marketplace: Marketplace, on: date) -> CheckoutPlan:
    """Add freight, tax and duty to sited lines, consignment by consignment."""
    ms = at_ms(request.at)
    merchant_ids = dict.fromkeys(line.ask.merchant_id for line in sited)
    orders = {merchant_id: order_id_of(request.checkout_id, merchant_id, request.at) for merchant_id in merchant_ids}
    groups: dict[tuple[uuid.UUID, str, str], list[_Sited]] = {}
    for line in sited:
        for part in line.sourced.parts:
            groups.setdefault((line.ask.merchant_id, part.place.place_code, line.plan.model_code), []).append(line)
    freights = _freight(request, sited, groups, ground, marketplace, on)
    consignments: dict[tuple[uuid.UUID, str, str], PlannedConsignment] = {}
    planned: dict[tuple[uuid.UUID, int], PlannedLine] = {}
    quota: dict[uuid.UUID, int] = {}
    for key, lines in groups.items():
        merchant_id, place_code, _ = key
        part = next(part for part in lines[0].sourced.parts if part.place.place_code == place_code)
        consignment = _consignment(request, ground, orders[merchant_id], part, lines, ms)
        first = [line for line in lines if (merchant_id, line.line_no) not in planned]
        priced, regime_code, quota_value = _tax_lines(request, consignment, first, ground, marketplace, on, freights)
        consignments[key] = replace(consignment, regime_code=regime_code)
        if quota_value:
            quota[orders[merchant_id]] = quota.get(orders[merchant_id], 0) + quota_value
        planned |= {(merchant_id, line.line_no): line for line in priced}
    for order_id, value_minor in quota.items():
        pieces = sum(line.ask.quantity for line in planned.values() if line.order_id == order_id and line.plan.uses_quota)
        require_within_order(ground.reference.customs, on, value_minor, pieces)
    done = tuple(_consigned(planned[line.ask.merchant_id, line.line_no], consignments) for line in sited)
    decided = CheckoutPlan(request, marketplace.currency, done, tuple(consignments.values()), quota)
    if request.quote_id is not None:
        quote = ground.quotes.get((request.person_id, request.quote_id))
        require_as_quoted(request.quote_id, quote, decided.total_minor, decided.currency, request.at)
    return decided


def _consigned(line: PlannedLine, consignments: Mapping[tuple[uuid.UUID, str, str], PlannedConsignment]) -> PlannedLine:
    """Return a line with the consignment of each of its parts; it was planned with that of its first part."""
    if len(line.parts) == 1:
        return line
    keys = [(line.ask.merchant_id, part.place.place_code, line.plan.model_code) for part in line.parts]
    return replace(line, consignment_ids=tuple(consignments[key].consignment_id for key in keys))


def order_id_of(checkout_id: uuid.UUID, merchant_id: uuid.UUID, at: datetime) -> uuid.UUID:
    """Return the id of a merchant's part of a checkout that is placed at an instant."""
    return derived_id_at(at_ms(at), "order", checkout_id, merchant_id)


def _consignment(request: OrderRequest, ground: Ground, order_id: uuid.UUID, part: Part, lines: Sequence[_Sited], ms: int) -> PlannedConsignment:
    """Return the consignment of lines that leave one place under one plan."""
    plan = lines[0].plan
    handling_days = max(line.offer.handling_days for line in lines)
    return PlannedConsignment(
        lines[0].ask.merchant_id,
        order_id,
        derived_id_at(ms, "consignment", order_id, part.place.place_code, plan.model_code),
        part.place,
        part.lane,
        plan,
        _window(ground, request.at, part, handling_days),
        None,
    )


def _window(ground: Ground, at: datetime, part: Part, handling_days: int) -> Window:
    """Return the promise of a place and a lane, worked out once for all orders of the same instant."""
    key = (at, part.place.place_code, part.lane.to_country_code, part.lane.service_code, handling_days)
    known = ground.windows.get(key)
    if known is None:
        known = ground.windows[key] = promise_window(at, part.place, part.lane, handling_days)
    return known


def _freight(
    request: OrderRequest,
    sited: Sequence[_Sited],
    groups: Mapping[tuple[uuid.UUID, str, str], Sequence[_Sited]],
    ground: Ground,
    marketplace: Marketplace,
    on: date,
) -> dict[tuple[uuid.UUID, int], int]:
    """Return the freight that the buyer pays per line: the sum asked for, else the lane's cost where a border is crossed."""
    weights = {(line.ask.merchant_id, line.line_no): line.offer.weight_g * line.ask.quantity for line in sited}
    if request.buyer_freight_minor is not None:
        return dict(zip(weights, split_by_weight(request.buyer_freight_minor, list(weights.values())), strict=True))
    freights = dict.fromkeys(weights, 0)
    reference = ground.reference
    for (merchant_id, place_code, _), lines in groups.items():
        plan = lines[0].plan
        if plan.model.tax_handling is TaxHandling.CBEC or not reference.network.crosses_border(place_code, request.to_country_code):
            continue
        part = next(part for part in lines[0].sourced.parts if part.place.place_code == place_code)
        keys = [(merchant_id, line.line_no) for line in lines]
        cost = part.lane.cost_minor(sum(weights[key] for key in keys))
        charged = reference.convert(cost, part.lane.currency, marketplace.currency, on)
        for key, share in zip(keys, split_by_weight(charged, [weights[key] for key in keys]), strict=True):
            freights[key] += share
    return freights


def _tax_lines(
    request: OrderRequest,
    consignment: PlannedConsignment,
    lines: Sequence[_Sited],
    ground: Ground,
    marketplace: Marketplace,
    on: date,
    freights: Mapping[tuple[uuid.UUID, int], int],
) -> tuple[list[PlannedLine], str | None, int]:
    """Decide tax and duty of a consignment's lines; return them with the customs regime and the value that counts to the buyer's quota."""
    reference, plan = ground.reference, consignment.plan
    crosses = reference.network.crosses_border(consignment.place.place_code, request.to_country_code)
    goods = [_goods_line(line, freights[line.ask.merchant_id, line.line_no]) for line in lines] if crosses or plan.uses_quota else []
    if plan.model.tax_handling is TaxHandling.CBEC:
        regime = plan.regime_at(PlaceKind(consignment.place.kind))
        regime_code = regime.code if regime else ""
        cbec = require_cbec_allowed(assess_cbec(reference.customs, CbecAsk(regime_code, on, tuple(goods))))
        by_line = {assessed.goods.line_no: assessed for assessed in cbec.lines}
        decided = [_cbec_line(request, consignment, line, by_line[line.line_no], ground, on, freights) for line in lines]
        return decided, regime_code, cbec.value_minor
    consignment_minor = sum(line.unit_price_minor * line.ask.quantity for line in lines)
    taxes = [_tax(request, consignment, line, ground, marketplace, on, freights, consignment_minor) for line in lines]
    if not crosses:
        return [_planned(consignment, line, tax, None, marketplace, freights) for line, tax in zip(lines, taxes, strict=True)], None, 0
    at_sale = all(tax.regime in AT_SALE_REGIMES for tax in taxes)
    assessment = require_assessed(
        assess_consignment(
            reference.customs,
            ConsignmentAsk(
                consignment.place.country_code,
                request.to_country_code,
                on,
                marketplace.currency,
                tuple(goods),
                sale_collector=SaleCollector.MARKETPLACE if at_sale else SaleCollector.NOBODY,
                rates=reference.customs_rates(marketplace.currency, on),
            ),
        )
    )
    assessed_by_line = {assessed.goods.line_no: assessed for assessed in assessment.lines}
    decided = [
        _planned(consignment, line, tax, assessed_by_line[line.line_no], marketplace, freights) for line, tax in zip(lines, taxes, strict=True)
    ]
    return decided, assessment.lines[0].declaration_code if assessment.lines else None, 0


def _goods_line(line: _Sited, freight_minor: int) -> GoodsLine:
    """Return a line as customs sees it."""
    return goods_line(line.line_no, line.offer, line.ask.quantity, Amounts(line.unit_price_minor * line.ask.quantity, freight_minor=freight_minor))


def goods_line(line_no: int, offer: OfferFacts, quantity: int, amounts: Amounts) -> GoodsLine:
    """Return pieces of an offer as customs sees them; the content of one is what its electronic label states."""
    content, content_unit = read_content((offer.electronic_label or {}).get(NET_CONTENT, ""))
    return GoodsLine(
        line_no,
        offer.hs_code or "",
        offer.origin_country_code or "",
        quantity,
        amounts.goods_minor,
        amounts.discount_minor,
        amounts.freight_minor,
        amounts.insurance_minor,
        content=content,
        content_unit=content_unit,
    )


def _tax(
    request: OrderRequest,
    consignment: PlannedConsignment,
    line: _Sited,
    ground: Ground,
    marketplace: Marketplace,
    on: date,
    freights: Mapping[tuple[uuid.UUID, int], int],
    consignment_minor: int,
) -> TaxDecision:
    """Decide the tax on the sale of one line, or refuse where no rule is in force."""
    terms = ground.merchants[line.ask.merchant_id]
    money_is_ours = consignment.plan.money_passes_through_us(Channel(request.channel_code))
    decision = decide_tax(
        TaxInputs(
            established_in=terms.merchant.country_code,
            ship_from=consignment.place.country_code,
            destination=request.to_country_code,
            price_minor=line.unit_price_minor * line.ask.quantity + freights[line.ask.merchant_id, line.line_no],
            currency=marketplace.currency,
            prices_include_tax=marketplace.price_includes_tax,
            consignment_minor=consignment_minor,
            item_minor=line.unit_price_minor,
            on=on,
            registrations=terms.registered_in,
            scheme="" if money_is_ours else "other_channel",
        ),
        ground.reference.taxes,
    )
    if not decision.is_ruled:
        raise NoTaxRuleError(
            "to_country_code", request.to_country_code, "%(note)s on %(day)s; the operator confirms one.", note=decision.verdict.note, day=on
        )
    return decision


def _planned(
    consignment: PlannedConsignment,
    line: _Sited,
    tax: TaxDecision,
    assessed: AssessedLine | None,
    marketplace: Marketplace,
    freights: Mapping[tuple[uuid.UUID, int], int],
) -> PlannedLine:
    """Return a line with its sale tax and, across a border, what customs asks for in advance."""
    on_top = 0 if marketplace.price_includes_tax else tax.tax_minor
    import_tax = assessed.tax_minor if assessed is not None and assessed.is_tax_prepaid and tax.regime not in AT_SALE_REGIMES else 0
    duty = assessed.duty_minor if assessed is not None and assessed.is_duty_prepaid else 0
    return PlannedLine(
        consignment.order_id,
        line.line_no,
        line.ask,
        line.offer,
        line.plan,
        line.unit_price_minor,
        line.sourced.parts,
        line.sourced.candidates,
        (consignment.consignment_id,),
        freights[line.ask.merchant_id, line.line_no],
        tax,
        assessed,
        import_tax,
        duty,
        on_top + import_tax,
    )


def _cbec_line(
    request: OrderRequest,
    consignment: PlannedConsignment,
    line: _Sited,
    assessed: AssessedLine,
    ground: Ground,
    on: date,
    freights: Mapping[tuple[uuid.UUID, int], int],
) -> PlannedLine:
    """Return a line whose tax customs decides and the platform withholds from the buyer, on top of the price."""
    terms = ground.merchants[line.ask.merchant_id]
    freight_minor = freights[line.ask.merchant_id, line.line_no]
    owed = assessed.tax_minor + assessed.duty_minor
    decision = decide_tax(
        TaxInputs(
            established_in=terms.merchant.country_code,
            ship_from=consignment.place.country_code,
            destination=request.to_country_code,
            price_minor=line.unit_price_minor * line.ask.quantity + freight_minor,
            currency="CNY",
            prices_include_tax=False,
            consignment_minor=line.unit_price_minor * line.ask.quantity,
            item_minor=line.unit_price_minor,
            on=on,
            scheme="cbec",
            customs_tax_minor=owed,
        ),
        ground.reference.taxes,
    )
    if not decision.is_ruled:
        raise NoTaxRuleError(
            "to_country_code", request.to_country_code, "%(note)s on %(day)s; the operator confirms one.", note=decision.verdict.note, day=on
        )
    return PlannedLine(
        consignment.order_id,
        line.line_no,
        line.ask,
        line.offer,
        line.plan,
        line.unit_price_minor,
        line.sourced.parts,
        line.sourced.candidates,
        (consignment.consignment_id,),
        freight_minor,
        decision,
        assessed,
        owed,
        0,
        owed,
    )
