"""The operator's first page: orders by model and state, due work, the books' proof and what happens right now."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Final

from litestar import Response, get
from litestar.response import ServerSentEvent, ServerSentEventMessage
from msgspec import Struct

from entrepot.base.audit import Fact, read_latest_facts
from entrepot.base.due import count_due
from entrepot.base.errors import EntrepotError
from entrepot.base.sql import Conn
from entrepot.books.money.read import read_totals
from entrepot.books.stock.read import read_units
from entrepot.operations.registry import Registry
from entrepot.orders.model import OrderState
from entrepot.orders.read import count_orders
from entrepot.parties.model import MerchantKind
from entrepot.parties.store import list_merchants
from entrepot.surfaces.web.access import HOUSE, VisitorDep, open_to
from entrepot.surfaces.web.house import House, HouseDep, business_now
from entrepot.surfaces.web.languages import Language
from entrepot.surfaces.web.render import fill, page

PROVEN_AT_ONCE: Final = 50_000
"""Orders up to which the books are proven for a page; to prove more takes a process of its own for minutes."""
_FEED_ROWS: Final = 12
_FEED_READ: Final = 60
_FEED_PAUSE_S: Final = 1.0
_BEATS_OF_SILENCE: Final = 15


class Happening(Struct, frozen=True):
    """One line of the live feed."""

    fact: Fact
    merchant: str
    link: str


@get("/operator", opt=open_to(HOUSE))
async def show_operator_home(house: HouseDep, visitor: VisitorDep) -> Response[str]:
    """Show the house at a glance."""
    async with house.database.reading() as conn:
        counts = await house.tallies.read("orders", lambda: count_orders(conn))
        due = await house.tallies.read("due", lambda: count_due(conn))
        now = await business_now(conn)
        facts = await _happenings(conn, await read_latest_facts(conn, _FEED_ROWS))
        units = dict(await house.tallies.read("units", lambda: read_units(conn)))
        held = [(account, currency, -posted) for account, currency, posted, _ in await read_totals(conn) if account in {"mer", "rsv"}]
    values: dict[str, object] = {
        "states": [str(state) for state in OrderState],
        "rows": by_model(counts, house.registry),
        "due": due,
        "now": now,
        "happenings": facts,
        "units_here": sum(quantity for code, quantity in units.items() if not code.startswith("@")),
        "units_away": units.get("@carrier", 0) + units.get("@transit", 0),
        "owed": _by_currency(held),
        "order_count": sum(count for _, _, count in counts),
        "open_count": sum(count for _, state, count in counts if state in {OrderState.PAID, OrderState.IN_WORK, OrderState.SHIPPED}),
    }
    return page("operator_home.html", visitor, values)


@get("/operator/proof", opt=open_to(HOUSE))
async def show_proof(house: HouseDep, visitor: VisitorDep) -> Response[str]:
    """Prove the books and show the outcome: a part of the operator's page, because it takes a while; a big house is not proven for a page."""
    async with house.database.reading() as conn:
        counts = await house.tallies.read("orders", lambda: count_orders(conn))
    is_small = sum(count for _, _, count in counts) <= PROVEN_AT_ONCE
    proof = await house.proofs.latest(house) if is_small else None
    return Response(fill("parts/proof.html", visitor.language, proof=proof), media_type="text/html")


@get("/operator/feed", opt=open_to(HOUSE) | {"streams": True})
async def follow_feed(house: HouseDep, visitor: VisitorDep) -> ServerSentEvent:
    """Send each new fact as a line for the page."""
    return ServerSentEvent(_feed(house, visitor.language))


async def _feed(house: House, language: Language) -> AsyncGenerator[ServerSentEventMessage]:
    """Yield facts that were not there when one looked last, oldest first; now and then a comment, so that a dead line is noticed."""
    seen: set[tuple[object, ...]] | None = None
    silence = 0
    while True:
        try:
            async with house.database.reading() as conn:
                facts = await read_latest_facts(conn, _FEED_READ)
                fresh = [fact for fact in reversed(facts) if seen is not None and _key(fact) not in seen]
                lines = await _happenings(conn, fresh)
        except EntrepotError:
            await asyncio.sleep(_FEED_PAUSE_S * 5)
            continue
        seen = {_key(fact) for fact in facts}
        silence = 0 if lines or silence >= _BEATS_OF_SILENCE else silence + 1
        for line in lines:
            yield ServerSentEventMessage(data=fill("parts/happening.html", language, one=line).strip(), event="fact")
        if silence == 0 and not lines:
            yield ServerSentEventMessage(comment="still here")
        await asyncio.sleep(_FEED_PAUSE_S)


def _key(fact: Fact) -> tuple[object, ...]:
    return (fact.merchant_id, fact.subject_id, fact.fact_code, fact.at)


async def _happenings(conn: Conn, facts: Sequence[Fact]) -> list[Happening]:
    """Name the merchants of facts and lead to their orders."""
    if not facts:
        return []
    names = {one.merchant_id: one.name for one in await list_merchants(conn, MerchantKind.MERCHANT)}
    return [
        Happening(fact, names.get(fact.merchant_id, ""), f"/orders/{fact.merchant_id}/{fact.subject_id}" if _is_of_order(fact) else "")
        for fact in facts
    ]


def _is_of_order(fact: Fact) -> bool:
    """Tell whether a fact's subject is an order."""
    return fact.fact_code.startswith(("order_", "parcel_")) or "number" in fact.content


def by_model(counts: Sequence[tuple[str, str, int]], registry: Registry) -> list[tuple[str, str, Mapping[str, int]]]:
    """Return for each model its code, title and orders by state, in the registry's order."""
    found: dict[str, dict[str, int]] = {code: {} for code in registry.codes}
    for model_code, state, count in counts:
        found.setdefault(model_code, {})[state] = count
    return [(code, registry.plan(code).model.title, states) for code, states in found.items()]


def _by_currency(held: Sequence[tuple[str, str, int]]) -> list[tuple[str, int, int]]:
    """Return for each currency what is payable and what is in reserve."""
    sums: dict[str, dict[str, int]] = {}
    for account, currency, minor in held:
        sums.setdefault(currency, {})[account] = minor
    return [(currency, accounts.get("mer", 0), accounts.get("rsv", 0)) for currency, accounts in sorted(sums.items()) if any(accounts.values())]
