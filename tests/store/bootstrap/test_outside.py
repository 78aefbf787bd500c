"""The outside as settings ask for it: how long an unpaid order holds its units."""

import pytest

from entrepot.bootstrap.outside import build_outside
from entrepot.bootstrap.settings import read_settings


@pytest.mark.parametrize(
    ("world", "speed", "hold_s"),
    [("on", "60", 36_000), ("on", "1", 1_800), ("on", "0", 1_800), ("off", "60", 1_800), ("off", "100000", 1_800)],
)
def test_only_a_living_world_stretches_holds(world, speed, hold_s):
    settings = read_settings({"ENTREPOT_WORLD": world, "ENTREPOT_SPEED": speed})
    assert build_outside(settings, reference=None).hold_s == hold_s
