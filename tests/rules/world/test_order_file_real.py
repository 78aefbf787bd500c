"""The real trade file: every line is imported or refused, counted a second time by code that knows only the rules."""

from collections import Counter
from datetime import date
from decimal import Decimal

import pytest
from tests.factories.second_count import FILE, SecondCount, count_again

from entrepot.world.order_file import ReadFile, ReadOptions, read_order_file

pytestmark = [pytest.mark.real_data, pytest.mark.skipif(not FILE.exists(), reason=f"the real trade file is not at {FILE}")]


@pytest.fixture(scope="module")
def second() -> SecondCount:
    return count_again(FILE)


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
