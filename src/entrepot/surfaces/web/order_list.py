"""Lists of orders: the whole house's, a merchant's own, a buyer's own."""

from functools import partial
from typing import Annotated, Final
from urllib.parse import urlencode

from litestar import Response, get
from litestar.params import FromQuery, QueryParameter

from entrepot.base.errors import RefusedInputError
from entrepot.orders.model import OrderState
from entrepot.orders.read import OrderRow, count_states, list_orders, list_person_orders
from entrepot.parties.model import MerchantKind
from entrepot.parties.store import list_merchants
from entrepot.surfaces.web.access import BUYERS, HOUSE, MERCHANTS, VisitorDep, open_to, require_member
from entrepot.surfaces.web.house import HouseDep
from entrepot.surfaces.web.render import page
from entrepot.surfaces.web.words import state_words

PAGE_ROWS: Final = 50


class UnknownOrderStateError(RefusedInputError):
    """No order is ever in this state; choose one that the page offers."""


@get("/orders", opt=open_to(BUYERS, MERCHANTS, HOUSE))
async def show_orders(
    house: HouseDep,
    visitor: VisitorDep,
    in_state: Annotated[str, QueryParameter(name="state")] = "",
    model: FromQuery[str] = "",
    page_no: Annotated[int, QueryParameter(name="page", ge=1, le=100_000)] = 1,
) -> Response[str]:
    """Show the orders that the visitor may see."""
    member = require_member(visitor)
    if visitor.person_id is not None:
        async with house.database.reading() as conn:
            mine = await list_person_orders(conn, visitor.person_id, PAGE_ROWS)
        return page("buyer_orders.html", visitor, {"orders": mine})
    if in_state and in_state not in {str(state) for state in OrderState}:
        raise UnknownOrderStateError("state", in_state, "Use one of %(choices)s.", choices=tuple(OrderState))
    if model:
        house.registry.plan(model)
    async with house.database.reading() as conn:
        rows = await list_orders(conn, member.merchant_id, in_state or None, PAGE_ROWS + 1, (page_no - 1) * PAGE_ROWS, model or None)
        counts = await house.tallies.read(f"states {member.merchant_id} {model}", lambda: count_states(conn, member.merchant_id, model or None))
        names = {one.merchant_id: one.name for one in await list_merchants(conn, MerchantKind.MERCHANT)} if visitor.sees_house else {}
    titles = {plan.model_code: visitor.language.gettext(plan.model.title) for plan in house.registry.plans()}
    shown = rows[:PAGE_ROWS]
    values: dict[str, object] = {
        "orders": shown,
        "tabs": [
            ("", visitor.language.gettext("All"), sum(counts.values())),
            *((str(state), state_words(visitor.language, state), counts.get(state, 0)) for state in OrderState),
        ],
        "in_state": in_state,
        "model": model,
        "titles": titles,
        "names": names,
        "page_no": page_no,
        "has_more": len(rows) > PAGE_ROWS,
        "sums": _sums(shown),
        "first": (page_no - 1) * PAGE_ROWS + 1,
        "query": partial(_query, in_state, model),
    }
    return page("orders.html", visitor, values)


def _sums(orders: list[OrderRow]) -> list[tuple[str, int]]:
    """Return the value of the orders shown, by currency."""
    sums: dict[str, int] = {}
    for one in orders:
        sums[one.currency] = sums.get(one.currency, 0) + one.total_minor
    return sorted(sums.items())


def _query(in_state: str, model_code: str, **changed: object) -> str:
    """Return the list's address with some of its filters changed."""
    chosen: dict[str, object] = {"state": in_state, "model": model_code, **changed}
    return "/orders?" + urlencode({name: value for name, value in chosen.items() if value not in {"", 1}})
