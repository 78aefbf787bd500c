"""Dated rules: every fee, tax and duty with its dates and source, and what differs between two days."""

import re
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Annotated, Final, cast

import msgspec
from babel.numbers import format_decimal
from litestar import Response, get
from litestar.params import QueryParameter
from litestar.response import Stream
from msgspec import Struct

from entrepot.base.errors import RefusedInputError
from entrepot.customs.rate_rows import read_duty_rows
from entrepot.settlement.rate_rows import read_rule_rows
from entrepot.surfaces.web.access import HOUSE, VisitorDep, WebRequest, open_to
from entrepot.surfaces.web.house import House, HouseDep, business_now
from entrepot.surfaces.web.languages import Language, mark
from entrepot.surfaces.web.listing import Cell, Column, Filter, Kind, Listing, Row, View
from entrepot.surfaces.web.operator.rows import Texts, answer_rows
from entrepot.surfaces.web.render import page
from entrepot.surfaces.web.words import percent, short_title, titled, words

KINDS: Final = (("fee", mark("Fees")), ("tax_rate", mark("Tax rates")), ("tax_rule", mark("Tax rules")), ("duty", mark("Duty rates")))
_TOLD: Final = 160
_CODE: Final = re.compile(r"[a-z]+(?:_[a-z0-9]+)*")
_NUMBERED: Final = re.compile(r"(?P<code>[a-z]+(?:_[a-z]+)*)(?:_(?P<number>[0-9.]+))?")
_OWN_WORDS: Final = {"base": mark("Basic rate"), "none": mark("No threshold"), "step": mark("Step size")}
"""Codes that mean something else in rules than on other pages."""
_DUTY_WORDS: Final = {"base": mark("Basic duty rate")}
_UNITS: Final = frozenset({"kg", "g", "lb", "oz", "cm", "in", "m"})
"""Units of measure are written alike everywhere."""
_NUMBER: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_SHARE: Final = re.compile(r"(?P<share>[0-9.]+) %")
_NOTHING: Final = "\u2013"
_ANY: Final = "*"
_CHANGES: Final = 300
_FEW: Final = 12
_CHANGED, _GONE, _NEW = "changed", "gone", "new"
_HOW: Final = ((_CHANGED, mark("changed")), (_GONE, mark("no longer in force")), (_NEW, mark("new")))
_RATES: Final = frozenset({"tax_rate", "duty"})
"""Kinds whose rules say one percentage each."""
LIST: Final = Listing(
    "rules",
    "/operator/rules",
    (
        Column("key", mark("Rule"), is_sortable=True),
        Column("kind", mark("Kind"), Kind.WORDS, is_sortable=True, is_whole=True),
        Column("told", mark("What it says")),
        Column("from", mark("Valid from"), Kind.DAY, is_sortable=True),
        Column("to", mark("Before"), Kind.DAY, is_sortable=True),
        Column("confidence", mark("Confidence"), Kind.WORDS, is_sortable=True),
        Column("source", mark("Source"), is_optional=True),
        Column("version", mark("Version"), Kind.CODE, is_optional=True),
    ),
    (Filter("q", mark("Rule or source")), Filter("kind", mark("Any kind"), KINDS)),
    tuple(View(code, title, {"kind": code}) for code, title in KINDS),
    sort="key",
)
TEXTS: Final = Texts(
    "rules",
    mark("Rules"),
    mark("Fees, taxes and duties with their dates, * for any; a decision keeps the version it was made by"),
    mark("No rules are loaded"),
    mark("Rules come with the product and are loaded when the house opens."),
)


class NotADayError(RefusedInputError):
    """The day to compare is no date."""


class DatedRule(Struct, frozen=True):
    """A rule of any kind."""

    kind: str
    key: str
    told: str
    version: str
    effective_from: date
    effective_to: date | None
    source: str
    confidence: str

    def holds_on(self, day: date) -> bool:
        """Tell whether the rule is in force on a day."""
        return self.effective_from <= day and (self.effective_to is None or day < self.effective_to)


class Change(Struct, frozen=True):
    """A rule that says something else on the later day; what was or is not there is empty."""

    kind: str
    key: str
    before: str
    after: str


class Group(Struct, frozen=True):
    """Changes of one kind of rule that went the same way: how they are called, the first of them, and how many there are."""

    title: str
    how: str
    way: str
    rows: list[Change]
    count: int
    is_rate: bool
    is_open: bool


async def _rules(house: HouseDep) -> list[DatedRule]:
    async with house.database.reading() as conn:
        settled = await read_rule_rows(conn)
        duties = await read_duty_rows(conn)
    found = [
        DatedRule(one.kind, one.key, one.told, one.version, one.effective_from, one.effective_to, one.source, one.confidence)
        for one in settled
        if one.is_active
    ]
    return found + [
        DatedRule("duty", one.key, one.told, one.version, one.effective_from, one.effective_to, one.source, one.confidence)
        for one in duties
        if one.is_active
    ]


@get("/operator/rules", opt=open_to(HOUSE))
async def show_rules(request: WebRequest, house: HouseDep, visitor: VisitorDep) -> Response[str] | Stream:
    """Show all rules, past and future ones too."""
    models = _models(house)
    rows = [
        Row(
            f"{one.kind}:{one.version}:{one.effective_from}",
            {
                "key": Cell(_key(visitor.language, models, one.kind, one.key)),
                "kind": Cell(one.kind),
                "told": Cell(_shortened(says(visitor.language, one.told))),
                "from": Cell(one.effective_from),
                "to": Cell(one.effective_to),
                "confidence": Cell(one.confidence),
                "source": Cell(one.source),
                "version": Cell(one.version),
            },
        )
        for one in await _rules(house)
    ]
    async with house.database.reading() as conn:
        today = (await business_now(conn)).date()
    values: dict[str, object] = {"today": today, "year_ago": today.replace(year=today.year - 1, day=min(today.day, 28))}
    return await answer_rows(request, house, visitor, LIST, TEXTS, rows, values, "operator/rules.html")


@get("/operator/rules/diff", opt=open_to(HOUSE))
async def show_changes(
    house: HouseDep,
    visitor: VisitorDep,
    first: Annotated[str, QueryParameter(name="from")] = "",
    last: Annotated[str, QueryParameter(name="to")] = "",
) -> Response[str]:
    """Show what rules say on a day that they did not say on an earlier one."""
    async with house.database.reading() as conn:
        today = (await business_now(conn)).date()
    before, after = (_day(text) if text else today for text in (first, last))
    models = _models(house)
    changes = [
        Change(one.kind, _key(visitor.language, models, one.kind, one.key), says(visitor.language, one.before), says(visitor.language, one.after))
        for one in changes_between(await _rules(house), before, after)
    ]
    values: dict[str, object] = {"before": before, "after": after, "groups": grouped(changes), "count": len(changes)}
    return page("operator/rules_diff.html", visitor, values)


def grouped(changes: Sequence[Change]) -> list[Group]:
    """Return changes by the way they went and by kind: what says something else first, what is new last; long groups closed."""
    found: list[Group] = []
    for way, how in _HOW:
        for kind, title in KINDS:
            rows = [one for one in changes if one.kind == kind and _way(one) == way]
            if rows:
                found.append(Group(title, how, way, rows[:_CHANGES], len(rows), kind in _RATES, way == _CHANGED or len(rows) <= _FEW))
    return found


def _way(change: Change) -> str:
    return _NEW if not change.before else _GONE if not change.after else _CHANGED


def changes_between(rules: Sequence[DatedRule], before: date, after: date) -> list[Change]:
    """Return every rule that says something else on one day than on another, by kind and key."""
    said: list[dict[tuple[str, str], str]] = []
    for day in (before, after):
        held: dict[tuple[str, str], list[str]] = {}
        for one in rules:
            if one.holds_on(day):
                held.setdefault((one.kind, one.key), []).append(one.told)
        said.append({key: "; ".join(sorted(texts)) for key, texts in held.items()})
    keys = sorted({*said[0], *said[1]})
    return [Change(*key, said[0].get(key, ""), said[1].get(key, "")) for key in keys if said[0].get(key) != said[1].get(key)]


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise NotADayError("day", text, "Write it as 2026-09-01.") from None


def _key(language: Language, models: Mapping[str, str], kind: str, key: str) -> str:
    """Return the parts of a rule's key in words, models by their short titles; countries, stores, tariff numbers and stars stay."""
    said: list[str] = []
    for part in (one.strip() for one in key.split(" / ")):
        if part in models:
            said.append(language.gettext(models[part]))
        elif kind == "duty" and part in _DUTY_WORDS:
            said.append(language.gettext(_DUTY_WORDS[part]))
        else:
            said.append(_said(language, part) or _ANY)
    return " / ".join(said)


def _models(house: House) -> dict[str, str]:
    """Return the short title of each operation model."""
    return {plan.model_code: short_title(plan.model.title) for plan in house.registry.plans()}


def _worded(language: Language, code: str) -> str:
    return code if code in _UNITS else language.gettext(_OWN_WORDS[code]) if code in _OWN_WORDS else words(language, code)


def _said(language: Language, part: str) -> str:
    found = _NUMBERED.fullmatch(part)
    return part if found is None else " ".join(filter(None, (_worded(language, found["code"]), _decimal(language, found["number"]))))


def says(language: Language, told: str) -> str:
    """Return what a rule says, its codes in words and what is nested in it spread out; numbers and currencies stay."""
    return "; ".join(" · ".join(_parts(language, part)) for part in told.split("; ")) if told else ""


def _parts(language: Language, told: str) -> list[str]:
    head, brace, rest = told.partition("{")
    parts = [_worded(language, part) if _CODE.fullmatch(part) else part for part in head.split()]
    share = _SHARE.fullmatch(head.strip())
    parts = [percent(language, Decimal(share["share"]) / 100)] if share else parts
    if not brace:
        return parts
    try:
        terms = msgspec.json.decode(f"{{{rest}", type=dict[str, object])
    except msgspec.DecodeError:
        return [*parts, brace + rest]
    return [*parts, *(titled(language, _worded(language, name), _spread(language, value)) for name, value in terms.items())]


def _spread(language: Language, value: object) -> str:
    """Return a value of a rule in one line."""
    if isinstance(value, list):
        inner = cast("list[object]", value)
        are_numbers = all(one is None or _NUMBER.fullmatch(str(one)) for one in inner)
        return (" / " if are_numbers else language.gettext(", ")).join(_spread(language, one) for one in inner)
    if isinstance(value, dict):
        return ", ".join(f"{_worded(language, name)} {_spread(language, one)}" for name, one in cast("dict[str, object]", value).items())
    if isinstance(value, str):
        return _worded(language, value) if _CODE.fullmatch(value) else _decimal(language, value) if _NUMBER.fullmatch(value) else value
    if isinstance(value, bool):
        return language.gettext("yes") if value else language.gettext("no")
    return _NOTHING if value is None else _decimal(language, str(value))


def _decimal(language: Language, number: str | None) -> str:
    """Return a number as the language writes it, its thousands together: it stands among others."""
    return format_decimal(Decimal(number), format="0.######", locale=language.locale) if number else ""


def _shortened(text: str) -> str:
    return text if len(text) <= _TOLD else text[:_TOLD] + "…"
