"""Which place serves a line, and why."""

from datetime import UTC, date, datetime

import pytest

from entrepot.base.ids import derived_id
from entrepot.sourcing.model import FreeStock, Lane, Network, Place, Reason, SourcingAsk, UnknownPlaceError, choose_places, promise_window, take_parts

MERCHANT, ITEM = derived_id("merchant", "s"), derived_id("item", "s")
PLACES = {
    code: Place(code, code, kind, country, "UTC", 15)
    for code, kind, country in [("A1", "fc", "DE"), ("A2", "fc", "DE"), ("F1", "fc", "FR"), ("B1", "bonded", "CN"), ("G1", "fc", "GB")]
}


def lane(place, base, per_kg=100, days=(1, 3), refused=(), service="post"):
    return Lane(place, "DE", service, "POST", "road", base, per_kg, "EUR", *days, frozenset(refused))


NETWORK = Network(
    PLACES,
    {(code, "DE"): (lane(code, base),) for code, base in [("A1", 300), ("A2", 400), ("F1", 350), ("G1", 100)]},
    {"DE": "EU", "FR": "EU"},
)


def ask(quantity=2, **more):
    values = {
        "hazard_code": None,
        "place_kinds": frozenset({"fc"}),
        "customs_status_by_kind": {},
        "to_country_code": "DE",
        "may_cross_border": True,
        "handling_days": 1,
    }
    return SourcingAsk(MERCHANT, ITEM, quantity, 1000, **(values | more))


def shelf(**free):
    return {(MERCHANT, ITEM): [FreeStock(MERCHANT, code, "free", "-", units) for code, units in free.items()]}


def decide(ask_, shelf_, used=frozenset()):
    sourced = choose_places(ask_, shelf_, NETWORK, used)
    return [(part.place.place_code, part.quantity) for part in sourced.parts], {one.place_code: one.reason for one in sourced.candidates}


@pytest.mark.parametrize(
    ("quantity", "free", "used", "parts"),
    [
        (2, {"A1": 5, "A2": 5}, (), [("A1", 2)]),
        (2, {"A1": 1, "A2": 5}, (), [("A2", 2)]),
        (2, {"A1": 5, "A2": 5}, ("A2",), [("A2", 2)]),
        (6, {"A1": 4, "A2": 5}, (), [("A1", 4), ("A2", 2)]),
        (6, {"A1": 4, "F1": 5}, (), []),
        (6, {"F1": 6, "A1": 4}, (), [("F1", 6)]),
        (10, {"A1": 4, "A2": 5}, (), []),
    ],
)
def test_places(quantity, free, used, parts):
    assert decide(ask(quantity), shelf(**free), frozenset(used))[0] == parts


def test_the_cheapest_abroad_wins_only_whole_and_only_with_customs_data():
    assert decide(ask(2), shelf(G1=2, A1=2))[0] == [("G1", 2)]
    parts, reasons = decide(ask(2, may_cross_border=False), shelf(G1=2, A1=2))
    assert parts == [("A1", 2)]
    assert reasons["G1"] is Reason.NO_CUSTOMS_DATA
    assert decide(ask(6), shelf(G1=4, A1=2))[0] == []


@pytest.mark.parametrize(
    ("more", "free", "reason"),
    [
        ({"excluded_places": frozenset({"A1"})}, {"A1": 5}, Reason.PLACE_CLOSED),
        ({"place_kinds": frozenset({"bulk"})}, {"A1": 5}, Reason.NOT_A_PLACE_OF_THE_PLAN),
        ({"to_country_code": "JP"}, {"A1": 5}, Reason.NO_LANE),
        ({"customs_status_by_kind": {"fc": "bonded"}}, {"A1": 5}, Reason.WRONG_CUSTOMS_STATUS),
    ],
)
def test_reasons(more, free, reason):
    parts, reasons = decide(ask(**more), shelf(**free))
    assert (parts, reasons) == ([], {"A1": reason})


def test_another_merchants_site_is_no_place_of_the_plan():
    own = Network(PLACES | {"A1": Place("A1", "A1", "fc", "DE", "UTC", 15, derived_id("merchant", "other"))}, NETWORK.lanes, NETWORK.territories)
    assert choose_places(ask(), shelf(A1=5), own, frozenset()).parts == ()


def test_what_a_line_takes_is_gone_for_the_next():
    stock = shelf(A1=3)
    first = choose_places(ask(2), stock, NETWORK, frozenset())
    take_parts(stock, ask(2), first.parts)
    second = choose_places(ask(2), stock, NETWORK, frozenset())
    assert (second.parts, second.free) == ((), 1)


def test_unknown_places_are_named():
    with pytest.raises(UnknownPlaceError) as caught:
        NETWORK.place("X9")
    assert "A1" in caught.value.remedy


@pytest.mark.parametrize(
    ("at", "handling", "ship_on", "to_on"),
    [
        ("2026-05-04T09:00", 0, "2026-05-04", "2026-05-08"),  # Monday before the cut-off
        ("2026-05-04T16:00", 0, "2026-05-05", "2026-05-09"),  # after it
        ("2026-05-08T16:00", 0, "2026-05-11", "2026-05-15"),  # Friday after the cut-off: Monday
        ("2026-05-09T09:00", 0, "2026-05-11", "2026-05-15"),  # Saturday
        ("2026-05-04T09:00", 2, "2026-05-06", "2026-05-10"),
    ],
)
def test_promises(at, handling, ship_on, to_on):
    window = promise_window(datetime.fromisoformat(at).replace(tzinfo=UTC), PLACES["A1"], lane("A1", 1), handling)
    assert window.ship_by_at.date() == date.fromisoformat(ship_on)
    assert window.to_on == date.fromisoformat(to_on)
