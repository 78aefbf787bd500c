"""All pages of the buyer in one list."""

from typing import Final

from litestar.handlers import HTTPRouteHandler

from entrepot.surfaces.web.store.basket_pages import change_lines, find_basket, put_into_basket, show_basket
from entrepot.surfaces.web.store.checkout_pages import do_checkout, show_checkout, show_confirmation

STORE_PAGES: Final[tuple[HTTPRouteHandler, ...]] = (
    find_basket,
    show_basket,
    put_into_basket,
    change_lines,
    show_checkout,
    do_checkout,
    show_confirmation,
)
