"""Customs value from the components of a line: what counts depends on the regime's method."""

from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from entrepot.base.money import Rounding, convert_minor


class Method(StrEnum):
    """CIF counts freight and insurance to the border, FOB does not, CBEC is what the buyer in China really pays before tax."""

    CIF = "cif"
    FOB = "fob"
    CBEC = "cbec"


class Components(Struct, frozen=True):
    """The parts of a line's price in minor units of one currency, kept apart because every regime needs another sum."""

    goods_minor: int
    discount_minor: int
    freight_minor: int
    insurance_minor: int


def customs_value_minor(method: Method, components: Components) -> int:
    """Return the value in the components' minor units: a discount lowers the goods only, freight and insurance count under CIF and CBEC."""
    goods_minor = components.goods_minor - components.discount_minor
    if method is Method.FOB:
        return goods_minor
    return goods_minor + components.freight_minor + components.insurance_minor


def declared_value_minor(method: Method, components: Components, source: str, rate: Decimal, target: str) -> int:
    """Return the customs value in the declaration's currency at the customs rate, rounded half up once per line."""
    value_minor = customs_value_minor(method, components)
    if source == target:
        return value_minor
    return convert_minor(value_minor, rate, source, target, Rounding.HALF_UP)
