"""Corrections of postings: proposed on one page by one person, decided on another by a second one."""

import secrets
import uuid
from collections.abc import Mapping
from typing import Annotated, Final

from litestar import Response, get, post
from litestar.params import FromPath, QueryParameter
from litestar.response import Redirect, Stream
from wtforms import Form, TextAreaField
from wtforms.validators import InputRequired, Length

from entrepot.base.money import CURRENCY_DECIMALS
from entrepot.base.sql import Conn
from entrepot.books.money.correction import (
    LONGEST_REASON,
    Correction,
    CorrectionState,
    list_corrections,
    read_account_codes,
    read_correction,
    reversed_entries,
)
from entrepot.books.money.model import Entry
from entrepot.books.money.read import read_posting
from entrepot.flows.correct_posting import Proposal, approve_correction, propose_correction, reject_correction, require_correctable
from entrepot.parties.staff import read_staff_names
from entrepot.parties.store import read_merchants
from entrepot.surfaces.web.access import FormDep, Visitor, VisitorDep, WebRequest, actor_of, open_to, require_member
from entrepot.surfaces.web.forms import read_form
from entrepot.surfaces.web.house import House, HouseDep, business_now
from entrepot.surfaces.web.languages import mark
from entrepot.surfaces.web.listing import Ask, Cell, Column, Filter, Found, Kind, Listing, Row, View, answer_listing, sift
from entrepot.surfaces.web.operator.audiences import APPROVERS, BOOKKEEPERS
from entrepot.surfaces.web.operator.correction_form import CorrectionForm, form_of
from entrepot.surfaces.web.operator.correction_form import read_correction as read_correction_form
from entrepot.surfaces.web.render import page
from entrepot.surfaces.web.words import named

_MOST: Final = 1000
_STATES: Final = ((str(CorrectionState.PROPOSED), mark("Proposed")), (str(CorrectionState.APPROVED), mark("Approved")), (str(CorrectionState.REJECTED), mark("Rejected")))  # fmt: skip
LIST: Final = Listing(
    "corrections",
    "/operator/corrections",
    (
        Column("proposed_at", mark("Proposed on"), Kind.TIME, is_sortable=True),
        Column("state", mark("State"), Kind.STATE, is_sortable=True),
        Column("merchant", mark("Merchant"), is_sortable=True),
        Column("reason", mark("Reason")),
        Column("proposed_by", mark("Proposed by"), is_sortable=True),
        Column("decided_by", mark("Decided by"), is_sortable=True),
        Column("decided_at", mark("Decided"), Kind.TIME, is_optional=True),
        Column("moved", mark("Amount"), Kind.MONEY, is_sortable=True),
    ),
    (Filter("q", mark("Reason, person or merchant")), Filter("state", mark("Any state"), _STATES)),
    (View("waiting", mark("Waiting for a second person"), {"state": "proposed"}),),
    sort="-proposed_at",
)


class RejectForm(Form):
    """Why a correction is not let count."""

    note = TextAreaField(mark("Why it is rejected"), [InputRequired(), Length(max=LONGEST_REASON)])


@get("/operator/corrections", opt=open_to(BOOKKEEPERS))
async def show_corrections(request: WebRequest, house: HouseDep, visitor: VisitorDep) -> Response[str] | Stream:
    """Show all corrections."""
    async with house.database.reading() as conn:
        found = await list_corrections(conn, _MOST)
        people = await read_staff_names(conn, _people(found))
        merchants = {key: one.name for key, one in (await read_merchants(conn, [one.merchant_id for one in found])).items()}
    names = {key: named(visitor.language, name) for key, name in people.items()}

    async def find(ask: Ask, limit: int, offset: int) -> Found:
        return sift(LIST, ask, [_row(one, names, merchants) for one in found], limit, offset)

    return await answer_listing("operator/corrections.html", visitor, house, LIST, request.query_params, find)


def _people(found: list[Correction]) -> list[uuid.UUID]:
    return sorted({staff_id for one in found for staff_id in (one.proposed_by, one.decided_by) if staff_id is not None})


def _row(one: Correction, people: Mapping[uuid.UUID, str], merchants: Mapping[uuid.UUID, str]) -> Row:
    currency = one.entries[0].currency
    moved = sum(entry.amount_minor for entry in one.entries if entry.amount_minor > 0 and entry.currency == currency)
    cells = {
        "proposed_at": Cell(one.proposed_at, href=f"/operator/corrections/{one.merchant_id}/{one.correction_id}"),
        "state": Cell(str(one.state), tone="warning" if one.state is CorrectionState.PROPOSED else ""),
        "merchant": Cell(merchants.get(one.merchant_id, "")),
        "reason": Cell(one.reason),
        "proposed_by": Cell(people.get(one.proposed_by, "")),
        "decided_by": Cell(people.get(one.decided_by, "") if one.decided_by else None),
        "decided_at": Cell(one.decided_at),
        "moved": Cell(moved, currency=currency),
    }
    return Row(str(one.correction_id), cells)


@get("/operator/corrections/new/{merchant_id:uuid}/{posting_id:uuid}", opt=open_to(BOOKKEEPERS))
async def show_new(
    house: HouseDep,
    visitor: VisitorDep,
    merchant_id: FromPath[uuid.UUID],
    posting_id: FromPath[uuid.UUID],
    reverse: Annotated[str, QueryParameter(name="reverse")] = "",
) -> Response[str]:
    """Show the form for a correction of a posting; with `reverse` it begins with the entries that take the posting back."""
    async with house.database.reading() as conn:
        await require_correctable(conn, merchant_id, posting_id)
        entries = [Entry(row.account_code, row.currency, row.amount_minor) for row in await read_posting(conn, merchant_id, posting_id)]
    form = form_of(reversed_entries(entries) if reverse else (), entries[0].currency, secrets.token_urlsafe(12))
    return await _form_page(house, visitor, merchant_id, posting_id, form)


async def _form_page(
    house: House, visitor: Visitor, merchant_id: uuid.UUID, posting_id: uuid.UUID, form: CorrectionForm, status: int = 200
) -> Response[str]:
    async with house.database.reading() as conn:
        entries = await read_posting(conn, merchant_id, posting_id)
        accounts = sorted(await read_account_codes(conn))
        merchants = await read_merchants(conn, [merchant_id])
    values: dict[str, object] = {
        "form": form,
        "head": entries[0],
        "entries": entries,
        "accounts": accounts,
        "currencies": sorted(CURRENCY_DECIMALS),
        "merchant_id": merchant_id,
        "merchant_name": merchants[merchant_id].name,
    }
    return page("operator/correction_new.html", visitor, values, status)


@post("/operator/corrections/new/{merchant_id:uuid}/{posting_id:uuid}", status_code=200, opt=open_to(BOOKKEEPERS))
async def propose(
    house: HouseDep, visitor: VisitorDep, form: FormDep, merchant_id: FromPath[uuid.UUID], posting_id: FromPath[uuid.UUID]
) -> Response[str] | Redirect:
    """Propose a correction and show it; sent twice it is proposed once, and what is wrong is told beside its field."""
    member = require_member(visitor)
    async with house.database.reading() as conn:
        await require_correctable(conn, merchant_id, posting_id)
        sent = read_correction_form(form, await read_account_codes(conn), visitor.language)
    if sent.is_wrong:
        return await _form_page(house, visitor, merchant_id, posting_id, sent, 422)
    ask = Proposal(merchant_id, posting_id, sent.reason, sent.entries, sent.request_key)

    async def work(conn: Conn) -> uuid.UUID:
        return await propose_correction(conn, ask, member.staff_id, actor_of(visitor), await business_now(conn))

    return Redirect(f"/operator/corrections/{merchant_id}/{await house.database.writing(work)}", status_code=303)


@get("/operator/corrections/{merchant_id:uuid}/{correction_id:uuid}", opt=open_to(BOOKKEEPERS))
async def show_correction(
    house: HouseDep, visitor: VisitorDep, merchant_id: FromPath[uuid.UUID], correction_id: FromPath[uuid.UUID]
) -> Response[str]:
    """Show one correction, with the way to decide it for a second person."""
    return await _correction_page(house, visitor, merchant_id, correction_id, read_form(RejectForm, None, visitor.language))


async def _correction_page(
    house: House, visitor: Visitor, merchant_id: uuid.UUID, correction_id: uuid.UUID, reject_form: RejectForm, status: int = 200
) -> Response[str]:
    member = require_member(visitor)
    async with house.database.reading() as conn:
        one = await read_correction(conn, merchant_id, correction_id)
        corrected = await read_posting(conn, merchant_id, one.corrects_id)
        people = await read_staff_names(conn, _people([one]))
        merchants = await read_merchants(conn, [merchant_id])
    values: dict[str, object] = {
        "one": one,
        "corrected": corrected,
        "people": people,
        "merchant_name": merchants[merchant_id].name,
        "is_own": one.proposed_by == member.staff_id,
        "may_decide": member.role in APPROVERS and one.proposed_by != member.staff_id and one.state is CorrectionState.PROPOSED,
        "reject_form": reject_form,
    }
    return page("operator/correction.html", visitor, values, status)


@post("/operator/corrections/{merchant_id:uuid}/{correction_id:uuid}/approve", status_code=200, opt=open_to(APPROVERS))
async def approve(
    house: HouseDep, visitor: VisitorDep, form: FormDep, merchant_id: FromPath[uuid.UUID], correction_id: FromPath[uuid.UUID]
) -> Redirect:
    """Let a correction count that somebody else proposed; twice is once."""
    _ = form
    member = require_member(visitor)

    async def work(conn: Conn) -> None:
        await approve_correction(conn, merchant_id, correction_id, member.staff_id, actor_of(visitor), await business_now(conn))

    await house.database.writing(work)
    return Redirect(f"/operator/corrections/{merchant_id}/{correction_id}", status_code=303)


@post("/operator/corrections/{merchant_id:uuid}/{correction_id:uuid}/reject", status_code=200, opt=open_to(APPROVERS))
async def reject(
    house: HouseDep, visitor: VisitorDep, form: FormDep, merchant_id: FromPath[uuid.UUID], correction_id: FromPath[uuid.UUID]
) -> Response[str] | Redirect:
    """Let a correction lapse that somebody else proposed, with a reason."""
    member = require_member(visitor)
    sent = read_form(RejectForm, form, visitor.language)
    if not sent.validate():
        return await _correction_page(house, visitor, merchant_id, correction_id, sent, 422)

    async def work(conn: Conn) -> None:
        note = str(sent.note.data)
        await reject_correction(conn, merchant_id, correction_id, note, member.staff_id, actor_of(visitor), await business_now(conn))

    await house.database.writing(work)
    return Redirect(f"/operator/corrections/{merchant_id}/{correction_id}", status_code=303)
