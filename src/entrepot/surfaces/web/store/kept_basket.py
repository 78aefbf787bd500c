"""Where a visitor's basket lies: of signed-in buyers in the database, of others in a cookie until they sign in."""

import base64
import binascii
import uuid
from collections.abc import Callable, Sequence
from typing import Final

from litestar.datastructures import Cookie

from entrepot.base.sql import Conn
from entrepot.orders.basket import UNITS_PER_LINE, BasketLine, keep_basket, merge_baskets, read_basket
from entrepot.surfaces.web.access import Visitor, WebRequest, choice_cookie
from entrepot.surfaces.web.house import House, business_now

BASKET_COOKIE: Final = "entrepot_basket"
CARRIED_LINES: Final = 20
"""Offers that a cookie carries; a browser keeps 4 KB."""

Change = Callable[[list[BasketLine]], list[BasketLine]]


async def current_basket(conn: Conn, request: WebRequest, visitor: Visitor, store: str) -> list[BasketLine]:
    """Return what a visitor's basket of a store holds, with what was put in before signing in."""
    carried = _carried(request, store)
    if visitor.person_id is None:
        return carried
    return merge_baskets(await read_basket(conn, visitor.person_id, store), carried)


async def count_basket(conn: Conn, request: WebRequest, visitor: Visitor, store: str) -> int:
    """Return the units in a visitor's basket of a store."""
    return sum(one.quantity for one in await current_basket(conn, request, visitor, store))


async def change_basket(house: House, request: WebRequest, visitor: Visitor, store: str, change: Change) -> list[Cookie]:
    """Change a visitor's basket of a store; return the cookies with which the browser goes on."""
    person_id = visitor.person_id
    if person_id is None:
        return [_cookie(request, visitor, store, change(_carried(request, store)))]

    async def keep(conn: Conn) -> None:
        lines = change(await current_basket(conn, request, visitor, store))
        await keep_basket(conn, person_id, store, lines, await business_now(conn))

    await house.database.writing(keep)
    return emptied(request, visitor, store)


def emptied(request: WebRequest, visitor: Visitor, store: str) -> list[Cookie]:
    """Return the cookie without what it carried of a store, if it carried anything."""
    return [_cookie(request, visitor, store, [])] if _carried(request, store) else []


def _carried(request: WebRequest, store: str) -> list[BasketLine]:
    """Return what the cookie carries of a store; what cannot be read was not written by us and is left out."""
    return [line for code, line in _entries(request) if code == store]


def _entries(request: WebRequest) -> list[tuple[str, BasketLine]]:
    entries: list[tuple[str, BasketLine]] = []
    for text in request.cookies.get(BASKET_COOKIE, "").split("!")[:CARRIED_LINES]:
        parts = text.split(".")
        if len(parts) == 4 and parts[3].isdecimal() and len(parts[3]) <= 3 and 0 < int(parts[3]) <= UNITS_PER_LINE:
            merchant_id, offer_id = _read_id(parts[1]), _read_id(parts[2])
            if merchant_id is not None and offer_id is not None:
                entries.append((parts[0], BasketLine(merchant_id, offer_id, int(parts[3]))))
    return entries


def _cookie(request: WebRequest, visitor: Visitor, store: str, lines: Sequence[BasketLine]) -> Cookie:
    others = [(code, line) for code, line in _entries(request) if code != store]
    kept = [*others, *((store, line) for line in lines)][-CARRIED_LINES:]
    value = "!".join(f"{code}.{_written(line.merchant_id)}.{_written(line.offer_id)}.{line.quantity}" for code, line in kept)
    return choice_cookie(visitor, BASKET_COOKIE, value)


def _written(value: uuid.UUID) -> str:
    return base64.urlsafe_b64encode(value.bytes).decode().rstrip("=")


def _read_id(text: str) -> uuid.UUID | None:
    try:
        raw = base64.urlsafe_b64decode(text + "==")
    except (binascii.Error, ValueError):
        return None
    return uuid.UUID(bytes=raw) if len(raw) == 16 else None
