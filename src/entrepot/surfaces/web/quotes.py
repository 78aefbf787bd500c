"""What an offer costs to somebody's door and when it arrives, as product pages and the checkout show it."""

import uuid
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from msgspec import Struct

from entrepot.base.errors import EntrepotError
from entrepot.base.ids import derived_id
from entrepot.base.sql import Conn
from entrepot.catalogue.model import Marketplace
from entrepot.flows.order_to_cash import quote_checkouts
from entrepot.flows.outside import Outside
from entrepot.flows.plan_checkout import CheckoutPlan, PlannedLine
from entrepot.operations.model import Channel, Step
from entrepot.orders.model import LineAsk, OrderRequest
from entrepot.parties.people import anonymous_buyer_id
from entrepot.sourcing.model import Place

_PREFIX_LENGTH: Final = 3
_ANY_METHOD: Final = "invoice"
_WORKING_DAYS: Final = 5


class QuoteAsk(Struct, frozen=True):
    """So many units of an offer of a store, to a country."""

    merchant_id: uuid.UUID
    offer_id: uuid.UUID
    quantity: int
    country_code: str
    postcode: str = ""


class Quote(Struct, frozen=True):
    """A price to the door in minor units of the store's currency, and the days on which the parcel should arrive."""

    currency: str
    goods_minor: int
    freight_minor: int
    tax_minor: int
    included_tax_minor: int
    duty_minor: int
    total_minor: int
    at_door_minor: int
    from_on: date
    to_on: date
    place: Place
    to_country_code: str
    crosses_border: bool
    minutes_left: int
    ships_by: str
    carrier_code: str

    @property
    def all_in_minor(self) -> int:
        """What the buyer pays in the end: now and at the door."""
        return self.total_minor + self.at_door_minor


async def quote_offers(
    conn: Conn, outside: Outside, marketplace: Marketplace, asks: Sequence[QuoteAsk], now: datetime
) -> list[Quote | EntrepotError]:
    """Quote offers in one go; a refusal says why the offer cannot be had there now."""
    requests = [_request(marketplace, ask, now) for ask in asks]
    plans = await quote_checkouts(conn, outside, requests)
    return [plan if isinstance(plan, EntrepotError) else quote_of(plan, outside, now) for plan in plans]


def _request(marketplace: Marketplace, ask: QuoteAsk, now: datetime) -> OrderRequest:
    """Return the checkout of one offer that a quote asks about."""
    return quote_request(marketplace, [LineAsk(ask.merchant_id, ask.offer_id, ask.quantity)], (ask.country_code, ask.postcode), now)


def quote_request(marketplace: Marketplace, lines: Sequence[LineAsk], door: tuple[str, str], now: datetime) -> OrderRequest:
    """Return the checkout that a quote to a country and postcode asks about; identity and risk notice are taken as given, the checkout will ask for them."""
    country_code, postcode = door
    person_id = anonymous_buyer_id(country_code)
    named = [part for line in lines for part in (line.merchant_id, line.offer_id, line.quantity)]
    return OrderRequest(
        person_id,
        derived_id("quote", *named, country_code, postcode),
        "quote",
        marketplace.marketplace_code,
        str(Channel.STORE),
        country_code,
        postcode_prefix(postcode),
        _ANY_METHOD,
        tuple(lines),
        now,
        identity_id=person_id,
        has_accepted_risk=True,
    )


def at_door_minor(line: PlannedLine) -> int:
    """Return the duty and import tax of a line that its carrier collects at the door, as estimated."""
    if line.assessed is None or line.plan.uses_quota:
        return 0
    tax_minor = 0 if line.assessed.is_tax_prepaid or line.tax_on_top_minor else line.assessed.tax_minor
    return tax_minor + (0 if line.assessed.is_duty_prepaid else line.assessed.duty_minor)


def postcode_prefix(postcode: str) -> str:
    """Return the part of a postcode that decides lanes and points to nobody: the first characters of its first word."""
    first, *_ = postcode.upper().split() or [""]
    return first[:_PREFIX_LENGTH]


def quote_of(plan: CheckoutPlan, outside: Outside, now: datetime) -> Quote:
    """Sum a planned checkout up; where it leaves from several places, the first is told."""
    first = plan.consignments[0]
    network = outside.reference.network
    country_code = plan.request.to_country_code
    at_door = sum(at_door_minor(line) for line in plan.lines)
    return Quote(
        plan.currency,
        sum(line.goods_minor for line in plan.lines),
        sum(line.freight_minor for line in plan.lines),
        sum(line.tax_on_top_minor for line in plan.lines),
        sum(line.tax.tax_minor for line in plan.lines) if not any(line.tax_on_top_minor for line in plan.lines) else 0,
        sum(line.duty_minor for line in plan.lines),
        plan.total_minor,
        at_door,
        min(one.window.from_on for one in plan.consignments),
        max(one.window.to_on for one in plan.consignments),
        first.place,
        country_code,
        network.crosses_border(first.place.place_code, country_code),
        minutes_left(first.place, now),
        str(first.plan.doer(Step.PACK)),
        first.lane.carrier_code,
    )


def minutes_left(place: Place, now: datetime) -> int:
    """Return how many minutes the place still takes orders for today; none when the cut-off has passed or nobody works."""
    local = now.astimezone(ZoneInfo(place.time_zone))
    cut_off = local.replace(hour=place.cutoff_hour, minute=0, second=0, microsecond=0) if place.cutoff_hour < 24 else local
    left = cut_off - local
    if local.weekday() >= _WORKING_DAYS or left <= timedelta():
        return 0
    return int(left.total_seconds()) // 60
