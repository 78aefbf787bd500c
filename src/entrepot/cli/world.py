"""`entrepot world`: live so many days of the demonstration world in a throw-away database and report what it amounts to."""

import argparse
import asyncio
import json
from argparse import Namespace
from collections.abc import Mapping

from entrepot.base.batching import BATCH_LIMIT
from entrepot.base.quantity import require_positive
from entrepot.bootstrap.throwaway import throwaway_database
from entrepot.cli.registry import Subparsers
from entrepot.operations.registry import REGISTRY
from entrepot.parties.sealing import Keyring
from entrepot.world.live import live_world

_DEMO_KEYRING = Keyring(b"throw-away world, no real person", b"throw-away identities")


def add_parser(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("world", help="Live days of the demonstration world in a throw-away database.")
    parser.add_argument("--seed", type=int, default=7, help="Number from which everything follows; the same seed gives the same books.")
    parser.add_argument("--days", type=int, default=30, help="Days to live.")
    parser.add_argument("--batch-size", type=int, default=BATCH_LIMIT, help="Orders and documents per batch; changes nothing in the books.")
    parser.add_argument("--json", action="store_true", help="Print one JSON object.")
    parser.formatter_class = argparse.ArgumentDefaultsHelpFormatter


def run(args: Namespace) -> int:
    """Live the world and print its report; 1 if a law is broken."""
    require_positive(args.days, "days")
    require_positive(args.batch_size, "batch-size")
    report = asyncio.run(_live(args.seed, args.days, args.batch_size))
    print(json.dumps(report, indent=None if args.json else 2))
    return 1 if report["is_broken"] else 0


async def _live(seed: int, days: int, batch_size: int) -> Mapping[str, object]:
    """Live in a database of its own."""
    async with throwaway_database() as url:
        return await live_world(url, REGISTRY, _DEMO_KEYRING, seed, days, batch_size)
