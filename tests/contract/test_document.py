"""The OpenAPI document says what the code does: its types, its addresses, its examples."""

import msgspec
import pytest

from entrepot.base.errors import EntrepotError
from entrepot.cli import docs
from entrepot.sourcing.model import Speed
from entrepot.surfaces.api import messages
from entrepot.surfaces.api.document import document
from entrepot.surfaces.api.intake import is_for_intake

DOCUMENT = document()
OPERATIONS = {(path, method): one for path, methods in DOCUMENT["paths"].items() for method, one in methods.items()}
METHODS = ("get", "head", "post", "put", "patch", "delete", "options", "trace")


def resolved(node):
    """Return what a reference stands for, or the node itself."""
    while "$ref" in node:
        target = DOCUMENT
        for step in node["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        node = target
    return node


def contents():
    """Yield each operation's bodies: what they belong to, the name of their type, their example."""
    for (path, method), one in OPERATIONS.items():
        for place, node in [("request", one.get("requestBody", {})), *((status, resolved(node)) for status, node in one["responses"].items())]:
            for content_type, media in node.get("content", {}).items():
                yield f"{method} {path} {place} {content_type}", media["schema"]["$ref"].rpartition("/")[2], media.get("example")


def test_the_document_is_served_as_it_is_committed(shop):
    answer = shop.client.get("/openapi.json")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == DOCUMENT
    assert answer.text == docs.pages()["openapi.json"]


def test_each_schema_is_that_of_its_type():
    schemas = dict(DOCUMENT["components"]["schemas"])
    assert schemas.pop("Speed")["enum"] == sorted(Speed)
    for name, schema in schemas.items():
        kind = getattr(messages, name)
        fields = msgspec.structs.fields(kind)
        assert list(schema["properties"]) == [field.encode_name for field in fields]
        assert schema["required"] == [field.encode_name for field in fields if field.required]
        assert (schema.get("additionalProperties") is False) == kind.__struct_config__.forbid_unknown_fields
    named = {name for _, name, _ in contents()}
    assert {"QuoteMessage", "OrderMessage", "QuoteAnswer", "OrderAnswer", "Problem", "Health"} == named


@pytest.mark.parametrize(("place", "name", "example"), [one for one in contents() if one[2] is not None])
def test_each_example_is_a_message_of_its_type(place, name, example):
    kind = getattr(messages, name)
    built = msgspec.json.decode(msgspec.json.encode(example), type=kind)
    assert example.items() <= msgspec.to_builtins(built).items(), place


def test_every_message_has_an_example_in_both_directions():
    assert [place for place, name, example in contents() if example is None and name != "Problem"] == []


@pytest.mark.parametrize("path", ["/orders", "/quotes", "/requests/{key}"])
def test_the_handler_takes_what_is_documented_and_refuses_other_methods(shop, path):
    for method in METHODS:
        takes = is_for_intake(method.upper(), path.format(key="a"))
        if (path, method) in OPERATIONS:
            assert takes
        elif (path, method) in {("/orders", "get"), ("/orders", "head")}:
            assert not takes  # the pages have the list of orders
        else:
            answer = shop.client.request(method, path.format(key="a"), headers={"authorization": "Bearer storefront-token"})
            assert (takes, answer.status_code) == (True, 405)
            assert answer.headers["allow"] == next(other.upper() for other_path, other in OPERATIONS if other_path == path)


def test_refusals_of_the_interface_itself_have_documented_statuses():
    docs.all_modules()
    own = [error for error in docs.declared_errors() if error.__module__.startswith("entrepot.surfaces.api.")]
    documented = {int(status) for (path, _), one in OPERATIONS.items() for status in one["responses"] if path == "/orders"}
    assert issubclass(own[0], EntrepotError)
    assert sorted({error.status for error in own} - documented) == [405]
