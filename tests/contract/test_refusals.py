"""What programs send that cannot be: each gets a problem document that names field, value and remedy, and nothing is written."""

import json

import pytest
from tests.factories.contract import body, refused, send
from tests.factories.programs import GB, bearer

from entrepot.surfaces.api.wire import BODY_LIMIT

DEEP = 100_000
PATHS = ("/orders", "/quotes")
LINE = '{"merchant_id": "57ee125f-eab0-86eb-845a-0f86a93ecb18", "offer_id": "57ee125f-eab0-86eb-845a-0f86a93ecb18", "quantity": 1}'


@pytest.fixture(scope="module")
def contents(shop):
    """What is in the database before the first of these tests."""
    return shop.contents()


@pytest.fixture(autouse=True)
def nothing_is_written(shop, contents):
    """Hold the whole database against what it was."""
    yield
    assert shop.contents() == contents


NUMBERS = [
    ("0", "0"),
    ("-1", "-1"),
    ("-0", "-0"),
    ("0.5", "0.5"),
    ("1.5", "1.5"),
    ("1000001", "1000001"),
    ("1e7", "1e7"),
    ("9223372036854775808", "9223372036854775808"),
    ("18446744073709551616", "18446744073709551616"),
    ("1" * 5000, "1" * 64),
    ("1e400", "1e400"),
    ('"1"', '"1"'),
    ("true", "true"),
    ("null", "null"),
    ("[1]", "[1]"),
    ("{}", "{}"),
    ("[" * DEEP, None),
]


@pytest.mark.parametrize(("number", "told"), NUMBERS, ids=range(len(NUMBERS)))
def test_a_number_that_is_no_quantity(shop, number, told):
    for path in PATHS:
        refused(send(shop, path, body(shop, path, number)), path, 422, "malformed_body", "lines[0].quantity", told)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "01", "+1", ".5", "1.", "1e", "'1'", "nan", "undefined", ""])
def test_what_is_no_number_in_json(shop, number):
    refused(send(shop, "/orders", body(shop, "/orders", number)), "/orders", 422, "malformed_body", "body")


BAD_TEXTS = [
    ("nothing", b""),
    ("only a brace", b"{"),
    ("arrays without end", b"[" * DEEP),
    ("arrays nested deep", b"[" * DEEP + b"]" * DEEP),
    ("objects nested deep", b'{"a":' * (DEEP // 4) + b"1" + b"}" * (DEEP // 4)),
    ("no UTF-8", b'{"marketplace": "\xff"}'),
    ("half a character", b'{"marketplace": "\xe4\xbd"}'),
    ("UTF-16", '{"marketplace": "GB"}'.encode("utf-16")),
    ("a byte order mark", b'\xef\xbb\xbf{"marketplace": "GB"}'),
    ("half a surrogate pair", b'{"marketplace": "\\ud800"}'),
    ("a bare control character", b'{"marketplace": "\x01"}'),
    ("a NUL before it", b"\x00{}"),
    ("a comment", b"/* */ {}"),
    ("a comma too many", b'{"lines": [],}'),
    ("single quotes", b"{'lines': []}"),
    ("a list", b"[]"),
    ("a word", b"null"),
    ("a form", b"marketplace=GB&country=GB"),
    ("something packed", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"),
]


@pytest.mark.parametrize(("name", "content"), BAD_TEXTS, ids=[name for name, _ in BAD_TEXTS])
def test_what_is_no_message(shop, name, content):
    for path in PATHS:
        problem = send(shop, path, content).json()
        assert (problem["status"], problem["code"]) == (422, "malformed_body"), problem


def test_what_follows_a_message(shop):
    for rest in ("x", "{}", "\x00", ",", "]"):
        refused(send(shop, "/orders", body(shop, "/orders") + rest), "/orders", 422, "malformed_body", "body")


BAD_FIELDS = [
    (', "surprise": "x"', "surprise", '"x"'),
    (', "surprise": ' + "[" * DEEP, "surprise", None),
    (f', "{"n" * 10_000}": 1', "n" * 100, "1"),
    (', "a`b - at `$.country`": 1', "a`b - at `$.country`", "1"),
    (', "": 1', "body", None),
    (', "country": "gb"', "country", '"gb"'),
    (', "country": "GBR"', "country", '"GBR"'),
    (', "country": "GB\\n"', "country", '"GB\\n"'),
    (', "country": null', "country", "null"),
    (', "country": 44', "country", "44"),
    (', "country": ["GB"]', "country", '["GB"]'),
    (', "marketplace": ""', "marketplace", '""'),
    (', "marketplace": "GB\\u0000"', "marketplace", '"GB\\u0000"'),
    (', "marketplace": "GB\\n"', "marketplace", '"GB\\n"'),
    (f', "marketplace": "{"G" * 41}"', "marketplace", f'"{"G" * 41}"'),
    (', "marketplace": "\N{CJK UNIFIED IDEOGRAPH-4F60}"', "marketplace", '"\N{CJK UNIFIED IDEOGRAPH-4F60}"'),
    (', "postcode": "LS1; drop table checkout"', "postcode", '"LS1; drop table checkout"'),
    (', "postcode": 1', "postcode", "1"),
    (', "speed": "yesterday"', "speed", '"yesterday"'),
    (', "speed": null', "speed", "null"),
    (', "accepts_risk": "true"', "accepts_risk", '"true"'),
    (', "accepts_risk": 1', "accepts_risk", "1"),
    (', "buyer_id": "me"', "buyer_id", '"me"'),
    (', "buyer_id": 7', "buyer_id", "7"),
    (', "identity_id": ""', "identity_id", '""'),
    (', "lines": {}', "lines", "{}"),
    (', "lines": null', "lines", "null"),
    (', "lines": [7]', "lines[0]", "7"),
    (f', "lines": [{LINE}, []]', "lines[1]", "[]"),
    (', "lines": [{"merchant_id": "57ee125f-eab0-86eb-845a-0f86a93ecb18", "quantity": 1}]', "lines[0].offer_id", ""),
    (f', "lines": [{LINE.replace("}", ", ")}"colour": "red"}}]', "lines[0].colour", '"red"'),
]


@pytest.mark.parametrize(("more", "field", "value"), BAD_FIELDS, ids=range(len(BAD_FIELDS)))
def test_a_field_that_is_wrong(shop, more, field, value):
    for path in PATHS:
        problem = send(shop, path, body(shop, path, more=more)).json()
        assert (problem["status"], problem["code"], problem["field"]) == (422, "malformed_body", field), problem
        assert value is None or problem.get("value", "") == value
        assert len(json.dumps(problem)) < 1000


@pytest.mark.parametrize("field", ["marketplace", "country", "payment_method", "lines"])
def test_a_field_that_is_missing(shop, field):
    answer = shop.order("key-refused", shop.message(**{field: None}))
    problem = refused(answer, "/orders", 422, "malformed_body", field)
    assert "missing" in problem["remedy"]


def test_of_a_field_that_comes_twice_the_last_counts(shop):
    answer = send(shop, "/orders", body(shop, "/orders", more=', "marketplace": "GB", "marketplace": "XX"'))
    refused(answer, "/orders", 404, "unknown_marketplace", "marketplace", "XX")


def test_ten_thousand_lines(shop):
    lines = shop.message()["lines"] * 10_000
    for path in PATHS:
        refused(send(shop, path, json.dumps(shop.message(lines=lines))), path, 413, "body_too_large", "body", f"over {BODY_LIMIT} bytes")
    refused(
        send(shop, "/orders", body(shop, "/orders", more=f', "lines": [{",".join(["{}"] * 10_000)}]')),
        "/orders",
        422,
        "malformed_body",
        "lines[0].merchant_id",
    )
    lines = shop.message()["lines"] * 201
    refused(shop.order("key-refused", shop.message(lines=lines)), "/orders", 422, "malformed_body", "lines")


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonp", "", "json"]
)
def test_a_body_that_is_no_json_by_its_content_type(shop, content_type):
    answer = send(shop, "/orders", body(shop, "/orders"), **{"content-type": content_type})
    refused(answer, "/orders", 415, "unsupported_content_type", "Content-Type", content_type or None)


@pytest.mark.parametrize(
    ("path", "status", "code", "field", "value"),
    [
        ("key-of-nobody", 404, "unknown_key", "key", "key-of-nobody"),
        ("a%2Fb%20c%25", 404, "unknown_key", "key", "a/b c%"),
        ("a/b", 404, "unknown_key", "key", "a/b"),
        ("%27;%20drop%20table%20checkout", 404, "unknown_key", "key", "'; drop table checkout"),
        ("", 422, "request_key", "Idempotency-Key", None),
        ("k" * 65, 422, "request_key", "Idempotency-Key", "k" * 64),
        ("%00", 422, "request_key", "Idempotency-Key", "\x00"),
        ("%FF", 422, "request_key", "Idempotency-Key", None),
        ("%0A", 422, "request_key", "Idempotency-Key", "\n"),
        ("k%0A", 422, "request_key", "Idempotency-Key", "k\n"),
        ("%20k", 422, "request_key", "Idempotency-Key", " k"),
    ],
)
def test_a_key_that_is_asked_for(shop, path, status, code, field, value):
    answer = shop.client.get(f"/requests/{path}?buyer_id={GB}", headers=bearer())
    refused(answer, "/requests/{key}", status, code, field, value)


def test_a_buyer_that_is_asked_for(shop):
    answer = shop.client.get("/requests/k?buyer_id=me", headers=bearer())
    refused(answer, "/requests/{key}", 422, "malformed_id", "buyer_id", "me")
    refused(shop.client.get("/requests/k", headers=bearer()), "/requests/{key}", 403, "foreign_buyer", "buyer_id")


def test_an_order_without_a_key(shop):
    refused(shop.client.post("/orders", json=shop.message(), headers=bearer()), "/orders", 422, "request_key", "Idempotency-Key", None)


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer wrong", "Basic storefront-token", "storefront-token", "Bearer  storefront-token"]
)
def test_a_token_that_is_none(shop, authorization):
    shop.client.get("/requests/k", headers=bearer())  # the token is known from here on
    headers = {"idempotency-key": "key-refused"} | ({} if authorization is None else {"authorization": authorization})
    answer = shop.client.post("/orders", json=shop.message(), headers=headers)
    refused(answer, "/orders", 401, "token_missing", "Authorization")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
@pytest.mark.parametrize("path", ["/quotes", "/orders", "/requests/k"])
def test_a_method_that_is_not_answered(shop, method, path):
    asked = shop.client.request("POST" if (method, path) == ("GET", "/requests/k") else method, path, headers=bearer())
    if path == "/orders" and method in {"GET", "HEAD"}:
        assert asked.status_code in {401, 405}  # the pages' list of orders, which wants a session
        return
    assert (asked.status_code, asked.headers["allow"]) == (405, "GET" if path == "/requests/k" else "POST")
    if method != "HEAD":
        assert (asked.json()["code"], asked.json()["field"]) == ("method_not_allowed", "method")


@pytest.mark.parametrize("path", ["/order", "/quotes/", "/orders/x", "/requests", "/v1/orders", "/QUOTES"])
def test_an_address_that_is_none(shop, path):
    answer = shop.client.post(path, json=shop.message(), headers=bearer(key="key-refused"))
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["status"] == answer.status_code
    assert answer.status_code in {404, 405}
    assert problem["remedy"]


@pytest.mark.parametrize(
    ("change", "status", "code", "field"),
    [
        ({"quote_id": str(GB)}, 404, "unknown_quote", "quote_id"),
        ({"payment_method": "gold"}, 404, "unknown_payment_method", "payment_method"),
        ({"marketplace": "XX"}, 404, "unknown_marketplace", "marketplace"),
        ({"identity_id": str(GB)}, 404, "unknown_identity", "identity_id"),
        ({"quantity": 1_000_000}, 409, "not_enough_units", "lines[LINK-CABLE].quantity"),
        ({"country": "ZZ"}, 409, "not_enough_units", "lines[LINK-CABLE].quantity"),
        ({"marketplace": "US"}, 409, "offer_not_live", "offer_id"),
    ],
)
def test_what_does_not_exist_or_cannot_be_had(shop, change, status, code, field):
    refused(shop.order("key-refused", shop.message(**change)), "/orders", status, code, field)
