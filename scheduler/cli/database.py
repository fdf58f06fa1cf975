"""`clarion db`: the database."""

from __future__ import annotations

from scheduler.cli.output import remark
from scheduler.cli.session import InSession
from scheduler.store.database import SCHEMA_REVISION, schema_revision, sqlite_path


def upgrade(*, session: InSession) -> int:
    """Bring the database to this Clarion's schema; makes it if it is missing.

    Example: clarion db upgrade
    """
    from scheduler.store.migrating import upgrade as migrate

    url = session.without_rules.settings.store_url
    path = sqlite_path(url)
    before = schema_revision(url) if path.exists() else None
    migrate(url)
    if before == SCHEMA_REVISION:
        remark(f"{path} has the schema {SCHEMA_REVISION} already")
    else:
        remark(f"{path} has the schema {SCHEMA_REVISION} now{f'; it had {before}' if before else ''}")
    return 0
