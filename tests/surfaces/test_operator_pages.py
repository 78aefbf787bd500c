"""The operator's pages over HTTP: what they show, what they refuse, and that a refusal changes nothing."""

import re
import uuid

import psycopg
import pytest
from litestar.testing import TestClient
from tests.factories.opened import app_on, filled
from tests.factories.shown_house import fill_database

from entrepot.parties.model import merchant_id_of

AUDIO = merchant_id_of("demo-shenzhen-audio")
LEEDS = merchant_id_of("demo-leeds-kitchen")
TOKEN = re.compile(r'name="form_token" value="(\w+)"')
ORDER = re.compile(r'href="(/orders/[0-9a-f-]+/[0-9a-f-]+)"')
POSTING = re.compile(r'href="(/posting/[0-9a-f-]+/[0-9a-f-]+)"')


@pytest.fixture(scope="module")
def house(cluster):
    with filled(cluster, "operator", fill_database) as url:
        yield url


@pytest.fixture(scope="module")
def app(house, tmp_path_factory):
    return app_on(house, tmp_path_factory.mktemp("data"))


@pytest.fixture
def client(app):
    with TestClient(app) as client:
        yield client


def sign_in(client, login):
    client.cookies.clear()
    token = TOKEN.search(client.get("/sign-in").text)[1]
    answer = client.post("/sign-in", data={"form_token": token, "login": login, "password": "demo", "next": "/"}, follow_redirects=False)
    assert answer.status_code == 303


def send(client, path, shown_at, **fields):
    """Send a form as the page shows it."""
    token = TOKEN.search(client.get(shown_at).text)[1]
    return client.post(path, data={"form_token": token, **fields}, follow_redirects=False)


def ask(house, statement, *values):
    with psycopg.connect(house) as conn:
        return conn.execute(statement, values).fetchall()


def an_order(client, state="in_work", model="fba"):
    return ORDER.findall(client.get(f"/orders?state={state}&model={model}").text)[0]


# -- search ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "kind", "leads_to"),
    [
        ("select number from customer_order limit 1", "order", "/orders/"),
        ("select order_id from customer_order limit 1", "order", "/orders/"),
        ("select tracking_number from parcel where tracking_number is not null limit 1", "parcel", "/orders/"),
        ("select parcel_id from parcel limit 1", "parcel", "/orders/"),
        (
            "select consignment_id from consignment c where exists (select from fulfilment_order f where f.consignment_id = c.consignment_id) limit 1",
            "",
            "/orders/",
        ),
        ("select declaration_id from declaration limit 1", "declaration", "/operator/customs/"),
        ("select posting_id from money_posting limit 1", "posting", "/posting/"),
        ("select posting_id from stock_move limit 1", "stock", "/stock"),
        ("select code from merchant where code = 'demo-leeds-kitchen'", "merchant", "/operator/merchants/"),
        ("select person_id from customer_order limit 1", "buyer", "/operator/buyers/"),
        ("select 'moor-teapot'", "sku", "/stock"),
    ],
)
def test_any_number_leads_to_its_record(client, house, statement, kind, leads_to):
    sign_in(client, "operator")
    answer = client.get("/search", params={"q": str(ask(house, statement)[0][0])}, follow_redirects=False)
    assert answer.status_code == 303, kind
    assert answer.headers["location"].startswith(leads_to)
    assert client.get(answer.headers["location"]).status_code == 200


def test_a_name_of_several_records_lists_them_with_badges(client, house):
    sign_in(client, "operator")
    order_id = ask(house, "select order_id from customer_order limit 1")[0][0]
    with psycopg.connect(house) as conn:
        conn.execute("update customer_order set reference = 'MOOR-TEAPOT' where order_id = %s", (order_id,))
    page = client.get("/search?q=MOOR-TEAPOT").text
    assert [badge in page for badge in (">Order<", ">SKU<")] == [True, True]
    assert f"{order_id}" in page
    with psycopg.connect(house) as conn:
        conn.execute("update customer_order set reference = '' where order_id = %s", (order_id,))


def test_a_merchant_finds_its_own_records_and_no_buyers(client, house):
    sign_in(client, "merchant")
    theirs, own = (
        [str(row[0]) for row in ask(house, f"select posting_id from money_posting where merchant_id {sign} %s limit 3", AUDIO)]
        for sign in ("<>", "=")
    )
    buyer = str(ask(house, "select person_id from customer_order where merchant_id = %s limit 1", AUDIO)[0][0])
    assert ["Nothing is called" in client.get(f"/search?q={one}").text for one in (*theirs, buyer)] == [True] * 4
    assert [client.get(f"/search?q={one}").status_code for one in own] == [200] * 3
    assert all(client.get(f"/search?q={one}").url.path == f"/posting/{AUDIO}/{one}" for one in own)
    assert "Nothing is called" in client.get("/search?q=demo-leeds-kitchen").text


# -- hold and release ------------------------------------------------------------------------------------------------


def test_an_order_is_held_and_released(client, house):
    sign_in(client, "operator")
    order = an_order(client)
    held = "select count(*) from order_hold where released_at is null"
    wrong = send(client, f"/operator{order}/hold", order, reason="other_reason", note="  ")
    assert (wrong.status_code, "Write why the order is held." in wrong.text, ask(house, held)) == (422, True, [(0,)])
    assert '<option selected value="other_reason">' in wrong.text
    for _ in range(2):
        assert send(client, f"/operator{order}/hold", order, reason="address_check", note="Call first <b>").headers["location"] == order
    page = client.get(order).text
    assert (ask(house, held), "On hold" in page, "Call first &lt;b&gt;" in page, "Address check" in page) == ([(1,)], True, True, True)
    _, merchant_id, order_id = order.strip("/").split("/")
    ((login,),) = ask(house, "select login from staff where merchant_id = %s and role_code = 'merchant_owner'", merchant_id)
    sign_in(client, login)
    page = client.get(f"/merchant/orders/{order_id}").text
    assert ("Call first" in page, "Address check" in page) == (False, True)  # what the house wrote stays in the house
    sign_in(client, "operator")
    wrong = send(client, f"/operator{order}/release", order, note="")
    assert (wrong.status_code, "This field is required." in wrong.text, ask(house, held)) == (422, True, [(1,)])
    assert send(client, f"/operator{order}/release", order, note="Buyer called").status_code == 303
    page = client.get(order).text
    assert (ask(house, held), "Buyer called" in page, "Release order" in page, "Hold this order" in page) == ([(0,)], True, True, True)


def test_what_has_left_is_not_held(client, house):
    sign_in(client, "operator")
    order = an_order(client, "delivered")
    assert "Hold this order" not in client.get(order).text
    refused = send(client, f"/operator{order}/hold", order, reason="address_check", note="")
    assert (refused.status_code, "It is Delivered." in refused.text) == (409, True)
    assert ask(house, "select count(*) from order_hold h join customer_order o using (merchant_id, order_id) where o.state = 'delivered'") == [(0,)]


@pytest.mark.parametrize("login", ["finance", "agent", "merchant", "buyer-gb", "warehouse"])
def test_only_operators_hold(client, house, login):
    sign_in(client, "operator")
    order = an_order(client)
    sign_in(client, login)
    answer = send(client, f"/operator{order}/hold", "/me", reason="address_check", note="")
    assert answer.status_code == 403
    assert ask(house, "select count(*) from order_hold where released_at is null") == [(0,)]


# -- corrections -----------------------------------------------------------------------------------------------------


def a_posting(client, account="tax.GB"):
    return POSTING.findall(client.get(f"/postings/{account}?currency=GBP").text)[0]


def entries(*rows):
    names = ("account", "currency", "debit", "credit")
    return {name: [row[place] for row in rows] for place, name in enumerate(names)}


GOOD = entries(("mer", "GBP", "", "2.50"), ("tax.GB", "GBP", "2,50", ""), ("", "GBP", "", ""))


def test_a_correction_needs_two_people(client, house):
    sign_in(client, "operator")
    posting = a_posting(client)
    new = f"/operator/corrections/new{posting.removeprefix('/posting')}"
    assert "Correct this posting" in client.get(posting).text
    key = re.search(r'name="request_key" value="([^"]+)"', client.get(new).text)[1]
    first, second = (send(client, new, new, **GOOD, reason="Tax was charged twice", request_key=key) for _ in range(2))
    path = first.headers["location"]
    assert (first.status_code, path) == (303, second.headers["location"])
    assert ask(house, "select count(*), count(posting_id) from money_correction") == [(1, 0)]
    page = client.get(path).text
    assert ("You proposed this correction" in page, "Approve and post" in page) == (True, False)
    assert send(client, f"{path}/approve", path).status_code == 403
    sign_in(client, "finance")
    assert "Approve and post" in client.get(path).text
    assert [send(client, f"{path}/approve", path).status_code for _ in range(2)] == [303, 303]
    assert ask(house, "select count(*) from money_posting where kind = 'correction'") == [(1,)]
    became = POSTING.findall(client.get(path).text)[0]
    assert "Corrects another posting" in client.get(became).text
    assert 'href="/operator/corrections/' in client.get(posting).text
    proof = client.get("/operator/proof").text
    assert (proof.count("Holds"), re.findall(r"<li><code>([^<]+)<", proof)) == (8, [])
    assert send(client, f"{path}/reject", path, note="Too late").status_code == 409


def test_whoever_proposed_cannot_decide_even_as_finance(client, house):
    sign_in(client, "finance")
    posting = a_posting(client)
    new = f"/operator/corrections/new{posting.removeprefix('/posting')}?reverse=yes"
    path = send(client, new.partition("?")[0], new, **GOOD, reason="Mine", request_key="mine").headers["location"]
    before = ask(house, "select count(*) from money_posting")
    assert (send(client, f"{path}/approve", path).status_code, send(client, f"{path}/reject", path, note="x").status_code) == (403, 403)
    assert (ask(house, "select count(*) from money_posting"), ask(house, "select state from money_correction where reason = 'Mine'")) == (
        before,
        [("proposed",)],
    )


@pytest.mark.parametrize(
    ("rows", "reason", "told"),
    [
        ([("mer", "GBP", "", "2.50"), ("tax.GB", "GBP", "2.40", "")], "Why", ["Debits and credits in GBP differ by £0.10"]),
        (
            [("psp", "GBP", "", "2.50"), ("tax.XX", "GBP", "2.50", "")],
            "",
            ["proven against payments", "No book has an account", "Write why the posting is corrected"],
        ),
        (
            [("mer", "GBP", "1", "2"), ("", "GBP", "0x1", ""), ("mer", "JPY", "1.5", "")],
            "Why",
            ["Fill in either debit or credit", "Choose an account", "Write an amount such as", "JPY has fewer decimals"],
        ),
        ([], "Why", ["at least two entries"]),
        ([("mer", "GBP", "0", ""), ("tax.GB", "GBP", "", "9" * 30)], "Why", ["Write an amount greater than zero", "Write an amount such as"]),
    ],
)
def test_all_faults_of_a_correction_are_told_and_nothing_is_lost(client, house, rows, reason, told):
    sign_in(client, "finance")
    new = f"/operator/corrections/new{a_posting(client).removeprefix('/posting')}"
    before = ask(house, "select count(*) from money_correction")
    answer = send(client, new, new, **entries(*rows), reason=reason, request_key="k")
    assert answer.status_code == 422
    assert [one for one in told if one not in answer.text] == []
    assert all(f'value="{value}"' in answer.text for row in rows for value in (row[0], row[2], row[3]) if value)
    assert ask(house, "select count(*) from money_correction") == before


def test_a_posting_that_does_not_exist_is_not_corrected(client):
    sign_in(client, "finance")
    assert client.get(f"/operator/corrections/new/{AUDIO}/{uuid.UUID(int=3)}").status_code == 404
    assert client.get(f"/operator/corrections/{AUDIO}/{uuid.UUID(int=3)}").status_code == 404
    sign_in(client, "merchant")
    assert client.get("/operator/corrections").status_code == 403
    assert "Correct this posting" not in client.get(a_posting(client)).text


# -- what the house looks at -----------------------------------------------------------------------------------------

LOOKED_AT = (
    "/operator/tower",
    "/operator/network",
    "/operator/network/at?hours=24",
    "/operator/places/GB-LTN1",
    "/operator/customs",
    "/operator/merchants",
    "/operator/entities",
    "/operator/rules",
    "/operator/rules/diff?from=2020-01-01&to=2026-09-10",
    "/operator/due",
    "/operator/audit",
    "/operator/health",
    "/operator/invoices",
)
BOOKS = ("/operator/finance", "/operator/payouts", "/operator/corrections")


@pytest.mark.parametrize("language", ["en", "de", "zh_Hans"])
def test_every_page_stands_in_every_language(client, language):
    sign_in(client, "operator")
    client.cookies.set("entrepot_language", language)
    answers = {path: client.get(path).status_code for path in (*LOOKED_AT, *BOOKS)}
    assert answers == dict.fromkeys(answers, 200)


@pytest.mark.parametrize(("login", "status"), [("merchant", 403), ("buyer-gb", 403), ("warehouse", 403), ("agent", 200)])
def test_only_the_house_looks(client, login, status):
    sign_in(client, login)
    assert {client.get(path).status_code for path in LOOKED_AT} == {status}
    assert {client.get(path).status_code for path in BOOKS} == {403}


@pytest.mark.parametrize(
    "path",
    ["/operator/tower", "/operator/customs", "/operator/merchants", "/operator/entities", "/operator/rules", "/operator/due", "/operator/audit"],
)
def test_every_list_is_there_as_csv_and_refuses_what_it_does_not_have(client, path):
    sign_in(client, "operator")
    told = client.get(f"{path}?format=csv")
    assert (told.status_code, told.headers["content-type"].startswith("text/csv")) == (200, True)
    assert told.text.count("\n") >= 2
    assert client.get(f"{path}?colour=red").status_code == 422


def test_the_tower_names_exceptions_with_their_owner(client):
    sign_in(client, "operator")
    order = an_order(client)
    number = re.search(r"<h1[^>]*>(E[\d-]+)<", client.get(order).text)[1]
    assert send(client, f"/operator{order}/hold", order, reason="stock_check", note="").status_code == 303
    page = client.get("/operator/tower?view=order_held").text
    assert (page.count(f'href="{order}"'), number in page, "Operations" in page, "Stock check" in page) == (1, True, True, True)
    assert client.get("/operator/tower?owner_code=finance&kind_code=order_held").text.count(order) == 0
    send(client, f"/operator{order}/release", order, note="Counted")
    assert order not in client.get("/operator/tower?view=order_held").text


def test_the_map_shows_load_ways_and_the_past(client, house):
    sign_in(client, "operator")
    now = client.get("/operator/network").text
    waiting = ask(house, "select count(*) from fulfilment_order where place_code = 'GB-LTN1' and ended_at is null")[0][0]
    assert waiting
    assert re.search(rf'data-point="GB-LTN1".*?class="num">{waiting}<', now)
    assert 'data-arc-from="GB-LTN1" data-arc-to="GB"' in now
    first = ask(house, "select min(business_at) - min(queued_at) > interval '24 hours' from business_clock, fulfilment_order")[0][0]
    before = client.get("/operator/network/at?hours=24").text
    assert (first, before != client.get("/operator/network/at?hours=0").text) == (True, True)
    assert client.get("/operator/network/at?hours=25").status_code == 404
    assert client.get("/operator/places/NOWHERE").status_code == 404


def test_a_settlement_run_closes_once(client, house):
    sign_in(client, "finance")
    with psycopg.connect(house) as conn:
        conn.execute("update business_clock set business_at = business_at + interval '40 days'")
    first, second = (send(client, "/operator/finance/run", "/operator/finance").status_code for _ in range(2))
    assert (first, second) == (303, 303)
    page = client.get("/operator/finance").text
    found = ask(house, "select count(*) from statement")
    assert found[0][0] == len(set(re.findall(r"/operator/statements/[0-9a-f-]+/[0-9a-f-]+", page)))
    assert all(client.get(path).status_code == 200 for path in set(re.findall(r"/operator/statements/[0-9a-f-]+/[0-9a-f-]+", page)))
    assert client.get(f"/operator/statements/{AUDIO}/{uuid.UUID(int=3)}").status_code == 404
    sign_in(client, "agent")
    assert send(client, "/operator/finance/run", "/orders").status_code == 403


def test_failed_work_is_tried_again_and_other_work_keeps_its_time(client, house):
    sign_in(client, "operator")
    with psycopg.connect(house) as conn:
        row = conn.execute(
            "update due_work set attempt_count = 2, failure = 'carrier down', due_at = due_at + interval '900 days' where (merchant_id, step_code, subject_id) in"
            " (select merchant_id, step_code, subject_id from due_work where step_code = 'warn_ship_by' order by due_at desc limit 1)"
            " returning step_code, merchant_id, subject_id"
        ).fetchone()
    page = client.get("/operator/due?view=failed").text
    assert ("carrier down" in page, page.count("Try now")) == (True, 1)
    path = f"/operator/due/{row[0]}/{row[1]}/{row[2]}/retry"
    assert send(client, path, "/operator/due").status_code == 303
    assert ask(
        house,
        "select count(*) from due_work where step_code = %s and subject_id = %s and due_at <= (select business_at from business_clock)",
        row[0],
        row[2],
    ) == [(1,)]
    assert ask(house, "select actor_code from audit_entry where command_code = 'retry_warn_ship_by'") == [("operator",)]
    assert send(client, f"/operator/due/take_payments/{row[1]}/{row[2]}/retry", "/operator/due").status_code == 404


def test_the_audit_log_narrows_to_people_commands_and_records(client):
    sign_in(client, "operator")
    order = an_order(client)
    order_id = order.rpartition("/")[2]
    page = client.get(f"/operator/audit?record={order_id}").text
    assert (page.count(order_id[-8:]) > 0, "Place order" in page) == (True, True)
    assert "Runner" not in client.get("/operator/audit?view=people").text
    assert client.get("/operator/audit?record=nonsense").status_code == 422


def test_compliance_decides_a_check_with_a_reason(client, house):
    sign_in(client, "operator")
    page = f"/operator/merchants/{LEEDS}"
    with psycopg.connect(house) as conn:
        gate = conn.execute(
            "update kyc_case set state = 'submitted', decided_by = null where merchant_id = %s and gate = 'payout' returning gate", (LEEDS,)
        ).fetchone()[0]
    wrong = send(client, f"{page}/checks", page, gate=gate, decision="rejected", reason=" ")
    assert (wrong.status_code, "Write what the merchant must send instead" in wrong.text) == (422, True)
    assert ask(house, "select state from kyc_case where merchant_id = %s and gate = 'payout'", LEEDS) == [("submitted",)]
    assert [send(client, f"{page}/checks", page, gate=gate, decision="rejected", reason="Blurred").status_code for _ in range(2)] == [303, 303]
    assert ask(house, "select state, reason, decided_by from kyc_case where merchant_id = %s and gate = 'payout'", LEEDS) == [
        ("rejected", "Blurred", "operator")
    ]
    wrong = send(client, f"{page}/status", page, status="suspended", why="")
    assert (wrong.status_code, ask(house, "select status from merchant where merchant_id = %s", LEEDS)) == (422, [("active",)])
    assert send(client, f"{page}/status", page, status="suspended", why="Fraud").status_code == 303
    assert send(client, f"{page}/status", page, status="active", why="Cleared").status_code == 303
    assert client.get(page).text.count("Cleared") == 1


def test_rules_differ_between_days(client):
    sign_in(client, "operator")
    assert "Nothing changed" in client.get("/operator/rules/diff?from=2026-09-10&to=2026-09-10").text
    told = client.get("/operator/rules/diff?from=2001-01-01&to=2026-09-10").text
    assert told.count("<ins>") > 10
    assert "<del>" not in told
    assert client.get("/operator/rules/diff?from=2026-09-10&to=2001-01-01").text.count("no longer in force") > 1
    assert client.get("/operator/rules/diff?from=yesterday").status_code == 422
