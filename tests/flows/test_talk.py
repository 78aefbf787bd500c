"""Threads about orders: whoever the plan names answers; money given in a thread is at the granter's cost."""

import pytest
from tests.factories.house import BUYER, find_offer, later, open_house, order_of, put_stock, request
from tests.flows.test_cancel import ask, broken, cancel, sums, told

from entrepot.aftersales.model import AuthorRole
from entrepot.aftersales.threads import list_threads_of_orders
from entrepot.base.ids import derived_id
from entrepot.base.sql import fetch
from entrepot.flows.order_to_cash import place_orders
from entrepot.flows.talk import Gift, Say, grant_goodwill, say

pytestmark = pytest.mark.anyio

AUDIO, OUTDOOR = "demo-shenzhen-audio", "demo-bavaria-outdoor"
FROM_BUYER, FROM_MERCHANT, FROM_PLATFORM = AuthorRole.BUYER, AuthorRole.MERCHANT, AuthorRole.PLATFORM


async def placed(conn, outside, merchant, sku, store, model, place, country, quantity=2):
    await put_stock(conn, merchant, sku, place, 5)
    offer = await find_offer(conn, merchant, sku, store, model)
    (answer,) = await place_orders(conn, outside, [request([(offer, quantity)], store, country)], BUYER)
    return order_of(answer)


async def platform_order(conn, outside):
    return await placed(conn, outside, AUDIO, "ARIA-HEADPHONES", "GB", "fba", "GB-LTN1", "GB")


def line(key, role, text, name):
    return Say(*key, "delivery", role, text, name)


async def speak(conn, outside, *says, at=None):
    return await say(conn, outside, says, BUYER, at or later(hours=1))


async def test_the_merchant_answers_where_the_plan_names_it(conn):
    _, outside = await open_house(conn)
    key = await placed(conn, outside, OUTDOOR, "COURT-RACKET", "DE", "fbm", "SITE-MUC-OUTDOOR", "DE")
    (asked,) = await speak(conn, outside, line(key, FROM_BUYER, "Where is it?", "q1"))
    assert (asked.outcome, asked.answered_by, asked.answer_due_at) == ("done", FROM_MERCHANT, later(hours=25))
    answers = await speak(conn, outside, line(key, FROM_MERCHANT, "On its way.", "a1"), line(key, FROM_PLATFORM, "Let me.", "a2"), at=later(hours=2))
    assert [one.outcome for one in answers] == ["done", "not_yours"]
    again = await speak(conn, outside, line(key, FROM_BUYER, "Where is it?", "q1"), at=later(hours=3))
    assert [(one.outcome, one.answer_due_at) for one in again] == [("exists", None)]
    (thread,) = await list_threads_of_orders(conn, key[0], [key[1]])
    assert [(one.author_role, one.text) for one in thread.messages] == [("buyer", "Where is it?"), ("merchant", "On its way.")]
    assert await broken(conn, outside, later(hours=3)) == []


async def test_the_platform_answers_where_the_plan_names_it_and_an_unknown_order_is_told(conn):
    _, outside = await open_house(conn)
    key = await platform_order(conn, outside)
    nobody = (key[0], derived_id("nobody"))
    answers = await speak(
        conn, outside, line(key, FROM_BUYER, "Hello", "q"), line(key, FROM_MERCHANT, "Hi", "m"), line(key, FROM_PLATFORM, "Yes?", "p"),
        line(nobody, FROM_BUYER, "Hello", "q"),
    )  # fmt: skip
    assert [one.outcome for one in answers] == ["done", "not_yours", "done", "unknown"]
    assert await fetch(conn, "select count(*) from fee_line where fee_code = 'service_contact'") == [(0,)]


async def test_a_contact_that_the_platform_answers_for_a_service_costs_a_fee_once(conn):
    _, outside = await open_house(conn)
    key = await placed(conn, outside, AUDIO, "FOCUS-CAMERA", "DE", "logistics_service", "DE-LEJ1", "DE")
    await speak(conn, outside, line(key, FROM_BUYER, "Hello", "q"))
    for hour in (2, 3):
        await speak(conn, outside, line(key, FROM_PLATFORM, "Yes?", "p"), at=later(hours=hour))
    await speak(conn, outside, line(key, FROM_MERCHANT, "We are here too.", "m"), at=later(hours=4))
    assert await fetch(conn, "select count(*) from fee_line where fee_code = 'service_contact'") == [(1,)]
    assert await broken(conn, outside, later(hours=4)) == []


@pytest.mark.parametrize(("granter", "account"), [(FROM_MERCHANT, "rsv"), (FROM_PLATFORM, "loss")])
async def test_goodwill_is_at_the_granters_cost_and_counts_once(conn, granter, account):
    _, outside = await open_house(conn)
    key = await platform_order(conn, outside)
    before = await sums(conn, key)
    gift = Gift(*key, 1, 500, granter, "delivery", "Sorry for the delay.", "g1")
    (given,) = await grant_goodwill(conn, outside, [gift], BUYER, later(hours=1))
    assert given.outcome == "done"
    after = await sums(conn, key)
    changed = {name: after.get(name, 0) - before.get(name, 0) for name in after.keys() | before.keys()}
    assert {name: minor for name, minor in changed.items() if minor} == {"psp": -500, account: 500}
    (thread,) = await list_threads_of_orders(conn, key[0], [key[1]])
    assert [(one.author_role, one.text) for one in thread.messages] == [(granter, "Sorry for the delay. (5.00 GBP)")]
    assert [one.outcome for one in await grant_goodwill(conn, outside, [gift], BUYER, later(hours=2))] == ["exists"]
    too_much = Gift(*key, 1, 9000, granter, "delivery", "More", "g2")
    assert [one.outcome for one in await grant_goodwill(conn, outside, [too_much], BUYER, later(hours=2))] == ["too_much"]
    assert await sums(conn, key) == after
    assert await broken(conn, outside, later(hours=2)) == []
    assert told(await cancel(conn, outside, ask(key, 2), at=later(hours=3))) == [("done", 2, 8898)]
    assert {name: minor for name, minor in (await sums(conn, key)).items() if name in {"psp", "tax.GB"}} == {}
    assert await broken(conn, outside, later(hours=3)) == []
