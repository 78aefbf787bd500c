"""All pages in one list, with what they have in common."""

from collections.abc import Callable
from typing import Any, Final

from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.types import Message, Scope

from entrepot.base.errors import EntrepotError
from entrepot.surfaces.web.access import provide_form, provide_visitor
from entrepot.surfaces.web.account_pages import (
    begin_factor,
    change_password,
    confirm_factor,
    drop_factor,
    send_link,
    set_new_password,
    show_forgotten,
    show_me,
    show_new_password,
)
from entrepot.surfaces.web.bundles import show_bundle
from entrepot.surfaces.web.design_page import show_design, show_progress, try_form, try_scan
from entrepot.surfaces.web.errors import show_entrepot_error, show_failure, show_http_error
from entrepot.surfaces.web.floor.routes import floor_routes
from entrepot.surfaces.web.house import provide_house
from entrepot.surfaces.web.merchant.routes import merchant_routes
from entrepot.surfaces.web.money_pages import show_account, show_posting, show_trial_balance
from entrepot.surfaces.web.operations_page import show_operations
from entrepot.surfaces.web.operator.routes import operator_routes
from entrepot.surfaces.web.operator_home import follow_feed, show_operator_home, show_proof
from entrepot.surfaces.web.order_list import show_orders
from entrepot.surfaces.web.order_page import show_order
from entrepot.surfaces.web.preferences import keep_preferences, keep_view
from entrepot.surfaces.web.sign_in import do_enter_code, do_sign_in, do_sign_out, first_page, show_code, show_sign_in
from entrepot.surfaces.web.stock_pages import show_stock
from entrepot.surfaces.web.store.pages import STORE_PAGES
from entrepot.surfaces.web.storefront import choose_store, show_product, show_store
from entrepot.surfaces.web.tour.pages import begin_tour, close_tour, follow_tour, order_once_more, set_pace, show_tour

_SECURITY_HEADERS: Final = (
    (
        b"content-security-policy",
        (
            b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; "
            b"frame-ancestors 'none'; base-uri 'none'"
        ),
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(self), geolocation=(), microphone=(), payment=(), usb=()"),
)
_NO_STORE: Final = (b"cache-control", b"no-store")
_ONLY_TLS: Final = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")


def routes() -> list[HTTPRouteHandler]:
    """Return every page and the bundles that browsers load."""
    return [
        show_bundle,
        first_page,
        show_sign_in,
        do_sign_in,
        show_code,
        do_enter_code,
        do_sign_out,
        show_me,
        change_password,
        begin_factor,
        confirm_factor,
        drop_factor,
        show_forgotten,
        send_link,
        show_new_password,
        set_new_password,
        keep_preferences,
        keep_view,
        show_operator_home,
        show_proof,
        follow_feed,
        show_orders,
        show_order,
        show_stock,
        show_trial_balance,
        show_account,
        show_posting,
        show_operations,
        show_design,
        try_form,
        try_scan,
        show_progress,
        choose_store,
        show_store,
        show_product,
        show_tour,
        begin_tour,
        follow_tour,
        set_pace,
        order_once_more,
        close_tour,
        *STORE_PAGES,
        *merchant_routes(),
        *floor_routes(),
        *operator_routes(),
    ]


def dependencies() -> dict[str, Provide]:
    """Return what handlers may ask for by name."""
    return {"house": Provide(provide_house), "visitor": Provide(provide_visitor), "form": Provide(provide_form)}


def exception_handlers() -> dict[int | type[Exception], Callable[..., Any]]:
    """Return how errors become answers."""
    return {EntrepotError: show_entrepot_error, HTTPException: show_http_error, Exception: show_failure}


async def add_security_headers(message: Message, scope: Scope) -> None:
    """Give every answer the headers that keep foreign code and frames out, and pages out of caches."""
    if message["type"] != "http.response.start":
        return
    headers = [*message["headers"], *_SECURITY_HEADERS, *([_ONLY_TLS] if scope["scheme"] == "https" else [])]
    if not scope["path"].startswith("/static/"):
        known = {name.lower() for name, _ in headers}
        headers += [_NO_STORE] if b"cache-control" not in known else []
    message["headers"] = headers
