"""A second count of the real trade file, by code that knows only the rules and nothing of the importer."""

import csv
import io
import lzma
from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

FILE = Path(__file__).parents[3] / "shared" / "data" / "online_retail.csv.xz"
SERVICES = {"POST", "DOT", "C2", "M", "D", "S", "B", "CRUK", "PADS", "AMAZONFEE", "BANK CHARGES"}
CARRIAGE = {"POST", "DOT", "C2"}
WITHOUT_RULE = frozenset({"Bahrain", "Hong Kong", "Iceland", "Israel", "Lebanon", "RSA", "Saudi Arabia", "Singapore", "United Arab Emirates"})
"""Destinations of the file for whose border tax the product ships no rule; the operator adds one, or sales there are refused."""
NO_COUNTRY = {"Unspecified", "European Community", "Channel Islands"}


class SecondCount:
    """Counts the file again: plain dictionaries, one row after the other, exact decimals."""

    def __init__(self, countries_without_rule: frozenset[str] = frozenset()) -> None:
        self.countries_without_rule = countries_without_rule
        self.kinds: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.value: defaultdict[str, Decimal] = defaultdict(Decimal)
        self.total = Decimal(0)
        self.bought: defaultdict[tuple[str, str], list[list[int]]] = defaultdict(list)
        self.order_numbers: set[str] = set()
        self.later: list[tuple[str, str, Decimal]] = []

    def put(self, kind: str, value: Decimal) -> None:
        self.kinds[kind] += 1
        self.value[kind] += value

    def refuse(self, reason: str, value: Decimal) -> None:
        self.refused[reason] += 1
        self.put("refused", value)

    def count(self, rows: Iterator[dict[str, str]]) -> "SecondCount":
        for row in rows:
            quantity, price = int(Decimal(row["Quantity"])), Decimal(row["UnitPrice"])
            self.total += quantity * price
            self.row(row, row["InvoiceNo"], row["StockCode"].strip().upper(), quantity, price)
        for number, code, value in self.later:
            if number in self.order_numbers:
                self.put("charge", value)
            else:
                self.refuse(f"service_code_{code.lower()}", value)
        return self

    def row(self, row: dict[str, str], number: str, code: str, quantity: int, price: Decimal) -> None:
        value, is_return = quantity * price, number.startswith("C")
        if price * 100 % 1:
            self.refuse("too_many_decimals", value)
        elif code in CARRIAGE and value > 0 and not is_return:
            self.later.append((number, code, value))
        elif code.startswith("GIFT_"):
            self.refuse("service_code_gift_voucher", value)
        elif code in SERVICES:
            self.refuse(f"service_code_{code.lower().replace(' ', '_')}", value)
        elif quantity < 0 and not is_return:
            assert price == 0
            self.put("adjustment", value)
        elif price <= 0:
            self.refuse("zero_price" if price == 0 else "negative_price", value)
        elif row["Country"] in NO_COUNTRY:
            self.refuse("unknown_country", value)
        elif quantity > 0 and row["Country"] in self.countries_without_rule:
            self.refuse("no_rule_on_date", value)
        else:
            self.trade(row["CustomerID"] or row["Country"], number, code, quantity, value)

    def trade(self, buyer: str, number: str, code: str, quantity: int, value: Decimal) -> None:
        earlier = self.bought[buyer, code]
        if quantity > 0:
            self.order_numbers.add(number)
            earlier.append([quantity])
            self.put("sale", value)
        elif sum(left for (left,) in earlier) + quantity < 0:
            self.refuse("return_without_sale", value)
        else:
            missing = -quantity
            for sale in reversed(earlier):
                taken = min(missing, sale[0])
                sale[0] -= taken
                missing -= taken
            self.put("return", value)


def count_again(path: Path, countries_without_rule: frozenset[str] = frozenset()) -> SecondCount:
    """Count a packed file; sales to some countries are refused because no rule says what their border asks for."""
    with lzma.open(path) as packed:
        return SecondCount(countries_without_rule).count(csv.DictReader(io.TextIOWrapper(packed, "utf-8", newline="")))
