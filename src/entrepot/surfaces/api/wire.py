"""HTTP as the order API speaks it: bodies within limits, messages checked by type, refusals as problem documents (RFC 9457)."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final, TypeVar

import msgspec

from entrepot.base.errors import EntrepotError, RefusedInputError, UnavailableError, UnknownReferenceError
from entrepot.surfaces.api.messages import Problem

Event = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
"""ASGI, as far as a request needs it."""
Message = TypeVar("Message")

BODY_LIMIT: Final = 256 * 1024
BODY_PATIENCE_S: Final = 10
KEY_LIMIT: Final = 64
_JSON: Final = b"application/json"
_PROBLEM: Final = b"application/problem+json"
_ENCODER: Final = msgspec.json.Encoder()


class UnknownAddressError(UnknownReferenceError):
    """There is no such address or method here."""


class RequestKeyError(RefusedInputError):
    """Each order needs an idempotency key of its own: 1 to 64 printable ASCII characters."""


class MalformedBodyError(RefusedInputError):
    """The body is no valid message; the field says where."""


class BodyTooLargeError(RefusedInputError):
    """The body is larger than any order can be."""

    status = 413


class BodyTooSlowError(RefusedInputError):
    """The body did not arrive in time; send it again without pauses."""

    status = 408


async def read_body(receive: Receive) -> bytes:
    """Return the whole body; raise when it is too large or comes too slowly."""
    try:
        async with asyncio.timeout(BODY_PATIENCE_S):
            body = await _read_until(receive, BODY_LIMIT)
    except TimeoutError:
        raise BodyTooSlowError("body", f"not whole after {BODY_PATIENCE_S} s", "Send the whole body at once.") from None
    if len(body) > BODY_LIMIT:
        raise BodyTooLargeError("body", f"over {BODY_LIMIT} bytes", "Split the order; one holds 200 lines at most.")
    return body


async def _read_until(receive: Receive, limit: int) -> bytes:
    """Return the body, or as much of it as is over the limit."""
    event = await receive()
    body: bytes = event.get("body", b"")
    while event.get("more_body", False) and len(body) <= limit:
        event = await receive()
        body += event.get("body", b"")
    return body


def decode(decoder: msgspec.json.Decoder[Message], body: bytes) -> Message:
    """Return a message of its type; raise with the field that is wrong."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        said, _, place = str(error).partition(" - at `")
        raise MalformedBodyError(place.rstrip("`").removeprefix("$.") or "body", None, f"{said}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedBodyError("body", None, f"Send one JSON object in UTF-8 ({error}).") from None


def request_key(text: str) -> str:
    """Return an idempotency key; raise when it is missing, too long or not printable."""
    if not 1 <= len(text) <= KEY_LIMIT or not text.isascii() or not text.isprintable():
        raise RequestKeyError(
            "Idempotency-Key", text[:KEY_LIMIT] or None, "Send a fresh random key, such as a UUID, and the same one when you retry."
        )
    return text


def read_uuid(field: str, text: str) -> uuid.UUID:
    """Return an id; raise when the text is none."""
    try:
        return uuid.UUID(text)
    except ValueError:
        raise MalformedBodyError(field, text[:KEY_LIMIT], "Give a UUID.") from None


async def send_json(send: Send, status: int, message: msgspec.Struct) -> None:
    """Answer with a message."""
    await _send(send, status, _JSON, _ENCODER.encode(message))


async def refuse(send: Send, error: EntrepotError) -> None:
    """Answer with a problem document; who may try again soon is told when."""
    value = "" if error.value is None else str(error.value)
    problem = Problem(f"urn:entrepot:error:{error.code}", error.code, error.title, error.status, error.field, value, error.remedy)
    headers = [(b"retry-after", b"1")] if isinstance(error, UnavailableError) else []
    await _send(send, error.status, _PROBLEM, _ENCODER.encode(problem), headers)


async def fail(send: Send) -> None:
    """Answer a failure of ours without telling more than that."""
    problem = Problem("urn:entrepot:error:internal_error", "internal_error", "The request failed; the operator finds it in the log.", 500)
    await _send(send, 500, _PROBLEM, _ENCODER.encode(problem))


def headers_of(scope: Scope) -> Mapping[bytes, bytes]:
    """Return the headers by lower-case name; of one that is sent twice, the last."""
    return dict(scope["headers"])


async def _send(send: Send, status: int, content_type: bytes, body: bytes, more: list[tuple[bytes, bytes]] | None = None) -> None:
    headers = [(b"content-type", content_type), (b"content-length", b"%d" % len(body)), *(more or [])]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
