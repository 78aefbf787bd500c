"""Addresses as people of a country write them."""

import pytest

from entrepot.parties.people import AddressDetails
from entrepot.parties.postal import address_lines


@pytest.mark.parametrize(
    ("country", "zone", "written"),
    [
        ("GB", "", ["Gwen Demo", "2 Example Road", "Flat 3", "Town", "A1 1AA"]),
        ("DE", "", ["Gwen Demo", "2 Example Road", "Flat 3", "A1 1AA Town"]),
        ("US", "IL", ["Gwen Demo", "2 Example Road", "Flat 3", "Town, IL A1 1AA"]),
        ("CN", "", ["A1 1AA", "Town", "2 Example Road", "Flat 3", "Gwen Demo"]),
    ],
)
def test_an_address_is_written_as_its_country_writes_it(country, zone, written):
    assert address_lines(country, zone, AddressDetails("Gwen Demo", ("2 Example Road", "Flat 3"), "Town", "A1 1AA")) == written


def test_an_address_without_a_name_or_postcode_leaves_no_empty_line():
    assert address_lines("US", "", AddressDetails("", ("2 Example Road",), "Town", "")) == ["2 Example Road", "Town"]
