"""What a command's file offers to the program: a parser, and a function that runs and returns the exit status."""

import argparse
from argparse import Namespace
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    Subparsers: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
else:  # argparse has no public name for what add_subparsers returns
    Subparsers = object


class Command(Protocol):
    """A module `cli/<name>.py`."""

    def add_parser(self, subparsers: Subparsers) -> None:
        """Declare the command and its flags."""
        ...

    def run(self, args: Namespace) -> int:
        """Run the command and return the exit status; refusals are raised as `EntrepotError`."""
        ...
