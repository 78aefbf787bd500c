"""Customs entries: all declarations by state, and one with its lines, parties and message log."""

import uuid
from collections.abc import Mapping
from typing import Final

from litestar import Response, get
from litestar.params import FromPath
from litestar.response import Stream

from entrepot.base.errors import UnknownReferenceError
from entrepot.customs.lists import ListedDeclaration, count_declaration_states, find_declarations_listed
from entrepot.customs.model import DeclarationKind, DeclarationState
from entrepot.customs.read import read_declarations, read_messages
from entrepot.orders.read import read_orders
from entrepot.parties.store import read_merchants
from entrepot.surfaces.web.access import HOUSE, VisitorDep, WebRequest, open_to
from entrepot.surfaces.web.house import HouseDep
from entrepot.surfaces.web.languages import mark
from entrepot.surfaces.web.listing import Ask, Cell, Column, Filter, Found, Kind, Listing, Row, View, answer_listing, list_query
from entrepot.surfaces.web.operator.rows import Texts, ask_of
from entrepot.surfaces.web.render import page
from entrepot.surfaces.web.words import plain_words

LIST: Final = Listing(
    "declarations",
    "/operator/customs",
    (
        Column("kind", mark("Declaration"), Kind.WORDS, is_sortable=True),
        Column("state", mark("State"), Kind.STATE, is_sortable=True),
        Column("at", mark("Since"), Kind.TIME, is_sortable=True),
        Column("regime", mark("Procedure"), Kind.CODE, is_sortable=True),
        Column("from", mark("From"), Kind.COUNTRY, is_sortable=True),
        Column("to", mark("To"), Kind.COUNTRY, is_sortable=True),
        Column("merchant", mark("Merchant"), is_sortable=True),
        Column("cause", mark("Cause"), Kind.WORDS),
        Column("version", mark("Version"), Kind.TEXT, is_optional=True),
    ),
    (
        Filter("q", mark("Merchant, procedure or cause")),
        Filter("state", mark("Any state"), tuple((str(one), plain_words(one)) for one in DeclarationState)),
        Filter("kind", mark("Any kind"), tuple((str(one), plain_words(one)) for one in DeclarationKind)),
    ),
    tuple(View(str(one), plain_words(one), {"state": str(one)}) for one in DeclarationState),
    sort="-at",
)
TEXTS: Final = Texts(
    "customs",
    mark("Customs entries"),
    mark("What was declared, what customs decided, and what it waits for"),
    mark("Nothing was declared yet"),
    mark("Orders that cross a customs border are declared here by themselves."),
)


class UnknownEntryError(UnknownReferenceError):
    """No declaration has this id; open it from the list of customs entries."""


@get("/operator/customs", opt=open_to(HOUSE))
async def show_entries(request: WebRequest, house: HouseDep, visitor: VisitorDep) -> Response[str] | Stream:
    """Show all declarations."""

    async def find(ask: Ask, limit: int, offset: int) -> Found:
        async with house.database.reading() as conn:
            found = await find_declarations_listed(conn, await ask_of(conn, ask, limit, offset))
            counts = await house.tallies.read("declarations", lambda: count_declaration_states(conn))
            names = {key: one.name for key, one in (await read_merchants(conn, sorted({one.merchant_id for one in found.rows}))).items()}
        views = {str(one): counts.get(str(one), 0) for one in DeclarationState}
        rows = [_row(one, names) for one in found.rows]
        return Found(rows, found.count, {}, {"": sum(counts.values()), **views}, found.has_more)

    return await answer_listing("operator/list.html", visitor, house, LIST, list_query(request), find, {"texts": TEXTS, "done": ""})


def _row(one: ListedDeclaration, names: Mapping[uuid.UUID, str]) -> Row:
    cells = {
        "kind": Cell(one.kind, href=f"/operator/customs/{one.merchant_id}/{one.declaration_id}"),
        "state": Cell(one.state),
        "at": Cell(one.state_at),
        "regime": Cell(one.regime_code),
        "from": Cell(one.ship_from),
        "to": Cell(one.ship_to),
        "merchant": Cell(names.get(one.merchant_id, "")),
        "cause": Cell(one.cause_code or None),
        "version": Cell(str(one.version)),
    }
    return Row(str(one.declaration_id), cells)


@get("/operator/customs/{merchant_id:uuid}/{declaration_id:uuid}", opt=open_to(HOUSE))
async def show_entry(house: HouseDep, visitor: VisitorDep, merchant_id: FromPath[uuid.UUID], declaration_id: FromPath[uuid.UUID]) -> Response[str]:
    """Show one declaration with its lines, parties and messages."""
    async with house.database.reading() as conn:
        found = await read_declarations(conn, [merchant_id], [declaration_id])
        if not found:
            raise UnknownEntryError("declaration_id", str(declaration_id), "Open it from the list of customs entries.")
        messages = await read_messages(conn, merchant_id, declaration_id)
        merchants = await read_merchants(conn, [merchant_id])
        order_id = found[0].declaration.order_id
        orders = await read_orders(conn, [merchant_id], [order_id]) if order_id is not None else []
    values: dict[str, object] = {
        "stored": found[0],
        "one": found[0].declaration,
        "messages": messages,
        "merchant": merchants[merchant_id],
        "order_number": orders[0].number if orders else "",
    }
    return page("operator/declaration.html", visitor, values)
