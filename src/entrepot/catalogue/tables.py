"""Tables of marketplaces, products and restrictions (REFERENCE), and of merchants' stock items and offers (TENANT)."""

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
    PrimaryKeyConstraint,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TSVECTOR

from entrepot.base.tables import TableClass, declare_table

_OWNER = "catalogue"
_PERIOD = "effective_to is null or effective_to > effective_from"

MARKETPLACE = declare_table(
    "marketplace",
    TableClass.REFERENCE,
    _OWNER,
    Column("marketplace_code", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("country_code", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("languages", ARRAY(Text), nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("price_includes_tax", Boolean, nullable=False),
    Column("destination_codes", ARRAY(Text), nullable=False),
    Column("opened_on", Date, nullable=False),
    Column("label_language", Text),
    PrimaryKeyConstraint("marketplace_code"),
    CheckConstraint("cardinality(languages) > 0", name="languages"),
    CheckConstraint("cardinality(destination_codes) > 0", name="destinations"),
)

PRODUCT = declare_table(
    "product",
    TableClass.REFERENCE,
    _OWNER,
    Column("product_id", Uuid, nullable=False),
    Column("gtin", Text),
    Column("category_code", Text, nullable=False),
    Column("hazard_code", Text),
    Column("is_lot_controlled", Boolean, nullable=False),
    Column("is_expiry_controlled", Boolean, nullable=False),
    Column("weight_g", BigInteger, nullable=False),
    Column("length_mm", BigInteger, nullable=False),
    Column("width_mm", BigInteger, nullable=False),
    Column("height_mm", BigInteger, nullable=False),
    Column("added_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("product_id"),
    CheckConstraint("weight_g > 0 and length_mm > 0 and width_mm > 0 and height_mm > 0", name="measures"),
    Index("product_gtin_ix", "gtin"),
    Index("product_category_code_ix", "category_code"),
)

PRODUCT_TEXT = declare_table(
    "product_text",
    TableClass.REFERENCE,
    _OWNER,
    Column("product_id", Uuid, nullable=False),
    Column("language", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("customs_description", Text, nullable=False),
    Column("words", TSVECTOR, nullable=False),
    PrimaryKeyConstraint("product_id", "language"),
    ForeignKeyConstraint(["product_id"], ["product.product_id"]),
    Index("product_text_words_ix", "words", postgresql_using="gin"),
)

RESTRICTION = declare_table(
    "restriction",
    TableClass.REFERENCE,
    _OWNER,
    Column("category_code", Text, nullable=False),
    Column("country_code", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("effective_from", Date, nullable=False),
    Column("effective_to", Date),
    Column("source", Text, nullable=False),
    Column("confidence", Text, nullable=False),
    Column("is_active", Boolean, nullable=False),
    PrimaryKeyConstraint("category_code", "country_code", "rule", "effective_from"),
    CheckConstraint("rule in ('sale_prohibited', 'import_prohibited')", name="rule"),
    CheckConstraint("confidence in ('seen', 'derived', 'memory', 'demo')", name="confidence"),
    CheckConstraint(_PERIOD, name="period"),
)

STOCK_ITEM = declare_table(
    "stock_item",
    TableClass.TENANT,
    _OWNER,
    Column("merchant_id", Uuid, nullable=False),
    Column("stock_item_id", Uuid, nullable=False),
    Column("sku", Text, nullable=False),
    Column("product_id", Uuid, nullable=False),
    Column("hs_code", Text),
    Column("origin_country_code", Text),
    Column("unit_code", Text, nullable=False),
    Column("sourcing_cost_minor", BigInteger, nullable=False),
    Column("cost_currency", Text, nullable=False),
    Column("added_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("merchant_id", "stock_item_id"),
    UniqueConstraint("merchant_id", "sku"),
    ForeignKeyConstraint(["product_id"], ["product.product_id"]),
    CheckConstraint("sourcing_cost_minor >= 0", name="cost"),
    Index("stock_item_product_id_ix", "product_id"),
)

OFFER = declare_table(
    "offer",
    TableClass.TENANT,
    _OWNER,
    Column("merchant_id", Uuid, nullable=False),
    Column("offer_id", Uuid, nullable=False),
    Column("stock_item_id", Uuid, nullable=False),
    Column("marketplace_code", Text, nullable=False),
    Column("model_code", Text, nullable=False),
    Column("price_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("handling_days", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("effective_from", DateTime(timezone=True), nullable=False),
    Column("effective_to", DateTime(timezone=True)),
    Column("electronic_label", JSONB),
    PrimaryKeyConstraint("merchant_id", "offer_id"),
    UniqueConstraint("merchant_id", "stock_item_id", "marketplace_code", "model_code", "effective_from"),
    ForeignKeyConstraint(["merchant_id", "stock_item_id"], ["stock_item.merchant_id", "stock_item.stock_item_id"]),
    ForeignKeyConstraint(["marketplace_code"], ["marketplace.marketplace_code"]),
    CheckConstraint("price_minor > 0", name="price"),
    CheckConstraint("handling_days >= 0", name="handling_days"),
    CheckConstraint("state in ('live', 'paused', 'closed')", name="state"),
    CheckConstraint(_PERIOD, name="period"),
    Index("offer_marketplace_code_ix", "marketplace_code", "state"),
)

OFFER_PRICE = declare_table(
    "offer_price",
    TableClass.TENANT,
    _OWNER,
    Column("merchant_id", Uuid, nullable=False),
    Column("offer_id", Uuid, nullable=False),
    Column("effective_from", DateTime(timezone=True), nullable=False),
    Column("price_minor", BigInteger, nullable=False),
    PrimaryKeyConstraint("merchant_id", "offer_id", "effective_from"),
    ForeignKeyConstraint(["merchant_id", "offer_id"], ["offer.merchant_id", "offer.offer_id"]),
    CheckConstraint("price_minor > 0", name="price"),
)
