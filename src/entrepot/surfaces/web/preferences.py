"""What a visitor chooses for all pages: language and theme, kept in cookies, the language with the account too."""

from litestar import post
from litestar.response import Redirect

from entrepot.base.sql import Conn
from entrepot.base.time import RealClock
from entrepot.parties.account_safety import choose_account_language
from entrepot.parties.saved_views import SavedView, drop_view, save_view
from entrepot.surfaces.web.access import (
    EVERYBODY,
    LANGUAGE_COOKIE,
    SIGNED_IN,
    THEME_COOKIE,
    THEMES,
    FormDep,
    VisitorDep,
    choice_cookie,
    inside,
    open_to,
    require_member,
)
from entrepot.surfaces.web.house import HouseDep
from entrepot.surfaces.web.languages import CODES


@post("/preferences", status_code=200, opt=open_to(EVERYBODY))
async def keep_preferences(house: HouseDep, visitor: VisitorDep, form: FormDep) -> Redirect:
    """Keep the language or theme that was chosen and go back to the page."""
    code, theme = form.get("language", ""), form.get("theme", "")
    cookies = [choice_cookie(visitor, LANGUAGE_COOKIE, code)] if code in CODES else []
    cookies += [choice_cookie(visitor, THEME_COOKIE, theme)] if theme in THEMES else []
    member = visitor.member
    if member is not None and code in CODES:

        async def keep(conn: Conn) -> None:
            await choose_account_language(conn, member.staff_id, code)

        await house.database.writing(keep)
    return Redirect(inside(form.get("next", "/")), status_code=303, cookies=cookies)


@post("/views", status_code=200, opt=open_to(SIGNED_IN))
async def keep_view(house: HouseDep, visitor: VisitorDep, form: FormDep) -> Redirect:
    """Keep what a list shows as a view of one's own, or remove one; then show the list."""
    member = require_member(visitor)
    list_code, view = form.get("list", ""), SavedView(form.get("name", ""), form.get("query", ""))

    async def keep(conn: Conn) -> None:
        if form.get("remove"):
            await drop_view(conn, member.staff_id, list_code, view.name)
        else:
            await save_view(conn, member.staff_id, list_code, view, RealClock().now())

    await house.database.writing(keep)
    return Redirect(inside(form.get("next", "/")), status_code=303)
