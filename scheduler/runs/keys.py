"""API keys as people handle them: made, shown once, listed, revoked, verified."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from scheduler.diagnostics.diagnostic import did_you_mean
from scheduler.domain.errors import OperatorError
from scheduler.store import api_keys
from scheduler.store.api_keys import ApiKey, Scope
from scheduler.store.database import Store

PREFIX = "clarion_"
"""Lets scanners for leaked secrets know one of ours."""


@dataclass(frozen=True, slots=True)
class CreatedKey:
    """A new key with its secret, which is nowhere else and cannot be shown again."""

    secret: str
    key: ApiKey


def read_scopes(words: Iterable[str]) -> frozenset[Scope]:
    """The scopes with these names. OperatorError for none, or for an unknown one."""
    known = [scope.value for scope in Scope]
    scopes = set()
    for word in words:
        if word not in known:
            hint = did_you_mean(word, known) or f"scopes are {', '.join(known)}"
            raise OperatorError(f"{word!r} is not a scope", hint=hint)
        scopes.add(Scope(word))
    if not scopes:
        raise OperatorError("a key needs a scope", hint=f"scopes are {', '.join(known)}")
    return frozenset(scopes)


def create_key(store: Store, name: str, scopes: Iterable[Scope], now: datetime) -> CreatedKey:
    """Make a key of 256 random bits. Its secret is in the answer and only its hash in the database."""
    secret = PREFIX + secrets.token_urlsafe(32)
    with store.write() as tx:
        key = api_keys.add_key(tx, name=name, hash=_hash(secret), scopes=frozenset(scopes), now=now)
    return CreatedKey(secret, key)


def list_keys(store: Store) -> list[ApiKey]:
    """All keys without their secrets."""
    with store.read() as tx:
        return api_keys.list_keys(tx)


def revoke_key(store: Store, number: int, now: datetime) -> None:
    """Take a key out of service; the next request with it is refused. OperatorError if there is none to revoke."""
    with store.write() as tx:
        if not api_keys.revoke_key(tx, number, now):
            raise OperatorError(f"there is no key {number} in service", hint="see 'clarion keys list'")


def verify_key(store: Store, secret: str) -> frozenset[Scope] | None:
    """What the holder of a secret may do, or None if it is no key or a revoked one.

    It is looked up by its SHA-256: with 256 random bits there is nothing to guess, and so nothing to make slow.
    """
    if not secret.startswith(PREFIX):
        return None
    with store.read() as tx:
        key = api_keys.find_key(tx, _hash(secret))
    return None if key is None or key.revoked_at is not None else key.scopes


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
