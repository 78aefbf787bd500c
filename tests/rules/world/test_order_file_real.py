"""The real trade file: every line is imported or refused, counted a second time by code that knows only the rules."""

import csv
import io
import lzma
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from entrepot.world.order_file import ReadFile, ReadOptions, read_order_file

FILE = Path(__file__).parents[4] / "shared" / "data" / "online_retail.csv.xz"
pytestmark = [pytest.mark.real_data, pytest.mark.skipif(not FILE.exists(), reason=f"the real trade file is not at {FILE}")]

SERVICES = {"POST", "DOT", "C2", "M", "D", "S", "B", "CRUK", "PADS", "AMAZONFEE", "BANK CHARGES"}
CARRIAGE = {"POST", "DOT", "C2"}
NO_COUNTRY = {"Unspecified", "European Community", "Channel Islands"}


class SecondCount:
    """Counts the file again: plain dictionaries, one row after the other, exact decimals."""

    def __init__(self) -> None:
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


@pytest.fixture(scope="module")
def second() -> SecondCount:
    with lzma.open(FILE) as packed:
        return SecondCount().count(csv.DictReader(io.TextIOWrapper(packed, "utf-8", newline="")))


@pytest.fixture(scope="module")
def read() -> ReadFile:
    return read_order_file(FILE, ReadOptions(today=date(2026, 3, 10)))


def test_every_line_is_imported_or_refused_with_a_reason(read, second):
    assert read.lines_read == 541_909
    assert read.imported_count + len(read.refused) == 541_909
    assert read.imported_count >= 520_000
    assert read.refused_counts == dict(sorted(second.refused.items()))
    kinds = {"sale": read.sale_count, "charge": read.charge_count, "return": read.return_count, "adjustment": read.adjustment_count}
    assert kinds | {"refused": len(read.refused)} == dict(second.kinds)


def test_money_adds_up_to_the_file(read, second):
    accepted, returned = Decimal(read.accepted_minor) / 100, Decimal(read.returned_minor) / 100
    assert accepted == second.value["sale"] + second.value["charge"]
    assert returned == -second.value["return"]
    assert read.refused_value == second.value["refused"]
    assert second.value["adjustment"] == 0
    assert second.total == read.file_value == Decimal("9747747.934")
    assert accepted - returned + read.refused_value == Decimal("9747747.934")
    assert read.is_balanced


def test_days_hold_every_accepted_line_once_and_end_yesterday(read):
    orders = [order for day in read.days for order in day.orders]
    kept = sum(len(order.lines) + len(order.charges) for order in orders)
    kept += sum(len(draft.lines) for day in read.days for draft in day.returns) + sum(len(day.adjustments) for day in read.days)
    assert kept == read.imported_count
    assert len({(order.on, order.order_number) for order in orders}) == len(orders)
    assert [day.on for day in read.days] == sorted({day.on for day in read.days})
    assert read.days[-1].on == date(2026, 3, 9)
    assert {order.buyer_key for order in orders} == {buyer.buyer_key for buyer in read.buyers}
    assert {line.sku for order in orders for line in order.lines} <= {product.sku for product in read.products}


def test_no_sale_gives_back_more_than_it_sold(read):
    taken_back = [line for day in read.days for draft in day.returns for line in draft.lines]
    parts = [(line.line, part) for line in taken_back for part in line.parts]
    assert all(sum(part.quantity for part in line.parts) == line.quantity for line in taken_back)
    assert all(part.sale.at <= line.at and (part.sale.buyer_key, part.sale.sku) == (line.buyer_key, line.sku) for line, part in parts)
    returned: Counter[int] = Counter()
    for _, part in parts:
        returned[part.sale.line_no] += part.quantity
    sold = {part.sale.line_no: part.sale.quantity for _, part in parts}
    assert all(0 < quantity <= sold[line_no] for line_no, quantity in returned.items())
