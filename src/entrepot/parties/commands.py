"""Register merchants, file and decide their checks, appoint role holders, and open operation models to merchants."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import date, datetime

from msgspec.structs import replace

from entrepot.base.actor import Actor
from entrepot.base.audit import Act, write_acts
from entrepot.base.money import decimals_of
from entrepot.base.sql import Conn
from entrepot.operations.registry import UnknownModelError
from entrepot.parties import store
from entrepot.parties.countries import require_country
from entrepot.parties.model import (
    KYC_STATES,
    AdmissionRule,
    BankAccount,
    KycCase,
    KycDecision,
    KycFiling,
    KycState,
    Merchant,
    MerchantStatus,
    ModelOpening,
    NewMerchant,
    Outcome,
    Registered,
    Registration,
    RoleHolder,
    UnknownKycCaseError,
    UnknownMerchantError,
    credentials_of,
    kyc_case_id,
    require_admission,
    require_gate_code,
    require_merchant_values,
    require_period,
    require_reason,
    require_registration_values,
    require_text,
    tell_outcomes,
)


async def register_merchants(conn: Conn, merchants: Sequence[NewMerchant], actor: Actor, at: datetime) -> list[Registered]:
    """Register merchants by their code; all are checked before any is written."""
    for merchant in merchants:
        require_merchant_values(merchant)
    new = await store.insert_merchants(conn, _first_of_each(merchants), at)
    stored = await store.read_merchants(conn, [merchant.merchant_id for merchant in merchants if merchant.merchant_id not in new])
    known: dict[object, object] = {merchant_id: _merchant_values(merchant) for merchant_id, merchant in stored.items()}
    outcomes = tell_outcomes(merchants, lambda merchant: merchant.merchant_id, frozenset(new), known, _merchant_values)
    await write_acts(conn, [Act(merchant_id, merchant_id, "register_merchant", at, actor) for merchant_id in sorted(new)])
    return [Registered(merchant.merchant_id, outcome) for merchant, outcome in zip(merchants, outcomes, strict=True)]


async def set_merchant_status(conn: Conn, merchant_id: uuid.UUID, status: MerchantStatus, actor: Actor, at: datetime, reason: str) -> Outcome:
    """Suspend, reinstate or close a merchant; closed is for good."""
    merchant = (await require_merchants(conn, [merchant_id]))[merchant_id]
    if merchant.status == status:
        return Outcome.EXISTS
    if not await store.update_merchant_status(conn, merchant_id, status):
        return Outcome.EXISTS_WITH_DIFFERENT_VALUES
    await write_acts(conn, [Act(merchant_id, merchant_id, f"set_merchant_{status}", at, actor, reason)])
    return Outcome.NEW


async def require_merchants(conn: Conn, merchant_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Merchant]:
    """Return these merchants, or refuse the first id that names none."""
    merchants = await store.read_merchants(conn, merchant_ids)
    for merchant_id in merchant_ids:
        if merchant_id not in merchants:
            raise UnknownMerchantError("merchant_id", str(merchant_id), "Register the merchant first.")
    return merchants


async def add_registrations(conn: Conn, registrations: Sequence[Registration], actor: Actor, at: datetime) -> list[Outcome]:
    """Add dated numbers of merchants: tax, importer, agent; all are checked before any is written."""
    for registration in registrations:
        require_registration_values(registration)
    await require_merchants(conn, [registration.merchant_id for registration in registrations])
    new = await store.insert_registrations(conn, list({_registration_key(row): row for row in reversed(registrations)}.values()))
    older = await store.read_registrations(conn, [row.merchant_id for row in registrations if _registration_key(row) not in new])
    stored: dict[object, object] = {_registration_key(row): row for row in older if _registration_key(row) not in new}
    outcomes = tell_outcomes(registrations, _registration_key, new, stored, lambda row: row)
    added = zip(registrations, outcomes, strict=True)
    await write_acts(
        conn,
        [
            Act(row.merchant_id, row.merchant_id, f"add_registration_{row.country_code}_{row.kind}", at, actor)
            for row, told in added
            if told is Outcome.NEW
        ],
    )
    return outcomes


async def add_bank_accounts(conn: Conn, accounts: Sequence[BankAccount], actor: Actor, at: datetime) -> list[Outcome]:
    """Add dated bank accounts of merchants; a replay leaves the stored one."""
    for account in accounts:
        decimals_of(account.currency)
        require_country(account.country_code)
        require_text(account.provider_token, "provider_token")
        require_period(account.effective_from, account.effective_to)
    await require_merchants(conn, [account.merchant_id for account in accounts])
    new = await store.insert_bank_accounts(conn, accounts)
    outcomes = tell_outcomes(accounts, lambda row: (row.merchant_id, row.currency, row.effective_from), new, {}, lambda row: row)
    added = zip(accounts, outcomes, strict=True)
    await write_acts(
        conn, [Act(row.merchant_id, row.merchant_id, f"add_bank_account_{row.currency}", at, actor) for row, told in added if told is Outcome.NEW]
    )
    return outcomes


async def file_kyc(conn: Conn, filings: Sequence[KycFiling], actor: Actor, at: datetime) -> list[Outcome]:
    """File documents for gates, for the first time or again after a rejection; the same documents once more are a replay."""
    for filing in filings:
        require_gate_code(filing.gate)
        if not filing.documents:
            require_text("", "documents")
    await require_merchants(conn, [filing.merchant_id for filing in filings])
    cases = await _lock_cases(conn, filings)
    outcomes: list[Outcome] = []
    steps: list[KycCase] = []
    for filing in filings:
        case_id = kyc_case_id(filing.merchant_id, filing.gate)
        case = cases.get(case_id)
        if case is not None and case.documents == filing.documents and case.state in {KycState.SUBMITTED, KycState.APPROVED}:
            outcomes.append(Outcome.EXISTS)
            continue
        if case is not None:
            KYC_STATES.require(case.state, KycState.SUBMITTED)
        step_count = 1 if case is None else case.step_count + 1
        cases[case_id] = KycCase(filing.merchant_id, case_id, filing.gate, KycState.SUBMITTED, filing.documents, None, "", at, step_count)
        steps.append(cases[case_id])
        outcomes.append(Outcome.NEW)
    await _save_steps(conn, cases, steps, actor, at)
    return outcomes


async def decide_kyc(conn: Conn, decisions: Sequence[KycDecision], actor: Actor, at: datetime) -> list[Outcome]:
    """Approve, reject with a reason, or close filed gates; the same decision again is a replay."""
    for decision in decisions:
        require_gate_code(decision.gate)
        require_reason(decision)
    cases = await _lock_cases(conn, decisions)
    outcomes: list[Outcome] = []
    steps: list[KycCase] = []
    for decision in decisions:
        case = cases.get(kyc_case_id(decision.merchant_id, decision.gate))
        if case is None:
            raise UnknownKycCaseError("gate", decision.gate, "Let the merchant file its documents for this gate first.")
        if (case.state, case.reason) == (decision.state, decision.reason):
            outcomes.append(Outcome.EXISTS)
            continue
        KYC_STATES.require(case.state, decision.state)
        changed = replace(case, state=decision.state, decided_by=actor.code, reason=decision.reason, changed_at=at, step_count=case.step_count + 1)
        cases[case.case_id] = changed
        steps.append(changed)
        outcomes.append(Outcome.NEW)
    await _save_steps(conn, cases, steps, actor, at)
    return outcomes


async def appoint_role_holders(conn: Conn, holders: Sequence[RoleHolder], actor: Actor, at: datetime) -> list[Outcome]:
    """Let registered legal entities fill roles per marketplace and period; an appointment is corrected by a later one."""
    for holder in holders:
        require_text(holder.marketplace_code, "marketplace_code")
        require_text(holder.role_code, "role_code")
        require_period(holder.effective_from, holder.effective_to)
    await require_merchants(conn, [holder.entity_merchant_id for holder in holders])
    new = await store.insert_role_holders(conn, list({_holder_key(row): row for row in reversed(holders)}.values()))
    older = await store.read_role_holders(conn, [row.marketplace_code for row in holders if _holder_key(row) not in new])
    stored: dict[object, object] = {_holder_key(row): row.entity_merchant_id for row in older if _holder_key(row) not in new}
    outcomes = tell_outcomes(holders, _holder_key, new, stored, lambda row: row.entity_merchant_id)
    appointed = [row for row, told in zip(holders, outcomes, strict=True) if told is Outcome.NEW]
    await write_acts(
        conn, [Act(row.entity_merchant_id, row.entity_merchant_id, f"appoint_{row.marketplace_code}_{row.role_code}", at, actor) for row in appointed]
    )
    return outcomes


async def open_models(
    conn: Conn, openings: Sequence[ModelOpening], rules: Mapping[str, AdmissionRule], actor: Actor, on: date, at: datetime
) -> list[Outcome]:
    """Open models to merchants in marketplaces; every admission rule and role is checked on `on` before anything is written."""
    for opening in openings:
        if opening.model_code not in rules:
            raise UnknownModelError("model_code", opening.model_code, "Use one of %(choices)s.", choices=sorted(rules))
    merchant_ids = sorted({opening.merchant_id for opening in openings})
    merchants = await require_merchants(conn, merchant_ids)
    registrations = await store.read_registrations(conn, merchant_ids)
    holders = await store.read_role_holders(conn, sorted({opening.marketplace_code for opening in openings}))
    for opening in openings:
        merchant = merchants[opening.merchant_id]
        shown = credentials_of(merchant.status, [row for row in registrations if row.merchant_id == merchant.merchant_id], on)
        require_admission(merchant, shown, opening, rules[opening.model_code], holders, on)
    new = await store.insert_admissions(conn, list(dict.fromkeys(openings)), actor.code, at)
    outcomes = tell_outcomes(openings, _opening_key, new, {}, lambda _: None)
    opened = [row for row, told in zip(openings, outcomes, strict=True) if told is Outcome.NEW]
    await write_acts(
        conn, [Act(row.merchant_id, row.merchant_id, f"open_model_{row.marketplace_code}_{row.model_code}", at, actor) for row in opened]
    )
    return outcomes


async def close_models(conn: Conn, openings: Sequence[ModelOpening], actor: Actor, at: datetime) -> int:
    """Close models for merchants and return how many were open; offers that are live are the catalogue's to close."""
    ended = await store.end_admissions(conn, openings, at)
    await write_acts(
        conn, [Act(row.merchant_id, row.merchant_id, f"close_model_{row.marketplace_code}_{row.model_code}", at, actor) for row in openings]
    )
    return ended


async def _lock_cases(conn: Conn, asked: Sequence[KycFiling] | Sequence[KycDecision]) -> dict[uuid.UUID, KycCase]:
    """Lock the cases of all merchants and gates asked about."""
    return await store.lock_kyc_cases(conn, [row.merchant_id for row in asked], [kyc_case_id(row.merchant_id, row.gate) for row in asked])


async def _save_steps(conn: Conn, cases: Mapping[uuid.UUID, KycCase], steps: Sequence[KycCase], actor: Actor, at: datetime) -> None:
    """Write the last state of every case that moved, all its steps, and who acted."""
    if not steps:
        return
    moved = sorted({step.case_id for step in steps})
    await store.save_kyc_cases(conn, [cases[case_id] for case_id in moved])
    await store.insert_kyc_steps(conn, steps, actor.code)
    await write_acts(conn, [Act(step.merchant_id, step.case_id, f"kyc_{step.state}_{step.step_count}", at, actor, step.reason) for step in steps])


def _first_of_each(merchants: Sequence[NewMerchant]) -> list[NewMerchant]:
    """Return the first merchant of each code, in order of id."""
    first = {merchant.merchant_id: merchant for merchant in reversed(merchants)}
    return [first[merchant_id] for merchant_id in sorted(first)]


def _merchant_values(merchant: NewMerchant | Merchant) -> tuple[str, ...]:
    """Return what a replay must repeat."""
    return (merchant.code, merchant.name, merchant.kind, merchant.country_code, merchant.payout_currency, merchant.time_zone)


def _registration_key(registration: Registration) -> tuple[uuid.UUID, str, str, date]:
    """Return the key under which a registration stands once."""
    return (registration.merchant_id, registration.country_code, registration.kind, registration.effective_from)


def _holder_key(holder: RoleHolder) -> tuple[str, str, date]:
    """Return the key under which an appointment stands once."""
    return (holder.marketplace_code, holder.role_code, holder.effective_from)


def _opening_key(opening: ModelOpening) -> tuple[uuid.UUID, str, str]:
    """Return the key under which an admission stands once."""
    return (opening.merchant_id, opening.marketplace_code, opening.model_code)
