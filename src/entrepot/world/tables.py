"""Tables of the world: how far an import of orders has come."""

from sqlalchemy import Column, Date, DateTime, Integer, PrimaryKeyConstraint, Text
from sqlalchemy.dialects.postgresql import JSONB

from entrepot.base.tables import TableClass, declare_table

ORDER_IMPORT = declare_table(
    "order_import",
    TableClass.LOCAL,
    "world",
    Column("content_hash", Text, nullable=False),
    Column("merchant_code", Text, nullable=False),
    Column("file_name", Text, nullable=False),
    Column("options", JSONB, nullable=False),
    Column("today_on", Date, nullable=False),
    Column("began_at", DateTime(timezone=True), nullable=False),
    Column("steps_done", Integer, nullable=False),
    Column("finished_at", DateTime(timezone=True)),
    Column("counts", JSONB, nullable=False),
    PrimaryKeyConstraint("content_hash"),
)

ORDER_IMPORT_REFUSAL = declare_table(
    "order_import_refusal",
    TableClass.LOCAL,
    "world",
    Column("content_hash", Text, nullable=False),
    Column("line_no", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    PrimaryKeyConstraint("content_hash", "line_no"),
)
