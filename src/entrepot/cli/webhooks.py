"""`entrepot webhooks`: who is told what happens, and telling it again."""

import asyncio
import json
import uuid
from argparse import Namespace
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final, TypeVar

from entrepot.base.actor import Actor, ActorKind
from entrepot.base.errors import RefusedInputError
from entrepot.base.ids import RandomIds
from entrepot.base.notices import NoticeCounts, Subscription, list_subscriptions
from entrepot.base.sql import Conn
from entrepot.base.time import RealClock, at_ms
from entrepot.bootstrap.database import in_transaction, open_pool
from entrepot.bootstrap.outside import reach_of, read_keyring
from entrepot.bootstrap.running import current_database
from entrepot.bootstrap.settings import Settings
from entrepot.cli.options import add_data_flag, add_json_flag, settings_from
from entrepot.cli.registry import Subparsers
from entrepot.flows.tell import TOLD_FACTS, add_webhook, end_mail, remove_webhook, replay_event, replay_since, resume_mail
from entrepot.parties.model import merchant_id_of

OPERATOR: Final = Actor(ActorKind.STAFF, "command line", "operator")
_MERCHANT: Final = "Code of the merchant, such as demo-leeds-kitchen."
_WEBHOOK: Final = "Id of the webhook, as listed."

Result = TypeVar("Result")


class InvalidMomentError(RefusedInputError):
    """A moment is written as a date or as date and time with its zone; without one it is UTC."""


class InvalidIdError(RefusedInputError):
    """An id is 32 hexadecimal digits in five groups, as the list shows it."""


def add_parser(subparsers: Subparsers) -> None:
    """Declare the command with its actions."""
    actions = subparsers.add_parser("webhooks", help="Tell merchants' systems and buyers what happens, and tell it again.")
    actions = actions.add_subparsers(metavar="ACTION", dest="action", required=True)
    listing = actions.add_parser("list", help="Print who is told what, and how far that is.")
    listing.add_argument("--merchant", metavar="CODE", help=f"{_MERCHANT} All merchants without it.")
    add_json_flag(listing)
    adding = actions.add_parser("add", help="Tell a merchant's facts to an address; prints the id and, this once, the secret.")
    adding.add_argument("merchant", metavar="MERCHANT", help=_MERCHANT)
    adding.add_argument("url", metavar="URL", help="Where it is posted to, such as https://shop.example/notices.")
    adding.add_argument(
        "--fact", action="append", default=[], choices=TOLD_FACTS, help="A kind of fact, several times for several; else the main five."
    )
    removing = actions.add_parser("remove", help="Tell a webhook nothing more.")
    removing.add_argument("webhook", metavar="ID", help=_WEBHOOK)
    replaying = actions.add_parser("replay", help="Send again what a webhook was told, or should have been.")
    replaying.add_argument("webhook", metavar="ID", help=_WEBHOOK)
    which = replaying.add_mutually_exclusive_group(required=True)
    which.add_argument("--since", metavar="TIME", help="Everything since this moment, such as 2026-05-04T09:30; UTC unless it names its zone.")
    which.add_argument("--event", metavar="EVENT_ID", help="One event.")
    mailing = actions.add_parser("mail", help="Let a merchant's buyers be told by mail, or leave that to the merchant.")
    mailing.add_argument("merchant", metavar="MERCHANT", help=_MERCHANT)
    mailing.add_argument("mode", choices=["on", "off"], help="on sends mails from now on; off sends none.")
    for parser in (listing, adding, removing, replaying, mailing):
        add_data_flag(parser)


def run(args: Namespace) -> int:
    """Do what was asked in one transaction, and print what came of it."""
    settings = settings_from(args)
    with current_database(settings) as url:
        print(asyncio.run(_transact(url, lambda conn: _ACTIONS[args.action](conn, settings, args, RealClock().now()))))
    return 0


async def _transact(url: str, work: Callable[[Conn], Awaitable[Result]]) -> Result:
    """Run work in one transaction."""
    async with open_pool(url, 1) as pool:
        return await in_transaction(pool, work)


async def _list(conn: Conn, settings: Settings, args: Namespace, now: datetime) -> str:
    """Return the subscriptions with their counts."""
    _ = settings, now
    found = await list_subscriptions(conn, merchant_id_of(args.merchant) if args.merchant else None)
    rows = [_row(one, counts) for one, counts in found]
    return json.dumps(rows) if args.json else "\n".join(f"{row['id']}  {_words(row)}" for row in rows) or "Nobody is told anything."


def _row(one: Subscription, counts: NoticeCounts) -> dict[str, object]:
    """Return a subscription as a document; its secret stays where it is."""
    return {
        "id": str(one.subscription_id),
        "merchant_id": str(one.merchant_id),
        "kind": str(one.kind),
        "url": one.url,
        "facts": list(one.fact_codes),
        "is_active": one.is_active,
        "open": counts.open_count,
        **counts.by_outcome,
        "last_failure": counts.last_failure,
    }


def _words(row: dict[str, object]) -> str:
    """Return a subscription on one line."""
    shown = {name: value for name, value in row.items() if name not in {"id", "facts"} and value not in {"", None}}
    return "  ".join(f"{name}={value}" for name, value in shown.items())


async def _add(conn: Conn, settings: Settings, args: Namespace, now: datetime) -> str:
    """Add a webhook."""
    key = (merchant_id_of(args.merchant), RandomIds().new(at_ms(now)))
    added = await add_webhook(conn, read_keyring(settings), key, args.url, args.fact, reach_of(settings), OPERATOR, now)
    return f"webhook {added.subscription_id}\nsecret  {added.secret}\nKeep the secret: it is not shown again."


async def _remove(conn: Conn, settings: Settings, args: Namespace, now: datetime) -> str:
    """Remove a webhook."""
    _ = settings
    await remove_webhook(conn, _id(args.webhook), OPERATOR, now)
    return "removed"


async def _replay(conn: Conn, settings: Settings, args: Namespace, now: datetime) -> str:
    """Make notices due again."""
    _ = settings
    if args.event is None:
        return f"{await replay_since(conn, _id(args.webhook), _moment(args.since), OPERATOR, now)} notices are sent again"
    await replay_event(conn, _id(args.webhook), args.event, OPERATOR, now)
    return "1 notice is sent again"


async def _mail(conn: Conn, settings: Settings, args: Namespace, now: datetime) -> str:
    """Switch mails to a merchant's buyers on or off."""
    _ = settings
    switch = resume_mail if args.mode == "on" else end_mail
    await switch(conn, merchant_id_of(args.merchant), OPERATOR, now)
    return f"mail is {args.mode}"


_ACTIONS: Final = {"list": _list, "add": _add, "remove": _remove, "replay": _replay, "mail": _mail}


def _moment(text: str) -> datetime:
    """Return a written moment in UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidMomentError("since", text, "Write it as 2026-05-04 or 2026-05-04T09:30.") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _id(text: str) -> uuid.UUID:
    """Return a written id."""
    try:
        return uuid.UUID(text)
    except ValueError:
        raise InvalidIdError("webhook", text, "Take the id from `entrepot webhooks list`.") from None
