"""`entrepot check`: proves the laws against the current database."""

import asyncio
import json
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict

from psycopg import AsyncConnection, IsolationLevel

from entrepot.base.clock_store import read_business_now
from entrepot.base.time import RealClock
from entrepot.bootstrap.running import current_database
from entrepot.cli.options import add_data_flag, add_json_flag, settings_from
from entrepot.cli.registry import Subparsers
from entrepot.flows.check_laws import LawResult, check_laws
from entrepot.flows.reference import read_reference
from entrepot.operations.registry import REGISTRY


def add_parser(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("check", help="Prove the laws of the books against the current database.")
    add_data_flag(parser)
    add_json_flag(parser)


def run(args: Namespace) -> int:
    """Print each law with what was checked and what is broken; exit status 1 if anything is."""
    with current_database(settings_from(args)) as url:
        results = asyncio.run(prove_laws(url))
    print(json.dumps({"laws": [asdict(result) for result in results]}) if args.json else as_text(results))
    return 1 if any(result.broken for result in results) else 0


async def prove_laws(url: str) -> Sequence[LawResult]:
    """Hold every law against a database as it stood at one instant; nothing is changed and nobody waits."""
    async with await AsyncConnection.connect(url) as conn:
        await conn.set_isolation_level(IsolationLevel.REPEATABLE_READ)
        await conn.set_read_only(True)
        now = await read_business_now(conn) or RealClock().now()
        return await check_laws(conn, await read_reference(conn, REGISTRY, now.date()))


def as_text(results: Sequence[LawResult]) -> str:
    """Return one line per law, and below it the rows that break it."""
    lines: list[str] = []
    for result in results:
        told = "broken" if result.broken else "holds "
        lines.append(f"{told}  {result.law} {result.title:<14} {result.checked:>10} checked {result.broken:>6} broken")
        lines += [f"        {row}" for row in result.rows]
    return "\n".join(lines)
