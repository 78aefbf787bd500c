"""Quotes and orders for programs: a small ASGI handler that gathers concurrent requests into batches and answers each on its own.

A batch is one transaction; its orders are decided one by one and committed together. A request that waits too long behind others is refused
with 503 before memory grows; whoever lost an answer sends the same key again, or asks for it.
"""

import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final
from urllib.parse import parse_qs

import msgspec
import structlog
from msgspec import Struct

from entrepot.adapters.payment_provider import payment_method
from entrepot.base.actor import Actor, ActorKind
from entrepot.base.batching import Batcher, BatchLimits
from entrepot.base.errors import EntrepotError, UnknownReferenceError
from entrepot.base.idempotency import read_answer
from entrepot.base.ids import RandomIds, derived_id
from entrepot.base.sql import Conn, together
from entrepot.base.time import RealClock, at_ms
from entrepot.flows.order_to_cash import PLACED_AGAIN, PlaceAnswer, place_orders, quote_checkouts, stored_answer
from entrepot.flows.quotes import keep_quotes
from entrepot.operations.model import Channel
from entrepot.orders.model import LineAsk, OrderRequest, PaymentState
from entrepot.orders.quotes import Quote
from entrepot.parties.accounts import StaffMember
from entrepot.parties.buyers import find_buyers, find_identities
from entrepot.parties.people import UnknownBuyerError
from entrepot.surfaces.api.messages import OrderAnswer, OrderMessage, PlacedOrder, QuoteAnswer, QuotedLine, QuoteMessage
from entrepot.surfaces.api.tokens import Tokens, actor_of, buyer_of
from entrepot.surfaces.api.wire import (
    MethodNotAllowedError,
    Receive,
    Scope,
    Send,
    decode,
    fail,
    headers_of,
    read_body,
    read_uuid,
    refuse,
    request_key,
    send_json,
)
from entrepot.surfaces.web.house import House, business_now
from entrepot.surfaces.web.quotes import postcode_prefix

Told = PlaceAnswer | Quote | EntrepotError

PROGRAM: Final = Actor(ActorKind.PROGRAM, "order-api", "storefront")
_KEYS: Final = "/requests/"
_ORDERS: Final = msgspec.json.Decoder(OrderMessage)
_QUOTES: Final = msgspec.json.Decoder(QuoteMessage)


class UnknownIdentityError(UnknownReferenceError):
    """The buyer has no verified identity with this id."""


class UnknownKeyError(UnknownReferenceError):
    """No order was placed under this key; it is free to be used."""


class Asked(Struct, frozen=True):
    """A request that may be answered: who asks, for which buyer, under which key, for what."""

    member: StaffMember
    person_id: uuid.UUID
    key: str
    message: QuoteMessage | OrderMessage


def is_for_intake(method: str, path: str) -> bool:
    """Tell whether a request is for this handler; to read the list of orders is for the pages."""
    return path == "/quotes" or path.startswith(_KEYS) or (path == "/orders" and method not in {"GET", "HEAD"})


class Intake:
    """The handler of `POST /quotes`, `POST /orders` and `GET /requests/{key}`."""

    def __init__(self, house: House, limits: BatchLimits, observe: Callable[[int], None]) -> None:
        self._orders: Batcher[Asked, Told] = Batcher(self._place, _lines_of, limits, observe)
        self._quotes: Batcher[Asked, Told] = Batcher(self._quote, _lines_of, limits, lambda _size: None)
        self._house = house
        self._tokens = Tokens(house)
        self._ids = RandomIds()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            status, message = await self._answer(scope, receive)
            await send_json(send, status, message)
        except EntrepotError as error:
            await refuse(send, error)
        except Exception as error:  # noqa: BLE001 -- the client gets a problem document, the operator the whole story
            structlog.get_logger(__name__).error("intake_failed", path=scope["path"], exc_info=error)
            await fail(send)

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[int, msgspec.Struct]:
        """Return status and message; every refusal is raised."""
        headers = headers_of(scope)
        path, method = scope["path"], scope["method"]
        allowed = "GET" if path.startswith(_KEYS) else "POST"
        if method != allowed:
            raise MethodNotAllowedError(method, allowed)
        member = await self._tokens.member(headers)
        if path == "/orders":
            key = request_key(headers.get(b"idempotency-key", b"").decode("latin-1"))
            order = decode(_ORDERS, await read_body(headers, receive))
            payment_method(order.payment_method)
            return _order_answer(await self._orders.submit(Asked(member, buyer_of(member, order.buyer_id), key, order)))
        if path == "/quotes":
            message = decode(_QUOTES, await read_body(headers, receive))
            key = self._ids.new(at_ms(RealClock().now())).hex
            return 200, _quote_answer(await self._quotes.submit(Asked(member, buyer_of(member, message.buyer_id), key, message)))
        return 200, await self._find(scope, member)

    async def _find(self, scope: Scope, member: StaffMember) -> msgspec.Struct:
        """Return the answer that was given under a key."""
        key = request_key(scope["path"].removeprefix(_KEYS))
        named = parse_qs(scope["query_string"].decode("latin-1")).get("buyer_id", [])
        person_id = buyer_of(member, read_uuid("buyer_id", named[0]) if named else None)
        async with self._house.database.reading() as conn:
            stored = await read_answer(conn, person_id, key)
        if stored is None:
            raise UnknownKeyError("key", key, "Send the order again under the same key.")
        return _order_answer(stored_answer(stored))[1]

    async def _place(self, batch: Sequence[Asked]) -> list[Told]:
        """Place a batch of orders; those whose units went to somebody faster are placed again with what lies elsewhere, a few times."""
        told = await self._place_once(batch)
        for _ in range(PLACED_AGAIN):
            outrun = [number for number, one in enumerate(told) if isinstance(one, PlaceAnswer) and one.is_outrun]
            if not outrun:
                break
            for number, one in zip(outrun, await self._place_once([batch[number] for number in outrun]), strict=True):
                told[number] = one
        return [_refusal_or_answer(one) if isinstance(one, PlaceAnswer) else one for one in told]

    async def _place_once(self, batch: Sequence[Asked]) -> list[Told]:
        """Place a batch of orders in one transaction."""

        async def work(conn: Conn) -> list[Told]:
            now, buyers = await together(conn, business_now(conn), find_buyers(conn, [asked.person_id for asked in batch]))
            outside = await self._house.outside.current(conn, now)
            requests = await _requests(conn, batch, buyers, now)
            fresh = [one for one in requests if isinstance(one, OrderRequest)]
            placed = iter(await place_orders(conn, outside, fresh, PROGRAM) if fresh else [])
            return [next(placed) if isinstance(one, OrderRequest) else one for one in requests]

        return await self._house.database.writing(work)

    async def _quote(self, batch: Sequence[Asked]) -> list[Told]:
        """Quote a batch of checkouts in one transaction."""

        async def work(conn: Conn) -> list[Told]:
            now, buyers = await together(conn, business_now(conn), find_buyers(conn, [asked.person_id for asked in batch]))
            outside = await self._house.outside.current(conn, now)
            requests = await _requests(conn, batch, buyers, now)
            fresh = [one for one in requests if isinstance(one, OrderRequest)]
            quoted = iter(await keep_quotes(conn, await quote_checkouts(conn, outside, fresh)) if fresh else [])
            return [next(quoted) if isinstance(one, OrderRequest) else one for one in requests]

        return await self._house.database.writing(work)


def _lines_of(asked: Asked) -> int:
    """Return how much of a batch a request takes."""
    return len(asked.message.lines)


async def _requests(conn: Conn, batch: Sequence[Asked], buyers: frozenset[uuid.UUID], now: datetime) -> list[OrderRequest | EntrepotError]:
    """Return what is asked for as the flows take it; a buyer or an identity that does not exist is refused."""
    named = [asked.person_id for asked in batch if asked.message.identity_id is not None]
    identities = {(one.person_id, one.quota_person_id) for one in await find_identities(conn, named)} if named else set[tuple[uuid.UUID, uuid.UUID]]()
    return [_request(asked, buyers, identities, now) for asked in batch]


def _request(asked: Asked, buyers: frozenset[uuid.UUID], identities: set[tuple[uuid.UUID, uuid.UUID]], now: datetime) -> OrderRequest | EntrepotError:
    message = asked.message
    if asked.person_id not in buyers:
        return UnknownBuyerError("buyer_id", str(asked.person_id), "Name a registered buyer.")
    if message.identity_id is not None and (asked.person_id, message.identity_id) not in identities:
        return UnknownIdentityError("identity_id", str(message.identity_id), "Name an identity that this buyer has verified.")
    order = message if isinstance(message, OrderMessage) else None
    return OrderRequest(
        asked.person_id,
        derived_id("checkout", asked.person_id, asked.key),
        asked.key,
        message.marketplace,
        str(Channel.STORE),
        message.country,
        postcode_prefix(message.postcode),
        order.payment_method if order is not None else "",
        tuple([LineAsk(line.merchant_id, line.offer_id, int(line.quantity)) for line in message.lines]),
        now,
        identity_id=message.identity_id,
        has_accepted_risk=message.accepts_risk,
        quote_id=order.quote_id if order is not None else None,
        speed_code=str(message.speed),
        asked_by=actor_of(asked.member, asked.person_id),
    )


def _refusal_or_answer(answer: PlaceAnswer) -> Told:
    """Return why an order was refused, else its answer."""
    return answer if answer.refusal is None else answer.refusal


def _order_answer(told: Told) -> tuple[int, OrderAnswer]:
    """Return what an order's client gets; raise what was refused."""
    if isinstance(told, EntrepotError):
        raise told
    if isinstance(told, Quote):
        raise TypeError(told)
    return (
        201 if told.state == "placed" else 200,
        OrderAnswer(
            told.checkout_id,
            "awaiting_payment" if told.payment_state == PaymentState.PENDING else "paid",
            told.currency,
            told.total_minor,
            told.hold_expires_at.isoformat() if told.hold_expires_at is not None else None,
            [PlacedOrder(merchant_id, order_id) for merchant_id, order_id in told.orders],
        ),
    )


def _quote_answer(told: Told) -> QuoteAnswer:
    """Return what a quote's client gets; raise what was refused."""
    if isinstance(told, EntrepotError):
        raise told
    if isinstance(told, PlaceAnswer):
        raise TypeError(told)
    lines = msgspec.convert(told.plan["lines"], list[QuotedLine])
    return QuoteAnswer(told.quote_id, told.valid_until.isoformat(), told.currency, told.total_minor, lines)
