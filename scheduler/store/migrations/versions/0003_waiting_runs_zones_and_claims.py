"""Runs that wait in the store; shards with a time, zones or a part of their own; claims by person; the users of events
that call something off; how many devices a rule selected"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("waits_until", sa.Integer(), nullable=True))
    op.add_column("runs", sa.Column("wall", sa.String(), nullable=True))
    for word in ("past_fuse", "past_canary"):
        op.add_column("runs", sa.Column(word, sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index("runs_waiting", "runs", ["lane", "waits_until"], sqlite_where=sa.text("waits_until IS NOT NULL"))
    op.add_column("shards", sa.Column("not_before", sa.Integer(), nullable=True))
    op.add_column("shards", sa.Column("zones", sa.String(), nullable=True))
    op.add_column("shards", sa.Column("part", sa.String(), nullable=True))
    op.add_column("events", sa.Column("user", sa.String(), nullable=True))
    op.create_index("events_by_user", "events", ["user", "type", "time"], sqlite_where=sa.text("user IS NOT NULL"))
    op.create_table(
        "exit_types",
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("upto", sa.Integer(), nullable=False),
        sa.Column("walked", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("type"),
        sqlite_with_rowid=False,
    )
    op.drop_table("claims")  # nothing has written to it
    op.create_table(
        "claims",
        sa.Column("person", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("bucket", sa.String(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("device", sa.Integer(), nullable=False),
        sa.Column("at", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("person", "kind", "scope", "bucket", "run", "device"),
        sqlite_with_rowid=False,
    )
    op.create_index("claims_by_device", "claims", ["run", "device"])
    op.create_table(
        "selections",
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("span", sa.Integer(), nullable=False),
        sa.Column("minute", sa.Integer(), nullable=False),
        sa.Column("devices", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("since", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("rule", "span", "minute"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("selections")
    op.drop_table("claims")
    op.create_table(
        "claims",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("person", sa.String(), nullable=False),
        sa.Column("bucket", sa.String(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "scope", "person", "bucket", "run"),
        sqlite_with_rowid=False,
    )
    op.drop_table("exit_types")
    op.drop_index("events_by_user", "events")
    op.drop_column("events", "user")
    for column in ("part", "zones", "not_before"):
        op.drop_column("shards", column)
    op.drop_index("runs_waiting", "runs")
    for column in ("past_canary", "past_fuse", "wall", "waits_until"):
        op.drop_column("runs", column)
