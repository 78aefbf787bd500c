"""The goods of a line as customs sees them, and what was assessed for it."""

import re
from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum
from typing import Final

from msgspec import Struct

from entrepot.base.errors import RefusedInputError
from entrepot.customs.rules import Confidence
from entrepot.customs.valuation import Components, Method


class HsCodeMissingError(RefusedInputError):
    """Goods that cross a customs border need an HS code; the merchant classifies the product."""


class HsCodeNotDigitsError(RefusedInputError):
    """An HS code has six to ten digits; the merchant corrects it."""


class OriginMissingError(RefusedInputError):
    """Goods that cross a customs border need a country of origin; the merchant states it."""


class NoRuleOnDateError(RefusedInputError):
    """No customs rule is in force for this destination, goods and date; the operator confirms or loads one."""


class GoodsLine(Struct, frozen=True):
    """One line: classification, pieces, price components in minor units, and the content of one piece (ml, g or piece) where tax depends on it."""

    line_no: int
    hs_code: str
    origin_code: str
    quantity: int
    goods_minor: int
    discount_minor: int = 0
    freight_minor: int = 0
    insurance_minor: int = 0
    tax_class: str = "standard"
    content: Decimal | None = None
    content_unit: str = ""

    @property
    def components(self) -> Components:
        """Return the parts of the price."""
        return Components(self.goods_minor, self.discount_minor, self.freight_minor, self.insurance_minor)


class NoRuleCause(StrEnum):
    """What is missing when nothing can be assessed."""

    IMPORT_RULE = "no_import_rule"
    DUTY_RATE = "no_duty_rate"
    TAX_RATE = "no_tax_rate"
    CUSTOMS_RATE = "no_customs_rate"
    LIMITS = "no_limits"


class NoRule(Struct, frozen=True):
    """Nothing may be charged or promised: what is missing, for which goods and where (codes and a date, no borrowed figure)."""

    cause: NoRuleCause
    missing: str


class AssessedLine(Struct, frozen=True):
    """Duty and tax of a line in minor units, on which value, at which rates, who collects, whether paid in advance, by which rule rows."""

    goods: GoodsLine
    declaration_code: str
    method: Method
    customs_value_minor: int
    duty_rate: Decimal
    duty_minor: int
    tax_rate: Decimal
    tax_base_minor: int
    tax_minor: int
    consumption_tax_minor: int
    duty_collector: str
    tax_collector: str
    is_duty_prepaid: bool
    is_tax_prepaid: bool
    rule_version: str
    confidence: Confidence


_CONTENT: Final = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(毫升|ml|mL|克|g|片|粒|件|个|piece|pieces)\s*")
_UNIT_OF_WORD: Final = {
    **dict.fromkeys(("毫升", "ml", "mL"), "ml"),
    **dict.fromkeys(("克", "g"), "g"),
    **dict.fromkeys(("片", "粒", "件", "个", "piece", "pieces"), "piece"),
}


def read_content(text: str) -> tuple[Decimal | None, str]:
    """Read the net content of one piece as its label states it (`30 毫升`, `120 g`) as number and unit (ml, g, piece); else (None, "")."""
    found = _CONTENT.fullmatch(text)
    return (Decimal(found[1]), _UNIT_OF_WORD[found[2]]) if found else (None, "")


VERSION_MARK: Final = "+"
"""Between the rule codes of a rule version; the first one is the regime."""


def require_classified(lines: Iterable[GoodsLine]) -> None:
    """Refuse lines without HS code or origin, which cannot cross a customs border."""
    for line in lines:
        if not line.hs_code:
            raise HsCodeMissingError(f"lines[{line.line_no}].hs_code", "", "Classify the product with an HS code of at least six digits.")
        if not (line.hs_code.isascii() and line.hs_code.isdigit() and 6 <= len(line.hs_code) <= 10):
            raise HsCodeNotDigitsError(f"lines[{line.line_no}].hs_code", line.hs_code, "Write six to ten digits without dots.")
        if not line.origin_code:
            raise OriginMissingError(f"lines[{line.line_no}].origin_code", "", "State the country where the goods were made.")
