"""The newest run of a key is the one that sends: whatever the order in which events come, and whatever waits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, text
from support.driving import Driver
from support.worlds import APP, GOAL, NOW, World, event, register_many, rule_text

from scheduler.apns.results import ACCEPTED_ANSWER, Answer
from scheduler.domain.runs import Run, RunState
from scheduler.runs import calling_off
from scheduler.runs.calling_off import clear_superseded
from scheduler.runs.firing import fire, fired_occasion
from scheduler.runs.pausing import pause, resume
from scheduler.store.tables import EVENTS, LEDGER, RUNS, SHARDS, WORK

TICKER = rule_text(delivery={"collapse": "game-{{ event.subject }}"})


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world for examples: each begins without runs."""
    rules = {"goal": TICKER, "other": TICKER}
    return World.make(tmp_path_factory.mktemp("supersede"), rules)


def _world(folder: Path, devices: int = 4) -> World:
    world = World.make(folder, {"goal": TICKER})
    register_many(world.store, devices)
    return world


def _states(world: World) -> list[str]:
    return [run.state.value for run in world.runs()]


@given(
    st.lists(st.tuples(st.integers(0, 5), st.sampled_from("ab")), min_size=1, max_size=12),
    st.lists(st.integers(1, 4), min_size=12, max_size=12),
)
def test_of_each_rule_and_key_only_the_newest_goes_on_in_whatever_order_and_batches_events_come(
    shared: World, moments: Sequence[tuple[int, str]], sizes: Sequence[int]
) -> None:
    with shared.store.write() as tx:
        for table in (EVENTS, RUNS, SHARDS, LEDGER, WORK):
            tx.execute(delete(table))
    events = [event(f"e{n}", subject=key, at=NOW - timedelta(seconds=9 - at)) for n, (at, key) in enumerate(moments)]
    left, batches = list(events), iter(sizes)
    while left:
        size = next(batches)
        shared.ingest(*left[:size])
        del left[:size]
    newest = {key: max((at, n) for n, (at, k) in enumerate(moments) if k == key)[1] for _, key in moments}
    going_on = {(run.rule, run.occasion) for run in shared.runs() if run.state is not RunState.SUPERSEDED}
    assert going_on == {(rule, f"test\ne{n}") for rule in ("goal", "other") for n in newest.values()}
    for run in shared.runs(RunState.SUPERSEDED):
        assert run.finished_at is not None
        assert run.note is not None
        assert run.note.startswith("superseded by run ")


def test_a_newer_run_stops_what_waits_of_the_older_and_what_is_in_flight_gets_its_outcome(tmp_path: Path) -> None:
    world = _world(tmp_path)
    world.ingest(event("first", subject="g1", at=NOW - timedelta(seconds=2)))
    driver = Driver(world)
    driver.start(limit=2)
    (run,) = driver.work.runs.values()
    (window,) = driver.work.windows.values()
    driver.report(window, [(1, Answer(503, "ServiceUnavailable"))])
    driver.settle()
    assert world.ingest(event("second", subject="g1")).superseded == {run.seq}
    assert driver.open(run, limit=2) is None, "nothing more of it is opened"
    assert not clear_superseded(world.store, world.now)
    driver.report(window, [(2, ACCEPTED_ANSWER)])
    driver.settle()
    first = world.report(world.runs()[0])
    assert (first.run.state, first.reasons) == (RunState.SUPERSEDED, {"suppressed": {"superseded": 1}})
    assert (first.counts.selected, first.counts.accepted, first.counts.pending) == (2, 1, 0)
    assert first.run.finished_at is not None


def test_a_failure_that_passes_is_not_retried_in_a_superseded_run(tmp_path: Path) -> None:
    world = _world(tmp_path, devices=1)
    world.ingest(event("first", subject="g1", at=NOW - timedelta(seconds=2)))
    driver = Driver(world)
    driver.start()
    world.ingest(event("second", subject="g1"))
    (window,) = driver.work.windows.values()
    driver.report(window, [(1, Answer(503, "ServiceUnavailable"))])
    driver.settle()
    first = world.report(world.runs()[0])
    assert (first.reasons, first.run.finished_at) == ({"suppressed": {"superseded": 1}}, world.now)


def test_what_was_in_flight_at_a_crash_is_unknown_and_not_sent_again(tmp_path: Path) -> None:
    world = _world(tmp_path)
    world.ingest(event("first", subject="g1", at=NOW - timedelta(seconds=2)))
    Driver(world).start()
    world.ingest(event("second", subject="g1"))
    after = Driver(world, process="q")
    assert (after.recovered.resend, after.recovered.dropped) == (0, 4)
    first = world.report(world.runs()[0])
    assert (first.reasons, first.counts.pending) == ({"unknown": {"crash": 4}}, 0)


def test_many_that_wait_are_put_on_the_ledger_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = _world(tmp_path, devices=5)
    world.ingest(event("first", subject="g1", at=NOW - timedelta(seconds=2)))
    driver = Driver(world)
    driver.start()
    (window,) = driver.work.windows.values()
    driver.report(window, [(device, Answer(503, "ServiceUnavailable")) for device in range(1, 6)])
    driver.settle()
    world.ingest(event("second", subject="g1"))
    monkeypatch.setattr(calling_off, "MAX_CLEARED", 2)
    assert [clear_superseded(world.store, world.now) for _ in range(3)] == [True, True, False]
    first = world.report(world.runs()[0])
    assert (first.reasons, first.run.finished_at) == ({"suppressed": {"superseded": 5}}, world.now)


def test_a_paused_run_is_superseded_and_cannot_be_resumed(tmp_path: Path) -> None:
    world = _world(tmp_path)
    world.ingest(event("first", subject="g1", at=NOW - timedelta(seconds=2)))
    run = world.runs()[0]
    pause(world.store, run.id.hex, world.now)
    world.ingest(event("second", subject="g1"))
    with pytest.raises(Exception, match="is superseded: it cannot become pending"):
        resume(world.store, run.id.hex, world.now, apps=[APP])


def test_a_firing_supersedes_and_one_with_an_older_event_begins_superseded(tmp_path: Path) -> None:
    rule = rule_text(trigger={"event": GOAL, "manual": True}, delivery={"supersede": "game-{{ event.subject }}"})
    world = World.make(tmp_path, {"goal": rule})
    campaign, settings = world.workspace.campaigns["goal"], world.workspace.settings

    def fired(id_: str, seconds_ago: float) -> Run | None:
        given = event(id_, subject="g1", at=NOW - timedelta(seconds=seconds_ago))
        return fire(world.store, campaign, fired_occasion(campaign, None, given, settings, world.now), given, world.now)

    fired("a", 5)
    fired("b", 1)
    late = fired("c", 3)
    assert late is not None
    assert _states(world) == ["superseded", "pending", "superseded"]
    assert late.note == f"superseded by run {world.runs()[1].id}"


def test_looking_for_rivals_reads_an_index_of_keys(tmp_path: Path) -> None:
    world = _world(tmp_path)
    queries = (
        "SELECT id FROM runs WHERE rule = 'goal' AND supersede = 'k' ORDER BY occasion_at DESC, seq DESC LIMIT 1",
        "SELECT seq FROM runs WHERE rule = 'goal' AND supersede = 'k' AND finished_at IS NULL AND state NOT IN ('x')",
    )
    with world.store.read() as tx:
        plans = [str(tx.execute(text(f"EXPLAIN QUERY PLAN {query}")).all()) for query in queries]
    assert "runs_by_key" in plans[0]
    assert "TEMP B-TREE" not in plans[0]
    assert "runs_open_by_key" in plans[1]
