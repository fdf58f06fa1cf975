"""Bringing a database to the current schema with Alembic."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config

from scheduler.domain.errors import OperatorError
from scheduler.store.database import BUSY_MS, sqlite_path
from scheduler.store.failures import failures_told

MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(url: str) -> None:
    """Run every migration that is missing. Makes the file, and its folder, when there is none."""
    path = sqlite_path(url)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise OperatorError(
            f"cannot make the folder of the database: {problem.strerror}",
            where=str(path),
            hint="put store.url right, or make the folder yourself",
        ) from problem
    with failures_told(path, busy_ms=BUSY_MS):
        command.upgrade(alembic_config(url), "head")


def alembic_config(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config
