"""How well a merchant ships and keeps orders: exact rates from counted events, held against dated targets."""

import tomllib
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from enum import StrEnum
from importlib.resources import files

from msgspec import Struct

from entrepot.aftersales.model import PerformanceKind

Counts = Mapping[PerformanceKind, int]
"""Orders by what was recorded of them in the window."""


class FigureCode(StrEnum):
    """The figures of a merchant who ships orders."""

    LATE_SHIPMENT_RATE = "late_shipment_rate"
    VALID_TRACKING_RATE = "valid_tracking_rate"
    CANCEL_RATE = "cancel_rate"
    DEFECT_RATE = "defect_rate"


class Bound(StrEnum):
    """On which side of the target a merchant must stay."""

    BELOW = "below"
    ABOVE = "above"


class Rate(Struct, frozen=True):
    """A rate as the two counts it is made of; without orders there is no rate."""

    part: int
    whole: int

    @property
    def basis_points(self) -> Decimal | None:
        """The rate in hundredths of a per cent, exact to four places; None without orders."""
        return (Decimal(self.part * 10_000) / self.whole).quantize(Decimal("0.0001")) if self.whole else None


class PerformanceTarget(Struct, frozen=True):
    """One dated target; `rate_bp` in hundredths of a per cent, `effective_to` exclusive."""

    figure_code: FigureCode
    effective_from: date
    effective_to: date | None
    bound: Bound
    rate_bp: int
    window_days: int
    source: str
    confidence: str
    is_active: bool


def late_shipment_rate(counts: Counts) -> Rate:
    """Return orders shipped after the expected ship date, of those that were due."""
    return Rate(counts.get(PerformanceKind.LATE_SHIPMENT, 0), counts.get(PerformanceKind.SHIP_DUE, 0))


def valid_tracking_rate(counts: Counts) -> Rate:
    """Return orders whose tracking number showed a scan, of those that needed one."""
    return Rate(counts.get(PerformanceKind.TRACKING_VALID, 0), counts.get(PerformanceKind.TRACKING_DUE, 0))


def cancel_rate(counts: Counts) -> Rate:
    """Return orders that the merchant cancelled before shipment, of those taken; what buyers cancel is not recorded as such."""
    return Rate(counts.get(PerformanceKind.CANCELLED_BY_MERCHANT, 0), counts.get(PerformanceKind.ORDER_TAKEN, 0))


def defect_rate(counts: Counts) -> Rate:
    """Return orders with a defect, of those taken."""
    return Rate(counts.get(PerformanceKind.DEFECT, 0), counts.get(PerformanceKind.ORDER_TAKEN, 0))


def figures(counts: Counts) -> dict[FigureCode, Rate]:
    """Return all figures of one merchant and window."""
    return {
        FigureCode.LATE_SHIPMENT_RATE: late_shipment_rate(counts),
        FigureCode.VALID_TRACKING_RATE: valid_tracking_rate(counts),
        FigureCode.CANCEL_RATE: cancel_rate(counts),
        FigureCode.DEFECT_RATE: defect_rate(counts),
    }


def meets(target: PerformanceTarget, rate: Rate) -> bool:
    """Tell whether a rate is strictly on the right side of its target; without orders nothing is missed."""
    limit, found = target.rate_bp * rate.whole, rate.part * 10_000
    return not rate.whole or (found < limit if target.bound is Bound.BELOW else found > limit)


def load_performance_targets() -> tuple[PerformanceTarget, ...]:
    """Read the targets that ship with the product."""
    rows = tomllib.loads(files("entrepot.aftersales").joinpath("seed", "performance_targets.toml").read_text(encoding="utf-8"))["target"]
    return tuple(
        PerformanceTarget(
            figure_code=FigureCode(row["figure_code"]),
            effective_from=row["effective_from"],
            effective_to=row.get("effective_to"),
            bound=Bound(row["bound"]),
            rate_bp=row["rate_bp"],
            window_days=row["window_days"],
            source=row["source"],
            confidence=row["confidence"],
            is_active=row["is_active"],
        )
        for row in rows
    )


def target_on(targets: Iterable[PerformanceTarget], figure_code: FigureCode, on: date) -> PerformanceTarget | None:
    """Return the active target of a figure on a date, or None."""
    return next(
        (
            target
            for target in targets
            if target.is_active
            and target.figure_code is figure_code
            and target.effective_from <= on
            and (target.effective_to is None or on < target.effective_to)
        ),
        None,
    )
