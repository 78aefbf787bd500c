"""A merchant's figures from counted orders."""

from datetime import date
from decimal import Decimal

import pytest

from entrepot.aftersales.model import PerformanceKind as Kind
from entrepot.aftersales.performance import FigureCode, Rate, figures, load_performance_targets, meets, target_on

TARGETS = load_performance_targets()


def test_figures_divide_what_happened_by_what_was_due():
    counts = {
        Kind.SHIP_DUE: 300, Kind.LATE_SHIPMENT: 7, Kind.TRACKING_DUE: 300, Kind.TRACKING_VALID: 299, Kind.ORDER_TAKEN: 320,
        Kind.CANCELLED_BY_MERCHANT: 8, Kind.DEFECT: 1,
    }  # fmt: skip
    found = figures(counts)
    assert found == {
        FigureCode.LATE_SHIPMENT_RATE: Rate(7, 300),
        FigureCode.VALID_TRACKING_RATE: Rate(299, 300),
        FigureCode.CANCEL_RATE: Rate(8, 320),
        FigureCode.DEFECT_RATE: Rate(1, 320),
    }
    assert [rate.basis_points for rate in found.values()] == [Decimal("233.3333"), Decimal("9966.6667"), Decimal(250), Decimal("31.25")]


def test_no_orders_no_rate():
    assert {rate.basis_points for rate in figures({}).values()} == {None}


@pytest.mark.parametrize(
    ("figure", "rate", "is_met"),
    [
        (FigureCode.LATE_SHIPMENT_RATE, Rate(3, 100), True),
        (FigureCode.LATE_SHIPMENT_RATE, Rate(4, 100), False),
        (FigureCode.VALID_TRACKING_RATE, Rate(96, 100), True),
        (FigureCode.VALID_TRACKING_RATE, Rate(95, 100), False),
        (FigureCode.CANCEL_RATE, Rate(24, 1000), True),
        (FigureCode.CANCEL_RATE, Rate(25, 1000), False),
        (FigureCode.DEFECT_RATE, Rate(0, 0), True),
    ],
)
def test_targets(figure, rate, is_met):
    target = target_on(TARGETS, figure, date(2026, 3, 1))
    assert target is not None
    assert meets(target, rate) is is_met


def test_no_target_before_its_date():
    assert target_on(TARGETS, FigureCode.CANCEL_RATE, date(2019, 12, 31)) is None
