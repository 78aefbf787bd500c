"""The public API as an OpenAPI 3.1 document: messages from their types, every status that occurs, an example of each."""

import json
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Final

import msgspec
from litestar import MediaType, get

from entrepot.operations.registry import REGISTRY
from entrepot.surfaces.api.messages import Health, Key, OrderAnswer, OrderMessage, Problem, QuoteAnswer, QuoteMessage
from entrepot.surfaces.web.access import EVERYBODY, open_to

Json = dict[str, object]

_SCHEMAS: Final = "#/components/schemas/{name}"
_PROBLEMS: Final = {
    "400": "The body broke off before it was whole.",
    "401": "There is no token, or it is wrong, ended or expired.",
    "403": "The token may not order, or not for this buyer.",
    "404": "Something that is named does not exist: store, payment method, buyer, identity, quote or key.",
    "408": "The body did not arrive in time.",
    "409": "It cannot be had as asked: offer not live, not enough units, quote expired or changed, key used for another request.",
    "413": "The body is too large.",
    "415": "The body is no JSON by its content type.",
    "422": "The body, the key or an id is malformed, or something is missing that the goods need.",
    "500": "The request failed on our side; the operator finds it in the log.",
    "503": "Too much waits, or the database does not answer: send the same request with the same key again.",
}
_WITH_BODY: Final = tuple(_PROBLEMS)
_WITHOUT_BODY: Final = ("401", "403", "404", "422", "500", "503")
_HEADERS: Final[Mapping[str, Json]] = {
    "401": {"WWW-Authenticate": {"required": True, "schema": {"const": "Bearer"}}},
    "503": {"Retry-After": {"required": True, "description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}},
}
_MERCHANT: Final = "0d3bbdfe-14f8-8659-90fd-ad3e400f09e1"
_OFFER: Final = "4f2c9a51-7f0e-8b1d-9c43-6a2d1e5b7c80"
_BUYER: Final = "57ee125f-eab0-86eb-845a-0f86a93ecb18"
_QUOTE_EXAMPLE: Final[Json] = {
    "marketplace": "GB",
    "country": "GB",
    "postcode": "LS1",
    "buyer_id": _BUYER,
    "lines": [{"merchant_id": _MERCHANT, "offer_id": _OFFER, "quantity": 1}],
}
_ORDER_EXAMPLE: Final[Json] = {**_QUOTE_EXAMPLE, "payment_method": "card_ok"}
_QUOTED_EXAMPLE: Final[Json] = {
    "quote_id": "8e1f0b7a-3c55-8d0f-a1b2-90c7d4e6f813",
    "valid_until": "2026-09-11T15:15:00+00:00",
    "currency": "GBP",
    "total_minor": 999,
    "lines": [
        {
            "merchant_id": _MERCHANT,
            "offer_id": _OFFER,
            "quantity": 1,
            "model": REGISTRY.codes[0],
            "unit_price_minor": 999,
            "goods_minor": 999,
            "freight_minor": 0,
            "tax_minor": 0,
            "duty_minor": 0,
            "charged_minor": 999,
            "parcels": [
                {
                    "place": "GB-LTN1",
                    "service": "DEMO-GB-STD",
                    "quantity": 1,
                    "ship_by": "2026-09-12T16:00:00+00:00",
                    "from": "2026-09-14",
                    "to": "2026-09-16",
                }
            ],
        }
    ],
}
_PLACED_EXAMPLE: Final[Json] = {
    "checkout_id": "b4f6a1c2-9d3e-8f70-8c15-2e7d60a9b3f4",
    "state": "awaiting_payment",
    "currency": "GBP",
    "total_minor": 999,
    "expires_at": "2026-09-11T15:30:00+00:00",
    "orders": [{"merchant_id": _MERCHANT, "order_id": "019937c1-2f40-8a6b-b0d1-5c9e7f1a2b3c"}],
}
_PROBLEM_EXAMPLE: Final[Json] = {
    "type": "urn:entrepot:error:malformed_body",
    "code": "malformed_body",
    "title": "The body is no valid message; the field says where.",
    "status": 422,
    "detail": "lines[0].quantity is 0: Expected `int` >= 1.",
    "field": "lines[0].quantity",
    "value": "0",
    "remedy": "Expected `int` >= 1.",
}


def document() -> Json:
    """Return the document."""
    _, schemas = msgspec.json.schema_components((QuoteMessage, OrderMessage, QuoteAnswer, OrderAnswer, Problem, Health), ref_template=_SCHEMAS)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Entrepot: quotes and orders for programs",
            "version": version("entrepot"),
            "description": "Amounts are whole numbers in minor units of their currency. Every refusal is a problem document (RFC 9457) that names field, value and remedy.",
        },
        "security": [{"token": []}],
        "paths": {
            "/quotes": {"post": _ask_quote()},
            "/orders": {"post": _place_order()},
            "/requests/{key}": {"get": _find_answer()},
            "/health": {"get": _health()},
        },
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "`entrepot token LOGIN` issues one."}},
            "responses": {f"Problem{status}": _problem(status) for status in _PROBLEMS},
            "schemas": schemas,
        },
    }


def document_text() -> str:
    """Return the document as it is served and kept with the documentation."""
    return json.dumps(document(), indent=2) + "\n"


def _ask_quote() -> Json:
    return {
        "operationId": "ask_quote",
        "summary": "What lines cost to the door and when their parcels arrive; nothing is held",
        "requestBody": _body(QuoteMessage, _QUOTE_EXAMPLE),
        "responses": {"200": _answer("The quote, held for 15 minutes.", QuoteAnswer, _QUOTED_EXAMPLE), **_problems(_WITH_BODY)},
    }


def _place_order() -> Json:
    asked_later = {"operationId": "find_answer", "parameters": {"key": "$request.header.Idempotency-Key", "buyer_id": "$request.body#/buyer_id"}}
    links = {"links": {"answer": asked_later}}
    placed = _answer("Placed: units, quota and price are held.", OrderAnswer, _PLACED_EXAMPLE)
    replayed = _answer("The key was used before for the same order; the answer of then.", OrderAnswer, _PLACED_EXAMPLE)
    return {
        "operationId": "place_order",
        "summary": "Place an order, all or nothing",
        "parameters": [_parameter("header", "Idempotency-Key", Key, "One for each order; the same when it is sent again.")],
        "requestBody": _body(OrderMessage, _ORDER_EXAMPLE),
        "responses": {"200": replayed | links, "201": placed | links, **_problems(_WITH_BODY)},
    }


def _find_answer() -> Json:
    buyer: Json = {"in": "query", "name": "buyer_id", "description": "The buyer, from a storefront.", "schema": {"type": "string", "format": "uuid"}}
    return {
        "operationId": "find_answer",
        "summary": "The answer that was given under a key",
        "parameters": [_parameter("path", "key", Key, "The order's Idempotency-Key."), buyer],
        "responses": {"200": _answer("The answer of then.", OrderAnswer, _PLACED_EXAMPLE), **_problems(_WITHOUT_BODY)},
    }


def _health() -> Json:
    return {
        "operationId": "ask_health",
        "summary": "Whether this process and its database answer",
        "security": [],
        "responses": {
            "200": _answer("Both answer.", Health, {"status": "ok", "database": "ok"}),
            "503": _answer("The database does not answer.", Health, {"status": "unavailable", "database": "unreachable"}),
        },
    }


def _parameter(where: str, name: str, kind: object, meaning: str) -> Json:
    return {"in": where, "name": name, "required": True, "description": meaning, "schema": msgspec.json.schema(kind)}


def _body(message: type[msgspec.Struct], example: Json) -> Json:
    return {"required": True, "content": {"application/json": {"schema": _named(message), "example": example}}}


def _answer(meaning: str, message: type[msgspec.Struct], example: Json) -> Json:
    return {"description": meaning, "content": {"application/json": {"schema": _named(message), "example": example}}}


def _problems(statuses: Iterable[str]) -> Json:
    return {status: {"$ref": f"#/components/responses/Problem{status}"} for status in statuses}


def _problem(status: str) -> Json:
    content = {"application/problem+json": {"schema": _named(Problem), **({"example": _PROBLEM_EXAMPLE} if status == "422" else {})}}
    return {"description": _PROBLEMS[status], **({"headers": _HEADERS[status]} if status in _HEADERS else {}), "content": content}


def _named(message: type[msgspec.Struct]) -> Json:
    return {"$ref": _SCHEMAS.format(name=message.__name__)}


_TEXT: Final = document_text()


@get("/openapi.json", opt=open_to(EVERYBODY), media_type=MediaType.JSON, summary="The public API's description")
async def show_document() -> str:
    """Answer with the OpenAPI document."""
    return _TEXT
