"""A merchant's stock: what lies where, what is promised, and every move behind it."""

import uuid
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Final
from urllib.parse import urlencode

from litestar import Response, get
from litestar.params import FromQuery, QueryParameter

from entrepot.base.sql import Conn
from entrepot.books.stock.read import Held, list_availability, list_locations, list_moves
from entrepot.books.stock.stock_list import sum_availability
from entrepot.catalogue.item_list import ItemName, find_item_id, list_skus, name_items
from entrepot.catalogue.model import UnknownStockItemError
from entrepot.parties.model import Merchant, MerchantKind, UnknownMerchantError
from entrepot.parties.store import list_merchants
from entrepot.surfaces.web.access import HOUSE, MERCHANTS, Visitor, VisitorDep, open_to
from entrepot.surfaces.web.house import HouseDep
from entrepot.surfaces.web.languages import mark
from entrepot.surfaces.web.render import page

_ROWS: Final = 100
_MOST_SKUS: Final = 500
"""How many SKUs the field offers; others are typed."""
_VIEWS: Final = (("available", mark("Available")), ("balances", mark("Balances")), ("moves", mark("Moves")))


@get("/stock", opt=open_to(MERCHANTS, HOUSE))
async def show_stock(
    house: HouseDep,
    visitor: VisitorDep,
    view: FromQuery[str] = "available",
    merchant: FromQuery[str] = "",
    item: FromQuery[str] = "",
    page_no: Annotated[int, QueryParameter(name="page", ge=1, le=100_000)] = 1,
) -> Response[str]:
    """Show one merchant's stock; the house chooses the merchant."""
    view = view if view in dict(_VIEWS) else "available"
    async with house.database.reading() as conn:
        merchants = await list_merchants(conn, MerchantKind.MERCHANT)
        chosen = choose_merchant(visitor, merchants, merchant)
        item_id = await _item_id(conn, chosen, item)
        values: dict[str, object] = {"available": [], "held": [], "moves": [], "has_more": False, "sums": None}
        shown: set[uuid.UUID] = set()
        held: list[Held] = []
        skip = (page_no - 1) * _ROWS
        if chosen is not None and view == "available":
            rows = await list_availability(conn, chosen.merchant_id, item_id, _ROWS + 1, skip)
            values |= {"available": rows[:_ROWS], "has_more": len(rows) > _ROWS, "sums": await sum_availability(conn, chosen.merchant_id, item_id)}
            shown = {one.key.stock_item_id for one in rows}
        elif chosen is not None and view == "balances":
            held = await list_locations(conn, chosen.merchant_id, item_id, _ROWS + 1, skip)
            shown = {one.location.stock_item_id for one in held}
            values |= {"has_more": len(held) > _ROWS, "is_whole": page_no == 1 and len(held) <= _ROWS}
        elif chosen is not None:
            moves = await list_moves(conn, chosen.merchant_id, item_id, _ROWS + 1, skip)
            values |= {"moves": moves[:_ROWS], "has_more": len(moves) > _ROWS}
            shown = {one.stock_item_id for one in moves}
        items = await name_items(conn, chosen.merchant_id, sorted(shown), visitor.language.subtag) if chosen is not None else {}
        skus = await list_skus(conn, chosen.merchant_id, _MOST_SKUS) if chosen is not None else []
        if chosen is not None and view == "balances":
            values["held"] = _by_sku(items, held[:_ROWS])
    code = merchant if visitor.sees_house else ""
    values |= {
        "view": view,
        "views": _VIEWS,
        "merchants": merchants if visitor.sees_house else [],
        "merchant": chosen,
        "items": items,
        "skus": skus,
        "item": item,
        "page_no": page_no,
        "query": partial(_query, view, code, item),
    }
    return page("stock.html", visitor, values)


def choose_merchant(visitor: Visitor, merchants: list[Merchant], code: str) -> Merchant | None:
    """Return the visitor's own merchant, or for the house the one it names, at first the first of the list."""
    if visitor.merchant_id is not None:
        mine = next(one for one in merchants if one.merchant_id == visitor.merchant_id)
        if code not in {"", mine.code}:
            raise UnknownMerchantError("merchant", code, "Open the page from your own menu.")
        return mine
    if not code:
        return merchants[0] if merchants else None
    named = next((one for one in merchants if one.code == code), None)
    if named is None:
        raise UnknownMerchantError("merchant", code, "Choose a merchant from the list.")
    return named


def _by_sku(items: Mapping[uuid.UUID, ItemName], held: list[Held]) -> list[tuple[uuid.UUID, list[Held]]]:
    """Gather what lies where by item, in order of SKU; buildings first, then where else units are, sources last."""
    groups: dict[uuid.UUID, list[Held]] = {}
    for one in held:
        groups.setdefault(one.location.stock_item_id, []).append(one)
    return [
        (item_id, sorted(rows, key=lambda one: (one.location.place_code.startswith("@"), one.location.is_source)))
        for item_id, rows in sorted(groups.items(), key=lambda group: items[group[0]].sku if group[0] in items else "")
    ]


async def _item_id(conn: Conn, merchant: Merchant | None, sku: str) -> uuid.UUID | None:
    """Return the item with this SKU; no SKU means all."""
    if not sku or merchant is None:
        return None
    found = await find_item_id(conn, merchant.merchant_id, sku)
    if found is None:
        raise UnknownStockItemError("item", sku, "Choose a SKU from the list.")
    return found


def _query(chosen_view: str, merchant: str, chosen_item: str, **changed: object) -> str:
    """Return the page's address with some of its filters changed."""
    chosen: dict[str, object] = {"view": chosen_view, "merchant": merchant, "item": chosen_item, **changed}
    return "/stock?" + urlencode({name: value for name, value in chosen.items() if value not in {"", 1}})
