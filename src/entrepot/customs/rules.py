"""Dated rule rows of customs and the rule book that answers by territory, goods and date without SQL."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol, TypeVar

from msgspec import Struct

from entrepot.base.money import Rounding
from entrepot.customs.valuation import Method


class Confidence(StrEnum):
    """How well a rule row is founded, best first."""

    SEEN = "seen"
    DERIVED = "derived"
    DEMO = "demo"
    MEMORY = "memory"


class BuyerKind(StrEnum):
    """Who buys: some regimes are for consumers only."""

    CONSUMER = "consumer"
    BUSINESS = "business"
    ANY = "any"


class Scope(StrEnum):
    """What a threshold is compared with: one item's price or the whole consignment."""

    ITEM = "item"
    CONSIGNMENT = "consignment"


class LimitTest(StrEnum):
    """Whether the limit itself still belongs to the regime."""

    AT_MOST = "at_most"
    BELOW = "below"
    NONE = "none"


class DutyKind(StrEnum):
    """How a regime asks for duty."""

    NONE = "none"
    TARIFF = "tariff"
    PER_TARIFF_LINE = "per_tariff_line"
    FLAT = "flat"


class TaxKind(StrEnum):
    """When a regime asks for the import tax; `inside` computes it within its own base."""

    NONE = "none"
    AT_SALE = "at_sale"
    AT_IMPORT = "at_import"
    INSIDE = "inside"


class TaxBase(StrEnum):
    """What the import tax is computed on."""

    SALE = "sale"
    CIF_DUTY = "cif_duty"
    VALUE_DUTY = "value_duty"


class Verdict(StrEnum):
    """What screening says about goods on a lane, mildest first."""

    CLEAR = "clear"
    DANGEROUS = "dangerous"
    RESTRICTED = "restricted"
    PROHIBITED = "prohibited"


class DutyRate(Struct, frozen=True):
    """An ad-valorem duty layer for goods by HS prefix and origin; fees have a least and greatest sum per consignment."""

    rate_code: str
    territory_code: str
    layer_code: str
    origin_code: str
    hs_prefix: str
    rate: Decimal
    minimum_minor: int | None
    maximum_minor: int | None
    currency: str
    effective_from: date
    effective_to: date | None
    card_name: str
    source: str
    confidence: Confidence
    is_active: bool
    note: str


class ImportRule(Struct, frozen=True):
    """A regime of a territory: for whom, up to which value, how goods are valued and what is asked, by whom collected."""

    rule_code: str
    territory_code: str
    sequence: int
    declaration_code: str
    buyer_kind: BuyerKind
    ship_from_codes: tuple[str, ...]
    excluded_hs: tuple[str, ...]
    scope: Scope
    measure: Method
    limit_test: LimitTest
    limit_minor: int
    currency: str
    valuation: Method
    duty_kind: DutyKind
    duty_rate: Decimal
    duty_minor: int
    tax_kind: TaxKind
    tax_base: TaxBase
    tax_waived_minor: int
    duty_collector: str
    tax_collector: str
    rounding: Rounding
    effective_from: date
    effective_to: date | None
    card_name: str
    source: str
    confidence: Confidence
    is_active: bool
    note: str


class ImportTax(Struct, frozen=True):
    """A value-added or goods-and-services tax rate of a country by class of goods."""

    tax_code: str
    country_code: str
    class_code: str
    rate: Decimal
    effective_from: date
    effective_to: date | None
    card_name: str
    source: str
    confidence: Confidence
    is_active: bool
    note: str


class CbecRate(Struct, frozen=True):
    """A row of the list of retail imports into mainland China with its statutory rates."""

    list_code: str
    hs_prefix: str
    description: str
    vat_rate: Decimal
    consumption_rate: Decimal
    consumption_threshold_minor: int | None
    consumption_unit: str
    duty_rate: Decimal
    regime_codes: tuple[str, ...]
    remark: str
    effective_from: date
    effective_to: date | None
    card_name: str
    source: str
    confidence: Confidence
    is_active: bool
    note: str


class CbecLimit(Struct, frozen=True):
    """Limits per order and per person and year in fen, the share of tax within them, and the days for returns."""

    limit_code: str
    order_minor: int
    year_minor: int
    tax_share: Decimal
    full_tax_over_order_limit: bool
    return_asked_days: int
    return_back_days: int
    rounding: Rounding
    effective_from: date
    effective_to: date | None
    source: str
    confidence: Confidence
    is_active: bool
    note: str


class ScreeningRule(Struct, frozen=True):
    """What may not travel to a territory, by HS prefix, hazard and transport; empty codes match everything."""

    screening_code: str
    territory_code: str
    hs_prefix: str
    hazard_code: str
    transport_code: str
    verdict: Verdict
    remedy: str
    effective_from: date
    effective_to: date | None
    source: str
    confidence: Confidence
    is_active: bool


class _Dated(Protocol):
    @property
    def effective_from(self) -> date: ...
    @property
    def effective_to(self) -> date | None: ...
    @property
    def is_active(self) -> bool: ...


_Row = TypeVar("_Row", bound=_Dated)


class RuleRows(Struct, frozen=True):
    """All rule rows as they are stored, also those that are switched off."""

    duty_rates: tuple[DutyRate, ...]
    import_rules: tuple[ImportRule, ...]
    import_taxes: tuple[ImportTax, ...]
    cbec_rates: tuple[CbecRate, ...]
    cbec_limits: tuple[CbecLimit, ...]
    screening_rules: tuple[ScreeningRule, ...]


class RuleBook(Struct, frozen=True):
    """The active rule rows, indexed; read once and used in memory. Regimes and limits by code also hold what was switched off later."""

    regimes: Mapping[str, tuple[ImportRule, ...]]
    regime_of_code: Mapping[str, ImportRule]
    duty_layers: Mapping[str, tuple[str, ...]]
    duty_rates: Mapping[tuple[str, str, str, str], tuple[DutyRate, ...]]
    hs_lengths: tuple[int, ...]
    import_taxes: Mapping[tuple[str, str], tuple[ImportTax, ...]]
    cbec_rates: Mapping[str, tuple[CbecRate, ...]]
    cbec_hs_lengths: tuple[int, ...]
    cbec_limits: tuple[CbecLimit, ...]
    limit_of_code: Mapping[str, CbecLimit]
    screening_rules: tuple[ScreeningRule, ...]


BASE_LAYER = "base"
"""The layer of the ordinary tariff; without it nothing is owed and nothing may be assessed."""


def build_rule_book(rows: RuleRows) -> RuleBook:
    """Index the active rows; rows that are switched off do not exist for the rules."""
    regimes: dict[str, list[ImportRule]] = {}
    for rule in sorted((rule for rule in rows.import_rules if rule.is_active), key=lambda rule: (rule.sequence, rule.rule_code)):
        regimes.setdefault(rule.territory_code, []).append(rule)
    duty = [row for row in rows.duty_rates if row.is_active]
    layers: dict[str, set[str]] = {}
    for row in duty:
        layers.setdefault(row.territory_code, set()).add(row.layer_code)
    cbec = [row for row in rows.cbec_rates if row.is_active]
    return RuleBook(
        MappingProxyType({territory: tuple(found) for territory, found in regimes.items()}),
        MappingProxyType({rule.rule_code: rule for rule in rows.import_rules}),
        MappingProxyType({territory: tuple(sorted(codes, key=lambda code: (code != BASE_LAYER, code))) for territory, codes in layers.items()}),
        _grouped(duty, lambda row: (row.territory_code, row.layer_code, row.origin_code, row.hs_prefix)),
        tuple(sorted({len(row.hs_prefix) for row in duty}, reverse=True)),
        _grouped((row for row in rows.import_taxes if row.is_active), lambda row: (row.country_code, row.class_code)),
        _grouped(cbec, lambda row: row.hs_prefix),
        tuple(sorted({len(row.hs_prefix) for row in cbec}, reverse=True)),
        tuple(sorted((row for row in rows.cbec_limits if row.is_active), key=lambda row: row.effective_from)),
        MappingProxyType({row.limit_code: row for row in rows.cbec_limits}),
        tuple(sorted((row for row in rows.screening_rules if row.is_active), key=lambda row: row.screening_code)),
    )


def in_force(rows: Sequence[_Row], on: date) -> _Row | None:
    """Return the first row in force on a date, or None; a row of another date is never borrowed."""
    for row in rows:
        if row.effective_from <= on and (row.effective_to is None or on < row.effective_to):
            return row
    return None


def duty_rate_on(book: RuleBook, territory_code: str, layer_code: str, origin_code: str, hs_code: str, on: date) -> DutyRate | None:
    """Return the layer's rate for goods: the longest HS prefix wins, at equal length the named origin before any origin."""
    rates = book.duty_rates
    for length in book.hs_lengths:
        if length > len(hs_code):
            continue
        prefix = hs_code[:length]
        for origin in (origin_code, "*"):
            found = rates.get((territory_code, layer_code, origin, prefix))
            if found is not None and (row := in_force(found, on)) is not None:
                return row
    return None


def import_tax_on(book: RuleBook, country_code: str, class_code: str, on: date) -> ImportTax | None:
    """Return the tax rate of a class of goods; a country without that class uses its standard rate of the same date."""
    row = in_force(book.import_taxes.get((country_code, class_code), ()), on)
    if row is None and class_code != "standard":
        row = in_force(book.import_taxes.get((country_code, "standard"), ()), on)
    return row


def cbec_rate_on(book: RuleBook, hs_code: str, on: date) -> CbecRate | None:
    """Return the list row of goods on a date, or None when the goods are not on the list."""
    for length in book.cbec_hs_lengths:
        if length <= len(hs_code) and (row := in_force(book.cbec_rates.get(hs_code[:length], ()), on)) is not None:
            return row
    return None


def cbec_limit_on(book: RuleBook, on: date) -> CbecLimit | None:
    """Return the limits in force on a date."""
    return in_force(book.cbec_limits, on)


_CONFIDENCES = tuple(Confidence)


def weakest(confidences: Iterable[Confidence]) -> Confidence:
    """Return the least founded of several confidences."""
    return max(confidences, key=_CONFIDENCES.index, default=Confidence.SEEN)


_Key = TypeVar("_Key")


def _grouped(rows: Iterable[_Row], key: Callable[[_Row], _Key]) -> Mapping[_Key, tuple[_Row, ...]]:
    groups: dict[_Key, list[_Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return MappingProxyType({name: tuple(sorted(found, key=lambda row: row.effective_from)) for name, found in groups.items()})
