import pytest

from entrepot.customs.resident_id import WrongResidentIdError, check_character, require_resident_id, resident_id_fault


@pytest.mark.parametrize(
    ("number", "fault"),
    [
        ("11010519491231002X", None),
        ("11010519491231002x", None),
        ("440524188001010014", None),  # sample of the standard with a region that was abolished
        ("990101199003078590", "check"),
        ("110105194912310021", "check"),
        ("11010519491231002", "length"),
        ("", "length"),
        ("1101051949123100XX", "digits"),
        ("\uff1110105194912310020", "digits"),
        ("11010519490230002X", "birth_date"),
        ("11010519491331002X", "birth_date"),
    ],
)
def test_fault(number, fault):
    assert resident_id_fault(number) == fault


def test_any_region_with_a_fitting_check_character_is_valid():
    body = "99999919900307859"
    assert resident_id_fault(body + check_character(body)) is None


def test_stored_form_and_silent_refusal():
    assert require_resident_id(" 11010519491231002x ") == "11010519491231002X"
    with pytest.raises(WrongResidentIdError) as refused:
        require_resident_id("110105194912310021")
    assert "110105" not in str(refused.value)
    assert refused.value.field == "resident_id"
