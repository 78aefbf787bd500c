"""Rules of stock on its way in: what a plan must name, what a dock scan counts, whose loss an undelivered unit is."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from entrepot.base.errors import RefusedInputError
from entrepot.base.quantity import require_positive
from entrepot.warehouse.model import (
    DAMAGED,
    FREE,
    NO_LOT,
    OVER_RECEIPT,
    PLAN_STATES,
    SELLABLE,
    SUPPLIER,
    TRANSIT,
    Goods,
    ImporterMissingError,
    InboundKind,
    PlanState,
    StepOutcome,
    StockMove,
    TaxNumberMissingError,
    require_lines,
)


class LegsIncompleteError(RefusedInputError):
    """A unified inbound plan needs its legs from the pickup to the delivery; the planner adds them."""


class LegKind(StrEnum):
    """One stretch of a unified inbound service."""

    PICKUP = "pickup"
    OCEAN = "ocean"
    AIR = "air"
    RAIL = "rail"
    ROAD = "road"
    CUSTOMS = "customs"
    DELIVERY = "delivery"


class Liability(StrEnum):
    """Who bears an undelivered unit."""

    MERCHANT = "merchant"
    PLATFORM = "platform"


class PlanRef(Struct, frozen=True):
    """Names an inbound plan."""

    merchant_id: uuid.UUID
    plan_id: uuid.UUID


class NewInboundLine(Struct, frozen=True):
    """Units of one stock item and lot that a merchant means to send."""

    line_no: int
    stock_item_id: uuid.UUID
    announced: int
    lot_code: str = NO_LOT
    expires_on: date | None = None


class InboundLeg(Struct, frozen=True):
    """One leg with planned and actual times and its cost in minor units."""

    leg_no: int
    kind: LegKind
    from_code: str
    to_code: str
    planned_departs_at: datetime
    planned_arrives_at: datetime
    cost_minor: int
    currency: str
    carrier_code: str | None = None
    departed_at: datetime | None = None
    arrived_at: datetime | None = None


class InboundBox(Struct, frozen=True):
    """A box of a plan; contents by line number where the merchant told them."""

    box_no: int
    weight_g: int | None = None
    contents: dict[str, int] | None = None


class NewPlan(Struct, frozen=True):
    """What a merchant announces to send to one place."""

    merchant_id: uuid.UUID
    plan_id: uuid.UUID
    place_code: str
    country_code: str
    kind: InboundKind
    is_cross_border: bool
    importer_of_record: str | None
    announced_at: datetime
    lines: tuple[NewInboundLine, ...]
    legs: tuple[InboundLeg, ...] = ()
    boxes: tuple[InboundBox, ...] = ()
    customs_status: str = FREE

    @property
    def ref(self) -> PlanRef:
        """Name the plan."""
        return PlanRef(self.merchant_id, self.plan_id)


class Plan(Struct, frozen=True):
    """An inbound plan as stored."""

    ref: PlanRef
    place_code: str
    country_code: str
    kind: InboundKind
    state: PlanState
    customs_status: str
    importer_of_record: str | None
    announced_at: datetime
    departed_at: datetime | None
    custody_at: datetime | None
    ended_at: datetime | None


class InboundLine(Struct, frozen=True):
    """A line as stored: announced = good + damaged + not delivered once closed; over is what came beyond."""

    ref: PlanRef
    line_no: int
    stock_item_id: uuid.UUID
    lot_code: str
    expires_on: date | None
    announced: int
    received_good: int
    received_damaged: int
    not_delivered: int
    over_good: int
    over_damaged: int
    stowed_good: int
    stowed_damaged: int

    @property
    def over(self) -> int:
        """Units beyond the announcement."""
        return self.over_good + self.over_damaged

    @property
    def missing(self) -> int:
        """Announced units that no scan has counted."""
        return self.announced - self.received_good - self.received_damaged

    def to_stow(self, condition_code: str) -> int:
        """Units of a condition that wait at the dock."""
        if condition_code == DAMAGED:
            return self.received_damaged + self.over_damaged - self.stowed_damaged
        return self.received_good + self.over_good - self.stowed_good


class Receipt(Struct, frozen=True):
    """How one dock scan divides: within the announcement and beyond it, good and damaged."""

    good: int
    damaged: int
    over_good: int
    over_damaged: int


def split_receipt(missing: int, good: int, damaged: int) -> Receipt:
    """Divide scanned units over what is still missing, good ones first; the rest is over-receipt."""
    within_good = min(good, missing)
    within_damaged = min(damaged, missing - within_good)
    return Receipt(within_good, within_damaged, good - within_good, damaged - within_damaged)


def add_receipt(line: InboundLine, receipt: Receipt) -> InboundLine:
    """Return the line with a scan counted in."""
    return replace(
        line,
        received_good=line.received_good + receipt.good,
        received_damaged=line.received_damaged + receipt.damaged,
        over_good=line.over_good + receipt.over_good,
        over_damaged=line.over_damaged + receipt.over_damaged,
    )


def add_stowed(line: InboundLine, condition_code: str, quantity: int) -> InboundLine:
    """Return the line with units taken from the dock to a bin."""
    if condition_code == DAMAGED:
        return replace(line, stowed_damaged=line.stowed_damaged + quantity)
    return replace(line, stowed_good=line.stowed_good + quantity)


def is_carried_by_platform(kind: InboundKind) -> bool:
    """Whether the platform's carrier holds the units before the dock."""
    return kind is not InboundKind.OWN_CARRIER


def source_of(kind: InboundKind) -> str:
    """Return the pseudo place from which units arrive at the dock."""
    return TRANSIT if is_carried_by_platform(kind) else SUPPLIER


def liability_of(kind: InboundKind) -> Liability:
    """Return who bears a unit that was announced and never scanned at the dock."""
    return Liability.PLATFORM if is_carried_by_platform(kind) else Liability.MERCHANT


def may_be_scanned(plan: Plan) -> bool:
    """Whether the dock may count units of the plan: on its way, or announced and brought by the merchant's own carrier."""
    if plan.state is PlanState.ANNOUNCED:
        return not is_carried_by_platform(plan.kind)
    return plan.state in {PlanState.IN_TRANSIT, PlanState.RECEIVING}


def goods_of(plan: Plan, line: InboundLine, condition_code: str = SELLABLE) -> Goods:
    """Return which units a line brings; the merchant owns what it sends."""
    return Goods(line.ref.merchant_id, line.ref.merchant_id, line.stock_item_id, line.lot_code, condition_code, plan.customs_status)


def places_of(plan: Plan, receipt: Receipt) -> list[tuple[str, bool, int]]:
    """Return from where the units of a receipt come, whether they are damaged, and how many; empty parts are left out."""
    source = source_of(plan.kind)
    parts = [
        (source, False, receipt.good),
        (source, True, receipt.damaged),
        (OVER_RECEIPT, False, receipt.over_good),
        (OVER_RECEIPT, True, receipt.over_damaged),
    ]
    return [part for part in parts if part[2]]


def require_placeable(plan: NewPlan, registrations: Collection[tuple[uuid.UUID, str]]) -> None:
    """Refuse a plan whose merchant may not place stock there, or whose documents are not complete."""
    require_lines([line.line_no for line in plan.lines], "lines")
    for line in plan.lines:
        require_positive(line.announced, "announced")
    if (plan.merchant_id, plan.country_code) not in registrations:
        raise TaxNumberMissingError(
            "country_code", plan.country_code, "Register for tax in %(country)s before sending stock there.", country=plan.country_code
        )
    if plan.is_cross_border and not (plan.importer_of_record or "").strip():
        raise ImporterMissingError("importer_of_record", plan.importer_of_record, "Name who imports into %(country)s.", country=plan.country_code)
    if plan.kind is InboundKind.UNIFIED:
        _require_legs([leg.kind for leg in plan.legs])


def _require_legs(kinds: Sequence[LegKind]) -> None:
    main = {LegKind.OCEAN, LegKind.AIR, LegKind.RAIL, LegKind.ROAD}
    if not kinds or kinds[0] is not LegKind.PICKUP or kinds[-1] is not LegKind.DELIVERY or not main.intersection(kinds):
        raise LegsIncompleteError("legs", [str(kind) for kind in kinds], "List pickup, an ocean, air, rail or road leg, and delivery.")


class UndeliveredLine(Struct, frozen=True):
    """Announced units of a closed plan that never reached the dock, and who bears them."""

    line_no: int
    stock_item_id: uuid.UUID
    quantity: int
    liability: Liability


class PlanStep(Struct, frozen=True):
    """The result of one step for one plan."""

    ref: PlanRef
    outcome: StepOutcome
    state: str = ""
    undelivered: tuple[UndeliveredLine, ...] = ()


class PlanWork(Struct, frozen=True):
    """One step per plan asked, in the order asked, and the stock moves for the book."""

    steps: list[PlanStep]
    moves: list[StockMove]


def judge_plans(refs: Sequence[PlanRef], plans: Mapping[PlanRef, Plan], target: PlanState, later: Collection[PlanState] = ()) -> list[PlanStep]:
    """Tell for each plan whether it may become `target` now; one that is there already, or in a later state, is a replay."""
    steps: list[PlanStep] = []
    taken: set[PlanRef] = set()
    for ref in refs:
        plan = plans.get(ref)
        if plan is None:
            steps.append(PlanStep(ref, StepOutcome.UNKNOWN))
        elif plan.state is target or plan.state in later:
            steps.append(PlanStep(ref, StepOutcome.EXISTS, plan.state))
        elif ref in taken:
            steps.append(PlanStep(ref, StepOutcome.EXISTS, target))
        elif PLAN_STATES.allows(plan.state, target):
            steps.append(PlanStep(ref, StepOutcome.DONE, target))
            taken.add(ref)
        else:
            steps.append(PlanStep(ref, StepOutcome.NOT_ALLOWED, plan.state))
    return steps
