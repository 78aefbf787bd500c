"""Rates and rules in the database: loading what ships, and reading books of them into memory."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any, Final

import msgspec

from entrepot.base.money import Rounding
from entrepot.base.sql import Conn, columns, execute_counted, fetch, fetch_one
from entrepot.settlement.exchange import ExchangeRate, RateBook, RateType, rate_book_of
from entrepot.settlement.fees import FeeBook, FeeCard
from entrepot.settlement.model import Confidence
from entrepot.settlement.seed import fee_book_from, shipped_exchange_rates, shipped_fee_cards, shipped_tax_rates, shipped_tax_rules
from entrepot.settlement.tax import RateOf, RuleBook, TaxParty, TaxRate, TaxRegime, TaxRule, ThresholdScope, rule_book_of

FIRST_EXCHANGE_DAY: Final = date(2025, 1, 1)
"""Exchange rates are seeded from here: every demo and shifted date lies after it."""

_CARD_FIELDS: Final = (
    "fee_code", "marketplace_code", "model_code", "variant_code", "effective_from", "effective_to", "currency", "basis", "rule_version", "source",
    "confidence", "is_active", "definition",
)  # fmt: skip


_RATE_FIELDS: Final = (
    "country_code", "territory_code", "tax_class", "effective_from", "effective_to", "percent", "area_code", "rate_version", "source",
    "confidence", "is_active",
)  # fmt: skip

_RULE_FIELDS: Final = (
    "rule_version", "priority", "destination", "relation", "established", "buyer_kind", "scheme", "threshold_scope", "threshold_minor",
    "threshold_currency", "threshold_inclusive", "regime", "taxable_person", "collected_by", "remitted_by", "rate_of", "rounding",
    "effective_from", "effective_to", "source", "confidence", "is_active", "excluded_goods",
)  # fmt: skip

_RULE_CODES: Final[Mapping[str, Callable[[Any], object]]] = {
    "threshold_scope": ThresholdScope, "regime": TaxRegime, "taxable_person": TaxParty, "collected_by": TaxParty, "remitted_by": TaxParty,
    "rate_of": RateOf, "rounding": Rounding, "confidence": Confidence, "excluded_goods": frozenset[str],
}  # fmt: skip


async def load_rates(conn: Conn) -> int:
    """Insert every shipped rate and rule that is not there yet and return how many were new; what an operator changed stays."""
    new = await insert_fee_cards(conn, shipped_fee_cards())
    new += await insert_tax_rates(conn, shipped_tax_rates())
    new += await insert_tax_rules(conn, shipped_tax_rules())
    return new + await insert_exchange_rates(conn, shipped_exchange_rates(FIRST_EXCHANGE_DAY))


async def insert_fee_cards(conn: Conn, cards: Sequence[FeeCard]) -> int:
    """Insert fee cards and return how many were new; a card with the same key and start stays as it is."""
    return await execute_counted(
        conn,
        """insert into fee_rate (fee_code, marketplace_code, model_code, variant_code, effective_from, effective_to, currency, basis, rule_version,
               source, confidence, is_active, definition)
           select t.fee_code, t.marketplace_code, t.model_code, t.variant_code, t.effective_from, t.effective_to, t.currency, t.basis,
               t.rule_version, t.source, t.confidence, t.is_active, t.definition::jsonb
           from unnest(%(fee_code)s::text[], %(marketplace_code)s::text[], %(model_code)s::text[], %(variant_code)s::text[],
               %(effective_from)s::date[], %(effective_to)s::date[], %(currency)s::text[], %(basis)s::text[], %(rule_version)s::text[],
               %(source)s::text[], %(confidence)s::text[], %(is_active)s::boolean[], %(definition)s::text[])
               as t(fee_code, marketplace_code, model_code, variant_code, effective_from, effective_to, currency, basis, rule_version, source,
               confidence, is_active, definition)
           on conflict do nothing""",
        {**columns(cards, *_CARD_FIELDS[:-1]), "definition": [msgspec.json.encode(card.definition).decode() for card in cards]},
    )


async def insert_tax_rates(conn: Conn, rates: Sequence[TaxRate]) -> int:
    """Insert tax rates and return how many were new."""
    return await execute_counted(
        conn,
        """insert into tax_rate (country_code, territory_code, tax_class, effective_from, effective_to, percent, area_code, rate_version, source,
               confidence, is_active)
           select * from unnest(%(country_code)s::text[], %(territory_code)s::text[], %(tax_class)s::text[], %(effective_from)s::date[],
               %(effective_to)s::date[], %(percent)s::numeric[], %(area_code)s::text[], %(rate_version)s::text[], %(source)s::text[],
               %(confidence)s::text[], %(is_active)s::boolean[])
           on conflict do nothing""",
        columns(rates, *_RATE_FIELDS),
    )


async def insert_tax_rules(conn: Conn, rules: Sequence[TaxRule]) -> int:
    """Insert tax rules and return how many were new."""
    return await execute_counted(
        conn,
        """insert into tax_rule (rule_version, priority, destination, relation, established, buyer_kind, scheme, threshold_scope, threshold_minor,
               threshold_currency, threshold_inclusive, regime, taxable_person, collected_by, remitted_by, rate_of, rounding, effective_from,
               effective_to, source, confidence, is_active, excluded_goods)
           select t.rule_version, t.priority, t.destination, t.relation, t.established, t.buyer_kind, t.scheme, t.threshold_scope,
               t.threshold_minor, t.threshold_currency, t.threshold_inclusive, t.regime, t.taxable_person, t.collected_by, t.remitted_by,
               t.rate_of, t.rounding, t.effective_from, t.effective_to, t.source, t.confidence, t.is_active, string_to_array(t.excluded, ' ')
           from unnest(%(rule_version)s::text[], %(priority)s::int[], %(destination)s::text[], %(relation)s::text[], %(established)s::text[],
               %(buyer_kind)s::text[], %(scheme)s::text[], %(threshold_scope)s::text[], %(threshold_minor)s::bigint[],
               %(threshold_currency)s::text[], %(threshold_inclusive)s::boolean[], %(regime)s::text[], %(taxable_person)s::text[],
               %(collected_by)s::text[], %(remitted_by)s::text[], %(rate_of)s::text[], %(rounding)s::text[], %(effective_from)s::date[],
               %(effective_to)s::date[], %(source)s::text[], %(confidence)s::text[], %(is_active)s::boolean[], %(excluded)s::text[])
               as t(rule_version, priority, destination, relation, established, buyer_kind, scheme, threshold_scope, threshold_minor,
               threshold_currency, threshold_inclusive, regime, taxable_person, collected_by, remitted_by, rate_of, rounding, effective_from,
               effective_to, source, confidence, is_active, excluded)
           on conflict do nothing""",
        {**columns(rules, *_RULE_FIELDS[:-1]), "excluded": [" ".join(sorted(rule.excluded_goods)) for rule in rules]},
    )


async def insert_exchange_rates(conn: Conn, rates: Sequence[ExchangeRate]) -> int:
    """Insert exchange rates against the euro and return how many were new; a published rate is never changed."""
    return await execute_counted(
        conn,
        """insert into exchange_rate (rate_type, currency, day, rate)
           select * from unnest(%(rate_type)s::text[], %(currency)s::text[], %(day)s::date[], %(rate)s::numeric[])
           on conflict do nothing""",
        columns(rates, "rate_type", "currency", "day", "rate"),
    )


async def read_rate_book(conn: Conn) -> RateBook:
    """Read every exchange rate into memory."""
    rows = await fetch(conn, "select rate_type, currency, day, rate from exchange_rate")
    return rate_book_of(ExchangeRate(RateType(row[0]), row[1], row[2], row[3]) for row in rows)


async def read_rule_book(conn: Conn) -> RuleBook:
    """Read the active tax rules and rates into memory, with the exchange rates their thresholds need."""
    rules = await fetch(conn, f"select {', '.join(_RULE_FIELDS)} from tax_rule where is_active order by priority, rule_version")
    rates = await fetch(
        conn, f"select {', '.join(_RATE_FIELDS)} from tax_rate where is_active order by country_code, territory_code, tax_class, effective_from desc"
    )
    return rule_book_of((_tax_rule(row) for row in rules), (_tax_rate(row) for row in rates), await read_rate_book(conn))


def _tax_rule(row: tuple[Any, ...]) -> TaxRule:
    given: dict[str, Any] = dict(zip(_RULE_FIELDS, row, strict=True))
    given.update({name: kind(given[name]) for name, kind in _RULE_CODES.items()})
    return TaxRule(**given)


def _tax_rate(row: tuple[Any, ...]) -> TaxRate:
    given: dict[str, Any] = dict(zip(_RATE_FIELDS, row, strict=True))
    given["confidence"] = Confidence(given["confidence"])
    return TaxRate(**given)


async def read_fee_book(conn: Conn) -> FeeBook:
    """Read and compile the active fee cards and size tiers."""
    rows = await fetch(
        conn,
        f"""select {", ".join(_CARD_FIELDS)} from fee_rate where is_active order by fee_code, marketplace_code, model_code, variant_code, effective_from""",
    )
    return fee_book_from(_card(row) for row in rows)


async def read_fee_card(conn: Conn, fee_code: str, marketplace_code: str, rule_version: str) -> FeeCard | None:
    """Return the card behind a fee line for the fee explorer, its latest period, or None."""
    row = await fetch_one(
        conn,
        f"""select {", ".join(_CARD_FIELDS)} from fee_rate where rule_version = %(version)s and fee_code = %(fee)s and marketplace_code = %(marketplace)s
           order by effective_from desc limit 1""",
        {"version": rule_version, "fee": fee_code, "marketplace": marketplace_code},
    )
    return _card(row) if row else None


async def read_rule_cards(conn: Conn, fee_code: str, rule_version: str) -> list[FeeCard]:
    """Return every card of a rule version of a fee, for whoever asks why a fee is what it is: its marketplaces, models and classes of product."""
    rows = await fetch(
        conn,
        f"""select {", ".join(_CARD_FIELDS)} from fee_rate where rule_version = %(version)s and fee_code = %(fee)s
           order by marketplace_code, model_code, variant_code, effective_from""",
        {"version": rule_version, "fee": fee_code},
    )
    return [_card(row) for row in rows]


async def read_fee_cards(conn: Conn, marketplace_code: str, on: date) -> list[FeeCard]:
    """Return every card of a marketplace in force on a day, also switched-off ones, for the rate-card page."""
    rows = await fetch(
        conn,
        f"""select {", ".join(_CARD_FIELDS)} from fee_rate
           where marketplace_code = %(marketplace)s and effective_from <= %(day)s and (effective_to is null or effective_to > %(day)s)
           order by fee_code, model_code, variant_code""",
        {"marketplace": marketplace_code, "day": on},
    )
    return [_card(row) for row in rows]


def _card(row: tuple[Any, ...]) -> FeeCard:
    given: dict[str, Any] = dict(zip(_CARD_FIELDS, row, strict=True))
    given["confidence"] = Confidence(given["confidence"])
    return FeeCard(**given)
