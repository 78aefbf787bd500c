"""What the rest of the system asks a plan, and what a registry answers."""

import pytest
from msgspec.structs import replace

from entrepot.base.errors import BrokenDeclarationError
from entrepot.operations.model import (
    Channel,
    CustodyPoint,
    CustomsStatus,
    DocumentCode,
    DocumentNeed,
    FeeCode,
    FeeTrigger,
    Leg,
    Need,
    PlaceKind,
    Role,
    Step,
)
from entrepot.operations.plan import ChannelNotServedError, LegNotPartOfStepError
from entrepot.operations.registry import REGISTRY, Registry, UnknownModelError

CODES = ("fba", "fbm", "global_purchase", "logistics_service")


def answers(question):
    return [question(REGISTRY.plan(code)) for code in CODES]


def test_questions():
    assert answers(lambda plan: plan.stock_is_merchants_word) == [False, True, False, False]
    assert answers(lambda plan: plan.needs_identity) == [False, False, True, False]
    assert answers(lambda plan: plan.uses_quota) == [False, False, True, False]
    assert answers(lambda plan: plan.needs_risk_notice) == [False, False, True, False]
    assert answers(lambda plan: plan.needs_electronic_label) == [False, False, True, False]
    assert answers(lambda plan: plan.needs_declaration_before_release) == [False, False, True, False]
    assert answers(lambda plan: plan.needs_stock_importer) == [True, False, False, True]
    assert answers(lambda plan: plan.needs_order_importer) == [False, False, False, True]
    assert answers(lambda plan: plan.has_need(Need.QUOTA)) == [False, False, True, False]
    assert answers(lambda plan: plan.label_may_be_bought_here) == [False, True, False, False]
    assert answers(lambda plan: plan.merchant_may_take_over(Step.ANSWER_CUSTOMER)) == [False, False, False, True]
    assert answers(lambda plan: plan.platform_does(Step.CARRY)) == [True, False, True, True]
    assert answers(lambda plan: plan.merchant_does(Step.PICK)) == [False, True, False, False]
    assert answers(lambda plan: plan.money_passes_through_us()) == [True, True, True, True]
    assert answers(lambda plan: plan.serves(Channel.EXTERNAL)) == [False, False, False, True]
    assert not REGISTRY.plan("logistics_service").money_passes_through_us(Channel.EXTERNAL)


@pytest.mark.parametrize(
    ("kind", "stores", "ships"),
    [
        (PlaceKind.FULFILMENT_CENTRE, [True, False, False, True], [True, False, False, True]),
        (PlaceKind.BULK_WAREHOUSE, [False, False, False, True], [False, False, False, False]),
        (PlaceKind.OVERSEAS_WAREHOUSE, [False, False, True, False], [False, False, True, False]),
        (PlaceKind.BONDED_WAREHOUSE, [False, False, True, False], [False, False, True, False]),
        (PlaceKind.MERCHANT_SITE, [False, True, False, False], [False, True, False, False]),
    ],
)
def test_places(kind, stores, ships):
    assert answers(lambda plan: plan.stores_in(kind)) == stores
    assert answers(lambda plan: plan.ships_from(kind)) == ships


def test_the_place_chooses_the_regime():
    plan = REGISTRY.plan("global_purchase")
    kinds = (PlaceKind.OVERSEAS_WAREHOUSE, PlaceKind.BONDED_WAREHOUSE)
    assert [plan.regime_at(kind).code for kind in kinds] == ["9610", "1210"]
    assert [plan.stock_importer(kind) for kind in kinds] == [Role.NOBODY, Role.BONDED_ZONE_OPERATOR]
    assert [plan.stock_declarant(kind) for kind in kinds] == [Role.NOBODY, Role.BONDED_ZONE_OPERATOR]
    assert [plan.receipt_customs_status(kind) for kind in kinds] == [CustomsStatus.FREE, CustomsStatus.BONDED]
    ordinary = REGISTRY.plan("logistics_service")
    assert ordinary.regime_at(PlaceKind.FULFILMENT_CENTRE) is None
    assert ordinary.stock_importer(PlaceKind.FULFILMENT_CENTRE) is Role.MERCHANT
    assert ordinary.stock_declarant(PlaceKind.FULFILMENT_CENTRE) is Role.BROKER
    assert ordinary.receipt_customs_status(PlaceKind.FULFILMENT_CENTRE) is CustomsStatus.FREE


@pytest.mark.parametrize(
    ("point", "bearers"),
    [
        (CustodyPoint.ANNOUNCED, [Role.MERCHANT, Role.MERCHANT, Role.MERCHANT, Role.MERCHANT]),
        (CustodyPoint.PICKUP, [Role.MERCHANT, Role.MERCHANT, Role.MERCHANT, Role.PLATFORM]),
        (CustodyPoint.DOCK_SCAN, [Role.PLATFORM, Role.MERCHANT, Role.MERCHANT, Role.PLATFORM]),
        (CustodyPoint.HAND_OVER, [Role.PLATFORM, Role.MERCHANT, Role.LOGISTICS_ENTERPRISE, Role.PLATFORM]),
        (CustodyPoint.DELIVERED, [Role.BUYER, Role.BUYER, Role.BUYER, Role.BUYER]),
    ],
)
def test_who_bears_a_loss(point, bearers):
    assert answers(lambda plan: plan.loss_bearer(point)) == bearers


def test_documents_of_a_parcel():
    assert [code for code, _ in REGISTRY.plan("fba").documents()] == [DocumentCode.LABEL, DocumentCode.PACKING_LIST]
    assert [code for code, _ in REGISTRY.plan("fba").documents(DocumentNeed.BORDER)][2:] == [
        DocumentCode.COMMERCIAL_INVOICE,
        DocumentCode.CUSTOMS_FORM,
    ]
    assert [role for _, role in REGISTRY.plan("global_purchase").documents()][2:5] == [
        Role.PLATFORM,
        Role.PAYMENT_INSTITUTION,
        Role.LOGISTICS_ENTERPRISE,
    ]


def test_when_a_fee_is_due():
    assert answers(lambda plan: plan.fee_trigger(FeeCode.STORAGE)) == [FeeTrigger.MONTH_END, None, FeeTrigger.MONTH_END, FeeTrigger.MONTH_END]


def test_wrong_questions_are_refused():
    plan = REGISTRY.plan("fba")
    with pytest.raises(ChannelNotServedError, match="sells through store"):
        plan.doer(Step.PACK, channel=Channel.EXTERNAL)
    with pytest.raises(LegNotPartOfStepError, match="pack happens on order"):
        plan.doer(Step.PACK, leg=Leg.RETURN)


def test_registry():
    fba = REGISTRY.plan("fba")
    assert REGISTRY.codes == CODES
    assert REGISTRY.plan("fba", 1) == fba
    assert (fba.model_code, fba.version) == ("fba", 1)
    with pytest.raises(UnknownModelError, match="Use one of fba, fbm, global_purchase, logistics_service"):
        REGISTRY.plan("dropship")
    with pytest.raises(UnknownModelError, match="fba version 2"):
        REGISTRY.plan("fba", 2)
    with pytest.raises(BrokenDeclarationError, match="Register each version of a model once"):
        Registry((*REGISTRY.models, fba.model))


def test_an_order_keeps_its_version_when_a_newer_one_is_declared():
    newer = REGISTRY.with_models(replace(REGISTRY.plan("fbm").model, version=2, suits="Anybody."))
    assert newer.plan("fbm").version == 2
    assert newer.plan("fbm", 1).model.suits == REGISTRY.plan("fbm").model.suits
    assert newer.codes == CODES


def test_a_fifth_model_is_one_declaration():
    fifth = replace(REGISTRY.plan("fbm").model, code="consignment_store", title="Consignment store", channels=frozenset({Channel.STORE}))
    known = REGISTRY.with_models(fifth)
    assert known.codes == (*CODES, "consignment_store")
    assert known.plan("consignment_store").stock_is_merchants_word
    assert REGISTRY.codes == CODES
