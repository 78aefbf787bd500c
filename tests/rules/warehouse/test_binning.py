from datetime import date

import pytest
from tests.factories.warehouse import BINS, MERCHANT, OTHER, PLACE, item, order, ref, stock

from entrepot.warehouse.binning import BinContent, BinOrder, StowNeed, allocate_bins, choose_bins, take_back
from entrepot.warehouse.model import FREE, SELLABLE, Goods, LineCount, OrderRef, PickTask, WorkLine

ON = date(2026, 5, 4)
SEQUENCES = {(PLACE, "bin:A-01"): 10, (PLACE, "bin:A-02"): 20, (PLACE, "bin:B-01"): 30}
EXPIRIES = {
    (MERCHANT, item("tea"), "L1"): date(2026, 9, 1),
    (MERCHANT, item("tea"), "L2"): date(2026, 8, 1),
    (MERCHANT, item("tea"), "OLD"): date(2026, 5, 4),
}


def wanted(name, quantity, of="a", line_no=1, merchant=MERCHANT):
    return WorkLine(OrderRef(merchant, ref(order(of)).fulfilment_order_id), PLACE, line_no, 1, merchant, item(name), SELLABLE, FREE, quantity)


def allocated(lines, rows):
    result = allocate_bins(lines, rows, BinOrder(SEQUENCES, EXPIRIES, ON))
    tasks = [(task.spot_code.removeprefix("bin:"), task.lot_code, task.quantity) for line in lines for task in result.tasks.pop(line.order, [])]
    return tasks, [short.quantity for shorts in result.shorts.values() for short in shorts]


@pytest.mark.parametrize(
    ("rows", "ask", "tasks", "shorts"),
    [
        # bins in the order of the walk
        ([("A-02", "-", 5), ("A-01", "-", 2)], 4, [("A-01", "-", 2), ("A-02", "-", 2)], []),
        # the lot that expires first wins over the walk
        ([("A-01", "L1", 5), ("B-01", "L2", 2)], 3, [("B-01", "L2", 2), ("A-01", "L1", 1)], []),
        # no expiry comes after every expiry
        ([("A-01", "-", 5), ("B-01", "L1", 1)], 2, [("B-01", "L1", 1), ("A-01", "-", 1)], []),
        # a lot that expires on the day stays
        ([("A-01", "OLD", 5)], 2, [], [2]),
        ([("A-01", "OLD", 5), ("A-02", "L1", 1)], 2, [("A-02", "L1", 1)], [1]),
        # a bin outside the walk comes last
        ([("Z-99", "-", 5), ("B-01", "-", 1)], 2, [("B-01", "-", 1), ("Z-99", "-", 1)], []),
        ([], 1, [], [1]),
        ([("A-01", "-", 0)], 1, [], [1]),
        ([("A-01", "-", 3)], 0, [], []),
    ],
)
def test_allocate_bins(rows, ask, tasks, shorts):
    assert allocated([wanted("tea", ask)], [stock(f"bin:{code}", "tea", quantity, lot) for code, lot, quantity in rows]) == (tasks, shorts)


def test_earlier_lines_are_served_first():
    lines = [wanted("mug", 3, "a"), wanted("mug", 3, "b")]
    assert allocated(lines, [stock("bin:A-01", "mug", 4)]) == ([("A-01", "-", 3), ("A-01", "-", 1)], [2])


@pytest.mark.parametrize(
    "row",
    [stock("bin:A-01", "mug", 9, merchant=OTHER), stock("bin:A-01", "pen", 9), stock("bin:A-01", "mug", 9, condition="damaged")],
)
def test_other_goods_are_not_taken(row):
    assert allocated([wanted("mug", 1)], [row]) == ([], [1])


def task(task_no, quantity):
    return PickTask(ref(order("a")), PLACE, 1, 1, task_no, MERCHANT, item("mug"), f"bin:{task_no}", "-", SELLABLE, FREE, quantity)


@pytest.mark.parametrize(("ask", "taken"), [(1, [(2, 1)]), (2, [(2, 2)]), (4, [(2, 2), (1, 2)]), (9, [(2, 2), (1, 3)]), (0, [])])
def test_take_back_begins_with_the_last_task(ask, taken):
    tasks = [(task(1, 3), 3), (task(2, 2), 2)]
    assert [(one.task_no, units) for one, units in take_back(tasks, ask)] == taken


def need(quantity, name="mug", lot="-", condition=SELLABLE, unit_mm3=1_000_000):
    return StowNeed(item("plan"), 1, PLACE, Goods(MERCHANT, MERCHANT, item(name), lot, condition), quantity, unit_mm3)


@pytest.mark.parametrize(
    ("asked", "contents", "bins"),
    [
        # an empty forward bin first, then the next, then reserve
        (need(10), [], [("A-01", 10)]),
        (need(60), [], [("A-01", 50), ("A-02", 10)]),
        (need(120), [], [("A-01", 50), ("A-02", 50), ("B-01", 20)]),
        # beside the same lot before an empty bin
        (need(10), [("A-02", "mug", "-", 5)], [("A-02", 10)]),
        (need(50), [("A-02", "mug", "-", 5)], [("A-02", 45), ("A-01", 5)]),
        # an empty bin before one with another item
        (need(10), [("A-01", "pen", "-", 5)], [("A-02", 10)]),
        # never beside another lot of the same item
        (need(10, lot="L1"), [("A-01", "mug", "L2", 1), ("A-02", "mug", "L2", 1)], [("B-01", 10)]),
        # damaged units keep to their zone
        (need(10, condition="damaged"), [], [("X-01", 10)]),
        # what has no room has no bin
        (need(60, condition="damaged"), [], [("X-01", 50), (None, 10)]),
        (need(2, unit_mm3=600_000_000), [], [(None, 2)]),
    ],
)
def test_choose_bins(asked, contents, bins):
    held = [BinContent(stock(f"bin:{code}", name, quantity, lot), 1_000_000) for code, name, lot, quantity in contents]
    assert [(choice.bin_code, choice.quantity) for choice in choose_bins([asked], BINS, held)] == bins


def test_later_needs_see_what_earlier_ones_took():
    choices = choose_bins([need(50), need(10), need(5, lot="L1")], BINS, [])
    assert [(choice.bin_code, choice.quantity) for choice in choices] == [("A-01", 50), ("A-02", 10), ("B-01", 5)]


def test_a_short_line_says_which():
    result = allocate_bins([wanted("mug", 2, line_no=7)], [], BinOrder({}, {}, ON))
    assert result.shorts == {ref(order("a")): [LineCount(7, 1, item("mug"), 2)]}
