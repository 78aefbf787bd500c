"""Buyer, merchant and platform talk about an order; whoever the plan names answers, and may give money in the thread at its own cost."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from entrepot.aftersales.model import Amounts, AuthorRole, CauseKind, Message, RefundLine, ThreadKey
from entrepot.aftersales.model import Outcome as Posted
from entrepot.aftersales.refunds import read_refund_ids
from entrepot.aftersales.threads import answer_due_at, open_threads, pick_waiting_threads, post_messages
from entrepot.base.actor import Actor
from entrepot.base.audit import Act, write_acts
from entrepot.base.ids import derived_id
from entrepot.base.money import major
from entrepot.base.quantity import require_positive
from entrepot.base.sql import Conn
from entrepot.flows.bill_services import ServiceContact, bill_contacts
from entrepot.flows.outside import Outside
from entrepot.flows.pay_back import Bearer, PaidBackOutcome, PayBack, pay_back, read_charges
from entrepot.flows.reference import Reference
from entrepot.operations.model import PLATFORM_ROLES, Channel, Role, Step
from entrepot.orders.model import Line, Order
from entrepot.orders.read import read_lines, read_orders

OrderKey = tuple[uuid.UUID, uuid.UUID]


class TalkOutcome(StrEnum):
    """What became of a message or gift; `not_yours`: the plan names somebody else to answer this customer."""

    DONE = "done"
    EXISTS = "exists"
    EXISTS_WITH_DIFFERENT_VALUES = "exists_with_different_values"
    NOT_YOURS = "not_yours"
    NOT_OURS = "not_ours"
    TOO_MUCH = "too_much"
    UNKNOWN = "unknown"


class Say(Struct, frozen=True):
    """What one party writes about an order; the key counts once in its thread."""

    merchant_id: uuid.UUID
    order_id: uuid.UUID
    topic_code: str
    author_role: AuthorRole
    text: str
    key: str

    @property
    def order_key(self) -> OrderKey:
        """Merchant and order."""
        return self.merchant_id, self.order_id


class Said(Struct, frozen=True):
    """The answer to a message: its ids, who is to answer the buyer, and until when if the buyer waits."""

    say: Say
    outcome: TalkOutcome
    thread_id: uuid.UUID | None = None
    message_id: uuid.UUID | None = None
    answered_by: AuthorRole | None = None
    answer_due_at: datetime | None = None


async def say(conn: Conn, outside: Outside, says: Sequence[Say], actor: Actor, now: datetime) -> list[Said]:
    """Post messages; a buyer's waits for an answer, and an answer of the platform to a waiting buyer is a contact that may cost a fee.

    Where the plan names the platform to answer, a merchant may only write if it may take that step over; and the other way round.
    """
    if not says:
        return []
    answerers = await read_answerers(conn, outside.reference, [one.order_key for one in says])
    heard = [one for one in says if one.order_key in answerers and one.author_role in {AuthorRole.BUYER, *answerers[one.order_key]}]
    keys = [ThreadKey(one.merchant_id, one.order_id, one.topic_code) for one in heard]
    threads = dict(zip([id(one) for one in heard], await open_threads(conn, keys, now, actor) if keys else [], strict=True))
    waiting = await pick_waiting_threads(conn, [one.merchant_id for one in heard], [threads[id(one)] for one in heard])
    messages = [_message(one, threads[id(one)], now) for one in heard]
    outcomes = dict(zip([id(one) for one in heard], await post_messages(conn, messages, actor) if messages else [], strict=True))
    contacts = [
        ServiceContact(message.merchant_id, message.message_id, one.order_id, now)
        for one, message in zip(heard, messages, strict=True)
        if one.author_role is AuthorRole.PLATFORM and outcomes[id(one)] is Posted.DONE and message.thread_id in waiting
    ]
    await bill_contacts(conn, outside, list({(one.merchant_id, one.order_id): one for one in reversed(contacts)}.values()))
    told = {id(one): message for one, message in zip(heard, messages, strict=True)}
    return [_said(one, told.get(id(one)), outcomes.get(id(one)), answerers.get(one.order_key)) for one in says]


def _message(one: Say, thread_id: uuid.UUID, now: datetime) -> Message:
    """Return a message of a thread; only a buyer's waits for an answer."""
    message_id = derived_id("message", thread_id, one.author_role, one.key)
    return Message(one.merchant_id, thread_id, message_id, one.author_role, one.text, now, one.author_role is AuthorRole.BUYER)


def _said(one: Say, message: Message | None, posted: Posted | None, answerers: tuple[AuthorRole, ...] | None) -> Said:
    """Return the answer to one message."""
    if answerers is None:
        return Said(one, TalkOutcome.UNKNOWN)
    if message is None:
        return Said(one, TalkOutcome.NOT_YOURS, answered_by=answerers[0])
    outcome = TalkOutcome.DONE if posted is Posted.DONE else TalkOutcome.EXISTS
    due_at = answer_due_at(message.at) if message.needs_answer and outcome is TalkOutcome.DONE else None
    return Said(one, outcome, message.thread_id, message.message_id, answerers[0], due_at)


async def read_answerers(conn: Conn, reference: Reference, keys: Sequence[OrderKey]) -> dict[OrderKey, tuple[AuthorRole, ...]]:
    """Return who may answer the customers of orders, the one that the plan names first."""
    wanted = sorted(set(keys))
    merchant_ids, order_ids = [key[0] for key in wanted], [key[1] for key in wanted]
    orders = {(one.merchant_id, one.order_id): one for one in await read_orders(conn, merchant_ids, order_ids)}
    first: dict[OrderKey, Line] = {}
    for line in await read_lines(conn, merchant_ids, order_ids):
        first.setdefault((line.merchant_id, line.order_id), line)
    return {key: _roles(reference, orders[key], line) for key, line in first.items()}


def _roles(reference: Reference, order: Order, line: Line) -> tuple[AuthorRole, ...]:
    """Return who answers the customer of an order by the plan of its first line."""
    plan = reference.registry.plan(line.model_code, line.plan_version)
    role = plan.doer(Step.ANSWER_CUSTOMER, channel=Channel(order.channel_code))
    if role is Role.MERCHANT:
        return (AuthorRole.MERCHANT,)
    if role in PLATFORM_ROLES and plan.merchant_may_take_over(Step.ANSWER_CUSTOMER):
        return (AuthorRole.PLATFORM, AuthorRole.MERCHANT)
    return (AuthorRole.PLATFORM,)


# -- goodwill --------------------------------------------------------------------------------------------------------


class Gift(Struct, frozen=True):
    """Money for a buyer without goods coming back, in minor units of the charged currency, at the cost of whoever grants it."""

    merchant_id: uuid.UUID
    order_id: uuid.UUID
    line_no: int
    amount_minor: int
    granted_by: AuthorRole
    topic_code: str
    text: str
    key: str

    @property
    def cause_id(self) -> uuid.UUID:
        """The id under which the gift is paid once."""
        return derived_id("goodwill", self.merchant_id, self.order_id, self.line_no, self.key)


class Given(Struct, frozen=True):
    """The answer to a gift: the refund that carries it."""

    gift: Gift
    outcome: TalkOutcome
    refund_id: uuid.UUID | None = None


_BEARERS: Mapping[AuthorRole, Bearer] = {AuthorRole.MERCHANT: Bearer.MERCHANT, AuthorRole.PLATFORM: Bearer.PLATFORM}
_OUTCOMES: Mapping[PaidBackOutcome, TalkOutcome] = {
    PaidBackOutcome.PAID: TalkOutcome.DONE,
    PaidBackOutcome.WAITING: TalkOutcome.DONE,
    PaidBackOutcome.EXISTS: TalkOutcome.EXISTS,
    PaidBackOutcome.EXISTS_WITH_DIFFERENT_VALUES: TalkOutcome.EXISTS_WITH_DIFFERENT_VALUES,
    PaidBackOutcome.NOT_OURS: TalkOutcome.NOT_OURS,
}


async def grant_goodwill(conn: Conn, outside: Outside, gifts: Sequence[Gift], actor: Actor, now: datetime) -> list[Given]:
    """Give buyers money in their threads, at most what is left of a line's price; the platform's gift costs the merchant nothing."""
    for gift in gifts:
        require_positive(gift.amount_minor, "amount_minor")
    if not gifts:
        return []
    charges = await read_charges(conn, outside.reference, [(gift.merchant_id, gift.order_id) for gift in gifts])
    known = await read_refund_ids(conn, CauseKind.GOODWILL, [gift.merchant_id for gift in gifts], [gift.cause_id for gift in gifts])
    answers: dict[int, TalkOutcome] = {}
    backs: list[tuple[Gift, PayBack]] = []
    for gift in gifts:
        key = (gift.merchant_id, gift.order_id, gift.line_no)
        charge = charges.get(key)
        if charge is None or gift.granted_by not in _BEARERS:
            answers[id(gift)] = TalkOutcome.UNKNOWN if charge is None else TalkOutcome.NOT_YOURS
            continue
        line = RefundLine(gift.line_no, 0, Amounts(goods_minor=gift.amount_minor))
        if (gift.merchant_id, gift.cause_id) not in known:
            if gift.amount_minor > charge.left.goods_minor - charge.left.discount_minor:
                answers[id(gift)] = TalkOutcome.TOO_MUCH
                continue
            charges[key] = charge.after(0, line.amounts)
        bearer = _BEARERS[gift.granted_by]
        backs.append((gift, PayBack(gift.merchant_id, gift.order_id, CauseKind.GOODWILL, gift.cause_id, (line,), bearer)))
    paid = dict(zip([id(gift) for gift, _ in backs], await pay_back(conn, outside, [back for _, back in backs], actor, now), strict=True))
    done = [gift for gift, _ in backs if _OUTCOMES[paid[id(gift)].outcome] is TalkOutcome.DONE]
    currency = {key[:2]: charge.order.currency for key, charge in charges.items()}
    await _write_gifts(conn, done, currency, actor, now)
    return [
        Given(gift, _OUTCOMES[paid[id(gift)].outcome], paid[id(gift)].refund_id) if id(gift) in paid else Given(gift, answers[id(gift)])
        for gift in gifts
    ]


async def _write_gifts(conn: Conn, gifts: Sequence[Gift], currency: Mapping[OrderKey, str], actor: Actor, now: datetime) -> None:
    """Say in the threads what was given, and who gave it."""
    if not gifts:
        return
    threads = await open_threads(conn, [ThreadKey(gift.merchant_id, gift.order_id, gift.topic_code) for gift in gifts], now, actor)
    messages = [
        Message(gift.merchant_id, thread_id, derived_id("message", thread_id, gift.cause_id), gift.granted_by, _text(gift, currency), now, False)
        for gift, thread_id in zip(gifts, threads, strict=True)
    ]
    await post_messages(conn, messages, actor)
    await write_acts(conn, [Act(gift.merchant_id, gift.cause_id, "grant_goodwill", now, actor, f"by {gift.granted_by}") for gift in gifts])


def _text(gift: Gift, currency: Mapping[OrderKey, str]) -> str:
    """Return the message that carries a gift."""
    code = currency[gift.merchant_id, gift.order_id]
    return f"{gift.text} ({major(gift.amount_minor, code)} {code})"
