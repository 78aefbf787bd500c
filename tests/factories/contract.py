"""Answers of the public API held against its document."""

import json

import schemathesis
from tests.factories.programs import bearer

from entrepot.surfaces.api.document import document

CONTRACT = schemathesis.openapi.from_dict(document())


def require_documented(answer, method, path):
    """Fail unless the document knows this status of an address, and the answer's headers and body are as it says."""
    assert str(answer.status_code) in document()["paths"][path][method.lower()]["responses"], answer.text
    CONTRACT[path][method].validate_response(answer)


def refused(answer, path, status, code, field, value=None):
    """Hold an answer against the document and against what is expected of it."""
    require_documented(answer, "GET" if path.startswith("/requests") else "POST", path)
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["field"]) == (status, code, field), problem
    assert answer.headers["content-type"] == "application/problem+json"
    assert (problem["type"], problem["status"]) == (f"urn:entrepot:error:{code}", status)
    assert problem["title"]
    assert problem["remedy"]
    assert problem["remedy"] in problem["detail"]
    if value is not None:
        assert problem["value"] == value
    return problem


def send(shop, path, content, **headers):
    """Send a body as it is."""
    return shop.client.post(path, content=content, headers=bearer(key="key-refused") | {"content-type": "application/json"} | headers)


def body(shop, path, quantity="1", more=""):
    """Return a good message as text, with a quantity and more fields as they are given."""
    message = shop.message() if path == "/orders" else shop.message(payment_method=None)
    return json.dumps(message).replace('"quantity": 1', f'"quantity": {quantity}')[:-1] + more + "}"
