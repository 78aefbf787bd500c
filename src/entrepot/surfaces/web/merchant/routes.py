"""All pages of the merchant in one list."""

from litestar.handlers import HTTPRouteHandler

from entrepot.surfaces.web.merchant.bulk_edit import do_bulk, send_offers, show_bulk
from entrepot.surfaces.web.merchant.fees import show_fee, show_fees
from entrepot.surfaces.web.merchant.home import show_merchant_home
from entrepot.surfaces.web.merchant.listings import pause_offers, resume_offers, show_listings
from entrepot.surfaces.web.merchant.messages import answer_talk, show_inbox, show_talk
from entrepot.surfaces.web.merchant.money import (
    print_invoice,
    show_invoice,
    show_invoices,
    show_money,
    show_payouts,
    show_statement,
    show_statement_line,
    show_statements,
)
from entrepot.surfaces.web.merchant.orders import show_sale, show_sales
from entrepot.surfaces.web.merchant.returns import decide_own_return, receive_own_return, show_own_return, show_own_returns
from entrepot.surfaces.web.merchant.settings import add_colleague, add_number, close_colleague, open_model, show_settings
from entrepot.surfaces.web.merchant.ship_one import buy_label, confirm_ship, decline_ship, show_ship
from entrepot.surfaces.web.merchant.ship_queue import buy_labels, show_pick_list, show_queue
from entrepot.surfaces.web.merchant.start import file_documents, show_start
from entrepot.surfaces.web.merchant.stock import show_item, show_own_stock, tell_stock


def merchant_routes() -> list[HTTPRouteHandler]:
    """Return every page of the merchant."""
    return [
        show_merchant_home,
        show_queue,
        show_pick_list,
        buy_labels,
        show_ship,
        confirm_ship,
        buy_label,
        decline_ship,
        show_sales,
        show_sale,
        show_own_returns,
        show_own_return,
        decide_own_return,
        receive_own_return,
        show_inbox,
        show_talk,
        answer_talk,
        show_money,
        show_statements,
        show_statement,
        show_statement_line,
        show_payouts,
        show_invoices,
        show_invoice,
        print_invoice,
        show_fees,
        show_fee,
        show_listings,
        pause_offers,
        resume_offers,
        show_bulk,
        send_offers,
        do_bulk,
        show_own_stock,
        show_item,
        tell_stock,
        show_start,
        file_documents,
        show_settings,
        add_number,
        open_model,
        add_colleague,
        close_colleague,
    ]
