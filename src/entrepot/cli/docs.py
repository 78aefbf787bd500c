"""`entrepot docs`: write the pages that follow from the code, so that they never drift from it."""

import argparse
import pkgutil
from argparse import Namespace
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Final, cast

import entrepot
from entrepot.base.errors import EntrepotError, error_code
from entrepot.base.states import States
from entrepot.bootstrap.settings import SETTINGS
from entrepot.cli.registry import Subparsers
from entrepot.operations.document import as_page
from entrepot.operations.registry import REGISTRY
from entrepot.surfaces.api.document import document_text

_WRITTEN: Final = "This page is written by `entrepot docs`. Change the code, not this page.\n"
_NOT_IMPORTED: Final = ("entrepot.migrations.", "entrepot.__main__")
_CAUSES: Final = ("RefusedInputError", "UnknownReferenceError", "ConflictError", "ForbiddenError", "UnavailableError", "BrokenDeclarationError")


def add_parser(subparsers: Subparsers) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("docs", help="Write the generated pages of the documentation.")
    parser.add_argument("--to", metavar="DIR", default="docs", help="Directory of the documentation; docs by default.")


def run(args: Namespace) -> int:
    """Write the pages that have changed, remove drawings of states that are gone, and name them."""
    directory = Path(args.to)
    written = pages()
    for name, text in written.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_text() != text:
            path.write_text(text)
            print(f"wrote {path}")
    for path in sorted((directory / "states").glob("*.md")):
        if f"states/{path.name}" not in written:
            path.unlink()
            print(f"removed {path}")
    return 0


def pages() -> dict[str, str]:
    """Return the text of every generated page by its path below the documentation."""
    modules = all_modules()
    parser = modules["entrepot.cli.main"].parser()
    drawn = declared_states(modules)
    return {
        "operations.md": as_page(REGISTRY),
        "errors.md": errors_page(declared_errors()),
        "settings.md": settings_page(),
        "commands.md": commands_page(parser),
        "openapi.json": document_text(),
        "states/README.md": states_index(drawn),
        **{f"states/{page_name(states)}.md": states_page(states) for states in drawn},
    }


def all_modules() -> dict[str, ModuleType]:
    """Return every module of the product but the migrations, imported, by name."""
    names = [module.name for module in pkgutil.walk_packages(entrepot.__path__, "entrepot.")]
    return {name: import_module(name) for name in names if not name.startswith(_NOT_IMPORTED) and not name.endswith(".__main__")}


def declared_errors() -> list[type[EntrepotError]]:
    """Return every error class of the product, by code."""
    found: set[type[EntrepotError]] = set()
    todo: list[type[EntrepotError]] = [EntrepotError]
    while todo:
        new = set(todo.pop().__subclasses__()) - found
        found |= new
        todo += new
    return sorted((error for error in found if error.__module__.startswith("entrepot.")), key=lambda error: (error_code(error), error.__module__))


def declared_states(modules: Mapping[str, ModuleType]) -> list[States]:
    """Return every transition table that a module declares, by name."""
    found = {id(value): value for module in modules.values() for value in vars(module).values() if isinstance(value, States)}
    return sorted(found.values(), key=lambda states: states.name)


def errors_page(errors: list[type[EntrepotError]]) -> str:
    """Return `docs/errors.md`: each cause with its code, status, meaning and package."""
    kinds = {error.__name__: error for error in errors if error.__name__ in _CAUSES}
    causes = [f"- **{error_code(kinds[name])}** ({kinds[name].status}): {summary(kinds[name])}" for name in _CAUSES if name in kinds]
    rows = [
        f"| `{error_code(error)}` | {error.status} | {summary(error)} | `{error.__module__.removeprefix('entrepot.')}` |"
        for error in errors
        if error.__name__ not in _CAUSES
    ]
    head = "| code | status | what it means and who acts | where |\n| --- | --- | --- | --- |"
    intro = "Every error names the field, the value and the remedy. Its code is stable; programs compare the code, people read the sentence."
    return "\n".join(["# Errors", "", _WRITTEN, intro, "", "## Kinds", "", *causes, "", "## Causes", "", head, *rows, ""])


def settings_page() -> str:
    """Return `docs/settings.md`: each setting with its variable, flag, default and meaning."""
    rows = [
        f"| `{setting.variable}` | {f'`{setting.flag}`' if setting.flag else '-'} | {f'`{setting.default}`' if setting.default else '-'} | {setting.meaning} |"
        for setting in SETTINGS
    ]
    head = "| variable | flag of `entrepot up` | default | meaning |\n| --- | --- | --- | --- |"
    return "\n".join(["# Settings", "", _WRITTEN, "Flags win over variables, variables over defaults.", "", head, *rows, ""])


def commands_page(parser: argparse.ArgumentParser) -> str:
    """Return `docs/commands.md`: each command with its arguments."""
    lines = ["# Commands", "", _WRITTEN, str(parser.description), ""]
    for name, meaning, command in commands_of(parser):
        lines += [f"## `entrepot {name}`", "", meaning, ""]
        rows = [f"| `{signature(action)}` | {explanation(action)} |" for action in actions_of(command) if is_shown(action)]
        lines += ["| argument | meaning |", "| --- | --- |", *rows, ""] if rows else []
    return "\n".join(lines)


def commands_of(parser: argparse.ArgumentParser, before: str = "") -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """Yield the public commands of a parser in the order of its help, each followed by its own."""
    for group in actions_of(parser):
        helps = {str(choice.dest): choice.help for choice in cast("list[argparse.Action]", vars(group).get("_choices_actions", []))}
        for name, command in command_parsers(group).items():
            yield f"{before}{name}", helps.get(name) or command.description or "", command
            yield from commands_of(command, f"{before}{name} ")


def command_parsers(action: argparse.Action) -> dict[str, argparse.ArgumentParser]:
    """Return the parsers of the public commands in an argument that is a list of commands, else nothing."""
    choices = cast("object", action.choices)
    named = cast("dict[str, argparse.ArgumentParser]", choices) if isinstance(choices, dict) else {}
    return {name: command for name, command in named.items() if not name.startswith("_")}


def actions_of(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Return the arguments of a parser, which argparse keeps without a public name."""
    return cast("list[argparse.Action]", vars(parser)["_actions"])


def is_shown(action: argparse.Action) -> bool:
    """Tell whether an argument belongs on the page: neither help, nor hidden, nor a list of commands."""
    return action.dest != "help" and action.help != argparse.SUPPRESS and "_choices_actions" not in vars(action)


def signature(action: argparse.Action) -> str:
    """Return how an argument is written."""
    choices = "{" + ",".join(str(choice) for choice in action.choices) + "}" if action.choices else ""
    value = str(action.metavar or choices or action.dest.upper())
    if not action.option_strings:
        return value
    return ", ".join(action.option_strings) + ("" if action.nargs == 0 else f" {value}")


def explanation(action: argparse.Action) -> str:
    """Return the meaning of an argument with its placeholders filled."""
    return (action.help or "") % {**vars(action), "prog": "entrepot"}


def states_index(drawn: list[States]) -> str:
    """Return `docs/states/README.md`: the list of drawings."""
    rows = [f"- [{states.name}]({page_name(states)}.md): {len(states.transitions)} states, begins `{states.initial}`" for states in drawn]
    return "\n".join(["# States", "", _WRITTEN, "Every record that has states may only take the steps drawn here.", "", *rows, ""])


def states_page(states: States) -> str:
    """Return one transition table as a Mermaid drawing and a list."""
    ordered = by_distance(states)
    arrows = [f"    {source} --> {target}" for source in ordered for target in sorted(states.transitions[source])]
    ends = [f"    {state} --> [*]" for state in ordered if state in states.terminal]
    drawing = ["```mermaid", "stateDiagram-v2", f"    [*] --> {states.initial}", *arrows, *ends, "```"]
    rows = [f"| {state} | {', '.join(sorted(states.transitions[state])) or 'nothing, final'} |" for state in ordered]
    return "\n".join([f"# States of {states.name}", "", _WRITTEN, *drawing, "", "| state | may become |", "| --- | --- |", *rows, ""])


def by_distance(states: States) -> list[str]:
    """Return the states by their distance from the initial one, then by name."""
    ordered = [states.initial]
    for state in ordered:  # grows while it is read, as a breadth-first search does
        ordered += sorted(states.transitions[state] - set(ordered))
    return ordered


def page_name(states: States) -> str:
    """Return the file name of a drawing without its ending."""
    return states.name.replace(" ", "_").replace(".", "_")


def summary(error: type[EntrepotError]) -> str:
    """Return an error's sentence on one line."""
    return " ".join((error.__doc__ or "").split()).replace("|", "\\|")
