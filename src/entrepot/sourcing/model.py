"""Which place serves which line: pure rules over places, lanes and what is free, with every candidate and its reason kept."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final

from msgspec import Struct, field

from entrepot.base.errors import UnknownReferenceError
from entrepot.base.time import local_hour, next_working_day, on_date


class UnknownPlaceError(UnknownReferenceError):
    """No place has this code."""


class Speed(StrEnum):
    """How fast a parcel shall travel: as cheaply as possible, by express, or by whatever arrives first."""

    STANDARD = "standard"
    EXPEDITED = "expedited"
    PRIORITY = "priority"


EXPRESS: Final = "express"
"""Mode of the lanes that an expedited parcel takes."""


class Reason(StrEnum):
    """Why a candidate was taken or passed over."""

    CHOSEN = "chosen"
    COSTS_MORE = "costs_more"
    NOT_ENOUGH_FREE = "not_enough_free"
    NO_LANE = "no_lane"
    NO_LANE_OF_THIS_SPEED = "no_lane_of_this_speed"
    PLACE_CLOSED = "place_closed"
    NOT_A_PLACE_OF_THE_PLAN = "not_a_place_of_the_plan"
    HAZARD_MAY_NOT_TRAVEL = "hazard_may_not_travel"
    WRONG_CUSTOMS_STATUS = "wrong_customs_status"
    NO_CUSTOMS_DATA = "no_customs_data"
    TAX_REGIME_CHANGES = "tax_regime_changes"


class Place(Struct, frozen=True):
    """A building where stock lies: the platform's or a merchant's site."""

    place_code: str
    name: str
    kind: str
    country_code: str
    time_zone: str
    cutoff_hour: int
    merchant_id: uuid.UUID | None = None
    is_open: bool = True
    latitude_e6: int = 0
    longitude_e6: int = 0


class Lane(Struct, frozen=True):
    """How a parcel gets from a place to a country: by whom, at what cost in the network's currency, in how many days."""

    place_code: str
    to_country_code: str
    service_code: str
    carrier_code: str
    mode_code: str
    base_minor: int
    per_kg_minor: int
    currency: str
    days_min: int
    days_max: int
    refused_hazards: frozenset[str] = frozenset()

    def cost_minor(self, weight_g: int) -> int:
        """Return the cost of a parcel of `weight_g` grams, rounded up."""
        return self.base_minor + -(-weight_g * self.per_kg_minor // 1000)


class SourcingAsk(Struct, frozen=True):
    """One line that wants a place."""

    merchant_id: uuid.UUID
    stock_item_id: uuid.UUID
    quantity: int
    weight_g: int
    hazard_code: str | None
    place_kinds: frozenset[str]
    customs_status_by_kind: Mapping[str, str]
    to_country_code: str
    may_cross_border: bool
    handling_days: int
    excluded_places: frozenset[str] = frozenset()
    speed_code: str = Speed.STANDARD


class FreeStock(Struct, frozen=True):
    """Units that may be promised at a place."""

    owner_id: uuid.UUID
    place_code: str
    customs_status: str
    pool_code: str
    free: int


class Candidate(Struct, frozen=True):
    """A place that was looked at for a line, with what was found."""

    place_code: str
    cost_minor: int
    days_max: int
    free: int
    reason: Reason


class Part(Struct, frozen=True):
    """Units of a line that one place will serve."""

    place: Place
    lane: Lane
    stock: FreeStock
    quantity: int


class Sourced(Struct, frozen=True):
    """The decision for one line; without parts it could not be served, and `free` says how many units are left."""

    parts: tuple[Part, ...]
    candidates: tuple[Candidate, ...]
    free: int


class Network(Struct, frozen=True):
    """All places and lanes, read once and asked many times."""

    places: Mapping[str, Place]
    lanes: Mapping[tuple[str, str], tuple[Lane, ...]]
    territories: Mapping[str, str] = field(default_factory=dict[str, str])

    def place(self, place_code: str) -> Place:
        """Return a place or refuse an unknown code."""
        found = self.places.get(place_code)
        if found is None:
            raise UnknownPlaceError("place_code", place_code, "Use one of %(choices)s.", choices=sorted(self.places))
        return found

    def crosses_border(self, place_code: str, to_country_code: str) -> bool:
        """Tell whether a customs-territory border lies between a place and a country."""
        origin = self.places[place_code].country_code
        return self.territories.get(origin, origin) != self.territories.get(to_country_code, to_country_code)

    def destinations_of(self, place_code: str) -> frozenset[str]:
        """Return the countries that a place has lanes to."""
        return frozenset(country for place, country in self.lanes if place == place_code)


_Fit = tuple[int, int, str, FreeStock, Place, Lane]

Shelf = dict[tuple[uuid.UUID, uuid.UUID], list[FreeStock]]
"""Free stock by (merchant, stock item); `take_parts` keeps it current while a batch is decided line by line."""


def choose_places(ask: SourcingAsk, shelf: Shelf, network: Network, used_places: frozenset[str]) -> Sourced:
    """Choose places for one line: the cheapest that covers it whole, else the fewest in order of cost; ties go to fewer days, then the code.

    A place that already serves the same order costs no second base price, so lines of one order tend to travel together.
    """
    stocks = shelf.get((ask.merchant_id, ask.stock_item_id), [])
    weight_g = ask.weight_g * ask.quantity
    fits: list[_Fit] = []
    passed: list[Candidate] = []
    for stock in stocks:
        place = network.places.get(stock.place_code)
        if place is None or stock.free <= 0:
            continue
        lane, reason = _lane_for(ask, stock, place, network)
        if lane is None:
            passed.append(Candidate(stock.place_code, 0, 0, stock.free, reason))
            continue
        cost = lane.cost_minor(weight_g) - (lane.base_minor if stock.place_code in used_places else 0)
        fits.append((cost, lane.days_max, stock.place_code, stock, place, lane))
    fits.sort(key=lambda fit: fit[:3])
    parts = _cover(fits, ask.quantity, network, ask.to_country_code)
    if not parts:
        passed += [Candidate(fit[2], fit[0], fit[1], fit[3].free, Reason.NOT_ENOUGH_FREE) for fit in fits]
        return Sourced((), tuple(passed), max((fit[3].free for fit in fits), default=0))
    chosen = {part.stock.place_code for part in parts}
    country = parts[0].place.country_code
    looked_at = [
        Candidate(
            fit[2],
            fit[0],
            fit[1],
            fit[3].free,
            Reason.CHOSEN if fit[2] in chosen else Reason.COSTS_MORE if fit[4].country_code == country else Reason.TAX_REGIME_CHANGES,
        )
        for fit in fits
    ]
    return Sourced(parts, (*looked_at, *passed), sum(fit[3].free for fit in fits))


def _lane_for(ask: SourcingAsk, stock: FreeStock, place: Place, network: Network) -> tuple[Lane | None, Reason]:
    """Return the cheapest lane that may carry the line from a place, or why there is none."""
    reason = Reason.CHOSEN
    if place.kind not in ask.place_kinds or (place.merchant_id is not None and place.merchant_id != ask.merchant_id):
        reason = Reason.NOT_A_PLACE_OF_THE_PLAN
    elif not place.is_open or place.place_code in ask.excluded_places:
        reason = Reason.PLACE_CLOSED
    elif stock.customs_status != ask.customs_status_by_kind.get(place.kind, stock.customs_status):
        reason = Reason.WRONG_CUSTOMS_STATUS
    elif not ask.may_cross_border and network.crosses_border(place.place_code, ask.to_country_code):
        reason = Reason.NO_CUSTOMS_DATA
    if reason is not Reason.CHOSEN:
        return None, reason
    lanes = network.lanes.get((place.place_code, ask.to_country_code), ())
    if not lanes:
        return None, Reason.NO_LANE
    allowed = lanes if ask.hazard_code is None else [lane for lane in lanes if ask.hazard_code not in lane.refused_hazards]
    if not allowed:
        return None, Reason.HAZARD_MAY_NOT_TRAVEL
    found = fit_lane(allowed, ask.speed_code, ask.weight_g * ask.quantity)
    return found, Reason.CHOSEN if found is not None else Reason.NO_LANE_OF_THIS_SPEED


def fit_lane(lanes: Sequence[Lane], speed_code: str, weight_g: int) -> Lane | None:
    """Return the cheapest lane, the cheapest express one, or the one that arrives first; None where no lane is as fast as asked."""
    if len(lanes) == 1 and speed_code == Speed.STANDARD:
        return lanes[0]
    if speed_code == Speed.PRIORITY:
        return min(lanes, key=lambda lane: (lane.days_max, lane.cost_minor(weight_g), lane.service_code), default=None)
    fast = [lane for lane in lanes if speed_code == Speed.STANDARD or lane.mode_code == EXPRESS]
    return min(fast, key=lambda lane: (lane.cost_minor(weight_g), lane.days_max, lane.service_code), default=None)


def _cover(fits: Sequence[_Fit], quantity: int, network: Network, to_country_code: str) -> tuple[Part, ...]:
    """Cover a quantity from sorted fits: one place if one is enough, else places of one country in order of cost.

    Units of one line never come from two countries, because the tax regime of the sale would change with the place; and a line that crosses a
    customs border is not split, because it is declared as one.
    """
    for _, _, _, stock, place, lane in fits:
        if stock.free >= quantity:
            return (Part(place, lane, stock, quantity),)
    for country in dict.fromkeys(fit[4].country_code for fit in fits):
        inside = [fit for fit in fits if fit[4].country_code == country]
        if network.crosses_border(inside[0][2], to_country_code) or sum(fit[3].free for fit in inside) < quantity:
            continue
        return _fill(inside, quantity)
    return ()


def _fill(fits: Sequence[_Fit], quantity: int) -> tuple[Part, ...]:
    """Take a quantity from fits in order."""
    parts: list[Part] = []
    for _, _, _, stock, place, lane in fits:
        taken = min(stock.free, quantity)
        parts.append(Part(place, lane, stock, taken))
        quantity -= taken
        if quantity == 0:
            break
    return tuple(parts)


def take_parts(shelf: Shelf, ask: SourcingAsk, parts: Iterable[Part]) -> None:
    """Take a decided line's units off the shelf, so that the next line of the batch sees what is left."""
    taken = {(part.stock.place_code, part.stock.customs_status, part.stock.pool_code, part.stock.owner_id): part.quantity for part in parts}
    key = (ask.merchant_id, ask.stock_item_id)
    shelf[key] = [
        FreeStock(stock.owner_id, stock.place_code, stock.customs_status, stock.pool_code, stock.free - units) if units else stock
        for stock in shelf[key]
        for units in (taken.get((stock.place_code, stock.customs_status, stock.pool_code, stock.owner_id), 0),)
    ]


class Window(Struct, frozen=True):
    """What is promised: the last instant of hand-over and the dates between which the parcel arrives."""

    ship_by_at: datetime
    from_on: date
    to_on: date


def promise_window(at: datetime, place: Place, lane: Lane, handling_days: int) -> Window:
    """Return the promise for an order placed at `at`: handling in working days, the next one after the cut-off, then the lane's days."""
    local = on_date(at, place.time_zone)
    ship_on = local
    if place.cutoff_hour <= local_hour(at, place.time_zone) or local.weekday() >= 5:
        ship_on = next_working_day(ship_on)
    for _ in range(handling_days):
        ship_on = next_working_day(ship_on)
    ship_by_at = datetime(ship_on.year, ship_on.month, ship_on.day, 23, 59, tzinfo=at.tzinfo)
    return Window(ship_by_at, ship_on + timedelta(days=lane.days_min), ship_on + timedelta(days=lane.days_max + (2 if ship_on.weekday() >= 3 else 1)))
