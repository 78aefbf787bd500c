from datetime import date

import pytest

from entrepot.customs.territory import crosses_border, territory_of

AFTER = date(2026, 5, 1)


@pytest.mark.parametrize(
    ("country", "on", "territory"),
    [
        ("DE", AFTER, "EU"),
        ("FR", date(2010, 12, 1), "EU"),
        ("HR", date(2013, 6, 30), "HR"),
        ("HR", date(2013, 7, 1), "EU"),
        ("GB", date(2020, 12, 31), "EU"),
        ("GB", date(2021, 1, 1), "GB"),
        ("JE", AFTER, "GB"),
        ("LI", AFTER, "CH"),
        ("MC", AFTER, "EU"),
        ("US", AFTER, "US"),
        ("HK", AFTER, "HK"),
    ],
)
def test_territory(country, on, territory):
    assert territory_of(country, on) == territory


@pytest.mark.parametrize(
    ("source", "target", "on", "crosses"),
    [
        ("DE", "DE", AFTER, False),
        ("DE", "FR", AFTER, False),
        ("DE", "CH", AFTER, True),
        ("GB", "DE", date(2020, 12, 31), False),
        ("GB", "DE", date(2021, 1, 1), True),
        ("GB", "JE", AFTER, False),
        ("CN", "HK", AFTER, True),
        ("CH", "LI", AFTER, False),
    ],
)
def test_border(source, target, on, crosses):
    assert crosses_border(source, target, on) is crosses
