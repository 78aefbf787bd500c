"""The merchant's pages as browsers ask for them: what is due, what forms do, what is refused, and that others' records are not there."""

import asyncio
import re
import uuid

import psycopg
import pytest
from litestar.testing import TestClient
from tests.factories.house import BUYER
from tests.factories.merchant_house import AUDIO, LEEDS, QUESTION, fill_merchant_database
from tests.factories.opened import app_on, filled

from entrepot.base.clock_store import read_business_now
from entrepot.books.stock.model import Available, StockKey
from entrepot.bootstrap.outside import FreshOutside
from entrepot.bootstrap.settings import read_settings
from entrepot.bootstrap.tables import all_tables
from entrepot.flows.return_goods import ReturnWish, ask_returns
from entrepot.surfaces.web.merchant.stock import what_lies

TOKEN = re.compile(r'name="form_token" value="(\w+)"')
SHIP = re.compile(r'href="(/merchant/ship/[0-9a-f-]{36})"')
STATEMENT = re.compile(r'href="(/merchant/money/statements/[0-9a-f-]{36})"')
TAGS = re.compile(r"<[^>]+>")
PATHS = (
    *("/merchant", "/merchant/ship", "/merchant/ship/pick-list", "/merchant/orders", "/merchant/messages", "/merchant/money"),
    *("/merchant/money/statements", "/merchant/money/payouts", "/merchant/money/invoices", "/merchant/fees", "/merchant/listings"),
    *("/merchant/returns",),
    *("/merchant/listings/bulk", "/merchant/stock", "/merchant/stock/MOOR-TEAPOT", "/merchant/start", "/merchant/settings"),
)
LISTS = ("/merchant/ship", "/merchant/orders", "/merchant/messages", "/merchant/fees", "/merchant/listings", "/merchant/stock")
NOT_BOOKS = {"web_session", "login_attempt"}


@pytest.fixture(scope="module")
def house(cluster):
    with filled(cluster, "merchant_pages", fill_merchant_database) as url:
        yield url


@pytest.fixture(scope="module")
def app(house, tmp_path_factory):
    return app_on(house, tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def client(app):
    """One browser, which changes its session's cookie: signing in takes its time on purpose."""
    with TestClient(app) as client:
        yield client


@pytest.fixture(scope="module")
def sessions(client):
    """Return the session of each login."""
    return {login: sign_in(client, login) for login in ("merchant-gb", "merchant", "merchant-staff")}


@pytest.fixture
def leeds(client, sessions):
    return worn(client, sessions["merchant-gb"])


@pytest.fixture
def audio(client, sessions):
    return worn(client, sessions["merchant"])


@pytest.fixture
def staff(client, sessions):
    return worn(client, sessions["merchant-staff"])


def sign_in(client, login):
    client.cookies.clear()
    token = TOKEN.search(client.get("/sign-in").text)[1]
    client.post("/sign-in", data={"form_token": token, "login": login, "password": "demo", "next": "/"}, follow_redirects=False)
    return client.cookies["entrepot_session"]


def worn(client, session):
    client.cookies.clear()
    client.cookies.set("entrepot_session", session)
    return client


def send(client, path, **fields):
    """Send a form with the token of the visitor's own pages."""
    return client.post(path, data={"form_token": TOKEN.search(client.get("/merchant/start").text)[1], **fields}, follow_redirects=False)


def text_of(answer):
    main = answer.text[answer.text.find("<main") :]
    return re.sub(r"\s+", " ", TAGS.sub(" ", main))


def fingerprint(url):
    names = sorted(set(all_tables().tables) - NOT_BOOKS)
    parts = " union all ".join(f"select '{name}', count(*), coalesce(sum(hashtext(t::text)::bigint), 0) from {name} t" for name in names)
    with psycopg.connect(url) as conn:
        return {row[0]: row[1:] for row in conn.execute(parts)}


def one(url, query, *values):
    with psycopg.connect(url) as conn:
        return conn.execute(query, values).fetchone()


def own_waiting(url, merchant_id):
    """Return the consignments of a merchant's own that wait, the most urgent first."""
    with psycopg.connect(url) as conn:
        return [
            (str(row[0]), str(row[1]))
            for row in conn.execute(
                "select consignment_id, order_id from consignment where merchant_id = %s and doer = 'merchant' and state = 'released' order by ship_by_at",
                [merchant_id],
            )
        ]


def test_home_tells_what_is_due_by_deadline(leeds):
    page = leeds.get("/")
    assert page.url.path == "/merchant"
    text = text_of(page)
    assert text.index("9 days late") < text.index("Answer the buyer") < text.index("2 days left") < text.index("Low stock of DALE-BLENDER")
    assert "1 is late" in text
    assert "£63.98 2 orders" in text
    assert "in reserve: £117.06" in text
    assert "5 October" in text


@pytest.mark.parametrize(("language", "word"), [("de", "Zu versenden"), ("zh_Hans", "待发货")])
def test_every_page_speaks_the_language_that_is_chosen(leeds, language, word):
    leeds.cookies.set("entrepot_language", language)
    pages = {path: leeds.get(path) for path in PATHS}
    assert {path: (page.status_code, word in page.text) for path, page in pages.items()} == dict.fromkeys(PATHS, (200, True))


def test_lists_go_out_as_csv(leeds):
    answers = {path: leeds.get(path, params={"format": "csv"}) for path in LISTS}
    assert {path: answer.headers["content-type"].partition(";")[0] for path, answer in answers.items()} == dict.fromkeys(LISTS, "text/csv")
    assert [path for path, answer in answers.items() if len(answer.text.splitlines()) < 2] == []


def test_the_queue_is_narrowed_and_refuses_what_it_does_not_know(leeds):
    assert SHIP.findall(leeds.get("/merchant/ship?view=late").text) == SHIP.findall(leeds.get("/merchant/ship").text)[:1]
    assert leeds.get("/merchant/ship?nonsense=1").status_code == 422
    assert leeds.get("/merchant/orders?sort=country").status_code == 422
    assert "E" in leeds.get("/merchant/orders?view=delivered&sort=-total").text


def test_another_merchants_records_are_not_there(audio, house):
    consignment, order = own_waiting(house, LEEDS)[0]
    statement = one(house, "select statement_id from statement where merchant_id = %s", LEEDS)[0]
    fee = one(house, "select cause_id, line_no, event, fee_no from fee_line where merchant_id = %s", LEEDS)
    colleague = one(house, "select staff_id from staff where merchant_id = %s", LEEDS)[0]
    before = fingerprint(house)
    reads = [
        f"/merchant/ship/{consignment}",
        f"/merchant/orders/{order}",
        f"/merchant/messages/{order}",
        f"/merchant/money/statements/{statement}",
        f"/merchant/money/statements/{statement}/line?kind=sales",
        "/merchant/fees/{}/{}/{}/{}".format(*fee),
        "/merchant/stock/MOOR-TEAPOT",
    ]
    assert {path: audio.get(path).status_code for path in reads} == dict.fromkeys(reads, 404)
    writes = {
        f"/merchant/ship/{consignment}/confirm": {"carrier": "ENTREPOT-LINE", "tracking_number": "STOLEN12345"},
        f"/merchant/ship/{consignment}/label": {},
        f"/merchant/ship/{consignment}/decline": {"reason": "out_of_stock"},
        f"/merchant/messages/{order}": {"text": "Hello", "key": "k"},
        "/merchant/stock/MOOR-TEAPOT/SITE-LDS-KITCHEN": {"quantity": "1", "sequence": "9", "as_of": ""},
        f"/merchant/settings/team/{colleague}/close": {},
    }
    told = {path: send(audio, path, **fields).status_code for path, fields in writes.items()}
    assert told == dict.fromkeys(writes, 404)
    offer = str(one(house, "select offer_id from offer where merchant_id = %s", LEEDS)[0])
    assert send(audio, "/merchant/listings/pause", row=offer).headers["location"] == "/merchant/listings?done=already"
    assert send(audio, "/merchant/ship/labels", row=consignment).headers["location"] == "/merchant/ship?done=some_labels"
    assert fingerprint(house) == before


def test_a_wrong_confirmation_keeps_what_was_typed_and_writes_nothing(leeds, house):
    consignment, _ = own_waiting(house, LEEDS)[-1]
    before = fingerprint(house)
    page = send(leeds, f"/merchant/ship/{consignment}/confirm", carrier="PIGEON", tracking_number="A!B")
    assert page.status_code == 422
    assert page.text.count('class="field-fault"') >= 2
    assert 'value="A!B"' in page.text
    assert send(leeds, f"/merchant/ship/{consignment}/decline", reason="").status_code == 422
    assert send(leeds, f"/merchant/ship/{consignment}/decline", reason="because").status_code == 422
    assert fingerprint(house) == before


def test_shipping_buying_a_label_and_declining_count_once(audio, house):
    late, fresh = own_waiting(house, AUDIO)
    path = f"/merchant/ship/{late[0]}"
    sent = {"carrier": "ENTREPOT-LINE", "tracking_number": "own 4711-0815"}
    assert send(audio, f"{path}/confirm", **sent).headers["location"] == "/merchant/ship?done=confirmed"
    stored = fingerprint(house)
    assert send(audio, f"{path}/confirm", **sent).headers["location"] == "/merchant/ship?done=already"
    assert send(audio, f"{path}/label").headers["location"] == "/merchant/ship?done=already"
    assert send(audio, f"{path}/decline", reason="damaged").status_code == 409
    assert fingerprint(house) == stored
    assert one(house, "select tracking_number from parcel where consignment_id = %s", late[0])[0] == "OWN47110815"
    number = one(house, "select number from customer_order where order_id = %s", fresh[1])[0]
    assert number in audio.get("/merchant/ship/pick-list").text
    path = f"/merchant/ship/{fresh[0]}"
    assert send(audio, f"{path}/decline", reason="out_of_stock").headers["location"] == "/merchant/ship?done=declined"
    stored = fingerprint(house)
    assert send(audio, f"{path}/decline", reason="out_of_stock").headers["location"] == "/merchant/ship?done=already"
    assert fingerprint(house) == stored
    assert one(house, "select state from customer_order where order_id = %s", fresh[1])[0] == "cancelled"
    assert audio.get(path).status_code == 200
    assert "Nothing to ship" in audio.get("/merchant/ship").text


def test_labels_are_bought_for_many_and_charged_once(leeds, house):
    late = own_waiting(house, LEEDS)[0][0]
    assert "£2.65" in leeds.get(f"/merchant/ship/{late}").text
    assert send(leeds, "/merchant/ship/labels", row=late).headers["location"] == "/merchant/ship?done=labels"
    stored = fingerprint(house)
    assert send(leeds, "/merchant/ship/labels", row=late).headers["location"] == "/merchant/ship?done=labels"
    assert send(leeds, "/merchant/ship/labels", row="no id").headers["location"] == "/merchant/ship"
    assert fingerprint(house) == stored
    assert one(house, "select count(*) from fee_line where fee_code = 'label'")[0] == 1
    assert "Label" in text_of(leeds.get("/merchant/fees?code=label"))


def test_a_message_waits_until_it_is_answered_once(leeds, house):
    inbox = leeds.get("/merchant/messages?view=waiting")
    path = re.search(r'href="(/merchant/messages/[0-9a-f-]{36})"', inbox.text)[1]
    assert QUESTION in inbox.text
    assert "Answer: " in leeds.get(path).text
    assert send(leeds, path, text="  ", key="k1").status_code == 422
    answer = {"text": "Yes, on Thursday.", "key": "k1"}
    assert send(leeds, path, **answer).headers["location"] == f"{path}?done=answered"
    stored = fingerprint(house)
    assert send(leeds, path, **answer).headers["location"] == f"{path}?done=already"
    assert fingerprint(house) == stored
    assert one(house, "select count(*) from message where author_role = 'merchant'")[0] == 1
    assert "Answer: " not in leeds.get(path).text


def test_what_the_platform_answers_is_not_the_merchants_to_answer(audio, house):
    order = one(
        house,
        "select o.order_id from customer_order o join order_line l using (merchant_id, order_id) where o.merchant_id = %s and l.model_code = 'fba' limit 1",
        AUDIO,
    )[0]
    page = audio.get(f"/merchant/messages/{order}")
    assert "The platform answers" in page.text
    assert "Send answer" not in page.text
    before = fingerprint(house)
    assert send(audio, f"/merchant/messages/{order}", text="Hello", key="k").status_code == 403
    assert fingerprint(house) == before


def test_every_line_of_a_statement_opens_to_entries_that_sum_to_it(audio):
    statement = STATEMENT.search(audio.get("/merchant/money").text)[1]
    page = audio.get(statement)
    lines = re.findall(
        r'href="(/merchant/money/statements/[^"]+/line\?[^"]+)".*?<td class="num"[^>]*>([\d,]+)</td><td class="num"[^>]*>([^<]+)</td>', page.text
    )
    assert len(lines) >= 4
    for href, count, amount in lines:
        detail = audio.get(href.replace("&amp;", "&"))
        assert f"<strong>{amount}</strong>" in detail.text
        assert len(re.findall(r"/posting/", detail.text)) == int(count)
    assert audio.get(f"{statement}/line?kind=sales&code=nonsense").status_code == 404


def test_each_fee_opens_to_its_rule_and_inputs(audio):
    listed = audio.get("/merchant/fees?code=referral&currency=GBP")
    fee = re.search(r'href="(/merchant/fees/[0-9a-f-]{36}/[^"]+)"', listed.text)[1]
    text = text_of(audio.get(fee))
    for told in ("What it was computed from", "Category", "Rule GB.referral.2026-01", "Source", "Confidence", "In force from"):
        assert told in text
    assert audio.get("/merchant/fees?order=nonsense").status_code == 422
    assert audio.get(f"/merchant/fees/{uuid.UUID(int=5)}/1/sale/1").status_code == 404


GOOD = "sku;store;model;price;state;hs_code;origin\nMOOR-TEAPOT;GB;fbm;29.50;;;\nDALE-PAN;GB;fba;;paused;;\nDALE-PAN;US;fbm;52.00;;732393;CN\n"
BAD = "sku,store,model,price,state\nMOOR-TEAPOT,GB,fbm,31.00,\nNO-SUCH,GB,fbm,10,\nDALE-PAN,GB,fba,12.345,\nDALE-PAN,GB,fbm,,open\nMOOR-GLASSES,MARS,fbm,1,\nMOOR-TEAPOT,GB,fbm,30,\n"


def test_bulk_rows_are_shown_first_and_applied_whole_and_once(leeds, house):
    before = fingerprint(house)
    preview = send(leeds, "/merchant/listings/bulk", rows=GOOD, step="preview")
    assert preview.status_code == 200
    assert "£27.99" in preview.text
    assert "£29.50" in preview.text
    assert fingerprint(house) == before
    assert send(leeds, "/merchant/listings/bulk", rows=GOOD, step="apply").headers["location"] == "/merchant/listings?done=listed"
    stored = fingerprint(house)
    assert send(leeds, "/merchant/listings/bulk", rows=GOOD, step="apply").headers["location"] == "/merchant/listings?done=already"
    assert fingerprint(house) == stored
    query = "select price_minor, state from offer join stock_item using (merchant_id, stock_item_id) where sku = %s and marketplace_code = %s and model_code = %s"
    assert one(house, query, "MOOR-TEAPOT", "GB", "fbm") == (2950, "live")
    assert one(house, query, "DALE-PAN", "GB", "fba")[1] == "paused"
    assert one(house, query, "DALE-PAN", "US", "fbm") == (5200, "live")


@pytest.mark.parametrize("step", ["preview", "apply"])
def test_one_wrong_row_keeps_all_back_and_each_says_why(leeds, house, step):
    before = fingerprint(house)
    page = send(leeds, "/merchant/listings/bulk", rows=BAD, step=step)
    assert page.status_code == 422
    assert page.text.count('class="rows-wrong"') == 5
    assert page.text.count('class="row-fault"') == 5
    assert "NO-SUCH,GB,fbm" in page.text
    assert fingerprint(house) == before


@pytest.mark.parametrize("rows", ["", "name,price\nx,1", "sku,sku\na,b", "sku\nA,B"])
def test_rows_that_cannot_be_read_are_refused_with_the_columns(leeds, house, rows):
    before = fingerprint(house)
    page = send(leeds, "/merchant/listings/bulk", rows=rows, step="apply")
    assert page.status_code == 422
    assert "Something needs correcting" in page.text
    assert fingerprint(house) == before


def test_offers_go_out_as_a_file_that_comes_back_unchanged(leeds, house):
    out = leeds.get("/merchant/listings/bulk/offers.csv")
    assert out.text.splitlines()[0].lstrip("\ufeff") == "sku,store,model,price,state,hs_code,origin"
    before = fingerprint(house)
    token = TOKEN.search(leeds.get("/merchant/start").text)[1]
    page = leeds.post(
        "/merchant/listings/bulk", data={"form_token": token, "step": "preview"}, files={"file": ("offers.csv", out.content, "text/csv")}
    )
    assert page.status_code == 200
    assert "0 rows change something" in page.text
    assert fingerprint(house) == before


def test_offers_are_paused_and_resumed_together(leeds, house):
    offers = [str(row) for row in one(house, "select array_agg(offer_id) from offer where merchant_id = %s and state = 'live'", LEEDS)[0]][:2]
    assert send(leeds, "/merchant/listings/pause", row=offers).headers["location"] == "/merchant/listings?done=offers"
    assert one(house, "select count(*) from offer where offer_id = any(%s::uuid[]) and state = 'paused'", offers)[0] == 2
    assert send(leeds, "/merchant/listings/resume", row=offers).headers["location"] == "/merchant/listings?done=offers"
    assert send(leeds, "/merchant/listings/resume", row=offers).headers["location"] == "/merchant/listings?done=already"


def test_units_are_explained_and_the_merchants_word_counts_once(leeds, house):
    page = leeds.get("/merchant/stock/MOOR-GLASSES")
    assert "Unexplained" in page.text
    fields = dict(re.findall(r'<input id="[^"]+" name="(sequence|as_of)" type="hidden" value="([^"]+)"', page.text))
    assert set(fields) == {"sequence", "as_of"}
    path = "/merchant/stock/MOOR-GLASSES/SITE-LDS-KITCHEN"
    assert send(leeds, path, quantity="-1", **fields).status_code == 422
    assert send(leeds, path, quantity="45", **fields).headers["location"] == "/merchant/stock/MOOR-GLASSES?done=counted"
    stored = fingerprint(house)
    assert send(leeds, path, quantity="45", **fields).headers["location"] == "/merchant/stock/MOOR-GLASSES?done=already"
    assert send(leeds, path, quantity="99", **fields).headers["location"] == "/merchant/stock/MOOR-GLASSES?done=stale"
    assert fingerprint(house) == stored
    assert re.search(r"Unexplained 0", text_of(leeds.get("/merchant/stock/MOOR-GLASSES")))


def test_what_is_announced_counts_once_where_it_is_expected():
    item, other = uuid.uuid4(), uuid.uuid4()
    held = [Available(StockKey(AUDIO, AUDIO, item, "GB-LTN1", condition), *units) for condition, units in (("damaged", (2, 0)), ("sellable", (9, 1)))]
    held.append(Available(StockKey(AUDIO, other, item, "GB-LTN1"), 3, 0))
    assert [
        (one.place_code, one.condition_code, one.on_hand, one.reserved, one.coming) for one in what_lies(item, held, {"GB-LTN1": 12, "FR-ORY1": 5})
    ] == [
        ("FR-ORY1", "sellable", 0, 0, 5),
        ("GB-LTN1", "damaged", 2, 0, 0),
        ("GB-LTN1", "sellable", 12, 1, 12),
    ]


def test_settings_take_numbers_models_and_colleagues_once(leeds, house):
    number = {"kind": "vat", "country": "DE", "number": "DE 123 456 789"}
    assert send(leeds, "/merchant/settings/numbers", **number).headers["location"] == "/merchant/settings?done=number"
    assert send(leeds, "/merchant/settings/numbers", **number).headers["location"] == "/merchant/settings?done=already"
    assert send(leeds, "/merchant/settings/numbers", **number | {"number": "DE999"}).status_code == 409
    assert send(leeds, "/merchant/settings/numbers", kind="own_site", country="DE", number="SITE1").status_code == 422
    assert send(leeds, "/merchant/settings/models", store="DE", model="fbm").headers["location"] == "/merchant/settings?done=opened"
    assert send(leeds, "/merchant/settings/models", store="CN_GP", model="global_purchase").status_code == 403
    person = {"name": "Ada", "login": "ada.leeds", "role": "merchant_staff", "first_password": "orchid lantern gravel", "key": "k"}
    assert send(leeds, "/merchant/settings/team", **person | {"first_password": "short"}).status_code == 422
    assert send(leeds, "/merchant/settings/team", **person).headers["location"] == "/merchant/settings?done=colleague"
    assert send(leeds, "/merchant/settings/team", **person).headers["location"] == "/merchant/settings?done=already"
    assert send(leeds, "/merchant/settings/team", **person | {"login": "merchant"}).status_code == 409
    staff_id = one(house, "select staff_id from staff where login = 'ada.leeds'")[0]
    assert send(leeds, f"/merchant/settings/team/{staff_id}/close").headers["location"] == "/merchant/settings?done=closed"
    assert one(house, "select status from staff where login = 'ada.leeds'")[0] == "closed"
    owner = one(house, "select staff_id from staff where login = 'merchant-gb'")[0]
    assert send(leeds, f"/merchant/settings/team/{owner}/close").status_code == 409


def test_staff_may_not_change_what_binds_the_merchant(staff, house):
    assert "Add a number" not in staff.get("/merchant/settings").text
    before = fingerprint(house)
    for path in ("/merchant/settings/numbers", "/merchant/settings/models", "/merchant/settings/team", "/merchant/start"):
        assert send(staff, path).status_code == 403
    assert fingerprint(house) == before


def test_documents_are_filed_for_a_check_once(leeds, house):
    before = fingerprint(house)
    assert send(leeds, "/merchant/start", gate="listing:GB", documents=" ").status_code == 422
    assert send(leeds, "/merchant/start", gate="listing:GB", documents="passport-2026").status_code == 409
    assert fingerprint(house) == before


def test_sales_and_fees_are_invoiced_and_open_as_pdf_for_whom_they_belong_to(audio, client, sessions):
    rows = audio.get("/merchant/money/invoices").text
    assert "SALE-000001" in rows
    assert "FEES-000001" in rows
    bill = text_of(audio.get(re.search(r'href="(/merchant/money/invoices/[0-9a-f-]{36})"[^>]*>FEES-000001', rows)[1]))
    assert "Referral" in bill
    assert "minor" not in bill, "no raw key"
    papers = {found: audio.get(f"{found}/pdf") for found in re.findall(r'href="(/merchant/money/invoices/[0-9a-f-]{36})"', rows)}
    assert len(papers) >= 2
    for found, paper in papers.items():
        assert (paper.status_code, paper.headers["content-type"]) == (200, "application/pdf"), found
        assert paper.content.startswith(b"%PDF-")
    worn(client, sessions["merchant-gb"])
    assert {client.get(f"{found}/pdf").status_code for found in papers} == {404}


async def ask_for_return(url, order_key):
    """Let the buyer ask to send one unit back, as the order's page does."""
    async with await psycopg.AsyncConnection.connect(url) as conn:
        outside = FreshOutside(read_settings({"DATABASE_URL": url}))
        now = await read_business_now(conn)
        wish = ReturnWish(*order_key, ((1, 1),), "changed_mind", "test")
        (answer,) = await ask_returns(conn, await outside.current(conn, now), [wish], BUYER, now)
        return answer.rma_ids[0]


def test_a_merchant_decides_on_a_return_looks_at_it_and_pays_back(leeds, house, client, sessions):
    order_key = one(
        house,
        """select o.merchant_id, o.order_id from customer_order o join order_line l on l.merchant_id = o.merchant_id and l.order_id = o.order_id
           where o.merchant_id = %s and l.model_code = 'fbm' and l.delivered = 1 and l.returned = 0 limit 1""",
        LEEDS,
    )
    rma = asyncio.run(ask_for_return(house, order_key))
    path = f"/merchant/returns/{rma}"
    assert path in leeds.get("/merchant").text, "the home page says what is to decide"
    assert path in leeds.get("/merchant/returns?view=decide").text
    before = fingerprint(house)
    assert send(leeds, f"{path}/decide").status_code == 422
    assert "the buyer reads it" in send(leeds, f"{path}/decide", verdict="refuse", note=" ").text
    assert send(leeds, f"{path}/receive", **{"came.1.1": "1", "grade.1.1": "sellable", "disposition.1.1": "restock"}).status_code == 409, (
        "not approved"
    )
    worn(client, sessions["merchant"])
    assert client.get(path).status_code == 404
    assert send(client, f"{path}/decide", verdict="approve").status_code == 404
    assert fingerprint(house) == before

    worn(client, sessions["merchant-gb"])
    assert send(leeds, f"{path}/decide", verdict="approve").headers["location"] == "/merchant/returns?done=approved"
    assert send(leeds, f"{path}/decide", verdict="approve").headers["location"] == "/merchant/returns?done=already"
    assert "It came" in leeds.get(path).text
    stock = "select on_hand from stock_availability where merchant_id = %s and place_code = 'SITE-LDS-KITCHEN' and condition_code = 'sellable'"
    query = f"{stock} and stock_item_id = (select stock_item_id from order_line where merchant_id = %s and order_id = %s)"
    refunded = "select sum(p.refunded_minor)::int from payment p join customer_order o using (checkout_id) where o.order_id = %s"
    held, paid = one(house, query, LEEDS, *order_key), one(house, refunded, order_key[1])
    before = fingerprint(house)
    for wrong in (
        {"came.1.1": "2", "grade.1.1": "sellable", "disposition.1.1": "restock"},
        {"came.1.1": "1", "grade.1.1": "defective", "disposition.1.1": "restock"},
        {"came.1.1": "1", "grade.1.1": "defective", "disposition.1.1": "dispose"},
        {"came.1.1": "1", "grade.1.1": "", "disposition.1.1": "keep"},
        {"came.1.1": "0"},
    ):
        answer = send(leeds, f"{path}/receive", **wrong)
        assert answer.status_code == 422, wrong
    assert fingerprint(house) == before
    right = {"came.1.1": "1", "grade.1.1": "sellable", "disposition.1.1": "restock"}
    assert send(leeds, f"{path}/receive", **right).headers["location"] == "/merchant/returns?done=graded"
    assert (one(house, query, LEEDS, *order_key)[0], one(house, refunded, order_key[1])[0] > paid[0]) == (held[0] + 1, True)
    after = fingerprint(house)
    assert send(leeds, f"{path}/receive", **right).status_code in {303, 409}
    assert fingerprint(house) == after, "sent twice it changes nothing"
    assert "closed" in text_of(leeds.get(path)).lower()
