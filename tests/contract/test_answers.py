"""What programs send that is taken, and what an order is held to that names its quote."""

import asyncio
import json
from datetime import timedelta
from decimal import Decimal

import psycopg
import pytest
from tests.factories.contract import body, refused, require_documented, send
from tests.factories.programs import GB, bearer

from entrepot.base.actor import Actor, ActorKind
from entrepot.base.clock_store import advance_business_now, read_business_now
from entrepot.catalogue.commands import PriceChange, change_prices

CLERK = Actor(ActorKind.STAFF, "clerk", "merchant")


def test_answers_are_as_documented(shop):
    quoted = shop.quote()
    placed = shop.order("key-answers", shop.message(quote_id=quoted.json()["quote_id"]))
    again = shop.order("key-answers", shop.message(quote_id=quoted.json()["quote_id"]))
    found = shop.client.get(f"/requests/key-answers?buyer_id={GB}", headers=bearer())
    paid = shop.order("key-invoice", shop.message(payment_method="invoice"))
    assert [one.status_code for one in (quoted, placed, again, found, paid)] == [200, 201, 200, 200, 201]
    require_documented(quoted, "POST", "/quotes")
    require_documented(found, "GET", "/requests/{key}")
    for one in (placed, again, paid):
        require_documented(one, "POST", "/orders")
    assert [one.json()["state"] for one in (placed, paid)] == ["awaiting_payment", "paid"]


def test_a_whole_number_may_be_written_as_any_number(shop):
    answers = [send(shop, "/quotes", body(shop, "/quotes", number)) for number in ("2", "2.0", "0.2e1", "20e-1")]
    assert [one.status_code for one in answers] == [200] * 4
    assert {one.json()["total_minor"] for one in answers} == {answers[0].json()["total_minor"]}
    assert {one.json()["lines"][0]["quantity"] for one in answers} == {2}


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON", None])
def test_a_body_that_is_json_by_its_content_type(shop, content_type):
    headers = bearer() | ({} if content_type is None else {"content-type": content_type})
    assert shop.client.post("/quotes", content=json.dumps(shop.message(payment_method=None)), headers=headers).status_code == 200


def test_a_price_that_changed_since_the_quote(shop):
    quoted = shop.quote().json()
    asyncio.run(raise_price(shop))
    before = shop.contents()
    answer = shop.order("key-quoted", shop.message(quote_id=quoted["quote_id"]))
    problem = refused(answer, "/orders", 409, "quote_changed", "quote_id", quoted["quote_id"])
    assert f"showed {quoted['total_minor']} GBP, the order would cost {quoted['total_minor'] + 1} GBP" in problem["remedy"]
    assert shop.contents() == before
    assert shop.order("key-quoted", shop.message(quote_id=shop.quote().json()["quote_id"])).status_code == 201


def test_a_quote_that_expired(shop):
    quoted = shop.quote().json()
    asyncio.run(let_pass(shop, timedelta(minutes=15)))
    before = shop.contents()
    answer = shop.order("key-late", shop.message(quote_id=quoted["quote_id"]))
    problem = refused(answer, "/orders", 409, "quote_expired", "quote_id", quoted["quote_id"])
    assert quoted["valid_until"] in problem["remedy"]
    assert shop.contents() == before


async def raise_price(shop):
    """Let the offer cost a penny more from now on."""
    change = PriceChange(shop.offer.merchant_id, shop.offer.offer_id, Decimal(shop.offer.price_minor + 1) / 100, "GBP")
    async with await psycopg.AsyncConnection.connect(shop.url) as conn:
        assert await change_prices(conn, [change], CLERK, await read_business_now(conn)) == 1


async def let_pass(shop, span):
    async with await psycopg.AsyncConnection.connect(shop.url) as conn:
        await advance_business_now(conn, await read_business_now(conn) + span)
