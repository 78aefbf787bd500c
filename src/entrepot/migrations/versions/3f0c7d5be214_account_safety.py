"""Second factor, password reset, saved views, and the language of accounts."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "3f0c7d5be214"
down_revision: str | None = "a41c07d9be35"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("staff", sa.Column("language_code", sa.Text(), nullable=True))
    op.add_column("staff", sa.Column("mail_address", sa.Text(), nullable=True))
    op.add_column("web_session", sa.Column("awaits_code", sa.Boolean(), server_default="false", nullable=False))
    op.create_index("web_session_staff_id_ix", "web_session", ["staff_id"], unique=False)
    op.create_table(
        "second_factor",
        sa.Column("staff_id", sa.Uuid(), nullable=False),
        sa.Column("sealed_secret", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.staff_id"], name=op.f("second_factor_staff_id_fk")),
        sa.PrimaryKeyConstraint("staff_id", name=op.f("second_factor_pk")),
        postgresql_with=None,
    )
    op.create_table(
        "recovery_code",
        sa.Column("staff_id", sa.Uuid(), nullable=False),
        sa.Column("code_hash", sa.LargeBinary(), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["staff_id"], ["second_factor.staff_id"], name=op.f("recovery_code_staff_id_fk"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("staff_id", "code_hash", name=op.f("recovery_code_pk")),
        postgresql_with=None,
    )
    op.create_table(
        "password_reset",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("staff_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.staff_id"], name=op.f("password_reset_staff_id_fk")),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("password_reset_pk")),
        postgresql_with=None,
    )
    op.create_index("password_reset_staff_id_ix", "password_reset", ["staff_id"], unique=False)
    op.create_table(
        "saved_view",
        sa.Column("staff_id", sa.Uuid(), nullable=False),
        sa.Column("list_code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.staff_id"], name=op.f("saved_view_staff_id_fk")),
        sa.PrimaryKeyConstraint("staff_id", "list_code", "name", name=op.f("saved_view_pk")),
        postgresql_with=None,
    )
