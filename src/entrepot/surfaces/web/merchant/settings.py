"""What binds a merchant: its profile, sites, tax and other numbers, models opened by store, and who works for it with which role."""

import asyncio
import uuid
from datetime import datetime
from typing import Final

from litestar import Response, get, post
from litestar.datastructures import MultiDict
from litestar.params import FromPath
from litestar.response import Redirect
from msgspec import Struct
from wtforms import Form, HiddenField, PasswordField, SelectField, StringField
from wtforms.validators import InputRequired, Length, Regexp

from entrepot.base.errors import EntrepotError
from entrepot.base.ids import derived_id
from entrepot.base.sql import Conn
from entrepot.base.time import RealClock
from entrepot.flows.open_house import admission_rule
from entrepot.flows.run_team import LoginTakenError, close_account, open_account
from entrepot.parties.account_safety import require_password
from entrepot.parties.accounts import NewStaff, StaffRole, normal_login
from entrepot.parties.commands import add_registrations, open_models
from entrepot.parties.model import TAX_REGISTRATION_KINDS, ModelOpening, Outcome, Registration, RegistrationKind
from entrepot.parties.sign_in import hash_password
from entrepot.parties.store import read_bank_accounts, read_opened_models, read_registrations
from entrepot.parties.team import list_team
from entrepot.surfaces.web.access import MERCHANTS, FormDep, Visitor, VisitorDep, WebRequest, actor_of, open_to
from entrepot.surfaces.web.forms import options, read_form
from entrepot.surfaces.web.house import House, HouseDep, business_now
from entrepot.surfaces.web.languages import Language, mark
from entrepot.surfaces.web.merchant.own import OWNERS, led_to, merchant_of, read_own, request_key, told_by
from entrepot.surfaces.web.render import page
from entrepot.surfaces.web.words import country, named, plain_words, short_title, told

SETTINGS: Final = "/merchant/settings"
_OWN_KINDS: Final = (*sorted(TAX_REGISTRATION_KINDS), RegistrationKind.EORI, RegistrationKind.IMPORTER, RegistrationKind.IOSS)
"""Numbers that a merchant enters itself; what serves as a credential for a model is entered by the operator, who has seen it."""
_KIND_NAMES: Final = {
    RegistrationKind.VAT: mark("VAT number"),
    RegistrationKind.GST: mark("GST number"),
    RegistrationKind.SALES_TAX: mark("Sales tax permit"),
    RegistrationKind.CONSUMPTION_TAX: mark("Consumption tax number"),
    RegistrationKind.EORI: mark("EORI number"),
    RegistrationKind.IMPORTER: mark("Importer number"),
    RegistrationKind.IOSS: mark("IOSS number"),
    RegistrationKind.CN_DOMESTIC_AGENT: mark("Domestic agent in China"),
    RegistrationKind.OWN_SITE: mark("Own warehouse"),
    RegistrationKind.OWN_CARRIER: mark("Contract with a carrier"),
}


class NumberForm(Form):
    """A tax number or another registration."""

    kind = SelectField(mark("Kind of number"), [InputRequired()], choices=[])
    country = SelectField(mark("Country"), [InputRequired()], choices=[])
    number = StringField(
        mark("Registration number"),
        [InputRequired(), Length(3, 40), Regexp(r"^[A-Za-z0-9 ./\-]+$", message=mark("Use letters, digits, blanks, points, slashes and hyphens."))],
    )


class ModelForm(Form):
    """A model to open in a store."""

    store = SelectField(mark("Store"), [InputRequired()], choices=[])
    model = SelectField(mark("Model"), [InputRequired()], choices=[])


class ColleagueForm(Form):
    """An account to open for somebody of the team."""

    name = StringField(mark("Name"), [InputRequired(), Length(max=80)])
    login = StringField(
        mark("Login"),
        [InputRequired(), Length(3, 60), Regexp(r"^[A-Za-z0-9._@\-]+$", message=mark("Use letters, digits, points, hyphens, underscores and @."))],
    )
    role = SelectField(
        mark("Role"),
        [InputRequired()],
        choices=options(
            (str(StaffRole.MERCHANT_STAFF), mark("Merchant staff")),
            (str(StaffRole.MERCHANT_OWNER), mark("Merchant owner")),
        ),
        description=mark("Staff works with orders, listings, stock and messages; an owner also with numbers, models and the team."),
    )
    first_password = PasswordField(
        mark("First password"),
        [InputRequired()],
        description=mark("At least twelve characters; hand it over yourself, and let it be changed under My account."),
    )
    key = HiddenField()


class Forms(Struct, frozen=True):
    """The forms of the page."""

    number: NumberForm
    model: ModelForm
    colleague: ColleagueForm


@get(SETTINGS, opt=open_to(MERCHANTS))
async def show_settings(request: WebRequest, house: HouseDep, visitor: VisitorDep) -> Response[str]:
    """Show what is set."""
    return await _show(house, visitor, await _forms(house, visitor.language), told_by(request))


@post(f"{SETTINGS}/numbers", status_code=200, opt=open_to(OWNERS))
async def add_number(house: HouseDep, visitor: VisitorDep, form: FormDep) -> Response[str] | Redirect:
    """Keep a number from today on; the same number again is a replay."""
    forms = await _forms(house, visitor.language, number=form)
    sent, merchant_id = forms.number, merchant_of(visitor)
    if not sent.validate():
        return await _show(house, visitor, forms, None, 422)

    async def add(conn: Conn) -> Outcome:
        now = await business_now(conn)
        row = Registration(merchant_id, str(sent.country.data), str(sent.kind.data), str(sent.number.data).strip().upper(), now.date())
        return (await add_registrations(conn, [row], actor_of(visitor), now))[0]

    try:
        outcome = await house.database.writing(add)
    except EntrepotError as refusal:
        sent.number.errors = [refusal.title]
        return await _show(house, visitor, forms, None, refusal.status)
    if outcome is Outcome.EXISTS_WITH_DIFFERENT_VALUES:
        sent.number.errors = [mark("Another number of this kind holds for this country from today on already.")]
        return await _show(house, visitor, forms, None, 409)
    return led_to(SETTINGS, "number" if outcome is Outcome.NEW else "already")


@post(f"{SETTINGS}/models", status_code=200, opt=open_to(OWNERS))
async def open_model(house: HouseDep, visitor: VisitorDep, form: FormDep) -> Response[str] | Redirect:
    """Open a model in a store, if the model admits the merchant there; again it changes nothing."""
    forms = await _forms(house, visitor.language, model=form)
    sent, merchant_id = forms.model, merchant_of(visitor)
    if not sent.validate():
        return await _show(house, visitor, forms, None, 422)
    rules = {plan.model_code: admission_rule(plan) for plan in house.registry.plans()}

    async def open_it(conn: Conn) -> Outcome:
        now = await business_now(conn)
        opening = ModelOpening(merchant_id, str(sent.store.data), str(sent.model.data))
        return (await open_models(conn, [opening], rules, actor_of(visitor), now.date(), now))[0]

    try:
        outcome = await house.database.writing(open_it)
    except EntrepotError as refusal:
        sent.model.errors = [told(visitor.language, refusal)]
        return await _show(house, visitor, forms, None, refusal.status)
    return led_to(SETTINGS, "opened" if outcome is Outcome.NEW else "already")


@post(f"{SETTINGS}/team", status_code=200, opt=open_to(OWNERS))
async def add_colleague(house: HouseDep, visitor: VisitorDep, form: FormDep) -> Response[str] | Redirect:
    """Open an account for somebody of the team; the same form again opens nothing."""
    forms = await _forms(house, visitor.language, colleague=form)
    sent, merchant_id = forms.colleague, merchant_of(visitor)
    is_right = sent.validate()
    login = normal_login(str(sent.login.data or ""))
    refused = _password_refusal(str(sent.first_password.data or ""), login) if is_right else None
    if refused is not None:
        sent.first_password.errors = [refused]
    if not is_right or refused is not None:
        return await _show(house, visitor, forms, None, 422)
    hashed = await asyncio.to_thread(hash_password, str(sent.first_password.data))
    staff_id = derived_id("colleague", merchant_id, login, str(sent.key.data))
    member = NewStaff(staff_id, login, hashed, str(sent.name.data).strip(), StaffRole(str(sent.role.data)), merchant_id)

    async def add(conn: Conn) -> Outcome:
        return await open_account(conn, member, actor_of(visitor), await business_now(conn), RealClock().now())

    try:
        outcome = await house.database.writing(add)
    except LoginTakenError as refusal:
        sent.login.errors = [mark("Somebody signs in with this login already; choose another.")]
        return await _show(house, visitor, forms, None, refusal.status)
    return led_to(SETTINGS, "colleague" if outcome is Outcome.NEW else "already")


@post(f"{SETTINGS}/team/{{staff_id:uuid}}/close", status_code=200, opt=open_to(OWNERS))
async def close_colleague(house: HouseDep, visitor: VisitorDep, form: FormDep, staff_id: FromPath[uuid.UUID]) -> Redirect:
    """Close an account of the team; one of another merchant does not exist."""
    _ = form
    merchant_id = merchant_of(visitor)

    async def close(conn: Conn) -> bool:
        return await close_account(conn, merchant_id, staff_id, actor_of(visitor), await business_now(conn), RealClock().now())

    return led_to(SETTINGS, "closed" if await house.database.writing(close) else "already")


async def _forms(
    house: House,
    language: Language,
    number: MultiDict[str] | None = None,
    model: MultiDict[str] | None = None,
    colleague: MultiDict[str] | None = None,
) -> Forms:
    """Return the forms, one of them as it was sent."""
    async with house.database.reading() as conn:
        stores = (await house.outside.current(conn, await business_now(conn))).reference.marketplaces
    numbers, models = read_form(NumberForm, number, language), read_form(ModelForm, model, language)
    countries = {code for store in stores.values() for code in (store.country_code, *store.destination_codes)}
    numbers.kind.choices = options(*((str(kind), language.gettext(_KIND_NAMES[RegistrationKind(kind)])) for kind in _OWN_KINDS))
    numbers.country.choices = options(*sorted(((code, country(language, code)) for code in countries), key=_second))
    models.store.choices = options(*((code, named(language, store.name)) for code, store in stores.items()))
    models.model.choices = options(*((plan.model_code, language.gettext(short_title(plan.model.title))) for plan in house.registry.plans()))
    return Forms(numbers, models, read_form(ColleagueForm, colleague, language, {"key": request_key()}))


def _second(pair: tuple[str, str]) -> str:
    return pair[1]


async def _show(house: House, visitor: Visitor, forms: Forms, told: tuple[str, str] | None, status: int = 200) -> Response[str]:
    """Return the page."""
    merchant_id = merchant_of(visitor)
    titles = {plan.model_code: visitor.language.gettext(short_title(plan.model.title)) for plan in house.registry.plans()}
    async with house.database.reading() as conn:
        now: datetime = await business_now(conn)
        outside = await house.outside.current(conn, now)
        opened = await read_opened_models(conn, [merchant_id])
        by_store: dict[str, list[str]] = {}
        for _merchant, store, model in sorted(opened):
            by_store.setdefault(store, []).append(titles.get(model, plain_words(model)))
        values: dict[str, object] = {
            "merchant": await read_own(conn, visitor),
            "sites": [one for one in outside.reference.network.places.values() if one.merchant_id == merchant_id],
            "numbers": await read_registrations(conn, [merchant_id]),
            "kinds": {str(kind): name for kind, name in _KIND_NAMES.items()},
            "accounts": list((await read_bank_accounts(conn, [merchant_id], now.date())).values()),
            "by_store": by_store,
            "stores": outside.reference.marketplaces,
            "team": await list_team(conn, merchant_id),
            "forms": forms,
            "is_owner": visitor.role in OWNERS,
            "told": told,
            "today": now.date(),
        }
    return page("merchant/settings.html", visitor, values, status)


def _password_refusal(password: str, login: str) -> str | None:
    """Return why a password is not good enough."""
    try:
        require_password(password, login)
    except EntrepotError as error:
        return error.title
    return None
