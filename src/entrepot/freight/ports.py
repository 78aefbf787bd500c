"""The outside that freight needs: carriers, whether built in or real."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from entrepot.freight.cards import RateQuote, RateRequest
from entrepot.freight.model import CarrierEvent


class Clearance(StrEnum):
    """Who clears a parcel at the border: nobody, the carrier, or a customs gateway that reports itself."""

    NONE = "none"
    BY_CARRIER = "by_carrier"
    BY_GATEWAY = "by_gateway"


class LabelAnswer(StrEnum):
    """What a carrier answers when a label is asked for or voided."""

    BOUGHT = "bought"
    VOIDED = "voided"
    NOT_SERVED = "not_served"
    ALREADY_COLLECTED = "already_collected"


class LabelOrder(Struct, frozen=True):
    """A label to buy; with a tracking number of our range the carrier takes that, else it gives one."""

    merchant_id: uuid.UUID
    parcel_id: uuid.UUID
    service_code: str
    request: RateRequest
    tracking_number: str | None = None


class LabelBought(Struct, frozen=True):
    """The carrier's answer to one label order; without a label the cost is zero and the number empty."""

    parcel_id: uuid.UUID
    answer: LabelAnswer
    tracking_number: str
    cost_minor: int
    currency: str
    rate_version: str


class Shipment(Struct, frozen=True):
    """A parcel on its way as its carrier sees it."""

    carrier_code: str
    service_code: str
    tracking_number: str
    from_country_code: str
    to_country_code: str
    handed_over_at: datetime
    clearance: Clearance


class Carrier(Protocol):
    """What every carrier can do; all calls take many and are safe to repeat."""

    @property
    def carrier_code(self) -> str:
        """The carrier's code."""
        ...

    async def quote_rates(self, requests: Sequence[RateRequest]) -> list[list[RateQuote]]:
        """Return for each request what each service asks; an empty list where none goes there."""
        ...

    async def buy_labels(self, orders: Sequence[LabelOrder]) -> list[LabelBought]:
        """Buy labels; the same parcel again gets the same answer and is charged once."""
        ...

    async def void_labels(self, tracking_numbers: Sequence[str]) -> list[LabelAnswer]:
        """Void labels that were not used."""
        ...

    async def events_since(self, shipments: Sequence[Shipment], since: datetime, until: datetime) -> list[CarrierEvent]:
        """Return what was reported of shipments after `since` up to and including `until`, in the order of reporting."""
        ...
