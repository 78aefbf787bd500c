"""Checkouts and their lines as a plain model of the intake keeps them."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from entrepot.orders.model import OrderRequest


@dataclass
class SoldLine:
    """A line of an order: what was wanted, what has been cancelled, and the open units of each part by place; a part that left is kept apart."""

    sku: str
    value: int
    quantity: int
    cancelled: int = 0
    parts: dict = field(default_factory=dict)
    left: dict = field(default_factory=dict)

    @property
    def open(self):
        return sum(units for _, units in self.parts.values())

    @property
    def shipped(self):
        return sum(units for _, units in self.left.values())


@dataclass
class Sale:
    """A checkout as the model keeps it, with its lines by (merchant, order, line)."""

    request: OrderRequest
    state: str
    total: int
    answer: tuple
    lines: dict
    pay_at: datetime | None
    captured: int = 0
    refunded: int = 0

    @property
    def asked(self):
        return self.total

    def open_orders(self):
        return {key[:2] for key, line in self.lines.items() if line.open + line.shipped}

    def parts(self):
        """Units by (SKU, place) that the checkout holds or would hold again."""
        counted = Counter()
        for line in self.lines.values():
            for place, units in line.parts.values():
                counted[line.sku, place] += units
        return counted
