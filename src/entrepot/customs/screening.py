"""Screening of goods on a lane: prohibited, restricted or dangerous, by destination, HS code, hazard and transport."""

from datetime import date

from msgspec import Struct

from entrepot.base.errors import RefusedInputError
from entrepot.customs.rules import RuleBook, ScreeningRule, Verdict
from entrepot.customs.territory import crosses_border, territory_of


class GoodsProhibitedError(RefusedInputError):
    """The goods may not travel on this lane; the buyer removes them or chooses another way of transport."""


class ScreeningAsk(Struct, frozen=True):
    """Goods on a lane: hazard codes are packing instructions such as PI965 or empty, transport codes air, post, express, sea, road or rail."""

    ship_from: str
    ship_to: str
    on: date
    hs_code: str
    hazard_code: str
    transport_code: str


class Screening(Struct, frozen=True):
    """The strictest verdict with the rules that led to it, each with its remedy."""

    verdict: Verdict
    rule_codes: tuple[str, ...] = ()
    remedies: tuple[str, ...] = ()


_CLEAR = Screening(Verdict.CLEAR)
_STRICTNESS = tuple(Verdict)


def screen_goods(book: RuleBook, ask: ScreeningAsk) -> Screening:
    """Return what may not or must be done; rules of a territory apply at its border, rules of transport everywhere."""
    hits = [rule for rule in book.screening_rules if _matches(rule, ask)]
    if not hits:
        return _CLEAR
    verdict = max((rule.verdict for rule in hits), key=_STRICTNESS.index)
    return Screening(verdict, tuple(rule.screening_code for rule in hits), tuple(rule.remedy for rule in hits))


def require_not_prohibited(screening: Screening, field: str = "lane") -> Screening:
    """Return a screening that lets goods travel, or refuse with the remedy of the rule."""
    if screening.verdict is Verdict.PROHIBITED:
        raise GoodsProhibitedError(field, ", ".join(screening.rule_codes), "%(note)s", note=" ".join(screening.remedies))
    return screening


def _matches(rule: ScreeningRule, ask: ScreeningAsk) -> bool:
    return (
        rule.effective_from <= ask.on
        and (rule.effective_to is None or ask.on < rule.effective_to)
        and rule.hazard_code in {"", ask.hazard_code}
        and rule.transport_code in {"", ask.transport_code}
        and ask.hs_code.startswith(rule.hs_prefix)
        and (
            not rule.territory_code
            or (rule.territory_code == territory_of(ask.ship_to, ask.on) and crosses_border(ask.ship_from, ask.ship_to, ask.on))
        )
    )
