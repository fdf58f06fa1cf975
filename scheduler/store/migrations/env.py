"""How Alembic reaches the database. SQLite needs batch mode to alter a table (alembic.sqlalchemy.org: batch)."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from sqlalchemy import create_engine
from sqlmodel import AutoString, SQLModel

from scheduler.store import tables

assert tables.META is not None


def render_item(kind: str, item: Any, _context: object) -> str | Literal[False]:
    """Write SQLModel's string type as SQLAlchemy's own: a migration must outlive the model that it was made from."""
    return "sa.String()" if kind == "type" and isinstance(item, AutoString) else False


url = context.config.get_main_option("sqlalchemy.url")
assert url is not None
engine = create_engine(url)
with engine.connect() as connection:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        connection.commit()
    context.configure(
        connection=connection, target_metadata=SQLModel.metadata, render_as_batch=True, render_item=render_item
    )
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()
