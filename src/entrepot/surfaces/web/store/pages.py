"""All pages of the buyer in one list."""

from typing import Final

from litestar.handlers import HTTPRouteHandler

from entrepot.surfaces.web.store.account_pages import add_my_address, export_my_data, show_my_data
from entrepot.surfaces.web.store.basket_pages import change_lines, find_basket, put_into_basket, show_basket
from entrepot.surfaces.web.store.cancel_pages import do_cancel, show_cancel
from entrepot.surfaces.web.store.checkout_pages import do_checkout, order_again, show_checkout, show_confirmation
from entrepot.surfaces.web.store.order_pages import print_my_invoice, write_message
from entrepot.surfaces.web.store.return_pages import ask_for_return, note_sent, show_return, show_return_form

STORE_PAGES: Final[tuple[HTTPRouteHandler, ...]] = (
    find_basket,
    show_basket,
    put_into_basket,
    change_lines,
    show_checkout,
    do_checkout,
    show_confirmation,
    print_my_invoice,
    write_message,
    show_cancel,
    do_cancel,
    show_return_form,
    ask_for_return,
    show_return,
    note_sent,
    order_again,
    show_my_data,
    add_my_address,
    export_my_data,
)
