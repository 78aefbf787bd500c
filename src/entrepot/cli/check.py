"""`entrepot check`: proves the laws against the current database."""

import asyncio
import json
from argparse import Namespace
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict

from psycopg import AsyncConnection, IsolationLevel

from entrepot.base.clock_store import read_business_now
from entrepot.base.sql import Conn
from entrepot.base.time import RealClock
from entrepot.bootstrap.running import current_database
from entrepot.cli.options import add_data_flag, add_json_flag, settings_from
from entrepot.cli.registry import Subparsers
from entrepot.flows.check_laws import LawResult, check_laws
from entrepot.flows.hash_books import hash_books
from entrepot.flows.reference import read_reference
from entrepot.operations.registry import REGISTRY


def add_parser(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("check", help="Prove the laws of the books against the current database.")
    parser.add_argument("--hash", action="store_true", help="Also print one fingerprint of all business rows; reads them all.")
    add_data_flag(parser)
    add_json_flag(parser)


def run(args: Namespace) -> int:
    """Print each law with what was checked and what is broken; exit status 1 if anything is."""
    with current_database(settings_from(args)) as url:
        results = asyncio.run(prove_laws(url))
        fingerprint = {"books_hash": asyncio.run(fingerprint_books(url))} if args.hash else {}
    told = as_text(results) + "".join(f"\n{name}  {digest}" for name, digest in fingerprint.items())
    print(json.dumps({"laws": [asdict(result) for result in results]} | fingerprint) if args.json else told)
    return 1 if any(result.broken for result in results) else 0


async def prove_laws(url: str) -> Sequence[LawResult]:
    """Hold every law against a database as it stood at one instant; nothing is changed and nobody waits."""
    async with _snapshot(url) as conn:
        now = await read_business_now(conn) or RealClock().now()
        return await check_laws(conn, await read_reference(conn, REGISTRY, now.date()))


async def fingerprint_books(url: str) -> str:
    """Return the hash of a database's business rows as they stood at one instant."""
    async with _snapshot(url) as conn:
        return await hash_books(conn)


@asynccontextmanager
async def _snapshot(url: str) -> AsyncGenerator[Conn]:
    """Give a connection that sees one instant and can change nothing."""
    async with await AsyncConnection.connect(url) as conn:
        await conn.set_isolation_level(IsolationLevel.REPEATABLE_READ)
        await conn.set_read_only(True)
        yield conn


def as_text(results: Sequence[LawResult]) -> str:
    """Return one line per law, and below it the rows that break it."""
    lines: list[str] = []
    for result in results:
        told = "broken" if result.broken else "holds "
        lines.append(f"{told}  {result.law} {result.title:<14} {result.checked:>10} checked {result.broken:>6} broken")
        lines += [f"        {row}" for row in result.rows]
    return "\n".join(lines)
