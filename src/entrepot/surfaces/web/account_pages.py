"""One's own account: the password, the second factor, and what to do when the password is forgotten."""

import asyncio
import uuid
from typing import Annotated, Final

from litestar import Response, get, post
from litestar.params import QueryParameter
from litestar.response import Redirect
from msgspec import Struct
from wtforms import Form, PasswordField, StringField
from wtforms.validators import InputRequired

from entrepot.base.errors import EntrepotError
from entrepot.base.sql import Conn
from entrepot.base.time import RealClock
from entrepot.flows.reset_password import CHANGED, RESET, account_mail, ask_password_reset, find_account_reader
from entrepot.parties.account_safety import (
    AccountReader,
    ResetLink,
    begin_second_factor,
    confirm_second_factor,
    count_recovery_codes,
    drop_second_factor,
    has_second_factor,
    read_password_reset,
    require_password,
    set_password,
    stored_password,
    waiting_second_factor,
)
from entrepot.parties.accounts import StaffMember
from entrepot.parties.sign_in import hash_password, is_password
from entrepot.surfaces.web.access import EVERYBODY, SIGNED_IN, FormDep, Visitor, VisitorDep, ended_session_cookie, open_to, require_member
from entrepot.surfaces.web.forms import read_form
from entrepot.surfaces.web.house import House, HouseDep
from entrepot.surfaces.web.languages import Language, language, mark
from entrepot.surfaces.web.render import page
from entrepot.surfaces.web.square_code import square_code

_WRONG_PASSWORD: Final = mark("That is not your present password.")
_WRONG_CODE: Final = mark("That code is not right. Wait for the next one and try again.")


_PASSWORD_CHANGED: Final = mark("The password of your account was changed.")
_FACTOR_BEGUN: Final = mark("Your account now asks for a second factor.")
_FACTOR_DROPPED: Final = mark("Your account no longer asks for a second factor.")


class PasswordForm(Form):
    """Change the password."""

    password = PasswordField(mark("Current password"), [InputRequired()])
    fresh = PasswordField(
        mark("New password"), [InputRequired()], description=mark("At least twelve characters; some unrelated words are easy to keep.")
    )


class FreshPasswordForm(Form):
    """Set a password by link."""

    fresh = PasswordField(
        mark("New password"), [InputRequired()], description=mark("At least twelve characters; some unrelated words are easy to keep.")
    )


class CodeForm(Form):
    """Prove that the authenticator app has the secret."""

    code = StringField(mark("Code of the app"), [InputRequired()])


class DropForm(Form):
    """Give the second factor up, which asks for the password."""

    proof = PasswordField(mark("Current password"), [InputRequired()])


class LoginForm(Form):
    """Ask for a link."""

    login = StringField(mark("Login"), [InputRequired()])


class Forms(Struct, frozen=True):
    """The forms of the account's page; those that were not sent are empty."""

    password: PasswordForm
    code: CodeForm
    drop: DropForm


@get("/me", opt=open_to(SIGNED_IN))
async def show_me(house: HouseDep, visitor: VisitorDep) -> Response[str]:
    """Show one's own account."""
    return await _me(house, visitor, _empty(visitor.language))


@post("/me/password", status_code=200, opt=open_to(SIGNED_IN))
async def change_password(house: HouseDep, visitor: VisitorDep, form: FormDep) -> Response[str] | Redirect:
    """Set a new password if the present one is right; all sessions end, so that one signs in anew."""
    member = require_member(visitor)
    sent = read_form(PasswordForm, form, visitor.language)
    if sent.validate() and await _is_mine(house, member, str(sent.password.data), sent.password):
        refusal = _refusal(str(sent.fresh.data), member.login)
        if refusal is None:
            hashed = await asyncio.to_thread(hash_password, str(sent.fresh.data))

            async def change(conn: Conn) -> None:
                await set_password(conn, [member.staff_id], hashed, RealClock().now())

            await house.database.writing(change)
            await _tell(house, visitor, member.staff_id, _PASSWORD_CHANGED)
            return Redirect("/sign-in", status_code=303, cookies=[ended_session_cookie(visitor)])
        sent.fresh.errors = [refusal]
    empty = _empty(visitor.language)
    return await _me(house, visitor, Forms(sent, empty.code, empty.drop), 422)


@post("/me/second-factor", status_code=200, opt=open_to(SIGNED_IN))
async def begin_factor(house: HouseDep, visitor: VisitorDep, form: FormDep) -> Redirect:
    """Make a secret for an authenticator app."""
    _ = form
    member = require_member(visitor)

    async def begin(conn: Conn) -> None:
        await begin_second_factor(conn, house.keyring, member.staff_id, member.login, RealClock().now())

    await house.database.writing(begin)
    return Redirect("/me#factor", status_code=303)


@post("/me/second-factor/confirm", status_code=200, opt=open_to(SIGNED_IN))
async def confirm_factor(house: HouseDep, visitor: VisitorDep, form: FormDep) -> Response[str]:
    """Put the second factor in force and show its recovery codes, this once."""
    member = require_member(visitor)
    sent = read_form(CodeForm, form, visitor.language)
    empty = _empty(visitor.language)
    if sent.validate():

        async def confirm(conn: Conn) -> list[str] | None:
            return await confirm_second_factor(conn, house.keyring, member.staff_id, str(sent.code.data), RealClock().now())

        codes = await house.database.writing(confirm)
        if codes is not None:
            await _tell(house, visitor, member.staff_id, _FACTOR_BEGUN)
            return await _me(house, visitor, empty, 200, codes)
        sent.code.errors = [_WRONG_CODE]
    return await _me(house, visitor, Forms(empty.password, sent, empty.drop), 422)


@post("/me/second-factor/drop", status_code=200, opt=open_to(SIGNED_IN))
async def drop_factor(house: HouseDep, visitor: VisitorDep, form: FormDep) -> Response[str] | Redirect:
    """Give the second factor up, for whoever knows the password."""
    member = require_member(visitor)
    sent = read_form(DropForm, form, visitor.language)
    if sent.validate() and await _is_mine(house, member, str(sent.proof.data), sent.proof):

        async def drop(conn: Conn) -> None:
            await drop_second_factor(conn, member.staff_id)

        await house.database.writing(drop)
        await _tell(house, visitor, member.staff_id, _FACTOR_DROPPED)
        return Redirect("/me#factor", status_code=303)
    empty = _empty(visitor.language)
    return await _me(house, visitor, Forms(empty.password, empty.code, sent), 422)


@get("/forgotten", opt=open_to(EVERYBODY))
async def show_forgotten(visitor: VisitorDep) -> Response[str]:
    """Show the form that asks for a link."""
    return page("forgotten.html", visitor, {"form": read_form(LoginForm, None, visitor.language), "is_sent": False})


@post("/forgotten", status_code=200, opt=open_to(EVERYBODY))
async def send_link(house: HouseDep, visitor: VisitorDep, form: FormDep) -> Response[str]:
    """Send a link to the account's address, and say the same whether there is one or not."""
    sent = read_form(LoginForm, form, visitor.language)
    if not sent.validate():
        return page("forgotten.html", visitor, {"form": sent, "is_sent": False}, 422)
    now = RealClock().now()

    async def ask(conn: Conn) -> tuple[ResetLink, str] | None:
        return await ask_password_reset(conn, house.keyring, str(sent.login.data), now)

    found = await house.database.writing(ask)
    if found is not None:
        link, address = found
        spoken = _spoken(visitor, link.reader)
        mail = account_mail(RESET, link.reader, address, spoken.code, _mail_text(spoken, link, house.public_url), now)
        await house.mailer.send_mail([mail])
    return page("forgotten.html", visitor, {"form": sent, "is_sent": True})


@get("/new-password", opt=open_to(EVERYBODY))
async def show_new_password(house: HouseDep, visitor: VisitorDep, link: Annotated[str, QueryParameter(name="link")] = "") -> Response[str]:
    """Show the form for a new password to whoever has a good link."""
    async with house.database.reading() as conn:
        await read_password_reset(conn, link, RealClock().now())
    return page("new_password.html", visitor, {"form": read_form(FreshPasswordForm, None, visitor.language), "link": link})


@post("/new-password", status_code=200, opt=open_to(EVERYBODY))
async def set_new_password(house: HouseDep, visitor: VisitorDep, form: FormDep) -> Response[str] | Redirect:
    """Set the password of the link's account; the link is used up and all sessions end."""
    link, now = form.get("link", ""), RealClock().now()
    sent = read_form(FreshPasswordForm, form, visitor.language)
    async with house.database.reading() as conn:
        staff_id, login = await read_password_reset(conn, link, now)
    refusal = _refusal(str(sent.fresh.data), login) if sent.validate() else ""
    if refusal is not None:
        sent.fresh.errors = [refusal] if refusal else sent.fresh.errors
        return page("new_password.html", visitor, {"form": sent, "link": link}, 422)
    hashed = await asyncio.to_thread(hash_password, str(sent.fresh.data))

    async def change(conn: Conn) -> None:
        await read_password_reset(conn, link, now)
        await set_password(conn, [staff_id], hashed, now)

    await house.database.writing(change)
    await _tell(house, visitor, staff_id, _PASSWORD_CHANGED)
    return Redirect("/sign-in", status_code=303)


def _empty(spoken: Language) -> Forms:
    return Forms(read_form(PasswordForm, None, spoken), read_form(CodeForm, None, spoken), read_form(DropForm, None, spoken))


async def _me(house: House, visitor: Visitor, forms: Forms, status: int = 200, codes: list[str] | None = None) -> Response[str]:
    """Return the account's page."""
    member = require_member(visitor)
    async with house.database.reading() as conn:
        waiting = await waiting_second_factor(conn, house.keyring, member.staff_id, member.login)
        values: dict[str, object] = {
            "forms": forms,
            "is_in_force": await has_second_factor(conn, member.staff_id),
            "waiting": waiting,
            "picture": None if waiting is None else square_code(waiting.address, visitor.language.gettext("Second factor")),
            "codes": codes or [],
            "codes_left": await count_recovery_codes(conn, member.staff_id),
        }
    return page("me_buyer.html" if visitor.person_id is not None else "me.html", visitor, values, status)


async def _is_mine(house: House, member: StaffMember, password: str, field: PasswordField) -> bool:
    """Tell whether a password is the member's present one; if not, the field says so."""
    async with house.database.reading() as conn:
        stored = await stored_password(conn, member.staff_id)
    is_right = await asyncio.to_thread(is_password, password, stored)
    if not is_right:
        field.errors = [_WRONG_PASSWORD]
    return is_right


def _refusal(password: str, login: str) -> str | None:
    """Return why a password is not good enough."""
    try:
        require_password(password, login)
    except EntrepotError as error:
        return error.title
    return None


async def _tell(house: House, visitor: Visitor, staff_id: uuid.UUID, change: str) -> None:
    """Tell the owner of an account what was changed in it, where it has an address: whoever did not do it learns of it."""
    async with house.database.reading() as conn:
        found = await find_account_reader(conn, house.keyring, staff_id)
    if found is None:
        return
    reader, address = found
    spoken = _spoken(visitor, reader)
    _ = spoken.gettext
    body = [
        _("Dear %(name)s,", name=reader.display_name),
        _(change),
        _("If it was not you, ask for a new password at once, and tell us:"),
        f"{house.public_url}/forgotten",
    ]
    mail = account_mail(CHANGED, reader, address, spoken.code, (_(change), "\n\n".join(body) + "\n"), RealClock().now())
    await house.mailer.send_mail([mail])


def _spoken(visitor: Visitor, reader: AccountReader) -> Language:
    """Return the language of an account's mails: the one chosen for it, else that of the page."""
    return language(reader.language_code) if reader.language_code else visitor.language


def _mail_text(spoken: Language, link: ResetLink, public_url: str) -> tuple[str, str]:
    """Return subject and body of the mail with the link."""
    _ = spoken.gettext
    address = f"{public_url}/new-password?link={link.token}"
    body = [
        _("Dear %(name)s,", name=link.reader.display_name),
        _("somebody, probably you, asked for a new password. Open this address within half an hour:"),
        address,
        _("If it was not you, do nothing: your password stays as it is."),
    ]
    return _("Your new password"), "\n\n".join(body) + "\n"
