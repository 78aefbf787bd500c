"""A device of the floor reports what it read.

Dock and stow scans are counted by their own verbs. What pickers, packers and drivers scan is recorded here first; only a scan that is new leads
to work, so that a device may repeat itself after a lost connection.
"""

from collections.abc import Sequence

from entrepot.base.sql import Conn
from entrepot.warehouse.scanning import Scan, ScanOutcome, fingerprint, repetition
from entrepot.warehouse.store_floor import insert_scans, read_scans


async def record_scans(conn: Conn, scans: Sequence[Scan]) -> list[ScanOutcome]:
    """Store scans that are new; one answer per scan, in order."""
    known = await read_scans(conn, [scan.key for scan in scans])
    outcomes: list[ScanOutcome] = []
    new_scans: list[Scan] = []
    for scan in scans:
        repeated = repetition(scan, known)
        outcomes.append(repeated or ScanOutcome.NEW)
        if repeated is None:
            known[scan.key] = fingerprint(scan)
            new_scans.append(scan)
    await insert_scans(conn, new_scans)
    return outcomes
