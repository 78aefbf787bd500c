"""All pages of the operator in one list."""

from litestar.handlers import HTTPRouteHandler

from entrepot.surfaces.web.operator.corrections import approve, propose, reject, show_correction, show_corrections, show_new
from entrepot.surfaces.web.operator.hold import hold, release
from entrepot.surfaces.web.operator.search import search


def operator_routes() -> list[HTTPRouteHandler]:
    """Return every page of the operator, and the search that all share who work behind the counter."""
    return [search, hold, release, show_corrections, show_new, propose, show_correction, approve, reject]
