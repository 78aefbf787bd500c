"""Numbers on parcels, with numbers that can be found printed."""

import pytest
from tests.factories.freight import parcel_id

from entrepot.freight.identifiers import (
    NotDigitsError,
    Numbering,
    candidate_number,
    clean_number,
    gs1_check_digit,
    is_s10,
    is_sscc,
    s10_check_digit,
    s10_number,
    sscc,
)


@pytest.mark.parametrize(("serial", "check"), [("47312482", 9), ("12345678", 5), ("00000000", 5), ("00000007", 6), ("00000001", 4), ("00000008", 0)])
def test_s10_check_digit(serial, check):
    assert s10_check_digit(serial) == check


@pytest.mark.parametrize(
    ("number", "valid"),
    [("RA473124829GB", True), ("RA473124828GB", False), ("RA473124829G", False), ("ra473124829gb", False), ("R1473124829GB", False), ("", False)],
)
def test_s10_number(number, valid):
    assert is_s10(number) is valid


def test_s10_is_built_with_its_check_digit():
    assert s10_number("LX", 47312482, "DE") == "LX473124829DE"


@pytest.mark.parametrize("serial", ["1234567", "123456789", "1234567a", "\uff11" * 8])
def test_s10_refuses_what_is_no_serial(serial):
    with pytest.raises(NotDigitsError) as refused:
        s10_check_digit(serial)
    assert (refused.value.field, refused.value.value) == ("serial", serial)


@pytest.mark.parametrize(("digits", "check"), [("629104150021", 3), ("10614141192837465", 7), ("400638133393", 1), ("0000000", 0)])
def test_gs1_check_digit(digits, check):
    assert gs1_check_digit(digits) == check


def test_sscc():
    assert sscc(1, "0614141", 192837465) == "106141411928374657"
    assert is_sscc("106141411928374657")
    assert not is_sscc("106141411928374658")
    assert not is_sscc("10614141192837465")
    with pytest.raises(NotDigitsError):
        sscc(1, "0614141", 1928374650)


@pytest.mark.parametrize(("text", "number"), [(" ra 4731 2482 9 gb", "RA473124829GB"), ("1Z-999.AA1", "1Z999AA1"), ("", "")])
def test_clean_number(text, number):
    assert clean_number(text) == number


def test_allotted_numbers_follow_from_the_parcel_and_are_wide_enough():
    ids = [parcel_id(str(number)) for number in range(3000)]
    for numbering, prefix, suffix in ((Numbering.S10, "L", "ZZ"), (Numbering.AIRWAY, "DX", ""), (Numbering.LINE, "EL", "")):
        numbers = [candidate_number(numbering, prefix, suffix, one, 0) for one in ids]
        assert len(set(numbers)) == 3000
        assert numbers == [candidate_number(numbering, prefix, suffix, one, 0) for one in ids]
        assert set(numbers).isdisjoint(candidate_number(numbering, prefix, suffix, one, 1) for one in ids)
    assert all(is_s10(candidate_number(Numbering.S10, "L", "ZZ", one, 0)) for one in ids)
