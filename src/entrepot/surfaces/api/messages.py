"""The public order API's messages: what programs send and get, checked by type; unknown fields are refused."""

import uuid
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct, field

from entrepot.sourcing.model import Speed

LINES_PER_ORDER: Final = 200
QUANTITY_LIMIT: Final = 1_000_000
KEY_PATTERN: Final = r"^[!-~]([ -~]{0,62}[!-~])?$(?!\n)"

# A pattern's end is written `$(?!\n)`: Python's `$` alone lets a line end follow, that of the JSON schema does not.
Code = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_:-]{1,40}$(?!\n)")]
Country = Annotated[str, Meta(pattern=r"^[A-Z]{2}$(?!\n)", description="ISO 3166-1, two letters")]
Postcode = Annotated[str, Meta(pattern=r"^[A-Za-z0-9 -]{0,12}$(?!\n)")]
# JSON has one kind of number and JSON schema takes 1.0 for an integer, so that a whole number is read as a float and made an int by whoever uses it.
Quantity = Annotated[float, Meta(ge=1, le=QUANTITY_LIMIT, multiple_of=1, extra_json_schema={"type": "integer"})]
Key = Annotated[str, Meta(pattern=KEY_PATTERN, description="1 to 64 printable ASCII characters, the first and the last no space")]
Instant = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
Day = Annotated[str, Meta(extra_json_schema={"format": "date"})]
Minor = Annotated[int, Meta(description="in minor units of the currency")]


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
    speed: Speed = Speed.STANDARD
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
    speed: Speed = Speed.STANDARD
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
    state: Literal["awaiting_payment", "paid"]
    currency: str
    total_minor: Minor
    expires_at: Instant | None
    orders: list[PlacedOrder]


class QuotedParcel(Struct, frozen=True):
    """Units of a line that travel in one parcel: where from, by when they leave, and between which days they arrive."""

    place: str
    service: str
    quantity: int
    ship_by: Instant
    from_on: Day = field(name="from")
    to_on: Day = field(name="to")


class QuotedLine(Struct, frozen=True):
    """A line as it was quoted; amounts are for all its units."""

    merchant_id: uuid.UUID
    offer_id: uuid.UUID
    quantity: int
    model: str
    unit_price_minor: Minor
    goods_minor: Minor
    freight_minor: Minor
    tax_minor: Minor
    duty_minor: Minor
    charged_minor: Minor
    parcels: list[QuotedParcel]


class QuoteAnswer(Struct, frozen=True):
    """A quote: what the lines cost to the door and when their parcels arrive, until when it holds."""

    quote_id: uuid.UUID
    valid_until: Instant
    currency: str
    total_minor: Minor
    lines: list[QuotedLine]


class Problem(Struct, frozen=True, omit_defaults=True):
    """A refusal (RFC 9457) that names field, value and remedy."""

    type: str
    code: str
    title: str
    status: int
    detail: str = ""
    field: str = ""
    value: str = ""
    remedy: str = ""


class Health(Struct, frozen=True):
    """Whether this process and its database answer."""

    status: Literal["ok", "unavailable"]
    database: Literal["ok", "unreachable"]
