"""Tables of the money book."""

from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, ForeignKeyConstraint, Index, Integer, PrimaryKeyConstraint, Text, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY

from entrepot.base.tables import TableClass, declare_table

MONEY_POSTING = declare_table(
    "money_posting",
    TableClass.TENANT,
    "books.money",
    Column("merchant_id", Uuid, nullable=False),
    Column("posting_id", Uuid, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("kind", Text, nullable=False),
    Column("phase", Text, nullable=False),
    Column("pending_id", Uuid),
    Column("cause_kind", Text, nullable=False),
    Column("cause_id", Uuid, nullable=False),
    Column("checkout_id", Uuid),
    Column("order_id", Uuid),
    Column("rate_id", Text),
    PrimaryKeyConstraint("merchant_id", "posting_id"),
    Index("money_posting_pending_ix", "merchant_id", "pending_id", unique=True, postgresql_where=text("pending_id IS NOT NULL")),
    Index("money_posting_order_ix", "order_id"),
)

MONEY_ENTRY = declare_table(
    "money_entry",
    TableClass.TENANT,
    "books.money",
    Column("merchant_id", Uuid, nullable=False),
    Column("posting_id", Uuid, nullable=False),
    Column("entry_no", Integer, nullable=False),
    Column("account_code", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    PrimaryKeyConstraint("merchant_id", "posting_id", "entry_no"),
    part_of="money_posting",
)

MONEY_BALANCE = declare_table(
    "money_balance",
    TableClass.TENANT,
    "books.money",
    Column("merchant_id", Uuid, nullable=False),
    Column("account_code", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("posted_minor", BigInteger, nullable=False, server_default="0"),
    Column("pending_minor", BigInteger, nullable=False, server_default="0"),
    PrimaryKeyConstraint("merchant_id", "account_code", "currency"),
    fillfactor=70,
)

MONEY_CORRECTION = declare_table(
    "money_correction",
    TableClass.TENANT,
    "books.money",
    Column("merchant_id", Uuid, nullable=False),
    Column("correction_id", Uuid, nullable=False),
    Column("corrects_id", Uuid, nullable=False),
    Column("reason", Text, nullable=False),
    Column("account_codes", ARRAY(Text), nullable=False),
    Column("currencies", ARRAY(Text), nullable=False),
    Column("amounts_minor", ARRAY(BigInteger), nullable=False),
    Column("state", Text, nullable=False),
    Column("proposed_by", Uuid, nullable=False),
    Column("proposed_at", DateTime(timezone=True), nullable=False),
    Column("decided_by", Uuid),
    Column("decided_at", DateTime(timezone=True)),
    Column("decision_note", Text, nullable=False, server_default=""),
    Column("posting_id", Uuid),
    PrimaryKeyConstraint("merchant_id", "correction_id"),
    ForeignKeyConstraint(["merchant_id", "corrects_id"], ["money_posting.merchant_id", "money_posting.posting_id"]),
    ForeignKeyConstraint(["merchant_id", "posting_id"], ["money_posting.merchant_id", "money_posting.posting_id"]),
    CheckConstraint("reason <> ''", name="reason"),
    CheckConstraint("state in ('proposed', 'approved', 'rejected')", name="state"),
    CheckConstraint("(state = 'proposed') = (decided_by is null)", name="decided"),
    CheckConstraint("decided_by is null or decided_by <> proposed_by", name="second_person"),
    CheckConstraint("(state = 'approved') = (posting_id is not null)", name="posted"),
    Index("money_correction_state_ix", "state", "proposed_at"),
    Index("money_correction_corrects_ix", "merchant_id", "corrects_id"),
)
