"""What a consignment owes at a customs border: the regime by destination, date, value and buyer; duty and import tax per line; who collects."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from entrepot.base.money import decimals_of, round_minor, split_by_weight
from entrepot.customs.goods import VERSION_MARK, AssessedLine, GoodsLine, NoRule, NoRuleCause, NoRuleOnDateError, require_classified
from entrepot.customs.rules import (
    BASE_LAYER,
    BuyerKind,
    Confidence,
    DutyKind,
    DutyRate,
    ImportRule,
    ImportTax,
    LimitTest,
    RuleBook,
    Scope,
    TaxBase,
    TaxKind,
    duty_rate_on,
    import_tax_on,
    weakest,
)
from entrepot.customs.territory import crosses_border, territory_of
from entrepot.customs.valuation import Method, customs_value_minor

_ZERO: Final = Decimal(0)


class Terms(StrEnum):
    """Delivered duty paid (collected at checkout) or duty at place (collected from the buyer on arrival)."""

    DDP = "DDP"
    DAP = "DAP"


class SaleCollector(StrEnum):
    """Who collects the import tax at the sale where the destination allows it: the marketplace, the seller, or nobody."""

    MARKETPLACE = "marketplace"
    SELLER = "seller"
    NOBODY = "nobody"


class ConsignmentAsk(Struct, frozen=True):
    """All inputs of an assessment; `rates` give units of another currency for one unit of `currency`, by the customs rate of the date."""

    ship_from: str
    ship_to: str
    on: date
    currency: str
    lines: tuple[GoodsLine, ...]
    terms: Terms = Terms.DDP
    buyer_kind: BuyerKind = BuyerKind.CONSUMER
    sale_collector: SaleCollector = SaleCollector.MARKETPLACE
    rates: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])


class Outcome(StrEnum):
    """Whether a border was crossed and whether a rule was found for it."""

    NO_BORDER = "no_border"
    ASSESSED = "assessed"
    NO_RULE = "no_rule"


class Assessment(Struct, frozen=True):
    """The result per line and in sum, in minor units of the ask's currency; with the ask it is recomputed exactly."""

    outcome: Outcome
    currency: str = ""
    lines: tuple[AssessedLine, ...] = ()
    duty_minor: int = 0
    tax_minor: int = 0
    confidence: Confidence = Confidence.SEEN
    no_rule: NoRule | None = None


NO_BORDER: Final = Assessment(Outcome.NO_BORDER)
"""Goods that stay in their customs territory owe customs nothing; the tax of the sale is another matter."""


class _NothingInForceError(Exception):
    """Ends an assessment inside this file; callers receive a `NoRule`."""

    def __init__(self, cause: NoRuleCause, missing: str) -> None:
        super().__init__(cause, missing)
        self.no_rule = NoRule(cause, missing)


def assess_consignment(book: RuleBook, ask: ConsignmentAsk) -> Assessment:
    """Assess a consignment: no border, every line assessed, or no rule in force; goods without classification are refused."""
    if not crosses_border(ask.ship_from, ask.ship_to, ask.on):
        return NO_BORDER
    require_classified(ask.lines)
    try:
        groups = _regime_of_lines(book, ask)
        assessed = [line for rule, lines in groups for line in _assess_group(book, ask, rule, lines)]
    except _NothingInForceError as nothing:
        return Assessment(Outcome.NO_RULE, ask.currency, no_rule=nothing.no_rule)
    assessed.sort(key=lambda line: line.goods.line_no)
    return Assessment(
        Outcome.ASSESSED,
        ask.currency,
        tuple(assessed),
        sum(line.duty_minor for line in assessed),
        sum(line.tax_minor for line in assessed),
        weakest(line.confidence for line in assessed),
    )


def assess_consignments(book: RuleBook, asks: Iterable[ConsignmentAsk]) -> list[Assessment]:
    """Assess many consignments, each on its own."""
    return [assess_consignment(book, ask) for ask in asks]


def inputs_of(ask: ConsignmentAsk) -> dict[str, Any]:
    """Return the ask as a JSON document to be stored beside the result."""
    return msgspec.to_builtins(ask)


def ask_of(inputs: Mapping[str, Any]) -> ConsignmentAsk:
    """Return the ask from its stored inputs, so that a result can be recomputed."""
    return msgspec.convert(inputs, ConsignmentAsk)


def require_assessed(assessment: Assessment, field_name: str = "destination") -> Assessment:
    """Return an assessment that may be charged, or refuse when no rule is in force."""
    if assessment.no_rule is not None:
        raise NoRuleOnDateError(
            field_name, assessment.no_rule.missing, "Ask the operator to confirm a rule (%(cause)s).", cause=assessment.no_rule.cause
        )
    return assessment


def landed_cost_minor(ask: ConsignmentAsk, assessment: Assessment) -> int:
    """Return what the goods cost to the door in minor units: goods less discounts, freight, insurance, duty and import tax."""
    return sum(customs_value_minor(Method.CIF, line.components) for line in ask.lines) + assessment.duty_minor + assessment.tax_minor


def _regime_of_lines(book: RuleBook, ask: ConsignmentAsk) -> list[tuple[ImportRule, list[GoodsLine]]]:
    territory = territory_of(ask.ship_to, ask.on)
    rules = [rule for rule in book.regimes.get(territory, ()) if _is_for(rule, ask)]
    left = list(ask.lines)
    groups: list[tuple[ImportRule, list[GoodsLine]]] = []
    for rule in rules:
        taken = [line for line in left if _admits(rule, ask, (line,))] if rule.scope is Scope.ITEM else left if _admits(rule, ask, ask.lines) else []
        if taken:
            groups.append((rule, taken))
            numbers = {line.line_no for line in taken}
            left = [line for line in left if line.line_no not in numbers]
        if not left:
            return groups
    missing = f"{territory} on {ask.on.isoformat()}, HS {left[0].hs_code}" if left else f"{territory} on {ask.on.isoformat()}"
    raise _NothingInForceError(NoRuleCause.IMPORT_RULE, missing)


def _is_for(rule: ImportRule, ask: ConsignmentAsk) -> bool:
    return (
        rule.effective_from <= ask.on
        and (rule.effective_to is None or ask.on < rule.effective_to)
        and rule.buyer_kind in {BuyerKind.ANY, ask.buyer_kind}
        and (not rule.ship_from_codes or ask.ship_from in rule.ship_from_codes)
    )


def _admits(rule: ImportRule, ask: ConsignmentAsk, lines: Sequence[GoodsLine]) -> bool:
    """Tell whether the goods are covered and their value is within the limit: per piece for one line of an item rule, else in sum."""
    if rule.excluded_hs and any(line.hs_code.startswith(rule.excluded_hs) for line in lines):
        return False
    if rule.limit_test is LimitTest.NONE:
        return True
    value_minor = sum(customs_value_minor(rule.measure, line.components) for line in lines)
    pieces = lines[0].quantity if rule.scope is Scope.ITEM else 1
    value = _in_currency(value_minor, ask, rule.currency)
    limit = rule.limit_minor * pieces
    return value < limit or (rule.limit_test is LimitTest.AT_MOST and value == limit)


def _rate_to(ask: ConsignmentAsk, currency: str) -> Decimal:
    rate = ask.rates.get(currency)
    if rate is None:
        raise _NothingInForceError(NoRuleCause.CUSTOMS_RATE, f"{ask.currency} to {currency} on {ask.on.isoformat()}")
    return rate.scaleb(decimals_of(currency) - decimals_of(ask.currency))


def _in_currency(value_minor: int, ask: ConsignmentAsk, currency: str) -> Decimal:
    """Return minor units of another currency, unrounded: a threshold is met or not, whatever rounding would say."""
    return Decimal(value_minor) if currency == ask.currency else value_minor * _rate_to(ask, currency)


def _from_currency(rule_minor: int, ask: ConsignmentAsk, rule: ImportRule | DutyRate) -> Decimal:
    return Decimal(rule_minor) if rule.currency == ask.currency else rule_minor / _rate_to(ask, rule.currency)


class _Duties(Struct, frozen=True):
    """Duty per line with its rate and the rows it came from."""

    minor: list[int]
    rates: list[Decimal]
    rows: list[list[DutyRate]]


def _assess_group(book: RuleBook, ask: ConsignmentAsk, rule: ImportRule, lines: Sequence[GoodsLine]) -> list[AssessedLine]:
    values = [customs_value_minor(rule.valuation, line.components) for line in lines]
    duties = _duties(book, ask, rule, lines, values)
    kind, base, collector = rule.tax_kind, rule.tax_base, rule.tax_collector
    if kind is TaxKind.AT_SALE:
        if ask.sale_collector is SaleCollector.NOBODY:
            kind, base, collector = TaxKind.AT_IMPORT, TaxBase.CIF_DUTY, "carrier"
        else:
            collector = str(ask.sale_collector)
    taxes = [_tax_row(book, ask, line) if kind is not TaxKind.NONE else None for line in lines]
    bases = [_tax_base_minor(base, line, value, duty) for line, value, duty in zip(lines, values, duties.minor, strict=True)]
    tax_minor = [_tax_minor(rule, kind, tax, base_minor) for tax, base_minor in zip(taxes, bases, strict=True)]
    if rule.tax_waived_minor and sum(tax_minor) <= _from_currency(rule.tax_waived_minor, ask, rule):
        tax_minor = [0] * len(lines)
    is_prepaid = ask.terms is Terms.DDP
    return [
        AssessedLine(
            line,
            rule.declaration_code,
            rule.valuation,
            values[i],
            duties.rates[i],
            duties.minor[i],
            tax.rate if tax is not None else _ZERO,
            bases[i] if tax is not None else 0,
            tax_minor[i],
            0,
            rule.duty_collector,
            collector,
            is_prepaid or rule.duty_collector == "marketplace",
            is_prepaid or kind is TaxKind.AT_SALE or collector == "marketplace",
            _version(rule, duties.rows[i], tax),
            weakest((rule.confidence, *(row.confidence for row in duties.rows[i]), *((tax.confidence,) if tax is not None else ()))),
        )
        for i, (line, tax) in enumerate(zip(lines, taxes, strict=True))
    ]


def _duties(book: RuleBook, ask: ConsignmentAsk, rule: ImportRule, lines: Sequence[GoodsLine], values: Sequence[int]) -> _Duties:
    none: list[list[DutyRate]] = [[] for _ in lines]
    if rule.duty_kind is DutyKind.NONE:
        return _Duties([0] * len(lines), [_ZERO] * len(lines), none)
    if rule.duty_kind is DutyKind.TARIFF:
        return _tariff_duties(book, ask, rule, lines, values)
    if rule.duty_kind is DutyKind.FLAT:
        return _Duties(_flat_duties(ask, rule, values), [rule.duty_rate] * len(lines), none)
    by_tariff_line: dict[str, list[int]] = {}
    for i, line in enumerate(lines):
        by_tariff_line.setdefault(line.hs_code[:6], []).append(i)
    each_minor = round_minor(_from_currency(rule.duty_minor, ask, rule), rule.rounding)
    minor = [0] * len(lines)
    for members in by_tariff_line.values():
        for i, part in zip(members, split_by_weight(each_minor, [values[i] for i in members]), strict=True):
            minor[i] = part
    return _Duties(minor, [_ZERO] * len(lines), none)


def _flat_duties(ask: ConsignmentAsk, rule: ImportRule, values: Sequence[int]) -> list[int]:
    if not rule.duty_minor:
        return [round_minor(value * rule.duty_rate, rule.rounding) for value in values]
    whole = sum(values) * rule.duty_rate + _from_currency(rule.duty_minor, ask, rule)
    return split_by_weight(max(0, round_minor(whole, rule.rounding)), values)


def _tariff_duties(book: RuleBook, ask: ConsignmentAsk, rule: ImportRule, lines: Sequence[GoodsLine], values: Sequence[int]) -> _Duties:
    """Stack the layers of the territory; the ordinary tariff must be known, fees are held between their least and greatest sum."""
    minor = [0] * len(lines)
    rows: list[list[DutyRate]] = [[] for _ in lines]
    for layer in book.duty_layers.get(rule.territory_code, (BASE_LAYER,)):
        found = [_layer_row(book, ask, rule.territory_code, layer, line) for line in lines]
        parts = [round_minor(value * row.rate, rule.rounding) if row is not None else 0 for value, row in zip(values, found, strict=True)]
        bounds = next((row for row in found if row is not None and (row.minimum_minor is not None or row.maximum_minor is not None)), None)
        if bounds is not None:
            parts = split_by_weight(_bounded(ask, rule, bounds, sum(parts)), [value if row else 0 for value, row in zip(values, found, strict=True)])
        minor = [had + part for had, part in zip(minor, parts, strict=True)]
        for stack, row in zip(rows, found, strict=True):
            stack.extend([row] if row is not None else [])
    return _Duties(minor, [sum((row.rate for row in stack), _ZERO) for stack in rows], rows)


def _layer_row(book: RuleBook, ask: ConsignmentAsk, territory_code: str, layer: str, line: GoodsLine) -> DutyRate | None:
    row = duty_rate_on(book, territory_code, layer, line.origin_code, line.hs_code, ask.on)
    if row is None and layer == BASE_LAYER:
        raise _NothingInForceError(NoRuleCause.DUTY_RATE, f"{territory_code} HS {line.hs_code} on {ask.on.isoformat()}")
    return row


def _bounded(ask: ConsignmentAsk, rule: ImportRule, row: DutyRate, total_minor: int) -> int:
    if row.minimum_minor is not None:
        total_minor = max(total_minor, round_minor(_from_currency(row.minimum_minor, ask, row), rule.rounding))
    if row.maximum_minor is not None:
        total_minor = min(total_minor, round_minor(_from_currency(row.maximum_minor, ask, row), rule.rounding))
    return total_minor


def _tax_row(book: RuleBook, ask: ConsignmentAsk, line: GoodsLine) -> ImportTax:
    row = import_tax_on(book, ask.ship_to, line.tax_class, ask.on)
    if row is None:
        raise _NothingInForceError(NoRuleCause.TAX_RATE, f"{ask.ship_to} {line.tax_class} on {ask.on.isoformat()}")
    return row


def _tax_base_minor(base: TaxBase, line: GoodsLine, value_minor: int, duty_minor: int) -> int:
    if base is TaxBase.VALUE_DUTY:
        return value_minor + duty_minor
    paid_minor = customs_value_minor(Method.CIF, line.components)
    return paid_minor if base is TaxBase.SALE else paid_minor + duty_minor


def _tax_minor(rule: ImportRule, kind: TaxKind, tax: ImportTax | None, base_minor: int) -> int:
    if tax is None:
        return 0
    if kind is TaxKind.INSIDE:
        return round_minor(base_minor * tax.rate / (1 - tax.rate), rule.rounding)
    return round_minor(base_minor * tax.rate, rule.rounding)


def _version(rule: ImportRule, rows: Sequence[DutyRate], tax: ImportTax | None) -> str:
    codes = [rule.rule_code, *(row.rate_code for row in rows)]
    if tax is not None:
        codes.append(tax.tax_code)
    return VERSION_MARK.join(codes)


def with_classification(ask: ConsignmentAsk, line_no: int, hs_code: str) -> ConsignmentAsk:
    """Return the ask with another HS code on a line, for what customs assessed after re-classifying."""
    return replace(ask, lines=tuple(replace(line, hs_code=hs_code) if line.line_no == line_no else line for line in ask.lines))
