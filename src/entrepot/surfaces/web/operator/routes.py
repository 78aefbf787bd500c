"""All pages of the operator in one list."""

from litestar.handlers import HTTPRouteHandler

from entrepot.surfaces.web.operator.audit_page import show_audit
from entrepot.surfaces.web.operator.buyers import show_buyer
from entrepot.surfaces.web.operator.corrections import approve, propose, reject, show_correction, show_corrections, show_new
from entrepot.surfaces.web.operator.customs_pages import show_entries, show_entry
from entrepot.surfaces.web.operator.due_pages import retry, show_due
from entrepot.surfaces.web.operator.entities import show_entities
from entrepot.surfaces.web.operator.finance import run_settlement, show_finance, show_invoices, show_payouts, show_statement
from entrepot.surfaces.web.operator.health import show_health
from entrepot.surfaces.web.operator.hold import hold, release
from entrepot.surfaces.web.operator.merchants import decide, set_status, show_merchant, show_merchants
from entrepot.surfaces.web.operator.network import follow_network, show_hour, show_network, show_place
from entrepot.surfaces.web.operator.rules import show_changes, show_rules
from entrepot.surfaces.web.operator.search import search
from entrepot.surfaces.web.operator.tower import show_tower


def operator_routes() -> list[HTTPRouteHandler]:
    """Return every page of the operator, and the search that all share who work behind the counter."""
    return [
        search,
        hold,
        release,
        show_corrections,
        show_new,
        propose,
        show_correction,
        approve,
        reject,
        show_network,
        show_hour,
        follow_network,
        show_place,
        show_tower,
        show_finance,
        run_settlement,
        show_statement,
        show_payouts,
        show_invoices,
        show_entries,
        show_entry,
        show_due,
        retry,
        show_audit,
        show_merchants,
        show_merchant,
        decide,
        set_status,
        show_entities,
        show_rules,
        show_changes,
        show_health,
        show_buyer,
    ]
