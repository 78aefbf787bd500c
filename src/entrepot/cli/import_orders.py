"""`entrepot import orders FILE`: play a merchant's past orders through the flows, resumable, each line imported or refused with a reason."""

import asyncio
import json
import sys
from argparse import Namespace
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from entrepot.base.quantity import parse_whole, require_positive
from entrepot.base.sql import Conn
from entrepot.base.time import RealClock
from entrepot.bootstrap.database import in_transaction, open_pool
from entrepot.bootstrap.outside import read_keyring
from entrepot.bootstrap.running import current_database
from entrepot.bootstrap.settings import Settings
from entrepot.cli.options import add_data_flag, add_json_flag, settings_from
from entrepot.cli.registry import Subparsers
from entrepot.operations.registry import REGISTRY
from entrepot.world.import_orders import import_orders
from entrepot.world.import_terms import ImportTerms, import_defaults, parse_shares, read_classes
from entrepot.world.order_file import DateMode, parse_column_map

Result = TypeVar("Result")
_BAR = 40


def add_parser(subparsers: Subparsers) -> None:
    """Declare the command."""
    what = subparsers.add_parser("import", help="Bring data of a merchant in.").add_subparsers(metavar="WHAT", dest="what", required=True)
    parser = what.add_parser("orders", help="Play past orders of a CSV file (also .gz, .xz) through the flows.")
    parser.add_argument("file", metavar="FILE", type=Path, help="CSV file with a header.")
    parser.add_argument("--models", default=import_defaults().models, metavar="SHARES", help="Operation models and their shares of the SKUs.")
    parser.add_argument(
        "--dates", choices=[str(mode) for mode in DateMode], default="shift", help="Move the dates so that the last day was yesterday, or keep."
    )
    parser.add_argument("--map", default="", metavar="COLUMNS", help="Columns by meaning, such as order_number=InvoiceNo,sku=Item.")
    parser.add_argument("--classify", type=Path, metavar="FILE", help="CSV file with sku, hs_code and origin.")
    parser.add_argument("--limit", metavar="LINES", help="Read so many lines only.")
    add_data_flag(parser)
    add_json_flag(parser)


def run(args: Namespace) -> int:
    """Import the file and print what became of it."""
    terms = ImportTerms(
        args.file,
        parse_shares(args.models),
        DateMode(args.dates),
        parse_column_map(args.map),
        read_classes(args.classify) if args.classify else {},
        require_positive(parse_whole(args.limit, "limit"), "limit") if args.limit else None,
    )
    settings = settings_from(args)
    with current_database(settings) as url:
        report = asyncio.run(_import(url, settings, terms))
    print(json.dumps(report, indent=None if args.json else 2))
    return 0


async def _import(url: str, settings: Settings, terms: ImportTerms) -> dict[str, object]:
    """Import into a database; what is not committed is done again by the next call."""
    async with open_pool(url, 2) as pool:

        async def transact(work: Callable[[Conn], Awaitable[Result]]) -> Result:
            return await in_transaction(pool, work)

        return await import_orders(transact, REGISTRY, read_keyring(settings), terms, RealClock().now(), settings.data, _tell)


def _tell(done: int, whole: int) -> None:
    """Draw a bar where a person looks on."""
    if sys.stderr.isatty():
        filled = _BAR * done // max(whole, 1)
        print(f"\r[{'#' * filled}{'.' * (_BAR - filled)}] {done}/{whole}", end="\n" if done == whole else "", file=sys.stderr, flush=True)
