"""The public order API's messages: what programs send and get, checked by type; unknown fields are refused."""

import uuid
from typing import Annotated, Final

from msgspec import Meta, Struct

LINES_PER_ORDER: Final = 200
QUANTITY_LIMIT: Final = 1_000_000

Code = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_:-]{1,40}$")]
Country = Annotated[str, Meta(pattern=r"^[A-Z]{2}$")]
Postcode = Annotated[str, Meta(pattern=r"^[A-Za-z0-9 -]{0,12}$")]
Quantity = Annotated[int, Meta(ge=1, le=QUANTITY_LIMIT)]


class LineMessage(Struct, frozen=True, forbid_unknown_fields=True):
    """So many units of one merchant's offer."""

    merchant_id: uuid.UUID
    offer_id: uuid.UUID
    quantity: Quantity


Lines = Annotated[list[LineMessage], Meta(min_length=1, max_length=LINES_PER_ORDER)]


class QuoteMessage(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a quote is asked for: lines of one store, to a country; `buyer_id` only from a storefront."""

    marketplace: Code
    country: Country
    lines: Lines
    postcode: Postcode = ""
    speed: Code = "standard"
    identity_id: uuid.UUID | None = None
    accepts_risk: bool = False
    buyer_id: uuid.UUID | None = None


class OrderMessage(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An order: what a quote is asked for, how it is paid, and the quote it is held to, if any."""

    marketplace: Code
    country: Country
    payment_method: Code
    lines: Lines
    postcode: Postcode = ""
    speed: Code = "standard"
    identity_id: uuid.UUID | None = None
    accepts_risk: bool = False
    buyer_id: uuid.UUID | None = None
    quote_id: uuid.UUID | None = None


class PlacedOrder(Struct, frozen=True):
    """One merchant's part of a placed checkout."""

    merchant_id: uuid.UUID
    order_id: uuid.UUID


class OrderAnswer(Struct, frozen=True):
    """What became of an order request; `expires_at` is when the hold ends of what waits for its payment."""

    checkout_id: uuid.UUID
    state: str
    currency: str
    total_minor: int
    expires_at: str | None
    orders: list[PlacedOrder]


class QuoteAnswer(Struct, frozen=True):
    """A quote: what the lines cost to the door and when their parcels arrive, until when it holds."""

    quote_id: uuid.UUID
    valid_until: str
    currency: str
    total_minor: int
    lines: list[dict[str, object]]


class Problem(Struct, frozen=True, omit_defaults=True):
    """A refusal (RFC 9457) that names field, value and remedy."""

    type: str
    code: str
    title: str
    status: int
    field: str = ""
    value: str = ""
    remedy: str = ""
