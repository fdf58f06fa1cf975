"""What is remembered of schedules"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "schedules",
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("signature", sa.String(), nullable=True),
        sa.Column("handled", sa.Integer(), nullable=False),
        sa.Column("ran_on", sa.String(), nullable=True),
        sa.Column("several", sa.Boolean(), nullable=False),
        sa.Column("blocked_on", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("rule"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("schedules")
