"""The calendar of an import, worked out from the file alone: what comes in a week ahead, what is ordered, what arrives, what goes back; pure."""

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Final

from msgspec import Struct

from entrepot.base.time import next_working_day
from entrepot.world.order_drafts import BusinessDay, OrderDraft, ReturnDraft
from entrepot.world.order_lines import FileLine

WEEK: Final = timedelta(days=7)
ASK_WITHIN: Final = timedelta(days=29)
"""A buyer who is long in sending goods back asks for the return no later than this after they arrived."""
_DAYS_UNDER_WAY: Final = 3
"""A parcel arrives on the first, second or third working day after it left."""

OrderKey = tuple[date, str]
"""Date and number of an order of the file."""


class Incoming(Struct, frozen=True):
    """Units by SKU that come in for the week that begins on a Monday."""

    for_week_of: date
    units: Mapping[str, int]


class Asking(Struct, frozen=True):
    """A return whose units of one order are asked back long before they are there."""

    draft: ReturnDraft
    order_key: OrderKey


class ImportStep(Struct, frozen=True):
    """One step of an import: a business day of the file, or a day after the last one on which parcels still arrive."""

    day: BusinessDay
    incoming: tuple[Incoming, ...]
    arriving: tuple[tuple[OrderDraft, date], ...]
    asking: tuple[Asking, ...]


class Calendar(Struct, frozen=True):
    """All steps of an import, the stock that is there before the first, and the orders by date and number."""

    opening: tuple[Incoming, ...]
    steps: tuple[ImportStep, ...]
    orders: Mapping[OrderKey, OrderDraft]


def plan_calendar(days: Sequence[BusinessDay], today: date) -> Calendar:
    """Plan the steps of a file; what would happen on `today` or later is still under way when the import ends."""
    orders = {(order.on, order.order_number): order for day in days for order in day.orders}
    returned_on = _first_returns(days)
    arrivals = {key: arrival_on(order, returned_on.get(key)) for key, order in orders.items()}
    last_on = days[-1].on if days else today
    after = sorted({on for on in arrivals.values() if last_on < on < today})
    played = [*days, *(BusinessDay(on, (), (), ()) for on in after)]
    dates = [day.on for day in played]
    arriving: list[list[tuple[OrderDraft, date]]] = [[] for _ in played]
    for key, on in arrivals.items():
        if on < today:
            arriving[bisect_left(dates, on)].append((orders[key], on))
    asking: list[list[Asking]] = [[] for _ in played]
    for late in _late_returns(days, arrivals):
        arrived_on = arrivals[late.order_key]
        asking[max(bisect_left(dates, arrived_on), bisect_right(dates, arrived_on + ASK_WITHIN) - 1)].append(late)
    opening: list[Incoming] = []
    incoming: list[list[Incoming]] = [[] for _ in played]
    for week in _weeks(days):
        due_on = week.for_week_of - WEEK
        (opening if due_on < dates[0] else incoming[bisect_left(dates, due_on)]).append(week)
    steps = zip(played, incoming, arriving, asking, strict=True)
    return Calendar(
        tuple(opening), tuple(ImportStep(day, tuple(units), tuple(parcels), tuple(wishes)) for day, units, parcels, wishes in steps), orders
    )


def arrival_on(order: OrderDraft, returned_on: date | None) -> date:
    """Return the date on which an order's parcels arrive: so many working days after it, and before anything of it goes back."""
    digest = hashlib.blake2b(f"{order.on}\x00{order.order_number}".encode(), digest_size=4).digest()
    on = order.on
    for _ in range(1 + int.from_bytes(digest, "big") % _DAYS_UNDER_WAY):
        on = next_working_day(on)
    return on if returned_on is None else min(on, returned_on)


def _first_returns(days: Iterable[BusinessDay]) -> dict[OrderKey, date]:
    """Return the first date after its own on which something of an order goes back."""
    first: dict[OrderKey, date] = {}
    for day in days:
        sales = [part.sale for draft in day.returns for line in draft.lines for part in line.parts if part.sale.on < day.on]
        for sale in sales:
            first.setdefault((sale.on, sale.order_number), day.on)
    return first


def _late_returns(days: Iterable[BusinessDay], arrivals: Mapping[OrderKey, date]) -> Iterator[Asking]:
    """Yield once each return and order of which units come back later than a buyer may ask."""
    for day in days:
        for draft in day.returns:
            keys = {(part.sale.on, part.sale.order_number): None for line in draft.lines for part in line.parts}
            yield from (Asking(draft, key) for key in keys if day.on - arrivals[key] > ASK_WITHIN)


def _weeks(days: Iterable[BusinessDay]) -> list[Incoming]:
    """Return the units that each week needs, by SKU: sold, or taken out by an adjustment."""
    weeks: dict[date, dict[str, int]] = {}
    for day in days:
        units = weeks.setdefault(day.on - timedelta(days=day.on.weekday()), {})
        for line in _taken_out(day):
            units[line.sku] = units.get(line.sku, 0) + abs(line.quantity)
    return [Incoming(monday, dict(sorted(units.items()))) for monday, units in sorted(weeks.items()) if units]


def _taken_out(day: BusinessDay) -> Iterable[FileLine]:
    yield from (line for order in day.orders for line in order.lines)
    yield from day.adjustments
