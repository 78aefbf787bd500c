"""The rule rows that ship with the product, read from the package's data files."""

import csv
import io
import tomllib
from importlib.resources import files
from typing import Any

from entrepot.customs.rule_rows import rule_of
from entrepot.customs.rules import CbecLimit, CbecRate, DutyRate, ImportRule, ImportTax, RuleRows, ScreeningRule


def seed_rows() -> RuleRows:
    """Return all shipped rule rows, also those that ship switched off because an operator must confirm them."""
    rules = _toml("import_rules.toml")
    return RuleRows(
        duty_rates=tuple(rule_of(DutyRate, row) for row in _csv("duty_rates.csv")),
        import_rules=tuple(rule_of(ImportRule, {**rules["defaults"], **row}) for row in rules["rule"]),
        import_taxes=tuple(rule_of(ImportTax, row) for row in _csv("import_taxes.csv")),
        cbec_rates=tuple(rule_of(CbecRate, row) for row in _csv("cbec_rates.csv")),
        cbec_limits=tuple(rule_of(CbecLimit, row) for row in _toml("cbec_limits.toml")["limit"]),
        screening_rules=tuple(rule_of(ScreeningRule, {"effective_to": "", **row}) for row in _toml("screening_rules.toml")["rule"]),
    )


def _text(name: str) -> str:
    return files("entrepot.customs").joinpath("rates", name).read_text(encoding="utf-8")


def _csv(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(_text(name))))


def _toml(name: str) -> dict[str, Any]:
    return tomllib.loads(_text(name))
