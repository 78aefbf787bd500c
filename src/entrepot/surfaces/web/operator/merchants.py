"""Merchants: the list, one with its checks, numbers, models and history, and the decisions of compliance."""

import uuid
from typing import Final

from litestar import Response, get, post
from litestar.datastructures import MultiDict
from litestar.params import FromPath
from litestar.response import Redirect, Stream
from wtforms import Form, SelectField, StringField, TextAreaField
from wtforms.validators import InputRequired, Length, ValidationError

from entrepot.base.audit import read_acts
from entrepot.base.sql import Conn
from entrepot.orders.read import count_states
from entrepot.parties.commands import decide_kyc, require_merchants, set_merchant_status
from entrepot.parties.lists import count_kyc_states
from entrepot.parties.model import KycDecision, KycState, MerchantKind, MerchantStatus
from entrepot.parties.store import list_merchants, read_kyc_cases, read_opened_models, read_registrations
from entrepot.surfaces.web.access import HOUSE, OPERATORS, FormDep, Visitor, VisitorDep, WebRequest, actor_of, open_to
from entrepot.surfaces.web.forms import options, read_form
from entrepot.surfaces.web.gates import gate_name
from entrepot.surfaces.web.house import House, HouseDep, business_now
from entrepot.surfaces.web.languages import mark
from entrepot.surfaces.web.listing import Cell, Column, Filter, Kind, Listing, Row
from entrepot.surfaces.web.operator.rows import Texts, answer_rows
from entrepot.surfaces.web.order_view import Moment
from entrepot.surfaces.web.render import page
from entrepot.surfaces.web.words import plain_words, short_title, words

_LONGEST: Final = 500
LIST: Final = Listing(
    "merchants",
    "/operator/merchants",
    (
        Column("name", mark("Merchant"), is_sortable=True),
        Column("code", mark("Code"), Kind.CODE, is_sortable=True),
        Column("status", mark("State"), Kind.STATE, is_sortable=True),
        Column("country", mark("Country"), Kind.COUNTRY, is_sortable=True),
        Column("currency", mark("Paid in"), Kind.CODE, is_sortable=True),
        Column("since", mark("Joined"), Kind.TIME, is_sortable=True),
        Column("waiting", mark("Checks waiting"), Kind.NUMBER, is_sortable=True),
        Column("approved", mark("Checks approved"), Kind.NUMBER, is_sortable=True),
    ),
    (Filter("q", mark("Name or code")), Filter("status", mark("Any state"), tuple((str(one), plain_words(one)) for one in MerchantStatus))),
    sort="name",
)
TEXTS: Final = Texts(
    "merchants",
    mark("Merchants"),
    mark("Who sells here, and what compliance has to look at"),
    mark("No merchant yet"),
    mark("Merchants appear here when they register."),
)


class DecisionForm(Form):
    """What compliance decides about a check."""

    gate = StringField(mark("Check"), [InputRequired(), Length(max=80)])
    decision = SelectField(
        mark("Decision"), choices=options((str(KycState.APPROVED), mark("Approve")), (str(KycState.REJECTED), mark("Reject and ask again")))
    )
    reason = TextAreaField(mark("Reason"), [Length(max=_LONGEST)], description=mark("The merchant reads it; needed for a rejection."))

    def validate_reason(self, field: TextAreaField) -> None:
        """Ask for the reason that a rejection needs."""
        if self.decision.data == KycState.REJECTED and not (field.data or "").strip():
            raise ValidationError(mark("Write what the merchant must send instead."))


class StatusForm(Form):
    """Whether a merchant may act."""

    status = SelectField(
        mark("State"), choices=options((str(MerchantStatus.ACTIVE), mark("Active")), (str(MerchantStatus.SUSPENDED), mark("Suspended")))
    )
    why = TextAreaField(mark("Reason"), [InputRequired(), Length(max=_LONGEST)])


@get("/operator/merchants", opt=open_to(HOUSE))
async def show_merchants(request: WebRequest, house: HouseDep, visitor: VisitorDep) -> Response[str] | Stream:
    """Show all merchants."""
    async with house.database.reading() as conn:
        found = await list_merchants(conn, MerchantKind.MERCHANT)
        checks = await count_kyc_states(conn)
    rows = [
        Row(
            one.code,
            {
                "name": Cell(one.name, href=f"/operator/merchants/{one.merchant_id}"),
                "code": Cell(one.code),
                "status": Cell(one.status),
                "country": Cell(one.country_code),
                "currency": Cell(one.payout_currency),
                "since": Cell(one.created_at),
                "waiting": Cell(checks.get((one.merchant_id, KycState.SUBMITTED), 0)),
                "approved": Cell(checks.get((one.merchant_id, KycState.APPROVED), 0)),
            },
        )
        for one in found
    ]
    return await answer_rows(request, house, visitor, LIST, TEXTS, rows)


@get("/operator/merchants/{merchant_id:uuid}", opt=open_to(HOUSE))
async def show_merchant(house: HouseDep, visitor: VisitorDep, merchant_id: FromPath[uuid.UUID]) -> Response[str]:
    """Show one merchant or legal entity."""
    return await _merchant_page(house, visitor, merchant_id, None, None)


async def _merchant_page(
    house: House, visitor: Visitor, merchant_id: uuid.UUID, decision: DecisionForm | None, status_form: StatusForm | None
) -> Response[str]:
    async with house.database.reading() as conn:
        merchant = (await require_merchants(conn, [merchant_id]))[merchant_id]
        cases = await read_kyc_cases(conn, [merchant_id])
        registrations = await read_registrations(conn, [merchant_id])
        models = sorted(await read_opened_models(conn, [merchant_id]))
        states = await house.tallies.read(f"states {merchant_id}", lambda: count_states(conn, merchant_id))
        acts = await read_acts(conn, merchant_id, [merchant_id, *(case.case_id for case in cases)])
    sold_by: dict[str, list[str]] = {}
    for _, market, model in models:
        sold_by.setdefault(market, []).append(short_title(visitor.language.gettext(house.registry.plan(model).model.title)))
    first: MultiDict[str] | None = None
    values: dict[str, object] = {
        "merchant": merchant,
        "cases": cases,
        "gates": {case.gate: gate_name(visitor.language, case.gate) for case in cases},
        "registrations": registrations,
        "models": sold_by,
        "order_count": sum(states.values()),
        "moments": [Moment(at, words(visitor.language, command), actor, note, "act") for at, command, _, actor, note in acts],
        "decision_forms": {
            case.case_id: decision
            if decision is not None and decision.gate.data == case.gate
            else read_form(DecisionForm, first, visitor.language, {"gate": case.gate})
            for case in cases
            if case.state == KycState.SUBMITTED
        },
        "status_form": status_form or read_form(StatusForm, None, visitor.language, {"status": merchant.status}),
    }
    return page("operator/merchant.html", visitor, values, 200 if decision is None and status_form is None else 422)


@post("/operator/merchants/{merchant_id:uuid}/checks", status_code=200, opt=open_to(OPERATORS))
async def decide(house: HouseDep, visitor: VisitorDep, form: FormDep, merchant_id: FromPath[uuid.UUID]) -> Response[str] | Redirect:
    """Approve or reject a check; the same decision again changes nothing."""
    sent = read_form(DecisionForm, form, visitor.language)
    if not sent.validate():
        return await _merchant_page(house, visitor, merchant_id, sent, None)
    asked = KycDecision(merchant_id, str(sent.gate.data), KycState(str(sent.decision.data)), str(sent.reason.data or "").strip())

    async def work(conn: Conn) -> None:
        await decide_kyc(conn, [asked], actor_of(visitor), await business_now(conn))

    await house.database.writing(work)
    return Redirect(f"/operator/merchants/{merchant_id}#checks", status_code=303)


@post("/operator/merchants/{merchant_id:uuid}/status", status_code=200, opt=open_to(OPERATORS))
async def set_status(house: HouseDep, visitor: VisitorDep, form: FormDep, merchant_id: FromPath[uuid.UUID]) -> Response[str] | Redirect:
    """Suspend or reinstate a merchant, with a reason."""
    sent = read_form(StatusForm, form, visitor.language)
    if not sent.validate():
        return await _merchant_page(house, visitor, merchant_id, None, sent)

    async def work(conn: Conn) -> None:
        wanted = MerchantStatus(str(sent.status.data))
        await set_merchant_status(conn, merchant_id, wanted, actor_of(visitor), await business_now(conn), str(sent.why.data).strip())

    await house.database.writing(work)
    return Redirect(f"/operator/merchants/{merchant_id}", status_code=303)
