"""The documentation says what the code says: generated pages are compared, and everything a person may meet is named."""

import re
from argparse import ArgumentParser
from enum import StrEnum
from pathlib import Path

import pytest
from msgspec.structs import replace

from entrepot.base.errors import EntrepotError, RefusedInputError, error_code
from entrepot.base.states import declare_states
from entrepot.bootstrap.settings import SETTINGS
from entrepot.cli import docs
from entrepot.cli.main import parser
from entrepot.operations.document import as_page
from entrepot.operations.registry import REGISTRY

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs"
DEFINITION = re.compile(r"^\*\*(?P<word>[^*]+)\*\*: (?P<sentence>.+\.)$")
WORDS_OF_THE_FIELD = """
    SKU, listing, offer, place, ASN, receive, stow, wave, pick, pack, parcel, consignment, manifest, HS code, importer of record, DDP, DAP, duty,
    disbursement, settlement period, RMA, claim, 9610, 1210, CBEC, quota, custody, hold, allocation, lane, availability, location, pool, condition,
    customs status, promise, due work, batch, stock item, operation model, plan, role, reservation, order, checkout, statement, payout, reserve, posting,
    label, tracking event, return, refund, declaration, lot, operation model version, merchant, marketplace, channel, fee, tax decision
"""


class Light(StrEnum):
    RED = "red"
    GREEN = "green"


@pytest.fixture(scope="module")
def generated():
    return docs.pages()


def drift(generated: dict[str, str], directory: Path) -> list[str]:
    """Return the generated pages that are missing, differ or draw what is gone."""
    stale = [name for name, text in generated.items() if not (directory / name).is_file() or (directory / name).read_text() != text]
    gone = [f"states/{path.name}" for path in sorted((directory / "states").glob("*.md")) if f"states/{path.name}" not in generated]
    return stale + gone


def definitions(text: str) -> dict[str, str]:
    found = [DEFINITION.match(line) for line in text.splitlines()]
    return {match["word"]: match["sentence"] for match in found if match}


def test_generated_pages_are_up_to_date(generated):
    assert drift(generated, PAGES) == [], "Run `entrepot docs` and look at the difference."


def test_drift_is_seen(tmp_path):
    (tmp_path / "states").mkdir()
    (tmp_path / "same.md").write_text("same")
    (tmp_path / "other.md").write_text("old")
    (tmp_path / "states" / "gone.md").write_text("gone")
    assert drift({"same.md": "same", "other.md": "new", "missing.md": ""}, tmp_path) == ["other.md", "missing.md", "states/gone.md"]


def test_the_command_writes_all_pages_and_removes_what_is_gone(tmp_path, generated, capsys):
    (tmp_path / "states").mkdir()
    (tmp_path / "states" / "gone.md").write_text("gone")
    assert docs.run(docs_arguments(tmp_path)) == 0
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")} == set(generated)
    assert capsys.readouterr().out.count("wrote ") == len(generated)
    assert docs.run(docs_arguments(tmp_path)) == 0
    assert capsys.readouterr().out == ""


def docs_arguments(directory: Path):
    program = ArgumentParser()
    docs.add_parser(program.add_subparsers())
    return program.parse_args(["docs", "--to", str(directory)])


def test_every_error_code_is_on_its_page():
    docs.all_modules()
    page = (PAGES / "errors.md").read_text()
    assert [
        error_code(error) for error in docs.declared_errors() if f"`{error_code(error)}`" not in page and f"**{error_code(error)}**" not in page
    ] == []


def test_error_codes_are_names_of_one_cause():
    docs.all_modules()
    codes = [error_code(error) for error in docs.declared_errors()]
    assert sorted({code for code in codes if codes.count(code) > 1}) == []


def test_errors_are_named_and_explained():
    docs.all_modules()
    errors = docs.declared_errors()
    assert [error.__qualname__ for error in errors if not error.__name__.endswith("Error")] == []
    assert [error.__qualname__ for error in errors if not docs.summary(error).endswith(".")] == []
    assert [error.__qualname__ for error in errors if error.__mro__[1] is EntrepotError and error.__module__ != "entrepot.base.errors"] == []


def test_every_setting_is_on_its_page():
    page = (PAGES / "settings.md").read_text()
    assert [setting.variable for setting in SETTINGS if f"`{setting.variable}`" not in page] == []


def test_every_command_is_on_its_page_and_says_what_it_does():
    page = (PAGES / "commands.md").read_text()
    commands = list(docs.commands_of(parser()))
    assert {"up", "operations", "docs", "check"} <= {name for name, _, _ in commands}
    assert [name for name, _, _ in commands if f"## `entrepot {name}`" not in page] == []
    assert [name for name, meaning, _ in commands if not meaning.endswith(".")] == []
    silent = [
        (name, action.dest) for name, _, command in commands for action in docs.actions_of(command) if docs.is_shown(action) and not action.help
    ]
    assert silent == []


def test_every_operation_model_is_a_row():
    page = (PAGES / "operations.md").read_text()
    assert [code for code in REGISTRY.codes if f"| `{code}` |" not in page] == []
    fifth = REGISTRY.with_models(replace(REGISTRY.plans()[0].model, code="fifth"))
    assert "| `fifth` |" in as_page(fifth)
    assert "| `fifth` |" not in page


def test_the_glossary_defines_the_words_of_the_field():
    text = (PAGES / "glossary.md").read_text()
    known = {word.lower() for word in definitions(text)}
    wanted = [word.strip() for word in WORDS_OF_THE_FIELD.replace("\n", " ").split(",")]
    assert [word for word in wanted if word.lower() not in known] == []
    assert [line for line in text.splitlines() if line.startswith("**") and not DEFINITION.match(line)] == []
    assert list(definitions(text)) == sorted(definitions(text), key=str.lower)


def test_states_are_drawn():
    lamp = declare_states("traffic lamp", Light.RED, {Light.RED: {Light.GREEN}, Light.GREEN: set()})
    page = docs.states_page(lamp)
    assert docs.page_name(lamp) == "traffic_lamp"
    assert "    [*] --> red\n    red --> green\n    green --> [*]\n" in page
    assert "| green | nothing, final |" in page
    assert "- [traffic lamp](traffic_lamp.md): 2 states, begins `red`" in docs.states_index([lamp])


def test_links_between_pages_lead_somewhere():
    broken = []
    for path in sorted([*PAGES.rglob("*.md"), *ROOT.glob("*.md")]):
        targets = re.findall(r"\]\((?!https?://|#|mailto:)([^)#\s]+)", path.read_text())
        broken += [f"{path.relative_to(ROOT)}: {target}" for target in targets if not (path.parent / target).exists()]
    assert broken == []


def test_an_error_of_its_own_code_is_found():
    class WholeNewThingError(RefusedInputError):
        """A cause that only this test knows."""

    assert error_code(WholeNewThingError) == "whole_new_thing"
    assert "whole_new_thing" in docs.errors_page([WholeNewThingError])
    assert WholeNewThingError not in docs.declared_errors()
