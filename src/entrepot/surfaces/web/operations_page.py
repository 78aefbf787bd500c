"""The responsibility matrix: who does what under each operation model, straight from the declarations."""

from litestar import Response, get

from entrepot.operations.document import duty_rows, fact_rows
from entrepot.surfaces.web.access import EVERYBODY, VisitorDep, open_to
from entrepot.surfaces.web.house import HouseDep
from entrepot.surfaces.web.render import page


@get("/operations", opt=open_to(EVERYBODY))
async def show_operations(house: HouseDep, visitor: VisitorDep) -> Response[str]:
    """Show the matrix to anybody."""
    plans = house.registry.plans()
    values: dict[str, object] = {"models": [plan.model for plan in plans], "duties": duty_rows(plans), "facts": fact_rows(plans)}
    return page("operations.html", visitor, values)
