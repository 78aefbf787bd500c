"""Table helpers, and the tables of the base: every table declares its class, and its key leads with that class's key."""

from enum import StrEnum
from typing import Final

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.schema import SchemaItem

METADATA: Final = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pk",
        "uq": "%(table_name)s_%(column_0_N_name)s_uq",
        "ck": "%(table_name)s_%(constraint_name)s_ck",
        "fk": "%(table_name)s_%(column_0_N_name)s_fk",
        "ix": "%(table_name)s_%(column_0_N_name)s_ix",
    }
)
"""All tables of the product; packages add theirs when their `tables.py` is imported."""


class TableClass(StrEnum):
    """How a table spreads when one machine is not enough."""

    TENANT = "tenant"
    PERSON = "person"
    NETWORK = "network"
    REFERENCE = "reference"
    LOCAL = "local"


CLASS_KEYS: Final[dict[TableClass, frozenset[str]]] = {
    TableClass.TENANT: frozenset({"merchant_id"}),
    TableClass.PERSON: frozenset({"person_id"}),
    TableClass.NETWORK: frozenset({"place_code", "leg_id"}),
    TableClass.REFERENCE: frozenset(),
    TableClass.LOCAL: frozenset(),
}
"""Columns of which one must lead every key of the class; empty where any key will do."""


FULL: Final = 100
"""Fill factor of a table whose rows do not change."""


def declare_table(name: str, table_class: TableClass, owner: str, *items: SchemaItem, fillfactor: int = FULL, part_of: str = "") -> Table:
    """Declare a table of a class, owned by a package such as `orders` or `books.stock`; `fillfactor` in per cent leaves room for updates.

    `part_of` names the table whose rows these rows are written with; law 6 proves that none is alone, so that no trigger has to ask for each row.
    """
    info = {"class": table_class, "owner": owner, "part_of": part_of}
    return Table(name, METADATA, *items, info=info, postgresql_with=None if fillfactor == FULL else {"fillfactor": str(fillfactor)})


DUE_WORK = declare_table(
    "due_work",
    TableClass.TENANT,
    "base",
    Column("merchant_id", Uuid, nullable=False),
    Column("step_code", Text, nullable=False),
    Column("subject_id", Uuid, nullable=False),
    Column("person_id", Uuid),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Column("attempt_count", Integer, nullable=False, server_default="0"),
    Column("failure", Text),
    PrimaryKeyConstraint("merchant_id", "step_code", "subject_id"),
    Index("due_work_due_ix", "step_code", "due_at", "subject_id"),
)

AUDIT_ENTRY = declare_table(
    "audit_entry",
    TableClass.TENANT,
    "base",
    Column("merchant_id", Uuid, nullable=False),
    Column("subject_id", Uuid, nullable=False),
    Column("command_code", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("actor_kind", Text, nullable=False),
    Column("actor_code", Text, nullable=False),
    Column("actor_role", Text, nullable=False),
    Column("on_behalf_of", Uuid),
    Column("request_id", Text, nullable=False),
    Column("note", Text, nullable=False, server_default=""),
    PrimaryKeyConstraint("merchant_id", "subject_id", "command_code", "at"),
)

OUTBOX = declare_table(
    "outbox",
    TableClass.TENANT,
    "base",
    Column("merchant_id", Uuid, nullable=False),
    Column("subject_id", Uuid, nullable=False),
    Column("fact_code", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("content", JSONB, nullable=False),
    PrimaryKeyConstraint("merchant_id", "subject_id", "fact_code", "at"),
    Index("outbox_at_ix", "at"),
)

SUBSCRIPTION = declare_table(
    "subscription",
    TableClass.TENANT,
    "base",
    Column("merchant_id", Uuid, nullable=False),
    Column("subscription_id", Uuid, nullable=False),
    Column("kind", Text, nullable=False),
    Column("url", Text, nullable=False, server_default=""),
    Column("sealed_secret", LargeBinary),
    Column("fact_codes", ARRAY(Text), nullable=False),
    Column("is_active", Boolean, nullable=False, server_default="true"),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("failure_count", Integer, nullable=False, server_default="0"),
    Column("rests_until", DateTime(timezone=True)),
    PrimaryKeyConstraint("merchant_id", "subscription_id"),
    CheckConstraint("kind in ('webhook', 'mail')", name="kind"),
    CheckConstraint("(kind = 'webhook') = (url <> '' and sealed_secret is not null)", name="webhook"),
)

NOTICE = declare_table(
    "notice",
    TableClass.TENANT,
    "base",
    Column("merchant_id", Uuid, nullable=False),
    Column("subscription_id", Uuid, nullable=False),
    Column("subject_id", Uuid, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("fact_code", Text, nullable=False),
    Column("position_no", Integer, nullable=False),
    Column("next_attempt_at", DateTime(timezone=True), nullable=False, server_default="1970-01-01 00:00:00+00"),
    Column("attempt_count", Integer, nullable=False, server_default="0"),
    Column("replay_no", Integer, nullable=False, server_default="0"),
    Column("done_at", DateTime(timezone=True)),
    Column("outcome", Text),
    Column("last_status", Integer),
    Column("last_failure", Text),
    PrimaryKeyConstraint("merchant_id", "subscription_id", "subject_id", "at", "fact_code"),
    CheckConstraint("(done_at is null) = (outcome is null)", name="done"),
    CheckConstraint("outcome in ('delivered', 'given_up', 'no_address', 'not_ours', 'dropped')", name="outcome"),
    Index("notice_open_ix", "subscription_id", "next_attempt_at", "at", postgresql_where=text("done_at IS NULL")),
)

PERSON_REQUEST = declare_table(
    "person_request",
    TableClass.PERSON,
    "base",
    Column("person_id", Uuid, nullable=False),
    Column("request_key", Text, nullable=False),
    Column("request_hash", LargeBinary, nullable=False),
    Column("answer", JSONB),
    Column("at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("person_id", "request_key"),
)

BUSINESS_CLOCK = declare_table(
    "business_clock",
    TableClass.LOCAL,
    "base",
    Column("only_row", Integer, nullable=False),
    Column("business_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("only_row"),
    CheckConstraint("only_row = 1", name="single"),
)

AWAITED = declare_table(
    "awaited",
    TableClass.LOCAL,
    "base",
    Column("merchant_id", Uuid, nullable=False),
    Column("subject_id", Uuid, nullable=False),
    Column("until_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("merchant_id", "subject_id"),
)
