"""Rule versions: the sources that a run is pinned to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import bindparam, insert, select

from scheduler.store.database import Transaction
from scheduler.store.instants import to_ms
from scheduler.store.tables import RULE_VERSIONS

_KNOWN = select(RULE_VERSIONS.c.hash).where(RULE_VERSIONS.c.hash == bindparam("version"))


def keep(tx: Transaction, version: str, rule: str, sources: Mapping[str, str], now: datetime) -> None:
    """Store the sources of a rule version, once."""
    if tx.execute(_KNOWN, {"version": version}).first() is None:
        row = {"hash": version, "rule": rule, "sources": json.dumps(dict(sources)), "created_at": to_ms(now)}
        tx.execute(insert(RULE_VERSIONS), row)


def sources_of(tx: Transaction, version: str) -> dict[str, str] | None:
    """path → text of a stored rule version."""
    query = select(RULE_VERSIONS.c.sources).where(RULE_VERSIONS.c.hash == version)
    text = tx.execute(query).scalar_one_or_none()
    return None if text is None else dict(json.loads(text))
