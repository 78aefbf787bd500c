"""The buyer's pages over HTTP: basket, checkout, orders and what follows them; what is refused changes nothing."""

import re
import uuid

import pytest
from litestar.testing import TestClient
from tests.factories.opened import app_on, filled
from tests.factories.shown_house import fill_database

SESSIONS = {}
"""Sessions by login: signing in is slow on purpose, and one for each account is enough."""
TOKEN = re.compile(r'name="form_token" value="(\w+)"')


@pytest.fixture(scope="module")
def house(cluster):
    """URL of a database with some days of trade, committed."""
    with filled(cluster, "store", fill_database) as url:
        yield url


@pytest.fixture(scope="module")
def app(house, tmp_path_factory):
    return app_on(house, tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def opened(app):
    with TestClient(app) as client:
        yield client


@pytest.fixture
def client(opened):
    """A browser that nobody used before."""
    opened.cookies.clear()
    return opened


def sign_in(client, login):
    """Go on as somebody: with the session of an earlier test if there is one."""
    client.cookies.delete("entrepot_session")
    if login not in SESSIONS:
        token = TOKEN.search(client.get("/sign-in").text)[1]
        client.post("/sign-in", data={"form_token": token, "login": login, "password": "demo", "next": "/"}, follow_redirects=False)
        SESSIONS[login] = client.cookies["entrepot_session"]
    client.cookies.set("entrepot_session", SESSIONS[login])


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


def basket_titles(client, store="GB"):
    return re.findall(r'<div class="basket-what"><a [^>]*>([^<]+)<', client.get(f"/store/{store}/basket").text)


@pytest.fixture
def buyer(client):
    """A signed-in buyer with an empty basket."""
    sign_in(client, "buyer-gb")
    while found := re.search(r'name="remove" value="([^"]+)"', client.get("/store/GB/basket").text):
        client.post("/store/GB/basket/lines", data={"form_token": token_of(client, "/store/GB"), "remove": found[1]})
    return client


def test_what_is_put_in_before_signing_in_is_there_afterwards(client):
    assert "Your basket is empty" in client.get("/store/GB/basket").text
    assert put(client, "aria", 2).status_code == 303
    assert put(client, "knife").status_code == 303
    assert len(basket_titles(client)) == 2
    assert client.get("/store/US/basket").text.count("basket-line") == 0
    sign_in(client, "buyer-gb")
    assert {"Demo Aria wireless headphones"} < set(basket_titles(client))


@pytest.mark.parametrize(
    ("language", "title"), [("en", "Demo Aria wireless headphones"), ("de", "Demo Aria Funkkopfhörer"), ("zh_Hans", "示例 Aria 无线耳机")]
)
def test_products_are_named_in_the_readers_language_from_the_shelf_to_the_basket(buyer, language, title):
    put(buyer, "aria")
    buyer.cookies.set("entrepot_language", language)
    try:
        shelf = buyer.get("/store/GB?q=aria").text
        page = buyer.get(re.search(r'href="(/store/GB/products/[^"]+)"', shelf)[1]).text
        assert title in shelf
        assert title in page
        assert basket_titles(buyer) == [title]
    finally:
        buyer.cookies.delete("entrepot_language")


def test_a_basket_adds_changes_and_removes(buyer):
    put(buyer, "aria", 2)
    put(buyer, "aria", 3)
    page = buyer.get("/store/GB/basket").text
    offer = re.search(r'name="remove" value="([^"]+)"', page)[1]
    assert "<option selected>5</option>" in page
    change = {"form_token": token_of(buyer, "/store/GB")}
    buyer.post("/store/GB/basket/lines", data={**change, f"quantity-{offer}": "4"})
    assert "<option selected>4</option>" in buyer.get("/store/GB/basket").text
    for wrong in ("0", "x", "1000"):
        assert buyer.post("/store/GB/basket/lines", data={**change, f"quantity-{offer}": wrong}).status_code == 422
    assert "<option selected>4</option>" in buyer.get("/store/GB/basket").text
    buyer.post("/store/GB/basket/lines", data={**change, "remove": offer})
    assert basket_titles(buyer) == []


@pytest.mark.parametrize("changed", [{"offer": "x"}, {"merchant": "x"}, {"quantity": "0"}, {"quantity": "1000"}])
def test_nothing_wrong_gets_into_a_basket(buyer, changed):
    merchant, offer = product(buyer, "aria")
    fields = {"form_token": token_of(buyer, "/store/GB"), "merchant": merchant, "offer": offer, "quantity": "1", **changed}
    assert buyer.post("/store/GB/basket", data=fields).status_code in {409, 422}
    assert basket_titles(buyer) == []


def test_a_basket_is_grouped_by_delivery_with_date_cost_and_who_collects(buyer):
    for words in ("aria", "knife", "glasses", "hat"):
        put(buyer, words)
    page = buyer.get("/store/GB/basket?country=GB&postcode=LS1").text
    assert page.count('class="delivery-head"') == 4
    for word in ("Delivery 1 of 4", "Arrives", "collected by the seller", "collected by us", "across a customs border", "Total to your door"):
        assert word in page
    assert "Not available for" in buyer.get("/store/GB/basket?country=US").text


def test_one_payment_for_several_sellers_and_a_replay_changes_nothing(buyer):
    put(buyer, "aria")
    put(buyer, "knife")
    before = orders_of(buyer)
    first = checkout(buyer, "/checkout?store=GB", request_key="one")
    assert first.status_code == 303
    merchant, offer = product(buyer, "aria")
    again = checkout(buyer, f"/checkout?store=GB&merchant={merchant}&offer={offer}", request_key="one")
    assert (again.status_code, "used before with other values" in again.text) == (409, True)
    assert len(orders_of(buyer)) == len(before) + 2
    page = buyer.get(first.headers["location"]).text
    assert "Thank you, your order is placed" in page
    assert basket_titles(buyer) == []
    order = buyer.get(re.search(r'href="(/orders/[0-9a-f-]+/[0-9a-f-]+)"', page)[1]).text
    assert "2 Example Road" in order
    sign_in(buyer, "buyer")
    assert buyer.get(first.headers["location"]).status_code == 404


def test_a_checkout_tells_all_faults_at_once_and_keeps_what_was_typed(buyer):
    put(buyer, "aria")
    before = orders_of(buyer)
    typed = {"address": "new", "country": "US", "recipient": "Gwen", "street": "", "city": "", "zone": "NY", "postcode": "LS1 4DY"}
    answer = checkout(buyer, "/checkout?store=GB", **typed, method="shells")
    assert answer.status_code == 422
    for word in ("Street and number: Fill this in.", "City: Fill this in.", "ZIP code: This does not exist", "Choose a payment method."):
        assert word in answer.text
    assert 'value="Gwen"' in answer.text
    assert 'value="NY" selected' in answer.text
    assert orders_of(buyer) == before
    assert basket_titles(buyer) != []


def test_another_persons_address_is_no_choice(buyer):
    put(buyer, "aria")
    sign_in(buyer, "buyer-de")
    other = re.search(r'name="address" value="([0-9a-f-]{36})"', buyer.get("/checkout?store=GB&country=DE&" + offer_query(buyer)).text)[1]
    sign_in(buyer, "buyer-gb")
    answer = checkout(buyer, "/checkout?store=GB", address=other)
    assert (answer.status_code, "Musterstrasse" in answer.text) == (422, False)


def offer_query(client):
    merchant, offer = product(client, "aria")
    return f"merchant={merchant}&offer={offer}"


def test_a_total_that_was_not_shown_is_not_charged(buyer):
    put(buyer, "aria")
    before = orders_of(buyer)
    answer = checkout(buyer, "/checkout?store=GB", shown_total="1")
    assert (answer.status_code, "The price or a date changed" in answer.text) == (409, True)
    assert (orders_of(buyer), len(basket_titles(buyer))) == (before, 1)


def test_a_preview_quotes_another_country_and_orders_nothing(buyer):
    put(buyer, "aria")
    before = orders_of(buyer)
    answer = checkout(buyer, "/checkout?store=GB", step="preview", address="new", country="US")
    assert (answer.status_code, "ZIP code" in answer.text, "across a customs border" in answer.text) == (200, True, True)
    assert orders_of(buyer) == before


def test_a_declined_payment_is_tried_again_with_the_same_things(buyer):
    put(buyer, "knife")
    answer = checkout(buyer, "/checkout?store=GB", method="card_declined")
    page = buyer.get(answer.headers["location"]).text
    assert "Pay in another way" in page
    assert basket_titles(buyer) == []
    again = buyer.post(f"{answer.headers['location']}/again", data={"form_token": TOKEN.search(page)[1]}, follow_redirects=False)
    assert (again.status_code, basket_titles(buyer)) == (303, ["Demo Dale cook&#39;s knife"])
    sign_in(buyer, "buyer")
    token = token_of(buyer, "/store/GB")
    assert buyer.post(f"{answer.headers['location']}/again", data={"form_token": token}, follow_redirects=False).status_code == 404


def in_state(client, words):
    """Return the address of the newest order of which the page says so."""
    cards = re.findall(r'href="(/orders/[0-9a-f-]+/[0-9a-f-]+)".*?<span class="pill[^>]*>([^<]+)<', client.get("/orders").text, re.DOTALL)
    return [path for path, state in cards if state == words]


def act(client, path, **fields):
    page = client.get(path).text
    key = re.search(r'name="request_key" value="(\w+)"', page)[1]
    return client.post(path, data={"form_token": TOKEN.search(page)[1], "request_key": key, **fields}, follow_redirects=False)


def test_a_part_is_cancelled_after_its_money_was_shown(buyer):
    put(buyer, "cable", 3)
    put(buyer, "aria")
    page = buyer.get(checkout(buyer, "/checkout?store=GB").headers["location"]).text
    order = re.search(r'href="(/orders/[0-9a-f-]+/[0-9a-f-]+)"', page)[1]
    line = re.search(r'for="units-(\d+)">Demo Link', buyer.get(f"{order}/cancel").text)[1]
    units = {f"units-{line}": "2"}
    for wrong, words in (
        ({}, "Choose at least one item"),
        (units, "Choose a reason"),
        ({f"units-{line}": "9", "reason": "other"}, "Fewer than that"),
    ):
        answer = act(buyer, f"{order}/cancel", step="confirm", **wrong)
        assert (answer.status_code in {409, 422}, words in answer.text) == (True, True), words
    shown = act(buyer, f"{order}/cancel", reason="other", **units)
    assert (shown.status_code, "£15.98" in shown.text) == (200, True)
    assert "(2 cancelled)" not in buyer.get(order).text
    fields = {"form_token": TOKEN.search(shown.text)[1], "request_key": "twice", "step": "confirm", "reason": "other", **units}
    for _ in range(2):
        assert buyer.post(f"{order}/cancel", data=fields, follow_redirects=False).status_code == 303
    page = buyer.get(order).text
    assert ("(2 cancelled)" in page, "Refunded: Cancellation" in page) == (True, True)
    assert page.index("Order paid") < page.index("Order placed"), "newest first, although both came in one instant"


def test_what_left_cannot_be_cancelled_and_what_did_not_arrive_not_returned(buyer):
    shipped = in_state(buyer, "Shipped")[0]
    assert "Nothing can be cancelled any more" in buyer.get(f"{shipped}/cancel").text
    answer = act(buyer, f"{shipped}/cancel", step="confirm", reason="other", **{"units-1": "1"})
    assert (answer.status_code, "This has left already" in answer.text) == (409, True)
    answer = act(buyer, f"{shipped}/return", step="confirm", choice="return", reason="other", **{"units-1": "1"})
    assert (answer.status_code, "This has not arrived yet" in answer.text) == (409, True)


def test_a_return_shows_money_and_date_then_its_label_and_way(buyer):
    order = in_state(buyer, "Delivered")[0]
    assert act(buyer, f"{order}/return", reason="other").status_code == 422
    shown = act(buyer, f"{order}/return", reason="defective", **{"units-1": "1"})
    assert (shown.status_code, "Send it back: £" in shown.text, "Destroy it" in shown.text) == (200, True, False)
    denied = act(buyer, f"{order}/return", reason="defective", step="confirm", choice="destroy", **{"units-1": "1"})
    assert denied.status_code == 422
    fields = {"reason": "defective", "step": "confirm", "choice": "return", "units-1": "1", "request_key": "mine"}
    answer = act(buyer, f"{order}/return", **fields)
    assert act(buyer, f"{order}/return", **fields).headers["location"] == answer.headers["location"]
    page = buyer.get(answer.headers["location"])
    assert ("Return label" in page.text, '<svg class="square-code"' in page.text) == (True, True)
    sent = {"form_token": TOKEN.search(page.text)[1]}
    for _ in range(2):
        assert buyer.post(f"{answer.headers['location']}/sent", data=sent, follow_redirects=False).status_code == 303
    assert "Your parcel is on its way back" in buyer.get(answer.headers["location"]).text
    assert answer.headers["location"] in buyer.get(order).text
    sign_in(buyer, "buyer")
    sent = {"form_token": token_of(buyer, "/store/GB")}
    assert buyer.get(answer.headers["location"]).status_code == 404
    assert buyer.post(f"{answer.headers['location']}/sent", data=sent).status_code == 404


def test_a_message_is_posted_once_and_an_empty_one_not_at_all(buyer):
    order = orders_of(buyer)[0]
    page = buyer.get(order).text
    fields = {"form_token": TOKEN.search(page)[1], "request_key": "said", "text": "Where is the manual?"}
    for _ in range(2):
        assert buyer.post(f"{order}/messages", data=fields, follow_redirects=False).status_code == 303
    assert buyer.get(order).text.count("Where is the manual?") == 1
    answer = buyer.post(f"{order}/messages", data={**fields, "request_key": "none", "text": " "})
    assert (answer.status_code, "Write what it is about." in answer.text) == (422, True)


@pytest.mark.parametrize("tail", ["", "/cancel", "/return"])
def test_anothers_order_does_not_exist(buyer, tail):
    order = orders_of(buyer)[0]
    sign_in(buyer, "buyer")
    assert buyer.get(order + tail).status_code == 404
    data = {"form_token": token_of(buyer, "/store/GB"), "text": "Hello", "units-1": "1", "reason": "other", "step": "confirm", "choice": "return"}
    assert buyer.post(order + (tail or "/messages"), data=data).status_code == 404


def test_misspelt_words_and_facets_find(client):
    page = client.get("/store/GB?q=hedphones").text
    assert ("this is what “headphones” finds" in page, page.count('class="product"')) == (True, 1)
    assert "Nothing found" in client.get("/store/GB?q=xyzzyq").text
    whole = client.get("/store/GB").text
    count = int(re.search(r"Merchant</span><span[^>]*>(\d+)<", whole)[1])
    narrowed = client.get("/store/GB?by=merchant")
    assert narrowed.text.count('class="product"') == count
    assert "Platform</span>" not in narrowed.text[narrowed.text.index('class="cards"') :]
    cheap = client.get("/store/GB?sort=price").text
    cards = re.findall(r'product-price">£([\d.]+)(?: <span[^>]*>£([\d.]+) to your door)?.*?product-when ([^"]*)"', cheap, re.DOTALL)
    prices = [float(door or price) for price, door, muted in cards if not muted.strip()]
    assert len(prices) > 5
    assert prices == sorted(prices)


def test_a_product_page_says_who_sells_ships_and_serves(client):
    page = client.get(re.search(r'href="(/store/GB/products/[^"]+)"', client.get("/store/GB?q=aria").text)[1]).text
    for words in (
        "Sold by Demo Shenzhen Audio",
        "packed by Platform",
        "questions answered by Platform",
        "returns within 30 days",
        "Total to your door",
    ):
        assert words in page


def test_addresses_and_data_are_the_persons_own(buyer):
    page = buyer.get("/me/data").text
    fields = {"form_token": TOKEN.search(page)[1], "country": "DE", "recipient": "Gwen", "street": "Musterweg 7", "city": "Bonn", "postcode": "53113"}
    assert buyer.post("/me/addresses", data={**fields, "postcode": "1"}).status_code == 422
    for _ in range(2):
        assert buyer.post("/me/addresses", data=fields, follow_redirects=False).status_code == 303
    assert buyer.get("/me/data").text.count("Musterweg 7") == 1
    copy = buyer.get("/me/export").json()
    assert copy["person"]["details"]["name"] == "Demo Buyer Gwen"
    assert any(one["details"]["lines"] == ["Musterweg 7"] for one in copy["addresses"])
    sign_in(buyer, "buyer")
    assert "Musterweg" not in buyer.get("/me/export").text


def test_unknown_things_are_refused(buyer):
    assert buyer.get("/store/XX/basket").status_code == 404
    assert buyer.get("/checkout?store=XX").status_code == 404
    assert buyer.get("/checkout?store=GB", follow_redirects=False).headers["location"] == "/store/GB/basket"
    assert buyer.get(f"/checkouts/{uuid.UUID(int=5)}").status_code == 404
    assert buyer.get(f"/returns/{uuid.UUID(int=5)}/{uuid.UUID(int=6)}").status_code == 404


def test_a_buyer_opens_the_invoice_of_what_arrived(client):
    sign_in(client, "buyer-gb")
    pages = {path: client.get(path).text for path in orders_of(client)}
    links = {path: re.findall(rf'href="({path}/invoices/[0-9a-f-]+)"', page) for path, page in pages.items()}
    arrived = [path for path, found in links.items() if found]
    assert arrived, "some orders have arrived"
    assert len(arrived) < len(pages), "others are on their way"
    for path in arrived:
        paper = client.get(links[path][0])
        assert (paper.status_code, paper.headers["content-type"], paper.content[:5]) == (200, "application/pdf", b"%PDF-")
    assert client.get(f"{arrived[0]}/invoices/{uuid.uuid4()}").status_code == 404
    stolen = links[arrived[0]][0]
    sign_in(client, "buyer-cn")
    assert client.get(stolen).status_code == 404
