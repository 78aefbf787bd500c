"""The guided tour: who may take it, what wrong input gets, and a tour that is followed in the living world until each model's order has arrived."""

import asyncio
import re
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import inf

import psycopg
import pytest
from litestar.testing import TestClient
from psycopg import AsyncConnection
from tests.factories.house import KEYRING
from tests.factories.opened import filled
from tests.factories.shown_house import fill_database, keep_keyring

from entrepot.adapters.carrier import demo_carriers
from entrepot.base.awaited import await_subjects, read_awaited, stop_waiting
from entrepot.bootstrap.application import create_app
from entrepot.bootstrap.living import hurried, stride_s
from entrepot.bootstrap.settings import read_settings
from entrepot.flows.check_laws import check_laws
from entrepot.flows.hurry import HURRY_FOR, HURRY_SPEED, keep_hurrying
from entrepot.flows.tour import checkout_of, demo_cast
from entrepot.operations.model import Channel
from entrepot.operations.registry import REGISTRY
from entrepot.orders.model import Order
from entrepot.surfaces.web.tour.way import Standing, stages_of
from entrepot.world.ground import STARTS_AT, lay_ground
from entrepot.world.live import outside_of
from entrepot.world.run import STRIDE, open_world

TOKEN = re.compile(r'name="form_token" value="(\w+)"')
KEY = re.compile(r'name="key" value="([0-9a-f-]+)"')
TOUR = uuid.UUID(int=0x7A)
"""The tour that is followed: ids follow from it, and what befalls its parcels follows from the ids."""
SEED = 7
LONGEST = timedelta(days=16)
REAL_AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def house(cluster):
    """URL of a database with some days of trade, committed."""
    with filled(cluster, "tour", fill_database) as url:
        yield url


def app_for(url, data, **settings):
    return create_app(read_settings({"DATABASE_URL": url, "ENTREPOT_DATA": str(data), "ENTREPOT_POOL_SIZE": "4", **settings}))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return keep_keyring(tmp_path_factory.mktemp("data"))


@pytest.fixture
def client(house, data):
    with TestClient(app_for(house, data)) as client:
        yield client


def send(client, path, page="/tour", **fields):
    token = TOKEN.search(client.get(page).text)[1]
    return client.post(path, data={"form_token": token, **fields}, follow_redirects=False)


def ask(url, statement, *values):
    with psycopg.connect(url) as conn:
        return conn.execute(statement, values).fetchall()


# -- the tour, followed ----------------------------------------------------------------------------------------------


class LivingHouse:
    """A new house with its world, whose strides pass when a test says so."""

    def __init__(self, url):
        self.url = url
        self.runner = asyncio.Runner()
        self.now = STARTS_AT
        self.conn = self.runner.run(AsyncConnection.connect(url, autocommit=True))
        self.world = self.runner.run(self._open())

    async def _open(self):
        async with self.conn.transaction():
            self.ground = await lay_ground(self.conn, REGISTRY, KEYRING, STARTS_AT)
        return await open_world(self.conn, outside_of(self.ground, SEED), demo_carriers(str(SEED)), self.ground, SEED, 1, 128, STARTS_AT)

    def stride(self):
        self.runner.run(self.world.live_stride(self.now))
        self.now += STRIDE

    def do(self, work):
        return self.runner.run(work)

    def close(self):
        self.runner.run(self.conn.close())
        self.runner.close()


@pytest.fixture
def living(cluster):
    name = f"{cluster.prefix}_tour_world"
    living = LivingHouse(cluster.clone(name))
    yield living
    living.close()
    cluster.drop(name)


def test_whoever_follows_the_tour_sees_one_order_of_each_model_delivered(living, data):
    with TestClient(app_for(living.url, data)) as client:
        early = send(client, "/tour", key=str(TOUR))
        assert early.status_code == 409
        assert "still bringing in" in early.text
        living.stride()

        begun = send(client, "/tour", key=str(TOUR))
        assert (begun.status_code, begun.headers["location"]) == (303, f"/tour/{TOUR}")
        page = f"/tour/{TOUR}"
        assert client.get(page).text.count("tour-stage-now") == 4
        assert len(living.do(read_awaited(living.conn, datetime.now(UTC)))) == 4
        while "4 of 4 delivered" not in client.get(page).text:
            living.stride()
            assert living.now < STARTS_AT + LONGEST, client.get(page).text
            for code in re.findall(r'name="model" value="(\w+)"', client.get(page).text):
                assert send(client, f"{page}/again", page, model=code).status_code == 303

        delivered = ask(
            living.url,
            "select l.model_code from customer_order o join order_line l using (merchant_id, order_id) join parcel p using (merchant_id, order_id)"
            " where o.checkout_id = any(%s) and p.delivered_at is not null and l.delivered = 1",
            [checkout_of(TOUR, code, number) for code in REGISTRY.codes for number in (1, 2)],
        )
        assert sorted(row[0] for row in delivered) == sorted(REGISTRY.codes)
        assert living.do(keep_hurrying(living.conn, datetime.now(UTC))) is False
        assert living.do(read_awaited(living.conn, datetime.now(UTC))) == []
        assert [law for law in living.do(check_laws(living.conn, living.ground.reference)) if law.broken] == []
        every_side_is_shown(client, page)


def every_side_is_shown(client, page):
    """Every button of the page leads to a page that its login may see, on which the order's number stands."""
    forms = re.findall(
        r'name="next" value="([^"]+)"><input type="hidden" name="login" value="([^"]+)"><input[^>]+value="([^"]+)">', client.get(page).text
    )
    assert len(forms) >= 4 * 4
    for href, login, password in forms:
        address = href.replace("&amp;", "&")
        answer = send(client, "/sign-in", page, next=address, login=login, password=password)
        assert (answer.status_code, answer.headers["location"]) == (303, address), login
        assert client.get(address).status_code == 200, (login, address)
        assert "Back to its orders" in client.get(address).text


# -- beginning -------------------------------------------------------------------------------------------------------


def test_the_first_page_says_who_does_what_and_gives_each_form_a_key(client):
    page = client.get("/tour").text
    assert [plan.model.title for plan in REGISTRY.plans() if plan.model.title not in page] == []
    assert KEY.search(page)[1] != KEY.search(client.get("/tour").text)[1]


def test_a_form_that_is_sent_twice_orders_once(client, house):
    key = str(uuid.UUID(int=0x2A))
    assert send(client, "/tour", key=key).status_code == 303
    before = ask(house, "select count(*) from customer_order")
    assert send(client, "/tour", key=key).status_code == 303
    assert ask(house, "select count(*) from customer_order") == before
    assert ask(house, "select distinct actor_kind, actor_code, actor_role from audit_entry where actor_code = 'tour'") == [
        ("program", "tour", "buyer")
    ]


@pytest.mark.parametrize("key", ["", "x", "1" * 200, "{}"])
def test_a_key_that_no_page_gave_is_refused(client, house, key):
    before = ask(house, "select count(*) from customer_order")
    assert send(client, "/tour", key=key).status_code == 422
    assert ask(house, "select count(*) from customer_order") == before


def test_a_form_without_its_token_is_refused(client):
    assert client.post("/tour", data={"key": str(uuid.uuid4())}).status_code == 403
    assert client.post("/tour/close", data={"next": "/"}).status_code == 403


# -- on the way ------------------------------------------------------------------------------------------------------


@pytest.fixture
def begun(client):
    """The address of a tour that has begun."""
    return send(client, "/tour", key=str(uuid.UUID(int=0x3A))).headers["location"]


def test_a_tour_that_nobody_began_does_not_exist(client):
    nobodys = f"/tour/{uuid.UUID(int=0x4A)}"
    assert client.get(nobodys).status_code == 404
    assert send(client, f"{nobodys}/pace", pace="fast").status_code == 404
    assert send(client, f"{nobodys}/again", model=REGISTRY.codes[0]).status_code == 404
    assert client.get("/tour/x").status_code == 404


@pytest.mark.parametrize("fields", [{}, {"pace": ""}, {"pace": "9999"}])
def test_a_pace_that_the_page_does_not_offer_is_refused(client, begun, fields):
    assert send(client, f"{begun}/pace", **fields).status_code == 422


@pytest.mark.parametrize("code", ["", "no_such_model", *REGISTRY.codes])
def test_nothing_is_ordered_again_while_an_order_may_arrive(client, house, begun, code):
    before = ask(house, "select count(*) from customer_order")
    assert send(client, f"{begun}/again", model=code).status_code == 422
    assert ask(house, "select count(*) from customer_order") == before


def test_time_hurries_only_while_the_visitor_wants_it(client, house, begun):
    with psycopg.connect(house) as conn:
        conn.execute("delete from awaited")
    assert "Time takes its usual pace" in client.get(begun).text
    assert send(client, f"{begun}/pace", pace="fast").status_code == 303
    assert "Time hurries" in client.get(begun).text
    assert send(client, f"{begun}/pace", pace="usual").status_code == 303
    assert "Time takes its usual pace" in client.get(begun).text


def test_the_page_asks_for_what_changed_and_gets_nothing_where_nothing_did(client, begun):
    again = re.search(r'hx-get="([^"]+)"', client.get(begun).text)[1]
    assert client.get(again, headers={"hx-request": "true"}).status_code == 204
    part = client.get(f"{begun}?seen=other", headers={"hx-request": "true"})
    assert part.status_code == 200
    assert "<html" not in part.text
    assert 'id="tour-said" hx-swap-oob' in part.text


# -- who is invited --------------------------------------------------------------------------------------------------


def test_newcomers_are_invited_until_they_close_the_tour(client):
    assert "Take the tour" in client.get("/store/GB").text
    assert "Take the tour" not in client.get("/store/GB?q=tea").text
    closed = send(client, "/tour/close", next="/store/GB")
    assert (closed.status_code, closed.headers["location"]) == (303, "/store/GB")
    assert "Take the tour" not in client.get("/store/GB").text
    assert "Take the tour" not in client.get("/sign-in").text


def test_the_way_back_stays_inside(client):
    assert send(client, "/tour/close", next="https://elsewhere.example").headers["location"] == "/"


@pytest.mark.parametrize("held", ["", "closed", "x" * 300, "<b>"])
def test_whatever_the_cookie_holds_is_harmless(client, held):
    client.cookies.set("entrepot_tour", held)
    page = client.get("/store/GB")
    assert page.status_code == 200
    assert "<b>" not in page.text


def test_without_the_demonstration_world_there_is_no_tour(house, data):
    with TestClient(app_for(house, data, ENTREPOT_WORLD="off")) as client:
        assert "Take the tour" not in client.get("/store/GB").text
        for path in ("/tour", f"/tour/{TOUR}"):
            assert client.get(path).status_code == 404
        before = ask(house, "select count(*) from customer_order")
        for path, fields in (("/tour", {"key": str(TOUR)}), (f"/tour/{TOUR}/pace", {"pace": "fast"}), (f"/tour/{TOUR}/again", {"model": "x"})):
            assert send(client, path, "/sign-in", **fields).status_code == 404
        assert ask(house, "select count(*) from customer_order") == before


# -- the pace of time ------------------------------------------------------------------------------------------------


def test_a_stride_takes_what_its_speed_says():
    assert stride_s(Decimal(60)) == 240
    assert stride_s(hurried(Decimal(60))) == stride_s(HURRY_SPEED) == 2
    assert stride_s(hurried(Decimal(0))) == 2
    assert stride_s(hurried(None)) == 2
    assert stride_s(hurried(Decimal(100_000))) < 2
    assert stride_s(None) == 0
    assert stride_s(Decimal(0)) == inf


@pytest.mark.anyio
async def test_waiting_ends_by_the_clock_by_wish_and_with_the_orders(conn):
    keys = [(uuid.UUID(int=1), uuid.UUID(int=number)) for number in (2, 3, 4)]
    await await_subjects(conn, keys[:2], REAL_AT + HURRY_FOR)
    await await_subjects(conn, keys[1:], REAL_AT)
    assert await read_awaited(conn, REAL_AT) == keys[:2]
    assert await read_awaited(conn, REAL_AT + HURRY_FOR) == []
    await stop_waiting(conn, keys[:1])
    assert await read_awaited(conn, REAL_AT) == keys[1:2]
    assert await keep_hurrying(conn, REAL_AT) is False  # an order that is not there is over
    assert await read_awaited(conn, REAL_AT) == []


# -- stages ----------------------------------------------------------------------------------------------------------


def order_in(state, channel=Channel.STORE):
    return Order(*[uuid.UUID(int=1)] * 4, "E1", "GB", str(channel), "GBP", state, "GB", "LS1", 799, STARTS_AT, "", "standard")


@pytest.mark.parametrize("plan", REGISTRY.plans(), ids=REGISTRY.codes)
def test_every_model_has_its_stages_from_its_declaration(plan):
    channels = [channel for channel in Channel if plan.serves(channel)]
    for channel in channels:
        stages = stages_of(plan, Standing(order_in("awaiting_payment", channel), None, None, None))
        labels = [one.label for one in stages]
        assert labels[0] == "Ordered"
        assert labels[-1] == "Delivered"
        assert ("Paid" in labels) == plan.money_passes_through_us(channel)
        assert ("Declared and released by customs" in labels) == plan.needs_declaration_before_release
        assert [one.step for one in stages] == ["done", "now", *["open"] * (len(stages) - 2)]


def test_a_cancelled_order_stops_where_it_is():
    plan = REGISTRY.plans()[0]
    standing = Standing(order_in("cancelled"), None, None, None)
    assert standing.has_failed
    assert "stopped" in {one.step for one in stages_of(plan, standing)}
    assert not Standing(order_in("paid"), None, None, None).has_failed


def test_the_demo_has_somebody_for_every_side():
    cast = demo_cast()
    assert set(cast.buyers.values()) >= {"buyer", "buyer-gb", "buyer-de", "buyer-cn"}
    assert set(cast.merchants.values()) >= {"merchant", "merchant-gb", "merchant-au"}
    assert cast.floors["CN-NGB1"] == "warehouse"
    assert cast.house == "operator"
