"""Who owes the tax on a sale, at which rate, on which base: dated rules, read from memory, decided line by line."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from entrepot.base.money import Rounding, convert_minor, split_by_weight
from entrepot.base.phrases import mark
from entrepot.settlement.exchange import CrossRate, RateBook
from entrepot.settlement.model import ANY, MILLION, Confidence, divide_rounded, is_in_force


class TaxParty(StrEnum):
    """Who owes, collects or remits a tax."""

    MERCHANT = "merchant"
    PLATFORM = "platform"
    BUYER = "buyer"
    WITHHOLDING_AGENT = "withholding_agent"
    CARRIER = "carrier"
    NOBODY = "nobody"


class TaxRegime(StrEnum):
    """The set of rules that a sale falls under."""

    DOMESTIC_MERCHANT = "domestic_merchant"
    DOMESTIC_DEEMED_SUPPLIER = "domestic_deemed_supplier"
    UNION_DISTANCE_SALE = "union_distance_sale"
    UNION_DEEMED_SUPPLIER = "union_deemed_supplier"
    UNION_REVERSE_CHARGE = "union_reverse_charge"
    IOSS_IMPORT = "ioss_import"
    LOW_VALUE_IMPORT = "low_value_import"
    IMPORT_REVERSE_CHARGE = "import_reverse_charge"
    MARKETPLACE_FACILITATOR = "marketplace_facilitator"
    CBEC_WITHHELD = "cbec_withheld"
    EXPORT_ZERO_RATED = "export_zero_rated"
    OTHER_CHANNEL = "other_channel"
    NO_RULE = "no_rule"


class Relation(StrEnum):
    """How ship-from and destination relate: one country, one tax area, or across its border."""

    DOMESTIC = "domestic"
    UNION = "union"
    IMPORT = "import"


class Established(StrEnum):
    """Whether the merchant is established in the destination's tax area."""

    INSIDE = "inside"
    OUTSIDE = "outside"


class BuyerKind(StrEnum):
    """Whether the buyer is a private person or a registered business."""

    CONSUMER = "consumer"
    BUSINESS = "business"


class RateOf(StrEnum):
    """Where a rule takes its rate from."""

    DESTINATION = "destination"
    ZERO = "zero"
    CUSTOMS = "customs"


class ThresholdScope(StrEnum):
    """What a value threshold looks at."""

    NONE = "none"
    CONSIGNMENT = "consignment"
    ITEM = "item"


UNION_SCHEME: Final = "EU-OSS"
"""Registration that stands for all member states in distance sales."""


class TaxRate(Struct, frozen=True):
    """A dated rate of a country or part of it, for one class of goods; `area_code` is the tax area it belongs to, if any."""

    country_code: str
    territory_code: str
    tax_class: str
    percent: Decimal
    area_code: str
    effective_from: date
    effective_to: date | None
    rate_version: str
    source: str
    confidence: Confidence
    is_active: bool


class TaxRule(Struct, frozen=True):
    """One dated rule; among the matching rules the lowest priority number decides, and `*` matches everything."""

    rule_version: str
    priority: int
    destination: str
    relation: str
    established: str
    buyer_kind: str
    scheme: str
    threshold_scope: ThresholdScope
    threshold_minor: int
    threshold_currency: str
    threshold_inclusive: bool
    excluded_goods: frozenset[str]
    regime: TaxRegime
    taxable_person: TaxParty
    collected_by: TaxParty
    remitted_by: TaxParty
    rate_of: RateOf
    rounding: Rounding
    effective_from: date
    effective_to: date | None
    source: str
    confidence: Confidence
    is_active: bool


class TaxInputs(Struct, frozen=True):
    """What a tax decision rests on; all of it is stored with the decision.

    `price_minor` is what the line is charged for, after discounts, with freight and insurance. `consignment_minor` and `item_minor` are goods
    prices after discounts without freight and insurance, of the whole consignment and of one piece, in the same currency and with tax
    if `prices_include_tax`. `scheme` is empty, `cbec` or `other_channel`. `customs_tax_minor` passes on a figure that customs decided.
    """

    established_in: str
    ship_from: str
    destination: str
    price_minor: int
    currency: str
    prices_include_tax: bool
    consignment_minor: int
    item_minor: int
    on: date
    buyer_kind: BuyerKind = BuyerKind.CONSUMER
    registrations: frozenset[str] = frozenset()
    destination_territory: str = ANY
    scheme: str = ""
    tax_class: str = "standard"
    goods_kind: str = ""
    customs_tax_minor: int = 0


class Verdict(Struct, frozen=True):
    """What a rule says about every line of the same kind; `missing_registration` names the country where the liable merchant has no number.

    With `NO_RULE`, `note` says what is missing.
    """

    regime: TaxRegime
    taxable_person: TaxParty
    collected_by: TaxParty
    remitted_by: TaxParty
    tax_country: str
    rate: Decimal | None
    rule_version: str
    rate_version: str
    rounding: Rounding
    missing_registration: str
    note: str = ""


class TaxDecision(Struct, frozen=True):
    """The verdict on one line with base and tax in minor units of the line's currency, and the inputs that led to it.

    `intrinsic_minor` is the value that was held against a threshold, in the regime's currency; without a threshold it is the consignment's value
    as priced.
    """

    verdict: Verdict
    base_minor: int
    tax_minor: int
    intrinsic_minor: int
    intrinsic_currency: str
    inputs: TaxInputs

    @property
    def is_ruled(self) -> bool:
        """Whether a rule in force decided."""
        return self.verdict.regime is not TaxRegime.NO_RULE

    @property
    def gross_minor(self) -> int:
        """What the buyer is charged for the line, in minor units."""
        return self.base_minor + self.tax_minor

    @property
    def withheld_minor(self) -> int:
        """The part of the buyer's payment that the platform keeps for a tax office, in minor units."""
        return self.tax_minor if self.verdict.remitted_by in REMITTED_BY_US else 0

    @property
    def currency(self) -> str:
        """The currency of base and tax."""
        return self.inputs.currency

    @property
    def regime(self) -> TaxRegime:
        """The set of rules the sale falls under."""
        return self.verdict.regime

    @property
    def taxable_person(self) -> TaxParty:
        """Who owes the tax."""
        return self.verdict.taxable_person

    @property
    def collected_by(self) -> TaxParty:
        """Who takes the tax from the buyer."""
        return self.verdict.collected_by

    @property
    def remitted_by(self) -> TaxParty:
        """Who pays the tax to the tax office."""
        return self.verdict.remitted_by

    @property
    def tax_country(self) -> str:
        """The country whose tax it is."""
        return self.verdict.tax_country

    @property
    def rate(self) -> Decimal | None:
        """The rate as a share of the base; None where customs decides the figure."""
        return self.verdict.rate

    @property
    def rule_version(self) -> str:
        """The version of the rule that decided."""
        return self.verdict.rule_version


REMITTED_BY_US: Final = frozenset({TaxParty.PLATFORM, TaxParty.WITHHOLDING_AGENT})
"""Who remits a tax that the platform has taken from the buyer."""


class Ruling(Struct, frozen=True):
    """A rule with its verdict and rate in millionths, ready for any line of the same kind; None: the destination has no rate on that day."""

    rule: TaxRule
    verdict: Verdict
    rate_millionths: int | None


RulingKey = tuple[str, str, str, str, str, str, str, str, frozenset[str], date]


@dataclass(frozen=True, slots=True)
class RuleBook:
    """Active tax rules and rates in memory, with the exchange rates that thresholds need."""

    rules: tuple[TaxRule, ...]
    rates: Mapping[tuple[str, str, str], tuple[TaxRate, ...]]
    exchange: RateBook
    _rulings: dict[RulingKey, tuple[Ruling, ...]] = field(default_factory=dict[RulingKey, tuple[Ruling, ...]], compare=False, repr=False)

    def rate_on(self, country: str, territory: str, tax_class: str, day: date) -> TaxRate | None:
        """Return the rate of a territory, else of its country, in force on a day."""
        for place in (territory, ANY) if territory != ANY else (ANY,):
            for rate in self.rates.get((country, place, tax_class), ()):
                if is_in_force(day, rate.effective_from, rate.effective_to):
                    return rate
        return None

    def area_of(self, country: str, day: date) -> str:
        """Return the tax area of a country on a day: a union such as EU, or the country itself."""
        rate = self.rate_on(country, ANY, "standard", day)
        return rate.area_code or country if rate else country

    def rulings(self, inputs: TaxInputs) -> tuple[Ruling, ...]:
        """Return the rules that may decide, best first, the same objects for every line of the same kind and day."""
        key = (
            inputs.established_in, inputs.ship_from, inputs.destination, inputs.destination_territory, inputs.buyer_kind,
            inputs.scheme, inputs.tax_class, inputs.goods_kind, inputs.registrations, inputs.on,
        )  # fmt: skip
        known = self._rulings.get(key)
        if known is None:
            known = self._rulings[key] = _rule(self, inputs)
        return known


def rule_book_of(rules: Iterable[TaxRule], rates: Iterable[TaxRate], exchange: RateBook) -> RuleBook:
    """Index the active rules and rates."""
    by_place: dict[tuple[str, str, str], list[TaxRate]] = {}
    for rate in rates:
        if rate.is_active:
            by_place.setdefault((rate.country_code, rate.territory_code, rate.tax_class), []).append(rate)
    ordered = sorted((rule for rule in rules if rule.is_active), key=lambda rule: (rule.priority, rule.rule_version))
    return RuleBook(tuple(ordered), MappingProxyType({key: tuple(listed) for key, listed in by_place.items()}), exchange)


def _rule(book: RuleBook, inputs: TaxInputs) -> tuple[Ruling, ...]:
    """Return the matching rules in force on the day, up to the first one without a threshold."""
    day = inputs.on
    area = book.area_of(inputs.destination, day)
    relation = _relation_of(book, inputs, area)
    established = Established.INSIDE if book.area_of(inputs.established_in, day) == area else Established.OUTSIDE
    found: list[Ruling] = []
    for rule in book.rules:
        if not is_in_force(day, rule.effective_from, rule.effective_to):
            continue
        wanted = ((rule.relation, relation), (rule.established, established), (rule.buyer_kind, inputs.buyer_kind))
        if any(asked not in (ANY, given) for asked, given in wanted) or rule.scheme != inputs.scheme:
            continue
        if rule.destination not in {ANY, area, inputs.destination} or inputs.goods_kind in rule.excluded_goods:
            continue
        found.append(_ruling(book, rule, inputs))
        if rule.threshold_scope is ThresholdScope.NONE:
            break
    return tuple(found)


def _relation_of(book: RuleBook, inputs: TaxInputs, area: str) -> Relation:
    if inputs.ship_from == inputs.destination:
        return Relation.DOMESTIC
    return Relation.UNION if book.area_of(inputs.ship_from, inputs.on) == area else Relation.IMPORT


def _ruling(book: RuleBook, rule: TaxRule, inputs: TaxInputs) -> Ruling:
    """Join a rule with the destination's rate, where it needs one."""
    if rule.rate_of is RateOf.CUSTOMS:
        return Ruling(rule, _verdict(rule, inputs.destination, None, "", ""), 0)
    if rule.rate_of is RateOf.ZERO:
        return Ruling(rule, _verdict(rule, inputs.ship_from, Decimal(0), "", ""), 0)
    rate = book.rate_on(inputs.destination, inputs.destination_territory, inputs.tax_class, inputs.on)
    if rate is None:
        return Ruling(rule, _no_rule(inputs, mark("no tax rate in force")), None)
    accepted = {inputs.destination, UNION_SCHEME if rule.regime is TaxRegime.UNION_DISTANCE_SALE else inputs.destination}
    is_missing = rule.taxable_person is TaxParty.MERCHANT and not inputs.registrations & accepted
    verdict = _verdict(rule, inputs.destination, rate.percent / 100, rate.rate_version, inputs.destination if is_missing else "")
    return Ruling(rule, verdict, int(rate.percent * 10_000))


def _verdict(rule: TaxRule, tax_country: str, rate: Decimal | None, rate_version: str, missing_registration: str) -> Verdict:
    return Verdict(
        rule.regime,
        rule.taxable_person,
        rule.collected_by,
        rule.remitted_by,
        tax_country,
        rate,
        rule.rule_version,
        rate_version,
        rule.rounding,
        missing_registration,
    )


def _no_rule(inputs: TaxInputs, note: str) -> Verdict:
    nobody = TaxParty.NOBODY
    return Verdict(TaxRegime.NO_RULE, nobody, nobody, nobody, inputs.destination, None, "", "", Rounding.HALF_UP, "", note)


def tax_within(price_minor: int, rate_millionths: int, rounding: Rounding = Rounding.HALF_UP) -> int:
    """Return the tax that a price with tax contains, in minor units."""
    return divide_rounded(price_minor * rate_millionths, MILLION + rate_millionths, rounding)


def tax_on_top(price_minor: int, rate_millionths: int, rounding: Rounding = Rounding.HALF_UP) -> int:
    """Return the tax to add to a price without tax, in minor units."""
    return divide_rounded(price_minor * rate_millionths, MILLION, rounding)


def taxes_per_document(
    prices_minor: Sequence[int], rate_millionths: int, tax_of: Callable[[int, int, Rounding], int] = tax_within, rounding: Rounding = Rounding.HALF_UP
) -> list[int]:
    """Return the tax per line where a rule rounds once per document: the sum's tax is rounded, then split by largest remainder."""
    return split_by_weight(tax_of(sum(prices_minor), rate_millionths, rounding), prices_minor)


def decide_tax(inputs: TaxInputs, rule_book: RuleBook) -> TaxDecision:
    """Decide regime, parties and tax of one line; a sale without a rule or rate in force is decided `NO_RULE`."""
    for ruling in rule_book.rulings(inputs):
        rule, millionths = ruling.rule, ruling.rate_millionths
        if millionths is None:
            return _undecided(inputs, ruling.verdict)
        intrinsic, currency = inputs.consignment_minor, inputs.currency
        if rule.threshold_scope is not ThresholdScope.NONE:
            converted = _intrinsic_minor(inputs, ruling, millionths, rule_book)
            if converted is None:
                return _undecided(inputs, _no_rule(inputs, mark("no exchange rate in force")))
            intrinsic, currency = converted, rule.threshold_currency
            if intrinsic > rule.threshold_minor or (intrinsic == rule.threshold_minor and not rule.threshold_inclusive):
                continue
        base, tax = _base_and_tax(inputs, rule, millionths)
        return TaxDecision(ruling.verdict, base, tax, intrinsic, currency, inputs)
    return _undecided(inputs, _no_rule(inputs, mark("no tax rule in force")))


def _base_and_tax(inputs: TaxInputs, rule: TaxRule, millionths: int) -> tuple[int, int]:
    """Return base and tax of a line in minor units: customs' figure, the tax within the price, or the tax on top of it."""
    price = inputs.price_minor
    if rule.rate_of is RateOf.CUSTOMS:
        return price, inputs.customs_tax_minor
    if inputs.prices_include_tax:
        tax = tax_within(price, millionths, rule.rounding)
        return price - tax, tax
    return price, tax_on_top(price, millionths, rule.rounding)


def _undecided(inputs: TaxInputs, verdict: Verdict) -> TaxDecision:
    return TaxDecision(verdict, inputs.price_minor, 0, inputs.consignment_minor, inputs.currency, inputs)


def _intrinsic_minor(inputs: TaxInputs, ruling: Ruling, millionths: int, book: RuleBook) -> int | None:
    """Return the goods value that the rule's threshold looks at, without tax, in the threshold's currency."""
    rule = ruling.rule
    value = inputs.consignment_minor if rule.threshold_scope is ThresholdScope.CONSIGNMENT else inputs.item_minor
    if inputs.prices_include_tax:
        value -= tax_within(value, millionths)
    if inputs.currency == rule.threshold_currency:
        return value
    crossed = book.exchange.cross(inputs.currency, rule.threshold_currency, inputs.on)
    return convert_minor(value, crossed.rate, inputs.currency, rule.threshold_currency) if isinstance(crossed, CrossRate) else None
