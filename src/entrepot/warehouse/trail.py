"""The trail of a document on the floor: what devices scanned about it, without what was taken back.

Where a step ends with one booking (an order is picked, a carton closed, a lane handed over), the scans before it are the memory of how far the
people are: whoever opens the page on another device goes on where they stopped.
"""

import uuid
from collections.abc import Mapping, Sequence

from entrepot.base.sql import Conn, fetch
from entrepot.warehouse.scanning import Scan, ScanKey, ScanKind


async def read_trail(conn: Conn, place_code: str, merchant_id: uuid.UUID, subject_id: uuid.UUID) -> list[Scan]:
    """Return the scans of a place about a document in the order of scanning, without those that were undone and the undoing ones."""
    trails = await read_trails(conn, place_code, [merchant_id], [subject_id])
    return trails.get((merchant_id, subject_id), [])


async def read_trails(
    conn: Conn, place_code: str, merchant_ids: Sequence[uuid.UUID], subject_ids: Sequence[uuid.UUID]
) -> dict[tuple[uuid.UUID, uuid.UUID], list[Scan]]:
    """Return the trails of many documents by merchant and document."""
    rows = await fetch(
        conn,
        """select s.device_code, s.sequence_no, s.kind, s.at, s.merchant_id, s.subject_id, s.content
           from (select distinct * from unnest(%(merchants)b::uuid[], %(subjects)b::uuid[]) as t(merchant_id, subject_id)) as t
           join scan s on s.subject_id = t.subject_id and s.merchant_id = t.merchant_id
           where s.place_code = %(place)s order by s.at, s.device_code, s.sequence_no""",
        {"merchants": list(merchant_ids), "subjects": list(subject_ids), "place": place_code},
    )
    trails: dict[tuple[uuid.UUID, uuid.UUID], list[Scan]] = {}
    for device, sequence, kind, at, merchant_id, subject_id, content in rows:
        scan = Scan(ScanKey(place_code, device, sequence), ScanKind(kind), at, merchant_id, subject_id, content)
        trails.setdefault((merchant_id, subject_id), []).append(scan)
    return {key: live_scans(scans) for key, scans in trails.items()}


def live_scans(scans: Sequence[Scan]) -> list[Scan]:
    """Return scans without the undoing ones and what they took back."""
    undone = {scan.content for scan in scans if scan.kind is ScanKind.UNDO}
    return [scan for scan in scans if scan.kind is not ScanKind.UNDO and undo_content(scan.key) not in undone]


def undo_content(key: ScanKey) -> str:
    """Return how an undo names the scan that it takes back."""
    return f"of={key.device_code};sequence={key.sequence_no}"


def last_of_device(trail: Sequence[Scan], device_code: str, kind: ScanKind) -> Scan | None:
    """Return a device's last scan of a kind that stands."""
    own = [scan for scan in trail if scan.key.device_code == device_code and scan.kind is kind]
    return max(own, key=lambda scan: scan.key.sequence_no, default=None)


def values_of(scan: Scan) -> Mapping[str, str]:
    """Return the content of a scan by name."""
    return dict(part.split("=", 1) for part in scan.content.split(";"))
