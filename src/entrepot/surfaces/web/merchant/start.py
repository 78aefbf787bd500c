"""The way to the first sale as a checklist: what is done, what blocks, what was rejected and why, and where each is done."""

from collections.abc import Sequence
from typing import Final

from litestar import Response, get, post
from litestar.response import Redirect
from msgspec import Struct
from wtforms import Form, SelectField, TextAreaField
from wtforms.validators import InputRequired

from entrepot.base.errors import ConflictError, RefusedInputError
from entrepot.base.sql import Conn
from entrepot.books.stock.stock_list import sum_availability
from entrepot.catalogue.model import OfferState
from entrepot.catalogue.store import list_offers, list_stock_items
from entrepot.parties.commands import file_kyc
from entrepot.parties.model import TAX_REGISTRATION_KINDS, KycCase, KycFiling, KycState, Outcome, listing_gate
from entrepot.parties.store import read_bank_accounts, read_kyc_cases, read_opened_models, read_registrations
from entrepot.surfaces.web.access import MERCHANTS, FormDep, Visitor, VisitorDep, WebRequest, actor_of, open_to
from entrepot.surfaces.web.forms import options, read_form
from entrepot.surfaces.web.gates import GATES, gate_name
from entrepot.surfaces.web.house import House, HouseDep, business_now
from entrepot.surfaces.web.languages import Language, mark
from entrepot.surfaces.web.merchant.own import OWNERS, led_to, merchant_of, read_own, told_by
from entrepot.surfaces.web.render import page
from entrepot.surfaces.web.words import number

START: Final = "/merchant/start"
_MOST_DOCUMENTS: Final = 10


class FilingForm(Form):
    """Documents for a check, named by where they are kept."""

    gate = SelectField(mark("Check"), [InputRequired()], choices=[])
    documents = TextAreaField(
        mark("Your documents"),
        [InputRequired(mark("Name at least one document."))],
        description=mark("One in each line: the number or address under which we find it."),
    )


class Item(Struct, frozen=True):
    """One item of the checklist: its state is done, waiting, rejected or open; `note` says what about it."""

    title: str
    state: str
    note: str
    href: str
    action: str


@get(START, opt=open_to(MERCHANTS))
async def show_start(request: WebRequest, house: HouseDep, visitor: VisitorDep) -> Response[str]:
    """Show the checklist, what blocks on top."""
    return await _show(house, visitor, None, told_by(request))


@post(START, status_code=200, opt=open_to(OWNERS))
async def file_documents(house: HouseDep, visitor: VisitorDep, form: FormDep) -> Response[str] | Redirect:
    """File documents for a check; the same documents again are a replay."""
    merchant_id = merchant_of(visitor)
    sent = await _form(house, visitor, form)
    if not sent.validate():
        return await _show(house, visitor, sent, None, 422)
    documents = tuple(dict.fromkeys(line.strip() for line in str(sent.documents.data).splitlines() if line.strip()))[:_MOST_DOCUMENTS]
    filing = KycFiling(merchant_id, str(sent.gate.data), documents)

    async def file(conn: Conn) -> Outcome:
        return (await file_kyc(conn, [filing], actor_of(visitor), await business_now(conn)))[0]

    try:
        outcome = await house.database.writing(file)
    except (RefusedInputError, ConflictError) as refusal:
        sent.gate.errors = [
            mark("This check waits for its decision or is approved already.") if isinstance(refusal, ConflictError) else refusal.title
        ]
        return await _show(house, visitor, sent, None, refusal.status)
    return led_to(START, "filed" if outcome is Outcome.NEW else "already")


async def _form(house: House, visitor: Visitor, sent: FormDep | None) -> FilingForm:
    """Return the form with the checks that can be filed for."""
    async with house.database.reading() as conn:
        opened = await read_opened_models(conn, [merchant_of(visitor)])
        stores = (await house.outside.current(conn, await business_now(conn))).reference.marketplaces
    form = read_form(FilingForm, sent, visitor.language)
    codes = sorted({store for _merchant, store, _model in opened} or set(stores))
    gates = [(gate, gate_name(visitor.language, gate)) for gate in (*GATES, *map(listing_gate, codes))]
    form.gate.choices = options(*gates)
    return form


async def _show(house: House, visitor: Visitor, sent: FilingForm | None, told: tuple[str, str] | None, status: int = 200) -> Response[str]:
    """Return the page."""
    async with house.database.reading() as conn:
        items, cases = await read_checklist(conn, visitor)
    done = sum(one.state == "done" for one in items)
    values: dict[str, object] = {
        "items": sorted(items, key=_rank),
        "done": done,
        "cases": cases,
        "gates": {one.gate: gate_name(visitor.language, one.gate) for one in cases},
        "form": sent or await _form(house, visitor, None),
        "may_file": visitor.role in OWNERS,
        "told": told,
    }
    return page("merchant/start.html", visitor, values, status)


async def read_checklist(conn: Conn, visitor: Visitor) -> tuple[list[Item], Sequence[KycCase]]:
    """Return the checklist of the visitor's merchant, and its checks."""
    _ = visitor.language.gettext
    now = await business_now(conn)
    merchant = await read_own(conn, visitor)
    merchant_id = merchant.merchant_id
    cases = await read_kyc_cases(conn, [merchant_id])
    accounts = await read_bank_accounts(conn, [merchant_id], now.date())
    numbers = [one for one in await read_registrations(conn, [merchant_id]) if one.kind in TAX_REGISTRATION_KINDS]
    opened = await read_opened_models(conn, [merchant_id])
    items = await list_stock_items(conn, merchant_id)
    live = [one for one in await list_offers(conn, merchant_id) if one.state == OfferState.LIVE]
    units, _reserved = await sum_availability(conn, merchant_id, None)
    unclassified = sum(not one.hs_code or not one.origin_country_code for one in items)
    account = accounts.get((merchant_id, merchant.payout_currency))
    ending = _("ending in %(digits)s", digits=account.last_four) if account is not None else _("The operator enters it with you.")
    settings, bulk = "/merchant/settings", "/merchant/listings/bulk"
    stores = ", ".join(sorted({store for _merchant, store, _model in opened}))
    checks = [_check(visitor.language, gate, title, cases) for gate, title in GATES.items()]
    return [
        Item(_("Business profile"), "done", merchant.name, settings, _("Look")),
        *checks,
        Item(
            _("Bank account in %(currency)s", currency=merchant.payout_currency),
            "done" if account is not None else "open",
            ending,
            settings,
            _("Look"),
        ),
        _item(_("Tax number"), len(numbers), ", ".join(one.number for one in numbers), f"{settings}#numbers", _("Add")),
        _item(_("Operation model"), len(opened), stores, f"{settings}#models", _("Open a model")),
        _item(_("First SKU"), len(items), visitor.language.ngettext("%(num)s SKU", "%(num)s SKUs", len(items)), bulk, _("Add")),
        Item(
            _("HS code and origin"),
            "done" if items and not unclassified else "open",
            visitor.language.ngettext("missing for %(num)s SKU", "missing for %(num)s SKUs", unclassified) if unclassified else _("complete"),
            bulk,
            _("Complete"),
        ),
        _item(_("First offer"), len(live), visitor.language.ngettext("%(num)s live", "%(num)s live", len(live)), bulk, _("Add offers")),
        _item(
            _("First stock"),
            units,
            visitor.language.ngettext("%(num)s unit", "%(num)s units", units, num=number(visitor.language, units)),
            "/merchant/stock",
            _("Tell stock"),
        ),
    ], cases


def _item(title: str, count: int, note: str, href: str, action: str) -> Item:
    return Item(title, "done" if count else "open", note, href, action)


def _check(language: Language, gate: str, title: str, cases: Sequence[KycCase]) -> Item:
    """Return how far a check is."""
    case = next((one for one in cases if one.gate == gate), None)
    state = (
        {KycState.APPROVED: "done", KycState.SUBMITTED: "waiting", KycState.REJECTED: "rejected"}.get(KycState(case.state), "open")
        if case
        else "open"
    )
    notes = {"done": mark("approved"), "waiting": mark("we look at your documents"), "open": mark("file your documents")}
    note = case.reason if case is not None and state == "rejected" else language.gettext(notes[state])
    return Item(language.gettext(title), state, note, "#file", language.gettext("File"))


def _rank(item: Item) -> int:
    return ("rejected", "open", "waiting", "done").index(item.state)
