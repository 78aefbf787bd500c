"""What an order's page tells its buyer about what comes next."""

import uuid
from datetime import UTC, datetime

import pytest

from entrepot.orders.hold import Hold
from entrepot.orders.model import Order
from entrepot.surfaces.web.languages import language
from entrepot.surfaces.web.order_view import next_for_buyer

ID = uuid.UUID(int=7)
AT = datetime(2026, 9, 8, tzinfo=UTC)
HOLD = Hold(ID, ID, ID, "address_check", "", "staff", AT, None, None, "")


@pytest.mark.parametrize(
    ("state", "holds", "told"),
    [
        ("in_work", [], "Your order is being packed."),
        ("in_work", [HOLD], "Something about your order is being checked; it is packed after that."),
        ("shipped", [HOLD], "Your order is on its way."),
    ],
)
def test_an_order_on_hold_is_not_said_to_be_packed(state, holds, told):
    order = Order(ID, ID, ID, ID, "E1", "GB", "store", "GBP", state, "GB", "LS1", 100, AT, "")
    assert next_for_buyer(language("en"), order, [], holds) == told
