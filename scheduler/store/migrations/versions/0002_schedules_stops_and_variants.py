"""What is remembered of schedules; the kill switch, superseding and rates by hand; the variant of an outcome"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_WITH_KEY = sa.text("supersede IS NOT NULL")
_OPEN_WITH_KEY = sa.text("supersede IS NOT NULL AND finished_at IS NULL")


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
    op.create_table(
        "stops",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("since", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "name"),
        sqlite_with_rowid=False,
    )
    op.add_column("ledger", sa.Column("variant", sa.String(), nullable=True))
    op.add_column("runs", sa.Column("occasion_at", sa.Integer(), nullable=False, server_default="0"))
    op.execute("UPDATE runs SET occasion_at = due")  # until now the two were the same
    op.add_column("runs", sa.Column("rate", sa.Float(), nullable=True))
    op.add_column("runs", sa.Column("may_exceed", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index("runs_by_key", "runs", ["rule", "supersede", "occasion_at", "seq"], sqlite_where=_WITH_KEY)
    op.create_index("runs_open_by_key", "runs", ["rule", "supersede"], sqlite_where=_OPEN_WITH_KEY)
    op.drop_index("work_by_time", "work")
    op.create_index("work_by_time", "work", ["run", "not_before", "device"])


def downgrade() -> None:
    op.drop_index("work_by_time", "work")
    op.create_index("work_by_time", "work", ["not_before", "run"])
    op.drop_index("runs_open_by_key", "runs")
    op.drop_index("runs_by_key", "runs")
    for column in ("may_exceed", "rate", "occasion_at"):
        op.drop_column("runs", column)
    op.drop_column("ledger", "variant")
    op.drop_table("stops")
    op.drop_table("schedules")
