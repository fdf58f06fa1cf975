"""Whatever happens to runs, in any order: the sums hold, and after any crash every device ends exactly once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select
from support.walking import Walk
from support.worlds import APP, World, register, rule_text, token_of

from scheduler.domain.runs import CALLED_OFF, RunState
from scheduler.runs import ranges
from scheduler.store.registry_changes import DeviceChange
from scheduler.store.tables import EVENTS, IN_FLIGHT, LEDGER, RUNS, SHARDS, STOPS, USERS, WORK

DEVICES = 14


def _world(folder: Path, kind: str) -> World:
    delivery: dict[str, object] = {"max_age": "20 days", "expires_after": "20 days"}
    if kind == "canary":
        canary = {"canary": {"share": "40%", "wait": "20 s", "max_rejects": "30%"}}
        return World.make(folder, {"canary": rule_text(delivery=delivery | canary)})
    audiences: dict[str, dict[str, object]] = {
        "everyone": {"everyone": True},
        "topic": {"topics": ["a", "b"]},
        "user": {"users": ["{{ event.data.user }}"]},
    }
    delivery["on_unknown"] = kind
    keys = {"topic": {"supersede": "{{ event.subject }}"}, "user": {"supersede": "{{ event.subject }}"}}
    return World.make(
        folder, {n: rule_text(audience=a, delivery=delivery | keys.get(n, {})) for n, a in audiences.items()}
    )


@pytest.fixture(scope="module", params=["resend", "drop", "canary"])
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, bool]]:
    """A world with devices, and whether its rules drop what is unknown."""
    world = _world(tmp_path_factory.mktemp("walk"), request.param)
    changes = [
        DeviceChange(app=APP, token=token_of(n), user=["ann", "ben", None][n % 3], topics=[["a"], ["b"], []][n % 3 - 1])
        for n in range(1, DEVICES + 1)
    ]
    register(world.store, changes)
    yield world, request.param == "drop"
    world.store.close()


def _forget(world: World) -> None:
    """As before the first event. One store serves all examples: what it has prepared is half of their time."""
    with world.store.write() as tx:
        for table in (EVENTS, RUNS, SHARDS, LEDGER, WORK, IN_FLIGHT, USERS, STOPS):
            tx.execute(delete(table))


@pytest.mark.slow
@settings(max_examples=settings.default.max_examples // 2)
@given(seed=st.integers(0, 2**32), length=st.integers(5, 45))
def test_every_device_ends_once_and_who_may_have_been_sent_twice_is_marked(
    filled: tuple[World, bool], seed: int, length: int
) -> None:
    world, drops_unknown = filled
    chance = Random(seed)
    _forget(world)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranges, "SHARD_DEVICES", chance.choice([3, 5, 100]))
        walk = Walk(world, chance)
        walk.event()
        for _ in range(length):
            walk.step()
        walk.end()
    _check_the_end(world, walk, drops_unknown)


def _check_the_end(world: World, walk: Walk, drops_unknown: bool) -> None:
    with world.store.read() as tx:
        assert tx.execute(select(WORK)).all() == []
        rows = tx.execute(select(LEDGER)).all()
    final = Counter(row.run for row in rows)
    for run in world.runs():
        counts = world.report(run).counts
        assert run.state in (RunState.FINISHED, *CALLED_OFF)
        assert run.finished_at is not None
        assert (counts.pending, counts.selected) == (0, final[run.seq])
        if run.state is RunState.FINISHED:
            assert (
                counts.selected == {"everyone": DEVICES, "canary": DEVICES, "topic": 10, "user": None}.get(run.rule)
                or run.rule == "user"
            )
    assert _going_on(world) == _newest(world)
    repeated = {(row.run, row.device) for row in rows if row.maybe_repeated}
    unknown = {(row.run, row.device) for row in rows if row.outcome == "unknown"}
    if drops_unknown:
        assert repeated == set()
        assert walk.doubted <= unknown
    else:
        assert repeated == walk.doubted


def _newest(world: World) -> set[int]:
    """Of each rule and key, the run that is not to be superseded: recomputed from all runs."""
    newest: dict[tuple[str, str | None], tuple[datetime, int]] = {}
    for run in world.runs():
        key = (run.rule, run.supersede) if run.supersede is not None else (str(run.id), None)
        newest[key] = max(newest.get(key, (run.occasion_at, run.seq)), (run.occasion_at, run.seq))
    return {seq for _, seq in newest.values()}


def _going_on(world: World) -> set[int]:
    """Runs that were not superseded; a run that was over before can be the older one too."""
    older = {run.seq for run in world.runs() if run.state is not RunState.SUPERSEDED and run.seq not in _newest(world)}
    over_before = {run.seq for run in world.runs() if run.seq in older and run.finished_at is not None}
    return {run.seq for run in world.runs() if run.state is not RunState.SUPERSEDED} - over_before
