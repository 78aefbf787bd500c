"""The `entrepot` program: finds the command, runs it, and says in words what was refused."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from entrepot.base.errors import EntrepotError
from entrepot.bootstrap.processes import PROCESSES
from entrepot.cli import check, child, db, docs, import_orders, operations, token, up, version, webhooks, world
from entrepot.cli.registry import Command

COMMANDS: Final[Mapping[str, Command]] = {
    "up": up,
    "world": world,
    "import": import_orders,
    "check": check,
    "token": token,
    "webhooks": webhooks,
    "operations": operations,
    "db": db,
    "docs": docs,
    "version": version,
    **{f"_{name}": child for name in PROCESSES},
}
"""All commands by name, in the order of the help; a new one is a file and a line here."""

REFUSED: Final = 2
"""Exit status when the program refuses what it was asked."""


def parser() -> argparse.ArgumentParser:
    """Return the parser with every command in it."""
    program = argparse.ArgumentParser(prog="entrepot", description="The operating system of a cross-border marketplace.")
    subparsers = program.add_subparsers(metavar="COMMAND", dest="command", required=True)
    for command in dict.fromkeys(COMMANDS.values()):
        command.add_parser(subparsers)
    return program


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status: 0 done, 1 a law is broken, 2 refused, 130 interrupted."""
    args = parser().parse_args(arguments)
    try:
        status = COMMANDS[args.command].run(args)
        sys.stdout.flush()
    except EntrepotError as error:
        print(
            f"entrepot: {error.title}\n  error   {error.code}\n  field   {error.field}\n  value   {error.value}\n  remedy  {error.remedy}",
            file=sys.stderr,
        )
        return REFUSED
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status


if __name__ == "__main__":
    sys.exit(main())
