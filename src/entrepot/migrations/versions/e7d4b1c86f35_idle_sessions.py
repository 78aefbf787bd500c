"""Sessions end when nobody uses them: when each was last seen."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "e7d4b1c86f35"
down_revision: str | None = "c5d1e7a4b902"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("web_session", sa.Column("seen_at", sa.DateTime(timezone=True), nullable=True))
