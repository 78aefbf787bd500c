"""How far an order of the tour has come: its stages in order, and who does each, as its model's declaration says."""

from datetime import datetime
from typing import Final

from msgspec import Struct

from entrepot.freight.model import ConsignmentState, ParcelState
from entrepot.freight.read import Consignment, Parcel
from entrepot.operations.model import Channel, Role, Step
from entrepot.operations.plan import Plan
from entrepot.orders.model import Order, OrderState
from entrepot.surfaces.web.languages import mark
from entrepot.warehouse.readers import QueueEntry

_FAILED: Final = frozenset({ParcelState.RETURNING, ParcelState.RETURNED, ParcelState.LOST, ParcelState.DESTROYED})


class Stage(Struct, frozen=True):
    """One stage of an order's way: what, who does it, when it was done if that is known, and done, now, open or stopped."""

    label: str
    role_code: str
    step: str
    at: datetime | None


class Standing(Struct, frozen=True):
    """What is known of an order on its way: its consignment, its work on a floor, its parcel."""

    order: Order
    consignment: Consignment | None
    work: QueueEntry | None
    parcel: Parcel | None

    @property
    def is_delivered(self) -> bool:
        """Whether the buyer has it."""
        return self.parcel is not None and self.parcel.delivered_at is not None

    @property
    def has_failed(self) -> bool:
        """Whether it will not reach the buyer any more: cancelled, declined, lost, or on its way back."""
        return self.order.state == OrderState.CANCELLED or (self.parcel is not None and self.parcel.state in _FAILED)


def stages_of(plan: Plan, standing: Standing) -> tuple[Stage, ...]:
    """Return the stages that an order of this plan and channel passes; a stage that has begun is now, of a failed order it is stopped."""
    order, consignment, work, parcel = standing.order, standing.consignment, standing.work, standing.parcel
    channel = Channel(order.channel_code)
    packer, carrier = plan.doer(Step.PACK, channel=channel), plan.doer(Step.CARRY, channel=channel)
    is_ours = plan.money_passes_through_us(channel)
    packed_at = work.packed_at if work is not None else parcel.labelled_at if parcel is not None else None
    marks: list[tuple[str, Role, bool, datetime | None]] = [
        (mark("Ordered"), Role.BUYER if channel is Channel.STORE else Role.CHANNEL, True, order.placed_at)
    ]
    if is_ours:
        marks.append((mark("Paid"), plan.doer(Step.HOLD_MONEY, channel=channel), order.state != OrderState.AWAITING_PAYMENT, None))
    if plan.needs_declaration_before_release:
        is_released = consignment is not None and consignment.state is not ConsignmentState.PLANNED
        marks.append((mark("Declared and released by customs"), plan.doer(Step.CLEAR_ORDER, channel=channel), is_released, None))
    marks += [
        (mark("Picked and packed"), packer, packed_at is not None, packed_at),
        (mark("Handed to the carrier"), packer, parcel is not None and parcel.shipped_at is not None, parcel.shipped_at if parcel else None),
        (mark("On its way"), carrier, standing.is_delivered, None),
        (mark("Delivered"), carrier, standing.is_delivered, parcel.delivered_at if parcel else None),
    ]
    done = next((place for place, one in enumerate(marks) if not one[2]), len(marks))
    now = "stopped" if standing.has_failed else "now"
    return tuple(
        Stage(label, str(role), "done" if place < done else now if place == done else "open", at if place < done else None)
        for place, (label, role, _, at) in enumerate(marks)
    )
