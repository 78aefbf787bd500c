"""The floor's pages as its scanners ask for them: what a scan books, what it says, and that a refusal changes nothing."""

import re

import psycopg
import pytest
from litestar.testing import TestClient
from tests.factories.floor_house import AUDIO, PLACE, PLAN, fill_database
from tests.factories.opened import filled
from tests.factories.shown_house import keep_keyring

from entrepot.bootstrap.application import create_app
from entrepot.bootstrap.settings import read_settings

TOKEN = re.compile(r'name="form_token" value="(\w+)"')
SEQUENCE = re.compile(r'name="sequence" value="(\d+)"')
SAID = re.compile(r'data-said="(\w+)">.*?<p>(.*?)</p>', re.DOTALL)
RECEIVE = f"/floor/receive/{AUDIO}/{PLAN}"
STATIONS = ("receive", "stow", "pick", "pack", "hand-over", "returns", "problem", "board")


@pytest.fixture(scope="module")
def house(cluster):
    with filled(cluster, "floor", fill_database) as url:
        yield url


@pytest.fixture(scope="module")
def settings(house, tmp_path_factory):
    data = keep_keyring(tmp_path_factory.mktemp("data"))
    return read_settings({"DATABASE_URL": house, "ENTREPOT_DATA": str(data), "ENTREPOT_POOL_SIZE": "4"})


@pytest.fixture
def fresh(settings):
    with TestClient(create_app(settings)) as client:
        yield client


@pytest.fixture(scope="module")
def client(settings):
    """A clerk at work in Luton."""
    with TestClient(create_app(settings)) as client:
        sign_on(client)
        yield client


def sign_in(client, login="warehouse"):
    token = TOKEN.search(client.get("/sign-in").text)[1]
    return client.post("/sign-in", data={"form_token": token, "login": login, "password": "demo"}, follow_redirects=False)


def sign_on(client, place=PLACE, station="dock-1", login="warehouse"):
    sign_in(client, login)
    token = TOKEN.search(client.get("/floor/sign-on").text)[1]
    return client.post("/floor/sign-on", data={"form_token": token, "place": place, "station": station, "next": "/floor"})


def send(client, path, page=None, **fields):
    """Send a form of a page as its browser would; return the page that answers."""
    page = page or client.get(path).text
    return client.post(path, data={"form_token": TOKEN.search(page)[1], "sequence": SEQUENCE.search(page)[1], **fields}).text


def said(page):
    found = SAID.search(page)
    return (found[1], found[2]) if found else ("", "")


def held(house):
    """Return what lies where in Luton."""
    with psycopg.connect(house) as conn:
        rows = conn.execute(
            "select spot_code, condition_code, sum(balance)::int from stock_location where place_code = %s and balance <> 0 group by 1, 2", (PLACE,)
        )
        return {row[:2]: row[2] for row in rows}


def count(house, table):
    with psycopg.connect(house) as conn:
        return conn.execute(f"select count(*) from {table}").fetchone()[0]


def test_whoever_is_not_signed_on_is_led_to_the_place_and_back(fresh):
    sign_in(fresh)
    answer = fresh.get("/floor/stow", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/floor/sign-on?next=%2Ffloor%2Fstow")
    scanned = fresh.get("/floor/stow", headers={"hx-request": "true"}, follow_redirects=False)
    assert scanned.headers["hx-redirect"] == "/floor/sign-on?next=%2Ffloor%2Fstow"
    assert fresh.get("/floor/stow", headers={"accept": "application/json"}).json()["code"] == "not_signed_on"


def test_a_clerk_signs_on_where_the_account_works_and_an_operator_anywhere(fresh):
    page = sign_on(fresh, "HK-HKG1")
    assert page.status_code == 422
    assert "does not work at this place" in page.text
    assert sign_on(fresh, station="dock 1!").status_code == 422
    assert sign_on(fresh, station="").url.path == "/floor"
    assert "Demo fulfilment centre Luton" in fresh.get("/floor").text
    assert sign_on(fresh, "HK-HKG1", login="operator").url.path == "/floor"


def test_the_floor_is_closed_to_others(fresh):
    sign_in(fresh, "merchant")
    assert {fresh.get(f"/floor/{one}").status_code for one in STATIONS} == {403}


@pytest.mark.parametrize("language", ["de", "zh_Hans", "en"])
def test_every_station_opens_in_every_language(client, language):
    client.cookies.set("entrepot_language", language)
    pages = [client.get(f"/floor/{one}") for one in STATIONS]
    client.cookies.delete("entrepot_language")
    assert {(page.status_code, page.headers["content-language"]) for page in pages} == {(200, language.replace("_", "-"))}


def test_a_count_is_booked_once_undone_and_stowed(client, house):
    before = held(house)
    page = send(client, "/floor/receive", do="scan", code=f"{str(PLAN)[-8:]}.1")
    counting = send(client, RECEIVE, page, do="scan", code="ARIA-HEADPHONES", box="1")
    assert 'name="good" value="12"' in counting
    fields = {"do": "count", "line": 1, "good": "5", "damaged": "1", "reason": "wet", "box": "1"}
    assert said(send(client, RECEIVE, counting, **fields)) == ("ok", "5 good, 1 damaged.")
    assert said(send(client, RECEIVE, counting, **fields)) == ("ok", "This count is booked already.")
    now = held(house)
    assert (now["receive", "sellable"], now["receive", "damaged"]) == (5, 1)
    undone = send(client, RECEIVE, do="undo")
    assert said(undone) == ("note", "Undone: 6 units. Count them again.")
    assert held(house) == before
    assert said(send(client, RECEIVE, do="undo")) == ("stop", "You have counted nothing here that could be undone.")

    assert said(send(client, RECEIVE, do="count", line=2, good="8", damaged="0"))[1] == "8 good. 2 more than announced."
    hand = send(client, "/floor/stow", do="scan", code="VOLT-POWER-BANK")
    fields = {"do": "scan", "take": re.search(r'name="take" value="([^"]+)"', hand)[1], "quantity": "8"}
    assert said(send(client, "/floor/stow", hand, **fields, code="Z-99"))[0] == "stop"
    assert said(send(client, "/floor/stow", hand, **{**fields, "quantity": "9"}, code="A-05"))[0] == "stop"
    page = send(client, "/floor/stow", hand, **fields, code="A-05")
    assert said(page) == ("ok", "8 in A-05.")
    assert held(house)["bin:A-05", "sellable"] == 8
    last = re.search(r'name="last" value="([^"]+)"', page)[1]
    assert said(send(client, RECEIVE, do="undo")) == ("stop", "These units went on to a bin. Take the stow back first.")
    assert said(send(client, "/floor/stow", page, do="undo", last=last))[0] == "note"
    assert ("bin:A-05", "sellable") not in held(house)
    assert said(send(client, RECEIVE, do="undo")) == ("note", "Undone: 8 units. Count them again.")
    assert held(house) == before


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"good": "", "damaged": "0"}, "as a number from 1"),
        ({"good": "x", "damaged": "0"}, "as a number from 1"),
        ({"good": "-1", "damaged": "0"}, "as a number from 1"),
        ({"good": "1", "damaged": "1", "reason": ""}, "Say what is wrong"),
        ({"good": "1", "damaged": "1", "reason": "nonsense"}, "Say what is wrong"),
        ({"line": "9", "good": "1", "damaged": "0"}, "Nothing was booked"),
    ],
)
def test_a_count_that_makes_no_sense_books_nothing(client, house, fields, told):
    before = held(house), count(house, "scan")
    state, text = said(send(client, RECEIVE, do="count", **{"line": 1, **fields}))
    assert (state, told in text) == ("stop", True)
    assert (held(house), count(house, "scan")) == before


def test_a_clerk_elsewhere_neither_sees_nor_counts_it(fresh, house):
    sign_on(fresh, "US-ONT1")
    before = held(house)
    assert said(fresh.get(RECEIVE).text)[0] == "stop"
    assert said(send(fresh, RECEIVE, fresh.get("/floor/receive").text, do="count", line=1, good=1, damaged=0)) == (
        "stop",
        "This delivery goes to another place.",
    )
    assert held(house) == before


def walk(client, page, **changed):
    """Pick everything an order's page asks for; return the page after the last stop."""
    path = re.search(r'action="(/floor/pick/[^"]+)"', page)[1]
    while found := re.search(r'id="now-bin">([^<]+)<', page):
        page = send(client, path, page, do="scan", code=found[1])
        at = re.search(r'name="at" value="([^"]+)"', page)[1]
        sku = re.search(r"<code>([A-Z-]+)</code> · Demo", page)[1]
        page = send(client, path, page, **{"do": "scan", "at": at, "code": sku, **changed})
    return page


def test_an_order_is_picked_packed_and_handed_over(client, house):
    walking = send(client, "/floor/pick", do="next")
    path = re.search(r'action="(/floor/pick/[^"]+)"', walking)[1]
    assert said(send(client, path, walking, do="scan", code="Z-99"))[0] == "stop"
    state, text = said(walk(client, client.get(path).text))
    assert (state, text.endswith("Bring it to the packing table.")) == ("ok", True)

    page = send(client, "/floor/pack", do="scan", code=text.split(" ")[0])
    path = re.search(r'action="(/floor/pack/[^"]+)"', page)[1]
    assert said(send(client, path, page, do="scan", code="MOOR-TEAPOT"))[0] == "stop"
    wanted = re.findall(r"<code>([A-Z-]+)</code> · Demo.*?goods-end\">0 / (\d+)<", page, re.DOTALL)
    assert said(send(client, path, do="scan", code=f"99*{wanted[0][0]}"))[0] == "stop"
    assert said(send(client, path, do="scan", code=wanted[0][0]))[0] == "ok"
    assert said(send(client, path, do="undo"))[0] == "note"
    for sku, quantity in wanted:
        page = send(client, path, do="scan", code=f"{quantity}*{sku}")
    assert said(page) == ("ok", "Everything is in. Take the carton.")
    assert "<polygon" in page
    assert said(send(client, path, do="scan", code="WRONG"))[0] == "stop"
    page = send(client, path, do="scan", code="CLOSE")
    assert said(page)[0] == "ok"

    papers = re.search(r'href="(/floor/papers/[^"]+)"', page)[1]
    label = client.get(papers)
    assert "Gwen Demo" in label.text
    assert client.get(f"{papers}/label.pdf").content.startswith(b"%PDF")
    assert client.get(f"{papers}/label.zpl").text.startswith("^XA")
    number = re.search(r"<code>(EL\d+)</code>", page)[1]

    assert said(send(client, "/floor/hand-over/OTHER-LANE", client.get("/floor/hand-over").text, do="scan", code=number))[0] == "stop"
    lane = send(client, "/floor/hand-over", do="scan", code=number)
    path = re.search(r'action="(/floor/hand-over/[^"]+)"', lane)[1]
    assert said(send(client, path, do="undo"))[0] == "note"
    assert said(send(client, path, do="leave"))[0] == "stop"
    before = count(house, "manifest")
    lane = send(client, path, do="scan", code=number)
    leaving = send(client, path, lane, do="leave")
    assert said(leaving) == ("ok", "1 parcel handed over.")
    assert count(house, "manifest") == before + 1
    manifest = client.get(re.search(r'href="(/floor/manifests/[^"]+)"', leaving)[1]).text
    assert number in manifest
    assert number not in client.get("/floor/hand-over").text


def test_two_pickers_get_two_orders_and_each_goes_on_with_its_own(client, fresh):
    sign_on(fresh, login="operator")
    paths = [re.search(r'action="(/floor/pick/[^"]+)"', send(one, "/floor/pick", do="next"))[1] for one in (client, fresh, client, fresh)]
    assert len(set(paths)) == 2
    assert paths[:2] == paths[2:]
    assert said(walk(fresh, fresh.get(paths[1]).text))[0] == "ok"


def test_what_is_not_there_is_closed_and_paid_back(client, house):
    walking = send(client, "/floor/pick", do="next")
    path = re.search(r'action="(/floor/pick/[^"]+)"', walking)[1]
    short = client.get(f"{path}?short=true").text
    assert said(send(client, path, short, do="short", found="99", reason="not_there"))[0] == "stop"
    assert said(send(client, path, short, do="short", found="0", reason=""))[0] == "stop"
    before = count(house, "refund")
    page = send(client, path, short, do="short", found="0", reason="not_there")
    page = walk(client, page) if "now-bin" in page else page
    assert count(house, "refund") == before + 1
    assert "short" in said(page)[1] or "nothing was there" in said(page)[1]


def test_what_comes_back_is_counted_graded_and_put_away(client, house):
    page = client.get("/floor/returns").text
    path = re.search(r'href="(/floor/returns/[^"]+)"', page)[1]
    line = re.search(r'name="came\.([\d.]+)"', client.get(path).text)[1]
    before = held(house)
    assert said(send(client, path, do="receive", **{f"came.{line}": "3"}))[0] == "stop"
    assert held(house) == before
    assert said(send(client, path, do="receive", **{f"came.{line}": "2"})) == ("ok", "2 units are on the bench. Now look at them.")
    bench = held(house)
    assert bench["bench", "quarantine"] == 2
    wrong = [
        {},
        {f"grade.{line}": "damaged", f"disposition.{line}": "restock", f"bin.{line}": "A-01"},
        {f"grade.{line}": "sellable", f"disposition.{line}": "restock", f"bin.{line}": "Z-99"},
        {f"grade.{line}": "defective", f"disposition.{line}": "dispose"},
    ]
    for fields in wrong:
        page = send(client, path, do="grade", **fields)
        assert said(page)[0] == "stop"
        assert "field-fault" in page
    assert held(house) == bench
    right = {f"grade.{line}": "sellable", f"disposition.{line}": "restock", f"bin.{line}": "a-01"}
    assert said(send(client, path, do="grade", **right))[0] == "ok"
    assert held(house)["bin:A-01", "sellable"] == before["bin:A-01", "sellable"] + 2


def test_the_problem_desk_finds_tells_and_takes_out_of_sale(client, house):
    assert said(send(client, "/floor/problem", do="scan", code="NO-SUCH-THING"))[0] == "stop"
    delivery = send(client, "/floor/problem", do="scan", code=str(PLAN)[-8:])
    assert f'href="{RECEIVE}"' in delivery
    report = {"do": "report", "code": str(PLAN)[-8:], "subject": str(PLAN), "what": "wet_or_crushed"}
    assert said(send(client, "/floor/problem", delivery, **report, note=""))[0] == "stop"
    before = count(house, "outbox")
    for _ in range(2):
        told = send(client, "/floor/problem", delivery, **report, note="Box 2 is wet")
        assert said(told)[0] in {"ok", "note"}
    assert count(house, "outbox") == before + 1

    found = send(client, "/floor/problem", do="scan", code="C-02")
    stock = re.search(r'name="stock" value="([^"]+)"', found)[1]
    apart = {"do": "apart", "code": "C-02", "stock": stock}
    before = held(house)
    assert said(send(client, "/floor/problem", found, **apart, quantity="71", bin="F-01"))[0] == "stop"
    assert said(send(client, "/floor/problem", found, **apart, quantity="1", bin="Z-99"))[0] == "stop"
    assert held(house) == before
    assert said(send(client, "/floor/problem", found, **apart, quantity="3", bin="f-01"))[0] == "ok"
    after = held(house)
    assert (after["bin:C-02", "sellable"], after["bin:F-01", "damaged"]) == (67, 3)


def test_the_board_counts_what_waits_and_who_works_with_however_many_devices(client, fresh):
    sign_on(fresh, station="dock-2")
    people = client.get("/floor/board").text.partition('id="people"')[2].partition("</section>")[0]
    assert people.count("Demo warehouse clerk") == 1
    assert "DOCK-2" in people
    assert "Backlog by cut-off" in client.get("/floor/board").text


def test_a_scan_without_its_number_is_refused(client):
    token = TOKEN.search(client.get("/floor/pick").text)[1]
    answer = client.post(
        RECEIVE, data={"form_token": token, "do": "count", "line": 1, "good": 1, "sequence": "x"}, headers={"accept": "application/json"}
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "scan_number")
