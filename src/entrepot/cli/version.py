"""`entrepot version`: which Entrepot this is."""

import json
import platform
from argparse import Namespace
from importlib.metadata import version

from entrepot.bootstrap.migrate import newest_revision
from entrepot.cli.options import add_json_flag
from entrepot.cli.registry import Subparsers


def add_parser(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("version", help="Print the version of the program and of its database schema.")
    add_json_flag(parser)


def run(args: Namespace) -> int:
    """Print the versions."""
    facts = {"entrepot": version("entrepot"), "schema": newest_revision() or "none", "python": platform.python_version()}
    print(json.dumps(facts) if args.json else "\n".join(f"{name} {value}" for name, value in facts.items()))
    return 0
