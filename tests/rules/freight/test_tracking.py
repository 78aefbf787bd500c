"""What a set of tracking events amounts to, whatever the order and however often they come."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.factories.freight import AT, hours

from entrepot.freight.cards import UnknownTrackingCodeError, normalised_state, read_vocabularies
from entrepot.freight.model import (
    CONSIGNMENT_STATES,
    PARCEL_STATES,
    TRACKING,
    ConsignmentState,
    LegKind,
    ParcelState,
    Sighting,
    TrackingState,
    consignment_state,
    current_state,
    delivered_at,
    leg_times,
    shipped_at,
)

CASES = """
    # events as code@hour                                          | state
      -                                                            | created
      created@0                                                    | created
      created@0 cancelled@1                                        | cancelled
      cancelled@1 accepted@0                                       | accepted
      accepted@5 in_transit@3                                      | in_transit
      in_transit@3 out_for_delivery@6 in_transit@5                 | out_for_delivery
      out_for_delivery@6 delivery_attempted@7                      | delivery_attempted
      delivered@8 in_transit@9                                     | delivered
      delivered@8 lost@9                                           | delivered
      lost@9 in_transit@5                                          | lost
      lost@9 in_transit@10                                         | in_transit
      lost@9 accepted@10                                           | accepted
      lost@9 exception@10                                          | lost
      refused@7 return_to_sender@8 in_transit@9                    | return_to_sender
      return_to_sender@8 lost@30                                   | lost
      return_to_sender@8 delivered@9                               | delivered
      delivered@8 return_to_sender@9                               | return_to_sender
      delivered@8 return_to_sender@8                               | delivered
      delivered@8 returned@4                                       | returned
      destroyed@4 delivered@8                                      | destroyed
      destroyed@4 returned@2                                       | returned
      import_customs_held@4 tax_due@4                              | tax_due
      expired@40 in_transit@3                                      | expired
      expired@40 in_transit@41                                     | in_transit
"""


def sightings(text):
    return [Sighting(hours(int(hour)), TrackingState(code)) for code, _, hour in (word.partition("@") for word in text.split()) if hour]


def cases(text):
    rows = [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
    return [tuple(part.strip() for part in row.split("|")) for row in rows]


@pytest.mark.parametrize(("events", "state"), cases(CASES))
def test_current_state(events, state):
    assert current_state(sightings(events)) == state


EVENTS = st.lists(st.builds(Sighting, st.integers(0, 12).map(hours), st.sampled_from(TrackingState)), max_size=12)


@given(EVENTS, st.randoms(use_true_random=False), st.integers(1, 3))
def test_order_and_repetition_change_nothing(events, chance, times):
    shuffled = events * times
    chance.shuffle(shuffled)
    assert current_state(shuffled) is current_state(events)
    assert (shipped_at(shuffled), delivered_at(shuffled), leg_times(shuffled)) == (shipped_at(events), delivered_at(events), leg_times(events))


@given(EVENTS, EVENTS)
def test_whatever_becomes_known_later_is_an_allowed_step(known, later):
    before = TRACKING[current_state(known)].parcel_state
    after = TRACKING[current_state([*known, *later])].parcel_state
    assert before == after or PARCEL_STATES.allows(before, after)


@given(EVENTS)
def test_some_event_always_decides(events):
    assert (current_state(events) in {event.code for event in events}) is bool(events)


def test_the_vocabulary_is_whole():
    assert len(TRACKING) == len(TrackingState) == 27
    assert PARCEL_STATES.terminal == {"returned"}
    assert {rule.parcel_state for rule in TRACKING.values()} == set(ParcelState)


def test_one_statement_about_one_millisecond_is_one_event():
    assert Sighting(AT, TrackingState.DELIVERED).event_key == Sighting(AT + timedelta(microseconds=300), TrackingState.DELIVERED).event_key
    assert Sighting(AT, TrackingState.DELIVERED).event_key != Sighting(AT, TrackingState.ACCEPTED).event_key


def test_leg_times():
    events = sightings("accepted@1 departed_origin@9 arrived_destination@30 departed_origin@8 handed_to_last_mile@40")
    assert leg_times(events) == {
        LegKind.EXPORT: (hours(1), hours(8)),
        LegKind.LINE_HAUL: (hours(8), hours(30)),
        LegKind.LAST_MILE: (hours(40), None),
    }


@pytest.mark.parametrize(
    ("vocabulary", "code", "state"),
    [
        ("aftership", "OutForDelivery", "out_for_delivery"),
        ("aftership", "Exception_003", "refused"),
        ("trackingmore", "transit005", "customs_released"),
        ("upu_emsevt", "EXB", "export_customs_held"),
        ("upu_emsevt", "EMC", "departed_origin"),
    ],
)
def test_normalised_state(vocabulary, code, state):
    assert normalised_state(vocabulary, code) == state


@pytest.mark.parametrize(("vocabulary", "code"), [("upu_emsevt", "EMI"), ("track17", "Delivered"), ("aftership", "Nonsense"), ("nobody", "x")])
def test_unknown_and_unconfirmed_codes_are_refused(vocabulary, code):
    with pytest.raises(UnknownTrackingCodeError) as refused:
        normalised_state(vocabulary, code)
    assert refused.value.value == f"{vocabulary}:{code}"


def test_codes_from_memory_are_off():
    rows = [row for codes in read_vocabularies().values() for row in codes.values()]
    assert {row.confidence for row in rows if row.is_active} == {"seen"}
    assert {row.confidence for row in rows if not row.is_active} == {"memory"}


PIECES = """
    # planned | labelled voided moving delivered returned lost | state
      5       | 5        0      0      0         0        0    | -
      5       | 0        5      0      0         0        0    | -
      5       | 3        0      2      0         0        0    | part_shipped
      5       | 3        0      0      2         0        0    | part_shipped
      5       | 0        0      5      0         0        0    | shipped
      5       | 0        0      3      2         0        0    | part_delivered
      5       | 0        0      0      5         0        0    | delivered
      5       | 0        0      0      3         2        0    | part_delivered
      5       | 0        0      0      0         5        0    | returned
      5       | 0        0      0      0         3        2    | lost
      5       | 0        0      0      0         0        5    | lost
      5       | 0        0      3      0         2        0    | shipped
"""


@pytest.mark.parametrize(("planned", "pieces", "state"), cases(PIECES))
def test_consignment_state(planned, pieces, state):
    states = (
        ParcelState.LABELLED,
        ParcelState.VOIDED,
        ParcelState.IN_TRANSIT,
        ParcelState.DELIVERED,
        ParcelState.RETURNED,
        ParcelState.LOST,
    )
    counted = dict(zip(states, map(int, pieces.split()), strict=True))
    assert consignment_state(int(planned), counted) == (None if state == "-" else ConsignmentState(state))


@given(st.lists(st.tuples(st.sampled_from(ParcelState), st.sampled_from(ParcelState), st.integers(1, 4)), min_size=1, max_size=4), st.integers(1, 8))
def test_consignments_only_take_allowed_steps(parcels, planned):
    steps = [(was, now, pieces) for was, now, pieces in parcels if was == now or PARCEL_STATES.allows(was, now)]
    before, after = {}, {}
    for was, now, pieces in steps:
        before[was] = before.get(was, 0) + pieces
        after[now] = after.get(now, 0) + pieces
    first, second = consignment_state(planned, before), consignment_state(planned, after)
    assert first is None or first == second or CONSIGNMENT_STATES.allows(first, second)
