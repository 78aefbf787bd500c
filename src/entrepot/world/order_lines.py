"""What each line of a merchant's order file is: sale, return, stock adjustment, charge, or refused by name; pure rules over one line at a time.

The first rule that applies decides, and a line is decided alone (a bad line does not spoil its order):

1.  form: field count, order number, date, quantity, price (decimals of the currency), size, SKU;
2.  service code: carriage on an order with an accepted sale is a charge, every other one is refused as `service_code_...`;
3.  price: negative is refused, and zero is where units are sold or given back;
4.  negative quantity on an ordinary number: a stock adjustment, if it carries no price;
5.  country: unknown, not served, or refused by the caller's own rule (sales only);
6.  return: the buyer's latest earlier sales of that SKU must have enough units left, else `return_without_sale`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final, cast
from zoneinfo import ZoneInfo

from babel import Locale
from msgspec import Struct, field

from entrepot.base.money import decimals_of

ANONYMOUS: Final = "anonymous:"
"""Prefix of the key of a country's buyers without a customer number."""

MAX_VALUE_MINOR: Final = 10**15
"""A line worth more minor units than this is a slip of the pen and would not fit the books' sums."""

CARRIAGE_CODES: Final = frozenset({"POST", "DOT", "C2"})
"""Codes by which a shop charges the buyer for carriage."""

SERVICE_CODES: Final = CARRIAGE_CODES | {"M", "D", "S", "B", "CRUK", "PADS", "AMAZONFEE", "BANK CHARGES"}
"""Codes that name no product: manual entry, discount, sample, bad debt, commission, fee, bank charge and the like."""

_VOUCHER_PREFIX: Final = "GIFT_"
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)", re.ASCII)
_WHOLE: Final = re.compile(r"([+-]?\d+)(\.0*)?", re.ASCII)
_YEARS: Final = range(1990, 2101)
_NOT_WORD: Final = re.compile(r"[^a-z0-9]+")

COUNTRY_ALIASES: Final[Mapping[str, str]] = {
    "eire": "IE", "republic of ireland": "IE", "rsa": "ZA", "usa": "US", "united states of america": "US", "uk": "GB", "great britain": "GB",
    "england": "GB", "scotland": "GB", "wales": "GB", "northern ireland": "GB", "czech republic": "CZ", "hong kong": "HK", "macau": "MO",
    "macao": "MO", "uae": "AE", "holland": "NL", "the netherlands": "NL", "korea": "KR", "republic of korea": "KR", "viet nam": "VN",
    "turkey": "TR", "russian federation": "RU", "mainland china": "CN", "prc": "CN",
}  # fmt: skip
"""Names that shops write and the language's own list of territories lacks. `Channel Islands` is two customs territories (JE and GG), hence unknown."""


class LineReason(StrEnum):
    """Why a line of the file is not imported; service codes have their own names, see `service_reason`."""

    FIELD_COUNT_WRONG = "field_count_wrong"
    ORDER_NUMBER_MISSING = "order_number_missing"
    SKU_MISSING = "sku_missing"
    DATE_NOT_READABLE = "date_not_readable"
    QUANTITY_NOT_READABLE = "quantity_not_readable"
    QUANTITY_NOT_WHOLE = "quantity_not_whole"
    QUANTITY_ZERO = "quantity_zero"
    PRICE_NOT_READABLE = "price_not_readable"
    TOO_MANY_DECIMALS = "too_many_decimals"
    VALUE_TOO_LARGE = "value_too_large"
    NEGATIVE_PRICE = "negative_price"
    ZERO_PRICE = "zero_price"
    PRICED_ADJUSTMENT = "priced_adjustment"
    POSITIVE_RETURN = "positive_return"
    UNKNOWN_COUNTRY = "unknown_country"
    DESTINATION_NOT_SERVED = "destination_not_served"
    ORDER_BUYER_DIFFERS = "order_buyer_differs"
    RETURN_WITHOUT_SALE = "return_without_sale"


class RawLine(Struct, frozen=True):
    """The texts of one line by meaning; `line_no` is the line of the file on which the record ends, the header being 1."""

    line_no: int
    order_number: str
    sku: str
    description: str
    quantity: str
    ordered_at: str
    unit_price: str
    customer: str
    country: str


class FileLine(Struct, frozen=True):
    """A line whose form is right; quantity is signed as written, `country_code` is empty when the country is unknown."""

    line_no: int
    order_number: str
    sku: str
    description: str
    quantity: int
    price_minor: int
    at: datetime
    on: date
    buyer_key: str
    country_code: str

    @property
    def value_minor(self) -> int:
        """Signed value of the line, quantity times price."""
        return self.quantity * self.price_minor

    @property
    def is_return_number(self) -> bool:
        """Whether the order number marks a cancellation or return (`C` before the digits)."""
        return self.order_number[:1] in {"C", "c"}


class RefusedLine(Struct, frozen=True):
    """A line that is not imported: why, and its signed value in major units (zero where quantity or price cannot be read)."""

    line_no: int
    reason: str
    value: Decimal


class SoldPart(Struct, frozen=True):
    """Units of one earlier sale that a return takes back."""

    sale: FileLine
    quantity: int


class ReturnedLine(Struct, frozen=True):
    """A return and the earlier sales it takes back, latest first."""

    line: FileLine
    parts: tuple[SoldPart, ...]

    @property
    def quantity(self) -> int:
        """Units that come back, positive."""
        return -self.line.quantity

    @property
    def charged_minor(self) -> int:
        """What the buyer was charged for these units; the file may give back more or less."""
        return sum(part.quantity * part.sale.price_minor for part in self.parts)


class Classified(Struct, frozen=True):
    """All lines of a file by what they are, each list in the order of time."""

    sales: list[FileLine]
    charges: list[FileLine]
    returns: list[ReturnedLine]
    adjustments: list[FileLine]
    refused: list[RefusedLine]


RefuseSale = Callable[[FileLine], str | None]
"""A caller's own rule over a sale: the reason why it is not accepted, or None."""


def accept_any(_line: FileLine) -> str | None:
    """Accept every sale."""
    return None


def known_countries() -> dict[str, str]:
    """Return ISO 3166 codes by lower-case English country name, common alias and the code itself (CLDR)."""
    territories = cast("Mapping[str, str]", Locale("en").territories)
    codes = {
        code: name
        for code, name in territories.items()
        if len(code) == 2 and code.isalpha() and code not in {"EU", "EZ", "UN", "QO", "ZZ", "XA", "XB"}
    }
    return {name.lower(): code for code, name in codes.items()} | {code.lower(): code for code in codes} | dict(COUNTRY_ALIASES)


def normal_sku(text: str) -> str:
    """Return the SKU by which lines are the same product: trimmed, single spaces, upper case."""
    return " ".join(text.split()).upper()


def normal_number(text: str) -> str:
    """Return an order or customer number without the `.0` that spreadsheets add."""
    stripped = text.strip()
    whole, dot, fraction = stripped.partition(".")
    return whole if dot and whole.isdigit() and not fraction.strip("0") else stripped


def is_service_code(sku: str) -> bool:
    """Tell whether a normal SKU names a service or a voucher and no product."""
    return sku in SERVICE_CODES or sku.startswith(_VOUCHER_PREFIX)


def service_reason(sku: str) -> str:
    """Return the reason by which a service code is refused, such as `service_code_bank_charges`."""
    code = "gift_voucher" if sku.startswith(_VOUCHER_PREFIX) else _NOT_WORD.sub("_", sku.lower())
    return f"service_code_{code}"


def read_quantity(text: str) -> int | LineReason:
    """Read a signed whole number, which may be written `6.0`."""
    stripped = text.strip()
    if whole := _WHOLE.fullmatch(stripped):
        return int(whole[1]) or LineReason.QUANTITY_ZERO
    return LineReason.QUANTITY_NOT_WHOLE if _NUMBER.fullmatch(stripped) else LineReason.QUANTITY_NOT_READABLE


def read_number(text: str) -> Decimal | None:
    """Read a plain decimal number exactly, or None."""
    stripped = text.strip()
    return Decimal(stripped) if _NUMBER.fullmatch(stripped) else None


def read_price_minor(text: str, currency: str) -> int | LineReason:
    """Read a price in major units as minor units of the currency."""
    number = read_number(text)
    if number is None:
        return LineReason.PRICE_NOT_READABLE
    scaled = number.scaleb(decimals_of(currency))
    return int(scaled) if scaled == scaled.to_integral_value() else LineReason.TOO_MANY_DECIMALS


def read_local_at(text: str, date_format: str, zone: ZoneInfo) -> datetime | None:
    """Read a date and time as the shop's clock showed it; an empty format means ISO 8601, anything else is a `strptime` pattern."""
    try:
        at = datetime.strptime(text.strip(), date_format) if date_format else datetime.fromisoformat(text.strip())  # noqa: DTZ007  (the file's zone is given apart)
    except ValueError:
        return None
    at = at.astimezone(zone).replace(tzinfo=None) if at.tzinfo else at
    return at if at.year in _YEARS else None


class LineForm(Struct, frozen=True):
    """How to read the texts of a file: currency, country names, zone and pattern of its dates; it remembers texts that repeat."""

    currency: str
    countries: Mapping[str, str]
    zone: ZoneInfo
    date_format: str = ""
    _quantities: dict[str, int | LineReason] = field(default_factory=dict[str, "int | LineReason"])
    _prices: dict[str, int | LineReason] = field(default_factory=dict[str, "int | LineReason"])
    _moments: dict[str, datetime | None] = field(default_factory=dict[str, "datetime | None"])
    _countries: dict[str, str] = field(default_factory=dict[str, str])
    _skus: dict[str, str] = field(default_factory=dict[str, str])
    _numbers: dict[str, str] = field(default_factory=dict[str, str])
    _texts: dict[str, str] = field(default_factory=dict[str, str])

    def read(self, raw: RawLine) -> FileLine | RefusedLine:
        """Return the line, its `at` still the shop's own time without zone, or why its form is wrong."""
        moment = self._moment(raw.ordered_at)
        quantity = self._quantity(raw.quantity)
        price_minor = self._price(raw.unit_price)
        sku = self._sku(raw.sku)
        order_number = self._number(raw.order_number)
        reason: LineReason | None = None
        if not order_number:
            reason = LineReason.ORDER_NUMBER_MISSING
        elif moment is None:
            reason = LineReason.DATE_NOT_READABLE
        elif isinstance(quantity, LineReason):
            reason = quantity
        elif isinstance(price_minor, LineReason):
            reason = price_minor
        elif abs(quantity * price_minor) > MAX_VALUE_MINOR or abs(quantity) > MAX_VALUE_MINOR:
            reason = LineReason.VALUE_TOO_LARGE
        elif not sku:
            reason = LineReason.SKU_MISSING
        else:
            country_code = self._country(raw.country)
            customer = self._number(raw.customer)
            buyer_key = self._text(f"customer:{customer}" if customer else f"{ANONYMOUS}{country_code}")
            description = self._text(raw.description.strip())
            day = moment.date()
            return FileLine(raw.line_no, order_number, sku, description, quantity, price_minor, moment, day, buyer_key, country_code)
        return RefusedLine(raw.line_no, str(reason), line_value(raw))

    def _moment(self, text: str) -> datetime | None:
        if text not in self._moments:
            self._moments[text] = read_local_at(text, self.date_format, self.zone)
        return self._moments[text]

    def _quantity(self, text: str) -> int | LineReason:
        if text not in self._quantities:
            self._quantities[text] = read_quantity(text)
        return self._quantities[text]

    def _price(self, text: str) -> int | LineReason:
        if text not in self._prices:
            self._prices[text] = read_price_minor(text, self.currency)
        return self._prices[text]

    def _country(self, text: str) -> str:
        if text not in self._countries:
            self._countries[text] = self.countries.get(" ".join(text.split()).lower(), "")
        return self._countries[text]

    def _sku(self, text: str) -> str:
        if text not in self._skus:
            self._skus[text] = self._text(normal_sku(text))
        return self._skus[text]

    def _number(self, text: str) -> str:
        if text not in self._numbers:
            self._numbers[text] = self._text(normal_number(text))
        return self._numbers[text]

    def _text(self, text: str) -> str:
        return self._texts.setdefault(text, text)


def line_value(raw: RawLine) -> Decimal:
    """Return quantity times price exactly as written, zero where one of them cannot be read."""
    quantity, price = read_number(raw.quantity), read_number(raw.unit_price)
    return Decimal(0) if quantity is None or price is None else quantity * price


def shift_lines(lines: Sequence[FileLine], shift_days: int, zone: ZoneInfo) -> list[FileLine]:
    """Move lines by whole days of the shop's calendar, turn local times into UTC and sort them by (time, line)."""
    shift = timedelta(days=shift_days)
    moved: dict[datetime, tuple[datetime, date]] = {}
    for line in lines:
        if line.at not in moved:
            local = line.at + shift
            moved[line.at] = (local.replace(tzinfo=zone).astimezone(UTC), local.date())
    shifted = [
        FileLine(
            line.line_no, line.order_number, line.sku, line.description, line.quantity, line.price_minor, *moved[line.at],
            line.buyer_key, line.country_code,
        )
        for line in lines
    ]  # fmt: skip
    shifted.sort(key=lambda line: (line.at, line.line_no))
    return shifted


class _Sold(Struct):
    """Earlier accepted sales by (buyer, SKU), and what came back of them; only where the file holds a return at all."""

    wanted: frozenset[tuple[str, str]]
    sales: dict[tuple[str, str], list[FileLine]] = field(default_factory=dict[tuple[str, str], list[FileLine]])
    returned: dict[int, int] = field(default_factory=dict[int, int])

    def add(self, line: FileLine) -> None:
        key = (line.buyer_key, line.sku)
        if key in self.wanted:
            self.sales.setdefault(key, []).append(line)

    def take_back(self, line: FileLine) -> tuple[SoldPart, ...]:
        """Take a return's units from the latest sales; nothing is taken when they do not suffice."""
        stack, missing = self.sales.get((line.buyer_key, line.sku), []), -line.quantity
        if sum(sale.quantity - self.returned.get(sale.line_no, 0) for sale in stack) < missing:
            return ()
        parts: list[SoldPart] = []
        while missing:
            sale = stack[-1]
            before = self.returned.get(sale.line_no, 0)
            quantity = min(missing, sale.quantity - before)
            parts.append(SoldPart(sale, quantity))
            self.returned[sale.line_no] = before + quantity
            missing -= quantity
            if before + quantity == sale.quantity:
                stack.pop()
        return tuple(parts)


def _reason_of_kind(line: FileLine) -> LineReason | None:
    """Return why quantity, price and number of a product line do not go together, or None."""
    if line.price_minor < 0:
        return LineReason.NEGATIVE_PRICE
    if line.is_return_number:
        return LineReason.POSITIVE_RETURN if line.quantity > 0 else LineReason.ZERO_PRICE if line.price_minor == 0 else None
    if line.quantity < 0:
        return LineReason.PRICED_ADJUSTMENT if line.price_minor else None
    return LineReason.ZERO_PRICE if line.price_minor == 0 else None


def _reason_of_place(line: FileLine, served_countries: frozenset[str] | None) -> LineReason | None:
    if not line.country_code:
        return LineReason.UNKNOWN_COUNTRY
    is_served = served_countries is None or line.country_code in served_countries or line.is_return_number
    return None if is_served else LineReason.DESTINATION_NOT_SERVED


class _Desk(Struct, frozen=True):
    """Decides lines one after the other and keeps what later ones need: earlier sales, and whose each order is."""

    served_countries: frozenset[str] | None
    refuse_sale: RefuseSale
    sold: _Sold
    found: Classified = field(default_factory=lambda: Classified([], [], [], [], []))
    carriage: list[FileLine] = field(default_factory=list[FileLine])
    buyers: dict[tuple[date, str], tuple[str, str]] = field(default_factory=dict[tuple[date, str], tuple[str, str]])

    def decide(self, line: FileLine) -> str | None:
        """Keep a line as what it is, or return why it is refused."""
        if is_service_code(line.sku):
            return self._service(line)
        if reason := _reason_of_kind(line):
            return reason
        if line.quantity < 0 and not line.is_return_number:
            self.found.adjustments.append(line)
            return None
        if reason := _reason_of_place(line, self.served_countries):
            return reason
        return self._return(line) if line.quantity < 0 else self._sale(line)

    def decide_carriage(self, line: FileLine) -> str | None:
        """Accept carriage of an order that has an accepted sale; last of all, since a shop may write it above the products."""
        if self.buyers.get((line.on, line.order_number)) != (line.buyer_key, line.country_code):
            return service_reason(line.sku)
        self.found.charges.append(line)
        return None

    def _service(self, line: FileLine) -> str | None:
        if line.sku in CARRIAGE_CODES and line.quantity > 0 and line.price_minor > 0 and not line.is_return_number:
            self.carriage.append(line)
            return None
        return service_reason(line.sku)

    def _return(self, line: FileLine) -> str | None:
        parts = self.sold.take_back(line)
        if not parts:
            return LineReason.RETURN_WITHOUT_SALE
        self.found.returns.append(ReturnedLine(line, parts))
        return None

    def _sale(self, line: FileLine) -> str | None:
        if reason := self.refuse_sale(line):
            return reason
        buyer = (line.buyer_key, line.country_code)
        if self.buyers.setdefault((line.on, line.order_number), buyer) != buyer:
            return LineReason.ORDER_BUYER_DIFFERS
        self.sold.add(line)
        self.found.sales.append(line)
        return None


def classify_lines(
    lines: Sequence[FileLine], currency: str, served_countries: frozenset[str] | None = None, refuse_sale: RefuseSale = accept_any
) -> Classified:
    """Decide lines that stand in the order of time; `served_countries` None means all, `refuse_sale` may name a further reason per sale."""
    returning = frozenset((line.buyer_key, line.sku) for line in lines if line.quantity < 0 and line.is_return_number)
    desk = _Desk(served_countries, refuse_sale, _Sold(returning))
    reasons = [(line, desk.decide(line)) for line in lines]
    reasons += [(line, desk.decide_carriage(line)) for line in desk.carriage]
    decimals = decimals_of(currency)
    desk.found.refused.extend(
        RefusedLine(line.line_no, str(reason), Decimal(line.value_minor).scaleb(-decimals)) for line, reason in reasons if reason
    )
    desk.found.refused.sort(key=lambda refused: refused.line_no)
    return desk.found
