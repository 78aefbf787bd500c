"""What an undo takes back: the last scan of a device, over-receipts first, and never what a picker is on the way to."""

import uuid
from datetime import UTC, datetime

import pytest

from entrepot.warehouse.binning import StockInBin, without_directed
from entrepot.warehouse.inbound import InboundLine, PlanRef, Receipt, add_receipt, split_receipt
from entrepot.warehouse.model import OrderRef, PickTask
from entrepot.warehouse.scanning import Scan, ScanKey, ScanKind
from entrepot.warehouse.trail import last_of_device, live_scans, undo_content, values_of
from entrepot.warehouse.undo import receipt_to_undo

MERCHANT, ITEM, PLAN = (uuid.UUID(int=number) for number in (1, 2, 3))
AT = datetime(2026, 9, 7, 8, tzinfo=UTC)


def line(announced):
    return InboundLine(PlanRef(MERCHANT, PLAN), 1, ITEM, "-", None, announced, 0, 0, 0, 0, 0, 0, 0)


def scan(sequence, device="a", kind=ScanKind.PICK, content="task=1.1.1;picked=2;reason="):
    return Scan(ScanKey("GB-LTN1", device, sequence), kind, AT, MERCHANT, PLAN, content)


def undo(of, sequence):
    return scan(sequence, kind=ScanKind.UNDO, content=undo_content(of.key))


@pytest.mark.parametrize("announced", [0, 1, 4, 6, 20])
@pytest.mark.parametrize("before", [(0, 0), (2, 1), (6, 0)])
@pytest.mark.parametrize(("good", "damaged"), [(5, 0), (3, 2), (0, 4), (1, 1)])
def test_the_last_receipt_of_a_line_is_undone_as_it_was_counted_in(announced, before, good, damaged):
    start = line(announced)
    start = add_receipt(start, split_receipt(start.missing, *before))
    receipt = split_receipt(start.missing, good, damaged)
    assert receipt_to_undo(add_receipt(start, receipt), good, damaged) == receipt


def test_an_undo_of_nothing_over_takes_from_the_announcement():
    assert receipt_to_undo(add_receipt(line(9), Receipt(5, 1, 0, 0)), 5, 1) == Receipt(5, 1, 0, 0)


def test_a_trail_forgets_what_was_undone_and_keeps_the_rest():
    first, second = scan(1), scan(2)
    assert live_scans([first, second, undo(second, 3)]) == [first]
    assert live_scans([first, second, undo(second, 3), undo(first, 4)]) == []


def test_the_last_scan_is_the_devices_own_and_of_the_kind():
    own, other, packed = scan(1), scan(9, device="b"), scan(5, kind=ScanKind.PACK)
    assert last_of_device([own, other, packed], "a", ScanKind.PICK) == own
    assert last_of_device([other], "a", ScanKind.PICK) is None


def test_the_content_of_a_scan_is_read_by_name():
    assert values_of(scan(1)) == {"task": "1.1.1", "picked": "2", "reason": ""}


@pytest.mark.parametrize(("sent", "left"), [((), [5, 3]), ((2,), [3, 3]), ((5,), [3]), ((4, 1), [3])])
def test_two_pickers_are_never_sent_for_the_same_unit(sent, left):
    stock = [StockInBin(MERCHANT, MERCHANT, ITEM, "GB-LTN1", spot, quantity) for spot, quantity in (("bin:A-01", 5), ("bin:A-02", 3))]
    tasks = [
        PickTask(OrderRef(MERCHANT, uuid.UUID(int=number)), "GB-LTN1", 1, 1, 1, MERCHANT, ITEM, "bin:A-01", "-", "sellable", "free", quantity)
        for number, quantity in enumerate(sent, start=10)
    ]
    assert [row.quantity for row in without_directed(stock, tasks)] == left
