"""The hidden commands that the supervisor starts: `_web`, `_worker`, `_world`."""

from argparse import Namespace

from entrepot.bootstrap.child import run_child
from entrepot.bootstrap.processes import PROCESSES
from entrepot.cli.registry import Subparsers


def add_parser(subparsers: Subparsers) -> None:
    """Declare one command per child, without a line in the help."""
    for name in PROCESSES:
        subparsers.add_parser(f"_{name}")


def run(args: Namespace) -> int:
    """Do the child's work until told to stop."""
    name = str(args.command).removeprefix("_")
    return run_child(name, PROCESSES[name])
