"""What `clarion run --until-idle` says of what it leaves."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from clarion_command import Clarion
from support.worlds import APP, World, event, register, rule_text, token_of

from scheduler.cli.clock import SystemClock
from scheduler.domain.stops import StopKind
from scheduler.runs.pausing import cancel, pause
from scheduler.runs.stopping import stop
from scheduler.simulator.certificates import authority
from scheduler.store.registry_changes import DeviceChange

DELAY = json.dumps(json.loads(rule_text(audience={"users": ["anna"]})) | {"timing": {"delay": "2 hours"}})
DUE = "; the next is due 2026-11-20 14:00:00"


@pytest.fixture
def waiting(make_world: Callable[[str], World], tmp_path: Path) -> World:
    """Three runs whose delay is over in two hours, at 14:00."""
    authority(tmp_path / "ca.pem")
    world = make_world(DELAY)
    register(world.store, [DeviceChange(app=APP, token=token_of(1), user="anna")])
    world.ingest(*(event(id_) for id_ in "abc"))
    return world


@pytest.mark.parametrize(
    ("paused", "said"),
    [
        (0, f"not over yet: 3 runs{DUE}"),
        (1, f"not over yet: 3 runs, 1 of them paused{DUE}"),
        (2, f"not over yet: 3 runs, 2 of them paused{DUE}"),
        (3, "not over yet: 3 runs, all paused"),
    ],
)
def test_the_end_says_what_is_not_over_how_many_are_paused_and_when_another_is_due(
    waiting: World, clarion: Clarion, paused: int, said: str
) -> None:
    for run in waiting.runs()[:paused]:
        pause(waiting.store, run.id.hex, waiting.now)
    ended = clarion("run", "--until-idle")
    assert (ended.code, ended.out) == (0, "settled: nothing; 0 tokens retired\n")
    assert ended.err.splitlines()[-1] == said
    remaining = json.loads(clarion("run", "--until-idle", "--format", "json").out)["remaining"]
    assert (remaining["runs"], remaining["paused"]) == (3, paused)


def test_a_paused_run_is_due_at_no_time(waiting: World, clarion: Clarion) -> None:
    """Of what it has put off, nothing is sent before it is resumed."""
    for run in waiting.runs():
        pause(waiting.store, run.id.hex, waiting.now)
    waiting.advance(3 * 3600)
    assert clarion("run", "--until-idle").err.splitlines()[-1] == "not over yet: 3 runs, all paused"
    assert json.loads(clarion("run", "--until-idle", "--format", "json").out)["remaining"]["next_due"] is None


def test_a_stopped_run_is_due_at_no_time(waiting: World, clarion: Clarion) -> None:
    stop(waiting.store, StopKind.RULE, "goal", waiting.now, known=lambda: {"goal"})
    first, *_ = waiting.runs()
    pause(waiting.store, first.id.hex, waiting.now)
    waiting.advance(3 * 3600)
    assert clarion("run", "--until-idle").err.splitlines()[-2:] == [
        "stopped since 2026-11-20 12:00:00: rule goal; 3 runs waiting; 'clarion start --rule goal' lets it go on",
        "not over yet: 3 runs, 1 of them paused",
    ]


def test_what_should_have_gone_and_got_no_link_is_due_now(
    waiting: World, clarion: Clarion, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, _ = waiting.runs()
    cancel(waiting.store, first.id.hex, waiting.now)
    cancel(waiting.store, second.id.hex, waiting.now)
    waiting.advance(3 * 3600)
    minutes = count(0, 61)
    monkeypatch.setattr(SystemClock, "monotonic", lambda _: float(next(minutes)))
    ended = clarion("run", "--until-idle")
    assert (ended.code, ended.err.splitlines()[-1]) == (1, "not over yet: 1 run; the next is due now")


def test_one_run_that_is_paused_is_said_in_a_word(waiting: World, clarion: Clarion) -> None:
    first, second, third = waiting.runs()
    cancel(waiting.store, first.id.hex, waiting.now)
    cancel(waiting.store, second.id.hex, waiting.now)
    pause(waiting.store, third.id.hex, waiting.now)
    assert clarion("run", "--until-idle").err.splitlines()[-1] == "not over yet: 1 run, paused"
