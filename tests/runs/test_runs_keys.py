from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scheduler.domain.errors import OperatorError
from scheduler.runs.keys import create_key, list_keys, read_scopes, revoke_key, verify_key
from scheduler.store.api_keys import Scope
from scheduler.store.database import Store, open_store

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(f"sqlite:///{tmp_path / 'clarion.db'}")
    yield store
    store.close()


def test_a_key_can_do_what_its_scopes_say_until_it_is_revoked(store: Store) -> None:
    created = create_key(store, "backend", [Scope.EVENTS_WRITE, Scope.DEVICES_WRITE], NOW)
    assert verify_key(store, created.secret) == {Scope.EVENTS_WRITE, Scope.DEVICES_WRITE}
    revoke_key(store, created.key.number, NOW + timedelta(days=1))
    assert verify_key(store, created.secret) is None
    assert [(key.name, key.created_at, key.revoked_at) for key in list_keys(store)] == [
        ("backend", NOW, NOW + timedelta(days=1))
    ]
    with pytest.raises(OperatorError, match="there is no key 1 in service\n  hint: see 'clarion keys list'"):
        revoke_key(store, 1, NOW)


def test_two_keys_differ_and_others_are_no_keys(store: Store) -> None:
    first, second = (create_key(store, "x", [Scope.ADMIN], NOW).secret for _ in range(2))
    assert first != second
    assert first.startswith("clarion_")
    for wrong in ("", first[:-1], first[len("clarion_") :], "clarion_ü"):
        assert verify_key(store, wrong) is None


def test_the_database_holds_no_secret(store: Store, tmp_path: Path) -> None:
    secret = create_key(store, "x", [Scope.ADMIN], NOW).secret
    store.close()
    for file in tmp_path.iterdir():
        assert secret.encode() not in file.read_bytes()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["events:writes"], "'events:writes' is not a scope\n  hint: did you mean 'events:write'?"),
        ([], "a key needs a scope\n  hint: scopes are devices:write, events:write, runs:read, runs:write, admin"),
    ],
)
def test_wrong_scopes_are_the_operators_error(words: list[str], text: str) -> None:
    with pytest.raises(OperatorError) as refused:
        read_scopes(words)
    assert str(refused.value) == text


def test_scopes_are_read_by_their_names() -> None:
    assert read_scopes(["admin", "runs:read"]) == {Scope.ADMIN, Scope.RUNS_READ}
