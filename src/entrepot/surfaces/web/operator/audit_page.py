"""The audit log: who did what to which record, and why."""

import uuid
from typing import Final

from litestar import Response, get
from litestar.response import Stream
from msgspec.structs import replace

from entrepot.base.audit_list import list_acts, list_commands
from entrepot.parties.store import read_merchants
from entrepot.surfaces.web.access import HOUSE, VisitorDep, WebRequest, open_to
from entrepot.surfaces.web.house import HouseDep
from entrepot.surfaces.web.languages import mark
from entrepot.surfaces.web.listing import Ask, Cell, Column, Filter, Found, Kind, Listing, Row, UnknownListFieldError, View, answer_listing
from entrepot.surfaces.web.operator.rows import Texts
from entrepot.surfaces.web.order_view import noted
from entrepot.surfaces.web.words import words

LIST: Final = Listing(
    "audit",
    "/operator/audit",
    (
        Column("at", mark("When"), Kind.TIME),
        Column("command", mark("What"), Kind.WORDS, is_whole=True),
        Column("actor", mark("Who")),
        Column("role", mark("As"), Kind.WORDS, is_whole=True),
        Column("merchant", mark("Merchant"), is_whole=True),
        Column("record", mark("Record"), Kind.CODE),
        Column("note", mark("Why")),
        Column("request", mark("Request"), Kind.CODE, is_optional=True),
    ),
    (Filter("actor", mark("Login or program")), Filter("record", mark("Id of a record or merchant"))),
    (View("people", mark("By people"), {"people": "yes"}),),
)
TEXTS: Final = Texts(
    "audit",
    mark("Audit log"),
    mark("Every command with who gave it, when and why; nothing here is ever changed"),
    mark("Nothing was done yet"),
    mark("Every command appears here the moment it is given."),
)


@get("/operator/audit", opt=open_to(HOUSE))
async def show_audit(request: WebRequest, house: HouseDep, visitor: VisitorDep) -> Response[str] | Stream:
    """Show all acts, newest first."""
    async with house.database.reading() as conn:
        commands = await list_commands(conn)
    hidden = Filter("people", mark("By whom"), (("yes", mark("By people")),))
    chosen = Filter("command", mark("Any command"), tuple((code, words(visitor.language, code)) for code in commands))
    listing = replace(LIST, filters=(*LIST.filters, hidden, chosen))

    async def find(ask: Ask, limit: int, offset: int) -> Found:
        record = _as_id(ask.filters.get("record", ""))
        async with house.database.reading() as conn:
            found, count = await list_acts(
                conn, ask.filters.get("command", ""), ask.filters.get("actor", ""), record, ask.filters.get("people", ""), limit, offset
            )
            names = {key: one.name for key, one in (await read_merchants(conn, sorted({one.merchant_id for one in found}))).items()}
        rows = [
            Row(
                f"{one.subject_id}:{one.command_code}:{one.at.isoformat()}",
                {
                    "at": Cell(one.at),
                    "command": Cell(one.command_code),
                    "actor": Cell(one.actor_code),
                    "role": Cell(one.actor_role),
                    "merchant": Cell(names.get(one.merchant_id, "")),
                    "record": Cell(one.subject_id.hex[-8:], href=f"/search?q={one.subject_id}"),
                    "note": Cell(noted(visitor.language, one.note) or None),
                    "request": Cell(one.request_id or None),
                },
            )
            for one in found
        ]
        return Found(rows, count)

    return await answer_listing("operator/list.html", visitor, house, listing, request.query_params, find, {"texts": TEXTS, "done": ""})


def _as_id(text: str) -> uuid.UUID | None:
    """Return a typed id, or refuse what is none."""
    if not text:
        return None
    try:
        return uuid.UUID(text)
    except ValueError:
        raise UnknownListFieldError("record", text, "Paste the whole id of a record.") from None
