"""Pages as browsers and programs ask for them: who sees what, what forms do, and how refusals look."""

import re
import uuid

import pytest
from litestar.testing import TestClient
from tests.factories.opened import filled
from tests.factories.shown_house import SALES, fill_database, keep_keyring

from entrepot.bootstrap.application import create_app
from entrepot.bootstrap.settings import read_settings
from entrepot.parties.accounts import StaffRole
from entrepot.parties.model import merchant_id_of
from entrepot.surfaces.web.access import audience_of, inside
from entrepot.surfaces.web.routes import routes

ROUNDS = 3
AUDIO = merchant_id_of("demo-shenzhen-audio")
LEEDS = merchant_id_of("demo-leeds-kitchen")
TOKEN = re.compile(r'name="form_token" value="(\w+)"')
LINK = re.compile(r'href="(/orders/[0-9a-f-]+/[0-9a-f-]+)"')
INTERNALS = ("Places looked at", "Postings", "Stock moves", "Fee:", "Reserve of merchants", "/posting/")


@pytest.fixture(scope="module")
def house(cluster):
    """URL of a database with some days of trade, committed."""
    with filled(cluster, "pages", fill_database) as url:
        yield url


def settings_for(url, data):
    return read_settings({"DATABASE_URL": url, "ENTREPOT_DATA": str(data), "ENTREPOT_POOL_SIZE": "4"})


@pytest.fixture(scope="module")
def app(house, tmp_path_factory):
    return create_app(settings_for(house, keep_keyring(tmp_path_factory.mktemp("data"))))


@pytest.fixture
def client(app):
    with TestClient(app) as client:
        yield client


def sign_in(client, login, then="/", typed="demo"):
    token = TOKEN.search(client.get("/sign-in").text)[1]
    return client.post("/sign-in", data={"form_token": token, "login": login, "password": typed, "next": then}, follow_redirects=False)


def orders_of(client):
    return LINK.findall(client.get("/orders").text)


def place(client, path, **changed):
    """Send the checkout form that a page shows, its saved address chosen, with some fields changed."""
    page = client.get(path).text
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page[page.index('action="/checkout"') :]))
    line = dict(zip(("merchant", "offer", "quantity"), fields["line"].split(":"), strict=True))
    fields["line"] = ":".join(changed.pop(name, value) for name, value in line.items())
    address = re.search(r'name="address" value="([^"]+)" checked', page)
    fields |= {"method": "card_ok", **({"address": address[1]} if address else {})}
    return client.post("/checkout", data={**fields, **changed}, follow_redirects=False)


def checkout_path(client, product="/store/GB?q=aria", **query):
    page = client.get(re.search(r'href="(/store/\w+/products/[^"]+)"', client.get(product).text)[1]).text
    fields = {name: re.search(rf'name="{name}" value="([^"]+)"', page)[1] for name in ("store", "merchant", "offer")}
    return "/checkout?" + "&".join(f"{name}={value}" for name, value in {**fields, "quantity": 1, **query}.items())


def test_health_and_metrics_stay(client):
    assert client.get("/health").json() == {"status": "ok", "database": "ok"}
    assert "entrepot_requests_total" in client.get("/metrics").text


def test_a_visitor_begins_in_a_store(client):
    page = client.get("/")
    assert (page.status_code, page.url.path) == (200, "/store/GB")
    assert page.text.count('class="product"') == 25
    assert page.text.index("Arrives") < page.text.index("Not available")


def test_the_demo_shows_its_sign_ins_and_an_empty_house_none(client, database, tmp_path):
    assert client.get("/sign-in").text.count('class="demo-one"') == 13
    with TestClient(create_app(settings_for(database, tmp_path))) as empty:
        assert "demo-one" not in empty.get("/sign-in").text
        assert empty.get("/store").status_code == 503


@pytest.mark.parametrize("path", ["/operator", "/orders?state=paid", "/stock", "/postings", "/search?q=x", f"/orders/{AUDIO}/{uuid.UUID(int=1)}"])
def test_what_needs_a_session_leads_to_the_sign_in_and_back(client, path):
    answer = client.get(path, follow_redirects=False)
    assert answer.status_code == 303
    then = client.get(answer.headers["location"]).text
    assert f'name="next" value="{path}"' in then.replace("&amp;", "&")


@pytest.mark.parametrize("address", ["//evil.example", "/\\evil.example", "https://evil.example", "", "/a\nb"])
def test_the_way_back_stays_inside(address):
    assert inside(address) == "/"


def test_a_session_begins_and_ends(client):
    answer = sign_in(client, "operator", then="/operations")
    assert (answer.status_code, answer.headers["location"]) == (303, "/operations")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    page = client.get("/operator")
    assert page.status_code == 200
    held = client.cookies["entrepot_session"]
    client.post("/sign-out", data={"form_token": TOKEN.search(page.text)[1]})
    client.cookies.set("entrepot_session", held)
    assert client.get("/operator", follow_redirects=False).status_code == 303


def test_a_wrong_password_is_told_and_five_are_enough(client):
    for _ in range(5):
        answer = sign_in(client, "nobody-here", typed="wrong")
        assert answer.status_code == 401
        assert "Login or password is wrong" in answer.text
    answer = sign_in(client, "nobody-here")
    assert answer.status_code == 429
    assert "Too many attempts. Wait 15 minutes" in answer.text
    assert "entrepot_session" not in client.cookies


def posting_paths():
    """Return the forms that a buyer may send; those of others are asked by their own roles in the access matrix."""
    forms = [handler for handler in routes() if "POST" in handler.http_methods and StaffRole.BUYER in audience_of(handler)]
    paths = {path for handler in forms for path in handler.paths}
    return sorted(re.sub(r"{\w+:uuid}", str(uuid.UUID(int=7)), path.replace("{store:str}", "GB")) for path in paths)


def test_there_are_forms():
    assert {"/checkout", "/preferences", "/sign-in", "/sign-out", "/me/password"} <= set(posting_paths())


@pytest.mark.parametrize("path", posting_paths())
@pytest.mark.parametrize("token", [None, "0" * 64])
def test_every_form_needs_its_token(client, path, token):
    sign_in(client, "buyer-gb")
    before = orders_of(client)
    answer = client.post(path, data={"login": "operator", "password": "demo", **({"form_token": token} if token else {})})
    assert answer.status_code == 403
    assert "Open the page again" in answer.text
    assert orders_of(client) == before


@pytest.mark.parametrize(("came_from", "leads_to"), [("/store/GB?q=tea", "/store/GB?q=tea"), ("//elsewhere.example/a", "/"), ("", "/")])
def test_an_expired_form_leads_back_to_its_page(client, came_from, leads_to):
    referer = f"http:{came_from}" if came_from.startswith("//") else f"{client.base_url}{came_from}" if came_from else ""
    answer = client.post("/preferences", data={}, headers={"referer": referer})
    assert answer.status_code == 403
    assert "This form has expired" in answer.text
    assert f'<a class="button button-primary" href="{leads_to}">' in answer.text


def test_a_form_from_another_site_is_refused(client):
    sign_in(client, "buyer-gb")
    token = TOKEN.search(client.get("/orders").text)[1]
    answer = client.post("/sign-out", data={"form_token": token}, headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 403
    assert client.get("/orders").status_code == 200


@pytest.mark.parametrize(
    ("login", "path", "status"),
    [
        ("operator", "/operator", 200),
        ("finance", "/postings", 200),
        ("agent", "/orders", 200),
        ("agent", "/postings", 403),
        ("merchant", "/orders", 200),
        ("merchant", "/stock", 200),
        ("merchant", "/postings", 200),
        ("merchant", "/operator", 403),
        ("merchant", "/operator/proof", 403),
        ("merchant", "/operator/feed", 403),
        ("merchant", "/stock?merchant=demo-leeds-kitchen", 404),
        ("merchant", "/postings?merchant=demo-leeds-kitchen", 404),
        ("merchant", "/postings/psp?currency=GBP&merchant=demo-leeds-kitchen", 404),
        ("merchant", "/checkout?store=GB&merchant=00000000-0000-0000-0000-000000000001&offer=00000000-0000-0000-0000-000000000001", 403),
        ("buyer", "/stock", 403),
        ("buyer", "/postings", 403),
        ("buyer", "/search?q=x", 403),
        ("warehouse", "/orders", 403),
        ("warehouse", "/operations", 200),
    ],
)
def test_roles_see_their_pages(client, login, path, status):
    sign_in(client, login)
    assert client.get(path).status_code == status


def test_a_merchant_sees_its_own_orders_only(client):
    sign_in(client, "merchant")
    own = orders_of(client)
    mine = sum(sale[0] == "demo-shenzhen-audio" for sale in SALES) * ROUNDS
    assert len(own) == mine
    assert all(f"/orders/{AUDIO}/" in path for path in own)
    sign_in(client, "operator")
    everything = orders_of(client)
    assert len(everything) == len(SALES) * ROUNDS
    others = [path for path in everything if path not in own]
    numbers = {path: re.search(r"<h1[^>]*>(E[\d-]+)<", client.get(path).text)[1] for path in others}
    sign_in(client, "merchant")
    for path in others:
        order_id = path.rpartition("/")[2]
        for guess in (path, f"/orders/{AUDIO}/{order_id}"):
            answer = client.get(guess)
            assert answer.status_code == 404
            assert numbers[path] not in answer.text
        assert "Nothing is called" in client.get(f"/search?q={numbers[path]}").text
    assert all(client.get(path).status_code == 200 for path in own)


def test_a_merchant_sees_its_own_postings_only(client):
    sign_in(client, "operator")
    page = client.get("/postings/psp?currency=GBP").text
    postings = sorted(set(re.findall(r'href="(/posting/[0-9a-f-]+/[0-9a-f-]+)"', page)))
    sign_in(client, "merchant")
    seen = {path: client.get(path).status_code for path in postings}
    assert seen == {path: 200 if str(AUDIO) in path else 404 for path in postings}
    assert 404 in seen.values()


def test_a_buyer_sees_its_own_orders_without_internals(client):
    sign_in(client, "buyer-gb")
    own = orders_of(client)
    assert own
    for path in own:
        page = client.get(path)
        assert page.status_code == 200
        assert not [word for word in INTERNALS if word in page.text]
    sign_in(client, "buyer")
    assert {client.get(path).status_code for path in own} == {404}


def test_an_order_page_tells_everything(client):
    sign_in(client, "operator")
    pages = [client.get(path).text for path in LINK.findall(client.get("/orders?state=delivered&model=fba").text)]
    page = next(page for page in pages if "ARIA-HEADPHONES" in page)  # its stock lies at two places
    for word in (
        "Places looked at",
        "Not a place of the plan",
        "Tax on the sale",
        "Domestic deemed supplier",
        "Stock moves",
        "With a carrier",
        "Postings",
    ):
        assert word in page
    for word in ("Place order", "Parcel: Out for delivery", "Release consignment", "Kept", "Fee: Referral", "Payment provider", "GB-LTN1"):
        assert word in page
    assert page.count('aria-current="step"') == 1


def test_lists_filter_and_refuse_unknown_states(client):
    sign_in(client, "operator")
    assert len(LINK.findall(client.get("/orders?model=fbm").text)) == 3 * ROUNDS
    assert len(LINK.findall(client.get("/orders?state=delivered").text)) == 6
    assert "No order fits these filters" in client.get("/orders?state=settled").text
    assert client.get("/orders?state=lost").status_code == 422
    assert client.get("/orders?model=nothing").status_code == 404


def test_search_finds_orders_parcels_and_skus(client):
    sign_in(client, "merchant")
    order = client.get(LINK.findall(client.get("/orders?state=delivered").text)[0])
    number = re.search(r"<h1[^>]*>(E[\d-]+)<", order.text)[1]
    tracking = re.search(r"Tracking number</dt><dd><code>(\w+)<", order.text)[1]
    assert client.get(f"/search?q={number}").url.path == order.url.path
    assert client.get(f"/search?q={tracking}").url.path == order.url.path
    assert client.get("/search?q=link-cable").url.params["item"] == "LINK-CABLE"
    assert "What are you looking for?" in client.get("/search").text


def test_the_books_are_shown_and_proven(client):
    sign_in(client, "operator")
    proof = client.get("/operator/proof").text
    assert (proof.count("Holds"), proof.count("broken")) == (8, 0)
    book = client.get("/postings").text
    assert book.count("Sum, always zero") == 4
    sums = re.findall(r'Sum, always zero</th><td class="c-wide"></td><td class="num"><strong>\D*([\d.]+)<', book)
    assert sums == ["0.00"] * 4
    account = client.get("/postings/tax.GB?currency=GBP").text
    assert account.count("/posting/") >= 9
    assert client.get("/postings/tax.GB?currency=XXX").status_code == 422
    assert "No entries" in client.get("/postings/tax.FR?currency=GBP").text


def test_stock_sums_to_zero_and_drills_to_moves(client):
    sign_in(client, "merchant")
    balances = client.get("/stock?view=balances&item=LINK-CABLE").text
    assert "\u2212300" in balances
    assert re.search(r"<strong>(\d+)</strong></td></tr></tfoot>", balances)[1] == "0"
    moves = client.get("/stock?view=moves&item=LINK-CABLE").text
    assert (moves.count("<span>Pick</span>"), moves.count("<span>Deliver</span>")) == (2, 1)
    assert client.get("/stock?item=NOT-A-SKU").status_code == 404


def test_the_matrix_shows_every_row_of_every_model(client):
    page = client.get("/operations").text
    assert page.count('<th scope="row">') >= 45
    for title in ("FBA", "FBM", "Global Purchase", "Logistics service"):
        assert title in page


@pytest.mark.parametrize("path", ["/", "/sign-in", "/operations", "/store/CN_GP", "/nowhere"])
def test_pages_hold_no_inline_code_and_send_a_strict_policy(client, path):
    page = client.get(path)
    assert not re.findall(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", page.text)
    policy = page.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert page.headers["cache-control"] == "no-store"
    assert [
        address for address in re.findall(r'(?:src|href)="([^"]+)"', page.text) if not address.startswith(("/", "#", "?", "data:image/svg+xml,"))
    ] == []


def test_refusals_are_pages_for_people_and_problems_for_programs(client):
    page = client.get("/nowhere", headers={"accept": "text/html"})
    assert (page.status_code, "Nothing here" in page.text) == (404, True)
    sign_in(client, "merchant")
    problem = client.get("/stock?item=NOT-A-SKU", headers={"accept": "application/json"})
    assert problem.headers["content-type"].startswith("application/problem+json")
    assert problem.json() == {
        "type": "urn:entrepot:error:unknown_stock_item",
        "code": "unknown_stock_item",
        "title": "The merchant has no stock item with this SKU; the merchant adds it first.",
        "status": 404,
        "detail": "item is NOT-A-SKU: Choose a SKU from the list.",
        "field": "item",
        "value": "NOT-A-SKU",
        "remedy": "Choose a SKU from the list.",
    }
    fragment = client.get("/operator/proof", headers={"hx-request": "true"})
    assert (fragment.status_code, "<html" in fragment.text) == (403, False)
    assert client.get("/orders/not-an-id/neither", headers={"accept": "application/json"}).json()["status"] == 404
    gone = client.delete("/stock", headers={"accept": "application/json"})
    assert (gone.status_code, gone.headers["allow"]) == (405, "GET, OPTIONS")
    for program in ({"authorization": "Bearer x"}, {"content-type": "application/json"}):
        assert client.post("/nowhere", headers=program).headers["content-type"].startswith("application/problem+json")


def test_a_product_page_prices_to_the_door(client):
    path = re.search(r'href="(/store/GB/products/[^"?]+)', client.get("/store/GB?q=aria").text)[1]
    page = client.get(path).text
    assert "Total to your door" in page
    assert re.search(r"Arrives\s+<strong>\w{3}\s\d+\s\w+ to \w{3}\s\d+\s\w+</strong>", page)
    part = client.get(f"{path}?quantity=3&country=GB&postcode=LS1", headers={"hx-request": "true"}).text
    assert "<html" not in part
    assert "£140.97" in part
    refused = client.get(f"{path}?quantity=900", headers={"hx-request": "true"}).text
    assert "Fewer of this can be delivered" in refused
    assert client.get(f"{path}?quantity=0").status_code == 404
    assert client.get(f"{path}?offer={uuid.UUID(int=1)}").status_code == 409
    assert client.get(path.replace("/GB/", "/XX/")).status_code == 404


def test_a_buyer_places_an_order_once(client):
    sign_in(client, "buyer-gb")
    before = orders_of(client)
    path = checkout_path(client, postcode="LS14DY")
    first = place(client, path, request_key="browser-1")
    assert first.status_code == 303
    again = place(client, path, request_key="browser-1")
    assert again.headers["location"] == first.headers["location"]
    other = place(client, path, request_key="browser-1", quantity="2")
    assert (other.status_code, "used before with other values" in other.text) == (409, True)
    after = orders_of(client)
    assert len(after) == len(before) + 1
    page = client.get(first.headers["location"]).text
    assert "Thank you, your order is placed" in page
    assert "£46.99" in page
    number = re.search(r"E\d{4}-\d{4}-\d{4}-\d{4}", page)[0]
    confirmation = first.headers["location"]
    sign_in(client, "buyer")
    assert client.get(confirmation).status_code == 404
    sign_in(client, "operator")
    shown = client.get(f"/search?q={number}").text
    assert "Take payment" in shown
    assert "LS1" in shown
    assert "LS14DY" not in shown


def test_a_declined_card_gives_everything_back(client):
    sign_in(client, "buyer-gb")
    answer = place(client, checkout_path(client), method="card_declined")
    page = client.get(answer.headers["location"]).text
    assert "Your payment was declined" in page
    assert "Cancelled" in page


def test_a_slow_card_is_waited_for(client):
    sign_in(client, "buyer-gb")
    answer = place(client, checkout_path(client), method="card_slow")
    page = client.get(answer.headers["location"]).text
    assert "We are waiting for your bank" in page
    assert 'hx-trigger="every 4s"' in page


@pytest.mark.parametrize(
    ("changed", "status", "words"),
    [
        ({"quantity": "0"}, 422, "at least 1"),
        ({"quantity": "x"}, 422, "whole number"),
        ({"quantity": "900"}, 409, "Fewer of this can be delivered"),
        ({"method": "shells"}, 422, "payment method"),
        ({"offer": str(uuid.UUID(int=1))}, 409, "offer"),
        ({"offer": "x"}, 409, "offer"),
        ({"store": "XX"}, 404, "marketplace"),
    ],
)
def test_a_refused_checkout_writes_nothing(client, changed, status, words):
    sign_in(client, "buyer-gb")
    before = orders_of(client)
    answer = place(client, checkout_path(client), **changed)
    assert (answer.status_code, words in answer.text) == (status, True)
    assert orders_of(client) == before


def test_china_asks_for_identity_and_consent(client):
    cream = "/store/CN_GP?category=cosmetics"
    sign_in(client, "buyer")
    client.cookies.set("entrepot_language", "en")
    path = checkout_path(client, cream)
    assert "Resident identity number" in client.get(path).text
    before = orders_of(client)
    door = {"country": "CN", "recipient": "Demo", "street": "示例路4号", "city": "杭州市", "zone": "浙江省", "postcode": "310000"}
    consent = {"method": "cn_wallet", "risk": "accepted", **door}
    for fields, words in (
        (consent, "Give name and resident identity number"),
        ({**consent, "identity_number": "110105194912310021", "identity_name": "Demo"}, "last character does not fit"),
        ({**consent, "identity_number": "11010519491231002X"}, "Write the name"),
        ({**door, "method": "cn_wallet", "identity_number": "11010519491231002X", "identity_name": "Demo"}, "accept the risk notice"),
    ):
        answer = place(client, path, **fields)
        assert (answer.status_code in {409, 422}, words in answer.text) == (True, True), words
        assert "11010519491231002X" not in answer.text
    assert orders_of(client) == before
    answer = place(client, path, **consent, identity_number="11010519491231002X", identity_name="Demo")
    assert answer.status_code == 303
    assert len(orders_of(client)) == len(before) + 1


def test_the_keyring_is_made_once_for_its_owner_only(house, tmp_path):
    first = create_app(settings_for(house, tmp_path))
    with TestClient(first):
        keys = (tmp_path / "keyring").read_bytes()
    assert len(keys) == 64
    assert (tmp_path / "keyring").stat().st_mode & 0o777 == 0o600
    with TestClient(create_app(settings_for(house, tmp_path))):
        assert (tmp_path / "keyring").read_bytes() == keys
    assert [path.name for path in tmp_path.iterdir()] == ["keyring"]
