"""API keys: what each may do, kept under its SHA-256 only."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Row, select, update

from scheduler.store.database import Transaction
from scheduler.store.instants import from_ms, to_ms
from scheduler.store.tables import API_KEYS


class Scope(StrEnum):
    """What a key may do. `admin` may do everything."""

    DEVICES_WRITE = "devices:write"
    EVENTS_WRITE = "events:write"
    RUNS_READ = "runs:read"
    RUNS_WRITE = "runs:write"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key without its secret."""

    number: int
    name: str
    scopes: frozenset[Scope]
    created_at: datetime
    revoked_at: datetime | None


def add_key(tx: Transaction, *, name: str, hash: str, scopes: Collection[Scope], now: datetime) -> ApiKey:
    """Keep a new key."""
    row = {"name": name, "hash": hash, "scopes": " ".join(sorted(scopes)), "created_at": to_ms(now)}
    tx.execute(API_KEYS.insert(), row)
    found = find_key(tx, hash)
    assert found is not None
    return found


def find_key(tx: Transaction, hash: str) -> ApiKey | None:
    """The key with this hash, revoked or not."""
    row = tx.execute(select(API_KEYS).where(API_KEYS.c.hash == hash)).first()
    return None if row is None else _key_of(row)


def list_keys(tx: Transaction) -> list[ApiKey]:
    """All keys, revoked ones too, in the order they were made."""
    return [_key_of(row) for row in tx.execute(select(API_KEYS).order_by(API_KEYS.c.id))]


def revoke_key(tx: Transaction, number: int, now: datetime) -> bool:
    """Take a key out of service for good. False if there is no such key, or it was revoked before."""
    statement = update(API_KEYS).where(API_KEYS.c.id == number, API_KEYS.c.revoked_at.is_(None))
    return tx.execute(statement.values(revoked_at=to_ms(now))).rowcount > 0


def _key_of(row: Row[Any]) -> ApiKey:
    return ApiKey(
        number=row.id,
        name=row.name,
        scopes=frozenset(Scope(word) for word in row.scopes.split()),
        created_at=from_ms(row.created_at),
        revoked_at=None if row.revoked_at is None else from_ms(row.revoked_at),
    )
