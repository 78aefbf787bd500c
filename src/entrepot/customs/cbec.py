"""Retail imports into mainland China (CBEC): limits per order and per person and year, tax per line, returns; all amounts in fen."""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

from msgspec import Struct

from entrepot.base.errors import RefusedInputError
from entrepot.base.money import round_minor
from entrepot.customs.goods import VERSION_MARK, AssessedLine, GoodsLine, NoRule, NoRuleCause, NoRuleOnDateError, require_classified
from entrepot.customs.rules import CbecLimit, CbecRate, Confidence, RuleBook, cbec_limit_on, cbec_rate_on, weakest
from entrepot.customs.valuation import Method, customs_value_minor

CURRENCY: Final = "CNY"
DIRECT: Final = "9610"
BONDED: Final = "1210"
BONDED_A: Final = "1239"
REGIMES: Final = frozenset({DIRECT, BONDED, BONDED_A})
"""Customs supervision codes of retail imports: direct purchase, bonded stock, bonded stock outside the pilot cities."""


class CbecOrderOverLimitError(RefusedInputError):
    """The order is over the limit for one order and holds more than one item; the buyer splits it."""


class CbecYearOverLimitError(RefusedInputError):
    """The order would lift the person's year over the limit; the goods need general trade or the next year."""


class NotOnCbecListError(RefusedInputError):
    """The goods are not on the list of retail imports for this way of import; the merchant withdraws the offer."""


class ContentUnknownError(RefusedInputError):
    """The consumption tax of these goods depends on the price per ml, g or piece; the merchant states the content."""


class CbecOutcome(StrEnum):
    """What the rules say about an order."""

    WITHIN = "within"
    FULL_TAX = "full_tax"
    SPLIT = "split"
    YEAR_OVER = "year_over"
    NOT_LISTED = "not_listed"
    CONTENT_UNKNOWN = "content_unknown"
    NO_RULE = "no_rule"


class CbecAsk(Struct, frozen=True):
    """An order: supervision code, date, lines in fen, and what the person has used, held and used elsewhere this year."""

    regime_code: str
    on: date
    lines: tuple[GoodsLine, ...]
    year_taken_minor: int = 0


class CbecAssessment(Struct, frozen=True):
    """The result: value and tax in fen, the line that stands in the way of a refused order, the room left in the year before it."""

    outcome: CbecOutcome
    lines: tuple[AssessedLine, ...] = ()
    value_minor: int = 0
    tax_minor: int = 0
    year_limit_minor: int = 0
    year_free_minor: int = 0
    line_no: int | None = None
    confidence: Confidence = Confidence.SEEN
    no_rule: NoRule | None = None

    @property
    def is_allowed(self) -> bool:
        """Tell whether the order may be sold as a retail import."""
        return self.outcome in {CbecOutcome.WITHIN, CbecOutcome.FULL_TAX}


def assess_cbec(book: RuleBook, ask: CbecAsk) -> CbecAssessment:
    """Assess an order: tax at 70 % within the limits, full taxes for one item over the order limit, else refused with the cause."""
    require_classified(ask.lines)
    limit = cbec_limit_on(book, ask.on)
    if limit is None:
        return CbecAssessment(CbecOutcome.NO_RULE, no_rule=NoRule(NoRuleCause.LIMITS, f"CN on {ask.on.isoformat()}"))
    values = [customs_value_minor(Method.CBEC, line.components) for line in ask.lines]
    value_minor = sum(values)
    free_minor = max(0, limit.year_minor - ask.year_taken_minor)
    rates: list[CbecRate] = []
    for line in ask.lines:
        rate = cbec_rate_on(book, line.hs_code, ask.on)
        if rate is None or ask.regime_code not in rate.regime_codes:
            return CbecAssessment(CbecOutcome.NOT_LISTED, (), value_minor, 0, limit.year_minor, free_minor, line.line_no)
        if rate.consumption_threshold_minor is not None and (not line.content or line.content_unit not in _UNITS):
            return CbecAssessment(CbecOutcome.CONTENT_UNKNOWN, (), value_minor, 0, limit.year_minor, free_minor, line.line_no)
        rates.append(rate)
    outcome = _outcome(limit, ask, value_minor, free_minor)
    if outcome not in {CbecOutcome.WITHIN, CbecOutcome.FULL_TAX}:
        return CbecAssessment(outcome, (), value_minor, 0, limit.year_minor, free_minor)
    lines = tuple(_assess_line(limit, outcome, ask.regime_code, *part) for part in zip(ask.lines, rates, values, strict=True))
    tax_minor = sum(line.duty_minor + line.tax_minor for line in lines)
    return CbecAssessment(outcome, lines, value_minor, tax_minor, limit.year_minor, free_minor, confidence=weakest(line.confidence for line in lines))


def require_cbec_allowed(assessment: CbecAssessment, field: str = "order") -> CbecAssessment:
    """Return an allowed assessment or refuse the order with the remedy."""
    yuan = Decimal(assessment.value_minor).scaleb(-2)
    free = Decimal(assessment.year_free_minor).scaleb(-2)
    match assessment.outcome:
        case CbecOutcome.SPLIT:
            raise CbecOrderOverLimitError(field, str(yuan), "Split the items over several orders, each within the limit for one order.")
        case CbecOutcome.YEAR_OVER:
            raise CbecYearOverLimitError(field, str(yuan), "At most %(free)s CNY are left this year as far as known here.", free=free)
        case CbecOutcome.NOT_LISTED:
            raise NotOnCbecListError(f"{field}.lines[{assessment.line_no}]", "not listed", "Remove the line; it may not be imported this way.")
        case CbecOutcome.CONTENT_UNKNOWN:
            raise ContentUnknownError(f"{field}.lines[{assessment.line_no}]", "no content", "State the content of one piece in ml, g or pieces.")
        case CbecOutcome.NO_RULE:
            missing = assessment.no_rule.missing if assessment.no_rule is not None else ""
            raise NoRuleOnDateError(field, missing, "Ask the operator to load the limits for this date.")
        case CbecOutcome.WITHIN | CbecOutcome.FULL_TAX:
            return assessment


def require_within_order(book: RuleBook, on: date, value_minor: int, piece_count: int, field: str = "order") -> None:
    """Refuse an order of several pieces over the limit for one order, whatever places its goods leave from; value in fen."""
    limit = cbec_limit_on(book, on)
    if limit is not None and piece_count > 1 and value_minor > limit.order_minor:
        yuan = Decimal(value_minor).scaleb(-2)
        raise CbecOrderOverLimitError(field, str(yuan), "Split the items over several orders, each within the limit for one order.")


def within_tax(price: Decimal, vat_rate: Decimal, consumption_rate: Decimal, share: Decimal) -> Decimal:
    """Return the unrounded tax within the limits: P * (CT + VAT) / (1 - CT) * share."""
    return price * (consumption_rate + vat_rate) * share / (1 - consumption_rate)


def full_tax(price: Decimal, vat_rate: Decimal, consumption_rate: Decimal, duty_rate: Decimal) -> Decimal:
    """Return the unrounded duty and taxes over the order limit: P * (D + VAT + CT + D * VAT) / (1 - CT)."""
    return price * (duty_rate + vat_rate + consumption_rate + duty_rate * vat_rate) / (1 - consumption_rate)


def returned_value_minor(value_minor: int, quantity: int, returned_before: int, returned_now: int) -> int:
    """Return the dutiable value of returned pieces so that all pieces together give exactly the line's value."""
    return value_minor * (returned_before + returned_now) // quantity - value_minor * returned_before // quantity


def is_return_accepted(limit: CbecLimit, released_on: date, asked_on: date, back_on: date) -> bool:
    """Tell whether goods in their original state came back in time: asked and back within the days counted from the release."""
    return asked_on <= released_on + timedelta(days=limit.return_asked_days) and back_on <= released_on + timedelta(days=limit.return_back_days)


_UNITS: Final = frozenset({"ml", "g", "piece"})
_PIECE_THRESHOLD_MINOR: Final = 1500


def _outcome(limit: CbecLimit, ask: CbecAsk, value_minor: int, free_minor: int) -> CbecOutcome:
    is_over_order = value_minor > limit.order_minor
    if is_over_order and not (limit.full_tax_over_order_limit and _is_one_item(ask.lines)):
        return CbecOutcome.SPLIT
    if value_minor > free_minor:
        return CbecOutcome.YEAR_OVER
    return CbecOutcome.FULL_TAX if is_over_order else CbecOutcome.WITHIN


def _is_one_item(lines: Sequence[GoodsLine]) -> bool:
    return len(lines) == 1 and lines[0].quantity == 1


def _consumption_rate(rate: CbecRate, line: GoodsLine, value_minor: int) -> Decimal:
    """Return the consumption tax rate; cosmetics bear it from a price per ml or g, or per piece or sheet, the threshold included."""
    if rate.consumption_threshold_minor is None or line.content is None:
        return rate.consumption_rate
    threshold = _PIECE_THRESHOLD_MINOR if line.content_unit == "piece" else rate.consumption_threshold_minor
    return rate.consumption_rate if value_minor >= threshold * line.content * line.quantity else Decimal(0)


def _assess_line(limit: CbecLimit, outcome: CbecOutcome, regime_code: str, line: GoodsLine, rate: CbecRate, value_minor: int) -> AssessedLine:
    price = Decimal(value_minor)
    consumption_rate = _consumption_rate(rate, line, value_minor)
    duty_rate = Decimal(0) if outcome is CbecOutcome.WITHIN else rate.duty_rate
    share = limit.tax_share if outcome is CbecOutcome.WITHIN else Decimal(1)
    if outcome is CbecOutcome.WITHIN:
        whole_minor = round_minor(within_tax(price, rate.vat_rate, consumption_rate, share), limit.rounding)
    else:
        whole_minor = round_minor(full_tax(price, rate.vat_rate, consumption_rate, duty_rate), limit.rounding)
    duty_minor = round_minor(price * duty_rate, limit.rounding)
    consumption_base = price * (1 + duty_rate)
    consumption_minor = min(
        whole_minor - duty_minor, round_minor(consumption_base * consumption_rate * share / (1 - consumption_rate), limit.rounding)
    )
    return AssessedLine(
        line,
        regime_code,
        Method.CBEC,
        value_minor,
        duty_rate,
        duty_minor,
        rate.vat_rate,
        value_minor,
        whole_minor - duty_minor,
        consumption_minor,
        "marketplace",
        "marketplace",
        is_duty_prepaid=True,
        is_tax_prepaid=True,
        rule_version=VERSION_MARK.join((limit.limit_code, rate.list_code)),
        confidence=weakest((limit.confidence, rate.confidence)),
    )
