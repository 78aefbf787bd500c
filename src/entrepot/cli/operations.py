"""`entrepot operations`: who does what in each operation model."""

import json
import shutil
from argparse import Namespace

from entrepot.cli.options import add_json_flag
from entrepot.cli.registry import Subparsers
from entrepot.operations.document import as_document, as_text
from entrepot.operations.registry import REGISTRY


def add_parser(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("operations", help="Print who does what in each operation model.")
    add_json_flag(parser)


def run(args: Namespace) -> int:
    """Print the matrix."""
    print(json.dumps(as_document(REGISTRY), indent=2) if args.json else as_text(REGISTRY, shutil.get_terminal_size((150, 40)).columns))
    return 0
