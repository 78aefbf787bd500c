"""`entrepot token LOGIN`: issue a token with which a program acts as an account."""

import asyncio
import json
from argparse import Namespace
from datetime import timedelta

from psycopg import AsyncConnection

from entrepot.base.quantity import parse_whole, require_positive
from entrepot.base.time import RealClock
from entrepot.bootstrap.running import current_database
from entrepot.cli.options import add_data_flag, add_json_flag, settings_from
from entrepot.cli.registry import Subparsers
from entrepot.parties.tokens import NewToken, create_tokens, find_staff_id, new_token


def add_parser(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("token", help="Issue a token with which a program acts as an account; it is shown once.")
    parser.add_argument("login", help="Login of a buyer's, a storefront's or another account.")
    parser.add_argument("--days", default="90", help="Days until it ends.")
    parser.add_argument("--name", default="command line", help="What the token is for; tokens are ended by it.")
    add_data_flag(parser)
    add_json_flag(parser)


def run(args: Namespace) -> int:
    """Issue the token and print it."""
    days = require_positive(parse_whole(args.days, "days"), "days")
    with current_database(settings_from(args)) as url:
        token = asyncio.run(_issue(url, args.login, args.name, days))
    print(json.dumps({"login": args.login, "token": token.token, "expires_at": token.expires_at.isoformat()}) if args.json else token.token)
    return 0


async def _issue(url: str, login: str, name: str, days: int) -> NewToken:
    """Keep a fresh token of an account."""
    now = RealClock().now()
    async with await AsyncConnection.connect(url) as conn:
        token = NewToken(new_token(), await find_staff_id(conn, login), name, now + timedelta(days=days))
        await create_tokens(conn, [token], now)
    return token
