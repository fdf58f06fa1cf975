"""Exit events are found by an index, whatever their type, and a walk over those of before reads the table in order."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import ColumnElement, text
from support.plans import plan_of
from support.worlds import NOW, event, new_store

from scheduler.store import events, exit_events
from scheduler.store.database import Store
from scheduler.store.exit_types import Walk, piece_statement
from scheduler.store.tables import EVENTS

COUNT = 3_000


@pytest.fixture(scope="module", params=["unknown", "analyzed"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Many events of a few types, with and without statistics for SQLite's planner."""
    store = new_store(tmp_path_factory.mktemp("plans") / "clarion.db")
    with store.write() as tx:
        rows = [
            event(str(n), type_=f"type.{n % 3}", subject=f"s{n}", at=NOW - timedelta(seconds=n)) for n in range(COUNT)
        ]
        users = {number: f"u{number % 40}" for number in range(1, COUNT + 1, 2)}
        events.add(tx, rows, first_seq=1, arrived_at=NOW, users=users)
        if request.param == "analyzed":
            tx.execute(text("ANALYZE"))
    yield store
    store.close()


@pytest.mark.parametrize(
    ("column", "step"),
    [
        (EVENTS.c.user, "SEARCH events USING INDEX events_by_user (user=? AND type=? AND time>? AND time<?)"),
        (EVENTS.c.subject, "SEARCH events USING INDEX events_by_subject (type=? AND subject=? AND time>? AND time<?)"),
    ],
    ids=["user", "subject"],
)
@pytest.mark.parametrize("types", [["type.1"], ["type.0", "type.1", "type.2"]])
@pytest.mark.parametrize("keys", [["u1"], [f"u{n}" for n in range(50)]])
def test_the_events_of_some_people_are_found_without_a_look_at_others(
    store: Store, column: ColumnElement[Any], step: str, types: list[str], keys: list[str]
) -> None:
    with store.read() as tx:
        plan = plan_of(tx, exit_events.statement(column, keys, types, NOW - timedelta(hours=1), NOW))
    assert plan == [step]


@pytest.mark.parametrize("types", [("type.1",), ("type.1", "type.2"), ("type.*",)])
def test_a_walk_goes_on_where_it_was_and_sorts_nothing(store: Store, types: tuple[str, ...]) -> None:
    with store.read() as tx:
        plan = plan_of(tx, (piece_statement(Walk(types, after=100, upto=COUNT)), {}))
    assert plan == ["SEARCH events USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"]
