"""Merchants, their numbers and checks, role holders and admissions, on PostgreSQL."""

from datetime import date, timedelta

import pytest
from tests.factories.parties import AT, MERCHANT_TABLES, ON, OPERATOR, counts, holder, merchant, rule

from entrepot.base.errors import EntrepotError
from entrepot.base.ids import derived_id
from entrepot.base.states import TransitionNotAllowedError
from entrepot.operations.registry import UnknownModelError
from entrepot.parties import store
from entrepot.parties.commands import (
    add_bank_accounts,
    add_registrations,
    appoint_role_holders,
    close_models,
    decide_kyc,
    file_kyc,
    open_models,
    register_merchants,
    set_merchant_status,
)
from entrepot.parties.countries import UnknownCountryError
from entrepot.parties.model import (
    BankAccount,
    EmptyCodeError,
    KycDecision,
    KycFiling,
    KycReasonMissingError,
    KycState,
    MerchantNotAdmittedError,
    MerchantStatus,
    ModelOpening,
    Outcome,
    Registration,
    RoleNotFilledError,
    UnknownKycCaseError,
    UnknownMerchantError,
    merchant_id_of,
)

pytestmark = pytest.mark.anyio
LEEDS = merchant_id_of("leeds")
LATER = AT + timedelta(hours=1)


async def leeds(conn):
    await register_merchants(conn, [merchant()], OPERATOR, AT)


async def test_registering_twice_is_a_replay(conn):
    told = await register_merchants(conn, [merchant(), merchant("york"), merchant()], OPERATOR, AT)
    assert [row.outcome for row in told] == [Outcome.NEW, Outcome.NEW, Outcome.EXISTS]
    again = await register_merchants(conn, [merchant(), merchant("york", "DE", "EUR")], OPERATOR, LATER)
    assert [row.outcome for row in again] == [Outcome.EXISTS, Outcome.EXISTS_WITH_DIFFERENT_VALUES]
    assert (await store.read_merchants(conn, [merchant_id_of("york")]))[merchant_id_of("york")].country_code == "GB"
    assert await counts(conn, *MERCHANT_TABLES) == dict.fromkeys(MERCHANT_TABLES, 0) | {"merchant": 2, "audit_entry": 2}


async def test_batch_and_singles_give_the_same_rows(conn):
    codes = [f"m{number:03}" for number in range(20)]
    one_by_one = [(await register_merchants(conn, [merchant(code)], OPERATOR, AT))[0].outcome for code in codes[:10]]
    together = [row.outcome for row in await register_merchants(conn, [merchant(code) for code in codes], OPERATOR, AT)]
    assert one_by_one == [Outcome.NEW] * 10
    assert together == [Outcome.EXISTS] * 10 + [Outcome.NEW] * 10
    stored = await store.list_merchants(conn, "merchant")
    assert [(row.code, row.status, row.created_at) for row in stored] == [(code, "active", AT) for code in codes]


async def test_one_bad_merchant_stops_the_batch(conn):
    before = await counts(conn, *MERCHANT_TABLES)
    with pytest.raises(UnknownCountryError):
        await register_merchants(conn, [merchant(), merchant("york", "ZZ")], OPERATOR, AT)
    assert await counts(conn, *MERCHANT_TABLES) == before


async def test_status_moves_until_closed(conn):
    await leeds(conn)
    steps = [MerchantStatus.SUSPENDED, MerchantStatus.SUSPENDED, MerchantStatus.ACTIVE, MerchantStatus.CLOSED, MerchantStatus.ACTIVE]
    told = [await set_merchant_status(conn, LEEDS, status, OPERATOR, AT + timedelta(hours=n), "why") for n, status in enumerate(steps)]
    assert told == [Outcome.NEW, Outcome.EXISTS, Outcome.NEW, Outcome.NEW, Outcome.EXISTS_WITH_DIFFERENT_VALUES]
    assert (await store.read_merchants(conn, [LEEDS]))[LEEDS].status == "closed"


async def test_registrations_are_dated_and_replayed(conn):
    await leeds(conn)
    vat = Registration(LEEDS, "GB", "vat", "GB1", date(2020, 1, 1))
    other = Registration(LEEDS, "GB", "vat", "GB2", date(2020, 1, 1))
    later = Registration(LEEDS, "GB", "vat", "GB2", date(2022, 1, 1), date(2023, 1, 1))
    assert await add_registrations(conn, [vat, vat, other, later], OPERATOR, AT) == [
        Outcome.NEW,
        Outcome.EXISTS,
        Outcome.EXISTS_WITH_DIFFERENT_VALUES,
        Outcome.NEW,
    ]
    assert await add_registrations(conn, [vat, other], OPERATOR, AT) == [Outcome.EXISTS, Outcome.EXISTS_WITH_DIFFERENT_VALUES]
    assert await store.read_registrations(conn, [LEEDS]) == [vat, later]


@pytest.mark.parametrize(
    ("row", "refusal"),
    [
        (Registration(LEEDS, "ZZ", "vat", "1", ON), UnknownCountryError),
        (Registration(LEEDS, "GB", "vat", "", ON), EmptyCodeError),
        (Registration(merchant_id_of("nobody"), "GB", "vat", "1", ON), UnknownMerchantError),
    ],
)
async def test_bad_registrations_change_nothing(conn, row: Registration, refusal: type[EntrepotError]):
    await leeds(conn)
    before = await counts(conn, *MERCHANT_TABLES)
    with pytest.raises(refusal):
        await add_registrations(conn, [Registration(LEEDS, "GB", "eori", "1", ON), row], OPERATOR, AT)
    assert await counts(conn, *MERCHANT_TABLES) == before


async def test_bank_account_in_force_on_a_date(conn):
    await leeds(conn)
    old = BankAccount(LEEDS, "GBP", "token-1", "0001", "GB", date(2020, 1, 1))
    new = BankAccount(LEEDS, "GBP", "token-2", "0002", "GB", date(2025, 1, 1))
    assert await add_bank_accounts(conn, [old, new], OPERATOR, AT) == [Outcome.NEW, Outcome.NEW]
    assert await add_bank_accounts(conn, [old], OPERATOR, AT) == [Outcome.EXISTS]
    assert await store.read_bank_accounts(conn, [LEEDS], date(2024, 12, 31)) == {(LEEDS, "GBP"): old}
    assert await store.read_bank_accounts(conn, [LEEDS], date(2025, 1, 1)) == {(LEEDS, "GBP"): new}
    assert await store.read_bank_accounts(conn, [LEEDS], date(2019, 1, 1)) == {}


async def test_kyc_is_rejected_filed_again_and_approved(conn):
    await leeds(conn)
    blurred, sharp = KycFiling(LEEDS, "payout", ("blurred-id",)), KycFiling(LEEDS, "payout", ("sharp-id",))
    no, yes = KycDecision(LEEDS, "payout", KycState.REJECTED, "The id is blurred."), KycDecision(LEEDS, "payout", KycState.APPROVED)
    assert await file_kyc(conn, [blurred], OPERATOR, AT) == [Outcome.NEW]
    assert await file_kyc(conn, [blurred], OPERATOR, AT) == [Outcome.EXISTS]
    assert await store.read_open_gates(conn, [LEEDS]) == {}
    assert await decide_kyc(conn, [no], OPERATOR, AT + timedelta(hours=1)) == [Outcome.NEW]
    assert await decide_kyc(conn, [no], OPERATOR, AT + timedelta(hours=1)) == [Outcome.EXISTS]
    assert await file_kyc(conn, [sharp], OPERATOR, AT + timedelta(hours=2)) == [Outcome.NEW]
    assert await decide_kyc(conn, [yes], OPERATOR, AT + timedelta(hours=3)) == [Outcome.NEW]
    assert await store.read_open_gates(conn, [LEEDS]) == {LEEDS: frozenset({"payout"})}
    case = (await store.read_kyc_cases(conn, [LEEDS]))[0]
    assert (case.state, case.documents, case.decided_by, case.reason, case.step_count) == ("approved", ("sharp-id",), "operator-1", "", 4)
    assert await counts(conn, "kyc_case", "kyc_step", "audit_entry") == {"kyc_case": 1, "kyc_step": 4, "audit_entry": 5}


async def test_kyc_steps_in_one_batch_equal_single_steps(conn):
    await leeds(conn)
    gates = ["listing:US", "listing:GB", "inbound", "payout"]
    await file_kyc(conn, [KycFiling(LEEDS, gate, ("doc",)) for gate in gates[:2]], OPERATOR, AT)
    for gate in gates[2:]:
        await file_kyc(conn, [KycFiling(LEEDS, gate, ("doc",))], OPERATOR, AT)
    cases = await store.read_kyc_cases(conn, [LEEDS])
    assert [(case.gate, case.state, case.step_count, case.changed_at) for case in cases] == [(gate, "submitted", 1, AT) for gate in sorted(gates)]


@pytest.mark.parametrize(
    ("decision", "refusal"),
    [
        (KycDecision(LEEDS, "payout", KycState.REJECTED), KycReasonMissingError),
        (KycDecision(LEEDS, "payout", KycState.CLOSED, "no"), TransitionNotAllowedError),
        (KycDecision(LEEDS, "inbound", KycState.APPROVED), UnknownKycCaseError),
    ],
)
async def test_bad_decisions_change_nothing(conn, decision: KycDecision, refusal: type[EntrepotError]):
    await leeds(conn)
    await file_kyc(conn, [KycFiling(LEEDS, "payout", ("id",))], OPERATOR, AT)
    before = await counts(conn, *MERCHANT_TABLES)
    with pytest.raises(refusal):
        await decide_kyc(conn, [decision], OPERATOR, LATER)
    assert await counts(conn, *MERCHANT_TABLES) == before
    assert (await store.read_kyc_cases(conn, [LEEDS]))[0].state == "submitted"


async def test_filing_needs_documents_and_a_merchant(conn):
    await leeds(conn)
    with pytest.raises(EmptyCodeError):
        await file_kyc(conn, [KycFiling(LEEDS, "payout", ())], OPERATOR, AT)
    with pytest.raises(UnknownMerchantError):
        await file_kyc(conn, [KycFiling(merchant_id_of("nobody"), "payout", ("id",))], OPERATOR, AT)
    assert await counts(conn, "kyc_case", "kyc_step") == {"kyc_case": 0, "kyc_step": 0}


async def test_models_open_close_and_open_again(conn):
    await leeds(conn)
    openings = [ModelOpening(LEEDS, "GB", "fba"), ModelOpening(LEEDS, "GB", "fbm")]
    rules = {"fba": rule("platform"), "fbm": rule()}
    await register_merchants(conn, [merchant("entity")], OPERATOR, AT)
    assert await appoint_role_holders(conn, [holder("platform", marketplace_code="GB")], OPERATOR, AT) == [Outcome.NEW]
    assert await open_models(conn, openings, rules, OPERATOR, ON, AT) == [Outcome.NEW, Outcome.NEW]
    assert await open_models(conn, openings, rules, OPERATOR, ON, LATER) == [Outcome.EXISTS, Outcome.EXISTS]
    assert await close_models(conn, openings[:1], OPERATOR, LATER) == 1
    assert await store.read_opened_models(conn, [LEEDS]) == frozenset({(LEEDS, "GB", "fbm")})
    assert await open_models(conn, openings, rules, OPERATOR, ON, LATER) == [Outcome.NEW, Outcome.EXISTS]
    assert len(await store.read_opened_models(conn, [LEEDS])) == 2


@pytest.mark.parametrize(
    ("code", "model_code", "refusal", "value"),
    [
        ("hangzhou", "global_purchase", MerchantNotAdmittedError, "CN"),
        ("leeds", "global_purchase", RoleNotFilledError, "bonded_zone_operator"),
        ("leeds", "teleport", UnknownModelError, "teleport"),
    ],
)
async def test_refused_openings_change_nothing(conn, code, model_code, refusal: type[EntrepotError], value):
    await register_merchants(conn, [merchant(), merchant("hangzhou", "CN", "CNY"), merchant("entity")], OPERATOR, AT)
    await appoint_role_holders(conn, [holder("platform")], OPERATOR, AT)
    before = await counts(conn, *MERCHANT_TABLES)
    rules = {"global_purchase": rule("platform", "bonded_zone_operator", barred=frozenset({"CN"})), "fbm": rule()}
    with pytest.raises(refusal) as caught:
        await open_models(
            conn, [ModelOpening(LEEDS, "CN_GP", "fbm"), ModelOpening(merchant_id_of(code), "CN_GP", model_code)], rules, OPERATOR, ON, AT
        )
    assert caught.value.value == value
    assert await counts(conn, *MERCHANT_TABLES) == before


async def test_a_role_is_filled_by_a_registered_entity_only(conn):
    with pytest.raises(UnknownMerchantError):
        await appoint_role_holders(conn, [holder("platform")], OPERATOR, AT)
    await register_merchants(conn, [merchant("entity"), merchant("second")], OPERATOR, AT)
    assert await appoint_role_holders(conn, [holder("platform"), holder("platform", "second")], OPERATOR, AT) == [
        Outcome.NEW,
        Outcome.EXISTS_WITH_DIFFERENT_VALUES,
    ]
    assert [row.entity_merchant_id for row in await store.read_role_holders(conn, ["CN_GP"])] == [derived_id("merchant", "entity")]
