"""The fuse as a service: what it counts, when it blows, and how a run goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from support.driving import Driver
from support.worlds import (
    APP,
    NOW,
    World,
    event,
    new_store,
    register,
    register_many,
    rule_text,
    settings_text,
    token_of,
)

from scheduler.domain.runs import RunState
from scheduler.planning.fuse import Fuse, Usage
from scheduler.runs.context import RunContext
from scheduler.runs.fuse import FuseWatch, usage_of
from scheduler.runs.opening import Paused
from scheduler.runs.pausing import pause, resume
from scheduler.store.database import Store
from scheduler.store.registry_changes import DeviceChange
from scheduler.store.tables import SELECTIONS

FUSE = {"times": 10, "within": "15 minutes"}
MakeWorld = Callable[..., World]


def _world(make: MakeWorld, rules: dict[str, str] | None = None, devices: int = 0, fuse: object = FUSE) -> World:
    world = make(rules or {"goal": rule_text()}, files={"settings": settings_text(limits={"fuse": fuse})})
    register_many(world.store, devices)
    return world


def _had(world: World, *selected: tuple[timedelta, int], rule: str = "goal") -> None:
    """The rule selected so many devices so long ago."""
    world.ingest(event("seed"))
    context = _context(world)
    for ago, count in sorted(selected, reverse=True):
        with world.store.write() as tx:
            watch = FuseWatch(tx, [context], world.now - ago)
            assert watch.blown(context, count, past_fuse=True) is None
            watch.record()
    Driver(world)
    pause(world.store, world.runs()[0].id.hex, world.now)


def _context(world: World) -> RunContext:
    return Driver(world).context(world.runs()[0])


def _four_days(count: int) -> tuple[timedelta, int]:
    return timedelta(days=4), count


def _rows(world: World) -> int:
    with world.store.read() as tx:
        return int(tx.execute(select(func.count()).select_from(SELECTIONS)).scalar_one())


def test_a_window_that_would_select_far_more_than_ever_is_not_opened_and_pauses_the_run(
    make_world: MakeWorld,
) -> None:
    world = _world(make_world, devices=1_300)
    _had(world, _four_days(100))
    world.ingest(event("a"))
    driver = Driver(world)
    driver.start(limit=500)
    run = world.runs()[1]
    (active,) = driver.work.runs.values()
    assert driver.open(active, limit=500) is not None
    found = driver.open_or_pause(active, limit=500)
    note = (
        "fuse: 1300 devices within 15 minutes, more than 10 times 100, the most within 15 minutes in the 30 days "
        f"before; the window that would bring it there was not opened; 'clarion runs resume {run.id}' lets this run "
        "go on, 'cancel' ends it"
    )
    assert found == Paused(note)
    driver.accept_all()
    driver.settle()
    assert (world.runs()[1].state, world.runs()[1].note) == (RunState.PAUSED, note)
    assert world.report(run).counts.selected == 1_000, "nothing of the window that would be too much was committed"
    resume(world.store, run.id.hex, world.now, apps=[APP])
    Driver(world).finish_everything()
    assert world.report(run).counts.accepted == 1_300


@pytest.mark.parametrize("back", [timedelta(milliseconds=1), timedelta(minutes=1), timedelta(hours=3)])
def test_who_looked_at_the_clock_before_the_last_writer_did_is_counted_all_the_same(
    make_world: MakeWorld, back: timedelta
) -> None:
    """Two writers around the turn of a minute, or a clock that was set back."""
    world = _world(make_world)
    world.ingest(event("seed"))
    context = _context(world)
    turn = NOW.replace(second=0, microsecond=0)
    for at in (turn - back, turn, turn - back, turn):
        with world.store.write() as tx:
            watch = FuseWatch(tx, [context], at)
            assert watch.blown(context, 5, past_fuse=False) is None
            watch.record()
    with world.store.read() as tx:
        assert usage_of(tx, ["goal"], Fuse(10, timedelta(minutes=15)), turn - back).total == 20
    assert _rows(world) == 2


@pytest.mark.parametrize("at_once", [True, False])
def test_small_runs_that_would_be_too_much_are_paused_before_anybody_gets_them(
    make_world: MakeWorld, at_once: bool
) -> None:
    world = _world(make_world, {"goal": rule_text(audience={"users": ["ann"]})})
    register(world.store, [DeviceChange(app=APP, token=token_of(n), user="ann") for n in range(1, 401)])
    _had(world, _four_days(1))
    taken = world.ingest(*(event(f"e{n}") for n in range(4)), room={APP: 10_000} if at_once else None)
    driver = Driver(world)
    driver.start()
    assert [run.state for run in world.runs()[1:]] == [RunState.RUNNING] * 2 + [RunState.PAUSED] * 2
    assert [run.seq for run in taken.stopped] == ([4, 5] if at_once else [])
    last = world.runs()[-1]
    assert last.note is not None
    assert last.note.startswith("fuse: 1200 devices within 15 minutes, more than 10 times 1, ")
    resume(world.store, last.id.hex, world.now, apps=[APP])
    Driver(world).finish_everything()
    assert [world.report(run).counts.accepted for run in world.runs()[1:]] == [400, 400, 0, 400]


def test_resuming_another_pause_does_not_lift_the_fuse(make_world: MakeWorld) -> None:
    world = _world(make_world, devices=1_001)
    _had(world, _four_days(1))
    world.ingest(event("a"))
    run = world.runs()[1]
    pause(world.store, run.id.hex, world.now)
    resume(world.store, run.id.hex, world.now, apps=[APP])
    Driver(world).finish_everything()
    paused = world.runs()[1]
    assert (paused.state, (paused.note or "")[:5]) == (RunState.PAUSED, "fuse:")


def test_what_a_hand_let_past_the_fuse_is_the_peak_of_later(make_world: MakeWorld) -> None:
    world = _world(make_world)
    _had(world, _four_days(10))
    context = _context(world)
    with world.store.write() as tx:
        watch = FuseWatch(tx, [context], world.now)
        assert watch.blown(context, 5_000, past_fuse=False) is not None
        assert watch.blown(context, 5_000, past_fuse=True) is None
        watch.record()
    with world.store.write() as tx:
        soon = FuseWatch(tx, [context], world.now + timedelta(minutes=14))
        assert soon.blown(context, 1, past_fuse=False) is not None, "it is still the same burst"
        later = FuseWatch(tx, [context], world.now + timedelta(minutes=15))
        assert later.blown(context, 50_000, past_fuse=False) is None
        assert later.blown(context, 1, past_fuse=False) is not None


@pytest.mark.parametrize(
    ("had", "selected", "blows"),
    [
        ([], 10**6, False),
        ([(timedelta(days=3) - timedelta(minutes=1), 10)], 10**6, False),
        ([(timedelta(days=3), 10)], 1_001, True),
        ([(timedelta(days=3), 10)], 1_000, False),
        ([(timedelta(days=4), 200)], 2_000, False),
        ([(timedelta(days=4), 200)], 2_001, True),
        ([(timedelta(days=4), 10), (timedelta(minutes=15), 300)], 3_000, False),
        ([(timedelta(days=4), 10), (timedelta(minutes=14), 900)], 101, True),
        ([(timedelta(days=4), 10), (timedelta(minutes=14), 900)], 100, False),
        ([(timedelta(days=31), 10)], 10**6, False),
        ([(timedelta(days=31), 5_000), (timedelta(days=29), 10)], 1_001, True),
        ([(timedelta(days=31), 5_000), (timedelta(days=2), 10)], 1_001, True),
    ],
)
def test_when_it_blows(make_world: MakeWorld, had: list[tuple[timedelta, int]], selected: int, blows: bool) -> None:
    world = _world(make_world)
    _had(world, *had)
    context = _context(world)
    with world.store.write() as tx:
        watch = FuseWatch(tx, [context], world.now)
        assert (watch.blown(context, selected, past_fuse=False) is not None) is blows


def test_a_rename_keeps_the_history(make_world: MakeWorld) -> None:
    world = _world(make_world)
    _had(world, _four_days(10), (timedelta(minutes=3), 600))
    renamed = json.loads(rule_text()) | {"renamed_from": ["goal"]}
    (world.folder / "rules" / "goal.yaml").unlink()
    world.rewrite({"score": json.dumps(renamed)}, settings=settings_text(limits={"fuse": FUSE}))
    world.ingest(event("b"))
    context = Driver(world).context(world.runs()[1])
    assert context.run.rule == "score"
    for minute, selected, blows in ((0, 400, False), (0, 1, True), (11, 1, True), (12, 5_600, False), (12, 1, True)):
        with world.store.write() as tx:
            watch = FuseWatch(tx, [context], world.now + timedelta(minutes=minute))
            assert (watch.blown(context, selected, past_fuse=False) is not None) is blows, (minute, selected)
            watch.record()


@pytest.mark.parametrize("which", ["rule", "settings", "nothing"])
def test_a_rule_without_a_fuse_writes_nothing_and_never_pauses(make_world: MakeWorld, which: str) -> None:
    ignoring = json.dumps(json.loads(rule_text()) | {"limits": {"fuse": "ignore"}})
    fuse = {"rule": FUSE, "settings": "ignore", "nothing": None}[which]
    rule = ignoring if which == "rule" else rule_text()
    world = make_world({"goal": rule}, files={"settings": settings_text(limits={"fuse": fuse} if fuse else {})})
    register_many(world.store, 1_500)
    world.ingest(event("a"))
    Driver(world).finish_everything()
    assert (world.runs()[0].state, _rows(world)) == (RunState.FINISHED, 0)


def test_another_time_to_count_over_begins_the_history_anew(make_world: MakeWorld) -> None:
    world = _world(make_world)
    _had(world, _four_days(10))
    context = _context(world)
    with world.store.read() as tx:
        names = context.campaign.names_had
        assert usage_of(tx, names, Fuse(10, timedelta(minutes=15)), world.now).peak == 10
        assert usage_of(tx, names, Fuse(10, timedelta(minutes=20)), world.now) == Usage(0, None, None)


@pytest.mark.slow
def test_a_busy_rule_leaves_few_rows(make_world: MakeWorld) -> None:
    world = _world(make_world)
    world.ingest(event("seed"))
    context = _context(world)
    for minute in range(2_000):
        with world.store.write() as tx:
            watch = FuseWatch(tx, [context], world.now + timedelta(minutes=minute))
            watch.blown(context, 100 + minute * 7_919 % 83, past_fuse=True)
            watch.record()
    assert _rows(world) < 40


def test_rows_of_rules_that_are_gone_are_removed_some_day(make_world: MakeWorld) -> None:
    world = _world(make_world, {"goal": rule_text(), "other": rule_text()})
    world.ingest(event("seed"))
    gone, other = (Driver(world).context(run) for run in world.runs())
    for context, days in ((gone, 0), (other, 31)):
        with world.store.write() as tx:
            watch = FuseWatch(tx, [context], world.now + timedelta(days=days))
            watch.blown(context, 1, past_fuse=False)
            watch.record()
    assert _rows(world) == 1


@dataclass
class _Oracle:
    """The law in the words of the specification, with all that ever happened at hand."""

    fuse: Fuse
    selected: list[tuple[int, int]] = field(default_factory=list)
    since: int | None = None

    def total(self, minute: int) -> int:
        return sum(count for at, count in self.selected if minute - self.fuse.minutes < at <= minute)

    def blows(self, minute: int, count: int) -> bool:
        if self.since is None or minute - self._since(minute) < 3 * 24 * 60:
            return False
        before = [at for at, _ in self.selected if minute - 30 * 24 * 60 < at <= minute - self.fuse.minutes]
        if not before:
            return False
        now = self.total(minute) + count
        return now > 1_000 and now > self.fuse.times * max(self.total(at) for at in before)

    def add(self, minute: int, count: int) -> None:
        self.since = self._since(minute)
        self.selected.append((minute, count))

    def _since(self, minute: int) -> int:
        forgotten = not self.selected or self.selected[-1][0] <= minute - 30 * 24 * 60
        return minute if self.since is None or forgotten else self.since


_GAPS = st.one_of(st.just(0), st.integers(1, 40), st.integers(60, 5_000), st.integers(30_000, 50_000))
_STEPS = st.lists(st.tuples(_GAPS, st.sampled_from([1, 90, 400, 1_000, 1_001, 5_000, 60_000])), max_size=40)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_STEPS, times=st.integers(1, 5), within=st.sampled_from([timedelta(seconds=30), timedelta(minutes=15)]))
def test_it_blows_exactly_when_the_law_says_so(
    some: tuple[RunContext, Store], steps: list[tuple[int, int]], times: int, within: timedelta
) -> None:
    context, store = some
    fuse = Fuse(times, within)
    oracle, now = _Oracle(fuse), NOW
    context = replace(context, fuse=fuse)
    with store.write() as tx:
        tx.execute(SELECTIONS.delete())
        for gap, count in steps:
            now += timedelta(minutes=gap)
            minute = int(now.timestamp()) // 60
            watch = FuseWatch(tx, [context], now)
            blown = watch.blown(context, count, past_fuse=False)
            assert (blown is not None) is oracle.blows(minute, count)
            if blown is None or count % 3 == 1:  # some a hand lets past
                assert blown is None or watch.blown(context, count, past_fuse=True) is None
                oracle.add(minute, count)
            watch.record()


@pytest.fixture(scope="module")
def some(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunContext, Store]:
    folder: Path = tmp_path_factory.mktemp("fuse")
    world = World.make(folder / "world", {"goal": rule_text()})
    world.ingest(event("seed"))
    context = _context(world)
    world.store.close()
    return context, new_store(folder / "other.db")
