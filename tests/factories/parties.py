"""Merchants, buyers and accounts to begin a test with."""

import uuid
from datetime import UTC, date, datetime

from entrepot.base.actor import Actor, ActorKind
from entrepot.base.ids import derived_id
from entrepot.base.sql import Conn, fetch
from entrepot.parties.accounts import NewStaff, StaffRole
from entrepot.parties.model import AdmissionRule, Merchant, NewMerchant, RoleHolder
from entrepot.parties.people import AddressDetails, NewAddress, NewBuyer, PersonalDetails
from entrepot.parties.sealing import Keyring

AT = datetime(2026, 5, 4, 9, tzinfo=UTC)
ON = date(2026, 5, 4)
KEYRING = Keyring(bytes(range(32)), b"identity secret of the tests")
OPERATOR = Actor(ActorKind.STAFF, "operator-1", "operator")
RESIDENT_ID = "11010519491231002X"
"""The sample number printed in the standard GB 11643."""

MERCHANT_TABLES = ("merchant", "registration", "bank_account", "kyc_case", "kyc_step", "model_admission", "role_holder", "audit_entry")
PERSON_TABLES = ("person_key", "buyer", "address", "identity")


def merchant(code: str = "leeds", country_code: str = "GB", currency: str = "GBP") -> NewMerchant:
    return NewMerchant(code, f"Test {code}", country_code, currency, "Europe/London")


def stored_merchant(country_code: str = "GB", status: str = "active") -> Merchant:
    return Merchant(derived_id("merchant", "leeds"), "leeds", "Test leeds", "merchant", country_code, "GBP", "Europe/London", status, AT)


def holder(
    role_code: str, entity: str = "entity", marketplace_code: str = "CN_GP", start: date = date(2020, 1, 1), end: date | None = None
) -> RoleHolder:
    return RoleHolder(marketplace_code, role_code, derived_id("merchant", entity), start, end, "test", "demo")


def rule(*roles: str, barred: frozenset[str] = frozenset(), credentials: frozenset[str] = frozenset()) -> AdmissionRule:
    return AdmissionRule(barred, credentials, frozenset(roles))


def person(code: str) -> uuid.UUID:
    return derived_id("test_person", code)


def buyer(code: str = "ann", country_code: str = "GB") -> NewBuyer:
    return NewBuyer(person(code), country_code, PersonalDetails(f"Name of {code}", f"{code}@example.com"))


def address(code: str = "ann", which: str = "home") -> NewAddress:
    details = AddressDetails(f"Name of {code}", ("1 Example Road",), "Leeds", "LS1 4DY")
    return NewAddress(person(code), derived_id("test_address", code, which), "GB", "ENG", "LS1", details)


def clerk(login: str, password_hash: str) -> NewStaff:
    return NewStaff(derived_id("test_staff", login), login, password_hash, f"Clerk {login}", StaffRole.OPERATOR)


async def counts(conn: Conn, *tables: str) -> dict[str, int]:
    rows = await fetch(conn, " union all ".join(f"select '{table}', count(*) from {table}" for table in tables))
    return {row[0]: row[1] for row in rows}
