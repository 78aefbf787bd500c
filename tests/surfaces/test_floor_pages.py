"""The floor's pages as its scanners ask for them: what a scan books, what it says, and that a refusal changes nothing."""

import asyncio
import re

import pytest
from litestar.testing import TestClient
from tests.factories.floor_house import AUDIO, PLAN, fill_database
from tests.factories.shown_house import keep_keyring

from entrepot.bootstrap.application import create_app
from entrepot.bootstrap.settings import read_settings

TOKEN = re.compile(r'name="form_token" value="(\w+)"')
SEQUENCE = re.compile(r'name="sequence" value="(\d+)"')
SAID = re.compile(r'data-said="(\w+)">.*?<p>(.*?)</p>', re.DOTALL)
RECEIVE = f"/floor/receive/{AUDIO}/{PLAN}"


@pytest.fixture
def house(cluster):
    name = f"{cluster.prefix}_floor"
    url = cluster.clone(name)
    asyncio.run(fill_database(url))
    yield url
    cluster.drop(name)


@pytest.fixture
def client(house, tmp_path):
    settings = read_settings({"DATABASE_URL": house, "ENTREPOT_DATA": str(keep_keyring(tmp_path / "data")), "ENTREPOT_POOL_SIZE": "4"})
    with TestClient(create_app(settings)) as client:
        yield client


def sign_in(client, login):
    token = TOKEN.search(client.get("/sign-in").text)[1]
    return client.post("/sign-in", data={"form_token": token, "login": login, "password": "demo"}, follow_redirects=False)


def sign_on(client, place="GB-LTN1", station="DOCK-1"):
    sign_in(client, "warehouse")
    page = client.get("/floor").text
    return client.post("/floor/sign-on", data={"form_token": TOKEN.search(page)[1], "place": place, "station": station, "next": "/floor"})


def send(client, path, shown=None, **fields):
    """Send a form of a page as its browser would; return the page."""
    page = shown or client.get(path).text
    return client.post(path, data={"form_token": TOKEN.search(page)[1], "sequence": SEQUENCE.search(page)[1], **fields}).text


def said(page):
    found = SAID.search(page)
    return (found[1], found[2]) if found else ("", "")


def test_debug(client):
    print(sign_on(client).url)
    page = send(client, "/floor/receive", do="scan", code=str(PLAN)[-8:] + ".1")
    open("/tmp/pf.html", "w").write(page)
    print(said(page))
    page = send(client, RECEIVE, page, do="scan", code="ARIA-HEADPHONES")
    print(said(page))
    page = send(client, RECEIVE, page, do="count", line=1, good=5, damaged=1, reason="wet")
    print(said(page))
    page = send(client, RECEIVE, page, do="undo")
    print(said(page))
    page = send(client, RECEIVE, page, do="count", line=1, good=12, damaged=0, reason="")
    print(said(page))
    page = client.get("/floor/stow").text
    page = send(client, "/floor/stow", page, do="scan", code="ARIA-HEADPHONES")
    print(said(page))
    print(re.search(r'now-bin">(.*?)<', page)[1])
    take = re.search(r'name="take" value="(.*?)"', page)[1]
    page = send(client, "/floor/stow", page, do="scan", take=take, quantity=12, code="A-01")
    print(said(page))
    last = re.search(r'name="last" value="(.*?)"', page)[1]
    page = send(client, "/floor/stow", page, do="undo", last=last)
    print(said(page))
    page = send(client, "/floor/pick", do="next")
    print(said(page))
    open("/tmp/pf.html", "w").write(page)
    path = re.search(r'action="(/floor/pick/[^"]+)"', page)[1]
    for code in ("B-09", "A-01", "X", "ARIA-HEADPHONES", "A-02", "PEBBLE-EARBUDS"):
        page = send(client, path, page, do="scan", code=code, **({"at": m[1]} if (m := re.search(r'name="at" value="(.+?)"', page)) else {}))
        print(code, said(page))
    page = client.get("/floor/pack").text
    path = re.search(r'href="(/floor/pack/[^"]+)"', page)[1]
    page = client.get(path).text
    for code in ("ARIA-HEADPHONES", "WRONG", "ARIA-HEADPHONES", "ARIA-HEADPHONES", "PEBBLE-EARBUDS", "CLOSE"):
        page = send(client, path, page, do="scan", code=code)
        print(code, said(page))
    open("/tmp/pf.html", "w").write(page)
    for paper in re.findall(r'href="(/floor/papers/[^"]+)"', page):
        print(paper, client.get(paper).status_code)
    print(client.get(paper.replace("label.zpl", "label.pdf")).status_code, client.get(paper).text[:300])
    number = re.search(r"<code>([A-Z0-9]{8,})</code>", page)[1]
    page = send(client, "/floor/hand-over", do="scan", code=number)
    print(said(page))
    path = re.search(r'action="(/floor/hand-over/[^"]+)"', page)[1]
    page = send(client, path, page, do="leave")
    print(said(page))
    print(client.get(re.search(r'href="(/floor/manifests/[^"]+)"', page)[1]).status_code)
