"""Merchants, their registrations and checks, the roles that legal entities fill, and who may open an operation model."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Final, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct, field

from entrepot.base.errors import ConflictError, ForbiddenError, RefusedInputError, UnknownReferenceError
from entrepot.base.ids import derived_id
from entrepot.base.money import decimals_of
from entrepot.base.states import declare_states
from entrepot.base.time import UnknownTimeZoneError
from entrepot.parties.countries import require_country


class UnknownMerchantError(UnknownReferenceError):
    """No merchant has this id; the caller registers the merchant first."""


class EmptyCodeError(RefusedInputError):
    """A code, name or number is empty; the caller fills it in."""


class PeriodEndsBeforeItStartsError(RefusedInputError):
    """The period ends on or before the day it starts; the caller corrects the dates."""


class KycReasonMissingError(RefusedInputError):
    """A rejection or closure needs a reason that the merchant can act on; the compliance officer writes it."""


class UnknownKycGateError(RefusedInputError):
    """The gate is none that a check opens."""


class UnknownKycCaseError(UnknownReferenceError):
    """The merchant has filed nothing for this gate; the merchant files its documents first."""


class GateClosedError(ForbiddenError):
    """The merchant's check for this step is not approved; the merchant files documents or waits for the decision."""


class RoleNotFilledError(ConflictError):
    """No legal entity fills a role that the operation model needs in this marketplace; the operator appoints one."""


class ModelNotInMarketplaceError(RefusedInputError):
    """The operation model does not sell in this marketplace; open it in another one."""


class MerchantNotAdmittedError(ForbiddenError):
    """The operation model is not open to this merchant."""


class MerchantNotActiveError(ForbiddenError):
    """The merchant is suspended or closed; the operator reinstates it."""


class Outcome(StrEnum):
    """What adding a row did: a replay is its own result."""

    NEW = "new"
    EXISTS = "exists"
    EXISTS_WITH_DIFFERENT_VALUES = "exists_with_different_values"


class MerchantKind(StrEnum):
    """A seller, or one of the registered parties that together are the platform."""

    MERCHANT = "merchant"
    PLATFORM = "platform"


class MerchantStatus(StrEnum):
    """Whether a merchant may act; merchants are never deleted."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    CLOSED = "closed"


class RegistrationKind(StrEnum):
    """What a merchant is registered for, or has shown that it owns."""

    VAT = "vat"
    GST = "gst"
    EORI = "eori"
    IMPORTER = "importer"
    IOSS = "ioss"
    SALES_TAX = "sales_tax"
    CONSUMPTION_TAX = "consumption_tax"
    CN_DOMESTIC_AGENT = "cn_domestic_agent"
    PAYMENT_LICENCE = "payment_licence"
    LOGISTICS_LICENCE = "logistics_licence"
    CUSTOMS_BROKER_LICENCE = "customs_broker_licence"
    BONDED_ZONE_LICENCE = "bonded_zone_licence"
    OWN_SITE = "own_site"
    OWN_CARRIER = "own_carrier"


TAX_REGISTRATION_KINDS: Final[frozenset[str]] = frozenset(
    {
        RegistrationKind.VAT,
        RegistrationKind.GST,
        RegistrationKind.SALES_TAX,
        RegistrationKind.CONSUMPTION_TAX,
    }
)
"""Registrations that are a merchant's tax number in their country."""

ACTIVE_SALES_ACCOUNT: Final = "active_sales_account"
"""The credential that every merchant in good standing holds."""

CREDENTIAL_OF_REGISTRATION: Final[Mapping[str, str]] = {
    RegistrationKind.CN_DOMESTIC_AGENT: "domestic_agent",
    RegistrationKind.OWN_SITE: "own_site",
    RegistrationKind.OWN_CARRIER: "own_carrier",
}
"""Registrations that also serve as credentials for opening an operation model."""


class KycState(StrEnum):
    """How far a check has come."""

    SUBMITTED = "submitted"
    APPROVED = "approved"
    REJECTED = "rejected"
    CLOSED = "closed"


KYC_STATES: Final = declare_states(
    "kyc_case",
    KycState.SUBMITTED,
    {
        KycState.SUBMITTED: {KycState.APPROVED, KycState.REJECTED},
        KycState.REJECTED: {KycState.SUBMITTED, KycState.CLOSED},
        KycState.APPROVED: {KycState.REJECTED, KycState.CLOSED},
        KycState.CLOSED: set(),
    },
)
"""A rejected merchant files again; an approval may later be taken back with a reason."""

INBOUND_GATE: Final = "inbound"
PAYOUT_GATE: Final = "payout"
_LISTING_PREFIX: Final = "listing:"


def listing_gate(marketplace_code: str) -> str:
    """Return the gate that lets a merchant list in a marketplace."""
    return _LISTING_PREFIX + marketplace_code


class NewMerchant(Struct, frozen=True):
    """A merchant or legal entity to register."""

    code: str
    name: str
    country_code: str
    payout_currency: str
    time_zone: str
    kind: MerchantKind = MerchantKind.MERCHANT

    @property
    def merchant_id(self) -> uuid.UUID:
        """The id that always follows from the code."""
        return merchant_id_of(self.code)


class Merchant(Struct, frozen=True):
    """A registered merchant or legal entity."""

    merchant_id: uuid.UUID
    code: str
    name: str
    kind: str
    country_code: str
    payout_currency: str
    time_zone: str
    status: str
    created_at: datetime


class Registered(Struct, frozen=True):
    """A merchant's id and whether it is new."""

    merchant_id: uuid.UUID
    outcome: Outcome


class Registration(Struct, frozen=True):
    """A dated number of a merchant in a country: tax, customs or agent; `effective_to` is the first day it no longer holds."""

    merchant_id: uuid.UUID
    country_code: str
    kind: str
    number: str
    effective_from: date
    effective_to: date | None = None


class BankAccount(Struct, frozen=True):
    """Where a merchant is paid in a currency: the payment provider's token and the last four characters, never the whole number."""

    merchant_id: uuid.UUID
    currency: str
    provider_token: str
    last_four: str
    country_code: str
    effective_from: date
    effective_to: date | None = None


class KycFiling(Struct, frozen=True):
    """Documents that a merchant files for a gate, by reference to where they are kept."""

    merchant_id: uuid.UUID
    gate: str
    documents: tuple[str, ...]


class KycDecision(Struct, frozen=True):
    """What the compliance officer decides about a filed gate."""

    merchant_id: uuid.UUID
    gate: str
    state: KycState
    reason: str = ""


class KycCase(Struct, frozen=True):
    """The state of a merchant's check for a gate."""

    merchant_id: uuid.UUID
    case_id: uuid.UUID
    gate: str
    state: str
    documents: tuple[str, ...]
    decided_by: str | None
    reason: str
    changed_at: datetime
    step_count: int


class RoleHolder(Struct, frozen=True):
    """The legal entity that fills a role in a marketplace; `effective_to` is the first day it no longer does."""

    marketplace_code: str
    role_code: str
    entity_merchant_id: uuid.UUID
    effective_from: date
    effective_to: date | None
    source: str
    confidence: str


class AdmissionRule(Struct, frozen=True):
    """What a model asks of a merchant and of the marketplace, as plain values of its declaration."""

    barred_countries: frozenset[str] = field(default_factory=frozenset[str])
    credentials: frozenset[str] = field(default_factory=frozenset[str])
    role_codes: frozenset[str] = field(default_factory=frozenset[str])
    only_marketplaces: frozenset[str] = field(default_factory=frozenset[str])
    barred_marketplaces: frozenset[str] = field(default_factory=frozenset[str])


class ModelOpening(Struct, frozen=True):
    """A merchant wants to sell by an operation model in a marketplace."""

    merchant_id: uuid.UUID
    marketplace_code: str
    model_code: str


Item = TypeVar("Item")


def tell_outcomes(
    items: Sequence[Item],
    key_of: Callable[[Item], object],
    new_keys: frozenset[object],
    stored: Mapping[object, object],
    values_of: Callable[[Item], object],
) -> list[Outcome]:
    """Tell for each input whether it is new, a replay, or a replay with other values; a twin inside the batch is a replay of the first."""
    known = dict(stored)
    outcomes: list[Outcome] = []
    for item in items:
        key, values = key_of(item), values_of(item)
        if key not in known:
            known[key] = values
            outcomes.append(Outcome.NEW if key in new_keys else Outcome.EXISTS)
        else:
            outcomes.append(Outcome.EXISTS if known[key] == values else Outcome.EXISTS_WITH_DIFFERENT_VALUES)
    return outcomes


def merchant_id_of(code: str) -> uuid.UUID:
    """Return the id of the merchant with this code, so that a code is never used twice."""
    return derived_id("merchant", code)


def kyc_case_id(merchant_id: uuid.UUID, gate: str) -> uuid.UUID:
    """Return the id of a merchant's one case for a gate."""
    return derived_id("kyc_case", merchant_id, gate)


def require_text(text: str, field_name: str) -> str:
    """Return the text if it holds more than blanks, else refuse it."""
    if not text.strip():
        raise EmptyCodeError(field_name, text, "Give at least one character.")
    return text


def require_period(effective_from: date, effective_to: date | None) -> None:
    """Refuse a period that ends on or before the day it starts."""
    if effective_to is not None and effective_to <= effective_from:
        raise PeriodEndsBeforeItStartsError(
            "effective_to", effective_to.isoformat(), "Choose a day after %(day)s, or leave it open.", day=effective_from
        )


def require_merchant_values(merchant: NewMerchant) -> None:
    """Refuse a merchant without code or name, or with an unknown country, currency or time zone."""
    require_text(merchant.code, "code")
    require_text(merchant.name, "name")
    require_country(merchant.country_code)
    decimals_of(merchant.payout_currency)
    try:
        ZoneInfo(merchant.time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        raise UnknownTimeZoneError("time_zone", merchant.time_zone, "Use an IANA name such as Europe/Berlin.") from None


def require_registration_values(registration: Registration) -> None:
    """Refuse a registration without number, of an unknown country, or that ends before it starts."""
    require_country(registration.country_code)
    require_text(registration.number, "number")
    require_period(registration.effective_from, registration.effective_to)


def require_gate_code(gate: str) -> str:
    """Return the gate if a check can open it: `listing:<marketplace>`, `inbound` or `payout`."""
    if gate in {INBOUND_GATE, PAYOUT_GATE} or (gate.startswith(_LISTING_PREFIX) and len(gate) > len(_LISTING_PREFIX)):
        return gate
    raise UnknownKycGateError("gate", gate, "Use listing:<marketplace>, inbound or payout.")


def require_open_gate(open_gates: Mapping[uuid.UUID, frozenset[str]], merchant_id: uuid.UUID, gate: str) -> None:
    """Refuse a step of a merchant whose gate is not open."""
    if gate not in open_gates.get(merchant_id, frozenset()):
        raise GateClosedError("gate", gate, "File the documents for this gate and wait for their approval.")


def require_reason(decision: KycDecision) -> None:
    """Refuse a rejection or closure that does not say why."""
    if decision.state is not KycState.APPROVED and not decision.reason.strip():
        raise KycReasonMissingError("reason", decision.reason, "Say what is wrong and what the merchant should file instead.")


def find_holder(holders: Sequence[RoleHolder], marketplace_code: str, role_code: str, on: date) -> uuid.UUID | None:
    """Return the entity that fills a role in a marketplace on a date, or None; where two periods overlap, the later appointment holds."""
    filling = [
        holder
        for holder in holders
        if (holder.marketplace_code, holder.role_code) == (marketplace_code, role_code)
        and holder.effective_from <= on
        and (holder.effective_to is None or on < holder.effective_to)
    ]
    return max(filling, key=lambda holder: holder.effective_from).entity_merchant_id if filling else None


def holder_of(holders: Sequence[RoleHolder], marketplace_code: str, role_code: str, on: date) -> uuid.UUID:
    """Return the entity that fills a role in a marketplace on a date, and refuse to go on without one."""
    found = find_holder(holders, marketplace_code, role_code, on)
    if found is None:
        raise RoleNotFilledError(
            "role_code",
            role_code,
            "Appoint a registered legal entity as %(role)s in %(store)s for %(day)s.",
            role=role_code,
            store=marketplace_code,
            day=on,
        )
    return found


def credentials_of(status: str, registrations: Sequence[Registration], on: date) -> frozenset[str]:
    """Return the credentials that a merchant can show on a date."""
    shown = {
        CREDENTIAL_OF_REGISTRATION[registration.kind]
        for registration in registrations
        if registration.kind in CREDENTIAL_OF_REGISTRATION
        and registration.effective_from <= on
        and (registration.effective_to is None or on < registration.effective_to)
    }
    return frozenset(shown | ({ACTIVE_SALES_ACCOUNT} if status == MerchantStatus.ACTIVE else set()))


def require_admission(
    merchant: Merchant, credentials: frozenset[str], opening: ModelOpening, rule: AdmissionRule, holders: Sequence[RoleHolder], on: date
) -> None:
    """Refuse an opening that the merchant's country, status or credentials forbid, or for which a role of the marketplace is empty."""
    if merchant.status != MerchantStatus.ACTIVE:
        raise MerchantNotActiveError("merchant", merchant.code, "Ask the operator to reinstate the merchant.")
    is_elsewhere = bool(rule.only_marketplaces) and opening.marketplace_code not in rule.only_marketplaces
    if is_elsewhere or opening.marketplace_code in rule.barred_marketplaces:
        raise ModelNotInMarketplaceError(
            "marketplace_code", opening.marketplace_code, "Choose a store in which %(model)s sells.", model=opening.model_code
        )
    if merchant.country_code in rule.barred_countries:
        raise MerchantNotAdmittedError(
            "country_code",
            merchant.country_code,
            "Choose a model that is open to merchants registered in %(country)s; %(model)s is not.",
            country=merchant.country_code,
            model=opening.model_code,
        )
    for credential in sorted(rule.credentials - credentials):
        raise MerchantNotAdmittedError(
            "credential",
            credential,
            "Register the merchant's %(credential)s before opening %(model)s.",
            credential=credential.replace("_", " "),
            model=opening.model_code,
        )
    for role_code in sorted(rule.role_codes):
        holder_of(holders, opening.marketplace_code, role_code, on)
