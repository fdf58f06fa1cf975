"""The first schema"""

from __future__ import annotations

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("scopes", sa.String(), nullable=False),
        sa.Column("created_at", sa.Integer(), nullable=False),
        sa.Column("revoked_at", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("api_keys", schema=None) as batch_op:
        batch_op.create_index("api_keys_by_hash", ["hash"], unique=True)

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
    op.create_table(
        "devices",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("app", sa.String(), nullable=False),
        sa.Column("token", sa.String(), nullable=False),
        sa.Column("user", sa.String(), nullable=True),
        sa.Column("locale", sa.String(), nullable=True),
        sa.Column("time_zone", sa.String(), nullable=True),
        sa.Column("attributes", sa.String(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("retired_reason", sa.String(), nullable=True),
        sa.Column("retired_at", sa.Integer(), nullable=True),
        sa.Column("registered_at", sa.Integer(), nullable=True),
        sa.Column("last_seen_at", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("devices", schema=None) as batch_op:
        batch_op.create_index("devices_by_token", ["token", "app"], unique=True)
        batch_op.create_index("devices_by_user", ["user"], unique=False)

    op.create_table(
        "events",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=True),
        sa.Column("time", sa.Integer(), nullable=False),
        sa.Column("arrived_at", sa.Integer(), nullable=False),
        sa.Column("data", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
    )
    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.create_index("events_by_identity", ["source", "id"], unique=True)
        batch_op.create_index("events_by_subject", ["type", "subject", "time"], unique=False)

    op.create_table(
        "ledger",
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("step", sa.String(), nullable=False),
        sa.Column("device", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("at", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("maybe_repeated", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("run", "step", "device"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "memberships",
        sa.Column("topic", sa.Integer(), nullable=False),
        sa.Column("device", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("topic", "device"),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("memberships", schema=None) as batch_op:
        batch_op.create_index("memberships_by_device", ["device"], unique=False)

    op.create_table(
        "meta",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "misses",
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("last_at", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("rule", "reason", "detail"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "rule_versions",
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("sources", sa.String(), nullable=False),
        sa.Column("created_at", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("hash"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "runs",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("occasion", sa.String(), nullable=False),
        sa.Column("event", sa.Integer(), nullable=True),
        sa.Column("previous", sa.Integer(), nullable=True),
        sa.Column("given_event", sa.String(), nullable=True),
        sa.Column("app", sa.String(), nullable=False),
        sa.Column("category", sa.String(), nullable=False),
        sa.Column("lane", sa.String(), nullable=False),
        sa.Column("supersede", sa.String(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=True),
        sa.Column("due", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.Integer(), nullable=True),
        sa.Column("finished_at", sa.Integer(), nullable=True),
        sa.Column("last_device", sa.Integer(), nullable=True),
        sa.Column("intent", sa.Integer(), nullable=True),
        sa.Column("selected", sa.Integer(), nullable=False),
        sa.Column("sharded", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
    )
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.create_index("runs_by_id", ["id"], unique=True)
        batch_op.create_index("runs_by_rule", ["rule", "seq"], unique=False)
        batch_op.create_index(
            "runs_open",
            ["state", "app", "lane", "seq"],
            unique=False,
            sqlite_where=sa.text("finished_at IS NULL"),
        )

    op.create_table(
        "shards",
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.Column("cursor", sa.Integer(), nullable=False),
        sa.Column("intent", sa.Integer(), nullable=False),
        sa.Column("selected", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("run", "number"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "topics",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("app", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("topics", schema=None) as batch_op:
        batch_op.create_index("topics_by_name", ["app", "name"], unique=True)

    op.create_table(
        "users",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("attributes", sa.String(), nullable=False),
        sa.Column("opt_outs", sa.String(), nullable=False),
        sa.Column("locale", sa.String(), nullable=True),
        sa.Column("time_zone", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "work",
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("step", sa.String(), nullable=False),
        sa.Column("device", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("not_before", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("process", sa.String(), nullable=True),
        sa.Column("maybe_repeated", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("run", "step", "device"),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("work", schema=None) as batch_op:
        batch_op.create_index("work_by_time", ["not_before", "run"], unique=False)

    # The namespace of run ids: random, made with the database, and never changed.
    op.execute(
        sa.text("INSERT INTO meta (key, value) VALUES ('namespace', :value)").bindparams(value=secrets.token_hex(16))
    )


def downgrade() -> None:
    with op.batch_alter_table("work", schema=None) as batch_op:
        batch_op.drop_index("work_by_time")

    op.drop_table("work")
    op.drop_table("users")
    with op.batch_alter_table("topics", schema=None) as batch_op:
        batch_op.drop_index("topics_by_name")

    op.drop_table("topics")
    op.drop_table("shards")
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.drop_index("runs_open", sqlite_where=sa.text("finished_at IS NULL"))
        batch_op.drop_index("runs_by_rule")
        batch_op.drop_index("runs_by_id")

    op.drop_table("runs")
    op.drop_table("rule_versions")
    op.drop_table("misses")
    op.drop_table("meta")
    with op.batch_alter_table("memberships", schema=None) as batch_op:
        batch_op.drop_index("memberships_by_device")

    op.drop_table("memberships")
    op.drop_table("ledger")
    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.drop_index("events_by_subject")
        batch_op.drop_index("events_by_identity")

    op.drop_table("events")
    with op.batch_alter_table("devices", schema=None) as batch_op:
        batch_op.drop_index("devices_by_user")
        batch_op.drop_index("devices_by_token")

    op.drop_table("devices")
    op.drop_table("claims")
    with op.batch_alter_table("api_keys", schema=None) as batch_op:
        batch_op.drop_index("api_keys_by_hash")

    op.drop_table("api_keys")
