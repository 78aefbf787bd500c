"""Tables of sourcing: the network as reference data, the decisions per line."""

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Integer, PrimaryKeyConstraint, SmallInteger, Text, Uuid
from sqlalchemy.dialects.postgresql import ARRAY

from entrepot.base.tables import TableClass, declare_table

PLACE = declare_table(
    "place",
    TableClass.REFERENCE,
    "sourcing",
    Column("place_code", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("country_code", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("cutoff_hour", SmallInteger, nullable=False),
    Column("merchant_id", Uuid),
    Column("is_open", Boolean, nullable=False),
    Column("latitude_e6", Integer, nullable=False),
    Column("longitude_e6", Integer, nullable=False),
    PrimaryKeyConstraint("place_code"),
)

LANE = declare_table(
    "lane",
    TableClass.REFERENCE,
    "sourcing",
    Column("place_code", Text, nullable=False),
    Column("to_country_code", Text, nullable=False),
    Column("service_code", Text, nullable=False),
    Column("carrier_code", Text, nullable=False),
    Column("mode_code", Text, nullable=False),
    Column("base_minor", BigInteger, nullable=False),
    Column("per_kg_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("days_min", Integer, nullable=False),
    Column("days_max", Integer, nullable=False),
    Column("refused_hazards", ARRAY(Text), nullable=False),
    Column("source", Text, nullable=False),
    PrimaryKeyConstraint("place_code", "to_country_code", "service_code"),
)

SOURCING_DECISION = declare_table(
    "sourcing_decision",
    TableClass.TENANT,
    "sourcing",
    Column("merchant_id", Uuid, nullable=False),
    Column("order_id", Uuid, nullable=False),
    Column("line_no", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("decided_at", DateTime(timezone=True), nullable=False),
    Column("place_codes", ARRAY(Text), nullable=False),
    Column("costs_minor", ARRAY(BigInteger), nullable=False),
    Column("days_max", ARRAY(Integer), nullable=False),
    Column("free_units", ARRAY(BigInteger), nullable=False),
    Column("reasons", ARRAY(Text), nullable=False),
    PrimaryKeyConstraint("merchant_id", "order_id", "line_no", "version"),
)
