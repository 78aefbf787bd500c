"""Scans of the floor's devices: each (place, device, sequence) counts once, whatever the network repeats."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from entrepot.base.ids import derived_id


class ScanKind(StrEnum):
    """What the device reported."""

    DOCK = "dock"
    STOW = "stow"
    PICK = "pick"
    PACK = "pack"
    HAND_OVER = "hand_over"
    UNDO = "undo"
    PROBLEM = "problem"
    START = "start"


class ScanOutcome(StrEnum):
    """What became of a scan; everything but `new` changed nothing."""

    NEW = "new"
    EXISTS = "exists"
    EXISTS_WITH_DIFFERENT_VALUES = "exists_with_different_values"
    NOT_ALLOWED = "not_allowed"
    TOO_MANY = "too_many"
    UNKNOWN_PLAN = "unknown_plan"
    UNKNOWN_LINE = "unknown_line"
    UNKNOWN_BIN = "unknown_bin"


class ScanKey(Struct, frozen=True):
    """Where and by which device, and the device's own count."""

    place_code: str
    device_code: str
    sequence_no: int

    @property
    def scan_id(self) -> uuid.UUID:
        """The id that follows from the key; it is the cause of the moves the scan makes."""
        return derived_id("scan", self.place_code, self.device_code, self.sequence_no)


class Scan(Struct, frozen=True):
    """One reading of a device about a merchant's plan, fulfilment order or return; `content` says the rest in one canonical text."""

    key: ScanKey
    kind: ScanKind
    at: datetime
    merchant_id: uuid.UUID
    subject_id: uuid.UUID
    content: str


Fingerprint = tuple[str, uuid.UUID, uuid.UUID, str]
"""What must be equal for two scans under one key to be the same scan; the time is the network's and does not count."""


def fingerprint(scan: Scan) -> Fingerprint:
    """Return what makes a repetition the same scan."""
    return (str(scan.kind), scan.merchant_id, scan.subject_id, scan.content)


def repetition(scan: Scan, known: Mapping[ScanKey, Fingerprint]) -> ScanOutcome | None:
    """Tell whether the scan came before, with the same or another content; None means it is new."""
    earlier = known.get(scan.key)
    if earlier is None:
        return None
    return ScanOutcome.EXISTS if earlier == fingerprint(scan) else ScanOutcome.EXISTS_WITH_DIFFERENT_VALUES
