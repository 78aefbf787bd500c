"""The buyer's pages over HTTP: basket, checkout, orders and what follows them; what is refused changes nothing."""

import asyncio
import re
import uuid

import pytest
from litestar.testing import TestClient
from tests.factories.shown_house import fill_database, keep_keyring

from entrepot.bootstrap.application import create_app
from entrepot.bootstrap.settings import read_settings

TOKEN = re.compile(r'name="form_token" value="(\w+)"')


@pytest.fixture(scope="module")
def house(cluster):
    """URL of a database with some days of trade, committed."""
    name = f"{cluster.prefix}_store"
    url = cluster.clone(name)
    asyncio.run(fill_database(url))
    yield url
    cluster.drop(name)


@pytest.fixture(scope="module")
def app(house, tmp_path_factory):
    data = keep_keyring(tmp_path_factory.mktemp("data"))
    return create_app(read_settings({"DATABASE_URL": house, "ENTREPOT_DATA": str(data), "ENTREPOT_POOL_SIZE": "4"}))


@pytest.fixture
def client(app):
    with TestClient(app) as client:
        yield client


def sign_in(client, login):
    token = TOKEN.search(client.get("/sign-in").text)[1]
    return client.post("/sign-in", data={"form_token": token, "login": login, "password": "demo", "next": "/"}, follow_redirects=False)


def token_of(client, path="/basket"):
    return TOKEN.search(client.get(path).text)[1]


def product(client, words, store="GB"):
    """Return (merchant, offer) of the first product that a search finds."""
    page = client.get(re.search(r'href="(/store/\w+/products/[^"]+)"', client.get(f"/store/{store}?q={words}").text)[1]).text
    return tuple(re.search(rf'name="{name}" value="([^"]+)"', page)[1] for name in ("merchant", "offer"))


def put(client, words, quantity=1, store="GB", **more):
    merchant, offer = product(client, words, store)
    fields = {"form_token": token_of(client, f"/store/{store}"), "merchant": merchant, "offer": offer, "quantity": str(quantity), **more}
    return client.post(f"/store/{store}/basket", data=fields, follow_redirects=False)


def hidden(page):
    return re.findall(r'<input type="hidden" name="([\w-]+)" value="([^"]*)"', page[page.index('action="/checkout"') :])


def checkout(client, path, **changed):
    """Send the checkout form that a page shows, its saved address chosen, with some fields changed."""
    page = client.get(path).text
    chosen = re.search(r'name="address" value="([^"]+)" checked', page)
    fields = {"method": "card_ok", **({"address": chosen[1]} if chosen else {}), **changed}
    fields = {**dict(hidden(page)), "line": [value for name, value in hidden(page) if name == "line"], **fields}
    return client.post("/checkout", data=fields, follow_redirects=False)


def orders_of(client):
    return re.findall(r'href="(/orders/[0-9a-f-]+/[0-9a-f-]+)"', client.get("/orders").text)


def test_drive(client):
    sign_in(client, "buyer-gb")
    print(client.get("/store/GB?q=hedphones").text.count('class="product"'))
    for words in ("aria", "teapot", "knife"):
        answer = put(client, words)
        assert answer.status_code == 303
    page = client.get(answer.headers["location"])
    open("/tmp/st_basket.html", "w").write(page.text)
    page = client.get("/checkout?store=GB")
    open("/tmp/st_checkout.html", "w").write(page.text)
    answer = checkout(client, "/checkout?store=GB")
    open("/tmp/st_a.html", "w").write(answer.text)
    print(answer.status_code, answer.headers.get("location"))
    page = client.get(answer.headers["location"])
    open("/tmp/st_conf.html", "w").write(page.text)
