"""Jobs and due work: every later step that waits, why it failed, and trying again now."""

import uuid
from typing import Final

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect, Stream

from entrepot.base.due_rows import count_due_rows, list_due
from entrepot.base.sql import Conn
from entrepot.flows.retry_due import retry_due
from entrepot.flows.run_due import STEPS
from entrepot.parties.store import read_merchants
from entrepot.surfaces.web.access import HOUSE, OPERATORS, FormDep, VisitorDep, WebRequest, actor_of, open_to
from entrepot.surfaces.web.house import HouseDep, business_now
from entrepot.surfaces.web.languages import mark
from entrepot.surfaces.web.listing import Ask, Cell, Column, Filter, Found, Kind, Listing, Row, View, answer_listing
from entrepot.surfaces.web.operator.rows import Texts
from entrepot.surfaces.web.words import code_words

LIST: Final = Listing(
    "due",
    "/operator/due",
    (
        Column("step", mark("Step"), Kind.WORDS),
        Column("due_at", mark("Due"), Kind.TIME),
        Column("merchant", mark("Merchant")),
        Column("attempts", mark("Attempts"), Kind.NUMBER),
        Column("failure", mark("Why it failed last")),
    ),
    (
        Filter("step", mark("Any step"), tuple((code, code_words(code)) for code in STEPS)),
        Filter("failed", mark("Tried before or not"), (("yes", mark("Tried before")),)),
    ),
    (View("failed", mark("Tried before"), {"failed": "yes"}),),
)
TEXTS: Final = Texts(
    "due",
    mark("Due work"),
    mark("Later steps of orders, payments and customs, in the order in which they run"),
    mark("Nothing is due"),
    mark("Later steps of orders wait here until their time comes."),
)


@get("/operator/due", opt=open_to(HOUSE))
async def show_due(request: WebRequest, house: HouseDep, visitor: VisitorDep) -> Response[str] | Stream:
    """Show all open due work; operators may let what failed run now."""
    async with house.database.reading() as conn:
        now = await business_now(conn)

    async def find(ask: Ask, limit: int, offset: int) -> Found:
        step, failed = ask.filters.get("step"), ask.filters.get("failed", "")
        async with house.database.reading() as conn:
            found = await list_due(conn, step, failed, limit, offset)
            count = await count_due_rows(conn, step, failed)
            names = {key: one.name for key, one in (await read_merchants(conn, sorted({one.merchant_id for one in found}))).items()}
            counts = {"": await count_due_rows(conn, None, ""), "failed": await count_due_rows(conn, None, "yes")}
        rows = [
            Row(
                f"{one.step_code}/{one.merchant_id}/{one.subject_id}",
                {
                    "step": Cell(one.step_code, href=f"/search?q={one.subject_id}"),
                    "due_at": Cell(one.due_at),
                    "merchant": Cell(names.get(one.merchant_id)),
                    "attempts": Cell(one.attempt_count),
                    "failure": Cell(one.failure or None),
                },
            )
            for one in found
        ]
        return Found(rows, count, {}, counts)

    return await answer_listing("operator/due.html", visitor, house, LIST, request.query_params, find, {"texts": TEXTS, "now": now})


@post("/operator/due/{step_code:str}/{merchant_id:uuid}/{subject_id:uuid}/retry", status_code=200, opt=open_to(OPERATORS))
async def retry(
    house: HouseDep, visitor: VisitorDep, form: FormDep, step_code: FromPath[str], merchant_id: FromPath[uuid.UUID], subject_id: FromPath[uuid.UUID]
) -> Redirect:
    """Let a step that failed before be due now; the worker takes it with its next batch."""
    _ = form

    async def work(conn: Conn) -> None:
        await retry_due(conn, merchant_id, step_code, subject_id, actor_of(visitor), await business_now(conn))

    await house.database.writing(work)
    return Redirect("/operator/due?view=failed", status_code=303)
