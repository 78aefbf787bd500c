"""HTTP as the order API speaks it: bodies within limits, messages checked by type, refusals as problem documents (RFC 9457)."""

import asyncio
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final, TypeVar

import msgspec

from entrepot.base.errors import EntrepotError, ForbiddenError, RefusedInputError, UnavailableError
from entrepot.surfaces.api.messages import KEY_PATTERN, LINES_PER_ORDER, Problem

Event = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
"""ASGI, as far as a request needs it."""
Message = TypeVar("Message")

BODY_LIMIT: Final = 256 * 1024
BODY_PATIENCE_S: Final = 10
_FIELD_LIMIT: Final = 100
_VALUE_LIMIT: Final = 64
_JSON: Final = b"application/json"
_PROBLEM: Final = b"application/problem+json"
_ENCODER: Final = msgspec.json.Encoder()
_KEY: Final = re.compile(KEY_PATTERN)
_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ITEMS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_SAID: Final = re.compile(r"(?P<what>.*?)(?: - at `\$(?P<place>[.\w\[\]]*)`)?", re.DOTALL)
_STEP: Final = re.compile(r"\.(\w+)|\[(\d+)\]")
_NAMED: Final = re.compile(r"(?:missing required|unknown) field `(.*)`", re.DOTALL)
_WORDS: Final = {r"(?!\\n)": "", "`float`": "`integer`", "Invalid enum value": "/openapi.json lists what may be there, it has no"}
"""What a decoder says of patterns, quantities and codes, and how it is said to programs."""
_WIRE_NAMES: Final = {
    "marketplace_code": "marketplace",
    "to_country_code": "country",
    "method_code": "payment_method",
    "has_accepted_risk": "accepts_risk",
    "request_key": "Idempotency-Key",
}
"""What the rules' fields are called in messages."""


class MethodNotAllowedError(RefusedInputError):
    """This address does not answer this method."""

    status = 405

    def __init__(self, method: str, allowed: str) -> None:
        super().__init__("method", method, f"Use {allowed}.")
        self.allowed = allowed


class RequestKeyError(RefusedInputError):
    """Each order needs an idempotency key of its own: 1 to 64 printable ASCII characters."""


class MalformedBodyError(RefusedInputError):
    """The body is no valid message; the field says where."""


class MalformedIdError(RefusedInputError):
    """The id is no UUID."""


class BodyTooLargeError(RefusedInputError):
    """The body is larger than any order can be."""

    status = 413


class BodyBrokenOffError(RefusedInputError):
    """The body ended before it was whole; send it again."""

    status = 400


class UnsupportedContentTypeError(RefusedInputError):
    """The body is no JSON by its content type; messages are."""

    status = 415


class BodyTooSlowError(RefusedInputError):
    """The body did not arrive in time; send it again without pauses."""

    status = 408


def in_time(receive: Receive) -> Receive:
    """Return how to receive a body that has to be whole soon; what comes after it, such as the client's going, may take as long as it likes."""
    until_s = asyncio.get_running_loop().time() + BODY_PATIENCE_S
    is_whole = False

    async def next_event() -> Event:
        nonlocal is_whole
        if is_whole:
            return await receive()
        try:
            async with asyncio.timeout_at(until_s):
                event = await receive()
        except TimeoutError:
            raise BodyTooSlowError("body", f"not whole after {BODY_PATIENCE_S} s", "Send the whole body at once.") from None
        is_whole = not event.get("more_body", False)
        return event

    return next_event


async def read_body(headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
    """Return the whole body; raise when it is no JSON by its content type, too large, broken off or too slow."""
    content_type = headers.get(b"content-type", _JSON)
    if content_type.partition(b";")[0].strip().lower() != _JSON:
        raise UnsupportedContentTypeError("Content-Type", content_type[:_VALUE_LIMIT].decode("latin-1"), "Send `Content-Type: application/json`.")
    announced = headers.get(b"content-length", b"")
    if announced.isdigit() and int(announced[:20]) > BODY_LIMIT:
        raise _too_large()
    return await _read_whole(in_time(receive))


async def _read_whole(receive: Receive) -> bytes:
    """Return the body; raise as soon as it is over the limit."""
    body = b""
    is_whole = False
    while not is_whole:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise BodyBrokenOffError("body", f"broken off after {len(body)} bytes", "Send the whole body under the same key.")
        body += event.get("body", b"")
        if len(body) > BODY_LIMIT:
            raise _too_large()
        is_whole = not event.get("more_body", False)
    return body


def _too_large() -> BodyTooLargeError:
    return BodyTooLargeError("body", f"over {BODY_LIMIT} bytes", f"Split the order; one holds {LINES_PER_ORDER} lines at most.")


def decode(decoder: msgspec.json.Decoder[Message], body: bytes) -> Message:
    """Return a message of its type; raise with the field that is wrong."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _malformed(str(error), body) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedBodyError("body", None, f"Send one JSON object in UTF-8 ({error}).") from None


def _malformed(said: str, body: bytes) -> MalformedBodyError:
    """Return what is wrong with a message: the field as it is written in the message, its value as JSON, and what was expected."""
    found = _SAID.fullmatch(said)
    what, place = (found["what"], found["place"] or "") if found is not None else (said, "")
    steps: list[str | int] = [name or int(index) for name, index in _STEP.findall(place)]
    if named := _NAMED.search(what):
        steps.append(named[1])
    field = "".join(f".{step}" if isinstance(step, str) else f"[{step}]" for step in steps).removeprefix(".")
    expected = what[: 2 * _FIELD_LIMIT]
    for ours, theirs in _WORDS.items():
        expected = expected.replace(ours, theirs)
    return MalformedBodyError(field[:_FIELD_LIMIT] or "body", _json_at(body, steps), f"{expected}.")


def _json_at(body: bytes, steps: list[str | int]) -> str | None:
    """Return the beginning of the JSON at a place in a body, or None where nothing is."""
    raw: bytes | msgspec.Raw = body
    try:
        for step in steps:
            raw = _MEMBERS.decode(raw)[step] if isinstance(step, str) else _ITEMS.decode(raw)[step]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, LookupError):
        return None
    return bytes(raw)[:_VALUE_LIMIT].decode(errors="replace")


def request_key(text: str) -> str:
    """Return an idempotency key; raise when it is missing, too long, not printable, or begins or ends with a space."""
    if _KEY.match(text) is None:
        raise RequestKeyError(
            "Idempotency-Key", text[:_VALUE_LIMIT] or None, "Send a fresh random key, such as a UUID, and the same one when you retry."
        )
    return text


def read_uuid(field: str, text: str) -> uuid.UUID:
    """Return an id; raise when the text is none."""
    try:
        return uuid.UUID(text)
    except ValueError:
        raise MalformedIdError(field, text[:_VALUE_LIMIT], "Give a UUID.") from None


async def send_json(send: Send, status: int, message: msgspec.Struct) -> None:
    """Answer with a message."""
    await _send(send, status, _JSON, _ENCODER.encode(message))


async def refuse(send: Send, error: EntrepotError) -> None:
    """Answer with a problem document; who may try again soon is told when, who is unknown how to say who they are, who errs about the method which one to use."""
    headers: list[tuple[bytes, bytes]] = []
    match error:
        case UnavailableError():
            headers = [(b"retry-after", b"1")]
        case MethodNotAllowedError():
            headers = [(b"allow", error.allowed.encode())]
        case ForbiddenError(status=401):
            headers = [(b"www-authenticate", b"Bearer")]
        case _:
            pass
    problem = problem_of(error, _WIRE_NAMES.get(error.field, error.field))
    await _send(send, error.status, _PROBLEM, _ENCODER.encode(problem), headers)


def problem_of(error: EntrepotError, field: str) -> Problem:
    """Return an error as a problem document about a field."""
    value = "" if error.value is None else str(error.value)
    detail = f"{field} is {value}: {error.remedy}" if value else f"{field}: {error.remedy}"
    return Problem(f"urn:entrepot:error:{error.code}", error.code, error.title, error.status, detail, field, value, error.remedy)


async def fail(send: Send) -> None:
    """Answer a failure of ours without telling more than that."""
    title, remedy = "The request failed; the operator finds it in the log.", "Send the same request with the same key again."
    problem = Problem("urn:entrepot:error:internal_error", "internal_error", title, 500, remedy, remedy=remedy)
    await _send(send, 500, _PROBLEM, _ENCODER.encode(problem))


def headers_of(scope: Scope) -> Mapping[bytes, bytes]:
    """Return the headers by lower-case name; of one that is sent twice, the last."""
    return dict(scope["headers"])


async def _send(send: Send, status: int, content_type: bytes, body: bytes, more: list[tuple[bytes, bytes]] | None = None) -> None:
    headers = [(b"content-type", content_type), (b"content-length", b"%d" % len(body)), *(more or [])]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
