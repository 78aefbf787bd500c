"""Fees: which card charges a fee on a day, and the lines that follow from it, each with its rule version and inputs."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from itertools import product
from types import MappingProxyType
from typing import Any, Final

from msgspec import Struct

from entrepot.base.errors import UnknownReferenceError
from entrepot.settlement.model import ANY, Confidence, divide_rounded, is_in_force
from entrepot.settlement.size_tiers import Sized, TierSet

ANY_CLASS: Final = "any"
"""Variant of a card that holds for every class of product."""

SIZE_TIERS: Final = "size_tiers"
"""Code under which dated sets of size tiers are kept beside the cards."""

ADD_ONS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "fulfilment": ("fuel_surcharge", "overmax_handling", "lithium_battery"),
        "outbound": ("fuel_surcharge",),
        "label": ("label_margin",),
    }
)
"""Fees that are charged on top of another one where a card for them is in force."""


class UnknownFeeBasisError(UnknownReferenceError):
    """The fee card names a way of computing that the program does not know."""


class FeeCard(Struct, frozen=True):
    """One dated card: how a fee is computed for a marketplace, an operation model and a class of product."""

    fee_code: str
    marketplace_code: str
    model_code: str
    variant_code: str
    effective_from: date
    effective_to: date | None
    currency: str
    basis: str
    definition: Mapping[str, Any]
    rule_version: str
    source: str
    confidence: Confidence
    is_active: bool


class FeeInputs(Struct, frozen=True):
    """What fees are computed from; a card reads what it needs and a fact that is not given charges nothing.

    Prices are totals of the line as paid, with and without tax, in minor units of `currency`; `units` is the number of pieces. Sides are those
    of one packed unit, `volume_mm3` is the daily average volume stored over the month. `on` is the day whose card holds (shipping day, order day
    of a removal, last day of a billed month). `cost_minor` is what a carrier charges us for a label or transport.
    """

    marketplace_code: str
    model_code: str
    on: date
    currency: str
    units: int = 1
    price_minor: int = 0
    price_net_minor: int = 0
    category_code: str = "everything_else"
    product_class: str = "general"
    length_mm: int = 0
    width_mm: int = 0
    height_mm: int = 0
    unit_weight_g: int = 0
    parcel_weight_g: int = 0
    has_lithium_battery: bool = False
    is_first_of_order: bool = True
    order_units: int = 1
    speed_code: str = "standard"
    placement_option: str = "minimal"
    volume_mm3: int = 0
    age_days: int = 0
    cover_days: int | None = None
    carton_count: int = 0
    contact_count: int = 0
    cost_minor: int = 0
    converted_minor: int = 0
    refunded_referral_minor: int = 0
    plan_code: str = "professional"


class FeeLine(Struct, frozen=True):
    """One fee of one line: positive minor units are charged to the merchant, negative ones given back; `inputs` is ready for JSON."""

    fee_code: str
    event: str
    amount_minor: int
    currency: str
    rule_version: str
    units: int
    inputs: Mapping[str, object]


class NoRateReason(StrEnum):
    """Why a fee has no rate."""

    NO_CARD = "no_card"
    NOT_COVERED = "not_covered"
    OTHER_CURRENCY = "other_currency"


class NoRate(Struct, frozen=True):
    """No card in force covers this fee, marketplace and date; the operator enters one, nothing is borrowed."""

    fee_code: str
    marketplace_code: str
    model_code: str
    on: date
    reason: NoRateReason
    detail: str = ""


class FeeQuote(Struct, frozen=True):
    """The lines that an event charges, and the fees that have no rate."""

    lines: list[FeeLine]
    no_rate: list[NoRate]


class Charged(Struct, frozen=True):
    """What a card's rule answers: an amount with its inputs, nothing to charge (`amount_minor` None), or not covered."""

    amount_minor: int | None
    inputs: Mapping[str, object] = {}
    is_covered: bool = True


NOTHING: Final = Charged(None)
"""The fee does not arise from these inputs."""


def not_covered(what: str) -> Charged:
    """Return the answer of a card whose table holds no row for these inputs."""
    return Charged(None, {"missing": what}, is_covered=False)


ChargeRule = Callable[[FeeInputs, int, Sized | None], Charged]
"""Inputs, the amount an add-on rests on, and the unit's size where a tier set is in force."""


class ReadyCard(Struct, frozen=True):
    """A card with its rule compiled."""

    card: FeeCard
    charge: ChargeRule


class DueCharge(Struct, frozen=True):
    """One fee of a plan with its card in force, if there is one, and the cards of its add-ons."""

    fee_code: str
    ready: ReadyCard | None
    add_ons: tuple[ReadyCard, ...]


CardKey = tuple[str, str, str, str]
ChargesKey = tuple[tuple[str, ...], str, str, str, date]


@dataclass(frozen=True, slots=True)
class FeeBook:
    """All active cards and tier sets in memory, by fee, marketplace, model and class of product."""

    cards: Mapping[CardKey, tuple[ReadyCard, ...]]
    tier_sets: Mapping[str, tuple[tuple[date, date | None, TierSet], ...]]
    _charges: dict[ChargesKey, tuple[DueCharge, ...]] = field(default_factory=dict[ChargesKey, tuple[DueCharge, ...]], compare=False, repr=False)
    _sets: dict[tuple[str, date], TierSet | None] = field(default_factory=dict[tuple[str, date], TierSet | None], compare=False, repr=False)

    def card_for(self, fee_code: str, marketplace_code: str, model_code: str, product_class: str, on: date) -> ReadyCard | None:
        """Return the card in force on a day: the model's own before the common one, the product class's before the general one."""
        for model, variant in product((model_code, ANY), (product_class, ANY_CLASS)):
            dated = self.cards.get((fee_code, marketplace_code, model, variant), ())
            found = next((ready for ready in dated if is_in_force(on, ready.card.effective_from, ready.card.effective_to)), None)
            if found is not None:
                return found
        return None

    def charges_for(self, fee_codes: tuple[str, ...], inputs: FeeInputs) -> tuple[DueCharge, ...]:
        """Return the cards that charge these fees on the inputs' day, found once per day and kind."""
        key = (fee_codes, inputs.marketplace_code, inputs.model_code, inputs.product_class, inputs.on)
        known = self._charges.get(key)
        if known is None:
            known = self._charges[key] = tuple(self._due(fee_code, *key[1:]) for fee_code in fee_codes)
        return known

    def _due(self, fee_code: str, marketplace_code: str, model_code: str, product_class: str, on: date) -> DueCharge:
        extras = (self.card_for(code, marketplace_code, model_code, product_class, on) for code in ADD_ONS.get(fee_code, ()))
        ready = self.card_for(fee_code, marketplace_code, model_code, product_class, on)
        return DueCharge(fee_code, ready, tuple(extra for extra in extras if extra is not None))

    def tier_set_for(self, marketplace_code: str, on: date) -> TierSet | None:
        """Return the size tiers of a marketplace on a day."""
        key = (marketplace_code, on)
        if key not in self._sets:
            dated = self.tier_sets.get(marketplace_code, ())
            self._sets[key] = next((tiers for starts, ends, tiers in dated if is_in_force(on, starts, ends)), None)
        return self._sets[key]

    def size_of(self, inputs: FeeInputs) -> Sized | None:
        """Return tier and charged weight of the unit under the tiers of the day."""
        tiers = self.tier_set_for(inputs.marketplace_code, inputs.on)
        return tiers.size(inputs.length_mm, inputs.width_mm, inputs.height_mm, inputs.unit_weight_g) if tiers else None


def fee_book_of(cards: Iterable[ReadyCard], tier_sets: Iterable[tuple[FeeCard, TierSet]]) -> FeeBook:
    """Index active cards by what they hold for; within a key the later card comes first."""
    by_key: dict[CardKey, list[ReadyCard]] = {}
    for ready in sorted(cards, key=lambda ready: ready.card.effective_from, reverse=True):
        card = ready.card
        if card.is_active:
            by_key.setdefault((card.fee_code, card.marketplace_code, card.model_code, card.variant_code), []).append(ready)
    sets: dict[str, list[tuple[date, date | None, TierSet]]] = {}
    for card, tiers in tier_sets:
        if card.is_active:
            sets.setdefault(card.marketplace_code, []).append((card.effective_from, card.effective_to, tiers))
    return FeeBook(
        MappingProxyType({key: tuple(listed) for key, listed in by_key.items()}),
        MappingProxyType({code: tuple(sorted(listed, key=lambda row: row[0], reverse=True)) for code, listed in sets.items()}),
    )


def fee_lines_for(event: str, plan_fee_codes: Sequence[str], inputs: FeeInputs, cards: FeeBook) -> FeeQuote:
    """Return the lines of every fee that the plan makes due after `event`, in the plan's order, add-ons after their fee."""
    quote = FeeQuote([], [])
    sized = cards.size_of(inputs)
    for due in cards.charges_for(tuple(plan_fee_codes), inputs):
        if due.ready is None:
            quote.no_rate.append(_no_rate(due.fee_code, inputs, NoRateReason.NO_CARD, ""))
            continue
        amount = _add_line(quote, event, due.ready, inputs, 0, sized)
        for add_on in due.add_ons if amount else ():
            _add_line(quote, event, add_on, inputs, amount, sized)
    return quote


def _add_line(quote: FeeQuote, event: str, ready: ReadyCard, inputs: FeeInputs, base_minor: int, sized: Sized | None) -> int:
    """Append the line of one card and return its amount; nothing to charge is 0, no rate is noted."""
    card = ready.card
    if card.currency != inputs.currency:
        quote.no_rate.append(_no_rate(card.fee_code, inputs, NoRateReason.OTHER_CURRENCY, card.currency))
        return 0
    charged = ready.charge(inputs, base_minor, sized)
    if not charged.is_covered:
        quote.no_rate.append(_no_rate(card.fee_code, inputs, NoRateReason.NOT_COVERED, str(charged.inputs["missing"])))
    if charged.amount_minor is None:
        return 0
    quote.lines.append(FeeLine(card.fee_code, event, charged.amount_minor, card.currency, card.rule_version, inputs.units, charged.inputs))
    return charged.amount_minor


def _no_rate(fee_code: str, inputs: FeeInputs, reason: NoRateReason, detail: str) -> NoRate:
    return NoRate(fee_code, inputs.marketplace_code, inputs.model_code, inputs.on, reason, detail)


def share_minor(charged_minor: int, part: int, whole: int) -> int:
    """Return the share of a fee that belongs to a part of the price or pieces, half-up, in minor units."""
    return divide_rounded(charged_minor * part, whole) if whole else 0


def give_back(charged: FeeLine, event: str, amount_minor: int, part: int, whole: int) -> FeeLine:
    """Return the line that gives back part of a fee, under the rule version that charged it."""
    inputs: dict[str, object] = {"charged_minor": charged.amount_minor, "part": part, "whole": whole}
    return FeeLine(charged.fee_code, event, -amount_minor, charged.currency, charged.rule_version, charged.units, inputs)
