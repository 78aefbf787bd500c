"""Lists of a big house: orders by another channel's number, invoices by their day."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "c5d1e7a4b902"
down_revision: str | None = "c2b8e5f0a917"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_index("customer_order_reference_ix", "customer_order", ["reference"], unique=False, postgresql_where=sa.text("reference <> ''"))
    op.create_index("invoice_issued_ix", "invoice", ["issued_at", "invoice_id"], unique=False)
