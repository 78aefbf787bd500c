"""Tables of merchants (TENANT), roles (REFERENCE), persons (PERSON) and sign-in (LOCAL)."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB

from entrepot.base.tables import TableClass, declare_table

_OWNER = "parties"
_PERIOD = "effective_to is null or effective_to > effective_from"

MERCHANT = declare_table(
    "merchant",
    TableClass.TENANT,
    _OWNER,
    Column("merchant_id", Uuid, nullable=False),
    Column("code", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("country_code", Text, nullable=False),
    Column("payout_currency", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("merchant_id"),
    CheckConstraint("kind in ('merchant', 'platform')", name="kind"),
    CheckConstraint("status in ('active', 'suspended', 'closed')", name="status"),
    Index("merchant_code_ix", "code"),
)

REGISTRATION = declare_table(
    "registration",
    TableClass.TENANT,
    _OWNER,
    Column("merchant_id", Uuid, nullable=False),
    Column("country_code", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("effective_from", Date, nullable=False),
    Column("effective_to", Date),
    Column("number", Text, nullable=False),
    PrimaryKeyConstraint("merchant_id", "country_code", "kind", "effective_from"),
    ForeignKeyConstraint(["merchant_id"], ["merchant.merchant_id"]),
    CheckConstraint(_PERIOD, name="period"),
)

BANK_ACCOUNT = declare_table(
    "bank_account",
    TableClass.TENANT,
    _OWNER,
    Column("merchant_id", Uuid, nullable=False),
    Column("currency", Text, nullable=False),
    Column("effective_from", Date, nullable=False),
    Column("effective_to", Date),
    Column("provider_token", Text, nullable=False),
    Column("last_four", Text, nullable=False),
    Column("country_code", Text, nullable=False),
    PrimaryKeyConstraint("merchant_id", "currency", "effective_from"),
    ForeignKeyConstraint(["merchant_id"], ["merchant.merchant_id"]),
    CheckConstraint(_PERIOD, name="period"),
    CheckConstraint("length(last_four) <= 4", name="last_four"),
)

KYC_CASE = declare_table(
    "kyc_case",
    TableClass.TENANT,
    _OWNER,
    Column("merchant_id", Uuid, nullable=False),
    Column("case_id", Uuid, nullable=False),
    Column("gate", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("documents", JSONB, nullable=False),
    Column("decided_by", Text),
    Column("reason", Text, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Column("step_count", Integer, nullable=False),
    PrimaryKeyConstraint("merchant_id", "case_id"),
    UniqueConstraint("merchant_id", "gate"),
    ForeignKeyConstraint(["merchant_id"], ["merchant.merchant_id"]),
    CheckConstraint("state in ('submitted', 'approved', 'rejected', 'closed')", name="state"),
    CheckConstraint("state = 'submitted' or decided_by is not null", name="decided"),
    CheckConstraint("state not in ('rejected', 'closed') or reason <> ''", name="reason"),
)

KYC_STEP = declare_table(
    "kyc_step",
    TableClass.TENANT,
    _OWNER,
    Column("merchant_id", Uuid, nullable=False),
    Column("case_id", Uuid, nullable=False),
    Column("step_no", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("documents", JSONB, nullable=False),
    Column("actor_code", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("merchant_id", "case_id", "step_no"),
    ForeignKeyConstraint(["merchant_id", "case_id"], ["kyc_case.merchant_id", "kyc_case.case_id"]),
)

MODEL_ADMISSION = declare_table(
    "model_admission",
    TableClass.TENANT,
    _OWNER,
    Column("merchant_id", Uuid, nullable=False),
    Column("marketplace_code", Text, nullable=False),
    Column("model_code", Text, nullable=False),
    Column("opened_at", DateTime(timezone=True), nullable=False),
    Column("opened_by", Text, nullable=False),
    Column("closed_at", DateTime(timezone=True)),
    PrimaryKeyConstraint("merchant_id", "marketplace_code", "model_code"),
    ForeignKeyConstraint(["merchant_id"], ["merchant.merchant_id"]),
)

ROLE_HOLDER = declare_table(
    "role_holder",
    TableClass.REFERENCE,
    _OWNER,
    Column("marketplace_code", Text, nullable=False),
    Column("role_code", Text, nullable=False),
    Column("effective_from", Date, nullable=False),
    Column("effective_to", Date),
    Column("entity_merchant_id", Uuid, nullable=False),
    Column("source", Text, nullable=False),
    Column("confidence", Text, nullable=False),
    PrimaryKeyConstraint("marketplace_code", "role_code", "effective_from"),
    CheckConstraint(_PERIOD, name="period"),
    CheckConstraint("confidence in ('seen', 'derived', 'memory', 'demo')", name="confidence"),
)

PERSON_KEY = declare_table(
    "person_key",
    TableClass.PERSON,
    _OWNER,
    Column("person_id", Uuid, nullable=False),
    Column("wrapped_key", LargeBinary),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("erased_at", DateTime(timezone=True)),
    PrimaryKeyConstraint("person_id"),
    CheckConstraint("(wrapped_key is null) = (erased_at is not null)", name="erased"),
)

BUYER = declare_table(
    "buyer",
    TableClass.PERSON,
    _OWNER,
    Column("person_id", Uuid, nullable=False),
    Column("country_code", Text, nullable=False),
    Column("is_anonymous", Boolean, nullable=False),
    Column("sealed", LargeBinary),
    Column("registered_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("person_id"),
    CheckConstraint("is_anonymous = (sealed is null)", name="sealed"),
)

ADDRESS = declare_table(
    "address",
    TableClass.PERSON,
    _OWNER,
    Column("person_id", Uuid, nullable=False),
    Column("address_id", Uuid, nullable=False),
    Column("country_code", Text, nullable=False),
    Column("zone", Text, nullable=False),
    Column("postcode_prefix", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("added_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("person_id", "address_id"),
    ForeignKeyConstraint(["person_id"], ["buyer.person_id"]),
)

IDENTITY = declare_table(
    "identity",
    TableClass.PERSON,
    _OWNER,
    Column("person_id", Uuid, nullable=False),
    Column("identity_id", Uuid, nullable=False),
    Column("identity_hash", LargeBinary, nullable=False),
    Column("quota_person_id", Uuid, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("is_name_matched", Boolean, nullable=False),
    Column("verified_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("person_id", "identity_id"),
    UniqueConstraint("person_id", "identity_hash"),
    ForeignKeyConstraint(["person_id"], ["buyer.person_id"]),
)

STAFF = declare_table(
    "staff",
    TableClass.LOCAL,
    _OWNER,
    Column("staff_id", Uuid, nullable=False),
    Column("login", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("display_name", Text, nullable=False),
    Column("role_code", Text, nullable=False),
    Column("merchant_id", Uuid),
    Column("person_id", Uuid),
    Column("place_code", Text),
    Column("status", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("language_code", Text),
    Column("mail_address", Text),
    PrimaryKeyConstraint("staff_id"),
    UniqueConstraint("login"),
    CheckConstraint("role_code not in ('merchant_owner', 'merchant_staff') or merchant_id is not null", name="merchant"),
    CheckConstraint("role_code <> 'buyer' or person_id is not null", name="buyer"),
    CheckConstraint("status in ('active', 'closed')", name="status"),
)

WEB_SESSION = declare_table(
    "web_session",
    TableClass.LOCAL,
    _OWNER,
    Column("token_hash", LargeBinary, nullable=False),
    Column("staff_id", Uuid, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    Column("seen_at", DateTime(timezone=True)),
    Column("awaits_code", Boolean, nullable=False, server_default="false"),
    PrimaryKeyConstraint("token_hash"),
    ForeignKeyConstraint(["staff_id"], ["staff.staff_id"]),
    Index("web_session_expires_at_ix", "expires_at"),
    Index("web_session_staff_id_ix", "staff_id"),
)

STAFF_WORKPLACE = declare_table(
    "staff_workplace",
    TableClass.LOCAL,
    _OWNER,
    Column("staff_id", Uuid, nullable=False),
    Column("place_code", Text, nullable=False),
    PrimaryKeyConstraint("staff_id", "place_code"),
    ForeignKeyConstraint(["staff_id"], ["staff.staff_id"]),
)

FLOOR_SIGN_ON = declare_table(
    "floor_sign_on",
    TableClass.LOCAL,
    _OWNER,
    Column("token_hash", LargeBinary, nullable=False),
    Column("staff_id", Uuid, nullable=False),
    Column("place_code", Text, nullable=False),
    Column("station_code", Text, nullable=False),
    Column("signed_on_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("token_hash"),
    ForeignKeyConstraint(["token_hash"], ["web_session.token_hash"]),
    Index("floor_sign_on_place_ix", "place_code"),
)

SECOND_FACTOR = declare_table(
    "second_factor",
    TableClass.LOCAL,
    _OWNER,
    Column("staff_id", Uuid, nullable=False),
    Column("sealed_secret", LargeBinary, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("confirmed_at", DateTime(timezone=True)),
    Column("last_step", BigInteger, nullable=False),
    PrimaryKeyConstraint("staff_id"),
    ForeignKeyConstraint(["staff_id"], ["staff.staff_id"]),
)

RECOVERY_CODE = declare_table(
    "recovery_code",
    TableClass.LOCAL,
    _OWNER,
    Column("staff_id", Uuid, nullable=False),
    Column("code_hash", LargeBinary, nullable=False),
    Column("used_at", DateTime(timezone=True)),
    PrimaryKeyConstraint("staff_id", "code_hash"),
    ForeignKeyConstraint(["staff_id"], ["second_factor.staff_id"], ondelete="CASCADE"),
)

PASSWORD_RESET = declare_table(
    "password_reset",
    TableClass.LOCAL,
    _OWNER,
    Column("token_hash", LargeBinary, nullable=False),
    Column("staff_id", Uuid, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("used_at", DateTime(timezone=True)),
    PrimaryKeyConstraint("token_hash"),
    ForeignKeyConstraint(["staff_id"], ["staff.staff_id"]),
    Index("password_reset_staff_id_ix", "staff_id"),
)

SAVED_VIEW = declare_table(
    "saved_view",
    TableClass.LOCAL,
    _OWNER,
    Column("staff_id", Uuid, nullable=False),
    Column("list_code", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("query", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("staff_id", "list_code", "name"),
    ForeignKeyConstraint(["staff_id"], ["staff.staff_id"]),
)

API_TOKEN = declare_table(
    "api_token",
    TableClass.LOCAL,
    _OWNER,
    Column("token_hash", LargeBinary, nullable=False),
    Column("staff_id", Uuid, nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    PrimaryKeyConstraint("token_hash"),
    ForeignKeyConstraint(["staff_id"], ["staff.staff_id"]),
    Index("api_token_staff_id_ix", "staff_id"),
)

LOGIN_ATTEMPT = declare_table(
    "login_attempt",
    TableClass.LOCAL,
    _OWNER,
    Column("attempt_id", Uuid, nullable=False),
    Column("login", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("is_success", Boolean, nullable=False),
    PrimaryKeyConstraint("attempt_id"),
    Index("login_attempt_login_ix", "login", "at"),
    Index("login_attempt_origin_ix", "origin", "at"),
)
