"""The plan: what the rest of the system asks a declaration, without ever knowing its name."""

from collections.abc import Mapping

from msgspec import Struct

from entrepot.base.errors import RefusedInputError
from entrepot.operations.model import (
    PLATFORM_ROLES,
    STEP_LEGS,
    Cell,
    Channel,
    CustodyPoint,
    CustomsStatus,
    DocumentCode,
    DocumentNeed,
    Duty,
    FeeCode,
    FeeTrigger,
    Leg,
    Need,
    OperationModel,
    PlaceKind,
    Regime,
    Role,
    Step,
    cells_of,
    expand_duties,
)

_POINTS = tuple(CustodyPoint)
_LEG_AT = {point: Leg.ORDER if point in {CustodyPoint.HAND_OVER, CustodyPoint.DELIVERED} else Leg.STOCK for point in CustodyPoint}


class ChannelNotServedError(RefusedInputError):
    """The operation model does not sell through this channel; choose another model or channel."""


class LegNotPartOfStepError(RefusedInputError):
    """The step does not happen on this leg; ask for one of its legs."""


class Plan(Struct, frozen=True):
    """One version of one operation model, ready to be asked."""

    model: OperationModel
    table: Mapping[Cell, Duty]
    receipt_statuses: Mapping[str, str]
    """In which customs status stock is received in each kind of place that orders leave from."""
    channels_with_our_money: frozenset[Channel]
    """Channels in which the buyer's money is held by a party of the platform."""

    @property
    def model_code(self) -> str:
        """The code to store beside an offer or order line."""
        return self.model.code

    @property
    def version(self) -> int:
        """The version that an order line freezes."""
        return self.model.version

    def cells(self) -> tuple[tuple[Cell, Duty], ...]:
        """Return every cell of the declaration with its line, in the order of the matrix."""
        return tuple((cell, self.table[cell]) for cell in cells_of(self.model.channels))

    def duty(self, step: Step, *, leg: Leg | None = None, channel: Channel = Channel.STORE) -> Duty:
        """Return the declared line for a step; without a leg, the step's main leg is meant."""
        self.require_channel(channel)
        asked = STEP_LEGS[step][0] if leg is None else leg
        if asked not in STEP_LEGS[step]:
            raise LegNotPartOfStepError("leg", asked, "%(step)s happens on %(legs)s.", step=step, legs=STEP_LEGS[step])
        return self.table[step, asked, channel]

    def require_channel(self, channel: Channel) -> None:
        """Refuse a channel that the model does not sell through."""
        if channel not in self.model.channels:
            raise ChannelNotServedError(
                "channel", channel, "%(model)s sells through %(channels)s.", model=self.model.title, channels=sorted(self.model.channels)
            )

    def doer(self, step: Step, *, leg: Leg | None = None, channel: Channel = Channel.STORE) -> Role:
        """Return the role that does a step; without a leg, the step's main leg is meant."""
        return self.duty(step, leg=leg, channel=channel).role

    def platform_does(self, step: Step, *, leg: Leg | None = None, channel: Channel = Channel.STORE) -> bool:
        """Tell whether one of the platform's registered parties does a step."""
        return self.doer(step, leg=leg, channel=channel) in PLATFORM_ROLES

    def merchant_does(self, step: Step, *, leg: Leg | None = None, channel: Channel = Channel.STORE) -> bool:
        """Tell whether the merchant does a step."""
        return self.doer(step, leg=leg, channel=channel) is Role.MERCHANT

    def serves(self, channel: Channel) -> bool:
        """Tell whether the model takes sales of this channel."""
        return channel in self.model.channels

    def may_sell_in(self, marketplace_code: str) -> bool:
        """Tell whether the model may sell in a marketplace."""
        return self.model.stores.hold(marketplace_code)

    def fee_codes(self, trigger: FeeTrigger, channel: Channel = Channel.STORE) -> tuple[FeeCode, ...]:
        """Return the fees that a fact makes due in a channel, in the order of the declaration."""
        return tuple(
            fee.code
            for fee in self.model.fees
            if fee.trigger is trigger and channel in self.model.channels and (not fee.channels or channel in fee.channels)
        )

    def fee_trigger(self, code: FeeCode) -> FeeTrigger | None:
        """Return the first fact that makes a fee due, or None if the model never charges it."""
        return next((fee.trigger for fee in self.model.fees if fee.code is code), None)

    def documents(self, way: DocumentNeed = DocumentNeed.ALWAYS) -> tuple[tuple[DocumentCode, Role], ...]:
        """Return the documents of a shipped parcel with their providers; BORDER means a customs-territory border lies on the way."""
        return tuple((document.code, document.role) for document in self.model.documents if document.need in {DocumentNeed.ALWAYS, way})

    def stores_in(self, place_kind: PlaceKind) -> bool:
        """Tell whether stock of this model may lie in such a place."""
        return place_kind in self.model.stores_in

    def ships_from(self, place_kind: PlaceKind) -> bool:
        """Tell whether orders of this model may leave from such a place."""
        return place_kind in self.model.ships_from

    def regime_at(self, place_kind: PlaceKind) -> Regime | None:
        """Return the customs regime of stock in such a place, or None where ordinary import rules hold."""
        return _regime_at(self.model, place_kind)

    def stock_importer(self, place_kind: PlaceKind, channel: Channel = Channel.STORE) -> Role:
        """Return the importer of record of the stock leg into such a place; NOBODY where the goods are not imported to be stored."""
        regime = self.regime_at(place_kind)
        return self.doer(Step.IMPORT_STOCK, channel=channel) if regime is None else regime.stock_importer

    def stock_declarant(self, place_kind: PlaceKind, channel: Channel = Channel.STORE) -> Role:
        """Return who lodges the customs entry of stock brought into such a place; under a customs regime that is the regime's importer."""
        regime = self.regime_at(place_kind)
        return self.doer(Step.CLEAR_STOCK, channel=channel) if regime is None else regime.stock_importer

    def receipt_customs_status(self, place_kind: PlaceKind) -> CustomsStatus:
        """Return the customs status in which stock is received in such a place."""
        return _receipt_status(self.model, place_kind)

    def loss_bearer(self, point: CustodyPoint, channel: Channel = Channel.STORE) -> Role:
        """Return who bears a loss after `point` was passed and before the next: the declared bearer within its span, else the merchant, after delivery the buyer."""
        if point is CustodyPoint.DELIVERED:
            return Role.BUYER
        first, last = _POINTS.index(self.model.loss_bearing_from), _POINTS.index(self.model.loss_bearing_to)
        return self.doer(Step.BEAR_LOSS, leg=_LEG_AT[point], channel=channel) if first <= _POINTS.index(point) < last else Role.MERCHANT

    def has_need(self, need: Need) -> bool:
        """Tell whether something must be there before the order may go on."""
        return need in self.model.needs

    @property
    def needs_identity(self) -> bool:
        """Whether the buyer's identity must be verified before payment."""
        return Need.IDENTITY in self.model.needs

    @property
    def uses_quota(self) -> bool:
        """Whether the order consumes the buyer's yearly import quota."""
        return Need.QUOTA in self.model.needs

    @property
    def needs_risk_notice(self) -> bool:
        """Whether the buyer must accept the risk notice before ordering."""
        return Need.RISK_NOTICE in self.model.needs

    @property
    def needs_electronic_label(self) -> bool:
        """Whether the page must show an electronic label in the destination's language."""
        return Need.ELECTRONIC_LABEL in self.model.needs

    @property
    def needs_declaration_before_release(self) -> bool:
        """Whether customs must match the declarations before the floor may release the order."""
        return Need.DECLARATION_BEFORE_RELEASE in self.model.needs

    @property
    def needs_stock_importer(self) -> bool:
        """Whether stock is blocked until an importer of record is on file for the place's country."""
        return Need.STOCK_IMPORTER in self.model.needs

    @property
    def needs_order_importer(self) -> bool:
        """Whether an order across a border is refused unless its lane names an importer."""
        return Need.ORDER_IMPORTER in self.model.needs

    @property
    def stock_is_merchants_word(self) -> bool:
        """Whether the stock count is what the merchant says rather than what the platform scanned."""
        return Role.MERCHANT is self.table[Step.STORE, Leg.STOCK, min(self.model.channels)].role

    @property
    def label_may_be_bought_here(self) -> bool:
        """Whether a merchant that carries parcels itself may buy the label from the platform."""
        return self.model.label_for_sale

    def money_passes_through_us(self, channel: Channel = Channel.STORE) -> bool:
        """Tell whether the buyer's money is held by a party of the platform; if not, only services are billed."""
        self.require_channel(channel)
        return channel in self.channels_with_our_money

    def merchant_may_take_over(self, step: Step) -> bool:
        """Tell whether the merchant may switch a platform step off and do it itself."""
        return step in self.model.merchant_may_take_over


def plan_of(model: OperationModel) -> Plan:
    """Return the plan of a declaration."""
    table = expand_duties(model)
    statuses: dict[str, str] = {kind: _receipt_status(model, kind) for kind in model.ships_from}
    leg = STEP_LEGS[Step.HOLD_MONEY][0]
    ours = frozenset(channel for channel in model.channels if table[Step.HOLD_MONEY, leg, channel].role in PLATFORM_ROLES)
    return Plan(model, table, statuses, ours)


def _regime_at(model: OperationModel, place_kind: PlaceKind) -> Regime | None:
    return next((regime for regime in model.regimes if regime.place_kind is place_kind), None)


def _receipt_status(model: OperationModel, place_kind: PlaceKind) -> CustomsStatus:
    regime = _regime_at(model, place_kind)
    return CustomsStatus.FREE if regime is None else regime.customs_status
