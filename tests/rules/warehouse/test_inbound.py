import pytest
from msgspec.structs import replace
from tests.factories.warehouse import MERCHANT, REGISTERED, inbound_line, plan, unified_legs

from entrepot.base.quantity import QuantityNotPositiveError
from entrepot.warehouse.inbound import (
    LegKind,
    LegsIncompleteError,
    Liability,
    Receipt,
    is_carried_by_platform,
    liability_of,
    require_placeable,
    source_of,
    split_receipt,
)
from entrepot.warehouse.model import DuplicateLineError, EmptyDocumentError, ImporterMissingError, InboundKind, TaxNumberMissingError


@pytest.mark.parametrize(
    ("missing", "good", "damaged", "receipt"),
    [
        (10, 10, 0, Receipt(10, 0, 0, 0)),
        (10, 7, 3, Receipt(7, 3, 0, 0)),
        (10, 9, 3, Receipt(9, 1, 0, 2)),
        (10, 12, 1, Receipt(10, 0, 2, 1)),
        (0, 1, 1, Receipt(0, 0, 1, 1)),
        (5, 0, 6, Receipt(0, 5, 0, 1)),
    ],
)
def test_split_receipt(missing, good, damaged, receipt):
    assert split_receipt(missing, good, damaged) == receipt


@pytest.mark.parametrize(
    ("kind", "source", "liability"),
    [
        (InboundKind.OWN_CARRIER, "@supplier", Liability.MERCHANT),
        (InboundKind.PARTNERED, "@transit", Liability.PLATFORM),
        (InboundKind.UNIFIED, "@transit", Liability.PLATFORM),
    ],
)
def test_who_carries_bears(kind, source, liability):
    assert (source_of(kind), liability_of(kind), is_carried_by_platform(kind)) == (source, liability, source == "@transit")


def without(legs, kind):
    return tuple(leg for leg in legs if leg.kind is not kind)


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        (replace(plan("p"), country_code="DE"), TaxNumberMissingError),
        (plan("p", is_cross_border=True), ImporterMissingError),
        (plan("p", is_cross_border=True, importer="  "), ImporterMissingError),
        (replace(plan("p"), lines=()), EmptyDocumentError),
        (plan("p", inbound_line(1, "mug", 1), inbound_line(1, "pen", 1)), DuplicateLineError),
        (plan("p", inbound_line(1, "mug", 0)), QuantityNotPositiveError),
        (replace(plan("p", kind=InboundKind.UNIFIED), legs=()), LegsIncompleteError),
        (replace(plan("p", kind=InboundKind.UNIFIED), legs=without(unified_legs(), LegKind.PICKUP)), LegsIncompleteError),
        (replace(plan("p", kind=InboundKind.UNIFIED), legs=without(unified_legs(), LegKind.OCEAN)), LegsIncompleteError),
        (replace(plan("p", kind=InboundKind.UNIFIED), legs=without(unified_legs(), LegKind.DELIVERY)), LegsIncompleteError),
    ],
)
def test_refused_plans(asked, error):
    with pytest.raises(error) as raised:
        require_placeable(asked, REGISTERED)
    assert raised.value.remedy


@pytest.mark.parametrize(
    "asked", [plan("p"), plan("p", is_cross_border=True, importer="Importer Inc, EIN 12-3456789"), plan("p", kind=InboundKind.UNIFIED)]
)
def test_placeable_plans(asked):
    require_placeable(asked, REGISTERED)
    with pytest.raises(TaxNumberMissingError):
        require_placeable(asked, {(MERCHANT, "DE")})
