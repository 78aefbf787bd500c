"""Stock and money to begin a test with."""

import uuid
from datetime import UTC, datetime, timedelta

from entrepot.base.ids import derived_id
from entrepot.books.money.model import Entry, MoneyPosting, Phase
from entrepot.books.stock.model import SUPPLIER, Consumption, Location, Move, ReservationAsk, StockKey, StockPosting

AT = datetime(2026, 5, 4, 9, tzinfo=UTC)
MERCHANT = derived_id("merchant", "books")
OTHER = derived_id("merchant", "other")
ITEM = derived_id("item", "books")


def key(place: str = "P1", item: uuid.UUID = ITEM, merchant: uuid.UUID = MERCHANT) -> StockKey:
    return StockKey(merchant, merchant, item, place)


def spot(place: str, code: str = "-", item: uuid.UUID = ITEM, merchant: uuid.UUID = MERCHANT) -> Location:
    return Location(merchant, merchant, item, place, code)


def posting(name: str, *moves: Move, merchant: uuid.UUID = MERCHANT, consumptions: tuple[Consumption, ...] = ()) -> StockPosting:
    return StockPosting(merchant, derived_id("posting", name), AT, "test", derived_id("cause", name), moves, consumptions)


def receipt(name: str, quantity: int, place: str = "P1", item: uuid.UUID = ITEM, merchant: uuid.UUID = MERCHANT) -> StockPosting:
    return posting(name, Move(spot(SUPPLIER, "-", item, merchant), spot(place, "bin:A", item, merchant), quantity), merchant=merchant)


def ask(order: str, quantity: int, place: str = "P1", item: uuid.UUID = ITEM, merchant: uuid.UUID = MERCHANT, minutes: int = 0) -> ReservationAsk:
    return ReservationAsk(merchant, derived_id("order", order), 1, 1, key(place, item, merchant), quantity, AT + timedelta(minutes=minutes), None)


def part(order: str, quantity: int, merchant: uuid.UUID = MERCHANT) -> Consumption:
    return Consumption(merchant, derived_id("order", order), 1, 1, quantity)


def sale(name: str, *entries: tuple[str, int], merchant: uuid.UUID = MERCHANT, phase: Phase = Phase.POSTED, currency: str = "EUR") -> MoneyPosting:
    rows = [Entry(account, currency, minor) for account, minor in entries]
    return MoneyPosting(merchant, derived_id("money", name), AT, "sale", "order", derived_id("order", name), rows, phase)
