"""What the four declarations say, row by row, and that a declaration that is not total does not load."""

import pytest
from msgspec.structs import replace

from entrepot.base.errors import BrokenDeclarationError
from entrepot.operations.fba import FBA
from entrepot.operations.fbm import FBM
from entrepot.operations.global_purchase import GLOBAL_PURCHASE
from entrepot.operations.logistics_service import LOGISTICS_SERVICE
from entrepot.operations.model import (
    STEP_LEGS,
    Channel,
    Credential,
    CustodyPoint,
    Duty,
    Fee,
    FeeCode,
    FeeTrigger,
    Leg,
    OperationModel,
    PlaceKind,
    Role,
    Step,
    Stores,
)
from entrepot.operations.plan import plan_of

MODELS = (FBA, FBM, GLOBAL_PURCHASE, LOGISTICS_SERVICE)

MATRIX = """
    # step           leg    | fba            fbm            global_purchase      logistics_service
    sell             order  | merchant       merchant       merchant             merchant
    invoice_sale     order  | merchant       merchant       merchant             merchant
    own_goods        stock  | merchant       merchant       merchant             merchant
    own_goods        order  | merchant       merchant       merchant             merchant
    own_goods        return | merchant       merchant       merchant             merchant
    first_leg        stock  | merchant       merchant       merchant             platform
    import_stock     stock  | merchant       merchant       regime_decides       merchant
    clear_stock      stock  | merchant       merchant       regime_decides       broker
    receive_stock    stock  | platform       merchant       platform             platform
    store            stock  | platform       merchant       platform             platform
    replenish        stock  | merchant       merchant       merchant             platform
    pick             order  | platform       merchant       platform             platform
    pack             order  | platform       merchant       platform             platform
    carry            order  | platform       merchant       logistics_enterprise platform
    carry            return | platform       merchant       logistics_enterprise platform
    export_order     order  | platform       merchant       merchant             merchant
    import_order     order  | buyer          lane_decides   buyer                lane_decides
    clear_order      order  | carrier        carrier        domestic_agent       broker
    pay_duty         order  | buyer          lane_decides   buyer                lane_decides
    collect_duty     order  | platform       lane_decides   platform             lane_decides
    tax_sale         order  | regime_decides regime_decides buyer                regime_decides
    collect_tax      order  | regime_decides regime_decides platform             regime_decides
    hold_money       order  | platform       platform       payment_institution  platform
    set_price        order  | merchant       merchant       merchant             merchant
    accept_order     order  | platform       merchant       platform             platform
    keep_promise     order  | platform       merchant       platform             platform
    answer_customer  order  | platform       merchant       platform             platform
    take_return      return | platform       merchant       platform             platform
    grade_return     return | platform       merchant       platform             platform
    exchange         return | platform       merchant       platform             platform
    decide_refund    return | platform       merchant       platform             merchant
    bear_loss        order  | platform       merchant       logistics_enterprise platform
    bear_loss        stock  | platform       merchant       merchant             platform
    bear_loss        return | platform       merchant       logistics_enterprise platform
"""


def matrix_rows() -> list[tuple[str, ...]]:
    lines = [line.split("#")[0].replace("|", " ").split() for line in MATRIX.splitlines()]
    return [tuple(line) for line in lines if line]


@pytest.mark.parametrize(("step", "leg", "fba", "fbm", "global_purchase", "logistics_service"), matrix_rows())
def test_who_does_what_in_our_stores(step, leg, fba, fbm, global_purchase, logistics_service):
    told = [plan_of(model).doer(Step(step), leg=Leg(leg)).value for model in MODELS]
    assert told == [fba, fbm, global_purchase, logistics_service]


def test_the_matrix_above_has_every_row():
    assert sorted((row[0], row[1]) for row in matrix_rows()) == sorted((step.value, leg.value) for step in Step for leg in STEP_LEGS[step])


def test_elsewhere_the_channel_runs_the_checkout():
    plan = plan_of(LOGISTICS_SERVICE)
    at_channel = [step for step in Step if plan.doer(step, channel=Channel.EXTERNAL) is Role.CHANNEL]
    assert at_channel == [Step.TAX_SALE, Step.COLLECT_TAX, Step.HOLD_MONEY, Step.ACCEPT_ORDER]


FEES = """
    # model             trigger       channel  | fees
    fba                 sale          store    | referral closing
    fba                 shipment      store    | fulfilment low_inventory
    fba                 receipt       store    | inbound_placement
    fba                 return        store    | returns_processing
    fba                 refund        store    | refund_administration
    fba                 removal       store    | removal
    fba                 month_end     store    | plan storage aged_stock
    fba                 sale          external |
    fbm                 sale          store    | referral closing
    fbm                 label_bought  store    | label
    fbm                 refund        store    | refund_administration
    fbm                 month_end     store    | plan
    fbm                 shipment      store    |
    global_purchase     sale          store    | referral domestic_agent
    global_purchase     declaration   store    | customs_service
    global_purchase     shipment      store    | cross_border_logistics
    global_purchase     return        store    | returns_handling
    global_purchase     conversion    store    | exchange_spread
    global_purchase     month_end     store    | storage
    logistics_service   sale          store    | referral
    logistics_service   sale          external |
    logistics_service   shipment      external | outbound
    logistics_service   transport     store    | inbound_transport
    logistics_service   receipt       store    | inbound_processing
    logistics_service   contact       external | service_contact
    logistics_service   month_end     external | storage
"""


@pytest.mark.parametrize("line", [line for line in FEES.splitlines() if "|" in line and "#" not in line])
def test_which_fees_when(line):
    asked, _, fees = line.partition("|")
    code, trigger, channel = asked.split()
    model = next(model for model in MODELS if model.code == code)
    assert [fee.value for fee in plan_of(model).fee_codes(FeeTrigger(trigger), Channel(channel))] == fees.split()


def test_every_fee_code_is_charged_by_some_model():
    assert {fee.code for model in MODELS for fee in model.fees} == set(FeeCode)


def lines_without(step: Step) -> tuple[Duty, ...]:
    return tuple(duty for duty in FBA.duties if duty.step is not step)


@pytest.mark.parametrize("step", list(Step))
def test_a_missing_row_does_not_load(step):
    with pytest.raises(BrokenDeclarationError, match=rf"nobody named: model fba, step {step}, leg {STEP_LEGS[step][0]}, channel store"):
        replace(FBA, duties=lines_without(step))


def test_a_row_missing_in_one_channel_does_not_load():
    kept = tuple(duty for duty in LOGISTICS_SERVICE.duties if (duty.step, duty.channel) != (Step.HOLD_MONEY, Channel.EXTERNAL))
    with pytest.raises(BrokenDeclarationError, match="nobody named: model logistics_service, step hold_money, leg order, channel external"):
        replace(LOGISTICS_SERVICE, duties=kept)


def changed(**values: object) -> OperationModel:
    return replace(FBA, **values)


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"duties": (*FBA.duties, Duty(Step.PACK, Role.MERCHANT))}, "declared twice: model fba, step pack, leg order, channel store"),
        ({"duties": (*lines_without(Step.PACK), Duty(Step.PACK, Role.PLATFORM, leg=Leg.STOCK))}, "no such leg"),
        ({"duties": (*lines_without(Step.PACK), Duty(Step.PACK, Role.PLATFORM, channel=Channel.EXTERNAL))}, "no such channel"),
        ({"channels": frozenset()}, "fba.channels"),
        ({"ships_from": frozenset({PlaceKind.MERCHANT_SITE})}, "fba.ships_from"),
        ({"loss_bearing_from": CustodyPoint.DELIVERED}, "fba.loss_bearing_from"),
        ({"fees": (*FBA.fees, Fee(FeeCode.PLAN, FeeTrigger.MONTH_END))}, "fba.fees"),
        ({"fees": (Fee(FeeCode.PLAN, FeeTrigger.MONTH_END, frozenset({Channel.EXTERNAL})),)}, "fba.fees"),
        ({"required_roles": frozenset()}, "fba.required_roles"),
        ({"required_roles": frozenset({Role.PLATFORM, Role.BUYER})}, "fba.required_roles"),
        ({"regimes": GLOBAL_PURCHASE.regimes[:1], "stores_in": GLOBAL_PURCHASE.stores_in, "ships_from": GLOBAL_PURCHASE.ships_from}, "fba.regimes"),
        ({"regimes": GLOBAL_PURCHASE.regimes}, "fba.regimes"),
    ],
)
def test_a_contradiction_does_not_load(values, fault):
    with pytest.raises(BrokenDeclarationError, match=fault):
        changed(**values)


@pytest.mark.parametrize(
    ("model", "country", "credentials", "fields"),
    [
        (FBA, "CN", set(), []),
        (FBM, "DE", {Credential.OWN_SITE, Credential.OWN_CARRIER}, []),
        (FBM, "DE", {Credential.OWN_SITE}, ["own_carrier"]),
        (GLOBAL_PURCHASE, "CN", {Credential.DOMESTIC_AGENT}, ["CN"]),
        (GLOBAL_PURCHASE, "HK", {Credential.DOMESTIC_AGENT}, []),
        (GLOBAL_PURCHASE, "FR", set(), ["domestic_agent"]),
        (GLOBAL_PURCHASE, "CN", set(), ["CN", "domestic_agent"]),
        (LOGISTICS_SERVICE, "CN", set(), ["active_sales_account"]),
        (LOGISTICS_SERVICE, "CN", {Credential.ACTIVE_SALES_ACCOUNT}, []),
    ],
)
def test_who_may_open_a_model(model, country, credentials, fields):
    assert [obstacle.value for obstacle in model.admission.obstacles(country, frozenset(credentials))] == fields


def test_where_a_model_may_sell():
    assert [Stores().hold("US"), Stores(but=frozenset({"CN_GP"})).hold("CN_GP"), Stores(only=frozenset({"CN_GP"})).hold("US")] == [True, False, False]
    assert [[plan_of(model).may_sell_in(code) for model in MODELS] for code in ("US", "CN_GP")] == [
        [True, True, False, True],
        [False, False, True, False],
    ]
