"""How SQLite finds an audience: through an index where there is one, and never by sorting or reading a whole table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text
from support.plans import plan_rows
from support.worlds import APP, NOW, new_store, register, token_of

from scheduler.conditions.condition import Condition
from scheduler.conditions.parse import parse_condition
from scheduler.conditions.types import Schema
from scheduler.diagnostics.source import Source
from scheduler.diagnostics.yaml_nodes import ScalarNode
from scheduler.diagnostics.yaml_reader import read_yaml
from scheduler.domain.lanes import Lane
from scheduler.domain.runs import RunState
from scheduler.domain.stops import Stop, StopKind, Stops
from scheduler.store.audience import Audience, page_statement
from scheduler.store.database import Asked, Store, Transaction
from scheduler.store.registry_changes import DeviceChange
from scheduler.store.run_ends import due_waiting_statement, first_waiting_statement
from scheduler.store.runs import open_runs_statement

_WHOLE = ("SCAN devices", "SCAN memberships", "SCAN users", "SCAN topics")
BY_NUMBER = "SEARCH devices USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"


@pytest.fixture(scope="module", params=["unknown", "analyzed"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A registry that SQLite's planner knows nothing of, or has statistics of: the plans are the same."""
    store = new_store(tmp_path_factory.mktemp("plans") / "clarion.db")
    topics = [["a"], ["b"], ["a", "b"], [], ["c"]]
    register(
        store,
        (
            DeviceChange(app=APP, token=token_of(n), user=f"u{n % 5000}", topics=topics[n % 5], attributes={"n": n})
            for n in range(1, 10_001)
        ),
    )
    if request.param == "analyzed":
        with store.write() as tx:
            tx.execute(text("ANALYZE"))
    yield store
    store.close()


def _plan(tx: Transaction, asked: Asked) -> list[str]:
    """The steps of the plan, each with the steps that it is inside of before it: `CO-ROUTINE a / SEARCH b`."""
    steps: dict[int, str] = {}
    for row in plan_rows(tx, asked):
        steps[row.id] = f"{steps[row.parent]} / {row.detail}" if row.parent in steps else row.detail
    return list(steps.values())


def _page_plan(store: Store, **audience: Any) -> list[str]:
    """The steps that find the rows, which are put together as they come."""
    with store.read() as tx:
        whole = Audience(app=APP, environment="sandbox", **audience)
        asked = page_statement(tx, whole, after=1000, last=9000, limit=50)
        assert asked is not None
        first, *steps, last = _plan(tx, asked)
    assert (first, last) == ("CO-ROUTINE rows", "SCAN rows")
    return [step.removeprefix("CO-ROUTINE rows / ") for step in steps]


def _where(words: str) -> Condition:
    node = read_yaml(Source("rule.yaml", words)).root
    assert isinstance(node, ScalarNode)
    condition, findings = parse_condition(
        node, Schema.undeclared(), names=frozenset({"device", "user"}), event_type=None
    )
    assert condition is not None, findings
    return condition


def _check_no_table_is_read_whole(plan: list[str]) -> None:
    for step in plan:
        assert not step.rpartition("/ ")[2].startswith(_WHOLE), plan


def _check_topics(plan: list[str], count: int) -> None:
    """Each topic is a range of its key, read in order and cut to a window before anything is sorted or joined."""
    for number in range(count):
        (search,) = [step for step in plan if f"CO-ROUTINE topic_{number} / " in step]
        assert search.endswith("/ SEARCH memberships USING PRIMARY KEY (topic=? AND device>? AND device<?)")
    assert any(step.startswith("SEARCH devices USING INTEGER PRIMARY KEY (rowid=?)") for step in plan)
    _check_no_table_is_read_whole(plan)


@pytest.mark.parametrize("where", [None, "device.attributes.n > 500", "user.attributes.plan == 'free'"])
def test_everyone_is_a_range_of_numbers(store: Store, where: str | None) -> None:
    plan = _page_plan(store, where=_where(where) if where else None)
    assert plan[0] == BY_NUMBER
    assert "USE TEMP B-TREE FOR ORDER BY" not in plan
    _check_no_table_is_read_whole(plan)


def test_one_topic_is_a_range_of_its_members(store: Store) -> None:
    _check_topics(_page_plan(store, topics=("a",)), 1)


def test_topics_are_merged_from_a_bounded_range_each(store: Store) -> None:
    _check_topics(_page_plan(store, topics=("a", "b", "c")), 3)


@pytest.mark.parametrize("users", [("u1",), ("u1", "u2", "u3")])
def test_users_are_found_by_their_index(store: Store, users: tuple[str, ...]) -> None:
    plan = _page_plan(store, users=users)
    assert plan[0].startswith("SEARCH devices USING INDEX devices_by_user (user=?")
    assert ("USE TEMP B-TREE FOR ORDER BY" in plan) <= (len(users) > 1)  # the few devices of these users
    _check_no_table_is_read_whole(plan)


def test_users_in_topics_are_found_by_user(store: Store) -> None:
    plan = _page_plan(store, users=("u1", "u2"), topics=("a", "b"))
    assert plan[0].startswith("SEARCH devices USING INDEX devices_by_user (user=?")
    (member,) = [step for step in plan if "memberships" in step]
    assert member.endswith(("(topic=? AND device=?)", "(device=? AND topic=?)"))
    _check_no_table_is_read_whole(plan)


@pytest.mark.parametrize("state", [RunState.PENDING, RunState.RUNNING, RunState.PAUSED, RunState.CANCELLED])
@pytest.mark.parametrize("lane", [None, Lane.URGENT])
def test_open_runs_are_found_in_their_partial_index(store: Store, state: RunState, lane: Lane | None) -> None:
    with store.read() as tx:
        plan = _plan(tx, (open_runs_statement(state, app=APP if lane else None, lane=lane, limit=-1), {}))
    assert plan[0] == f"SEARCH runs USING INDEX runs_open (state=?{' AND app=? AND lane=?' if lane else ''})"
    assert ("USE TEMP B-TREE FOR ORDER BY" in plan) == (lane is None)  # read once, at the start, over the three lanes


@pytest.mark.parametrize("in_force", [(), (Stop(StopKind.RULE, "goal", NOW),)])
def test_waiting_runs_are_found_when_they_are_due_however_many_there_are(
    store: Store, in_force: tuple[Stop, ...]
) -> None:
    with store.read() as tx:
        due = _plan(tx, due_waiting_statement(Lane.BULK, [APP], Stops(in_force), NOW, limit=100))
        firsts = [_plan(tx, first_waiting_statement(Lane.BULK, after)) for after in (None, NOW)]
    assert due[0] == "SEARCH runs USING INDEX runs_waiting (lane=? AND waits_until<?)"
    assert not any("ORDER BY" in step or step.startswith("SCAN") for step in due)
    for first in firsts:
        assert first[0].startswith("SEARCH runs USING COVERING INDEX runs_waiting (lane=? AND waits_until>?)")
