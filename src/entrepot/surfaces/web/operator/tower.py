"""The control tower: orders by model and state, and every exception with its owner, the most urgent first."""

from typing import Final

from litestar import Response, get
from litestar.response import Stream

from entrepot.orders.model import OrderState
from entrepot.orders.read import count_orders
from entrepot.parties.store import read_merchants
from entrepot.surfaces.web.access import HOUSE, VisitorDep, WebRequest, open_to
from entrepot.surfaces.web.house import HouseDep, business_now
from entrepot.surfaces.web.languages import mark
from entrepot.surfaces.web.listing import Cell, Column, Filter, Kind, Listing, Row, View
from entrepot.surfaces.web.operator.exceptions import KINDS, OWNERS, Exceptional, read_exceptions
from entrepot.surfaces.web.operator.rows import Texts, answer_rows
from entrepot.surfaces.web.operator_home import by_model
from entrepot.surfaces.web.words import words

LIST: Final = Listing(
    "exceptions",
    "/operator/tower",
    (
        Column("name", mark("Record"), is_sortable=True),
        Column("kind", mark("Exception"), is_sortable=True),
        Column("owner", mark("Owner"), is_sortable=True),
        Column("at", mark("Since or until"), Kind.TIME, is_sortable=True),
        Column("merchant", mark("Merchant"), is_sortable=True),
        Column("detail", mark("What is known")),
    ),
    (
        Filter("q", mark("Record, merchant or cause")),
        Filter("kind_code", mark("Any exception"), tuple(KINDS.items())),
        Filter("owner_code", mark("Any owner"), tuple(OWNERS.items())),
    ),
    tuple(View(code, title, {"kind_code": code}) for code, title in KINDS.items()),
    sort="at",
)
TEXTS: Final = Texts(
    "tower",
    mark("Control tower"),
    mark("What does not go its way by itself, and who moves it on"),
    mark("Nothing needs anybody"),
    mark("Exceptions appear here with their owner as soon as there is one."),
)
_OPEN: Final = frozenset({OrderState.PAID, OrderState.IN_WORK, OrderState.SHIPPED})


@get("/operator/tower", opt=open_to(HOUSE))
async def show_tower(request: WebRequest, house: HouseDep, visitor: VisitorDep) -> Response[str] | Stream:
    """Show orders by model and state above the list of exceptions."""
    _ = visitor.language.gettext
    async with house.database.reading() as conn:
        now = await business_now(conn)
        found = await read_exceptions(conn, now)
        counts = await house.tallies.read("orders", lambda: count_orders(conn))
        names = {key: one.name for key, one in (await read_merchants(conn, sorted({one.merchant_id for one in found}))).items()}
    rows = [
        Row(
            f"{one.kind}:{number}",
            {
                "name": Cell(words(visitor.language, one.name) if one.kind == "work_failed" else one.name, href=one.href),
                "kind": Cell(_(KINDS[one.kind])),
                "kind_code": Cell(one.kind),
                "owner": Cell(_(OWNERS[one.owner])),
                "owner_code": Cell(one.owner),
                "at": Cell(one.at),
                "merchant": Cell(names.get(one.merchant_id, "")),
                "detail": Cell(_told(one, visitor.language.gettext(words(visitor.language, one.detail)))),
            },
        )
        for number, one in enumerate(found)
    ]
    values: dict[str, object] = {
        "now": now,
        "states": [str(state) for state in OrderState],
        "models": by_model(counts, house.registry),
        "open_count": sum(count for _, state, count in counts if state in _OPEN),
        "held_count": sum(one.kind == "order_held" for one in found),
        "risk_count": sum(one.kind == "promise_at_risk" for one in found),
        "exception_count": len(found),
    }
    return await answer_rows(request, house, visitor, LIST, TEXTS, rows, values, "operator/tower.html")


def _told(one: Exceptional, in_words: str) -> str | None:
    """Return what is known of an exception: codes in words, what a program said as it is."""
    if not one.detail:
        return None
    return one.detail if one.kind in {"work_failed", "payout_failed"} else in_words
