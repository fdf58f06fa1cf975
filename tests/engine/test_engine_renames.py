"""A rule that is renamed while a daemon runs: its stops hold, and a newer run supersedes the one under way."""

from __future__ import annotations

import json
import os
import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import trio
from support.daemons import Place, place, until
from support.worlds import APP, event, register_many, rule_text

from scheduler.domain.runs import RunState
from scheduler.domain.stops import StopKind
from scheduler.engine.daemon import Daemon
from scheduler.runs.stopping import start, stop

pytestmark = pytest.mark.slow
DELIVERY = {"rate": "600/s", "collapse": "game-{{ event.subject }}"}


def _goal(at: Place, id_: str, seconds_ago: float = 0.0) -> Any:
    return event(id_, subject="g1", at=at.clock.now() - timedelta(seconds=seconds_ago))


async def _run(at: Place, own: trio.Nursery) -> Daemon:
    daemon = at.daemon()
    await own.start(daemon.run)
    await until(lambda: daemon.sender.pool_of(APP).connected > 0)
    return daemon


async def _rename(at: Place, daemon: Daemon) -> None:
    (at.world.folder / "rules/goal.yaml").unlink()
    renamed = json.loads(rule_text(delivery=DELIVERY)) | {"renamed_from": ["goal"]}
    at.world.rewrite({"score": json.dumps(renamed)}, settings=(at.world.folder / "clarion.yaml").read_text())
    at.reloads.append(at.world.workspace)
    os.kill(os.getpid(), signal.SIGHUP)
    await until(lambda: daemon.workspace is at.world.workspace)


async def test_a_stop_of_before_the_rename_holds_what_a_reload_brings_under_the_new_name(
    nursery: trio.Nursery, tmp_path: Path
) -> None:
    async with (
        place(nursery, tmp_path, {"goal": rule_text(delivery=DELIVERY)}) as at,
        trio.open_nursery() as own,
    ):
        register_many(at.world.store, 3)
        daemon = await _run(at, own)
        stop(at.world.store, StopKind.RULE, "goal", at.clock.now(), known=lambda: {"goal"})
        await _rename(at, daemon)
        await daemon.intake.take([_goal(at, "a")])
        await until(lambda: daemon.dispatcher.is_idle(at.clock.now(), timedelta()))
        assert ([run.state for run in at.world.runs()], at.sent()) == ([RunState.PENDING], [])
        start(at.world.store, StopKind.RULE, "goal", names=at.world.workspace.names)
        await daemon.dispatcher.load()
        await until(lambda: len(at.sent()) == 3)
        daemon.stop()


async def test_a_stop_after_the_rename_holds_a_send_that_began_before_it(nursery: trio.Nursery, tmp_path: Path) -> None:
    async with (
        place(nursery, tmp_path, {"goal": rule_text(delivery=DELIVERY)}) as at,
        trio.open_nursery() as own,
    ):
        register_many(at.world.store, 600)
        daemon = await _run(at, own)
        await daemon.intake.take([_goal(at, "a")])
        await until(lambda: at.statistics.accepted > 30)
        await _rename(at, daemon)
        names = at.world.workspace.names
        stop(at.world.store, StopKind.RULE, "score", at.clock.now(), known=lambda: {"score"}, names=names)
        await daemon.dispatcher.load()
        await until(lambda: not daemon.work.runs)
        assert 30 < len(at.sent()) < 600
        daemon.stop()
    assert at.world.runs()[0].state is RunState.RUNNING


async def test_a_newer_run_stops_one_under_way_that_began_before_the_rename(
    nursery: trio.Nursery, tmp_path: Path
) -> None:
    async with (
        place(nursery, tmp_path, {"goal": rule_text(delivery=DELIVERY)}) as at,
        trio.open_nursery() as own,
    ):
        register_many(at.world.store, 300)
        daemon = await _run(at, own)
        await daemon.intake.take([_goal(at, "old", 1)])
        await until(lambda: at.statistics.accepted > 30)
        await _rename(at, daemon)
        await daemon.intake.take([_goal(at, "new")])
        await until(lambda: sum(run.finished_at is not None for run in at.world.runs()) == 2)
        daemon.stop()
    old, new = (at.world.report(run) for run in at.world.runs())
    assert [(one.run.rule, one.run.state) for one in (old, new)] == [
        ("goal", RunState.SUPERSEDED),
        ("score", RunState.FINISHED),
    ]
    assert (new.counts.accepted, old.reasons.keys() <= {"suppressed"}) == (300, True)
    assert len(at.sent()) == 300 + old.counts.accepted < 600
