"""Fuses and canaries over real TLS: what a daemon sends first, what it pauses, and how it goes on."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import trio
from support.daemons import Place, place, until
from support.worlds import APP, event, register, register_many, rule_text, token_of

from scheduler.domain.runs import RunState
from scheduler.engine.daemon import Ending
from scheduler.planning.canaries import canaries
from scheduler.runs.context import RunContext, context_of
from scheduler.runs.fuse import FuseWatch
from scheduler.runs.pausing import resume
from scheduler.store.registry_changes import DeviceChange

pytestmark = pytest.mark.slow
DEVICES = 120


def _rule(wait: str) -> str:
    return rule_text(delivery={"canary": {"share": "25%", "wait": wait, "max_rejects": "10%"}})


def _event(at: Place, id_: str = "a", **data: Any) -> None:
    at.world.ingest(event(id_, at=at.clock.now() - timedelta(seconds=1), **data))


def _canaries(at: Place) -> set[int]:
    run = at.world.runs()[0]
    persons = [f"device:{number}" for number in range(1, DEVICES + 1)]
    return {number for number, is_one in enumerate(canaries(0.25, run.id, persons), 1) if is_one}


def _accepted(at: Place) -> int:
    return at.world.report(at.world.runs()[0]).counts.accepted


async def test_the_rest_follows_the_canary_after_its_wait_in_the_same_daemon(
    nursery: trio.Nursery, tmp_path: Path
) -> None:
    async with place(nursery, tmp_path, {"goal": _rule("2 minutes")}) as at:
        register_many(at.world.store, DEVICES)
        _event(at)
        daemon = at.daemon()
        async with trio.open_nursery() as own:
            await own.start(daemon.run)
            await until(lambda: at.world.runs()[0].state is RunState.WAITING)
            assert set(at.sent()) == _canaries(at)
            await until(lambda: not daemon.work.runs)
            at.clock.shift += 121
            daemon.dispatcher.wake()  # it naps by real seconds
            await until(lambda: _accepted(at) == DEVICES)
            await until(lambda: not daemon.work.runs)
            daemon.stop()
        assert Counter(at.sent()) == Counter(range(1, DEVICES + 1))
        assert at.world.runs()[0].state is RunState.FINISHED


async def test_a_rest_that_is_due_at_once_needs_no_second_look(nursery: trio.Nursery, tmp_path: Path) -> None:
    async with place(nursery, tmp_path, {"goal": _rule("0 s")}) as at:
        register_many(at.world.store, DEVICES)
        _event(at)
        assert (await at.run_until_idle()).exit_code == 0
        first = len(_canaries(at))
        assert set(at.sent()[:first]) == _canaries(at)
        assert Counter(at.sent()) == Counter(range(1, DEVICES + 1))


async def test_a_bad_canary_pauses_the_run_with_an_alarm_and_a_hand_sends_to_the_rest(
    nursery: trio.Nursery, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    known: list[dict[str, Any]] = [
        {"token": token_of(number), "state": "unregistered" if number % 2 else "valid"}
        for number in range(1, DEVICES + 1)
    ]
    async with place(nursery, tmp_path, {"goal": _rule("0 s")}, devices=known) as at:
        register_many(at.world.store, DEVICES)
        _event(at)
        ended = await at.run_until_idle()
        assert (ended.ending, ended.exit_code) == (Ending.IDLE, 0)
        (run,) = at.world.runs()
        assert run.state is RunState.PAUSED
        assert set(at.sent()) == _canaries(at)
        assert f"run.paused rule=goal run={run.id} why=" in caplog.text
        assert "answered canaries were rejected" in caplog.text
        resume(at.world.store, run.id.hex, at.clock.now(), apps=[APP])
        await at.run_until_idle()
        assert Counter(at.sent()) == Counter(range(1, DEVICES + 1))
        assert at.world.runs()[0].state is RunState.FINISHED


async def test_a_fuse_stops_a_flood_of_events_with_few_alarms(
    nursery: trio.Nursery, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rule = rule_text(audience={"users": ["ann"]})
    async with place(nursery, tmp_path, {"goal": rule}) as at:
        settings = json.loads((tmp_path / "clarion.yaml").read_text())
        settings["limits"] = {"fuse": {"times": 2, "within": "15 minutes"}}
        at.world.rewrite({"goal": rule}, settings=json.dumps(settings))
        register(at.world.store, [DeviceChange(app=APP, token=token_of(n), user="ann") for n in range(1, 41)])
        _event(at, "first")
        (run,) = at.world.runs()
        context = context_of(run, at.world.workspace.campaigns["goal"], at.world.workspace.settings)
        assert isinstance(context, RunContext)
        with at.world.store.write() as tx:
            before = FuseWatch(tx, [context], at.clock.now() - timedelta(days=5))
            before.blown(context, 10, past_fuse=False)
            before.record()
            now = FuseWatch(tx, [context], at.clock.now())
            now.blown(context, 800, past_fuse=True)
            now.record()
        at.world.ingest(*(event(f"e{n}", at=at.clock.now() - timedelta(seconds=1)) for n in range(9)))
        ended = await at.run_until_idle()
        assert ended.exit_code == 0
        states = Counter(run.state for run in at.world.runs())
        assert states == {RunState.FINISHED: 5, RunState.PAUSED: 5}, "800 and 5 times 40 are 1,000"
        assert caplog.text.count("run.paused") <= 4
        assert "fuse: 1040 devices within 15 minutes, more than 2 times 10, " in caplog.text
