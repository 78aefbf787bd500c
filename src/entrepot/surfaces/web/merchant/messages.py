"""Conversations with buyers: which of them wait and how long they may, and one conversation with its answer."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect, Stream
from msgspec import Struct
from wtforms import Form, HiddenField, TextAreaField
from wtforms.validators import InputRequired, Length

from entrepot.aftersales.model import MESSAGE_LENGTH, AuthorRole, Message, Thread
from entrepot.aftersales.threads import answer_due_at, list_latest_threads, list_threads_of_orders
from entrepot.base.sql import Conn
from entrepot.flows.talk import Said, Say, TalkOutcome, read_answerers, say
from entrepot.orders.model import Order, UnknownOrderError
from entrepot.orders.read import read_lines, read_orders
from entrepot.surfaces.web.access import MERCHANTS, FormDep, Visitor, VisitorDep, WebRequest, actor_of, open_to
from entrepot.surfaces.web.forms import read_form
from entrepot.surfaces.web.house import House, HouseDep, business_now
from entrepot.surfaces.web.languages import mark
from entrepot.surfaces.web.listing import Ask, Cell, Column, Filter, Found, Kind, Listing, Row, View, answer_listing, list_query, sift
from entrepot.surfaces.web.merchant.own import clock_tone, clock_words, led_to, merchant_of, request_key, told_by
from entrepot.surfaces.web.render import page

INBOX: Final = "/merchant/messages"
GENERAL: Final = "order"
"""Topic of a conversation that the merchant begins."""
_MOST: Final = 300
_EXCERPT: Final = 90
LIST: Final = Listing(
    "messages",
    INBOX,
    (
        Column("order", mark("Order")),
        Column("excerpt", mark("Last message")),
        Column("topic", mark("Topic"), Kind.WORDS, is_optional=True),
        Column("at", mark("Written"), Kind.TIME, is_sortable=True),
        Column("clock", mark("Answer"), Kind.STATE),
        Column("due", mark("Answer by"), Kind.TIME, is_sortable=True),
    ),
    (
        Filter("q", mark("Number or words")),
        Filter("standing", mark("Any standing"), (("waiting", mark("Waits for you")), ("answered", mark("Answered")))),
    ),
    (View("waiting", mark("Waits for you"), {"standing": "waiting"}), View("answered", mark("Answered"), {"standing": "answered"})),
    sort="-at",
)


class AnswerForm(Form):
    """An answer to a buyer."""

    text = TextAreaField(
        mark("Your answer"),
        [
            InputRequired(mark("Write your answer first.")),
            Length(max=MESSAGE_LENGTH, message=mark("That is too long; write it in two messages.")),
        ],
    )
    key = HiddenField()


class Talk(Struct, frozen=True):
    """A conversation with its last message, and until when it wants an answer if the buyer waits."""

    thread: Thread
    order: Order | None
    last: Message | None
    due_at: datetime | None


def talks_of(threads: Sequence[Thread], orders: Sequence[Order]) -> list[Talk]:
    """Return threads with what is known of their last message."""
    by_id = {one.order_id: one for one in orders}
    told: list[Talk] = []
    for thread in threads:
        last = thread.messages[-1] if thread.messages else None
        waits = last is not None and last.author_role is AuthorRole.BUYER and last.needs_answer
        told.append(Talk(thread, by_id.get(thread.order_id), last, answer_due_at(last.at) if last is not None and waits else None))
    return told


async def read_talks(conn: Conn, merchant_id: uuid.UUID) -> list[Talk]:
    """Return a merchant's latest conversations."""
    threads = await list_latest_threads(conn, merchant_id, _MOST)
    ids = sorted({one.order_id for one in threads})
    return talks_of(threads, await read_orders(conn, [merchant_id] * len(ids), ids))


@get(INBOX, opt=open_to(MERCHANTS))
async def show_inbox(request: WebRequest, house: HouseDep, visitor: VisitorDep) -> Response[str] | Stream:
    """Show conversations, those that wait by their clock."""
    async with house.database.reading() as conn:
        now = await business_now(conn)
        talks = await read_talks(conn, merchant_of(visitor))

    async def find(ask: Ask, limit: int, offset: int) -> Found:
        return sift(LIST, ask, [_row(visitor, one, now) for one in talks], limit, offset)

    return await answer_listing("merchant/inbox.html", visitor, house, LIST, list_query(request), find, {"told": told_by(request)})


@get("/merchant/messages/{order_id:uuid}", opt=open_to(MERCHANTS))
async def show_talk(request: WebRequest, house: HouseDep, visitor: VisitorDep, order_id: FromPath[uuid.UUID]) -> Response[str]:
    """Show everything that was written about one order."""
    return await _show(house, visitor, order_id, None, told_by(request))


@post("/merchant/messages/{order_id:uuid}", status_code=200, opt=open_to(MERCHANTS))
async def answer_talk(house: HouseDep, visitor: VisitorDep, form: FormDep, order_id: FromPath[uuid.UUID]) -> Response[str] | Redirect:
    """Send an answer; the same form again sends nothing."""
    sent = read_form(AnswerForm, form, visitor.language)
    merchant_id = merchant_of(visitor)
    if not sent.validate():
        return await _show(house, visitor, order_id, sent, None, 422)

    async def answer(conn: Conn) -> Said:
        now = await business_now(conn)
        outside = await house.outside.current(conn, now)
        topic = await _topic(conn, merchant_id, order_id)
        words = Say(merchant_id, order_id, topic, AuthorRole.MERCHANT, str(sent.text.data).strip(), str(sent.key.data)[:64])
        return (await say(conn, outside, [words], actor_of(visitor), now))[0]

    said = await house.database.writing(answer)
    if said.outcome is TalkOutcome.UNKNOWN:
        raise UnknownOrderError("order_id", str(order_id), "Open it from your list of orders.")
    if said.outcome is TalkOutcome.NOT_YOURS:
        sent.text.errors = [mark("The platform answers the customers of this order; nothing was sent.")]
        return await _show(house, visitor, order_id, sent, None, 403)
    return led_to(f"{INBOX}/{order_id}", "answered" if said.outcome is TalkOutcome.DONE else "already")


async def _topic(conn: Conn, merchant_id: uuid.UUID, order_id: uuid.UUID) -> str:
    """Return the topic of the conversation that was written to last, so that an answer stands beside its question."""
    threads = await list_threads_of_orders(conn, merchant_id, [order_id])
    written = [one for one in threads if one.messages]
    return max(written, key=_written_at).topic_code if written else threads[0].topic_code if threads else GENERAL


def _written_at(thread: Thread) -> datetime:
    return thread.messages[-1].at


async def _show(
    house: House, visitor: Visitor, order_id: uuid.UUID, sent: AnswerForm | None, told: tuple[str, str] | None, status: int = 200
) -> Response[str]:
    """Return the page of an order's conversations; another merchant's order does not exist."""
    merchant_id = merchant_of(visitor)
    async with house.database.reading() as conn:
        now = await business_now(conn)
        outside = await house.outside.current(conn, now)
        orders = await read_orders(conn, [merchant_id], [order_id])
        if not orders:
            raise UnknownOrderError("order_id", str(order_id), "Open it from your list of orders.")
        talks = talks_of(await list_threads_of_orders(conn, merchant_id, [order_id]), orders)
        lines = await read_lines(conn, [merchant_id], [order_id])
        answerers = (await read_answerers(conn, outside.reference, [(merchant_id, order_id)])).get((merchant_id, order_id), ())
    due_at = min((one.due_at for one in talks if one.due_at is not None), default=None)
    values: dict[str, object] = {
        "order": orders[0],
        "lines": lines,
        "talks": talks,
        "form": sent or read_form(AnswerForm, None, visitor.language, {"key": request_key()}),
        "may_answer": AuthorRole.MERCHANT in answerers,
        "due_at": due_at,
        "clock": clock_words(visitor.language, now, due_at) if due_at is not None else "",
        "tone": clock_tone(now, due_at) if due_at is not None else "",
        "told": told,
    }
    return page("merchant/talk.html", visitor, values, status)


def _row(visitor: Visitor, one: Talk, now: datetime) -> Row:
    """Return a conversation as a row."""
    _ = visitor.language.gettext
    waits = one.due_at is not None
    text = one.last.text if one.last is not None else ""
    cells = {
        "order": Cell(one.order.number if one.order is not None else "", href=f"{INBOX}/{one.thread.order_id}"),
        "excerpt": Cell(text[:_EXCERPT] + ("…" if len(text) > _EXCERPT else "")),
        "topic": Cell(one.thread.topic_code),
        "at": Cell(one.last.at if one.last is not None else one.thread.opened_at),
        "clock": Cell(clock_words(visitor.language, now, one.due_at), tone=clock_tone(now, one.due_at))
        if one.due_at is not None
        else Cell(_("Answered"), tone="success"),
        "due": Cell(one.due_at),
        "standing": Cell("waiting" if waits else "answered"),
    }
    return Row(str(one.thread.thread_id), cells)
