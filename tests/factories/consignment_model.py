"""A fifth operation model for a test: the platform ships from its bulk warehouses, the merchant answers customers and takes returns."""

from msgspec.structs import replace

from entrepot.operations.fba import FBA
from entrepot.operations.model import Admission, Duty, PlaceKind, Role, Step, Stores

_TAKEN_OVER = {Step.ANSWER_CUSTOMER, Step.TAKE_RETURN, Step.GRADE_RETURN, Step.EXCHANGE, Step.DECIDE_REFUND}

CONSIGNMENT_STOCK = replace(
    FBA,
    code="consignment_stock",
    title="Consignment stock",
    admission=Admission("Any merchant."),
    stores=Stores(but=frozenset({"CN_GP"})),
    duties=(
        *(duty for duty in FBA.duties if duty.step not in _TAKEN_OVER),
        *(Duty(step, Role.MERCHANT) for step in sorted(_TAKEN_OVER)),
    ),
    stores_in=frozenset({PlaceKind.BULK_WAREHOUSE}),
    ships_from=frozenset({PlaceKind.BULK_WAREHOUSE}),
    suits="A merchant with few, large orders.",
)
