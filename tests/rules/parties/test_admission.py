"""Who fills a role, who may open a model, and which steps a check allows."""

from datetime import date

import pytest
from tests.factories.parties import ON, holder, merchant, rule, stored_merchant

from entrepot.base.errors import EntrepotError
from entrepot.base.ids import derived_id
from entrepot.base.money import UnknownCurrencyError
from entrepot.base.time import UnknownTimeZoneError
from entrepot.parties.countries import COUNTRY_CODES, UnknownCountryError
from entrepot.parties.model import (
    KYC_STATES,
    AdmissionRule,
    EmptyCodeError,
    GateClosedError,
    KycDecision,
    KycReasonMissingError,
    KycState,
    MerchantNotActiveError,
    MerchantNotAdmittedError,
    ModelNotInMarketplaceError,
    ModelOpening,
    NewMerchant,
    Outcome,
    PeriodEndsBeforeItStartsError,
    Registration,
    RoleNotFilledError,
    UnknownKycGateError,
    credentials_of,
    holder_of,
    listing_gate,
    require_admission,
    require_gate_code,
    require_merchant_values,
    require_open_gate,
    require_period,
    require_reason,
    tell_outcomes,
)

OPENING = ModelOpening(stored_merchant().merchant_id, "CN_GP", "global_purchase")
GLOBAL = rule("platform", "domestic_agent", barred=frozenset({"CN"}), credentials=frozenset({"domestic_agent"}))
ALL_HOLDERS = [holder("platform"), holder("domestic_agent")]


@pytest.mark.parametrize(
    ("country", "status", "credentials", "holders", "refusal", "field", "value"),
    [
        ("AU", "active", {"domestic_agent"}, ALL_HOLDERS, None, "", ""),
        ("HK", "active", {"domestic_agent"}, ALL_HOLDERS, None, "", ""),
        ("CN", "active", {"domestic_agent"}, ALL_HOLDERS, MerchantNotAdmittedError, "country_code", "CN"),
        ("AU", "active", set(), ALL_HOLDERS, MerchantNotAdmittedError, "credential", "domestic_agent"),
        ("AU", "suspended", {"domestic_agent"}, ALL_HOLDERS, MerchantNotActiveError, "merchant", "leeds"),
        ("AU", "active", {"domestic_agent"}, ALL_HOLDERS[:1], RoleNotFilledError, "role_code", "domestic_agent"),
        ("AU", "active", {"domestic_agent"}, [], RoleNotFilledError, "role_code", "domestic_agent"),
    ],
)
def test_who_may_open_a_model(country, status, credentials, holders, refusal, field, value):
    asked = (stored_merchant(country, status), frozenset(credentials), OPENING, GLOBAL, holders, ON)
    if refusal is None:
        require_admission(*asked)
        return
    with pytest.raises(refusal) as caught:
        require_admission(*asked)
    assert (caught.value.field, caught.value.value) == (field, value)


@pytest.mark.parametrize(
    ("on", "entity"),
    [
        (date(2019, 12, 31), None),
        (date(2020, 1, 1), "first"),
        (date(2021, 6, 30), "first"),
        (date(2021, 7, 1), "second"),
        (date(2023, 1, 1), None),
        (date(2024, 1, 1), "third"),
    ],
)
def test_holder_of_a_role_on_a_date(on, entity):
    holders = [
        holder("broker", "first", start=date(2020, 1, 1)),
        holder("broker", "second", start=date(2021, 7, 1), end=date(2023, 1, 1)),
        holder("broker", "third", start=date(2024, 1, 1)),
        holder("broker", "elsewhere", "US", start=date(2010, 1, 1)),
    ]
    holders[0] = holder("broker", "first", start=date(2020, 1, 1), end=date(2022, 1, 1))
    if entity is None:
        with pytest.raises(RoleNotFilledError) as caught:
            holder_of(holders, "CN_GP", "broker", on)
        assert "CN_GP" in caught.value.remedy
    else:
        assert holder_of(holders, "CN_GP", "broker", on) == derived_id("merchant", entity)


@pytest.mark.parametrize(
    ("kind", "start", "end", "status", "shown"),
    [
        ("cn_domestic_agent", date(2020, 1, 1), None, "active", {"active_sales_account", "domestic_agent"}),
        ("cn_domestic_agent", date(2020, 1, 1), date(2026, 5, 4), "active", {"active_sales_account"}),
        ("own_site", date(2026, 5, 5), None, "active", {"active_sales_account"}),
        ("own_site", date(2026, 5, 4), None, "suspended", {"own_site"}),
        ("vat", date(2020, 1, 1), None, "closed", set()),
    ],
)
def test_credentials_a_merchant_can_show(kind, start, end, status, shown):
    assert credentials_of(status, [Registration(OPENING.merchant_id, "CN", kind, "1", start, end)], ON) == shown


@pytest.mark.parametrize(
    ("source", "target", "is_allowed"),
    [
        ("submitted", "approved", True),
        ("submitted", "rejected", True),
        ("submitted", "closed", False),
        ("rejected", "submitted", True),
        ("rejected", "approved", False),
        ("approved", "rejected", True),
        ("approved", "submitted", False),
        ("closed", "submitted", False),
    ],
)
def test_kyc_states(source, target, is_allowed):
    assert KYC_STATES.allows(source, target) is is_allowed


@pytest.mark.parametrize(
    ("change", "refusal", "field"),
    [
        ({"code": " "}, EmptyCodeError, "code"),
        ({"name": ""}, EmptyCodeError, "name"),
        ({"country_code": "XX"}, UnknownCountryError, "country_code"),
        ({"country_code": "gb"}, UnknownCountryError, "country_code"),
        ({"payout_currency": "XXX"}, UnknownCurrencyError, "currency"),
        ({"time_zone": "Europe/Leeds"}, UnknownTimeZoneError, "time_zone"),
        ({"time_zone": "../etc/passwd"}, UnknownTimeZoneError, "time_zone"),
    ],
)
def test_merchant_values(change: dict[str, str], refusal: type[EntrepotError], field: str):
    values = {"code": "leeds", "name": "Leeds", "country_code": "GB", "payout_currency": "GBP", "time_zone": "Europe/London"}
    with pytest.raises(refusal) as caught:
        require_merchant_values(NewMerchant(**(values | change)))
    assert caught.value.field == field


def test_periods_reasons_and_gates():
    require_period(ON, None)
    with pytest.raises(PeriodEndsBeforeItStartsError):
        require_period(ON, ON)
    require_reason(KycDecision(OPENING.merchant_id, "payout", KycState.APPROVED))
    with pytest.raises(KycReasonMissingError):
        require_reason(KycDecision(OPENING.merchant_id, "payout", KycState.REJECTED, "  "))
    assert [require_gate_code(gate) for gate in (listing_gate("US"), "inbound", "payout")] == ["listing:US", "inbound", "payout"]
    for gate in ("listing:", "listing", "outbound", ""):
        with pytest.raises(UnknownKycGateError):
            require_gate_code(gate)
    gates = {OPENING.merchant_id: frozenset({"inbound"})}
    require_open_gate(gates, OPENING.merchant_id, "inbound")
    with pytest.raises(GateClosedError):
        require_open_gate(gates, OPENING.merchant_id, "payout")
    with pytest.raises(GateClosedError):
        require_open_gate({}, OPENING.merchant_id, "inbound")


def test_outcomes_tell_twins_and_replays_apart():
    items = [("a", 1), ("a", 1), ("a", 2), ("b", 1), ("c", 1), ("d", 1)]
    told = tell_outcomes(items, lambda item: item[0], frozenset({"a", "d"}), {"b": 1, "c": 9}, lambda item: item[1])
    assert told == [
        Outcome.NEW,
        Outcome.EXISTS,
        Outcome.EXISTS_WITH_DIFFERENT_VALUES,
        Outcome.EXISTS,
        Outcome.EXISTS_WITH_DIFFERENT_VALUES,
        Outcome.NEW,
    ]


def test_the_world_has_249_countries():
    assert len(COUNTRY_CODES) == 249
    assert merchant().merchant_id == merchant().merchant_id != merchant("other").merchant_id


@pytest.mark.parametrize(
    ("only", "barred", "is_admitted"),
    [((), (), True), (("CN_GP",), (), True), (("US",), (), False), ((), ("CN_GP",), False), ((), ("US",), True)],
)
def test_a_model_opens_only_in_stores_in_which_it_sells(only, barred, is_admitted):
    rule = AdmissionRule(only_marketplaces=frozenset(only), barred_marketplaces=frozenset(barred))
    if is_admitted:
        require_admission(stored_merchant(), frozenset(), OPENING, rule, [], date(2026, 5, 4))
        return
    with pytest.raises(ModelNotInMarketplaceError) as caught:
        require_admission(stored_merchant(), frozenset(), OPENING, rule, [], date(2026, 5, 4))
    assert (caught.value.field, caught.value.value) == ("marketplace_code", "CN_GP")
