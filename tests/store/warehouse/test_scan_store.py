from datetime import timedelta

import pytest
from msgspec.structs import replace
from tests.factories.warehouse import AT, MERCHANT, PLACE

from entrepot.base.ids import derived_id
from entrepot.base.sql import fetch_one
from entrepot.warehouse.scan import record_scans
from entrepot.warehouse.scanning import Scan, ScanKey, ScanKind, ScanOutcome

pytestmark = pytest.mark.anyio
SCAN = Scan(ScanKey(PLACE, "hand-1", 1), ScanKind.PICK, AT, MERCHANT, derived_id("fulfilment", "a"), "task=1;quantity=2")


async def test_a_scan_is_recorded_once(conn):
    other_device = replace(SCAN, key=ScanKey(PLACE, "hand-2", 1))
    outcomes = [ScanOutcome.NEW, ScanOutcome.EXISTS, ScanOutcome.NEW, ScanOutcome.EXISTS_WITH_DIFFERENT_VALUES]
    assert await record_scans(conn, [SCAN, replace(SCAN, at=AT + timedelta(1)), other_device, replace(SCAN, kind=ScanKind.PACK)]) == outcomes
    outcomes = [ScanOutcome.EXISTS, ScanOutcome.EXISTS_WITH_DIFFERENT_VALUES]
    assert await record_scans(conn, [SCAN, replace(SCAN, content="task=1;quantity=3")]) == outcomes
    assert await fetch_one(conn, "select count(*), min(at), max(at) from scan") == (2, AT, AT)
