"""The accepted lines of an order file, grouped as they are played: business days with orders, returns and adjustments; products and buyers."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import TypeVar

from msgspec import Struct

from entrepot.world.order_lines import ANONYMOUS, Classified, FileLine, ReturnedLine

Counted = TypeVar("Counted", str, int)


class OrderDraft(Struct, frozen=True):
    """An order of the file: number, day, time of its first sale, buyer, destination, its sales and its carriage."""

    order_number: str
    on: date
    at: datetime
    buyer_key: str
    country_code: str
    lines: tuple[FileLine, ...]
    charges: tuple[FileLine, ...]


class ReturnDraft(Struct, frozen=True):
    """A return of the file: number, day, time, buyer and its lines with the sales they take back."""

    order_number: str
    on: date
    at: datetime
    buyer_key: str
    lines: tuple[ReturnedLine, ...]


class BusinessDay(Struct, frozen=True):
    """What happened on one date of the shop; orders come before returns, since a return takes back an earlier sale."""

    on: date
    orders: tuple[OrderDraft, ...]
    returns: tuple[ReturnDraft, ...]
    adjustments: tuple[FileLine, ...]


class ProductDraft(Struct, frozen=True):
    """A product of the file: its most frequent text and price (ties to the earlier), units sold, first sale (None: only adjusted)."""

    sku: str
    title: str
    price_minor: int
    sold_quantity: int
    first_at: datetime | None


class BuyerDraft(Struct, frozen=True):
    """A buyer of the file and the country of the first accepted order."""

    buyer_key: str
    country_code: str
    first_at: datetime

    @property
    def is_anonymous(self) -> bool:
        """Whether this stands for all buyers of the country without a customer number."""
        return self.buyer_key.startswith(ANONYMOUS)


def group_days(found: Classified) -> tuple[BusinessDay, ...]:
    """Group accepted lines by date and order number, in the order of time."""
    sales, charges = _by_number(found.sales), _by_number(found.charges)
    returns: dict[tuple[date, str, str], list[ReturnedLine]] = {}
    for returned in found.returns:
        returns.setdefault((returned.line.on, returned.line.order_number, returned.line.buyer_key), []).append(returned)
    orders_on: dict[date, list[OrderDraft]] = {}
    for (on, number), lines in sales.items():
        first = lines[0]
        draft = OrderDraft(number, on, first.at, first.buyer_key, first.country_code, tuple(lines), tuple(charges.get((on, number), ())))
        orders_on.setdefault(on, []).append(draft)
    returns_on: dict[date, list[ReturnDraft]] = {}
    for (on, number, buyer_key), taken in returns.items():
        returns_on.setdefault(on, []).append(ReturnDraft(number, on, taken[0].line.at, buyer_key, tuple(taken)))
    adjusted_on: dict[date, list[FileLine]] = {}
    for line in found.adjustments:
        adjusted_on.setdefault(line.on, []).append(line)
    return tuple(
        BusinessDay(on, tuple(orders_on.get(on, ())), tuple(returns_on.get(on, ())), tuple(adjusted_on.get(on, ())))
        for on in sorted(orders_on.keys() | returns_on.keys() | adjusted_on.keys())
    )


def _by_number(lines: Iterable[FileLine]) -> dict[tuple[date, str], list[FileLine]]:
    grouped: dict[tuple[date, str], list[FileLine]] = {}
    for line in lines:
        grouped.setdefault((line.on, line.order_number), []).append(line)
    return grouped


def list_products(found: Classified) -> tuple[ProductDraft, ...]:
    """Return every product that a sale or an adjustment names, sorted by SKU; without any text the SKU is its title."""
    titles: dict[str, dict[str, int]] = {}
    prices: dict[str, dict[int, int]] = {}
    quantities: dict[str, int] = {}
    first_at: dict[str, datetime] = {}
    for line in found.sales:
        count_title, count_price = titles.setdefault(line.sku, {}), prices.setdefault(line.sku, {})
        if line.description:
            count_title[line.description] = count_title.get(line.description, 0) + 1
        count_price[line.price_minor] = count_price.get(line.price_minor, 0) + 1
        quantities[line.sku] = quantities.get(line.sku, 0) + line.quantity
        first_at.setdefault(line.sku, line.at)
    for line in found.adjustments:
        quantities.setdefault(line.sku, 0)
    return tuple(
        ProductDraft(
            sku,
            _most_frequent(titles.get(sku, {}), sku),
            _most_frequent(prices.get(sku, {}), 0),
            quantities[sku],
            first_at.get(sku),
        )
        for sku in sorted(quantities)
    )


def _most_frequent(counts: Mapping[Counted, int], default: Counted) -> Counted:
    return max(counts, key=lambda value: counts[value]) if counts else default


def list_buyers(found: Classified) -> tuple[BuyerDraft, ...]:
    """Return every buyer of an accepted sale, in the order of the first one."""
    buyers: dict[str, BuyerDraft] = {}
    for line in found.sales:
        if line.buyer_key not in buyers:
            buyers[line.buyer_key] = BuyerDraft(line.buyer_key, line.country_code, line.at)
    return tuple(buyers.values())


def sold_units(day: BusinessDay) -> dict[str, int]:
    """Return the units that one day sells by SKU, which must have been received before."""
    units: dict[str, int] = {}
    for order in day.orders:
        for line in order.lines:
            units[line.sku] = units.get(line.sku, 0) + line.quantity
    return units
