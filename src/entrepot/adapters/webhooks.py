"""Webhooks: how a notice is signed, how its receiver verifies it, and how it is posted to an address that the operator allows."""

import asyncio
import hashlib
import hmac
import re
import socket
import ssl
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from types import TracebackType
from typing import Final, Self, cast
from urllib.parse import urlsplit

import httpcore
from msgspec import Struct

from entrepot.base.errors import RefusedInputError

SIGNATURE_HEADER: Final = "Entrepot-Signature"
EVENT_HEADER: Final = "Entrepot-Event"
REPLAY_HEADER: Final = "Entrepot-Replay"
TOLERANCE: Final = timedelta(minutes=5)
"""How far the time in a signature may be from the receiver's clock."""

_STEP_LIMIT_S: Final = 5.0
_WHOLE_LIMIT_S: Final = 10.0
_ANSWER_LIMIT_BYTES: Final = 65_536
_CONNECTIONS: Final = 512
_KEPT_CONNECTIONS: Final = 64
_KEPT_S: Final = 15.0
_ADDRESSES_TRIED: Final = 2
_NAT64: Final = IPv6Network("64:ff9b::/96")

IpAddress = IPv4Address | IPv6Address


class WebhookAddressError(RefusedInputError):
    """A webhook's address must be an http or https URL without user name, on a host that the operator allows; the merchant corrects it."""


class Reach(StrEnum):
    """Which addresses webhooks may be posted to: the public Internet, this machine too, or private networks too."""

    PUBLIC = "public"
    LOOPBACK = "loopback"
    ANY = "any"


def sign(secret: str, body: bytes, at: datetime) -> str:
    """Return the signature header of a body: its Unix time and the HMAC-SHA-256 over time, full stop and body."""
    seconds = str(int(at.timestamp()))
    return f"t={seconds},v1={_digest(secret, seconds, body)}"


def verify_signature(secret: str, header: str, body: bytes, now: datetime, tolerance: timedelta = TOLERANCE) -> bool:
    """Tell whether a header signs a body with a secret at a time within `tolerance` of `now`; any of several `v1` values may fit."""
    parts = [part.strip().partition("=") for part in header.split(",")]
    times = [value for name, _, value in parts if name == "t"]
    if len(times) != 1 or not re.fullmatch("[0-9]{1,12}", times[0]):
        return False
    if abs(int(now.timestamp()) - int(times[0])) > tolerance.total_seconds():
        return False
    expected = _digest(secret, times[0], body).encode()
    return any(hmac.compare_digest(expected, value.encode()) for name, _, value in parts if name == "v1")


def _digest(secret: str, seconds: str, body: bytes) -> str:
    """Return the HMAC-SHA-256 in hexadecimal."""
    return hmac.new(secret.encode(), f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()


# -- addresses -------------------------------------------------------------------------------------------------------


def require_webhook_url(url: str, reach: Reach) -> None:
    """Refuse an address that can never be posted to; names are looked up at each post, because they may change."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise WebhookAddressError("url", url, "Give a URL such as https://shop.example/notices.") from None
    if parts.scheme not in {"http", "https"} or not host or not url.isascii() or not url.isprintable() or " " in url:
        raise WebhookAddressError("url", url, "Give a URL such as https://shop.example/notices.")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise WebhookAddressError("url", f"{parts.scheme}://{host}", "Leave user name, password and fragment out; the signature proves who posts.")
    literal = _literal(host)
    if literal is not None and not is_allowed(literal, reach):
        raise WebhookAddressError("url", url, "Give a public address, or ask the operator to allow others by ENTREPOT_WEBHOOK_REACH.")


def is_allowed(address: IpAddress, reach: Reach) -> bool:
    """Tell whether webhooks may be posted to an address; an IPv4 address inside an IPv6 one counts as itself."""
    inner = _inner(address)
    if inner.is_multicast or inner.is_unspecified:
        return False
    return inner.is_global or (inner.is_loopback and reach is not Reach.PUBLIC) or reach is Reach.ANY


def _inner(address: IpAddress) -> IpAddress:
    """Return the IPv4 address that an IPv6 address stands for (RFC 4291, 3056, 6052), else the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _literal(host: str) -> IpAddress | None:
    """Return a host that is an address itself, else None."""
    try:
        return ip_address(host)
    except ValueError:
        return None


# -- posting ---------------------------------------------------------------------------------------------------------


class Post(Struct, frozen=True):
    """One request: where it goes, with which headers and body."""

    url: str
    headers: Mapping[str, str]
    body: bytes


class PostAnswer(Struct, frozen=True):
    """The receiver's status, or None and why there is none."""

    status: int | None
    failure: str | None

    @property
    def is_taken(self) -> bool:
        """Tell whether the receiver took it: any status from 200 to 299."""
        return self.failure is None


class _GuardedNetwork(httpcore.AsyncNetworkBackend):
    """Opens connections to allowed addresses only: the name is looked up here, and what was checked is what is connected to."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._network = cast("httpcore.AsyncNetworkBackend", httpcore.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Look a name up and connect to one of its allowed addresses."""
        failure: httpcore.ConnectError | httpcore.ConnectTimeout = httpcore.ConnectError("the name leads to no address that the operator allows")
        for address in (await self._addresses(host, port))[:_ADDRESSES_TRIED]:
            try:
                return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def _addresses(self, host: str, port: int) -> list[str]:
        """Return the allowed addresses of a host."""
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"the name cannot be looked up: {error}") from None
        addresses = dict.fromkeys(str(one[4][0]) for one in found)
        return [one for one in addresses if is_allowed(ip_address(one.partition("%")[0]), self._reach)]

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's signature
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Refuse: no webhook lives behind a file."""
        raise httpcore.ConnectError(f"no webhook lives behind a file: {path} {timeout} {socket_options}")

    async def sleep(self, seconds: float) -> None:
        """Wait, as the library asks between its own attempts."""
        await self._network.sleep(seconds)


class Poster:
    """Posts to many receivers at once; follows no redirect, uses no proxy, waits five seconds for each step and ten for the whole."""

    def __init__(self, reach: Reach, limit_s: float = _WHOLE_LIMIT_S) -> None:
        self._limit_s = limit_s
        step_s = min(_STEP_LIMIT_S, limit_s)
        self._extensions = {"timeout": {"connect": step_s, "read": step_s, "write": step_s, "pool": limit_s}}
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl.create_default_context(),
            max_connections=_CONNECTIONS,
            max_keepalive_connections=_KEPT_CONNECTIONS,
            keepalive_expiry=_KEPT_S,
            network_backend=_GuardedNetwork(reach),
        )

    async def __aenter__(self) -> Self:
        """Begin to post."""
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close all connections."""
        await self._pool.aclose()

    async def post(self, post: Post) -> PostAnswer:
        """Post once and say how it went; what the receiver does wrong is an answer and never an error."""
        try:
            async with asyncio.timeout(self._limit_s):
                status = await self._exchange(post)
        except TimeoutError:
            return PostAnswer(None, f"no answer within {self._limit_s:g} seconds")
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol, OSError, ValueError) as error:
            return PostAnswer(None, f"{type(error).__name__}: {error}"[:200])
        return PostAnswer(status, None if 200 <= status < 300 else f"answered {status}")

    async def _exchange(self, post: Post) -> int:
        """Send the request and return the status; of the answer's body no more is read than keeps the connection usable."""
        headers = [("Content-Type", "application/json"), ("User-Agent", "Entrepot"), *post.headers.items()]
        async with self._pool.stream("POST", post.url, headers=headers, content=post.body, extensions=self._extensions) as answer:
            read = 0
            async for part in answer.aiter_stream():
                read += len(part)
                if read > _ANSWER_LIMIT_BYTES:
                    break
            return answer.status
