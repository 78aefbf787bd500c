"""What a buyer means to order of a store: units of offers, kept until they are ordered or put back."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct

from entrepot.base.errors import RefusedInputError
from entrepot.base.quantity import require_positive
from entrepot.base.sql import Conn, columns, execute, fetch
from entrepot.orders.model import LineAsk

BASKET_LINES: Final = 50
UNITS_PER_LINE: Final = 999


class BasketFullError(RefusedInputError):
    """A basket holds as many different offers as it may; order or remove some first."""


class BasketLine(Struct, frozen=True):
    """Units of one offer in a person's basket of a store."""

    merchant_id: uuid.UUID
    offer_id: uuid.UUID
    quantity: int

    @property
    def ask(self) -> LineAsk:
        """The line as a checkout asks for it."""
        return LineAsk(self.merchant_id, self.offer_id, self.quantity)


def add_to_basket(lines: Sequence[BasketLine], line: BasketLine) -> list[BasketLine]:
    """Return a basket with more units of an offer, at most as many as a line may hold; refuse one offer more than a basket may hold."""
    require_positive(line.quantity)
    known = next((one for one in lines if one.offer_id == line.offer_id), None)
    if known is None:
        require_room(len(lines) + 1)
        return [*lines, BasketLine(line.merchant_id, line.offer_id, min(line.quantity, UNITS_PER_LINE))]
    more = BasketLine(known.merchant_id, known.offer_id, min(known.quantity + line.quantity, UNITS_PER_LINE))
    return [more if one is known else one for one in lines]


def merge_baskets(kept: Sequence[BasketLine], carried: Sequence[BasketLine]) -> list[BasketLine]:
    """Return a signed-in person's basket with what was put in before signing in, as far as there is room; the greater number of units counts."""
    merged = {one.offer_id: one for one in kept}
    for one in carried:
        known = merged.get(one.offer_id)
        if known is None and len(merged) < BASKET_LINES:
            merged[one.offer_id] = one
        elif known is not None and one.quantity > known.quantity:
            merged[one.offer_id] = BasketLine(known.merchant_id, known.offer_id, one.quantity)
    return list(merged.values())


def require_room(line_count: int) -> None:
    """Refuse a basket with more offers than it may hold."""
    if line_count > BASKET_LINES:
        raise BasketFullError("basket", line_count, "Keep at most %(most)s different offers in one basket.", most=BASKET_LINES)


async def read_basket(conn: Conn, person_id: uuid.UUID, marketplace_code: str) -> list[BasketLine]:
    """Return what a person's basket of a store holds, in the order in which it was put in."""
    rows = await fetch(
        conn,
        """
        select merchant_id, offer_id, quantity from basket_line
        where person_id = %(person)s and marketplace_code = %(store)s order by at, offer_id
        """,
        {"person": person_id, "store": marketplace_code},
    )
    return [BasketLine(*row) for row in rows]


async def keep_basket(conn: Conn, person_id: uuid.UUID, marketplace_code: str, lines: Sequence[BasketLine], at: datetime) -> None:
    """Let a person's basket of a store hold exactly these lines; what stays keeps its place."""
    require_room(len(lines))
    for line in lines:
        require_positive(line.quantity)
    params = {"person": person_id, "store": marketplace_code, "at": at, **columns(lines, "merchant_id", "offer_id", "quantity")}
    await execute(
        conn,
        """
        delete from basket_line where person_id = %(person)s and marketplace_code = %(store)s and offer_id <> all(%(offer_id)s::uuid[])
        """,
        params,
    )
    await execute(
        conn,
        """
        insert into basket_line (person_id, marketplace_code, offer_id, merchant_id, quantity, at)
        select %(person)s, %(store)s, t.offer_id, t.merchant_id, t.quantity, %(at)s + t.place * interval '1 microsecond'
        from unnest(%(merchant_id)s::uuid[], %(offer_id)s::uuid[], %(quantity)s::bigint[]) with ordinality
            as t(merchant_id, offer_id, quantity, place)
        on conflict (person_id, marketplace_code, offer_id) do update set quantity = excluded.quantity
        """,
        params,
    )


async def take_from_basket(conn: Conn, person_id: uuid.UUID, marketplace_code: str, offer_ids: Sequence[uuid.UUID]) -> None:
    """Take offers out of a person's basket, as when they were ordered."""
    await execute(
        conn,
        "delete from basket_line where person_id = %(person)s and marketplace_code = %(store)s and offer_id = any(%(offers)s::uuid[])",
        {"person": person_id, "store": marketplace_code, "offers": list(offer_ids)},
    )
