"""Legal entities and the roles they fill per marketplace, with dates."""

from typing import Final

from litestar import Response, get
from litestar.response import Stream

from entrepot.parties.lists import list_role_holders
from entrepot.parties.model import MerchantKind
from entrepot.parties.store import list_merchants
from entrepot.surfaces.web.access import HOUSE, VisitorDep, WebRequest, open_to
from entrepot.surfaces.web.house import HouseDep, business_now
from entrepot.surfaces.web.languages import mark
from entrepot.surfaces.web.listing import Cell, Column, Filter, Kind, Listing, Row, View
from entrepot.surfaces.web.operator.rows import Texts, answer_rows

LIST: Final = Listing(
    "entities",
    "/operator/entities",
    (
        Column("entity", mark("Legal entity"), is_sortable=True),
        Column("country", mark("Registered in"), Kind.COUNTRY, is_sortable=True),
        Column("role", mark("Role"), Kind.WORDS, is_sortable=True, is_whole=True),
        Column("marketplace", mark("Store"), Kind.CODE, is_sortable=True),
        Column("from", mark("Valid from"), Kind.DAY, is_sortable=True),
        Column("to", mark("Before"), Kind.DAY, is_sortable=True),
        Column("holds", mark("Holds today"), is_sortable=True),
        Column("source", mark("Source"), is_optional=True),
    ),
    (Filter("q", mark("Entity, role or store")), Filter("now", mark("At any time"), (("yes", mark("Today")),))),
    (View("today", mark("Today"), {"now": "yes"}),),
    sort="entity",
)
TEXTS: Final = Texts(
    "entities",
    mark("Legal entities and roles"),
    mark("Which registered party fills which role in which store, and from when"),
    mark("No entity fills a role"),
    mark("Appoint the legal entities of the platform before a store opens."),
)


@get("/operator/entities", opt=open_to(HOUSE))
async def show_entities(request: WebRequest, house: HouseDep, visitor: VisitorDep) -> Response[str] | Stream:
    """Show all appointments of legal entities."""
    _ = visitor.language.gettext
    async with house.database.reading() as conn:
        today = (await business_now(conn)).date()
        holders = await list_role_holders(conn)
        entities = {one.merchant_id: one for one in await list_merchants(conn, MerchantKind.PLATFORM)}
    rows: list[Row] = []
    for one in holders:
        entity = entities.get(one.entity_merchant_id)
        is_now = one.effective_from <= today and (one.effective_to is None or today < one.effective_to)
        rows.append(
            Row(
                f"{one.marketplace_code}:{one.role_code}:{one.effective_from}",
                {
                    "entity": Cell(entity.name if entity else str(one.entity_merchant_id), href=f"/operator/merchants/{one.entity_merchant_id}"),
                    "country": Cell(entity.country_code if entity else None),
                    "role": Cell(one.role_code),
                    "marketplace": Cell(one.marketplace_code),
                    "from": Cell(one.effective_from),
                    "to": Cell(one.effective_to),
                    "holds": Cell(_("yes") if is_now else _("no")),
                    "now": Cell("yes" if is_now else "no"),
                    "source": Cell(one.source),
                },
            )
        )
    return await answer_rows(request, house, visitor, LIST, TEXTS, rows)
