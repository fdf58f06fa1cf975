"""Delays over real TLS: what waits leaves the daemon alone until it is due, in a daemon that stays or in the next."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import trio
from support.daemons import Place, place, until
from support.worlds import APP, event, register, rule_text, token_of

from scheduler.domain.runs import RunState
from scheduler.engine.daemon import Daemon, Ended, Ending
from scheduler.runs.pausing import cancel, pause, resume
from scheduler.store.registry_changes import DeviceChange
from scheduler.transport.tls import TlsStream

pytestmark = pytest.mark.slow
ORDER = "com.example.order"
HOURS = 3600.0
PEOPLE = 30


def rule(**timing: Any) -> str:
    text = json.loads(rule_text(audience={"users": ["{{ event.data.user_id }}"]}))
    return json.dumps(text | {"timing": {"delay": "2 hours", **timing}})


UNLESS = {"event": ORDER}


def registered(at: Place) -> None:
    changes = [DeviceChange(app=APP, token=token_of(n), user=f"u{n}") for n in range(1, PEOPLE + 1)]
    register(at.world.store, changes)


def of_user(at: Place, id_: str, number: int, **fields: Any) -> Any:
    return event(id_, at=at.clock.now(), user_id=f"u{number}", **fields)


async def test_what_waits_is_not_in_hand_and_goes_when_it_is_due(nursery: trio.Nursery, tmp_path: Path) -> None:
    async with place(nursery, tmp_path, {"goal": rule(unless=UNLESS)}) as at:
        registered(at)
        daemon = at.daemon()
        async with trio.open_nursery() as own:
            await own.start(daemon.run)
            await daemon.intake.take([of_user(at, f"b{n}", n) for n in range(1, PEOPLE + 1)])
            assert {run.state for run in at.world.runs()} == {RunState.WAITING}
            assert (daemon.work.runs, at.sent()) == ({}, [])
            at.clock.shift += HOURS
            await daemon.intake.take([of_user(at, f"o{n}", n, type_=ORDER) for n in range(1, 11)])
            first, second, *_ = at.world.runs()[10:]
            pause(at.world.store, first.id.hex, at.clock.now())
            cancel(at.world.store, second.id.hex, at.clock.now())
            at.clock.shift += HOURS
            await until(lambda: at.statistics.accepted == PEOPLE - 12)
            at.clock.shift += HOURS
            resume(at.world.store, first.id.hex, at.clock.now(), apps=[APP])
            # The daemon notices what other processes commit; this was this one.
            await daemon.dispatcher.load()
            await until(lambda: at.statistics.accepted == PEOPLE - 11)
            await until(lambda: not daemon.work.runs)
            daemon.stop()
        assert Counter(at.sent()) == Counter(n for n in range(11, PEOPLE + 1) if n != 12)
        states = Counter(run.state for run in at.world.runs())
        assert states == {RunState.FINISHED: PEOPLE - 1, RunState.CANCELLED: 1}


async def test_until_idle_leaves_what_waits_to_the_next_one(nursery: trio.Nursery, tmp_path: Path) -> None:
    async with place(nursery, tmp_path, {"goal": rule()}) as at:
        registered(at)
        taken = of_user(at, "b", 1)
        at.world.ingest(taken)
        ended = await at.run_until_idle()
        assert (ended.ending, ended.remaining.runs) == (Ending.IDLE, 1)
        assert ended.remaining.next_due is not None
        assert abs((ended.remaining.next_due - taken.time).total_seconds() - 2 * HOURS) < 0.001
        at.clock.shift += 2 * HOURS - 30
        at.clock.shift += 31
        ended = await at.run_until_idle()
        assert (ended.remaining.runs, at.sent()) == (0, [1])


def has_looked(daemon: Daemon) -> bool:
    """Whether a daemon has asked the store for everything that it could begin or wake."""
    return not daemon.dispatcher._pending.may_be_any() and not daemon.work.opening.locked()


async def test_until_idle_does_not_end_before_what_is_due_had_a_link(
    nursery: trio.Nursery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_connect, connect = trio.Event(), TlsStream.connect

    async def connect_late(*args: Any) -> TlsStream:
        await may_connect.wait()
        return await connect(*args)

    monkeypatch.setattr(TlsStream, "connect", connect_late)
    async with place(nursery, tmp_path, {"goal": rule()}) as at:
        registered(at)
        at.world.ingest(of_user(at, "b", 1))
        at.clock.shift += 2 * HOURS + 1
        daemon = at.daemon()
        ended: list[Ended] = []
        async with trio.open_nursery() as own:

            async def run() -> None:
                ended.append(await daemon.run(until_idle=True))

            own.start_soon(run)
            await until(lambda: has_looked(daemon))
            assert not daemon.dispatcher.is_idle(at.clock.now(), timedelta(seconds=60))
            may_connect.set()
            await until(lambda: bool(ended))  # the tick wakes the dispatcher, not the end of its nap of 30 s
        assert (ended[0].ending, ended[0].remaining.runs, at.sent()) == (Ending.IDLE, 0, [1])


async def test_until_idle_gives_up_what_is_due_and_gets_no_link(nursery: trio.Nursery, tmp_path: Path) -> None:
    async with place(nursery, tmp_path, {"goal": rule()}, listening=False) as at:
        registered(at)
        at.world.ingest(of_user(at, "b", 1))
        at.clock.shift += 2 * HOURS + 1
        daemon = at.daemon()
        ended: list[Ended] = []
        async with trio.open_nursery() as own:

            async def run() -> None:
                ended.append(await daemon.run(until_idle=True))

            own.start_soon(run)
            await until(lambda: has_looked(daemon))
            assert not daemon.dispatcher.is_idle(at.clock.now(), timedelta(seconds=60))
            assert daemon.dispatcher.is_idle(at.clock.now(), timedelta(seconds=60), given_up=[APP])
            at.clock.shift += 61
            await until(lambda: bool(ended))
        assert (ended[0].ending, ended[0].exit_code, ended[0].remaining.runs) == (Ending.NO_LINK, 1, 1)


async def test_until_idle_does_not_wait_for_the_link_of_what_was_paused_meanwhile(
    nursery: trio.Nursery, tmp_path: Path
) -> None:
    async with place(nursery, tmp_path, {"goal": rule()}, listening=False) as at:
        registered(at)
        at.world.ingest(of_user(at, "b", 1))
        at.clock.shift += 2 * HOURS + 1
        daemon = at.daemon()
        ended: list[Ended] = []
        async with trio.open_nursery() as own:

            async def run() -> None:
                ended.append(await daemon.run(until_idle=True))

            own.start_soon(run)
            await until(lambda: has_looked(daemon))
            pause(at.world.store, at.world.runs()[0].id.hex, at.clock.now())
            await daemon.dispatcher.load()  # as after what another process commits
            await until(lambda: bool(ended))
        assert (ended[0].ending, ended[0].remaining.runs, ended[0].remaining.paused) == (Ending.IDLE, 1, 1)


async def test_rules_that_are_read_again_find_the_exit_events_of_before(nursery: trio.Nursery, tmp_path: Path) -> None:
    async with place(nursery, tmp_path, {"goal": rule()}) as at:
        registered(at)
        daemon = at.daemon()
        async with trio.open_nursery() as own:
            await own.start(daemon.run)
            await daemon.intake.take([of_user(at, "o1", 1, type_=ORDER)])
            settings = (tmp_path / "clarion.yaml").read_text()
            at.world.rewrite({"goal": rule(unless={**UNLESS, "since": "1 hour before"})}, settings=settings)
            at.reloads.append(at.world.workspace)
            os.kill(os.getpid(), signal.SIGHUP)
            await until(lambda: daemon.workspace is at.world.workspace)
            await daemon.intake.take([of_user(at, f"b{n}", n) for n in (1, 2)])
            at.clock.shift += 2 * HOURS
            await until(lambda: {run.state for run in at.world.runs()} == {RunState.FINISHED})
            daemon.stop()
        assert at.sent() == [2]
