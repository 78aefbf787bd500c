"""`entrepot check`: proves the laws against the current database."""

import json
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from entrepot.bootstrap.running import current_database
from entrepot.cli.options import add_data_flag, add_json_flag, settings_from
from entrepot.cli.registry import Subparsers


@dataclass(frozen=True, slots=True)
class LawResult:
    """One law, how many rows it was held against, how many break it, and the names of some that do."""

    law: str
    checked: int
    broken: int
    rows: tuple[str, ...] = ()


def add_parser(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("check", help="Prove the laws of the books against the current database.")
    add_data_flag(parser)
    add_json_flag(parser)


def run(args: Namespace) -> int:
    """Print each law with what was checked and what is broken; exit status 1 if anything is."""
    with current_database(settings_from(args)) as url:
        results = prove_laws(url)
    print(json.dumps({"laws": [asdict(result) for result in results]}) if args.json else as_text(results))
    return 1 if any(result.broken for result in results) else 0


def prove_laws(_url: str) -> Sequence[LawResult]:
    """Hold every law against a database; the laws join here with `entrepot.flows.check_laws`."""
    return ()


def as_text(results: Sequence[LawResult]) -> str:
    """Return one line per law, and below it the rows that break it."""
    lines: list[str] = []
    for result in results:
        lines.append(f"{'broken' if result.broken else 'holds '}  {result.law:<14} {result.checked:>10} checked {result.broken:>6} broken")
        lines += [f"        {row}" for row in result.rows]
    return "\n".join(lines) or "no law is declared yet"
