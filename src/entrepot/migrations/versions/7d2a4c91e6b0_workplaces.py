"""Where staff may work, and where a session is signed on to a floor."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "7d2a4c91e6b0"
down_revision: str | None = "3f0c7d5be214"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "staff_workplace",
        sa.Column("staff_id", sa.Uuid(), nullable=False),
        sa.Column("place_code", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.staff_id"], name=op.f("staff_workplace_staff_id_fk")),
        sa.PrimaryKeyConstraint("staff_id", "place_code", name=op.f("staff_workplace_pk")),
        postgresql_with=None,
    )
    op.create_table(
        "floor_sign_on",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("staff_id", sa.Uuid(), nullable=False),
        sa.Column("place_code", sa.Text(), nullable=False),
        sa.Column("station_code", sa.Text(), nullable=False),
        sa.Column("signed_on_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["token_hash"], ["web_session.token_hash"], name=op.f("floor_sign_on_token_hash_fk")),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("floor_sign_on_pk")),
        postgresql_with=None,
    )
    op.create_index("floor_sign_on_place_ix", "floor_sign_on", ["place_code"], unique=False)
