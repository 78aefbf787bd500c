"""What goes back: units that are cancelled before they leave, and units that arrived and are returned, graded, restocked and paid back.

A buyer asks in time even where the file has the goods back months later: the wish is then recorded while the policy still allows it.
"""

import uuid
from collections.abc import Sequence
from datetime import date, datetime
from typing import Final

from msgspec import Struct

from entrepot.aftersales.model import ReturnUnits
from entrepot.base.actor import Actor, ActorKind
from entrepot.base.sql import Conn
from entrepot.flows.cancel import CancelAsk, CancelOutcome, cancel_units
from entrepot.flows.outside import Outside
from entrepot.flows.return_goods import (
    BackReceipt,
    Graded,
    ReturnVerdict,
    ReturnWish,
    Verdict,
    WishAnswer,
    ask_returns,
    decide_returns,
    grade_back,
    receive_back,
    send_back,
)
from entrepot.warehouse.grading import Disposition, Grade
from entrepot.world.import_catalogue import IMPORTER, Shop
from entrepot.world.import_stock import FLOOR
from entrepot.world.order_lines import FileLine

BUYER: Final = Actor(ActorKind.BUYER, "order-file", "buyer")
CHANGED_MIND: Final = "changed_mind"
_PART: Final = 1
"""All units of a SKU lie at one place, so that every line is served in one part."""


class LineRef(Struct, frozen=True):
    """An order line in the books."""

    merchant_id: uuid.UUID
    order_id: uuid.UUID
    line_no: int


class TakenBack(Struct, frozen=True):
    """Units of an order line that go back, by which return and line of the file, and when they were sold."""

    ref: LineRef
    quantity: int
    sold_on: date
    return_number: str
    line: FileLine


class _Wish(Struct, frozen=True):
    """A wish, and its units by model, in the order in which the RMAs are numbered."""

    wish: ReturnWish
    parts: tuple[TakenBack, ...]
    groups: tuple[tuple[tuple[int, int, str], ...], ...]


async def cancel_sales(conn: Conn, outside: Outside, parts: Sequence[TakenBack], now: datetime) -> list[tuple[FileLine, str]]:
    """Cancel units of today's sales, which have not left yet; return the lines of the file that could not be, each with the reason."""
    asks = [
        CancelAsk(
            one.ref.merchant_id, one.ref.order_id, one.ref.line_no, one.quantity, "buyer", CHANGED_MIND, f"{one.return_number} {one.line.line_no}"
        )
        for one in parts
    ]
    answers = await cancel_units(conn, outside, asks, BUYER, now) if asks else []
    return [
        (one.line, f"cancellation_{answer.outcome}") for one, answer in zip(parts, answers, strict=True) if answer.outcome is not CancelOutcome.DONE
    ]


async def ask_ahead(conn: Conn, outside: Outside, shop: Shop, parts: Sequence[TakenBack], now: datetime) -> list[tuple[FileLine, str]]:
    """Record wishes whose goods come back only later; return the lines of the file that are refused, each with the reason."""
    _, refused = await _ask(conn, outside, _wishes(shop, parts), now)
    return refused


async def return_sales(conn: Conn, outside: Outside, shop: Shop, parts: Sequence[TakenBack], now: datetime) -> list[tuple[FileLine, str]]:
    """Take back units that arrived: asked for, approved, sent, received, graded; return the lines of the file that are refused."""
    if not parts:
        return []
    allowed, refused = await _ask(conn, outside, _wishes(shop, parts), now)
    keys = [(one.wish.merchant_id, rma_id) for one, rma_ids in allowed for rma_id in rma_ids]
    await send_back(conn, outside, keys, BUYER, now)
    receipts: list[BackReceipt] = []
    found: list[Graded] = []
    for one, rma_ids in allowed:
        merchant_id = one.wish.merchant_id
        for rma_id, units in zip(rma_ids, one.groups, strict=True):
            receipts.append(BackReceipt(merchant_id, rma_id, tuple(ReturnUnits(line_no, _PART, quantity) for line_no, quantity, _ in units)))
            found += [
                Graded(merchant_id, rma_id, line_no, _PART, quantity, Grade.SELLABLE, Disposition.RESTOCK, _bin(shop, sku))
                for line_no, quantity, sku in units
            ]
    await receive_back(conn, outside, receipts, FLOOR, now)
    await grade_back(conn, outside, found, FLOOR, now)
    return refused


def _bin(shop: Shop, sku: str) -> str | None:
    """Return the bin that takes a SKU back; a merchant's own site has none."""
    return shop.bin_of(sku) if shop.place_of(sku).merchant_id is None else None


def _wishes(shop: Shop, parts: Sequence[TakenBack]) -> list[_Wish]:
    """Return one wish for each return and order of the file, the units of each line added up."""
    grouped: dict[tuple[date, str, uuid.UUID], list[TakenBack]] = {}
    for one in parts:
        grouped.setdefault((one.line.on, one.return_number, one.ref.order_id), []).append(one)
    wishes: list[_Wish] = []
    for (on, number, order_id), members in grouped.items():
        units: dict[int, tuple[int, str]] = {}
        for one in members:
            units[one.ref.line_no] = (units.get(one.ref.line_no, (0, ""))[0] + one.quantity, one.line.sku)
        groups: dict[str, list[tuple[int, int, str]]] = {}
        for line_no, (quantity, sku) in sorted(units.items()):
            groups.setdefault(shop.model_of(sku), []).append((line_no, quantity, sku))
        asked = tuple((line_no, quantity) for line_no, (quantity, _) in sorted(units.items()))
        wish = ReturnWish(members[0].ref.merchant_id, order_id, asked, CHANGED_MIND, f"{on} {number}")
        wishes.append(_Wish(wish, tuple(members), tuple(tuple(group) for group in groups.values())))
    return wishes


async def _ask(
    conn: Conn, outside: Outside, wishes: Sequence[_Wish], now: datetime
) -> tuple[list[tuple[_Wish, tuple[uuid.UUID, ...]]], list[tuple[FileLine, str]]]:
    """Ask, let the merchant approve what it takes itself, and return the RMAs of what is allowed beside the lines of what is not."""
    answers = await ask_returns(conn, outside, [one.wish for one in wishes], BUYER, now)
    allowed = [(one, answer.rma_ids) for one, answer in zip(wishes, answers, strict=True) if answer.rma_ids]
    verdicts = [ReturnVerdict(one.wish.merchant_id, rma_id, Verdict.APPROVE) for one, rma_ids in allowed for rma_id in rma_ids]
    await decide_returns(conn, outside, verdicts, IMPORTER, now)
    refused = [(part.line, _reason(answer)) for one, answer in zip(wishes, answers, strict=True) if not answer.rma_ids for part in one.parts]
    return allowed, refused


def _reason(answer: WishAnswer) -> str:
    return f"return_{answer.code}"
