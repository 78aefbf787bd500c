"""A fifth operation model is one file and one registry line: nothing else is changed, and an order under it is delivered."""

from decimal import Decimal

import pytest
from tests.factories.consignment_model import CONSIGNMENT_STOCK
from tests.factories.house import AT, BUYER, find_offer, later, open_house, order_of, put_stock, request
from tests.flows.test_order_to_cash import deliver, proofs, work_floor

from entrepot.catalogue.commands import add_offers
from entrepot.catalogue.model import NewOffer
from entrepot.flows.open_house import admission_rule
from entrepot.flows.order_to_cash import place_orders
from entrepot.operations.document import as_page
from entrepot.operations.registry import REGISTRY
from entrepot.orders.read import count_lines
from entrepot.parties.commands import open_models
from entrepot.parties.demo import DEMO
from entrepot.parties.model import ModelOpening

pytestmark = pytest.mark.anyio


async def test_an_order_under_a_fifth_model_is_delivered(conn):
    registry = REGISTRY.with_models(CONSIGNMENT_STOCK)
    _, outside = await open_house(conn, registry)
    offer = await find_offer(conn, "demo-shenzhen-audio", "ARIA-HEADPHONES", "US", "fbm")
    opening = ModelOpening(offer.merchant_id, "US", "consignment_stock")
    await open_models(conn, [opening], {plan.model_code: admission_rule(plan) for plan in registry.plans()}, DEMO, AT.date(), AT)
    added = await add_offers(
        conn,
        [NewOffer(offer.merchant_id, offer.sku, "US", "consignment_stock", Decimal("49.99"), "USD", AT)],
        frozenset({(offer.merchant_id, "US", "consignment_stock")}),
        DEMO,
        AT,
    )
    added[0].require()
    await put_stock(conn, "demo-shenzhen-audio", "ARIA-HEADPHONES", "US-LAX9", 4)
    ours = await find_offer(conn, "demo-shenzhen-audio", "ARIA-HEADPHONES", "US", "consignment_stock")
    answer = (await place_orders(conn, outside, [request([(ours, 1)], "US", "US", person="demo-buyer-us")], BUYER))[0]
    assert answer.state == "placed", answer.refusal
    await work_floor(conn, outside, "US-LAX9", later(hours=3))
    await deliver(conn, outside, [order_of(answer)], later(days=3))
    assert [row[:3] for row in await count_lines(conn)] == [("consignment_stock", 1, 1)]
    assert await proofs(conn) == []


def test_the_matrix_page_gets_its_column():
    assert "Consignment stock" in as_page(REGISTRY.with_models(CONSIGNMENT_STOCK))
    assert "Consignment stock" not in as_page(REGISTRY)
