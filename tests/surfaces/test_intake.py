"""The order API as programs meet it: answers, replays, refusals, batches, and what overload looks like."""

import asyncio
import json
import uuid
from contextlib import asynccontextmanager

import httpx
import psycopg
import pytest
import structlog
from tests.factories.contract import require_documented
from tests.factories.house import KEYRING, find_offer
from tests.factories.programs import FAR, GB, issue_tokens, order_message
from tests.factories.shown_house import fill_database

from entrepot.base.batching import Batcher, BatchLimits, OverloadedError
from entrepot.base.errors import UnavailableError
from entrepot.base.time import RealClock
from entrepot.bootstrap.application import PooledDatabase
from entrepot.bootstrap.database import open_pool
from entrepot.bootstrap.outside import FreshOutside
from entrepot.bootstrap.settings import read_settings
from entrepot.operations.registry import REGISTRY
from entrepot.parties.tokens import NewToken, create_tokens, end_tokens, find_staff_id
from entrepot.surfaces.api.intake import Intake, is_for_intake
from entrepot.surfaces.api.wire import BODY_LIMIT
from entrepot.surfaces.web.house import House, Proofs

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def sold(cluster):
    """A database with some days of trade, committed, and a token for each login."""
    name = f"{cluster.prefix}_intake"
    url = cluster.clone(name)
    asyncio.run(fill_database(url))
    asyncio.run(issue_tokens(url))
    yield url
    cluster.drop(name)


class Api:
    """The handler over a database, and a client that speaks to it."""

    def __init__(self, client, sizes, offer, conn):
        self.client, self.sizes, self.offer, self.conn = client, sizes, offer, conn

    def message(self, quantity=1, **more):
        return order_message(self.offer, quantity, **more)

    async def order(self, key, body, token="storefront-token"):
        headers = {"authorization": f"Bearer {token}", "idempotency-key": key}
        return await self.client.post("/orders", json=body, headers=headers)

    async def count(self, table):
        return (await (await self.conn.execute(f"select count(*) from {table}")).fetchone())[0]

    async def counts(self):
        return [
            await self.count(table) for table in ("checkout", "customer_order", "stock_reservation", "person_request", "money_posting", "due_work")
        ]


@asynccontextmanager
async def opened(url, data, limits):
    """Give the handler over a database, as it gathers batches within limits."""
    settings = read_settings({"DATABASE_URL": url, "ENTREPOT_DATA": str(data)})
    async with open_pool(url, 4) as pool, await psycopg.AsyncConnection.connect(url, autocommit=True) as conn:
        house = House(PooledDatabase(pool, pool), FreshOutside(settings), REGISTRY, KEYRING, Proofs())
        sizes = []
        intake = Intake(house, limits, sizes.append)

        async def serve(scope, receive, send):
            assert is_for_intake(scope["method"], scope["path"])
            await intake(scope, receive, send)

        offer = await find_offer(conn, "demo-shenzhen-audio", "LINK-CABLE", "GB", "fba")
        async with httpx.AsyncClient(transport=httpx.ASGITransport(serve), base_url="http://test") as client:
            yield Api(client, sizes, offer, conn)


@pytest.fixture
async def api(sold, tmp_path, anyio_backend):
    async with opened(sold, tmp_path, BatchLimits()) as api:
        yield api


async def test_an_order_is_placed_once_however_often_it_is_sent(api):
    body = api.message(2)
    first = await api.order("key-once", body)
    assert first.status_code == 201, first.text
    told = first.json()
    assert (told["state"], told["currency"], len(told["orders"])) == ("awaiting_payment", "GBP", 1)
    assert told["expires_at"] is not None
    before = await api.counts()
    again = await api.order("key-once", body)
    assert (again.status_code, again.json()) == (200, told)
    found = await api.client.get(f"/requests/key-once?buyer_id={GB}", headers={"authorization": "Bearer storefront-token"})
    assert (found.status_code, found.json()) == (200, told)
    other = await api.order("key-once", api.message(3))
    assert (other.status_code, other.json()["code"]) == (409, "key_used_for_other_request")
    assert await api.counts() == before
    row = await (
        await api.conn.execute("select actor_kind, actor_code from audit_entry where command_code = 'place_order' order by at desc limit 1")
    ).fetchone()
    assert row == ("program", "storefront")


async def test_what_is_paid_with_the_order_is_paid_in_the_answer(api):
    told = (await api.order("key-invoice", api.message(payment_method="invoice"))).json()
    assert (told["state"], told["expires_at"]) == ("paid", None)


async def test_concurrent_orders_share_batches_and_scarce_units_go_to_whoever_came_first(api):
    left = (
        await (
            await api.conn.execute(
                "select sum(on_hand - reserved) from stock_availability where stock_item_id = %s and place_code like 'GB%%'",
                [api.offer.stock_item_id],
            )
        ).fetchone()
    )[0]
    each = int(left) // 10
    answers = await asyncio.gather(*(api.order(f"key-rush-{number}", api.message(each, payment_method="invoice")) for number in range(40)))
    statuses = [answer.status_code for answer in answers]
    assert statuses.count(201) == int(left) // each
    refused = [answer.json() for answer in answers if answer.status_code != 201]
    assert {one["code"] for one in refused} == {"not_enough_units"}
    assert all("units" in one["remedy"] and one["field"].startswith("lines[") for one in refused)
    assert max(api.sizes) > 1
    assert sum(api.sizes) == 40


BAD_BODIES = [
    (b"", "malformed_body", "body"),
    (b"{", "malformed_body", "body"),
    (b"[" * 100_000, "malformed_body", "body"),
    (b"\xff\xfe", "malformed_body", "body"),
    (b"[]", "malformed_body", "body"),
    ({"surprise": 1}, "malformed_body", "surprise"),
    ({"lines": []}, "malformed_body", "lines"),
    ({"lines": [{"merchant_id": str(GB), "offer_id": str(GB), "quantity": 1}] * 201}, "malformed_body", "lines"),
    ({"lines": [{"merchant_id": "x", "offer_id": str(GB), "quantity": 1}]}, "malformed_body", "lines[0].merchant_id"),
    ({"lines": [{"merchant_id": str(GB), "offer_id": str(GB), "quantity": 0}]}, "malformed_body", "lines[0].quantity"),
    ({"lines": [{"merchant_id": str(GB), "offer_id": str(GB), "quantity": 2**63}]}, "malformed_body", "lines[0].quantity"),
    ({"lines": [{"merchant_id": str(GB), "offer_id": str(GB), "quantity": 1.5}]}, "malformed_body", "lines[0].quantity"),
    ({"marketplace": "G\x00B"}, "malformed_body", "marketplace"),
    ({"country": "gb"}, "malformed_body", "country"),
    ({"postcode": "'; drop"}, "malformed_body", "postcode"),
    ({"payment_method": "gold"}, "unknown_payment_method", "payment_method"),
    ({"marketplace": "XX"}, "unknown_marketplace", "marketplace"),
    ({"lines": [{"merchant_id": str(GB), "offer_id": str(GB), "quantity": 1}]}, "offer_not_live", "offer_id"),
    ({"quote_id": str(GB)}, "unknown_quote", "quote_id"),
    ({"identity_id": str(GB)}, "unknown_identity", "identity_id"),
    ({"buyer_id": str(uuid.UUID(int=7))}, "unknown_buyer", "buyer_id"),
    ({"buyer_id": None}, "foreign_buyer", "buyer_id"),
]


@pytest.mark.parametrize(("change", "code", "field"), BAD_BODIES)
async def test_a_bad_body_is_refused_by_field_and_writes_nothing(api, change, code, field):
    before = await api.counts()
    content = change if isinstance(change, bytes) else json.dumps(api.message(**change)).encode()
    headers = {"authorization": "Bearer storefront-token", "idempotency-key": "key-bad"}
    answer = await api.client.post("/orders", content=content, headers=headers)
    problem = answer.json()
    assert 400 <= answer.status_code < 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert (problem["code"], problem["field"], problem["status"]) == (code, field, answer.status_code)
    assert problem["remedy"]
    assert await api.counts() == before


async def test_a_huge_body_is_refused(api):
    headers = {"authorization": "Bearer storefront-token", "idempotency-key": "key-huge"}
    answer = await api.client.post("/orders", content=b" " * (BODY_LIMIT + 1), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


@pytest.mark.parametrize("key", ["", "x" * 65, "tab\tkey", "kéy".encode("latin-1")])
async def test_a_bad_key_is_refused(api, key):
    headers = {"authorization": "Bearer storefront-token", "idempotency-key": key}
    answer = await api.client.post("/orders", json=api.message(), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "request_key")


async def test_who_may_order_for_whom(api):
    assert (await api.order("key-own", api.message(buyer_id=None), "buyer-gb-token")).status_code == 201
    assert (await api.order("key-foreign", api.message(), "buyer-de-token")).json()["code"] == "foreign_buyer"
    assert (await api.order("key-operator", api.message(), "operator-token")).json()["code"] == "ordering_forbidden"
    for token in ("", "wrong", "x\x7f"):
        answer = await api.order("key-nobody", api.message(), token)
        assert (answer.status_code, answer.json()["code"]) == (401, "token_missing")
    unknown = await api.client.get("/requests/key-of-nobody", headers={"authorization": "Bearer buyer-gb-token"})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_key")
    foreign = await api.client.get("/requests/key-own", headers={"authorization": "Bearer buyer-de-token"})
    assert foreign.status_code == 404


async def test_an_ended_token_is_refused(sold, api):
    async with await psycopg.AsyncConnection.connect(sold) as conn:
        now = RealClock().now()
        staff_id = await find_staff_id(conn, "storefront")
        await create_tokens(conn, [NewToken("short-lived", staff_id, "short", FAR)], now)
        assert await end_tokens(conn, staff_id, "short", now) == 1
        await conn.commit()
    assert (await api.order("key-ended", api.message(), "short-lived")).status_code == 401


async def quote(api, **more):
    body = api.message(payment_method=None, **more)
    return await api.client.post("/quotes", json=body, headers={"authorization": "Bearer storefront-token"})


async def test_an_order_is_held_to_its_quote(api):
    offer = await find_offer(api.conn, "demo-shenzhen-audio", "VOLT-CHARGER", "GB", "fba")
    api.offer = offer
    quoted = (await quote(api)).json()
    (line,) = quoted["lines"]
    assert quoted["total_minor"] == line["charged_minor"] == offer.price_minor
    assert line["parcels"][0]["from"] <= line["parcels"][0]["to"]
    placed = await api.order("key-quoted", api.message(quote_id=quoted["quote_id"]))
    assert (placed.status_code, placed.json()["total_minor"]) == (201, quoted["total_minor"])
    changed = await api.order("key-changed", api.message(2, quote_id=quoted["quote_id"]))
    assert (changed.status_code, changed.json()["code"]) == (409, "quote_changed")
    await api.conn.execute("update quote set valid_until = quoted_at where quote_id = %s", [quoted["quote_id"]])
    expired = await api.order("key-expired", api.message(quote_id=quoted["quote_id"]))
    assert (expired.status_code, expired.json()["code"]) == (409, "quote_expired")
    refused = await quote(api, lines=[{"merchant_id": str(offer.merchant_id), "offer_id": str(offer.offer_id), "quantity": 1_000_000}])
    assert (refused.status_code, refused.json()["code"]) == (409, "not_enough_units")


async def test_who_comes_when_too_much_waits_is_told_when_to_come_again(sold, tmp_path):
    async with opened(sold, tmp_path, BatchLimits(waiting=0)) as api:
        before = await api.counts()
        for answer in (await api.order("key-late", api.message()), await quote(api)):
            assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "overloaded", "1")
            require_documented(answer, "POST", "/orders")
        assert await api.counts() == before


async def test_a_failure_of_ours_tells_nothing_and_is_logged(sold, tmp_path):
    async with opened(sold, tmp_path, BatchLimits()) as api:
        await api.conn.execute("alter table quote rename to quote_gone")
        with structlog.testing.capture_logs() as logs:
            answer = await quote(api)
        await api.conn.execute("alter table quote_gone rename to quote")
        require_documented(answer, "POST", "/quotes")
        assert (answer.status_code, answer.json()["code"], "quote" in answer.text) == (500, "internal_error", False)
        assert [(one["event"], one["path"]) for one in logs] == [("intake_failed", "/quotes")]


# -- the batcher alone -----------------------------------------------------------------------------------------------


async def test_the_batcher_refuses_before_memory_grows_and_loses_nobody():
    started, go = asyncio.Event(), asyncio.Event()

    async def run(batch):
        started.set()
        await go.wait()
        return [item * 2 for item in batch]

    sizes = []
    batcher = Batcher(run, lambda _item: 1, BatchLimits(items=4, lanes=1, waiting=6), sizes.append)
    first = asyncio.create_task(batcher.submit(1))
    await started.wait()
    waiting = [asyncio.create_task(batcher.submit(number)) for number in range(2, 8)]
    await asyncio.sleep(0)
    with pytest.raises(OverloadedError):
        await batcher.submit(9)
    waiting[0].cancel()
    go.set()
    assert await first == 2
    assert await asyncio.gather(*waiting[1:]) == [6, 8, 10, 12, 14]
    assert sizes == [1, 4, 1]


async def test_what_breaks_a_batch_fails_alone_and_an_outage_fails_at_once():
    runs = []

    async def run(batch):
        runs.append(list(batch))
        if "outage" in batch:
            raise UnavailableError("database", None, "Wait.")
        if "poison" in batch:
            raise ValueError
        return list(batch)

    batcher = Batcher(run, len, BatchLimits(lanes=1, weight=30), lambda _size: None)
    answers = await asyncio.gather(*(batcher.submit(item) for item in ("a", "poison", "b")), return_exceptions=True)
    assert [answers[0], type(answers[1]), answers[2]] == ["a", ValueError, "b"]
    answers = await asyncio.gather(*(batcher.submit(item) for item in ("c", "outage")), return_exceptions=True)
    assert [type(one) for one in answers] == [UnavailableError, UnavailableError]
    assert runs == [["a", "poison", "b"], ["a"], ["poison"], ["b"], ["c", "outage"]]


async def test_a_batch_holds_so_much_weight_and_one_heavy_item_goes_alone():
    sizes = []

    async def run(batch):
        return list(batch)

    batcher = Batcher(run, len, BatchLimits(lanes=1, weight=5), sizes.append)
    assert await asyncio.gather(*(batcher.submit(item) for item in ("aaa", "bb", "c", "dddddddd"))) == ["aaa", "bb", "c", "dddddddd"]
    assert sizes == [2, 1, 1]
