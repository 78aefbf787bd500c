"""Which lane a parcel takes for the speed asked."""

import pytest

from entrepot.sourcing.model import Lane, fit_lane


def lane(service, mode, base, per_kg, days_max):
    return Lane("A1", "DE", service, "DEMO", mode, base, per_kg, "EUR", 1, days_max)


LANES = [
    lane("slow", "post", 200, 100, 7),
    lane("next", "express", 900, 400, 2),
    lane("world", "express", 800, 500, 4),
    lane("van", "road", 300, 50, 3),
]


@pytest.mark.parametrize(
    ("speed", "weight_g", "service"),
    [
        ("standard", 1_000, "slow"),
        ("standard", 3_000, "van"),
        ("expedited", 500, "world"),
        ("expedited", 2_000, "next"),
        ("priority", 500, "next"),
    ],
)
def test_the_cheapest_lane_of_a_speed(speed, weight_g, service):
    assert fit_lane(LANES, speed, weight_g).service_code == service


def test_without_an_express_lane_nothing_is_expedited():
    assert fit_lane([LANES[0], LANES[3]], "expedited", 100) is None
    assert fit_lane([LANES[0], LANES[3]], "priority", 100).service_code == "van"
    assert fit_lane([], "standard", 100) is None
