"""The steps of an order, as its stepper shows them."""

from entrepot.orders.model import OrderState
from entrepot.surfaces.web.languages import mark
from entrepot.surfaces.web.words import ORDER_WAY


def buyer_way_of(state: str) -> list[tuple[str, str]]:
    """Return the steps of an order that concern its buyer: the last one is its arrival."""
    steps = way_of(state)[: len(ORDER_WAY) - 1]
    return [*steps[:-1], (steps[-1][0], "done" if state == OrderState.DELIVERED else steps[-1][1])]


def way_of(state: str) -> list[tuple[str, str]]:
    """Return the steps of an order as (label, done, now or open); a cancelled order has come no further than its first step."""
    codes = [code for code, _ in ORDER_WAY]
    if state == OrderState.CANCELLED:
        return [(mark("Placed"), "done"), (mark("Cancelled"), "now")]
    reached = codes.index(OrderState(state))
    return [
        (label, "done" if index < reached or state == OrderState.SETTLED else "now" if index == reached else "open")
        for index, (_, label) in enumerate(ORDER_WAY)
    ]
